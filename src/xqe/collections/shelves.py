"""Pages that packages have in a folder for each language, which those in English lie beside."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from xqe.collections.choice import Where
from xqe.collections.counterparts import Kept, Text, Texts
from xqe.messages import plural, say

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where pages lie. below: the folder of all. page: the path of one, whose groups are the folder of its language and
    its name. original: what the first of these is of English."""

    below: str
    page: re.Pattern[str]
    original: str | None

    def held(self, contents: Mapping[str, Sequence[str]], folders: Sequence[str]) -> dict[str, set[Where]]:
        """Package -> the pages that are in it, in English and in some folders. contents: path -> packages."""
        found: dict[str, set[Where]] = defaultdict(set)
        for path, names in contents.items():
            if (where := self._where(path)) is not None and where[0] in ("", *folders):
                for name in names:
                    found[name].add(where)
        return found

    def sources(
        self, files: Iterable[Path], folders: Sequence[str], decoded: Callable[[bytes], T | None]
    ) -> dict[str, dict[str, T]]:
        """Folder, "" for English -> page -> its source, of the first package that has it. Links are none, and neither
        is what `decoded` makes None of."""
        from xqe.collections.archive import members

        found: dict[str, dict[str, T]] = {folder: {} for folder in ("", *folders)}
        for file in files:
            for one in members(file, self.below):
                where = self._where(one.path)
                if where is None or one.content is None or where[0] not in found:
                    continue
                if (source := decoded(one.content)) is not None:
                    found[where[0]].setdefault(where[1], source)
        return found

    def _where(self, path: str) -> Where | None:
        match = self.page.fullmatch(path)
        return None if match is None else ("" if match[1] == self.original else match[1], match[2])


def of_first(sources: Mapping[str, Mapping[str, T]], folders: Iterable[str]) -> dict[str, T]:
    """The pages of some folders, each of the first one that has it."""
    found: dict[str, T] = {}
    for folder in folders:
        found = {**sources[folder], **found}
    return found


def texts_of(
    lang: str, sources: Mapping[str, T], read: Callable[[str, T], Text | None], kept: Kept, lacking: str
) -> Texts:
    """The pages of a language, by name, that `read` makes a text of; lacking: what is noted of the others."""
    say(f"{lang}: reading {plural(len(sources), 'page')}")
    found: Texts = {}
    for name in sorted(sources):
        if (one := read(name, sources[name])) is not None:
            found[name] = one
        else:
            kept.left[lang][lacking] += 1
    return found
