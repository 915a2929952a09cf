"""Finished indexes that are joined: what comes of them, and which do not fit together."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import FIXTURES, Run, jsonl, records

import xqe as api
from xqe.errors import XqeError
from xqe.retrieval.lexical import open_index

LINES = (FIXTURES / "documents" / "en.jsonl").read_text("utf-8").splitlines(keepends=True)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two indexes, of which the second has three shards, and one of all of their documents."""
    folder = tmp_path_factory.mktemp("parts")
    for name, lines, shards in (("a", LINES[:15], 1), ("b", LINES[15:], 3), ("all", LINES, 1)):
        rows = [{**json.loads(line), "questions": {"de": [f"Was ist {line[8:14]}?"]}} for line in lines]
        api.build_index(folder / name, rows, "en", encoder="fake", shards=shards, quiet=True)
    return folder


def index(xqe: Run, directory: Path, *options: str, documents: Sequence[Any] = ({"id": "z", "text": "zinc"},)) -> None:
    options = options if "--lang" in options else ("--lang", "en", *options)
    done = xqe("index", str(directory), *options, stdin=jsonl(*documents))
    assert done.returncode == 0, done.stderr


def refused(xqe: Run, *arguments: object) -> str:
    done = xqe("index", *map(str, arguments))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    return done.stderr


def test_it_is_the_index_of_all_documents_and_whole_by_itself(parts: Path, xqe: Run, tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copytree(parts / name, tmp_path / name)
    done = xqe("index", str(tmp_path / "all"), "--join", str(tmp_path / "a"), str(tmp_path / "b"))
    assert (done.returncode, done.stderr) == (0, "")
    [line] = records(done)
    assert (line["name"], line["shards"], line["documents"]) == ("all", 4, 40)
    assert [(one["encoder"], one["documents"]) for one in line["vectors"]] == [("fake", 40)]
    shutil.rmtree(tmp_path / "a")
    shutil.rmtree(tmp_path / "b")
    for options in ((), ("--by", "bm25", "--question-weight", "1"), ("--by", "dense", "--question-share", "0.5")):
        query = jsonl({"id": "q", "query": "Was ist astro1 oder cult2", "lang": "de"})
        one, joined = (xqe("search", str(folder / "all"), *options, stdin=query) for folder in (parts, tmp_path))
        assert (joined.returncode, one.returncode) == (0, 0), joined.stderr
        assert joined.stdout == one.stdout and "score" in one.stdout
    for verb in ("index", "embed"):
        assert xqe(verb, str(tmp_path / "all"), "--verify").returncode == 0


def test_what_is_linked_takes_no_room_and_what_cannot_be_is_copied(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: Any) -> None:
        raise OSError("another disk")

    own = open_index(parts / "a").documents.folder / "vectors.terms"
    with api.join_indexes(tmp_path / "linked", [parts / "a"], quiet=True) as linked:
        assert len(linked) == 15
    assert (tmp_path / "linked/data-1/shard-0000/data-1/vectors.terms").samefile(own)
    monkeypatch.setattr(os, "link", no_links)
    with api.join_indexes(tmp_path / "copied", [parts / "a"], quiet=True) as copied:
        assert len(copied) == 15
    assert not (tmp_path / "copied/data-1/shard-0000/data-1/vectors.terms").samefile(own)
    assert api.search(tmp_path / "copied", "mercury", quiet=True)["hits"]


def test_an_index_grows_by_joining_it_with_more(parts: Path, xqe: Run, tmp_path: Path) -> None:
    shutil.copytree(parts / "a", tmp_path / "ix")
    refused_first = refused(xqe, tmp_path / "ix", "--join", tmp_path / "ix", parts / "b")
    assert "--force" in refused_first
    done = xqe("index", str(tmp_path / "ix"), "--join", str(tmp_path / "ix"), str(parts / "b"), "--force")
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in (tmp_path / "ix").iterdir()} == {"xqe.json", "xqe.lock", "data-2"}
    assert len(open_index(tmp_path / "ix")) == 40
    assert "is in" in refused(xqe, tmp_path / "ix", "--join", tmp_path / "ix", parts / "b", "--force")
    assert len(open_index(tmp_path / "ix")) == 40


