"""xqe explain: why a document scores what it scores for a query."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from xqe import jsonl
from xqe.commands import options
from xqe.commands.options import Screen
from xqe.commands.searching import check_searching, settings_for
from xqe.commands.streams import Queries
from xqe.errors import XqeError


@options.takes(searching=options.part(options.Searching, *options.SCORING))
def explain(
    directory: Annotated[Path, typer.Argument(metavar="DIR", show_default=False, help="The folder of the index.")],
    query: Annotated[
        str,
        typer.Argument(metavar="QUERY", show_default=False, help="A query; - reads records, with passages or without."),
    ],
    documents: Annotated[
        list[str], typer.Argument(metavar="DOCID...", show_default=False, help="Documents, by their ids.")
    ],
    searching: options.Searching,
    form: options.ScreenFormat = None,
    files: options.Input = None,
) -> None:
    """Explain the score of a document for a query, term by term.

    Each term of the query stands with its weight in it, its count in the document (tf), the number of documents that
    hold it (df), its idf, and what it adds; these sums make the score that xqe search gives. Then the terms of the
    query that do not occur in the document. "rank" is the document's among all documents of the index.
    """
    check_searching(searching)
    queries = Queries(query, files)
    from xqe.explanation import explained
    from xqe.index import open_index
    from xqe.search import searched
    from xqe.weighting import weighted_query

    index = open_index(directory)
    numbers = index.numbers(documents).tolist()
    for name, number in zip(documents, numbers, strict=True):
        if number < 0:
            raise XqeError(f'{directory}: holds no document "{name}"', "an id is written as in the documents")
    settings = settings_for(searching, index)
    for record in queries:
        weights = weighted_query(record, index, settings.weighting, queries.place).weights
        weights = searched(record, weights, index, settings)[0]
        for number in numbers:
            row = {
                "id": record["id"],
                "query": record["query"],
                **explained(index, weights, number, settings.parameters),
            }
            if form is Screen.TEXT or (form is None and sys.stdout.isatty()):
                jsonl.write(_text(row))
            else:
                jsonl.write(jsonl.dumps(row))


def _text(row: dict[str, Any]) -> str:
    from rich.text import Text

    from xqe.commands.screens import rendered

    rank = f"rank {row['rank']:,} of {row['documents']:,}" if row["rank"] else "not a hit"
    heading = Text.assemble(
        (row["document"], "bold"),
        f"  score {row['score']:.6g}, {rank}\n",
        f"length {row['length']:,} terms, {row['length'] / (row['average_length'] or 1):.2f} of the average; "
        f"k1 {row['k1']:g}, b {row['b']:g}, so K = {row['K']:.4g}",
    )
    return rendered(heading, *parts_of(row["terms"], row["missing"]), "")


def parts_of(terms: Sequence[dict[str, Any]], missing: Sequence[dict[str, Any]]) -> list[Any]:
    """The terms that make a score as a table, and those that are missing as a line."""
    from rich.text import Text

    from xqe.commands.screens import table

    numbers = ("weight", "tf", "df", "idf", "adds", "share")
    found = table(("term", *numbers), numbers)
    total = sum(term["score"] for term in terms)
    for term in terms:
        cells = (
            f"{term['weight']:.4g}",
            f"{term['tf']:,}",
            f"{term['df']:,}",
            f"{term['idf']:.3f}",
            f"{term['score']:.4f}",
            f"{100 * term['score'] / total:.0f} %",
        )
        found.add_row(Text(term["term"]), *cells)
    parts: list[Any] = [found] if terms else []
    if missing:
        said = ", ".join(f"{term['term']} (df {term['df']:,}, weight {term['weight']:.4g})" for term in missing)
        parts.append(Text(f"not in it: {said}", style="dim"))
    return parts
