"""How a published method puts a query and its passages together: what "combine" of a record says, and search heeds.

Among words, the passages are joined to the query, which is repeated (`Combination.query`):

    a number    so many times (Query2doc, Wang et al. 2023, section 2: five)
    "each"      as often as there are passages, which is "q a1 q a2 ..." (LameR, Shen et al. 2024)
    "adaptive"  max(1, characters of all passages // characters of the query // 5) times (MuGI, Zhang et al. 2024; as
                QueryGym's core/base.py computes it, adaptive_query_repeat_plus_generated)

or their terms are mixed as relevance models are (`Combination.terms`; GRF, Mackie et al. 2023, equation 1):

    MIX x the query at sum 1 + (1 - MIX) x the `terms` best terms of all passages at sum 1

Among vectors (`Combination.vectors`):

    "mean"      the mean of the query's vector and the passages' (HyDE, Gao et al. 2023, equation 8)
    "sep"       one text, "query [SEP] passage ..." (Query2doc, section 2)
    "joined"    one text, the query repeated as among words, then the passages (all of QueryGym's methods)

`Combination.fuse`: what the query finds alone and what it finds with its passages is fused (`twice`).
What is None there is as it is without "combine".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from xqe.errors import InputError

EACH, ADAPTIVE = "each", "adaptive"
MEAN, SEP, JOINED = "mean", "sep", "joined"
ADAPTIVE_TIMES = 5
MIX = 0.5
"""Of the query against generated terms: the paper tunes it, and this is its middle, RM3's usual."""
FIELD = "combine"
_MOST = 1e6  # of a weight; scores are float32


@dataclass(frozen=True, slots=True)
class Combination:
    """See above. query: how often it stands beside its passages. terms: how many of the passages are mixed with it."""

    query: float | str | None = None
    terms: int | None = None
    vectors: str | None = None
    fuse: bool = False

    def said(self) -> dict[str, Any]:
        """What "combine" of a record says: what is not as usual."""
        return {name: value for name, value in asdict(self).items() if value}

    @property
    def decides_words(self) -> bool:
        return self.query is not None or self.terms is not None

    def repeats(self, query: str, passages: Sequence[str]) -> float:
        """How often a query stands beside these passages."""
        if self.query == EACH:
            return float(len(passages))
        if self.query == ADAPTIVE:
            return float(max(1, len(" ".join(passages)) // max(1, len(query)) // ADAPTIVE_TIMES))
        return 1.0 if self.query is None else float(self.query)

    def text(self, query: str, passages: Sequence[str], weight: float | None = None) -> str:
        """The one text that is encoded. weight: how often the query stands in it, where not as often as here."""
        if self.vectors == SEP and weight is None:
            return " ".join([query, "[SEP]", *passages])
        times = round(self.repeats(query, passages) if weight is None else weight)
        if self.query == EACH and weight is None:
            return " ".join(text for passage in passages for text in (query, passage))
        return " ".join([*[query] * max(1, times), *passages])


USUAL = Combination()
_QUERIES, _VECTORS = (EACH, ADAPTIVE), (MEAN, SEP, JOINED)


def combination_of(record: Mapping[str, Any], where: str) -> Combination:
    """What a record says of how it is combined. Raises InputError, which says `where`, for what is no such thing."""
    said = record.get(FIELD)
    if said is None or not record.get("passages"):
        return USUAL
    if not isinstance(said, dict) or not said.keys() <= set(Combination.__slots__):
        raise InputError(f'{where}: "{FIELD}" is not an object of {", ".join(Combination.__slots__)}', _HINT)
    made = Combination(**said)
    is_weight = _is_number(made.query) and 0 < float(made.query or 0) <= _MOST
    is_count = made.terms is None or (type(made.terms) is int and made.terms > 0)
    for name, is_good in (
        ("query", made.query is None or made.query in _QUERIES or is_weight),
        ("terms", is_count),
        ("vectors", made.vectors is None or made.vectors in _VECTORS),
        ("fuse", isinstance(made.fuse, bool)),
    ):
        if not is_good:
            raise InputError(f'{where}: "{name}" of "{FIELD}" is {said[name]!r}', _HINT)
    return made


_HINT = "xqe expand writes it; leave it out to have passages weighted as usual"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def mixed_terms(query: Mapping[str, float], counts: Mapping[str, float], terms: int) -> tuple[dict[str, float], float]:
    """The weights of the `terms` best terms of all passages, at sum 1 - MIX, and that of each of the query's, which
    have a sum of MIX. counts: how often passages have each. Where there is no query, or no term, the other has all."""
    best = dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:terms])
    share = MIX if query and best else 1.0
    weights: defaultdict[str, float] = defaultdict(float)
    for term, count in best.items():
        weights[term] = (1 - MIX if query else 1.0) * count / sum(best.values())
    return dict(weights), share / sum(query.values()) if query else 1.0
