"""A collection in xqe's own layout: a folder with documents, queries and qrels, and a manifest that names them all.

    collection.json                      the manifest: what it is, where it comes from, counts and hashes
    documents/LANG.jsonl.gz              {"id", "text"} and perhaps "title"
    queries/SPLIT/LANG.jsonl             {"id", "query", "lang"}
    qrels/SPLIT/QUERIES-DOCUMENTS.qrels  TREC qrels for queries in one language against documents in another
    examples/SPLIT/LANG.jsonl            {"query", "passage", "lang"}, worked examples for few-shot prompts

Judgements that hold for queries in every language stand once, in all-DOCUMENTS.qrels. Each of these files is of use by
itself: `xqe index --input`, `xqe translate --input` and `xqe eval --qrels` read them.
"""

from __future__ import annotations

import gzip
import io
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from xqe import __version__
from xqe.collections.manifest import AGAIN, FORMAT, KINDS, MANIFEST, Json, check_name, entries, read_manifest
from xqe.collections.target import (
    LOCK,
    STAGED,
    check_free,
    check_target,
    clear,
    files_of,
    files_there,
    manifest_path,
    place,
    settle,
    settle_left,
)
from xqe.errors import InputError, XqeError, why
from xqe.files import jsonl
from xqe.files.atomic import replace, replaced
from xqe.files.documents import documents
from xqe.files.hashes import cached_sha256, sha256
from xqe.files.locks import held
from xqe.files.records import Document, check_query
from xqe.files.sealed import sealed
from xqe.files.trec import Qrels, read_qrels
from xqe.text.languages import language

ANY = "all"
"""In place of the language of queries: judgements that hold for all of them."""
_LARGE = 1 << 24  # bytes of a file whose hash is remembered from one process to the next


class Collection:
    """A collection that is there. Raises InputError for a folder that holds none, or a manifest that is damaged.

    A file is held to the hash that the manifest has of it before it is read: InputError for one that is another.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.manifest: Json = read_manifest(manifest_path(directory))
        self._whole: set[str] = set()

    @property
    def name(self) -> str:
        return str(self.manifest["name"])

    @property
    def is_pool(self) -> bool:
        """Whether its documents are a pool drawn for its queries, and not all that the source has."""
        return self.manifest.get("pool") is not None

    @property
    def document_languages(self) -> list[str]:
        return list(self.manifest["documents"])

    @property
    def splits(self) -> list[str]:
        return list(self.manifest["queries"])

    def query_languages(self, split: str) -> list[str]:
        return list(self.manifest["queries"].get(split, {}))

    def pairs(self, split: str) -> list[tuple[str, str]]:
        """(language of queries, language of documents) of everything that is judged, one language with itself too."""
        return [
            (queries, documents)
            for queries in self.query_languages(split)
            for documents in self.document_languages
            if self._qrels_name(split, queries, documents) is not None
        ]

    def documents(self, lang: str) -> Path:
        return self._path(self.manifest["documents"], lang, "documents")

    def document_count(self, lang: str) -> int:
        return int(self.manifest["documents"][lang]["documents"])

    def queries(self, split: str, lang: str) -> Path:
        return self._path(self.manifest["queries"].get(split, {}), lang, f"queries of {split}")

    def qrels(self, split: str, queries: str, documents: str) -> Path:
        """The judgements of a pair. Raises InputError where it is not judged."""
        name = self._qrels_name(split, queries, documents) or f"{queries}-{documents}"
        return self._path(self.manifest["qrels"].get(split, {}), name, f"qrels of {split}")

    def examples(self, split: str, lang: str) -> Path:
        return self._path(self.manifest.get("examples", {}).get(split, {}), lang, f"examples of {split}")

    def read_documents(self, lang: str) -> Iterator[Document]:
        """The documents in a language, in the file's order."""
        return (document for _, document in documents([str(self.documents(lang))]))

    def read_queries(self, split: str, lang: str) -> dict[str, str]:
        """Query id -> text, in the file's order."""
        lines = jsonl.objects(str(self.queries(split, lang)))
        records = (check_query(raw, where) for where, raw in lines)
        return {record["id"]: record["query"] for record in records}

    def read_qrels(self, split: str, queries: str, documents: str) -> Qrels:
        return read_qrels(str(self.qrels(split, queries, documents)))

    def entries(self) -> Iterator[Json]:
        """What the manifest says of each file: {"file", "bytes", "sha256", ...}."""
        return entries(self.manifest)

    def sha256(self) -> str:
        """The sha256 of the manifest, by which a collection is known."""
        return sha256(manifest_path(self.directory))

    def verify(self) -> None:
        """Raise InputError for the first file that is missing or not what the manifest says, by its hash."""
        for entry in self.entries():
            self._checked(entry, sha256)

    def _qrels_name(self, split: str, queries: str, documents: str) -> str | None:
        there = self.manifest["qrels"].get(split, {})
        return next((name for name in (f"{queries}-{documents}", f"{ANY}-{documents}") if name in there), None)

    def _path(self, files: Json, name: str, what: str) -> Path:
        if name not in files:
            has = f"it has {', '.join(sorted(files))}" if files else f"its splits are {', '.join(self.splits)}"
            raise InputError(f"{self.directory}: no {what} for {name}", has)
        entry = files[name]
        if entry["file"] in self._whole:
            return place(self.directory, entry["file"])
        return self._checked(entry, cached_sha256 if entry["bytes"] > _LARGE else sha256)

    def _checked(self, entry: Json, digest: Callable[[Path], str]) -> Path:
        """Where a file lies that is what the manifest says."""
        path = place(self.directory, entry["file"])
        try:
            found = digest(path)
        except FileNotFoundError:
            raise InputError(f"{path}: missing, though {MANIFEST} names it", AGAIN) from None
        except OSError as error:
            raise InputError(f"{path}: {why(error)}", "check the path") from None
        if found != entry["sha256"]:
            raise InputError(f"{path}: not the file that {MANIFEST} names", AGAIN)
        self._whole.add(entry["file"])
        return path


