"""Making the vectors of an index's documents, so that a run that was killed is gone on with.

Documents are encoded in blocks. A block's bytes are brought to the disk, then a line of blocks.jsonl that says how many
they are and what their sha256 is. Whoever goes on checks the blocks that have a line, and cuts off what comes after: in
the end the files are those of a run that nothing interrupted. dense.json is written last.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256 as sha256_of
from itertools import accumulate, chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy

from xqe import __version__
from xqe.errors import XqeError, why
from xqe.files.atomic import remove_parts
from xqe.files.hashes import sha256
from xqe.files.locks import held
from xqe.models.encoders.base import Encoded, Encoder, Side
from xqe.models.encoders.contrast import contrast
from xqe.retrieval.choices import Windows
from xqe.retrieval.dense.approximate import build, check_installed, made_with
from xqe.retrieval.dense.description import (
    BLOCKS,
    COUNTS,
    DESCRIPTION,
    ENDS,
    FORMAT,
    GRAPH,
    ROWS,
    SCALES,
    SUMS,
    Description,
    Storing,
    check_description,
    folder_name,
    of_passages,
    questions_folder,
    read_description,
    read_questions,
    write_description,
)
from xqe.retrieval.dense.opened import normalised, opened
from xqe.retrieval.dense.rows import Doubles, Matrix, Rows, row_bytes, stored
from xqe.retrieval.documents import Documents, Questions, data_folder

LOCK = "dense.lock"
BLOCK = 512  # documents
_IN_ONE_PIECE = re.compile("(?:[^/]*/)?" + f"(?:{'|'.join(map(re.escape, (DESCRIPTION, GRAPH)))})")

_SAMPLE = 100  # vectors of documents that the graph's recall is measured with
_DEPTHS = (10, 100)


def folder_of(documents: Documents, encoder: Encoder) -> Path:
    """Where the vectors of an encoder are, or would be."""
    return documents.folder / folder_name(encoder.name, encoder.contract.as_json())


def made(documents: Documents, encoder: Encoder) -> Description | None:
    """The finished vectors of an encoder, None where there are none."""
    folder = folder_of(documents, encoder)
    return read_description(folder) if (folder / DESCRIPTION).exists() else None


def lacking(documents: Documents, encoder: Encoder, languages: Iterable[str]) -> list[str]:
    """Those of the languages in which questions have no vectors yet."""
    folder = folder_of(documents, encoder)
    return [code for code in languages if read_questions(folder, code) is None]


def embed(
    directory: Path,
    documents: Documents,
    encoder: Encoder,
    storing: Storing,
    force: bool = False,
    questions: Mapping[str, Questions] | None = None,
) -> Iterator[int]:
    """Make the vectors of all documents of an index, and then of their questions in each language; yield how many have
    theirs, first those of an earlier run. Documents count once more for each language that they have questions in.

    Raises XqeError for an index without texts, where the vectors are there already, for a folder that another process
    embeds into, for an unfinished one of another `storing`, for a text that the encoder fails on, and where the index
    was replaced meanwhile. What is done stays, and is gone on with; `force` begins anew.
    """
    if not documents.has_texts:
        raise XqeError(f"{directory}: keeps no texts to embed", "build it again without --no-texts")
    with _held(directory, documents, encoder) as folder:
        if force:
            _clear(folder)
        description = made(documents, encoder)
        questions = questions or {}
        left = lacking(documents, encoder, questions)
        if description is not None:
            _check_going_on(directory, description, encoder, storing, bool(left))
            yield len(documents)
        else:
            yield from _Embedding(folder, documents, encoder, storing).run()
        done = len(documents) + sum(len(its.owners) for code, its in questions.items() if code not in left)
        for code in left:
            own, its = questions_folder(folder, code), questions[code]
            own.mkdir(exist_ok=True)
            for count in _OfQuestions(own, its.documents, encoder, Storing(storing.precision)).run():
                yield done + count
            done += len(its.owners)


def _check_going_on(directory: Path, there: Description, encoder: Encoder, storing: Storing, lacks: bool) -> None:
    """Raise XqeError unless finished vectors lack only those of questions, which are to be made in the same way."""
    if not lacks or there.storing != storing:
        said = ", ".join(f"{name} {value}" for name, value in there.storing.as_json().items())
        raise XqeError(f"{directory}: has vectors of {encoder.name} ({said})", "make them anew with --force")
    prefix = encoder.contract.query_prefix
    if there.contract["query_prefix"] != prefix:
        raise XqeError(
            f'{directory}: is searched with the query prefix "{there.contract["query_prefix"]}", '
            f'and its questions would have "{prefix}"',
            "give the same --query-prefix, or make all anew with --force",
        )


def add_graph(directory: Path, documents: Documents, encoder: Encoder, threads: int) -> Iterator[int]:
    """Add a graph for approximate search to vectors that are there; yield how many rows are in it.

    It is made in memory, and anew where it was there. Raises MissingExtraError, and XqeError as `embed` does.
    """
    check_installed()
    with _held(directory, documents, encoder) as folder:
        description = read_description(folder)
        check_description(folder, description)
        yield from build(folder, Rows(folder, description), threads)
        files = {**description.files, GRAPH: _on_disk(folder / GRAPH)}
        described = replace(description, approximate=made_with(), files=files)
        recall = _recall(folder, described, documents, threads)
        write_description(folder, replace(described, approximate={**made_with(), "recall": recall}))


def _recall(folder: Path, description: Description, documents: Documents, threads: int) -> dict[str, float]:
    """The part of the k best documents that the graph finds, for vectors of documents that are spread over all."""
    vectors = opened(folder, description, documents, threads)
    queries = vectors.of(numpy.unique(numpy.linspace(0, len(documents) - 1, _SAMPLE).astype(numpy.int64)))
    recall = {}
    for k in _DEPTHS:
        exact, found = (vectors.best(queries, k, approximate=approximate) for approximate in (False, True))
        parts = [
            len(numpy.intersect1d(some, all_of_them)) / len(all_of_them)
            for (some, _), (all_of_them, _) in zip(found, exact, strict=True)
        ]
        recall[str(k)] = round(sum(parts) / len(parts), 4)
    return recall


@contextmanager
def _held(directory: Path, documents: Documents, encoder: Encoder) -> Iterator[Path]:
    """The folder of the vectors, for this process alone; what goes wrong with files is told in one line."""
    folder = folder_of(documents, encoder)
    with held(folder / LOCK, "embedding the same"):
        try:
            remove_parts(folder, _IN_ONE_PIECE)
            yield folder
        except OSError as error:
            if data_folder(directory) != documents.folder:
                raise _replaced(directory) from None
            raise XqeError(
                f"{folder}: cannot write the vectors ({why(error)})", "mend that, and go on with the same command"
            ) from None
    if data_folder(directory) != documents.folder:
        raise _replaced(directory)


def _replaced(directory: Path) -> XqeError:
    return XqeError(f"{directory}: the index was replaced while its texts were embedded", "embed those of the new one")


def _clear(folder: Path) -> None:
    """Remove vectors, first what says that they are finished. Who has them open keeps them."""
    for name in (DESCRIPTION, BLOCKS, ROWS, SCALES, ENDS, GRAPH):
        (folder / name).unlink(missing_ok=True)
    for questions in folder.glob(questions_folder(folder, "*").name):
        shutil.rmtree(questions)


@dataclass(frozen=True, slots=True)
class _Block:
    """A line of blocks.jsonl. truncated: how many of the texts the encoder cut."""

    documents: int
    rows: int
    truncated: int
    sha256: str


class _Embedding:
    """A run, in a folder that is held."""

    _side = Side.PASSAGE

    def __init__(self, folder: Path, documents: Documents, encoder: Encoder, storing: Storing) -> None:
        self._folder, self._documents, self._encoder, self._storing = folder, documents, encoder, storing
        self._sizes = row_bytes(storing.precision, encoder.contract.dimension)  # bytes a row, by file
        self._names = [*self._sizes, *([ENDS] if storing.windows is Windows.MAX else [])]

    def run(self) -> Iterator[int]:
        blocks = self._taken_up()
        done = sum(block.documents for block in blocks)
        yield done
        with ExitStack() as stack:
            files = {name: stack.enter_context((self._folder / name).open("ab")) for name in self._names}
            lines = stack.enter_context((self._folder / BLOCKS).open("ab"))
            if not blocks:
                _append(lines, json.dumps(self._plan()).encode() + b"\n")
            rows = sum(block.rows for block in blocks)
            for numbers, windows, encoded in self._encoded(done):
                block = self._add(numbers, windows, encoded, rows, files)
                _append(lines, _line(block))
                blocks.append(block)
                done += block.documents
                rows += block.rows
                yield done
        self._finish(blocks)

    def _plan(self) -> dict[str, Any]:
        """The first line of blocks.jsonl: what has to be the same to go on."""
        contract = self._decisive(self._encoder.contract.as_json())
        listed = {name: told for name, told in self._encoder.making().items() if name == "listed"}
        plan = {"format": FORMAT, "encoder": self._encoder.name, "contract": contract, **listed}
        return {**plan, **self._storing.as_json()}

    def _decisive(self, contract: Mapping[str, Any]) -> Mapping[str, Any]:
        """What of a contract the vectors depend on."""
        return of_passages(contract)

    def _taken_up(self) -> list[_Block]:
        """The blocks that are there and whole; what comes after them is cut off."""
        path = self._folder / BLOCKS
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        blocks: list[_Block] = []
        if lines and lines[0].endswith(b"\n"):
            self._check_plan(lines[0])
            blocks = self._whole_blocks(lines[1:])
        kept = len(lines[0]) + sum(len(_line(block)) for block in blocks) if blocks else 0
        for name, size in {BLOCKS: kept, **self._ends_of(blocks)}.items():
            with (self._folder / name).open("ab") as file:
                file.truncate(size)
        return blocks

    def _check_plan(self, line: bytes) -> None:
        try:
            plan = json.loads(line)
        except (RecursionError, ValueError):
            plan = None
        if not isinstance(plan, dict):
            raise XqeError(f"{self._folder / BLOCKS}: damaged", "begin anew with --force")
        for name, value in self._plan().items():
            if plan.get(name) != value:
                raise XqeError(
                    f"{self._folder}: begun with {name} {plan.get(name)}, now {value}",
                    "go on with the same options, or begin anew with --force",
                )

    def _whole_blocks(self, lines: list[bytes]) -> list[_Block]:
        blocks: list[_Block] = []
        with ExitStack() as stack:
            try:
                files = {name: stack.enter_context((self._folder / name).open("rb")) for name in self._names}
            except FileNotFoundError:
                return []
            for line in lines:
                block = _read(line)
                if block is None:
                    break
                parts = [files[name].read(size) for name, size in self._ends_of([block]).items()]
                if sha256_of(b"".join(parts)).hexdigest() != block.sha256:
                    break
                blocks.append(block)
        return blocks

    def _ends_of(self, blocks: list[_Block]) -> dict[str, int]:
        """How many bytes of each file these blocks are."""
        documents, rows = sum(block.documents for block in blocks), sum(block.rows for block in blocks)
        return {name: rows * self._sizes[name] if name in self._sizes else documents * 8 for name in self._names}

    def _encoded(self, done: int) -> Iterator[tuple[range, list[list[str]], Encoded]]:
        """The documents from one on, in blocks: which, the texts of each that are encoded, and their vectors. Some
        encoders are at work on several blocks."""
        total = len(self._documents)
        blocks = [range(start, min(start + BLOCK, total)) for start in range(done, total, BLOCK)]
        under_way: deque[list[list[str]]] = deque()

        def texts() -> Iterator[list[str]]:
            for windows in self._texts(blocks):
                under_way.append(windows)
                yield list(chain.from_iterable(windows))

        for numbers, encoded in zip(blocks, self._encoder.encode_each(texts(), self._side), strict=True):
            yield numbers, under_way.popleft(), encoded

    def _add(
        self, numbers: range, windows: list[list[str]], encoded: Encoded, rows: int, files: Mapping[str, BinaryIO]
    ) -> _Block:
        """Bring the vectors of documents to the disk; what has no text has a vector of zeros."""
        counts = [len(some) for some in windows]
        ends = list(accumulate(counts))
        if encoded.errors:
            place, error = min(encoded.errors.items())
            failed = numbers[sum(end <= place for end in ends)]
            raise XqeError(
                f'{self._encoder.name}: document "{self._documents.id(failed)}": {error}',
                "mend that, and go on with the same command",
            )
        are_empty = [not text.strip() for text in chain.from_iterable(windows)]
        parts = self._parts(numpy.where(numpy.array(are_empty)[:, None], 0, encoded.vectors), ends, rows)
        for name, part in parts.items():
            _append(files[name], part)
        digest = sha256_of(b"".join(parts[name] for name in self._names)).hexdigest()
        return _Block(len(numbers), len(parts[ROWS]) // self._sizes[ROWS], encoded.truncated, digest)

    def _parts(self, vectors: Matrix, ends: list[int], rows: int) -> dict[str, bytes]:
        """What is appended to which file for the vectors of some documents. ends: of those of each; rows: that are
        there already."""
        if self._storing.windows is Windows.MEAN:
            vectors = normalised(_sums(vectors, ends)).astype(numpy.float32)
        parts = stored(vectors, self._storing.precision)
        if ENDS in self._names:
            parts[ENDS] = (numpy.array(ends, "<i8") + rows).tobytes()
        return parts

    def _texts(self, blocks: Iterable[range]) -> Iterator[list[list[str]]]:
        """What is encoded of each document, by blocks."""
        texts = ([self._documents.text(number) or "" for number in numbers] for numbers in blocks)
        storing = self._storing
        if storing.windows is Windows.NONE:
            return ([[text] for text in some] for some in texts)
        assert storing.window_tokens is not None and storing.overlap is not None
        return self._encoder.windows_each(texts, storing.window_tokens, storing.overlap)

    def _finish(self, blocks: list[_Block]) -> None:
        names = [*self._names, BLOCKS]
        files = {name: _on_disk(self._folder / name) for name in names}
        description = Description(
            format=FORMAT,
            xqe=__version__,
            encoder=self._encoder.name,
            contract=self._encoder.contract.as_json(),
            making=self._encoder.making(),
            **self._storing.as_json(),
            documents=len(self._documents),
            rows=sum(block.rows for block in blocks),
            truncated=sum(block.truncated for block in blocks),
            approximate=None,
            files=files,
            contrast=self._contrast(),
        )
        write_description(self._folder, description)

    def _contrast(self) -> float | None:
        return contrast(self._encoder)


class _OfQuestions(_Embedding):
    """A run over the questions in a language. documents: those that have any (see `questions`)."""

    _side = Side.QUERY

    def _contrast(self) -> None:
        return None

    def __init__(self, folder: Path, documents: Documents, encoder: Encoder, storing: Storing) -> None:
        super().__init__(folder, documents, encoder, storing)
        self._sizes |= {SUMS: 4, COUNTS: 4}
        self._names = [*self._sizes]

    def _decisive(self, contract: Mapping[str, Any]) -> Mapping[str, Any]:
        return contract

    def _texts(self, blocks: Iterable[range]) -> Iterator[list[list[str]]]:
        return ([(self._documents.text(number) or "").split("\n") for number in numbers] for numbers in blocks)

    def _parts(self, vectors: Matrix, ends: list[int], rows: int) -> dict[str, bytes]:
        sums = _sums(vectors, ends)
        parts = stored(normalised(sums).astype(numpy.float32), self._storing.precision)
        parts[SUMS] = numpy.linalg.norm(sums, axis=1).astype("<f4").tobytes()
        parts[COUNTS] = numpy.diff(ends, prepend=0).astype("<u4").tobytes()
        return parts


def _on_disk(path: Path) -> dict[str, Any]:
    return {"size": path.stat().st_size, "sha256": sha256(path)}


def _sums(vectors: Matrix, ends: list[int]) -> Doubles:
    sums: Doubles = numpy.add.reduceat(vectors.astype(numpy.float64), [0, *ends[:-1]], axis=0)
    return sums


def _append(file: BinaryIO, data: bytes) -> None:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def _line(block: _Block) -> bytes:
    fields = {name: getattr(block, name) for name in _Block.__slots__}
    return json.dumps(fields).encode() + b"\n"


def _read(line: bytes) -> _Block | None:
    """The block of a line; None for a line that is not as it was written."""
    try:
        block = _Block(**json.loads(line))
        return block if _line(block) == line else None
    except (RecursionError, TypeError, ValueError):
        return None
