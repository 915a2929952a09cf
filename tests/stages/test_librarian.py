"""What prompts show that an encoder chose for each query: worked examples, and documents of an index."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest
from conftest import Run, jsonl, records
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from vectors_for_tests import Topics, Written, indexed, topic, unit

from xqe import cli
from xqe.errors import InputError, XqeError
from xqe.files.records import Record
from xqe.models import prompts
from xqe.models.encoders.base import Encoder, Side
from xqe.models.engines.fake import FakeEngine
from xqe.models.examples.pairs import Pairs
from xqe.models.prompts import Chat, Text
from xqe.models.prompts.nearby import NEARBY, showing, told
from xqe.retrieval.dense import open_vectors
from xqe.retrieval.nearest import Dense
from xqe.stages.expand import Expand
from xqe.stages.generation import run
from xqe.stages.librarian.choosing import Choice
from xqe.stages.librarian.copies import is_near_copy
from xqe.stages.librarian.diverse import diverse
from xqe.stages.librarian.guide import Guide
from xqe.stages.librarian.nearby import Nearby
from xqe.stages.strategies import Strategy
from xqe.stages.translate import Translate
from xqe.text.languages import LANGUAGES

GERMAN, ENGLISH = LANGUAGES["de"], LANGUAGES["en"]
ASKED: Record = {"id": "q1", "query": "wetter in wien", "lang": "de"}


# ---------------------------------------------------------------- near, and diverse


def floats(drawn: Any) -> NDArray[numpy.float32]:
    return unit(drawn).astype(numpy.float32)


def reference(query: Any, vectors: Any, count: int, balance: float) -> list[int]:
    """Carbonell and Goldstein's formula, written out."""
    chosen: list[int] = []
    while len(chosen) < min(count, len(vectors)):
        best, place = -float("inf"), -1
        for one in range(len(vectors)):
            if one in chosen:
                continue
            others = [float(vectors[one] @ vectors[other]) for other in chosen]
            value = balance * float(vectors[one] @ query) - (1 - balance) * (max(others) if others else 0.0)
            if value > best + 1e-12:
                best, place = value, one
        chosen.append(place)
    return chosen


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(0, 12), st.integers(0, 14), st.sampled_from([0.0, 0.3, 0.7, 1.0]))
def test_the_formula_chooses(seed: int, size: int, count: int, balance: float) -> None:
    drawn = numpy.random.default_rng(seed)
    vectors, query = floats(drawn.normal(size=(size, 6))), floats(drawn.normal(size=6))
    assert diverse(query, vectors, count, balance) == reference(query, vectors, count, balance)


def test_a_narrow_band_of_cosines_changes_nothing() -> None:
    """As an encoder's, all of whose vectors have a direction in common."""
    drawn = numpy.random.default_rng(1)
    vectors, query = floats(drawn.normal(size=(9, 6))), floats(drawn.normal(size=6))
    wide = diverse(query, vectors, 5)
    narrow = floats(numpy.concatenate([0.3 * vectors, numpy.full((9, 1), 0.91**0.5)], axis=1))
    assert diverse(floats(numpy.append(0.3 * query, 0.91**0.5)), narrow, 5) == wide


@pytest.mark.parametrize(
    ("text", "query", "is_copy"),
    [
        ("Wetter in Wien?", "wetter in wien", True),
        ("ＷＥＴＴＥＲ　ｉｎ　Wien", "wetter in wien", True),
        ("das wetter in wien", "wetter in wien", True),
        ("wetter in berlin", "wetter in wien", False),
        ("library for reading DVDs", "library for burning CDs", False),
        ("犬", "犬", True),
        ("犬", "猫", False),
        ("犬の種類", "猫の種類", False),
        ("", "", True),
        ("?", "wien", False),
    ],
)
def test_near_copies(text: str, query: str, is_copy: bool) -> None:
    assert is_near_copy(text, query) is is_copy


# ---------------------------------------------------------------- examples

NAMED = {
    "wetter in wien": topic(0),
    "schnee in tirol": topic(0, 0.8),
    "regen in graz": topic(0, 0.7),
    "zinkpreis": topic(1),
    "weather in Vienna": topic(0),
    "Wetter in Wien!": topic(1),
}
POOL = [
    {"source": "zinkpreis", "target": "price of zinc"},
    {"source": "schnee in tirol", "target": "snow in Tyrol"},
    {"source": "regen in graz", "target": "rain in Graz"},
]


def chosen(pool: Sequence[Mapping[str, str]], count: int, record: Record = ASKED) -> list[str]:
    found = Choice(Topics(NAMED), "source").nearest(record, pool, GERMAN, ENGLISH, count)
    return [example["source"] for example in found]


