"""From options to what re-ranks, the same for every command that does."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING

from xqe.commands.generating import base_url_for, hardware_of, open_engine, open_fake
from xqe.commands.options.generation import Api
from xqe.commands.spreading import check_placed, engine_on_workers, refuse_placed
from xqe.errors import XqeError
from xqe.models.engines import FAKE, SERVER
from xqe.stages.rerank.kinds import FIRST_WEIGHT, Kind, usual_kind

if TYPE_CHECKING:
    from xqe.commands.options.generation import Generation
    from xqe.commands.options.reranking import Reranking
    from xqe.models.engines.base import Engine
    from xqe.stages.rerank.reranker import How


_OF_TEXTS = ("lora", "deterministic")
"""What has no effect on a cross-encoder, beside what is drawn. Options that a variable of the environment gives are not
here: it is set once, for models of all kinds."""


def of_model(generation: Generation, model: str | None) -> Generation:
    """The options of what re-ranks where another model than that of --model does it; None for that one."""
    return generation if model is None else replace(generation, model=model, lora=None)


def how_of(options: Reranking, generation: Generation, writes: bool = False) -> How:
    """How hits are re-ranked. generation: of the model that does it. writes: whether the command has a model that
    writes, too. Raises XqeError for what does not go together, before anything is opened."""
    kind = options.kind or usual_kind(generation.model)
    given = [field.name for field in fields(options) if getattr(options, field.name) != field.default]
    kind.check_effect({name: f"--{name.replace('_', '-')}" for name in given})
    for name in () if writes or kind is not Kind.CROSS else _OF_TEXTS:
        if getattr(generation, name):
            raise XqeError(f"--{name} has no effect on a cross-encoder, which writes nothing", "leave it out")
    check_model(kind, generation)
    from xqe.stages.rerank.reranker import How

    return How(
        kind,
        kind.template(options.prompt),
        options.n,
        FIRST_WEIGHT if options.first_weight is None else options.first_weight,
        options.document_tokens,
        options.query,
        options.max_tokens,
    )


def check_model(kind: Kind, generation: Generation) -> None:
    """Raise XqeError for a model that cannot re-rank in this way, as far as it is known before it is opened."""
    from xqe.models.purposes import RERANKER, check_generates, check_ranks

    name = generation.model
    if name == FAKE or (name is None and kind is not Kind.CROSS):
        return
    if name is None:
        raise XqeError(f"{kind} needs a re-ranker, and no model is named", f"name {RERANKER}")
    if name.startswith(SERVER):
        if kind is Kind.LIKELIHOOD and generation.api is Api.CHAT:
            raise XqeError(
                f"{kind} needs the log-probabilities of a prompt, which no server tells of a chat",
                f"give --api completions, or re-rank by {Kind.YES_NO} or {Kind.LISTWISE}",
            )
        return
    from xqe.models.lookup import resolve

    found = resolve(name)
    if kind is Kind.CROSS:
        check_ranks(found.name, found.path)
    else:
        check_generates(found.name, found.path, measures=kind.gives_scores)


def open_reranker(kind: Kind, generation: Generation) -> Engine:
    """The model that re-ranks in this way, which `check_model` has been asked about. Raises XqeError for what does not
    go together, before anything is loaded."""
    if kind is not Kind.CROSS:
        return open_engine(generation, measures=kind.gives_scores)
    name = generation.model
    assert name is not None  # or it was refused
    check_placed(generation)
    if name == FAKE:
        return open_fake(generation)
    if name.startswith(SERVER):
        return _server(generation, name.removeprefix(SERVER))
    return _local(generation, name)


def _server(options: Generation, name: str) -> Engine:
    refuse_placed(options, "the model of a server", "leave it out: a server shares out requests by itself")
    base_url = base_url_for(options, name)
    from xqe.models.engines.client import Connection
    from xqe.models.engines.rerankers import IN_FLIGHT, Reranker

    in_flight = options.batch or IN_FLIGHT
    connection = Connection(base_url, in_flight, options.timeout, options.retries, options.verbose)
    return Reranker(name, connection, check=not options.show_prompt)


def _local(options: Generation, name: str) -> Engine:
    from xqe.models.engines.llama.settings import Hardware
    from xqe.models.lookup import resolve
    from xqe.models.purposes import check_ranks
    from xqe.models.verification import model_sha256

    hardware = Hardware(**hardware_of(options))
    resolved = resolve(name)
    head = check_ranks(resolved.name, resolved.path)
    sha256 = model_sha256(resolved.path)
    from xqe.models.engines.llama.ranker import LlamaRanker
    from xqe.models.lent import lent_engine

    if options.on is not None and not options.show_prompt:
        from xqe.models.away import making_ranker

        face = LlamaRanker(resolved.name, str(resolved.path), sha256, head, hardware, vocabulary_only=True)
        making = partial(making_ranker, resolved.name, name, resolved.path, sha256, head, hardware, options.batch)
        return engine_on_workers(face, options, making)
    depends_on = (resolved.name, str(resolved.path), sha256, head, hardware, options.batch)
    return lent_engine(
        "reranker",
        (*depends_on, options.show_prompt),
        lambda: LlamaRanker(*depends_on, vocabulary_only=options.show_prompt),
    )
