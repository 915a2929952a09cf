"""Looking into a store, and why one cannot be used."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xqe.models.store.database import FAILURES, Database, StoreError, is_damage

_MAGIC = b"SQLite format 3\0"


@contextmanager
def opened(path: Path) -> Iterator[Database | None]:
    """A store to look into, None where there is none yet. Raises StoreError for whatever is wrong with it."""
    database = None
    try:
        if os.access(path, os.F_OK) and path.stat().st_size:
            database = Database(path, create=False)
        yield database
    except FAILURES as error:
        raise unusable(path, error) from None
    finally:
        if database is not None:
            database.close()


def unusable(path: Path, error: Exception) -> StoreError:
    """Why a file cannot be used, and the next step."""
    if not is_damage(error):
        return StoreError(f"{path}: {_reason(path, error)}", "give access to it, or name another file with --store")
    if not has_magic(path):
        return StoreError(f"{path}: not a store of generations", "move it away, or give another --store")
    return StoreError(f"{path}: damaged ({error})", "the next run that uses it sets it aside and saves what it can")


def _reason(path: Path, error: Exception) -> str:
    """Why a file cannot be opened; SQLite says only that it cannot."""
    folder = path.parent
    reasons = (
        (os.path.isdir(path), "is a folder"),  # noqa: PTH112 - Path.is_dir raises where the folder cannot be entered
        (not os.access(folder, os.F_OK), f"there is no folder {folder}"),
        (not os.path.isdir(folder), f"{folder} is not a folder"),  # noqa: PTH112
        (not os.access(folder, os.W_OK | os.X_OK), "its folder cannot be written"),
        (os.access(path, os.F_OK) and not os.access(path, os.R_OK | os.W_OK), "cannot be read and written"),
    )
    return next((reason for holds, reason in reasons if holds), getattr(error, "strerror", None) or str(error))


def has_magic(path: Path) -> bool:
    """True for a file that begins as an SQLite database does. No connection to it may be open: closing it here would
    drop the connection's locks."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC
