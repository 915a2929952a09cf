"""Vectors of questions: what is kept of them, and the mix with passages beside the definition and beside xQG's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy
import pytest
from vectors_for_tests import of_examples, unit

from xqe.errors import XqeError
from xqe.files.records import Document
from xqe.models.encoders.base import Contract, Encoded, Encoder, Side
from xqe.retrieval.choices import Precision, Windows
from xqe.retrieval.dense import Vectors, open_vectors
from xqe.retrieval.dense.building import embed
from xqe.retrieval.dense.description import Storing
from xqe.retrieval.lexical import Index, build, open_index

DIMENSION, COUNT, SHARE = 48, 400, 0.3


class Numbered(Encoder):
    """The vector of a text is a row of a table, another one as a query; a text is the numbers of its windows."""

    def __init__(self, count: int, prefix: str = "", failing: str = "") -> None:
        draw = numpy.random.default_rng(0)
        self.tables = {side: unit(draw.standard_normal((count, DIMENSION)) + 1) for side in Side}
        self.name, self._prefix, self._failing = "numbered", prefix, failing

    @property
    def contract(self) -> Contract:
        return Contract({"model": "numbered"}, None, self._prefix, "", DIMENSION, None)

    def encode(self, texts: Sequence[str], side: Side) -> Encoded:
        if (found := of_examples(texts, DIMENSION)) is not None:
            return found
        rows = self.tables[side][[int(text.split()[0]) for text in texts]].astype(numpy.float32)
        return Encoded(rows, 0, {at: "killed" for at, text in enumerate(texts) if text == self._failing})

    def windows(self, texts: Sequence[str], tokens: int, overlap: int) -> list[list[str]]:
        return [text.split() for text in texts]

    def close(self) -> None:
        pass


Questions = Mapping[str, Sequence[int]]


def indexed(directory: Path, texts: Sequence[Sequence[int]], questions: Sequence[Questions]) -> Index:
    placed = [
        (f"f:{number + 1}", Document(f"d{number}", " ".join(map(str, text)), questions=written(its)))
        for number, (text, its) in enumerate(zip(texts, questions, strict=True))
    ]
    build(directory, "en", placed)
    return open_index(directory)


def written(questions: Questions) -> dict[str, list[str]]:
    return {code: list(map(str, its)) for code, its in questions.items()}


def made(
    directory: Path, index: Index, encoder: Encoder, storing: Storing | None = None, force: bool = False
) -> list[int]:
    questions = {code: index.questions(code) for code in index.manifest.questions}
    return list(embed(directory, index.documents, encoder, storing or Storing(), force, questions))


def mixed(directory: Path, index: Index, share: float, languages: Sequence[str]) -> Vectors:
    owners = {code: index.owners(code) for code in languages}
    return open_vectors(directory, index.documents, threads=2, owners=owners, share=share)


def drawn(count: int) -> tuple[list[list[int]], list[Questions]]:
    """Texts of one to three windows, and questions in two languages, in one, or in none."""
    draw = numpy.random.default_rng(1)
    texts: list[list[int]] = [draw.integers(0, count, draw.integers(1, 4)).tolist() for _ in range(count)]
    questions: list[Questions] = [
        {code: draw.integers(0, count, draw.integers(1, 5)).tolist() for code, part in (("de", 0.7), ("ru", 0.4))
         if draw.random() < part}
        for _ in range(count)
    ]  # fmt: skip
    return texts, questions


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return indexed(tmp_path_factory.mktemp("questions") / "ix", *drawn(COUNT))


def folder(index: Index) -> Path:
    return index.documents.folder.parent


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("windows", [Windows.NONE, Windows.MAX])
def test_a_document_is_mixed_with_the_mean_of_its_questions(
    index: Index, precision: Precision, windows: Windows
) -> None:
    encoder = Numbered(COUNT)
    tokens = (256, 32) if windows is Windows.MAX else (None, None)
    made(folder(index), index, encoder, Storing(precision, windows, *tokens), force=True)
    for languages in (("de",), ("de", "ru")):
        assert_mixed(index, encoder, precision, windows, languages)


def assert_mixed(
    index: Index, encoder: Numbered, precision: Precision, windows: Windows, languages: tuple[str, ...]
) -> None:
    texts, questions = drawn(COUNT)
    vectors = mixed(folder(index), index, SHARE, languages)
    passages, asked = encoder.tables[Side.PASSAGE], encoder.tables[Side.QUERY]
    expected = []
    for text, its in zip(texts, questions, strict=True):
        rows = passages[text if windows is Windows.MAX else text[:1]]
        counted = [number for code in languages for number in its.get(code, ())]
        if counted:
            rows = unit((1 - SHARE) * rows + SHARE * asked[counted].mean(axis=0))
        expected.append(rows)
    error = 4e-3 if precision is Precision.INT8 else 1e-3
    everyone = numpy.arange(COUNT)
    for query in unit(asked[:5] + passages[:5]).astype(numpy.float32):
        scores = vectors.scores(query, everyone)
        assert numpy.abs(scores - [float((rows @ query).max()) for rows in expected]).max() < error
        [(numbers, best)] = vectors.best(query[None], 40)
        assert best.tolist() == sorted(scores.tolist(), reverse=True)[:40]
        assert vectors.rank(query, int(numbers[9]), None) == 10
        shares = vectors.shares(query, int(numbers[0]))
        assert sum(shares.values()) == pytest.approx(best[0], abs=error)
        assert shares.keys() <= {"passage", *languages}
    plain = open_vectors(folder(index), index.documents)
    without = numpy.array([number for number, its in enumerate(questions) if not set(its) & set(languages)])
    close = 2.0**-11 if precision is Precision.INT8 else 0.0
    for number in without[:20].tolist():
        assert numpy.abs(vectors.windows(number) - plain.windows(number)).max() <= close
    assert plain.shares(numpy.ones(DIMENSION, numpy.float32), 0) == {}


def test_the_formula_of_xqg_is_ours_with_another_share(tmp_path: Path) -> None:
    """(1 - alpha) x e + alpha x the sum of 35 questions, alpha .01 (arXiv 2305.03950, section 3), and ours with the
    beta of the same direction: alpha n / (1 - alpha + alpha n)."""
    count, alpha, each = 60, 0.01, {"de": 20, "ru": 15}
    draw = numpy.random.default_rng(2)
    questions = [{code: draw.integers(0, count, n).tolist() for code, n in each.items()} for _ in range(count)]
    encoder = Numbered(count)
    index = indexed(tmp_path, [[number] for number in range(count)], questions)
    made(tmp_path, index, encoder)
    n = sum(each.values())
    beta = alpha * n / (1 - alpha + alpha * n)
    assert (n, round(beta, 2)) == (35, 0.26)
    vectors = mixed(tmp_path, index, beta, list(each))
    asked = encoder.tables[Side.QUERY]
    theirs = numpy.stack(
        [
            (1 - alpha) * encoder.tables[Side.PASSAGE][number]
            + alpha * asked[[one for some in its.values() for one in some]].sum(axis=0)
            for number, its in enumerate(questions)
        ]
    )
    ours = vectors.of(numpy.arange(count))
    assert (ours * unit(theirs)).sum(axis=1).min() > 1 - 1e-6
    query = asked[0].astype(numpy.float32)
    [(numbers, _)] = vectors.best(query[None], 10)
    assert numbers.tolist() == numpy.argsort(-(unit(theirs) @ query))[:10].tolist()


def test_a_run_that_was_killed_among_questions_is_gone_on_with(tmp_path: Path) -> None:
    texts, questions = drawn(600)
    whole, halted = (indexed(tmp_path / name, texts, questions) for name in ("whole", "halted"))
    assert made(tmp_path / "whole", whole, Numbered(600))[0] == 0
    last = str([its["de"] for its in questions if "de" in its][-1][0])
    with pytest.raises(XqeError, match="killed"):
        made(tmp_path / "halted", halted, Numbered(600, failing=last))
    with pytest.raises(XqeError, match="no vectors of numbered of its questions in de"):
        mixed(tmp_path / "halted", halted, 0.3, ["de"])
    with pytest.raises(XqeError, match="query prefix"):
        made(tmp_path / "halted", halted, Numbered(600, prefix="query: "))
    assert made(tmp_path / "halted", halted, Numbered(600))[0] == 600, "the passages were done"
    [one], [other] = (list(index.documents.folder.glob("dense-*")) for index in (whole, halted))
    names = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file() and path.suffix != ".lock")
    assert {str(name) for name in names} >= {
        f"questions-ru/{name}" for name in ("rows", "sums", "counts", "dense.json")
    }
    assert [name for name in names if (one / name).read_bytes() != (other / name).read_bytes()] == []
    with pytest.raises(XqeError, match="has vectors of numbered"):
        made(tmp_path / "halted", halted, Numbered(600))
