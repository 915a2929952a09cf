"""What this process may use of the machine: cores and memory; and GPUs that seem to be there."""

from __future__ import annotations

import os
import platform
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from xqe import machine

_CPU_INFO = Path("/proc/cpuinfo")


class Feature(NamedTuple):
    """Something a processor can do, without which llama.cpp is much slower: llama.cpp's name, and Linux's."""

    name: str
    flag: str


_FEATURES = (Feature("AVX", "avx"), Feature("AVX2", "avx2"), Feature("FMA", "fma"), Feature("F16C", "f16c"))


class Vendor(NamedTuple):
    """Who makes GPUs: what shows that one is here, and the option to build llama.cpp with."""

    name: str
    device: Path
    program: str
    option: str


VENDORS = (
    Vendor("NVIDIA", Path("/dev/nvidia0"), "nvidia-smi", "-DGGML_CUDA=on"),
    Vendor("AMD", Path("/dev/kfd"), "rocm-smi", "-DGGML_HIP=on"),
)


@dataclass(frozen=True, slots=True)
class Cores:
    """CPU cores. quota: of the cgroup, None for none. threads: what xqe starts. load: processes that want a core, on
    average over a minute. features: those of the processor that make llama.cpp fast."""

    processor: str
    features: list[str]
    machine: int
    affinity: int
    quota: float | None
    usable: int
    threads: int
    load: float | None


@dataclass(frozen=True, slots=True)
class Memory:
    """machine: what is built in. total, available: what this process may have, under the limits of its cgroup."""

    machine: int
    total: int
    available: int


def cores_here() -> Cores:
    """The cores of this process, and the threads that it would start."""
    usable = machine.available_cores()
    given = os.environ.get("XQE_THREADS", "")
    processor, flags = _processor()
    load = None
    with suppress(OSError):
        load = round(os.getloadavg()[0], 2)
    return Cores(
        processor=processor,
        features=[feature.name for feature in _FEATURES if feature.flag in flags],
        machine=os.cpu_count() or 1,
        affinity=machine.affinity(),
        quota=machine.cpu_quota(),
        usable=usable,
        threads=int(given) if given.isdecimal() and int(given) else usable,
        load=load,
    )


def _processor() -> tuple[str, set[str]]:
    """The name of the processor and its flags, as far as Linux says."""
    lines: dict[str, str] = {}
    with suppress(OSError):
        for line in _CPU_INFO.read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            lines.setdefault(name.strip(), value.strip())
    return lines.get("model name") or platform.processor() or platform.machine(), set(lines.get("flags", "").split())


def memory_here() -> Memory:
    """The memory of this process."""
    return Memory(machine.built_in_memory(), machine.total_memory(), machine.available_memory())


def gpus_here() -> list[str]:
    """The makers of GPUs of which one seems to be in this machine."""
    return [vendor.name for vendor in VENDORS if vendor.device.exists() or shutil.which(vendor.program)]
