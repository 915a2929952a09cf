"""From options to models in workers of a cluster, instead of in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from xqe.commands.options.cluster import OPTIONS
from xqe.errors import XqeError

if TYPE_CHECKING:
    from xqe.cluster.opened import Make
    from xqe.cluster.shares import Share
    from xqe.cluster.wishes import Wishes
    from xqe.models.encoders.base import Encoder
    from xqe.models.engines.base import Engine
    from xqe.retrieval.lexical.dealing import Builders


class Placed(Protocol):
    """Options that say where a model runs."""

    @property
    def on(self) -> str | None: ...
    @property
    def workers(self) -> int | None: ...
    @property
    def worker_cpus(self) -> int | None: ...
    @property
    def worker_gpus(self) -> float | None: ...
    @property
    def threads(self) -> int | None: ...
    @property
    def gpu_layers(self) -> int | None: ...
    @property
    def verbose(self) -> bool: ...


def check_placed(options: Placed) -> None:
    """Raise XqeError for options of a cluster without one, and for a place that is none."""
    if options.on is not None:
        wishes_of(options)
        return
    for name in OPTIONS:
        if getattr(options, name) is not None:
            raise XqeError(f"--{name.replace('_', '-')} has no effect without --on", "add --on ray, or leave it out")


def refuse_placed(options: Placed, what: str, hint: str = "leave it out") -> None:
    """Raise XqeError where a model is to be elsewhere that is of a kind which cannot be."""
    check_placed(options)
    if options.on is not None:
        raise XqeError(f"--on has no effect on {what}", hint)


def wishes_of(options: Placed) -> Wishes:
    """What is asked of the cluster."""
    from xqe.cluster.wishes import wishes

    assert options.on is not None
    return wishes(options.on, options.workers, options.worker_cpus or options.threads, options.worker_gpus)


@contextmanager
def on_cluster(options: Placed) -> Iterator[None]:
    """Be connected, if the options ask for it, while several models are opened one after the other."""
    check_placed(options)
    if options.on is None:
        yield
        return
    from xqe.cluster.library import connected

    with connected(wishes_of(options), options.verbose):
        yield


def engine_on_workers(face: Engine, options: Placed, making: Callable[[Share], Make]) -> Engine:
    """An engine on the workers that the options ask for. face: the model without its weights."""
    from xqe.models.away import spread_engine

    return spread_engine(face, wishes_of(options), making, options.gpu_layers != 0, options.verbose)


def encoder_on_workers(options: Placed, making: Callable[[Share], Make], uses_gpus: bool = True) -> Encoder:
    """An encoder on the workers that the options ask for."""
    from xqe.models.away import spread_encoder

    return spread_encoder(wishes_of(options), making, uses_gpus and options.gpu_layers != 0, options.verbose)


def fake_on_workers(options: Placed) -> Engine:
    """The fake engine on workers, of which none needs a GPU."""
    from xqe.models.away import fake_generator, spread_engine
    from xqe.models.engines.fake import FakeEngine

    def making(share: Share) -> Make:
        return fake_generator

    return spread_engine(FakeEngine(), wishes_of(options), making, False, options.verbose)


def shard_builders(options: Placed) -> Builders | None:
    """What builds the shards of an index on the workers that the options ask for; None for this machine."""
    if options.on is None:
        return None
    from xqe.retrieval.lexical.spread import by_workers

    return by_workers(wishes_of(options), options.verbose)
