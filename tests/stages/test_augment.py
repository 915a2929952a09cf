"""Questions that documents answer: what models are asked, which of their texts are kept, and what a document says."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import FIXTURES, OF_FIXTURES, Run, jsonl, records
from small_models import SAID
from vectors_for_tests import Written, indexed

from xqe.commands.options.augmenting import Augmenting
from xqe.commands.options.generation import Generation
from xqe.commands.steps import augmentation
from xqe.commands.streams import DocumentRecords
from xqe.errors import XqeError
from xqe.files.documents import documents
from xqe.files.forms import DOCUMENTS
from xqe.files.rows import Rows
from xqe.models import prompts
from xqe.models.encoders.base import Side
from xqe.models.engines.fake import FakeEngine
from xqe.models.engines.requests import Completion, Request, Sampling
from xqe.models.examples import builtin
from xqe.retrieval.dense import open_vectors
from xqe.retrieval.nearest import Dense
from xqe.stages.augment.augment import Augment, Settings
from xqe.stages.augment.consistency import Consistency
from xqe.stages.augment.filters import Filter, Reason
from xqe.stages.generation import prompts_of, run
from xqe.text.languages import LANGUAGES

TEA: dict[str, Any] = {
    "id": "t1",
    "title": "Tea",
    "text": "Tea is a drink made\nof leaves. It came from China.",
    "lang": "en",
    "mine": {"deep": [1, None]},
}
TEMPLATE = prompts.builtin("question")


def settings(codes: str = "de", questions: int = 3, samples: int = 3) -> Settings:
    return Settings(tuple(LANGUAGES[code] for code in codes.split()), questions, samples, 64, 192)


class Scripted(FakeEngine):
    """Gives answers as they are written down, one after the other; one of "cut" is the text before, not finished."""

    def __init__(self, *answers: str) -> None:
        super().__init__()
        self._answers = iter(answers)

    def _answer(self, request: Request) -> Completion:
        text = next(self._answers)
        if text == "fail":
            return Completion("", "error", 0, "the server is gone")
        return Completion(text.removesuffix(" [cut]"), "length" if text.endswith(" [cut]") else "stop", 7)


def augmented(engine: FakeEngine, record: dict[str, Any] = TEA, **changed: Any) -> dict[str, Any]:
    stage = Augment(engine, TEMPLATE, changed.pop("settings", settings()), Sampling(1.0), **changed)
    [done] = run(stage, engine, [record])
    return done


# ---------------------------------------------------------------- prompts


def test_a_chat_model_is_asked_with_the_papers_prompt() -> None:
    """ielab/xQG4xDR, README: 'Generate a {lang} question for this passage: {title} {passage}'."""
    passage = "Tea is a drink made of leaves. It came from China."
    stage = Augment(FakeEngine(), TEMPLATE, settings("ja de", 1, 1), Sampling())
    asked = [request.prompt for request in stage.requests(TEA)]
    assert [prompt.user for prompt in asked if isinstance(prompt, prompts.Chat)] == [
        f"Generate a {language} question for this passage: Tea {passage}" for language in ("Japanese", "German")
    ]


def test_a_pretrained_model_is_shown_passages_of_the_document_s_language_with_questions_of_the_other() -> None:
    engine = FakeEngine(is_chat=False)
    stage = Augment(engine, TEMPLATE, settings("ja"), Sampling(1.0))
    [(_, text)] = prompts_of(stage, engine, [TEA])
    folder = Path(prompts.__file__).parent.parent / "examples"
    english, japanese = (
        [json.loads(line) for line in (folder / f"{code}.jsonl").read_text("utf-8").splitlines()]
        for code in ("en", "ja")
    )
    shown = [
        f"Passage: {a['passage']}\nJapanese question: {b['rephrasing']}" for a, b in zip(english, japanese, strict=True)
    ]
    assert text.split("\n\n")[1:-1] == shown
    assert text.endswith("\n\nPassage: Tea Tea is a drink made of leaves. It came from China.\nJapanese question:")


def test_examples_of_a_file_are_those_of_both_languages(tmp_path: Path) -> None:
    rows = [
        {"query": f"q {asked} {told}", "passage": f"p {asked} {told}", "lang": asked, "passage_lang": told}
        for asked in ("de", "en")
        for told in ("de", "en")
    ]
    path = tmp_path / "examples.jsonl"
    path.write_text(jsonl(*rows))
    make = augmentation(Augmenting(["de"], examples=str(path), shots=1), Generation(temperature=1.0))
    engine = FakeEngine(is_chat=False)
    text = next(prompts_of(make(engine, None), engine, [TEA]))[1]
    assert "Passage: p de en\nGerman question: q de en\n" in text
    assert text.count("Passage:") == 2


def test_a_long_document_is_read_to_the_limit_and_a_question_has_its_seed_whatever_languages_are_beside() -> None:
    record = {**TEA, "title": "", "text": "word " * 1000}
    few = Settings((LANGUAGES["de"],), 2, 2, 64, 16)
    more = Settings((LANGUAGES["fr"], LANGUAGES["de"]), 3, 3, 64, 16)
    one, other = (Augment(FakeEngine(), TEMPLATE, its, Sampling(1.0)).requests(record) for its in (few, more))
    assert one[0].prompt.user.count("word") == 12  # type: ignore[union-attr]  # 64 bytes
    assert one == other[3:5]
    assert one[0].seed != one[1].seed


# ---------------------------------------------------------------- what is kept

PASSAGE = "GNOME Shell Extension Manager finds and installs extensions. It was written for GNOME 40."
EXAMPLE = "Wie viele Tage kann ein Kamel überleben, ohne zu trinken, und was in seinem Körper macht das möglich?"


@pytest.mark.parametrize(
    ("code", "text", "reason"),
    [
        ("de", "Wie installiert man eine Erweiterung?", None),
        ("de", "Was ist der GNOME Shell Extension Manager?", None),
        ("ja", "GNOME Shell Extension Managerとは？", None),
        ("ja", "GNOME 40とは何ですか", None),
        ("ru", "Что такое GNOME Shell Extension Manager?", None),
        ("de", "GNOME Erweiterungen", None),
        ("de", "", Reason.EMPTY),
        ("ja", "？！ 。", Reason.EMPTY),
        ("de", "How are extensions of the shell installed and removed?", Reason.LANGUAGE),
        ("de", "Comment installer les extensions de la session ?", Reason.LANGUAGE),
        ("ja", "How are extensions installed?", Reason.LANGUAGE),
        ("ja", "Extension Packages", Reason.LANGUAGE),
        ("ru", "如何安装扩展程序？", Reason.LANGUAGE),
        ("de", "Was benötigt man für GNOME? What do you need for GNOME?", Reason.LANGUAGE),
        ("ja", "GNOMEとは何ですか？（What is GNOME?）", Reason.LANGUAGE),
        ("zh", "扩展程序是什么？ 拡張機能とは何ですか？", Reason.LANGUAGE),
        ("fr", "Qui a dit « Yes we can! » en 2008 ?", None),
        ("ja", "拡張機能（extension）はどこ？ GNOME 40", None),
        ("en", "Finds and installs extensions!", Reason.COPY),
        ("de", "GNOME Shell Extension-Manager", Reason.COPY),
        ("de", EXAMPLE.upper(), Reason.COPY),
        ("en", f"Which question does this passage answer? {PASSAGE}", Reason.COPY),
        ("de", "Was ist eine Erweiterung? Was ist eine Erweiterung?", Reason.REPEATED),
        ("de", "Wie viele Tage kann ein GNOME überleben, ohne zu trinken?", Reason.COPY),
        ("de", "Wie viele Tage hat der Mai?", None),
    ],
)
def test_what_is_kept_of_what_a_model_writes(code: str, text: str, reason: Reason | None) -> None:
    assert Filter(PASSAGE, LANGUAGES[code], [EXAMPLE]).reason(text, False) == reason


def test_no_question_of_people_is_taken_for_a_copy_of_an_example_or_for_another_language() -> None:
    """The fixtures' questions, in all languages, beside all built-in examples, none of which they were made after."""
    for code in OF_FIXTURES:
        target = LANGUAGES[code]
        asked = (FIXTURES / "questions" / f"{code}.jsonl").read_text("utf-8").splitlines()
        fits = Filter("", target, [example["rephrasing"] for example in builtin(code)])
        reasons = {fits.reason(json.loads(line)["query"], False) for line in asked}
        assert reasons <= {None, Reason.REPEATED}, code


