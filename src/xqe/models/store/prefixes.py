"""What a model has read of the beginning that many prompts have, so that the next process need not read it again.

A folder beside the store, with a file for each beginning, named by the hash of all that it depends on. A file has one
line of JSON, then what it keeps, whose checksum is in that line: one that is damaged is taken for none and made again.
What was used longest ago goes when there is more than the limit. Any number of processes may share a folder: a file
comes to its place whole, and one that is gone was there for nobody.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xqe.errors import why
from xqe.messages import say

_OURS = re.compile(r"[0-9a-f]{64}\.prefix")
_PARTS = re.compile(r"\.[0-9a-f]{64}\.[0-9]+\.part")
_STALE = 3600.0  # seconds, after which nobody writes a part any more
_FORM = 1


@dataclass(frozen=True, slots=True)
class Kept:
    """A file of the folder. used: when it was written or read last, in seconds since 1970."""

    path: Path
    size: int
    used: float


class Prefixes:
    """The folder as a run uses it: whatever goes wrong costs time and no text, and is said in one line.

    most: bytes of all files together. is_private: nobody but its user reads it.
    """

    def __init__(self, folder: Path, most: int, is_private: bool = True) -> None:
        self.folder = folder
        self._most = most
        self._is_private = is_private
        self._is_writable = True

    def has(self, key: str) -> bool:
        return os.access(self._path(key), os.R_OK)

    def get(self, key: str) -> bytes | None:
        """What is kept under a key, None for what is not or is damaged."""
        path = self._path(key)
        try:
            with path.open("rb") as file:
                line = file.readline()
                content = file.read()
            if json.loads(line)["sha256"] != _checksum(key, content):
                raise ValueError
        except FileNotFoundError:
            return None
        except OSError as error:
            self._give_up(why(error))
            return None
        except (ValueError, KeyError, TypeError, RecursionError):
            say(f"{path}: damaged; it is made again")
            self._attempt(path.unlink)
            return None
        with suppress(OSError):  # it is another user's, or is gone
            os.utime(path)
        return content

    def put(self, key: str, content: bytes, **said: Any) -> None:
        """Keep something, and let go of what was used longest ago where that is too much. said: of it, for people."""
        if self.wants(len(content)):
            self._attempt(lambda: self._put(key, content, said))

    def wants(self, size: int) -> bool:
        """False for what takes more than half of the room, and where nothing can be written."""
        return self._is_writable and 2 * size <= self._most

    def _put(self, key: str, content: bytes, said: dict[str, Any]) -> None:
        self.folder.mkdir(0o700 if self._is_private else 0o777, parents=True, exist_ok=True)
        beside = self.folder / f".{key}.{os.getpid()}.part"
        mode = 0o600 if self._is_private else 0o666
        line = json.dumps({"form": _FORM, "sha256": _checksum(key, content), **said})
        try:
            with open(os.open(beside, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, mode), "wb") as file:
                file.write(line.encode() + b"\n")
                file.write(content)
            beside.replace(self._path(key))  # not synced: what a loss of power leaves does not have its checksum
        finally:
            beside.unlink(missing_ok=True)
        self._tidy()

    def _tidy(self) -> None:
        """Keep within the limit, and remove what killed processes left."""
        files = kept(self.folder)
        total = sum(file.size for file in files)
        for file in files[:-1]:
            if total <= self._most:
                break
            file.path.unlink(missing_ok=True)
            total -= file.size
        for path in self.folder.iterdir():
            if _PARTS.fullmatch(path.name):
                with suppress(FileNotFoundError):
                    if time.time() - path.stat().st_mtime > _STALE:
                        path.unlink()

    def _attempt(self, work: Callable[[], object]) -> None:
        try:
            work()
        except FileNotFoundError:  # another process was faster
            pass
        except OSError as error:
            self._give_up(why(error))

    def _give_up(self, reason: str) -> None:
        if self._is_writable:
            self._is_writable = False
            if self.folder.parent.is_dir():  # else the store, which would be there, too, says it
                say(f"{self.folder}: {reason}; beginnings of prompts are not kept")

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.prefix"


def kept(folder: Path) -> list[Kept]:
    """The files of a folder, the one that was used longest ago first; none where there is no folder."""
    files = []
    with suppress(OSError):
        for path in folder.iterdir():
            if _OURS.fullmatch(path.name):
                with suppress(OSError):  # gone meanwhile
                    state = path.stat()
                    files.append(Kept(path, state.st_size, state.st_mtime))
    return sorted(files, key=lambda file: (file.used, file.path))


def remove(files: Iterable[Kept]) -> None:
    """Remove some of them. Raises OSError."""
    for file in files:
        file.path.unlink(missing_ok=True)


def _checksum(key: str, content: bytes) -> str:
    digest = hashlib.sha256(key.encode())
    digest.update(content)
    return digest.hexdigest()
