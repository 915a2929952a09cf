"""The vectors of indexes that are joined: those of the same encoder, one index after the other, as one set."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xqe import __version__
from xqe.errors import XqeError
from xqe.files.arrays import mapped
from xqe.files.atomic import sync
from xqe.files.hashes import sha256
from xqe.retrieval.dense.description import (
    BLOCKS,
    ENDS,
    GRAPH,
    Description,
    check_description,
    descriptions,
    questions_folder,
    read_questions,
    write_description,
)


@dataclass(frozen=True, slots=True)
class Embedded:
    """An index that is joined. directory: for messages. data: where its vectors are. questions: how many of its
    documents have any, by their language."""

    directory: Path
    data: Path
    questions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Joined:
    """Sets of vectors that become one. sets: the folder of each, and what it says. questions: those of the questions in
    each language, of the indexes that have any."""

    sets: list[tuple[Path, Description]]
    questions: dict[str, list[tuple[Path, Description]]]

    @property
    def lacks_graph(self) -> bool:
        """Whether a graph for approximate search was there, which has to be made anew for all."""
        return any(description.approximate is not None for _, description in self.sets)

    @property
    def encoder(self) -> str:
        return self.sets[0][1].encoder


def check_joined(indexes: Sequence[Embedded]) -> list[Joined]:
    """The sets of vectors that indexes have in common, whole. Raises XqeError for one that not all have, or that was
    made otherwise in one of them, and InputError for a damaged one."""
    there = [{one.folder_name: one for one in descriptions(index.data)} for index in indexes]
    joined = []
    for name in sorted({name for sets in there for name in sets}):
        model = next(sets[name] for sets in there if name in sets)
        found = Joined([], {})
        for index, sets in zip(indexes, there, strict=True):
            if name not in sets:
                raise _lacking(index, model.encoder, "")
            _add(found.sets, index, index.data / name, sets[name])
            for code in index.questions:
                its = read_questions(index.data / name, code)
                if its is None:
                    raise _lacking(index, model.encoder, f" of its questions in {code}")
                _add(found.questions.setdefault(code, []), index, questions_folder(index.data / name, code), its)
        joined.append(found)
    return joined


def _lacking(index: Embedded, encoder: str, of: str) -> XqeError:
    return XqeError(
        f"{index.directory}: has no vectors of {encoder}{of}, and another index has",
        f"make them: xqe embed {index.directory} --encoder {encoder}",
    )


def _add(sets: list[tuple[Path, Description]], index: Embedded, folder: Path, its: Description) -> None:
    """Add a set to those that it is joined with. Raises XqeError where it was made otherwise than these."""
    check_description(folder, its)
    for name, value in _decisive(its).items():
        if sets and (first := _decisive(sets[0][1])[name]) != value:
            raise XqeError(
                f"{index.directory}: its vectors of {its.encoder} were made with {name} {value}, others with {first}",
                "make them anew with the same encoder and options: xqe embed --force",
            )
    sets.append((folder, its))


def _decisive(its: Description) -> dict[str, object]:
    return {**its.contract, **its.storing.as_json(), "listed": its.making.get("listed")}


def join_vectors(data: Path, joined: Sequence[Joined]) -> None:
    """Write sets of vectors into the data folder of the index of all."""
    for one in joined:
        folder = data / one.sets[0][1].folder_name
        folder.mkdir()
        for code, sets in one.questions.items():
            its = questions_folder(folder, code)
            its.mkdir()
            _write(its, sets)
        _write(folder, one.sets)


def _write(folder: Path, sets: Sequence[tuple[Path, Description]]) -> None:
    """Write one set after the other; what says that they are whole comes last."""
    first = sets[0][1]
    names = [name for name in first.files if name not in (BLOCKS, GRAPH)]
    rows = 0
    for name in names:
        with (folder / name).open("wb") as file:
            for place, its in sets:
                if name == ENDS:
                    file.write((mapped(place / name, "<i8") + rows).astype("<i8").data)
                    rows += its.rows
                else:
                    with (place / name).open("rb") as part:
                        shutil.copyfileobj(part, file, 1 << 20)
        sync(folder / name)
    description = replace(
        first,
        xqe=__version__,
        documents=sum(its.documents for _, its in sets),
        rows=sum(its.rows for _, its in sets),
        truncated=sum(its.truncated for _, its in sets),
        approximate=None,
        files={name: {"size": (folder / name).stat().st_size, "sha256": sha256(folder / name)} for name in names},
    )
    write_description(folder, description)
