"""Takes an answer apart: the text that was asked for, and what a model put around it.

A form is talk only where the text that the answer was made of does not have it, too: "Translation: A Practical Guide"
is the whole translation of "Übersetzung: Ein praktischer Leitfaden".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from xqe.lines import cut
from xqe.text.answers import marks, talk, wrappings
from xqe.text.answers.talk import COLON, Speech, speech, words_of
from xqe.text.sentences import SIGNS

_WORD = re.compile(r"[^\W_]")
_LAYERS = 16  # that are taken off an answer at most
_MOST_HEADS = 3  # that end in one of the colons of a line
_LONGEST_HEAD = 300  # characters
_SHOWN = 60  # characters of an answer in an error
_WORDS_OF_A_LABEL = 3
_EARLY = 3  # times as far into the source, a colon may be that of a head
_EXCLAIMED = re.compile(r"[!.。！।։።۔](?=\s|\Z|[\"“«„「『*`])\**|[:：፦៖՝]\**|\n")
_ENDS = re.compile(r"[:：፦៖՝.!。！…।።։۔][*_]*\s*\Z")
_COLON_AT_END = re.compile(r"[:：፦៖՝][*_\s]*\Z")
_MARKED = re.compile(r"\s*(?:[*_]{2}.+[*_]{2}|#{1,6}\s.+)\s*")
_PARENTHESIS = re.compile(r"(?<=\S)\s*[(\[（【](?P<inside>[^()\[\]（）【】]+)(?:[)\]）】][.。]?\s*)?\Z")
_PARAGRAPHS = re.compile(rf"\n\s*\n|\n(?=[ \t]*[(\[*_>-]*[ \t]?(?:[^\W\d_]|[{SIGNS}])+[ \t]?[:：])")
_BRACKETS = re.compile(r"[(\[（【]")
_ARROW = re.compile(r"[\s\"'“”»«]*(?:→|⇒|[-=]+>|➜|➔)\s*")
_SPACED = re.compile(r"\S+")
_RULE = re.compile(r"\s*(?:-{3,}|\*{3,}|_{3,}|={3,})\s*")

Field = Literal["query", "passage", "answer"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an answer should be.

    field: a query, which is one line, or a passage, or an answer from documents, which may be that they do not tell.
    source: the text that it is made of. languages: codes of those that
    the model may speak in, of the source and of the answer. is_translation: it says what the source says, so that what
    the one has the other has, too. has_parts: its parts have labels of their own, which stay. is_optional: one of
    several, which may be of no use.
    """

    field: Field
    source: str
    languages: frozenset[str]
    is_translation: bool = False
    has_parts: bool = False
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Parted:
    """An answer, taken apart. text: what was asked for. taken: what was taken off, in that order, each once. problem:
    why there is no text, or it cannot be told from the rest; "" if it can."""

    text: str
    taken: tuple[str, ...] = ()
    problem: str = ""


def parted(answer: str, wanted: Wanted, prompt_end: str = "", is_cut: bool = False) -> Parted:
    """Take an answer apart. prompt_end: how the prompt ended, which may have begun the answer's reasoning. is_cut: the
    answer was not finished."""
    if not answer.strip():
        return Parted("", problem="the model answered nothing")
    try:
        text = marks.without_reasoning(answer, wanted.source, prompt_end)
        taken = ["reasoning"] if text != answer else []
        if (left := marks.without_turns(text, wanted.source)) != text:
            taken.append("turn")
            text = left
        text, more = _Taking(wanted, is_cut).text(text)
    except marks.UnfinishedError:
        hint = "; give it more --max-tokens" if is_cut else ""
        return Parted("", problem=f"the answer ends within its reasoning{hint}")
    except wrappings.UndecidedError as undecided:
        return Parted("", problem=f"the answer is {undecided}, and nothing says which is meant")
    taken = list(dict.fromkeys([*taken, *more]))
    return Parted(text, tuple(taken), _problem(text, taken, wanted, is_cut))


