"""Search in several indexes at once: by words, by vectors and by both, beside references of a few lines."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy
import pytest
from conftest import FIXTURES, Run, jsonl, records

from xqe.errors import XqeError
from xqe.files.records import Document
from xqe.models.encoders.base import Side
from xqe.models.encoders.fake import FakeEncoder
from xqe.retrieval.dense import Vectors, open_vectors
from xqe.retrieval.dense.building import embed
from xqe.retrieval.dense.description import Storing
from xqe.retrieval.lexical import Index, build, open_index
from xqe.retrieval.together import DocumentsTogether, Part, VectorsTogether

LANGUAGES = ("en", "de", "es")
QUERIES = ["mercury planet", "a Silk Road harbour", "Wasser und Eis", "nothing of the kind", "el agua del mar"]


def documents(lang: str) -> list[dict[str, Any]]:
    """The fixtures of a language, with ids of their own and the name of the language."""
    lines = (FIXTURES / "documents" / f"{lang}.jsonl").read_text("utf-8").splitlines()
    return [{**(one := json.loads(line)), "id": f"{one['id']}.{lang}", "lang": lang} for line in lines]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index for each language, each in a folder of its name, with vectors of the fake encoder."""
    place = tmp_path_factory.mktemp("several")
    for lang in LANGUAGES:
        placed = (
            (f"{lang}:{at}", Document(one["id"], one["text"], one.get("title", "")))
            for at, one in enumerate(documents(lang), 1)
        )
        build(place / lang, lang, placed)
        for _ in embed(place / lang, open_index(place / lang).documents, FakeEncoder(), Storing()):
            pass
    return place


@pytest.fixture(scope="module")
def indexes(place: Path) -> list[Index]:
    return [open_index(place / lang) for lang in LANGUAGES]


@pytest.fixture(scope="module")
def together(indexes: list[Index]) -> DocumentsTogether:
    return DocumentsTogether([Part(index.name, index.manifest.language, index.documents) for index in indexes])


@pytest.fixture(scope="module")
def vectors(place: Path, indexes: list[Index], together: DocumentsTogether) -> VectorsTogether:
    parts: list[Vectors] = [
        open_vectors(place / lang, index.documents) for lang, index in zip(LANGUAGES, indexes, strict=True)
    ]
    return VectorsTogether(parts, together)


def hits(done: Any) -> list[list[tuple[str, float]]]:
    assert (done.returncode, done.stderr) == (0, "")
    return [[(hit["id"], hit["score"]) for hit in record["hits"]] for record in records(done)]


def asked() -> str:
    return jsonl(*({"id": f"q{at}", "query": query} for at, query in enumerate(QUERIES)))


# ---------------------------------------------------------------- documents


def test_documents_are_numbered_one_index_after_the_other(together: DocumentsTogether) -> None:
    names = [one["id"] for lang in LANGUAGES for one in documents(lang)]
    assert together.ids(numpy.arange(len(together))) == names
    assert together.numbers([names[90], "none", names[3], names[41]]).tolist() == [90, -1, 3, 41]
    assert together.languages(numpy.array([0, 119, 40, 39])) == ["en", "es", "de", "en"]
    assert together.counts() == {"en": 40, "de": 40, "es": 40}
    pool, missing = together.pool([names[90], "none", names[3], names[41]])
    assert (pool.tolist(), missing) == ([3, 41, 90], 1)
    assert [part.tolist() for part in together.pools(pool) if part is not None] == [[3], [1], [10]]
    assert together.text(90) == indexed_text(names[90])


def indexed_text(name: str) -> str:
    one = next(one for one in documents(name.partition(".")[2]) if one["id"] == name)
    return "\n\n".join(filter(None, (one.get("title"), one["text"])))


def test_an_id_in_two_indexes_is_named(indexes: list[Index]) -> None:
    part = Part("one", "en", indexes[0].documents)
    with pytest.raises(XqeError, match=r'document "\w+\.en" is in two indexes, one and other'):
        DocumentsTogether([part, Part("third", "de", indexes[1].documents), part._replace(name="other")])


# ---------------------------------------------------------------- vectors


@cache
def kept() -> tuple[list[str], Any]:
    """The ids of all documents, and their vectors, which are kept in 16 bits."""
    ids = [row["id"] for lang in LANGUAGES for row in documents(lang)]
    return ids, FakeEncoder().encode(list(map(indexed_text, ids)), Side.PASSAGE).vectors.astype(numpy.float16)


def reference(query: str) -> list[tuple[str, float]]:
    """All documents by the cosine of their vectors."""
    ids, vectors = kept()
    asked = FakeEncoder().encode([query], Side.QUERY).vectors[0].astype(numpy.float64)
    scores = (vectors.astype(numpy.float64) @ asked).astype(numpy.float32).tolist()
    found = sorted(zip(scores, ids, strict=True), reverse=True)
    return [(name, score) for score, name in found]


