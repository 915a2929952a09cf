"""Building an index: a stream of documents to a folder that is whole or not there."""

from __future__ import annotations

import fcntl
import re
import shutil
from array import array
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numpy

from xqe import __version__
from xqe.errors import InputError, XqeError, why
from xqe.files.arrays import Writers
from xqe.files.documents import Placed
from xqe.files.fingerprints import fingerprints
from xqe.files.locks import opened
from xqe.files.names import NONE, NamesWriter, Numbering
from xqe.messages import Progress
from xqe.retrieval.documents import MANIFEST, data_folder, is_several
from xqe.retrieval.lexical.bm25 import BY_LENGTH, NATIVE, ByLength, Padding, Parameters, excess
from xqe.retrieval.lexical.candidates import VERSION, CandidatesWriter
from xqe.retrieval.lexical.joint import build_joint
from xqe.retrieval.lexical.manifest import DATA, FORMAT, LOCK, OURS, WITH_QUESTIONS, Manifest, described
from xqe.retrieval.lexical.manifest import write_manifest as put_manifest
from xqe.retrieval.lexical.questions import QuestionsWriter, folder_of
from xqe.retrieval.lexical.vectors import Vectors, VectorsWriter
from xqe.text.analysis import PROBES, Analyzer, analyzer
from xqe.text.workers import Batch, analysed

M = TypeVar("M")

DOCUMENTS = "documents"
_SAMPLE = 20_000  # documents whose lengths tell how much padding other parameters need


def check_target(directory: Path, replace: bool) -> None:
    """Raise XqeError unless an index may be built there: a new or empty folder, or with `replace` an index's."""
    if is_several(directory):
        raise XqeError(
            f"{directory}: holds an index of several languages", "replace it with --lang record, or give another folder"
        )
    check_folder(directory, replace, OURS)


def check_folder(directory: Path, replace: bool, ours: re.Pattern[str]) -> None:
    """Raise XqeError for a folder that has other files than these, and unless `replace` for one that has an index."""
    try:
        names = {entry.name for entry in directory.iterdir()}
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise XqeError(f"{directory}: is a file, or within one", "give a folder") from None
    except OSError as error:
        raise XqeError(f"{directory}: {why(error)}", "check its permissions") from None
    if alien := sorted(name for name in names if not ours.fullmatch(name)):
        raise XqeError(f'{directory}: holds "{alien[0]}", so it is not the folder of an index', "give another folder")
    if MANIFEST in names and not replace:
        raise XqeError(f"{directory}: holds an index already", "replace it with --force, or give another folder")
    if names and not names & {MANIFEST, LOCK}:
        raise XqeError(f"{directory}: not the folder of an index", "give another folder")


def build(
    directory: Path,
    code: str,
    documents: Iterable[Placed],
    replace: bool = False,
    parameters: Parameters | ByLength = BY_LENGTH,
    keep_texts: bool = True,
    shown: Progress | None = None,
    cores: int | None = None,
) -> Manifest:
    """Build the index of `documents`, in language `code`, in `directory` and return its manifest.

    `replace` allows it to take the place of an index that is there, which answers until the new one is whole.
    `keep_texts`: documents can be shown, at about two thirds of their size on disk. Memory does not grow with the
    documents but for some 30 bytes each, and some 30 for each distinct term. parameters: those that are the index's
    own, and that it is fastest with. shown: where progress is shown. cores: that analyse, by default all. Raises
    XqeError for a folder that holds anything else or that another process builds in, and InputError for an id that
    comes twice or for no documents.
    """
    check_target(directory, replace)
    analyze = analyzer(code)

    def make(data: Path) -> Manifest:
        batches = analysed(documents, analyze.code, cores)
        return _build_data(data, analyze, batches, parameters, keep_texts, shown, cores)

    with building(directory):
        check_target(directory, replace)  # another build may have ended since
        return replace_data(directory, named_data, make, put_manifest)


@contextmanager
def building(directory: Path) -> Iterator[None]:
    """Hold a folder that is built in; what goes wrong with its files is told in one line."""
    try:
        with _locked(directory):
            yield
    except OSError as error:
        raise XqeError(
            f"{directory}: cannot write the index ({error.strerror or error})", "check its permissions and the disk"
        ) from None


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the folder's lock, which the system takes back when this process ends, however it does."""
    directory.mkdir(parents=True, exist_ok=True)
    with opened(directory / LOCK) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise XqeError(
                f"{directory}: another process is building an index there", "wait for it, or give another folder"
            ) from None
        yield


def replace_data(
    directory: Path,
    named: Callable[[Path], str],
    make: Callable[[Path], M],
    put: Callable[[Path, M], None],
) -> M:
    """Make a new data folder, let the manifest name it, and remove all others.

    No name is used twice: a searcher that has read the old manifest finds the old files or none. named: the data folder
    that the manifest in a folder names, "" for none. make: what fills a new one and returns the manifest. put: what
    puts that in its place.
    """
    current = named(directory)
    others = {folder.name for folder in directory.glob("data-*")} - {current}
    _remove_data(directory, others)  # left by builds that were killed
    data = directory / f"data-{1 + max((_number(name) for name in (*others, current)), default=0)}"
    data.mkdir()
    try:
        manifest = make(data)
        put(directory, manifest)
    except BaseException:
        if named(directory) != data.name:  # an interrupt may come when the new manifest is there already
            _remove_data(directory, {data.name})
        raise
    _remove_data(directory, {current})
    return manifest


def _number(data: str) -> int:
    return int(data.removeprefix("data-") or 0)


def named_data(directory: Path) -> str:
    """The data folder that the manifest of an index names, in one piece or in shards; "" if there is none, or the
    manifest is past reading."""
    data = data_folder(directory)
    return data.name if data is not None and DATA.fullmatch(data.name) else ""