def test_a_document_has_the_first_questions_that_are_left_and_says_what_was_dropped() -> None:
    made = augmented(
        Scripted(
            "Frage: Was ist Tee?",
            "was ist tee",
            "Where does tea come from, and who made it first?",
            "Woraus macht man Tee?",
            "Woher kommt der",
            "",
            "Woher kommt Tee?",
        ),
        {**TEA, "questions": {"fr": ["Qu'est-ce que le thé ?"], "de": ["alt"]}, "steps": [{"step": "earlier"}]},
        settings=settings("de", 2, 7),
    )
    assert made["questions"] == {"fr": ["Qu'est-ce que le thé ?"], "de": ["Was ist Tee?", "Woraus macht man Tee?"]}
    assert {key: made[key] for key in TEA} == TEA
    earlier, step = made["steps"]
    assert earlier == {"step": "earlier"}
    assert step.items() >= {"step": "augment", "from": "en", "to": ["de"], "questions": 2, "samples": 7}.items()
    assert step["dropped"] == {"empty": 1, "repeated": 1, "language": 1}
    assert "raw" not in step
    assert step["tokens"] == 49


@pytest.mark.parametrize("there", [None, {"DE": ["alt"], "de-AT": ["uralt"]}])
def test_questions_that_a_document_has_in_the_language_are_replaced_however_it_is_spelt(there: Any) -> None:
    made = augmented(Scripted("Was ist Tee?"), {**TEA, "questions": there}, settings=settings("de", 1, 1))
    assert made["questions"] == {"de": ["Was ist Tee?"]}


