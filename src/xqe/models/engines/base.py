"""The interface of every engine that generates: jobs in, the same jobs with their completions out, in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from xqe.models.prompts import Prompt

if TYPE_CHECKING:
    from xqe.models.engines.jobs import Job

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How texts are drawn; None leaves a parameter to the engine, which knows its model.

    temperature: 0 is greedy. top_p, top_k: what is left to draw from, unused when greedy. repeat_penalty: what the
    score of a token that the text has already is divided by, 1 for nothing. seed: of the whole run.
    """

    temperature: float = 0.0
    top_p: float | None = None
    top_k: int | None = None
    repeat_penalty: float | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """One text to generate.

    subject: the query or passage that the prompt is about (the fake engine answers with it). max_tokens: the most
    tokens to generate. seed: of this text, unused when greedy.
    """

    prompt: Prompt
    subject: str
    max_tokens: int
    sampling: Sampling = Sampling()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """What came of a request.

    text: without the stop string. finish: "stop", "length" (max_tokens were reached) or "error". tokens: how many
    were generated. error: why there is no text, in one line, when finish is "error". reused: it was not generated now.
    made_by: where it was reused, what the provenance of the engine that generated it says of its making.
    """

    text: str
    finish: str
    tokens: int
    error: str = ""
    reused: bool = False
    made_by: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_failed(self) -> bool:
        return self.finish == "error"


class Engine(ABC):
    """A model that generates. Use as a context manager; `close` frees the model.

    name: as provenance names it. is_chat: the model has a chat template, so prompts are chat turns.
    """

    name: str
    is_chat: bool

    @abstractmethod
    def rendered(self, prompt: Prompt) -> str:
        """Return the text of a prompt as it goes to the model: what a generation depends on."""

    def show(self, prompt: Prompt) -> str:
        """Return the text that the model sees for a prompt, special tokens included, for a person to read."""
        return self.rendered(prompt)

    @abstractmethod
    def generate(self, jobs: Iterable[Job[T]]) -> Iterator[Job[T]]:
        """Yield each job when it and all before it are done. Reads ahead of what it yields, by a bounded number.

        If reading `jobs` raises, everything read before is generated and yielded first. On Ctrl-C the jobs that are
        done are yielded, and then KeyboardInterrupt is raised.
        """

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What a text depends on besides its prompt and the parameters: the model, its adapters. JSON values."""

    @abstractmethod
    def parameters(self, sampling: Sampling) -> dict[str, Any]:
        """The parameters of sampling that are in force, by their names, without those that have no effect."""

    def making(self) -> dict[str, Any]:
        """The fields that a step says about how the model is run, which are not of its identity."""
        return {}

    def provenance(self) -> dict[str, Any]:
        """The fields that a step says about the model and how it is run."""
        return {**self.identity(), **self.making()}

    @abstractmethod
    def close(self) -> None:
        """Free what the engine holds. Closing twice is fine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
