"""LoRA adapters: what --lora means, and whether one fits a model, before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from xqe.errors import XqeError, why
from xqe.files.numbers import decimal
from xqe.messages import say
from xqe.models.gguf import DamagedError, read_metadata
from xqe.models.verification import model_sha256

GREATEST_SCALE = 100.0
BASE_SHA256 = "xqe.base_sha256"
"""Metadata of an adapter: the sha256 of the GGUF file that it was trained on."""

_ARCHITECTURE = "general.architecture"
_ADAPTER_KEYS = ("general.type", "adapter.type")
_BASE_NAME = "general.base_model.0.name"


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter: a GGUF file, its sha256, and how much of it is added to the model."""

    path: str
    sha256: str
    scale: float = 1.0

    @property
    def name(self) -> str:
        return Path(self.path).stem


def parted(text: str) -> tuple[str, float]:
    """The file and the scale of --lora FILE[:SCALE]. Raises XqeError for a scale that is none."""
    path, number = text, ""
    if not Path(text).expanduser().exists() and ":" in text:
        path, _, number = text.rpartition(":")
    try:
        scale = decimal(number) if number else 1.0
    except ValueError:
        scale = float("nan")
    if not abs(scale) <= GREATEST_SCALE:
        raise XqeError(
            f'--lora {path}: the scale "{number}" is no number or too great', "1 is the adapter as it was trained"
        )
    return path, scale


def adapter(text: str) -> Adapter:
    """The adapter that --lora FILE[:SCALE] means; its header is read. Raises XqeError for a file that is none."""
    path, scale = parted(text)
    file = Path(path).expanduser()
    where = f"--lora {path}"
    if file.is_dir():
        raise XqeError(
            f"{where}: is a folder{', of a PEFT adapter' if (file / 'adapter_config.json').is_file() else ''}",
            f"make a GGUF file of a PEFT adapter: xqe finetune export {path} --out ADAPTER.gguf",
        )
    try:
        metadata = read_metadata(file, *_ADAPTER_KEYS)
    except OSError as error:
        raise XqeError(f"{where}: {why(error)}", "it names a GGUF file") from None
    except DamagedError as error:
        raise XqeError(
            f"{where}: not a whole GGUF file ({error.reason})",
            "a PEFT adapter becomes one: xqe finetune export FOLDER --out ADAPTER.gguf",
        ) from None
    if metadata.get("general.type") != "adapter":
        kind = metadata.get("general.type", "model")
        raise XqeError(f"{where}: it is no adapter but a {kind}", "a model goes to --model")
    if metadata.get("adapter.type") != "lora":
        raise XqeError(f"{where}: an adapter of type {metadata.get('adapter.type')}", "xqe applies LoRA adapters")
    return Adapter(str(file), model_sha256(file), scale)


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


def tell_other_bases(adapters: tuple[Adapter, ...], sha256: str, name: str) -> None:
    """Say of each adapter that it was trained on another file than the model's: a mistake, or another quantization.

    sha256: of the model file; nothing is said if it is not known, or the adapter does not say what it was trained on.
    """
    for one in adapters:
        metadata = read_metadata(Path(one.path), BASE_SHA256, _BASE_NAME)
        trained_on = metadata.get(BASE_SHA256)
        if sha256 and trained_on and trained_on != sha256:
            _say_once(
                f"--lora {one.path}: trained on {metadata.get(_BASE_NAME, 'another file')} (sha256 "
                f"{str(trained_on)[:12]}), and {name} is another file ({sha256[:12]}); "
                "that is as it should be if they are the same model, quantized differently"
            )


@cache
def _say_once(text: str) -> None:
    say(text)
