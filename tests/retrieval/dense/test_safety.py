"""What becomes of vectors when runs are killed or meet one another, when files are damaged, and when the index goes.

By real processes and real signals; most are forked (see `forking`).
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, Run, jsonl
from forks import Forks

from xqe.errors import InputError
from xqe.retrieval.dense import embedded, open_vectors
from xqe.retrieval.dense.building import BLOCK
from xqe.retrieval.lexical import open_index

COUNT = 4 * BLOCK + 100
WINDOWS = ("--windows", "max", "--window-tokens", "4", "--overlap", "1")

SLOWLY = f"""
import sys, time
sys.path.insert(0, {str(ROOT / "src")!r})
from xqe.cli import run
from xqe.models.encoders.fake import FakeEncoder
encode = FakeEncoder.encode
def slowly(self, texts, side):
    time.sleep(0.15)
    return encode(self, texts, side)
FakeEncoder.encode = slowly
sys.exit(run(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of some blocks of documents, without vectors."""
    directory = tmp_path_factory.mktemp("built") / "ix"
    draw = random.Random(5)
    words = [f"word{number}" for number in range(300)]
    texts = jsonl(
        *({"id": f"d{number}", "text": " ".join(draw.choices(words, k=draw.randint(0, 12)))} for number in range(COUNT))
    )
    done = subprocess.run(
        [sys.executable, "-m", "xqe", "index", str(directory), "--lang", "en"], input=texts, text=True, check=False
    )
    assert done.returncode == 0
    return directory


@pytest.fixture
def index(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "ix"))


def small(xqe: Run, directory: Path, *more: str) -> Path:
    """An index of three documents."""
    texts = jsonl(*({"id": f"d{number}", "text": f"harbour gate {number}"} for number in range(3)))
    assert xqe("index", str(directory), "--lang", "en", *more, stdin=texts).returncode == 0
    return directory


def folder(directory: Path) -> Path:
    (found,) = directory.glob("data-*/dense-*")
    return found


def contents(directory: Path) -> dict[str, bytes]:
    """All but the lock, which names the process that last held it."""
    return {path.name: path.read_bytes() for path in folder(directory).iterdir() if path.name != "dense.lock"}


def one_line(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.count("\n") == 1 and "internal error" not in done.stderr, done.stderr
    for part in parts:
        assert part in done.stderr


@pytest.mark.parametrize("options", [(), ("--dtype", "int8", *WINDOWS)], ids=["f16", "int8-max"])
def test_a_killed_run_is_gone_on_with_to_the_same_bytes(
    xqe: Run, index: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    whole = Path(shutil.copytree(index, tmp_path / "whole"))
    arguments = ["--encoder", "fake", *options]
    done = xqe("embed", str(whole), *arguments)
    assert json.loads(done.stdout)["documents"] == COUNT
    draw = random.Random(len(options))
    killed = []
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", SLOWLY, "embed", str(index), *arguments], stdout=subprocess.PIPE, text=True
        )
        time.sleep(draw.uniform(0.7, 1.4))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed.append(process.returncode)
    assert -signal.SIGKILL in killed
    done = xqe("embed", str(index), *arguments)
    was_whole = "has vectors of fake" in done.stderr  # a run was done before it was killed
    assert done.returncode == (2 if was_whole else 0), done.stderr
    assert contents(index) == contents(whole)


def test_whatever_was_written_of_a_block_is_cut_off(xqe: Run, index: Path, tmp_path: Path) -> None:
    arguments = ["--encoder", "fake", "--dtype", "int8", *WINDOWS]
    assert xqe("embed", str(index), *arguments).returncode == 0
    whole = contents(index)
    header, *lines = whole["blocks.jsonl"].splitlines(keepends=True)
    draw = random.Random(8)
    for kept in (0, 0, 1, 3, len(lines)):
        (folder(index) / "dense.json").unlink()
        started = header + b"".join(lines[:kept])
        torn = [*lines, b""][kept]
        written = started + torn[: draw.randint(0, max(0, len(torn) - 1))]
        (folder(index) / "blocks.jsonl").write_bytes(written if kept else written[: draw.randint(0, len(written))])
        for name in ("rows", "scales", "ends"):
            path = folder(index) / name
            path.write_bytes(path.read_bytes()[: draw.randint(_least(lines[:kept], name), len(whole[name]))])
        done = xqe("embed", str(index), *arguments)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["resumed"] == sum(json.loads(line)["documents"] for line in lines[:kept])
        assert contents(index) == whole


def _least(lines: list[bytes], name: str) -> int:
    """How much of a file finished blocks have brought to the disk."""
    blocks = [json.loads(line) for line in lines]
    documents, rows = (sum(block[field] for block in blocks) for field in ("documents", "rows"))
    return int({"rows": 64 * rows, "scales": 4 * rows, "ends": 8 * documents}[name])


def test_a_block_that_was_damaged_before_the_end_is_made_again(xqe: Run, index: Path) -> None:
    assert xqe("embed", str(index), "--encoder", "fake").returncode == 0
    whole = contents(index)
    (folder(index) / "dense.json").unlink()
    damaged = bytearray(whole["rows"])
    damaged[BLOCK * 128 + 5] ^= 1
    (folder(index) / "rows").write_bytes(damaged)
    done = xqe("embed", str(index), "--encoder", "fake")
    assert json.loads(done.stdout)["resumed"] == BLOCK
    assert contents(index) == whole


def test_an_unfinished_run_is_not_gone_on_with_by_another(xqe: Run, index: Path) -> None:
    assert xqe("embed", str(index), "--encoder", "fake").returncode == 0
    (folder(index) / "dense.json").unlink()
    one_line(
        xqe("embed", str(index), "--encoder", "fake", "--dtype", "int8"), "begun with dtype f16, now int8", "--force"
    )
    assert xqe("embed", str(index), "--encoder", "fake", "--dtype", "int8", "--force").returncode == 0
    assert set(contents(index)) == {"rows", "scales", "blocks.jsonl", "dense.json"}


def test_vectors_that_are_there_are_made_anew_only_by_force(xqe: Run, tmp_path: Path) -> None:
    directory = small(xqe, tmp_path / "ix")
    assert xqe("embed", str(directory), "--encoder", "fake").returncode == 0
    before = contents(directory)
    one_line(
        xqe("embed", str(directory), "--encoder", "fake", *WINDOWS), "has vectors of fake", "windows none", "--force"
    )
    assert contents(directory) == before
    notes = folder(directory) / "notes.txt"
    notes.write_text("mine")
    assert xqe("embed", str(directory), "--encoder", "fake", "--force").returncode == 0
    assert notes.read_text() == "mine"
    notes.unlink()
    assert contents(directory) == before


def test_damage_at_any_byte_is_one_line(xqe: Run, tmp_path: Path) -> None:
    directory = small(xqe, tmp_path / "ix")
    assert xqe("embed", str(directory), "--encoder", "fake", "--dtype", "int8", *WINDOWS).returncode == 0
    documents = open_index(directory).documents
    draw = random.Random(3)
    for path in sorted(folder(directory).iterdir()):
        if path.name == "dense.lock":
            continue
        whole = path.read_bytes()
        places = range(len(whole)) if path.name != "rows" else draw.sample(range(len(whole)), 40)
        for at in places:
            damaged = bytearray(whole)
            damaged[at] ^= draw.randint(1, 255)
            path.write_bytes(damaged)
            with pytest.raises(InputError, match=f"{path.name}: damaged.*xqe embed --force"):
                open_vectors(directory, documents)
        for shorter in (whole[:-1], b""):
            path.write_bytes(shorter)
            with pytest.raises(InputError, match="damaged"):
                open_vectors(directory, documents)
        path.write_bytes(whole)
    assert open_vectors(directory, documents).name == "fake"
    (folder(directory) / "rows").unlink()
    one_line(xqe("embed", str(directory), "--verify"), "rows: no such file")


def test_two_processes_do_not_embed_the_same(xqe: Run, index: Path) -> None:
    first = subprocess.Popen(
        [sys.executable, "-c", SLOWLY, "embed", str(index), "--encoder", "fake"], stdout=subprocess.PIPE, text=True
    )
    blocks = None
    while blocks is None or not blocks.exists():
        time.sleep(0.01)
        blocks = next(index.glob("data-*/dense-*/blocks.jsonl"), None)
    one_line(xqe("embed", str(index), "--encoder", "fake"), f"process {first.pid}", "embedding the same")
    out, _ = first.communicate()
    assert first.returncode == 0 and json.loads(out)["resumed"] == 0


def test_a_new_index_has_no_vectors_and_who_has_the_old_one_open_keeps_them(xqe: Run, tmp_path: Path) -> None:
    directory = small(xqe, tmp_path / "ix")
    assert xqe("embed", str(directory), "--encoder", "fake").returncode == 0
    documents = open_index(directory).documents
    vectors = open_vectors(directory, documents)
    query = vectors.of(documents.numbers(["d1"]))
    before = vectors.best(query, 3)
    small(xqe, directory, "--force")
    assert embedded(directory) == [] and not list(directory.glob("data-*/dense-*"))
    (numbers, scores), (others, theirs) = before[0], vectors.best(query, 3)[0]
    assert (numbers == others).all() and (scores == theirs).all()
    assert documents.ids(numbers)[0] == "d1"


def test_an_index_that_is_replaced_meanwhile_is_told(xqe: Run, index: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SLOWLY, "embed", str(index), "--encoder", "fake"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not next(index.glob("data-*/dense-*/blocks.jsonl"), None):
        time.sleep(0.01)
    small(xqe, index, "--force")
    out, err = process.communicate()
    one_line(subprocess.CompletedProcess([], process.returncode, out, err), "the index was replaced")
    assert embedded(index) == []


def test_an_index_without_texts_is_one_line(xqe: Run, tmp_path: Path) -> None:
    directory = small(xqe, tmp_path / "ix", "--no-texts")
    one_line(xqe("embed", str(directory), "--encoder", "fake"), "keeps no texts", "--no-texts")
    assert not list(directory.glob("data-*/dense-*"))


def test_a_full_disk_is_one_line_and_the_run_is_gone_on_with(forks: Forks, no_settings: None, index: Path) -> None:
    done = forks("embed", index, "--encoder", "fake", file_size=2 * BLOCK * 128 + 1000)
    assert done.status == 2 and done.stderr.count("\n") == 1 and "cannot write the vectors" in done.stderr
    done = forks("embed", index, "--encoder", "fake")
    assert (done.status, json.loads(done.stdout)["resumed"]) == (0, 2 * BLOCK)
