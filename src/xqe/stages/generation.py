"""What the generating stages share: how one is run over records, how a text is sampled, what its answer comes to."""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Protocol, TypeVar

from xqe.errors import XqeError
from xqe.files.arriving import together
from xqe.files.records import Record, failed, has_failed
from xqe.models.engines.base import Engine
from xqe.models.engines.jobs import Job
from xqe.models.engines.requests import Completion, Request, Sampling
from xqe.models.prompts import Prompt
from xqe.text.answers.parting import Parted, Wanted, parted

_SEED_BITS = 31
AT_A_TIME = 256
"""Records that go from round to round together."""

T = TypeVar("T")
S = TypeVar("S", bound="Generating")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request, and what of it is the text that was asked for. is_optional: its record can do without.
    field: what it was asked for as (`Wanted`)."""

    request: Request
    completion: Completion
    parted: Parted
    is_optional: bool = False
    field: str = "answer"

    @property
    def text(self) -> str:
        return self.parted.text

    @property
    def problem(self) -> str:
        """Why its record cannot be done, or the empty string."""
        return self.completion.error or ("" if self.is_optional else self.parted.problem)


class Stage(Protocol):
    """A step of the pipe that generates: what a record needs, and what becomes of it."""

    name: str

    def requests(self, record: Record) -> list[Request]:
        """The texts to generate for a record; none if it is to pass unchanged. Raises XqeError if it cannot be done."""

    def wanted(self, record: Record) -> Sequence[Wanted | None]:
        """What the answer to each of `requests(record)` should be; None for one that is taken as it comes."""

    def result(self, record: Record, answers: Sequence[Answer]) -> Record:
        """The record after the stage; `answers` are those to `requests(record)`, and of these only optional ones are
        of no use."""


class Round(Stage, Protocol):
    """What is asked about one record, round by round: each round as a stage, which keeps its answers."""

    @property
    def has_more(self) -> bool:
        """Whether there is another round."""

    def finished(self, record: Record) -> Record:
        """The record after all rounds, none of which failed."""


class Rounds(ABC):
    """A step that asks again, by what came of what it asked before."""

    name: str

    @abstractmethod
    def begun(self, record: Record) -> Round:
        """What is asked about a record."""

    def requests(self, record: Record) -> list[Request]:
        """What is asked first, which is all that is known before there are answers."""
        return self.begun(record).requests(record)


Generating = Stage | Rounds
"""A step of the pipe that generates, at once or in rounds."""


@dataclass(slots=True)
class Tally:
    """What a run has done so far.

    records: that left it. failed: of these, with an error of this stage or an earlier one. generated, reused: texts
    that were made now, and that were there. tokens: of those made now. seconds: since the run began to read. scores:
    whether what is made are scores, and not texts.
    """

    scores: bool = False

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
        made = f"{self.generated} {'scored' if self.scores else 'generated'}"
        counts = f"{self.records} records, {made}, {self.reused} reused, {self.failed} failed"
        return f"{counts}, {self.speed()}" if self.scores else f"{counts}, {self.tokens} tokens, {self.speed()}"

    def speed(self, under_way: int = 0) -> str:
        """How much is made in a second. under_way: tokens, of texts that are not done, too, where that is told."""
        seconds = max(time.monotonic() - self._start, 1e-9)
        if self.scores:
            return f"{self.generated / seconds:.1f} scored/s"
        return f"{max(self.tokens, under_way) / seconds:.0f} tokens/s"


def run(stage: Generating, engine: Engine, records: Iterable[Record], tally: Tally | None = None) -> Iterator[Record]:
    """Run a stage over records: one out for one in, in order; `tally` counts what leaves.

    A record that an earlier stage failed on passes as it is; one that this stage cannot do keeps its state and
    gains "error". Records are read ahead of those that are yielded.
    """
    counts = tally or Tally()
    counts.begin()
    for _, record, answers in run_all(((stage, record) for record in records), engine):
        counts.count(record, [answer.completion for answer in answers])
        yield record


def run_all(work: Iterable[tuple[S, Record]], engine: Engine) -> Iterator[tuple[S, Record, list[Answer]]]:
    """Run records of several stages as one stream, so that the end of one does not leave the engine half empty.

    Yields each record, as `run` does and in the same order, with its stage and the answers that it needed. On Ctrl-C
    those that are done come out of their order, and then KeyboardInterrupt is raised. Records of a stage that asks in
    rounds go through them `AT_A_TIME` together, or as many as have arrived.
    """
    for is_in_rounds, some in groupby(work, lambda each: isinstance(each[0], Rounds)):
        through = _in_rounds if is_in_rounds else _at_once
        yield from through(some, engine)


def _at_once(work: Iterable[tuple[S, Record]], engine: Engine) -> Iterator[tuple[S, Record, list[Answer]]]:

    def job(work: tuple[S, Record]) -> Job[tuple[S, Record]]:
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
        answers: list[Answer] = []
        if completions:
            assert not isinstance(stage, Rounds)
            answers = answers_of(stage, record, done.requests, completions, engine)
            message = next(filter(None, (answer.problem for answer in answers)), "")
            record = failed(record, stage.name, message) if message else stage.result(record, answers)
        yield stage, record, answers


@dataclass(slots=True)
class _UnderWay:
    """A record between rounds."""

    rounds: Round
    record: Record
    answers: list[Answer] = field(default_factory=list)

    @property
    def has_more(self) -> bool:
        return self.rounds.has_more and not has_failed(self.record)


def _in_rounds(work: Iterable[tuple[S, Record]], engine: Engine) -> Iterator[tuple[S, Record, list[Answer]]]:
    for group in together(work, AT_A_TIME):
        stages = [stage for stage, _ in group]
        under_way = [_UnderWay(stage.begun(record), record) for stage, record in group if isinstance(stage, Rounds)]
        while some := [one for one in under_way if one.has_more]:
            done = _at_once(((one.rounds, one.record) for one in some), engine)
            for one, (_, record, answers) in zip(some, done, strict=True):
                one.record = record
                one.answers += answers
        for stage, one in zip(stages, under_way, strict=True):
            yield stage, one.record if has_failed(one.record) else one.rounds.finished(one.record), one.answers


def answers_of(
    stage: Stage, record: Record, requests: Sequence[Request], completions: Sequence[Completion], engine: Engine
) -> list[Answer]:
    """The completions of a record's requests, each taken apart if there is any text."""

    def answer(wanted: Wanted | None, request: Request, done: Completion) -> Answer:
        if done.has_failed or wanted is None:
            return Answer(request, done, Parted(done.text), field=wanted.field if wanted else "answer")
        found = parted(done.text, wanted, engine.prompt_end(request.prompt), done.finish == "length")
        return Answer(request, done, found, wanted.is_optional, wanted.field)

    return list(map(answer, stage.wanted(record), requests, completions))


