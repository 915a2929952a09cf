"""The expansion stage: passages that could answer the query, in its language or directly in another one."""

from __future__ import annotations

from collections.abc import Sequence

from xqe.errors import XqeError
from xqe.files.records import Record, advanced
from xqe.models.engines.base import Engine
from xqe.models.engines.requests import Request, Sampling
from xqe.models.examples import Chooser, Example
from xqe.models.prompts import TARGET, Template
from xqe.models.prompts.nearby import NEARBY, showing
from xqe.stages.generation import Answer, one_line, provenance, request
from xqe.stages.librarian.guide import Guide
from xqe.stages.strategies import PASSAGE_TOKENS
from xqe.text.answers.parting import Wanted
from xqe.text.languages import Language, language


class Expand:
    """Adds `samples` passages to each record, in place of any it has.

    template: the prompt; its name goes into the step as the strategy. choose: the worked examples to
    show where the prompt shows any (None: the built-in ones). target: the language of the passages, None for that of
    each query; a query that is in it already has the prompt that it has without. guide: what is shown for each query.
    Raises XqeError for what could have no effect.
    """

    name = "expand"

    def __init__(
        self,
        engine: Engine,
        template: Template,
        choose: Chooser | None = None,
        samples: int = 1,
        sampling: Sampling | None = None,
        max_tokens: int = PASSAGE_TOKENS,
        target: Language | None = None,
        guide: Guide | None = None,
    ) -> None:
        self._engine = engine
        self._guide = guide or Guide()
        self._target = target
        self._across = template.across() if target is not None else template
        self._template = template
        if self._guide.nearby is not None:
            self._template, self._across = showing(template), showing(self._across)
        self._samples = samples
        self._sampling = sampling or Sampling()
        self._max_tokens = max_tokens
        self._strategy = template.name.removeprefix("expand-")
        self._choose: Chooser | None = None
        if samples > 1 and self._sampling.temperature == 0:
            raise XqeError(
                f"--samples {samples} at temperature 0 would write the same passage {samples} times",
                "add --temperature 0.7",
            )
        used = (self._template, self._across)
        if any(prompt.shows_examples(engine.is_chat) for prompt in used):
            self._choose = choose or Chooser(None, template.shots, self._sampling.seed)
            self._choose.require(frozenset().union(*(prompt.example_fields(engine.is_chat) for prompt in used)))
        elif choose is not None:
            raise XqeError(
                f"--examples and --shots have no effect: the prompt {self._strategy} shows a chat model no examples",
                "use --strategy fewshot, or leave them out",
            )

    def requests(self, record: Record) -> list[Request]:
        spoken = language(record.get("lang", ""))
        query = one_line(record["query"])
        if not query:
            raise XqeError("the query is empty")
        written = self._target or spoken
        template, is_chat = self._template_for(record), self._engine.is_chat
        shown = self._examples(record, spoken, written) if template.shows_examples(is_chat) else []
        variables = {"query": query, "language": spoken.name, TARGET: written.name}
        variables[NEARBY] = self._guide.block(record, self._engine)
        prompt = template.render(is_chat, variables, shown)
        return [
            request(prompt, query, self._max_tokens, self._sampling, record, number) for number in range(self._samples)
        ]

    def _examples(self, record: Record, spoken: Language, written: Language) -> Sequence[Example]:
        choose, choice = self._choose, self._guide.choice
        if choose is None or choice is None:
            return choose(spoken, written) if choose is not None else []
        return choice.nearest(record, choose.candidates(spoken, written), spoken, written, choose.shots)

    def wanted(self, record: Record) -> list[Wanted]:
        spoken = language(record.get("lang", ""))
        codes = frozenset({spoken.code, (self._target or spoken).code})
        has_parts = self._template_for(record).has_parts
        return [Wanted("passage", one_line(record["query"]), codes, has_parts=has_parts)] * self._samples

    def result(self, record: Record, answers: Sequence[Answer]) -> Record:
        step = {
            "step": self.name,
            "strategy": self._strategy,
            **({"to": self._target.code} if self._target else {}),
            **self._examples_of(record),
            **self._guide.said(record, self._engine, self._shows_examples(record)),
            **provenance(self._engine, self._sampling, self._max_tokens, answers),
        }
        passages = [answer.text for answer in answers]
        written = self._target.code if self._target and self._is_direct(record) else None
        return advanced(record, step, passages=passages, passages_lang=written)

    def _examples_of(self, record: Record) -> dict[str, int]:
        """What the step says of the examples that were shown: how many, and the seed if it chose among more."""
        choose = self._choose
        if choose is None or not self._shows_examples(record):
            return {}
        is_drawn = self._guide.choice is None and 0 < choose.shots < len(
            choose.candidates(language(record["lang"]), self._target)
        )
        return {"shots": choose.shots, **({"seed": choose.seed} if is_drawn else {})}

    def _shows_examples(self, record: Record) -> bool:
        return self._choose is not None and self._template_for(record).shows_examples(self._engine.is_chat)

    def _is_direct(self, record: Record) -> bool:
        """True if the passages are to be in another language than the record's query."""
        return self._target is not None and self._target != language(record["lang"])

    def _template_for(self, record: Record) -> Template:
        return self._across if self._is_direct(record) else self._template
