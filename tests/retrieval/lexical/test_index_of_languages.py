"""An index of documents in several languages: what is in it, that it is whole or not there, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import FIXTURES, Run, jsonl, records

from xqe.errors import InputError, XqeError
from xqe.files.documents import Placed
from xqe.files.records import Document
from xqe.retrieval.lexical import build, build_languages, open_index, open_languages

LANGUAGES = ("en", "de", "ja")


def mixed() -> list[dict[str, Any]]:
    """The fixtures of three languages, one document of each after the other."""
    by_language = [
        [json.loads(line) for line in (FIXTURES / "documents" / f"{lang}.jsonl").read_text("utf-8").splitlines()]
        for lang in LANGUAGES
    ]
    return [
        {**one, "id": f"{one['id']}.{lang}", "lang": lang}
        for topic in zip(*by_language, strict=True)
        for lang, one in zip(LANGUAGES, topic, strict=True)
    ]


def made(xqe: Run, directory: Path, *options: str) -> dict[str, Any]:
    done = xqe("index", str(directory), "--lang", "record", *options, stdin=jsonl(*mixed()))
    assert (done.returncode, done.stderr) == (0, "")
    [line] = records(done)
    return line


def placed(*documents: tuple[str, str, str]) -> Iterator[Placed]:
    return ((f"f:{at}", Document(name, text, "", lang)) for at, (name, text, lang) in enumerate(documents, 1))


def one_line(done: Any, said: str) -> None:
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr


# ---------------------------------------------------------------- what is in it


def test_each_language_has_the_index_that_it_would_have_alone(xqe: Run, tmp_path: Path) -> None:
    line = made(xqe, tmp_path / "all", "--k1", "1.2")
    assert (line["name"], line["lang"], line["documents"]) == ("all", "de,en,ja", 120)
    for lang in LANGUAGES:
        own = [one for one in mixed() if one["lang"] == lang]
        done = xqe("index", str(tmp_path / lang), "--lang", lang, "--k1", "1.2", stdin=jsonl(*own))
        [alone] = records(done)
        assert line["languages"][lang] == {
            **{name: value for name, value in alone.items() if name != "seconds"},
            "index": str(tmp_path / "all" / lang),
        }
        query = own[0]["text"][:40]
        same, found = (
            records(xqe("search", str(folder), query)) for folder in (tmp_path / lang, tmp_path / "all" / lang)
        )
        assert same == found and found[0]["hits"]


def test_it_is_searched_as_its_indexes_together(xqe: Run, tmp_path: Path) -> None:
    made(xqe, tmp_path / "all", "--encoder", "fake")
    folders = [str(tmp_path / "all" / lang) for lang in sorted(LANGUAGES)]
    for options in (("--by", "bm25"), ("--by", "dense"), (), ("--per-language",)):
        [found] = records(xqe("search", str(tmp_path / "all"), *options, "planet Merkur"))
        [apart] = records(xqe("search", *folders, *options, "planet Merkur"))
        assert found["hits"] == apart["hits"]
        assert {hit["lang"] for hit in found["hits"]} <= set(LANGUAGES)
        assert found["index"] == apart["index"] | {"name": "all"}


def test_it_is_verified_and_embedded_as_one(xqe: Run, tmp_path: Path) -> None:
    made(xqe, tmp_path / "all")
    [line] = records(xqe("index", str(tmp_path / "all"), "--verify"))
    assert line["documents"] == 120 and line["verified"] > 3
    assert xqe("embed", str(tmp_path / "all" / "en"), "--encoder", "fake").returncode == 0
    done = xqe("embed", str(tmp_path / "all"), "--encoder", "fake")
    assert [line["index"] for line in records(done)] == [str(tmp_path / "all" / lang) for lang in ("de", "ja")]
    one_line(xqe("embed", str(tmp_path / "all"), "--encoder", "fake"), "--force")
    assert len(records(xqe("embed", str(tmp_path / "all"), "--encoder", "fake", "--force"))) == 3
    assert [line["name"] for line in records(xqe("embed", str(tmp_path / "all"), "--verify"))] == ["de", "en", "ja"]


# ---------------------------------------------------------------- whole, or not there


def test_a_build_that_fails_leaves_the_old_one(xqe: Run, tmp_path: Path) -> None:
    build_languages(tmp_path, placed(("a", "water", "en"), ("b", "Wasser", "de")))
    before = sorted(path.name for path in tmp_path.iterdir())
    found = xqe("search", str(tmp_path), "water").stdout

    def killed() -> Iterator[Placed]:
        yield from placed(("c", "mer", "fr"), ("d", "water", "en"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_languages(tmp_path, killed(), replace=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert xqe("search", str(tmp_path), "water").stdout == found


def test_a_new_build_takes_the_place_of_all(tmp_path: Path) -> None:
    build_languages(tmp_path, placed(("a", "water", "en"), ("b", "Wasser", "de")))
    with pytest.raises(XqeError, match="holds an index already"):
        build_languages(tmp_path, placed(("a", "water", "en")))
    (tmp_path / "data-7" / "en").mkdir(parents=True)  # left by a build that was killed
    build_languages(tmp_path, placed(("c", "mer", "fr"), ("d", "water", "en")), replace=True)
    names = {path.name for path in tmp_path.iterdir()}
    assert names - {"xqe.json", "xqe.lock"} == {"en", "fr", "data-8"}
    assert list(open_languages(tmp_path)) == [tmp_path / "data-8" / "en", tmp_path / "data-8" / "fr"]
    assert (tmp_path / "fr").resolve() == (tmp_path / "data-8" / "fr").resolve()
    assert open_index(tmp_path / "fr").documents.ids(open_index(tmp_path / "fr").documents.numbers(["c"])) == ["c"]


def test_a_copy_or_a_moved_one_answers(xqe: Run, tmp_path: Path) -> None:
    build_languages(tmp_path / "one", placed(("a", "water", "en"), ("b", "Wasser", "de")))
    (tmp_path / "one").rename(tmp_path / "two")
    [record] = records(xqe("search", str(tmp_path / "two"), "water"))
    assert [hit["id"] for hit in record["hits"]] == ["a"]
    assert records(xqe("search", str(tmp_path / "two" / "de"), "Wasser"))[0]["hits"][0]["id"] == "b"


def test_an_index_that_was_built_by_itself_is_not_one_of_them(xqe: Run, tmp_path: Path) -> None:
    build_languages(tmp_path, placed(("a", "water", "en"), ("b", "Wasser", "de")))
    build(tmp_path / "en", "en", placed(("b", "a double", "")), replace=True)
    one_line(xqe("search", str(tmp_path), "water"), f"{tmp_path}/en: not the index that was built with the others")


@pytest.mark.parametrize("name", ["xqe.json", "data-1/en/xqe.json", "data-1/de/data-1/vectors.lengths"])
def test_damage_anywhere_is_found(xqe: Run, tmp_path: Path, name: str) -> None:
    build_languages(tmp_path, placed(("a", "water", "en"), ("b", "Wasser", "de")))
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    done = xqe("search", str(tmp_path), "water")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "xqe index --force" in done.stderr or "build one" in done.stderr


# ---------------------------------------------------------------- what cannot be


@pytest.mark.parametrize(
    ("documents", "said"),
    [
        ([{"id": "a", "text": "x"}], '<stdin>:1: no "lang"'),
        ([{"id": "a", "text": "x", "lang": "xx"}], 'unknown language "xx"'),
        (
            [{"id": "a", "text": "x", "lang": "en"}, {"id": "a", "text": "y", "lang": "de"}],
            '<stdin>:2: id "a" again, first at <stdin>:1',
        ),
        ([], "no documents to index"),
    ],
)
def test_bad_documents_are_one_line_and_leave_nothing(
    xqe: Run, tmp_path: Path, documents: list[dict[str, str]], said: str
) -> None:
    one_line(xqe("index", str(tmp_path / "ix"), "--lang", "record", stdin=jsonl(*documents)), said)
    assert [path.name for path in (tmp_path / "ix").iterdir()] == ["xqe.lock"]


def test_a_folder_called_as_a_link_would_be_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    build_languages(tmp_path, placed(("a", "water", "en")))
    (tmp_path / "de").mkdir()
    with pytest.raises(XqeError, match="de: is none of the links to indexes; move it away"):
        build_languages(tmp_path, placed(("a", "Wasser", "de")), replace=True)
    assert [index.manifest.language for index in open_languages(tmp_path).values()] == ["en"]


def test_an_index_of_the_other_kind_is_not_replaced(xqe: Run, tmp_path: Path) -> None:
    one, all_of_them = tmp_path / "one", tmp_path / "all"
    build(one, "en", placed(("a", "water", "")))
    build_languages(all_of_them, placed(("a", "water", "en")))
    with pytest.raises(XqeError, match="holds an index of one language"):
        build_languages(one, placed(("a", "water", "en")), replace=True)
    with pytest.raises(XqeError, match="holds an index of several languages"):
        build(all_of_them, "en", placed(("a", "water", "")), replace=True)
    with pytest.raises(InputError, match="an index of several languages"):
        open_index(all_of_them)
    one_line(xqe("search", str(all_of_them), str(one), "water"), 'document "a" is in two indexes, all/en and one')
