"""Re-ranking by putting documents in order, a window after the other from the bottom up (RankGPT, arXiv 2304.09542).

What a model answers is repaired as RankLLM does: what stands before the last `</think>` is left out, numbers that come
again or that no document has are dropped, and documents that are missing follow in the order that they had. A window
whose answer names no document stays as it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import islice

from xqe.files.records import Record, advanced, has_failed
from xqe.models.engines.base import Engine
from xqe.models.engines.requests import Request, Sampling
from xqe.models.prompts import Template
from xqe.stages.generation import Answer, Tally, provenance, request, run_all
from xqe.stages.rerank.reading import Candidate, Reader, ordered
from xqe.text.answers.parting import Wanted

WINDOW, STEP = 20, 10
AT_A_TIME = 64  # records that go from window to window together
TOKENS_A_NUMBER = 6  # of "[12] > "


class Form(StrEnum):
    """What an answer was like; RankLLM's names."""

    OK = "ok"
    REPETITION = "repetition"
    MISSING = "missing_documents"
    WRONG = "wrong_format"


def order_of(text: str, count: int) -> tuple[list[int], Form]:
    """The order that an answer gives to `count` documents, as places from 0, and what the answer was like.

    Numbers are those in brackets, or all where none is; digits of any script.
    """
    text = text.rpartition("</think>")[2]
    plain = "".join(_digit(character) for character in text)
    found = [int(number) for number in re.findall(r"\[\s*([0-9]{1,6})\s*\]", plain) or re.findall(r"[0-9]{1,6}", plain)]
    given = [number - 1 for number in found if 1 <= number <= count]
    if not given:
        return list(range(count)), Form.WRONG
    order = list(dict.fromkeys(given))
    kind = Form.REPETITION if len(order) < len(given) else Form.MISSING if len(order) < count else Form.OK
    return [*order, *(place for place in range(count) if place not in set(order))], kind


def _digit(character: str) -> str:
    """A digit of any script as one of ASCII, brackets of other widths as those of ASCII, the rest as it is."""
    if character in "［【":
        return "["
    if character in "］】":
        return "]"
    digit = unicodedata.digit(character, None)
    return character if digit is None else str(digit)


def windows(count: int, size: int = WINDOW, step: int = STEP) -> list[tuple[int, int]]:
    """The windows over `count` documents as (start, end), the last documents first."""
    starts = [*range(max(count - size, 0), 0, -step), 0] if count else []
    return [(start, min(start + size, count)) for start in starts]


class _Ranking:
    """One record on its way through its windows; a stage of its own in each."""

    name = "rerank"

    def __init__(self, engine: Engine, template: Template, reader: Reader) -> None:
        self._engine = engine
        self._template = template
        self._reader = reader
        self._candidates: list[Candidate] | None = None
        self._left: list[tuple[int, int]] = []
        self._window = (0, 0)
        self.kinds: Counter[Form] = Counter()
        self.answers: list[Answer] = []
        self.max_tokens = 0

    def requests(self, record: Record) -> list[Request]:
        query = self._reader.query(record)
        if self._candidates is None:
            self._candidates = self._reader.candidates(record)
            self._left = windows(len(self._candidates))
        if not self._left:
            return []
        self._window = self._left.pop(0)
        shown = self._candidates[slice(*self._window)]
        documents = "\n".join(f"[{number}] {one.text}" for number, one in enumerate(shown, 1))
        prompt = self._template.render(
            self._engine.is_chat, {"query": query, "documents": documents, "count": str(len(shown))}
        )
        self.max_tokens = max(self.max_tokens, TOKENS_A_NUMBER * len(shown) + TOKENS_A_NUMBER)
        return [request(prompt, query, self.max_tokens, Sampling(), record, self._window[0])]

    def wanted(self, record: Record) -> Sequence[Wanted | None]:
        return [None]

    def result(self, record: Record, answers: Sequence[Answer]) -> Record:
        assert self._candidates is not None
        part = slice(*self._window)
        shown = self._candidates[part]
        order, kind = order_of(answers[0].text, len(shown))
        self._candidates[part] = [shown[place] for place in order]
        self.kinds[kind] += 1
        self.answers += answers
        return record

    @property
    def has_more(self) -> bool:
        return bool(self._left)

    def finished(self, record: Record) -> Record:
        """The record with its hits in the new order, and the scores that those places had."""
        if not self._candidates:
            return record
        hits = ordered(record)
        count = len(self._candidates)
        places = {hit["id"]: rank for rank, hit in enumerate(hits, 1)}
        again = [
            {
                **one.hit,
                "score": hits[rank]["score"],
                "reranked": {"rank": places[one.hit["id"]], "first": one.hit["score"]},
            }
            for rank, one in enumerate(self._candidates)
        ]
        step = {
            "step": self.name,
            "kind": "listwise",
            "n": count,
            "query": self._reader.asked.value,
            "answers": {kind.value: number for kind, number in self.kinds.items()},
            **provenance(self._engine, Sampling(), self.max_tokens, self.answers),
        }
        return advanced(record, step, hits=[*again, *hits[count:]])


class Listwise:
    """Puts the best hits of each record in order. As a stage it is that of the first windows."""

    name = "rerank"

    def __init__(self, engine: Engine, template: Template, reader: Reader) -> None:
        self._engine = engine
        self._template = template
        self._reader = reader
        self.fell_back = 0

    def requests(self, record: Record) -> list[Request]:
        return self._ranking().requests(record)

    def wanted(self, record: Record) -> Sequence[Wanted | None]:
        return [None]

    def result(self, record: Record, answers: Sequence[Answer]) -> Record:
        return record

    def run(self, records: Iterable[Record], tally: Tally) -> Iterator[Record]:
        """One record out for one in, in order; `tally` counts what leaves, `fell_back` the windows that stay as they
        were, since an answer named no document."""
        tally.begin()
        rest = iter(records)
        while some := list(islice(rest, AT_A_TIME)):
            rankings = [self._ranking() for _ in some]
            left = list(range(len(some)))
            while left:
                work = ((rankings[at], some[at]) for at in left)
                for at, (_, record, _) in zip(left, run_all(work, self._engine), strict=True):
                    some[at] = record
                left = [at for at in left if not has_failed(some[at]) and rankings[at].has_more]
            for ranking, record in zip(rankings, some, strict=True):
                done = record if has_failed(record) else ranking.finished(record)
                self.fell_back += ranking.kinds[Form.WRONG]
                tally.count(done, [answer.completion for answer in ranking.answers])
                yield done

    def _ranking(self) -> _Ranking:
        return _Ranking(self._engine, self._template, self._reader)
