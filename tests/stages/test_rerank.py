"""Re-ranking: what a model reads, what its answers are worth, and the order that comes of it."""

from __future__ import annotations

import math
import random
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xqe.files.names import Numbers
from xqe.files.records import Record
from xqe.models import prompts
from xqe.models.engines.fake import FakeEngine
from xqe.models.engines.requests import Completion, Request
from xqe.models.engines.stored import StoredEngine
from xqe.models.store.run import Store
from xqe.retrieval.documents import Numbered
from xqe.retrieval.fusion import GREATEST_SCORE, falling, in_32_bits, ranking
from xqe.stages.fitting import beginning, fitted
from xqe.stages.generation import Tally, run
from xqe.stages.rerank.answers import order_of
from xqe.stages.rerank.kinds import Asked, Kind
from xqe.stages.rerank.listwise import Listwise, windows
from xqe.stages.rerank.mixing import mixed
from xqe.stages.rerank.pointwise import Pointwise, share_of_first, spellings
from xqe.stages.rerank.reading import Reader
from xqe.stages.rerank.reranker import How

# ---- the order that an answer gives ----


def rankllm(response: str, count: int) -> list[int]:
    """RankLLM's own way with an answer: response_utils.py and `receive_permutation` of listwise_rankllm.py."""
    response = response.split("</think>")[-1].strip()
    response = response.translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉０１２３４５６７８９", "0123456789" * 3))
    numbers = [int(x) - 1 for x in "".join(c if c.isdigit() else " " for c in response).split()]
    kept = [x for x in dict.fromkeys(numbers) if 0 <= x < count]
    return [*kept, *(x for x in range(count) if x not in kept)]


@pytest.mark.parametrize(
    "answer",
    [
        "[3] > [1] > [2] > [4]",
        "[3] > [1]",
        "[3] > [3] > [1] > [3]",
        "[9] > [2] > [0] > [1]",
        "３ > １ > ２ > ４",
        "[²] > [¹]",
        "[٣] > [١] > [٤]",
        "[4, 2, 1, 3]",
        '["2", "4"]',
        "4 2 3 1",
        "<think>[1] is about [2]</think>\n[3] > [2]",
        "I would say [2] and then [4].",
        "no idea",
        "",
    ],
)
def test_answers_are_repaired_as_rankllm_does(answer: str) -> None:
    assert order_of(answer, 4).places == rankllm(answer, 4)


@pytest.mark.parametrize(
    ("answer", "places"),
    [
        ("Of these 4, [3] is better than [1]", "3124"),
        ("1. [3]\n2. [4]\n3. [1]\n4. [2]", "3412"),
        ("1. Document 3\n2. Document 4\n3. Document 1", "3412"),
        ("[2]-[4] > [1]", "2341"),
        ("[2–4], [1]", "2341"),
        ("3, 1-2", "3124"),
        ("3-1-2-4", "3124"),
        ("④ > ①", "4123"),
        ("【4】＞【2】", "4213"),
        ("［４］ > ［２］", "4213"),
        ("<reasoning>first [1]</reasoning> [4] > [3]", "4312"),
        ("[1000000000000000000000] > [2]", "2134"),
    ],
)
def test_where_rankllm_takes_more_for_numbers_of_documents(answer: str, places: str) -> None:
    assert "".join(str(place + 1) for place in order_of(answer, 4).places) == places


def test_twelve_in_a_circle_is_a_number() -> None:
    assert order_of("⑫ > ③", 12).places[:2] == [11, 2]