def test_the_nearest_example_stands_last() -> None:
    assert chosen(POOL, 1) == ["schnee in tirol"]
    assert chosen(POOL, 9)[-1] == "schnee in tirol"
    assert len(chosen(POOL, 9)) == 3


@pytest.mark.parametrize("text", ["wetter in wien", "Wetter in Wien!", "weather in Vienna"])
def test_the_query_itself_is_no_example(text: str) -> None:
    """Neither as it is, nor with other marks, wherever its vector lies, nor in other words."""
    assert chosen([*POOL, {"source": text, "target": "x"}], 9) == chosen(POOL, 9)


def test_copies_leave_their_places_to_others() -> None:
    copies = [{"source": f"zinkpreis {mark}", "target": "x"} for mark in "!?."]
    record = {**ASKED, "query": "zinkpreis"}
    assert chosen([*copies, *POOL], 2, record) == chosen(POOL[1:], 2, record)


def test_what_the_query_is_now_is_no_example_either() -> None:
    record = {**ASKED, "query": "rain in Gratz", "lang": "en", "source": {"query": "schnee in tirol", "lang": "de"}}
    pool = [{"source": "rain in Graz", "target": "x"}, {"source": "price of zinc", "target": "y"}]
    assert chosen(pool, 9, record) == ["price of zinc"]


def test_queries_are_encoded_together() -> None:
    encoder = Topics(NAMED)
    Choice(encoder, "source").prepare([ASKED, {**ASKED, "query": "zinkpreis"}, {**ASKED, "query": " "}])
    assert encoder.asked == [["wetter in wien", "zinkpreis"]]


@pytest.mark.parametrize("is_chat", [True, False])
def test_examples_of_translations_are_shown(is_chat: bool) -> None:
    stage = Translate(
        FakeEngine(is_chat=is_chat),
        ENGLISH,
        pairs=Pairs(POOL, "here", shots=2),
        guide=Guide(Choice(Topics(NAMED), "source")),
    )
    [request] = stage.requests(ASKED)
    text = request.prompt.user if isinstance(request.prompt, Chat) else request.prompt.text
    assert text.endswith("German: schnee in tirol\nEnglish: snow in Tyrol\n\nGerman: wetter in wien\nEnglish:")
    assert text.count("English:") == 3
    [done] = run(stage, FakeEngine(is_chat=is_chat), [ASKED])
    assert done["steps"][0].items() >= {"shots": 2, "chosen": "nearest", "encoder": "topics"}.items()


def test_examples_of_translations_are_drawn_where_no_encoder_chooses() -> None:
    pairs = Pairs(POOL, "here", shots=2, seed=3)
    assert pairs(GERMAN, ENGLISH) == pairs(GERMAN, ENGLISH)
    assert len(pairs(GERMAN, ENGLISH)) == 2
    mixed = Pairs([{**POOL[0], "source_lang": "fr"}, {**POOL[1], "target_lang": "ja"}], "here")
    with pytest.raises(InputError, match="here: no examples of translations from German into English"):
        mixed(GERMAN, ENGLISH)


@pytest.mark.parametrize("is_chat", [True, False])
def test_examples_of_passages_are_shown(tmp_path: Path, is_chat: bool) -> None:
    from xqe.models.examples import Chooser

    path = tmp_path / "examples.jsonl"
    path.write_text(jsonl(*({"query": one["source"], "passage": f"About {one['target']}."} for one in POOL)), "utf-8")
    stage = Expand(
        FakeEngine(is_chat=is_chat),
        Strategy.FEWSHOT.template,
        Chooser(str(path), 2),
        guide=Guide(Choice(Topics(NAMED), "query")),
    )
    [request] = stage.requests(ASKED)
    text = request.prompt.user if isinstance(request.prompt, Chat) else request.prompt.text
    assert "Query: schnee in tirol\nPassage: About snow in Tyrol.\n" in text
    assert "Query: wetter in wien\nPassage:" in text
    [done] = run(stage, FakeEngine(is_chat=is_chat), [ASKED])
    assert done["steps"][0].items() >= {"shots": 2, "chosen": "nearest"}.items()
    assert "seed" not in done["steps"][0]


# ---------------------------------------------------------------- documents

DOCUMENTS = {
    "vienna": "Weather of Vienna\n\nWarm summers. Cold winters.",
    "zinc": "Zinc costs more than tin. It always did.",
    "q1": "Vienna in short",
}
VECTORS = {
    (Side.PASSAGE, DOCUMENTS["vienna"]): [1.0, 0.1, 0.0],
    (Side.PASSAGE, DOCUMENTS["zinc"]): [0.0, 1.0, 0.0],
    (Side.PASSAGE, DOCUMENTS["q1"]): [1.0, 0.0, 0.0],
    (Side.QUERY, "wetter in wien"): [1.0, 0.0, 0.0],
    (Side.QUERY, "zinkpreis"): [0.0, 1.0, 0.0],
}


