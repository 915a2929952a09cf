"""Indexes: building, embedding, opening and searching them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from xqe.api.options import Options
from xqe.api.records import Many, One, answered, documents, queries
from xqe.commands.embedding import (
    check_embedding,
    embed_documents,
    is_embedded,
    open_embedder,
    storing,
)
from xqe.commands.guiding import open_judge
from xqe.commands.joining import joined
from xqe.commands.options.cluster import OPTIONS
from xqe.commands.options.common import AUTO
from xqe.commands.options.embedding import Embedding
from xqe.commands.options.encoding import Encoding
from xqe.commands.options.searching import Searching
from xqe.commands.searching import all_documents, by_language, check_searching, open_retriever, pools_of
from xqe.commands.spreading import refuse_placed, shard_builders
from xqe.errors import XqeError
from xqe.files.hits import plain
from xqe.files.records import Record
from xqe.machine import available_cores
from xqe.messages import plural, progress, say, silent
from xqe.retrieval.choices import DEPTH
from xqe.text.languages import language

if TYPE_CHECKING:
    from xqe.retrieval.documents import Numbered
    from xqe.retrieval.retriever import Retriever

Folder = str | PathLike[str]
Indexes = Folder | Sequence[Folder]
"""The folder of an index, or those of several."""

_RECORD = "record"


class Index:
    """An index, or several that are searched together, open for many searches. Use as a context manager, or close it.

    len() is the number of documents; `languages` are their languages.
    """

    def __init__(self, directories: Sequence[Folder]) -> None:
        """Raises XqeError for a folder that holds no index."""
        self.directories = [Path(one) for one in directories]
        if not self.directories:
            raise XqeError("no folder of an index is given", "build one with xqe.build_index")
        self._documents: Numbered = all_documents(self.directories)
        self._opened = ExitStack()
        self._retrievers: dict[str, Retriever[Any]] = {}

    def __len__(self) -> int:
        return len(self._documents)

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def __repr__(self) -> str:
        named = ", ".join(map(str, self.directories))
        return f"<xqe index {named}: {plural(len(self), 'document')}, {' '.join(self.languages)}>"

    def close(self) -> None:
        """Close the encoders that searches have opened."""
        self._retrievers.clear()
        self._opened.close()

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """The codes of its documents' languages."""
        return tuple(by_language(self.directories))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and int(self._documents.numbers([name])[0]) >= 0

    def text(self, name: str) -> str:
        """The text of a document by its id, its title before it with an empty line between. Raises XqeError for an id
        that no document has, and where the index keeps no texts."""
        return self._documents.text(self._number(name)) or ""

    def document(self, name: str) -> Record:
        """A document by its id: {"id", "title", "text", "lang"}, without "title" where it has none. Raises as `text`
        does. A title is told by its form: a first paragraph of one line, no sentence."""
        from xqe.stages.answering.offered import titled

        title, text = titled(self.text(name))
        codes = self._documents.languages(self._documents.numbers([name]))
        return {"id": name, **({"title": title} if title else {}), "text": text, "lang": (codes or self.languages)[0]}

    def _number(self, name: str) -> int:
        if not self._documents.has_texts:
            raise XqeError(f"{self.directories[0]}: the index keeps no texts", "build it without texts=False")
        number = int(self._documents.numbers([name])[0])
        if number < 0:
            raise XqeError(f'{self.directories[0]}: holds no document "{name}"', "an id is written as in the documents")
        return number

    @overload
    def search(
        self,
        queries: One,
        *,
        k: int | None = ...,
        by: str | None = ...,
        texts: bool = ...,
        quiet: bool = ...,
        **options: Any,
    ) -> Record: ...
    @overload
    def search(
        self,
        queries: Many,
        *,
        k: int | None = ...,
        by: str | None = ...,
        texts: bool = ...,
        quiet: bool = ...,
        **options: Any,
    ) -> list[Record]: ...
    def search(
        self,
        queries: One | Many,
        *,
        k: int | None = None,
        by: str | None = None,
        texts: bool = False,
        quiet: bool = False,
        **options: Any,
    ) -> Record | list[Record]:
        """Find the documents that answer each query best, as `xqe search` does.

        queries: a text or a record, for which a record is returned, or several, for which a list is. k: most hits, 1000
        if it is not said. by: "bm25", "dense" or "hybrid", the last where the index has vectors. texts: each hit has
        its "text". Other options are those of the command: use, query_weight, source_weight, k1, b, feedback, fusion,
        dense_weight, preset, drop_self, encoder, threads … quiet: say nothing on standard error.

        A record has "index", how it was searched, and "hits", best first: {"id", "score"} and what else is known of
        each; "error" where it could not be searched. Each way of searching stays open until the index is closed.
        """
        with silent(quiet):
            said = Options("search", {"k": k, "by": by, "texts": texts or None, **options})
            return answered(list(self._found(said, _records(queries))), queries)

    def _found(self, said: Options, records: Sequence[Record]) -> Iterator[Record]:
        from xqe.stages.search import check_texts
        from xqe.stages.search import search as search_records

        searching, encoding = said.group(Searching), said.group(Encoding)
        check_searching(searching)
        threads = said["threads"] or available_cores()
        retriever = self._retriever(searching, encoding, threads)
        if said["texts"]:
            check_texts(retriever.documents, "texts=True asks for texts")
        pools = pools_of(searching, retriever.documents)
        place = ""

        def arriving() -> Iterator[Record]:
            nonlocal place
            for record in records:
                place = f'query "{record["id"]}"'
                yield record

        with open_judge(searching.judge, encoding, retriever.encoder) as judge:
            judged = judge.over(arriving()) if judge is not None else arriving()
            k = searching.k or DEPTH
            found = search_records(
                judged, retriever, threads, lambda: place, k, pools, searching.drop_self, said["texts"]
            )
            yield from map(plain, progress(found, len(records), "search"))
        if pools is not None and pools.lacking:
            say(f"{len(pools.lacking)} of {len(records)} queries have no pool in {searching.pool}, and so no hits")

    def _retriever(self, searching: Searching, encoding: Encoding, threads: int) -> Retriever[Any]:
        key = repr((replace(searching, k=1, pool=None, drop_self=False), encoding, threads))
        if key not in self._retrievers:
            opening = open_retriever(searching, encoding, self.directories, threads, offers_questions=True)
            self._retrievers[key] = self._opened.enter_context(opening)
        return self._retrievers[key]


