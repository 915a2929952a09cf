"""Tables of Parquet: a row is an object, by the names of its columns. pyarrow reads them, a group of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xqe.errors import InputError, MissingExtraError
from xqe.files.fields import Fields
from xqe.files.forms import Kind, called
from xqe.files.jsonl import STDIN

_MARK = b"PAR1"


def is_parquet(path: Path) -> bool:
    """Whether a regular file begins as Parquet does; of a pipe nothing is read."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(8).startswith(_MARK + b"\x15")
    except OSError:  # which who reads it will say
        return False


def rows(path: str, kind: Kind, fields: Fields) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ("file:row", columns by name) for each row; what is null is not there, and of a text an empty one.

    Raises MissingExtraError without pyarrow, InputError for a damaged file or columns that are not there.
    """
    if path == STDIN:
        raise InputError("<stdin>: Parquet cannot be read from a pipe", "give the file: --input FILE")
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError:
        raise MissingExtraError(f"{path}: reading Parquet needs pyarrow", "parquet") from None
    number = 0
    try:
        with ParquetFile(path) as file:
            names = _names(list(file.schema_arrow.names), path, kind, fields)
            for batch in file.iter_batches(batch_size=1024, columns=list(names)):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}:{number}", _row(row, names, {kind.field, *fields.text})
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: damaged Parquet ({error})", "copy or download the file again") from None


def _row(row: dict[str, Any], names: dict[str, str], texts: set[str]) -> dict[str, Any]:
    named = {names[column]: value for column, value in row.items() if value is not None}
    return {**dict.fromkeys(texts & {*names.values()}, ""), **named}


def _names(columns: list[str], path: str, kind: Kind, fields: Fields) -> dict[str, str]:
    """The columns, each with what it is called here."""
    for asked in fields.names:
        if asked not in columns:
            raise InputError(f'{path}: no column "{asked}"', f"its columns are {', '.join(columns)}")
    return dict(zip(columns, called(columns, kind, fields.names), strict=True))
