"""xqe index: an index of documents."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from xqe import jsonl
from xqe.commands import options
from xqe.commands.streams import input_paths
from xqe.documents import Format, documents, line_count
from xqe.languages import LANGUAGES, language
from xqe.messages import progress


def index(
    directory: Annotated[Path, typer.Argument(metavar="DIR", show_default=False, help="The folder of the index.")],
    lang: Annotated[
        str,
        typer.Option(
            "--lang", metavar="LANG", show_default=False, help=f"Language of the documents: {' '.join(LANGUAGES)}."
        ),
    ],
    files: options.Input = None,
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            help="JSONL with id and text, or id<TAB>text. auto goes by the name of a file or its first line.",
        ),
    ] = Format.AUTO,
    force: Annotated[bool, typer.Option("--force", help="Replace the index that is in DIR.")] = False,
) -> None:
    """Index documents for BM25 search, and write one line that sums it up.

    Documents are {"id", "text"} with an optional "title"; Pyserini's, BEIR's and MIRACL's names of these fields are
    read too. An index is replaced in one step, when the new one is whole.
    """
    from xqe.index import build, check_target

    code = language(lang, "--lang").code
    check_target(directory, force)
    paths = input_paths(None, files)
    started = time.monotonic()
    total = line_count(paths) if sys.stderr.isatty() else None
    arriving = progress(documents(paths, form), total, "index")
    manifest = build(directory, code, arriving, force)
    summary = {
        "index": str(directory),
        "name": directory.resolve().name,
        "lang": code,
        "documents": manifest.documents,
        "empty": manifest.empty,
        "terms": manifest.terms,
        "average_length": round(manifest.average_length, 2),
        "seconds": round(time.monotonic() - started, 2),
    }
    jsonl.write(jsonl.dumps(summary))
