"""How many workers a cluster has room for, and what each of them gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xqe.cluster.wishes import Wishes
from xqe.errors import XqeError
from xqe.messages import plural


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of a cluster, by what it lends; one that lends no CPU, as a head may, has no worker."""

    cpus: float
    gpus: float = 0.0


@dataclass(frozen=True, slots=True)
class Share:
    """workers: how many. cpus, gpus: of each."""

    workers: int
    cpus: int
    gpus: float = 0.0

    def __str__(self) -> str:
        gpus = f" and {plural_of(self.gpus)}" if self.gpus else ""
        return f"{plural(self.cpus, 'CPU')}{gpus}"


def shared(nodes: Sequence[Node], wishes: Wishes, uses_gpus: bool = True) -> Share:
    """What each worker gets: what is asked for, and else a GPU each where there are any, or one worker a machine, and
    its cores divided among those on it.

    uses_gpus: whether what a worker holds can use one. Raises XqeError for more than there is. A cluster that was
    joined may grow, so that all of it is taken at its word where the workers and their cores were given.
    """
    gpus = wishes.gpus
    if gpus is None:
        gpus = 1.0 if uses_gpus and any(node.gpus >= 1 for node in nodes) else 0.0
    least = wishes.cpus or 1
    room = [_room(node, least, gpus) for node in nodes]
    fitting = [(node, count) for node, count in zip(nodes, room, strict=True) if count]
    grows = wishes.joins and wishes.workers is not None and wishes.cpus is not None
    if not fitting and not grows:
        asked = Share(1, least, gpus)
        most = max(nodes, key=lambda node: (node.gpus, node.cpus), default=Node(0))
        raise XqeError(
            f"no machine of the cluster has room for a worker with {asked}: the largest lends "
            f"{most.cpus:g} CPUs and {plural_of(most.gpus)}",
            "give lower --worker-cpus or --worker-gpus",
        )
    workers = wishes.workers or sum(count if gpus or wishes.cpus else 1 for _, count in fitting)
    if wishes.cpus is not None:
        share = Share(workers, wishes.cpus, gpus)
    else:
        each = -(-workers // len(fitting))
        share = Share(workers, max(1, int(min(node.cpus for node, _ in fitting)) // each), gpus)
    whole = sum(_room(node, share.cpus, gpus) for node in nodes)
    if workers > whole and not wishes.joins:
        raise XqeError(
            f"{plural(workers, 'worker')} with {share} each are more than this machine has, which is room for {whole}",
            "give a lower --workers or --worker-cpus",
        )
    return share


def _room(node: Node, cpus: int, gpus: float) -> int:
    """How many workers a machine has room for."""
    by_cpus = int(node.cpus // cpus)
    return min(by_cpus, int(node.gpus / gpus + 1e-9)) if gpus else by_cpus


def plural_of(gpus: float) -> str:
    """GPUs, of which there may be a part: "1 GPU", "0.5 GPUs"."""
    return f"{gpus:g} {'GPU' if gpus == 1 else 'GPUs'}"
