"""Adapters for llama.cpp: what is computed with them against what PEFT computes, and what is refused.

The tolerances are of 32-bit floats. llama.cpp looks the gemmas' GELU up in a table of 16-bit floats, which is why
theirs are another hundred times wider.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

pytest.importorskip("peft", reason="needs xqe[finetune]", exc_type=ImportError)

import gguf
import peft
import random_models
import safetensors.torch
import torch
from peft.utils.other import get_pattern_key

from xqe import cli
from xqe.errors import InputError, XqeError
from xqe.files.hashes import sha256
from xqe.models.engines.llama import adapters as lora_adapters
from xqe.models.engines.llama.engine import LlamaEngine
from xqe.models.engines.llama.model import Model
from xqe.models.gguf import check_gguf, read_metadata
from xqe.training import adapters, comparing, peftconfig
from xqe.training.adapters import export, reordered
from xqe.training.architectures import ARCHITECTURES, MATRICES, OUTPUT, base_at
from xqe.training.library import quiet
from xqe.training.peftconfig import LoraConfig
from xqe.training.weights import read_weights

pytestmark = pytest.mark.xdist_group("training")

# measured: 6e-5 and 6e-3
TOLERANCE, TOLERANCE_OF_GELU = 5e-4, 2e-2
SEQUENCES = [[1, *(3 + byte for byte in text.encode())] for text in ("Who named mercury?", "Zürich 北")]
PATTERNS = {
    "rank_pattern": {"q_proj": 2, r"layers\.1\.mlp\.up_proj": 6, "^model.layers.3.self_attn.k_proj": 3},
    "alpha_pattern": {"k_proj": 3, r".*\.[02]\..*down_proj": 20},
}

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small matrices are no faster with more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], random_models.Made]:
    """The random model of a type, made once."""
    folder = tmp_path_factory.mktemp("models")
    known: dict[str, random_models.Made] = {}

    def make(kind: str) -> random_models.Made:
        if kind not in known:
            with quiet():
                known[kind] = random_models.make(kind, folder)
        return known[kind]

    return make


@pytest.fixture(scope="module")
def original(made: Callable[[str], random_models.Made], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of the random llama."""
    return adapted(made("llama"), tmp_path_factory.mktemp("adapter") / "expander")


@pytest.fixture
def lora(original: Path, tmp_path: Path) -> Path:
    """A copy of that adapter, to be changed."""
    return Path(shutil.copytree(original, tmp_path / "expander"))


def adapted(model: random_models.Made, folder: Path, **options: Any) -> Path:
    with quiet():
        return random_models.adapt(model, folder, **options)


