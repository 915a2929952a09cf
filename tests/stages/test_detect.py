"""Languages that are told from texts. The texts are the fixtures', whose languages are known."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import FIXTURES

from xqe.cli import run
from xqe.errors import InputError
from xqe.files.documents import Placed
from xqe.files.records import Document
from xqe.stages.detect import Mixture, with_language
from xqe.text.detection import guess, language_of


def fixture(lang: str) -> list[Placed]:
    lines = (FIXTURES / "documents" / f"{lang}.jsonl").read_text("utf-8").splitlines()
    return [(f"{lang}:{n}", Document(f"{lang}{n}", json.loads(line)["text"])) for n, line in enumerate(lines, 1)]


def test_a_record_says_how_its_language_was_told() -> None:
    asked = "Comment un réfrigérateur garde-t-il les aliments au froid ?"
    record = {"id": "q1", "query": asked, "steps": [{"step": "x"}]}
    told = with_language(record, asked, Counter())
    assert {**told, "steps": told["steps"][:1]} == {**record, "lang": "fr"}
    step = told["steps"][1]
    assert (step["step"], step["lang"], step["certain"]) == ("detect", "fr", True) and 0.9 < step["share"] <= 1
    short = with_language({"id": "q1", "query": "prix"}, "prix", Counter())
    assert (short["lang"], short["steps"][0]["certain"]) == (guess("prix").lang, False)  # type: ignore[union-attr]
    assert language_of("prix") is None
    for text, lang in (("Як зберегти їжу холодною влітку", "uk"), ("Қазақстандағы ең биік тау қалай аталады", "kk")):
        assert with_language({"id": "q1", "query": text}, text, Counter())["lang"] == lang
    failed = with_language({"id": "q1", "query": "1984!"}, "1984!", Counter())
    assert "a text without letters" in failed["error"]["message"] and "lang" not in failed


def test_an_uncertain_text_is_in_a_language_of_those_beside_it() -> None:
    beside: Counter[str] = Counter()
    french = ("Comment un réfrigérateur garde-t-il les aliments au froid ?", "Pourquoi le ciel est-il bleu le matin ?")
    for text in french:
        with_language({"id": "q", "query": text}, text, beside)
    assert beside == {"fr": 2}
    short = with_language({"id": "q3", "query": "prix"}, "prix", beside)
    assert (short["lang"], short["steps"][0]["certain"]) == ("fr", False)
    other = with_language({"id": "q4", "query": "氷の値段"}, "氷の値段", beside)
    assert other["lang"] == "ja"
    assert with_language({"id": "q5", "query": "prix"}, "prix", Counter(fr=2, de=30))["lang"] != "fr"


def test_documents_in_one_language() -> None:
    given = [*fixture("en"), ("de:1", fixture("de")[0][1])]
    mixture = Mixture(iter(given))
    assert (mixture.usual, mixture.is_one, mixture.languages) == ("en", True, {"en": 40, "de": 1})
    assert list(mixture.documents) == given


def test_documents_in_several_languages() -> None:
    named, unsure = Document("a", "zinc", lang="PT-br"), Document("b", "???")
    mixture = Mixture(iter([*fixture("en"), *fixture("ja")[:9], ("a:1", named), ("b:1", unsure)]))
    assert not mixture.is_one
    languages = [document.lang for _, document in mixture.each()]
    assert languages == ["en"] * 40 + ["ja"] * 9 + ["pt", "en"]
    assert (mixture.languages, mixture.unsure) == ({"en": 41, "ja": 9, "pt": 1}, 1)


def test_documents_in_none() -> None:
    with pytest.raises(InputError, match="b:1: documents in none of which it is certain; name the language"):
        Mixture(iter([("b:1", Document("b", "???"))]))


def test_the_language_of_queries_and_documents_is_told_if_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "q.txt").write_text("Comment le savon enlève-t-il la graisse ?\nl'histoire\n12\n")

    def xqe(*arguments: object, status: int = 0) -> tuple[list[dict[str, Any]], str]:
        assert run([*map(str, arguments)]) == status
        out, err = capsys.readouterr()
        return [json.loads(line) for line in out.splitlines()], err

    queries = ("-m", "fake", "-i", tmp_path / "q.txt")
    (first, second, third), said = xqe("translate", "--to", "en", "--from", "auto", *queries, status=1)
    assert third["error"]["step"] == "detect"
    assert [step["step"] for step in first["steps"]] == ["detect", "translate"]
    assert (first["source"]["lang"], second["steps"][0]["certain"]) == ("fr", False)
    assert "languages told from the texts: 2 French; a guess for 1 query, q2 (fr); --from LANG says" in said
    _, said = xqe("translate", "--to", "en", *queries, status=2)
    assert "add it, or name the language of all with --from; auto tells it" in said
    assert "QUERY: a text without letters" in xqe("expand", "--lang", "auto", "-m", "fake", "12", status=2)[1]
    rows = [{"id": one.id, "text": one.text} for lang in ("en", "de") for _, one in fixture(lang)[:9]]
    both, english = tmp_path / "both.json", tmp_path / "english.json"
    both.write_text(json.dumps(rows))
    english.write_text(json.dumps(rows[:9]))
    [summary], _ = xqe("index", tmp_path / "both", "--lang", "auto", both)
    assert summary["told"] == {"en": 9, "de": 9} and (tmp_path / "both" / "de" / "xqe.json").is_file()
    [summary], said = xqe("index", tmp_path / "english", "--lang", "auto", english)
    assert summary["lang"] == "en"
    assert "documents are taken for English, as 9 of the first 9 are; --lang LANG says otherwise" in said
    translated, _ = xqe("translate", "--documents", "--from", "auto", "--to", "fr", "-m", "fake", "-i", english)
    assert (translated[0]["lang"], translated[0]["source"]["lang"]) == ("fr", "en")
    assert translated[0]["steps"][0]["lang"] == "en"
    (tmp_path / "nothing.csv").write_text("id,text\n")
    assert (
        "no documents to index"
        in xqe("index", tmp_path / "none", "--lang", "auto", tmp_path / "nothing.csv", status=2)[1]
    )