def _records(given: One | Many) -> list[Record]:
    return queries(given)


def folders_of(index: Index | Indexes) -> list[Path]:
    """The folders of what a call names as index."""
    if isinstance(index, Index):
        return index.directories
    return [Path(one) for one in ([index] if isinstance(index, str | PathLike) else index)]


def open_index(*directories: Folder) -> Index:
    """Open the index in a folder, or those in several, to be searched together. Raises XqeError where there is none."""
    return Index(directories)


@overload
def search(index: Index | Indexes, queries: One, *, quiet: bool = ..., **options: Any) -> Record: ...
@overload
def search(index: Index | Indexes, queries: Many, *, quiet: bool = ..., **options: Any) -> list[Record]: ...
def search(
    index: Index | Indexes, queries: One | Many, *, quiet: bool = False, **options: Any
) -> Record | list[Record]:
    """Find the documents of an index that answer each query best. index: one of `open_index`, or its folder, or
    several, opened for this call alone. All else is as of `Index.search`."""
    if isinstance(index, Index):
        return index.search(queries, quiet=quiet, **options)
    with Index(folders_of(index)) as opened:
        return opened.search(queries, quiet=quiet, **options)


@contextmanager
def _in_python(option: str, argument: str) -> Iterator[None]:
    """An option in the hint of an error as a call has it."""
    try:
        yield
    except XqeError as error:
        raise type(error)(error.message, error.hint.replace(option, argument)) from None


