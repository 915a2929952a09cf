"""Collections on disk: written whole or not at all, read back, checked by hash."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xqe.collections.layout import ANY, Collection, CollectionWriter
from xqe.collections.manifest import MANIFEST
from xqe.collections.sources import sources
from xqe.collections.target import check_target
from xqe.errors import InputError, XqeError
from xqe.files.records import Document
from xqe.text.languages import code_of

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
_IDS = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=8)


def small(directory: Path) -> Collection:
    writer = CollectionWriter(directory, "small")
    writer.documents("de", [Document("d1", "Ein Text"), Document("d2", "Zwei", "Titel")])
    writer.queries("test", "en", [("q1", "one text"), ("q2", "two")])
    writer.queries("test", "de", [("q1", "ein Text")])
    writer.qrels("test", ANY, "de", [("q1", "d1", 6), ("q2", "d2", 0)])
    writer.examples("train", "de", [("frage", "antwort")])
    writer.note("two of each")
    return writer.finish("a test", {"name": "nowhere"}, "none", parallel=True)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    small(tmp_path / "c")
    collection = Collection(tmp_path / "c")
    assert collection.name == "small" and not collection.is_pool
    assert collection.document_languages == ["de"] and collection.splits == ["test"]
    assert collection.pairs("test") == [("en", "de"), ("de", "de")]
    assert collection.read_queries("test", "en") == {"q1": "one text", "q2": "two"}
    assert collection.read_qrels("test", "en", "de") == {"q1": {"d1": 6}, "q2": {"d2": 0}}
    assert collection.document_count("de") == 2
    with gzip.open(collection.documents("de"), "rt", encoding="utf-8") as file:
        assert [json.loads(line) for line in file] == [
            {"id": "d1", "text": "Ein Text"},
            {"id": "d2", "title": "Titel", "text": "Zwei"},
        ]
    entry = collection.manifest["qrels"]["test"]["all-de"]
    assert (entry["queries"], entry["judgements"], entry["grades"]) == (2, 2, {"0": 1, "6": 1})
    path = tmp_path / "c" / entry["file"]
    assert path.read_bytes() == b"q1 0 d1 6\nq2 0 d2 0\n"
    assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest() and entry["bytes"] == 20
    assert len(list(collection.entries())) == 5
    collection.verify()


def test_equal_content_makes_equal_files(tmp_path: Path) -> None:
    small(tmp_path / "a")
    small(tmp_path / "b")
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) == 6
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_writer_that_fails_leaves_no_collection(tmp_path: Path) -> None:
    def broken() -> object:
        yield Document("d1", "text")
        raise RuntimeError

    with pytest.raises(RuntimeError), CollectionWriter(tmp_path / "c", "broken") as writer:
        writer.documents("en", [Document("d1", "text")])
        writer.documents("de", broken())  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_collection_is_replaced_only_when_asked(tmp_path: Path) -> None:
    small(tmp_path)
    with pytest.raises(XqeError, match="holds a collection already; give --force"):
        CollectionWriter(tmp_path, "again")
    with CollectionWriter(tmp_path, "again", replace=True) as writer:
        writer.documents("en", [Document("d1", "text")])
        assert Collection(tmp_path).name == "small"  # until the new one is whole
    Collection(tmp_path).verify()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (b"{", "damaged, not JSON"),
        (b"[" * 100_000, "damaged, not JSON"),
        (b"[]", "not a manifest of format 2"),
        (b'{"format": 3}', "not a manifest of format 2"),
        (b'{"format": 2}', "damaged, its contents are not those that were written"),
        (b'{"format": 1, "name": "x"}', "damaged, no documents, qrels, queries"),
    ],
)
def test_damaged_manifests(tmp_path: Path, damage: bytes, message: str) -> None:
    (tmp_path / MANIFEST).write_bytes(damage)
    with pytest.raises(InputError, match=message):
        Collection(tmp_path)


def test_what_a_replaced_collection_had_is_removed(tmp_path: Path) -> None:
    small(tmp_path / "c")
    (tmp_path / "c" / "README").write_text("mine")
    writer = CollectionWriter(tmp_path / "c", "other", replace=True)
    writer.documents("en", [Document("d1", "a text")])
    writer.queries("dev", "en", [("q1", "text")])
    writer.qrels("dev", "en", "en", [("q1", "d1", 1)])
    writer.finish("a test", {}, "none")
    left = {path.relative_to(tmp_path / "c").as_posix() for path in (tmp_path / "c").rglob("*") if path.is_file()}
    assert left == {"README", MANIFEST, "documents/en.jsonl.gz", "queries/dev/en.jsonl", "qrels/dev/en-en.qrels"}


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    collection = small(tmp_path / "c")
    calls: list[tuple[Callable[[], Path], str]] = [
        (lambda: collection.documents("fr"), "no documents for fr; it has de"),
        (lambda: collection.queries("dev", "en"), "no queries of dev for en; its splits are test"),
        (lambda: collection.qrels("test", "en", "fr"), "no qrels of test for en-fr; it has all-de"),
        (lambda: collection.examples("train", "en"), "no examples of train for en; it has de"),
    ]
    for call, message in calls:
        with pytest.raises(InputError, match=message):
            call()
    collection.queries("test", "de").write_text("")
    with pytest.raises(InputError, match=r"de\.jsonl: not the file that collection\.json names"):
        collection.verify()
    collection.documents("de").unlink()
    with pytest.raises(InputError, match=r"de\.jsonl\.gz: missing"):
        collection.verify()


def test_documents_are_copied_as_they_are(tmp_path: Path) -> None:
    first = small(tmp_path / "a")
    writer = CollectionWriter(tmp_path / "b", "copy")
    assert writer.copy_documents("de", first) == 2
    writer.finish("a test", {}, "none")
    assert (tmp_path / "b/documents/de.jsonl.gz").read_bytes() == first.documents("de").read_bytes()
    first.documents("de").write_bytes(b"")
    with pytest.raises(InputError, match="not the file that"), CollectionWriter(tmp_path / "d", "copy") as writer:
        writer.copy_documents("de", first)
    assert not (tmp_path / "d").exists()


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(XqeError, match="is a file; give a folder"):
        check_target(tmp_path / "file" / "c")
    with pytest.raises(XqeError, match='unknown language "xx"'):
        CollectionWriter(tmp_path / "c", "x").queries("test", "xx", [])


@given(st.lists(st.tuples(_IDS, _TEXTS, _TEXTS), max_size=8))
def test_documents_are_kept_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("c")
    writer = CollectionWriter(folder, "x")
    given_documents = [Document(*row) for row in rows]
    writer.documents("en", given_documents)
    assert list(writer.finish("a test", {}, "none").read_documents("en")) == given_documents


def test_each_source_names_languages_by_their_one_code() -> None:
    """So that --lang finds them, whichever way a language is named, and a collection takes them."""
    for row in sources().values():
        assert [code_of(lang) for lang in row.languages] == list(row.languages), row.name