def _problem(text: str, taken: list[str], wanted: Wanted, is_cut: bool) -> str:
    if not _WORD.search(text) and (taken or not text or _WORD.search(wanted.source)):
        return f"the answer is nothing but talk ({', '.join(taken)})" if taken else "the answer has no word in it"
    spoken = speech(wanted.languages)
    declines = wanted.field != "answer" and talk.is_instead("refusals", text)
    if declines and not talk.is_instead("refusals", wanted.source):
        return f"the model declines to answer: {cut(text, _SHOWN)}"
    agrees_too = any("agrees" in spoken.kinds(word) for word in words_of(wanted.source)[:1])
    if not wanted.has_parts and not agrees_too and talk.is_thought(text, wanted.source):
        hint = "; give it more --max-tokens" if is_cut else ""
        return f"the model thinks aloud instead of answering: {cut(text, _SHOWN)}{hint}"
    head, own = spoken.head(text), spoken.head(wanted.source)
    announces = _COLON_AT_END.search(text) and not _COLON_AT_END.search(wanted.source)
    is_head = announces and (head.has_subject or (wanted.field == "query" and {"preamble", "remark"} <= set(taken)))
    if is_head or (head.agrees and _ENDS.search(text) and not own.agrees and not _ENDS.search(wanted.source)):
        return f"the answer is nothing but talk: {cut(text, _SHOWN)}"
    return ""


Took = tuple[str, str]
"""What is left of a text, and what was taken off."""


