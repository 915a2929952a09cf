"""The sides that `generation.py` compares, each a class with a `run`: the same texts, timed.

Every side that runs llama.cpp in Python has a process of its own, so that none gets the threads, the memory or the
environment of another: xqe sets GOMP_SPINCOUNT for its own process, and the others have it as it was given.
"""

from __future__ import annotations

import json
import multiprocessing
import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bare import Ask, Bare
from cases import Case, Work, prepared

SEQUENCES = 32
LONGEST = 2048  # tokens of a prompt and its text, for the sides that must know beforehand


@dataclass(frozen=True, slots=True)
class Setup:
    """model: as xqe's --model. path: of its file."""

    model: str
    path: str
    threads: int


@dataclass(slots=True)
class Outcome:
    """What a side made of some work.

    seconds: from the first prompt to the last text, with the model loaded. tokens: sampled in that time. texts: None
    for one that came to nothing. wall: seconds of the whole process, where a side starts one. steps: batches decoded.
    inside: seconds within llama.cpp's decoding. opening: of making its context. prompt, prefix: tokens of the prompts,
    and of what they share.
    """

    seconds: float
    tokens: int
    texts: list[str | None] = field(repr=False)
    wall: float | None = None
    steps: int | None = None
    inside: float | None = None
    opening: float | None = None
    prompt: int | None = None
    prefix: int | None = None


class Side(Protocol):
    def run(self, work: Work) -> Outcome:
        """Generate the texts of `work`, starting with nothing in the cache."""

    def close(self) -> None:
        """End what the side started."""


class Command:
    """`xqe expand` or `xqe translate` as a whole, from the shell. Its seconds are those of its summary line, whose
    clock starts when the model is loaded; start-up is in `wall`."""

    _SUMMARY = re.compile(r"(\d+) failed, (\d+) tokens, (\d+) tokens/s$", re.MULTILINE)

    def __init__(self, setup: Setup) -> None:
        self._run = ["--model", setup.model, "--threads", str(setup.threads), "--batch", str(SEQUENCES), "--no-store"]

    def run(self, work: Work) -> Outcome:
        arguments = [sys.executable, "-m", "xqe", *(work.command or ()), *self._run]
        start = time.perf_counter()
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8")
        wall = time.perf_counter() - start
        summary = self._SUMMARY.search(done.stderr)
        if summary is None:
            raise SystemExit(f"{' '.join(arguments[1:])}\n{done.stderr}")
        tokens, rate = int(summary[2]), max(1, int(summary[3]))
        return Outcome(tokens / rate, tokens, list(_texts(done.stdout, work)), wall)

    def close(self) -> None:
        """Nothing is left running."""


def _texts(output: str, work: Work) -> list[str | None]:
    texts: list[str | None] = []
    for line in output.splitlines():
        record = json.loads(line)
        made = [record["query"]] if work.case.verb == "translate" else record.get("passages", [])
        texts += [None] * work.case.samples if "error" in record else made
    return texts


