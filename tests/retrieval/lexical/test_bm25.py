"""BM25 held against a ten-line reference: any k1 and b, all languages, hits as if all documents had been scored."""

from __future__ import annotations

import json
import random
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest
from bm25_reference import bm25
from conftest import OF_FIXTURES, Run
from hypothesis import given, settings
from hypothesis import strategies as st

from xqe.files.records import Document
from xqe.retrieval.lexical import Index, Parameters, build
from xqe.retrieval.lexical.bm25 import Padding, excess, rounded_down
from xqe.retrieval.lexical.opened import Opened, open_single
from xqe.text.analysis import analyzer


def indexed(directory: Path, code: str, texts: Sequence[str], parameters: Parameters) -> Opened:
    build(
        directory, code, [(f"t:{n}", Document(f"d{n}", text)) for n, text in enumerate(texts, 1)], parameters=parameters
    )
    return open_single(directory)


def assert_hits(
    index: Index,
    weights: Mapping[str, float],
    k: int,
    expected: Mapping[str, float],
    parameters: Parameters | None = None,
) -> None:
    """The k best, in trec_eval's order of what float32 tells apart."""
    hits = index.search(weights, k, parameters=parameters)
    assert {hit.id: hit.score for hit in hits} == pytest.approx({hit.id: expected[hit.id] for hit in hits}, rel=1e-5)
    assert len(hits) == min(k, len(expected))
    kth = min((hit.score for hit in hits), default=0.0)
    left = [score for name, score in expected.items() if name not in {hit.id for hit in hits}]
    assert all(score <= kth * (1 + 1e-5) for score in left)
    assert hits == sorted(hits, key=lambda hit: (hit.score, hit.id), reverse=True)


# A dozen words a language, so that words meet, among them ones that its chain changes.
WORDS = {
    "ar": "الكتاب كتاب والمدرسة مدرسة في مدينة ١٢٣ كتب",
    "de": "Häuser Haus und Straße Strasse Buch Bücher Hafen",
    "en": "ships ship harbour harbours the running x86_64 café",
    "es": "canciones canción de puerto puertos barcos ciudad",
    "fr": "l'été d'été bateaux bateau port ports histoire",
    "hi": "किताब किताबें हिन्दी हिंदी शहर में घर",
    "id": "makanan makan rumah yang kapal pelabuhan kota",
    "it": "dell'arte arte città libri libro nave",
    "ja": "サーバ サーバー 東京都 港の船 食べました 本",
    "nl": "huizen huis boeken boek haven schepen de",
    "pt": "informações informação navio navios porto cidade",
    "ru": "книга книгами ёлка елка корабль порты город",
    "vi": "hòa hoà bình tiếng việt tàu cảng và",
    "zh": "北京大学 大学生 船和港口 研究 生命 书",
}
TEXTS = st.lists(st.lists(st.integers(0, 9), max_size=60), min_size=1, max_size=12)
PARAMETERS = st.builds(
    Parameters, st.sampled_from([0.0, 0.3, 0.9, 1.2, 2.0, 5.0]), st.sampled_from([0.0, 0.4, 0.75, 1.0])
)


@pytest.mark.parametrize("code", OF_FIXTURES)
@given(
    texts=TEXTS, query=st.lists(st.integers(0, 9), min_size=1, max_size=8), k=st.integers(1, 14), parameters=PARAMETERS
)
@settings(max_examples=4)
def test_scores_are_those_of_the_reference_in_each_language(
    code: str, texts: list[list[int]], query: list[int], k: int, parameters: Parameters
) -> None:
    words = WORDS[code].split()
    spoken = [" ".join(words[number % len(words)] for number in text) for text in texts]
    with tempfile.TemporaryDirectory() as folder:
        index = indexed(Path(folder) / "ix", code, spoken, parameters)
        weights = {
            term: float(count)
            for term, count in Counter(analyzer(code).terms(" ".join(words[n % len(words)] for n in query))).items()
        }
        collection = {f"d{n}": analyzer(code).terms(text) for n, text in enumerate(spoken, 1)}
        assert_hits(index, weights, k, bm25(collection, weights, parameters.k1, parameters.b))


# ---------------------------------------------------------------- a collection that is too large to look at all of it

N = 3000


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Documents of 0 to some 400 terms with Zipf's frequencies; a few are far longer than the rest."""
    rng = random.Random(7)
    words = [f"w{number}" for number in range(400)]
    frequencies = [1 / (number + 2) for number in range(400)]
    lengths = [min(400, int(rng.lognormvariate(3.2, 0.8))) for _ in range(N)]
    return [" ".join(rng.choices(words, frequencies, k=length)) for length in lengths]


QUERIES: list[dict[str, float]] = [
    {"w3": 1.0},
    {"w17": 1.0, "w120": 1.0},
    {"w1": 0.5, "w40": 2.0, "w55": 1.0, "w200": 3.0, "absent": 4.0},
    {f"w{number}": 1 + number % 5 for number in range(0, 400, 7)},
]


