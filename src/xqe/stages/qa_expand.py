"""QA-Expand (arXiv 2502.08557): questions that the query may stand for, an answer to each, and of these the ones that
are to the point; as QueryGym's methods/qa_expand.py has it but for its JSON, which small models break.

A pretrained model writes the questions one by one, and is not asked which answers are to the point.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from xqe.errors import XqeError
from xqe.files.records import Record, advanced, failed
from xqe.models.engines.base import Engine
from xqe.models.engines.requests import Request, Sampling
from xqe.models.examples import Chooser
from xqe.models.prompts import TARGET, Template
from xqe.retrieval.combining import FIELD, Combination
from xqe.stages.expand import Expand, Way
from xqe.stages.generation import Answer, Round, Rounds, of_no_use, one_line, provenance, request
from xqe.stages.librarian.guide import Guide
from xqe.text.answers import lists
from xqe.text.answers.parting import Wanted
from xqe.text.languages import Language, language

_NUMBERED = re.compile(r"^[\s*_]*\[(\d+)\][\s*_:.]*(.*?)(?=^[\s*_]*\[\d+\]|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Prompts:
    """What is asked, round by round."""

    questions: Template
    answers: Template
    refine: Template


class QAExpand(Rounds):
    """Adds the answers as passages, in place of any a record has. questions: how many. target: as of `Expand`.
    guide: what is shown where the questions are asked for."""

    name = Expand.name
    documents = 0

    def __init__(
        self,
        engine: Engine,
        prompts: Prompts,
        choose: Chooser | None,
        questions: int,
        sampling: Sampling,
        max_tokens: int,
        target: Language | None,
        strategy: str,
        combination: Combination,
        guide: Guide | None = None,
    ) -> None:
        self.engine, self.prompts, self.questions = engine, prompts, questions
        self.sampling, self.max_tokens, self.target = sampling, max_tokens, target
        self.strategy, self.combination = strategy, combination
        is_listed = engine.is_chat
        self.asking = Expand(
            engine,
            prompts.questions,
            choose,
            1 if is_listed else questions,
            sampling,
            max_tokens,
            target,
            Way(strategy),
            guide,
        )
        self.answering = Expand(engine, prompts.answers, choose, 1, sampling, max_tokens)

    def begun(self, record: Record) -> Round:
        return _Asked(self)


class _Asked:
    """One record. round: the one that is next."""

    name = Expand.name

    def __init__(self, how: QAExpand) -> None:
        self._how = how
        self._round = 0
        self._questions: list[str] = []
        self._texts: list[str] = []
        self._answers: list[Answer] = []

    @property
    def has_more(self) -> bool:
        return self._round < (3 if self._how.engine.is_chat else 2)

    def requests(self, record: Record) -> list[Request]:
        how = self._how
        if self._round == 0:
            return how.asking.requests(record)
        if self._round == 1:
            if not self._questions:
                raise XqeError("the model wrote no question")
            return [
                made
                for number, question in enumerate(self._questions)
                for made in how.answering.requests(self._about(record, question, number))
            ]
        variables = {
            "query": one_line(record["query"]),
            "language": language(record["lang"]).name,
            TARGET: self._written(record).name,
            "answers": "\n".join(f"[{number}] {one_line(text)}" for number, text in enumerate(self._texts, 1)),
        }
        prompt = how.prompts.refine.render(True, variables)
        most = how.max_tokens * len(self._texts)  # as long as the answers are
        return [request(prompt, variables["query"], most, how.sampling, record, 0)]

    def wanted(self, record: Record) -> Sequence[Wanted]:
        how = self._how
        if self._round == 0:
            return how.asking.wanted(record)
        if self._round == 1:
            abouts = (self._about(record, question, number) for number, question in enumerate(self._questions))
            is_optional = len(self._questions) > 1
            answers = (wanted for about in abouts for wanted in how.answering.wanted(about))
            return [replace(wanted, is_optional=is_optional) for wanted in answers]
        codes = frozenset({language(record["lang"]).code, self._written(record).code})
        return [Wanted("passage", one_line(record["query"]), codes, has_parts=True)]

    def result(self, record: Record, answers: Sequence[Answer]) -> Record:
        texts = [answer.text for answer in answers if not answer.parted.problem]
        if not texts:
            return failed(record, self.name, answers[0].parted.problem)
        if self._round == 0:
            found = [question for text in texts for question in lists.questions(text)]
            self._questions = list(dict.fromkeys(found))[: self._how.questions]
        elif self._round == 1:
            self._texts = texts
        else:
            self._texts = refined(texts[0], self._texts)
        self._answers += answers
        self._round += 1
        return record

    def finished(self, record: Record) -> Record:
        how = self._how
        written = self._written(record)
        step = {
            "step": self.name,
            "strategy": how.strategy,
            **({"to": written.code} if how.target is not None else {}),
            **how.asking.guided(record),
            "questions": self._questions,
            **of_no_use(self._answers),
            **provenance(how.engine, how.sampling, how.max_tokens, self._answers),
        }
        lang = written.code if written != language(record["lang"]) else None
        combine = how.combination.said() or None
        return advanced(record, step, passages=self._texts, passages_lang=lang, **{FIELD: combine})

    def _written(self, record: Record) -> Language:
        return self._how.target or language(record["lang"])

    def _about(self, record: Record, question: str, number: int) -> Record:
        """A question as a record of its own, in the language of the answers."""
        return {"id": f"{record['id']}?{number}", "query": question, "lang": self._written(record).code}


def refined(answer: str, texts: Sequence[str]) -> list[str]:
    """What is left of the answers: those whose number is told, as they are told there; all of them where none is."""
    told = {int(number): one_line(text) for number, text in _NUMBERED.findall(answer)}
    kept = [told[number] or text for number, text in enumerate(texts, 1) if number in told]
    return kept or list(texts)
