"""What PEFT's adapter_config.json says: whether a plain LoRA comes out of it, and how much each pair is scaled.

Source: peft's tuners/lora/config.py and layer.py (0.21), and get_pattern_key of its utils/other.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xqe.errors import InputError, XqeError
from xqe.files.numbers import is_number
from xqe.training.architectures import read_object

CONFIGURATION = "adapter_config.json"
_SAVED = "give the folder that PEFT's save_pretrained wrote"

# Settings that make more than a plain LoRA of it, and what each is called. One that is empty or false does nothing.
UNREPRESENTABLE = {
    "use_dora": "DoRA",
    "use_qalora": "QALoRA",
    "use_bdlora": "block-diagonal LoRA",
    "kasa_config": "KaSA",
    "arrow_config": "Arrow routing",
    "monteclora_config": "MonteCLoRA",
    "alora_invocation_tokens": "activated LoRA",
    "lora_bias": "a bias beside the LoRA matrices (lora_bias)",
    "modules_to_save": "modules trained as a whole (modules_to_save)",
    "trainable_token_indices": "trained embeddings of single tokens (trainable_token_indices)",
    "target_parameters": "LoRA of parameters that are no linear layers (target_parameters)",
    "layer_replication": "repeated layers (layer_replication)",
    "megatron_config": "layers of Megatron",
}
# Initializations after which the base's own matrices are other ones than in its checkpoint.
_CHANGING_THE_BASE = ("pissa", "corda", "olora", "loftq", "lora_ga")
_SAME_BASE = ("gaussian", "eva", "orthogonal", "mica")


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """The settings of a LoRA that its use needs. where: the file, for messages. base: the base model as PEFT names it,
    "" for none."""

    where: Path
    rank: int
    alpha: float
    ranks: Mapping[str, int]
    alphas: Mapping[str, float]
    rank_stabilized: bool
    base: str
    revision: str | None

    def rank_of(self, module: str) -> int:
        """The rank of a module's pair of matrices. Raises InputError for a pattern that is no regular expression."""
        key = self._key(self.ranks, module)
        return self.rank if key is None else self.ranks[key]

    def alpha_of(self, module: str) -> float:
        """What llama.cpp divides by the rank to scale a pair: alpha, and with rsLoRA alpha times the root of the rank.

        Raises InputError for a pattern that is no regular expression.
        """
        key = self._key(self.alphas, module)
        alpha = self.alpha if key is None else self.alphas[key]
        return alpha * math.sqrt(self.rank_of(module)) if self.rank_stabilized else alpha

    def _key(self, patterns: Mapping[str, Any], module: str) -> str | None:
        """The first pattern that matches the end of a module's name, from a dot on, as PEFT looks for it."""
        for key in patterns:
            try:
                if re.match(rf"(.*\.)?({key})$", module):
                    return key
            except re.error as error:
                raise InputError(f'{self.where}: "{key}" is no regular expression ({error})', "see PEFT's") from None
        return None


def read_config(folder: Path) -> LoraConfig:
    """Read the settings of an adapter. Raises InputError for a file that is missing or is none of PEFT's, XqeError,
    which says by name what it is, for an adapter that is more than a plain LoRA."""
    if not folder.is_dir():
        raise InputError(f"{folder}: {'is a file' if folder.exists() else 'no such folder'}", _SAVED)
    path = folder / CONFIGURATION
    given = read_object(path, _SAVED)
    _check_plain(path, given)
    rank, alpha = given.get("r"), given.get("lora_alpha")
    ranks, alphas = given.get("rank_pattern") or {}, given.get("alpha_pattern") or {}
    if not _is_rank(rank) or not isinstance(ranks, dict) or not all(map(_is_rank, ranks.values())):
        raise InputError(f'{path}: "r" or "rank_pattern" is no whole number above 0', "PEFT writes both")
    if not is_number(alpha) or not isinstance(alphas, dict) or not all(map(is_number, alphas.values())):
        raise InputError(f'{path}: "lora_alpha" or "alpha_pattern" is no number', "PEFT writes both")
    return LoraConfig(
        path,
        int(str(rank)),
        float(str(alpha)),
        ranks,
        alphas,
        bool(given.get("use_rslora")),
        str(given.get("base_model_name_or_path") or ""),
        given.get("revision") or None,
    )


def _is_rank(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _check_plain(path: Path, given: Mapping[str, Any]) -> None:
    kind = given.get("peft_type")
    if kind != "LORA":
        raise XqeError(f"{path}: an adapter of type {kind or 'unknown'}", "llama.cpp applies LoRA adapters")
    for key, name in UNREPRESENTABLE.items():
        if given.get(key):
            raise XqeError(f"{path}: {name}, which a GGUF adapter cannot hold", "merge it into its base instead")
    start = given.get("init_lora_weights", True)
    if isinstance(start, str) and start.lower().startswith(_CHANGING_THE_BASE):
        raise XqeError(
            f'{path}: initialized by "{start}", which changed the base model\'s own matrices',
            "save it with path_initial_model_for_weight_conversion, which makes a plain LoRA of it",
        )
    if isinstance(start, str) and start.lower() not in _SAME_BASE:
        raise XqeError(f'{path}: the initialization "{start}" is unknown', f"known are {', '.join(_SAME_BASE)}")
