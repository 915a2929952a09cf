"""What becomes of an index when builds are killed, interrupted or run out of disk, and when files are damaged.

By real processes and real signals; most are forked (see `forking`), the rest are whole commands.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import forking
import pytest
from conftest import command, jsonl
from forks import Ended, Forks

from xqe.errors import InputError
from xqe.files.hashes import sha256
from xqe.files.records import Document
from xqe.retrieval.lexical import Index, build, open_index, open_languages, opened

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
needs_workers = pytest.mark.skipif(CORES < 2, reason="one core, so no worker processes")


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where these tests note that indexes were found whole: not among the user's own notes."""
    folder = tmp_path_factory.mktemp("caches")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def forked(caches: Path) -> Iterator[Forks]:
    forks = Forks()
    yield forks
    forks.close()


@pytest.fixture(autouse=True)
def cache(caches: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(caches))
    return caches / "xqe" / "verified"


def harbour(identifier: str, words: int = 1) -> str:
    """A document that answers to its id and to "harbour"."""
    return jsonl({"id": identifier, "text": f"{identifier} harbour " * words})


def indexing(directory: Path, *more: str) -> list[str]:
    return ["index", str(directory), "--lang", "en", *more]


def answer(forked: Forks, directory: Path) -> str:
    """The id of the only document of an index that answers as it should."""
    done = forked("search", directory, "harbour")
    assert (done.status, done.stderr) == (0, "")
    return only_hit(done.stdout)


def held(directory: Path) -> str:
    """The same without the command, which takes a hundredth of the time."""
    (found,) = ids(open_index(directory))
    return found


def only_hit(record: str) -> str:
    (hit,) = json.loads(record)["hits"]
    return str(hit["id"])


def one_line(done: Ended | subprocess.CompletedProcess[str], *parts: str) -> None:
    """It could not do the work, and said why in one line."""
    status = done.status if isinstance(done, Ended) else done.returncode
    assert (status, done.stdout) == (2, ""), done
    assert done.stderr.count("\n") == 1, done.stderr
    assert "internal error" not in done.stderr
    for part in parts:
        assert part in done.stderr


def is_clean(directory: Path) -> bool:
    """Nothing is there but an index."""
    data = json.loads((directory / "xqe.json").read_text())["data"]
    return {path.name for path in directory.iterdir()} == {"xqe.json", "xqe.lock", data}


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


# ---------------------------------------------------------------- killed and interrupted, at every step


def steps(forked: Forks, directory: Path) -> list[int]:
    """Where a replacing build can be stopped: all that it does with names, and every ninth opening of a file."""
    events = forked(*indexing(directory, "--force"), stdin=harbour("first"), record=True).events
    inside = [number for number, (_, path) in enumerate(events) if str(directory) in path or not path.startswith("/")]
    named = [number for number in inside if events[number][0] not in ("open", "os.chmod", "os.remove")]
    manifest = [number for number in inside if "xqe.json" in events[number][1]]
    assert len(named) > 4 and len(manifest) > 2 and len(inside) > 60
    # the manifest's folder is synced after it was renamed
    return sorted({*named, *manifest, *(number + 1 for number in manifest), *inside[::9], len(events) - 1})


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT, forking.ERROR])
def test_a_build_that_is_stopped_anywhere_leaves_the_old_index_or_the_new(
    forked: Forks, tmp_path: Path, sent: int
) -> None:
    directory = tmp_path / "ix"
    assert forked(*indexing(directory), stdin=harbour("old")).status == 0
    current, answers = "first", set()
    for at in steps(forked, directory):
        done = forked(*indexing(directory, "--force"), stdin=harbour(f"new{at}"), at=at, sent=sent)
        if sent == forking.ERROR and done.status:
            one_line(done, str(directory), "Input/output error")
        elif sent != forking.ERROR:
            assert (done.status, done.stdout, done.stderr) == (-9 if sent == signal.SIGKILL else 130, "", "")
        now = held(directory)
        assert now in (current, f"new{at}")
        answers.add(now == current)
        current = now
    assert answers == {True, False}  # some builds were stopped before the new index was there, some after
    assert forked(*indexing(directory, "--force"), stdin=harbour("last")).status == 0
    assert answer(forked, directory) == "last"
    assert is_clean(directory)