def _remove_data(directory: Path, names: set[str]) -> None:
    """Remove data folders. What cannot be, as on NFS while files are open, is left to later builds."""
    for name in names - {""}:
        shutil.rmtree(directory / name, ignore_errors=True)


def no_documents() -> InputError:
    return InputError("no documents to index", "give documents with --input, or on standard input")


def _build_data(
    data: Path,
    analyze: Analyzer,
    batches: Iterable[Batch],
    chosen: Parameters | ByLength,
    keep_texts: bool,
    shown: Progress | None,
    cores: int | None,
) -> Manifest:
    of_a_word = analyze.terms_of_a_word
    pad, batches = _pad_for(chosen, of_a_word, batches)
    empty = terms = 0
    with Writers() as files:
        candidates = CandidatesWriter(data)
        vectors = VectorsWriter(data, files)
        ids, names = Ids(), NamesWriter(data, DOCUMENTS, files)
        questions = QuestionsWriter(data, files)
        for batch in batches:
            questions.append(batch.documents, len(ids))
            ids.add(batch.documents)
            names.append(document.id for _, document in batch.documents)
            vectors.append(batch.counts)
            texts = (document.searched for _, document in batch.documents) if keep_texts else None
            candidates.append(((body,) for body in batch.bodies), texts, (pad,))
            empty += int((batch.counts.lengths == 0).sum())
            terms += int(batch.counts.lengths.sum())
            if shown is not None:
                shown.count(len(batch.documents))
        if shown is not None:
            shown.doing = "writing"
        documents = len(ids)
        if not documents:
            raise no_documents()
        names.finish(ids.numbering)
        vectors.finish()
        parameters = chosen.of(terms / documents / of_a_word)
        padding = Padding.fitted(parameters, documents, terms, pad)
        candidates.finish((length,) for length in padding.fillers)
    how = (parameters, keep_texts, None, cores)
    asked = {code: _questions(data, code, questions, how) for code in sorted(questions.counts)}
    return Manifest(
        format=WITH_QUESTIONS if asked else FORMAT,
        xqe=__version__,
        tantivy=VERSION,
        language=analyze.code,
        analyzer=analyze.identity,
        k1=parameters.k1,
        b=parameters.b,
        documents=documents,
        empty=empty,
        terms=terms,
        distinct=vectors.terms,
        average_length=terms / documents,
        texts=keep_texts,
        pad=padding.pad,
        fillers=list(padding.fillers),
        excess=excess(parameters, Vectors(data).lengths, terms / documents, padding),
        probes=[[probe, analyze.terms(probe)] for probe in PROBES],
        data=data.name,
        files=described(data),
        questions=asked,
        joint=build_joint(data, parameters, asked) if asked else {},
    )


def _questions(
    data: Path, code: str, questions: QuestionsWriter, how: tuple[Parameters, bool, None, int | None]
) -> dict[str, Any]:
    """Build the index of the questions in a language; what the manifest says of it."""
    folder = folder_of(data, code)
    manifest = build(folder, code, questions.taken(code), False, *how)
    return {
        "documents": manifest.documents,
        "questions": questions.counts[code],
        "bytes": manifest.size,
        "sha256": sha256((folder / MANIFEST).read_bytes()).hexdigest(),
    }


def _pad_for(chosen: Parameters | ByLength, of_a_word: int, batches: Iterable[Batch]) -> tuple[int, Iterable[Batch]]:
    """How much each document is padded, judged by the first ones, and all batches. of_a_word: terms."""
    if chosen == NATIVE:
        return 0, batches
    rest = iter(batches)
    head: list[Batch] = []
    seen = terms = 0
    for batch in rest:
        head.append(batch)
        seen += len(batch.documents)
        terms += int(batch.counts.lengths.sum())
        if seen >= _SAMPLE:
            break
    average = terms / (seen or 1)
    return Padding.pad_for(chosen.of(average / of_a_word), average), _chained(head, rest)


def _chained(head: list[Batch], rest: Iterator[Batch]) -> Iterator[Batch]:
    while head:
        yield head.pop(0)
    yield from rest


class Ids:
    """The ids of the documents so far. A second document of an id raises InputError that names both lines."""

    def __init__(self) -> None:
        self.numbering = Numbering()
        self._lines = array("Q")
        self._files: list[tuple[int, str]] = []  # the first document from each file

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, documents: Sequence[Placed]) -> None:
        first = len(self._lines)
        for number, (where, _) in enumerate(documents, first):
            file, _, line = where.rpartition(":")
            if not self._files or self._files[-1][1] != file:
                self._files.append((number, file))
            self._lines.append(int(line))
        keys = fingerprints(document.id for _, document in documents)
        self._check(documents, keys, first)
        self.numbering.add(keys, numpy.arange(first, first + len(keys)))

    def _check(self, documents: Sequence[Placed], keys: numpy.ndarray, first: int) -> None:
        earlier = self.numbering.find(keys)
        _, firsts, groups = numpy.unique(keys, return_index=True, return_inverse=True)
        within = firsts[groups]
        earlier = numpy.where(earlier == NONE, within + first, earlier)
        again = numpy.flatnonzero(earlier != numpy.arange(first, first + len(keys)))
        if len(again):
            where, document = documents[again[0]]
            raise InputError(
                f'{where}: id "{document.id}" again, first at {self._place(int(earlier[again[0]]))}',
                "give each document an id of its own",
            )

    def _place(self, number: int) -> str:
        file = self._files[bisect(self._files, number, key=lambda entry: entry[0]) - 1][1]
        return f"{file}:{self._lines[number]}"