def test_the_nearest_of_all_are_found(xqe: Run, place: Path) -> None:
    folders = [str(place / lang) for lang in LANGUAGES]
    for found, query in zip(
        hits(xqe("search", *folders, "--by", "dense", "-k", "50", stdin=asked())), QUERIES, strict=True
    ):
        expected = reference(query)[:50]
        assert [name for name, _ in found] == [name for name, _ in expected]
        assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-6)


def test_vectors_together_are_those_of_each(vectors: VectorsTogether, together: DocumentsTogether) -> None:
    query = FakeEncoder().encode(["mercury planet"], Side.QUERY).vectors[0]
    ranked = [name for name, _ in reference("mercury planet")]
    numbers = together.numbers(ranked)
    assert [vectors.rank(query, number, None) for number in numbers.tolist()] == list(range(1, 121))
    pool = numpy.sort(numbers[::7])
    assert [vectors.rank(query, number, pool) for number in numbers[::7].tolist()] == list(range(1, len(pool) + 1))
    assert vectors.rank(query, int(numbers[1]), pool) is None
    [(found, scores)] = vectors.best(query[None], 200, [pool])
    assert found.tolist() == numbers[::7].tolist()
    assert scores.tolist() == vectors.scores(query, found).tolist()
    assert vectors.of(numbers[:5]) @ query == pytest.approx(vectors.scores(query, numbers[:5]), abs=1e-3)
    assert vectors.of(numbers[:0]).shape == (0, 64)


def test_feedback_looks_at_the_first_of_all(xqe: Run, place: Path) -> None:
    folders = [str(place / lang) for lang in LANGUAGES]
    first = [name for name, _ in reference(QUERIES[0])[:2]]
    encoder = FakeEncoder()
    own = encoder.encode([QUERIES[0]], Side.QUERY).vectors[0]
    theirs = encoder.encode([indexed_text(name) for name in first], Side.PASSAGE).vectors
    moved = own + theirs.sum(axis=0)  # mean: 2 x the mean of two
    options = ("--by", "dense", "--feedback", "mean", "--feedback-docs", "2", "-k", "3")
    found = hits(xqe("search", *folders, *options, QUERIES[0]))[0]
    texts = [indexed_text(name) for name, _ in found]
    cosines = encoder.encode(texts, Side.PASSAGE).vectors @ (moved / numpy.linalg.norm(moved))
    assert [score for _, score in found] == pytest.approx(cosines.tolist(), abs=1e-3)


# ---------------------------------------------------------------- words, and what is fused


def lists_of(xqe: Run, place: Path, *options: str) -> list[list[list[tuple[str, float]]]]:
    """The hits of each index by itself, for each query."""
    return [hits(xqe("search", str(place / lang), *options, stdin=asked())) for lang in LANGUAGES]


@pytest.mark.parametrize("by", ["bm25", "dense", "hybrid"])
def test_lists_are_fused_by_their_ranks(xqe: Run, place: Path, by: str) -> None:
    folders = [str(place / lang) for lang in LANGUAGES]
    options = ("--by", by, *(["--per-language"] if by != "bm25" else []))
    done = xqe("search", *folders, *options, "-k", "60", stdin=asked())
    lists = lists_of(xqe, place, "--by", by)
    for at, found in enumerate(hits(done)):
        points = [
            (float(numpy.float32(1 / (60 + rank))), name) for one in lists for rank, (name, _) in enumerate(one[at], 1)
        ]
        assert found == [(name, score) for score, name in sorted(points, reverse=True)[:60]]
    for record in records(done):
        assert record["index"]["languages"] == {"en": 40, "de": 40, "es": 40}
        assert record["index"]["lang"] == "en,de,es"
        assert all(hit["lang"] == hit["id"].partition(".")[2] for hit in record["hits"])
        assert all(list(hit["from"]) == [hit["lang"]] for hit in record["hits"])


def test_scores_may_be_standardised(xqe: Run, place: Path) -> None:
    """Z-scores of the hits of each index, as Savoy and Berger merge them."""
    folders = [str(place / lang) for lang in LANGUAGES]
    done = xqe("search", *folders, "--by", "bm25", "--fusion", "combsum", "--norm", "zmuv", stdin=asked())
    lists = lists_of(xqe, place, "--by", "bm25")
    for at, found in enumerate(hits(done)):
        expected: dict[str, float] = {}
        for one in lists:
            scores = numpy.array([score for _, score in one[at]])
            deviation = scores.std() if len(scores) else 0
            for name, score in one[at]:
                expected[name] = (score - scores.mean()) / deviation if deviation else 0.0
        assert dict(found) == pytest.approx(expected, abs=1e-5)


