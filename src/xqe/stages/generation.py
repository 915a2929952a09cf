"""What the generating stages share: how a stage is run over records, and how a text is sampled and cleaned."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from xqe.errors import XqeError
from xqe.files.records import Record, failed, has_failed
from xqe.models.engines.base import Engine
from xqe.models.engines.jobs import Job
from xqe.models.engines.requests import Completion, Request, Sampling
from xqe.models.prompts import Prompt

_THINKING = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_SEED_BITS = 31


class Stage(Protocol):
    """A step of the pipe that generates: what a record needs, and what becomes of it."""

    name: str

    def requests(self, record: Record) -> list[Request]:
        """The texts to generate for a record; none if it is to pass unchanged. Raises XqeError if it cannot be done."""

    def result(self, record: Record, completions: Sequence[Completion]) -> Record:
        """The record after the stage; `completions` answers `requests(record)`, and none of it has failed."""


@dataclass(slots=True)
class Tally:
    """What a run has done so far.

    records: that left it. failed: of these, with an error of this stage or an earlier one. generated, reused: texts
    that were made now, and that were there. tokens: of those made now. seconds: since the run began to read.
    """

    records: int = 0
    failed: int = 0
    generated: int = 0
    reused: int = 0
    tokens: int = 0
    _start: float = field(default_factory=time.monotonic)

    def begin(self) -> None:
        """Start the clock: the model is loaded, and the first record is read."""
        self._start = time.monotonic()

    def count(self, record: Record, completions: Sequence[Completion]) -> None:
        self.records += 1
        self.failed += has_failed(record)
        for completion in completions:
            if completion.reused:
                self.reused += 1
            else:
                self.tokens += completion.tokens
                self.generated += not completion.has_failed

    def line(self) -> str:
        """The summary, for a person and for grep: the same words in the same order, whatever the numbers."""
        rate = self.tokens / max(time.monotonic() - self._start, 1e-9)
        return (
            f"{self.records} records, {self.generated} generated, {self.reused} reused, {self.failed} failed, "
            f"{self.tokens} tokens, {rate:.0f} tokens/s"
        )


def run(stage: Stage, engine: Engine, records: Iterable[Record], tally: Tally | None = None) -> Iterator[Record]:
    """Run a stage over records: one out for one in, in order; `tally` counts what leaves.

    A record that an earlier stage failed on passes as it is; one that this stage cannot do keeps its state and
    gains "error". Records are read ahead of those that are yielded.
    """
    counts = tally or Tally()
    counts.begin()
    for _, record, completions in run_all(((stage, record) for record in records), engine):
        counts.count(record, completions)
        yield record


def run_all(work: Iterable[tuple[Stage, Record]], engine: Engine) -> Iterator[tuple[Stage, Record, list[Completion]]]:
    """Run records of several stages as one stream, so that the end of one does not leave the engine half empty.

    Yields each record, as `run` does and in the same order, with its stage and the completions that it needed. On
    Ctrl-C those that are done come out of their order, and then KeyboardInterrupt is raised.
    """

    def job(work: tuple[Stage, Record]) -> Job[tuple[Stage, Record]]:
        stage, record = work
        if has_failed(record):
            return Job(work, [])
        try:
            return Job(work, stage.requests(record), record["id"])
        except XqeError as error:
            return Job((stage, failed(record, stage.name, str(error))), [])

    for done in engine.generate(map(job, work)):
        completions = done.results()
        stage, record = done.item
        if message := _problem(completions):
            record = failed(record, stage.name, message)
        elif completions:
            record = stage.result(record, completions)
        yield stage, record, completions


def prompts_of(stage: Stage, engine: Engine, records: Iterable[Record]) -> Iterator[tuple[str, str]]:
    """Yield (record id, prompt) for every text that the stage would have generated, as the model would see it."""
    for record in records:
        for request in stage.requests(record):
            yield record["id"], engine.show(request.prompt)


def _problem(completions: Sequence[Completion]) -> str:
    """Why these completions are of no use, or the empty string."""
    for completion in completions:
        if completion.has_failed:
            return completion.error
        if not clean(completion.text):
            return "the model answered nothing"
    return ""


def request(prompt: Prompt, subject: str, max_tokens: int, sampling: Sampling, record: Record, number: int) -> Request:
    """The request for the `number`th text of a record. Its seed depends on the run's seed, the record's id and the
    number, and on nothing else: not on the records beside it or their order."""
    key = f"{sampling.seed}\0{record['id']}\0{number}".encode("utf-8", "replace")
    seed = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") % (1 << _SEED_BITS)
    return Request(prompt, subject, max_tokens, sampling, seed)


def clean(text: str) -> str:
    """Raw output without a thinking block and without white space around it."""
    return _THINKING.sub("", text).strip()


def one_line(text: str) -> str:
    """`text` with every run of white space as one space: a prompt's lines are its structure."""
    return " ".join(text.split())


def provenance(
    engine: Engine, sampling: Sampling, max_tokens: int | Mapping[str, int], completions: Sequence[Completion]
) -> dict[str, Any]:
    """The fields of a step that say how its texts came about, enough to make them again.

    max_tokens: the limit for one text, or for each kind. seed: only where it mattered. finish: "length" if any text
    was cut off, else "stop". tokens: of all of them. A text that was reused says how it was made then.
    """
    seed = {"seed": sampling.seed} if sampling.temperature > 0 else {}
    cut = any(completion.finish == "length" for completion in completions)
    return {
        **_source(engine, completions[0]),
        **engine.parameters(sampling),
        **seed,
        "max_tokens": max_tokens,
        "finish": "length" if cut else "stop",
        "tokens": sum(completion.tokens for completion in completions),
    }


def _source(engine: Engine, completion: Completion) -> dict[str, Any]:
    """What the engine says of itself, with how the text was made then where it was made by an earlier run."""
    if not completion.made_by:
        return engine.provenance()
    now = engine.making()
    kept = {name: value for name, value in engine.provenance().items() if name not in now}
    return {**kept, **completion.made_by}