def test_a_build_that_is_killed_at_any_time_leaves_the_old_index_or_the_new(forked: Forks, tmp_path: Path) -> None:
    """While tantivy writes, too."""
    directory = tmp_path / "ix"
    texts = "".join(jsonl({"id": f"{n}", "text": f"quay{n} ship{n % 700} " * 20}) for n in range(3000))
    started = time.monotonic()
    assert forked(*indexing(directory), stdin=texts + harbour("0x")).status == 0
    whole = time.monotonic() - started
    current = "0x"
    for part in range(1, 12):
        name = f"{part}x"
        done = forked(*indexing(directory, "--force"), stdin=texts + harbour(name), after=whole * part / 12)
        assert done.status in (0, -9)
        now = held(directory)
        assert now in (current, name)
        current = now
    assert forked(*indexing(directory, "--force"), stdin=harbour("last")).status == 0
    assert answer(forked, directory) == "last"
    assert is_clean(directory)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT, forking.ERROR])
def test_a_first_build_that_is_stopped_leaves_no_index_and_can_be_begun_again(
    forked: Forks, tmp_path: Path, sent: int
) -> None:
    events = forked(*indexing(tmp_path / "whole"), stdin=harbour("a"), record=True).events
    renamed = next(number for number, (event, _) in enumerate(events) if event == "os.rename")
    begun = next(number for number, (event, _) in enumerate(events) if event == "os.mkdir")
    for at in (begun + 1, begun + 2, begun + 5, (begun + renamed) // 2, renamed - 1, renamed):
        directory = tmp_path / f"at{at}"
        forked(*indexing(directory), stdin=harbour("a"), at=at, sent=sent)
        with pytest.raises(InputError, match=f"{directory}: holds no index; .*xqe index"):
            open_index(directory)
        assert forked(*indexing(directory), stdin=harbour("b")).status == 0
        assert held(directory) == "b"
        assert is_clean(directory)


# ---------------------------------------------------------------- with worker processes


@pytest.fixture(scope="module")
def much(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough documents for worker processes, and for some seconds."""
    path = tmp_path_factory.mktemp("much") / "much.jsonl"
    path.write_text("".join(jsonl({"id": f"d{n}", "text": f"quay{n} ship{n % 700} " * 100}) for n in range(16_000)))
    return path


class Started:
    """An `xqe index` with everything that it started, which a name in the environment marks."""

    def __init__(self, directory: Path, documents: Path) -> None:
        self._mark = f"XQE_TEST_MARK={uuid.uuid4()}"
        name, _, value = self._mark.partition("=")
        self.process = subprocess.Popen(
            command(*indexing(directory, "--force", "--input", str(documents))),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, name: value},
        )

    def family(self) -> list[int]:
        """The processes of it that run."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self._mark.encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                pass  # it has ended, or is another user's
        return found


@needs_workers
@pytest.mark.parametrize("delay", [0.0, 0.15, 0.6])
def test_a_killed_build_with_workers_leaves_the_old_index_and_no_processes(
    forked: Forks, tmp_path: Path, much: Path, delay: float
) -> None:
    directory = tmp_path / "ix"
    assert forked(*indexing(directory), stdin=harbour("old")).status == 0
    started = Started(directory, much)
    wait_until(lambda: len(started.family()) >= 3)
    time.sleep(delay)
    started.process.kill()
    assert answer(forked, directory) == "old"
    # Workers hold its pipes open until they end; one that was just starting has Python's complaint about that there.
    started.process.communicate(timeout=60)
    wait_until(lambda: started.family() == [])
    assert forked(*indexing(directory, "--force"), stdin=harbour("new")).status == 0
    assert answer(forked, directory) == "new"
    assert is_clean(directory)


@needs_workers
@pytest.mark.parametrize("delay", [0.0, 0.2, 0.6, 1.0])
def test_an_interrupted_build_with_workers_ends_silently(
    forked: Forks, tmp_path: Path, much: Path, delay: float
) -> None:
    directory = tmp_path / "ix"
    assert forked(*indexing(directory), stdin=harbour("old")).status == 0
    started = Started(directory, much)
    wait_until(lambda: len(started.family()) >= 3)
    time.sleep(delay)
    for process in started.family():  # a terminal sends it to all of them
        with suppress(ProcessLookupError):  # the first of them may have ended the others by now
            os.kill(process, signal.SIGINT)
    stdout, stderr = started.process.communicate(timeout=60)
    assert (started.process.returncode, stdout, stderr) == (130, "", "")
    wait_until(lambda: started.family() == [])
    assert answer(forked, directory) == "old"
    assert is_clean(directory)


@needs_workers
def test_a_worker_that_is_killed_ends_the_build_in_one_line(forked: Forks, tmp_path: Path, much: Path) -> None:
    """As the system does when memory runs out."""
    directory = tmp_path / "ix"
    assert forked(*indexing(directory), stdin=harbour("old")).status == 0
    started = Started(directory, much)
    wait_until(lambda: len(started.family()) >= 4 and list(directory.glob("data-*/vectors.terms")) != [])
    time.sleep(0.3)
    os.kill(max(process for process in started.family() if process != started.process.pid), signal.SIGKILL)
    stdout, stderr = started.process.communicate(timeout=60)
    one_line(subprocess.CompletedProcess((), started.process.returncode, stdout, stderr), "memory")
    assert answer(forked, directory) == "old"
    assert is_clean(directory)


# ---------------------------------------------------------------- two at a time


def is_locked(directory: Path) -> bool:
    try:
        with (directory / "xqe.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def test_a_second_builder_is_refused_and_the_first_one_ends_well(forked: Forks, tmp_path: Path) -> None:
    directory = tmp_path / "ix"
    first = subprocess.Popen(
        command(*indexing(directory)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: is_locked(directory))
    for more in ([], ["--force"]):
        one_line(
            forked(*indexing(directory, *more), stdin=harbour("second")), "another process is building", str(directory)
        )
    _, stderr = first.communicate(harbour("first"), timeout=60)
    assert (first.returncode, stderr) == (0, "")
    assert answer(forked, directory) == "first"


def test_searchers_always_get_a_whole_index_while_it_is_replaced(forked: Forks, tmp_path: Path) -> None:
    directory = tmp_path / "ix"
    assert forked(*indexing(directory), stdin=harbour("0")).status == 0

    def replacing() -> None:
        for number in range(1, 9):
            assert forked(*indexing(directory, "--force"), stdin=harbour(str(number))).status == 0

    def searching() -> list[int]:
        seen = []
        while not replaced.done():
            seen.append(int(held(directory)))
        return seen

    with ThreadPoolExecutor(3) as executor:
        replaced = executor.submit(replacing)
        searches = [executor.submit(searching) for _ in range(2)]
        replaced.result()
        for seen in (search.result() for search in searches):
            assert seen == sorted(seen)  # never an older one again
            assert len(set(seen)) > 3
    assert answer(forked, directory) == "8"
    assert is_clean(directory)


def put(directory: Path, identifier: str) -> None:
    build(directory, "en", [("t:1", Document(identifier, "harbour"))], replace=True)


@pytest.mark.parametrize("replacements", [1, 2, 3])
@pytest.mark.parametrize("step", ["fitting_analyzer", "check_files", "Candidates", "Vectors", "Names"])
def test_an_index_that_is_replaced_while_it_is_opened_is_opened_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, replacements: int
) -> None:
    directory = tmp_path / "ix"
    put(directory, "0")
    left = iter(range(1, replacements + 1))
    original = getattr(opened, step)

    def replaced_first(*arguments: Any) -> Any:
        if number := next(left, None):
            put(directory, str(number))
        return original(*arguments)

    monkeypatch.setattr(opened, step, replaced_first)
    assert ids(open_index(directory)) == [str(replacements)]


def ids(index: Index) -> list[str]:
    return [hit.id for hit in index.search({"harbour": 1.0}, 10)]


def test_an_index_that_is_open_answers_while_it_is_replaced(tmp_path: Path) -> None:
    put(tmp_path / "ix", "old")
    index = open_index(tmp_path / "ix")
    put(tmp_path / "ix", "new")
    assert ids(index) == ["old"]
    assert index.documents.text(0) == "harbour"
    assert ids(open_index(tmp_path / "ix")) == ["new"]


def test_an_index_is_replaced_only_when_asked(forked: Forks, tmp_path: Path) -> None:
    directory = tmp_path / "ix"
    assert forked(*indexing(directory), stdin=harbour("old")).status == 0
    one_line(forked(*indexing(directory), stdin=harbour("new")), "--force")
    assert answer(forked, directory) == "old"


@pytest.mark.parametrize("name", ["notes.txt", ".git", "data-1", "data-old"])
def test_a_folder_that_is_not_an_index_is_never_touched(forked: Forks, tmp_path: Path, name: str) -> None:
    directory = tmp_path / "mine"
    (directory / name).mkdir(parents=True)
    (directory / name / "kept").write_text("kept")
    one_line(forked(*indexing(directory, "--force"), stdin=harbour("a")), str(directory))
    assert [path.name for path in directory.iterdir()] == [name]
    assert (directory / name / "kept").read_text() == "kept"


@pytest.mark.parametrize("name", ["file", "file/ix", "x" * 300, "loop/ix"])
def test_a_place_where_no_index_can_be_is_one_line(forked: Forks, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "loop").symlink_to("loop")
    one_line(forked(*indexing(tmp_path / name, "--force"), stdin=harbour("a")), name[:40])
    one_line(forked("search", tmp_path / name, "a"), name[:40])
    assert (tmp_path / "file").read_text() == "kept"


# ---------------------------------------------------------------- disks that are full or read-only


def test_a_disk_that_is_full_at_any_file_is_one_line(forked: Forks, tmp_path: Path) -> None:
    """The limit is on the size of each file, so that the largest is the first that cannot be written."""
    directory = tmp_path / "ix"
    assert forked(*indexing(directory), stdin=harbour("old")).status == 0
    texts = harbour("new", 3000) + "".join(jsonl({"id": f"d{n}", "text": f"w{n}"}) for n in range(300))
    manifest = len((directory / "xqe.json").read_bytes())
    limits = [0, 1, 100, 1000, *range(2000, manifest + 8000, 1100)]
    outcomes = []
    for limit in limits:
        done = forked(*indexing(directory, "--force"), stdin=texts, file_size=limit)
        outcomes.append(done.status)
        if done.status:
            one_line(done, str(directory), "disk")
            assert held(directory) == "old"
            assert is_clean(directory)
    assert outcomes == sorted(outcomes, reverse=True)
    assert set(outcomes) == {0, 2}
    assert answer(forked, directory) == "new"
    assert is_clean(directory)


def test_an_index_is_read_where_nothing_may_be_written(forked: Forks, tmp_path: Path) -> None:
    put(tmp_path / "ix", "a")
    moved = (tmp_path / "ix").rename(tmp_path / "elsewhere")
    folders = [moved, moved / "data-1"]
    for folder in folders:
        folder.chmod(0o555)
    times = [path.stat().st_mtime_ns for path in [moved, *sorted(moved.rglob("*"))]]
    try:
        assert open_index(moved).name == "elsewhere"
        assert answer(forked, moved) == "a"
        assert times == [path.stat().st_mtime_ns for path in [moved, *sorted(moved.rglob("*"))]]
        if os.access(moved, os.W_OK):
            pytest.skip("this user may write anywhere")
        for refused in (moved, moved / "new"):
            one_line(forked(*indexing(refused, "--force"), stdin=harbour("b")), str(refused), "permission")
        assert answer(forked, moved) == "a"
    finally:
        for folder in folders:
            folder.chmod(0o755)


# ---------------------------------------------------------------- damage


def files_of(directory: Path) -> list[Path]:
    manifest = json.loads((directory / "xqe.json").read_text())
    return [directory / manifest["data"] / name for name in manifest["files"]]


def refused(forked: Forks, directory: Path, path: Path) -> None:
    """Searching and verifying both name the file and the way out."""
    for arguments in (("search", directory, "harbour"), ("index", directory, "--verify")):
        one_line(forked(*arguments), str(path), "xqe index --force")


def one_byte_off(data: bytes) -> list[bytes]:
    """Everything that is one byte from it: a bit flipped at its beginning, middle or end, one byte less, one more."""
    flipped = [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in {0, len(data) // 2, len(data) - 1} if data]
    return [*flipped, data + b"\0", *([data[:-1]] if data else [])]


def test_damage_to_any_file_is_found_and_named(tmp_path: Path) -> None:
    directory = tmp_path / "ix"
    build(directory, "en", [(f"t:{n}", Document(f"d{n}", f"harbour w{n} " * 300)) for n in range(1, 20)])
    paths = files_of(directory)
    assert {path.name for path in paths} == {path.name for path in paths[0].parent.iterdir()}
    for path in paths:
        open_index(directory)
        whole = path.read_bytes()
        for damaged in one_byte_off(whole):
            path.write_bytes(damaged)
            for verify in (False, True):
                with pytest.raises(InputError, match=rf"{path}: damaged.*--force"):
                    open_index(directory, verify)
        path.unlink()
        with pytest.raises(InputError, match=rf"{path}: no such file.*--force"):
            open_index(directory)
        path.write_bytes(whole)
    open_index(directory)


def test_a_manifest_that_is_nested_without_end_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "xqe.json").write_text("[" * 100_000)
    for read in (open_index, open_languages):
        with pytest.raises(InputError, match="damaged"):
            read(tmp_path)


def test_a_byte_that_is_flipped_behind_the_times_of_a_file_is_found(forked: Forks, tmp_path: Path) -> None:
    directory = tmp_path / "ix"
    put(directory, "a")
    assert answer(forked, directory) == "a"
    path = files_of(directory)[-1]
    times = path.stat()
    data = path.read_bytes()
    time.sleep(0.05)  # a clock tick, by which the kernel counts
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_mtime_ns == times.st_mtime_ns
    refused(forked, directory, path)


class Hashed:
    """The names of the files that are hashed."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._names: list[str] = []

        def hashing(path: Path) -> str:
            self._names.append(path.name)
            return sha256(path)

        patch.setattr("xqe.files.whole.sha256", hashing)

    def by(self, directory: Path, verify: bool = False) -> list[str]:
        self._names.clear()
        assert ids(open_index(directory, verify)) == ["a"]
        return sorted(self._names)


def test_files_are_hashed_once_and_again_when_they_were_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "ix"
    put(directory, "a")
    names = sorted(path.name for path in files_of(directory))
    hashed = Hashed(monkeypatch)
    assert hashed.by(directory) == names
    assert hashed.by(directory) == []
    assert hashed.by(directory, verify=True) == names
    path = files_of(directory)[0]
    data = path.read_bytes()
    time.sleep(0.05)
    os.utime(path)
    assert hashed.by(directory) == names
    assert hashed.by(directory) == []
    path.unlink()
    path.write_bytes(data)
    assert hashed.by(directory) == names
    assert hashed.by(directory.rename(tmp_path / "moved")) == names
    assert hashed.by(tmp_path / "moved") == []


def test_verify_believes_no_note(forked: Forks, tmp_path: Path, cache: Path) -> None:
    """Damage of which the note says that it was looked at: as if the file's times had all been put back."""
    directory = tmp_path / "ix"
    put(directory, "a")
    before = set(cache.glob("*"))
    open_index(directory)
    (note,) = set(cache.glob("*")) - before
    path = files_of(directory)[0].with_name("documents.text")
    path.write_bytes(b"b")
    said = json.loads(note.read_text())
    state = path.stat()
    said["states"][path.name] = [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]
    note.write_text(json.dumps(said))
    assert answer(forked, directory) == "b"
    one_line(forked("index", directory, "--verify"), str(path), "damaged")
    assert not note.exists()
    refused(forked, directory, path)


def test_notes_of_what_is_gone_do_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    notes = tmp_path / "cache" / "xqe" / "verified"
    for name in ("here", "gone"):
        put(tmp_path / name, "a")
        open_index(tmp_path / name)
    (notes / "of-earlier.json").write_text('{"files": {}, "states": {}}')
    shutil.rmtree(tmp_path / "gone")
    put(tmp_path / "new", "a")
    open_index(tmp_path / "new")
    noted = {json.loads(note.read_text())["place"] for note in notes.iterdir()}
    assert noted == {str(tmp_path / "here"), str(tmp_path / "new")}


@pytest.mark.parametrize("kind", ["a file", "in a file", "unwritable", "no home", "a damaged note"])
def test_without_a_usable_cache_an_index_is_hashed_each_time(
    forked: Forks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    directory, place = tmp_path / "ix", tmp_path / "cache"
    put(directory, "a")
    closed: Path | None = None
    if kind == "unwritable":
        place.mkdir(mode=0o555)
        closed = place
    elif kind == "a damaged note":
        monkeypatch.setenv("XDG_CACHE_HOME", str(place))
        open_index(directory)
        (note,) = (place / "xqe" / "verified").iterdir()
        note.write_bytes(b"[")
        closed = note.parent
        closed.chmod(0o555)
    else:
        place.write_text("")
    if kind == "no home":

        def homeless() -> Path:
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", homeless)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", str(place / "under" if kind == "in a file" else place))
    if closed is not None and os.access(closed, os.W_OK):
        pytest.skip("this user may write anywhere")
    hashed = Hashed(monkeypatch)
    names = sorted(path.name for path in files_of(directory))
    assert hashed.by(directory) == names
    assert hashed.by(directory) == names
    path = files_of(directory)[0]
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(InputError, match="damaged"):
        open_index(directory)


# ---------------------------------------------------------------- the manifest


def sealed(manifest: dict[str, Any]) -> str:
    """A manifest as it would have been written with these fields."""
    fields = {name: value for name, value in manifest.items() if name != "sha256"}
    return json.dumps({**fields, "sha256": hashlib.sha256(json.dumps(fields).encode()).hexdigest()}, indent=1)


def test_a_flipped_bit_anywhere_in_the_manifest_is_found(tmp_path: Path) -> None:
    directory = tmp_path / "ix"
    put(directory, "a")
    path = directory / "xqe.json"
    whole = path.read_bytes()
    assert whole.decode() == sealed(json.loads(whole))
    for at in range(0, len(whole), 5):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :])
        with pytest.raises(InputError, match=rf"^({path}: damaged|{directory}: an index of format).*--force"):
            open_index(directory)
    path.write_bytes(whole)
    assert ids(open_index(directory)) == ["a"]


def changed(**fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda manifest: manifest.update(fields)


UNFIT: Sequence[tuple[Callable[[Any], object], str]] = [
    (changed(tantivy="0.1.0"), "built with tantivy 0.1.0"),
    (changed(format=99), "format 99"),
    (changed(language="xx"), "unknown language"),
    (changed(data="../elsewhere"), "damaged"),
    (changed(files={"../vectors.df": {}}), "damaged"),
    (changed(more=1), "damaged"),
    (lambda manifest: manifest.pop("probes"), "damaged"),
    (lambda manifest: manifest["files"]["vectors.df"].update(sha256="0" * 64), "vectors.df: damaged"),
    (lambda manifest: manifest["files"]["vectors.df"].update(size=1), "vectors.df: damaged"),
    (lambda manifest: manifest["files"].update(other={"size": 0, "sha256": ""}), "other: no such file"),
    (lambda manifest: manifest["analyzer"].update(stopwords="0"), "analysed differently (stopwords 0"),
    (lambda manifest: manifest["analyzer"].update(rules=0), "analysed differently (rules 0"),
    (lambda manifest: manifest["probes"][0][1].append("other"), "analysed differently"),
]


@pytest.mark.parametrize(("change", "message"), UNFIT)
def test_an_unfit_index_is_refused(
    forked: Forks, tmp_path: Path, change: Callable[[Any], object], message: str
) -> None:
    directory = tmp_path / "ix"
    put(directory, "a")
    path = directory / "xqe.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(sealed(manifest))
    one_line(forked("search", directory, "harbour"), message, "xqe index --force")
    put(directory, "b")
    assert held(directory) == "b"
    assert is_clean(directory)


@pytest.mark.parametrize("field", ["files", "probes", "k1", "sha256"])
def test_a_manifest_that_lacks_something_is_damaged(forked: Forks, tmp_path: Path, field: str) -> None:
    directory = tmp_path / "ix"
    put(directory, "a")
    path = directory / "xqe.json"
    manifest = json.loads(path.read_text())
    if field == "files":
        del manifest["files"]["vectors.df"]
    else:
        del manifest[field]
    path.write_text(json.dumps(manifest, indent=1))
    refused(forked, directory, path)


def test_a_file_that_is_not_the_index_s_is_let_alone_until_the_next_build(forked: Forks, tmp_path: Path) -> None:
    directory = tmp_path / "ix"
    put(directory, "a")
    (directory / "data-1" / "more").write_text("more")
    assert answer(forked, directory) == "a"
    assert forked("index", directory, "--verify").status == 0
    assert forked(*indexing(directory, "--force"), stdin=harbour("b")).status == 0
    assert is_clean(directory)


@pytest.mark.parametrize("kind", ["missing", "empty", "file", "not JSON", "not an object", "folder"])
def test_what_is_no_index_is_said_in_one_line(forked: Forks, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "ix"
    if kind == "file":
        path.write_text("x")
    elif kind != "missing":
        path.mkdir()
    if kind in ("not JSON", "not an object"):
        (path / "xqe.json").write_text("{" if kind == "not JSON" else "[1]")
    elif kind == "folder":
        (path / "xqe.json").mkdir()
    for arguments in (("search", path, "ba"), ("index", path, "--verify")):
        one_line(forked(*arguments), str(path))


def test_verify_sums_the_index_up_and_builds_nothing(forked: Forks, tmp_path: Path) -> None:
    directory = tmp_path / "ix"
    put(directory, "a")
    done = forked("index", directory, "--verify")
    assert (done.status, done.stderr) == (0, "")
    assert json.loads(done.stdout)["verified"] == len(files_of(directory))
    one_line(forked(*indexing(directory, "--verify"), stdin=harbour("b")), "--verify builds nothing")
