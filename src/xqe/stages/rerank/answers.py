"""The order that a model's answer gives to documents, as RankLLM repairs it, and what the answer was like.

RankLLM (castorini/rank_llm: rerank/listwise/response_utils.py, listwise_rankllm.py; analysis/response_analysis.py)
takes every run of digits of an answer for a number, after digits of other forms were written in ASCII; drops those that
come again or that no document has; and appends the documents that are missing in the order that they had. Four things
are read better here, all of which it takes for numbers of documents, too: the digits of prose around numbers in
brackets, the numbers of a list's lines, ranges, and reasoning in other marks than `</think>`.
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum
from typing import NamedTuple

from xqe.text.answers.marks import UnfinishedError, without_reasoning


class Form(StrEnum):
    """What an answer was like, by RankLLM's names and rules."""

    OK = "ok"
    WRONG = "wrong_format"
    REPETITION = "repetition"
    MISSING = "missing_documents"


class Order(NamedTuple):
    """places: of the documents, from 0, the most relevant first. form: of the answer. is_given: whether it names any
    document; else the order is the one that they had."""

    places: list[int]
    form: Form
    is_given: bool


_WELL_FORMED = re.compile(r"\[\d+\](?: > \[\d+\])*")
_BRACKETS = re.compile(r"\[([\d\s,;\"'\-–]*\d[\d\s,;\"'\-–]*)\]")
_NUMBER = re.compile(r"\d+")
_RANGE = re.compile(r"(?<![-–\d])(\d{1,6})\s*[-–]\s*(\d{1,6})(?!\s*[-–]|\d)")
_RANGE_OF_BRACKETS = re.compile(r"\[(\d{1,6})\]\s*[-–]\s*\[(\d{1,6})\](?!\s*[-–])")
_LINE = re.compile(r"^[^\S\n]*(\d+)[.):][^\S\n]+(?=.*\d)", re.MULTILINE)
_BRACKET = str.maketrans("［【〔］】〕", "[[[]]]")


def order_of(text: str, count: int, prompt_end: str = "") -> Order:
    """The order that an answer gives to `count` documents. prompt_end: how the prompt ended, which may have begun the
    answer's reasoning."""
    try:
        answer = _in_ascii(without_reasoning(text, "", prompt_end)).strip()
    except UnfinishedError:
        answer = ""
    numbers = _numbers(answer, count)
    given = list(dict.fromkeys(number - 1 for number in numbers if 1 <= number <= count))
    known = set(given)
    rest = [place for place in range(count) if place not in known]
    return Order([*given, *rest], _form(answer, count), bool(given))


def _form(answer: str, count: int) -> Form:
    if not _WELL_FORMED.fullmatch(answer):
        return Form.WRONG
    numbers = [int(number[:9]) for number in _NUMBER.findall(answer)]
    if len(numbers) < count:
        return Form.MISSING
    if len(numbers) > count or len(set(numbers)) < count:
        return Form.REPETITION
    return Form.OK if set(numbers) == set(range(1, count + 1)) else Form.MISSING


def _numbers(answer: str, count: int) -> list[int]:
    """The numbers of documents: those in brackets where there are any, else all but those of a list's lines."""
    answer = _RANGE_OF_BRACKETS.sub(lambda found: f"[{_spelled_out(found, count)}]", answer)
    inside = _BRACKETS.findall(answer)
    if not inside:
        lines = [int(number[:9]) for number in _LINE.findall(answer)]
        inside = [_LINE.sub("", answer) if lines == list(range(1, len(lines) + 1)) and len(lines) > 1 else answer]
    spelled = (_RANGE.sub(lambda found: _spelled_out(found, count), part) for part in inside)
    return [int(number[:9]) for part in spelled for number in _NUMBER.findall(part)]


def _spelled_out(found: re.Match[str], count: int) -> str:
    """The numbers of a range, or the two that stand there where it is none."""
    first, last = int(found[1]), int(found[2])
    whole = range(first, last + 1) if 1 <= first < last <= count else (first, last)
    return " ".join(map(str, whole))


def _in_ascii(text: str) -> str:
    """The text with digits of any script and form as those of ASCII, and brackets of other widths, too."""
    return "".join(map(_digit, text.translate(_BRACKET)))


def _digit(character: str) -> str:
    if character.isascii():
        return character
    if (digit := unicodedata.digit(character, None)) is not None:
        return str(digit)
    if unicodedata.category(character) != "No":
        return character
    number = unicodedata.numeric(character)  # ⑫ is one character for two digits
    return f" {number:.0f} " if number == int(number) else " "
