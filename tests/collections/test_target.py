"""The folder that a collection is written to: what is not the collection's stays, and the old one until the new is."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import FIXTURES

from xqe.cli import run
from xqe.collections.layout import Collection, CollectionWriter
from xqe.collections.sampling import Plan, sample
from xqe.collections.target import check_apart, check_target
from xqe.errors import InputError, XqeError
from xqe.files.records import Document

OLD = {"documents/de.jsonl.gz", "documents/en.jsonl.gz", "queries/test/de.jsonl", "qrels/test/de-en.qrels"}
NEW = {"documents/en.jsonl.gz", "queries/dev/de.jsonl", "qrels/dev/de-en.qrels"}


def write(directory: Path, name: str, replace: bool = False) -> Collection:
    """A collection named "old", with the files of OLD, or "new", with those of NEW."""
    split, languages = ("test", ("de", "en")) if name == "old" else ("dev", ("en",))
    with CollectionWriter(directory, name, replace) as writer:
        for lang in languages:
            writer.documents(lang, [Document("d1", f"the text of {name} in {lang}, which is a passage of some length")])
        writer.queries(split, "de", [("q1", f"{name} query")])
        writer.qrels(split, "de", "en", [("q1", "d1", 1)])
        return writer.finish("a test", {}, "none")


def tree(folder: Path) -> dict[str, bytes | str]:
    """All that lies in a folder: the contents of files, the ends of links, "" for folders."""
    found: dict[str, bytes | str] = {}
    for above, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(above, name)
            if path.is_symlink():
                found[str(path.relative_to(folder))] = str(path.readlink())
            else:
                found[str(path.relative_to(folder))] = path.read_bytes() if path.is_file() else ""
    return found


def put(path: Path, text: str = "mine") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def linked(folder: Path, name: str) -> None:
    """A link in a folder to another one, with a file that a collection could have."""
    put(folder.with_name("victim") / "en.jsonl.gz")
    folder.mkdir(exist_ok=True)
    (folder / name).symlink_to(folder.with_name("victim"))


# ---------------------------------------------------------------- what may lie there

NOT_A_COLLECTIONS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a file": (lambda out: put(out / "corpus.jsonl"), 'holds "corpus.jsonl", so it is not the folder of a collection'),
    "documents": (lambda out: put(out / "documents/2024/report.docx"), 'holds "documents"'),
    "its own names": (lambda out: put(out / "documents/en.jsonl.gz"), 'holds "documents"'),
    "a link": (lambda out: linked(out, "documents"), 'holds "documents"'),
    "another manifest": (lambda out: put(out / "collection.json", '{"info": {}}'), "collection.json: not a manifest"),
    "no JSON": (lambda out: put(out / "collection.json"), "collection.json: damaged, not JSON; what in the folder is"),
    "a folder of that name": (lambda out: put(out / "collection.new/plan.txt"), "collection.new: holds what no"),
    "a link of that name": (lambda out: linked(out, "collection.new"), "collection.new: holds what no collection has"),
    "a link to nothing": (lambda out: out.symlink_to("nowhere"), "out is a link; give a folder"),
}


@pytest.mark.parametrize("case", NOT_A_COLLECTIONS)
def test_a_folder_with_anything_else_is_refused_and_left_alone(
    tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make, message = NOT_A_COLLECTIONS[case]
    source = write(tmp_path / "source", "old")
    make(tmp_path / "out")
    before = tree(tmp_path)
    for force in ([], ["--force"]):
        given = ["data", "sample", str(source.directory), "--queries", "1", "--out", str(tmp_path / "out"), *force]
        assert run(given) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err.splitlines()[1] and err.count("\n") == 2
    assert tree(tmp_path) == before


def test_other_files_stay_when_a_collection_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "c"
    write(out, "old")
    assert set(tree(out)) >= OLD
    for name in ("README", "documents/thesis.txt", "queries/test/notes.txt", "examples/train.py"):
        put(out / name)
    linked(out, "more")
    write(out, "new", replace=True).verify()
    files = {name for name, content in tree(out).items() if content != ""}
    theirs = {"README", "documents/thesis.txt", "queries/test/notes.txt", "examples/train.py", "more"}
    assert files == {*NEW, "collection.json", *theirs}
    assert (tmp_path / "victim/en.jsonl.gz").read_text() == "mine"


@pytest.mark.parametrize("in_the_way", ["a file", "a folder", "a link"])
def test_nothing_is_put_where_something_else_lies(tmp_path: Path, in_the_way: str) -> None:
    out = tmp_path / "c"
    write(out, "old")
    if in_the_way == "a file":
        put(out / "queries/dev/de.jsonl")
    elif in_the_way == "a folder":
        put(out / "queries/dev/de.jsonl/file")
    else:
        linked(out / "queries", "dev")
    before = tree(tmp_path)
    with pytest.raises(XqeError, match=r"is a link; move it away|is not of the collection that is replaced; move it"):
        write(out, "new", replace=True)
    assert tree(tmp_path) == before


def test_of_a_damaged_collection_that_has_nothing_else_the_files_are_known_by_their_names(tmp_path: Path) -> None:
    write(tmp_path / "c", "old")
    manifest = tmp_path / "c/collection.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"old", b"odd"))
    with pytest.raises(XqeError, match="holds a collection already; give --force"):
        check_target(tmp_path / "c")
    assert set(tree(write(tmp_path / "c", "new", replace=True).directory)) >= NEW
    assert not (tmp_path / "c/queries/test").exists()

    manifest.write_bytes(b"{")
    put(tmp_path / "c/documents/thesis.txt")
    with pytest.raises(XqeError, match="damaged, not JSON; what in the folder is a collection's is not known"):
        write(tmp_path / "c", "old", replace=True)


def test_a_folder_that_a_source_has_to_do_with_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "data" / "mmarco"
    shutil.copytree(FIXTURES / "mmarco", source)
    (tmp_path / "short").symlink_to(source)
    before = tree(tmp_path)
    for out, how in ((source, "is"), (source / "x" / "y", "lies in"), (tmp_path / "short" / "x", "lies in")):
        with pytest.raises(XqeError, match=f": {how} .*mmarco, which is read; give another folder"):
            check_apart(out, [source])
        assert run(["data", "convert", "mmarco", str(source), "--out", str(out), "--force"]) == 2
    with pytest.raises(XqeError, match=r"data: holds .*mmarco, which is read"):
        check_apart(tmp_path / "data", [source])
    check_apart(tmp_path / "data" / "mmarco2", [source])
    capsys.readouterr()
    collection = write(tmp_path / "c", "old")
    for out in (collection.directory, collection.directory / "small", tmp_path):
        with pytest.raises(XqeError, match=r"which is read|so it is not the folder of a collection"):
            sample(collection, out, Plan(queries=1), force=True)
    shutil.rmtree(tmp_path / "c")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", ["../../escape", "/tmp/x", "..", "", "a/b", "a b", "a\n", ".x"])
def test_names_are_one_component_of_a_path(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "d.jsonl").write_text('{"id": "d1", "text": "x"}\n')
    (tmp_path / "t.tsv").write_text("q1\tx\n")
    (tmp_path / "q").write_text("q1 0 d1 1\n")
    given = ["pyserini", f"{tmp_path}/d.jsonl", "--queries", f"{tmp_path}/t.tsv", "--qrels", f"{tmp_path}/q"]
    option = "--name" if name in ("", "a b", "a\n") else "--split"  # a list of splits is parted by these
    assert run(["data", "convert", *given, "--lang", "en", option, name, "--out", str(tmp_path / "c")]) == 2
    err = capsys.readouterr().err
    assert f"{option}: {name!r} cannot be part of a path; take letters of ASCII" in err and err.count("\n") == 1
    with pytest.raises(XqeError, match="cannot be part of a path"):
        CollectionWriter(tmp_path / "c", "x").queries(name, "en", [])
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "c") == ["d.jsonl", "q", "t.tsv"]


# ---------------------------------------------------------------- the old one, until the new one is whole


@pytest.mark.parametrize("is_there", [False, True])
def test_a_source_that_is_broken_at_its_end_changes_nothing(
    tmp_path: Path, is_there: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    if is_there:
        write(tmp_path / "c", "old")
    (tmp_path / "nf/qrels").mkdir(parents=True)
    (tmp_path / "nf/corpus.jsonl").write_text('{"_id": "d1", "title": "", "text": "new"}\n' * 3 + '{"_id": "d2", "te')
    (tmp_path / "nf/queries.jsonl").write_text('{"_id": "q1", "text": "new"}\n')
    (tmp_path / "nf/qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    before = tree(tmp_path)
    given = ["data", "convert", "beir", str(tmp_path / "nf"), "--lang", "en", "--out", str(tmp_path / "c"), "--force"]
    assert run(given) == 2
    assert "corpus.jsonl:4: broken JSON" in capsys.readouterr().err
    assert tree(tmp_path) == before


@pytest.mark.parametrize("full_after", range(5))
def test_a_full_disk_leaves_the_old_one(tmp_path: Path, full_after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path / "source", "old")
    write(tmp_path / "c", "new")
    before = tree(tmp_path)
    room = [full_after]

    def full(_: int) -> None:
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(XqeError, match="no space left on device; check its permissions and the disk"):
        sample(source, tmp_path / "c", Plan(queries=1, pool=None if full_after % 2 else 1), force=True)
        sample(source, tmp_path / "c", Plan(queries=1), force=True)
    monkeypatch.undo()
    if full_after < 4:  # the sample has four files, its manifest the last of them
        assert tree(tmp_path) == before
    sample(source, tmp_path / "c", Plan(queries=1), force=True).verify()


def killed_after(renames: int, work: Callable[[], Any]) -> bool:
    """Do something in a process that ends, as if it were killed, before it renames once more; whether it was."""
    child = os.fork()
    if not child:
        left, replace = [renames], Path.replace

        def counted(path: Path, target: Path) -> Path:
            left[0] -= 1
            if left[0] < 0:
                os._exit(9)
            return replace(path, target)

        Path.replace = counted  # type: ignore[method-assign, assignment]
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.parametrize("is_there", [False, True])
def test_a_kill_leaves_the_old_one_or_the_new_one_whole(tmp_path: Path, is_there: bool) -> None:
    found = []
    for renames in range(20):
        out = tmp_path / str(renames)
        if is_there:
            write(out, "old")
        was_killed = killed_after(renames, lambda out=out: write(out, "new", replace=True))  # type: ignore[misc]
        if (out / "collection.json").exists() or (out / "collection.new/collection.json").exists():
            collection = Collection(out)
            collection.verify()
            split = "test" if collection.name == "old" else "dev"
            assert collection.read_queries(split, "de") == {"q1": f"{collection.name} query"}
            found.append(collection.name)
        else:
            found.append("none")
        write(out, "old", replace=True).verify()  # another build puts in order what was left
        assert {name for name, content in tree(out).items() if content != ""} == {*OLD, "collection.json"}
        if not was_killed:
            break
    files = len(NEW) + 1
    assert found == ["old" if is_there else "none"] * files + ["new"] * (files + 1)


def test_one_process_at_a_time_writes(tmp_path: Path) -> None:
    with CollectionWriter(tmp_path / "c", "first") as writer:
        writer.documents("en", [Document("d1", "first")])
        with pytest.raises(XqeError, match=r"process \d+, since .*, is writing a collection there; wait"):
            CollectionWriter(tmp_path / "c", "second", replace=True)
        assert writer.finish("a test", {}, "none").name == "first"


# ---------------------------------------------------------------- what is read


def unsealed(directory: Path, **changes: Any) -> Path:
    """A collection as earlier versions wrote it: format 1, without a seal."""
    fields = {**write(directory, "old").manifest, "format": 1, **changes}
    path = directory / "collection.json"
    path.write_text(f"{json.dumps(fields, ensure_ascii=False, indent=1)}\n", "utf-8")
    return path


def test_collections_of_earlier_versions_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unsealed(tmp_path / "c", about="Texte über Flüsse")
    assert run(["data", "info", str(tmp_path / "c"), "--verify"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["about"] == "Texte über Flüsse" and said["verified"] == 4
    drawn = sample(Collection(tmp_path / "c"), tmp_path / "small", Plan(queries=1))
    assert drawn.manifest["format"] == 2 and drawn.read_queries("test", "de") == {"q1": "old query"}


@pytest.mark.parametrize("flip", [0x01, 0x20, 0xFF])
def test_every_flipped_byte_of_a_manifest_is_found(tmp_path: Path, flip: int) -> None:
    path = write(tmp_path, "new").directory / "collection.json"
    whole = path.read_bytes()
    for at in range(flip % 3, len(whole), 3):  # a third of them with each flip
        path.write_bytes(whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :])
        with pytest.raises(InputError, match=r"collection\.json: (damaged|not a manifest)"):
            Collection(tmp_path)
    path.write_bytes(whole)
    Collection(tmp_path).verify()


def test_no_flipped_byte_of_an_earlier_manifest_is_an_internal_error(tmp_path: Path) -> None:
    from xqe.commands.data.rows import collection_row

    path = unsealed(tmp_path)
    whole = path.read_bytes()
    for at in range(0, len(whole), 2):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 7]) + whole[at + 1 :])
        try:
            collection_row(collection := Collection(tmp_path))
            collection.verify()
        except InputError:
            continue


ENTRY = {"file": "documents/en.jsonl.gz", "documents": 1, "bytes": 1, "sha256": "0" * 64}


@pytest.mark.parametrize(
    "changes",
    [
        {"documents": {"en": {**ENTRY, "file": "/etc/hostname"}}},
        {"documents": {"en": {**ENTRY, "file": "../../x"}}},
        {"documents": {"en": {**ENTRY, "file": "documents/../../x"}}},
        {"documents": {"en": {**ENTRY, "file": 1}}},
        {"documents": {"en": {name: value for name, value in ENTRY.items() if name != "file"}}},
        {"documents": {"en": {name: value for name, value in ENTRY.items() if name != "sha256"}}},
        {"documents": {"en": {**ENTRY, "documents": "x"}}},
        {"documents": {"en": {**ENTRY, "bytes": True}}},
        {"documents": {"../../x": ENTRY}},
        {"documents": ["en"]},
        {"queries": {"../../../escape": {}}},
        {"queries": {"test": []}},
        {"qrels": {"test": {"de-en": "qrels/test/de-en.qrels"}}},
        {"examples": None},
        {"pool": "all"},
        {"notes": "none"},
        {"name": ["x"]},
    ],
)
def test_a_manifest_that_leads_elsewhere_or_lacks_something_is_damaged(
    tmp_path: Path, changes: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    unsealed(tmp_path / "c", **changes)
    for given in (["info"], ["info", "--verify"], ["sample", "--queries", "1", "--out", str(tmp_path / "out")]):
        assert run(["data", given[0], str(tmp_path / "c"), *given[1:]]) == 2
        err = capsys.readouterr().err
        assert "collection.json: damaged, " in err and err.count("\n") == 1


LINES = {
    "queries/test/de.jsonl": ['"x"', '""', "1e400", "[]", '{"id": "q1"}', '{"query": "x"}', '{"id": "q1", "query": 1}'],
    "qrels/test/de-en.qrels": ["q1 0 d1 nan", "q1 0 d1 True", "q1 0 d1", "q1 0 d1 1e400", "q1 0 d1 20000"],
    "documents/en.jsonl.gz": ['"x"', "1e400", '{"id": "d1"}'],
}


@pytest.mark.parametrize(("file", "line"), [(file, line) for file, lines in LINES.items() for line in lines])
def test_a_sample_of_broken_lines_is_one_line(
    tmp_path: Path, file: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from xqe.files.hashes import sha256

    manifest = write(tmp_path / "c", "old").manifest
    (tmp_path / "c" / file).write_text(f"{line}\n")
    given = ["data", "sample", str(tmp_path / "c"), "--queries", "1", "--pool", "0", "--out", str(tmp_path / "out")]
    assert run(given) == 2
    assert f"{file}: not the file that collection.json names" in capsys.readouterr().err
    for entry in Collection(tmp_path / "c").entries():  # so are those of a collection that is broken and whole
        if entry["file"] == file:
            digest = entry["sha256"], sha256(tmp_path / "c" / file)
    text = json.dumps({**manifest, "format": 1}).replace(*digest)
    (tmp_path / "c/collection.json").write_text(text)
    assert run(given) == 2
    err = capsys.readouterr().err
    assert f"{file}:1: " in err and err.count("\n") == 1 and "internal" not in err
    assert not (tmp_path / "out").exists()
