"""A model file brought into this process, whatever is to be done with it.

What engines on llama.cpp share: the layers that fit on a GPU, threads, adapters, errors, and what provenance says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xqe.errors import ModelError, XqeError
from xqe.machine import available_cores, available_memory
from xqe.messages import amount
from xqe.models.engines.interrupts import deferred_interrupt
from xqe.models.engines.llama import library
from xqe.models.engines.llama.adapters import Adapter, check_architecture, tell_other_bases
from xqe.models.engines.llama.model import Model
from xqe.models.engines.llama.settings import Hardware
from xqe.models.gguf import read_metadata, whole_number
from xqe.models.split import size_of

CACHE_SHARE = 0.5
"""Of the free memory, what a cache may take."""

_GPU_RESERVE = 1 << 30  # bytes that are left for the buffers of computation


class LoadedModel:
    """A model, loaded, and the adapters that are applied to it.

    path: of its GGUF file, or the first of several. sha256: of `verification.model_sha256`. vocabulary_only: load no
    weights. model: the file, loaded already; whoever loaded it closes it. threads: of the CPU. on_gpu: some of its
    layers are on a GPU. Raises ModelError for a file that cannot be loaded, XqeError for a GPU that is not there and
    for adapters of another architecture.
    """

    def __init__(
        self,
        name: str,
        path: str,
        sha256: str,
        hardware: Hardware,
        adapters: tuple[Adapter, ...] = (),
        vocabulary_only: bool = False,
        model: Model | None = None,
    ) -> None:
        self.name, self.path, self.sha256 = name, path, sha256
        self.adapters = adapters
        check_architecture(adapters, path, name)
        tell_other_bases(adapters, sha256, name)
        library.log.echo = hardware.verbose
        gpus = [] if vocabulary_only or hardware.gpu_layers == 0 else library.gpus()
        self._owns_model = model is None
        self.model = model or _load(path, hardware, vocabulary_only, gpus)
        self.on_gpu = bool(gpus) and self.model.gpu_layers != 0
        self.threads = hardware.threads or available_cores()
        try:
            for adapter in () if vocabulary_only else adapters:
                self.model.adapter(adapter.path)
        except ModelError:
            self.close()
            raise

    def applied(self) -> list[tuple[Any, float]]:
        """The adapters as a context takes them: (pointer, scale)."""
        return [(self.model.adapter(adapter.path), adapter.scale) for adapter in self.adapters]

    def free_memory(self) -> int:
        """Bytes that are free where the model computes, now that its weights have their place."""
        return sum(gpu.free for gpu in library.gpus()) if self.on_gpu else available_memory()

    def identity(self) -> dict[str, Any]:
        """What a result depends on: the file and its adapters."""
        lora = [{"sha256": adapter.sha256, "scale": adapter.scale} for adapter in self.adapters]
        return {"sha256": self.sha256, **({"lora": lora} if lora else {})}

    def named(self, identity: dict[str, Any]) -> dict[str, Any]:
        """An identity as provenance has it, with the names of the model and of the adapters."""
        named = [{"name": adapter.name} for adapter in self.adapters]
        lora = {"lora": [name | one for name, one in zip(named, identity["lora"], strict=True)]} if named else {}
        return {"model": self.name, **identity, **lora}

    def making(self) -> dict[str, Any]:
        """What provenance says of how it is run."""
        return {"threads": self.threads, **({"gpu_layers": self.model.gpu_layers} if self.on_gpu else {})}

    def close(self) -> None:
        if self._owns_model:
            self.model.close()


def _load(path: str, hardware: Hardware, vocabulary_only: bool, gpus: list[library.Device]) -> Model:
    """Load a model with the layers on the GPU that were asked for, or as many as there is room for."""
    asked = hardware.gpu_layers
    if asked:
        if not library.supports_gpu():
            raise XqeError(f"--gpu-layers {asked}: this build of llama.cpp knows no GPU", "see the README, GPU")
        if not gpus:
            raise XqeError(f"--gpu-layers {asked}: llama.cpp sees no GPU", "see xqe doctor")
    size = size_of(Path(path)) if Path(path).is_file() else 0
    if not gpus and not vocabulary_only and size > available_memory():
        raise ModelError(
            f"{path}: has {amount(size)}, and {amount(available_memory())} of memory are free",
            "take a smaller model, or end what else uses memory",
        )
    blocks = _blocks(path) if gpus else 0
    layers = asked if asked is not None else gpu_layers(size, blocks, gpus) if gpus else 0
    while True:
        try:
            with deferred_interrupt() as interrupt:
                return Model(path, hardware, vocabulary_only, layers, lambda: interrupt.requested)
        except ModelError:
            if asked is not None or layers == 0:
                raise
            layers = (layers if layers > 0 else blocks + 1) * 3 // 4  # the GPU had less to give than it seemed


def gpu_layers(file_bytes: int, layers: int, gpus: list[library.Device]) -> int:
    """The layers that fit on the GPUs beside a cache for them, -1 for all; layers are taken to be of equal size.

    file_bytes: of the model file. layers: of the model, without the output layer.
    """
    free = sum(max(0, gpu.free - _GPU_RESERVE) for gpu in gpus)
    for_weights = free * (1 - CACHE_SHARE / 2)
    if file_bytes <= for_weights:
        return -1
    return int(for_weights * (layers + 1) / file_bytes)


def _blocks(path: str) -> int:
    """How many layers a model file has, without its output layer."""
    architecture = read_metadata(Path(path), "general.architecture").get("general.architecture")
    key = f"{architecture}.block_count"
    return whole_number(read_metadata(Path(path), key), key, Path(path), 0)
