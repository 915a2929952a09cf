"""Words and vectors together: both lists, fused as `fusion` fuses them, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from vectors_for_tests import Written, indexed

from xqe.errors import XqeError
from xqe.models.encoders.base import Side
from xqe.retrieval.bm25 import BM25
from xqe.retrieval.choices import By
from xqe.retrieval.dense import open_vectors
from xqe.retrieval.fusion import Fusion, method_named, norm_named
from xqe.retrieval.hybrid import Hybrid, Mixture
from xqe.retrieval.lexical import Index
from xqe.retrieval.nearest import Dense

DOCUMENTS = {"d1": "a harbour in winter", "d2": "the harbour", "d3": "a port", "d4": "mountains"}
VECTORS: dict[tuple[Side, str], list[float]] = {
    (Side.PASSAGE, "a harbour in winter"): [0.2, 1],
    (Side.PASSAGE, "the harbour"): [1, 0.2],
    (Side.PASSAGE, "a port"): [1, 0.1],
    (Side.PASSAGE, "mountains"): [-1, 0.3],
    (Side.QUERY, "harbour"): [1, 0],
    (Side.QUERY, "cliffs"): [1, 1],
}
RECORD = {"id": "q", "query": "harbour"}


@pytest.fixture(scope="module")
def encoder() -> Written:
    return Written(VECTORS)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, encoder: Written) -> Index:
    return indexed(tmp_path_factory.mktemp("hybrid") / "facts", DOCUMENTS, encoder)


def hybrid(index: Index, encoder: Written, mixture: Mixture | None = None) -> Hybrid:
    vectors = open_vectors(Path("facts"), index.documents)
    dense = Dense(index.name, "en", index.documents, vectors, encoder)
    return Hybrid({By.BM25: BM25(index), By.DENSE: dense}, mixture)


def lists(index: Index, encoder: Written) -> dict[str, dict[str, float]]:
    """What each side gives alone, document -> score."""
    sides = hybrid(index, encoder)._sides
    found = {}
    for by, side in sides.items():
        best = side.best(side.query(RECORD, "t:1"), 10, None)
        found[str(by)] = dict(zip(index.documents.ids(best.numbers), best.scores.tolist(), strict=True))
    return found


def scaled(scores: dict[str, float]) -> dict[str, float]:
    least, greatest = min(scores.values()), max(scores.values())
    return {name: (score - least) / (greatest - least) for name, score in scores.items()}


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_min_max_is_the_weighted_sum_of_both_lists_scaled(index: Index, encoder: Written, weight: float) -> None:
    words, vectors = lists(index, encoder).values()
    words, vectors = scaled(words), scaled(vectors)
    expected = {name: words.get(name, 0.0) + weight * vectors[name] for name in (vectors if weight else words)}
    retriever = hybrid(index, encoder, Mixture(dense_weight=weight))
    best = retriever.best(retriever.query(RECORD, "t:1"), 10, None)
    found = dict(zip(index.documents.ids(best.numbers), best.scores.tolist(), strict=True))
    assert found == pytest.approx(expected, abs=1e-6)
    assert list(found.values()) == sorted(found.values(), reverse=True)


@pytest.mark.parametrize("contrast", [0.1, 0.5])
def test_a_difference_of_cosines_counts_the_same_in_every_list(
    index: Index, encoder: Written, monkeypatch: pytest.MonkeyPatch, contrast: float
) -> None:
    """The automatic weight: 4 for a difference as large as the encoder's contrast, whichever documents there are."""
    words, vectors = lists(index, encoder).values()
    least = min(vectors.values())
    words = scaled(words)
    expected = {name: words.get(name, 0.0) + 4 * (vectors[name] - least) / contrast for name in vectors}
    monkeypatch.setattr(Dense, "contrast", contrast)
    retriever = hybrid(index, encoder)
    query = retriever.query(RECORD, "t:1")
    best = retriever.best(query, 10, None)
    assert dict(zip(index.documents.ids(best.numbers), best.scores.tolist(), strict=True)) == pytest.approx(expected)
    assert retriever.described(query, 10)["dense_weight"] == "auto"
    pool = index.documents.numbers(["d1", "d2"])
    few = retriever.best(query, 10, pool)
    ids = index.documents.ids(few.numbers)
    difference = abs(expected["d1"] - expected["d2"] - words["d1"] + words["d2"])
    assert few.scores.tolist()[ids.index("d2")] == pytest.approx(difference + 1.0)


