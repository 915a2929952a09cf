"""What the commands that embed share: from options to vectors beside an index, and what is said of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xqe.commands.encoding import can_be_cut, open_encoder
from xqe.commands.options.embedding import OVERLAP, WINDOW_TOKENS, Embedding
from xqe.errors import XqeError
from xqe.machine import available_cores
from xqe.messages import progress
from xqe.retrieval.choices import TEXT_TOKENS, Windows

if TYPE_CHECKING:
    from xqe.commands.options.encoding import Encoding
    from xqe.models.encoders.base import Encoder
    from xqe.retrieval.dense import Description
    from xqe.retrieval.dense.description import Storing
    from xqe.retrieval.lexical import Index


def open_embedder(encoding: Encoding, embedding: Embedding) -> Encoder:
    """The encoder that --encoder names, to embed whole documents with.

    Without windows it cuts a text after TEXT_TOKENS, unless told otherwise, where it can be told.
    """
    if encoding.limit is None and embedding.windows is Windows.NONE and can_be_cut(encoding):
        encoding = replace(encoding, limit=TEXT_TOKENS)
    return open_encoder(encoding)


def check_embedding(options: Embedding) -> None:
    """Raise XqeError for options that mean nothing together or cannot be met, before anything is opened."""
    if options.windows is Windows.NONE and (options.window_tokens, options.overlap) != (None, None):
        raise XqeError(
            "--window-tokens and --overlap are for windows, and there are none", "add --windows max or --windows mean"
        )
    tokens, overlap = options.window_tokens or WINDOW_TOKENS, _overlap(options)
    if overlap >= tokens:
        raise XqeError(f"--overlap {overlap} leaves a window of {tokens} tokens no new ones", "give a lower number")
    if options.approximate:
        from xqe.retrieval.dense.approximate import check_installed

        check_installed()


def _overlap(options: Embedding) -> int:
    return OVERLAP if options.overlap is None else options.overlap


def storing(options: Embedding, encoder: Encoder) -> Storing:
    """How the options want vectors. Raises XqeError for windows that the encoder would cut."""
    from xqe.retrieval.dense.description import Storing

    if options.windows is Windows.NONE:
        return Storing(options.dtype)
    tokens, limit = options.window_tokens or WINDOW_TOKENS, encoder.contract.limit
    if limit is not None and tokens > limit:
        raise XqeError(
            f"--window-tokens {tokens} is more than the {limit} tokens that {encoder.name} takes", "give a lower number"
        )
    return Storing(options.dtype, options.windows, tokens, _overlap(options))


def is_embedded(index: Index, encoder: Encoder, options: Embedding) -> bool:
    """Whether an index has the vectors that are asked for, made in the same way, and those of all its questions."""
    from xqe.retrieval.dense.building import lacking, made

    there = made(index.documents, encoder)
    if there is None or there.storing != storing(options, encoder):
        return False
    if lacking(index.documents, encoder, index.manifest.questions):
        return False
    return there.approximate is not None or not options.approximate


def embed_documents(
    directory: Path,
    index: Index,
    encoder: Encoder,
    options: Embedding,
    force: bool = False,
    threads: int | None = None,
) -> dict[str, Any]:
    """Make the vectors of an index's documents, or only the graph of those that are there; return what sums them up."""
    from xqe.retrieval.dense.building import add_graph, embed, folder_of, lacking, made
    from xqe.retrieval.dense.description import read_description

    started = time.monotonic()
    done = 0
    documents = index.documents
    questions = {code: index.questions(code) for code in index.manifest.questions}
    asked = storing(options, encoder)
    there = made(documents, encoder)
    lacks_graph = there is not None and there.storing == asked and there.approximate is None
    if force or not (options.approximate and lacks_graph) or lacking(documents, encoder, questions):
        counts = embed(directory, documents, encoder, asked, force, questions)
        done = next(counts)
        total = len(documents) + sum(len(its.owners) for its in questions.values())
        for _ in progress(_each(counts, done), total, "embed", done):
            pass
    if options.approximate and (there is None or lacks_graph or force):
        rows = read_description(folder_of(documents, encoder)).rows
        for _ in progress(_each(add_graph(directory, documents, encoder, threads or available_cores())), rows, "graph"):
            pass
    description = read_description(folder_of(documents, encoder))
    seconds = round(time.monotonic() - started, 2)
    return {**summary(directory, index, description), "resumed": done, "seconds": seconds}


def _each(counts: Iterator[int], done: int = 0) -> Iterator[int]:
    """Growing counts one by one."""
    for count in counts:
        yield from range(done, count)
        done = count


def summary(directory: Path, index: Index, description: Description) -> dict[str, Any]:
    """What a line says of vectors, and of those of questions in each language."""
    from xqe.retrieval.dense.description import read_questions

    folder = index.documents.folder / description.folder_name
    made = {code: its for code in index.manifest.questions if (its := read_questions(folder, code)) is not None}
    questions = {
        code: {
            "documents": its.documents,
            "questions": index.manifest.questions[code]["questions"],
            "truncated": its.truncated,
        }
        for code, its in made.items()
    }
    return {
        "index": str(directory),
        "name": directory.resolve().name,
        "encoder": description.encoder,
        "dimension": description.dimension,
        **description.storing.as_json(),
        "documents": description.documents,
        "rows": description.rows,
        "truncated": description.truncated,
        **({"questions": questions} if questions else {}),
        "approximate": description.approximate,
        "bytes": description.size + sum(its.size for its in made.values()),
    }
