"""An array of JSON, element by element, however it is put into lines; nothing of it is held but the element at hand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from xqe.errors import InputError
from xqe.files import jsonl
from xqe.files.jsonl import Line

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{},]')  # a string ends on the line that it begins on
_DEPTHS = {"[": 1, "{": 1, "]": -1, "}": -1}
_SHAPE = "an array is [{...}, {...}]; jq . FILE says what is wrong with it"


def elements(lines: Iterable[Line]) -> Iterator[tuple[str, Any]]:
    """Yield ("file:line" of where it begins, value) for each element of the array that some lines are.

    Raises InputError for what is no array, ends early, or goes on behind its end, and as `jsonl.value` does.
    """
    depth = 0
    parts: list[str] = []
    began = where = last = ""
    for where, line in lines:
        if last == "]":
            raise InputError(f"{where}: text behind the array", _SHAPE)
        at = 0
        if not last:
            if not line.lstrip().startswith("["):
                raise InputError(f"{where}: no array of JSON", _SHAPE)
            at = line.index("[") + 1
            last, depth = "[", 1
        for token in _TOKEN.finditer(line, at):
            mark = token[0]
            depth += _DEPTHS.get(mark, 0)
            if depth > 1 or (depth == 1 and mark != ","):
                continue
            parts.append(line[at : token.start()])
            at = token.end()
            if text := "\n".join(parts).strip():
                yield began or where, jsonl.value(text, began or where)
            elif last == "," or mark == ",":
                raise InputError(f"{where}: an array with nothing before {mark}", _SHAPE)
            parts, began, last = [], "", mark if depth else "]"
            if last == "]":
                break
        if last == "]" and line[at:].strip():
            raise InputError(f"{where}: text behind the array", _SHAPE)
        parts.append(line[at:])
        if not began and parts[-1].strip():
            began = where
    if last != "]":
        raise InputError(f"{where}: an array without its end", "the file is not whole")
