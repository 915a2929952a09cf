"""Measures of answers against the scripts that made them, examples that were published, and values computed by hand."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, jsonl
from hypothesis import assume, given
from hypothesis import strategies as st

from xqe.commands.eval.support import ranking_first
from xqe.errors import InputError, XqeError
from xqe.evaluation.answers.judging import evaluate_answers
from xqe.evaluation.answers.matching import char_3_recall, exact_match, f1, words
from xqe.evaluation.answers.measures import MEASURES, parse_all
from xqe.evaluation.answers.reading import Given, read_answers, read_golds
from xqe.evaluation.comparison import columns, compare, paired
from xqe.evaluation.evaluated import Evaluation
from xqe.files.records import Document
from xqe.models.encoders.fake import FakeEncoder
from xqe.retrieval.dense.building import embed
from xqe.retrieval.dense.description import Storing
from xqe.retrieval.lexical import build, open_index

# ---- references: what the scripts compute, each in a few lines ----


def bare(text: str) -> str:
    return "".join(character for character in text.lower() if character not in string.punctuation)


def reference_f1(answer: str, gold: str) -> tuple[bool, float]:
    """XOR-Full's exact match and F1 (evals/eval_xor_fullpy.py) of texts that white space cuts."""
    mine, theirs = (re.sub("[年歳人년]", "", bare(text)).split() for text in (answer, gold))
    same = sum((Counter(mine) & Counter(theirs)).values())
    if not same:
        return mine == theirs, 0.0
    precision, recall = same / len(mine), same / len(theirs)
    return mine == theirs, 2 * precision * recall / (precision + recall)


def reference_recall(answer: str, gold: str) -> float:
    """BERGEN's recall of character 3-grams (modules/metrics.py)."""

    def grams(text: str) -> Counter[str]:
        found = []
        for word in " ".join(re.sub(r"\b(a|an|the)\b", " ", bare(text)).split()).split():
            found += [word] if len(word) < 3 else [word[at : at + 3] for at in range(len(word) - 2)]
        return Counter(found)

    mine, theirs = grams(answer), grams(gold)
    return sum((mine & theirs).values()) / sum(theirs.values()) if theirs else 0.0


TEXTS = st.text(st.sampled_from("aeé tTh.,-!'$年ж1 "), max_size=30)


@given(TEXTS, TEXTS)
def test_the_same_values_as_the_scripts(answer: str, gold: str) -> None:
    """Where they leave something of both texts: of what they leave nothing, see below."""
    assume(all(re.sub(r"[年 ]|\b(a|an|the)\b", "", bare(text)) for text in (answer, gold)))
    match, expected = reference_f1(answer, gold)
    assert exact_match(answer, gold, "ru") == match
    assert f1(answer, gold, "ru") == pytest.approx(expected)
    assert char_3_recall(answer, gold, "ru") == pytest.approx(reference_recall(answer, gold))


# From the tests of the MKQA script (apple/ml-mkqa, tests/test_mkqa_eval.py): those in which no article is left out.
MKQA = [
    ("first dummy answer", ["first dummy answer", "second dummy answer"], "en", 1.0, 1.0),
    ("alternative answer", ["dummy answer one", "alternative answer two"], "en", 0.0, 0.8),
    ("answer ?? without stopwords", ["answer -- without, stopwords!!"], "en", 1.0, 1.0),
    ("distractor answer", ["yes"], "en", 0.0, 0.0),
    ("这个一个苹果", ["这是还是苹果", "这是另一个苹果"], "zh", 0.0, 0.7692307692307692),
    ("នេះគឺជាផ្លែប៉ោម", ["នេះគឺជាផ្លែប៉ោមមួយទៀត"], "km", 0.0, 0.8333333333333333),
]
# By hand: words of Japanese by a dictionary, punctuation of all of Unicode, one spelling of what NFKC unites.
OURS = [
    ("東京タワーです。", ["東京タワー"], "ja", 0.0, 0.8),
    ("「東京タワー」", ["東京タワー。"], "ja", 1.0, 1.0),
    ("デイヴ・エドモンズ", ["デイヴ エドモンズ"], "ja", 1.0, 1.0),
    ("２０１９年", ["2019"], "ja", 1.0, 1.0),
    ("भारत की राजधानी।", ["भारत की राजधानी"], "hi", 1.0, 1.0),
    ("¿Madrid?", ["madrid"], "es", 1.0, 1.0),
    ("„Zink“ – ein Metall", ["Metall"], "de", 0.0, 0.5),
    ("ราคา 5", ["ราคา"], "th", 0.0, 8 / 9),
    ("-", ["+"], "en", 0.0, 0.0),
    ("", ["?"], "en", 0.0, 0.0),
    ("＋", ["+"], "en", 1.0, 1.0),
    ("年", ["年"], "ja", 1.0, 1.0),
]


