"""The measures xqe knows: one row each, from which parsing, help text, computation and tests are derived.

What a measure is called stands here; how it is computed stands in `values.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from xqe.errors import XqeError


@dataclass(frozen=True, slots=True)
class Family:
    """A measure without its cutoff.

    name: the paper's spelling, used in all output. aliases: other spellings that are understood.
    whole, cut: what trec_eval calls it without and with a cutoff, "" for what it does not have. about: for help texts.
    """

    name: str
    aliases: tuple[str, ...]
    whole: str
    cut: str
    about: str

    @property
    def needs_cutoff(self) -> bool:
        """Whether it has no meaning without "@k"."""
        return not self.whole

    @property
    def spellings(self) -> tuple[str, ...]:
        return (f"{self.name}@k",) if self.needs_cutoff else (self.name, f"{self.name}@k")


FAMILIES = (
    Family("Hit", ("Success",), "", "success", "1 if a relevant document is among the first k"),
    Family("Recall", ("R",), "", "recall", "the part of the relevant documents that is among the first k"),
    Family("P", ("Precision",), "", "P", "the part of the first k places that a relevant document takes"),
    Family("MRR", ("RR",), "recip_rank", "", "1 / the rank of the first relevant document"),
    Family("nDCG", (), "ndcg", "ndcg_cut", "discounted gain over the best possible; the gain is the grade itself"),
    Family("MAP", ("AP",), "map", "map_cut", "the mean of the precision at each relevant document"),
)

_BY_SPELLING = {spelling.lower(): family for family in FAMILIES for spelling in (family.name, *family.aliases)}
_NOTATION = re.compile(r"([A-Za-z]+)(?:@([1-9][0-9]{0,8}))?")

KNOWN = " ".join(spelling for family in FAMILIES for spelling in family.spellings)


@dataclass(frozen=True, slots=True)
class Measure:
    """A family at a cutoff, such as Hit@10; `cutoff` is None for all of the ranking, as in MRR."""

    family: Family
    cutoff: int | None = None

    def __str__(self) -> str:
        return self.family.name if self.cutoff is None else f"{self.family.name}@{self.cutoff}"


def parse(text: str, where: str = "") -> Measure:
    """Return the measure that `text` names, in the paper's spelling or the field's, in any case.

    Raises XqeError for an unknown measure or a missing cutoff; `where` ("--measure") says who named it.

    >>> str(parse("Success@10")), str(parse("rr"))
    ('Hit@10', 'MRR')
    """
    place = f"{where}: " if where else ""
    match = _NOTATION.fullmatch(text)
    family = _BY_SPELLING.get(match[1].lower()) if match else None
    if match is None or family is None:
        raise XqeError(f'{place}unknown measure "{text}"', f"xqe knows {KNOWN}")
    if match[2] is None and family.needs_cutoff:
        raise XqeError(f'{place}"{text}" needs a cutoff', f"for example {family.name}@10")
    return Measure(family, int(match[2]) if match[2] else None)


def parse_all(texts: Iterable[str], where: str = "") -> tuple[Measure, ...]:
    """Return the measures of some texts, each one or several separated by commas or spaces, each measure once.

    Raises XqeError for a text that names an unknown measure, or none.
    """
    measures: dict[Measure, None] = {}
    for text in texts:
        names = text.replace(",", " ").split() or [text]
        measures.update(dict.fromkeys(parse(name, where) for name in names))
    return tuple(measures)


DEFAULT = parse_all(["Hit@10 Recall@5 Recall@50 MRR nDCG@10"])  # the paper's, tables 4 to 14
