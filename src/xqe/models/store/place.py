"""Where the store lies."""

from __future__ import annotations

from pathlib import Path

from xqe.errors import XqeError, why
from xqe.files.cache import cache_folder


def file_of(option: str | None) -> Path:
    """The file that --store means; without it, the one in the cache folder. Raises XqeError where that can be none."""
    path = Path(option) if option else cache_folder() / "generations.sqlite"
    try:
        return path.expanduser().resolve()  # SQLite follows links, too
    except (OSError, RuntimeError) as error:  # the current folder is gone; links in a circle; the home of nobody
        said = why(error) if isinstance(error, OSError) else error
        raise XqeError(f"{path}: is no place for a store ({said})", "name another file with --store") from None