@pytest.mark.parametrize(("answer", "golds", "lang", "match", "overlap"), [*MKQA, *OURS])
def test_exact_match_and_f1(answer: str, golds: list[str], lang: str, match: float, overlap: float) -> None:
    assert max(exact_match(answer, gold, lang) for gold in golds) == match
    assert max(f1(answer, gold, lang) for gold in golds) == pytest.approx(overlap)


def test_a_text_that_is_nothing_but_an_article_or_a_sign_can_be_found() -> None:
    pairs = [("A", "a"), ("the", "a"), ("+", "+"), ("+", "-"), ("", "A"), ("blood group A", "A")]
    assert [char_3_recall(*pair, "en") for pair in pairs] == [1, 0, 1, 0, 0, 0]


def test_words_that_are_compared() -> None:
    assert words("The U.S. Navy, in 2019!", "en") == ["the", "us", "navy", "in", "2019"]
    assert words("New York 市", "zh") == ["new", "york", "市"]


# ---- a run ----


def answer(text: str, lang: str = "de", sentences: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    return {"lang": lang, "text": text, "sentences": sentences or [], **more}


def sentence(text: str, *sources: str) -> dict[str, Any]:
    return {"text": text, "sources": list(sources)}


def record(name: str, given: Any, lang: str = "de", offered: Any = ("d1", "d2"), **more: Any) -> dict[str, Any]:
    step = {"step": "answer", "offered": list(offered), "invalid": more.pop("invalid", 0)}
    return {"id": name, "query": "q", "source": {"lang": lang}, "index": {"lang": "en"}, "steps": [step],
            "answer": given, **more}  # fmt: skip


SAID = "Zink ist ein Metall, und im Osten ist es teuer."
RUN: list[Any] = [
    record("q1", answer(SAID, sentences=[sentence("Zink.", "d1", "d9"), sentence("Teuer.")]), invalid=1),
    record("q2", answer("Kupfer", sentences=[sentence("Kupfer", "d2"), sentence("Kupfer", "d1", "d2")])),
    record("q3", answer("東京", "ja", [sentence("東京")]), "ja"),
    record("q4", answer("Das sagen die Texte nicht, leider.", refused=True)),
    record("q5", answer("Das sagen die Texte nicht, leider.", refused=True)),
    {**record("q6", None), "error": {"step": "answer", "message": "no"}},
]
GOLD: list[Any] = [
    {"id": "q1", "lang": "de", "answers": ["Metall", "ein teures Metall"]},
    {"id": "q2", "lang": "de", "answers": "Kupfer"},
    {"id": "q3", "lang": "ja", "answers": ["東京都", "東京"]},
    {"id": "q4", "lang": "de", "answers": []},
    {"id": "q5", "lang": "de", "answers": ["Zink"]},
    {"id": "q6", "lang": "de", "answers": ["Zink"]},
    {"id": "q7", "lang": "ja", "answers": [""]},
]


def first(texts: Any, offered: Any) -> list[str | None]:
    """Every sentence ranks the first of the documents offered first."""
    return [offered[0] for _ in texts]


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., Evaluation]:
    def judge(run: Any = RUN, gold: Any = GOLD, **options: Any) -> Evaluation:
        for name, lines in {"run": run, "gold": gold or ()}.items():
            (tmp_path / name).write_text(jsonl(*lines), "utf-8")
        golds = read_golds(str(tmp_path / "gold")) if gold else None
        return evaluate_answers(
            "run", read_answers(str(tmp_path / "run")), MEASURES, golds, options.pop("first", first), **options
        )

    return judge


