"""From wishes to workers that are at work."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from xqe.cluster import library
from xqe.cluster.pool import Pool
from xqe.cluster.shares import Node, Share, shared
from xqe.cluster.wishes import Wishes
from xqe.cluster.worker import Held
from xqe.machine import available_cores

Make = Callable[[], Held]


@contextmanager
def opened(
    wishes: Wishes,
    making: Callable[[Share], Make],
    uses_gpus: bool = False,
    check: Callable[[Mapping[str, Any], Mapping[str, Any]], None] = lambda first, other: None,
    verbose: bool = False,
) -> Iterator[Pool]:
    """Workers that hold what `making` says for their share; it returns what opens that in a worker, to be pickled.

    uses_gpus: whether it can use GPUs. check: see `Pool`. Raises XqeError for a cluster that cannot be joined, and for
    more than it has.
    """
    if wishes.is_local:  # what it cannot have is known before Ray is started, but for GPUs
        shared([Node(available_cores(), math.inf)], wishes, uses_gpus=False)
    with library.connected(wishes, verbose):
        share = shared(library.nodes(), wishes, uses_gpus)
        make = making(share)
        with Pool(lambda: library.Actor(make, share), share.workers, check, lambda: library.lacking(share)) as pool:
            yield pool
