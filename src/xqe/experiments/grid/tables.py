"""Tables of a grid file: values are taken key by key and checked, and what is wrong is told by file and key."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from xqe.errors import InputError, XqeError
from xqe.files.numbers import GREATEST
from xqe.lines import among, cut

MAX = sys.float_info.max
_LONGEST = 40  # characters of a value that cannot be

Json = dict[str, Any]


def shown(value: object) -> str:
    """A value as a message shows it."""
    try:
        shown = repr(value)
    except ValueError:  # of more digits than Python writes
        return "a number of too many digits"
    return cut(shown, _LONGEST)


class Table:
    """A table of the file, from which each key is taken once; `done` complains of what nobody took."""

    def __init__(self, where: str, raw: Mapping[str, Any]) -> None:
        self.where = where
        self._rest = dict(raw)
        self._known: list[str] = []

    def take(self, key: str, default: Any = None) -> Any:
        self._known.append(key)
        return self._rest.pop(key, default)

    def done(self) -> None:
        for key in self._rest:
            raise InputError(f'{self.where}: unknown key "{key}"', among(key, sorted(self._known)))

    def text(self, key: str, default: str | None = None) -> str:
        value = self.take(key, default)
        if value is None:
            raise InputError(f"{self.where}: {key} is missing", f'add {key} = "..."')
        return str(self._typed(key, value, str, "a string"))

    def texts(self, key: str, default: list[str]) -> list[str]:
        values = self.list_of(key, default)
        return [str(self._typed(key, value, str, "a list of strings")) for value in values]

    def some(self, key: str) -> list[str]:
        """Those of all that are named, none where the key is not there; a list of none is refused."""
        if self._rest.get(key) == []:
            raise InputError(f"{self.where}: {key} is empty", "leave it out for all, or name at least one")
        return self.texts(key, [])

    def list_of(self, key: str, default: list[Any], may_be_empty: bool = False) -> list[Any]:
        value = self.take(key, default)
        values = value if isinstance(value, list) else [value]
        if not values and default and not may_be_empty:
            raise InputError(f"{self.where}: {key} is empty", "leave it out for all, or name at least one")
        if any(one in values[:place] for place, one in enumerate(values)):
            raise InputError(f"{self.where}: {key} names one thing twice", "name each once")
        return values

    def choices(
        self, key: str, known: Sequence[str], may_be_empty: bool = False, default: Sequence[str] | None = None
    ) -> list[str]:
        """Some of what is known, by default all."""
        default = known if default is None else default
        return [self._one_of(key, value, known) for value in self.list_of(key, list(default), may_be_empty)]

    def choice(self, key: str, default: str, known: Sequence[str]) -> str:
        return self._one_of(key, self.text(key, default), known)

    def flag(self, key: str) -> bool:
        return bool(self._typed(key, self.take(key, False), bool, "true or false"))

    def optional_flag(self, key: str) -> bool | None:
        if key in self._rest:
            return self.flag(key)
        self._known.append(key)
        return None

    def whole(self, key: str, default: int, least: int, most: int = GREATEST) -> int:
        value = self._typed(key, self.take(key, default), int, "a whole number")
        if isinstance(value, bool) or not least <= value <= most:
            span = f"from {least}" + (f" to {most}" if most < GREATEST or value > most else "")
            raise InputError(f"{self.where}: {key} = {shown(value)}", f"give a whole number {span}")
        return int(value)

    def wholes(self, key: str, default: list[int], least: int) -> tuple[int, ...]:
        """One whole number or several."""
        return tuple(Table(self.where, {key: one}).whole(key, 0, least) for one in self.list_of(key, default))

    def optional_whole(self, key: str, least: int = 0) -> int | None:
        if key in self._rest:
            return self.whole(key, 0, least)
        self._known.append(key)
        return None

    def number(self, key: str, default: float, least: float, most: float = MAX) -> float:
        value = self._typed(key, self.take(key, default), (int, float), "a number")
        if isinstance(value, bool) or not least <= value <= most:
            span = f"from {least:g}" + (f" to {most:g}" if most < MAX else "")
            raise InputError(f"{self.where}: {key} = {shown(value)}", f"give a number {span}")
        return float(value)

    def numbers(self, key: str, default: list[float], least: float, most: float) -> tuple[float, ...]:
        """One number or several."""
        return tuple(Table(self.where, {key: one}).number(key, 0.0, least, most) for one in self.list_of(key, default))

    def optional_number(self, key: str, least: float, most: float = MAX) -> float | None:
        if key in self._rest:
            return self.number(key, 0.0, least, most)
        self._known.append(key)
        return None

    def tables(self, key: str) -> list[Json]:
        value = self.take(key, [])
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise InputError(f"{self.where}: {key} is not a list of tables", f"write [[{key}]]")
        return value

    def _typed(self, key: str, value: Any, kind: type | tuple[type, ...], named: str) -> Any:
        if not isinstance(value, kind):
            raise InputError(f"{self.where}: {key} = {value!r} is not {named}", "see docs/cli.md, xqe grid")
        return value

    def _one_of(self, key: str, value: Any, known: Sequence[str]) -> str:
        if value not in known:
            raise InputError(f"{self.where}: unknown {key} {value!r}", among(str(value), known))
        return str(value)


@contextmanager
def told_at(where: str) -> Iterator[None]:
    """An error is told with the row of the file that it belongs to."""
    try:
        yield
    except XqeError as error:
        raise InputError(f"{where}: {error.message}", error.hint) from None
