"""Joining finished indexes, such as those that several machines have built, to one index in shards.

Their files are linked where the disk allows it, and copied where not: the index that comes of it is whole by itself.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from xqe.errors import InputError, XqeError
from xqe.files.atomic import sync
from xqe.files.names import in_two
from xqe.retrieval.documents import MANIFEST, SHARDS, kind_of
from xqe.retrieval.lexical.bm25 import BY_LENGTH, ByLength, Parameters
from xqe.retrieval.lexical.builder import building, check_target, named_data, replace_data
from xqe.retrieval.lexical.joint import JOINT
from xqe.retrieval.lexical.manifest import Manifest, read_manifest
from xqe.retrieval.lexical.opened import Opened, open_single
from xqe.retrieval.lexical.questions import folder_of
from xqe.retrieval.lexical.shards import Shards, checked, described, folder_name, read_shards, write_shards


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished index that is joined. data: the folder of its files, and of its vectors. shards: the folders of its
    shards; its own where it is in one piece."""

    directory: Path
    data: Path
    shards: dict[Path, Opened]

    @property
    def documents(self) -> int:
        return sum(map(len, self.shards.values()))

    def questions(self) -> dict[str, int]:
        """How many documents have questions in each language."""
        counts: dict[str, int] = {}
        for shard in self.shards.values():
            for code, its in shard.manifest.questions.items():
                counts[code] = counts.get(code, 0) + int(its["documents"])
        return dict(sorted(counts.items()))


def open_parts(directories: Sequence[Path]) -> list[Finished]:
    """Open the indexes that are to be joined, having checked that they are whole and can be. Raises InputError that
    names the one that does not fit the others, and a document that is in two."""
    if len({directory.resolve() for directory in directories}) < len(directories):
        raise InputError("an index is to be joined with itself", "name each folder once")
    parts = [_part(directory) for directory in directories]
    first = next(iter(parts[0].shards.values())).manifest
    for part in parts:
        for shard in part.shards.values():
            _check_fit(parts[0], first, part, shard.manifest)
    check_distinct(parts)
    return parts


def check_distinct(parts: Sequence[Finished]) -> None:
    """Raise InputError for a document that is in two indexes."""
    owners = [part for part in parts for _ in part.shards]
    again = in_two([table for part in parts for shard in part.shards.values() for table in shard.documents.tables])
    if again is not None:
        name, one, other = again
        raise InputError(
            f'document "{name}" is in {owners[one].directory} and in {owners[other].directory}',
            "an id names one document; build one of them without it",
        )


def _part(directory: Path) -> Finished:
    if kind_of(directory) == SHARDS:
        whole = read_shards(directory)
        shards = {folder: open_single(folder) for folder in checked(directory, whole)}
        return Finished(directory, directory / whole.data, shards)
    opened = open_single(directory)
    return Finished(directory, opened.documents.folder, {directory: opened})


def _check_fit(one: Finished, first: Manifest, other: Finished, its: Manifest) -> None:
    """Raise InputError unless two indexes are of one language and both keep texts or not. That both are of this version
    and analysed as text is now was seen when they were opened."""
    if its.language != first.language:
        raise InputError(
            f"{other.directory}: in {its.language}, and {one.directory} in {first.language}",
            "an index in shards is of one language; xqe search DIR DIR searches several",
        )
    if its.texts != first.texts:
        keeps, lacks = (one, other) if first.texts else (other, one)
        raise InputError(
            f"{lacks.directory}: keeps no texts, and {keeps.directory} does", "build one of them again like the other"
        )


def join(
    directory: Path,
    parts: Sequence[Finished],
    replace: bool = False,
    chosen: ByLength = BY_LENGTH,
    beside: Callable[[Path], object] | None = None,
) -> Shards:
    """Make an index of these in a folder, which may be one of theirs if `replace` allows it, and return its manifest.

    chosen: its parameters; those that all have in common, where they do not follow from their lengths. beside: what
    puts something else, such as vectors, into the new data folder. Raises XqeError as `build` does.
    """
    check_target(directory, replace)
    parameters = _parameters(parts, chosen)

    def make(data: Path) -> Shards:
        places = (place for part in parts for place in part.shards)
        for number, place in enumerate(places):
            _put(place, data / folder_name(number))
        if beside is not None:
            beside(data)
        return described(data, parameters)

    with building(directory):
        check_target(directory, replace)  # another build may have ended since
        return replace_data(directory, named_data, make, write_shards)


def _parameters(parts: Sequence[Finished], chosen: ByLength) -> Parameters | ByLength:
    """The parameters of the whole."""
    if chosen != BY_LENGTH:
        return chosen
    shards = [shard for part in parts for shard in part.shards.values()]
    usual = [
        BY_LENGTH.of(shard.manifest.average_length / shard.analyzer.terms_of_a_word) == shard.manifest.parameters
        for shard in shards
    ]
    if all(usual):
        return BY_LENGTH
    there = {shard.manifest.parameters for shard in shards}
    if len(there) > 1:
        said = ", ".join(f"k1 {one.k1:g} b {one.b:g}" for one in sorted(there, key=lambda one: (one.k1, one.b)))
        raise XqeError(f"the indexes were built with different parameters: {said}", "choose with --k1 and --b")
    return there.pop()


def _put(place: Path, target: Path) -> None:
    """Put the files of an index in one piece, without vectors, into a new folder."""
    manifest = read_manifest(place)
    data, to = place / manifest.data, target / manifest.data
    to.mkdir(parents=True)
    for name in manifest.files:
        _link(data / name, to / name)
    for code in manifest.questions:
        _put(folder_of(data, code), folder_of(to, code))
    if manifest.joint:
        (to / JOINT).mkdir()
        for name in manifest.joint["files"]:
            _link(data / JOINT / name, to / JOINT / name)
        sync(to / JOINT)
    _link(place / MANIFEST, target / MANIFEST)
    sync(to)
    sync(target)


def _link(place: Path, target: Path) -> None:
    try:
        os.link(place.resolve(), target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(place, target)
        sync(target)