@pytest.mark.parametrize(
    ("answer", "form", "is_given"),
    [
        ("[2] > [1] > [3]", "ok", True),
        (" [2] > [1] > [3]\n", "ok", True),
        ("[2] > [1]", "missing_documents", True),
        ("[2] > [1] > [2]", "repetition", True),
        ("[2] > [1] > [3] > [1]", "repetition", True),
        ("[2] > [1] > [4]", "missing_documents", True),
        ("[2]>[1]>[3]", "wrong_format", True),
        ("The order is [2] > [1] > [3]", "wrong_format", True),
        ("[7] > [8] > [9]", "missing_documents", False),
        ("<think>[2] > [1] > [3]", "wrong_format", False),
        ("", "wrong_format", False),
    ],
)
def test_what_an_answer_is_like_by_rankllms_counts(answer: str, form: str, is_given: bool) -> None:
    """As `process_numerical_format` of its response_analysis.py counts them."""
    found = order_of(answer, 3)
    assert (found.form.value, found.is_given) == (form, is_given)


@settings(max_examples=50)
@given(st.text(), st.integers(1, 30))
def test_any_answer_gives_each_document_one_place(answer: str, count: int) -> None:
    assert sorted(order_of(answer, count).places) == list(range(count))


@pytest.mark.parametrize("count", [0, 1, 19, 20, 21, 25, 30, 31, 100])
def test_windows_are_those_of_rankllm(count: int) -> None:
    """The loop of `sliding_windows` in listwise_rankllm.py."""
    right, end, start = [], count, max(count - 20, 0)
    while end > start:
        right.append((start, end))
        if start == 0:
            break
        end, start = end - 10, max(start - 10, 0)
    assert windows(count) == right


# ---- scores ----


def hits(*scores: float) -> list[dict[str, Any]]:
    return [{"id": f"d{number}", "score": score, "lang": "en"} for number, score in enumerate(scores)]


def test_scores_are_mixed_in_their_own_ranges() -> None:
    """0.25 x (9 to 0 in 0 to 1) + 0.75 x (-30 to -10 in 0 to 1); the hit that was not read stays behind."""
    found = mixed(hits(9, 6, 3, 0, -3), [-30, -10, -20, -30], 0.25)
    assert [(hit["id"], hit["score"]) for hit in found[:4]] == [
        ("d1", pytest.approx(0.25 * 2 / 3 + 0.75)),
        ("d2", pytest.approx(0.25 / 3 + 0.375)),
        ("d0", 0.25),
        ("d3", 0),
    ]
    assert found[0]["reranked"] == {"rank": 2, "first": 6, "score": -10}
    assert found[4]["id"] == "d4" and found[4]["score"] == pytest.approx(-0.25, abs=1e-5)
    assert {hit["lang"] for hit in found} == {"en"} and "reranked" not in found[4]


@pytest.mark.parametrize(
    ("first", "model", "weight", "order"),
    [
        ([5], [-9], 0.5, "0"),
        ([3, 2, 1], [-9, -9, -9], 0.5, "012"),
        ([1, 1, 1], [-3, -1, -2], 0.5, "120"),
        ([-1, -2, -3], [-3, -2, -1], 0.0, "210"),
        ([3, 2, 1], [-3, -2, -1], 1.0, "012"),
        ([1, 1], [-1, -1], 0.5, "10"),
    ],
)
def test_the_order_where_there_is_little_to_go_by(
    first: list[float], model: list[float], weight: float, order: str
) -> None:
    """One hit, equal scores of either side, negative ones, weights of 0 and 1; ties by descending id."""
    found = mixed(hits(*first), model, weight)
    assert "".join(hit["id"][1:] for hit in found) == order
    assert found[0]["score"] > 0 and all(map(math.isfinite, (hit["score"] for hit in found)))


_SCORES = st.floats(-GREATEST_SCORE, GREATEST_SCORE)


