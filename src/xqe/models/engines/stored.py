"""An engine that asks a store before it generates, and keeps there what it has generated."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from xqe.errors import XqeError
from xqe.models.engines.base import Engine
from xqe.models.engines.jobs import Job
from xqe.models.engines.requests import Completion, Likelihood, Request
from xqe.models.engines.wrapper import Wrapper
from xqe.models.prompts import Pair, Text
from xqe.models.store.generation import Asked, Generation

if TYPE_CHECKING:
    from xqe.models.store.run import Store

T = TypeVar("T")

_WEIGHED = "weighed"  # among the parameters of a text whose likelihood is asked for


class StoredEngine(Wrapper):
    """Wraps an engine, which generates only what the store does not have and what is not under way already.

    Texts are stored at the moment they are finished, whatever else their job waits for; failures and empty texts are
    not. Closing it closes the engine, not the store.
    """

    def __init__(self, engine: Engine, store: Store) -> None:
        super().__init__(engine)
        self._store = store

    def generate(self, jobs: Iterable[Job[T]]) -> Iterator[Job[T]]:
        return self._engine.generate(map(_Desk(self._engine, self._store).receive, jobs))


class _Desk:
    """Receives the jobs of one run, answers what can be answered, and notes who waits for what.

    Jobs are received in the thread that reads them and completed in others. For each key under way there is a list of
    the positions that wait for it. It is removed only after the text is in the store, so that a request finds the one
    or the other; and whoever removes it fills all that was in it, so that nobody waits for ever.
    """

    def __init__(self, engine: Engine, store: Store) -> None:
        self._engine = engine
        self._store = store
        self._lock = threading.Lock()
        self._under_way: dict[bytes, list[tuple[Job[Any], int]]] = {}

    def receive(self, job: Job[T]) -> Job[T]:
        """Fill and claim what the engine need not generate, and see to it that the rest is stored."""
        owned: dict[int, Asked] = {}
        for position in job.open():
            asked = self._asked(job.requests[position])
            if asked is None or self._waits(job, position, asked):
                continue
            found = self._found(asked)
            if found is not None:
                job.fill(position, _reused(found, asked))
                continue
            with self._lock:
                self._under_way[asked.key] = []
            owned[position] = asked
        job.on_completion = partial(self._complete, owned)
        return job

    def _asked(self, request: Request) -> Asked | None:
        """What the text depends on; None for a prompt that cannot be rendered, which the engine has to say."""
        prompt, sampling = request.prompt, request.sampling
        try:
            rendered = self._engine.rendered(prompt)
        except XqeError:
            return None
        if request.is_measured:
            return Asked(
                identity=self._engine.identity(),
                parameters={"measured": _measured(request)},
                max_tokens=0,
                prompt=f"{rendered}\0{request.continuation}" if request.continuation else rendered,
            )
        return Asked(
            identity=self._engine.identity(),
            parameters={**self._engine.parameters(sampling), **({_WEIGHED: True} if request.is_weighed else {})},
            max_tokens=request.max_tokens,
            prompt=rendered,
            stop=prompt.stop if isinstance(prompt, Text) else None,
            seed=request.seed if sampling.temperature > 0 else None,
        )

    def _found(self, asked: Asked) -> Generation | None:
        """What there is of an earlier run, or from earlier in this one."""
        for identity in self._engine.identities():
            kept = asked if identity == asked.identity else replace(asked, identity=identity)
            found = self._store.get(kept.key)
            if found is not None and self._engine.vouches(found.made_by, identity):
                return found
        return None

    def _waits(self, job: Job[Any], position: int, asked: Asked) -> bool:
        """Claim a position if its text is under way."""
        with self._lock:
            waiting = self._under_way.get(asked.key)
            if waiting is None:
                return False
            job.claimed.add(position)
            waiting.append((job, position))
            return True

    def _complete(self, owned: dict[int, Asked], position: int, completion: Completion) -> None:
        """Store what the engine has generated, and pass it on to all who wait for it."""
        asked = owned.pop(position, None)
        if asked is None:  # it has come from here
            return
        made_by = completion.made_by or self._engine.making()
        if completion.has_failed:
            passed_on = replace(completion, tokens=0)
        else:
            passed_on = replace(completion, reused=True, made_by=made_by)
            if completion.text.strip():
                self._store.put(asked, _kept(completion, asked, self._engine.name, made_by))
        with self._lock:
            waiting = self._under_way.pop(asked.key)
        for job, place in waiting:
            job.fill(place, passed_on)


def _kept(completion: Completion, asked: Asked, model: str, made_by: Mapping[str, Any]) -> Generation:
    """A completion as it is stored: where its likelihood was asked for, with that, as JSON."""
    text, likelihood = completion.text, completion.likelihood
    if _WEIGHED in asked.parameters:
        text = json.dumps([text, *((likelihood.logprob, likelihood.tokens) if likelihood is not None else ())])
    return Generation(text, completion.finish, completion.tokens, model, made_by)


def _reused(found: Generation, asked: Asked) -> Completion:
    """The completion that a stored generation is."""
    text, weighed = found.text, []
    if _WEIGHED in asked.parameters:
        text, *weighed = json.loads(text)
    likelihood = Likelihood(*weighed) if weighed else None
    return Completion(text, found.finish, found.tokens, reused=True, made_by=found.made_by, likelihood=likelihood)


def _measured(request: Request) -> list[list[str]] | str:
    """What a request measures, as a key has it."""
    if isinstance(request.prompt, Pair):
        return "pair"
    return list(map(list, request.choices)) or "continuation"
