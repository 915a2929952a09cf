"""The index: documents in, a folder on disk, BM25 hits out. The only module that imports tantivy.

tantivy is given terms, never text: `xqe.analysis` makes them, and tantivy's whitespace tokenizer takes them apart
again. So documents and queries are analysed by the same code, in languages that tantivy knows nothing of.

    DIR/xqe.json    the manifest: what the index holds, how it was made, and the sha256 of every file
    DIR/data-1/     tantivy's files, and ids.txt, the id of each document by its number
    DIR/xqe.lock    locked while an index is being built

A build writes a new data folder and then replaces the manifest, which is one atomic rename: whenever a build is
killed, the manifest names a whole index, the old one or the new one.

BM25 has k1 = 1.2 and b = 0.75, idf = ln(1 + (N - n + 0.5) / (n + 0.5)), and rounds the length of a document down to
one of 256 steps (exact up to 40 terms), all as in Lucene.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import tantivy

from xqe import __version__
from xqe.analysis import PROBES, Analyzer, analyzer
from xqe.documents import Placed
from xqe.errors import InputError, XqeError
from xqe.workers import Analysed, analysed

MANIFEST = "xqe.json"
LOCK = "xqe.lock"
IDS = "ids.txt"
FORMAT = 1
K1, B = 1.2, 0.75

_REBUILD = "build it again with xqe index --force"
_OURS = re.compile(r"xqe\.json(?:\.new)?|xqe\.lock|data-\d+")
_WRITER_MEMORY = 256_000_000  # bytes; a segment is written each time it is full
_BODY, _ORD = "body", "ord"


class Hit(NamedTuple):
    """A document that was found; `score` is a float32 value."""

    id: str
    score: float


@dataclass(frozen=True, slots=True)
class Manifest:
    """What xqe.json holds.

    documents, empty, terms: counts over the collection; average_length: terms a document. analyzer: its identity.
    probes: [text, terms] pairs that analysis must reproduce. files: name -> {"size", "sha256"}, in the folder `data`.
    """

    format: int
    xqe: str
    tantivy: str
    language: str
    analyzer: dict[str, Any]
    k1: float
    b: float
    documents: int
    empty: int
    terms: int
    average_length: float
    probes: list[list[Any]]
    data: str
    files: dict[str, dict[str, Any]]


# ---------------------------------------------------------------- building


def check_target(directory: Path, replace: bool) -> None:
    """Raise XqeError unless an index may be built there: a new or empty folder, or with `replace` an index's."""
    if not directory.exists():
        return
    if not directory.is_dir():
        raise XqeError(f"{directory}: is a file", "give a folder")
    names = {entry.name for entry in directory.iterdir()}
    if alien := sorted(name for name in names if not _OURS.fullmatch(name)):
        raise XqeError(f'{directory}: holds "{alien[0]}", so it is not the folder of an index', "give another folder")
    if MANIFEST in names and not replace:
        raise XqeError(f"{directory}: holds an index already", "replace it with --force, or give another folder")
    if names and not names & {MANIFEST, LOCK}:
        raise XqeError(f"{directory}: not the folder of an index", "give another folder")


def build(directory: Path, code: str, documents: Iterable[Placed], replace: bool = False) -> Manifest:
    """Build the index of `documents`, in language `code`, in `directory` and return its manifest.

    `replace` allows it to take the place of an index that is there, which answers until the new one is whole.
    Raises XqeError for a folder that holds anything else or that another process builds in, and InputError for an
    id that comes twice or for no documents at all.
    """
    check_target(directory, replace)
    analyze = analyzer(code)
    try:
        with _locked(directory):
            check_target(directory, replace)  # another build may have ended since
            return _replace_data(directory, analyze, analysed(documents, analyze.code))
    except OSError as error:
        raise XqeError(
            f"{directory}: cannot write the index ({error.strerror or error})", "check its permissions and the disk"
        ) from None


def _replace_data(directory: Path, analyze: Analyzer, documents: Iterable[Analysed]) -> Manifest:
    """Build into a new data folder, let the manifest name it, and remove all others."""
    current = _named_data(directory)
    taken = {folder.name for folder in directory.glob("data-*")}
    _remove_data(directory, taken - {current})  # left by builds that were killed
    data = directory / next(name for n in range(1, 3) if (name := f"data-{n}") != current)
    data.mkdir()
    try:
        manifest = _build_data(data, analyze, documents)
        replacement = directory / f"{MANIFEST}.new"
        _write_synced(replacement, [json.dumps(asdict(manifest), ensure_ascii=True, indent=1)])
        replacement.replace(directory / MANIFEST)
        _sync(directory)
    except BaseException:
        shutil.rmtree(data, ignore_errors=True)
        raise
    _remove_data(directory, {current} - {""})
    return manifest


