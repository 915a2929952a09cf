"""xqe explain: why a document scores what it scores for a query."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xqe.commands.options.common import Input
from xqe.commands.options.encoding import Encoding
from xqe.commands.options.forms import Screen, ScreenFormat, on_screen
from xqe.commands.options.groups import part, takes
from xqe.commands.options.queries import OfQueries
from xqe.commands.options.searching import SCORING, Searching
from xqe.commands.searching import ENCODERS, check_searching, numbers_of, open_retriever
from xqe.commands.streams import Queries
from xqe.files import jsonl
from xqe.retrieval.choices import By
from xqe.text.languages import name_of

if TYPE_CHECKING:
    from xqe.commands.sections import Row
    from xqe.files.records import Record


@takes(written=OfQueries, searching=part(Searching, *SCORING), encoding=part(Encoding, *ENCODERS))
def explain(
    directory: Annotated[Path, typer.Argument(metavar="DIR", show_default=False, help="The folder of the index.")],
    query: Annotated[
        str,
        typer.Argument(metavar="QUERY", show_default=False, help="A query; - reads records, with passages or without."),
    ],
    documents: Annotated[
        list[str], typer.Argument(metavar="DOCID...", show_default=False, help="Documents, by their ids.")
    ],
    searching: Searching,
    also: Annotated[
        list[Path] | None,
        typer.Option("--also", metavar="DIR", show_default=False, help="Search this index, too. Repeatable."),
    ] = None,
    form: ScreenFormat = Screen.AUTO,
    files: Input = None,
    *,
    written: OfQueries,
    encoding: Encoding,
) -> None:
    """Explain the score of a document for a query.

    Each term of the query stands with its weight in it, its count in the document (tf), the number of documents that
    hold it (df), its idf, and what it adds; these sums make the score that xqe search gives. Then the terms of the
    query that do not occur in the document. Among vectors it is what each text that is searched with adds, and which of
    the document's windows is nearest; in a hybrid search what each side adds, with its own rank and score. "rank" is
    the document's among all of the index, in a hybrid search among those that are fused. What its questions add, where
    they count, stands apart. Of a record that xqe rerank wrote, "reranked" has what it made of the document.
    """
    check_searching(searching)
    queries = Queries(query, files, rows=written.rows())
    shown = on_screen(form)
    directories = [directory, *(also or ())]
    with open_retriever(searching, encoding, directories, offers_questions=True) as retriever:
        numbers = numbers_of(documents, retriever.documents, directories)
        for record in queries:
            searched = retriever.fed(retriever.query(record, queries.place), pool=None)
            for number in numbers:
                row = {"id": record["id"], "query": record["query"], **retriever.explained(searched, number)}
                row |= _reranked(record, row["document"])
                if shown:
                    jsonl.write(f"{_text(row)}\n")
                else:
                    jsonl.write(jsonl.dumps(row))


def _reranked(record: Record, document: str) -> dict[str, Any]:
    """How a document was re-ranked, where the record says so: its rank and score before, the model's score, and its
    rank and score after."""
    for rank, hit in enumerate(record.get("hits") or (), 1):
        if hit["id"] == document and "reranked" in hit:
            return {"reranked": {**hit["reranked"], "new_rank": rank, "new_score": hit["score"]}}
    return {}


def _text(row: dict[str, Any]) -> str:
    from rich.text import Text

    from xqe.commands.screens import rendered
    from xqe.commands.sections import QUIET, plain, section

    said = Text.assemble(plain(row["document"], "bold"), f"  {_standing(row)}")
    query = Text.assemble(plain(row["query"]), plain(f"  {row['id']}", QUIET))
    head: list[Row] = [("query", query), *_reordered(row)]
    if row["by"] != By.HYBRID:
        return rendered(section("document", said, [*head, *_ROWS[row["by"]](row)]))
    parts: list[Any] = [section("document", said, [*head, *_fused(row)])]
    for side in row["sides"]:
        parts += ["", section(side["by"], Text(_standing(side)), _ROWS[side["by"]](side))]
    return rendered(*parts)


def _reordered(row: dict[str, Any]) -> Iterator[Row]:
    """What re-ranking made of a document."""
    from xqe.commands.sections import plain

    if (told := row.get("reranked")) is not None:
        model = f", the model's score {told['score']:.5g}" if "score" in told else ""
        ranks = f"from rank {told['rank']:,} to {told['new_rank']:,}"
        yield "re-ranked", plain(f"{ranks}: found with {told['first']:.6g}{model}, now {told['new_score']:.5g}")


def _standing(row: dict[str, Any]) -> str:
    rank = f"rank {row['rank']:,} of {row['documents']:,}" if row["rank"] else "not a hit"
    return f"score {row['score']:.6g}, {rank}"


def _fused(row: dict[str, Any]) -> Iterator[Row]:
    """What each side adds to a fused score, as a table."""
    from xqe.commands.columns import table
    from xqe.commands.sections import plain

    found = table(("side", "rank", "weight", "adds"), ("rank", "weight", "adds"))
    for side in row["sides"]:
        adds = f"{side['adds']:.4f}" if side["adds"] is not None else "-"
        found.add_row(side["by"], f"{side['fused_rank'] or '-'}", f"{side['weight']:g}", adds)
    norm = f" of {row['norm']}" if "norm" in row else ""
    yield "fused", plain(f"{row['fusion']}{norm}")
    yield "", found


def _of_vectors(row: dict[str, Any]) -> Iterator[Row]:
    """What each text that is searched with adds to a cosine, as a table."""
    from xqe.commands.columns import table
    from xqe.commands.sections import plain

    if row["windows"] > 1:
        yield "nearest", plain(f"window {row['window']} of {row['windows']}")
    found = table(("text", "adds", "share"), ("adds", "share"))
    for term in row["terms"]:
        found.add_row(plain(term["term"]), f"{term['score']:.4f}", f"{100 * term['score'] / row['score']:.0f} %")
    yield "texts", found
    if "questions" in row:
        yield "mixed", plain(f"passage and questions, with a share of {row['questions']['share']:g}")
        mixed = table(("of the document", "adds", "share"), ("adds", "share"))
        for name, adds in row["questions"]["adds"].items():
            of = name if name == "passage" else f"questions in {name_of(name)}"
            mixed.add_row(of, f"{adds:.4f}", f"{100 * adds / row['score']:.0f} %")
        yield "", mixed


def _of_words(row: dict[str, Any]) -> Iterator[Row]:
    """The terms that make the score as a table, and the names of those that are missing."""
    from xqe.commands.sections import counted, plain

    def length(row: dict[str, Any]) -> str:
        terms = counted(row["length"], "term")
        return f"{terms}, {row['length'] / (row['average_length'] or 1):.2f} of the average"

    yield "length", plain(f"{length(row)}; with k1 {row['k1']:g} and b {row['b']:g}, K = {row['K']:.4g}")
    yield from _terms("terms", row, row["score"])
    for questions in row.get("questions", ()):
        said = f"in {name_of(questions['lang'])} add {questions['score']:.4f}; {length(questions)}"
        yield "questions", plain(f"{said}, K = {questions['K']:.4g}")
        yield from _terms("", questions, row["score"])


def _terms(label: str, row: dict[str, Any], total: float) -> Iterator[Row]:
    """The terms that occur as a table, with their share of a total, and the names of those that are missing."""
    from xqe.commands.columns import table
    from xqe.commands.sections import named, plain

    numbers = ("weight", "tf", "df", "idf", "adds", "share")
    found = table(("term", *numbers), numbers)
    for term in row["terms"]:
        found.add_row(
            plain(term["term"]),
            f"{term['weight']:.4g}",
            f"{term['tf']:,}",
            f"{term['df']:,}",
            f"{term['idf']:.3f}",
            f"{term['score']:.4f}",
            f"{100 * term['score'] / total:.0f} %",
        )
    if row["terms"]:
        yield label, found
    for kind, in_some in (("lacks", True), ("nowhere", False)):
        if names := [term["term"] for term in row["missing"] if (term["df"] > 0) is in_some]:
            yield kind, named(names, full=True)


_ROWS = {By.BM25: _of_words, By.DENSE: _of_vectors}
