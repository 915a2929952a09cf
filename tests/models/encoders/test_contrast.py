"""How far apart an encoder puts what belongs together: by the worked examples, which say the same in every language."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy
import pytest
from vectors_for_tests import Topics

from xqe.models.encoders.base import Encoded, Side
from xqe.models.encoders.contrast import contrast
from xqe.models.encoders.fake import FakeEncoder


def test_it_is_the_difference_of_the_means() -> None:
    assert contrast(Topics()) == pytest.approx(1 - Topics.UNRELATED, abs=1e-4)


def test_it_is_measured_once_for_all_the_indexes_that_an_encoder_serves() -> None:
    encoder = Topics()
    first, asked = contrast(encoder), len(encoder.asked)
    assert (contrast(encoder), len(encoder.asked)) == (first, asked)
    assert asked > 0


def test_an_encoder_that_tells_nothing_apart_has_none() -> None:
    class Blind(Topics):
        def encode(self, texts: Sequence[str], side: Side) -> Encoded:
            draw = numpy.random.default_rng(len(texts[0]))
            rows = draw.standard_normal((len(texts), 8)).astype(numpy.float32)
            return Encoded(rows / numpy.linalg.norm(rows, axis=1, keepdims=True))

    assert contrast(Blind()) is None
    assert contrast(FakeEncoder()) is None  # which knows words, not languages


def test_texts_that_a_server_could_not_encode_leave_it_unknown() -> None:
    class Failing(Topics):
        def encode(self, texts: Sequence[str], side: Side) -> Encoded:
            done = super().encode(texts, side)
            return Encoded(done.vectors, 0, {0: "the server says no"})

    assert contrast(Failing()) is None


@pytest.mark.xdist_group("model")
def test_of_the_embedded_one_it_is_that_of_its_cosines() -> None:
    """Each cosine for itself, with the texts' own encodings, not in two calls."""
    from xqe.models.encoders.local import open_encoder
    from xqe.models.examples import builtin

    with open_encoder("e5-small") as encoder:
        found = contrast(encoder)
        texts = {(code, one["id"]): one for code in ("en", "de", "fr") for one in builtin(code)}
        queries = {key: encoder.encode([one["query"]], Side.QUERY).vectors[0] for key, one in texts.items()}
        passages = {key: encoder.encode([one["passage"]], Side.PASSAGE).vectors[0] for key, one in texts.items()}
    own: list[float] = []
    others: list[float] = []
    for (spoken, one), (written, other) in product(texts, repeat=2):
        if spoken != written:
            cosine = math.fsum((queries[spoken, one] * passages[written, other]).tolist())
            (own if one == other else others).append(cosine)
    assert found == pytest.approx(math.fsum(own) / len(own) - math.fsum(others) / len(others), abs=2e-3)
