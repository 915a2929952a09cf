"""Looking into a store, and why one cannot be used."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xqe.models.store.database import FAILURES, Database, StoreError, is_damage
from xqe.models.store.pages import is_ours


@contextmanager
def opened(path: Path) -> Iterator[Database | None]:
    """A store to look into, None where there is none yet. Raises StoreError for whatever is wrong with it."""
    database = None
    try:
        try:
            if os.access(path, os.F_OK) and (not path.is_file() or path.stat().st_size):
                database = Database(path, create=False)
            yield database
        finally:
            if database is not None:
                database.close()
    except FAILURES as error:
        raise unusable(path, error) from None


def unusable(path: Path, error: Exception) -> StoreError:
    """Why a file cannot be used, and the next step. No connection to it may be open (see `is_ours`)."""
    if not is_damage(error):
        return StoreError(f"{path}: {_reason(path, error)}", "give access to it, or name another file with --store")
    if not is_ours(path):
        return StoreError(f"{path}: not a store of generations", "move it away, or give another --store")
    return StoreError(f"{path}: damaged ({error})", "the next run that uses it sets it aside and saves what it can")


def _reason(path: Path, error: Exception) -> str:
    """Why a file cannot be opened; SQLite says only that it cannot."""
    folder = path.parent
    reasons = (
        (not os.access(folder, os.F_OK), f"there is no folder {folder}"),
        (not os.path.isdir(folder), f"{folder} is not a folder"),  # noqa: PTH112 - Path.is_dir may raise
        (not os.access(folder, os.W_OK | os.X_OK), "its folder cannot be written"),
        (os.access(path, os.F_OK) and not os.access(path, os.R_OK | os.W_OK), "cannot be read and written"),
    )
    return next((reason for holds, reason in reasons if holds), getattr(error, "strerror", None) or str(error))
