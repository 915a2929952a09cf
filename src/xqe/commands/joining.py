"""xqe index --join: finished indexes become one in shards."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xqe.commands.embedding import summary as summary_of_vectors
from xqe.commands.indexed import summary, summary_of_all
from xqe.errors import XqeError
from xqe.messages import say

if TYPE_CHECKING:
    from xqe.retrieval.dense.joining import Joined
    from xqe.retrieval.lexical import Finished


def joined(
    directory: Path,
    folders: Sequence[str | Path],
    force: bool,
    parameters: tuple[float | None, float | None],
    reading: bool = False,
) -> dict[str, Any]:
    """Join the indexes in folders, with their vectors, to one in a folder; return what sums it up. parameters: k1 and b
    where they are given. reading: whether there are options about documents that are to be read."""
    if reading:
        raise XqeError(
            "--join reads no documents",
            "leave out --lang, --input, --encoder, --shards, --no-texts and names of fields",
        )
    if not folders:
        raise XqeError("--join needs indexes to join", "name their folders behind DIR")
    from xqe.retrieval.documents import is_several
    from xqe.retrieval.lexical import (
        ByLength,
        check_distinct,
        check_languages,
        check_target,
        join,
        join_languages,
        open_parts,
    )

    started = time.monotonic()
    parts = [Path(folder) for folder in folders]
    several = [is_several(part) for part in parts]
    if any(several) != all(several):
        raise XqeError(
            f"{parts[several.index(True)]}: an index of several languages, and {parts[several.index(False)]} of one",
            "join those of several languages, or those of one",
        )
    how = force, ByLength(*parameters)
    if not any(several):
        check_target(directory, force)
        found = open_parts(parts)
        sets = _sets(found)
        done = summary(directory, join(directory, found, *how, _putting(sets)))
        vectors: Any = _vectors(directory, sets)
    else:
        check_languages(directory, force)
        each = {code: open_parts(its) for code, its in _by_language(parts).items()}
        check_distinct([part for its in each.values() for part in its])
        of_each = {code: _sets(its) for code, its in each.items()}
        beside = {code: _putting(its) for code, its in of_each.items()}
        done = summary_of_all(directory, join_languages(directory, each, *how, beside))
        made = {code: _vectors(directory / code, its) for code, its in of_each.items()}
        vectors = {code: its for code, its in made.items() if its}
    return {**done, **({"vectors": vectors} if vectors else {}), "seconds": round(time.monotonic() - started, 2)}


def _by_language(directories: Sequence[Path]) -> dict[str, list[Path]]:
    """The folders of the indexes of each language, in indexes of several."""
    from xqe.retrieval.lexical import read_languages

    folders: dict[str, list[Path]] = {}
    for directory in directories:
        for code in read_languages(directory).languages:
            folders.setdefault(code, []).append(directory / code)
    return folders


def _sets(parts: Sequence[Finished]) -> list[Joined]:
    """The vectors of indexes, which are joined too."""
    from xqe.retrieval.dense.joining import Embedded, check_joined

    return check_joined([Embedded(part.directory, part.data, part.questions()) for part in parts])


def _putting(sets: Sequence[Joined]) -> Callable[[Path], None]:
    """What puts them into a data folder."""
    from xqe.retrieval.dense.joining import join_vectors

    return partial(join_vectors, joined=sets)


def _vectors(directory: Path, sets: Sequence[Joined]) -> list[dict[str, Any]]:
    """What sums up the vectors of a joined index. Says which have no graph any more."""
    from xqe.retrieval.dense.description import read_description
    from xqe.retrieval.lexical import open_index

    if not sets:
        return []
    index = open_index(directory)
    for one in sets:
        if one.lacks_graph:
            say(
                f"{directory}: graphs for approximate search cannot be joined; one of all: "
                f"xqe embed {directory} --encoder {one.encoder} --approximate"
            )
    names = [one.sets[0][1].folder_name for one in sets]
    return [summary_of_vectors(directory, index, read_description(index.documents.folder / name)) for name in names]
