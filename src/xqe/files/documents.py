"""Documents as they arrive, in any of the forms of `forms`, plain or packed, from files or standard input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from xqe.errors import InputError
from xqe.files.forms import DOCUMENTS
from xqe.files.records import Document, Record, check_document, document_record, failed_document
from xqe.files.rows import Rows
from xqe.lines import cut

Placed = tuple[str, Document]

_SHOWN = 60  # characters of an error
_LEAVE_OUT = "do it again, or leave it out: jq -c 'select(.error | not)'"


def documents(
    paths: Sequence[str], rows: Rows | None = None, on_failed: Callable[[str], object] | None = None
) -> Iterator[Placed]:
    """Yield ("file:line", document) for each document of the files; "-" is standard input.

    on_failed: called with the place of a document that a stage could not do, which is then left out. Raises InputError
    that names the line for one that is no document, and without `on_failed` for one that a stage could not do.
    """
    for where, raw in (rows or Rows(DOCUMENTS)).read(paths):
        if problem := failed_document(raw):
            if on_failed is None:
                raise InputError(f"{where}: a document that failed ({cut(problem, _SHOWN)})", _LEAVE_OUT)
            on_failed(where)
            continue
        yield where, check_document(raw, where)


def records(paths: Sequence[str], rows: Rows | None = None) -> Iterator[tuple[str, Record]]:
    """Yield the same documents with all the fields that they have (`document_record`)."""
    for where, raw in (rows or Rows(DOCUMENTS)).read(paths):
        yield where, document_record(raw, where)
