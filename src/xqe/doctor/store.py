"""The store of finished generations, and whether it can be used."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from xqe.doctor.places import size_of
from xqe.errors import XqeError, why
from xqe.models.store.place import file_of

READ_STORE = 128 << 20  # bytes; a store up to that is read through unasked, which takes a second


@dataclass(frozen=True, slots=True)
class StoreState:
    """The store of generations. state: "ok", "none" or "unusable". checked: everything in it was read."""

    path: str
    state: str
    size: int = 0
    generations: int = 0
    tokens: int = 0
    checked: bool = False
    error: str | None = None
    hint: str = ""


def store_path() -> Path:
    """The file that is used where --store names none."""
    return file_of(os.environ.get("XQE_STORE"))


def store_at(path: Path, reads_all: bool) -> StoreState:
    """The state of a store. reads_all: also of a large one."""
    try:
        from xqe.models.store.access import opened
    except ImportError as error:  # a Python that was built without SQLite
        return StoreState(str(path), "unusable", error=f"no store can be used: {error}", hint="use --no-store")
    try:
        with opened(path) as database:
            if database is None:
                return StoreState(str(path), "none")
            size, summaries = database.size(), database.summaries()
            if checked := reads_all or size <= READ_STORE:
                for _ in database.export():
                    pass
            generations, tokens = (sum(getattr(each, name) for each in summaries) for name in ("generations", "tokens"))
            return StoreState(str(path), "ok", size, generations, tokens, checked)
    except XqeError as error:
        return StoreState(str(path), "unusable", size_of(path), error=error.message, hint=error.hint)
    except OSError as error:
        return StoreState(str(path), "unusable", error=f"{path}: {why(error)}", hint="give access to it")
