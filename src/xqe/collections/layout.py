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
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xqe import __version__
from xqe.errors import InputError, XqeError, why
from xqe.files import jsonl
from xqe.files.atomic import replace, replaced
from xqe.files.documents import documents
from xqe.files.hashes import sha256
from xqe.files.records import Document
from xqe.files.trec import Qrels, read_qrels
from xqe.text.languages import LANGUAGES

MANIFEST = "collection.json"
FORMAT = 1
ANY = "all"
"""In place of the language of queries: judgements that hold for all of them."""

Json = dict[str, Any]
_AGAIN = "convert it again with xqe data convert, or copy all of it"


class Collection:
    """A collection that is there. Raises InputError for a folder that holds none, or a manifest that is damaged."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        path = directory / MANIFEST
        try:
            manifest = json.loads(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            what = f"holds no {MANIFEST}" if directory.is_dir() else "no such folder"
            raise InputError(f"{directory}: {what}", "make a collection with xqe data convert or build") from None
        except OSError as error:
            raise InputError(f"{path}: {why(error)}", "check the path") from None
        except ValueError:
            raise InputError(f"{path}: damaged, not JSON", _AGAIN) from None
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise InputError(f"{path}: not a manifest of format {FORMAT}", _AGAIN)
        self.manifest: Json = manifest
        missing = {"name", "documents", "queries", "qrels"} - manifest.keys()
        if missing:
            raise InputError(f"{path}: damaged, no {', '.join(sorted(missing))}", _AGAIN)

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
        return {raw["id"]: raw["query"] for _, raw in jsonl.objects(str(self.queries(split, lang)))}

    def read_qrels(self, split: str, queries: str, documents: str) -> Qrels:
        return read_qrels(str(self.qrels(split, queries, documents)))

    def entries(self) -> Iterator[Json]:
        """What the manifest says of each file: {"file", "bytes", "sha256", ...}."""
        yield from self.manifest["documents"].values()
        for kind in ("queries", "qrels", "examples"):
            for files in self.manifest.get(kind, {}).values():
                yield from files.values()

    def verify(self) -> None:
        """Raise InputError for the first file that is missing or not what the manifest says, by its hash."""
        for entry in self.entries():
            path = self.directory / entry["file"]
            if not path.is_file():
                raise InputError(f"{path}: missing", _AGAIN)
            if sha256(path) != entry["sha256"]:
                raise InputError(f"{path}: not the file that {MANIFEST} names", _AGAIN)

    def _qrels_name(self, split: str, queries: str, documents: str) -> str | None:
        there = self.manifest["qrels"].get(split, {})
        return next((name for name in (f"{queries}-{documents}", f"{ANY}-{documents}") if name in there), None)

    def _path(self, files: Json, name: str, what: str) -> Path:
        if name not in files:
            has = f"it has {', '.join(sorted(files))}" if files else f"its splits are {', '.join(self.splits)}"
            raise InputError(f"{self.directory}: no {what} for {name}", has)
        path: Path = self.directory / files[name]["file"]
        if not path.is_file():
            raise InputError(f"{path}: missing, though {MANIFEST} names it", _AGAIN)
        return path


class CollectionWriter:
    """Writes a collection, a file at a time, each whole or not there; the manifest, written last, makes it one.

    Raises XqeError where there is a collection already, unless `replace`.
    """

    def __init__(self, directory: Path, name: str, replace: bool = False) -> None:
        self.check(directory, replace)
        self.directory = directory
        self._fields: Json = {"format": FORMAT, "name": name, "xqe": __version__}
        self._files: dict[str, Json] = {"documents": {}, "queries": {}, "qrels": {}, "examples": {}}
        self._notes: list[str] = []
        with _writing(directory):
            directory.mkdir(parents=True, exist_ok=True)
            (directory / MANIFEST).unlink(missing_ok=True)

    @staticmethod
    def check(directory: Path, replace: bool = False) -> None:
        """Raise XqeError unless a collection may be written there: what a command asks before its work begins."""
        if (directory / MANIFEST).exists() and not replace:
            raise XqeError(f"{directory}: holds a collection already", "give --force to replace it, or another folder")
        at = next(path for path in (directory, *directory.absolute().parents) if path.exists())
        if not at.is_dir():
            raise XqeError(f"{directory}: {at} is a file", "give a folder")
        if not os.access(at, os.W_OK | os.X_OK):
            raise XqeError(f"{directory}: permission denied", "check its permissions, or give another folder")

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
        path = self.directory / entry["file"]
        with source.documents(lang).open("rb") as file, replaced(path) as copy:
            shutil.copyfileobj(file, copy, 1 << 20)
        if sha256(path) != entry["sha256"]:
            path.unlink()
            raise InputError(f"{source.documents(lang)}: not the file that {MANIFEST} names", _AGAIN)
        self._files["documents"][lang] = entry
        return int(entry["documents"])

    def queries(self, split: str, lang: str, queries: Iterable[tuple[str, str]]) -> int:
        """Write (id, text) of the queries of a language."""
        self._known(lang)
        lines = ({"id": identifier, "query": text, "lang": lang} for identifier, text in queries)
        entry = self._write(f"queries/{split}/{lang}.jsonl", lines, "queries")
        self._files["queries"].setdefault(split, {})[lang] = entry
        return int(entry["queries"])

    def examples(self, split: str, lang: str, examples: Iterable[tuple[str, str]]) -> int:
        """Write (query, passage) of worked examples in a language."""
        self._known(lang)
        lines = ({"query": query, "passage": passage, "lang": lang} for query, passage in examples)
        entry = self._write(f"examples/{split}/{lang}.jsonl", lines, "examples")
        self._files["examples"].setdefault(split, {})[lang] = entry
        return int(entry["examples"])

    def qrels(self, split: str, queries: str, documents: str, judgements: Iterable[tuple[str, str, int]]) -> int:
        """Write (query, document, grade); `queries` is a language or `ANY`. Return how many judgements there were."""
        self._known(documents)
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
        text = json.dumps(fields, ensure_ascii=False, indent=1)
        with _writing(self.directory / MANIFEST):
            replace(self.directory / MANIFEST, f"{text}\n".encode())
            self._remove_others()
        return Collection(self.directory)

    def _remove_others(self) -> None:
        """Remove what the collection that was here before had and this one does not."""
        splits = [split for kind in ("queries", "qrels", "examples") for split in self._files[kind].values()]
        kept = {entry["file"] for files in (self._files["documents"], *splits) for entry in files.values()}
        for kind in self._files:
            for path in (self.directory / kind).rglob("*"):
                if path.is_file() and path.relative_to(self.directory).as_posix() not in kept:
                    path.unlink()

    def _known(self, lang: str) -> None:
        if lang not in LANGUAGES:
            raise XqeError(f'unknown language "{lang}"', f"xqe knows {' '.join(LANGUAGES)}")

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
        path = self.directory / file
        entry: Json = {"file": file}
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
