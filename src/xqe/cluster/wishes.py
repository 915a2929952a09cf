"""What is asked of a cluster: where it is, how many workers, and what each may take."""

from __future__ import annotations

import re
from dataclasses import dataclass

from xqe.errors import XqeError

LOCAL = "ray"
CLIENT = "ray://"
_PREFIX = f"{LOCAL}:"
_HINT = f"give {LOCAL} (this machine), {LOCAL}:HOST:PORT, {LOCAL}:auto, or {CLIENT}HOST:PORT"


@dataclass(frozen=True, slots=True)
class Address:
    """A server of Ray. client: it speaks Ray Client's protocol, and this machine is no part of the cluster."""

    host: str
    port: int
    client: bool = False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{CLIENT if self.client else ''}{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Wishes:
    """None leaves a number to be found from the cluster (`shares`).

    address: of the head of a cluster; None for the one that this machine is a part of if `joins`, else for one that is
    started here. cpus, gpus: of a worker; a part of a GPU is less than 1.
    """

    address: Address | None = None
    joins: bool = False
    workers: int | None = None
    cpus: int | None = None
    gpus: float | None = None

    @property
    def is_local(self) -> bool:
        return not self.joins


def wishes(on: str, workers: int | None = None, cpus: int | None = None, gpus: float | None = None) -> Wishes:
    """What --on and the options beside it ask for. Raises XqeError for what is no place, and no share of a GPU."""
    if gpus is not None and gpus > 1 and gpus != int(gpus):
        raise XqeError(f"--worker-gpus {gpus:g} is neither a whole number nor less than 1", "give 1, 2 or 0.5")
    if on == LOCAL:
        return Wishes(None, False, workers, cpus, gpus)
    if not on.startswith(_PREFIX):
        raise XqeError(f'--on "{on}" is no place to work on', _HINT)
    is_client = on.startswith(CLIENT)
    where = on.removeprefix(CLIENT if is_client else _PREFIX)
    if where == "auto":
        return Wishes(None, True, workers, cpus, gpus)
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/\[\]]+)):([0-9]{1,5})", where)
    if found is None or not 0 < int(found[3]) < 1 << 16:
        raise XqeError(f'--on "{on}" names no host and port', _HINT)
    return Wishes(Address(found[1] or found[2], int(found[3]), is_client), True, workers, cpus, gpus)