def test_hybrid_fuses_the_words_of_all_with_the_nearest_of_all(xqe: Run, place: Path) -> None:
    folders = [str(place / lang) for lang in LANGUAGES]
    words_as_they_are = ("--source-weight", "0.5", "--fusion", "combsum", "--norm", "none")
    words, nearest = (
        hits(xqe("search", *folders, "--by", by, *words_as_they_are, stdin=asked()))
        if by == "bm25"
        else hits(xqe("search", *folders, "--by", by, stdin=asked()))
        for by in ("bm25", "dense")
    )
    for at, found in enumerate(hits(xqe("search", *folders, stdin=asked()))):
        expected: dict[str, float] = {}
        for one, weight in ((words[at], 1.0), (nearest[at], 2.0)):
            scores = [score for _, score in one]
            for name, score in one:
                span = max(scores) - min(scores)
                expected[name] = expected.get(name, 0.0) + weight * ((score - min(scores)) / span if span else 1.0)
        assert dict(found) == pytest.approx(expected, abs=1e-5)


def test_a_pool_holds_in_all(xqe: Run, place: Path, tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    pool.write_text("astro1.en\nastro1.de\nastro2.es\n")
    folders = [str(place / lang) for lang in LANGUAGES]
    for options in (("--by", "bm25"), ("--by", "dense"), ("--by", "dense", "--per-language"), ("--by", "hybrid")):
        found = hits(xqe("search", *folders, *options, "--pool", str(pool), "Merkur mercury"))[0]
        assert {name for name, _ in found} <= {"astro1.en", "astro1.de", "astro2.es"} and found


# ---------------------------------------------------------------- why


def test_explain_says_where_a_document_stands_in_its_index_and_in_all(xqe: Run, place: Path) -> None:
    also = [option for lang in ("de", "es") for option in ("--also", str(place / lang))]
    one = ("--by", "bm25", "mercury planet", "astro1.en")
    alone = records(xqe("explain", *one[:2], str(place / "en"), *one[2:]))[0]
    row = records(xqe("explain", *one[:2], str(place / "en"), *one[2:], *also))[0]
    folders = [str(place / lang) for lang in LANGUAGES]
    found = hits(xqe("search", *folders, "--by", "bm25", "mercury planet"))[0]
    rank = [name for name, _ in found].index("astro1.en") + 1
    assert row == alone | {
        "index": "en",
        "lang": "en",
        "fused": {"rank": rank, "documents": 120, "fusion": "rrf", "rrf_k": 60},
    }


@pytest.mark.parametrize("options", [("--by", "bm25"), ("--by", "dense"), ("--by", "hybrid"), ("--per-language",)])
def test_trace_shows_the_hits_of_a_search(xqe: Run, place: Path, options: tuple[str, ...]) -> None:
    named = [option for lang in LANGUAGES for option in ("--index", str(place / lang))]
    done = xqe("trace", *named, *options, "-k", "5", "--relevant", "astro1.de", "mercury planet")
    [record] = records(done)
    folders = [str(place / lang) for lang in LANGUAGES]
    found = hits(xqe("search", *folders, *options, "-k", "5", "mercury planet"))[0]
    assert [(hit["id"], hit["score"]) for hit in record["hits"]] == found
    assert record["trace"]["documents"] == 120
    assert record["trace"]["relevant"][0]["document"] == "astro1.de"


# ---------------------------------------------------------------- what cannot be


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{en}", "{de}", "one", "two"], '"one" is not an index'),
        (["mercury", "{en}"], "is; the index is first, a query the last"),
        (["{en}", "mercury", "--per-language"], "--per-language has no effect on one index"),
        (["{en}", "{de}", "mercury", "--by", "bm25", "--per-language"], "--per-language has no effect"),
        (["{en}", "{de}", "mercury", "--by", "bm25", "--norm", "zmuv"], "add --fusion combsum"),
        (["{en}", "{de}", "mercury", "--by", "dense", "--fusion", "rrf"], "--fusion has no effect"),
        (["{en}", "{de}", "mercury", "--by", "hybrid", "--norm", "none", "--fusion", "combsum"], "--norm none"),
        (["{en}", "{en}", "mercury"], "is in two indexes, en and en"),
        (["{en}", "missing"], ""),
    ],
)
def test_what_means_nothing_is_one_line(xqe: Run, place: Path, arguments: list[str], said: str) -> None:
    done = xqe("search", *(one.format(**{lang: place / lang for lang in LANGUAGES}) for one in arguments))
    if not said:  # what is no folder is a query, as ever
        assert done.returncode == 0
        return
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr


def test_vectors_of_another_encoder_are_refused(xqe: Run, place: Path, tmp_path: Path) -> None:
    build(tmp_path / "nl", "nl", [("f:1", Document("x", "water"))])
    done = xqe("search", str(place / "en"), str(tmp_path / "nl"), "--by", "dense", "water")
    assert done.returncode == 2 and "has no vectors" in done.stderr
    assert hits(xqe("search", str(place / "en"), str(tmp_path / "nl"), "water"))[0]  # by words
