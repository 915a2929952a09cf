"""xqe inspect --references: queries held to what people wrote, and that to what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from xqe.errors import InputError, XqeError
from xqe.files import jsonl
from xqe.files.records import Record, check_query
from xqe.messages import say

if TYPE_CHECKING:
    from xqe.evaluation.measures import Measure
    from xqe.files.trec import Hits, Qrels
    from xqe.models.encoders.base import Encoder
    from xqe.stages.inspection.correlations import Correlation
    from xqe.stages.inspection.references import References

BY = ("source.lang", "lang", "length")
"""What a summary is grouped by, unless told."""
MEASURES = ("MRR", "nDCG@10")
"""Of what is found, unless told."""


def references_in(place: str, split: str | None) -> References:
    """What people wrote: the queries of a collection in a folder, or of a file of them in one language or several.

    split: of the collection, the only one where it is None. Raises XqeError for one that there is not, and InputError
    for a file without any.
    """
    if Path(place).is_dir():
        return _of_collection(Path(place), split)
    if split is not None:
        raise XqeError("--split has no effect on a file of references", "leave it out")
    from xqe.text.languages import code_of

    found: dict[tuple[str, str], list[str]] = {}
    for where, raw in jsonl.objects(place):
        record = check_query(raw, where)
        if "lang" not in record:
            raise InputError(f'{where}: missing "lang"', "a reference says which language it is in")
        found.setdefault((record["id"], code_of(record["lang"])), []).append(record["query"])
    if not found:
        raise InputError(f"{place}: holds no queries", 'each line needs {"id", "query", "lang"}')
    return lambda name, lang: found.get((name, lang), [])


def _of_collection(directory: Path, split: str | None) -> References:
    from xqe.collections.layout import Collection

    collection = Collection(directory)
    splits = collection.splits
    if split is None and len(splits) != 1:
        raise XqeError(f"{directory}: queries of several splits", f"choose with --split: {', '.join(splits)}")
    chosen = split or splits[0]
    if chosen not in splits:
        raise XqeError(f'{directory}: no split "{chosen}"', f"it has {', '.join(splits)}")
    languages = collection.query_languages(chosen)

    @cache
    def read(lang: str) -> Mapping[str, str]:
        return collection.read_queries(chosen, lang) if lang in languages else {}

    return lambda name, lang: [read(lang)[name]] if name in read(lang) else []


@contextmanager
def referenced(
    records: Iterable[Record], references: References, encoder: Encoder | None
) -> Iterator[Iterator[Record]]:
    """Inspected records with what is measured against references; of their vectors, too, where there is an encoder.

    Says at the end how many have none.
    """
    from xqe.stages.inspection import references as stage

    count = without = 0

    def counted(found: Iterable[Record]) -> Iterator[Record]:
        nonlocal count, without
        for record in found:
            count += 1
            without += record["inspection"] is None or record["inspection"][stage.CHRF] is None
            yield record

    yield counted(stage.referenced(records, references, encoder))
    if without:
        say(f"{without} of {count} records have no reference: none has their id and their language")


class Found(NamedTuple):
    """By what it is told what was found. hits: of a run, by query; None where each record has its own."""

    qrels: Qrels
    hits: Mapping[str, Hits] | None
    measures: Sequence[Measure]


def found_by(qrels: str, run: str | None, measures: Sequence[str]) -> Found:
    """Read the files of qrels and of a run. Raises XqeError for what they do not hold, and a measure there is not."""
    from xqe.evaluation.measures import parse_all
    from xqe.files.trec import read_qrels, read_run

    wanted, judged = parse_all(measures, "--measure"), read_qrels(qrels)
    if run is None:
        return Found(judged, None, wanted)
    hits: dict[str, Hits] = {}
    for answer in read_run(run):
        if answer.id in hits:
            raise InputError(f'{answer.where}: query "{answer.id}" again', "give a run of one language pair")
        hits[answer.id] = answer.hits
    return Found(judged, hits, wanted)


def correlate(
    records: Iterable[Record], place: Callable[[], str], found: Found, by: Sequence[str], shown: bool
) -> tuple[int, int]:
    """Write how what was measured of queries goes with what is found; return how many there were and failed. place:
    where the record that was read last came from."""
    from xqe.files.records import has_failed
    from xqe.files.trec import hits_of
    from xqe.stages.inspection.correlations import correlations

    pairs: list[tuple[Record, Hits]] = []
    failures = 0
    for record in records:
        failures += has_failed(record)
        hits = hits_of(record, place(), record["id"]) if found.hits is None else found.hits.get(record["id"], {})
        pairs.append(({name: value for name, value in record.items() if name != "hits"}, hits))
    rows = correlations(pairs, found.qrels, found.measures, 1, by)
    if not any(row.queries for row in rows):
        say("no query has both a reference and a judgement")
    if shown:
        jsonl.write(_table(rows))
    else:
        for row in rows:
            jsonl.write(jsonl.dumps(asdict(row)))
    return len(pairs), failures


def _table(rows: Sequence[Correlation]) -> str:
    from xqe.commands.columns import table
    from xqe.commands.screens import rendered

    made = table(("", "", "", "queries", "Spearman", "95 %", "Kendall", "95 %"), ("queries", "Spearman", "Kendall"))
    for row in rows:
        group = " ".join(value or "-" for value in row.group.values()) or "all"
        made.add_row(group, row.measure, row.found, f"{row.queries:,}", *_cells(row.spearman), *_cells(row.kendall))
    return rendered(made)


def _cells(rank: Mapping[str, float | None] | None) -> tuple[str, str]:
    if rank is None:
        return "-", ""
    low, high = rank["low"], rank["high"]
    return f"{rank['value']:+.2f}", f"{low:+.2f} to {high:+.2f}" if low is not None and high is not None else ""