@pytest.fixture
def nearby(tmp_path: Path) -> Any:
    def make(count: int = 2, drop_own: bool = False, encoder: Encoder | None = None) -> Nearby:
        encoder = encoder or Written(VECTORS)
        index = indexed(tmp_path / f"ix{count}{drop_own}", DOCUMENTS, Written(VECTORS))
        vectors = open_vectors(tmp_path / f"ix{count}{drop_own}", index.documents)
        dense = Dense(index.name, "en", index.documents, vectors, encoder)
        return Nearby(dense, "ix", "en", count, drop_own)

    return make


ENGINE = FakeEngine()


def texts(found: Nearby, record: Record = ASKED) -> list[str]:
    return [one.text for one in found.of(record, ENGINE)]


def test_the_nearest_documents_are_found_with_the_query_as_it_first_came(nearby: Any) -> None:
    translated = {**ASKED, "query": "zinc", "lang": "en", "source": {"query": "wetter in wien", "lang": "de"}}
    assert texts(nearby(), translated) == ["Vienna in short", "Weather of Vienna: Warm summers."]


def test_a_document_that_is_the_query_is_not_shown(nearby: Any) -> None:
    assert texts(nearby(2, True)) == ["Weather of Vienna: Warm summers.", "Zinc costs more than tin."]


def test_hits_that_are_there_are_shown_in_place_of_others(nearby: Any) -> None:
    found = nearby(1)
    hits = [{"id": "zinc", "score": 2.0}, {"id": "vienna", "score": 1.0}]
    assert texts(found, {**ASKED, "hits": hits}) == ["Zinc costs more than tin."]
    with pytest.raises(XqeError, match='document "other" is not in the index'):
        found.of({**ASKED, "hits": [{"id": "other", "score": 2.0}]}, ENGINE)


def test_documents_are_looked_for_together(nearby: Any) -> None:
    encoder = Written(VECTORS)
    found = nearby(encoder=encoder)
    records_ = [ASKED, {**ASKED, "id": "q2", "query": "zinkpreis"}, {**ASKED, "id": "q3", "query": ""}]
    assert list(Guide(nearby=found).ahead(records_)) == records_
    asked = len(encoder.asked)
    assert texts(found, records_[1])[0] == "Zinc costs more than tin."
    assert len(encoder.asked) == asked, "nothing is encoded again"


@pytest.mark.parametrize("is_chat", [True, False])
@pytest.mark.parametrize("strategy", [Strategy.ZEROSHOT, Strategy.FEWSHOT])
def test_what_prompts_share_stands_before_what_is_the_querys(strategy: Strategy, is_chat: bool, nearby: Any) -> None:
    """Documents stand behind the examples, and without them the prompt is the paper's."""
    engine = FakeEngine(is_chat=is_chat)
    plain = Expand(engine, strategy.template).requests(ASKED)[0].prompt
    guided = Expand(engine, strategy.template, guide=Guide(nearby=nearby())).requests(ASKED)[0].prompt
    block = told(["Vienna in short", "Weather of Vienna: Warm summers."], "English", is_chat)
    before, after = (one.user if isinstance(one, Chat) else one.text for one in (plain, guided))
    assert after.replace(block, "") == before
    if strategy.template.shows_examples(is_chat):
        assert after.index("Mercury" if "Mercury" in after else "Passage:") < after.index(block)


@pytest.mark.parametrize("strategy", [Strategy.LAMER, Strategy.CSQE])
def test_a_document_is_shown_once(strategy: Strategy, nearby: Any) -> None:
    """Prompts that read the hits show them, and no documents that are near beside them."""
    hits = [{"id": "vienna", "score": 2.0, "text": "Warm summers. Cold winters."}]
    stage = Expand(ENGINE, strategy.recipe.templates, guide=Guide(nearby=nearby()))
    for request in stage.requests({**ASKED, "hits": hits}):
        assert str(request.prompt).count("Warm summers.") == 1


def test_without_documents_a_prompt_says_nothing_of_them() -> None:
    for name in ("translate-query", "translate-fewshot", "expand-zeroshot"):
        template = prompts.builtin(name)
        variables = {"text": "t", "query": "q", "source_language": "German", "target_language": "English"}
        variables["language"] = "German"
        for is_chat in (True, False):
            with_place = showing(template).render(is_chat, {**variables, NEARBY: told([], "English", is_chat)})
            assert with_place == template.render(is_chat, variables)


def test_a_step_says_which_documents_were_shown(nearby: Any) -> None:
    found = nearby(1)
    stage = Translate(FakeEngine(is_chat=False), ENGLISH, guide=Guide(nearby=found))
    [done] = run(stage, FakeEngine(is_chat=False), [ASKED])
    assert done["steps"][0]["nearby"] == {"index": "ix", "documents": ["q1"]}
    [request] = stage.requests(ASKED)
    assert isinstance(request.prompt, Text)
    assert request.prompt.text.endswith(
        "English texts about such things:\n- Vienna in short\n\nGerman: wetter in wien\nEnglish:"
    )


