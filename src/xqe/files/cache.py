"""Where xqe keeps what it can make or download again."""

from __future__ import annotations

import os
from pathlib import Path

from xqe.errors import XqeError


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/xqe, by default ~/.cache/xqe. A relative XDG_CACHE_HOME is ignored, as its specification says.

    Raises XqeError for a user without a home.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (base if base.is_absolute() else Path.home() / ".cache") / "xqe"
    except RuntimeError:  # no HOME, and a user that no file knows
        raise XqeError("could not determine home directory", "set HOME, or XDG_CACHE_HOME, to a folder") from None
