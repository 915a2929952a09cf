"""Languages in groups: by which they stand together in maps and tables, in which order, and what a group is called.

All of it follows from the table of languages; one without a row there is among "others", or as its script has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from xqe.text.languages import Language, known

OTHERS = "others"
_EUROPE = frozenset(("Baltic", "Basque", "Celtic", "Germanic", "Romance", "Slavic", "Uralic"))


class By(StrEnum):
    """paper: the quadrants of its figures 3, 4 and 7 to 9, European languages in Latin script and the others. latin:
    that of its section 5. script: ISO 15924. resources: the classes of Joshi et al. (2020), 5 to 0."""

    PAPER = "paper"
    LATIN = "latin"
    SCRIPT = "script"
    FAMILY = "family"
    RESOURCES = "resources"


@dataclass(frozen=True, slots=True)
class _Way:
    """of: the group of a language. heading: of a column that has it. about: what parts the languages, in a sentence.
    order: the names of the groups in their order; without it the greatest comes first, and languages that are alone in
    theirs stand together at the end."""

    of: Callable[[Language], str]
    heading: str
    about: str
    order: tuple[str, ...] = ()


_WAYS = {
    By.PAPER: _Way(
        lambda row: "European" if row.is_latin and row.family in _EUROPE else "other",
        "group",
        "European languages in Latin script, and the others",
        ("European", "other"),
    ),
    By.LATIN: _Way(
        lambda row: "Latin" if row.is_latin else "other",
        "group",
        "languages in Latin script, and the others",
        ("Latin", "other"),
    ),
    By.SCRIPT: _Way(lambda row: row.script or OTHERS, "script", "languages by script (ISO 15924)"),
    By.FAMILY: _Way(lambda row: row.family or OTHERS, "family", "languages by family, Indo-European ones by branch"),
    By.RESOURCES: _Way(
        lambda row: OTHERS if row.resources is None else f"class {row.resources}",
        "resources",
        "languages by how much text there is of them (classes of Joshi et al. 2020: 5 is most)",
        (*(f"class {number}" for number in range(5, -1, -1)), OTHERS),
    ),
}

Groups = tuple[tuple[str, tuple[str, ...]], ...]  # (name, codes) one after the other


def heading(by: By) -> str:
    return _WAYS[by].heading


def about(by: By) -> str:
    return _WAYS[by].about


def grouped(codes: Iterable[str], by: By) -> Groups:
    """The languages of a study in their groups, by code within each.

    >>> grouped(["ru", "de", "th", "uk", "ja"], By.SCRIPT)
    (('Cyrl', ('ru', 'uk')), ('others', ('de', 'ja', 'th')))
    """
    way = _WAYS[by]
    found: dict[str, list[str]] = {}
    for code in sorted(set(codes)):
        row = known(code)
        found.setdefault(way.of(row) if row is not None else way.order[-1] if way.order else OTHERS, []).append(code)
    if way.order:
        return tuple((name, tuple(found[name])) for name in way.order if name in found)
    alone = [name for name, some in found.items() if len(some) == 1 or name == OTHERS]
    if len(alone) > 1 or OTHERS in found:
        found[OTHERS] = sorted(code for name in alone for code in found.pop(name))
    return tuple((name, tuple(found[name])) for name in sorted(found, key=lambda one: _rank(one, found[one])))


def _rank(name: str, codes: list[str]) -> tuple[bool, int, str]:
    return name == OTHERS, -len(codes), name
