"""How a model is run: what the options say, checked before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass

from xqe.errors import XqeError
from xqe.files.numbers import decimal

DEFAULT_CACHE = "f16"
QUANTIZED_CACHES = ("q8_0", "q4_0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What any model is run on, whatever is done with it.

    threads: of the CPU, None for the cores there are. gpu_layers: layers on the GPU, None for as many as fit.
    split_mode ("layer", "row", "none"), tensor_split (one number for each GPU) and main_gpu: how several GPUs share
    the model. flash_attention: "auto", "on" or "off". verbose: show what llama.cpp logs.
    """

    threads: int | None = None
    gpu_layers: int | None = None
    split_mode: str = "layer"
    tensor_split: tuple[float, ...] = ()
    main_gpu: int = 0
    flash_attention: str = "auto"
    verbose: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Hardware):
    """How a model generates; None leaves a number to be chosen from the model, the prompts and the machine.

    batch: sequences decoded together. context: tokens of context for all of them. cache_type: number format of the KV
    cache. deterministic: one sequence at a time, the same bits whatever stands beside it. gpu_sampling: pick greedy
    tokens on the GPU, "auto" if a trial says that it picks the same.
    """

    batch: int | None = None
    context: int | None = None
    cache_type: str = DEFAULT_CACHE
    deterministic: bool = False
    gpu_sampling: str = "auto"

    def check(self) -> None:
        """Raise XqeError for settings that contradict each other, on which llama.cpp would fail later."""
        if self.deterministic and self.batch not in (None, 1):
            raise XqeError(
                f"--deterministic decodes one text at a time, and --batch says {self.batch}", "leave one of them out"
            )
        if self.cache_type in QUANTIZED_CACHES and self.flash_attention == "off":
            raise XqeError(
                f"--cache-type {self.cache_type} needs flash attention", "leave out --flash-attention off, or use f16"
            )


def tensor_split(text: str) -> tuple[float, ...]:
    """The parts of --tensor-split. Raises XqeError for what are no numbers."""
    try:
        parts = tuple(decimal(part.strip()) for part in text.split(","))
    except ValueError:
        parts = ()
    if not parts or min(parts) < 0 or sum(parts) <= 0 or not sum(parts) < float("inf"):
        raise XqeError(f'--tensor-split "{text}" is not a list of numbers', "give a part for each GPU, such as 3,1")
    return parts
