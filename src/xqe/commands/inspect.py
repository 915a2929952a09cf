"""xqe inspect: how good generated texts, or an encoder, look where there are no relevance judgements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from dataclasses import fields as fields_in
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xqe.collections.parallel import Texts
from xqe.commands import referencing
from xqe.commands.aligning import SAMPLE, inspect_encoder
from xqe.commands.encoding import open_encoder
from xqe.commands.options.cluster import OPTIONS
from xqe.commands.options.common import Input, examples_file
from xqe.commands.options.encoding import Encoding
from xqe.commands.options.forms import Screen, ScreenFormat, on_screen
from xqe.commands.options.groups import on_command_line, part, takes
from xqe.commands.options.lists import fields_of, language_codes
from xqe.commands.searching import names_encoder
from xqe.commands.streams import OF_RECORDS, Queries, emit, report_failures
from xqe.errors import XqeError
from xqe.files import jsonl
from xqe.files.forms import RECORDS
from xqe.files.records import Record, has_failed
from xqe.files.rows import Rows
from xqe.messages import progress

if TYPE_CHECKING:
    from rich.table import Table

    from xqe.commands.sections import Row as Line
    from xqe.stages.inspection.measures import Measure, Value
    from xqe.stages.inspection.summary import Row

_GROUP_WIDTH = 10  # columns of a terminal that a group takes
_MEASURE_WIDTH = 16


_ENCODING = tuple(field.name for field in fields_in(Encoding) if field.name not in OPTIONS)
_OF_COLLECTIONS = ("texts", "split", "lang", "sample")


@takes(encoding=part(Encoding, *_ENCODING))
def inspect(
    context: typer.Context,
    files: Input = None,
    summary: Annotated[
        bool, typer.Option("--summary", help="Write means over the records instead of the records.")
    ] = False,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="FIELD,...",
            show_default=False,
            help="A summary for each value of these fields, of the inspection or of the record. "
            "[default: model,strategy,order,source.lang,lang; with --references source.lang,lang,length]",
        ),
    ] = None,
    examples: Annotated[
        str | None,
        examples_file("The worked examples that xqe expand was given with --examples. [default: the built-in ones]"),
    ] = None,
    references: Annotated[
        str | None,
        typer.Option(
            "--references",
            metavar="FILE|DIR",
            show_default=False,
            help="Hold queries to what people wrote in their language, a file of queries or a collection: by chrF, and "
            "by the cosine of an --encoder.",
        ),
    ] = None,
    qrels: Annotated[
        str | None,
        typer.Option(
            "--qrels",
            metavar="FILE",
            show_default=False,
            help="Write how that goes with what is found by the records' hits, instead of the records.",
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="FILE", show_default=False, help="By the hits of a run, not the records'."),
    ] = None,
    measure: Annotated[
        list[str] | None,
        typer.Option(
            "--measure",
            "-m",
            metavar="NAME,...",
            show_default=False,
            help="What is found, as in xqe eval. [default: MRR,nDCG@10]",
        ),
    ] = None,
    collection: Annotated[
        Path | None,
        typer.Option(
            "--collection",
            metavar="DIR",
            show_default=False,
            help="Measure an encoder instead of records: how near it puts the texts of this collection to their "
            "translations.",
        ),
    ] = None,
    texts: Annotated[Texts, typer.Option("--texts", help="Which texts of the collection.")] = Texts.QUERIES,
    split: Annotated[
        str | None,
        typer.Option("--split", metavar="NAME", show_default=False, help="Of its queries. [default: the only one]"),
    ] = None,
    lang: Annotated[
        list[str] | None,
        typer.Option("--lang", metavar="LANG,...", show_default=False, help="Only these languages. [default: all]"),
    ] = None,
    sample: Annotated[int, typer.Option("--sample", metavar="N", min=2, help="Most texts of each language.")] = SAMPLE,
    form: ScreenFormat = Screen.AUTO,
    *,
    encoding: Encoding,
) -> None:
    """Measure generated texts, or an encoder, without judgements.

    Reads records that xqe expand or xqe translate made, writes them with "inspection": measures of each passage, or of
    the translated query where there are no passages, and their means. How much of the query the text keeps, how much
    comes from the worked examples, its language and script, repetition; and flags for what is wrong with it.
    "inspection" is null for a record that failed, or that has nothing generated. With --encoder, which is then asked
    about every text, "closeness" says how close it is to the query as it first came, whatever the languages: 0 as texts
    about something else, 1 as a translation; below a half it has "strayed".

    With --references, the query is also compared with what people wrote under its id in its language: "chrf" (that of
    sacrebleu for a sentence, 0 to 1, the best of several), with --encoder "similarity", their cosine, and "length", the
    words of the query as asked: 1-2, 3-4, 5-8 or 9+. With --qrels, too, a line for each of these, each measure of what
    is found and each group: {"group", "measure", "found", "queries", "spearman", "kendall"}, a rank correlation and its
    95 % interval.

    With --collection, reads no records: the texts of a collection that are translations of each other, by their ids,
    are encoded. For each pair of languages, in both directions, "nearest" is the share of texts whose translation is
    nearer than every other text of that language, "margin" the mean of its cosine minus that of the nearest other, and
    "cosine" its mean cosine. An encoder that aligns languages well is not yet one that retrieves well.
    """
    _check_effect(context, collection, references)
    if collection is not None:
        inspect_encoder(collection, encoding, texts, split, language_codes(lang), sample, on_screen(form))
        return
    if qrels is None and (run is not None or measure):
        raise XqeError(f"{'--run' if run is not None else '--measure'} has no effect without --qrels", "add it")
    if qrels is not None and references is None:
        raise XqeError("--qrels is for what --references measures", "add --references")
    if qrels is not None and summary:
        raise XqeError("--qrels writes no --summary", "leave one of them out")
    found = referencing.found_by(qrels, run, measure or referencing.MEASURES) if qrels is not None else None
    fields = fields_of(by, "strategy,order")
    queries = Queries(None, files, rows=Rows(RECORDS), hint=OF_RECORDS)
    from xqe.stages.inspection.inspector import Inspector, inspected
    from xqe.stages.inspection.summary import BY
    from xqe.stages.judging.judge import Judge

    Inspector(examples)  # a bad file is named before anything is read
    shown = on_screen(form)
    records: Iterator[Record]
    with ExitStack() as stack:
        encoder = stack.enter_context(open_encoder(encoding)) if names_encoder(encoding) else None
        judge = Judge(encoder) if encoder is not None else None
        records = inspected(queries, examples, judge, any_query=references is not None)
        if references is not None:
            people = referencing.references_in(references, split)
            records = stack.enter_context(referencing.referenced(records, people, encoder))
            fields = fields or (referencing.BY if summary or found else ())
        records = progress(records, queries.total, "inspect")
        if found is not None:
            count, failures = referencing.correlate(records, lambda: queries.place, found, fields, shown)
        elif summary or fields:
            count, failures = _summarise(records, fields or BY, shown)
        elif shown:
            count, failures = _show(records)
        else:
            count, failures = emit(records)
    report_failures(count, failures)


def _check_effect(context: typer.Context, collection: Path | None, references: str | None) -> None:
    """Raise XqeError for an option that is for another of what is inspected; environment variables are for all
    commands."""
    given = on_command_line(context)
    encoding = {*_ENCODING}
    of_collections = {*_OF_COLLECTIONS} - ({"split"} if references is not None and collection is None else set())
    for name, option in given.items():
        if collection is None and name in encoding - {"encoder"} and "encoder" not in given:
            raise XqeError(f"{option} has no effect without --collection or --encoder", "add one")
        if collection is None and name in of_collections:
            raise XqeError(f"{option} has no effect without --collection", "add it")
        if collection is not None and name not in {"collection", "form", *encoding, *of_collections}:
            raise XqeError(f"{option} has no effect with --collection", "leave it out")


def _summarise(records: Iterable[Record], fields: Sequence[str], shown: bool) -> tuple[int, int]:
    from xqe.stages.inspection.summary import summary

    rows = summary(records, fields)
    if shown:
        jsonl.write(_tables(rows, fields))
    else:
        for row in rows:
            jsonl.write(jsonl.dumps(asdict(row)))
    return rows[0].records, rows[0].failed


def _show(records: Iterable[Record]) -> tuple[int, int]:
    count = failures = 0
    for record in records:
        jsonl.write(f"{_text(record)}\n")
        count += 1
        failures += has_failed(record)
    return count, failures


# ---------------------------------------------------------------- for a person


def _tables(rows: Sequence[Row], fields: Sequence[str]) -> str:
    """Measures down and groups across, as many groups side by side as the terminal has room for."""
    import shutil

    from xqe.commands.screens import rendered

    room = shutil.get_terminal_size().columns - _MEASURE_WIDTH
    across = max(1, room // _GROUP_WIDTH)
    parts: list[Any] = []
    for first in range(0, len(rows), across):
        parts += [*([""] if first else []), _table(rows[first : first + across], fields)]
    return rendered(*parts)


def _table(rows: Sequence[Row], fields: Sequence[str]) -> Table:
    from rich.table import Table
    from rich.text import Text

    from xqe.commands.screens import legible
    from xqe.stages.inspection.measures import FLAGGED, MEASURES, REFERENCED

    table = Table(box=None, pad_edge=False)
    table.add_column(Text("\n".join(fields)), no_wrap=True)
    for row in rows:
        values = [row.group[name] or "-" for name in fields] if row.group else ["all"]
        table.add_column(Text(legible("\n".join(values))), justify="right", min_width=5, overflow="fold")
    table.add_row("records", *(f"{row.records:,}" for row in rows))
    if any(row.failed for row in rows):
        table.add_row("failed", *(f"{row.failed:,}" for row in rows))
    there = [measure for measure in REFERENCED if any(measure.name in row.measures for row in rows)]
    for measure in (*MEASURES, *there):
        table.add_row(_heading(measure), *(_number(measure.kind, row.measures.get(measure.name)) for row in rows))
    table.add_row(f"{FLAGGED} %", *(_number("flag", row.flagged) for row in rows))
    return table


def _heading(measure: Measure) -> str:
    return measure.name if measure.kind == "count" else f"{measure.name} %"


def _number(kind: str, value: Value) -> str:
    if value is None:
        return "-"
    return f"{value:,.1f}" if kind == "count" else f"{100 * value:.1f}"


def _text(record: Record) -> str:
    from rich.text import Text

    from xqe.commands.screens import rendered
    from xqe.commands.sections import ERROR, QUIET, plain, section

    said = Text.assemble(plain(record["query"]), plain(f"  {record['id']}", QUIET))
    found = record["inspection"]
    if found is None:
        error = record.get("error")
        message = error.get("message", "") if isinstance(error, dict) else "nothing generated"
        return rendered(section("query", said, [("", plain(message, ERROR if error else QUIET))]))
    lines = list(_of_references(found))
    if "query" in found:
        return rendered(section("query", said, [*_lines(found["query"]), *lines]))
    parts = [section("query", said, lines)]
    for passage, values in zip(record["passages"], found["passages"], strict=True):
        parts.append(section("passage", plain(passage), _lines(values)))
    return rendered(*parts)


def _of_references(found: dict[str, Any]) -> Iterator[Line]:
    """How near the query is to what people wrote."""
    from xqe.commands.sections import plain
    from xqe.stages.inspection.measures import REFERENCED

    if said := [f"{one.name} {100 * found[one.name]:.1f} %" for one in REFERENCED if found.get(one.name) is not None]:
        yield "people's", plain(", ".join(said))


def _lines(values: dict[str, Any]) -> Iterator[Line]:
    """The flags that are up, then the measures that the text has."""
    from xqe.commands.sections import ERROR, QUIET, plain
    from xqe.stages.inspection.measures import FLAGS, MEASURES

    if up := [name for name in FLAGS if values[name]]:
        yield "flags", plain(", ".join(up), ERROR)
    shares = [
        f"{measure.name} {100 * values[measure.name]:.0f} %"
        for measure in MEASURES
        if measure.kind == "share" and values[measure.name] is not None
    ]
    size = [f"{values[name]} {name}" for name in ("words", "characters") if values[name] is not None]
    yield "measures", plain(", ".join([values["language"] or "language not certain", *shares, *size]), QUIET)
