"""Models in several files, NAME-00001-of-00003.gguf and so on, which lie in one folder.

llama.cpp is given the first, and finds the others by their names. Source: llama_split_path and llama_model_loader of
llama.cpp, whose llama-gguf-split makes such files.
"""

from __future__ import annotations

import re
from pathlib import Path

from xqe.models.folder import models_folder
from xqe.models.gguf import SPLIT_COUNT, DamagedError, is_split, read_metadata, whole_number
from xqe.models.registry import name_at

_NAME = re.compile(r"(?P<stem>.+)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})\.gguf")


def named(path: Path) -> tuple[Path, ...]:
    """The files of the model that a file is of, in order, by its name alone; mostly the file itself and no other."""
    found = _NAME.fullmatch(path.name)
    if found is None or not 1 <= int(found["number"]) <= int(found["count"]):
        return (path,)
    return tuple(
        path.with_name(f"{found['stem']}-{place:05}-of-{found['count']}.gguf")
        for place in range(1, int(found["count"]) + 1)
    )


def parts_of(path: Path) -> tuple[Path, ...]:
    """The files of a model, in order, by the name of the first; a model in one file is that file, whatever its name.

    Raises DamagedError for a part that is not the first and where a part is missing, and OSError.
    """
    parts = named(path)
    if len(parts) == 1:
        return parts
    said = read_metadata(path, SPLIT_COUNT)
    if not is_split(said):
        return (path,)
    if path != parts[0]:
        raise DamagedError(
            f"{path}: is part {parts.index(path) + 1} of a model in {len(parts)} files",
            f"name the first: {parts[0]}",
            "is not the first part of its model",
        )
    if (count := whole_number(said, SPLIT_COUNT, path)) != len(parts):
        raise DamagedError(
            f"{path}: is of a model in {count} files, and its name says {len(parts)}", "name it as it was published"
        )
    missing = [part for part in parts if not part.is_file()]
    if missing:
        fetched = path.is_relative_to(models_folder())
        raise DamagedError(
            f"{missing[0]}: no such file, and the model is in {len(parts)} files, of which {len(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing",
            f"run: xqe models pull {name_at(path)}" if fetched else "copy or download the whole model",
        )
    return parts


def size_of(path: Path) -> int:
    """Bytes of all files of a model. Raises as `parts_of`."""
    return sum(part.stat().st_size for part in parts_of(path))
