"""The translations that a query is searched as, where it has several, each with its share.

That is probabilistic structured queries (Darwish and Oard, SIGIR 2003) with a generator in place of a table: a term
counts the sum of the shares of the translations that have it, as often as each has it. As with a table, those of little
probability are left out: the likeliest are taken until they have a mass together (`choices.MASS`, 0.97, is that
of HLTCOE's patapsco), and of
equal ones the first. Their shares are brought to sum 1. In a vector the translations have the same shares.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from xqe.errors import InputError

_SHAPE = '"translations" is a list of {"text", "share"}, as xqe translate --samples writes it'
_ROUNDING = 1e-9  # shares that sum to the mass but for their last digits


def alternatives(record: Mapping[str, Any], mass: float, where: str) -> list[tuple[str, float]]:
    """Return the texts of a record's query and their shares, which sum to 1, the greatest first.

    mass: 0 is the query alone. Translations of which the query is none are those of an earlier state, and do not count.
    Raises InputError, which says `where`, for translations of another form.
    """
    query = record["query"]
    shares = _shares(record.get("translations") or [], where)
    if not mass or query not in shares:
        return [(query, 1.0)]
    kept: list[tuple[str, float]] = []
    total, whole = 0.0, sum(shares.values())
    for text, share in sorted(shares.items(), key=lambda one: -one[1]):
        if total >= mass * whole - _ROUNDING or not share:
            break
        kept.append((text, share))
        total += share
    return [(text, share / total) for text, share in kept] or [(query, 1.0)]


def counted(texts: Iterable[tuple[str, float]], terms_of: Callable[[str], Iterable[str]]) -> dict[str, float]:
    """Return how often each term is in texts of these shares, on the mean."""
    counts: defaultdict[str, float] = defaultdict(float)
    for text, share in texts:
        for term in terms_of(text):
            counts[term] += share
    return dict(counts)


def _shares(translations: Any, where: str) -> dict[str, float]:
    """The share of each text."""
    shares: defaultdict[str, float] = defaultdict(float)
    for one in translations if isinstance(translations, list) else [translations]:
        text, share = (one.get("text"), one.get("share")) if isinstance(one, dict) else (None, None)
        if not isinstance(text, str) or not isinstance(share, int | float) or not 0 <= share < math.inf:
            raise InputError(f'{where}: "translations" is of another form', _SHAPE)
        shares[text] += share
    return shares
