"""What every command that reads and writes query records shares: its input, its output, its exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import typer

from xqe.commands.options.forms import Form, on_screen
from xqe.errors import InputError, XqeError
from xqe.files import documents, jsonl, packing
from xqe.files.documents import Format
from xqe.files.records import Record, check_error, check_query, has_failed
from xqe.messages import say
from xqe.text.languages import language

FAILED_STATUS = 1
OF_QUERIES = "give a QUERY or --input FILE, or pipe records in"
OF_RECORDS = "give --input FILE, or pipe records in"
OF_DOCUMENTS = "give --input FILE, or pipe documents in"


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
        hint: str = OF_QUERIES,
    ) -> None:
        """`language_option` names the option that gave `lang`, the language of records that name none; with it every
        record must have a language, never a guessed one. `check` is given each record and where it stands, and raises
        InputError. hint: what to give where nothing is given."""
        self.place = ""
        default = language(lang, language_option).code if lang is not None else None

        def parse(raw: Any, where: str) -> Record:
            record = check_query(raw, where)
            if language_option:
                if "lang" not in record:
                    if default is None:
                        raise InputError(
                            f'{where}: missing "lang"', f"add it, or name the language of all with {language_option}"
                        )
                    record["lang"] = default
                language(record["lang"], where)
            check(record, where)
            return record

        self._records: Iterator[tuple[str, Record]]
        self.total: int | None
        if query is not None and query != jsonl.STDIN:
            if files:
                raise XqeError("both a QUERY and --input are given", "give one of them")
            if query.encode("utf-8", "ignore").decode() != query:  # bytes that the locale does not know
                raise InputError("QUERY is not UTF-8", "check the locale, or give it in a file with --input")
            is_named_so = Path(query).suffix in {".jsonl", ".json", ".tsv", *packing.SUFFIXES}
            if is_named_so and os.path.isfile(query):  # noqa: PTH113  # which a long query is too long for
                raise XqeError(f'QUERY "{query}" is the name of a file', f"read it with --input {query}")
            self._records, self.total = iter([("QUERY", parse({"id": "q1", "query": query}, "QUERY"))]), 1
        else:
            self._records, self.total = jsonl.checked(input_paths(query, files, hint), parse)

    def __iter__(self) -> Iterator[Record]:
        for place, record in self._records:
            self.place = place
            yield record


class DocumentRecords:
    """The documents that a command was given, in files or on standard input, with all the fields that they have.

    `total`: how many there are, where all are in files; those are read through once, so that what is wrong in them is
    found before a model is loaded. Every document has a language: its own, or the one of `language_option`.
    """

    def __init__(
        self, files: Sequence[str] | None, form: Format, language_option: str, lang: str | None = None
    ) -> None:
        self._paths, self._form = input_paths(None, files, OF_DOCUMENTS), form
        self._option = language_option
        self._default = language(lang, language_option).code if lang is not None else None
        self.total: int | None = None
        if all(path != jsonl.STDIN and Path(path).is_file() for path in self._paths):
            self.total = sum(1 for _ in self)

    def __iter__(self) -> Iterator[Record]:
        for where, record in documents.records(self._paths, self._form):
            if "lang" not in record:
                if self._default is None:
                    raise InputError(f'{where}: missing "lang"', f"name the language of all with {self._option}")
                record["lang"] = self._default
            language(record["lang"], where)
            check_error(record, where)
            yield record


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


def writing(form: Form, k: int | None = None, more: str = "") -> Callable[[Iterable[Record]], tuple[int, int]]:
    """What writes records in a form, as `emit` does. For a person: k is how many hits are shown, None for as many as
    usual, and `more` how more of them are."""
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
