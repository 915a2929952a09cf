"""From options to what searches an index, the same for every command that searches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xqe.commands.options.encoding import Encoding
from xqe.commands.options.searching import Searching
from xqe.errors import XqeError
from xqe.files import jsonl
from xqe.retrieval.choices import By, Encode, Method

if TYPE_CHECKING:
    from xqe.retrieval.bm25 import BM25
    from xqe.retrieval.documents import Documents
    from xqe.retrieval.hybrid import Mixture
    from xqe.retrieval.lexical import Index
    from xqe.retrieval.nearest import Dense
    from xqe.retrieval.pools import Pools
    from xqe.retrieval.retriever import Retriever

ENCODERS = ("encoder", "runtime", "gpu_layers", "base_url", "timeout", "retries", "verbose")
"""The options of `Encoding` of a command that searches: what else makes vectors is what made those of the index."""

_WORDS, _VECTORS = frozenset({By.BM25, By.HYBRID}), frozenset({By.DENSE, By.HYBRID})
_EFFECTIVE: dict[str, tuple[frozenset[By], object]] = {
    "source_weight": (_WORDS, None),
    "passage_terms": (_WORDS, None),
    "k1": (_WORDS, None),
    "b": (_WORDS, None),
    "encode": (_VECTORS, Encode.BOTH),
    "approximate": (_VECTORS, False),
    "fusion": (frozenset({By.HYBRID}), None),
    "norm": (frozenset({By.HYBRID}), None),
    "dense_weight": (frozenset({By.HYBRID}), None),
}
"""Options that not every search heeds: where each has an effect, and its default."""


def check_searching(options: Searching) -> None:
    """Raise XqeError for options that mean nothing together, before anything is opened."""
    if options.pool == jsonl.STDIN:
        raise XqeError("--pool cannot be standard input, which is for the queries", "give a file")
    if options.feedback is None and options.feedback_weight is not None:
        raise XqeError("--feedback-weight without --feedback", "name a method: --feedback rm3")
    if options.feedback is Method.RM3 and (options.feedback_weight or 0) > 1:
        raise XqeError(
            f"--feedback-weight {options.feedback_weight:g} leaves rm3 less than nothing of the query",
            "give a number from 0 to 1",
        )
    _mixture(options)
    if options.by is not None:
        _check_effect(options, options.by)


def _check_effect(options: Searching, by: By) -> None:
    """Raise XqeError for an option that has no effect on a search of this kind."""
    for name, (where, default) in _EFFECTIVE.items():
        if by not in where and getattr(options, name) != default:
            raise XqeError(
                f"--{name.replace('_', '-')} has no effect on a search by {by}",
                f"leave it out, or give --by {' or '.join(sorted(where))}",
            )
    if options.feedback is not None and not options.feedback.sides & _sides(by):
        able = " or ".join(method for method in Method if method.sides & _sides(by))
        raise XqeError(f"--feedback {options.feedback} has no effect on a search by {by}", f"give --feedback {able}")


def _sides(by: By) -> frozenset[By]:
    return frozenset({By.BM25, By.DENSE}) if by is By.HYBRID else frozenset({by})


@contextmanager
def open_retriever(
    options: Searching, encoding: Encoding, directory: Path, threads: int | None = None
) -> Iterator[Retriever[Any]]:
    """Open the index in a folder, to be searched as the options say, and the encoder of its vectors where they are
    searched. threads: that search vectors, by default one for each core."""
    from xqe.retrieval.lexical import open_index

    index = open_index(directory)
    by = options.by or _usual(index)
    _check_effect(options, by)
    with ExitStack() as opened:
        sides: dict[By, Retriever[Any]] = {}
        if by in _WORDS:
            sides[By.BM25] = _words(options, index, by)
        if by in _VECTORS:
            sides[By.DENSE] = opened.enter_context(_meanings(options, encoding, index, directory, threads))
        if by is By.HYBRID:
            from xqe.retrieval.hybrid import Hybrid

            yield Hybrid(sides, _mixture(options))
        else:
            yield sides[by]


def _usual(index: Index) -> By:
    """What an index is searched by unless told."""
    from xqe.retrieval.dense.description import descriptions

    return By.HYBRID if descriptions(index.documents.folder) else By.BM25


def _words(options: Searching, index: Index, by: By) -> BM25:
    from xqe.retrieval.bm25 import BM25
    from xqe.retrieval.feedback import Feedback
    from xqe.retrieval.hybrid import SOURCE_WEIGHT
    from xqe.retrieval.weighting import Weighting

    feedback = None
    if options.feedback is not None and By.BM25 in options.feedback.sides:
        feedback = Feedback(
            options.feedback, options.feedback_docs or 10, options.feedback_terms, options.feedback_weight
        )
    source_weight = options.source_weight
    if source_weight is None:
        source_weight = SOURCE_WEIGHT if by is By.HYBRID else 0.0
    return BM25(
        index,
        Weighting(options.use, options.query_weight, source_weight, options.passage_terms),
        index.manifest.parameters.changed(options.k1, options.b),
        feedback,
    )


@contextmanager
def _meanings(
    options: Searching, encoding: Encoding, index: Index, directory: Path, threads: int | None
) -> Iterator[Dense]:
    from xqe.commands.encoding import encoder_for
    from xqe.retrieval.dense import open_vectors
    from xqe.retrieval.meaning import QUERY_WEIGHT, Meant
    from xqe.retrieval.nearest import Dense
    from xqe.retrieval.vector_feedback import DOCUMENTS, VectorFeedback

    vectors = open_vectors(directory, index.documents, encoding.encoder, threads)
    feedback = None
    if options.feedback is not None and By.DENSE in options.feedback.sides:
        feedback = VectorFeedback(options.feedback, options.feedback_docs or DOCUMENTS, options.feedback_weight)
    meant = Meant(options.use, options.encode, options.query_weight or QUERY_WEIGHT)
    with encoder_for(directory, vectors.description, encoding) as encoder:
        yield Dense(
            index.name,
            index.manifest.language,
            index.documents,
            vectors,
            encoder,
            meant,
            feedback,
            options.approximate,
        )


def _mixture(options: Searching) -> Mixture:
    from xqe.retrieval.fusion import Fusion, method_named, norm_named
    from xqe.retrieval.hybrid import DENSE_WEIGHT, METHOD, NORM, Mixture

    method = method_named(options.fusion or METHOD, "--fusion")
    if options.norm is not None and method.points is not None:
        raise XqeError(f"--norm has no effect on --fusion {method.name}, which looks at ranks", "leave it out")
    weight = options.dense_weight
    if weight is None:
        weight = DENSE_WEIGHT if method.weighted else 1.0
    mixture = Mixture(Fusion(method, norm_named(options.norm or NORM)), weight)
    mixture.check()
    return mixture


def pools_of(options: Searching, documents: Documents) -> Pools | None:
    """The pools of --pool, None for none."""
    from xqe.retrieval.pools import read_pools

    return read_pools(options.pool, documents) if options.pool is not None else None


def numbers_of(ids: Sequence[str], documents: Documents, directory: Path) -> list[int]:
    """The numbers of documents that a command was given. Raises XqeError for one that the index does not hold."""
    numbers: list[int] = documents.numbers(ids).tolist()
    for name, number in zip(ids, numbers, strict=True):
        if number < 0:
            raise XqeError(f'{directory}: holds no document "{name}"', "an id is written as in the documents")
    return numbers