def test_long_documents_are_cut(tmp_path: Path) -> None:
    document = " ".join(["weather"] * 400)
    encoder = Written({(Side.PASSAGE, document): [1.0], (Side.QUERY, "wetter in wien"): [1.0]})
    index = indexed(tmp_path / "ix", {"d": document}, encoder)
    dense = Dense("ix", "en", index.documents, open_vectors(tmp_path / "ix", index.documents), encoder)
    [text] = texts(Nearby(dense, "ix", "en", 1))
    assert 40 < len(text) < 400


# ---------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An index with vectors of the fake encoder."""
    folder = tmp_path_factory.mktemp("librarian")
    (folder / "docs.jsonl").write_text(jsonl(*({"id": name, "text": text} for name, text in DOCUMENTS.items())))
    assert (
        cli.run(["index", str(folder / "ix"), "--lang", "en", "-i", str(folder / "docs.jsonl"), "--encoder", "fake"])
        == 0
    )
    return str(folder / "ix")


def test_the_collections_own_words_on_the_command_line(xqe: Run, english: str) -> None:
    asked = jsonl({**ASKED, "query": "Vienna"}, {**ASKED, "id": "q2", "query": "zinc tin"})
    options = ("translate", "--to", "en", "--model", "fake", "--index", english)
    done = records(xqe(*options, "--nearby", "1", stdin=asked))
    assert [one["steps"][0]["nearby"]["documents"] for one in done] == [["q1"], ["zinc"]]
    shown = xqe(*options, "--show-prompt", stdin=asked)
    assert "- Vienna in short\nUse its words where they fit" in shown.stdout
    [traced, _] = records(
        xqe("trace", "--index", english, "--to", "en", "--nearby", "1", "--model", "fake", stdin=asked)
    )
    assert "- Vienna in short" in traced["trace"]["steps"][0]["texts"][0]["prompt"]


IN_GERMAN = "its documents are in English, and what is written is in German"
WRONG: list[tuple[list[str], str]] = [
    (["translate", "--to", "en", "--nearby", "2"], "--nearby has no effect without --index"),
    (["translate", "--to", "en", "--drop-self"], "--drop-self has no effect without --index"),
    (["translate", "--to", "en", "--choose", "nearest"], "--choose nearest has no effect without --examples"),
    (["translate", "--to", "en", "--shots", "2"], "--shots has no effect without --examples"),
    (["translate", "--to", "en", "--encoder", "fake"], "--encoder has no effect: nothing is encoded"),
    (["translate", "--to", "en", "--examples", "nowhere"], "nowhere: no such file"),
    (["translate", "--to", "en", "--examples", "{bad}"], 'missing "target"'),
    (
        ["translate", "--to", "de", "--index", "{index}"],
        "its documents are in English, and what is written is in German",
    ),
    (["translate", "--to", "en", "--index", "{index}", "--encoder", "e5-small"], "has no vectors of e5-small"),
    (["translate", "--to", "en", "--index", "nowhere"], "nowhere"),
    (["translate", "--to", "en", "--documents", "--judge", "weigh"], "--judge has no effect on documents"),
    (["expand", "--index", "{index}", "--to", "de"], IN_GERMAN),
    (["expand", "--judge", "most"], "most"),
    (["expand", "-s", "lamer", "--index", "{index}"], "--index has no effect: --strategy lamer shows the hits"),
    (["inspect", "--pooling", "cls"], "--pooling has no effect without --collection"),
    (["trace", "--index", "{index}", "--nearby", "2"], "--nearby has no effect, since nothing is generated"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[" ".join(row[0]) for row in WRONG])
def test_what_has_no_effect_is_refused(
    arguments: list[str],
    message: str,
    english: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    no_settings: None,
) -> None:
    (tmp_path / "q.jsonl").write_text(jsonl(ASKED))
    (tmp_path / "bad.jsonl").write_text(json.dumps({"source": "x"}))
    places = {"index": english, "bad": str(tmp_path / "bad.jsonl")}
    given_arguments = [one.format(**places) for one in arguments]
    assert cli.run([*given_arguments, "-i", str(tmp_path / "q.jsonl")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err
    assert said.err.count("\n") == 1


def test_an_encoder_of_other_vectors_than_the_index_is_refused(english: str, tmp_path: Path) -> None:
    from xqe.commands.encoding import check_made
    from xqe.retrieval.dense import embedded

    [description] = embedded(Path(english))
    with pytest.raises(InputError, match="dimension 64, now 9"):
        check_made(english, description, Topics())