def test_what_does_not_fit_together_is_one_line(parts: Path, xqe: Run, tmp_path: Path) -> None:
    plain = {"id": "z", "text": "zinc"}
    index(xqe, tmp_path / "german", "--lang", "de", "--encoder", "fake")
    index(xqe, tmp_path / "no-texts", "--no-texts")
    index(xqe, tmp_path / "no-vectors")
    index(xqe, tmp_path / "bytes")
    assert xqe("embed", str(tmp_path / "bytes"), "--encoder", "fake", "--dtype", "int8").returncode == 0
    index(xqe, tmp_path / "no-questions", documents=[{**plain, "questions": {"de": ["Was?"]}}])
    assert xqe("embed", str(tmp_path / "no-questions"), "--encoder", "fake").returncode == 0
    folder = open_index(tmp_path / "no-questions").documents.folder
    shutil.rmtree(next(folder.glob("dense-*")) / "questions-de")
    index(xqe, tmp_path / "several", "--lang", "record", documents=[{**plain, "lang": "de"}])
    new = tmp_path / "new"
    for name, said in (
        ("german", "in de, and"),
        ("no-texts", "keeps no texts, and"),
        ("no-vectors", f"xqe embed {tmp_path / 'no-vectors'} --encoder fake"),
        ("bytes", "made with dtype int8, others with f16"),
        ("no-questions", "of its questions in de"),
        ("several", "of several languages"),
        ("missing", "no such index"),
    ):
        assert said in refused(xqe, new, "--join", parts / "a", tmp_path / name)
        assert not (new / "xqe.json").exists()
    assert 'document "' in refused(xqe, new, "--join", parts / "all", parts / "b")
    assert "with itself" in refused(xqe, new, "--join", parts / "a", parts / "a" / ".")
    assert "name their folders" in refused(xqe, new, "--join")
    for option in (["--lang", "en"], ["--shards", "2"], ["--no-texts"], ["--encoder", "fake"], ["--id-field", "x"]):
        assert "leave out" in refused(xqe, new, "--join", parts / "a", *option)


def test_parameters_follow_from_the_lengths_of_all_or_are_those_of_all(xqe: Run, tmp_path: Path) -> None:
    short, long = ([{"id": f"{n}{at}", "text": f"zinc {at} " * n} for at in range(9)] for n in (5, 150))
    for name, documents in (("short", short), ("long", long), ("both", short + long)):
        index(xqe, tmp_path / name, documents=documents)
        index(xqe, tmp_path / f"{name}-0.9", "--k1", "0.9", "--b", "0.4", documents=documents)

    def joined(*names: str, **chosen: float) -> tuple[float, float]:
        with api.join_indexes(tmp_path / "new", [tmp_path / name for name in names], force=True, quiet=True, **chosen):
            manifest = open_index(tmp_path / "new").manifest
        return manifest.k1, manifest.b

    usual = open_index(tmp_path / "both").manifest
    assert joined("short", "long") == (usual.k1, usual.b) != (0.82, 0.68)
    assert joined("short-0.9", "long-0.9") == (0.9, 0.4)
    with pytest.raises(XqeError, match=r"different parameters: k1 0\.82 b 0\.68, k1 0\.9 b 0\.4"):
        joined("short", "long-0.9")
    assert joined("short", "long-0.9", k1=1.1, b=0.5) == (1.1, 0.5)


def test_graphs_are_not_joined_and_that_is_said(xqe: Run, tmp_path: Path) -> None:
    for name in ("a", "b"):
        index(xqe, tmp_path / name, documents=[{"id": f"{name}{n}", "text": f"zinc {n}"} for n in range(9)])
        assert xqe("embed", str(tmp_path / name), "--encoder", "fake", "--approximate").returncode == 0
    done = xqe("index", str(tmp_path / "ix"), "--join", str(tmp_path / "a"), str(tmp_path / "b"))
    assert done.returncode == 0 and f"xqe embed {tmp_path / 'ix'} --encoder fake --approximate" in done.stderr
    [line] = records(done)
    assert line["vectors"][0]["approximate"] is None
    assert xqe("search", str(tmp_path / "ix"), "zinc", "--by", "dense", "--approximate").returncode == 2
    assert xqe("embed", str(tmp_path / "ix"), "--encoder", "fake", "--approximate").returncode == 0
    assert xqe("search", str(tmp_path / "ix"), "zinc", "--by", "dense", "--approximate").returncode == 0


def test_indexes_of_several_languages_are_joined_by_language(xqe: Run, tmp_path: Path) -> None:
    made: list[dict[str, Any]] = []
    for name, languages in (("a", ("en", "de")), ("b", ("de", "fr"))):
        own = [{"id": f"{name}{code}{n}", "text": f"zinc {n}", "lang": code} for code in languages for n in range(3)]
        index(xqe, tmp_path / name, "--lang", "record", "--encoder", "fake", documents=own)
        made += own
    index(xqe, tmp_path / "all", "--lang", "record", "--encoder", "fake", "--shards", "2", documents=made)
    done = xqe("index", str(tmp_path / "joined"), "--join", str(tmp_path / "a"), str(tmp_path / "b"))
    assert (done.returncode, done.stderr) == (0, "")
    [line] = records(done)
    assert (line["lang"], line["documents"]) == ("de,en,fr", 12)
    assert {code: its["shards"] for code, its in line["languages"].items()} == {"de": 2, "en": 1, "fr": 1}
    assert set(line["vectors"]) == {"de", "en", "fr"}
    hits = [records(xqe("search", str(tmp_path / name), "zinc 2"))[0]["hits"] for name in ("all", "joined")]
    assert hits[0] == hits[1] and len(hits[0]) == 12
    assert "is in" in refused(xqe, tmp_path / "new", "--join", tmp_path / "a", tmp_path / "joined")
