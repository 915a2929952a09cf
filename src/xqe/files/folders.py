"""What of a folder is read: its files without what is hidden, a backup, or there twice; and which of them are texts."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

from xqe.errors import InputError
from xqe.files import forms, packing
from xqe.files.forms import Form

_STALE = (".bak", ".old", ".orig", ".part", ".tmp", "~")
_UNFIT = re.compile(r"[\s%\ud800-\udfff]")  # white space parts the columns of a run; what is not UTF-8 has no JSON


def data_files(folder: Path, pattern: str = "**/*") -> list[Path]:
    """The files of a folder, and of those in it, in the order of their paths.

    Left out are hidden ones, backups of files that are there, and of a file that is there plain and packed, or packed
    in several ways, all but one: the plain one, if there is one.
    """
    files: dict[Path, Path] = {}
    for path in sorted(folder.glob(pattern)):
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        backed_up = next((path.name.removesuffix(end) for end in _STALE if path.name.endswith(end)), "")
        if not is_hidden and path.is_file() and not (backed_up and path.with_name(backed_up).is_file()):
            files.setdefault(plain_path(path), path)  # a name stands before one that goes on
    return list(files.values())


def plain_path(path: Path) -> Path:
    """A file's path without what its name was given when it was packed."""
    return path.with_name(packing.unpacked_name(path.name))


def documents_of(folder: Path, form: Form) -> tuple[list[Path], Form, str]:
    """The files of a folder that hold documents, their form, and what is to be said of those that are left out.

    Those are read whose name is that of a file of documents (JSONL, CSV and so on); where there is none, those that are
    one text each by their names; where there is none of these either, all: as TREC's, if one of them begins so. form:
    of all files, if it is not auto. Raises InputError for an empty folder.
    """
    files = data_files(folder)
    if form is not Form.AUTO:
        chosen = files
    elif chosen := [path for path in files if forms.by_name(path.name)]:
        pass
    elif chosen := [path for path in files if forms.suffix(path.name) in forms.TEXT_SUFFIXES]:
        form = Form.TEXT
    else:
        chosen = files
        form = Form.TREC if any(map(forms.begins_as_trec, files)) else Form.AUTO
    if not chosen:
        raise InputError(f"{folder}: an empty folder", "give the folder of the documents, or their file")
    return chosen, form, _left_out(folder, files, chosen)


def _left_out(folder: Path, files: list[Path], chosen: list[Path]) -> str:
    taken = set(chosen)
    kinds = Counter(forms.suffix(path.name) or "without suffix" for path in files if path not in taken)
    if not kinds:
        return ""
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5))
    return f"{folder}: {len(files) - len(taken)} of {len(files)} files are not read: {counts}"


def text_id(path: Path, folder: Path) -> str:
    """The id of a text: its path below a folder, unpacked, with white space and what is not UTF-8 as in an URL."""
    name = plain_path(path).relative_to(folder).as_posix()
    return _UNFIT.sub(lambda one: "".join(f"%{byte:02X}" for byte in os.fsencode(one[0])), name)
