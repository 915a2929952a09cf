"""Approximate search beside exact search of the same vectors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy
import pytest
from conftest import Run, jsonl

from xqe.errors import MissingExtraError, XqeError
from xqe.models.encoders.fake import FakeEncoder
from xqe.retrieval.dense import Vectors, approximate, open_vectors
from xqe.retrieval.dense.building import add_graph
from xqe.retrieval.lexical import open_index

COUNT = 3000


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index whose documents are pairs of words, with vectors of windows of one word, and a graph."""
    from xqe.cli import run

    folder = tmp_path_factory.mktemp("approximate")
    documents = folder / "documents.jsonl"
    documents.write_text(jsonl(*({"id": f"d{at:04}", "text": f"w{at} v{at % 700}"} for at in range(COUNT))))
    arguments = ["--encoder", "fake", "--windows", "max", "--window-tokens", "1", "--overlap", "0", "--approximate"]
    assert run(["index", str(folder / "ix"), "--lang", "en", "-i", str(documents)]) == 0
    assert run(["embed", str(folder / "ix"), *arguments]) == 0
    return folder / "ix"


@pytest.fixture
def vectors(directory: Path) -> Vectors:
    return open_vectors(directory, open_index(directory).documents)


def overlap(exact: Any, found: Any) -> float:
    parts = [len({*a[0].tolist()} & {*b[0].tolist()}) / len(a[0]) for a, b in zip(exact, found, strict=True)]
    return sum(parts) / len(parts)


def test_it_finds_most_of_the_best_with_their_exact_scores(vectors: Vectors) -> None:
    queries = vectors.of(numpy.arange(0, COUNT, 41))
    exact, found = vectors.best(queries, 5), vectors.best(queries, 5, approximate=True)
    assert overlap(exact, found) > 0.9
    for query, (numbers, scores) in zip(queries, found, strict=True):
        assert len(numbers) == 5
        assert (vectors.scores(query, numbers) == scores).all()
        assert (numpy.diff(scores) <= 0).all()
    (alone,) = vectors.best(queries[:1], 5, approximate=True)
    assert (alone[0] == found[0][0]).all()


def test_what_it_found_was_measured(vectors: Vectors) -> None:
    described = vectors.description.approximate
    assert described is not None and described["connectivity"] == 16
    assert 0.9 < described["recall"]["10"] <= 1


def test_pools_and_great_depths_are_answered_exactly(vectors: Vectors) -> None:
    queries = vectors.of(numpy.arange(3))
    pool = numpy.arange(1, COUNT, 2)
    for k, pools in ((10, [pool] * 3), (2000, None)):
        for (numbers, scores), (others, theirs) in zip(
            vectors.best(queries, k, pools), vectors.best(queries, k, pools, approximate=True), strict=True
        ):
            assert (numbers == others).all() and (scores == theirs).all()


def test_a_graph_can_be_added_to_vectors_that_are_there(xqe: Run, tmp_path: Path) -> None:
    texts = jsonl(*({"id": f"d{at}", "text": f"harbour {at}"} for at in range(30)))
    directory = str(tmp_path / "ix")
    assert xqe("index", directory, "--lang", "en", "--encoder", "fake", stdin=texts).returncode == 0
    vectors = open_vectors(Path(directory), open_index(Path(directory)).documents)
    with pytest.raises(XqeError, match=f"no graph.*: xqe embed {directory} --encoder fake --approximate"):
        vectors.best(vectors.of(numpy.arange(2)), 1, approximate=True)
    (rows,) = (tmp_path / "ix").glob("data-*/dense-*/rows")
    written = rows.stat().st_mtime_ns
    done = json.loads(xqe("embed", directory, "--encoder", "fake", "--approximate").stdout)
    assert done["approximate"]["recall"] == {"10": 1.0, "100": 1.0}
    assert rows.stat().st_mtime_ns == written
    again = xqe("embed", directory, "--encoder", "fake", "--approximate")
    assert again.returncode == 2 and "has vectors of fake" in again.stderr
    assert xqe("embed", directory, "--verify").returncode == 0


def test_a_graph_that_is_damaged_is_told(directory: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(directory, tmp_path / "ix"))
    (graph,) = copy.glob("data-*/dense-*/approximate.usearch")
    damaged = bytearray(graph.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    graph.write_bytes(damaged)
    with pytest.raises(XqeError, match=r"approximate\.usearch: damaged"):
        open_vectors(copy, open_index(copy).documents)


def test_without_usearch_it_names_the_extra(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approximate, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"--approximate needs usearch; install it with.*xqe\[approximate\]"):
        list(add_graph(directory, open_index(directory).documents, FakeEncoder(), 1))
