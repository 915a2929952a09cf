"""What the generating commands share: opening an engine, running a stage on it, and showing prompts instead."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import typer

from xqe.commands.spreading import check_placed, engine_on_workers, fake_on_workers, refuse_placed
from xqe.commands.streams import FAILED_STATUS, emit, first_of
from xqe.errors import XqeError
from xqe.files import jsonl
from xqe.lines import harmless
from xqe.messages import Progress, say
from xqe.models.engines import FAKE, SERVER

if TYPE_CHECKING:
    from xqe.commands.options.generation import Generation
    from xqe.files.records import Record
    from xqe.models.engines.base import Engine
    from xqe.models.store.run import Store
    from xqe.stages.generation import Generating, Tally


Over = Callable[["Generating", "Engine", "Iterable[Record]", "Tally"], "Iterator[Record]"]
Write = Callable[["Iterable[Record]"], object]
"""Writes each record as it comes."""


class Arriving(Protocol):
    """Records as they arrive. total: how many, where it is known beforehand."""

    total: int | None

    def __iter__(self) -> Iterator[Record]: ...


def open_engine(options: Generation, measures: bool = False) -> Engine:
    """The engine that --model names. Raises XqeError for what does not go together, before anything is loaded.

    measures: it says how likely texts are, and need not write any (`purposes.check_generates`).
    """
    if options.lora:
        from xqe.models.engines.llama.adapters import parted

        for text in options.lora:
            parted(text)
    check_placed(options)
    if options.model == FAKE:
        return open_fake(options)
    if options.model is not None and options.model.startswith(SERVER):
        return _server(options, options.model.removeprefix(SERVER))
    if options.base_url is not None and options.model is None:
        raise XqeError("--base-url names a server but no model of it", f"add --model {SERVER}NAME")
    return _local(options, measures)


def open_fake(options: Generation) -> Engine:
    """The fake engine, where the options want it."""
    if options.on is not None and not options.show_prompt:
        return fake_on_workers(options)
    from xqe.models.engines.fake import FakeEngine

    return FakeEngine()


def base_url_for(options: Generation, name: str) -> str:
    """The URL of the server of a model. Raises XqeError where it, or the name of the model, is missing."""
    if options.base_url is None:
        raise XqeError(f"{SERVER}{name} names no server", "add --base-url URL, such as http://localhost:8080/v1")
    if not name:
        raise XqeError(f"--model {SERVER} names no model", f"give --model {SERVER}NAME")
    return options.base_url


def _server(options: Generation, name: str) -> Engine:
    refuse_placed(options, "the model of a server", "leave it out: a server shares out requests by itself")
    for option, is_given in (("--lora", options.lora), ("--deterministic", options.deterministic)):
        if is_given:
            raise XqeError(f"{option} has no effect on the model of a server", "leave it out, or give it to the server")
    base_url = base_url_for(options, name)
    from xqe.models.engines.openai import OpenAIEngine, Settings

    settings = Settings(base_url, options.api.value, options.batch, options.timeout, options.retries, options.verbose)
    return OpenAIEngine(name, settings, check=not options.show_prompt)


def hardware_of(options: Generation) -> dict[str, Any]:
    """What a model in this process is run on: the fields of `llama.settings.Hardware`."""
    from xqe.models.engines.llama.settings import Hardware

    said = {field.name: getattr(options, field.name) for field in fields(Hardware)}
    return {**said, "tensor_split": options.tensor_split or ()}


def _local(options: Generation, measures: bool) -> Engine:
    from xqe.models import registry
    from xqe.models.engines.llama import adapters as lora
    from xqe.models.engines.llama import settings as llama
    from xqe.models.lookup import resolve
    from xqe.models.purposes import check_generates
    from xqe.models.verification import model_sha256

    adapters = tuple(lora.adapter(text) for text in options.lora or [])
    settings = llama.Settings(
        **hardware_of(options),
        batch=options.batch,
        context=options.ctx,
        gpu_sampling=options.gpu_sampling,
        cache_type=options.cache_type,
        deterministic=options.deterministic,
    )
    settings.check()
    name = options.model
    if name is None:
        name = registry.default_model()
        registry.announce_default()
    resolved = resolve(name)
    check_generates(resolved.name, resolved.path, measures)
    sha256 = model_sha256(resolved.path)
    from xqe.models.engines.llama.engine import LlamaEngine
    from xqe.models.lent import lent_engine
    from xqe.models.store.place import open_prefixes

    if options.on is not None and not options.show_prompt:
        from xqe.models.away import making_generator

        face = LlamaEngine(resolved.name, str(resolved.path), sha256, settings, adapters, vocabulary_only=True)
        keeps = not options.no_store
        making = partial(making_generator, resolved.name, name, resolved.path, sha256, settings, adapters, keeps)
        return engine_on_workers(face, options, making)
    prefixes = None if options.no_store or options.show_prompt else open_prefixes(options.store)
    depends_on = (resolved.name, str(resolved.path), sha256, settings, adapters, options.show_prompt)
    return lent_engine(
        "generator",
        (*depends_on, prefixes and prefixes.folder),
        lambda: LlamaEngine(*depends_on[:5], vocabulary_only=options.show_prompt, prefixes=prefixes),
    )


@contextmanager
def open_store(options: Generation) -> Iterator[Store | None]:
    """The store of finished generations, None for none. The fake engine has one only where one is named.

    Raises XqeError where the one that --store names cannot be used; without the default one a run goes on.
    """
    is_named = options.store is not None
    if options.no_store or options.show_prompt or (options.model == FAKE and not is_named):
        yield None
        return
    from xqe.models.store.place import file_of
    from xqe.models.store.run import Store

    try:
        store = Store(file_of(options.store))
    except XqeError as error:
        if is_named:
            raise
        say(f"{error}; this run reuses and keeps no generations")
        yield None
        return
    with store:
        yield store


def keeping(engine: Engine, store: Store | None) -> Engine:
    """The engine with a store before it, if there is one."""
    if store is None:
        return engine
    from xqe.models.engines.stored import StoredEngine

    return StoredEngine(engine, store)


def run_stage(
    name: str,
    queries: Arriving,
    options: Generation,
    make: Callable[[Engine], Generating],
    over: Over | None = None,
    write: Write = emit,
    scores: bool = False,
    opening: Callable[[Generation], Engine] = open_engine,
) -> None:
    """Run the stage that `make` builds for the engine, or show its prompts; no model is loaded for no records.

    name: of the command. over: how it is run over records, where that is another way than `stages.generation.run`.
    write: how records are written. scores: whether scores are made, and not texts. opening: what opens the engine.
    """
    from xqe.stages.generation import Tally, prompts_of, run

    over = over or run
    arrived = first_of(queries)
    if arrived is None:
        return
    tally = Tally(scores)

    def speed() -> str:
        return tally.speed(engine.tokens_so_far)

    shown = Progress(name, queries.total, speed=speed)
    shown.doing = "loading the model"
    with ExitStack() as opened:
        opened.enter_context(shown)
        store = opened.enter_context(open_store(options))
        engine = keeping(opened.enter_context(opening(options)), store)
        stage = make(engine)
        if options.show_prompt:
            _show(prompts_of(stage, engine, arrived))
            return
        try:
            write(shown.each(over(stage, engine, arrived, tally)))
        except (KeyboardInterrupt, XqeError):  # not a closed pipe, which ends quietly
            _summarize(stage, tally, options)
            raise
    _summarize(stage, tally, options)
    if tally.failed:
        raise typer.Exit(FAILED_STATUS)


def _summarize(stage: Generating, tally: Tally, options: Generation) -> None:
    if not options.quiet:
        say(f"{stage.name}: {tally.line()}")


def _show(prompts: Iterator[tuple[str, str]]) -> None:
    """Write each prompt to stdout, as it is but on a terminal, and to stderr whose it is."""
    for identifier, text in prompts:
        say(f"prompt of {identifier}:")
        jsonl.write(harmless(text) if sys.stdout.isatty() else text)
