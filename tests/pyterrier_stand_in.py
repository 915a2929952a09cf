"""What xqe's transformers use of PyTerrier and of pandas, where these are not installed: a base class, what says which
columns a frame lacks, and a frame. Written from PyTerrier 1.1 (transformer.py, validate.py, _ops.py)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class Frame:
    """Rows under columns; a cell that a row lacks is NaN, as pandas has it."""

    def __init__(self, rows: Iterable[Mapping[str, Any]], columns: Iterable[str]) -> None:
        self.columns = list(columns)
        self.rows = [{name: row.get(name, float("nan")) for name in self.columns} for row in rows]

    @property
    def empty(self) -> bool:
        return not self.rows

    def to_dict(self, orient: str) -> list[dict[str, Any]]:
        assert orient == "records"
        return [dict(row) for row in self.rows]


class InputValidationError(KeyError):
    pass


class _Modes:
    def __init__(self, columns: list[str]) -> None:
        self._columns, self.fits = columns, False

    def query_frame(self, extra_columns: list[str]) -> None:
        self.fits |= {"qid", *extra_columns} <= set(self._columns) and "docno" not in self._columns

    def result_frame(self, extra_columns: list[str]) -> None:
        self.fits |= {"qid", "docno", *extra_columns} <= set(self._columns)


@contextmanager
def _any(columns: list[str]) -> Iterator[_Modes]:
    modes = _Modes(columns)
    yield modes
    if not modes.fits:
        raise InputValidationError(columns)


class Transformer:
    def __call__(self, frame: Frame) -> Frame:
        out: Frame = self.transform(frame)  # type: ignore[attr-defined]
        return out

    def __rshift__(self, other: Transformer) -> _Composed:
        return _Composed(self, other)


class _Composed(Transformer):
    def __init__(self, first: Transformer, second: Transformer) -> None:
        self._both = first, second

    def transform(self, frame: Frame) -> Frame:
        first, second = self._both
        return second(first(frame))


def module() -> ModuleType:
    """What stands in for `import pyterrier`."""
    made: Any = ModuleType("pyterrier")
    made.Transformer = Transformer
    made.validate = ModuleType("pyterrier.validate")
    made.validate.any = _any
    return made  # type: ignore[no-any-return]
