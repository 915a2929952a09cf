"""A LoRA adapter of PEFT becomes a GGUF file that llama.cpp applies.

Sources: llama.cpp's src/llama-adapter.cpp (one alpha for a file; each pair of matrices is scaled by it and divided by
its own rank), its convert_lora_to_gguf.py and docs/gguf.md (names of tensors and metadata), peft's save_and_load.py.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xqe.errors import InputError, MissingExtraError, XqeError, why
from xqe.files.atomic import replaced
from xqe.files.hashes import sha256
from xqe.messages import plural
from xqe.models.engines.llama.adapters import BASE_SHA256
from xqe.models.gguf import DamagedError, check_gguf, read_metadata
from xqe.models.verification import model_sha256
from xqe.training.architectures import MATRICES, OUTPUT, Dimensions, base_at
from xqe.training.peftconfig import LoraConfig, read_config
from xqe.training.weights import Matrix, Weights, read_weights

TYPES = {"f32": (np.float32, "ALL_F32"), "f16": (np.float16, "MOSTLY_F16")}  # numpy's, and a GGUF file's

_PREFIX = "base_model.model."
_HALF = re.compile(r"(?P<module>.+)\.lora_(?P<half>[AB])(?:\.(?P<adapter>[^.]+))?\.weight")
_LAYER = re.compile(r"(?:(?:model|language_model)\.)*layers\.(?P<number>[0-9]+)\.(?P<matrix>.+)")
_OUTPUT_MODULE = re.compile(r"(?:(?:model|language_model)\.)*lm_head")
_OWN_OUTPUT = re.compile(
    r".*\blm_head\.base_layer\.weight"
)  # PEFT saves it beside the LoRA for it; it is the base's own
_OTHER_INPUT = re.compile(r"(?:^|\.)(?:vision_tower|vision_model|multi_modal_projector|audio_tower)\.")
_ASK = "give --base with the checkpoint or the GGUF file that it was trained on"
_MERGE = "merge it into its base instead"

# What tensors that are no plain LoRA's are, by a part of their names; the first that is found is told.
_FOREIGN = (
    (re.compile(r"lora_magnitude_vector"), "DoRA"),
    (re.compile(r"lora_diag"), "KaSA"),
    (re.compile(r"lora_embedding_|embed_tokens|token_adapter|trainable_tokens"), "trained embeddings"),
    (re.compile(r"\.experts\.|base_layer\.lora_|parametrizations"), "LoRA of parameters that are no linear layers"),
    (re.compile(r"lora_B.*\.bias$"), "a bias beside the LoRA matrices (lora_bias)"),
    (re.compile(r"\.bias$"), "a trained bias"),
    (re.compile(r"modules_to_save|lm_head(?!.*lora_)"), "a module trained as a whole"),
    (re.compile(r"norm"), "a trained norm"),
)


@dataclass(frozen=True, slots=True)
class Exported:
    """A GGUF adapter that was written. pairs: of matrices. ranks: the different ones. alpha: the file's. type: of the
    numbers. size: bytes. left_out: modules whose pair changes nothing and that the model has no place for. is_zero: the
    whole adapter changes nothing."""

    path: Path
    architecture: str
    base: str
    pairs: int
    ranks: tuple[int, ...]
    alpha: float
    type: str
    size: int
    sha256: str
    left_out: tuple[str, ...]
    is_zero: bool

    def record(self) -> dict[str, Any]:
        """What the command writes."""
        return {
            "file": str(self.path),
            "architecture": self.architecture,
            "base": self.base,
            "pairs": self.pairs,
            "ranks": list(self.ranks),
            "alpha": self.alpha,
            "type": self.type,
            "size": self.size,
            "sha256": self.sha256,
            **({"left_out": len(self.left_out)} if self.left_out else {}),
        }

    @property
    def notes(self) -> list[str]:
        """What a person should know of it."""
        notes = []
        if self.left_out:
            notes.append(
                f"{self.left_out[0]} and others, {plural(len(self.left_out), 'module')} in all, are left out: "
                "they are no part of the language model, and their B is 0"
            )
        if self.is_zero:
            notes.append("every B of the adapter is 0: it changes nothing")
        return notes


@dataclass(frozen=True, slots=True)
class _Pair:
    """A module's two matrices. a, b: names of the tensors. place: llama.cpp's name of the matrix that is adapted.
    alpha: what it has to be, where the file's is one for all."""

    module: str
    a: str
    b: str
    place: str
    rank: int
    alpha: np.float32


