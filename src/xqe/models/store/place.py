"""Where the store lies."""

from __future__ import annotations

from pathlib import Path

from xqe.files.cache import cache_folder


def file_of(option: str | None) -> Path:
    """The file that --store means; without it, the one in the cache folder."""
    path = Path(option).expanduser() if option else cache_folder() / "generations.sqlite"
    return path.resolve()  # SQLite follows links, too
