"""What an answer cites: sentences with the numbers of the documents that they rest on.

Models write `[1]`, as they are told, and `[1, 2]`, `[1][2]`, `[1-3]`, `【1】`, `［１］`, `[Document 1]`, `[^1]`,
`(Source: [1])` or a superscript; before the full stop or behind it; in digits of any script; and a list of "Sources"
below the answer. A mark is of the sentence that it stands in or behind; one that begins a line, of what follows there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from xqe.text.sentences import SIGNS, is_whole, sentences

_BRACKETS = str.maketrans("［【〔⟦］】〕⟧（）：；，、،～〜~–—―−‐‑", "[[[[]]]]():;,,,---------")
_SUPERSCRIPT = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_SUPERSCRIPTS = re.compile(rf"[{_SUPERSCRIPT}]+(?:[,⸴˒ \u2009]?[{_SUPERSCRIPT}]+)*")
_UNIT = re.compile(r"(?:\d|(?<![^\W\d_])[^\W\d_]{1,2})\Z")  # "10²", "m²", "mc²"
_AND = (
    "and|und|et|y|e|и|و|en|dan|và|और|と|和|及|或|or|oder|ou|o"
    "|och|og|eller|ja|ning|tai|või|i|of|ir|ar|arba|un|vai|eta|edo|και|ή"
    "|at|na|da|iyo|և|եւ|და|እና|និង|และ|atau|au|կամ|ან|ወይም|ឬ|หรือ"
    "|এবং|ও|یا|اور|અને|ו-?|및|과|와|കൂടാതെ|आणि|व|ਅਤੇ|ਤੇ|மற்றும்|మరియు"
    "|ve|veya|i|oraz|lub|або|і|й|та|și|şi|sau|és|vagy|a|nebo|alebo|ali|или|in"
)
_NUMBER = r"\d{1,3}"
_BULLET = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|[-*+•·–][ \t]+|>[ \t]*)+", re.MULTILINE)
_LISTED = re.compile(r"^[ \t]*\d{1,2}[.)][ \t]+", re.MULTILINE)
_LEAST_LISTED = 2
_BOLD = re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*")
_OPEN_END = re.compile(r"[\[［【〔][^\]］】〕\n]{0,12}\Z")
_NO_MARKS = ("THAI", "LAO", "KHMER", "MYANMAR")
_MOST_OF_A_RANGE = 50


@dataclass(frozen=True, slots=True)
class Sentence:
    """text: without citations. cited: numbers of documents, from 1, each once, in the order in which they are cited."""

    text: str
    cited: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cited:
    """An answer. text: all of it without citations. invalid: citations of what was not offered."""

    text: str
    sentences: tuple[Sentence, ...]
    invalid: int = 0


def read(answer: str, offered: int, words: Sequence[str] = (), code: str = "", is_cut: bool = False) -> Cited:
    """Take the citations of an answer off it.

    offered: how many documents were. words: what the answer's language calls a document and a source, which may stand
    with a number. code: of its language. is_cut: it was not finished, so that what follows its last whole sentence is
    left out, if it has one.
    """
    patterns = _patterns(tuple(words))
    text = _without_listing(answer.strip().replace("\r\n", "\n"), patterns)
    if is_cut:
        text = _OPEN_END.sub("", text)
    text = _BOLD.sub(r"\1", _BULLET.sub("", text))
    if len(_LISTED.findall(text)) >= _LEAST_LISTED:
        text = _LISTED.sub("", text)
    bare, marks = _taken_out(text, patterns)
    spans = sentences(bare, code)
    cited: list[list[int]] = [[] for _ in spans]
    invalid = 0
    for mark in marks:
        valid = [number for number in mark.numbers if 1 <= number <= offered]
        invalid += sum(not 1 <= number <= offered for number in mark.ends)
        if spans:
            cited[_owner(spans, bare, mark)] += valid
    if is_cut and len(spans) > 1 and not is_whole(bare[slice(*spans[-1])]):
        spans.pop()
    found = [
        Sentence(" ".join(bare[slice(*span)].split()), tuple(dict.fromkeys(numbers)))
        for span, numbers in zip(spans, cited, strict=False)
    ]
    lines = bare[spans[0][0] : spans[-1][1]].split("\n") if spans else []
    whole = "\n".join(" ".join(line.split()) for line in lines if line.strip())
    return Cited(whole, tuple(found), invalid)


# ---------------------------------------------------------------- marks


@dataclass(frozen=True, slots=True)
class _Mark:
    """A citation, or several in one place. at: where it stood, in the text without it. ahead: it is of what follows.
    numbers: of documents; ends: those of them that are written, of a range its ends."""

    at: int
    ahead: bool
    numbers: list[int]
    ends: list[int]


@dataclass(frozen=True, slots=True)
class _Patterns:
    """mark: citations that follow one another. named: a word for a document, which the text ends with. listing: the
    line that a list of sources begins with."""

    mark: re.Pattern[str]
    named: re.Pattern[str]
    listing: re.Pattern[str]


@cache
def _patterns(words: tuple[str, ...]) -> _Patterns:
    longest_first = sorted({*words, "document", "doc", "source", "sources", "ref"}, key=len, reverse=True)
    word = f"(?:{'|'.join(map(re.escape, longest_first))})"
    one = rf"(?:{word}\.?\s*[#:]?\s*)?{_NUMBER}"
    several = rf"{one}(?:\s*(?:[,;&/\-]|{_AND}|\s)\s*{one})*"
    named = rf"\(\s*{word}\.?\s*[#:]?\s*{several}\s*\)"
    bracket = rf"(?:\[{{1,2}}\s*\^?{several}\s*\]{{1,2}}(?:\((?:https?:|#)[^)\s]*\))?|{named})"
    more = rf"(?:\s*(?:[,;&]|(?:{_AND})(?=\s*[\[(]))?\s*{bracket})*"
    mark = rf"(?P<open>\(\s*)?(?:{word}\s*:\s*)?{bracket}{more}(?(open)\s*\))"
    return _Patterns(
        re.compile(mark, re.IGNORECASE),
        re.compile(rf"(?<![\w{SIGNS}]){word}\s*\Z", re.IGNORECASE),
        re.compile(rf"[\W_]*{word}[\W_]*(?::.*|\Z)", re.IGNORECASE | re.DOTALL),
    )


def _taken_out(text: str, patterns: _Patterns) -> tuple[str, list[_Mark]]:
    """A text without its citations, and these."""
    plain = _plain(text)
    found = [(match.span(), *_numbers(match[0])) for match in patterns.mark.finditer(plain)]
    taken = [span for span, *_ in found]
    for match in _SUPERSCRIPTS.finditer(text):
        numbers = [int("".join(map(_digit, part))) for part in re.findall(f"[{_SUPERSCRIPT}]+", match[0])]
        is_free = not any(start < match.end() and match.start() < end for start, end in taken)
        if is_free and match.start() and not _UNIT.search(_cased(text[: match.start()])):
            found.append((match.span(), numbers, numbers))
    bare, marks, at = "", [], 0
    for (start, end), numbers, ends in sorted(found):
        bare += text[at:start]
        line = bare.rpartition("\n")[2].strip()
        rest = text[end:].partition("\n")[0].strip()
        if patterns.named.search(line) and bare and rest[:1] not in {"", ".", "。"}:
            bare += ", ".join(map(str, ends))
            marks.append(_Mark(len(bare), False, numbers, ends))
        elif not line and rest:
            marks.append(_Mark(len(bare), True, numbers, ends))
            end += len(text[end:]) - len(text[end:].lstrip(" \t"))
        else:
            bare = bare.rstrip(" \t\u00a0\u202f")
            marks.append(_Mark(len(bare), False, numbers, ends))
            if _ends_without_mark(bare, rest):
                bare += "\n"
            elif rest and text[end].isalnum() and bare[-1:].isascii() and text[end].isascii():
                bare += " "
        at = end
    return bare + text[at:], marks


def _owner(spans: Sequence[tuple[int, int]], bare: str, mark: _Mark) -> int:
    """Which sentence a citation is of."""
    if mark.ahead:
        return next((at for at, (_, end) in enumerate(spans) if end > mark.at), len(spans) - 1)
    return max((at for at, (start, _) in enumerate(spans) if start < mark.at), default=0)


def _numbers(mark: str) -> tuple[list[int], list[int]]:
    """The numbers of what stands in brackets, ranges filled in, and those that are written."""
    numbers: list[int] = []
    ends: list[int] = []
    inside = re.sub(r"\]\((?:https?:|#)[^)\s]*\)", "]", mark)
    for first, last in re.findall(rf"({_NUMBER})(?:\s*-\s*({_NUMBER}))?", inside):
        written = [int(first), *([int(last)] if last else [])]
        low, high = min(written), max(written)
        numbers += range(low, high + 1) if high - low <= _MOST_OF_A_RANGE else written
        ends += dict.fromkeys(written)
    return numbers, ends


def _plain(text: str) -> str:
    """A text with digits, brackets and commas of all kinds as those of ASCII, each character in its place."""
    return "".join(map(_digit, text)).translate(_BRACKETS)


def _digit(character: str) -> str:
    digit = unicodedata.digit(character, None)
    return character if digit is None else str(digit)


def _cased(text: str) -> str:
    """The end of a text without letters that have no case, which units are not written in."""
    return "".join(" " if one.isalpha() and one.upper() == one.lower() else one for one in text[-3:])


def _ends_without_mark(before: str, after: str) -> bool:
    """Whether a citation stands between two words of a script that has no mark for the end of a sentence."""
    return all(unicodedata.name(one, "").startswith(_NO_MARKS) for one in (before[-1:] or " ", after[:1] or " "))


def _without_listing(text: str, patterns: _Patterns) -> str:
    """An answer without the list of sources below it: what follows a line that only says "Sources", or begins with it,
    and lines at the end that begin with a citation and are no sentences."""
    lines = text.split("\n")
    for number, line in enumerate(lines[1:], 1):
        rest = [other for other in lines[number + 1 :] if other.strip()]
        if patterns.listing.fullmatch(_plain(line)) and all(
            _BULLET.match(other) or _LISTED.match(other) or _begins_cited(other, patterns) for other in rest
        ):
            lines = lines[:number]
            break
    while len(lines) > 1 and not _begins_cited(lines[0], patterns):
        if lines[-1].strip() and (is_whole(lines[-1]) or not _begins_cited(lines[-1], patterns)):
            break
        lines.pop()
    return "\n".join(lines)


def _begins_cited(line: str, patterns: _Patterns) -> bool:
    """Whether a line begins with a citation, and more follows."""
    plain = _plain(line).strip()
    found = patterns.mark.match(plain)
    return found is not None and found.end() < len(plain)
