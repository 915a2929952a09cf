"""Which fields of what is read are the id, the text and the title, where they are called otherwise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xqe.errors import InputError

PARAGRAPHS = "\n\n"
_NAMED = 12  # fields, in an error
_POSITION = re.compile(r"[1-9][0-9]*-?")


@dataclass(frozen=True, slots=True)
class Fields:
    """The names of fields or columns; "" for what has its usual name. Of columns without names their numbers, as cut
    takes them: the first is 1, and "2-" is all from the second on. A field within another is named by both: "meta.id".

    text: several are joined; of a document each is a paragraph.
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

    def of(self, raw: Any, where: str, is_document: bool) -> Any:
        """An object with its id, text and title called so, and the text of a query "query". Raises InputError where it
        lacks one of the first two."""
        if not self or not isinstance(raw, dict):
            return raw
        rest = {name: value for name, value in raw.items() if name not in self.names}
        if self.id:
            rest["id"] = _there(raw, self.id, where)
        if self.title and (title := _found(raw, self.title)) is not None:
            rest["title"] = _string(title, self.title, where)
        if self.text:
            rest["text" if is_document else "query"] = self._joined(raw, where, PARAGRAPHS if is_document else " ")
        return rest

    def _joined(self, raw: Mapping[str, Any], where: str, between: str) -> Any:
        found = {name: value for name in self.text if (value := _found(raw, name)) is not None}
        if len(self.text) == 1 or not found:
            return _string(_there(raw, self.text[0], where), self.text[0], where)
        texts = [_string(value, name, where) for name, value in found.items()]
        return between.join(text for text in texts if text.strip())


USUAL = Fields()
ID_AND_REST = Fields("1", ("2-",))
"""Of lines that are id<TAB>text, whatever the text holds."""


def has(raw: Mapping[str, Any]) -> str:
    """What an object has, for an error: its fields, and for one that is an object the fields within it."""
    names = [
        f"{name}.{within}" if within else name
        for name, value in raw.items()
        for within in (value if isinstance(value, dict) and value else [""])
    ]
    return f"it has {', '.join(names[:_NAMED])}{', …' * (len(names) > _NAMED)}" if names else "it has no field"


def _found(raw: Mapping[str, Any], name: str) -> Any:
    """The value of a field, or of one within another; None for none."""
    if name in raw:
        return raw[name]
    outer, dot, inner = name.partition(".")
    return _found(raw[outer], inner) if dot and isinstance(raw.get(outer), dict) else None


def _there(raw: Mapping[str, Any], name: str, where: str) -> Any:
    value = _found(raw, name)
    if value is None:
        raise InputError(f'{where}: "{name}" is null' if name in raw else f'{where}: missing "{name}"', has(raw))
    return value


def _string(value: Any, name: str, where: str) -> str:
    if not isinstance(value, str):
        raise InputError(f'{where}: "{name}" is not a string', "a text is made of strings")
    return value
