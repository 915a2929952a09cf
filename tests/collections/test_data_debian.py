"""Package descriptions as a collection: parsing, what is kept, splits, grades; with an apt-get of the tests' own."""

from __future__ import annotations

import gzip
import itertools
import json
import re
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
from collections_for_tests import fixture_collection
from hypothesis import given
from hypothesis import strategies as st

from xqe.cli import run
from xqe.collections import debian, grades
from xqe.collections.layout import Collection

LIST = """Package: 3dchess
Description-md5: 12d01b96
Description-fr: échecs en 3D  sur 3 échiquiers
 Il y a trois échiquiers,
 l'un sur l'autre.
 .
 Les pièces :
  * les rois ;
  * les reines.
 Fin.

Package: broken
Description-fr: sans md5
 Texte.

Package: 7kaa
Description-md5: 37b0a07b
Description-fr: sept royaumes
 Un jeu.
"""


def test_a_list_is_read(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text(LIST)
    assert list(debian.read_list(path)) == [
        debian.Description(
            "3dchess",
            "12d01b96",
            "échecs en 3D sur 3 échiquiers",
            "Il y a trois échiquiers, l'un sur l'autre.\nLes pièces :\n* les rois ;\n* les reines.\nFin.",
        ),
        debian.Description("7kaa", "37b0a07b", "sept royaumes", "Un jeu."),
    ]


def test_lines_of_chinese_and_japanese_are_joined_without_a_space() -> None:
    lines = [" 七王国 (Seven Kingdoms) は", " ユニークなゲ", " ームです。2 人", " や Linux", " で使えます。"]
    assert debian.unfolded(lines) == "七王国 (Seven Kingdoms) はユニークなゲームです。2 人や Linux で使えます。"


def test_splits_depend_on_the_id_alone() -> None:
    names = [f"package{number}" for number in range(4000)]
    counts = {split: sum(debian.split_of(name) == split for name in names) for split in debian.SPLITS}
    assert sum(counts.values()) == 4000
    for split, size in debian.SPLITS.items():
        assert abs(counts[split] - 4000 * size) < 120  # four standard deviations
    # by hand: printf 'debian split\ngimp' | sha256sum begins with 0x8d4e, 0.552 of the way
    assert [debian.split_of(name) for name in ("7kaa", "abiword", "gimp")] == ["test", "train", "dev"]


# ---------------------------------------------------------------- an archive of the tests' own

COUNT = 260
FILLER = (
    "It says more than a synopsis can, at some length, so that there is something to be searched for and found. " * 2
)


def archive(folder: Path) -> None:
    """Lists of English, German and Dutch, as apt-get leaves them; Dutch has too few. What must be left out: a short
    description, a repeated beginning, a translation of another text, one that is still English, a copy."""
    english, german, dutch = [], [], []
    for number in range(COUNT):
        package, md5 = f"tool{number:03}", f"{number:08x}"
        english.append((package, md5, f"reader of format {number}", f"Reads files of format {number}. {FILLER}"))
        german.append(
            (
                package,
                md5,
                f"Leser für Format {number}",
                f"Liest Dateien im Format {number}, und zwar alle, die es gibt und geben wird.",
            )
        )
        if number < 50:
            dutch.append((package, md5, f"lezer van formaat {number}", f"Leest bestanden van formaat {number}. " * 3))
    english.append(("short", "a1", "short one", "Too short."))
    english.append(("zz-again", "a2", "another synopsis", f"Reads files of format 7. {FILLER}"))
    german[3] = (
        "tool003",
        "0000ffff",
        "von einem anderen Text",
        "Eine Übersetzung von einem Text, den es nicht gibt. " * 2,
    )
    german[4] = ("tool004", "00000004", "reader of format 4", german[4][3])
    german[5] = ("tool005", "00000005", german[5][2], german[6][3])
    german[8] = ("tool008", "00000008", german[9][2], german[8][3])
    for code, rows in (("en", english), ("de", german), ("nl", dutch)):
        stanzas = [
            f"Package: {package}\nDescription-md5: {md5}\nDescription-{code}: {synopsis}\n {text}\n"
            for package, md5, synopsis, text in rows
        ]
        (folder / f"host_debian_dists_stable_main_i18n_Translation-{code}").write_text("\n".join(stanzas))
    (folder / "host_debian_dists_stable_non-free_i18n_Translation-en").write_text(
        f"Package: secret\nDescription-md5: b\nDescription-en: not free\n {FILLER * 2}\n"
    )


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An apt-get on the path that puts the archive's lists where its configuration says; returns its folder."""
    folder, program = tmp_path / "archive", tmp_path / "bin" / "apt-get"
    folder.mkdir()
    program.parent.mkdir()
    archive(folder)
    program.write_text(
        "#!/bin/sh\n"
        'echo "$@" > "$(dirname "$0")/arguments"; cp "$2" "$(dirname "$0")/apt.conf"\n'
        'lists=$(sed -n \'s/^Dir::State::Lists "\\(.*\\)";/\\1/p\' "$2")\n'
        f'cp {folder}/* "$lists"\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return program


def test_build(apt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run(["data", "build", "debian", "--out", str(out), "--lang", "en,de,nl"]) == 0
    row = json.loads(capsys.readouterr().out)
    # German: 260 without tool003 (another md5), tool004 (still English) and tool006 (the text of tool005)
    assert row["documents"] == {"de": COUNT - 3, "en": COUNT}
    # and without tool008 and tool009, which have one synopsis
    assert sum(row["queries"][split]["de"] for split in debian.SPLITS) == COUNT - 3 - 2
    assert sum(row["queries"][split]["en"] for split in debian.SPLITS) == COUNT
    collection = Collection(out)
    collection.verify()
    assert collection.manifest["parallel"] is True
    assert collection.read_queries(debian.split_of("tool000"), "de")["tool000"] == "Leser für Format 0"
    for split in debian.SPLITS:
        english = collection.read_queries(split, "en")
        assert all(debian.split_of(name) == split for name in english)
        assert collection.read_qrels(split, "en", "en") == {name: {name: 1} for name in english}
        judged = collection.read_qrels(split, "en", "de")
        assert set(judged) == {name for name in english if name not in ("tool003", "tool004", "tool006")}
    with gzip.open(collection.documents("de"), "rt", encoding="utf-8") as file:
        assert json.loads(file.readline()) == {
            "id": "tool000",
            "text": "Liest Dateien im Format 0, und zwar alle, die es gibt und geben wird.",
        }
    assert collection.manifest["notes"] == ["de: 2 synopses that another package has too are no queries"]
    files = [entry["file"] for entry in collection.manifest["source"]["files"]]
    assert files == [f"stable_main_i18n_Translation-{code}" for code in ("de", "en", "nl")]
    # nothing of the machine's apt is touched, and of all its indexes only the translations are asked for
    configuration = (apt.parent / "apt.conf").read_text()
    assert 'Acquire::Languages { "de"; "en"; "nl"; };' in configuration
    assert "#clear Acquire::IndexTargets;" in configuration and "#clear APT::Update;" in configuration
    folders = re.findall(r'^Dir::[A-Za-z:]+ "(.*)";$', configuration, re.MULTILINE)
    assert len(folders) == 4 and all("xqe-debian-" in one or one == "/dev/null" for one in folders)
    assert not any(Path(one).exists() for one in folders if one != "/dev/null")


def test_examples_are_of_train(apt: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(["data", "build", "debian", "--out", str(out), "--lang", "en"])
    collection = Collection(out)
    lines = [json.loads(line) for line in collection.examples("train", "en").read_text().splitlines()]
    assert len(lines) == debian.EXAMPLES
    train = set(collection.read_queries("train", "en").values())
    assert all(one["query"] in train and one["passage"].startswith("Reads files of format") for one in lines)


def test_without_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["data", "build", "debian", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == (
        "xqe: no apt-get here; the collection debian is made on Debian, Ubuntu and what derives from them\n"
    )
    assert not (tmp_path / "out").exists()


def test_without_network(apt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    apt.write_text("#!/bin/sh\necho 'W: Failed to fetch http://host/x  Temporary failure resolving' >&2\n")
    out = tmp_path / "out"
    fixture_collection(out, ["en"], topics=1)
    before = (out / "collection.json").read_bytes()
    assert run(["data", "build", "debian", "--out", str(out)]) == 2
    assert "holds a collection already" in capsys.readouterr().err
    assert run(["data", "build", "debian", "--out", str(out), "--force"]) == 2
    err = capsys.readouterr().err.splitlines()[-1]
    assert err.startswith("xqe: apt-get got no package descriptions: Failed to fetch http://host/x Temporary failure")
    assert (out / "collection.json").read_bytes() == before  # which is replaced only when there is another


def test_what_cannot_be_built(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["data", "build", "mmarco", "--out", str(tmp_path / "out")]) == 2
    assert 'nothing to build by the name "mmarco"; xqe builds debian, debian-graded' in capsys.readouterr().err


# ---------------------------------------------------------------- titles and grades


@pytest.mark.parametrize(
    ("lang", "synopsis", "title"),
    [
        ("en", "Real-time strategy game of ancient warfare", "Real-time strategy game"),
        ("en", "the viewer for images (GTK version)", "viewer for images"),
        ("en", "tool: does things", "tool"),
        ("en", "very long name that goes on", "very long name"),
        ("fr", "jeu de stratégie en temps réel", "jeu de stratégie"),
        ("de", "Echtzeit-Strategiespiel über antike Kriegführung", "Echtzeit-Strategiespiel über antike Kriegführung"),
        ("ja", "古代戦争のリアルタイム戦略ゲーム - データ", "古代戦争のリアルタイム戦略ゲーム"),
        ("en", "GNU cpio -- a program to manage archives", "GNU cpio"),
        ("en", "the of and", ""),
    ],
)
def test_titles(lang: str, synopsis: str, title: str) -> None:
    from xqe.text.analysis import stop_words

    stop = frozenset(word.casefold() for word in stop_words(lang))
    assert grades.title_of(synopsis, stop, lang in ("ja", "zh")) == title


def test_natural_grades_by_jenkspy() -> None:
    # the upper bounds of classes by jenkspy 0.4.1
    scores = [2.05, 11.81, 5.94, 8.61, 5.29, 2.97, 0.73, 2.86, 0.79, 5.19, 3.02, 2.88]
    assert grades.natural_grades(scores) == graded(scores, [0.79, 3.02, 5.94, 8.61, 11.81])
    scores = [15.47, 8.41, 1.91, 10.39, 14.99, 3.71, 19.22, 6.07, 0.88, 13.23, 2.43, 9.87, 4.46, 6.12, 6.3, 5.86]
    scores += [1.01, 4.67, 6.03, 12.07, 6.19, 7.19, 3.37, 12.61, 19.62, 13.81, 6.92, 1.18, 7.06, 6.07]
    assert grades.natural_grades(scores) == graded(scores, [3.71, 7.19, 10.39, 15.47, 19.62])


def graded(scores: Sequence[float], bounds: Sequence[float]) -> list[int]:
    return [1 + sum(score > bound for bound in bounds) for score in scores]


def deviation(scores: Sequence[float], marks: Sequence[int]) -> float:
    total = 0.0
    for mark in set(marks):
        group = [score for score, own in zip(scores, marks, strict=True) if own == mark]
        mean = sum(group) / len(group)
        total += sum((score - mean) ** 2 for score in group)
    return total


@given(st.lists(st.integers(0, 40).map(lambda number: number / 4), max_size=9))
def test_natural_grades_are_the_best_partition(scores: list[float]) -> None:
    marks = grades.natural_grades(scores, 3)
    assert len(marks) == len(scores)
    distinct = sorted(set(scores))
    if not distinct:
        return
    assert max(marks) == 3 and len(set(marks)) == min(3, len(distinct))
    order = sorted(zip(scores, marks, strict=True))
    assert all(a[1] <= b[1] for a, b in itertools.pairwise(order))  # a better score, no worse grade
    assert len({(score, mark) for score, mark in order}) == len(distinct)  # the same score, the same grade
    least = min(
        deviation(scores, [sum(score >= bound for bound in bounds) for score in scores])
        for bounds in itertools.combinations(distinct[1:], min(3, len(distinct)) - 1)
    )
    assert deviation(scores, marks) == pytest.approx(least)


def test_build_graded(apt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run(["data", "build", "debian-graded", "--out", str(out), "--lang", "en,de"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["name"] == "debian-graded" and row["documents"] == {"de": COUNT - 3, "en": COUNT}
    collection = Collection(out)
    test = collection.read_queries("test", "en")
    assert set(test) and all(debian.split_of(name) == "test" for name in test)
    qrels = collection.read_qrels("test", "de", "en")
    for name, judged in qrels.items():
        assert judged[name] == 6 and max(grade for one, grade in judged.items() if one != name) <= 5
        assert 2 <= len(judged) <= 100
    # "reader of format 17" is in the document of tool017 as "format 17", and all others have "format" alone
    some = next(iter(qrels))
    assert test[some] == f"reader of format {int(some[4:])}"
    assert len(qrels[some]) == 100
