"""Searching by meaning: which texts make the vector, how it is combined, what is found, and why."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
from vectors_for_tests import Written, indexed

from xqe.errors import InputError
from xqe.files.records import Record
from xqe.models.encoders.base import Side
from xqe.retrieval.choices import Encode, Method, Use
from xqe.retrieval.dense import open_vectors
from xqe.retrieval.lexical import Index
from xqe.retrieval.meaning import QUERY_WEIGHT, SOURCE_SHARE, Known, Meant, meanings
from xqe.retrieval.nearest import Dense
from xqe.retrieval.retriever import FEEDBACK, QUERY, SEARCHED, SOURCE, QueryError
from xqe.retrieval.vector_feedback import VectorFeedback
from xqe.stages.search import search

DOCUMENTS = {"d1": "north", "d2": "east", "d3": "north east", "d4": "down"}
VECTORS: dict[tuple[Side, str], list[float]] = {
    (Side.PASSAGE, "north"): [0, 1, 0],
    (Side.PASSAGE, "east"): [1, 0, 0],
    (Side.PASSAGE, "north east"): [1, 1, 0],
    (Side.PASSAGE, "down"): [0, 0, -1],
    (Side.QUERY, "nord"): [0.1, 1, 0],
    (Side.QUERY, "east?"): [1, 0.1, 0],
    (Side.QUERY, "bad"): [1, 1, 1],
}
TRANSLATED = {"id": "q", "query": "east?", "lang": "en", "source": {"query": "nord", "lang": "de"}}


@pytest.fixture(scope="module")
def encoder() -> Written:
    return Written(VECTORS, failing=["bad"])


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, encoder: Written) -> Index:
    return indexed(tmp_path_factory.mktemp("nearest") / "facts", DOCUMENTS, encoder)


def dense(index: Index, encoder: Written, meant: Meant | None = None, feedback: VectorFeedback | None = None) -> Dense:
    vectors = open_vectors(index.documents.folder.parent, index.documents)
    return Dense(index.name, "en", index.documents, vectors, encoder, meant, feedback)


def unit(*vectors: Any) -> numpy.ndarray:
    """The sum of (weight, vector) pairs whose vectors are brought to length 1, brought to length 1."""
    total = sum(weight * numpy.array(vector, float) / numpy.linalg.norm(vector) for weight, vector in vectors)
    return numpy.asarray(total / numpy.linalg.norm(total))


# ---------------------------------------------------------------- what is encoded


@pytest.mark.parametrize(
    ("encode", "expected"),
    [
        (Encode.QUERY, unit((1, [1, 0.1, 0]))),
        (Encode.SOURCE, unit((1, [0.1, 1, 0]))),
        (Encode.BOTH, unit((SOURCE_SHARE, [0.1, 1, 0]), (1 - SOURCE_SHARE, [1, 0.1, 0]))),
    ],
)
def test_the_query_is_the_one_that_arrived_or_is_now_or_both(encode: Encode, expected: Any, encoder: Written) -> None:
    [made] = meanings([(TRANSLATED, "t:1")], encoder, Meant(encode=encode), Known())
    assert not isinstance(made, QueryError)
    assert made.vector == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("encode", Encode)
def test_a_query_that_was_never_translated_is_the_same_in_every_state(encode: Encode, encoder: Written) -> None:
    [made] = meanings([({"id": "q", "query": "nord"}, "t:1")], encoder, Meant(encode=encode), Known())
    assert not isinstance(made, QueryError)
    assert made.vector == pytest.approx(unit((1, [0.1, 1, 0])), abs=1e-6)


def test_passages_are_encoded_as_passages_each_for_itself_and_count_as_their_mean(encoder: Written) -> None:
    record = {"id": "q", "query": "nord", "passages": ["east", "down"]}
    means = (1 / 2, [1, 0, 0]), (1 / 2, [0, 0, -1])
    for use, weight, expected in (
        (Use.QUERY_DOC, QUERY_WEIGHT, unit((QUERY_WEIGHT, [0.1, 1, 0]), *means)),
        (Use.QUERY_DOC, 2.0, unit((2, [0.1, 1, 0]), *means)),
        (Use.DOC, 2.0, unit(*means)),
        (Use.QUERY, 2.0, unit((1, [0.1, 1, 0]))),
    ):
        [made] = meanings([(record, "t:1")], encoder, Meant(use, query_weight=weight), Known())
        assert not isinstance(made, QueryError)
        assert made.vector == pytest.approx(expected, abs=1e-6)


def test_passages_alone_are_asked_for_where_there_are_none(encoder: Written) -> None:
    with pytest.raises(InputError, match='t:1: no "passages"'):
        meanings([({"id": "q", "query": "nord"}, "t:1")], encoder, Meant(Use.DOC), Known())
    failed = {"id": "q", "query": "nord", "error": {"step": "expand", "message": "no"}}
    [made] = meanings([(failed, "t:1")], encoder, Meant(Use.DOC), Known())
    assert not isinstance(made, QueryError)


def test_texts_are_encoded_together_and_once(encoder: Written) -> None:
    known = Known()
    encoder.asked.clear()
    records = [({"id": str(n), "query": text}, "t:1") for n, text in enumerate(["nord", "east?", "nord"])]
    meanings(records, encoder, Meant(), known)
    meanings(records, encoder, Meant(), known)
    assert encoder.asked == [(Side.QUERY, ["nord", "east?"])]


# ---------------------------------------------------------------- what is found


def test_documents_are_found_by_their_cosine(index: Index, encoder: Written) -> None:
    retriever = dense(index, encoder, Meant(encode=Encode.QUERY))
    best = retriever.best(retriever.query(TRANSLATED, "t:1"), 10, None)
    assert index.documents.ids(best.numbers) == ["d2", "d3", "d1", "d4"]
    query, stored = unit((1, [1, 0.1, 0])), {"d2": [1, 0, 0], "d3": [1, 1, 0], "d1": [0, 1, 0], "d4": [0, 0, -1]}
    assert best.scores == pytest.approx([float(query @ unit((1, stored[one]))) for one in stored], abs=1e-3)


def test_a_record_whose_text_cannot_be_encoded_fails_and_the_others_go_on(index: Index, encoder: Written) -> None:
    records = [{"id": "1", "query": "nord"}, {"id": "2", "query": "bad"}, {"id": "3", "query": "east?"}]
    found = list(search(iter(records), dense(index, encoder), 2, lambda: "t:1", k=1))
    assert [[hit["id"] for hit in record.get("hits", [])] for record in found] == [["d1"], [], ["d2"]]
    assert found[1]["error"] == {"step": "search", "message": "the server says no"}


def test_many_queries_are_found_as_each_alone(index: Index, encoder: Written) -> None:
    texts = [text for side, text in VECTORS if side is Side.QUERY and text != "bad"] * 100
    records = [{"id": str(n), "query": text} for n, text in enumerate(texts)]
    together = list(search(iter(records), dense(index, encoder), 2, lambda: "t:1"))
    assert [record["id"] for record in together] == [record["id"] for record in records]
    alone = {
        text: next(search(iter([{"id": "q", "query": text}]), dense(index, encoder), 1, lambda: "t:1"))["hits"]
        for text in set(texts)
    }
    assert all(record["hits"] == alone[record["query"]] for record in together)


@pytest.mark.parametrize(
    ("feedback", "weight"),
    [
        (VectorFeedback(Method.MEAN, 2), 2.0),  # the mean of three vectors, of which the query is one
        (VectorFeedback(Method.ROCCHIO, 2), 0.1 / 0.9),
        (VectorFeedback(Method.ROCCHIO, 2, 0.5), 0.5),
    ],
)
def test_feedback_adds_the_mean_of_the_first_documents(
    index: Index, encoder: Written, feedback: VectorFeedback, weight: float
) -> None:
    retriever = dense(index, encoder, feedback=feedback)
    query = retriever.query({"id": "q", "query": "nord"}, "t:1")
    first = numpy.mean([unit((1, [0, 1, 0])), unit((1, [1, 1, 0]))], axis=0)  # d1 and d3
    expected = unit((1, [0.1, 1, 0])) + weight * first
    fed = retriever.fed(query, None)
    assert fed.vector == pytest.approx(expected / numpy.linalg.norm(expected), abs=1e-3)
    assert retriever.found([query], 4, [None])[0].scores == pytest.approx(retriever.best(fed, 4, None).scores)


# ---------------------------------------------------------------- why


def test_what_each_text_adds_sums_to_the_score(index: Index, encoder: Written) -> None:
    retriever = dense(index, encoder, feedback=VectorFeedback(Method.ROCCHIO, 1))
    record = {**TRANSLATED, "passages": ["down", "north east"]}
    query = retriever.fed(retriever.query(record, "t:1"), None)
    for number in range(4):
        why = retriever.explain(query, number)
        assert sum(share.score for share in why.terms) == pytest.approx(why.score, abs=1e-5)
        assert {share.term for share in why.terms} == {SOURCE, QUERY, "passage 1", "passage 2", FEEDBACK}
        said = retriever.explained(query, number)
        assert (said["by"], said["score"], said["window"], said["windows"]) == ("dense", why.score, 1, 1)


def test_an_account_has_the_states_that_differ(index: Index, encoder: Written) -> None:
    retriever = dense(index, encoder)
    query = retriever.query(TRANSLATED, "t:1")
    account = retriever.account(TRANSLATED, query, query, "t:1", None, True)
    assert [state for state, _ in account.states] == [SOURCE, QUERY, SEARCHED]
    plain = {"id": "q", "query": "nord"}
    query = retriever.query(plain, "t:1")
    assert [state for state, _ in retriever.account(plain, query, query, "t:1", None, True).states] == [QUERY]


@pytest.mark.parametrize("text", ["", "   ", "\u200b", "\ud800"])
def test_a_query_without_text_has_no_hits(index: Index, encoder: Written, text: str) -> None:
    """As by words: the vector of nothing would be that of a prefix, near to whatever it is near to."""
    retriever = dense(index, encoder, feedback=VectorFeedback(Method.ROCCHIO))
    records: list[Record] = [
        {"id": "1", "query": text},
        {"id": "2", "query": "nord"},
        {"id": "3", "query": text, "passages": [" "]},
    ]
    found = list(search(iter(records), retriever, 2, lambda: "t:1", k=1))
    assert [[hit["id"] for hit in record["hits"]] for record in found] == [[], ["d1"], []]
    query = retriever.query(records[0], "t:1")
    assert (retriever.rank(query, 0, None), retriever.explain(query, 0).score) == (None, 0.0)
    account = retriever.account(records[0], query, query, "t:1", None, False)
    assert [state for state, _ in account.states] == [QUERY]
    with_passage = retriever.query({"id": "4", "query": text, "passages": ["east"]}, "t:1")
    assert index.documents.ids(retriever.best(with_passage, 1, None).numbers) == ["d2"]
