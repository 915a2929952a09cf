"""What of this machine a process may really use: CPU cores and memory, under its affinity mask and its cgroup; and how
it keeps what it has."""

from __future__ import annotations

import gc
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_NO_LIMIT = 1 << 60  # what a cgroup of version 1 says where there is none, and a little less


_KEPT = 1 << 24  # bytes


def keep_freed_memory() -> None:
    """Have blocks of memory that are freed stay with the process. What asks for some megabytes and frees them, again
    and again, as queries do, otherwise waits as long for clean pages of the system."""
    bytes(_KEPT)  # once a block of a size was freed, glibc keeps smaller ones


@contextmanager
def frozen() -> Iterator[None]:
    """Within, what is in memory now is not looked through for garbage."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def available_cores() -> int:
    """The cores this process may really use: its affinity mask and its cgroup's quota, whichever is less.

    One thread more than that makes llama.cpp wait for a core at every barrier, many times slower.
    """
    cores = affinity()
    quota = cpu_quota()
    return cores if quota is None else min(cores, max(1, int(quota)))


def affinity() -> int:
    """The cores in the affinity mask."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_quota() -> float | None:
    """The cores that the quota of the process's cgroups comes to, None where there is no quota."""
    quotas = []
    for folder in _cgroups():
        for quota_file, period_file in (("cpu.max", None), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
            words = _words(folder / quota_file)
            period = _words(folder / period_file)[:1] if period_file else words[1:2]
            if words and period and words[0].isdigit() and int(words[0]) > 0:
                quotas.append(int(words[0]) / int(period[0]))
    return min(quotas, default=None)


def built_in_memory() -> int:
    """Bytes of memory of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def total_memory() -> int:
    """Bytes of memory that this process could have at most: the machine's, or its cgroup's limit."""
    limits = [limit for limit, _ in _cgroup_memory()]
    return min([_meminfo("MemTotal"), *limits])


def available_memory() -> int:
    """Bytes of memory that this process can still take without pushing anything out but caches."""
    left = [limit - used for limit, used in _cgroup_memory()]
    address_space, _ = resource.getrlimit(resource.RLIMIT_AS)  # ulimit -v
    if address_space != resource.RLIM_INFINITY:
        pages = _words(Path("/proc/self/statm"))[:1] or ["0"]
        left.append(address_space - int(pages[0]) * resource.getpagesize())
    return max(0, min([_meminfo("MemAvailable"), *left]))


def _meminfo(field: str) -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == field:
                return int(value.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return built_in_memory()  # elsewhere than on Linux only the whole is known


def _cgroup_memory() -> list[tuple[int, int]]:
    """(limit, used) in bytes for each limit of a cgroup; file caches, which give way, are not counted as used."""
    found = []
    for folder in _cgroups():
        for limit_file, used_file, stat_file in (
            ("memory.max", "memory.current", "memory.stat"),
            ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
        ):
            limit, used, stat = (_words(folder / file) for file in (limit_file, used_file, stat_file))
            if limit and used and limit[0].isdigit() and int(limit[0]) < _NO_LIMIT:
                counts = dict(zip(stat[::2], stat[1::2], strict=False))
                caches = int(counts.get("total_inactive_file", counts.get("inactive_file", 0)))
                found.append((int(limit[0]), max(0, int(used[0]) - caches)))
    return found


def _cgroups() -> list[Path]:
    """The folders of the cgroups this process is in: its own and those above it (version 2), or the root's."""
    path = next((line[3:] for line in _lines("/proc/self/cgroup") if line.startswith("0::")), "/")
    own = Path(path.lstrip("/"))
    return [_CGROUP / folder for folder in (own, *own.parents)]


def _words(file: Path) -> list[str]:
    return " ".join(_lines(file)).split()


def _lines(file: str | Path) -> list[str]:
    try:
        return Path(file).read_text().splitlines()
    except OSError:
        return []