def test_where_no_contrast_is_known_and_where_ranks_are_fused_vectors_count_twice(
    index: Index, encoder: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = Mixture(dense_weight=2.0)

    def scores(mixture: Mixture | None) -> list[float]:
        retriever = hybrid(index, encoder, mixture)
        found: list[float] = retriever.best(retriever.query(RECORD, "t:1"), 10, None).scores.tolist()
        return found

    assert scores(None) == scores(twice)
    monkeypatch.setattr(Dense, "contrast", 0.1)
    assert scores(None) != scores(twice)
    for fusion in (Fusion(method_named("rrf")), Fusion(method_named("combsum"), norm_named("zmuv"))):
        assert scores(Mixture(fusion)) == scores(Mixture(fusion, 2.0))


def test_reciprocal_ranks_are_summed(index: Index, encoder: Written) -> None:
    words, vectors = (sorted(side, key=lambda one: -side[one]) for side in lists(index, encoder).values())
    expected = {
        name: sum(1 / (60 + side.index(name) + 1) for side in (words, vectors) if name in side) for name in vectors
    }
    retriever = hybrid(index, encoder, Mixture(Fusion(method_named("rrf")), 1.0))
    best = retriever.best(retriever.query(RECORD, "t:1"), 10, None)
    assert dict(zip(index.documents.ids(best.numbers), best.scores.tolist(), strict=True)) == pytest.approx(expected)


def test_the_best_of_few_are_the_first_of_many(index: Index, encoder: Written) -> None:
    retriever = hybrid(index, encoder)
    query = retriever.query(RECORD, "t:1")
    assert retriever.best(query, 2, None).numbers.tolist() == retriever.best(query, 10, None).numbers.tolist()[:2]


def test_a_hit_says_its_rank_and_score_on_each_side(index: Index, encoder: Written) -> None:
    retriever = hybrid(index, encoder)
    best = retriever.best(retriever.query(RECORD, "t:1"), 10, None)
    said = dict(zip(index.documents.ids(best.numbers), best.said["from"], strict=True))
    for by, scores in lists(index, encoder).items():
        for rank, name in enumerate(sorted(scores, key=lambda one: -scores[one]), 1):
            assert said[name][by] == {"rank": rank, "score": scores[name]}
    assert set(said["d4"]) == {"dense"}  # which has no word of the query


def test_what_the_sides_add_sums_to_the_score(index: Index, encoder: Written) -> None:
    retriever = hybrid(index, encoder)
    query = retriever.query(RECORD, "t:1")
    best = retriever.best(query, 10, None)
    for rank, (number, score) in enumerate(zip(best.numbers.tolist(), best.scores.tolist(), strict=True), 1):
        why = retriever.explain(query, number)
        assert sum(share.score for share in why.terms) == pytest.approx(score, abs=1e-6)
        said = retriever.explained(query, number)
        assert (said["rank"], said["score"]) == (rank, pytest.approx(score))
        assert [side["by"] for side in said["sides"]] == ["bm25", "dense"]
        assert sum(side["adds"] or 0.0 for side in said["sides"]) == pytest.approx(score, abs=1e-6)


def test_a_side_without_hits_leaves_the_others(index: Index, encoder: Written) -> None:
    retriever = hybrid(index, encoder)
    query = retriever.query({"id": "q", "query": "cliffs"}, "t:1")  # a word that no document has
    best = retriever.best(query, 10, None)
    alone = retriever._sides[By.DENSE].best(query.queries[1], 10, None)
    assert best.numbers.tolist() == alone.numbers.tolist()


def test_scores_are_never_added_as_they_are() -> None:
    for norm in ("none", "max"):
        with pytest.raises(XqeError, match=f"--norm {norm} takes scores at face value"):
            Mixture(Fusion(method_named("combsum"), norm_named(norm))).check()
    with pytest.raises(XqeError, match="--dense-weight has no effect on --fusion combmax"):
        Mixture(Fusion(method_named("combmax")), 2.0).check()
