"""Which fields of what is read are the id, the text and the title of a document, where they are called otherwise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xqe.errors import InputError

PARAGRAPHS = "\n\n"
_POSITION = re.compile(r"[1-9][0-9]*-?")


@dataclass(frozen=True, slots=True)
class Fields:
    """The names of fields or columns; "" for what has its usual name. Of columns without names their numbers, as cut
    takes them: the first is 1, and "2-" is all from the second on.

    text: several are joined, a paragraph each.
    """

    id: str = ""
    text: tuple[str, ...] = ()
    title: str = ""

    def __bool__(self) -> bool:
        return bool(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.id, *self.text, self.title)))

    @property
    def are_positions(self) -> bool:
        """Whether columns are meant by their numbers, since they have no names."""
        return bool(self.names) and all(map(_POSITION.fullmatch, self.names))

    def of(self, raw: Any, where: str) -> Any:
        """An object with its id, text and title called so. Raises InputError where it lacks one of the first two."""
        if not self or not isinstance(raw, dict):
            return raw
        rest = {name: value for name, value in raw.items() if name not in self.names}
        if self.id:
            rest["id"] = _there(raw, self.id, where)
        if self.title and self.title in raw:
            rest["title"] = raw[self.title]
        if self.text:
            rest["text"] = self._joined(raw, where)
        return rest

    def _joined(self, raw: Mapping[str, Any], where: str) -> Any:
        if len(self.text) == 1:
            return _there(raw, self.text[0], where)
        there = [name for name in self.text if raw.get(name) is not None]
        if not there:
            return _there(raw, self.text[0], where)
        for name in there:
            if not isinstance(raw[name], str):
                raise InputError(f'{where}: "{name}" is not a string', "a text is made of strings")
        return PARAGRAPHS.join(raw[name] for name in there if raw[name].strip())


USUAL = Fields()
ID_AND_REST = Fields("1", ("2-",))
"""Of lines that are id<TAB>text, whatever the text holds."""


def _there(raw: Mapping[str, Any], name: str, where: str) -> Any:
    if name not in raw:
        raise InputError(f'{where}: missing "{name}"', f"it has {', '.join(raw) or 'no field'}")
    return raw[name]
