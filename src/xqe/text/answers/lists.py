"""What an answer lists, and what it quotes."""

from __future__ import annotations

import re
from collections.abc import Iterator

_PARTING = re.compile(r"[\n,;，；、،؛]")
_MARK = re.compile(r"\s*(?:[-*•–—·▪]|\(?\d{1,2}[.):])\s+|\s*\d{1,2}[.)、](?=[^\s\d])")
_AROUND = " \t\"'“”„«»‹›「」『』`*_.。"
_QUOTED = re.compile(r'"([^"]+)"|“([^”]+)”|„([^“”]+)[“”]|«([^»]+)»|「([^」]+)」|『([^』]+)』')
_OF_A_DOCUMENT = re.compile(r"^[^\n:：]{0,40}\d[^\n:：]{0,10}[:：]\s*", re.MULTILINE)


def items(text: str) -> list[str]:
    """The entries of a list on lines or with commas between, without the marks before them, each once."""
    entries = (_MARK.sub("", part, count=1).strip(_AROUND) for part in _PARTING.split(text))
    return _once(entries)


def lines(text: str) -> list[str]:
    """The lines of a text without the marks before them, each once."""
    return _once(_MARK.sub("", line, count=1).strip(' \t"“”*_') for line in text.splitlines())


def quotations(text: str) -> list[str]:
    """What stands in quotation marks; where nothing does, the lines without labels such as "Document 1:"."""
    quoted = [" ".join(next(filter(None, found.groups())).split()) for found in _QUOTED.finditer(text)]
    return _once(quoted) or lines(_OF_A_DOCUMENT.sub("", text))


def _once(entries: Iterator[str] | list[str]) -> list[str]:
    kept: dict[str, str] = {}
    for entry in entries:
        if entry:
            kept.setdefault(entry.casefold(), entry)
    return list(kept.values())