def change_settings(folder: Path, **settings: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def change_tensors(folder: Path, change: Callable[[Tensors], Tensors]) -> None:
    path = folder / "adapter_model.safetensors"
    tensors = safetensors.torch.load_file(path)
    safetensors.torch.save_file({name: t.contiguous() for name, t in change(tensors).items()}, path)


def tensors_of(path: Path) -> dict[str, NDArray[np.float32]]:
    """The tensors of a GGUF file by name, as the gguf package reads them."""
    return {tensor.name: np.array(tensor.data, dtype=np.float32) for tensor in gguf.GGUFReader(path).tensors}


def compared(model: random_models.Made, folder: Path, adapter: Path) -> comparing.Comparison:
    return comparing.agreement(
        comparing.reference_logits(comparing.load_reference(str(model.checkpoint), folder), SEQUENCES),
        *(ours(model, used) for used in (None, adapter)),
    )


def ours(model: random_models.Made, adapter: Path | None) -> list[NDArray[np.float32]]:
    with closing(Model(str(model.file), gpu_layers=0)) as loaded:
        used = [(loaded.adapter(str(adapter)), 1.0)] if adapter else []
        return list(comparing.llama_logits(loaded, SEQUENCES, used, threads=1))


# -- llama.cpp against PEFT --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", random_models.KINDS)
def test_llama_cpp_computes_with_the_export_what_peft_computes(
    kind: str, made: Callable[[str], random_models.Made], tmp_path: Path
) -> None:
    model = made(kind)
    folder = adapted(model, tmp_path / "lora", use_rslora=True, **PATTERNS)
    exported = export(folder, tmp_path / "lora.gguf")
    assert (exported.pairs, exported.ranks) == (7 * random_models.LAYERS, (2, 3, 4, 6))
    found = compared(model, folder, exported.path)
    tolerance = TOLERANCE_OF_GELU if kind.startswith("gemma") else TOLERANCE
    assert found.plain.largest < tolerance, "the model itself"
    assert found.adapted.largest < tolerance
    assert found.effect.kl > 0.5, "an adapter that does little shows little"
    assert found.effect.carried == pytest.approx(1, abs=1e-3)
    assert found.effect.agrees(0.001)
    assert found.tokens == sum(map(len, SEQUENCES)) > 2 * random_models.WINDOW


def test_what_is_special_in_no_way_is_stored_as_it_is(
    made: Callable[[str], random_models.Made], original: Path, tmp_path: Path
) -> None:
    exported = export(original, tmp_path / "lora.gguf")
    assert (exported.alpha, exported.ranks) == (8.0, (4,))
    theirs = safetensors.torch.load_file(original / "adapter_model.safetensors")
    stored = tensors_of(exported.path)
    prefix = "base_model.model.model.layers.2"
    for module, place in (("mlp.down_proj", "ffn_down"), ("self_attn.v_proj", "attn_v")):
        for half in "AB":
            expected = theirs[f"{prefix}.{module}.lora_{half}.weight"].numpy()
            np.testing.assert_array_equal(stored[f"blk.2.{place}.weight.lora_{half.lower()}"], expected)
    assert compared(made("llama"), original, exported.path).adapted.largest < TOLERANCE


def test_the_output_matrix_is_adapted_where_it_is_one_of_its_own(
    made: Callable[[str], random_models.Made], tmp_path: Path
) -> None:
    modules = ["lm_head", "o_proj"]
    for kind in ("llama", "qwen2"):
        folder = adapted(made(kind), tmp_path / kind, target_modules=modules)
        exported = export(folder, tmp_path / f"{kind}.gguf")
        assert "output.weight.lora_a" in tensors_of(exported.path)
        assert compared(made(kind), folder, exported.path).adapted.largest < TOLERANCE
        with pytest.raises(XqeError, match=r"a GGUF file's metadata do not say .* give --base the checkpoint"):
            export(folder, tmp_path / "other.gguf", base=made(kind).file)
    folder = adapted(made("cohere2"), tmp_path / "cohere2", target_modules=modules)
    with pytest.raises(XqeError, match="lm_head is adapted, which in cohere2-checkpoint is the embeddings too"):
        export(folder, tmp_path / "cohere2.gguf")


def test_sixteen_bits_take_half_the_room_and_compute_nearly_the_same(
    made: Callable[[str], random_models.Made], original: Path, tmp_path: Path
) -> None:
    whole, half = (export(original, tmp_path / f"{kind}.gguf", type=kind) for kind in ("f32", "f16"))
    assert half.size < 0.6 * whole.size
    found = compared(made("llama"), original, half.path)
    assert TOLERANCE < found.adapted.largest < 0.05
    assert found.effect.agrees(0.01)


@pytest.mark.parametrize("wrong", ["order of rows", "alpha of the file", "alpha of one matrix", "no root of the rank"])
def test_the_comparison_finds_a_wrong_adapter(
    wrong: str, made: Callable[[str], random_models.Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = made("llama")
    folder = adapted(model, tmp_path / "lora", use_rslora=True, alpha_pattern={"v_proj": 16})
    right = export(folder, tmp_path / "right.gguf")
    if wrong == "order of rows":
        monkeypatch.setattr(adapters, "reordered", lambda rows, heads: rows)
    elif wrong == "alpha of the file":
        change_settings(folder, lora_alpha=10)
    elif wrong == "alpha of one matrix":
        change_settings(folder, alpha_pattern={})
    else:
        change_settings(folder, use_rslora=False)
    export(folder, tmp_path / "wrong.gguf")
    change_settings(folder, lora_alpha=8, alpha_pattern={"v_proj": 16}, use_rslora=True)
    assert compared(model, folder, right.path).effect.agrees(0.05)
    found = compared(model, folder, tmp_path / "wrong.gguf")
    assert not found.effect.agrees(0.05)
    assert found.adapted.largest > 100 * TOLERANCE


def test_an_adapter_that_does_nothing_agrees_with_one_that_does_nothing(
    made: Callable[[str], random_models.Made], lora: Path, tmp_path: Path
) -> None:
    right = export(lora, tmp_path / "right.gguf")
    change_tensors(lora, lambda tensors: {n: t * 0 if "lora_B" in n else t for n, t in tensors.items()})
    nothing = export(lora, tmp_path / "nothing.gguf")
    assert nothing.notes == ["every B of the adapter is 0: it changes nothing"]
    assert right.notes == []
    effect = compared(made("llama"), lora, nothing.path).effect
    assert (effect.kl, effect.carried, effect.error) == (0, 1, 0)
    assert effect.agrees(0)
    assert not compared(made("llama"), lora, right.path).effect.agrees(0.5)


# -- the parts ---------------------------------------------------------------------------------------------------


@given(heads=st.integers(1, 5), half=st.integers(1, 6), columns=st.integers(1, 3))
def test_rows_half_a_head_apart_become_neighbours(heads: int, half: int, columns: int) -> None:
    rows = np.arange(heads * 2 * half * columns, dtype=np.float32).reshape(heads * 2 * half, columns)
    result = reordered(rows, heads)
    for head in range(heads):
        first = head * 2 * half
        for row in range(half):
            np.testing.assert_array_equal(result[first + 2 * row], rows[first + row])
            np.testing.assert_array_equal(result[first + 2 * row + 1], rows[first + half + row])


@pytest.mark.parametrize("row", ARCHITECTURES, ids=lambda row: row.name)
def test_the_names_are_those_of_the_gguf_package(row: Any) -> None:
    number = next(number for number, name in gguf.MODEL_ARCH_NAMES.items() if name == row.name)
    names = gguf.get_tensor_name_map(number, 3)
    for module, (place, _, _) in MATRICES.items():
        assert names.get_name(f"model.layers.2.{module}") == f"blk.2.{place}"
    if row.own_output:
        assert names.get_name("lm_head") == OUTPUT[0]


@pytest.mark.parametrize("kind", random_models.KINDS)
def test_a_base_is_the_same_from_its_checkpoint_and_from_its_gguf_file(
    kind: str, made: Callable[[str], random_models.Made]
) -> None:
    model = made(kind)
    read, file = base_at(model.checkpoint), base_at(model.file)
    extents = {name: extent for name, extent in read.extents.items() if name != "vocabulary"}
    assert file.extents == extents
    assert replace(file, name=read.name, own_output=read.own_output, extents=read.extents, file=None) == read
    shapes = {name: tuple(t.shape) for name, t in safetensors_of(model.checkpoint).items()}
    for module, (_, rows, columns) in MATRICES.items():
        assert shapes[f"model.layers.0.{module}.weight"] == (extents[rows], extents[columns])


def safetensors_of(checkpoint: Path) -> Tensors:
    tensors: Tensors = safetensors.torch.load_file(checkpoint / "model.safetensors")
    return tensors


KEYS = (
    "q_proj",
    "self_attn.q_proj",
    r"layers\.1\..*",
    r".*\.[01]\.mlp\.up_proj",
    "^model.layers.0.mlp.up_proj",
    "proj",
)
MODULES = ("model.layers.0.self_attn.q_proj", "model.layers.1.mlp.up_proj", "model.layers.0.mlp.up_proj")


@given(
    ranks=st.dictionaries(st.sampled_from(KEYS), st.integers(1, 64)),
    alphas=st.dictionaries(st.sampled_from(KEYS), st.floats(-64, 64)),
    module=st.sampled_from(MODULES),
    rank_stabilized=st.booleans(),
)
def test_patterns_match_as_peft_matches_them(
    ranks: Mapping[str, int], alphas: Mapping[str, float], module: str, rank_stabilized: bool
) -> None:
    config = LoraConfig(Path("adapter_config.json"), 8, 16.0, ranks, alphas, rank_stabilized, "", None)
    rank = ranks.get(get_pattern_key(list(ranks), module), 8)
    alpha = alphas.get(get_pattern_key(list(alphas), module), 16.0)
    assert config.rank_of(module) == rank
    scaling = alpha / rank**0.5 if rank_stabilized else alpha / rank
    assert config.alpha_of(module) / rank == pytest.approx(scaling)


def test_peft_scales_by_what_the_file_says(made: Callable[[str], random_models.Made], tmp_path: Path) -> None:
    folder = adapted(made("qwen2"), tmp_path / "lora", use_rslora=True, **PATTERNS)
    exported = export(folder, tmp_path / "lora.gguf")
    model = comparing.load_reference(str(made("qwen2").checkpoint), folder)
    stored = tensors_of(exported.path)
    for name, module in model.base_model.model.named_modules():
        if isinstance(module, peft.tuners.lora.Linear):
            layer: Any = module
            number, matrix = re.fullmatch(r"model\.layers\.(\d)\.(.+)", name).groups()  # type: ignore[union-attr]
            b = stored[f"blk.{number}.{MATRICES[matrix][0]}.weight.lora_b"]
            expected = layer.lora_B["default"].weight.detach().numpy() * layer.scaling["default"]
            np.testing.assert_allclose(b * exported.alpha / b.shape[1], expected, rtol=1e-6)


@pytest.mark.parametrize("type", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_numbers_are_read_as_torch_reads_them(type: torch.dtype, lora: Path) -> None:
    change_tensors(lora, lambda tensors: {name: tensor.to(type) for name, tensor in tensors.items()})
    weights = read_weights(lora)
    expected = safetensors.torch.load_file(lora / "adapter_model.safetensors")
    assert set(weights.shapes) == set(expected)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(weights.matrix(name), tensor.to(torch.float32).numpy())


def test_a_pickled_adapter_gives_the_same_bytes(lora: Path, original: Path, tmp_path: Path) -> None:
    tensors = safetensors.torch.load_file(lora / "adapter_model.safetensors")
    torch.save(
        {name.replace(".weight", ".default.weight"): t for name, t in tensors.items()}, lora / "adapter_model.bin"
    )
    (lora / "adapter_model.safetensors").unlink()
    a, b = export(original, tmp_path / "a.gguf"), export(lora, tmp_path / "b.gguf")
    assert a.path.read_bytes() == b.path.read_bytes()
    (lora / "adapter_model.bin").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"adapter_model.bin: cannot be read"):
        export(lora, tmp_path / "b.gguf")


# -- where things lie --------------------------------------------------------------------------------------------


LANGUAGE_MODEL = "base_model.model.model."


def multimodal(folder: Path, prefix: str) -> None:
    """Make an adapter of a text model look as one of a model of images and text."""
    place = f"base_model.model.{prefix}"
    change_tensors(folder, lambda tensors: {n.replace(LANGUAGE_MODEL, place): t for n, t in tensors.items()})


@pytest.mark.parametrize("prefix", ["model.language_model.", "language_model.model.", "language_model.", ""])
def test_the_language_model_of_a_model_of_images_and_text_is_found(
    prefix: str, made: Callable[[str], random_models.Made], tmp_path: Path
) -> None:
    base = shutil.copytree(made("gemma3_text").checkpoint, tmp_path / "base")
    folder = adapted(made("gemma3_text"), tmp_path / "lora")
    plain = export(folder, tmp_path / "plain.gguf", base=base)
    text = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({"model_type": "gemma3", "text_config": text, "vision_config": {}}))
    multimodal(folder, prefix)
    vision = {
        f"base_model.model.vision_tower.vision_model.encoder.layers.{layer}.self_attn.q_proj.lora_{half}.weight": values
        for layer in range(2)
        for half, values in (("A", torch.ones(4, 8)), ("B", torch.zeros(8, 4)))
    }
    change_tensors(folder, lambda tensors: tensors | vision)
    found = export(folder, tmp_path / "found.gguf", base=base)
    assert found.path.read_bytes() == plain.path.read_bytes()
    assert len(found.left_out) == 2
    assert "2 modules in all, are left out" in found.notes[0]
    change_tensors(folder, lambda tensors: {n: t + ("vision" in n) for n, t in tensors.items()})
    with pytest.raises(XqeError, match=r"vision_tower\.\S+ is adapted, which is no part of the language model"):
        export(folder, tmp_path / "found.gguf", base=base)


def test_what_a_configuration_leaves_out_is_what_transformers_takes(tmp_path: Path) -> None:
    # as in the configuration of Gemma 3 4B, which names neither heads nor their width
    text = {"hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34, "vocab_size": 262208}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gemma3", "text_config": text}))
    base = base_at(tmp_path)
    assert (base.heads, base.key_heads, base.layers) == (8, 4, 34)
    assert (base.extents["queries"], base.extents["keys"]) == (2048, 1024)