@settings(max_examples=40)
@given(st.lists(_SCORES, min_size=1, max_size=12), st.data(), st.floats(0, 1))
def test_who_sorts_by_the_new_scores_has_the_new_order(first: list[float], data: Any, weight: float) -> None:
    before = [{"id": name, "score": score} for score, name in ranking({f"d{at}": s for at, s in enumerate(first)})]
    model = data.draw(st.lists(st.floats(-1e6, 0), min_size=1, max_size=len(first)))
    found = mixed(before, model, weight)
    assert [name for _, name in ranking({hit["id"]: hit["score"] for hit in found})] == [hit["id"] for hit in found]
    assert {hit["id"] for hit in found[: len(model)]} == {hit["id"] for hit in before[: len(model)]}
    assert all(map(math.isfinite, (hit["score"] for hit in found)))


@settings(max_examples=50)
@given(st.lists(_SCORES, min_size=1, max_size=12))
def test_falling_scores_are_equal_to_none(scores: list[float]) -> None:
    ordered = sorted(scores, reverse=True)
    made = falling(ordered)
    assert all(one > other or other <= -GREATEST_SCORE for one, other in pairwise(in_32_bits(made)))
    assert made == pytest.approx(ordered, rel=1e-5, abs=1e-30)


def test_yes_against_no() -> None:
    assert share_of_first([math.log(0.3), math.log(0.1)]) == pytest.approx(0.75)
    assert share_of_first([-1e6, 0]) == pytest.approx(0) and share_of_first([0, -1e6]) == 1
    assert set(spellings("yes")) == {"yes", "Yes", "YES", " yes", " Yes", " YES"}


# ---- what is read ----


class Shelf(Numbered):
    """Documents in memory: id -> text."""

    has_texts = True

    def __init__(self, texts: dict[str, str]) -> None:
        self._ids, self._texts = list(texts), texts

    def __len__(self) -> int:
        return len(self._ids)

    def ids(self, numbers: Numbers) -> list[str]:
        return [self._ids[number] for number in numbers]

    def numbers(self, ids: Sequence[str]) -> Numbers:
        return numpy.array([self._ids.index(name) if name in self._texts else -1 for name in ids], numpy.int64)

    def text(self, number: int) -> str | None:
        return self._texts[self._ids[number]]


class Scripted(FakeEngine):
    """Answers with what a test says to each prompt, and counts words as tokens. places: of a context, None unknown."""

    def __init__(self, answer: Callable[[str], str] | None = None, places: int | None = None) -> None:
        super().__init__()
        self._says, self._places = answer, places
        self.asked: list[str] = []

    def count(self, text: str) -> int:
        return len(text.split())

    def room(self) -> int | None:
        return self._places

    def _answer(self, request: Request) -> Completion:
        prompt = self.rendered(request.prompt)
        self.asked.append(prompt)
        if self._says is None or request.is_measured:
            return super()._answer(request)
        said = self._says(prompt)
        return Completion("", "error", 0, "broken") if said == "fail" else Completion(said, "stop", len(said.split()))


TEXTS = {
    "zinc": "the price of zinc",
    "tin": "the price of tin",
    "far": "weather in Vienna",
    "none": "",
    "odd": "\0 \ud800",
}
SHELF = Shelf(TEXTS)


def reader(n: int = 20, tokens: int = 50, asked: Asked = Asked.SOURCE, shelf: Numbered = SHELF) -> Reader:
    return Reader(shelf, n, tokens, asked)


def record(query: str, *names: str, **more: Any) -> Record:
    found = [{"id": name, "score": 9.0 - rank} for rank, name in enumerate(names)]
    return {"id": "q1", "query": query, "lang": "en", "hits": found, **more}


def pointwise(engine: Any, weight: float = 0.0, kind: Kind = Kind.LIKELIHOOD, **how: Any) -> Pointwise:
    return Pointwise(engine, kind, kind.template(), reader(**how), weight)


def one(stage: Any, engine: Any, given: Record) -> Record:
    [found] = run(stage, engine, [given])
    return found


