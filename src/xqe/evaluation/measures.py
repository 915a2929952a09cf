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

    name: the paper's spelling, used in all output. aliases: other spellings that are understood, beside trec_eval's.
    whole, cut: what trec_eval calls it without and with a cutoff, "" for what it does not have. about: for help texts.
    can_be_cut: whether it has a meaning with "@k". is_graded: whether it takes grades as they are, so that the least
    relevant grade is nothing to it.
    """

    name: str
    aliases: tuple[str, ...]
    whole: str
    cut: str
    about: str
    can_be_cut: bool = True
    is_graded: bool = False

    @property
    def needs_cutoff(self) -> bool:
        """Whether it has no meaning without "@k"."""
        return not self.whole

    @property
    def spellings(self) -> tuple[str, ...]:
        cut = (f"{self.name}@k",) if self.can_be_cut else ()
        return cut if self.needs_cutoff else (self.name, *cut)


FAMILIES = (
    Family("Hit", ("Success",), "", "success", "1 if a relevant document is among the first k"),
    Family("Recall", ("R",), "", "recall", "the part of the relevant documents that is among the first k"),
    Family("P", ("Precision",), "", "P", "the part of the first k places that a relevant document takes"),
    Family("MRR", ("RR",), "recip_rank", "", "1 / the rank of the first relevant document"),
    Family(
        "nDCG",
        (),
        "ndcg",
        "ndcg_cut",
        "discounted gain over the best possible; the gain is the grade itself",
        is_graded=True,
    ),
    Family("MAP", ("AP",), "map", "map_cut", "the mean of the precision at each relevant document"),
    Family(
        "Rprec",
        ("R-precision",),
        "Rprec",
        "",
        "the part of the first places that a relevant document takes, as many places as there are of these",
        can_be_cut=False,
    ),
)

_BY_SPELLING = {
    spelling.lower(): family
    for family in FAMILIES
    for spelling in (family.name, *family.aliases, family.whole, family.cut)
    if spelling
}
_NOTATION = re.compile(r"([a-z_-]+?)(?:[@_.]([1-9][0-9]{0,8}))?")
_NEAR = re.compile(r"([a-z_-]*[a-z])[^a-z0-9]*([1-9][0-9]{0,8})?")

KNOWN = " ".join(spelling for family in FAMILIES for spelling in family.spellings)


@dataclass(frozen=True, slots=True)
class Measure:
    """A family at a cutoff, such as Hit@10; `cutoff` is None for all of the ranking, as in MRR."""

    family: Family
    cutoff: int | None = None

    def __str__(self) -> str:
        return self.family.name if self.cutoff is None else f"{self.family.name}@{self.cutoff}"


def parse(text: str, where: str = "") -> Measure:
    """Return the measure that `text` names, in any case: in the paper's spelling, the field's, or trec_eval's, which
    writes the cutoff behind "_" in what it prints and behind "." in what it is asked for.

    Raises XqeError for an unknown measure, a missing cutoff, and one that means nothing; `where` ("--measure") says who
    named it.

    >>> str(parse("Success@10")), str(parse("rr")), str(parse("ndcg_cut_10"))
    ('Hit@10', 'MRR', 'nDCG@10')
    """
    place = f"{where}: " if where else ""
    name, cutoff = _parts(_NOTATION, text)
    family = _BY_SPELLING.get(name)
    if family is None:
        raise XqeError(f'{place}unknown measure "{text}"', f"{_near(text)}xqe knows {KNOWN}")
    if cutoff is None and (family.needs_cutoff or name == family.cut):
        raise XqeError(f'{place}"{text}" needs a cutoff', f"for example {family.name}@10")
    if cutoff is not None and not family.can_be_cut:
        raise XqeError(f'{place}"{text}" has a cutoff, and {family.name} has none', f"give {family.name}")
    return Measure(family, cutoff)


def _parts(shape: re.Pattern[str], text: str) -> tuple[str, int | None]:
    """The name and the cutoff that a text of some shape has; no name for a text of another."""
    match = shape.fullmatch(text.lower())
    return (match[1], int(match[2]) if match[2] else None) if match else ("", None)


def _near(text: str) -> str:
    """What a text that names no measure may mean, as the beginning of a hint; "" where that is not plain."""
    from difflib import get_close_matches

    name, cutoff = _parts(_NEAR, text)
    able = [spelling for spelling, family in _BY_SPELLING.items() if cutoff is None or family.can_be_cut]
    close = get_close_matches(name, able, 1, 0.75)
    if not close:
        return ""
    family = _BY_SPELLING[close[0]]
    return f"did you mean {Measure(family, cutoff or (10 if family.needs_cutoff else None))}? "


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