@pytest.fixture(scope="module")
def plain(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Index:
    """An index of them with the parameters that an index has when none are given."""
    return indexed(tmp_path_factory.mktemp("plain") / "ix", "zh", texts, Parameters(0.82, 0.68))


@pytest.mark.parametrize(("k1", "b"), [(0.82, 0.68), (0.4, 0.9), (2.0, 1.0), (1.2, 0.0), (0.0, 0.5)])
def test_hits_are_those_of_scoring_every_document(plain: Index, texts: list[str], k1: float, b: float) -> None:
    collection = {f"d{n}": text.split() for n, text in enumerate(texts, 1)}
    for weights in QUERIES:
        expected = bm25(collection, weights, k1, b)
        for k in (1, 10, 100, 2 * N):
            assert_hits(plain, weights, k, expected, Parameters(k1, b))


def test_parameters_given_to_a_search_are_as_good_as_those_of_the_index(
    tmp_path: Path, texts: list[str], plain: Index
) -> None:
    own = indexed(tmp_path / "own", "zh", texts, Parameters(0.9, 0.4))
    for weights in QUERIES:
        assert plain.search(weights, 50, parameters=Parameters(0.9, 0.4)) == own.search(weights, 50)
        assert own.search(weights, 50, parameters=Parameters(0.82, 0.68)) == plain.search(weights, 50)


def test_a_pool_changes_neither_scores_nor_order(plain: Index) -> None:
    everywhere = plain.search(QUERIES[3], N)
    for members in (range(1, N, 3), range(2000, 2010), range(0)):
        pool, missing = plain.documents.pool([f"d{number}" for number in members])
        inside = {f"d{number}" for number in members}
        assert missing == 0
        assert plain.search(QUERIES[3], 40, pool) == [hit for hit in everywhere if hit.id in inside][:40]


def test_a_large_pool_is_searched_through_candidates(plain: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    pool, _ = plain.documents.pool([f"d{number}" for number in range(1, N, 2)])
    scored = [plain.search(weights, 25, pool) for weights in QUERIES]
    monkeypatch.setattr("xqe.retrieval.lexical.looking._SMALL_POOL", 0)
    assert [plain.search(weights, 25, pool) for weights in QUERIES] == scored


def test_a_query_of_very_many_terms_is_looked_up_in_every_document(
    plain: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, _ = plain.documents.pool([f"d{number}" for number in range(1, N, 2)])
    found = [plain.search(QUERIES[3], 25), plain.search(QUERIES[3], 25, pool)]
    monkeypatch.setattr("xqe.retrieval.lexical.looking._MANY_TERMS", 5)
    assert [plain.search(QUERIES[3], 25), plain.search(QUERIES[3], 25, pool)] == found


def test_ranks_count_all_documents_in_the_order_of_hits(plain: Index) -> None:
    hits = plain.search(QUERIES[0], N)
    numbers = plain.documents.numbers([hit.id for hit in hits]).tolist()
    for rank in (1, 2, 57, len(hits)):
        assert plain.rank(QUERIES[0], numbers[rank - 1]) == rank
    without = next(number for number in range(N) if number not in set(numbers))
    assert plain.rank(QUERIES[0], without) is None


# ---------------------------------------------------------------- the bound


def test_lengths_are_rounded_as_lucene_rounds_them() -> None:
    lengths = [0, 23, 24, 39, 40, 41, 55, 56, 59, 1000]
    assert rounded_down(lengths).tolist() == [0, 23, 24, 39, 40, 40, 54, 56, 56, 984]


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=30), PARAMETERS, st.integers(0, 50), st.integers(1, 9))
def test_no_score_exceeds_the_bound(lengths: list[int], parameters: Parameters, pad: int, tf: int) -> None:
    """What tantivy adds for a term, times the bound, is no less than what the term adds."""
    padding = Padding.fitted(parameters, len(lengths), sum(lengths), pad)
    average = sum(lengths) / len(lengths)
    factor = excess(parameters, lengths, average, padding)
    held = [length + padding.pad for length in lengths]
    mean = (sum(held) + sum(padding.fillers)) / (len(held) + len(padding.fillers)) or 1.0
    theirs = 0.3 + 0.9 * rounded_down(held) / mean
    exact = parameters.norms(numpy.array(lengths), average)
    assert (factor * tf / (tf + theirs) >= tf / (tf + exact) * (1 - 1e-12)).all()


@pytest.mark.parametrize(("k1", "b"), [(0.9, 0.4), (1.5, 0.75), (2.0, 0.75), (0.82, 0.68), (1.2, 0.4)])
def test_padding_keeps_the_bound_near_one(tmp_path: Path, texts: list[str], k1: float, b: float) -> None:
    index = indexed(tmp_path / "ix", "zh", texts, Parameters(k1, b))
    unpadded = excess(Parameters(k1, b), index.vectors.lengths, index.manifest.average_length, Padding())
    assert index.manifest.excess < 1.1
    assert index.manifest.excess <= unpadded


# ---------------------------------------------------------------- the options


def test_parameters_on_the_command_line(xqe: Run, tmp_path: Path) -> None:
    documents = {"a": "ship ship ship harbour", "b": "ship harbour sun moon star", "c": "sun", "d": "moon star sea"}
    stdin = "".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in documents.items())

    def read(*arguments: str, stdin: str = "") -> Any:
        done = xqe(*arguments, stdin=stdin)
        assert done.returncode == 0
        return json.loads(done.stdout)

    summary = read("index", str(tmp_path / "ix"), "--lang", "zh", "--k1", "0.9", "--b", "0.4", stdin=stdin)
    assert (summary["k1"], summary["b"]) == (0.9, 0.4)
    collection = {name: text.split() for name, text in documents.items()}
    for options, k1, b in (((), 0.9, 0.4), (("--k1", "2"), 2.0, 0.4), (("--b", "0"), 0.9, 0.0)):
        record = read("search", str(tmp_path / "ix"), "ship sun", *options)
        assert (record["index"]["k1"], record["index"]["b"]) == (k1, b)
        assert {hit["id"]: hit["score"] for hit in record["hits"]} == pytest.approx(
            bm25(collection, {"ship": 1.0, "sun": 1.0}, k1, b), rel=1e-6
        )