@pytest.mark.parametrize("kind", [Kind.LIKELIHOOD, Kind.YES_NO])
def test_the_document_that_fits_the_query_comes_first(kind: Kind) -> None:
    engine = Scripted()
    found = one(pointwise(engine, kind=kind), engine, record("price of zinc", "far", "none", "zinc", "tin", "odd"))
    assert [hit["id"] for hit in found["hits"][:2]] == ["zinc", "tin"]
    assert found["hits"][0]["reranked"]["rank"] == 3
    [step] = found["steps"]
    said = {"step": "rerank", "kind": kind.value, "prompt": kind.template().name, "query": "source", "n": 5}
    assert step.items() >= {**said, "document_tokens": 50, "first_weight": 0.0, "model": "fake"}.items()


def test_the_query_is_the_one_that_first_came_unless_it_is_asked_otherwise() -> None:
    engine = Scripted()
    given = record("weather", "zinc", "far", source={"query": "price of zinc", "lang": "de"})
    for asked, first in ((Asked.SOURCE, "zinc"), (Asked.QUERY, "far")):
        found = one(pointwise(engine, asked=asked), engine, given)
        assert found["hits"][0]["id"] == first
        assert reader(asked=asked).language(given) == {"zinc": "German", "far": "English"}[first]


@pytest.mark.parametrize(
    "given",
    [record("zinc"), {"id": "q", "query": "zinc"}, record("zinc", "tin", error={"step": "search", "message": "x"})],
)
def test_what_has_no_hits_or_has_failed_passes_as_it_is(given: Record) -> None:
    engine = Scripted()
    assert one(pointwise(engine), engine, given) == given
    assert list(Listwise(engine, prompts.builtin("ranking"), reader()).run([given], Tally())) == [given]
    assert not engine.asked


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (record("zinc", "tin", "gone"), 'document "gone" is not in the index'),
        (record(" \n", "tin"), "the query is empty"),
        (record("fake:error", "tin", "zinc"), "the fake engine was asked to fail"),
    ],
)
def test_a_record_that_cannot_be_done_keeps_its_hits(given: Record, message: str) -> None:
    engine = Scripted()
    assert one(pointwise(engine), engine, given) == {**given, "error": {"step": "rerank", "message": message}}


NO_HITS = {
    "the score of hit 1": [{"id": "tin", "score": "1.5"}],
    'the score of hit 2 ("zinc") is not a number': [{"id": "tin", "score": 1}, {"id": "zinc"}],
    'the score of hit 1 ("tin") is not a number': [{"id": "tin", "score": math.nan}],
    'hit 1 has no "id"': ["tin"],
    'hit 2 has no "id"': [{"id": "tin", "score": 1}, {"id": None, "score": 1}],
    '"hits" is not a list': {"tin": 1},
    'document "tin" twice': [{"id": "tin", "score": 1}, {"id": "tin", "score": 2}],
}


@pytest.mark.parametrize("message", NO_HITS)
@pytest.mark.parametrize("kind", [Kind.YES_NO, Kind.LISTWISE])
def test_what_are_no_hits_is_the_error_of_their_record(kind: Kind, message: str) -> None:
    engine = Scripted(lambda prompt: "[1]")
    stage = How(kind, kind.template()).reranker(engine, SHELF)
    given = {**record("zinc"), "hits": NO_HITS[message]}
    bad, good = stage.run([given, record("zinc", "tin", "zinc")], tally := Tally())
    assert message in bad.pop("error")["message"]
    assert bad == given and "error" not in good and tally.failed == 1


def test_hits_may_have_numbers_for_ids_and_nulls_for_the_rest() -> None:
    shelf, engine = Shelf({"7": "tin", "8": "zinc"}), Scripted()
    given = {**record("zinc"), "hits": [{"id": 7, "score": 2, "title": None, "text": None}, {"id": 8, "score": 1}]}
    found = one(pointwise(engine, shelf=shelf), engine, given)
    assert [(hit["id"], hit["reranked"]["rank"]) for hit in found["hits"]] == [(8, 2), (7, 1)]
    assert found["hits"][1]["title"] is None