class Watch:
    """Adds up the time within functions of llama_cpp, which is replaced in this process: `calls` of the first one."""

    _WATCHED = ("llama_decode", "llama_get_logits", "llama_init_from_model")

    def __init__(self) -> None:
        import llama_cpp

        self.seconds = dict.fromkeys(self._WATCHED, 0.0)
        self.calls = 0
        for name in self._WATCHED:
            setattr(llama_cpp, name, self._watched(name, getattr(llama_cpp, name)))

    def reset(self) -> None:
        self.seconds = dict.fromkeys(self._WATCHED, 0.0)
        self.calls = 0

    def _watched(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        counts = name == self._WATCHED[0]

        def call(*arguments: Any) -> Any:
            start = time.perf_counter()
            result = function(*arguments)
            self.seconds[name] += time.perf_counter() - start
            self.calls += counts
            return result

        return call

    @property
    def inside(self) -> float:
        return self.seconds["llama_decode"] + self.seconds["llama_get_logits"]

    @property
    def opening(self) -> float:
        return self.seconds["llama_init_from_model"]


class Engine:
    """xqe's engine without the command around it. The context is opened within the time, as in the command."""

    def __init__(self, setup: Setup) -> None:
        from xqe.models.engines.llama.engine import LlamaEngine
        from xqe.models.engines.llama.settings import Settings

        self._watch = Watch()
        settings = Settings(batch=SEQUENCES, threads=setup.threads)
        self._engine = LlamaEngine(setup.model, setup.path, settings=settings)

    def prepare(self, case: Case, folder: Path, queries: int, max_tokens: int) -> Work:
        return prepared(case, self._engine, folder, queries, max_tokens)

    def run(self, work: Work) -> Outcome:
        from xqe.models.engines.jobs import Job

        self._watch.reset()
        start = time.perf_counter()
        jobs = list(self._engine.generate(Job(None, requests) for requests in work.requests))
        seconds = time.perf_counter() - start
        made = [completion for job in jobs for completion in job.results()]
        return Outcome(
            seconds,
            sum(completion.tokens for completion in made),
            [None if completion.has_failed else completion.text for completion in made],
            steps=self._watch.calls,
            inside=self._watch.inside,
            opening=self._watch.opening,
            prompt=self._engine.counts.prompt,
        )

    def is_chat(self) -> bool:
        return self._engine.is_chat

    def close(self) -> None:
        self._engine.close()


class BareLoop:
    """The loop of `bare.py`. Opening the context is not counted."""

    def __init__(self, setup: Setup) -> None:
        self._watch = Watch()
        self._bare = Bare(setup.path, setup.threads, SEQUENCES)

    def run(self, work: Work) -> Outcome:
        self._watch.reset()
        answers = self._bare.generate(work.asks)
        return Outcome(
            self._bare.seconds,
            sum(answer.tokens for answer in answers),
            [answer.text for answer in answers],
            steps=self._watch.calls,
            inside=self._watch.inside,
            opening=self._watch.opening,
            prompt=self._bare.prompt_tokens,
            prefix=self._bare.prefix_tokens,
        )

    def close(self) -> None:
        """The process ends, and with it the model."""


class OneByOne:
    """`llama_cpp.Llama.create_completion` in a loop, with the class's own defaults but for the threads; it keeps the
    cells of its last prompt, so what one prompt and the next begin with is decoded once."""

    def __init__(self, setup: Setup) -> None:
        from llama_cpp import Llama

        threads = setup.threads
        self._llama = Llama(setup.path, n_ctx=LONGEST, n_threads=threads, n_threads_batch=threads, verbose=False)

    def run(self, work: Work) -> Outcome:
        # what it kept of an earlier run would be a head start
        self._llama.reset()  # type: ignore[no-untyped-call]
        start = time.perf_counter()
        made = [self._complete(ask) for ask in work.asks]
        seconds = time.perf_counter() - start
        return Outcome(seconds, sum(tokens for _, tokens in made), [text for text, _ in made])

    def _complete(self, ask: Ask) -> tuple[str, int]:
        """The text and its tokens; the class does not count the token that ends a text by itself, the others do."""
        done: Any = self._llama.create_completion(
            ask.prompt,
            max_tokens=ask.max_tokens,
            temperature=ask.temperature,
            top_k=ask.top_k,
            top_p=ask.top_p,
            min_p=0.0,
            repeat_penalty=1.0,
            stop=list(ask.stop),
            seed=ask.seed,
        )
        choice = done["choices"][0]
        ended_itself = choice["finish_reason"] == "stop" and not ask.stop
        return choice["text"], done["usage"]["completion_tokens"] + ended_itself

    def close(self) -> None:
        self._llama.close()


_side: Any = None


def _make(make: Callable[[Setup], Any], setup: Setup) -> None:
    global _side
    _side = make(setup)


def _call(method: str, arguments: tuple[Any, ...]) -> Any:
    return getattr(_side, method)(*arguments)


class Apart:
    """A side in a process of its own, which lives until it is closed."""

    def __init__(self, make: Callable[[Setup], Any], setup: Setup) -> None:
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        self._pool.submit(_make, make, setup).result()

    def call(self, method: str, *arguments: Any) -> Any:
        return self._pool.submit(_call, method, arguments).result()

    def run(self, work: Work) -> Outcome:
        outcome: Outcome = self.call("run", work)
        return outcome

    def close(self) -> None:
        self.call("close")
        self._pool.shutdown()
