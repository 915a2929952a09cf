"""The augmenting stage: documents with questions that they answer, in several languages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from xqe.errors import XqeError
from xqe.files.records import Record, check_document, failed
from xqe.messages import plural
from xqe.models.engines.base import Engine
from xqe.models.engines.requests import Request, Sampling
from xqe.models.examples import GIVEN, Chooser, Example, check_shown
from xqe.models.prompts import TARGET, Template
from xqe.retrieval.retriever import QueryError
from xqe.stages.augment.consistency import Consistency
from xqe.stages.augment.filters import Filter, Reason
from xqe.stages.fitting import beginning
from xqe.stages.generation import Answer, one_line, provenance, request
from xqe.stages.inspection.texts import letters
from xqe.text.answers.parting import Parted, Wanted
from xqe.text.languages import Language, code_of, language

WHOLE_QUESTIONS = "rephrasing"
"""What built-in examples ask. After short phrases a small model wrote names and phrases, a third of them twice or
copied; after whole questions, questions."""
_SUBJECT_TOKENS = 6  # what the fake engine answers with is a question's length


@dataclass(frozen=True, slots=True)
class Settings:
    """questions: for each document in each of the languages `targets`. samples: how many texts are drawn for them.
    max_tokens: of one. document_tokens: the most of a document that the model reads."""

    targets: tuple[Language, ...]
    questions: int
    samples: int
    max_tokens: int
    document_tokens: int


@dataclass(slots=True)
class Counts:
    """What became of the texts so far: how many there were, how many are questions of documents now, and why others
    were dropped; the rest were more than were asked for."""

    documents: int = 0
    texts: int = 0
    questions: int = 0
    dropped: Counter[Reason] = field(default_factory=Counter)

    def line(self, reasons: Sequence[Reason]) -> str:
        """The summary, for a person and for grep. reasons: those that were looked for."""
        shares = ", ".join(f"{self.dropped[reason] / max(self.texts, 1):.0%} {reason.value}" for reason in reasons)
        questions = plural(self.questions, "question")
        return f"{plural(self.documents, 'document')}, {questions} of {plural(self.texts, 'text')}: {shares}"


class Augment:
    """Adds "questions" to each document: {language: texts}. Those of other languages that it has stay.

    A document without a word passes as it is. choose: the worked examples to show where the prompt shows any (None: the
    built-in ones), queries in the language of the questions with passages in that of the document. consistency: what
    drops questions that find another document first; None for nothing. `counts` grows as documents leave. Raises
    XqeError for what could have no effect.
    """

    name = "augment"

    def __init__(
        self,
        engine: Engine,
        template: Template,
        settings: Settings,
        sampling: Sampling,
        choose: Chooser | None = None,
        consistency: Consistency | None = None,
    ) -> None:
        self._engine = engine
        self._template = template
        self._settings = settings
        self._sampling = sampling
        self._consistency = consistency
        self._choose: Chooser | None = None
        self.counts = Counts()
        if settings.samples > 1 and sampling.temperature == 0:
            raise XqeError(
                f"at temperature 0 all of {settings.samples} texts are the same",
                "leave out --temperature, or ask for --questions 1 --samples 1",
            )
        if template.shows_examples(engine.is_chat):
            self._choose = choose or Chooser(None, template.shots, sampling.seed, WHOLE_QUESTIONS)
        elif choose is not None:
            raise XqeError(
                f"--examples and --shots have no effect: the prompt {template.name} shows a chat model no examples",
                "leave them out",
            )

    def requests(self, record: Record) -> list[Request]:
        settings, spoken, text = self._settings, language(record["lang"]), self._passage(record)
        if not letters(text):
            return []
        if self._consistency is not None:
            self._consistency.check(record["id"])
        subject = beginning(text, _SUBJECT_TOKENS, self._engine)
        made = []
        for target in settings.targets:
            variables = {"document": text, "language": spoken.name, TARGET: target.name}
            shown = self._examples(target, spoken)
            if self._choose is not None:
                check_shown(shown, self._engine.is_chat, GIVEN, target, spoken)
            prompt = self._template.render(self._engine.is_chat, variables, shown)
            for number in range(settings.samples):
                made.append(request(prompt, subject, settings.max_tokens, self._sampling, record, number))
        return made

    def wanted(self, record: Record) -> list[Wanted]:
        spoken, text = language(record["lang"]), self._passage(record)
        each = [
            Wanted("query", text, frozenset({spoken.code, to.code}), is_optional=True) for to in self._settings.targets
        ]
        return [wanted for wanted in each for _ in range(self._settings.samples)]

    def result(self, record: Record, answers: Sequence[Answer]) -> Record:
        settings, spoken, text = self._settings, language(record["lang"]), self._passage(record)
        dropped: Counter[Reason] = Counter()
        kept: dict[str, list[str]] = {}
        for place, target in enumerate(settings.targets):
            examples = [example["query"] for example in self._examples(target, spoken)]
            fits = Filter(text, target, examples)
            its = kept[target.code] = []
            for answer in answers[place * settings.samples :][: settings.samples]:
                question = "" if answer.parted.problem else answer.text
                reason = fits.reason(question, answer.completion.finish == "length")
                if reason is None:
                    its.append(question)
                else:
                    dropped[reason] += 1
        if self._consistency is not None:
            try:
                self._drop_astray(self._consistency, record["id"], kept, dropped)
            except QueryError as error:
                return failed(record, self.name, str(error))
        questions = {code: its[: settings.questions] for code, its in kept.items() if its}
        self._count(len(answers), questions, dropped)
        others = {lang: its for lang, its in (record.get("questions") or {}).items() if code_of(lang) not in kept}
        step = self._step(spoken, answers, dropped)
        return {**record, "questions": {**others, **questions}, "steps": [*record.get("steps", ()), step]}

    def summary(self) -> str:
        """What became of the texts so far, in one line."""
        return self.counts.line(self._reasons)

    @property
    def _reasons(self) -> list[Reason]:
        """Why texts may be dropped."""
        return [reason for reason in Reason if reason is not Reason.ELSEWHERE or self._consistency is not None]

    def _drop_astray(
        self, consistency: Consistency, identifier: str, kept: dict[str, list[str]], dropped: Counter[Reason]
    ) -> None:
        """Drop questions that find another document first; those of all languages are asked together."""
        asked = [(code, question) for code, its in kept.items() for question in its]
        found = consistency.finds(identifier, [question for _, question in asked]) if asked else []
        for (code, question), is_found in zip(asked, found, strict=True):
            if not is_found:
                kept[code].remove(question)
                dropped[Reason.ELSEWHERE] += 1

    def _count(self, texts: int, questions: Mapping[str, Sequence[str]], dropped: Counter[Reason]) -> None:
        counts = self.counts
        counts.documents += 1
        counts.texts += texts
        counts.questions += sum(map(len, questions.values()))
        counts.dropped += dropped

    def _step(self, spoken: Language, answers: Sequence[Answer], dropped: Counter[Reason]) -> dict[str, Any]:
        """What a document says of how its questions came about. Answers as they came, whose places are no questions',
        are left out: the store has them."""
        settings = self._settings
        plain = [replace(answer, parted=Parted(answer.text)) for answer in answers]
        return {
            "step": self.name,
            "prompt": self._template.name,
            "from": spoken.code,
            "to": [target.code for target in settings.targets],
            "questions": settings.questions,
            "samples": settings.samples,
            "document_tokens": settings.document_tokens,
            **({"shots": self._choose.shots} if self._choose is not None else {}),
            **({"index": self._consistency.index} if self._consistency is not None else {}),
            "dropped": {reason.field: dropped[reason] for reason in self._reasons if dropped[reason]},
            **provenance(self._engine, self._sampling, settings.max_tokens, plain),
        }

    def _examples(self, target: Language, spoken: Language) -> list[Example]:
        """The worked examples of questions in one language for passages in another."""
        return self._choose(target, spoken) if self._choose is not None else []

    def _passage(self, record: Record) -> str:
        """What a model reads of a document: on one line the title, the text, up to the limit."""
        return beginning(
            one_line(check_document(record, record["id"]).searched), self._settings.document_tokens, self._engine
        )