def test_texts_that_were_cut_off_or_say_nothing_are_dropped_and_no_error() -> None:
    made = augmented(Scripted("Woher kommt der Tee, den man [cut]", "Sure, here is the question:", "Tea"))
    assert "error" not in made
    assert made["questions"] == {}
    assert made["steps"][0]["dropped"] == {"empty": 1, "cut": 1, "copy": 1}


def test_a_generation_that_fails_is_the_error_of_its_document_which_is_still_one() -> None:
    made = augmented(Scripted("Was ist Tee?", "fail", "Woher kommt Tee?"))
    assert made == {**TEA, "error": {"step": "augment", "message": "the server is gone"}}


def test_the_summary_gives_the_share_of_each_reason() -> None:
    engine = Scripted("Was ist Tee?", "Where does tea come from?", "Tea", "Was ist Tee?")
    stage = Augment(engine, TEMPLATE, settings("de", 4, 4), Sampling(1.0))
    list(run(stage, engine, [TEA, {**TEA, "id": "t2", "title": "", "text": " … "}]))
    assert stage.summary() == (
        "1 document, 1 question of 4 texts: 0% empty, 0% cut off, 25% copies, 25% repeated, 25% wrong language"
    )


# ---------------------------------------------------------------- round trip

VECTORS: dict[tuple[Side, str], Sequence[float]] = {
    (Side.PASSAGE, "about tea"): (1, 0, 0),
    (Side.PASSAGE, "about coffee"): (0, 1, 0),
    (Side.PASSAGE, "about tea again"): (1, 0, 0),
    (Side.QUERY, "Was ist Tee?"): (0.9, 0.2, 0),
    (Side.QUERY, "Was ist Kaffee?"): (0.2, 0.9, 0),
    (Side.QUERY, "Was trinkt man?"): (0.6, 0.5, 0),
}


def consistency(folder: Path, failing: Sequence[str] = ()) -> Consistency:
    encoder = Written(VECTORS, failing)
    texts = {text.replace("about ", "").replace(" ", "-"): text for side, text in VECTORS if side is Side.PASSAGE}
    index = indexed(folder, texts, encoder)
    return Consistency(Dense("i", "en", index.documents, open_vectors(folder, index.documents), encoder), "teas")


def asked(identifier: str) -> tuple[dict[str, Any], Scripted]:
    return {"id": identifier, "text": f"about {identifier}", "lang": "en"}, Scripted(
        "Was ist Kaffee?", "Was ist Tee?", "Was trinkt man?"
    )


def test_questions_that_find_another_document_first_are_dropped(tmp_path: Path) -> None:
    """One that finds two documents alike finds both."""
    finds = consistency(tmp_path)
    kept = {}
    for name in ("tea", "coffee", "tea-again"):
        record, engine = asked(name)
        made = augmented(engine, record, consistency=finds)
        kept[name] = made["questions"]["de"], made["steps"][0]["dropped"]
        assert made["steps"][0]["index"] == "teas"
    assert kept == {
        "tea": (["Was ist Tee?", "Was trinkt man?"], {"elsewhere": 1}),
        "coffee": (["Was ist Kaffee?"], {"elsewhere": 2}),
        "tea-again": (["Was ist Tee?", "Was trinkt man?"], {"elsewhere": 1}),
    }


def test_a_document_that_the_index_lacks_or_whose_question_has_no_vector_has_failed(tmp_path: Path) -> None:
    finds = consistency(tmp_path, failing=["Was ist Tee?"])
    for name, message in {"milk": 'document "milk" is not in the index', "tea": "the server says no"}.items():
        record, engine = asked(name)
        assert augmented(engine, record, consistency=finds)["error"] == {"step": "augment", "message": message}