def test_values_of_each_answer(judged: Callable[..., Evaluation]) -> None:
    values = {query: one for (_, query), one in judged().of().items()}
    overlap = 2 * 2 / (10 + 3)  # "ein" and "Metall" of "ein teures Metall"
    assert values["q1"] == {
        "EM": 0.0, "F1": pytest.approx(overlap), "char-3-recall": 1.0, "citation-validity": pytest.approx(1 / 3),
        "citation-coverage": 0.5, "support-proxy": 1.0, "correct-language": 1.0, "refused": 0.0,
    }  # fmt: skip
    assert values["q2"] == {
        "EM": 1.0, "F1": 1.0, "char-3-recall": 1.0, "citation-validity": 1.0, "citation-coverage": 1.0,
        "support-proxy": 0.5, "refused": 0.0,
    }  # fmt: skip
    assert values["q3"] == {"EM": 1.0, "F1": 1.0, "char-3-recall": 1.0, "citation-coverage": 0.0, "refused": 0.0}
    assert values["q4"] == {"EM": 1.0, "F1": 1.0, "char-3-recall": 1.0, "refused": 1.0}, "rightly"
    assert values["q5"] == {"EM": 0.0, "F1": 0.0, "char-3-recall": 0.0, "refused": 1.0}, "wrongly"
    nothing = {"EM": 0.0, "F1": 0.0, "char-3-recall": 0.0}
    assert values["q6"] == values["q7"] == nothing, "one that failed, and one that is not there"


def test_without_gold_answers_the_questions_are_those_of_the_run(judged: Callable[..., Evaluation]) -> None:
    found = judged(gold=None)
    assert [query for _, query in found.of()] == ["q1", "q2", "q3", "q4", "q5", "q6"]
    [row] = compare([found])
    assert row.measures["citation-validity"] == pytest.approx((1 / 3 + 1) / 2)
    assert row.measures["refused"] == pytest.approx(2 / 5)
    assert row.counts == {"citation-validity": 2, "citation-coverage": 3, "support-proxy": 2, "correct-language": 1,
                          "refused": 5}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "lang", "expected"),
    [
        (SAID, "de", 1.0),
        (SAID, "fr", 0.0),
        ("文書には、その質問への答えが書かれていませんでした。", "ja", 1.0),
        ("x" * 19 + ".", "de", None),
        ("1234 5678 – 9012 3456 7890", "de", None),
    ],
)
def test_the_right_language(judged: Callable[..., Evaluation], text: str, lang: str, expected: float | None) -> None:
    [values] = judged([record("q1", answer(text, lang))], None).of().values()
    assert values.get("correct-language") == expected


def test_macro_averages_are_those_of_xor_full(judged: Callable[..., Evaluation]) -> None:
    """The mean of the languages' means; a question that is missing counts as 0 in its own."""
    found = judged(fields=("source.lang",), macro=True)
    rows = {row.group.get("source.lang", "macro"): row for row in compare([found])}
    assert (rows["de"].queries, rows["ja"].queries, rows["macro"].queries) == (5, 2, 7)
    assert rows["de"].measures["EM"] == pytest.approx(2 / 5) and rows["ja"].measures["EM"] == pytest.approx(1 / 2)
    assert rows["macro"].measures["EM"] == pytest.approx((2 / 5 + 1 / 2) / 2)
    assert rows["macro"].measures["citation-coverage"] == pytest.approx((3 / 4 + 0) / 2)
    assert rows["macro"].macro and not rows["de"].macro
    assert compare([judged(fields=("source.lang",))])[-1].measures["EM"] == pytest.approx(3 / 7)


def test_differences_are_over_the_answers_that_both_have_a_value_for(judged: Callable[..., Evaluation]) -> None:
    refusing = [{**RUN[0], "answer": answer("Nein", refused=True)}, record("q2", answer("Zinn", sentences=[
        sentence("Zinn", "d2"), sentence("Zinn")]))]  # fmt: skip
    before, after = judged(RUN[:2], GOLD[:2]), judged(refusing, GOLD[:2])
    _, row = compare([before, after])
    assert row.difference is not None
    assert row.difference["citation-coverage"] == 0.5 - 1.0, "of q2 alone; the means are 0.75 and 0.5"
    assert row.difference["EM"] == 0.0 - 0.5
    mine, theirs = paired(after, before)
    assert mine["citation-coverage"] == [0.5] and theirs["citation-coverage"] == [1.0]
    assert "correct-language" not in mine
    assert columns(after)["refused"] == [1.0, 0.0]


