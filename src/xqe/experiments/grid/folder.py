"""The folder of a grid: what lies where, each file whole or not there, and one process at a time.

    manifest.json                          what made the numbers
    queries/COLLECTION/LANG.jsonl          the queries that are asked
    human/COLLECTION/LANG.jsonl            the same as people wrote them in a language of documents, where they did
    qrels/COLLECTION/PAIR.qrels            the judgements of the queries that a pair asks, as TREC qrels
    texts/COLLECTION/MODEL/STAGE.jsonl     what was generated; STAGE.json says from what and how
    indexes/COLLECTION/LANG/               an index; LANG.json beside it says of which documents, and by which encoder
    runs/COLLECTION/PAIR/SYSTEM.trec.gz    hits, as a TREC run
    ranked/COLLECTION/PAIR/SYSTEM+KIND.jsonl   the best hits of a cell, as a model ranks them; .json says how
    cells/COLLECTION/PAIR/SYSTEM.json      values, query by query
    documents/COLLECTION/LANG.jsonl        how those begin that are relevant or a first hit; .json says of which file
    history.jsonl, nights/TIME.json.gz     a line for each finished run, and its values

Texts, rankings and cells carry the key of all that made them (`plan`): what has the wanted key is not done again.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xqe.errors import InputError, XqeError, why
from xqe.experiments.grid.plan import Cell, Ranked, Texts
from xqe.files import atomic, jsonl
from xqe.files.locks import held
from xqe.files.records import Record
from xqe.files.trec import Qrels

FORMAT = 1
MANIFEST, HISTORY, LOCK = "manifest.json", "history.jsonl", "grid.lock"
INDEX_MANIFEST = "xqe.json"
_OURS = re.compile(
    r"manifest\.json|(?:queries|human|indexes|documents)/[^/]+/[^/]+\.jsonl?|qrels/[^/]+/[^/]+\.qrels|texts/[^/]+/[^/]+/[^/]+\.jsonl?"
    r"|runs/[^/]+/[^/]+/[^/]+\.trec\.gz|ranked/[^/]+/[^/]+/[^/]+\.jsonl?|cells/[^/]+/[^/]+/[^/]+\.json|nights/[^/]+\.json\.gz"
)
"""What is written in one piece, as above."""

Json = dict[str, Any]


class FolderError(XqeError):
    """The folder cannot be written to, so that nothing more can be done."""


class Folder:
    """A folder of a grid. resume: whether it may hold one already. Raises XqeError where it may not, or is not one."""

    def __init__(self, path: Path, resume: bool) -> None:
        self.path = path
        if path.exists() and not path.is_dir():
            raise XqeError(f"{path}: is a file", "give a folder to --out")
        holds = {entry.name for entry in path.iterdir()} if path.exists() else set()
        is_grid = LOCK in holds or "grid" in self.manifest()
        if holds and not is_grid:
            raise XqeError(f"{path}: holds other files, so it is not the folder of a grid", "give another folder")
        if holds and not resume:
            raise XqeError(f"{path}: holds a grid already", "go on with it by --resume, or give another folder")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder, which the system gives back when this process ends, however it does.

        Raises XqeError, naming the other one, where a process holds it. Leavings of killed runs are removed.
        """
        with held(self.path / LOCK, "running this grid"):
            atomic.remove_parts(self.path, _OURS)
            yield

    # ------------------------------------------------------------ texts, and rankings

    def texts(self, texts: Texts | Ranked) -> Path:
        return self.path / f"{texts.place}.jsonl"

    def has_texts(self, texts: Texts | Ranked) -> bool:
        """Whether a stage is done: with this key, and for each of its records."""
        said, path = self.said_of(texts), self.texts(texts)
        is_whole = path.is_file() and path.stat().st_size == said.get("bytes")
        return said.get("key") == texts.key and not said.get("failed") and is_whole

    def said_of(self, texts: Texts | Ranked) -> Json:
        return _read(self.path / f"{texts.place}.json")

    def put_texts(self, texts: Texts | Ranked, records: Iterable[Record], said: Json) -> None:
        """Write the records of a stage, then what is to be said of them."""
        lines = "".join(f"{jsonl.dumps(record)}\n" for record in records)
        data = lines.encode("utf-8", "surrogatepass")
        _put(self.texts(texts), data)
        _write(self.path / f"{texts.place}.json", {"format": FORMAT, "key": texts.key, "bytes": len(data), **said})

    def read_texts(self, texts: Texts | Ranked) -> dict[str, Record]:
        """The records of a stage that is done, by their ids."""
        return {record["id"]: record for _, record in jsonl.objects(str(self.texts(texts)))}

    # ------------------------------------------------------------ cells

    def cell(self, cell: Cell) -> Json:
        """What is there of a cell; empty where there is nothing, or it is of another key or could not be done."""
        said = _read(self._cell(cell))
        return said if said.get("key") == cell.key and said.get("error") is None else {}

    def has_cell(self, cell: Cell) -> bool:
        """Whether a cell is done: with this key, and without failures that the next run may mend."""
        said = self.cell(cell)
        return bool(said) and not said.get("failed") and (self.path / said["run"]).is_file()

    def put_cell(self, cell: Cell, said: Mapping[str, Any]) -> None:
        _write(self._cell(cell), {"format": FORMAT, "key": cell.key, **said})

    def put_run(self, cell: Cell, lines: Iterable[str]) -> str:
        """Write a TREC run; return its path in the folder."""
        place = f"runs/{cell.place}.trec.gz"
        text = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")
        packed = gzip.compress(text, 6, mtime=0)
        _put(self.path / place, packed)
        return place

    def read_run(self, cell: Cell) -> dict[str, list[Json]]:
        """The hits of a cell that is done, best first, by the ids of queries. Raises InputError for a damaged file."""
        path = self.path / self.cell(cell)["run"]
        found: dict[str, list[Json]] = {}
        try:
            for line in gzip.decompress(path.read_bytes()).decode("utf-8", "surrogatepass").splitlines():
                query, _, document, _, score, _ = line.split()
                found.setdefault(query, []).append({"id": document, "score": float(score)})
        except (OSError, ValueError, EOFError, zlib.error) as error:
            raise InputError(f"{path}: damaged ({error})", "search again with --again") from None
        return found

    def remove_others(self, cells: Iterable[Cell]) -> int:
        """Remove cells and runs that are not of this plan, as when a system left the grid; return how many cells."""
        kept = {self._cell(cell) for cell in cells}
        there = (self.path / "cells").glob("*/*/*.json")
        root = self.path.resolve()
        inside = (path for path in there if path.resolve() == root / path.relative_to(self.path))  # not behind a link
        others = [path for path in inside if path not in kept and "key" in _read(path)]
        for path in others:
            place = path.relative_to(self.path / "cells").with_suffix("")
            (self.path / "runs" / f"{place}.trec.gz").unlink(missing_ok=True)
            path.unlink()
        return len(others)

    def _cell(self, cell: Cell) -> Path:
        return self.path / "cells" / f"{cell.place}.json"

    # ------------------------------------------------------------ indexes

    def index(self, collection: str, lang: str) -> Path:
        return self.path / "indexes" / collection / lang

    def indexed(self, collection: str, lang: str) -> Json:
        """What is said of an index: "documents", the sha256 of those that it was built of; "texts", where it keeps
        them; "encoder", the identity of the one that made its vectors. Empty where there is no finished index."""
        if not (self.index(collection, lang) / INDEX_MANIFEST).is_file():
            return {}
        return _read(self.index(collection, lang).with_suffix(".json"))

    def put_indexed(self, collection: str, lang: str, said: Mapping[str, Any]) -> None:
        _write(self.index(collection, lang).with_suffix(".json"), {"format": FORMAT, **said})

    # ------------------------------------------------------------ the whole

    def manifest(self) -> Json:
        return _read(self.path / MANIFEST)

    def put_manifest(self, said: Mapping[str, Any]) -> None:
        _write(self.path / MANIFEST, {"format": FORMAT, **said})

    def queries(self, collection: str, lang: str) -> str:
        """Where the queries lie that are asked, in the folder."""
        return f"queries/{collection}/{lang}.jsonl"

    def put_queries(self, collection: str, lang: str, queries: Mapping[str, str]) -> None:
        _put_lines(self.path / self.queries(collection, lang), _queries(lang, queries))

    def put_human(self, collection: str, lang: str, queries: Mapping[str, str]) -> None:
        _put_lines(self.path / f"human/{collection}/{lang}.jsonl", _queries(lang, queries))

    def put_qrels(self, collection: str, pair: tuple[str, str], qrels: Qrels) -> None:
        lines = (f"{query} 0 {one} {grade}" for query, grades in qrels.items() for one, grade in grades.items())
        _put_lines(self.path / f"qrels/{collection}/{'-'.join(pair)}.qrels", lines)

    def kept(self, collection: str, lang: str, sha256: str) -> set[str]:
        """The ids of the documents whose beginnings are there. sha256: of the file that they are to come from."""
        path = self._documents(collection, lang)
        if _read(path.with_suffix(".json")).get("documents") != sha256 or not path.is_file():
            return set()
        return {one["id"] for _, one in jsonl.objects(str(path))}

    def put_documents(self, collection: str, lang: str, sha256: str, beginnings: Iterable[Json]) -> None:
        path = self._documents(collection, lang)
        _put_lines(path, map(jsonl.dumps, beginnings))
        _write(path.with_suffix(".json"), {"format": FORMAT, "documents": sha256})

    def _documents(self, collection: str, lang: str) -> Path:
        return self.path / f"documents/{collection}/{lang}.jsonl"

    def history(self) -> list[Json]:
        """The finished runs, oldest first; a line that a crash cut off is left out."""
        try:
            lines = (self.path / HISTORY).read_bytes().split(b"\n")  # and at no other end of line that Unicode has
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict):
                found.append(value)
        return found

    def add_history(self, said: Mapping[str, Any]) -> None:
        try:
            atomic.append_line(self.path / HISTORY, jsonl.dumps(said))
        except OSError as error:
            raise _unwritable(self.path / HISTORY, error) from None

    def put_night(self, place: str, values: Json) -> None:
        _put(self.path / place, gzip.compress(json.dumps(values).encode(), 6, mtime=0))

    def night(self, place: str) -> Json:
        """The values of an earlier run. Raises InputError where they are gone or damaged."""
        try:
            values = json.loads(gzip.decompress((self.path / place).read_bytes()))
        except (OSError, ValueError, EOFError, RecursionError) as error:
            raise InputError(f"{self.path / place}: {error}", "remove its line from history.jsonl") from None
        if not isinstance(values, dict):
            raise InputError(f"{self.path / place}: no values of a run", "remove its line from history.jsonl")
        return values


def _queries(lang: str, queries: Mapping[str, str]) -> Iterator[str]:
    return (jsonl.dumps({"id": one, "query": text, "lang": lang}) for one, text in queries.items())


def _put_lines(path: Path, lines: Iterable[str]) -> None:
    _put(path, "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass"))


def _read(path: Path) -> Json:
    """A file of JSON; empty where there is none, or it is damaged: then it is written anew."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _write(path: Path, value: Mapping[str, Any]) -> None:
    _put(path, f"{json.dumps(value, ensure_ascii=False)}\n".encode("utf-8", "surrogatepass"))


def _put(path: Path, data: bytes) -> None:
    try:
        atomic.replace(path, data)
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> FolderError:
    return FolderError(f"{path}: {why(error)}", "what was written before is whole; --resume goes on from it")
