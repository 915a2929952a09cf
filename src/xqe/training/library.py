"""The libraries that train: torch, transformers and peft, imported here and nowhere else, and kept quiet."""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from importlib import metadata

from xqe.errors import MissingExtraError

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads would only complain of our processes

try:
    import accelerate
    import gguf
    import peft
    import safetensors
    import torch
    import transformers
except ImportError as missing:
    raise MissingExtraError(f"training needs {missing.name}", "finetune") from None

__all__ = ["peft", "quiet", "safetensors", "silent", "torch", "transformers", "versions"]


def versions() -> dict[str, str]:
    """Which releases train, for the record."""
    said = {one.__name__: str(one.__version__) for one in (torch, transformers, peft, accelerate)}
    return {**said, "gguf": metadata.version(gguf.__name__)}  # which has no __version__


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what the libraries say off the terminal: their warnings, logs and progress bars are for their users."""
    log = transformers.utils.logging
    verbosity, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    hub = logging.getLogger("huggingface_hub")  # which tells of every try again
    level = hub.level
    hub.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.set_verbosity(verbosity)
        hub.setLevel(level)
        if bars:
            log.enable_progress_bar()


@contextmanager
def silent() -> Iterator[None]:
    """Keep also that off the terminal which is written past the switches of `quiet`: a bar while GGUF is read."""
    with redirect_stderr(io.StringIO()):
        yield
