"""A word is found in another form of it, in each language of the table, through a real index.

The words are those of golden/words.toml, and of the first fourteen languages what stands here, from their grammars.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from conftest import jsonl
from forks import Forks

from xqe import search
from xqe.text.languages import LANGUAGES

WORDS: dict[str, dict[str, list[list[str]]]] = tomllib.loads(
    (Path(__file__).parent.parent / "golden" / "words.toml").read_text("utf-8")
)
FIRST = {
    "ar": ("الكتاب", "كتاب", "مكتب"),  # an article
    "de": ("Häuser", "Haus", "Hase"),
    "en": ("libraries", "library", "liberty"),
    "es": ("canciones", "canción", "cansado"),
    "fr": ("l’été", "été", "étable"),
    "hi": ("किताबें", "किताब", "कितना"),
    "id": ("membaca", "dibaca", "bicara"),
    "it": ("dell'arte", "arte", "parte"),
    "ja": ("食べました", "食べる", "飲む"),
    "nl": ("huizen", "huis", "haas"),
    "pt": ("informações", "informação", "inverno"),
    "ru": ("книгами", "книга", "князь"),
    "vi": ("hoà bình", "hòa bình", "học sinh"),
    "zh": ("图书馆", "北京大學圖書館", "火車站"),
}


def pairs(code: str) -> list[tuple[str, str, str]]:
    """(what is asked, what a document says, what another says that is not meant)."""
    if code in FIRST:
        return [FIRST[code]]
    apart = [other for _, other in WORDS[code]["apart"]]
    return [(one, other, apart[n % len(apart)]) for n, (one, other) in enumerate(WORDS[code]["meets"])]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, forks: Forks) -> dict[str, list[str]]:
    """By the id of a query, the ids of its hits, best first: all documents in one file, indexed by their languages, and
    all queries of a language in its own index."""
    folder = tmp_path_factory.mktemp("languages")
    documents = [
        {"id": f"{code}.{n}.{kind}", "text": text, "lang": code}
        for code in LANGUAGES
        for n, (_, meant, other) in enumerate(pairs(code))
        for kind, text in (("meant", meant), ("other", other))
    ]
    done = forks("index", str(folder / "index"), "--lang", "record", stdin=jsonl(*documents))
    assert done.status == 0, done.stderr
    hits: dict[str, list[str]] = {}
    for code in LANGUAGES:
        asked = [{"id": f"{code}.{n}", "query": asked, "lang": code} for n, (asked, _, _) in enumerate(pairs(code))]
        answered = search(folder / "index" / code, asked, k=1000)
        hits |= {one["id"]: [hit["id"] for hit in one["hits"]] for one in answered}
    return hits


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_word_is_found_in_another_form(found: dict[str, list[str]], code: str) -> None:
    for number, (asked, meant, _) in enumerate(pairs(code)):
        assert f"{code}.{number}.meant" in found[f"{code}.{number}"], (asked, meant)
