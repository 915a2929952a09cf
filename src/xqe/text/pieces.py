"""A long text in pieces that a model can take one at a time, and that make the text again.

A piece is a line of prose: a paragraph, an item of a list without its mark, or a line that ends with a sentence. Lines
that were wrapped within a sentence are joined. What is longer than a piece may be is cut between sentences, and a
sentence that is longer yet at a comma, at white space or, where it has neither, anywhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from xqe.text.sentences import is_whole, sentences
from xqe.text.snippets import joined

_LINE_END = re.compile(r"[^\S\n]*\n\s*")
_ITEM = re.compile(r"(?:[-*+•·–—‣▪]|\d{1,3}[.)])\s+")
_HEAD = (":", "：")
_BEYOND = 40  # characters behind a piece that say whether its last mark ends a sentence
_CLAUSE_END = re.compile(r"[,;:](?=\s)|[，、；：،؛]")


class Piece(NamedTuple):
    """mark: of an item of a list, "" for none. text: on one line. gap: what follows, the end of the line with the white
    space around it; "" where the line goes on, and after the last piece."""

    mark: str
    text: str
    gap: str


def pieces(text: str, most: int, code: str = "") -> list[Piece]:
    """Return the pieces of a text, of at most `most` bytes of UTF-8 each; none of white space. code: of its language.

    >>> pieces("One thing.\\n\\nAnother, which\\nis longer. A third.", 27)
    [Piece(mark='', text='One thing.', gap='\\n\\n'), Piece(mark='', text='Another, which is longer.', gap=''), \
Piece(mark='', text='A third.', gap='')]
    """
    found: list[Piece] = []
    for line, gap in _lines(text.strip()):
        item = _ITEM.match(line)
        mark = item[0] if item else ""
        for part in _cut(joined(line[len(mark) :]), most, code):
            found.append(Piece(mark, part, ""))
            mark = ""
        if found:
            found[-1] = found[-1]._replace(gap=gap)
    return found


def whole(made: Iterable[Piece], between: str) -> str:
    """The text that pieces make. between: what stands in a line that goes on."""
    return "".join(f"{piece.mark}{piece.text}{piece.gap or between}" for piece in made).rstrip()


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Each line of prose, and the gap behind it."""
    start = 0
    for end in _LINE_END.finditer(text):
        last = text[start : end.start()].rpartition("\n")[2]
        if end[0].count("\n") > 1 or is_whole(last) or last.endswith(_HEAD) or _ITEM.match(text, end.end()):
            yield text[start : end.start()], end[0]
            start = end.end()
    yield text[start:], ""


def _cut(line: str, most: int, code: str) -> Iterator[str]:
    """The parts of a line, each of as many whole sentences as there is room for."""
    start = 0
    while ahead := line[start : start + most + _BEYOND]:
        is_last = start + len(ahead) == len(line)
        if is_last and _size(ahead) <= most:
            yield ahead
            return
        ends = [end for _, end in sentences(ahead, code)]
        if not is_last:
            del ends[-1:]  # that sentence may go on
        end = max((end for end in ends if _size(ahead[:end]) <= most), default=0) or _within(ahead, most)
        yield ahead[:end].rstrip()
        start += end + ahead[end:].startswith(" ")  # lines are joined: white space is one space


def _within(sentence: str, most: int) -> int:
    """Where to cut a sentence that is too long: behind a comma or white space, if one is in the second half of what
    there is room for."""
    room = len(sentence.encode("utf-8", "replace")[:most].decode("utf-8", "ignore"))  # less than there is
    clauses = [mark.end() for mark in _CLAUSE_END.finditer(sentence, 0, room)]
    for end in (clauses[-1] if clauses else 0, sentence.rfind(" ", 0, room)):
        if 2 * end > room:
            return end
    letter = room  # that its marks follow
    while letter and unicodedata.category(sentence[letter]).startswith("M"):
        letter -= 1
    return letter if 2 * letter > room else max(room, 1)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
