"""Where xqe keeps what it can make or download again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/xqe, by default ~/.cache/xqe. A relative XDG_CACHE_HOME is ignored, as its specification says.

    Raises RuntimeError for a user without a home.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "xqe"