def test_a_query_of_odd_characters_is_measured() -> None:
    engine = Scripted()
    found = one(pointwise(engine), engine, record("\0 zinc \ud800", "odd", "zinc"))
    assert "error" not in found and len(found["steps"]) == 1


# ---- how much is read ----


@pytest.mark.parametrize("tokens", [1, 3, 10])
def test_a_text_is_cut_to_the_tokens_that_the_engine_counts(tokens: int) -> None:
    text = "ab " * 6
    cut = beginning(text, tokens, Scripted())
    assert text.startswith(cut) and len(cut.split()) == min(tokens, 6)


def test_a_text_without_spaces_is_cut_by_its_bytes_where_nothing_is_counted() -> None:
    assert beginning("金属の価格" * 100, 10, FakeEngine()) == ("金属の価格" * 3)[:13]


def test_the_texts_of_a_prompt_are_shortened_evenly() -> None:
    texts = ["a " * 30, "b " * 4, "c " * 50]
    read, most = fitted(texts, 100, Scripted(), 30)
    assert (most, [len(text.split()) for text in read]) == (13, [13, 4, 13])
    assert fitted(texts, 100, Scripted(), None) == (texts, 100)


def test_a_long_document_is_shortened_to_the_context_and_the_step_says_so() -> None:
    engine = Scripted(places=40)
    shelf = Shelf({"long": "zinc " * 900, "short": "tin"})
    found = one(pointwise(engine, tokens=500, shelf=shelf), engine, record("price of zinc", "short", "long"))
    assert all(len(prompt.split()) + 4 <= 40 for prompt in engine.asked)
    assert 10 < found["steps"][0]["document_tokens"] < 40
    none = Scripted(places=5)
    assert "no room" in one(pointwise(none, shelf=shelf), none, record("price", "short"))["error"]["message"]


# ---- the store ----


def test_no_pair_is_scored_twice(tmp_path: Path) -> None:
    """Two records with one query and documents in common; a run that was killed after one of three; and all again."""
    given = [record("price of zinc", "zinc", "tin"), record("price of zinc", "tin", "far"), record("tin", "zinc")]
    engine = Scripted()
    with Store(tmp_path / "s.sqlite") as store:
        for number, expected in ((1, 2), (3, 4), (3, 4)):
            kept = StoredEngine(engine, store)
            found = list(run(pointwise(kept), kept, given[:number]))
            assert len(engine.asked) == expected
    assert all(len(one["steps"]) == 1 for one in found)


# ---- documents in order ----


def ordering(engine: Any, n: int = 20, **how: Any) -> Listwise:
    return Listwise(engine, prompts.builtin("ranking"), reader(n, **how))


def numbered(prompt: str) -> list[tuple[int, str]]:
    return [(int(number), text) for number, text in re.findall(r"^\[(\d+)\] (.*)$", prompt, re.MULTILINE)]


def by_worth(prompt: str) -> str:
    """A right answer: the documents are numbers, and a greater one is better."""
    best = sorted(numbered(prompt), key=lambda row: -int(row[1]))
    return " > ".join(f"[{number}]" for number, _ in best)


@pytest.mark.parametrize("n", [7, 20, 45])
def test_the_best_rise_through_the_windows(n: int) -> None:
    """A right order of each window brings the best ten of all to the front, in order (a window of 20, moved by 10)."""
    worth = [str(value) for value in random.Random(n).sample(range(1000), 50)]
    shelf = Shelf({f"d{at:02}": value for at, value in enumerate(worth)})
    engine = Scripted(by_worth)
    given = [record("which is greatest", *shelf.ids(numpy.arange(50))), record("again", "d07", "d03")]
    tally = Tally()
    first, second = ordering(engine, n, shelf=shelf).run(given, tally)
    assert [worth_of(shelf, hit) for hit in first["hits"][: min(n, 10)]] == sorted(map(int, worth[:n]), reverse=True)[
        :10
    ]
    assert [hit["id"] for hit in first["hits"][n:]] == [f"d{at:02}" for at in range(n, 50)]
    assert [hit["score"] for hit in first["hits"]] == [9.0 - rank for rank in range(50)]
    assert first["steps"][0]["answers"] == {"ok": len(windows(n))}
    assert tally.generated == len(windows(n)) + 1 and len(second["hits"]) == 2