def _named_data(directory: Path) -> str:
    """The data folder that the manifest names; "" if there is none, or the manifest is past reading."""
    try:
        return _manifest(directory).data
    except InputError:
        return ""


def _remove_data(directory: Path, names: set[str]) -> None:
    for name in names:
        shutil.rmtree(directory / name)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the folder's lock, which the system takes back when this process ends, however it does."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise XqeError(
                f"{directory}: another process is building an index there", "wait for it, or give another folder"
            ) from None
        yield


def _schema() -> Any:
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field(_ORD, fast=True)
    builder.add_text_field(_BODY, tokenizer_name="whitespace", index_option="freq")
    return builder.build()


def _build_data(data: Path, analyze: Analyzer, documents: Iterable[Analysed]) -> Manifest:
    # One thread: analysis is what takes the time, and the same documents then give the same segments.
    index = tantivy.Index(_schema(), str(data))
    index.config_reader("Manual")  # no thread that watches for commits, and locks the folder then
    writer = index.writer(_WRITER_MEMORY, 1)
    places: dict[str, str] = {}
    empty = terms = 0
    for document in documents:
        if document.id in places:
            raise InputError(
                f'{document.where}: id "{document.id}" again, first at {places[document.id]}',
                "give each document an id of its own",
            )
        row = tantivy.Document()
        row.add_unsigned(_ORD, len(places))
        row.add_text(_BODY, document.body)
        writer.add_document(row)
        places[document.id] = document.where
        empty += not document.body
        terms += document.body.count(" ") + 1 if document.body else 0
    if not places:
        raise InputError("no documents to index", "give JSONL or TSV documents with --input, or on standard input")
    try:
        writer.commit()
        writer.wait_merging_threads()
    except ValueError as error:  # what tantivy raises for a full disk
        raise OSError(str(error)) from None
    _write_synced(data / IDS, (f"{identifier}\n" for identifier in places))
    for lock in data.glob("*.lock"):
        lock.unlink()
    names = sorted(path.name for path in data.iterdir() if path.suffix != ".lock")
    for name in names:
        (data / name).chmod((data / IDS).stat().st_mode)  # tantivy keeps some to their owner
        _sync(data / name)
    _sync(data)
    return Manifest(
        format=FORMAT,
        xqe=__version__,
        tantivy=metadata.version("tantivy"),
        language=analyze.code,
        analyzer=analyze.identity,
        k1=K1,
        b=B,
        documents=len(places),
        empty=empty,
        terms=terms,
        average_length=terms / len(places),
        probes=[[probe, analyze.terms(probe)] for probe in PROBES],
        data=data.name,
        files={name: {"size": (data / name).stat().st_size, "sha256": _sha256(data / name)} for name in names},
    )


def _write_synced(path: Path, texts: Iterable[str]) -> None:
    # an id may hold a lone surrogate, which JSON can write and UTF-8 cannot
    with path.open("w", encoding="utf-8", errors="surrogatepass", newline="") as file:
        file.writelines(texts)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---------------------------------------------------------------- opening


def open_index(directory: Path) -> Index:
    """Open the index in a folder, having checked that it is whole and that text is analysed as when it was built.

    Every file is hashed, which reads them once (some 1.5 GB a second): tantivy would answer from a damaged one
    without a word. Raises InputError, with what to do, for a missing, damaged or unfit index.
    """
    manifest = _manifest(directory)
    try:
        return _opened(directory, manifest)
    except InputError:
        newer = _manifest(directory)
        if newer == manifest:
            raise
        return _opened(directory, newer)  # it was replaced between reading the manifest and the files


def _manifest(directory: Path) -> Manifest:
    path = directory / MANIFEST
    try:
        raw = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        what = "holds no index" if directory.is_dir() else "no such index"
        raise InputError(f"{directory}: {what}", "build one with xqe index") from None
    except OSError as error:
        raise InputError(f"{path}: {(error.strerror or str(error)).lower()}", "check the path") from None
    except ValueError:
        raise InputError(f"{path}: damaged, not JSON", _REBUILD) from None
    if isinstance(raw, dict) and raw.get("format", FORMAT) != FORMAT:
        raise InputError(f"{directory}: an index of format {raw['format']}, this xqe reads {FORMAT}", _REBUILD)
    try:
        manifest = Manifest(**raw)
        whole = (
            re.fullmatch(r"data-\d+", manifest.data) and IDS in manifest.files and isinstance(manifest.language, str)
        )
    except TypeError:
        whole = None
    if not whole:
        raise InputError(f"{path}: damaged, fields are missing", _REBUILD)
    return manifest