def build_index(
    directory: Folder,
    documents: Many,
    lang: str,
    *,
    encoder: str | None = None,
    force: bool = False,
    quiet: bool = False,
    **options: Any,
) -> Index:
    """Build the index of documents in a folder, as `xqe index` does, and open it.

    documents: texts, or dicts {"id", "text"} with an optional "title", "lang" and "questions"; they are read one at a
    time, so that a generator may give millions, such as `read_documents`. lang: of all of them; "record" for the one
    that each names, "auto" for what is told from the texts. encoder: also add vectors of this one, as `embed` does.
    force: replace the index that is there. Other options are k1, b, texts (False keeps none), shards (in how many it
    is, 1 unless it is said), and on, workers, worker_cpus and worker_gpus, of who builds shards and encodes.

    Raises XqeError for a folder that has an index already, before anything is read, and for what is no document.
    """
    from xqe.retrieval.lexical import ByLength, build_languages, build_shards, check_languages, check_target

    with silent(quiet):
        said = Options("index", {"force": force, **options}, ("lang", "encoder", "verify", "join"))
        folder, code = Path(directory), None
        if lang not in (_RECORD, AUTO):
            code = language(lang, "lang=").code
        with _in_python("--force", "force=True"):
            if code is not None:
                check_target(folder, force)
            elif lang == _RECORD:
                check_languages(folder, force)
        if encoder is not None and not said["texts"]:
            raise XqeError("an encoder embeds the texts that the index keeps", "leave out texts=False")
        placed, shards = said.group(Encoding), said["shards"]
        if encoder is None and shards == 1:
            refuse_placed(placed, "an index of words in one shard", "give shards= or encoder=, or leave it out")
        builders = shard_builders(placed) if shards > 1 else None
        told = None
        arriving = _given(documents)
        if lang == AUTO:
            from xqe.stages.detect import Mixture

            told = Mixture(arriving)
            arriving = told.documents if told.is_one else told.each()
            code = told.usual if told.is_one else None
        parameters = ByLength(said["k1"], said["b"])
        how = (force, parameters, said["texts"], None)
        if code is not None:
            build_shards(folder, code, arriving, shards, *how, builders)
        else:
            build_languages(folder, arriving, *how, shards, builders)
        if told is not None:
            from xqe.commands.index import say_told

            say_told(told)
        if encoder is not None:
            embed(folder, encoder, **{name: value for name, value in options.items() if name in OPTIONS})
        return Index([folder])


_given = documents  # which build_index calls its argument


def join_indexes(
    directory: Folder,
    indexes: Sequence[Folder],
    *,
    k1: float | None = None,
    b: float | None = None,
    force: bool = False,
    quiet: bool = False,
) -> Index:
    """Join finished indexes, such as several machines have built, to one in shards, as `xqe index --join` does, and
    open it. k1, b: its parameters, by default what follows from the lengths of all documents. force: replace the index
    that is there. Raises XqeError for indexes that do not fit together, and for a document that is in two."""
    with silent(quiet):
        joined(Path(directory), [Path(one) for one in indexes], force, (k1, b))
        return Index([directory])


def embed(
    index: Index | Indexes, encoder: str | None = None, *, force: bool = False, quiet: bool = False, **options: Any
) -> list[Record]:
    """Add vectors of an encoder to an index, as `xqe embed` does.

    encoder: a name of `xqe models list`, a GGUF file, openai:NAME with base_url; e5-small if none is named. force: make
    vectors anew. Other options are those of the command: windows, dtype, approximate, pooling, query_prefix … Returns a
    dict that sums up the vectors of each folder: {"index", "encoder", "dimension", "documents", "rows", …}.
    """
    from xqe.retrieval.documents import is_several
    from xqe.retrieval.lexical import open_index, read_languages

    with silent(quiet):
        said = Options("embed", {"encoder": encoder, "force": force, **options}, ("verify",))
        embedding, encoding = said.group(Embedding), said.group(Encoding)
        check_embedding(embedding)
        folders = [
            folder
            for one in folders_of(index)
            for folder in ([one / code for code in read_languages(one).languages] if is_several(one) else [one])
        ]
        opened = {folder: open_index(folder) for folder in folders}
        with open_embedder(encoding, embedding) as embedder:
            storing(embedding, embedder)
            lacking = {f: its for f, its in opened.items() if force or not is_embedded(its, embedder, embedding)}
            return [
                embed_documents(folder, its, embedder, embedding, force, encoding.threads)
                for folder, its in (lacking or opened).items()
            ]
