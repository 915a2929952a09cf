"""What an answer lists, and what it quotes."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PARTING = re.compile(r"[\n,;，；、،؛፣፤]")
_MARK = re.compile(r"\s*(?:[-*•–—·▪]|\(?\d{1,2}[.):])\s+|\s*\d{1,2}[.)、](?=[^\s\d])")
_AFTER_A_QUESTION = re.compile(r"(?<=[?？؟፧])\s*(?=\S)")
_AROUND = " \t\"'“”„«»‹›「」『』`*_.。።។։"
_QUOTED = re.compile(r'"([^"]+)"|“([^”]+)”|„([^“”]+)[“”]|«([^»]+)»|»([^«»]+)«|「([^」]+)」|『([^』]+)』')
_OF_A_DOCUMENT = re.compile(r"^[^\n:：]{0,40}\d[^\n:：]{0,10}[:：፦៖՝]\s*", re.MULTILINE)


def items(text: str) -> list[str]:
    """The entries of a list on lines or with commas between, without the marks before them, each once."""
    entries = (_MARK.sub("", part, count=1).strip(_AROUND) for part in _PARTING.split(text))
    return _once(entries)


def lines(text: str) -> list[str]:
    """The lines of a text without the marks before them, each once; without those that announce others."""
    entries = (_MARK.sub("", line, count=1).strip(' \t"“”*_') for line in text.splitlines())
    return _once(entry for entry in entries if not entry.endswith((":", "：", "፦", "៖", "՝")))


def questions(text: str) -> list[str]:
    """The questions of a text: its lines, of which one may have several."""
    return _once(one for line in lines(text) for one in _AFTER_A_QUESTION.split(line))


def quotations(text: str) -> list[str]:
    """What stands in quotation marks; where nothing does, the lines without labels such as "Document 1:"."""
    quoted = [" ".join(next(filter(None, found.groups())).split()) for found in _QUOTED.finditer(text)]
    return _once(quoted) or lines(_OF_A_DOCUMENT.sub("", text))


def _once(entries: Iterable[str]) -> list[str]:
    kept: dict[str, str] = {}
    for entry in entries:
        if entry.strip():
            kept.setdefault(entry.casefold(), entry)
    return list(kept.values())