def export(
    folder: Path,
    out: Path,
    base: str | Path | None = None,
    type: str = "f32",
    metadata: Mapping[str, str] | None = None,
) -> Exported:
    """Write the adapter in a folder of PEFT's as a GGUF file, whole or not at all.

    base: what the adapter was trained on, of which only the configuration is read (see `architectures.base_at`);
    without it, what the adapter itself names. A GGUF file has its sha256 noted in the adapter. type: of the numbers in
    the file, one of `TYPES`. metadata: further keys with texts. Raises XqeError for an adapter that a GGUF adapter
    cannot represent, saying by name what it is, or that does not fit its base; InputError for files that are missing or
    damaged; MissingExtraError without the packages.
    """
    gguf = _library()
    config = read_config(folder)
    _check_target(out)
    weights = read_weights(folder)
    model = _base_of(config, base)
    pairs, left_out = _pairs(weights, config, model)
    alpha = _common_alpha(pairs)
    entries = {**_provenance(folder, model), **(metadata or {})}
    is_zero = True
    with _write_errors(out), replaced(out) as file:
        writer = gguf.GGUFWriter(file.name, model.architecture.name)
        _describe(gguf, writer, type, float(alpha), entries)
        for pair in pairs:
            a, b = _matrices(weights, pair, model, alpha)
            is_zero = is_zero and not b.any()
            writer.add_tensor(f"{pair.place}.weight.lora_a", _stored(a, type, weights.where, pair.a))
            writer.add_tensor(f"{pair.place}.weight.lora_b", _stored(b, type, weights.where, pair.b))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        check_gguf(Path(file.name))
    return Exported(
        out,
        model.architecture.name,
        model.name,
        len(pairs),
        tuple(sorted({pair.rank for pair in pairs})),
        float(alpha),
        type,
        out.stat().st_size,
        sha256(out),
        left_out,
        is_zero,
    )


def _library() -> Any:
    try:
        import gguf
    except ModuleNotFoundError as error:
        if error.name != "gguf":
            raise
        raise MissingExtraError("exporting an adapter needs gguf", "finetune") from None
    return gguf


