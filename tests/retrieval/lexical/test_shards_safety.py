"""What becomes of an index in shards when builds are stopped, and when a shard is missing, damaged or another one: the
old index or the new one answers, and nothing is lost without a word."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from multiprocessing import active_children
from pathlib import Path

import forking
import pytest
from conftest import Run, command, jsonl
from forks import Forks

from xqe.errors import InputError, XqeError
from xqe.files.documents import Placed
from xqe.files.records import Document
from xqe.retrieval.documents import MANIFEST
from xqe.retrieval.lexical import build, build_shards, open_index


def placed(count: int, name: str = "d") -> Iterator[Placed]:
    for number in range(count):
        yield f"f:{number + 1}", Document(f"{name}{number}", f"harbour {number} quay")


def found(directory: Path) -> int:
    return len(open_index(directory).search({"harbour": 1.0}, 1000))


def is_clean(directory: Path) -> bool:
    data = json.loads((directory / MANIFEST).read_text())["data"]
    return {path.name for path in directory.iterdir()} == {MANIFEST, "xqe.lock", data}


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few documents make work for processes."""
    monkeypatch.setattr("xqe.text.workers._CHUNK", 3000)


# ---------------------------------------------------------------- a shard that is not what it was


def removed(shard: Path) -> None:
    shutil.rmtree(shard)


def without_manifest(shard: Path) -> None:
    (shard / MANIFEST).unlink()


def built_anew(shard: Path) -> None:
    build(shard, "en", placed(3), replace=True)


def changed(shard: Path) -> None:
    path = shard / "data-1" / "vectors.terms"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def cut(shard: Path) -> None:
    os.truncate(shard / "data-1" / "documents.text", 1)


@pytest.mark.parametrize("spoil", [removed, without_manifest, built_anew, changed, cut])
def test_a_shard_that_is_missing_damaged_or_another_is_one_line(
    tmp_path: Path, xqe: Run, spoil: Callable[[Path], None]
) -> None:
    directory = tmp_path / "ix"
    build_shards(directory, "en", placed(9), 3)
    assert found(directory) == 9
    shard = directory / "data-1" / "shard-0001"
    spoil(shard)
    for arguments in (("search", directory, "harbour"), ("index", directory, "--verify")):
        done = xqe(*map(str, arguments))
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert str(shard) in done.stderr and "xqe index --force" in done.stderr
    assert found_after_rebuild(directory) == 4


def found_after_rebuild(directory: Path) -> int:
    build_shards(directory, "en", placed(4), 2, replace=True)
    return found(directory)


def test_an_index_of_either_kind_takes_the_place_of_the_other(tmp_path: Path) -> None:
    directory = tmp_path / "ix"
    build(directory, "en", placed(1))
    opened = [open_index(directory)]
    for shards, count in ((2, 5), (1, 3), (4, 7)):
        with pytest.raises(XqeError, match="--force"):
            build_shards(directory, "en", placed(count), shards)
        build_shards(directory, "en", placed(count), shards, replace=True)
        assert found(directory) == count
        assert is_clean(directory)
        opened.append(open_index(directory))
    assert [len(index.search({"harbour": 1.0}, 9)) for index in opened] == [1, 5, 3, 7]  # what is open stays


def test_what_is_refused_in_one_piece_is_refused_in_shards(tmp_path: Path, xqe: Run) -> None:
    build_shards(tmp_path / "ix", "en", placed(5), 2)
    again = [*placed(4), ("f:9", Document("d1", "once more"))]
    for documents, message in (([], "no documents"), (again, 'f:9: id "d1" again, first at f:2')):
        for directory in (tmp_path / "ix", tmp_path / "new"):
            with pytest.raises(InputError, match=message):
                build_shards(directory, "en", documents, 2, replace=True)
    assert found(tmp_path / "ix") == 5 and is_clean(tmp_path / "ix")
    done = xqe("index", str(tmp_path / "ix"), "--lang", "en", "--shards", "0", stdin=jsonl({"id": "a", "text": "b"}))
    assert done.returncode == 2 and "--shards" in done.stderr


# ---------------------------------------------------------------- builds that are stopped


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT, forking.ERROR])
def test_a_build_that_is_stopped_leaves_the_old_index_or_the_new(forks: Forks, tmp_path: Path, sent: int) -> None:
    directory = tmp_path / "ix"
    build_shards(directory, "en", placed(5), 2)
    arguments = ("index", str(directory), "--lang", "en", "--shards", "2", "--force")
    documents = "".join(jsonl({"id": f"n{number}", "text": "harbour"}) for number in range(7))
    events = forks(*arguments, stdin=documents, record=True).events
    inside = [number for number, (_, path) in enumerate(events) if str(directory) in path]
    manifest = [number for number in inside if events[number][1].startswith(str(directory / MANIFEST))]
    answers = {found(directory)}
    for at in sorted({*inside[::120], *manifest[-3:], manifest[-1] + 1, inside[-1]}):
        build_shards(directory, "en", placed(5), 2, replace=True)
        done = forks(*arguments, stdin=documents, at=at, sent=sent)
        assert done.status in (0, 2, 130, -9) and "Traceback" not in done.stderr
        answers.add(found(directory))
    assert answers == {5, 7}
    build_shards(directory, "en", placed(3), 2, replace=True)
    assert found(directory) == 3 and is_clean(directory)


def test_a_process_that_is_killed_ends_the_build_in_one_line(tmp_path: Path, many: None) -> None:
    """As the system does when memory runs out."""
    directory = tmp_path / "ix"
    build_shards(directory, "en", placed(5), 2)

    def until_killed() -> Iterator[Placed]:
        for number, one in enumerate(placed(2000)):
            if number == 1500:
                active_children()[0].kill()
            yield one

    with pytest.raises(XqeError, match="a process that builds a shard was killed") as raised:
        build_shards(directory, "en", until_killed(), 2, replace=True)
    assert "memory" in str(raised.value.hint)
    assert not active_children()
    assert found(directory) == 5 and is_clean(directory)


def test_what_goes_wrong_in_a_process_is_told(tmp_path: Path, many: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions in a language that is none, which only who indexes them sees."""
    monkeypatch.setattr("xqe.retrieval.lexical.dealing.available_cores", lambda: 1)
    asked = ("f:1999", Document("last", "harbour", questions={"xx": ["?"]}))
    with pytest.raises(XqeError, match='f:1999: "questions": unknown language'):
        build_shards(tmp_path / "ix", "en", [*placed(1998), asked], 2)
    assert not active_children()
    assert not (tmp_path / "ix" / MANIFEST).exists()


def test_processes_end_when_the_build_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "much.jsonl"
    path.write_text("".join(jsonl({"id": f"d{n}", "text": f"quay{n} ship{n % 700} " * 100}) for n in range(4000)))
    directory = tmp_path / "ix"
    build_shards(directory, "en", placed(5), 2)
    started = subprocess.Popen(
        command("index", str(directory), "--lang", "en", "--shards", "2", "--force", str(path)), start_new_session=True
    )
    shards = directory / "data-2"
    wait_until(lambda: len(list(shards.glob("*/data-1/vectors.terms"))) == 2)
    started.kill()
    started.wait()
    wait_until(lambda: not running(started.pid))
    assert found(directory) == 5
    build_shards(directory, "en", placed(6), 2, replace=True)
    assert found(directory) == 6 and is_clean(directory)


def running(session: int) -> list[int]:
    """The processes of a session."""
    members = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, of = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(of) == session and state != "Z":
            members.append(int(folder.name))
    return members


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)
