"""Candidates: what tantivy ranks high for weighted terms. The only module that imports tantivy."""

from __future__ import annotations

import errno
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy
import tantivy
from numpy.typing import NDArray

from xqe.files.packages import version

VERSION = version("tantivy")
PAD = "\x01"  # no text has a term that is a control character
_WRITER_MEMORY = 256_000_000  # bytes; a segment is written each time it is full
BODY = "body"
_NUMBER, _TEXT = "number", "text"


def _schema(others: Sequence[str]) -> Any:
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field(_NUMBER, fast=True)
    builder.add_text_field(BODY, tokenizer_name="whitespace", index_option="freq")
    builder.add_bytes_field(_TEXT, stored=True)
    for name in others:
        builder.add_text_field(name, tokenizer_name="whitespace", index_option="freq")
    return builder.build()


class CandidatesWriter:
    """Writes tantivy's files into a folder. others: fields of terms beside `BODY`. Raises OSError where tantivy cannot
    write them."""

    def __init__(self, folder: Path, others: Sequence[str] = ()) -> None:
        self._folder = folder
        self._fields = (BODY, *others)
        # One thread: analysis is what takes the time, and the same documents then give the same segments.
        try:
            index = tantivy.Index(_schema(others), str(folder))
            index.config_reader("Manual")  # no thread that watches for commits, and locks the folder then
            self._writer = index.writer(_WRITER_MEMORY, 1)
        except ValueError as error:  # what tantivy raises for a full disk
            raise OSError(str(error)) from None
        self._number = 0

    def append(self, documents: Iterable[Sequence[str]], texts: Iterable[str] | None, pads: Sequence[int]) -> None:
        """Add documents, the terms of each field, and to each field so many terms that no query has."""
        paddings = [f" {PAD}" * pad for pad in pads]
        kept = iter(texts) if texts is not None else None
        for bodies in documents:
            row = tantivy.Document()
            row.add_unsigned(_NUMBER, self._number)
            for name, body, padding in zip(self._fields, bodies, paddings, strict=True):
                row.add_text(name, body + padding)
            if kept is not None:
                row.add_bytes(_TEXT, next(kept).encode("utf-8", "surrogatepass"))
            self._add(row)
            self._number += 1

    def _add(self, row: Any) -> None:
        try:
            self._writer.add_document(row)
        except ValueError as error:  # its thread has ended, as it does when the disk is full
            raise OSError(str(error)) from None

    def finish(self, fillers: Iterable[Sequence[int]]) -> None:
        """Add documents of padding alone, with these lengths of their fields, and finish."""
        for lengths in fillers:
            row = tantivy.Document()
            for name, length in zip(self._fields, lengths, strict=True):
                row.add_text(name, f"{PAD} " * length)
            self._add(row)
        try:
            self._writer.commit()
            self._writer.wait_merging_threads()
        except ValueError as error:  # what tantivy raises for a full disk
            raise OSError(str(error)) from None
        for lock in self._folder.glob("*.lock"):
            lock.unlink()


class Candidates:
    """tantivy's files, opened for searching; any number of threads may search."""

    def __init__(self, folder: Path, files: Iterable[str], others: Sequence[str] = ()) -> None:
        """tantivy writes a lock beside what it opens, even to read, so it is shown links in a folder of its own: an
        index may lie where this user cannot write. It maps the files into memory, and needs their names no longer."""
        links = Path(tempfile.mkdtemp(prefix="xqe-"))
        try:
            for name in files:
                (links / name).symlink_to((folder / name).absolute())
            index = tantivy.Index.open(str(links))
            index.config_reader("Manual")
            self._searcher = index.searcher()
        except ValueError as error:  # what tantivy raises for a file that is not there
            raise FileNotFoundError(errno.ENOENT, str(error), str(folder)) from None
        finally:
            _remove_soon(links)
        self._schema = _schema(others)

    def best(
        self, weights: Iterable[tuple[str, str, float]], limit: int
    ) -> tuple[NDArray[numpy.int64], NDArray[numpy.float64]]:
        """The numbers and scores of the `limit` documents that score highest, best first. weights: of terms in
        fields."""
        clauses = [
            (tantivy.Occur.Should, tantivy.Query.boost_query(self._term(field, term), weight))
            for field, term, weight in weights
        ]
        if not clauses:
            return numpy.empty(0, numpy.int64), numpy.empty(0)
        hits = self._searcher.search(tantivy.Query.boolean_query(clauses), limit, count=False).hits
        numbers = self._searcher.fast_field_values(_NUMBER, [address for _, address in hits])
        return numpy.array(numbers, numpy.int64), numpy.array([score for score, _ in hits], numpy.float64)

    def text(self, number: int) -> str | None:
        """The text of a document, None where the index keeps none."""
        only = tantivy.Query.range_query(self._schema, _NUMBER, tantivy.FieldType.Unsigned, number, number)
        hits = self._searcher.search(only, 1, count=False).hits
        stored = self._searcher.doc(hits[0][1]).get_first(_TEXT) if hits else None
        return None if stored is None else bytes(stored).decode("utf-8", "surrogatepass")

    def _term(self, field: str, term: str) -> Any:
        return tantivy.Query.term_query(self._schema, field, term, "freq")


def _remove_soon(folder: Path) -> None:
    """Remove a folder in which a thread of tantivy's, just told to end, may still be writing its lock."""
    for _ in range(100):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.01)
