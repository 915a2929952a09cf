"""Models that are opened in a worker of a cluster: from their files, which are found there or brought, and their share.

Each function here opens one and is pickled with what it is given; what it returns takes tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from xqe.cluster import library
from xqe.cluster.opened import Make, opened
from xqe.cluster.shares import Share
from xqe.models.brought import Wanted, wanted

if TYPE_CHECKING:
    from xqe.cluster.wishes import Wishes
    from xqe.models.encoders.base import Encoder
    from xqe.models.encoders.local import Found
    from xqe.models.encoders.spread import Encoding
    from xqe.models.engines.base import Engine
    from xqe.models.engines.llama.adapters import Adapter
    from xqe.models.engines.llama.settings import Hardware, Settings
    from xqe.models.engines.spread import Answering
    from xqe.models.heads import Head

H = TypeVar("H", bound="Hardware")


def shared_hardware(hardware: H, share: Share) -> H:
    """How a model is run with a worker's share: on its cores, and on no GPU where it has none."""
    layers = 0 if not share.gpus else hardware.gpu_layers
    return replace(hardware, threads=share.cpus, gpu_layers=layers)


def sent(reference: str, path: Path, sha256: str) -> Wanted:
    """A file of this machine, to be had on the others of the cluster that this process is connected to."""
    found = wanted(reference, path, sha256)
    return replace(found, source=library.shelf(found.paths))


def spread_engine(
    face: Engine, wishes: Wishes, making: Callable[[Share], Make], uses_gpus: bool, verbose: bool = False
) -> Engine:
    """An engine on workers. face: the model without its weights. making: what opens it in a worker, by its share."""
    from xqe.models.engines.spread import SpreadEngine

    return SpreadEngine(face, opened(wishes, making, uses_gpus, verbose=verbose))


def spread_encoder(wishes: Wishes, making: Callable[[Share], Make], uses_gpus: bool, verbose: bool = False) -> Encoder:
    """An encoder on workers. making: what opens it in one, by its share."""
    from xqe.models.encoders.spread import SpreadEncoder, check_alike

    return SpreadEncoder(opened(wishes, making, uses_gpus, check_alike, verbose))


def generator(
    name: str, file: Wanted, settings: Settings, adapters: Sequence[tuple[Adapter, Wanted]], keeps: bool
) -> Answering:
    """keeps: what it reads of prompts, in the cache folder of its machine."""
    from xqe.models.engines.llama.engine import LlamaEngine
    from xqe.models.engines.spread import Answering
    from xqe.models.store.place import open_prefixes

    here = tuple(replace(adapter, path=str(its.here())) for adapter, its in adapters)
    prefixes = open_prefixes(None) if keeps else None
    return Answering(LlamaEngine(name, str(file.here()), file.sha256, settings, here, prefixes=prefixes))


def ranker(name: str, file: Wanted, head: Head, hardware: Hardware, pairs: int | None) -> Answering:
    from xqe.models.engines.llama.ranker import LlamaRanker
    from xqe.models.engines.spread import Answering

    return Answering(LlamaRanker(name, str(file.here()), file.sha256, head, hardware, pairs))


def fake_generator() -> Answering:
    from xqe.models.engines.fake import FakeEngine
    from xqe.models.engines.spread import Answering

    return Answering(FakeEngine())


def encoder(found: Found, file: Wanted, hardware: Hardware) -> Encoding:
    from xqe.models.encoders.spread import Encoding

    return Encoding(replace(found, how=replace(found.how, path=file.here())).open(hardware))


def any_encoder(make: Callable[[], Encoder]) -> Encoding:
    """One that has no file here. make: pickled."""
    from xqe.models.encoders.spread import Encoding

    return Encoding(make())


def making_generator(
    name: str,
    reference: str,
    path: Path,
    sha256: str,
    settings: Settings,
    adapters: Sequence[Adapter],
    keeps: bool,
    share: Share,
) -> Make:
    """What opens a model that generates in a worker, by its share. keeps: see `generator`."""
    its = [(one, sent(one.path, Path(one.path), one.sha256)) for one in adapters]
    return partial(generator, name, sent(reference, path, sha256), shared_hardware(settings, share), its, keeps)


def making_ranker(
    name: str, reference: str, path: Path, sha256: str, head: Head, hardware: Hardware, pairs: int | None, share: Share
) -> Make:
    """The same for a cross-encoder."""
    return partial(ranker, name, sent(reference, path, sha256), head, shared_hardware(hardware, share), pairs)


def making_encoder(found: Found, hardware: Hardware, share: Share) -> Make:
    """The same for an encoder of a GGUF file."""
    file = sent(found.how.reference, found.how.path, found.sha256)
    return partial(encoder, found, file, shared_hardware(hardware, share))
