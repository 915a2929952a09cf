"""Several translations searched as one query, held against a reference of probabilistic structured queries."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy
import pytest

from xqe.errors import InputError
from xqe.models.encoders.base import Side
from xqe.models.encoders.fake import FakeEncoder
from xqe.retrieval.choices import Encode
from xqe.retrieval.meaning import SOURCE_SHARE, Known, Meaning, Meant, meanings
from xqe.retrieval.nbest import alternatives, counted

TEXTS = {"cat house": 0.5, "cat home": 0.3, "kitten cat house": 0.18, "dog": 0.02}


def record(texts: dict[str, float], **more: Any) -> dict[str, Any]:
    return {
        "id": "q",
        "query": next(iter(texts)),
        "translations": [{"text": text, "share": share} for text, share in texts.items()],
        **more,
    }


def psq(table: dict[str, float], threshold: float) -> dict[str, float]:
    """The weight of each term, from a table of translations and their probabilities."""
    kept: list[tuple[str, float]] = []
    for text, probability in sorted(table.items(), key=lambda row: row[1], reverse=True):
        kept.append((text, probability))
        if sum(p for _, p in kept) > threshold - 1e-12:
            break
    total = sum(p for _, p in kept)
    weights: Counter[str] = Counter()
    for text, probability in kept:
        for term in text.split():
            weights[term] += probability / total  # type: ignore[assignment]
    return dict(weights)


@pytest.mark.parametrize("mass", [0.1, 0.5, 0.8, 0.97, 0.98, 1.0])
def test_a_term_counts_the_shares_of_the_translations_that_have_it(mass: float) -> None:
    found = counted(alternatives(record(TEXTS), mass, "here"), str.split)
    assert found == pytest.approx(psq(TEXTS, mass))


def test_0_is_the_query_alone_and_translations_of_another_query_do_not_count() -> None:
    assert alternatives(record(TEXTS), 0.0, "here") == [("cat house", 1.0)]
    assert alternatives(record(TEXTS, query="changed"), 1.0, "here") == [("changed", 1.0)]
    assert alternatives({"query": "alone"}, 1.0, "here") == [("alone", 1.0)]
    assert alternatives(record({"nothing": 0.0}), 1.0, "here") == [("nothing", 1.0)]
    assert alternatives(record({"a": 3.0, "b": 1.0}), 1.0, "here") == [("a", 0.75), ("b", 0.25)]


@pytest.mark.parametrize(
    "broken",
    [{"text": "a"}, [{"text": 1, "share": 1}], [{"text": "a", "share": -1}], ["a"], 5, [{"text": "a", "share": "1"}]],
)
def test_translations_of_another_form_are_named(broken: Any) -> None:
    with pytest.raises(InputError, match=r'^here: "translations" is of another form'):
        alternatives({"query": "a", "translations": broken}, 1.0, "here")


@pytest.mark.parametrize(("encode", "own"), [(Encode.QUERY, 0.0), (Encode.BOTH, SOURCE_SHARE), (Encode.SOURCE, 1.0)])
def test_a_vector_is_the_weighted_mean_of_theirs(encode: Encode, own: float) -> None:
    texts = {"cat house": 0.75, "cat home": 0.25}
    encoder = FakeEncoder()
    one = record(texts, source={"query": "Katzenhaus", "lang": "de"})
    [found] = meanings([(one, "here")], encoder, Meant(encode=encode, nbest_mass=1.0), Known())
    assert isinstance(found, Meaning)
    vectors = encoder.encode(["Katzenhaus", *texts], Side.QUERY).vectors
    total = own * vectors[0] + (1 - own) * (0.75 * vectors[1] + 0.25 * vectors[2])
    assert found.vector == pytest.approx(total / numpy.linalg.norm(total), abs=1e-6)
