"""What a model is known by: its file, all files of one that is split, and what is recorded of them.

Split models are written by gguf, the package of llama.cpp. Right values: those of sha256sum, by hashlib.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import small_models
from conftest import Run, records
from small_models import Files

from xqe.cli import run
from xqe.doctor.models import Chosen, ModelFile, models_here
from xqe.errors import ModelError, XqeError
from xqe.experiments.grid.keys import encoder_identity, identity
from xqe.experiments.grid.settings import EncoderRow, ModelRow
from xqe.files.hashes import cached_sha256
from xqe.models.encoders.base import Side
from xqe.models.encoders.local import LLAMA, ONNX, open_encoder
from xqe.models.engines.llama import loading
from xqe.models.engines.llama.adapters import adapter
from xqe.models.engines.llama.engine import LlamaEngine
from xqe.models.engines.llama.settings import Hardware
from xqe.models.lookup import installed, resolve
from xqe.models.split import named, size_of
from xqe.models.verification import model_sha256
from xqe.training.base import find_base

TABLE = small_models.saying(small_models.SAID)
CPU = Hardware(threads=1, gpu_layers=0)
Parts = list[Path]


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An own cache, and a folder of models beside it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XQE_MODELS", str(tmp_path / "models"))


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    """A model in four files, the first without weights, as a download of the hub."""
    folder = tmp_path / "models" / "owner" / "repo"
    folder.mkdir(parents=True)
    small_models.bigrams(folder / "m.gguf", TABLE, files=Files(5, first_has_none=True))
    found = sorted(folder.iterdir())
    assert [path.name for path in found] == [f"m-{number:05}-of-00004.gguf" for number in range(1, 5)]
    return found


def of_all(parts: Parts) -> str:
    """sha256sum PARTS | cut -d' ' -f1 | sha256sum"""
    return hashlib.sha256("".join(f"{sha(path)}\n" for path in parts).encode()).hexdigest()


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def flip(path: Path, place: int = -100) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def copied(path: Path, to: Path) -> Path:
    shutil.copyfile(path, to)
    return to


def record(path: Path) -> None:
    path.with_name(f"{path.name}.sha256").write_text(f"{sha(path)}  {path.name}\n")


# What it is known by


def test_a_model_in_one_file_is_known_by_its_sha256(certain_path: Path, tmp_path: Path) -> None:
    assert model_sha256(certain_path) == sha(certain_path)
    copy = copied(certain_path, tmp_path / "m-00001-of-00002.gguf")  # a name alone makes no part
    assert model_sha256(copy) == sha(certain_path)
    assert resolve(str(copy)).path == copy


def test_a_split_model_is_known_by_all_its_files(parts: Parts) -> None:
    first = parts[0]
    assert model_sha256(first) == of_all(parts)
    assert size_of(first) == sum(path.stat().st_size for path in parts)
    flip(parts[-1])
    assert model_sha256(first) == of_all(parts)


def test_texts_of_a_split_model_are_made_anew_when_any_file_changes(xqe: Run, parts: Parts) -> None:
    def expand() -> tuple[str, str]:
        done = xqe("expand", "zinc", "--lang", "en", "-s", "zeroshot", "--max-tokens", "4", "-m", str(parts[0]))
        (record,) = records(done)
        return record["steps"][0]["sha256"], done.stderr

    before, told = expand()
    assert before == of_all(parts) and "1 generated, 0 reused" in told
    flip(parts[2])
    after, told = expand()
    assert after == of_all(parts) != before and "1 generated, 0 reused" in told


def test_a_grid_knows_all_files(parts: Parts) -> None:
    for found in (identity(ModelRow("m", str(parts[0]))), encoder_identity(EncoderRow(str(parts[0])))):
        assert (found["sha256"], found["size"]) == (of_all(parts), sum(path.stat().st_size for path in parts))


def test_memory_is_that_of_all_files(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "available_memory", lambda: size_of(parts[0]) - 1)
    with pytest.raises(ModelError, match=f"has {size_of(parts[0]) / 1000:.0f} kB, and .* of memory are free"):
        LlamaEngine("m", str(parts[0]))


def test_an_encoder_in_several_files(tmp_path: Path) -> None:
    whole = small_models.bert(tmp_path / "whole.gguf")
    small_models.bert(tmp_path / "e.gguf", files=Files(10))
    parts = sorted(tmp_path.glob("e-*.gguf"))
    assert len(parts) > 1
    with pytest.raises(XqeError, match=f"in {len(parts)} files; use llama.cpp"):
        open_encoder(str(parts[0]), CPU, None, "", "", runtime=ONNX)
    found = []
    for path in (whole, parts[0]):
        with open_encoder(str(path), CPU, None, "", "", runtime=LLAMA) as encoder:
            found.append((encoder.encode(["zinc"], Side.QUERY).vectors, encoder.contract))
    assert np.array_equal(found[0][0], found[1][0])
    assert dict(found[1][1].model) == {"sha256": of_all(parts)}
    assert found[0][1].limit == found[1][1].limit == 96  # the positions of `bert`, which lie in one of the files


def test_transformers_reads_one_file_and_is_given_no_part(parts: Parts) -> None:
    with pytest.raises(XqeError, match=r"is in 4 files.*llama-gguf-split --merge"):
        find_base(str(parts[0]))


# A part that is missing, or named


def test_a_missing_part_is_told_before_anything_is_loaded(
    parts: Parts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = Path(shutil.copytree(parts[0].parent, tmp_path / "elsewhere"))
    for folder, hint in ((parts[0].parent, f"run: xqe models pull owner/repo/{parts[0].name}"), (elsewhere, "copy")):
        (folder / parts[2].name).unlink()
        assert run(["models", "path", str(folder / parts[0].name)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{parts[2].name}: no such file, and the model is in 4 files" in line and hint in line


def test_another_part_than_the_first_names_the_first(parts: Parts) -> None:
    with pytest.raises(ModelError) as caught:
        resolve(str(parts[1]))
    assert str(caught.value) == f"{parts[1]}: is part 2 of a model in 4 files; name the first: {parts[0]}"


def test_a_part_under_another_name(parts: Parts, tmp_path: Path) -> None:
    fewer = copied(parts[0], tmp_path / "m-00001-of-00003.gguf")
    with pytest.raises(ModelError, match="is of a model in 4 files, and its name says 3"):
        resolve(str(fewer))
    renamed = copied(parts[0], tmp_path / "m.gguf")
    with pytest.raises(ModelError, match=r"one of several files, and llama\.cpp finds the others by the name"):
        LlamaEngine("m", str(renamed))


def test_names_of_parts() -> None:
    several = tuple(Path(f"/m/q-{number:05}-of-00003.gguf") for number in (1, 2, 3))
    for path in several:
        assert named(path) == several
    for name in ("q.gguf", "q-00000-of-00003.gguf", "q-00004-of-00003.gguf", "q-1-of-3.gguf", "q-00001-of-00001.gguf"):
        assert named(Path("/m", name)) == (Path("/m", name),)


# Commands


def test_models_and_doctor_tell_a_split_model_once(parts: Parts, capsys: pytest.CaptureFixture[str]) -> None:
    name, size = f"owner/repo/{parts[0].name}", sum(path.stat().st_size for path in parts)

    def told(command: str) -> tuple[int, list[dict[str, object]]]:
        status = run(["models", command])
        return status, [*map(json.loads, capsys.readouterr().out.splitlines())]

    def diagnosed() -> ModelFile:
        ((model,), problem) = models_here(Chosen("fake", True, "fake"), reads_all=False)
        assert problem is None
        return model

    def seen() -> tuple[object, object]:
        row = told("list")[1][-1]
        assert row["name"] == name
        return row["size"], row["present"]

    assert [found.name for found in installed()] == [name]
    assert seen() == (size, True)
    for path in parts[:-1]:
        record(path)
    assert told("verify")[1] == [
        {
            "name": name,
            "path": str(parts[0]),
            "ok": True,
            "kind": "generator",
            "size": size,
            "sha256": of_all(parts),
            "against": None,
        }
    ]
    record(parts[-1])
    assert told("verify")[1][0]["against"] == "record"
    model = diagnosed()
    assert (model.name, model.size, model.state, model.against) == (name, size, "ok", "record")
    flip(parts[1])
    status, (row,) = told("verify")
    assert status == 1 and str(parts[1]) in str(row["error"])
    model = diagnosed()
    assert (model.state, model.hint) == ("changed", f"run: xqe models pull --force {name}")
    parts[1].unlink()
    assert seen()[1] is False
    status, (row,) = told("verify")
    assert status == 1 and "no such file" in str(row["error"])
    model = diagnosed()
    assert (model.state, model.hint) == ("changed", f"run: xqe models pull {name}")


# Records


def test_a_flipped_bit_of_a_recorded_model_is_found_when_it_is_used(xqe: Run, parts: Parts, certain_path: Path) -> None:
    alone = copied(certain_path, parts[0].with_name("alone.gguf"))
    for path in (alone, *parts):
        record(path)
    for model, damaged in ((parts[0], parts[3]), (alone, alone)):
        right = sha(damaged)
        flip(damaged)
        done = xqe("expand", "zinc", "--lang", "en", "-m", str(model))
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        assert f"{damaged}: sha256 {sha(damaged)} instead of {right}" in line
        assert line.endswith(f"run: xqe models pull --force owner/repo/{model.name}")
        with pytest.raises(ModelError, match=f"instead of {right}"):
            identity(ModelRow("m", str(model)))
        with pytest.raises(ModelError, match=f"instead of {right}"):
            encoder_identity(EncoderRow(str(model)))


def test_a_recorded_file_elsewhere_and_an_adapter(tmp_path: Path, certain_path: Path) -> None:
    path = copied(certain_path, tmp_path / "mine.gguf")
    record(path)
    flip(path)
    with pytest.raises(ModelError, match=f"if it was replaced on purpose, remove {path}.sha256"):
        model_sha256(path)
    content = path.read_bytes()
    kind = b"\x0c\0\0\0\0\0\0\0general.type\x08\0\0\0\x07\0\0\0\0\0\0\0adapter"
    kind += b"\x0c\0\0\0\0\0\0\0adapter.type\x08\0\0\0\x04\0\0\0\0\0\0\0lora"
    path.write_bytes(content[:16] + (int.from_bytes(content[16:24], "little") + 2).to_bytes(8, "little") + kind)
    with pytest.raises(ModelError, match="instead of"):
        adapter(str(path))


@pytest.mark.parametrize("change", ["written", "replaced"])
def test_a_change_that_keeps_size_and_time_is_noticed(tmp_path: Path, change: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    os.utime(path, ns=(5, 5))
    time.sleep(0.03)
    assert cached_sha256(path) == hashlib.sha256(b"one").hexdigest()
    other = path if change == "written" else tmp_path / "other"
    other.write_bytes(b"two")
    os.utime(other, ns=(5, 5))
    other.replace(path)
    assert cached_sha256(path) == hashlib.sha256(b"two").hexdigest()


def test_what_was_written_a_moment_ago_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"one", b"two", b"six"):
        path.write_bytes(content)
        assert cached_sha256(path) == hashlib.sha256(content).hexdigest()


# What is no file


@pytest.mark.parametrize(
    "use",
    [resolve, adapter, lambda at: open_encoder(at, CPU), lambda at: run(["models", "verify", at])],
    ids=["model", "lora", "encoder", "verify"],
)
def test_nobody_waits_for_what_is_no_file(
    tmp_path: Path, use: Callable[[str], object], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pipe.gguf"
    os.mkfifo(path)
    try:
        told = f"exit {use(str(path))}: {capsys.readouterr().err}"
    except XqeError as error:
        told = str(error)
    assert "is no regular file" in told
