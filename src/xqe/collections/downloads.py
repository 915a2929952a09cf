"""Files that are downloaded, and the table of those of collections: downloads.tsv."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HUB = "https://huggingface.co"


@dataclass(frozen=True, slots=True)
class Download:
    """A file to be had. path: below the folder of the source. size: in bytes, where it is known.
    algorithm, digest: "md5" or "sha256", and what it must be; "" where nobody has published one."""

    url: str
    path: str
    size: int | None = None
    algorithm: str = ""
    digest: str = ""
    version: str = ""  # of what the server has, by its ETag or date: parts of two versions never make one file


Files = Callable[[Sequence[str], Sequence[str] | None, Path], list[Download]]
"""(languages, splits or None for all, folder) -> what to download."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of downloads.tsv. lang, split: "" where a file is for all of them."""

    source: str
    lang: str
    kind: str
    split: str
    path: str
    size: int | None
    md5: str


@cache
def _rows() -> tuple[_Row, ...]:
    lines = Path(__file__).with_name("downloads.tsv").read_text("utf-8").splitlines()
    table = [["" if cell == "-" else cell for cell in line.split("\t")] for line in lines if not line.startswith("#")]
    return tuple(
        _Row(source, lang, kind, split, path, int(size) if size else None, md5)
        for source, lang, kind, split, path, size, md5 in table
    )


def listed(source: str, base: str) -> Files:
    """Files of downloads.tsv; a file on the hub keeps its path there, without what is the same for all."""

    def found(languages: Sequence[str], splits: Sequence[str] | None, folder: Path) -> list[Download]:
        server = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
        return [
            Download(
                f"{server}/datasets/{base}{row.path}",
                row.path.partition("/resolve/main/")[2] or row.path,
                row.size,
                "md5" if row.md5 else "",
                row.md5,
            )
            for row in _rows()
            if row.source == source
            and (not row.lang or row.lang in languages)
            and (not row.split or splits is None or row.split in splits)
        ]

    return found


def total(source: str) -> int:
    """Bytes of all files of a source."""
    return sum(row.size or 0 for row in _rows() if row.source == source)