class _Taking:
    """Takes one layer after the other off a text, until none is left that is not its own."""

    def __init__(self, wanted: Wanted, is_cut: bool) -> None:
        self._wanted = wanted
        self._source = wanted.source.strip()
        self._is_cut = is_cut
        self._speech: Speech = speech(wanted.languages)
        self._is_line = wanted.field == "query"
        self._told = re.compile(re.escape(self._source) if self._source else r"(?!)", re.IGNORECASE)

    def text(self, text: str) -> tuple[str, list[str]]:
        """The text within an answer, and what was taken off it."""
        taken: list[str] = []
        text = text.strip()
        for _ in range(_LAYERS):
            took = self._took(text)
            if took is None:
                return text, taken
            text, kind = took[0].strip(), took[1]
            taken.append(kind)
        return text, taken

    def _took(self, text: str) -> Took | None:
        layers: list[Callable[[str], Took | None]] = [
            self._wrapped,
            self._echo,
            self._agreed,
            self._head,
            self._announced,
        ]
        if self._is_line:
            layers += [self._markup, self._first_line, self._quotes, self._remark_in_line]
        else:
            layers += [self._remark_below, self._quotes, self._markup]
        return next((took for layer in layers if (took := layer(text)) is not None and took[0] != text), None)

    # ------------------------------------------------------------ what is around a text

    def _wrapped(self, text: str) -> Took | None:
        found = wrappings.fenced(text, self._source)
        if found is not None and self._may_precede(found[0]) and self._may_follow(found[2]):
            return found[1], "fence"
        for kind, inside in (
            ("tags", wrappings.tagged(text, self._source, self._is_line)),
            ("box", wrappings.boxed(text, self._source, self._is_line)),
            ("json", wrappings.in_json(text, self._source, self._speech.has_subject, self._is_cut)),
        ):
            if inside is not None:
                return inside, kind
        return None

    def _may_precede(self, text: str) -> bool:
        """Whether a text may stand above a fence that the text asked for is in."""
        return (
            not text.strip() or (self._is_line and bool(_COLON_AT_END.search(text))) or self._speech.head(text).is_talk
        )

    def _may_follow(self, text: str) -> bool:
        """Whether a text may stand below the fence that the text asked for is in: a passage goes on below its code."""
        line = _line(text.strip())[0]
        return self._is_line or not line or self._speech.has_subject(line) or self._is_remark(line)

    def _quotes(self, text: str) -> Took | None:
        found = wrappings.unquoted(text, self._source)
        if found is None:
            return None
        inside, after = found
        return (inside, "quotes") if self._is_aside(after) else None

    def _is_aside(self, text: str) -> bool:
        """Whether what follows a quotation is no part of the text: nothing, "in English", a note."""
        return not words_of(text) or self._speech.head(text).is_talk or self._speech.is_note(text)

    def _markup(self, text: str) -> Took | None:
        inside = wrappings.unmarked(text, self._source, self._is_line)
        return None if inside is None else (inside, "markup")

    # ------------------------------------------------------------ what is above a text

    def _agreed(self, text: str) -> Took | None:
        """ "Sure!", "Of course." and the like, before anything else."""
        end = _EXCLAIMED.search(text, 0, _LONGEST_HEAD)
        if end is None or not self._speech.head(text[: end.start()]).agrees or not text[end.end() :].strip():
            return None
        is_own = any("agrees" in self._speech.kinds(word) for word in words_of(self._source)[:1])
        mark = end[0].rstrip("*")
        is_own = is_own or (mark != "\n" and self._wanted.is_translation and mark in self._source)
        return None if is_own else (text[end.end() :], "preamble")

    def _echo(self, text: str) -> Took | None:
        """A first line that says what was to be answered: "Question: …", "German: …"."""
        line, below = _line(text)
        if after := self._after_source(line):
            return text[text.index(after) :], "echo"
        if not below.strip():
            return None
        label, said = _labelled(line)
        is_labelled = _is_same(said, self._source) and self._is_label(label)
        if self._wanted.is_translation:
            below = self._label_below(below)
            return (below, "echo") if below and (is_labelled or _is_same(line, self._source)) else None
        return (below, "echo") if is_labelled else None

    def _is_label(self, text: str) -> bool:
        head = self._speech.head(text)
        return head.is_talk and (head.has_subject or head.has_name)

    def _label_below(self, text: str) -> str:
        """What begins with the first line that has a label and something new after it, "" without one."""
        position = 0
        for line in text.splitlines(keepends=True):
            label, said = _labelled(line)
            position += len(line)
            said = said.strip() or _line(text[position:].lstrip())[0]
            is_new = _WORD.search(said) and not _COLON_AT_END.search(said) and not self._source.startswith(said)
            if is_new and self._is_label(label):
                return text[position - len(line) :]
        return ""

    def _after_source(self, line: str) -> str:
        """What follows where a line tells the source again, and then its translation: "Zinkpreise → zinc prices"."""
        found = self._told.search(line)
        if not self._wanted.is_translation or found is None:
            return ""
        before, after = line[: found.start()], line[found.end() :]
        if arrow := _ARROW.match(after):
            return after[arrow.end() :] if not words_of(before) else ""
        head = self._speech.head(before)
        kinds = [self._speech.kinds(word) for word in words_of(after)]
        said = next((number for number, kind in enumerate(kinds) if not kind), len(kinds))
        if (words_of(before) and not head.is_talk) or not 0 < said < len(kinds):
            return ""
        is_said = head.has_subject or any("subjects" in kind for kind in kinds[:said])
        is_linked = any("links" in kind for kind in kinds[:said])
        return _after_words(after, said) if is_said and is_linked else ""

    def _head(self, text: str) -> Took | None:
        """A head with a colon, or with the quotation marks of the text after it, on the first line."""
        line, _ = _line(text)
        for end, found in self._heads(line, text):
            if not self._is_own(found, text[end:]):
                return text[end:], "label" if len(words_of(found)) <= _WORDS_OF_A_LABEL else "preamble"
        return self._quoted(text, line) if self._wanted.is_translation else None

    def _heads(self, line: str, text: str) -> Iterator[tuple[int, str]]:
        """Each beginning of a line that is talk up to a colon, and where what follows begins."""
        for number, colon in enumerate(COLON.finditer(line, 0, _LONGEST_HEAD)):
            if number == _MOST_HEADS:
                return
            end = colon.end()
            while text[end : end + 1] in {"*", "_"} and text[end : end + 1]:
                end += 1
            written = line[: colon.start()]
            if not text[end:].strip() or (self._wanted.has_parts and line[end:].strip()):
                continue
            head = self._speech.head(self._without_source(written))
            names = head.has_name and self._wanted.is_translation
            if (head.is_talk and (head.has_subject or head.agrees or names)) or (
                not line[end:].strip() and self._announces(written)
            ):
                yield end, written

    def _announces(self, line: str) -> bool:
        """Whether a whole line that ends in a colon is of the answer, though it names nothing that was asked for ("Here
        you go:"), or has words of its own."""
        head = self._speech.head(line)
        is_known = head.is_talk or self._speech.has_subject(line)
        return is_known and (head.opens or (self._is_line and self._wanted.is_translation))

    def _is_own(self, head: str, after: str) -> bool:
        """Whether a head that ends in a colon is the text's own: the source begins so, too, and has as many colons."""
        if not self._wanted.is_translation:
            return words_of(self._source)[: len(words_of(head))] == words_of(head)
        colons = list(COLON.finditer(self._source))
        is_early = bool(colons) and colons[0].start() <= _EARLY * len(head) + 10
        return is_early and len(COLON.findall(_line(after.lstrip())[0])) < len(colons)

    def _quoted(self, text: str, line: str) -> Took | None:
        """The text in quotation marks, after a sentence that is talk: 'The translation is "…".'"""
        for start, inside, end in wrappings.quotations(line):
            before = self._without_source(line[:start])
            has_source = before != line[:start]
            head = self._speech.head(before)
            is_head = head.is_talk and (head.has_subject or has_source)
            is_echo = _is_same(inside, self._source) and bool(_WORD.search(line, end))
            if (
                is_head
                and not is_echo
                and self._is_aside(line[end:])
                and (has_source or not wrappings.has_quotes(self._source))
            ):
                return text[start:], "preamble"
        return None

    def _without_source(self, head: str) -> str:
        """A head without the source, where it tells it again."""
        return self._told.sub(" ", head, count=1)

    def _announced(self, text: str) -> Took | None:
        """A first line that is talk as a whole, with the text below it."""
        line, below = _line(text)
        head = self._speech.head(line)
        is_head = head.is_talk and (head.has_subject or head.agrees or head.opens) and not self._wanted.has_parts
        if not below.strip() or not is_head or self._speech.head(self._source).is_talk:
            return None
        return (below, "preamble") if _ENDS.search(line) or _MARKED.fullmatch(line) else None

    # ------------------------------------------------------------ what is below a text

    def _first_line(self, text: str) -> Took | None:
        line, below = _line(text)
        if below.strip() and _RULE.fullmatch(line):
            return below, "markup"
        return (line, "remark") if below.strip() else None

    def _remark_in_line(self, text: str) -> Took | None:
        """A remark in parentheses behind a text, where the source has none."""
        found = _PARENTHESIS.search(text)
        if found is None or len(_BRACKETS.findall(text)) <= len(_BRACKETS.findall(self._source)):
            return None
        inside = found["inside"]
        head = self._speech.head(inside)
        is_remark = self._speech.is_note(inside) or (head.is_talk and head.has_subject)
        return (text[: found.start()], "remark") if is_remark else None

    def _remark_below(self, text: str) -> Took | None:
        """The first of the paragraphs below a passage that speaks of it, and all that follow."""
        if self._wanted.has_parts:
            return None
        for parting in _PARAGRAPHS.finditer(text):
            below = text[parting.end() :]
            if self._is_remark(_line(below.strip())[0]):
                return text[: parting.start()], "remark"
        return None

    def _is_remark(self, line: str) -> bool:
        topic = set(words_of(self._source))
        if any(word in topic and "subjects" in self._speech.kinds(word) for word in words_of(line)):
            return False  # of a translation of the Bible, for example, where the source speaks of one
        if talk.is_instead("leaves", line):
            return not talk.is_instead("leaves", self._source)
        return self._speech.is_note(line) and self._speech.has_subject(line)


def _line(text: str) -> tuple[str, str]:
    """The first line of a text, and what is below it."""
    line, _, below = text.partition("\n")
    return line.strip(), below


def _labelled(line: str) -> tuple[str, str]:
    """What stands before the first colon of a line, "" without one, and the rest."""
    colon = COLON.search(line)
    return (line[: colon.start()], line[colon.end() :]) if colon else ("", line)


def _after_words(text: str, count: int) -> str:
    """What follows the first words of a text."""
    words = list(_SPACED.finditer(text))
    parted = [word for word in words if words_of(word[0])]
    return text[parted[count].start() :] if count < len(parted) else ""


def _is_same(one: str, other: str) -> bool:
    return words_of(one) == words_of(other)
