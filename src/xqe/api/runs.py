"""Runs: reading, fusing and evaluating them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from xqe.api.options import Options
from xqe.errors import InputError
from xqe.files.records import Record
from xqe.files.trec import Answer, Qrels, hits_of
from xqe.files.trec import read_qrels as qrels_of_file
from xqe.files.trec import read_run as answers_of
from xqe.messages import silent

if TYPE_CHECKING:
    from xqe.evaluation.decisions import Test

File = str | PathLike[str]
Scores = Mapping[str, Mapping[str, float]]
Run = Iterable[Mapping[str, Any]] | Scores | File
"""Records with "hits"; or query id -> document id -> score; or the name of a file of either, or of TREC or MS MARCO."""


def read_queries(
    *files: File, lang: str | None = None, id_field: str = "", text_field: str | Sequence[str] = ()
) -> list[Record]:
    """The queries of files, as every command reads them: JSONL, an array of JSON, CSV, TSV, lines, "ir_datasets:ID".

    lang: of those that name none; "auto" tells it from each text. id_field, text_field: how these are called, where not
    as usual; several texts are joined. Raises InputError, "file:line: what".
    """
    from xqe.commands.streams import Queries
    from xqe.files.fields import Fields
    from xqe.files.forms import QUERIES
    from xqe.files.rows import Rows

    rows = Rows(QUERIES, fields=Fields(id_field, _names(text_field)))
    return list(Queries(None, _some(files), "lang=" if lang is not None else "", lang, rows=rows))


def read_documents(
    *files: File, id_field: str = "", text_field: str | Sequence[str] = (), title_field: str = ""
) -> Iterator[Record]:
    """Yield the documents of files as `xqe index` reads them, with all their fields: JSONL, CSV, TSV, Parquet, TREC, a
    folder of texts, "ir_datasets:ID", plain or packed.

    id_field, text_field, title_field: how these are called, where not as usual; several texts are joined. Raises
    InputError, "file:line: what", when it comes to that line.
    """
    from xqe.files.documents import records
    from xqe.files.fields import Fields
    from xqe.files.forms import DOCUMENTS
    from xqe.files.rows import Rows

    rows = Rows(DOCUMENTS, fields=Fields(id_field, _names(text_field), title_field))
    return (record for _, record in records(_some(files), rows))


def read_run(file: File) -> list[Record]:
    """The records of a run, {"id", "hits": [{"id", "score"}]}: those of xqe as they are, of TREC or MS MARCO made so.

    Of MS MARCO, which has ranks alone, scores are the ranks, negative. Raises InputError, "file:line: what".
    """
    return [
        one.record or {"id": one.id, "hits": [{"id": name, "score": score} for name, score in one.hits.items()]}
        for one in answers_of(fspath(file))
    ]


def read_qrels(file: File) -> Qrels:
    """Judgements of TREC or BEIR, or of "ir_datasets:ID": query id -> document id -> grade. Raises InputError."""
    return qrels_of_file(fspath(file))


def fuse(
    runs: Mapping[str, Run] | Sequence[Run],
    *,
    method: str | None = None,
    norm: str | None = None,
    weight: Sequence[float] | None = None,
    k: int | None = None,
    quiet: bool = False,
    **options: Any,
) -> list[Record]:
    """Fuse runs into one, as `xqe fuse` does.

    runs: by their names, or in a list, where they are called run1, run2 and so on. method: rrf if none is named.
    weight: what each counts, in their order. k: most hits for a query. Other options are those of the command: rrf_k,
    depth, languages. A record has "hits", each with "from", what the runs say of it, and "fusion".
    """
    from xqe.commands.fuse import counting, fusion_of, say_lacking, weights_of
    from xqe.stages.fuse import Run as ToFuse
    from xqe.stages.fuse import Settings
    from xqe.stages.fuse import fuse as fuse_runs

    with silent(quiet):
        said = Options("fuse", {"method": method, "norm": norm, "weight": weight, "k": k, **options}, ("name",))
        settings = fusion_of(said["method"], said["norm"], said["rrf_k"], said["weight"])
        named = _named(runs, is_one=False)
        weights = weights_of(said["weight"], list(named))
        inputs = [
            ToFuse(name, _answers(run, name), one) for (name, run), one in zip(named.items(), weights, strict=True)
        ]
        counts: Counter[str] = Counter()
        how = Settings(settings, said["depth"], said["k"], said["languages"])
        fused = list(counting(fuse_runs(inputs, how), inputs, counts))
        say_lacking(counts, list(named), len(fused))
        return fused


def evaluate(
    runs: Mapping[str, Run] | Run,
    qrels: Mapping[str, Mapping[str, int]] | File,
    measures: str | Sequence[str] | None = None,
    *,
    test: str | None = None,
    quiet: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Evaluate a run, or several by their names, of which the first is the baseline; values are trec_eval's.

    runs: a run, which is called "run" then, or a dict of runs. qrels: query id -> document id -> grade, or a file.
    measures: "nDCG@10", "MRR" …, one or several, as `xqe eval` takes them; its defaults without any. test:
    "randomization", "t" or "none". Other options are those of the command: rel, complete, drop_self. Returns

        {"measures": ["nDCG@10"],
         "averages": {run: {measure: 0..1}},
         "queries": {run: {query id: {measure: 0..1}}},
         "missing": {run: number of queries of the qrels that it lacks, which count as 0},
         "baseline": run,
         "differences": {run: {measure: {"difference", "p", "p_holm", "interval", "wins", "ties", "losses"}}}}

    "differences" has the runs after the first, and is empty for one run; without p and what follows for test="none". A
    run that holds an id for several language pairs is for `xqe eval --by`. Raises XqeError.
    """
    from xqe.commands.eval.doubts import OF_RANKINGS, say_doubts
    from xqe.commands.eval.evaluate import say_without_relevant
    from xqe.evaluation import measures as known
    from xqe.evaluation.comparison import Asked, compare
    from xqe.evaluation.values import evaluate_run

    with silent(quiet):
        said = Options("eval", {"test": test, **options}, only=("test", "rel", "complete", "drop_self"))
        given = (measures,) if isinstance(measures, str) else measures
        wanted = known.parse_all(given, "measures") if given else known.DEFAULT
        judged = {query: dict(its) for query, its in qrels.items()} if isinstance(qrels, Mapping) else read_qrels(qrels)
        called = "qrels" if isinstance(qrels, Mapping) else fspath(qrels)
        if not judged:
            raise InputError("qrels: no judgements", "query id -> document id -> grade")
        say_without_relevant(called, judged, said["rel"], wanted)
        evaluations = [
            evaluate_run(
                name,
                _answers(run, name),
                judged,
                wanted,
                said["rel"],
                complete=said["complete"],
                drop_own=said["drop_self"],
            )
            for name, run in _named(runs, is_one=True).items()
        ]
        say_doubts(evaluations, OF_RANKINGS, said["drop_self"])
        rows = compare(evaluations, Asked(_tested(said["test"])))
        return {
            "measures": [str(measure) for measure in wanted],
            "averages": {row.run: dict(row.measures) for row in rows},
            "queries": {
                one.run: {query: dict(values) for (_, query), values in one.of().items()} for one in evaluations
            },
            "missing": {row.run: row.missing for row in rows},
            "baseline": rows[0].run,
            "differences": {
                row.run: {
                    measure: {
                        "difference": difference,
                        **(asdict(row.comparison[measure]) if row.comparison is not None else {}),
                    }
                    for measure, difference in row.difference.items()
                }
                for row in rows
                if row.difference is not None
            },
        }


