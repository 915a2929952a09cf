"""How well languages are aligned, beside a reference of a few lines; and xqe inspect --collection."""

from __future__ import annotations

import json
from hashlib import blake2b
from pathlib import Path

import numpy
import pytest
from collections_for_tests import fixture_collection
from conftest import Run, records
from numpy.typing import NDArray

from xqe.collections.layout import CollectionWriter
from xqe.collections.parallel import Texts, parallel_texts
from xqe.evaluation.alignment import alignments
from xqe.files.records import Document
from xqe.models.encoders.base import Side
from xqe.models.encoders.fake import FakeEncoder

LANGUAGES = ("en", "de", "es")
Matrix = NDArray[numpy.float32]


def drawn(count: int, noise: float, seed: int) -> Matrix:
    shared = numpy.random.default_rng(0).standard_normal((count, 12))
    rows = shared + noise * numpy.random.default_rng(seed).standard_normal((count, 12))
    return numpy.asarray((rows / numpy.linalg.norm(rows, axis=1, keepdims=True)).astype(numpy.float32))


def reference(one: Matrix, other: Matrix) -> tuple[float, float, float]:
    """Text by text: whether its translation is nearest, by how much, and how near."""
    nearest, margins, cosines = [], [], []
    others = other.astype(float)
    for place, text in enumerate(one.astype(float)):
        cosine = others @ text
        own, best = float(cosine[place]), float(numpy.delete(cosine, place).max())
        nearest.append(own > best)
        margins.append(own - best)
        cosines.append(own)
    return sum(nearest) / len(one), sum(margins) / len(one), sum(cosines) / len(one)


@pytest.mark.parametrize("count", [2, 7, 1500])
def test_the_numbers_are_those_of_the_definition(count: int) -> None:
    vectors = {"en": drawn(count, 0.3, 1), "de": drawn(count, 0.9, 2), "sw": drawn(count, 2, 3)}
    found = alignments(vectors)
    assert [(row.source, row.target) for row in found] == [
        ("en", "de"), ("en", "sw"), ("de", "en"), ("de", "sw"), ("sw", "en"), ("sw", "de")
    ]  # fmt: skip
    for row in found if count < 1000 else found[1:4:2]:
        expected = reference(vectors[row.source], vectors[row.target])
        assert (row.nearest, row.margin, row.cosine) == pytest.approx(expected, abs=1e-9)
        assert row.texts == count


def test_a_tie_is_not_nearest() -> None:
    rows = numpy.eye(3, dtype=numpy.float32)[[0, 0, 1]]
    assert [row.nearest for row in alignments({"en": rows, "de": rows})] == [1 / 3, 1 / 3]


# ---------------------------------------------------------------- the texts


def test_the_same_texts_are_drawn_in_every_language(tmp_path: Path) -> None:
    collection = fixture_collection(tmp_path, LANGUAGES)
    ids, texts = parallel_texts(collection, Texts.DOCUMENTS, None, None, 7)
    everyone = [document.id for document in collection.read_documents("en")]
    assert ids == sorted(everyone, key=lambda name: blake2b(name.encode(), digest_size=16).digest())[:7]
    for lang in LANGUAGES:
        by_id = {document.id: document.searched for document in collection.read_documents(lang)}
        assert texts[lang] == [by_id[name] for name in ids]


def test_only_what_all_languages_have_is_drawn(tmp_path: Path) -> None:
    writer = CollectionWriter(tmp_path, "odd")
    writer.documents("en", [Document(name, name) for name in "abcd"])
    writer.documents("de", [Document(name, name.upper()) for name in "xdba"])
    writer.documents("fr", [Document(name, name) for name in "xyz"])
    collection = writer.finish("x", {"name": "x"}, "CC0-1.0")
    ids, texts = parallel_texts(collection, Texts.DOCUMENTS, None, ["de", "en"], 10)
    assert set(ids) == {"a", "b", "d"} and texts["de"] == [name.upper() for name in ids]


# ---------------------------------------------------------------- the command


@pytest.mark.parametrize(("what", "side"), [("queries", Side.QUERY), ("documents", Side.PASSAGE)])
def test_a_line_for_each_pair(xqe: Run, tmp_path: Path, what: str, side: Side) -> None:
    collection = fixture_collection(tmp_path, LANGUAGES)
    done = xqe("inspect", "--collection", str(tmp_path), "--encoder", "fake", "--texts", what, "--lang", "en,es")
    assert (done.returncode, done.stderr) == (0, "")
    _, texts = parallel_texts(collection, Texts(what), None, ["en", "es"], 500)
    vectors = [FakeEncoder().encode(texts[lang], side).vectors for lang in ("en", "es")]
    for row, one, other in zip(records(done), vectors, vectors[::-1], strict=True):
        assert (row["encoder"], row["collection"], row["of"], row["texts"]) == ("fake", "fixtures", what, 40)
        assert (row["nearest"], row["margin"], row["cosine"]) == pytest.approx(reference(one, other), abs=1e-9)


def test_a_person_reads_tables(xqe: Run, tmp_path: Path) -> None:
    fixture_collection(tmp_path, LANGUAGES)
    options = ("--encoder", "fake", "--sample", "10", "--format", "text")
    lines = xqe("inspect", "--collection", str(tmp_path), *options).stdout.splitlines()
    assert lines[0] == "fake, 10 queries of fixtures"
    assert [line.split() for line in lines if line.startswith("  ")] == [list(LANGUAGES)] * 3
    assert sum(line.startswith("de") for line in lines) == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--summary"], "--summary has no effect with --collection"),
        (["--input", "x"], "--input has no effect with --collection"),
        (["--lang", "en"], "queries in 1 language"),
        (["--lang", "en,nl"], "no queries in nl"),
        (["--split", "dev"], 'no split "dev"'),
        (["--split", "test", "--texts", "documents"], "--split has no effect on documents"),
    ],
)
def test_what_cannot_be_measured_is_one_line(xqe: Run, tmp_path: Path, options: list[str], said: str) -> None:
    fixture_collection(tmp_path, ("en", "de"), topics=3)
    done = xqe("inspect", "--collection", str(tmp_path), "--encoder", "fake", *options)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr


def test_records_are_judged_by_an_encoder_that_is_named_and_not_by_the_environments(
    xqe: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = json.dumps({"id": "q", "query": "x", "lang": "en", "passages": ["y"]})
    judged = json.loads(xqe("inspect", "--encoder", "fake", stdin=record).stdout)
    assert judged["inspection"]["passages"][0]["closeness"] is not None
    monkeypatch.setenv("XQE_ENCODER", "fake")
    assert json.loads(xqe("inspect", stdin=record).stdout)["inspection"]["passages"][0]["closeness"] is None