class CollectionWriter:
    """Writes a collection, a file at a time; once it is whole, by `finish`, it takes its place in the folder.

    Used in a context, it leaves nothing where it does not come to that. Raises XqeError where `check_target` does, and
    where another process writes a collection there.
    """

    def __init__(self, directory: Path, name: str, replace: bool = False) -> None:
        check_target(directory, replace)
        self.directory = directory
        self._fields: Json = {"format": FORMAT, "name": name, "xqe": __version__}
        self._files: dict[str, Json] = {kind: {} for kind in KINDS}
        self._notes: list[str] = []
        self._is_new = not directory.exists()
        self._is_over = False
        self._staged = directory / STAGED
        self._lock = ExitStack()
        self._lock.enter_context(held(self._staged / LOCK, "writing a collection there"))
        try:
            check_target(directory, replace)  # another process may have ended since
            with _writing(directory):
                settle_left(directory)
                clear(directory, but=LOCK)
            self._old = files_there(directory)
        except BaseException:
            self._leave()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    def _leave(self) -> None:
        """Give the folder back as it was, unless the collection is whole, and let others write there."""
        with self._lock.pop_all():
            if not self._is_over and not (self._staged / MANIFEST).is_file():
                with suppress(OSError):
                    clear(self.directory)
                    if self._is_new:
                        self.directory.rmdir()
            self._is_over = True

    def documents(self, lang: str, documents: Iterable[Document]) -> int:
        """Write the documents of a language as they come; return how many. Their ids are for the caller to check."""
        self._known(lang)
        lines = ({"id": one.id, **({"title": one.title} if one.title else {}), "text": one.text} for one in documents)
        entry = self._write(f"documents/{lang}.jsonl.gz", lines, "documents")
        self._files["documents"][lang] = entry
        return int(entry["documents"])

    def copy_documents(self, lang: str, source: Collection) -> int:
        """Take over the documents that another collection has in a language, as they are."""
        self._known(lang)
        entry = {**source.manifest["documents"][lang], "file": f"documents/{lang}.jsonl.gz"}
        path = self._staged / entry["file"]
        check_free(self.directory, entry["file"], self._old)
        with _writing(path):
            with source.documents(lang).open("rb") as file, replaced(path) as copy:
                shutil.copyfileobj(file, copy, 1 << 20)
            if sha256(path) != entry["sha256"]:
                path.unlink()
                raise InputError(f"{source.documents(lang)}: not the file that {MANIFEST} names", AGAIN)
        self._files["documents"][lang] = entry
        return int(entry["documents"])

    def queries(self, split: str, lang: str, queries: Iterable[tuple[str, str]]) -> int:
        """Write (id, text) of the queries of a language."""
        self._known(lang)
        check_name(split, "split")
        lines = ({"id": identifier, "query": text, "lang": lang} for identifier, text in queries)
        entry = self._write(f"queries/{split}/{lang}.jsonl", lines, "queries")
        self._files["queries"].setdefault(split, {})[lang] = entry
        return int(entry["queries"])

    def examples(self, split: str, lang: str, examples: Iterable[tuple[str, str]]) -> int:
        """Write (query, passage) of worked examples in a language."""
        self._known(lang)
        check_name(split, "split")
        lines = ({"query": query, "passage": passage, "lang": lang} for query, passage in examples)
        entry = self._write(f"examples/{split}/{lang}.jsonl", lines, "examples")
        self._files["examples"].setdefault(split, {})[lang] = entry
        return int(entry["examples"])

    def qrels(self, split: str, queries: str, documents: str, judgements: Iterable[tuple[str, str, int]]) -> int:
        """Write (query, document, grade); `queries` is a language or `ANY`. Return how many judgements there were."""
        self._known(documents)
        if queries != ANY:
            self._known(queries)
        check_name(split, "split")
        grades: Counter[int] = Counter()
        seen: set[str] = set()
        name = f"{queries}-{documents}"
        with self._file(f"qrels/{split}/{name}.qrels") as (write, entry):
            for query, document, grade in judgements:
                write(f"{query} 0 {document} {grade}")
                grades[grade] += 1
                seen.add(query)
            entry["queries"], entry["judgements"] = len(seen), grades.total()
            entry["grades"] = {str(grade): grades[grade] for grade in sorted(grades)}
        self._files["qrels"].setdefault(split, {})[name] = entry
        return grades.total()

    def note(self, text: str) -> None:
        """Keep a remark in the manifest: what was left out, say, and why."""
        self._notes.append(text)

    def finish(self, about: str, source: Json, licence: str, pool: Json | None = None, **more: Any) -> Collection:
        """Write the manifest. source: where it comes from; pool: how documents were drawn, None for all of them."""
        fields = {**self._fields, "about": about, "source": source, "licence": licence, "pool": pool, **more}
        fields |= {**self._files, "notes": self._notes}
        new = files_of(fields)
        for file in new:
            check_free(self.directory, file, self._old)
        with _writing(self.directory):
            replace(self._staged / MANIFEST, sealed(fields))
            settle(self.directory, new, self._old)
            clear(self.directory)
        self._is_over = True
        self._leave()
        return Collection(self.directory)

    def _known(self, lang: str) -> None:
        language(lang)  # raises for an unknown one

    def _write(self, file: str, values: Iterable[Json], what: str) -> Json:
        count = 0
        with self._file(file) as (write, entry):
            for value in values:
                write(jsonl.dumps(value))
                count += 1
            entry[what] = count
        return entry

    @contextmanager
    def _file(self, file: str) -> Iterator[tuple[Callable[[str], Any], Json]]:
        """A function that writes a line to a file, and what the manifest will say of the file."""
        path = self._staged / file
        entry: Json = {"file": file}
        check_free(self.directory, file, self._old)
        with _writing(path), replaced(path) as raw:
            # without a time or name in its header, equal documents make equal files
            packed = gzip.GzipFile("", "wb", 6, raw, 0) if file.endswith(".gz") else None
            text = io.TextIOWrapper(packed or raw, "utf-8", newline="\n", write_through=False)
            yield lambda line: text.write(line + "\n"), entry
            text.flush()
            text.detach()
            if packed is not None:
                packed.close()
        entry["bytes"], entry["sha256"] = path.stat().st_size, sha256(path)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn what the system refuses into one line."""
    try:
        yield
    except OSError as error:
        raise XqeError(f"{path}: {why(error)}", "check its permissions and the disk") from None
