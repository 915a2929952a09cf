"""Re-ranking by putting documents in order, a window after the other from the bottom up (RankGPT, arXiv 2304.09542).

A window whose answer names no document stays as it is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from xqe.files.records import Record, advanced, has_failed
from xqe.models.engines.base import Engine
from xqe.models.engines.requests import Request, Sampling
from xqe.models.prompts import Prompt, Template
from xqe.retrieval.fusion import falling
from xqe.stages import hits
from xqe.stages.fitting import fitted, numbered, room_for_texts
from xqe.stages.generation import Answer, Tally, provenance, request, run_all
from xqe.stages.rerank.answers import Form, order_of
from xqe.stages.rerank.kinds import Kind
from xqe.stages.rerank.reading import Candidate, Reader
from xqe.text.answers.parting import Wanted

WINDOW, STRIDE = 20, 10
AT_A_TIME = 64  # records that go from window to window together
TOKENS_A_NUMBER = 6  # of "[12] > "

_LIKE_A_NUMBER = re.compile(r"\[(\d+)\]")


def windows(count: int, size: int = WINDOW, stride: int = STRIDE) -> list[tuple[int, int]]:
    """The windows over `count` documents as (start, end), the last documents first; those of RankLLM."""
    found: list[tuple[int, int]] = []
    end = count
    while end > 0 and (not found or found[-1][0] > 0):
        found.append((max(end - size, 0), end))
        end -= stride
    return found


class _Ranking:
    """One record on its way through its windows; a stage of its own in each."""

    name = "rerank"

    def __init__(self, engine: Engine, template: Template, reader: Reader, max_tokens: int | None) -> None:
        self._engine = engine
        self._template = template
        self._reader = reader
        self._asked_tokens = max_tokens
        self._candidates: list[Candidate] | None = None
        self._left: list[tuple[int, int]] = []
        self._window = (0, 0)
        self._prompt_end = ""
        self._raw: list[str | None] = []
        self._forms: Counter[Form] = Counter()
        self._max_tokens = 0
        self._document_tokens = reader.tokens
        # A penalty would fall on the brackets; only a pretrained model has one by itself.
        self._sampling = Sampling() if engine.is_chat else Sampling(repeat_penalty=1.0)
        self.answers: list[Answer] = []
        self.fell_back = 0

    def requests(self, record: Record) -> list[Request]:
        if self._candidates is None:
            self._candidates = self._reader.candidates(record)
            self._left = windows(len(self._candidates)) if len(self._candidates) > 1 else []
        if not self._left:
            return []
        self._window = self._left.pop(0)
        shown = [_defused(one.text) for one in self._candidates[slice(*self._window)]]
        most = self._asked_tokens or TOKENS_A_NUMBER * (len(shown) + 1)
        room = room_for_texts(self._engine, self._prompt(record, [""] * len(shown)), most)
        texts, tokens = fitted(shown, self._reader.tokens, self._engine, room)
        prompt = self._prompt(record, texts)
        self._max_tokens = max(self._max_tokens, most)
        self._document_tokens = min(self._document_tokens, tokens)
        self._prompt_end = self._engine.prompt_end(prompt)
        return [request(prompt, self._reader.query(record), most, self._sampling, record, self._window[0])]

    def _prompt(self, record: Record, texts: Sequence[str]) -> Prompt:
        variables = {
            "query": _defused(self._reader.query(record)),
            "language": self._reader.language(record),
            "documents": numbered(texts),
            "count": str(len(texts)),
        }
        return self._template.render(self._engine.is_chat, variables)

    def wanted(self, record: Record) -> Sequence[Wanted | None]:
        return [None]

    def result(self, record: Record, answers: Sequence[Answer]) -> Record:
        assert self._candidates is not None
        part = slice(*self._window)
        shown = self._candidates[part]
        order = order_of(answers[0].text, len(shown), self._prompt_end)
        self._candidates[part] = [shown[place] for place in order.places]
        self._forms[order.form] += 1
        self._raw.append(None if order.form is Form.OK else answers[0].text)
        self.fell_back += not order.is_given
        self.answers += answers
        return record

    @property
    def has_more(self) -> bool:
        return bool(self._left)

    def finished(self, record: Record) -> Record:
        """The record with its hits in the new order, with the scores that these places had; as it is where nothing
        was asked: of an only hit there is one order."""
        if not self._candidates or not self.answers or has_failed(record):
            return record
        before = hits.ordered(record)
        count = len(self._candidates)
        scores = falling([hit["score"] for hit in before])
        ranks = {str(hit["id"]): rank for rank, hit in enumerate(before, 1)}
        again = [
            {**one.hit, "score": score, "reranked": {"rank": ranks[str(one.hit["id"])], "first": one.hit["score"]}}
            for one, score in zip(self._candidates, scores, strict=False)
        ]
        rest = [{**hit, "score": score} for hit, score in zip(before[count:], scores[count:], strict=True)]
        return advanced(record, self._step(count), hits=[*again, *rest])

    def _step(self, count: int) -> dict[str, Any]:
        raw = {"raw": self._raw} if any(text is not None for text in self._raw) else {}
        return {
            "step": self.name,
            "kind": Kind.LISTWISE.value,
            "prompt": self._template.name,
            "query": self._reader.asked.value,
            "n": count,
            "document_tokens": self._document_tokens,
            "window": WINDOW,
            "stride": STRIDE,
            **provenance(self._engine, self._sampling, self._max_tokens, self.answers),
            "answers": {form.value: number for form, number in self._forms.items()},
            **({"fell_back": self.fell_back} if self.fell_back else {}),
            **raw,
        }


class Listwise:
    """Puts the best hits of each record in order. As a stage it is that of the first windows, which are all that is
    known before there are answers. max_tokens: of an answer; None for as many as the numbers need.

    fell_back: windows of all records that stay as they were, since the answer named no document.
    """

    name = "rerank"

    def __init__(self, engine: Engine, template: Template, reader: Reader, max_tokens: int | None = None) -> None:
        self._engine = engine
        self._template = template
        self._reader = reader
        self._max_tokens = max_tokens
        self.fell_back = 0

    def requests(self, record: Record) -> list[Request]:
        return self._ranking().requests(record)

    def wanted(self, record: Record) -> Sequence[Wanted | None]:
        return [None]

    def result(self, record: Record, answers: Sequence[Answer]) -> Record:
        return record

    def run(self, records: Iterable[Record], tally: Tally) -> Iterator[Record]:
        """One record out for one in, in order; `tally` counts what leaves. Records of one window leave as soon as they
        are done, others with those that go from window to window with them."""
        tally.begin()
        work = ((self._ranking(), record) for record in records)
        if self._reader.n <= WINDOW:
            for ranking, record in self._through(work):
                yield self._finished(ranking, record, tally)
            return
        while some := list(self._through(islice(work, AT_A_TIME))):
            while any(ranking.has_more and not has_failed(record) for ranking, record in some):
                some = list(self._through(some))
            for ranking, record in some:
                yield self._finished(ranking, record, tally)

    def _through(self, work: Iterable[tuple[_Ranking, Record]]) -> Iterator[tuple[_Ranking, Record]]:
        """Each record after its next window, if it has one."""
        for ranking, record, _ in run_all(work, self._engine):
            assert isinstance(ranking, _Ranking)
            yield ranking, record

    def _finished(self, ranking: _Ranking, record: Record, tally: Tally) -> Record:
        done = ranking.finished(record)
        self.fell_back += ranking.fell_back
        tally.count(done, [answer.completion for answer in ranking.answers])
        return done

    def _ranking(self) -> _Ranking:
        return _Ranking(self._engine, self._template, self._reader, self._max_tokens)


def _defused(text: str) -> str:
    """Words that look like the number of a document, "[3]", in other brackets, as RankLLM has them."""
    return _LIKE_A_NUMBER.sub(r"(\1)", text)
