"""The expansion stage: passages that could answer the query, in the language the query is in."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from xqe import prompts
from xqe.engines.base import Completion, Engine, Request, Sampling
from xqe.errors import XqeError
from xqe.examples import Chooser
from xqe.generation import clean, one_line, provenance, request
from xqe.languages import language
from xqe.prompts import Template
from xqe.records import Record, advanced

PASSAGE_TOKENS = 192


class Strategy(StrEnum):
    """The paper's prompting strategies (section 3.4, appendix A); the prompt of each is prompts/expand-NAME.toml."""

    ZEROSHOT = "zeroshot"
    COT = "cot"
    RAR = "rar"
    FEWSHOT = "fewshot"

    @property
    def template(self) -> Template:
        return prompts.builtin(f"expand-{self.value}")


class Expand:
    """Adds `samples` passages to each record, in place of any it has.

    template: the prompt; its name goes into the step as the strategy. choose: the worked examples to
    show where the prompt shows any (None: the built-in ones). Raises XqeError for what could have no effect.
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
    ) -> None:
        self._engine = engine
        self._template = template
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
        if template.shows_examples(engine.is_chat):
            self._choose = choose or Chooser(None, template.shots, self._sampling.seed)
            self._choose.require(template.example_fields(engine.is_chat))
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
        shown = self._choose(spoken) if self._choose else []
        prompt = self._template.render(self._engine.is_chat, {"query": query, "language": spoken.name}, shown)
        return [
            request(prompt, query, self._max_tokens, self._sampling, record, number) for number in range(self._samples)
        ]

    def result(self, record: Record, completions: Sequence[Completion]) -> Record:
        shots = {"shots": self._choose.shots} if self._choose else {}
        step = {
            "step": self.name,
            "strategy": self._strategy,
            **shots,
            **provenance(self._engine, self._sampling, self._max_tokens, completions),
        }
        return advanced(record, step, passages=[clean(completion.text) for completion in completions])
