"""Presets: what is made of a query and how it is searched, by name.

    paper   as arXiv 2511.19325 has it: the translation and once a passage in its language; by words
    best    what measures best over several collections (docs/results.md, Presets): the query in several translations,
            its own words beside them, by words and vectors, and the first hits re-ranked
    quick   the same with one translation, and nothing re-ranked: what takes a model next to no time

An option goes before what the preset says. What a command does not do (`xqe search` translates nothing) it leaves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from xqe.retrieval.choices import MASS, By, Encode
from xqe.stages.rerank.kinds import HITS
from xqe.stages.strategies import Strategy


@dataclass(frozen=True, slots=True)
class Choices:
    """translations: of each query. rerank: how many of the hits, by likelihood. strategy: by which it is expanded, None
    for not at all. by: None for both where documents have vectors, else by words. query_weight, source_weight: None is
    automatic. nbest_mass: see `xqe.retrieval.nbest`."""

    translations: int
    rerank: int
    strategy: Strategy | None
    by: By | None
    query_weight: float | None
    source_weight: float | None
    nbest_mass: float
    encode: Encode


class Preset(StrEnum):
    """The names of the rows."""

    BEST = "best"
    QUICK = "quick"
    PAPER = "paper"

    @property
    def choices(self) -> Choices:
        return _CHOICES[self]


_BEST = Choices(
    translations=5,
    rerank=HITS,
    strategy=None,
    by=None,
    query_weight=None,
    source_weight=None,
    nbest_mass=MASS,
    encode=Encode.BOTH,
)
_CHOICES = {
    Preset.BEST: _BEST,
    Preset.QUICK: replace(_BEST, translations=1, rerank=0),
    # Which of its four prompts a query gets is the finding of section 4.2, by its length.
    Preset.PAPER: Choices(
        translations=1,
        rerank=0,
        strategy=Strategy.AUTO,
        by=By.BM25,
        query_weight=1.0,
        source_weight=0.0,
        nbest_mass=0.0,
        encode=Encode.QUERY,
    ),
}
