"""Damaged files, and files for something else, each of which is one line and no crash of the process."""

from __future__ import annotations

import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
import small_models
from conftest import Run

from xqe.errors import ModelError
from xqe.models.encoders.local import LLAMA, ONNX, open_encoder
from xqe.models.engines.jobs import Job
from xqe.models.engines.llama.engine import LlamaEngine
from xqe.models.engines.llama.model import Model
from xqe.models.engines.llama.settings import Hardware, Settings
from xqe.models.engines.requests import Request, Sampling
from xqe.models.gguf import read_header
from xqe.models.lookup import resolve
from xqe.models.prompts import Text
from xqe.models.purposes import check_generates

CPU = Hardware(threads=1, gpu_layers=0)
UINT32, FLOAT32 = 4, 6  # types of metadata; docs/gguf.md of ggml
NAN = float("nan")


def changed(source: Path, target: Path, key: str, kind: int, value: float) -> Path:
    """Copy a file with another value of four bytes, perhaps of another type, for a key that has one of as many."""
    content = bytearray(source.read_bytes())
    place = content.index(struct.pack("<Q", len(key)) + key.encode()) + 8 + len(key)
    content[place : place + 8] = struct.pack("<II" if kind == UINT32 else "<If", kind, value)
    target.write_bytes(content)
    return target


# What ends llama.cpp


@pytest.mark.parametrize(
    ("token", "instead", "reason"),
    [
        (b"<0x41>", b"<0x42>", "GGML_ASSERT(id_to_token.size() == token_to_id.size()) failed"),
        (b"<0x65>", b"<zx65>", "it threw an exception"),  # "e" of the prompt has no token then
    ],
)
def test_a_vocabulary_that_llama_cpp_cannot_use(
    xqe: Run, certain_path: Path, tmp_path: Path, token: bytes, instead: bytes, reason: str
) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(certain_path.read_bytes().replace(token, instead))
    done = xqe("expand", "zinc", "--lang", "en", "-m", str(path))
    told = "the model file may be damaged: check it with xqe models verify"
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"xqe: llama.cpp cannot go on ({reason}); {told}\n"


def test_a_library_that_is_missing_is_one_line(
    xqe_alone: Run, certain_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "llama_cpp").mkdir()
    reason = "Failed to load shared library 'libllama.so': libggml.so.0: cannot open shared object file"
    (tmp_path / "llama_cpp" / "__init__.py").write_text(f"raise RuntimeError({reason!r})")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    done = xqe_alone("expand", "zinc", "--lang", "en", "-m", str(certain_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"xqe: llama.cpp cannot be loaded: RuntimeError: {reason}; see xqe doctor\n"


# What it loads and cannot use


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("gemma3.context_length", "trained on 0 tokens of context"),
        ("gemma3.rope.dimension_count", "rotates no dimension"),  # for ever
        ("gemma3.attention.head_count", "cannot be loaded"),
    ],
)
def test_numbers_that_make_no_model(random_path: Path, tmp_path: Path, key: str, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        Model(str(changed(random_path, tmp_path / "m.gguf", key, UINT32, 0)))


@pytest.mark.parametrize("settings", [Settings(), Settings(deterministic=True)], ids=["together", "deterministic"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_no_numbers_are_the_error_of_a_text(
    tmp_path: Path, settings: Settings, temperature: float
) -> None:
    path = small_models.bigrams(tmp_path / "m.gguf", small_models.saying(small_models.SAID))
    embeddings = read_header(path).places["token_embd.weight"]
    with path.open("r+b") as file:
        file.seek(embeddings.start + small_models.number("z") * embeddings.shape[0] * 4)
        file.write(struct.pack("<f", NAN))
    sampling = Sampling(temperature=temperature, repeat_penalty=1.0)
    jobs = [Job(text, [Request(Text(text, ()), text, 20, sampling)]) for text in ("zinc", "lead")]
    with LlamaEngine("m", str(path), settings=settings) as engine:
        failed, done = (job.results()[0] for job in engine.generate(jobs))
    assert failed.finish == "error" and "logits are no numbers" in str(failed)
    assert (done.finish, done.text) == ("stop", small_models.SAID)


@pytest.mark.parametrize(
    ("key", "kind", "value"),
    [
        ("bert.embedding_length", UINT32, 3),
        ("bert.embedding_length", FLOAT32, 64.0),
        ("bert.block_count", UINT32, 0),
        ("bert.attention.head_count", UINT32, 3),
        ("bert.attention.head_count", FLOAT32, 4.0),
        ("bert.attention.layer_norm_epsilon", FLOAT32, NAN),
    ],
)
def test_onnx_runtime_is_given_numbers_that_do_not_fit(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], key: str, kind: int, value: float
) -> None:
    path = changed(small_models.bert(tmp_path / "whole.gguf"), tmp_path / "e.gguf", key, kind, value)
    with pytest.raises(ModelError) as caught:
        open_encoder(str(path), CPU, "cls", "", "", runtime=ONNX)
    assert str(path) in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("key", ["bert.pooling_type", "bert.context_length"])
def test_numbers_of_another_type(tmp_path: Path, key: str) -> None:
    path = changed(small_models.bert(tmp_path / "whole.gguf"), tmp_path / "e.gguf", key, FLOAT32, 2.0)
    with pytest.raises(ModelError, match=f"{key} is no whole number"):
        open_encoder(str(path), CPU, None, "", "", runtime=LLAMA)


# What is for something else


@pytest.mark.parametrize(
    ("architecture", "kind", "told"),
    [
        ("llama", "adapter", "is no model but of the type adapter; it goes to --lora"),
        ("llama", "mmproj", "is no model but of the type mmproj; it is what a model sees with"),
        ("clip", None, "is no model but of the type mmproj"),
        ("llama", "imatrix", "is no model but of the type imatrix"),
    ],
)
def test_a_file_of_something_else_than_a_model(tmp_path: Path, architecture: str, kind: str | None, told: str) -> None:
    path = tmp_path / "x.gguf"
    writer = gguf.GGUFWriter(path, architecture)
    if kind:
        writer.add_type(kind)
    writer.add_tensor("x", np.zeros(32, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelError, match=told):
        resolve(str(path))


def test_what_pools_does_not_generate(tmp_path: Path) -> None:
    path = small_models.qwen3(tmp_path / "x.gguf")  # says so behind its vocabulary
    with pytest.raises(ModelError, match="x: makes vectors and generates no text"):
        LlamaEngine("x", str(path))
    named = small_models.gemma(tmp_path / "Qwen3-Reranker-0.6B.gguf", layers=1)
    with pytest.raises(ModelError, match="n: ranks passages and generates no text"):
        check_generates("n", named)
    ranks = small_models.bert(tmp_path / "r.gguf", pooling=4)
    with pytest.raises(ModelError, match="r: ranks passages and generates no text"):
        check_generates("r", ranks)
