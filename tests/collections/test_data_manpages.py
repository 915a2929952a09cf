"""Manual pages as a collection: which packages, which pages, what of them; from a mirror of the tests' own."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_for_tests import Files, mirror, served

from xqe.cli import run
from xqe.collections import archive, counterparts, fetching, manpages
from xqe.collections.archive import Package
from xqe.collections.choice import chosen
from xqe.collections.layout import Collection

COUNT = 36
FILLER = "It reads what it is given, and says so at some length, that there is something to be searched for. "
GERMAN = "Es liest, was ihm gegeben wird, und sagt das recht ausführlich, damit es etwas zu suchen und finden gibt. "


def page(name: str, line: str, text: str) -> bytes:
    source = f".TH {name} 1\n.SH NAME\n{name} \\- {line}\n.SH DESCRIPTION\n.B {name}\n{text}\n.SH AUTHOR\nAda\n"
    return gzip.compress(source.encode(), mtime=0)


def english(number: int) -> bytes:
    return page(f"tool{number:02}", f"reader of format {number}", f"reads files of format {number}. {FILLER * 2}")


def german(number: int) -> bytes:
    return page(f"tool{number:02}", f"Leser von Format {number}", f"liest Dateien im Format {number}. {GERMAN * 2}")


def path(number: int, folder: str = "") -> str:
    return f"usr/share/man/{folder}man1/tool{number:02}.1.gz"


@pytest.fixture(scope="module")
def archived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """English and German pages; of Dutch ones too few. What must be left out: a link, a redirect, a page without a line
    that says what it is about, a short one, a copy, one that is English, one without an original."""
    folder = tmp_path_factory.mktemp("archive")
    originals = {path(number): english(number) for number in range(COUNT)}
    translated: dict[str, bytes | str] = {path(number, "de/"): german(number) for number in range(COUNT)}
    translated[path(0, "de/")] = gzip.compress(b".so man1/tool01.1\n")
    translated[path(1, "de/")] = gzip.compress(b".TH TOOL 1\n.SH BESCHREIBUNG\nNichts.\n.SH AUTOR\nAda\n")
    translated[path(2, "de/")] = page("tool02", "zu kurz", "kurz")
    translated[path(3, "de/")] = translated[path(4, "de/")]
    translated[path(5, "de/")] = english(5)
    translated[path(6, "de/")] = page("tool06", "reader of format 6", f"liest Format 6. {GERMAN * 2}")
    translated[path(7, "de/")] = page("tool07", "Leser von Format 8", f"liest Format 7. {GERMAN * 2}")
    translated[path(COUNT, "de/")] = german(COUNT)
    translated["usr/share/man/de/man1/alias.1.gz"] = "tool09.1.gz"
    translated["usr/share/doc/manpages-de/copyright"] = b"free"
    dutch = {path(number, "nl/"): page("x", f"lezer {number}", "leest " * 60 + str(number)) for number in range(5)}
    packages: dict[str, Files] = {
        "manpages-de": translated,
        "manpages-nl": dutch,
        "tools": originals,
        "other": {"usr/share/man/man1/other.1.gz": english(99)},
    }
    mirror(folder, packages)
    return folder


@pytest.fixture
def server(archived: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[str]]]:
    monkeypatch.setattr(fetching, "_PAUSE", 0.001)
    monkeypatch.setenv("XQE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("no_proxy", "*")
    with served(archived) as at:
        yield at


def build(url: str, out: Path, *more: str) -> int:
    return run(["data", "build", "manpages", "--out", str(out), "--mirror", url, "--release", "test", *more])


def test_build(server: tuple[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url, asked = server
    out = tmp_path / "out"
    assert build(url, out, "--lang", "en,de,nl") == 0
    row = json.loads(capsys.readouterr().out)
    # German: without 0 to 3 and 5; the copy is the later one of tool03 and tool04
    left = {"tool00.1", "tool01.1", "tool02.1", "tool04.1", "tool05.1"}
    assert row["documents"] == {"de": COUNT - len(left), "en": COUNT - len(left)}
    collection = Collection(out)
    collection.verify()
    german_queries = {k: v for split in counterparts.SPLITS for k, v in collection.read_queries(split, "de").items()}
    assert german_queries["tool09.1"] == "Leser von Format 9"
    # still English; twice the same
    assert not {"tool06.1", "tool07.1", "tool08.1"} & german_queries.keys()
    assert len(german_queries) == COUNT - len(left) - 3
    documents = {one.id: one.text for one in collection.read_documents("de")}
    assert documents.keys() & left == set()
    assert documents["tool09.1"] == "\n".join(
        ["DESCRIPTION", f"tool09 liest Dateien im Format 9. {GERMAN * 2}".strip(), "AUTHOR", "Ada"]
    )
    for split in counterparts.SPLITS:
        queries = collection.read_queries(split, "en")
        assert all(counterparts.split_of(name) == split for name in queries)
        assert collection.read_qrels(split, "de", "en") == {name: {name: 1} for name in queries}
    assert collection.manifest["notes"] == [
        "de: 2 pages left out that send on to another, or do not say what they are about",
        "de: 1 pages left out that are English for the most part",
        "de: 1 lines that are still English are no queries",
        "de: 1 short pages left out",
        "de: 1 pages left out whose text another one has",
        "de: 2 lines that another page has too are no queries",
    ]
    source = collection.manifest["source"]
    assert source["release"] == "test" and source["date"] == "Sat, 21 Nov 2026 09:15:44 UTC"
    assert [Path(one["file"]).name for one in source["files"]] == [
        "manpages-de_1.0_all.deb",
        "manpages-nl_1.0_all.deb",
        "tools_1.0_all.deb",
    ]
    assert not any("other" in one for one in asked)
    # what was downloaded is there; of Release it is asked whether it is new
    asked.clear()
    first = (out / "collection.json").read_bytes()
    assert build(url, out, "--lang", "en,de,nl", "--force") == 0
    assert asked == ["/dists/test/Release"] and (out / "collection.json").read_bytes() == first


def test_pages_are_drawn_alike_in_every_language(server: tuple[str, list[str]], tmp_path: Path) -> None:
    assert build(server[0], tmp_path / "out", "--lang", "en,de", "--pages", "10") == 0
    collection = Collection(tmp_path / "out")
    german_ids, english_ids = ({one.id for one in collection.read_documents(lang)} for lang in ("de", "en"))
    assert len(german_ids) == 10 and german_ids == english_ids


def test_packages_by_what_they_bring_for_their_size() -> None:
    contents = {
        "usr/share/man/de/man1/a.1.gz": ["manpages-de", "large"],
        "usr/share/man/de/man1/b.1.gz": ["manpages-de"],
        "usr/share/man/de/man1/c.1.gz": ["large"],
        "usr/share/man/fr/man1/d.1.gz": ["small"],
        "usr/share/man/man1/a.1.gz": ["small", "large"],
        "usr/share/man/man1/b.1.gz": ["other"],
        "usr/share/man/man1/c.1.gz": ["large"],
        "usr/share/man/man1/d.1.gz": ["small"],
        "usr/share/man/man1/e.1.gz": ["other"],
    }
    sizes = {"manpages-de": 50_000, "large": 900_000, "small": 10_000, "other": 100_000}
    packages = {name: Package(name, f"{name}.deb", size, "") for name, size in sizes.items()}

    def names(folders: list[str], room: int) -> list[str]:
        places = manpages.SHELF.held(contents, folders)
        return [one.name for one in chosen(places, packages, room, ["manpages-de"])]

    # small brings a, of 30 kB with a request; other brings b, of 120; large c, of 920
    assert names(["de"], 10_000_000) == ["manpages-de", "small", "other", "large"]
    assert names(["de"], 200_000) == ["manpages-de", "small", "other"]
    assert names(["fr"], 60_000) == ["small"]
    assert names(["de"], 10_000) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ln, link - make links", "make links"),
        ("sieve – sift flour", "sift flour"),
        ("git-add - add files - or parts", "add files - or parts"),
        ("ls － 列出目录", "列出目录"),
        ("man—显示手册", "显示手册"),
        ("no description", ""),
        ("x - " + "y" * 300, ""),
    ],
)
def test_what_a_line_says(line: str, said: str) -> None:
    assert manpages.described(line) == said


def test_lines_of_an_older_encoding() -> None:
    source = "Traducción\n".encode() + "Rubén\n".encode("iso-8859-1") + "año\r\nя".encode()
    assert manpages.decoded(source) == "Traducción\nRubén\naño\r\nя"


def test_a_translation_may_be_english_in_part() -> None:
    original = "\n".join(["A line of the page that is long enough to tell."] * 2 + ["short"])
    assert counterparts.english_share(original, original) == 1
    assert counterparts.english_share("Eine Zeile, die lang genug ist, um etwas zu sagen.\nshort", original) == 0
    assert counterparts.english_share("", original) == 0


def test_splits_are_of_their_sizes() -> None:
    counts = Counter(counterparts.split_of(f"page{number}.1") for number in range(4000))
    assert all(abs(counts[split] - 4000 * size) < 130 for split, size in counterparts.SPLITS.items())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--mirror", "ftp://x"], '--mirror: "ftp://x" is not an address; for example http://deb.debian.org/debian'),
        (["--release", "../x"], '--release: "../x" is not the name of a release; for example bookworm'),
        (["--graded"], "--graded: means nothing to manpages; it is for debian and debian-graded"),
        (["--lang", "hi"], "manpages has nothing in hi; it has ca cs"),
        (
            ["--lang", "de", "--release", "test", "--mirror", "{url}/nowhere"],
            "/nowhere/dists/test/Release: the server answers 404",
        ),
        (["--lang", "it", "--release", "test", "--mirror", "{url}"], "no manual pages in it for 150 MB; give more"),
        (["--lang", "nl", "--release", "test", "--mirror", "{url}"], "in nl there are not 30 translated pages; choose"),
    ],
)
def test_what_cannot_be_built(
    server: tuple[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    out = tmp_path / "out"
    arguments = [one.replace("{url}", server[0]) for one in more]
    assert run(["data", "build", "manpages", "--out", str(out), *arguments]) == 2
    [line] = [
        one
        for one in capsys.readouterr().err.splitlines()
        if not re.match(r"xqe: (downloading|..: (left out|reading))", one)
    ]
    assert said in line
    assert not out.exists()


def test_options_of_others_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option, value in (("mirror", "http://x"), ("pages", "3"), ("megabytes", "3"), ("release", "sid")):
        assert run(["data", "build", "debian", "--out", str(tmp_path / "out"), f"--{option}", value]) == 2
        assert f"--{option}: means nothing to debian; it is for manpages" in capsys.readouterr().err


def test_a_package_that_is_none(tmp_path: Path) -> None:
    from archive_for_tests import package

    from xqe.errors import XqeError

    for content, said in (
        (b"text", "is no package"),
        (package({"a": b"b"}, "zst").replace(b"ustar", b"other"), "packed in a way"),
    ):
        (tmp_path / "x.deb").write_bytes(content)
        with pytest.raises(XqeError, match=said):
            list(archive.members(tmp_path / "x.deb", ""))


def test_a_damaged_index(
    archived: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Indexes that are not those of Release: a mirror between two versions."""
    monkeypatch.setattr(fetching, "_PAUSE", 0.001)
    monkeypatch.setenv("XQE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("no_proxy", "*")
    release = tmp_path / "mirror" / "dists" / "test"
    release.mkdir(parents=True)
    release.joinpath("Release").write_bytes((archived / "dists/test/Release").read_bytes())
    size = (archived / "dists/test/main/Contents-all.gz").stat().st_size
    (release / "main").mkdir()
    (release / "main" / "Contents-all.gz").write_bytes(bytes(size))
    with served(tmp_path / "mirror") as (url, _):
        assert build(url, tmp_path / "out", "--lang", "de") == 2
    assert "what arrived has sha256" in capsys.readouterr().err