def prompts_of(stage: Generating, engine: Engine, records: Iterable[Record]) -> Iterator[tuple[str, str]]:
    """Yield (record id, prompt) for the texts that the stage would have generated, as the model would see it, and
    behind the prompt what is measured after it; once for several of one prompt."""
    for record in records:
        requests = stage.requests(record) if not has_failed(record) else ()
        for prompt, continuation in dict.fromkeys((request.prompt, request.continuation) for request in requests):
            yield record["id"], engine.show(prompt) + continuation


def request(
    prompt: Prompt,
    subject: str,
    max_tokens: int,
    sampling: Sampling,
    record: Record,
    number: int,
    noted: Any = None,
) -> Request:
    """The request for the `number`th text of a record. Its seed depends on the run's seed, the record's id and the
    number, and on nothing else: not on the records beside it or their order."""
    key = f"{sampling.seed}\0{record['id']}\0{number}".encode("utf-8", "replace")
    seed = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") % (1 << _SEED_BITS)
    return Request(prompt, subject, max_tokens, sampling, seed, noted=noted)


def one_line(text: str) -> str:
    """`text` with every run of white space as one space: a prompt's lines are its structure."""
    return " ".join(text.split())


def provenance(
    engine: Engine, sampling: Sampling, max_tokens: int | Mapping[str, int], answers: Sequence[Answer]
) -> dict[str, Any]:
    """The fields of a step that say how its texts came about, enough to make them again.

    max_tokens: the limit for one text, or for each kind. seed: only where it mattered. finish: "length" if any text
    was cut off, else "stop". tokens: of all of them. A text that was reused says how it was made then. taken_off: what
    stood around the texts, and raw: each answer as it came, None for one that is the text as it is; only where there is
    any.
    """
    completions = [answer.completion for answer in answers]
    seed = {"seed": sampling.seed} if sampling.temperature > 0 else {}
    cut = any(completion.finish == "length" for completion in completions)
    return {
        **made_by(engine, completions[0]),
        **engine.parameters(sampling),
        **seed,
        "max_tokens": max_tokens,
        "finish": "length" if cut else "stop",
        "tokens": sum(completion.tokens for completion in completions),
        **_taken_off(answers),
    }


def of_no_use(answers: Sequence[Answer]) -> dict[str, Any]:
    """What a step says of answers that its record did without: "dropped", how many for each reason; nothing where all
    are of use."""
    dropped = Counter(answer.parted.problem for answer in answers if answer.parted.problem)
    return {"dropped": dict(dropped)} if dropped else {}


def _taken_off(answers: Sequence[Answer]) -> dict[str, Any]:
    taken = list(dict.fromkeys(kind for answer in answers for kind in answer.parted.taken))
    raw = [answer.completion.text if answer.parted.taken else None for answer in answers]
    return {"taken_off": taken, "raw": raw} if taken else {}


def made_by(engine: Engine, completion: Completion) -> dict[str, Any]:
    """What the engine says of itself, with how the text was made then where it was made by an earlier run."""
    if not completion.made_by:
        return engine.provenance()
    now = engine.making()
    kept = {name: value for name, value in engine.provenance().items() if name not in now}
    return {**kept, **completion.made_by}