def _tested(test: str) -> Test | None:
    tests: dict[str, Test | None] = {"randomization": "randomization", "t": "t", "none": None}
    return tests[str(test)]


def _some(files: Sequence[File]) -> list[str]:
    if not files:
        raise InputError("no file is named", "give one, or several")
    return [fspath(file) for file in files]


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(filter(None, (given,) if isinstance(given, str) else given))


def _named(runs: Any, is_one: bool) -> dict[str, Any]:
    """Runs by their names. is_one: whether what has no names is one run, and not a list of them."""
    if isinstance(runs, Mapping) and not _are_scores(runs):
        return dict(runs)
    if is_one:
        return {"run": runs}
    return {f"run{number}": run for number, run in enumerate(runs, 1)}


def _are_scores(run: Mapping[str, Any]) -> bool:
    """Whether a dict is a run, query -> document -> score, and not one of runs by their names."""
    hits = chain.from_iterable(one.values() for one in run.values() if isinstance(one, Mapping))
    return isinstance(next(hits, None), int | float)


def _answers(run: Run, name: str) -> Iterator[Answer]:
    """The answers of a run, whichever form it has."""
    if isinstance(run, str | PathLike):
        return answers_of(fspath(run))
    if isinstance(run, Mapping):
        return (Answer(query, dict(hits), f'{name}: query "{query}"') for query, hits in run.items())
    return _of_records(run, name)


def _of_records(run: Iterable[Mapping[str, Any]], name: str) -> Iterator[Answer]:
    for number, one in enumerate(run, 1):
        where = f"{name}: record {number}"
        if not isinstance(one, Mapping) or not isinstance(one.get("id"), str):
            raise InputError(f'{where}: no dict with an "id"', "a run is records with hits: xqe.search")
        record = dict(one)
        yield Answer(record["id"], hits_of(record, where, record["id"]), where, record)