def _check_target(out: Path) -> None:
    """Raise XqeError for a place where a model lies, or a folder: an adapter may be replaced, a model not."""
    if out.is_dir():
        raise XqeError(f"{out}: is a folder", "--out names the GGUF file to write")
    if not out.exists():
        return
    try:
        kind = read_metadata(out, "general.type").get("general.type", "model")
    except (DamagedError, OSError):
        kind = "file of another kind"
    if kind != "adapter":
        raise XqeError(f"{out}: there is a {kind}", "give --out another name; only an adapter is replaced")


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    """Turn an OSError while a file is written into one line that names it."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{error.filename or path}: {why(error)}", "make room or give access") from None


def base_named(config: LoraConfig) -> str:
    """The base model that an adapter names. Raises InputError where it names none."""
    if not config.base:
        raise InputError(f"{config.where}: names no base model", _ASK)
    return config.base


def _base_of(config: LoraConfig, base: str | Path | None) -> Dimensions:
    """The base model that was given, else the one that the adapter names."""
    if base is not None:
        return base_at(base)
    named = base_named(config)
    try:
        return base_at(named, config.revision)
    except XqeError as error:
        raise InputError(f"{config.where}: of its base model, {error.message}", _ASK) from None


# ---------------------------------------------------------------- from PEFT's names to llama.cpp's


def _pairs(weights: Weights, config: LoraConfig, base: Dimensions) -> tuple[list[_Pair], tuple[str, ...]]:
    """The pairs of matrices in the order of their places, and the modules that are left out.

    Raises XqeError for a tensor that is part of no pair, or of one that llama.cpp does not apply.
    """
    halves = _halves(weights)
    pairs: dict[str, _Pair] = {}
    left_out = []
    for module, names in halves.items():
        for half in "AB":
            if half not in names:
                raise InputError(f"{weights.where}: {module} has no lora_{half}", "copy it again, or train it again")
        if _OTHER_INPUT.search(module) and not weights.matrix(names["B"]).any():
            left_out.append(module)  # trained on texts alone: it is as it was made, and adds nothing
            continue
        place, extents = _place(module, base, weights.where)
        rank = _checked_rank(weights, names, module, config, extents)
        if place in pairs:
            raise InputError(f"{weights.where}: {module} and {pairs[place].module} are the same matrix", "keep one")
        pairs[place] = _Pair(module, names["A"], names["B"], place, rank, np.float32(config.alpha_of(module)))
    if not pairs:
        raise InputError(f"{weights.where}: holds no LoRA matrices of a language model", "train it again")
    return sorted(pairs.values(), key=_order), tuple(left_out)


def _order(pair: _Pair) -> tuple[int, str]:
    number = re.search(r"[0-9]+", pair.place)
    return (int(number[0]) if number else -1, pair.place)


def _halves(weights: Weights) -> dict[str, dict[str, str]]:
    """The names of the tensors, by module and by "A" and "B". Raises XqeError for any other tensor."""
    halves: dict[str, dict[str, str]] = {}
    adapters = set()
    for name in weights.shapes:
        if _OWN_OUTPUT.fullmatch(name):
            continue
        found = _HALF.fullmatch(name)
        foreign = next((what for pattern, what in _FOREIGN if pattern.search(name)), None)
        if found is None or foreign is not None:
            what = foreign or "neither lora_A nor lora_B"
            raise XqeError(f"{weights.where}: {name} is {what}, which a GGUF adapter cannot hold", _MERGE)
        halves.setdefault(found["module"].removeprefix(_PREFIX), {})[found["half"]] = name
        adapters.add(found["adapter"])
    if len(adapters) > 1:
        raise XqeError(f"{weights.where}: holds {len(adapters)} adapters", "save one at a time")
    return halves


def _place(module: str, base: Dimensions, where: Path) -> tuple[str, tuple[int | None, int | None]]:
    """llama.cpp's name of a module's matrix, and the extents of its output and input.

    Raises XqeError for a module that llama.cpp has none for, or the base.
    """
    if _OTHER_INPUT.search(module):
        raise XqeError(
            f"{where}: {module} is adapted, which is no part of the language model",
            "train with exclude_modules for it; a GGUF adapter is for texts",
        )
    if _OUTPUT_MODULE.fullmatch(module):
        _check_output(base, module, where)
        name, rows, columns = OUTPUT
        return name, (base.extents.get(rows), base.extents.get(columns))
    found = _LAYER.fullmatch(module)
    if found is None or found["matrix"] not in MATRICES:
        raise XqeError(
            f"{where}: {module} is adapted, and llama.cpp applies no adapter to it", f"it does to {', '.join(MATRICES)}"
        )
    if int(found["number"]) >= base.layers:
        raise XqeError(
            f"{where}: {module} is adapted, and {base.name} has {base.layers} layers",
            "an adapter fits only the model that it was trained on",
        )
    name, rows, columns = MATRICES[found["matrix"]]
    return f"blk.{int(found['number'])}.{name}", (base.extents.get(rows), base.extents.get(columns))


def _check_output(base: Dimensions, module: str, where: Path) -> None:
    """Raise XqeError unless the base has an output matrix that is not also its embeddings."""
    if base.own_output:
        return
    if base.own_output is None:
        raise XqeError(
            f"{where}: {module} is adapted, and a GGUF file's metadata do not say whether that is the embeddings",
            "give --base the checkpoint",
        )
    raise XqeError(
        f"{where}: {module} is adapted, which in {base.name} is the embeddings too; llama.cpp cannot adapt one alone",
        "train without lm_head, or merge it into its base",
    )


def _checked_rank(
    weights: Weights,
    names: Mapping[str, str],
    module: str,
    config: LoraConfig,
    extents: tuple[int | None, int | None],
) -> int:
    """The rank of a pair. Raises XqeError for shapes that do not fit each other, the settings, or the base."""
    a, b = weights.shapes[names["A"]], weights.shapes[names["B"]]
    if len(a) != 2 or len(b) != 2:
        raise XqeError(f"{weights.where}: {module} has matrices of shapes {a} and {b}", "only linear layers can be")
    if a[0] != b[1] or a[0] != config.rank_of(module):
        raise InputError(
            f"{weights.where}: {module} has shapes {a} and {b}, and a rank of {config.rank_of(module)} in its settings",
            "settings and matrices are of two adapters",
        )
    rows, columns = extents
    if (columns is not None and a[1] != columns) or (rows is not None and b[0] != rows):
        raise XqeError(
            f"{weights.where}: {module} adapts a matrix of {b[0]} x {a[1]}, and its base has one of "
            f"{rows or '?'} x {columns or '?'}",
            "an adapter fits only the model that it was trained on",
        )
    return a[0]


# ---------------------------------------------------------------- numbers


def _common_alpha(pairs: Sequence[_Pair]) -> np.float32:
    """The alpha of most pairs, which becomes the file's; 0 would mean to llama.cpp that there is none."""
    counts = Counter(pair.alpha for pair in pairs if pair.alpha)
    return counts.most_common(1)[0][0] if counts else np.float32(1)


