"""How a model is run: what the options say, checked before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xqe.errors import XqeError
from xqe.gguf import DamagedError, read_metadata
from xqe.models import sha256_of

GREATEST_SCALE = 100.0
_ARCHITECTURE = "general.architecture"
_ADAPTER_KEYS = ("general.type", "adapter.type")
DEFAULT_CACHE = "f16"
QUANTIZED_CACHES = ("q8_0", "q4_0")


@dataclass(frozen=True, slots=True)
class Settings:
    """None leaves a number to be chosen from the model, the prompts and the machine.

    batch: sequences decoded together. context: tokens of context for all of them. gpu_layers: layers on the GPU.
    split_mode ("layer", "row", "none"), tensor_split (one number for each GPU) and main_gpu: how several GPUs share
    the model. flash_attention: "auto", "on" or "off". cache_type: number format of the KV cache. deterministic: one
    sequence at a time, the same bits whatever stands beside it. gpu_sampling: pick greedy tokens on the GPU, "auto"
    if a trial says that it picks the same. verbose: show what llama.cpp logs.
    """

    batch: int | None = None
    context: int | None = None
    threads: int | None = None
    gpu_layers: int | None = None
    split_mode: str = "layer"
    tensor_split: tuple[float, ...] = ()
    main_gpu: int = 0
    flash_attention: str = "auto"
    cache_type: str = DEFAULT_CACHE
    deterministic: bool = False
    gpu_sampling: str = "auto"
    verbose: bool = False

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


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter: a GGUF file, its sha256, and how much of it is added to the model."""

    path: str
    sha256: str
    scale: float = 1.0

    @property
    def name(self) -> str:
        return Path(self.path).stem


def tensor_split(text: str | None) -> tuple[float, ...]:
    """The parts of --tensor-split. Raises XqeError for what are no numbers."""
    if text is None:
        return ()
    try:
        parts = tuple(float(part) for part in text.split(","))
    except ValueError:
        parts = ()
    if not parts or min(parts) < 0 or sum(parts) <= 0 or not sum(parts) < float("inf"):
        raise XqeError(f'--tensor-split "{text}" is not a list of numbers', "give a part for each GPU, such as 3,1")
    return parts


def adapter(text: str) -> Adapter:
    """The adapter that --lora FILE[:SCALE] means; its header is read. Raises XqeError for a file that is none."""
    path, number = text, ""
    if not Path(text).expanduser().exists() and ":" in text:
        path, _, number = text.rpartition(":")
    file = Path(path).expanduser()
    where = f"--lora {path}"
    try:
        scale = float(number) if number else 1.0
    except ValueError:
        scale = float("nan")
    if not abs(scale) <= GREATEST_SCALE:
        raise XqeError(f'{where}: the scale "{number}" is no number or too great', "1 is the adapter as it was trained")
    try:
        metadata = read_metadata(file, *_ADAPTER_KEYS)
    except OSError as error:
        raise XqeError(f"{where}: {(error.strerror or str(error)).lower()}", "it names a GGUF file") from None
    except DamagedError as error:
        raise XqeError(
            f"{where}: not a whole GGUF file ({error.reason})",
            "an adapter of another format is converted by llama.cpp's convert_lora_to_gguf.py",
        ) from None
    if metadata.get("general.type") != "adapter":
        kind = metadata.get("general.type", "model")
        raise XqeError(f"{where}: it is no adapter but a {kind}", "a model goes to --model")
    if metadata.get("adapter.type") != "lora":
        raise XqeError(f"{where}: an adapter of type {metadata.get('adapter.type')}", "xqe applies LoRA adapters")
    return Adapter(str(file), sha256_of(file), scale)


def check_architecture(adapters: tuple[Adapter, ...], model: str, name: str) -> None:
    """Raise XqeError for an adapter that was made for another architecture than that of the model file."""
    if not adapters:
        return
    wanted = read_metadata(Path(model), _ARCHITECTURE).get(_ARCHITECTURE)
    for one in adapters:
        made_for = read_metadata(Path(one.path), _ARCHITECTURE).get(_ARCHITECTURE)
        if made_for != wanted:
            raise XqeError(
                f"--lora {one.path}: an adapter for {made_for}, and {name} is {wanted}",
                "an adapter fits only the model that it was trained on",
            )
