"""The folder that a collection is written to: what may lie there, and how a new one takes the place of an old one.

A collection is written to STAGED, a folder in its folder, and its manifest last. From then on it is the one that is
there, and who reads it looks into STAGED first: its files are moved to their places, those that only the old one had
are removed, and the manifest is moved at the end. So whenever that is killed, the old collection or the new one is
whole; what is left to do, the next build does. Nothing is removed but what the old manifest names, and nothing written
through a link.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Set
from contextlib import suppress
from pathlib import Path

from xqe.collections.manifest import MANIFEST, Json, entries, read_manifest
from xqe.errors import InputError, XqeError

STAGED = "collection.new"
LOCK = "lock"
_PLACES = r"documents/[\w.-]+\.jsonl\.gz|(?:queries|examples)/[\w.-]+/[\w.-]+\.jsonl|qrels/[\w.-]+/[\w.-]+\.qrels"
_OURS = re.compile(rf"(?:{_PLACES})(?:\.\d+\.part)?", re.ASCII)
_OURS_STAGED = re.compile(rf"{_OURS.pattern}|{LOCK}|\.?collection\.json(?:\.\d+\.part)?", re.ASCII)


def manifest_path(directory: Path) -> Path:
    """Where the manifest of the collection in a folder lies, or would."""
    staged = directory / STAGED / MANIFEST
    return staged if staged.is_file() else directory / MANIFEST


def place(directory: Path, file: str) -> Path:
    """Where a file that this manifest names lies, or would."""
    staged = directory / STAGED
    return staged / file if (staged / MANIFEST).is_file() and (staged / file).is_file() else directory / file


def check_target(directory: Path, replace: bool = False) -> None:
    """Raise XqeError unless a collection may be written there: what a command asks before its work begins.

    To a new or empty folder, or with `replace` to that of a collection, whose other files stay.
    """
    at = next(path for path in (directory, *directory.absolute().parents) if os.path.lexists(path))
    if not at.is_dir():
        raise XqeError(f"{directory}: {at} is {_kind(at)}", "give a folder")
    if not os.access(at, os.R_OK | os.W_OK | os.X_OK):
        raise XqeError(f"{directory}: permission denied", "check its permissions, or give another folder")
    is_there = os.path.lexists(manifest_path(directory))
    if is_there and not replace:
        raise XqeError(f"{directory}: holds a collection already", "give --force to replace it, or another folder")
    if is_there:
        files_there(directory)  # says where they are not known
    elif directory.exists() and (alien := {path.name for path in directory.iterdir()} - {STAGED}):
        raise XqeError(
            f'{directory}: holds "{min(alien)}", so it is not the folder of a collection',
            "give a new or an empty folder",
        )
    staged = directory / STAGED
    if os.path.lexists(staged) and not (_is_folder(staged) and all(map(_OURS_STAGED.fullmatch, _below(staged)))):
        raise XqeError(f"{staged}: holds what no collection has", "remove it, or give another folder")


def check_apart(directory: Path, sources: Iterable[Path]) -> None:
    """Raise XqeError for a folder that is one of these files and folders, holds one, or lies in one."""
    target = Path(os.path.realpath(directory))
    for source in sources:
        given = Path(os.path.realpath(source))
        if target == given:
            how = "is"
        elif target in given.parents:
            how = "holds"
        elif given in target.parents:
            how = "lies in"
        else:
            continue
        raise XqeError(f"{directory}: {how} {source}, which is read", "give another folder")


def files_of(manifest: Json) -> set[str]:
    """The files that a manifest names."""
    return {entry["file"] for entry in entries(manifest)}


def files_there(directory: Path) -> set[str]:
    """The files of the collection that is there, by its manifest.

    Where that is damaged they are known by their names, if all that lies there has the name of such a file. Raises
    XqeError where it has not.
    """
    if not os.path.lexists(directory / MANIFEST):
        return set()
    try:
        return files_of(read_manifest(directory / MANIFEST))
    except InputError as error:
        there = {file for file in _below(directory) if file != MANIFEST and not file.startswith(f"{STAGED}/")}
        if there and all(map(_OURS.fullmatch, there)):
            return there
        raise XqeError(
            error.message, "what in the folder is a collection's is not known: remove it, or give another folder"
        ) from None


def check_free(directory: Path, file: str, old: Set[str]) -> None:
    """Raise XqeError where a file cannot be put without touching what is not the collection's. old: its files."""
    path = directory / file
    for folder in (directory / above for above in list(Path(file).parents)[:-1]):
        if os.path.lexists(folder) and not _is_folder(folder):
            raise XqeError(f"{folder}: is {_kind(folder)}", "move it away, or give another folder")
    if os.path.lexists(path) and (file not in old or _is_folder(path)):
        raise XqeError(f"{path}: is not of the collection that is replaced", "move it away, or give another folder")


def settle(directory: Path, new: Set[str], old: Set[str]) -> None:
    """Put a collection that is whole in STAGED in its place. new, old: the files of both. Raises OSError."""
    staged = directory / STAGED
    for file in sorted(new):
        with suppress(FileNotFoundError):  # moved before a kill
            (directory / file).parent.mkdir(parents=True, exist_ok=True)
            (staged / file).replace(directory / file)
    for file in sorted(old - new):
        _remove(directory, file)
    (staged / MANIFEST).replace(directory / MANIFEST)


def settle_left(directory: Path) -> None:
    """Do what a build that was killed left of that to be done. Raises OSError, and XqeError as `check_free` does."""
    staged = directory / STAGED
    if (staged / MANIFEST).is_file():
        new, old = files_of(read_manifest(staged / MANIFEST)), files_there(directory)
        for file in new:
            if (staged / file).is_file():
                check_free(directory, file, old)
        settle(directory, new, old)


def clear(directory: Path, but: str = "") -> None:
    """Remove STAGED with what builds left in it, but for one file. Raises OSError."""
    staged = directory / STAGED
    for file in sorted(_below(staged), key=lambda file: (file == LOCK, file)):
        if _OURS_STAGED.fullmatch(file) and file != but:
            _remove(staged, file)
    for folder, _, _ in os.walk(staged, topdown=False):
        with suppress(OSError):  # it holds that one, or what somebody put there meanwhile
            Path(folder).rmdir()


def _remove(directory: Path, file: str) -> None:
    """Remove a file, and the folders that it was the last one of; what lies behind a link stays."""
    folders = [directory / above for above in list(Path(file).parents)[:-1]]
    if not all(map(_is_folder, folders)):
        return
    if not _is_folder(directory / file):
        (directory / file).unlink(missing_ok=True)
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _below(folder: Path) -> Iterator[str]:
    """All that lies below a folder but folders, relative to it; of a link, itself."""
    for above, folders, files in os.walk(folder):
        for name in (*files, *(one for one in folders if Path(above, one).is_symlink())):
            yield Path(above, name).relative_to(folder).as_posix()


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _kind(path: Path) -> str:
    return "a link" if path.is_symlink() else "a file"