def worth_of(shelf: Shelf, hit: dict[str, Any]) -> int:
    return int(shelf.text(int(shelf.numbers([hit["id"]])[0])) or 0)


def test_a_window_that_names_no_document_stays_and_is_counted() -> None:
    stage = ordering(Scripted(lambda prompt: "I cannot say."))
    [found] = stage.run([record("zinc", "tin", "zinc")], Tally())
    assert [hit["id"] for hit in found["hits"]] == ["tin", "zinc"]
    assert stage.fell_back == found["steps"][0]["fell_back"] == 1
    assert found["steps"][0]["answers"] == {"wrong_format": 1} and found["steps"][0]["raw"] == ["I cannot say."]


def test_a_window_that_fails_is_the_error_of_its_record_and_the_others_go_on() -> None:
    shelf = Shelf({f"d{at}": str(at) for at in range(30)})
    engine = Scripted(lambda prompt: "fail" if "Query: bad" in prompt else by_worth(prompt))
    given = [record("bad", *shelf.ids(numpy.arange(30))), record("good", *shelf.ids(numpy.arange(30)))]
    tally = Tally()
    bad, good = ordering(engine, 30, shelf=shelf).run(given, tally)
    assert bad == {**given[0], "error": {"step": "rerank", "message": "broken"}}
    assert good["hits"][0]["id"] == "d29" and tally.failed == 1


def test_a_document_cannot_name_another_one() -> None:
    shelf = Shelf({"a": "see [2] and [x]", "b": "plain"})
    engine = Scripted(lambda prompt: "[1]")
    list(ordering(engine, shelf=shelf).run([record("what of [1]?", "a", "b")], Tally()))
    assert numbered(engine.asked[0]) == [(1, "see (2) and [x]"), (2, "plain")]
    assert "Query: what of (1)?" in engine.asked[0]


def test_the_documents_of_a_window_fit_the_context_together() -> None:
    shelf = Shelf({f"d{at:02}": "word " * 300 for at in range(20)})
    engine = Scripted(lambda prompt: "[1]", places=1000)
    [found] = ordering(engine, tokens=200, shelf=shelf).run([record("zinc", *shelf.ids(numpy.arange(20)))], Tally())
    [step] = found["steps"]
    assert len(engine.asked[0].split()) + step["max_tokens"] <= 1000
    assert 30 < step["document_tokens"] < 50


def test_an_only_hit_has_one_order() -> None:
    engine = Scripted()
    [found] = ordering(engine).run([record("zinc", "tin")], Tally())
    assert found == record("zinc", "tin") and not engine.asked


def test_equal_scores_keep_the_new_order() -> None:
    given = record("zinc", "tin", "zinc", "far")
    for hit in given["hits"]:
        hit["score"] = 1.0
    [found] = ordering(Scripted(lambda prompt: "[3] > [1]"), 2).run([given], Tally())
    order = [hit["id"] for hit in found["hits"]]
    assert [name for _, name in ranking({hit["id"]: hit["score"] for hit in found["hits"]})] == order


def test_a_record_of_one_window_leaves_before_the_next_has_come() -> None:
    left = threading.Event()

    def arriving() -> Iterator[Record]:
        yield record("first", "tin", "zinc")
        assert left.wait(20)
        yield record("second", "tin", "zinc")

    for found in ordering(Scripted(lambda prompt: "[2] > [1]")).run(arriving(), Tally()):
        assert [hit["id"] for hit in found["hits"]] == ["zinc", "tin"]
        left.set()