def _opened(directory: Path, manifest: Manifest) -> Index:
    if manifest.tantivy != metadata.version("tantivy"):
        raise InputError(
            f"{directory}: built with tantivy {manifest.tantivy}, {metadata.version('tantivy')} is installed", _REBUILD
        )
    try:
        analyze = analyzer(manifest.language)
    except XqeError as error:
        raise InputError(f"{directory}: {error.message}", _REBUILD) from None
    for part in sorted(manifest.analyzer.keys() | analyze.identity.keys()):
        then, now = manifest.analyzer.get(part), analyze.identity.get(part)
        if then != now:
            raise InputError(f"{directory}: text was analysed differently ({part} {then}, now {now})", _REBUILD)
    if any(analyze.terms(text) != terms for text, terms in manifest.probes):
        raise InputError(f"{directory}: text is analysed differently now than when it was built", _REBUILD)
    data = directory / manifest.data
    for name, expected in manifest.files.items():
        path = data / name
        try:
            whole = path.stat().st_size == expected["size"] and _sha256(path) == expected["sha256"]
        except OSError as error:
            raise InputError(f"{path}: {(error.strerror or str(error)).lower()}", _REBUILD) from None
        if not whole:
            raise InputError(f"{path}: damaged, its contents are not those that were written", _REBUILD)
    ids = (data / IDS).read_text(encoding="utf-8", errors="surrogatepass").split("\n")[:-1]
    return Index(directory.resolve().name, manifest, analyze, _searcher(data, manifest.files), ids)


def _searcher(data: Path, names: Iterable[str]) -> Any:
    """A tantivy searcher over the files. tantivy writes a lock beside what it opens, even to read, so it is shown
    links in a folder of its own: an index may lie where this user cannot write. It maps the files into memory, and
    needs their names no longer."""
    folder = Path(tempfile.mkdtemp(prefix="xqe-"))
    try:
        for name in names:
            (folder / name).symlink_to((data / name).absolute())
        index = tantivy.Index.open(str(folder))
        index.config_reader("Manual")
        return index.searcher()
    finally:
        _remove_soon(folder)


def _remove_soon(folder: Path) -> None:
    """Remove a folder in which a thread of tantivy's, just told to end, may still be writing its lock."""
    for _ in range(100):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.01)


class Index:
    """An open index. `search` may be called from several threads; `analyzer` is for one at a time."""

    def __init__(self, name: str, manifest: Manifest, analyze: Analyzer, searcher: Any, ids: list[str]) -> None:
        self.name = name
        self.manifest = manifest
        self.analyzer = analyze
        self._schema = _schema()
        self._searcher = searcher
        self._ids = ids

    def search(self, weights: Mapping[str, float], k: int) -> list[Hit]:
        """Return the `k` best documents for a sum of weighted terms, by score and then by id, both falling.

        A weight w counts as w repetitions of its term; terms of weight 0 or less are left out, and without terms
        there are no hits. Documents of equal score are cut at k by the same order, so more than k are asked for
        until those of the k-th score are all there.
        """
        clauses = [
            (tantivy.Occur.Should, tantivy.Query.boost_query(self._term(term), weight))
            for term, weight in sorted(weights.items())  # in one order, so that the sum of a document repeats
            if weight > 0
        ]
        if not clauses or k < 1:
            return []
        query = tantivy.Query.boolean_query(clauses)
        limit = k + 1
        while True:
            limit = min(limit, len(self._ids) + 1)
            found = self._searcher.search(query, limit, count=False).hits
            if len(found) < limit or found[-1][0] < found[k - 1][0]:
                break
            limit *= 4
        numbers = self._searcher.fast_field_values(_ORD, [address for _, address in found])
        hits = [Hit(self._ids[number], score) for number, (score, _) in zip(numbers, found, strict=True)]
        hits.sort(key=lambda hit: (hit.score, hit.id), reverse=True)
        return hits[:k]

    def _term(self, term: str) -> Any:
        return tantivy.Query.term_query(self._schema, _BODY, term, "freq")
