"""The interface of every engine that generates: jobs in, the same jobs with their completions out, in order."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from xqe.models.closing import Closing
from xqe.models.engines.jobs import Job
from xqe.models.engines.requests import Sampling
from xqe.models.prompts import Prompt

T = TypeVar("T")


class Engine(Closing):
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

    def count(self, text: str) -> int | None:
        """Return how many tokens a text has; None where the engine does not know the vocabulary."""
        return None

    def room(self) -> int | None:
        """Return how many tokens a prompt and its answer may have together; None where the engine does not know."""
        return None

    def prompt_end(self, prompt: Prompt) -> str:
        """Return what of a rendered prompt follows the text that was asked about: the answer may have begun there, with
        its reasoning. "" where the engine does not know it."""
        return ""

    @abstractmethod
    def generate(self, jobs: Iterable[Job[T]]) -> Iterator[Job[T]]:
        """Yield each job when it and all before it are done. Reads ahead of what it yields, by a bounded number.

        If reading `jobs` raises, everything read before is generated and yielded first. On Ctrl-C the jobs that are
        done are yielded, and then KeyboardInterrupt is raised.
        """

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What a text depends on besides its prompt and the parameters: the model, its adapters. JSON values."""

    def identities(self) -> list[dict[str, Any]]:
        """The identities that texts of this model may be kept under, by this run or earlier ones, that of now first."""
        return [self.identity()]

    def vouches(self, made_by: Mapping[str, Any], identity: Mapping[str, Any]) -> bool:
        """Whether a text that is kept under one of the identities, and made as said, may be taken for one of now."""
        return True

    @abstractmethod
    def parameters(self, sampling: Sampling) -> dict[str, Any]:
        """The parameters of sampling that are in force, by their names, without those that have no effect."""

    def making(self) -> dict[str, Any]:
        """The fields that a step says about how the model is run, which are not of its identity."""
        return {}

    def provenance(self) -> dict[str, Any]:
        """The fields that a step says about the model and how it is run."""
        return {**self.identity(), **self.making()}