# ---- forms of runs and of gold answers ----


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ({"id": 5, "lang": "de", "answers": ["a", "a", "b"]}, {"5": {"de": ("a", "b")}}),
        ({"id": "q", "question": "?", "lang": "pt-BR", "answers": "a"}, {"q": {"pt": ("a",)}}),
        ({"id": "q", "answer": "a"}, {"q": {"": ("a",)}}),
        ({"id": "q", "answers": {"text": ["a", "b"], "answer_start": [1, 2]}}, {"q": {"": ("a", "b")}}),
        ({"id": "q", "answers": ["No Answer"]}, {"q": {"": ()}}),
        (
            {
                "example_id": -7,
                "queries": {},
                "answers": {
                    "de": [{"type": "entity", "text": "A", "aliases": ["B"]}, {"type": "entity", "text": "C"}],
                    "ja": [{"type": "unanswerable", "text": None}],
                    "zh_cn": [{"text": "甲"}],
                    "zh_tw": [{"text": "乙"}, {"text": "甲"}],
                },
            },
            {"-7": {"de": ("A", "B", "C"), "ja": (), "zh": ("甲", "乙")}},
        ),
    ],
)
def test_forms_of_gold_answers(tmp_path: Path, line: Any, expected: Any) -> None:
    (tmp_path / "gold").write_text(jsonl(line), "utf-8")
    assert read_golds(str(tmp_path / "gold")) == expected


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "gold: no gold answers"),
        (["[1]"], "gold:1: a JSON array"),
        ([{"answers": []}], 'gold:1: no "id"'),
        ([{"id": "q"}], 'gold:1: no "answers"'),
        ([{"id": "q", "answers": [1]}], 'gold:1: "answers" has another form'),
        ([{"id": "q", "answers": {"de": 1}}], 'gold:1: "answers" has another form'),
        ([{"id": "q", "answers": [], "lang": 1}], 'gold:1: "lang" is not a string'),
        ([{"id": "q", "answers": []}] * 2, 'gold:2: question "q" again'),
    ],
)
def test_bad_gold_answers(tmp_path: Path, lines: list[Any], message: str) -> None:
    text = "".join(line if isinstance(line, str) else jsonl(line) for line in lines)
    (tmp_path / "gold").write_text(text, "utf-8")
    with pytest.raises(InputError, match=re.escape(message)):
        read_golds(str(tmp_path / "gold"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"id": "q", "hits": []}, 'question "q" has no "answer"; answer first: xqe answer DIR'),
        ({"answer": "x"}, '"id" is not a string'),
        ({"id": "q", "answer": 5}, '"answer" has another form'),
        ({"id": "q", "answer": {"text": "x", "sentences": [{"text": "x", "sources": [1]}]}}, '"answer" has another'),
        ({"id": "q", "answer": {"text": "x"}, "steps": [{"step": "answer", "offered": 1}]}, 'the step "answer" has an'),
        ({"id": "q", "answer": {"text": "x"}, "steps": [{"step": "answer", "invalid": -1}]}, 'the step "answer" has'),
    ],
)
def test_bad_runs_of_answers(tmp_path: Path, line: Any, message: str) -> None:
    (tmp_path / "run").write_text(jsonl(line), "utf-8")
    with pytest.raises(InputError, match=re.escape(f"run:1: {message}")):
        list(read_answers(str(tmp_path / "run")))


def test_an_answer_of_another_system_is_a_text(tmp_path: Path) -> None:
    (tmp_path / "run").write_text(jsonl({"id": 1, "lang": "DE", "answer": "Zink"}), "utf-8")
    [one] = read_answers(str(tmp_path / "run"))
    assert (one.id, one.given) == ("1", Given("Zink", "DE"))


def test_the_language_of_mkqa_is_that_of_the_answer(judged: Callable[..., Evaluation]) -> None:
    gold = [{"example_id": 1, "answers": {"de": [{"text": "Zink"}], "ja": [{"text": "亜鉛"}]}}]
    run = [record("1", answer("Zink", "de"), "de"), record("1", answer("亜鉛です", "ja"), "ja")]
    found = judged(run, gold, fields=("source.lang",))
    assert [round(values["F1"], 2) for values in found.of().values()] == [1.0, 0.67]
    with pytest.raises(InputError, match='question "1" has no gold answer in "fr"; there are de ja'):
        judged([record("1", answer("zinc", "fr"), "fr")], gold)


def test_measures_are_named_in_any_case() -> None:
    assert list(map(str, parse_all(["em,CHAR_3_RECALL", "em"]))) == ["EM", "char-3-recall"]
    with pytest.raises(XqeError, match='unknown measure of answers "bleu"; xqe knows EM F1 char-3-recall'):
        parse_all(["bleu"])


# ---- the command ----


DOCUMENTS = {"d1": "Zinc is a metal.", "d2": "Copper is red.", "d3": "red red"}


