"""Search among vectors beside a ten-line reference in double precision, and what the vectors of documents are."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy
import pytest
from numpy.typing import NDArray
from vectors_for_tests import Floats, of_examples, unit

from xqe.errors import XqeError
from xqe.files.records import Document
from xqe.models.encoders.base import Contract, Encoded, Encoder, Side
from xqe.models.encoders.fake import FakeEncoder
from xqe.retrieval.choices import Precision, Windows
from xqe.retrieval.dense import Vectors, embedded, open_vectors
from xqe.retrieval.dense.building import embed
from xqe.retrieval.dense.description import Storing
from xqe.retrieval.lexical import Index, build, open_index

K = 7
WORDS = ["harbour", "gate", "lighthouse", "pier", "anchor", "sail", "mast", "hull", "rope", "deck"]


class Given(Encoder):
    """Vectors that a test gives: a text is the numbers of its windows, between spaces."""

    def __init__(self, vectors: Floats, name: str = "given") -> None:
        self.vectors, self.name = vectors, name

    @property
    def contract(self) -> Contract:
        return Contract({"model": self.name}, None, "", "", self.vectors.shape[1], None)

    def encode(self, texts: Sequence[str], side: Side) -> Encoded:
        if (found := of_examples(texts, self.contract.dimension)) is not None:
            return found
        return Encoded(self.vectors[[int(text.split()[0]) for text in texts]].astype(numpy.float32))

    def windows(self, texts: Sequence[str], tokens: int, overlap: int) -> list[list[str]]:
        return [text.split() for text in texts]

    def close(self) -> None:
        pass


def drawn(count: int, dimension: int, seed: int = 0) -> Floats:
    """Vectors that are close to one another, as those of texts are."""
    generator = numpy.random.default_rng(seed)
    return unit(generator.standard_normal((count, dimension)) + 2 * generator.standard_normal(dimension))


def queries_like(count: int, dimension: int, seed: int) -> NDArray[numpy.float32]:
    """Queries that double precision multiplies and sums exactly, as the reference is to."""
    return (numpy.rint(drawn(count, dimension, seed) * 2**20) / 2**20).astype(numpy.float32)


def index_of(directory: Path, texts: Sequence[str], ids: Sequence[str] | None = None) -> Index:
    names = ids or [f"d{number}" for number in range(len(texts))]
    documents = ((f"f:{at + 1}", Document(names[at], text)) for at, text in enumerate(texts))
    build(directory, "en", documents)
    return open_index(directory)


def made(
    directory: Path, index: Index, encoder: Encoder, storing: Storing | None = None, threads: int | None = None
) -> Vectors:
    for _ in embed(directory, index.documents, encoder, storing or Storing()):
        pass
    return open_vectors(directory, index.documents, encoder.name, threads)


def shuffled(count: int) -> list[str]:
    """Ids in another order than the documents."""
    ids = [f"d{number}" for number in range(count)]
    random.Random(1).shuffle(ids)
    return ids


def reference(scores: Floats, ids: Sequence[str], pool: Sequence[int] | None, k: int) -> list[tuple[str, float]]:
    """The best documents by score, as float32, and then by id."""
    found = [(float(numpy.float32(scores[at])), ids[at]) for at in (range(len(ids)) if pool is None else pool)]
    return [(name, score) for score, name in sorted(found, reverse=True)[:k]]


def named(index: Index, found: tuple[NDArray[numpy.int64], NDArray[numpy.float32]]) -> list[tuple[str, float]]:
    return list(zip(index.documents.ids(found[0]), found[1].tolist(), strict=True))


def kept(vectors: Floats, precision: Precision) -> Floats:
    """What is left of vectors when they are stored."""
    single = vectors.astype(numpy.float32)
    if precision is Precision.F16:
        return single.astype(numpy.float16).astype(numpy.float64)
    steps = numpy.rint(single / (numpy.abs(single).max(axis=1, keepdims=True) / numpy.float32(127)))
    return unit(steps.astype(numpy.float64))


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("windows", [Windows.NONE, Windows.MAX, Windows.MEAN])
def test_the_best_of_all_are_those_of_the_definition(tmp_path: Path, precision: Precision, windows: Windows) -> None:
    count, dimension, queries = 1500, 40, queries_like(66, 40, 1)
    rows = drawn(2 * count, dimension)
    rows[500:900] = rows[100]  # scores that are equal, and more of them than are asked for
    owners = [[at] for at in range(count)]
    if windows is not Windows.NONE:
        draw = random.Random(2)
        owners = [draw.sample(range(2 * count), draw.choice([1, 1, 2, 5, 30])) for _ in range(count)]
    ids = shuffled(count)
    index = index_of(tmp_path / "ix", [" ".join(map(str, own)) for own in owners], ids)
    cut = None if windows is Windows.NONE else 32
    vectors = made(tmp_path / "ix", index, Given(rows), Storing(precision, windows, cut, cut and 0))
    if windows is Windows.MEAN:
        means = numpy.stack([rows[own].astype(numpy.float32).mean(axis=0, dtype=numpy.float64) for own in owners])
        whole = kept(unit(means), precision)
        scores = queries @ whole.T
    else:
        products = queries.astype(numpy.float64) @ kept(rows, precision).T
        scores = numpy.stack([products[:, own].max(axis=1) for own in owners], axis=1)
    draw = random.Random(3)
    pools: list[list[int] | None] = [None] * 50
    pools += [sorted(draw.sample(range(count), size)) for size in (0, 1, 5, 40, 100, 1000, 1450) for _ in range(2)]
    shared = sorted(draw.sample(range(count), 750))
    pools += [shared, shared]
    arrays = [None if pool is None else numpy.array(pool, numpy.int64) for pool in pools]
    for k in (1, K, 450, 5000):
        for found, expected, pool in zip(vectors.best(queries, k, arrays), scores, pools, strict=True):
            wanted = reference(expected, ids, pool, k)
            if precision is Precision.F16 and windows is not Windows.MEAN:
                assert named(index, found) == wanted
            else:  # a scale is a rounded number, and so is a mean
                assert [score for _, score in named(index, found)] == pytest.approx(
                    [score for _, score in wanted], abs=1e-6
                )


def test_a_score_is_the_same_alone_in_a_pool_and_among_other_queries(tmp_path: Path) -> None:
    rows = drawn(2000, 96)
    index = index_of(tmp_path / "ix", [str(at) for at in range(2000)])
    vectors = made(tmp_path / "ix", index, Given(rows))
    queries = drawn(130, 96, 5).astype(numpy.float32)
    together = vectors.best(queries, 50)
    for query, (numbers, scores) in zip(queries, together, strict=True):
        (alone,) = vectors.best(query[None], 50)
        assert (alone[0] == numbers).all() and (alone[1] == scores).all()
        (pooled,) = vectors.best(query[None], 50, [numpy.sort(numbers)])
        assert (pooled[0] == numbers).all() and (pooled[1] == scores).all()
        assert [vectors.scores(query, numbers[at : at + 1])[0] for at in range(50)] == scores.tolist()


def test_any_number_of_threads_find_the_same(tmp_path: Path) -> None:
    rows = drawn(5000, 64)
    index = index_of(tmp_path / "ix", [str(at) for at in range(5000)])
    made(tmp_path / "ix", index, Given(rows))
    queries = drawn(20, 64, 9).astype(numpy.float32)
    found = [open_vectors(tmp_path / "ix", index.documents, threads=threads).best(queries, 30) for threads in (1, 2, 5)]
    for some in found[1:]:
        for (numbers, scores), (others, theirs) in zip(found[0], some, strict=True):
            assert (numbers == others).all() and (scores == theirs).all()


@pytest.mark.parametrize("windows", [Windows.NONE, Windows.MAX])
def test_ranks_are_the_places_among_all_or_in_a_pool(tmp_path: Path, windows: Windows) -> None:
    rows = drawn(900, 32)
    rows[300:400] = rows[7]
    ids = shuffled(300)
    index = index_of(tmp_path / "ix", [f"{at} {at + 300} {at + 600}" for at in range(300)], ids)
    cut = None if windows is Windows.NONE else 8
    vectors = made(tmp_path / "ix", index, Given(rows), Storing(Precision.F16, windows, cut, cut and 0))
    query = drawn(1, 32, 4)[0].astype(numpy.float32)
    pool = numpy.arange(0, 300, 3)
    for among in (None, pool):
        (found,) = vectors.best(query[None], 300, [among])
        ranks = [vectors.rank(query, number, among) for number in found[0].tolist()]
        assert ranks == list(range(1, len(found[0]) + 1))
    assert vectors.rank(query, 1, pool) is None


def test_the_vectors_of_documents(tmp_path: Path) -> None:
    rows = drawn(30, 24)
    texts = ["0 1 2", "3", "4 5", "6 7 8 9"]
    index = index_of(tmp_path / "ix", texts)
    vectors = made(tmp_path / "ix", index, Given(rows), Storing(Precision.F16, Windows.MAX, 8, 0))
    numbers = numpy.array([3, 0, 1])
    expected = unit(numpy.stack([rows[6:10].mean(axis=0), rows[0:3].mean(axis=0), rows[3]]))
    assert numpy.abs(vectors.of(numbers) - expected).max() < 1e-3
    assert numpy.linalg.norm(vectors.of(numbers), axis=1) == pytest.approx([1, 1, 1], abs=1e-6)
    assert vectors.of(numbers).dtype == numpy.float32
    assert [vectors.nearest(rows[at].astype(numpy.float32), 3) for at in (6, 8, 9)] == [0, 2, 3]
    assert vectors.nearest(rows[20].astype(numpy.float32), 1) == 0
    assert (
        len(vectors.of(numpy.empty(0, numpy.int64)))
        == len(vectors.scores(rows[0].astype(numpy.float32), numbers[:0]))
        == 0
    )


def test_words_are_found_by_an_encoder(tmp_path: Path) -> None:
    index = index_of(tmp_path / "ix", ["the harbour gate", "a lighthouse", "rope and deck", ""])
    vectors = made(tmp_path / "ix", index, FakeEncoder())
    with FakeEncoder() as encoder:
        queries = encoder.encode(["lighthouse", "deck rope"], Side.QUERY).vectors
    assert [index.documents.ids(numbers) for numbers, _ in vectors.best(queries, 1)] == [["d1"], ["d2"]]
    assert (vectors.name, vectors.description.rows, vectors.description.truncated) == ("fake", 4, 0)


class _OneForAll(Given):
    """An encoder to which every text means the same, also one of no words."""

    def __init__(self) -> None:
        super().__init__(unit(numpy.ones((1, 8))))

    def encode(self, texts: Sequence[str], side: Side) -> Encoded:
        return Encoded(self.vectors[[0] * len(texts)].astype(numpy.float32))

    def windows(self, texts: Sequence[str], tokens: int, overlap: int) -> list[list[str]]:
        return [text.split() or [""] for text in texts]


@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize("windows", list(Windows))
def test_a_document_without_text_is_not_found(tmp_path: Path, precision: Precision, windows: Windows) -> None:
    index = index_of(tmp_path / "ix", ["a b", "", "  ", "c"])
    storing = Storing(precision) if windows is Windows.NONE else Storing(precision, windows, 4, 0)
    vectors = made(tmp_path / "ix", index, _OneForAll(), storing)
    [(numbers, scores)] = vectors.best(unit(numpy.ones((1, 8))).astype(numpy.float32), 4)
    assert index.documents.ids(numbers) == ["d3", "d0"]
    assert scores == pytest.approx([1, 1], abs=0.01)


def test_several_encoders_side_by_side(tmp_path: Path) -> None:
    directory = tmp_path / "ix"
    index = index_of(directory, [f"{at} {WORDS[at]}" for at in range(10)])
    assert embedded(directory) == []
    with pytest.raises(XqeError, match="has no vectors; make them: xqe embed"):
        open_vectors(directory, index.documents)
    made(directory, index, Given(drawn(10, 8), "some/model"))
    assert open_vectors(directory, index.documents).name == "some/model"
    with pytest.raises(XqeError, match="has no vectors of fake, only of some/model"):
        open_vectors(directory, index.documents, "fake")
    made(directory, index, FakeEncoder())
    assert [one.encoder for one in embedded(directory)] == ["fake", "some/model"]
    with pytest.raises(XqeError, match="several encoders: fake, some/model; choose with --encoder"):
        open_vectors(directory, index.documents)
    list(embed(directory, index.documents, Given(drawn(10, 12), "some/model"), Storing()))  # of another contract
    with pytest.raises(XqeError, match="several sets of vectors of some/model"):
        open_vectors(directory, index.documents, "some/model")
    for one in embedded(directory):
        assert open_vectors(directory, index.documents, one.folder_name).description == one
