"""Where the sentences of a text end: by the marks of its script, at its lines, and not at every full stop.

A mark of Chinese and Japanese (。！？), of Hindi (।), Arabic (؟) and so on ends a sentence wherever it stands, and so
does what is typed for one: two word spaces in Amharic (፡፡), in Armenian a colon before a capital. Thai has no mark;
its full stops, and those of Khmer, are of abbreviations. The marks of Latin script stand in numbers and
abbreviations, too: they end one where white space or the end of the text follows, and then no lower-case letter; a
full stop not after an abbreviation, an initial ("J.", "z. B.", "د."), the number that a line begins with or, in
languages that write "5. Mai", that of a day. Marks that follow one another are one end, and closing quotation marks
and brackets belong to it, French » with the space before it. Quoted Japanese that the sentence goes on behind
(「…。」と) is a part of it.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

Span = tuple[int, int]

_CLOSERS = "\"'”’»›«‹)\\]）］】〉》」』*_"
OWN_MARKS = "。！？｡।॥؟۔؞።။។\u037e፧፨៕։"
"""Marks that end a sentence wherever they stand."""
_SHARED = ".!?．…‼⁇⁈⁉"
_SPACES = " \u00a0\u202f"
_CLOSED = rf"[{_CLOSERS}]*(?:[{_SPACES}][»›](?![^\s,;:.)]))?"
_TYPED = r"፡፡|(?<=[ա-և]):(?=\s+[«\"(]?[Ա-Ֆ]|\s*\Z)"  # for ። and for ։


def _marks(shared: str) -> re.Pattern[str]:
    own = rf"[{shared}]*[{OWN_MARKS}][{OWN_MARKS}{shared}]*|{_TYPED}"
    return re.compile(rf"(?P<own>{own})[{_CLOSERS}]*|[{shared}]+{_CLOSED}|\n+")


_MARKS = _marks(_SHARED)
_MARKS_OF = {"el": _marks(f"{_SHARED};")}  # Greek asks with a semicolon
_FINAL = re.compile(rf"(?:[{OWN_MARKS}{_SHARED}]|{_TYPED})[{_CLOSERS}\s]*\Z")
_QUOTE_GOES_ON = re.compile(r"[」』）][ \t]*(?:と|って|という|など|の|が|を|は|に|も|で|、)")
SIGNS = (
    r"\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    r"\u0900-\u0963\u0966-\u0dff\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u102b-\u103e\u17b4-\u17d3"
)
r"""Marks and vowel signs, which are of a word, and which \w lacks: for a class of characters."""
_WORD_BEFORE = re.compile(rf"[\w{SIGNS}.’'&]+\Z")
_DAY = re.compile(r"\d{1,2}\Z")
_LISTED = re.compile(r"[ \t]*\d{1,3}")
_BETWEEN = re.compile("[ \t\u00a0\u202f\"'“„‘«»(\\[]*")
_NEAR = 64  # characters before a mark that are looked at: more than any abbreviation has
_NO_STOPS = re.compile("[\u0e01-\u0e4e\u1780-\u17d3]\\Z")  # Thai, Khmer
_UNCASED = re.compile("[\u05d0-\u0d7f\u1200-\u135a]")  # scripts that initials are of: Hebrew to Malayalam, Ethiopic
_DAYS_HAVE_A_STOP = frozenset({"cs", "de", "hr", "hu", "ko", "pl", "sk", "sl", "sr", "tr"})  # or other ordinals
_YEARS_HAVE_A_STOP = frozenset({"ko"})  # 2024. 3. 1.


@cache
def _abbreviations(code: str) -> frozenset[str]:
    table = tomllib.loads(Path(__file__).with_name("abbreviations.toml").read_text("utf-8"))
    return frozenset(f"{table['any']} {table.get(code, '')}".split())


def sentences(text: str, code: str = "") -> list[Span]:
    """Return where each sentence of a text begins and ends, without white space around it. code: of its language."""
    spans: list[Span] = []
    start = 0
    for mark in _MARKS_OF.get(code, _MARKS).finditer(text):
        if _is_end(text, mark, code):
            _add(spans, text, start, mark.end())
            start = mark.end()
    _add(spans, text, start, len(text))
    return spans


def is_whole(sentence: str) -> bool:
    """Whether a sentence has a mark at its end."""
    return _FINAL.search(sentence) is not None


def _add(spans: list[Span], text: str, start: int, end: int) -> None:
    """Add what stands there; what has no letter and no digit is of the sentence before, if that is of the same line."""
    said = text[start:end]
    first, last = start + len(said) - len(said.lstrip()), start + len(said.rstrip())
    if first >= last:
        return
    if any(character.isalnum() for character in said):
        spans.append((first, last))
    elif spans and "\n" not in text[spans[-1][1] : first]:
        spans[-1] = (spans[-1][0], last)


def _is_end(text: str, mark: re.Match[str], code: str) -> bool:
    if mark[0].startswith("\n"):
        return True
    if mark["own"]:
        return not (mark[0][-1] in "」』）" and _QUOTE_GOES_ON.match(text, mark.end() - 1))
    after = text[mark.end() : mark.end() + 1]
    between = _BETWEEN.match(text, mark.end())
    start = between.end() if between else mark.end()
    if after and not after.isspace() and after.isascii():
        return False
    if _is_lower(text[start : start + 1]) or (after and not after.isspace() and mark[0][0] == "."):
        return False
    before = text[max(0, mark.start() - _NEAR) : mark.start()]
    return mark[0][0] not in ".．" or len(mark[0].rstrip(_CLOSERS + _SPACES)) > 1 or not _goes_on(before, code)


def _is_lower(character: str) -> bool:
    """Whether no sentence begins so. Those of Georgian do with what Unicode calls lower case."""
    return character.islower() and not "\u10d0" <= character <= "\u10ff"


def _goes_on(before: str, code: str) -> bool:
    """Whether a full stop after this is one of an abbreviation, of an initial, of a list's number or of a day."""
    if _LISTED.fullmatch(before, before.rfind("\n") + 1):
        return True
    if code in _DAYS_HAVE_A_STOP and _DAY.search(before) and not re.search(r"\d{3}\Z|[.,]\d+\Z", before):
        return True
    if _NO_STOPS.search(before):
        return True
    if code in _YEARS_HAVE_A_STOP and re.search(r"(?<![\d.,])\d{4}\Z", before):
        return True
    found = _WORD_BEFORE.search(before)
    if found is None:
        return False
    word = found[0].casefold().lstrip("'’")
    last = word.rpartition(".")[2]
    is_initial = (
        len(last) == 1 and last.isalpha() and (last.upper() != last.lower() or _UNCASED.match(last) is not None)
    )
    return is_initial or word in _abbreviations(code)