def test_support_by_the_index(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By words, and by vectors where there are some; among the documents offered only."""
    build(tmp_path, "en", [(f"f:{at}", Document(name, text)) for at, (name, text) in enumerate(DOCUMENTS.items(), 1)])
    with ranking_first([tmp_path]) as by_words:
        assert by_words(["a metal", "It is red.", "nothing of it", ""], ["d2", "d1"]) == ["d1", "d2", None, None]
        with pytest.raises(InputError, match='--index: holds no document "d7", which was offered; give the index that'):
            by_words(["a metal"], ["d1", "d7"])
    assert "support-proxy looks at words, since " in capsys.readouterr().err
    for _ in embed(tmp_path, open_index(tmp_path).documents, FakeEncoder(), Storing()):
        pass
    with ranking_first([tmp_path]) as by_vectors:
        assert by_vectors(["zinc is a metal", "copper is red", ""], ["d1", "d2"]) == ["d1", "d2", None]
    assert capsys.readouterr().err == ""


def test_tables_limits_and_what_is_said(xqe: Run, tmp_path: Path) -> None:
    german = [*RUN[:2], *RUN[3:]]
    worse = [german[0], {**RUN[1], "answer": answer("Zinn", sentences=[sentence("Zinn")])}, *german[2:]]
    gold = [*GOLD[:2], *GOLD[3:6], {"id": "q8", "answers": ["Blei"]}]
    for name, lines in {"a": german, "b": worse, "gold": gold}.items():
        (tmp_path / name).write_text(jsonl(*lines), "utf-8")
    done = xqe("eval", "--answers", "--gold", "gold", "--baseline", "a", "b", "-m", "EM,citation-coverage",
               "--max-drop", "F1=0.01", "--strict", "--fail-under", "refused=20%", "--format", "table",
               cwd=tmp_path)  # fmt: skip
    assert done.returncode == 1
    assert [line.split() for line in done.stdout.splitlines()][:3] == [
        ["run", "queries", "missing", "EM", "citation-coverage", "refused", "F1"],
        ["a", "6", "1", "33.33", "75.00", "50.00", "38.46"],
        ["b", "6", "1", "16.67", "-16.67", "25.00", "-50.00", "50.00", "+0.00", "21.79", "-16.67"],
    ]
    doubts = [
        "{}: 1 of 6 expected queries are missing from the run and count as 0",
        "{}: 1 of 5 records failed, and count as 0 by gold answers where they have no answer",
    ]
    fell = "F1 fell by 16.67 points, from 38.46 to 21.79 (p 1, 6 queries), which may be chance; --max-drop allows 1.00"
    assert done.stderr.splitlines() == [
        *[f"xqe: {doubt.format(run)}" for run in "ab" for doubt in doubts],
        *[f"xqe: {run}: of 6 answers, so many have a value: citation-coverage 2, refused 4" for run in "ab"],
        f"xqe: {fell}",
    ]


def test_a_value_that_an_answer_has_not_is_a_dash(xqe: Run, tmp_path: Path) -> None:
    (tmp_path / "run").write_text(jsonl(*RUN[:4]), "utf-8")
    done = xqe("eval", "--answers", "--per-query", "--format", "table", "-m", "citation-validity,refused", "run",
               cwd=tmp_path)  # fmt: skip
    assert [line.split()[1:4] for line in done.stdout.splitlines()[1:-1]] == [
        ["q1", "33.33", "0.00"], ["q2", "100.00", "0.00"], ["q3", "–", "0.00"], ["q4", "–", "100.00"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--answers", "--qrels", "x"], "--qrels has no effect on --answers; leave it out"),
        (["--answers", "--drop-self"], "--drop-self has no effect on --answers; leave it out"),
        (["--answers", "-m", "EM"], "EM needs --gold; give it, or leave EM out"),
        (["--answers", "--fail-under", "support-proxy=1"], "support-proxy needs --index; give it, or leave supp"),
        (["--answers", "--gold", "x", "-m", "refused"], "--gold has no effect on refused; leave it out"),
        (["--answers", "--macro"], "--macro: there are no groups; name their fields with --by"),
        (["--answers", "--macro", "--ci", "--by", "lang"], "--macro has no effect on --ci, which counts each"),
        (["--answers", "--languages"], "--languages looks at no judgements; "),
        (["--gold", "x"], "--gold has no effect without --answers; add it, or leave it out"),
        (["--answers", "--gold", "-"], "standard input can be read once only"),
    ],
)
def test_what_is_refused(xqe: Run, arguments: list[str], line: str) -> None:
    done = xqe("eval", *arguments, stdin=jsonl(RUN[0]))
    assert done.returncode == 2
    assert done.stderr.startswith(f"xqe: {line}")
