"""What every command that reads and writes query records shares: its input, its output, its exit status."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import typer

from xqe.commands.options.common import AUTO
from xqe.commands.options.forms import Form as Written
from xqe.commands.options.forms import on_screen
from xqe.errors import InputError, XqeError
from xqe.files import documents, jsonl
from xqe.files.forms import QUERIES, TEXT_SUFFIXES, by_name, suffix
from xqe.files.irdatasets import is_named
from xqe.files.packing import SUFFIXES
from xqe.files.queries import Twice, checked
from xqe.files.records import Record, check_error, check_query, failure, has_failed
from xqe.files.rows import Rows
from xqe.messages import plural, say
from xqe.text.languages import language, name_of

FAILED_STATUS = 1
OF_QUERIES = "give a QUERY or --input FILE, or pipe records in"
OF_RECORDS = "give --input FILE, or pipe records in"
OF_DOCUMENTS = "give --input FILE, or pipe documents in"
_SHOWN = 5  # ids of records whose language could not be told


class Queries:
    """The query records a command was given: a positional QUERY, files, or standard input.

    Attributes: `total`, the number of records where it is known beforehand; `places`, "file:line" of the
    record that was read last. Iterating yields the records as they arrive.
    """

    def __init__(
        self,
        query: str | None,
        files: Sequence[str] | None,
        language_option: str = "",
        lang: str | None = None,
        check: Callable[[Record, str], object] = lambda record, where: None,
        rows: Rows | None = None,
        hint: str = OF_QUERIES,
    ) -> None:
        """`language_option` names the option that gave `lang`, the language of records that name none; with it every
        record must have a language, guessed only if `lang` is "auto". `check` is given each record and where it stands,
        and raises InputError. `rows` reads files; of queries unless told. `hint`: what to give where
        nothing is given."""
        self.place = ""
        self._spoken = Spoken("query", language_option, lang) if language_option else None
        twice = Twice()

        def parse(raw: Any, where: str) -> Record:
            record = check_query(raw, where)
            if self._spoken is not None:
                record = self._spoken.named(record, record["query"], where)
            if "source" not in record:  # else a stage before has said so
                twice.look(record, where)
            check(record, where)
            return record

        self._records: Iterator[tuple[str, Record]]
        self.total: int | None
        if query is not None and query != jsonl.STDIN:
            if files:
                both = f"to read both files: --input {files[-1]} --input {query}"
                raise XqeError("both a QUERY and --input are given", both if _is_file(query) else "give one of them")
            if rows is not None and (given := rows.given):
                raise XqeError(f"{given} has no effect on a QUERY", "leave it out")
            if not query.strip():
                raise InputError("the QUERY is empty", "give one, or leave it out and give records")
            if query.encode("utf-8", "ignore").decode() != query:  # bytes that the locale does not know
                raise InputError("QUERY is not UTF-8", "check the locale, or give it in a file with --input")
            if (by_name(query) or suffix(query) in TEXT_SUFFIXES or query.endswith(SUFFIXES)) and _is_file(query):
                raise XqeError(f'QUERY "{query}" is the name of a file', f"read it with --input {query}")
            record = parse({"id": "q1", "query": query}, "QUERY")
            if failure(record):
                raise InputError(f"QUERY: {record['error']['message']}", f"name it with {language_option}")
            self._records, self.total = iter([("QUERY", record)]), 1
        else:
            rows = rows or Rows(QUERIES)
            self._records, self.total = checked(rows, input_paths(query, files, hint), parse)
            if files and self.total == 0:
                say(f"{', '.join(files)}: no {rows.kind.several} in it")

    def __iter__(self) -> Iterator[Record]:
        for place, record in self._records:
            self.place = place
            if self._spoken is not None:
                self._spoken.count(record)
            yield record
        if self._spoken is not None:
            self._spoken.sum_up()


class DocumentRecords:
    """The documents that a command was given, in files or on standard input, with all the fields that they have.

    `total`: how many there are, where all are in files; those are read through once, so that what is wrong in them is
    found before a model is loaded. Every document has a language: its own, or the one of `language_option`.
    """

    def __init__(self, files: Sequence[str] | None, rows: Rows, language_option: str, lang: str | None = None) -> None:
        self._paths, self._rows = input_paths(None, files, OF_DOCUMENTS), rows
        self._spoken = Spoken("document", language_option, lang)
        self.total: int | None = None
        if all(is_named(path) or (path != jsonl.STDIN and _is_on_disk(path)) for path in self._paths):
            self.total = sum(1 for _ in self._read())

    def __iter__(self) -> Iterator[Record]:
        for record in self._read():
            self._spoken.count(record)
            yield record
        self._spoken.sum_up()

    def _read(self) -> Iterator[Record]:
        for where, record in documents.records(self._paths, self._rows):
            check_error(record, where)
            title = record.get("title") or ""
            yield self._spoken.named(record, f"{title}\n{record['text']}", where)


class Spoken:
    """The language of records: their own, that of an option, or the one that they are told to be in, with "auto"."""

    def __init__(self, one: str, option: str, lang: str | None) -> None:
        """one: what a record is. Raises XqeError for a language that xqe does not know."""
        self._one, self._option = one, option
        self._is_told = lang == AUTO
        self._default = language(lang, option).code if lang not in (None, AUTO) else None
        self._certain: Counter[str] = Counter()
        self._told: Counter[str] = Counter()
        self._unsure: list[str] = []

    def named(self, record: Record, text: str, where: str) -> Record:
        """The record with a language. Raises InputError where it has none, or one that xqe does not know."""
        if "lang" in record:
            language(record["lang"], where)
            return record
        if self._is_told:
            from xqe.stages.detect import with_language

            return record if has_failed(record) else with_language(record, text, self._certain)
        if self._default is None and has_failed(record):  # such as one whose language could not be told
            return record
        if self._default is None:
            hint = f"add it, or name the language of all with {self._option}; {AUTO} tells it from each text"
            raise InputError(f'{where}: missing "lang"', hint)
        return {**record, "lang": self._default}

    def count(self, record: Record) -> None:
        """Keep what is to be said of a record that was told."""
        if not self._is_told:
            return
        step = (record.get("steps") or [{}])[-1]
        if isinstance(step, dict) and step.get("step") == "detect":
            self._told[record["lang"]] += 1
            if not step["certain"]:
                self._unsure.append(f"{record['id']} ({record['lang']})")

    def sum_up(self) -> None:
        """Say in which languages the records were told to be, and of which that is not certain."""
        if not self._told:
            return
        told = ", ".join(f"{count:,} {name_of(code)}" for code, count in self._told.most_common())
        guessed = ""
        if self._unsure:
            some = ", ".join(self._unsure[:_SHOWN]) + (" …" if len(self._unsure) > _SHOWN else "")
            guessed = f"; a guess for {plural(len(self._unsure), self._one)}, {some}"
        named = f"{self._option}{'' if self._option.endswith('=') else ' '}LANG"
        say(f"languages told from the texts: {told}{guessed}; {named} says otherwise")


def _is_on_disk(path: str) -> bool:
    return Path(path).is_file() or Path(path).is_dir()


def _is_file(text: str) -> bool:
    return os.path.isfile(text)  # noqa: PTH113  # which a long query is too long for


def input_paths(argument: str | None, files: Sequence[str] | None, hint: str = OF_QUERIES) -> list[str]:
    """The files to read: those of --input, else standard input, which must not be a terminal left by mistake. hint:
    what the command may be given."""
    if files:
        return list(files)
    if sys.stdin is None:
        raise InputError("standard input is closed", hint)
    if argument is None and sys.stdin.isatty():
        raise InputError("standard input is a terminal and nothing else was given", hint)
    return [jsonl.STDIN]


def first_of(records: Iterable[Record]) -> Iterator[Record] | None:
    """All of `records`, the first of them read already, so that what is wrong with it is found before a model is
    loaded; None if there are none."""
    rest = iter(records)
    return next(((chain([record], rest)) for record in rest), None)


def writing(form: Written, k: int | None = None, more: str = "") -> Callable[[Iterable[Record]], tuple[int, int]]:
    """What writes records in a form, as `emit` does. For a person: k is how many hits are shown, None for as many as
    usual, and `more` how more of them are."""
    if form == "topics":
        from xqe.stages.topics import topics_line

        return partial(emit, shown=topics_line)
    if not on_screen(form):
        return emit
    from xqe.commands.showing import shown
    from xqe.stages.excerpts import HITS

    return partial(emit, shown=partial(shown, k=k or HITS, more=more))


def emit(records: Iterable[Record], shown: Callable[[Record], str] = jsonl.dumps) -> tuple[int, int]:
    """Write each record as it comes, as `shown` writes it; return how many there were, and how many of them failed."""
    count = failures = 0
    for record in records:
        jsonl.write(shown(record))
        count += 1
        failures += has_failed(record)
    return count, failures


def report_failures(count: int, failures: int) -> None:
    """End with status 1 and one line if any record failed."""
    if failures:
        say(f'{failures} of {count} records failed; each has an "error" field that says at which step and why')
        raise typer.Exit(FAILED_STATUS)