# ---------------------------------------------------------------- the command


def test_documents_leave_in_their_order_with_all_that_they_had(xqe: Run, tmp_path: Path) -> None:
    rows: list[Any] = [
        {"_id": "b", "title": "On tea", "text": "Tea is a drink.", "metadata": {"a": 1}},
        {"_id": "a", "text": "fake:error"},
        {"_id": "c", "text": ""},
        {"_id": 7, "contents": "Coffee is a drink, too.", "lang": "en-GB"},
    ]
    path = tmp_path / "docs.jsonl.gz"
    path.write_bytes(gzip.compress(jsonl(*rows).encode()))
    command = ("augment", "--to", "en", "-n", "2", "--from", "en", "--model", "fake", "--store", str(tmp_path / "s"))
    done = xqe(*command, "-i", str(path))
    out = records(done)
    assert (done.returncode, [one["id"] for one in out]) == (1, ["b", "a", "c", "7"])
    assert [len(one.get("questions", {}).get("en", [])) for one in out] == [2, 0, 0, 2]
    assert out[0]["metadata"] == {"a": 1}
    assert out[3]["text"] == "Coffee is a drink, too."
    assert out[1]["error"]["step"] == "augment"
    augmentations = tmp_path / "out.jsonl"
    augmentations.write_text(done.stdout)
    assert [one.id for _, one in documents([str(augmentations)])] == ["b", "a", "c", "7"], "all are documents still"
    lines = done.stderr.splitlines()
    assert lines[0].startswith("xqe: augment: 4 records, 4 generated, 0 reused, 1 failed, ")
    assert lines[1].startswith("xqe: augment: 2 documents, 4 questions of 4 texts: ")

    more = xqe(*command, "--to", "fr", stdin="id\ttitle\ttext\nb\tOn tea\tTea is a drink.\n")
    assert "1 records, 2 generated, 2 reused" in more.stderr, "a document's texts do not depend on what is beside it"


@pytest.mark.parametrize(
    ("options", "drawn", "said"),
    [
        (Augmenting(["xx"]), 1.0, '--to: unknown language "xx"'),
        (Augmenting([","]), 1.0, "--to names no language"),
        (Augmenting(["de"], samples=2), 1.0, "--samples 2 is fewer than the 5 questions"),
        (Augmenting(["de"]), 0.0, "at temperature 0 all of 5 texts are the same"),
        (Augmenting(["de"], shots=2), 1.0, "--examples and --shots have no effect"),
    ],
)
def test_what_could_have_no_effect_is_refused(options: Augmenting, drawn: float, said: str) -> None:
    with pytest.raises(XqeError, match=said):
        augmentation(options, Generation(temperature=drawn))(FakeEngine(), None)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--encoder fake", "xqe: --encoder has no effect without --index"),
        ("--index nowhere --quiet", "xqe: nowhere: "),
    ],
)
def test_an_index_must_be_there_and_named(xqe: Run, tmp_path: Path, options: str, said: str) -> None:
    done = xqe("augment", "--to", "de", *options.split(), "--model", "fake", stdin=jsonl(TEA), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"id": "1", "text": "a"}, 'missing "lang"'),
        ({"id": "1", "text": "a", "lang": "jp"}, 'unknown language "jp"'),
        ({"id": "1", "text": "a", "lang": "en", "questions": ["a"]}, '"questions" is not an object'),
        ({"id": "1", "text": "a", "lang": "en", "steps": {}}, '"steps" is not a list'),
    ],
)
def test_a_document_in_a_file_that_is_none_is_said_before_anything_is_written(
    tmp_path: Path, line: dict[str, Any], said: str
) -> None:
    path = tmp_path / "docs.jsonl"
    path.write_text(jsonl(TEA, line))
    with pytest.raises(XqeError, match=said) as raised:
        DocumentRecords([str(path)], Rows(DOCUMENTS), "--from")
    assert f"{path}:2" in str(raised.value)


@pytest.mark.xdist_group("model")
def test_a_real_model_that_always_says_the_same_has_one_question(xqe: Run, certain_path: Path) -> None:
    done = xqe("augment", "--to", "en", "-n", "2", "--model", str(certain_path), stdin=jsonl(TEA))
    [made] = records(done)
    assert made["questions"] == {"en": [SAID]}
    assert made["steps"][0]["dropped"] == {"repeated": 1}
    assert made["steps"][0].items() >= {"shots": 5, "temperature": 0.7}.items()
