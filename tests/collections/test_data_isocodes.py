"""Names of countries and the like as a collection, from a mirror of the tests' own."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from archive_for_tests import Files, mirror, served

from xqe.cli import run
from xqe.collections import isocodes
from xqe.collections.isocodes import Entry, Named
from xqe.collections.layout import Collection

COUNTRIES = [
    {"alpha_2": "AZ", "alpha_3": "AZE", "name": "Azerbaijan", "numeric": "031", "official_name": "Republic of A."},
    {
        "alpha_2": "BO",
        "alpha_3": "BOL",
        "common_name": "Bolivia",
        "name": "Bolivia, Plurinational State of",
        "official_name": "Plurinational State of Bolivia",
    },
    {"alpha_2": "AI", "alpha_3": "AIA", "name": "Anguilla", "flag": "AI", "numeric": "660"},
    {"alpha_2": "GE", "alpha_3": "GEO", "name": "Georgia", "official_name": "Georgia"},
]
LISTS: dict[str, list[dict[str, str]]] = {
    "639-2": [{"alpha_3": "nld", "alpha_2": "nl", "bibliographic": "dut", "name": "Dutch; Flemish"}],
    "3166-1": COUNTRIES,
    "3166-2": [{"code": "US-GA", "name": "Georgia", "type": "State"}, {"code": "AZ-BA", "name": "Baku"}],
    "4217": [{"alpha_3": f"C{number:02}", "name": f"Dollar of {number}"} for number in range(160)],
    "15924": [{"alpha_4": "Cyrl", "name": "Cyrillic", "numeric": "220"}],
}
GERMAN = {
    "639-2": {"Dutch; Flemish": "Niederländisch; Flämisch"},
    "3166-1": {"Azerbaijan": "Aserbaidschan", "Republic of A.": "Republik A.", "Anguilla": "Anguilla", "Georgia": ""},
    "4217": {f"Dollar of {number}": f"Taler von {number // 2}" for number in range(160)},
}


def catalogue(texts: Mapping[str, str]) -> bytes:
    """A catalogue of gettext, by its manual: header, offsets of both sides, texts."""
    rows = sorted([("", "Content-Type: text/plain; charset=UTF-8\n"), *texts.items()])
    at = 28 + 16 * len(rows)
    sides: list[bytes] = []
    body = b""
    for side in (0, 1):
        table = b""
        for row in rows:
            text = row[side].encode()
            table += struct.pack("<II", len(text), at + len(body))
            body += text + b"\0"
        sides.append(table)
    header = struct.pack("<7I", 0x950412DE, 0, len(rows), 28, 28 + 8 * len(rows), 0, at)
    return header + b"".join(sides) + body


def files() -> Files:
    lists = {f"usr/share/iso-codes/json/iso_{part}.json": json.dumps({part: rows}) for part, rows in LISTS.items()}
    catalogues = {f"usr/share/locale/de/LC_MESSAGES/iso_{part}.mo": catalogue(texts) for part, texts in GERMAN.items()}
    return {
        **{path: text.encode() for path, text in lists.items()},
        **catalogues,
        "usr/share/locale/de/LC_MESSAGES/iso_3166.mo": "iso_3166-1.mo",
        "usr/share/locale/fr/LC_MESSAGES/iso_3166-1.mo": b"damaged",
    }


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("XQE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("no_proxy", "*")
    mirror(tmp_path / "mirror", {"iso-codes": files()})
    with served(tmp_path / "mirror") as (address, _):
        yield address


def build(url: str, out: Path, *more: str) -> int:
    return run(["data", "build", "iso-codes", "--out", str(out), "--mirror", url, "--release", "test", *more])


def test_build(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert build(url, out, "--lang", "en,de,fr") == 0
    said = capsys.readouterr()
    assert "fr: left out, 0 names of the 150 that are needed" in said.err
    collection = Collection(out)
    collection.verify()
    english, german = ({one.id: one.text for one in collection.read_documents(lang)} for lang in ("en", "de"))
    assert len(english) == 1 + 4 + 2 + 160 + 1
    # a country's document has the official name and not the one that is asked
    assert english["country-AZ"] == "Republic of A.\nAZ AZE 031"
    assert german["country-AZ"] == "Republik A.\nAZ AZE 031"
    assert english["country-BO"] == "Bolivia, Plurinational State of\nPlurinational State of Bolivia\nBO BOL"
    assert english["country-AI"] == "Anguilla\nAI AIA 660"
    assert english["subdivision-AZ-BA"] == "Baku\nAzerbaijan\nAZ-BA"
    assert german["language-nl"] == "Niederländisch; Flämisch\nnl nld dut"
    # what is not translated, in whole or in part, is not there
    assert not {"country-BO", "country-GE", "subdivision-AZ-BA", "script-Cyrl"} & german.keys()
    assert collection.read_queries("countries", "en") == {"country-AZ": "Azerbaijan", "country-BO": "Bolivia"}
    assert collection.read_queries("countries", "de") == {"country-AZ": "Aserbaidschan"}
    names = collection.read_queries("names", "de")
    assert names["language-nl"] == "Niederländisch" and names["country-AI"] == "Anguilla"
    # Georgia is a country and a state; of two currencies each name is one
    assert len(collection.read_queries("names", "en")) == len(english) - 4 and len(names) == 2
    assert collection.read_qrels("countries", "de", "en") == {
        "country-AZ": {"country-AZ": 1},
        "country-BO": {"country-BO": 1},
    }
    assert collection.manifest["parallel"] is True and collection.manifest["licence"] == isocodes.LICENCE


def test_a_country_without_another_name_is_its_own_document() -> None:
    entry = Entry("country-GE", "country", {"name": "Georgia", "official_name": "Georgia"}, ("GE",))
    assert list(isocodes.named([entry], lambda part, name: name)) == [
        Named("country-GE", "names", "Georgia", "Georgia\nGE")
    ]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--lang", "fr"], "in fr there are not 150 names; choose other languages"),
        (["--pages", "3"], "--pages: means nothing to iso-codes; it is for manpages"),
        (["--lang", "xx-none"], "xx-none"),
    ],
)
def test_what_cannot_be_built(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    assert build(url, tmp_path / "out", *more) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_package_without_the_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XQE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("no_proxy", "*")
    for packages, said in (
        ({"iso-codes": {"usr/share/doc/iso-codes/copyright": b""}}, "no list of ISO 639-2 that xqe reads"),
        ({"other": {"usr/a": b""}}, "no package iso-codes; give another mirror, or another release"),
    ):
        mirror(tmp_path / "mirror", packages)
        with served(tmp_path / "mirror") as (url, _):
            assert build(url, tmp_path / "out", "--lang", "de") == 2
        assert said in capsys.readouterr().err
