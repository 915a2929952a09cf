"""What models put around a text: code fences, JSON, tags, quotation marks, Markdown.

Each function returns the text inside, or None where a text is not in that form, or `source`, which it was made of, is.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

_CLOSING = {
    '"': '"', "'": "'", "`": "`'", "“": "”“", "”": "”", "„": "“”", "‘": "’‘", "’": "’", "‚": "‘’", "«": "»", "»": "«",
    "‹": "›", "›": "‹", "「": "」", "『": "』", "《": "》", "〈": "〉", "﹁": "﹂", "＂": "＂", "❝": "❞", "〝": "〞〟",
}  # fmt: skip
"""A quotation mark that opens, and those that close it."""
QUOTES = frozenset(_CLOSING).union(*_CLOSING.values())
_MARKS = "|".join(map(re.escape, ("***", "**", "*", "___", "__", "_", "~~")))
_EMPHASIS = re.compile(rf"(?P<mark>{_MARKS})(?P<inside>(?![\s*_]).*?(?<![\s*_]))(?P=mark)[.。]?", re.DOTALL)
_BOLD = re.compile(r"\*\*(?P<inside>[^*]+)\*\*")
_LEADING = {
    "heading": re.compile(r"#{1,6}\s+"),
    "bullet": re.compile(r"[-*•–—·]\s+(?=\S)"),
    "quotation": re.compile(r">\s*"),
}
_NUMBERED = re.compile(r"1[.)]\s+(?=\S.*^[ \t]*2[.)]\s)", re.DOTALL | re.MULTILINE)
_FENCE = re.compile(
    r"```(?:(?:text|txt|plaintext|plain|markdown|md|json|xml|html)?[ \t]*(?=\S[^\n]*```)|[^\n`]*\n)"
    r"(?P<inside>.*?)(?:\s*```|\Z)",
    re.DOTALL,
)
_TAGGED = re.compile(
    r"\s*<(?P<tag>[a-z][\w:.-]*)(?:\s[^<>]*)?>(?P<inside>.*?)</(?P=tag)\s*>\s*", re.DOTALL | re.IGNORECASE
)
_ENVELOPE = re.compile(
    r"<(?P<tag>(?:(?:final|translated|english|search)[_ -]?)?"
    r"(?:answer|response|output|translation|result|query|passage|text)|final)>(?P<inside>.*?)(?:</(?P=tag)\s*>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_BOXED = re.compile(r"\\boxed\{(?:\\text\{)?(?P<inside>[^{}]+)\}")
_NOTHING_ELSE = re.compile(r"[\s$}.。]*")
_CUT_OBJECT = re.compile(r"""[\[{]\s*(?:["'][\w -]+["']\s*:\s*)?["'](?P<inside>[^"{}\[\]]*)""")
_NEAR, _FAR = 300, 2000  # characters: where quotations begin that are looked for, and where they end at most
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


class UndecidedError(Exception):
    """An answer holds several texts, and nothing says which is meant. Its text is what it holds."""


def fenced(text: str, source: str) -> tuple[str, str, str] | None:
    """What stands above a code fence, what stands in it, and what below."""
    found = _FENCE.search(text)
    return (text[: found.start()], found["inside"], text[found.end() :]) if found and "```" not in source else None


def tagged(text: str, source: str, is_line: bool) -> str | None:
    """What is in a pair of tags that is around the whole, or in those of an answer.

    Of a line these count whatever is around them; of a passage, which may speak of tags, where they begin a line and
    end the whole.
    """
    if "<" in source:
        return None
    found = _TAGGED.match(text)
    if found and found.end() == len(text):
        return found["inside"]
    envelopes = list(_ENVELOPE.finditer(text))
    if not envelopes:
        return None
    last = envelopes[-1]
    is_apart = not text[: last.start()].rpartition("\n")[2].strip() and not text[last.end() :].strip()
    return last["inside"] if is_line or is_apart else None


def boxed(text: str, source: str, is_line: bool) -> str | None:
    """What is in a box: anywhere, if a line is asked for; of a passage, which may speak of boxes, around the whole."""
    found = _BOXED.search(text)
    if found is None or "\\" in source or "boxed" in source:
        return None
    is_whole = all(_NOTHING_ELSE.fullmatch(around) for around in (text[: found.start()], text[found.end() :]))
    return found["inside"] if is_line or is_whole else None


def in_json(text: str, source: str, is_subject: Callable[[str], bool], is_cut: bool) -> str | None:
    """The one text in JSON, or in Python's literals. is_subject: whether a key names what was asked for.

    Raises UndecidedError where it holds several.
    """
    text = text.strip()
    if text[:1] not in {"{", "["} or source.lstrip()[:1] == text[0]:
        return None
    value = _literal(text)
    if value is None:
        cut = _CUT_OBJECT.fullmatch(text) if is_cut else None
        return cut["inside"] if cut else None
    texts = list(_texts(value))
    if not texts:
        return None
    others = [(key, one) for key, one in texts if one.strip().casefold() != source.strip().casefold()]
    named = [(key, one) for key, one in others if is_subject(_CAMEL.sub(" ", key))]
    for chosen in (named, others, texts):
        if len({one for _, one in chosen}) == 1:
            return chosen[0][1]
    raise UndecidedError(f"JSON with {len(texts)} texts")


def _literal(text: str) -> Any:
    """The value of JSON, or of what Python would write; None for anything else."""
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        pass
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Each string in a value, with the key that it has, or that what it is in has."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(inner, str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, key)


def quoted_at(text: str, start: int) -> tuple[str, int] | None:
    """What stands in the quotation marks that open at `start`, and where what follows begins."""
    if text.startswith("``", start) and (end := text.find("''", start + 2)) > 0:
        return text[start + 2 : end], end + 2
    closing = _CLOSING.get(text[start : start + 1])
    if closing is None:
        return None
    for position in range(start + 2, len(text)):
        if text[position] in closing and (text[position] != text[start] or not text[position - 1].isspace()):
            if text[position] in "'’" and text[position + 1 : position + 2].isalpha():
                continue  # an apostrophe
            return text[start + 1 : position], position + 1
    return None


def quotations(text: str) -> Iterator[tuple[int, str, int]]:
    """Where each quotation near the beginning of a text begins, or what is bold, what stands in it, and where what
    follows begins."""
    text, position = text[:_FAR], 0
    while position < min(len(text), _NEAR):
        found = quoted_at(text, position)
        bold = None if found else _BOLD.match(text, position)
        if bold:
            found = bold["inside"], bold.end()
        if found:
            yield position, *found
            position = found[1]
        else:
            position += 1


def has_quotes(text: str) -> bool:
    """Whether there are quotation marks in a text, other than apostrophes."""
    return any(character in QUOTES and character not in "'’`" for character in text) or text[:1] in {"'", "‘", "`"}


def unquoted(text: str, source: str) -> tuple[str, str] | None:
    """What stands in the quotation marks that a text begins with, and what follows them."""
    text = text.strip()
    found = quoted_at(text, 0)
    if found is None or has_quotes(source):
        return None
    inside, end = found
    return inside, text[end:]


def unmarked(text: str, source: str, is_line: bool) -> str | None:
    """A text without the Markdown around it. is_line: it is one line, so that what may begin a line is around it."""
    text, source = text.strip(), source.strip()
    emphasis = _EMPHASIS.fullmatch(text)
    if emphasis and emphasis["mark"] not in emphasis["inside"] + source and source[:1] != text[0]:
        return emphasis["inside"]
    for leading in _LEADING.values():
        found = leading.match(text)
        if found and (is_line or "\n" not in text) and source[:1] != text[0] and not leading.match(source):
            return text[found.end() :]
    numbered = _NUMBERED.match(text)
    return text[numbered.end() :] if numbered and is_line else None
