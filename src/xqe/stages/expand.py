"""The expansion stage: passages that could answer the query, in its language or directly in another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from xqe.errors import XqeError
from xqe.files.records import Record, advanced, failed
from xqe.models.engines.base import Engine
from xqe.models.engines.requests import Request, Sampling
from xqe.models.examples import GIVEN, Chooser, Example, check_shown
from xqe.models.examples.derived import FIELDS as DERIVED
from xqe.models.examples.derived import with_derived
from xqe.models.prompts import DOCUMENTS, TARGET, Prompt, Template
from xqe.models.prompts.nearby import NEARBY, showing
from xqe.retrieval.combining import FIELD, USUAL, Combination
from xqe.stages import feedback_texts
from xqe.stages.generation import Answer, of_no_use, one_line, provenance, request
from xqe.stages.librarian.guide import Guide
from xqe.stages.strategies import PASSAGE_TOKENS
from xqe.text.answers import lists
from xqe.text.answers.parting import Wanted
from xqe.text.languages import Language, language

READ = 10
"""Documents that a prompt of the user's reads."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a strategy's texts are used. name: of the strategy, None for the prompt's. combination: how search puts them
    together with the query. documents: how many of the best hits are read."""

    name: str | None = None
    combination: Combination = USUAL
    documents: int = READ


class Expand:
    """Adds passages to each record, `samples` of each prompt, in place of any it has.

    templates: the prompt, or the prompts of a strategy that asks in several ways; its name goes into the step as the
    strategy, unless `way` has one. choose: the worked examples to show where a prompt shows any (None: the built-in
    ones). target: the language of the passages; None for that of each query, or where documents are read for that of
    these. A query that is in it already has the prompt that it has without. guide: what is shown for each query.
    Raises XqeError for what could have no effect.
    """

    name = "expand"

    def __init__(
        self,
        engine: Engine,
        templates: Template | Sequence[Template],
        choose: Chooser | None = None,
        samples: int = 1,
        sampling: Sampling | None = None,
        max_tokens: int = PASSAGE_TOKENS,
        target: Language | None = None,
        way: Way | None = None,
        guide: Guide | None = None,
    ) -> None:
        given = [templates] if isinstance(templates, Template) else templates
        self._engine = engine
        self._guide = guide or Guide()
        self._parts = [part for template in given for part in template.each()]
        self._target = target
        self._samples = samples
        self._sampling = sampling or Sampling()
        self._max_tokens = max_tokens
        self._way = way or Way()
        self._strategy = self._way.name or given[0].name.removeprefix("expand-")
        is_chat = engine.is_chat
        self.documents = self._way.documents if any(part.reads_documents(is_chat) for part in self._parts) else 0
        may_cross = target is not None or self.documents > 0
        self._across = [part.across() if may_cross else part for part in self._parts]
        if self._guide.nearby is not None:
            if all(part.reads_documents(is_chat) for part in self._parts):
                self._guide = self._guide.without_documents()
            self._parts, self._across = self._showing(self._parts), self._showing(self._across)
        if samples > 1 and self._sampling.temperature == 0:
            raise XqeError(
                f"--samples {samples} at temperature 0 would write the same passage {samples} times",
                "add --temperature 0.7, or --samples 1",
            )
        self._choosers: dict[int, Chooser] = {}
        shown = [part for part in (*self._parts, *self._across) if part.shows_examples(is_chat)]
        if not shown and choose is not None:
            raise XqeError(
                f"--examples and --shots have no effect: the prompt {self._strategy} shows a chat model no examples",
                "use --strategy fewshot, or leave them out",
            )
        for part in shown:
            chooser = choose or Chooser(None, part.shots, self._sampling.seed)
            chooser.require(part.example_fields(is_chat) - DERIVED)
            self._choosers[id(part)] = chooser

    def requests(self, record: Record) -> list[Request]:
        query = one_line(record["query"])
        if not query:
            raise XqeError("the query is empty")
        return [
            request(prompt, query, self._max_tokens, self._sampling, record, number)
            for prompt in self._prompts(record, query)
            for number in range(self._samples)
        ]

    def _showing(self, parts: Sequence[Template]) -> list[Template]:
        """The prompts with a place for documents that are near, but for those that read documents anyway."""
        return [part if part.reads_documents(self._engine.is_chat) else showing(part) for part in parts]

    def _prompts(self, record: Record, query: str) -> list[Prompt]:
        variables = {
            "query": query,
            "language": language(record.get("lang", "")).name,
            TARGET: self._written(record).name,
            NEARBY: self._guide.block(record, self._engine),
        }
        return [self._prompt(part, record, variables) for part in self._used(record)]

    def _prompt(self, part: Template, record: Record, variables: dict[str, str]) -> Prompt:
        is_chat, read = self._engine.is_chat, self._read(record)
        shown = self._examples(part, record) if part.shows_examples(is_chat) else []
        shown = with_derived(shown, part.example_fields(is_chat), self._written(record))

        def rendered(documents: str) -> Prompt:
            return part.render(
                is_chat, {**variables, DOCUMENTS: documents}, shown, own_examples=self._guide.choice is not None
            )

        if read is None or not part.reads_documents(is_chat):
            return rendered("")
        return rendered(feedback_texts.shown(read.texts, rendered, self._max_tokens, self._engine))

    def _examples(self, part: Template, record: Record) -> Sequence[Example]:
        choose, choice = self._choosers[id(part)], self._guide.choice
        spoken, written = language(record.get("lang", "")), self._written(record)
        pool = choose.candidates(spoken, written)
        check_shown(pool, self._engine.is_chat, GIVEN, spoken, written)
        if choice is None:
            return choose(spoken, written)
        return choice.nearest(record, pool, spoken, written, choose.shots)

    def wanted(self, record: Record) -> list[Wanted]:
        spoken = language(record.get("lang", ""))
        codes = frozenset({spoken.code, self._written(record).code})
        query = one_line(record["query"])
        used = self._used(record)
        is_optional = self._samples * len(used) > 1
        return [
            Wanted("passage", query, codes, has_parts=part.has_parts or part.answers != "text", is_optional=is_optional)
            for part in used
            for _ in range(self._samples)
        ]

    def result(self, record: Record, answers: Sequence[Answer]) -> Record:
        read = self._read(record)
        written = self._written(record)
        is_told = self._target is not None or written != language(record["lang"])
        step = {
            "step": self.name,
            "strategy": self._strategy,
            **({"to": written.code} if is_told else {}),
            **self._examples_of(record),
            **self.guided(record),
            **({"documents": read.ids} if read is not None else {}),
            **of_no_use(answers),
            **provenance(self._engine, self._sampling, self._max_tokens, answers),
        }
        kinds = [part.answers for part in self._used(record) for _ in range(self._samples)]
        each = zip(kinds, answers, strict=True)
        passages = [_AS[kind](answer.text) for kind, answer in each if not answer.parted.problem]
        if not passages:
            return failed(record, self.name, answers[0].parted.problem)
        changes: dict[str, Any] = {
            "passages": [passage for passage in passages if passage],
            "passages_lang": written.code if self._is_direct(record) else None,
            FIELD: self._way.combination.said() or None,
        }
        return advanced(record, step, **changes)

    def guided(self, record: Record) -> dict[str, Any]:
        """What a step says of what the guide chose for a record."""
        return self._guide.said(record, self._engine, self._chooser(record) is not None)

    def _examples_of(self, record: Record) -> dict[str, int]:
        """What the step says of the examples that were shown: how many, and the seed if it chose among more."""
        choose = self._chooser(record)
        if choose is None:
            return {}
        there = len(choose.candidates(language(record["lang"]), self._written(record)))
        is_drawn = self._guide.choice is None and 0 < choose.shots < there
        return {"shots": min(choose.shots, there), **({"seed": choose.seed} if is_drawn else {})}

    def _read(self, record: Record) -> feedback_texts.Read | None:
        """The documents that the record's hits show; None where none is read."""
        return feedback_texts.read(record, self.documents) if self.documents else None

    def _written(self, record: Record) -> Language:
        """The language of the passages."""
        if self._target is not None:
            return self._target
        read = self._read(record)
        return (read.language if read is not None else None) or language(record.get("lang", ""))

    def _chooser(self, record: Record) -> Chooser | None:
        """What chooses the worked examples of a record, of several prompts those of the first that shows any."""
        shows = (part for part in self._used(record) if part.shows_examples(self._engine.is_chat))
        return next((self._choosers[id(part)] for part in shows), None)

    def _is_direct(self, record: Record) -> bool:
        """True if the passages are to be in another language than the record's query."""
        return self._written(record) != language(record.get("lang", ""))

    def _used(self, record: Record) -> list[Template]:
        """The prompts for a record: where nothing was found, without those that read documents, if there are others."""
        parts, read = (self._across if self._is_direct(record) else self._parts), self._read(record)
        if read is None or read.texts:
            return parts
        return [part for part in parts if not part.reads_documents(self._engine.is_chat)] or parts


_AS: dict[str, Callable[[str], str]] = {
    "text": str,
    "list": lambda text: ", ".join(lists.items(text)),
    "quotations": lambda text: " ".join(lists.quotations(text)),
}
"""What becomes of an answer, by the `answers` of its prompt."""
