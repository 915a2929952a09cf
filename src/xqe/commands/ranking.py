"""Opening a cross-encoder, and whether the model that is named is one."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from xqe.commands.generating import base_url_for, hardware_of
from xqe.errors import XqeError
from xqe.models.engines import FAKE, SERVER

if TYPE_CHECKING:
    from xqe.commands.options.generation import Generation
    from xqe.models.engines.base import Engine

# What only texts that are generated depend on. Options that a variable of the environment gives are not here: it is set
# once, for models of all kinds.
_OF_TEXTS = ("lora", "temperature", "top_p", "top_k", "repeat_penalty", "seed", "deterministic")


def ranks(options: Generation) -> bool:
    """Whether the model that --model names is the file of a re-ranker, if only of one that lacks its head."""
    name = options.model
    if name is None or name == FAKE or name.startswith(SERVER):
        return False
    from xqe.models.lookup import locate
    from xqe.models.purposes import Purpose, purpose_of

    try:
        return purpose_of(locate(name).path) in (Purpose.RANKS, Purpose.HEADLESS)
    except (XqeError, OSError):  # which whoever opens it says
        return False


def open_ranker(options: Generation) -> Engine:
    """The cross-encoder that --model names. Raises XqeError for what does not go together, and for what is none, before
    anything is loaded."""
    for field in fields(options):
        if field.name in _OF_TEXTS and getattr(options, field.name) != field.default:
            spelling = f"--{field.name.replace('_', '-')}"
            raise XqeError(f"{spelling} has no effect on a cross-encoder, which writes nothing", "leave it out")
    name = options.model
    if name is None:
        raise XqeError(
            "--kind cross needs a re-ranker, and --model names none", "give --model FILE.gguf, or another --kind"
        )
    if name == FAKE:
        from xqe.models.engines.fake import FakeEngine

        return FakeEngine()
    if name.startswith(SERVER):
        return _server(options, name.removeprefix(SERVER))
    return _local(options, name)


def _server(options: Generation, name: str) -> Engine:
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

    return LlamaRanker(
        resolved.name, str(resolved.path), sha256, head, hardware, options.batch, vocabulary_only=options.show_prompt
    )
