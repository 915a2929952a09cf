"""Any language by whatever it is called, and what there is for one without a row."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Run, jsonl, records

from xqe.errors import XqeError
from xqe.models import examples
from xqe.models.engines.fake import FakeEngine
from xqe.stages.expand import Expand
from xqe.stages.strategies import RECIPES, Strategy
from xqe.stages.translate import Translate
from xqe.text.analysis import analyzer
from xqe.text.languages import LANGUAGES, code_of, known, language, name_of
from xqe.text.languages.measured import measured

# ISO 639-1, -2/B, -3 and codes that were withdrawn (IANA's registry: iw, in, sh, mo); names as CLDR has them.
NAMES = [
    ("ko", "ko"), ("kor", "ko"), ("KO-kr", "ko"), ("Korean", "ko"), ("한국어", "ko"), ("Koreanisch", "ko"),
    ("iw", "he"), ("heb", "he"), ("in", "id"), ("mo", "ro"), ("sh", "sr"), ("sr-Latn", "sr"), ("scr", "hr"),
    ("per", "fa"), ("pes", "fa"), ("Farsi", "fa"), ("swh", "sw"), ("fil", "tl"), ("Filipino", "tl"), ("zsm", "ms"),
    ("nb", "no"), ("nn_NO", "no"), ("nor", "no"), ("cze", "cs"), ("alb", "sq"), ("sqi", "sq"), ("baq", "eu"),
    ("cmn", "zh"), ("zh-Hant-TW", "zh"), ("yue", "yue"), ("arz", "arz"), ("ckb", "ckb"), ("tlh", "tlh"),
    ("jp", None), ("xx", None), ("", None), ("und", None), ("zxx", None), ("mul", None), ("qaa", None),
    ("gibberish", None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "code"), NAMES)
def test_a_language_has_many_names_and_one_code(name: str, code: str | None) -> None:
    found = known(name)
    assert (found and found.code) == code
    assert code_of(name) == (code or name)


def test_a_row_is_found_by_each_of_its_names() -> None:
    for code, row in LANGUAGES.items():
        assert language(code) is language(row.name) is language(row.native.upper()) is row
        assert row.family and row.resources is not None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("jp", 'the code of a country; Japanese is "ja"'),
        ("cz", 'Czech is "cs"'),
        ("DK", 'Danish is "da"'),
        ("us", 'English is "en"'),
        ("xx", 'as "xqe languages" lists them'),
        ("nolanguage", 'as "xqe languages" lists them'),
    ],
)
def test_what_is_none_is_refused_with_the_next_step(name: str, said: str) -> None:
    with pytest.raises(XqeError) as caught:
        language(name, "--to")
    assert str(caught.value).startswith(f'--to: unknown language "{name}"; ') and said in str(caught.value)


def test_any_other_language_is_named_and_its_words_are_terms() -> None:
    breton = language("br")
    assert (breton.name, breton.native, breton.script, breton.is_known) == ("Breton", "brezhoneg", "Latn", False)
    assert name_of("bre") == "Breton"
    assert analyzer("br").terms("Levrioù!") == ["levrioù", "=levrioù", "levr*"]
    assert language("kk").script == "Cyrl" and language("ckb").is_right_to_left
    assert analyzer("lo").terms("ພາ") == ["ພ", "າ", "ພ+າ"]  # written without spaces: characters, and pairs
    assert not language("my").has_spaces and measured("br") == []


def test_a_pretrained_model_says_what_it_lacks_and_a_chat_model_does_without() -> None:
    record = {"id": "1", "query": "levrioù", "lang": "br"}
    with pytest.raises(
        XqeError, match=r"no built-in examples in Breton, .* --examples FILE, each line with source, tar"
    ):
        Translate(FakeEngine(is_chat=False), LANGUAGES["en"]).requests(record)
    few = RECIPES[Strategy.FEWSHOT].templates
    with pytest.raises(
        XqeError, match=r"no built-in examples in Breton, .* --examples FILE, each line with query, pas"
    ):
        Expand(FakeEngine(is_chat=False), few).requests(record)
    [asked] = Expand(FakeEngine(), few).requests(record)
    assert "levrioù" in str(asked.prompt) and "camel" not in str(asked.prompt)
    assert len(examples.builtin("de")) == 5 and examples.builtin("br") == ()


def test_a_pipe_in_a_language_without_a_row(xqe: Run, tmp_path: Path) -> None:
    done = xqe("expand", "-s", "fewshot", "-m", "fake", "--lang", "Breton", "levrioù kozh")
    [record] = records(done)
    assert (record["lang"], record["steps"][-1]["shots"]) == ("br", 0)
    texts = jsonl({"id": "a", "text": "Levrioù kozh e Breizh", "lang": "br"}, {"id": "b", "text": "책", "lang": "kor"})
    assert xqe("index", str(tmp_path / "ix"), "--lang", "record", stdin=texts).returncode == 0
    assert sorted(link.name for link in tmp_path.glob("ix/??")) == ["br", "ko"]
    found = xqe("search", str(tmp_path / "ix" / "br"), stdin=done.stdout)
    assert [hit["id"] for hit in records(found)[0]["hits"]] == ["a"]
    [row] = records(xqe("languages", "breton"))
    assert (row["code"], row["own"], row["terms"], row["measured"]) == ("br", False, ["word", "form", "prefix"], [])
