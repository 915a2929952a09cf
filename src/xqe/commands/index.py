"""xqe index: an index of documents."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xqe.commands.embedding import embed_documents, open_embedder
from xqe.commands.indexed import summary, summary_of_all
from xqe.commands.joining import joined
from xqe.commands.options.bm25 import K1, B
from xqe.commands.options.cluster import OPTIONS
from xqe.commands.options.common import AUTO, Input
from xqe.commands.options.documents import OfDocuments
from xqe.commands.options.embedding import Embedding
from xqe.commands.options.encoding import Encoding
from xqe.commands.options.groups import part, takes
from xqe.commands.spreading import on_cluster, refuse_placed, shard_builders
from xqe.commands.streams import FAILED_STATUS, OF_DOCUMENTS, input_paths
from xqe.commands.summaries import write_summary
from xqe.errors import InputError, XqeError
from xqe.files.documents import documents
from xqe.files.rows import line_count
from xqe.messages import Progress, plural, say
from xqe.text.languages import language, name_of

if TYPE_CHECKING:
    from xqe.files.documents import Placed
    from xqe.models.encoders.base import Encoder
    from xqe.stages.detect import Mixture

RECORD = "record"
"""In place of a language: each document names its own."""


@takes(written=OfDocuments, placed=part(Encoding, *OPTIONS))
def index(
    directory: Annotated[Path, typer.Argument(metavar="DIR", show_default=False, help="The folder of the index.")],
    lang: Annotated[
        str | None,
        typer.Option(
            "--lang",
            metavar="LANG|record|auto",
            show_default=False,
            help="Language of the documents, as xqe languages lists them. record: each document names its own, and "
            "each language has an index of its own. auto: told from the texts; several, if they are in several.",
        ),
    ] = None,
    more: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE]...", show_default=False, help="Files of documents, as with --input."),
    ] = None,
    files: Input = None,
    *,
    written: OfDocuments,
    placed: Encoding,
    k1: K1 = None,
    b: B = None,
    texts: Annotated[
        bool, typer.Option("--texts/--no-texts", help="Keep the texts in the index, to show what was found.")
    ] = True,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            metavar="NAME",
            show_default=False,
            help="Also add vectors of this encoder, as xqe embed does without other options.",
        ),
    ] = None,
    shards: Annotated[
        int,
        typer.Option(
            "--shards",
            metavar="N",
            min=1,
            show_default=False,
            help="Build the index in N shards, each by a process of its own, or with --on by a worker, that are "
            "searched as one index.",
        ),
    ] = 1,
    join: Annotated[
        bool,
        typer.Option(
            "--join",
            help="Join finished indexes: the FILEs are their folders, and DIR becomes one index that they are the "
            "shards of, with their vectors.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the index that is in DIR.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Build nothing: check every file of the index in DIR against its hash.")
    ] = False,
) -> None:
    """Index documents for search.

    Documents are {"id", "text"} with an optional "title"; Pyserini's, BEIR's and MIRACL's names of these fields are
    read too, and --id-field, --text-field and --title-field name others. They come as JSONL, an array of JSON, CSV or
    TSV, Parquet, TREC's SGML, or a folder of texts, whose paths are their ids. "questions" that a document answers, by
    their language, are fields beside its text.

    Sums the index up, for a reader on a terminal, elsewhere as a line of JSON. An index is replaced in one step, when
    the new one is whole. It answers fastest with the k1 and b that it is built with, which follow from the length of
    its documents unless they are given (0.82 and 0.68 up to 50 words, 1.5 and 0.8 from 200 on); xqe search can be given
    others.

    A document with the "error" of a stage, such as xqe translate, is left out and counted, and the exit status is 1.

    With --lang record, or auto and documents in several languages, DIR/LANG is the index of a language and may be
    searched by itself; xqe search DIR searches all of them.
    """
    if verify:
        _verify(directory, building=bool(lang or files or more or encoder or force or join or shards > 1))
        return
    if join:
        reading = bool(lang or files or encoder or shards > 1 or not texts or written != OfDocuments())
        write_summary(joined(directory, more or (), force, (k1, b), reading))
        return
    files = [*(files or ()), *(more or ())]
    if lang is None:
        raise XqeError("missing option --lang", f"the language of the documents, as en; {RECORD}, or {AUTO}")
    code = language(lang, "--lang").code if lang not in (RECORD, AUTO) else None
    from xqe.retrieval.lexical import (
        ByLength,
        build_languages,
        build_shards,
        check_languages,
        check_target,
        read_languages,
    )

    if code is not None:
        check_target(directory, force)
    elif lang == RECORD:
        check_languages(directory, force)
    rows, paths = written.rows(), input_paths(None, files, OF_DOCUMENTS)
    if encoder is not None and not texts:
        raise XqeError("--encoder embeds the texts that the index keeps", "leave out --no-texts")
    if encoder is None and shards == 1:
        refuse_placed(placed, "an index of words in one shard", "add --shards N or --encoder NAME, or leave it out")
    vectors, encoding = Embedding(), replace(placed, encoder=encoder)
    with ExitStack() as stack:
        stack.enter_context(on_cluster(placed))
        embedder = stack.enter_context(open_embedder(encoding, vectors)) if encoder is not None else None
        builders = shard_builders(placed) if shards > 1 else None
        if embedder is not None and builders is not None:
            embedder.close()  # which is whole, and leaves the workers' machines to what builds shards
        started = time.monotonic()
        total = line_count(paths, rows.form) if sys.stderr.isatty() else None
        left_out: list[str] = []
        arriving = _done(documents(paths, rows, left_out.append), left_out)
        told: Mixture | None = None
        if lang == AUTO:
            told, arriving = _told(arriving)
            code = told.usual if told.is_one else None
        how = (force, ByLength(k1, b), texts)
        with Progress("index", total) as shown:
            shown.doing = "analysing"
            if code is not None:
                done = summary(directory, build_shards(directory, code, arriving, shards, *how, shown, builders))
            else:
                each = build_languages(directory, arriving, *how, shown, shards, builders)
                done = summary_of_all(directory, each)
        if told is not None:
            done["told"] = say_told(told)
        done["seconds"] = round(time.monotonic() - started, 2)
        if embedder is not None and builders is not None:
            embedder = stack.enter_context(open_embedder(encoding, vectors))
        if embedder is not None and code is not None:
            done["vectors"] = _embedded(directory, embedder, vectors)
        elif embedder is not None:
            codes = read_languages(directory).languages
            done["vectors"] = {code: _embedded(directory / code, embedder, vectors) for code in codes}
    if left_out:
        done["left_out"] = len(left_out)
    write_summary(done)
    if left_out:
        say(f"{plural(len(left_out), 'document')} left out, the first at {left_out[0]}: a stage failed on it")
        raise typer.Exit(FAILED_STATUS)


def _told(arriving: Iterator[Placed]) -> tuple[Mixture, Iterator[Placed]]:
    """The languages that documents are told to be in, and all of them, each with its own where they are several."""
    from xqe.stages.detect import Mixture

    told = Mixture(arriving)
    return told, told.documents if told.is_one else told.each()


def say_told(told: Mixture) -> dict[str, int]:
    """Say which languages documents were told to be in; return how many are in each, of those that were looked at."""
    if told.is_one:
        of = f"{told.languages[told.usual]} of the first {told.languages.total() + told.unsure}"
        say(f"documents are taken for {name_of(told.usual)}, as {of} are; --lang LANG says otherwise")
    elif told.unsure:
        say(f"the language of {plural(told.unsure, 'document')} is not certain, and taken for {name_of(told.usual)}")
    return dict(told.languages)


def _done(arriving: Iterable[Placed], left_out: Sequence[str]) -> Iterator[Placed]:
    """The documents that arrive, some of which are left out. Raises InputError where that is all of them."""
    none = True
    for placed in arriving:
        none = False
        yield placed
    if none and left_out:
        raise InputError(
            f"{left_out[0]}: a stage failed on this document, as on all of {len(left_out)}",
            'their "error" says at which step and why; do it again',
        )


def _embedded(directory: Path, embedder: Encoder, vectors: Embedding) -> dict[str, Any]:
    from xqe.retrieval.lexical import open_index

    return embed_documents(directory, open_index(directory), embedder, vectors)


def _verify(directory: Path, building: bool) -> None:
    """Open the index with all files hashed, and sum it up."""
    if building:
        raise XqeError("--verify builds nothing", "leave out --lang, --input, --encoder and --force")
    from xqe.retrieval.documents import is_several
    from xqe.retrieval.lexical import open_index, open_languages

    if not is_several(directory):
        index = open_index(directory, verify=True)
        write_summary({**summary(directory, index.manifest), "verified": index.files})
        return
    indexes = open_languages(directory, verify=True).values()
    manifests = {index.manifest.language: index.manifest for index in indexes}
    verified = sum(index.files for index in indexes)
    write_summary({**summary_of_all(directory, manifests), "verified": verified})
