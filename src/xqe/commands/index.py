"""xqe index: an index of documents."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xqe.commands.embedding import embed_documents, open_embedder
from xqe.commands.options.bm25 import K1, B
from xqe.commands.options.common import Input
from xqe.commands.options.embedding import Embedding
from xqe.commands.options.encoding import Encoding
from xqe.commands.streams import input_paths
from xqe.errors import XqeError
from xqe.files import jsonl
from xqe.files.documents import Format, documents, line_count
from xqe.messages import progress
from xqe.text.languages import LANGUAGES, language

if TYPE_CHECKING:
    from xqe.retrieval.lexical import Manifest


def index(
    directory: Annotated[Path, typer.Argument(metavar="DIR", show_default=False, help="The folder of the index.")],
    lang: Annotated[
        str | None,
        typer.Option(
            "--lang", metavar="LANG", show_default=False, help=f"Language of the documents: {' '.join(LANGUAGES)}."
        ),
    ] = None,
    files: Input = None,
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            help="JSONL with id and text, or id<TAB>text. auto goes by the name of a file or its first line.",
        ),
    ] = Format.AUTO,
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
    force: Annotated[bool, typer.Option("--force", help="Replace the index that is in DIR.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Build nothing: check every file of the index in DIR against its hash.")
    ] = False,
) -> None:
    """Index documents for search.

    Documents are {"id", "text"} with an optional "title"; Pyserini's, BEIR's and MIRACL's names of these fields are
    read too. Writes one line that sums the index up. An index is replaced in one step, when the new one is whole. It
    answers fastest with the k1 (default 0.82) and b (default 0.68) that it is built with; xqe search can be given
    others.
    """
    if verify:
        _verify(directory, building=bool(lang or files or encoder or force))
        return
    if lang is None:
        raise XqeError("missing option --lang", f"the language of the documents: {' '.join(LANGUAGES)}")
    code = language(lang, "--lang").code
    from xqe.retrieval.lexical import Parameters, build, check_target, open_index

    check_target(directory, force)
    paths = input_paths(None, files)
    if encoder is not None and not texts:
        raise XqeError("--encoder embeds the texts that the index keeps", "leave out --no-texts")
    vectors = Embedding()
    with nullcontext() if encoder is None else open_embedder(Encoding(encoder=encoder), vectors) as embedder:
        started = time.monotonic()
        total = line_count(paths) if sys.stderr.isatty() else None
        arriving = progress(documents(paths, form), total, "index")
        manifest = build(directory, code, arriving, force, Parameters().changed(k1, b), texts)
        seconds = round(time.monotonic() - started, 2)
        done = {**_summary(directory, manifest), "seconds": seconds}
        if embedder is not None:
            indexed = open_index(directory).documents
            done["vectors"] = embed_documents(directory, indexed, embedder, vectors)
    jsonl.write(jsonl.dumps(done))


def _verify(directory: Path, building: bool) -> None:
    """Open the index with all files hashed, and sum it up."""
    if building:
        raise XqeError("--verify builds nothing", "leave out --lang, --input, --encoder and --force")
    from xqe.retrieval.lexical import open_index

    manifest = open_index(directory, verify=True).manifest
    jsonl.write(jsonl.dumps({**_summary(directory, manifest), "verified": len(manifest.files)}))


def _summary(directory: Path, manifest: Manifest) -> dict[str, object]:
    return {
        "index": str(directory),
        "name": directory.resolve().name,
        "lang": manifest.language,
        "documents": manifest.documents,
        "empty": manifest.empty,
        "terms": manifest.terms,
        "distinct": manifest.distinct,
        "average_length": round(manifest.average_length, 2),
        "k1": manifest.k1,
        "b": manifest.b,
        "bytes": manifest.size,
    }
