"""xqe view: records, documents and runs for a reader."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from xqe.commands.searching import by_language, is_index, numbers_of, open_documents
from xqe.errors import InputError, XqeError
from xqe.files import forms, jsonl
from xqe.files.forms import Form
from xqe.files.records import Record, check_query, document_record

if TYPE_CHECKING:
    from xqe.retrieval.documents import Numbered

_PAGER = "less"
_LESS = "FRX"  # ends where all of it fits, shows colours, and leaves what it showed on the screen


def view(
    file: Annotated[
        str,
        typer.Argument(
            metavar="[FILE]",
            show_default=False,
            help="Records or documents in JSONL, or a run of TREC or MS MARCO, plain or packed; or the folder of an "
            "index, for its documents; - or none reads standard input.",
        ),
    ] = jsonl.STDIN,
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", show_default=False, help="Only these, in the order of the file."),
    ] = None,
    k: Annotated[int, typer.Option("-k", metavar="N", min=1, help="How many hits are shown.")] = 10,
    index: Annotated[
        list[Path] | None,
        typer.Option(
            "--index", metavar="DIR", show_default=False, help="Show titles and texts from this index. Repeatable."
        ),
    ] = None,
    queries: Annotated[
        str | None,
        typer.Option(
            "--queries", metavar="FILE", show_default=False, help="The queries of a run that has none, as records."
        ),
    ] = None,
    pager: Annotated[
        bool, typer.Option("--pager/--no-pager", help="On a terminal, show it in PAGER, which is less if unset.")
    ] = True,
) -> None:
    """Show records, documents or a run to a reader.

    Each is shown as the command that wrote it shows it on a terminal: queries with what they were, passages, weights,
    hits, answers, and in red why one failed; of an index, the documents with these ids, or all. With --index, hits have
    the titles and texts of their documents, in which the words of the query are marked.
    """
    if file == jsonl.STDIN and sys.stdin is not None and sys.stdin.isatty():
        raise InputError("nothing to view", "give a FILE, or pipe records in")
    documents = open_documents(index) if index else None
    languages = list(by_language(index)) if index else []
    read = partial(_read, documents=documents, k=k, lang=languages[0] if len(languages) == 1 else "")
    if is_index(Path(file)):
        if queries is not None or index:
            raise XqeError("an index has documents, and no run", "leave out --queries and --index")
        records = _documents(Path(file), ids or ())
    else:
        records = _chosen(_records(file, queries), ids or (), file)
    first = next(records)  # what is wrong with a file is said before a pager takes the screen
    from xqe.commands.showing import shown

    with _paged(pager) as write:
        for record in chain([first], records):
            write(shown(read(record), k, ", shown with -k"))


def _read(record: Record, documents: Numbered | None, k: int, lang: str) -> Record:
    """A record with titles and snippets, where there are documents that have them, and hits that name some."""
    hits = record.get("hits") or []
    if documents is None or not all(isinstance(hit, dict) and isinstance(hit.get("id"), str) for hit in hits):
        return record
    from xqe.stages.excerpts import by_words

    return by_words(record, documents, k, lang)


def _chosen(records: Iterable[Record], ids: Sequence[str], file: str) -> Iterator[Record]:
    """The records that are named, or all. Raises InputError where there are none, and for an id that none has."""
    from xqe.files.trec import file_name

    lacking = dict.fromkeys(ids)
    count = 0
    for record in records:
        count += 1
        if not ids or record["id"] in ids:
            lacking.pop(record["id"], None)
            yield record
    if not count:
        raise InputError(f"{file_name(file)}: nothing to view", "it is empty")
    if lacking:
        raise InputError(f'{file_name(file)}: holds no "{next(iter(lacking))}"', "an id is written as in the file")


def _documents(directory: Path, ids: Sequence[str]) -> Iterator[Record]:
    """The documents of an index that are named, or all. Raises XqeError for one that it does not hold."""
    from xqe.stages.answering.offered import titled

    documents = open_documents([directory])
    for number in numbers_of(ids, documents, [directory]) if ids else range(len(documents)):
        title, text = titled(documents.text(number) or "")
        yield {"id": documents.id(number), "title": title, "text": text}


def _records(file: str, queries: str | None) -> Iterator[Record]:
    """Records and documents as they are, and what a run holds of each query as a record."""
    if forms.by_name(file) in (Form.CSV, Form.PARQUET):
        raise InputError(f"{file}: a table, and not JSONL", "index it, and see its documents: xqe view DIR")
    lines = jsonl.lines(file)
    head = next(lines, None)
    if head is None:
        return
    if head[1].lstrip().startswith("{"):
        if queries is not None:
            raise XqeError("--queries has no effect on records, which have their own", "leave it out")
        for where, text in chain([head], lines):
            yield _record(jsonl.value(text, where), where)
        return
    if file == jsonl.STDIN:
        raise InputError("standard input: not JSONL", "a run of columns is read from a file: xqe view FILE")
    from xqe.files.trec import read_run

    asked = {one["id"]: one for one in _queries(queries)} if queries is not None else {}
    for answer in read_run(file):
        hits = [{"id": name, "score": score} for name, score in answer.hits.items()]
        yield {"id": answer.id, "query": "", **asked.get(answer.id, {}), "hits": hits}


def _queries(file: str) -> Iterator[Record]:
    return (check_query(jsonl.value(text, where), where) for where, text in jsonl.lines(file))


def _record(raw: object, where: str) -> Record:
    """A record of a query, or one of a document."""
    if isinstance(raw, dict) and "query" not in raw and ("text" in raw or "contents" in raw):
        return document_record(raw, where)
    return check_query(raw, where)


@contextmanager
def _paged(wanted: bool) -> Iterator[Callable[[str], object]]:
    """What writes a text: on a terminal to a pager, unless none is wanted or there is none."""
    command = shlex.split(os.environ.get("PAGER", _PAGER)) if wanted and sys.stdout.isatty() else []
    if not command or shutil.which(command[0]) is None:
        yield jsonl.write
        return
    environment = {"LESS": _LESS, **os.environ}
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment) as process:
        assert process.stdin is not None
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which is the pager's to answer
        try:
            with suppress(BrokenPipeError):  # who has seen enough ends it
                yield partial(_put, process.stdin)
            with suppress(BrokenPipeError):
                process.stdin.close()
            process.wait()
        finally:
            signal.signal(signal.SIGINT, before)


def _put(pager: IO[bytes], text: str) -> None:
    pager.write(f"{text}\n".encode("utf-8", "backslashreplace"))
    pager.flush()
