"""How far apart an encoder puts what belongs together and what does not, in cosines.

Those of e5 lie between 0.7 and 0.95, those of other encoders between 0 and 1: what a difference of 0.1 says depends on
the encoder. The built-in worked examples say the same in every language, so they tell: a query of one belongs to its
passage in another language, and to no other passage.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from xqe.models.encoders.base import Side
from xqe.models.examples import builtin

if TYPE_CHECKING:
    from xqe.models.encoders.base import Encoder, Matrix

_LANGUAGES = ("en", "de", "fr")
_known: WeakKeyDictionary[Encoder, float | None] = WeakKeyDictionary()  # one encoder may serve many indexes


def contrast(encoder: Encoder) -> float | None:
    """The mean cosine of queries with their passages in other languages, less that with other passages; None where
    these differ from each other by as much, so that the encoder tells nothing apart, and where a server fails."""
    if encoder not in _known:
        _known[encoder] = _measured(encoder)
    return _known[encoder]


def _measured(encoder: Encoder) -> float | None:
    import numpy

    examples = {code: builtin(code) for code in _LANGUAGES}
    queries = _encoded(encoder, Side.QUERY, [[one["query"] for one in its] for its in examples.values()])
    passages = _encoded(encoder, Side.PASSAGE, [[one["passage"] for one in its] for its in examples.values()])
    if queries is None or passages is None:
        return None
    cosines = [queries[spoken] @ passages[written].T for spoken, written in permutations(range(len(_LANGUAGES)), 2)]
    others = numpy.concatenate([its[~numpy.eye(len(its), dtype=bool)] for its in cosines])
    found = float(numpy.mean([its.diagonal() for its in cosines]) - others.mean())
    return round(found, 4) if found > float(others.std()) else None


def _encoded(encoder: Encoder, side: Side, texts: Sequence[Sequence[str]]) -> list[Matrix] | None:
    """The vectors of the texts of each language, all encoded together; None where any has none."""
    done = encoder.encode([text for its in texts for text in its], side)
    if done.errors:
        return None
    vectors = done.vectors
    return [vectors[at * len(texts[0]) :][: len(texts[0])] for at in range(len(texts))]