def _matrices(weights: Weights, pair: _Pair, base: Dimensions, alpha: np.float32) -> tuple[Matrix, Matrix]:
    """A and B of a pair, B with its rows in llama.cpp's order and with the pair's part of an alpha of its own."""
    a, b = weights.matrix(pair.a), weights.matrix(pair.b)
    heads = {"attn_q": base.heads, "attn_k": base.key_heads}.get(pair.place.rpartition(".")[2])
    if base.architecture.rotated_halves and heads:
        b = reordered(b, heads)
    return a, b if pair.alpha == alpha else b * np.float32(float(pair.alpha) / float(alpha))


def reordered(rows: Matrix, heads: int) -> Matrix:
    """The rows of a query or key matrix, shape (heads * width, n), as llama.cpp's llama has them.

    Rotary positions turn pairs of a head's rows: in a checkpoint row i and row i + width / 2, in the file neighbours.
    """
    width = rows.shape[0] // heads
    halves: Matrix = rows.reshape(heads, 2, width // 2, -1)
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(rows.shape)


def _stored(values: Matrix, type: str, where: Path, name: str) -> NDArray[Any]:
    """The numbers as they are written. Raises XqeError for one that is too great for the type."""
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(values, dtype=TYPES[type][0])
    if not np.isfinite(stored).all():
        raise XqeError(f"{where}: {name} holds values that are too great for {type}", "export it as f32")
    return stored


# ---------------------------------------------------------------- metadata


def _provenance(folder: Path, base: Dimensions) -> dict[str, str]:
    named = {
        "general.name": folder.resolve().name,
        "general.base_model.0.name": base.name,
    }
    return {**named, BASE_SHA256: model_sha256(base.file)} if base.file is not None else named


def _describe(gguf: Any, writer: Any, type: str, alpha: float, entries: Mapping[str, str]) -> None:
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    writer.add_file_type(gguf.LlamaFileType[TYPES[type][1]])
    writer.add_uint32("general.base_model.count", 1)
    for key, text in entries.items():
        writer.add_string(key, text)
