"""What the generating stages share: how a stage is run over records, and how a text is sampled and cleaned."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from xqe.engines.base import Completion, Engine, Job, Request
from xqe.errors import XqeError
from xqe.prompts import Prompt
from xqe.records import Record, failed, has_failed

_THINKING = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_SEED_BITS = 31


class Stage(Protocol):
    """A step of the pipe that generates: what a record needs, and what becomes of it."""

    name: str

    def requests(self, record: Record) -> list[Request]:
        """The texts to generate for a record; none if it is to pass unchanged. Raises XqeError if it cannot be done."""

    def result(self, record: Record, completions: Sequence[Completion]) -> Record:
        """The record after the stage; `completions` answers `requests(record)`, and none of it has failed."""


def run(stage: Stage, engine: Engine, records: Iterable[Record]) -> Iterator[Record]:
    """Run a stage over records: one out for one in, in order.

    A record that an earlier stage failed on passes as it is; one that this stage cannot do keeps its state and
    gains "error". Records are read ahead of those that are yielded.
    """

    def job(record: Record) -> Job[Record]:
        if has_failed(record):
            return Job(record, [])
        try:
            return Job(record, stage.requests(record))
        except XqeError as error:
            return Job(failed(record, stage.name, str(error)), [])

    for done in engine.generate(map(job, records)):
        completions = done.results()
        if message := _problem(completions):
            yield failed(done.item, stage.name, message)
        else:
            yield stage.result(done.item, completions) if completions else done.item


def prompts_of(stage: Stage, engine: Engine, records: Iterable[Record]) -> Iterator[tuple[str, str]]:
    """Yield (record id, prompt) for every text that the stage would have generated, as the model would see it."""
    for record in records:
        for request in stage.requests(record):
            yield record["id"], engine.show(request.prompt)


def _problem(completions: Sequence[Completion]) -> str:
    """Why these completions are of no use, or the empty string."""
    for completion in completions:
        if completion.finish == "error":
            return completion.error
        if not clean(completion.text):
            return "the model answered nothing"
    return ""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How texts are drawn. temperature: 0 is greedy. seed: of the whole run."""

    temperature: float = 0.0
    seed: int = 0

    def request(self, prompt: Prompt, subject: str, max_tokens: int, record: Record, number: int) -> Request:
        """The request for the `number`th text of a record. Its seed depends on the run's seed, the record's id and
        the number, and on nothing else: not on the records beside it or their order."""
        key = f"{self.seed}\0{record['id']}\0{number}".encode("utf-8", "replace")
        seed = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") % (1 << _SEED_BITS)
        return Request(prompt, subject, max_tokens, self.temperature, seed)


def clean(text: str) -> str:
    """Raw output without a thinking block and without white space around it."""
    return _THINKING.sub("", text).strip()


def one_line(text: str) -> str:
    """`text` with every run of white space as one space: a prompt's lines are its structure."""
    return " ".join(text.split())


def provenance(engine: Engine, sampling: Sampling, completions: Sequence[Completion]) -> dict[str, Any]:
    """The fields of a step that say how its texts came about.

    finish: "length" if any was cut off, else "stop". tokens: of all of them. seed: only where it mattered.
    """
    seed = {"seed": sampling.seed} if sampling.temperature > 0 else {}
    cut = any(completion.finish == "length" for completion in completions)
    return {
        **engine.provenance(),
        "temperature": sampling.temperature,
        **seed,
        "finish": "length" if cut else "stop",
        "tokens": sum(completion.tokens for completion in completions),
    }
