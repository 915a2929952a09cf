"""Which packages to read, of many that have pages in English or translations of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xqe.collections.archive import Package

Where = tuple[str, str]
"""(folder of a language, "" for English; name of a page)."""

_OVERHEAD = 20_000  # bytes that a package costs besides its size: a request


def chosen(
    places: Mapping[str, set[Where]], packages: Mapping[str, Package], room: int, first: Collection[str] = ()
) -> list[Package]:
    """Packages to read, those first that bring the most pairs for their size, as long as there is room for them.

    A pair is a page in English and a translation of it. places: package -> what it holds. room: in bytes. first: those
    that come before all others, whatever they bring.
    """
    there = {name: places[name] for name in sorted(places) if name in packages}
    translations: dict[str, set[str]] = defaultdict(set)
    holders: dict[str, set[str]] = defaultdict(set)
    for name, held in there.items():
        for folder, page in held:
            holders[page].add(name)
            if folder:
                translations[page].add(folder)
    has: set[Where] = set()

    def worth(name: str) -> float:
        """Pairs that are there because of a package, a byte."""
        new = there[name] - has
        pairs = 0
        for folder, page in new:
            if folder:
                pairs += ("", page) in has or ("", page) in new
            else:
                pairs += sum((one, page) in has for one in translations.get(page, ()))
        return pairs / (packages[name].size + _OVERHEAD)

    taken: list[Package] = []

    def take(name: str) -> bool:
        nonlocal room
        if packages[name].size > room:
            return False
        room -= packages[name].size
        has.update(there[name])
        taken.append(packages[name])
        return True

    for name in sorted({*first} & there.keys(), key=lambda name: (-len(there[name]) / packages[name].size, name)):
        take(name)
    worths = {name: worth(name) for name in there if name not in first}
    while worths:
        name = max(worths, key=lambda name: worths[name])
        if worths.pop(name) <= 0:
            break
        if take(name):
            affected = {other for _, page in there[name] for other in holders[page]}
            worths |= {other: worth(other) for other in affected if other in worths}
    return taken