def test_a_base_in_the_cache_of_the_hub_is_found(
    made: Callable[[str], random_models.Made], lora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_settings(lora, base_model_name_or_path="someone/small-llama", revision=None)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"its base model, someone/small-llama: neither .* give --base"):
        export(lora, tmp_path / "lora.gguf")
    snapshot = tmp_path / "models--someone--small-llama" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    shutil.copy(made("llama").checkpoint / "config.json", snapshot)
    (snapshot.parent.parent / "refs").mkdir()
    (snapshot.parent.parent / "refs" / "main").write_text("abc")
    assert export(lora, tmp_path / "lora.gguf").base == "someone/small-llama"
    change_settings(lora, revision="abc")
    export(lora, tmp_path / "lora.gguf")
    change_settings(lora, revision="def")
    with pytest.raises(InputError, match="neither a folder nor a file"):
        export(lora, tmp_path / "lora.gguf")
    change_settings(lora, base_model_name_or_path=None)
    with pytest.raises(InputError, match="names no base model; give --base"):
        export(lora, tmp_path / "lora.gguf")


def test_a_gguf_file_as_base_is_noted_and_another_one_told(
    made: Callable[[str], random_models.Made], original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = made("llama")
    exported = export(original, tmp_path / "lora.gguf", base=model.file, metadata={"xqe.training": "abc"})
    check_gguf(exported.path)
    keys = ("general.architecture", "general.type", "adapter.type", "adapter.lora.alpha", "general.name")
    found = read_metadata(exported.path, *keys, "general.base_model.0.name", "xqe.base_sha256", "xqe.training")
    digest = sha256(model.file)
    assert list(found.values()).count(digest) == 1
    assert found == {
        "general.architecture": "llama",
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": 8.0,
        "general.name": "expander",
        "general.base_model.0.name": "llama",
        "xqe.base_sha256": digest,
        "xqe.training": "abc",
    }
    used = lora_adapters.adapter(f"{exported.path}:0.5")
    assert (used.sha256, used.scale) == (exported.sha256, 0.5)
    for other, is_told in ((digest, False), ("", False), ("f" * 64, True), ("f" * 64, False)):
        LlamaEngine("mine", str(model.file), other, adapters=(used,), vocabulary_only=True).close()
        told = capsys.readouterr().err
        assert (f"trained on llama (sha256 {digest[:12]}), and mine is another file" in told) == is_told
    unknown = lora_adapters.adapter(str(export(original, tmp_path / "unknown.gguf").path))
    LlamaEngine("mine", str(model.file), "f" * 64, adapters=(unknown,), vocabulary_only=True).close()
    assert capsys.readouterr().err == ""


def test_the_same_adapter_is_written_as_the_same_bytes_whole_or_not_at_all(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "new" / "lora.gguf"
    first = export(original, out)
    assert export(original, out).sha256 == first.sha256 == sha256(out)
    assert first.size == out.stat().st_size

    def fails(_path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(adapters, "check_gguf", fails)
    with pytest.raises(InputError, match="no space left on device"):
        export(original, out, type="f16")
    assert sha256(out) == first.sha256
    assert list(out.parent.iterdir()) == [out]


def test_a_model_is_not_overwritten(made: Callable[[str], random_models.Made], original: Path, tmp_path: Path) -> None:
    model = shutil.copy(made("llama").file, tmp_path / "model.gguf")
    (tmp_path / "notes.txt").write_text("mine")
    for place, reason in (
        (model, "there is a model"),
        (tmp_path / "notes.txt", "there is a file"),
        (tmp_path, "folder"),
    ):
        with pytest.raises(XqeError, match=reason):
            export(original, Path(place))
    assert (tmp_path / "notes.txt").read_text() == "mine"


# -- refusals ----------------------------------------------------------------------------------------------------

REFUSED_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "an adapter of type ADALORA": {"peft_type": "ADALORA"},
    "an adapter of type unknown": {"peft_type": None},
    "DoRA, which a GGUF adapter cannot hold": {"use_dora": True},
    "QALoRA": {"use_qalora": True},
    "block-diagonal LoRA": {"use_bdlora": {"nblocks": 2}},
    "KaSA": {"kasa_config": {"beta": 1}},
    "Arrow routing": {"arrow_config": {"top_k": 2}},
    "activated LoRA": {"alora_invocation_tokens": [1, 2]},
    "lora_bias": {"lora_bias": True},
    "modules_to_save": {"modules_to_save": ["lm_head"]},
    "trainable_token_indices": {"trainable_token_indices": [5]},
    "target_parameters": {"target_parameters": ["mlp.experts.gate_up_proj"]},
    "layer_replication": {"layer_replication": [[0, 2], [1, 3]]},
    "layers of Megatron": {"megatron_config": {"a": 1}},
    'initialized by "pissa_niter_4", which changed the base': {"init_lora_weights": "pissa_niter_4"},
    'initialized by "loftq"': {"init_lora_weights": "loftq"},
    'the initialization "new" is unknown': {"init_lora_weights": "new"},
    '"r" or "rank_pattern" is no whole number above 0': {"r": 0},
    '"r" or "rank_pattern"': {"rank_pattern": {"q_proj": "2"}},
    '"lora_alpha" or "alpha_pattern" is no number': {"lora_alpha": None},
    "is no regular expression": {"alpha_pattern": {"(": 2}},
    "a rank of 5 in its settings; settings and matrices are of two adapters": {"rank_pattern": {"v_proj": 5}},
}


@pytest.mark.parametrize("reason", REFUSED_SETTINGS)
def test_settings_that_are_no_plain_lora_are_refused_by_name(reason: str, lora: Path, tmp_path: Path) -> None:
    change_settings(lora, **REFUSED_SETTINGS[reason])
    refused(lora, tmp_path, re.escape(reason))


def refused(folder: Path, tmp_path: Path, reason: str, base: Path | None = None) -> None:
    with pytest.raises(XqeError, match=reason) as error:
        export(folder, tmp_path / "out" / "lora.gguf", base)
    assert error.value.hint
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists(), "nothing is begun"


@pytest.mark.parametrize("start", [True, False, "gaussian", "eva", "orthogonal", "mica"])
def test_initializations_that_leave_the_base_alone_are_accepted(start: Any, lora: Path, tmp_path: Path) -> None:
    change_settings(lora, init_lora_weights=start, fan_in_fan_out=True, bias="all", lora_dropout=0.5)
    export(lora, tmp_path / "lora.gguf")


LAYER = "base_model.model.model.layers.0"
Q = f"{LAYER}.self_attn.q_proj"
ADDED: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "lora_magnitude_vector.weight is DoRA": {f"{Q}.lora_magnitude_vector.weight": (64,)},
    "lora_diag is KaSA": {f"{Q}.lora_diag": (4,)},
    "embed_tokens.lora_embedding_A is trained embeddings": {
        "base_model.model.model.embed_tokens.lora_embedding_A": (4, 264)
    },
    "embed_tokens.weight is trained embeddings": {"base_model.model.model.embed_tokens.weight": (264, 64)},
    "lora_B.bias is a bias beside the LoRA matrices": {f"{Q}.lora_B.bias": (64,)},
    "q_proj.base_layer.bias is a trained bias": {f"{Q}.base_layer.bias": (64,)},
    "lm_head.weight is a module trained as a whole": {"base_model.model.lm_head.weight": (264, 64)},
    "input_layernorm.weight is a trained norm": {f"{LAYER}.input_layernorm.weight": (64,)},
    "experts.3.up_proj.lora_A.weight is LoRA of parameters that are no linear layers": {
        f"{LAYER}.mlp.experts.3.up_proj.lora_A.weight": (4, 64)
    },
    "hada_w1_a is neither lora_A nor lora_B": {f"{Q}.hada_w1_a": (4, 4)},
    "holds 2 adapters": {f"{LAYER}.mlp.up_proj.lora_A.other.weight": (4, 64)},
    "mlp.new_proj has no lora_B": {f"{LAYER}.mlp.new_proj.lora_A.weight": (4, 64)},
    "mlp.new_proj is adapted, and llama.cpp applies no adapter to it": {
        f"{LAYER}.mlp.new_proj.lora_A.weight": (4, 64),
        f"{LAYER}.mlp.new_proj.lora_B.weight": (96, 4),
    },
    "layers.7.mlp.up_proj is adapted, and llama-checkpoint has 4 layers": {
        "base_model.model.model.layers.7.mlp.up_proj.lora_A.weight": (4, 64),
        "base_model.model.model.layers.7.mlp.up_proj.lora_B.weight": (96, 4),
    },
    "only linear layers": {f"{LAYER}.mlp.up_proj.lora_A.weight": (4, 64, 3)},
    r"adapts a matrix of 96 x 32, and its base has one of 96 x 64": {f"{LAYER}.mlp.up_proj.lora_A.weight": (4, 32)},
    r"adapts a matrix of 64 x 64, and its base has one of 96 x 64": {f"{LAYER}.mlp.up_proj.lora_B.weight": (64, 4)},
    "are the same matrix": {
        "base_model.model.language_model.model.layers.0.mlp.up_proj.lora_A.weight": (4, 64),
        "base_model.model.language_model.model.layers.0.mlp.up_proj.lora_B.weight": (96, 4),
    },
}


@pytest.mark.parametrize("reason", ADDED)
def test_tensors_that_are_no_plain_lora_are_refused_by_name(reason: str, lora: Path, tmp_path: Path) -> None:
    change_tensors(lora, lambda tensors: tensors | {name: torch.ones(shape) for name, shape in ADDED[reason].items()})
    refused(lora, tmp_path, re.escape(reason))


def test_values_that_are_no_numbers_are_refused(lora: Path, tmp_path: Path) -> None:
    change_tensors(lora, lambda tensors: {n: t * 1e7 if "up_proj.lora_B" in n else t for n, t in tensors.items()})
    export(lora, tmp_path / "lora.gguf")
    with pytest.raises(XqeError, match=r"up_proj.lora_B.weight holds values that are too great for f16; export it as"):
        export(lora, tmp_path / "lora.gguf", type="f16")
    change_tensors(lora, lambda tensors: {n: t / (0 if "o_proj.lora_A" in n else 1) for n, t in tensors.items()})
    with pytest.raises(XqeError, match=r"o_proj.lora_A.weight holds values that are infinite or no numbers"):
        export(lora, tmp_path / "lora.gguf")


def test_a_base_that_is_another_one_is_refused(
    made: Callable[[str], random_models.Made], lora: Path, tmp_path: Path
) -> None:
    refused(lora, tmp_path, "adapts a matrix of 32 x 64, and its base has one of 64 x 64", made("mistral").checkpoint)
    refused(lora, tmp_path, "no such file", tmp_path / "none.gguf")
    refused(lora, tmp_path, "config.json: no such file", lora)
    adapter = export(lora, tmp_path / "adapter.gguf").path
    refused(lora, tmp_path, "is no model but of the type adapter", adapter)
    for text, reason in (
        ('{"model_type": "gpt2"}', 'a model of type "gpt2"; adapters can be exported for the types gemma, '),
        ('{"model_type": "llama"}', '"num_attention_heads" is missing'),
        ("[]", "not a JSON object"),
    ):
        (tmp_path / "config.json").write_text(text)
        refused(lora, tmp_path, re.escape(reason), tmp_path)
    writer = gguf.GGUFWriter(tmp_path / "phi.gguf", "phi3")
    writer.add_tensor("a", np.zeros(1, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    refused(lora, tmp_path, "a model of architecture phi3; adapters can be exported for gemma, ", tmp_path / "phi.gguf")


def header(entries: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


DAMAGED: Mapping[str, bytes] = {
    "cannot be read": b"",
    "it ends in its header": b"abc",
    "it is a Git LFS pointer, not the file itself": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    "it does not begin as safetensors do": b"PK\x03\x04 a zip file",
    "its header is no JSON object": header([1, 2]),
    "its entry of a cannot be read": header({"a": {"dtype": "F32"}}),
    "a is of type F8_E4M3": header({"a": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}, b"0"),
    "a has 4 bytes for a shape of [2]": header({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, b"0000"),
    "a at 4 instead of 0": header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, b"00000000"),
    "its data have 3 bytes instead of 4": header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"000"),
    "its data have 9 bytes instead of 4": header(
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"0" * 9
    ),
}


@pytest.mark.parametrize("reason", DAMAGED)
def test_a_damaged_file_is_refused_with_what_is_wrong(reason: str, lora: Path, tmp_path: Path) -> None:
    (lora / "adapter_model.safetensors").write_bytes(DAMAGED[reason])
    refused(lora, tmp_path, rf"adapter_model.safetensors: .*{re.escape(reason)}")


@pytest.mark.parametrize("share", [0.001, 0.2, 0.9, 0.9999])
def test_a_cut_file_is_refused(share: float, lora: Path, tmp_path: Path) -> None:
    path = lora / "adapter_model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    refused(lora, tmp_path, "damaged or incomplete")


def test_a_folder_that_holds_no_adapter_is_refused(lora: Path, tmp_path: Path) -> None:
    refused(tmp_path / "none", tmp_path, "no such folder")
    refused(lora / "adapter_config.json", tmp_path, "is a file; give the folder")
    (lora / "adapter_model.safetensors").unlink()
    refused(lora, tmp_path, "holds neither adapter_model.safetensors nor adapter_model.bin")
    (lora / "adapter_config.json").write_text("{")
    refused(lora, tmp_path, "adapter_config.json: not a JSON object")
    (lora / "adapter_config.json").unlink()
    refused(lora, tmp_path, "adapter_config.json: no such file")


def test_an_empty_adapter_is_refused(lora: Path, tmp_path: Path) -> None:
    change_tensors(lora, lambda tensors: {})
    refused(lora, tmp_path, "holds no LoRA matrices of a language model")


def test_without_the_extra_it_is_named(lora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    refused(lora, tmp_path, re.escape('exporting an adapter needs gguf; install it with: pip install "xqe[finetune]"'))


def test_an_adapter_that_transformers_does_not_find_is_not_compared(
    made: Callable[[str], random_models.Made], lora: Path
) -> None:
    multimodal(lora, "model.language_model.")
    with pytest.raises(XqeError, match="transformers does not find all of its modules in"):
        comparing.load_reference(str(made("llama").checkpoint), lora)
    with pytest.raises(XqeError, match=r"transformers cannot load it on .* \(.*\); give --base the checkpoint"):
        comparing.load_reference(str(made("mistral").checkpoint), adapted(made("llama"), lora))


def test_lora_names_the_command_for_a_folder_of_peft(lora: Path, tmp_path: Path) -> None:
    for path, reason in (
        (lora, f"is a folder, of a PEFT adapter; make a GGUF file of a PEFT adapter: xqe finetune export {lora} --out"),
        (tmp_path, "is a folder; make a GGUF file"),
        (
            lora / "adapter_model.safetensors",
            "a PEFT adapter becomes one: xqe finetune export FOLDER --out ADAPTER.gguf",
        ),
    ):
        with pytest.raises(XqeError, match=re.escape(reason)):
            lora_adapters.adapter(str(path))


def test_every_setting_of_peft_that_makes_another_forward_pass_has_a_name() -> None:
    """PEFT marks the settings that turn a LoRA into a variant of it; a new one would be noticed here."""
    fields = peft.LoraConfig.__dataclass_fields__
    variants = {name for name, field in fields.items() if field.metadata.get("is_lora_variant")}
    only_while_training = {"velora_config"}
    assert variants - only_while_training <= set(peftconfig.UNREPRESENTABLE)
    assert set(peftconfig.UNREPRESENTABLE) <= set(fields)


# -- the command, and a real model -------------------------------------------------------------------------------


def test_the_command_writes_what_it_made_and_compares_it(
    made: Callable[[str], random_models.Made],
    lora: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = made("llama")
    out = tmp_path / "lora.gguf"
    arguments = ["finetune", "export", str(lora), "--out", str(out), "--compare", str(model.file), "--threads", "1"]
    monkeypatch.setattr("sys.stdin", io.StringIO("Zürich\n\nBern\n"))
    assert cli.run([*arguments, "--text", "Mercury", "--text", "-"]) == 0
    done = capsys.readouterr()
    assert done.err == ""
    found = json.loads(done.out)
    comparison = found.pop("comparison")
    assert found == {
        "file": str(out),
        "architecture": "llama",
        "base": "llama-checkpoint",
        "pairs": 28,
        "ranks": [4],
        "alpha": 8.0,
        "type": "f32",
        "size": out.stat().st_size,
        "sha256": sha256(out),
    }
    assert (comparison["texts"], comparison["tokens"], comparison["agrees"]) == (3, 8 + 8 + 5, True)
    assert comparison["adapted"]["largest"] < TOLERANCE
    assert comparison["adapted"]["same_top"] == 1
    with quiet():
        other = random_models.make("llama", tmp_path, seed=5)  # not what the GGUF file was made of
    assert cli.run([*arguments, "--base", str(other.checkpoint)]) == 1
    done = capsys.readouterr()
    comparison = json.loads(done.out)["comparison"]
    assert (comparison["texts"], comparison["tokens"]) == (5, 5 * comparing.TOKENS)
    assert not comparison["agrees"]
    assert "llama.cpp does something else with it than transformers" in done.err


def test_the_command_fails_before_it_begins(xqe: Run, lora: Path, tmp_path: Path) -> None:
    out = tmp_path / "lora.gguf"
    for options, reason in (
        (("--text", "a"), "--text has no effect without --compare"),
        (("--tolerance", "0.1"), "--tolerance has no effect without --compare"),
        (("--compare", str(tmp_path / "none.gguf")), "no such file"),
        (("--compare", "tiny", "--tolerance", "nan"), "'--tolerance': 'nan' is not a number"),
        (("--base", str(tmp_path)), "config.json: no such file"),
    ):
        done = xqe("finetune", "export", str(lora), "--out", str(out), *options)
        assert (done.returncode, done.stdout) == (2, "")
        assert reason in done.stderr
        assert done.stderr.count("\n") == 1
        assert not out.exists()


def write_peft(folder: Path, shapes: Mapping[str, tuple[int, int]], layers: int, size: float) -> Path:
    """An adapter of PEFT's form for every layer, of random numbers. shapes: of the matrices, output before input."""
    torch.manual_seed(3)
    tensors = {}
    for layer in range(layers):
        for module, (rows, columns) in shapes.items():
            name = f"base_model.model.model.layers.{layer}.{module}"
            tensors[f"{name}.lora_A.weight"] = torch.randn(8, columns) * 0.02
            tensors[f"{name}.lora_B.weight"] = torch.randn(rows, 8) * size
    folder.mkdir()
    safetensors.torch.save_file(tensors, folder / "adapter_model.safetensors")
    settings = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "base_model_name_or_path": "google/gemma-3-270m"}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    return folder


def test_an_adapter_of_a_real_model_is_exported_and_used(xqe: Run, few_path: Path, tmp_path: Path) -> None:
    extents = {"embedding": 640, "feed_forward": 2048, "queries": 1024, "keys": 256}  # of Gemma 3 270M
    shapes = {module: (extents[rows], extents[columns]) for module, (_, rows, columns) in MATRICES.items()}
    folder = write_peft(tmp_path / "lora", shapes, 18, size=0.01)
    out = tmp_path / "lora.gguf"
    done = xqe("finetune", "export", str(folder), "--out", str(out), "--base", str(few_path), "--type", "f16")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["pairs"] == 18 * 7
    assert out.stat().st_size < 4_000_000
    with closing(Model(str(few_path), gpu_layers=0)) as model:
        tokens = [[int(token) for token in model.vocabulary.tokenize("The capital of France is", True, False)]]
        plain, none, whole = (
            next(comparing.llama_logits(model, tokens, adapters, threads=1))
            for adapters in ([], [(model.adapter(str(out)), 0.0)], [(model.adapter(str(out)), 1.0)])
        )
    assert np.abs(none - plain).max() < 1e-3
    assert np.abs(whole - plain).max() > 1


def test_a_divergence_is_that_of_the_definition() -> None:
    p, q = np.array([1.0, 2.0, -3.0]), np.array([0.5, 0.5, 4.0])
    a, b = np.exp(p) / np.exp(p).sum(), np.exp(q) / np.exp(q).sum()
    assert comparing.divergence(p, q) == pytest.approx(sum(x * np.log(x / y) for x, y in zip(a, b, strict=True)))
    assert comparing.divergence(p, p + 7) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("error", "carried", "noise", "agrees"),
    [
        (0.04, 1.0, 0.0, True),
        (0.06, 1.0, 0.0, False),
        (0.04, 0.94, 0.0, False),
        (0.43, 1.0, 0.4, True),
        (0.46, 1.0, 0.4, False),
        (1.0, 0.0, 1.2, False),
    ],
)
def test_an_effect_agrees_within_the_tolerance_beyond_the_noise(
    error: float, carried: float, noise: float, agrees: bool
) -> None:
    assert comparing.Effect(1.0, carried, error, noise).agrees(0.05) == agrees
