"""How many CPU cores there are to use: for generation, for analysis and for search."""

from __future__ import annotations

import os
from pathlib import Path


def available_cores() -> int:
    """The cores this process may really use: its affinity mask and its cgroup's quota, whichever is less.

    One thread more than that makes llama.cpp wait for a core at every barrier, many times slower.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for quota_file, period_file in (
        ("/sys/fs/cgroup/cpu.max", None),
        ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
    ):
        try:
            words = Path(quota_file).read_text().split()
            quota, period = words[0], Path(period_file).read_text().strip() if period_file else words[1]
            if quota != "max" and int(quota) > 0:
                cores = min(cores, max(1, int(quota) // int(period)))
        except (OSError, ValueError, IndexError):
            continue
    return cores
