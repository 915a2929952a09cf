"""From options to what searches an index, the same for every command that searches."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xqe.commands.options.common import AUTO
from xqe.commands.options.encoding import Encoding
from xqe.commands.options.lists import language_codes
from xqe.commands.options.searching import Searching
from xqe.errors import XqeError
from xqe.files import jsonl
from xqe.messages import say
from xqe.retrieval.choices import QUESTION_SHARE, QUESTION_WEIGHT, By, Method, Use
from xqe.retrieval.fusion import DEFAULT_METHOD

if TYPE_CHECKING:
    from xqe.retrieval.bm25 import BM25
    from xqe.retrieval.documents import Numbered, Owners
    from xqe.retrieval.fusion import Fusion
    from xqe.retrieval.hybrid import Mixture
    from xqe.retrieval.lexical import Index
    from xqe.retrieval.meaning import Meant
    from xqe.retrieval.pools import Pools
    from xqe.retrieval.retriever import Retriever
    from xqe.retrieval.together import DocumentsTogether
    from xqe.retrieval.vector_feedback import VectorFeedback

ENCODERS = ("encoder", "runtime", "gpu_layers", "base_url", "timeout", "retries", "verbose")
"""The options of `Encoding` of a command that searches: what else makes vectors is what made those of the index."""

_WORDS, _VECTORS = frozenset({By.BM25, By.HYBRID}), frozenset({By.DENSE, By.HYBRID})
_EFFECTIVE: dict[str, tuple[frozenset[By], object]] = {
    "source_weight": (_WORDS, None),
    "question_weight": (_WORDS, None),
    "question_share": (_VECTORS, None),
    "passage_terms": (_WORDS, None),
    "k1": (_WORDS, None),
    "b": (_WORDS, None),
    "encode": (_VECTORS, None),
    "approximate": (_VECTORS, False),
    "dense_weight": (frozenset({By.HYBRID}), None),
}
"""Options that not every search heeds: where each has an effect, and its default."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An index that is searched. name: what "index" and "from" of a record call it."""

    directory: Path
    name: str
    index: Index


def check_searching(options: Searching) -> None:
    """Raise XqeError for options that mean nothing together, before anything is opened."""
    from xqe.retrieval.hybrid import METHOD

    if options.pool == jsonl.STDIN:
        raise XqeError("--pool cannot be standard input, which is for the queries", "give a file")
    if options.feedback is None and options.feedback_weight is not None:
        raise XqeError("--feedback-weight without --feedback", "name a method: --feedback rm3")
    if options.feedback is Method.RM3 and (options.feedback_weight or 0) > 1:
        raise XqeError(
            f"--feedback-weight {options.feedback_weight:g} leaves rm3 less than nothing of the query",
            "give a number from 0 to 1",
        )
    _questions_of(options)
    if options.question_weight and options.use is Use.DOC:
        raise XqeError("--question-weight is for queries, and --use doc searches with none", "leave one of them out")
    if options.question_share and options.approximate:
        raise XqeError(
            "--approximate has no effect with --question-share: the graph is of passages alone", "leave one of them out"
        )
    _fusion(options, METHOD)
    if options.by is By.HYBRID:
        _mixture(options)


def _check_effect(options: Searching, by: By, is_several: bool) -> None:
    """Raise XqeError for an option that has no effect on a search of this kind. is_several: whether it is of several
    indexes."""
    if options.per_language and not is_several:
        raise XqeError("--per-language has no effect on one index", "leave it out, or name several indexes")
    fused = {By.HYBRID}
    if is_several:
        fused |= {By.BM25, By.DENSE} if options.per_language else {By.BM25}
    effective = {
        **_EFFECTIVE,
        "fusion": (frozenset(fused), None),
        "norm": (frozenset(fused), None),
        "per_language": (_VECTORS, False),
    }
    for name, (where, default) in effective.items():
        if by not in where and getattr(options, name) != default:
            raise XqeError(
                f"--{name.replace('_', '-')} has no effect on a search by {by}",
                f"leave it out, or give --by {' or '.join(sorted(where))}",
            )
    if options.feedback is not None and not options.feedback.sides & _found_by(by):
        able = " or ".join(method for method in Method if method.sides & _found_by(by))
        raise XqeError(f"--feedback {options.feedback} has no effect on a search by {by}", f"give --feedback {able}")


def _check_questions(
    options: Searching, directories: Sequence[Path], opened: Sequence[Opened], by: By, tells: bool
) -> None:
    """Raise XqeError for options about questions that the indexes do not have. tells: say so where there are some that
    count nothing, and nobody said that they should not."""
    there = tuple(dict.fromkeys(code for one in opened for code in one.index.manifest.questions))
    asked = ("question_weight", "question_share", "questions_of")
    given = [f"--{name.replace('_', '-')}" for name in asked if getattr(options, name) is not None]
    named = ", ".join(map(str, directories))
    if given and not there:
        raise XqeError(
            f"{given[0]} has no effect: {named} has no questions",
            "xqe augment writes them; index the documents then",
        )
    if absent := [code for code in _questions_of(options) or () if code not in there]:
        raise XqeError(f"{named}: has no questions in {absent[0]}, only in {', '.join(there)}", "see --questions-of")
    counts = (by in _WORDS and _question_weight(options)) or (by in _VECTORS and _question_share(options))
    if options.questions_of and not counts:
        raise XqeError(
            "--questions-of has no effect while questions count nothing", "add --question-weight or --question-share"
        )
    if tells and there and not given and not counts:
        options_of = [f"--{name}" for name, where in _COUNTING.items() if by in where]
        say(f"{named}: the questions in {', '.join(there)} count nothing without {' or '.join(options_of)}")


_COUNTING = {"question-weight": _WORDS, "question-share": _VECTORS}


def _questions_of(options: Searching) -> tuple[str, ...] | None:
    return language_codes(options.questions_of, "--questions-of")


def _question_weight(options: Searching) -> float:
    default = QUESTION_WEIGHT if options.use is not Use.DOC else 0.0
    return default if options.question_weight is None else options.question_weight


def _question_share(options: Searching) -> float:
    default = QUESTION_SHARE if not options.approximate else 0.0
    return default if options.question_share is None else options.question_share


def _found_by(by: By) -> frozenset[By]:
    return frozenset({By.BM25, By.DENSE}) if by is By.HYBRID else frozenset({by})


def is_index(directory: Path) -> bool:
    """Whether a folder holds an index, or one for each language."""
    from xqe.retrieval.documents import MANIFEST

    return os.path.isfile(directory / MANIFEST)  # noqa: PTH113  # which a long query is too long for


def given(
    arguments: Sequence[str], last: str = "a query", hint: str = "put it into quotes"
) -> tuple[list[Path], str | None]:
    """The folders of indexes and the query of DIR... [QUERY]: what follows the first and is no index is the query.
    last: what errors call it, where it is something else; hint: where it is several arguments."""
    directories = [Path(arguments[0])]
    rest = list(arguments[1:])
    if rest and not os.path.isdir(arguments[0]) and is_index(Path(rest[-1])):  # noqa: PTH112  # as in is_index
        raise XqeError(f'"{arguments[0]}" is not an index, and {rest[-1]} is', f"the index is first, {last} the last")
    while rest and is_index(Path(rest[0])):
        directories.append(Path(rest.pop(0)))
    if len(rest) > 1:
        raise XqeError(f'"{rest[0]}" is not an index, and {last} is one argument, the last', hint)
    if rest and os.sep in rest[0] and os.path.isdir(rest[0]):  # noqa: PTH112  # as above; one word may be a query
        raise XqeError(f"{rest[0]}: a folder, and no index", "build one with xqe index")
    return directories, (rest[0] if rest else None)


@contextmanager
def open_retriever(
    options: Searching,
    encoding: Encoding,
    directories: Sequence[Path],
    threads: int | None = None,
    offers_questions: bool = False,
) -> Iterator[Retriever[Any]]:
    """Open the indexes in folders, to be searched as the options say, and the encoder of their vectors where these are
    searched. threads: that search vectors, by default one for each core. offers_questions: the command has the options
    by which questions count, so that it says where there are some that count nothing."""
    from xqe.retrieval.twice import Twice

    with _open_once(options, encoding, directories, threads, offers_questions) as retriever:
        is_twice = options.use is Use.QUERY_DOC and options.query_weight != AUTO
        yield Twice(retriever) if is_twice else retriever


@contextmanager
def _open_once(
    options: Searching, encoding: Encoding, directories: Sequence[Path], threads: int | None, offers_questions: bool
) -> Iterator[Retriever[Any]]:
    """What searches with all of a record at once."""
    from xqe.retrieval.documents import is_several
    from xqe.retrieval.hybrid import Hybrid
    from xqe.retrieval.several import BESIDE_VECTORS, Several
    from xqe.retrieval.together import DocumentsTogether, Part

    several = len(directories) > 1 or is_several(directories[0])
    said = options.by or options.preset.choices.by
    if said is not None:
        _check_effect(options, said, several)
    opened = _opened(directories, threads)
    by = said or (By.HYBRID if names_encoder(encoding) and options.judge is None else _usual(opened))
    if by is By.BM25 and names_encoder(encoding) and options.judge is None:
        raise XqeError("--encoder has no effect on a search by bm25", "leave it out, or give --by dense or hybrid")
    _check_effect(options, by, several)
    _check_questions(options, directories, opened, by, offers_questions)
    if not several:
        with _sides(options, encoding, opened, by, threads) as [sides]:
            yield Hybrid(sides, _mixture(options)) if by is By.HYBRID else sides[by]
        return
    parts = [Part(one.name, one.index.manifest.language, one.index.documents) for one in opened]
    name = directories[0].resolve().name if len(directories) == 1 else None
    documents = DocumentsTogether(parts, name, are_distinct=len(directories) == 1)
    fusion = BESIDE_VECTORS if by is By.HYBRID else _fusion(options, DEFAULT_METHOD)
    nearest = documents if not options.per_language else None
    with _sides(options, encoding, opened, by, threads, nearest) as each:
        if options.per_language and by is By.HYBRID:
            mixture = _mixture(options)
            yield Several([Hybrid(sides, mixture) for sides in each], documents)
            return
        together: dict[By, Retriever[Any]] = {}
        for side in each[0]:
            lists = [sides[side] for sides in each if side in sides]
            together[side] = lists[0] if nearest and side is By.DENSE else Several(lists, documents, fusion)
        yield Hybrid(together, _mixture(options)) if by is By.HYBRID else together[by]


def open_documents(directories: Sequence[Path]) -> Numbered:
    """The documents of the indexes in folders. Raises XqeError where one keeps no texts."""
    opened = _opened(directories)
    for one in opened:
        if not one.index.documents.has_texts:
            raise XqeError(f"{one.directory}: the index keeps no texts", "build it without --no-texts")
    return _together(opened, directories)


def all_documents(directories: Sequence[Path]) -> Numbered:
    """The documents of the indexes in folders, whose texts may not be kept."""
    return _together(_opened(directories), directories)


def _together(opened: Sequence[Opened], directories: Sequence[Path]) -> Numbered:
    from xqe.retrieval.together import DocumentsTogether, Part

    if len(opened) == 1:
        return opened[0].index.documents
    parts = [Part(one.name, one.index.manifest.language, one.index.documents) for one in opened]
    return DocumentsTogether(parts, are_distinct=len(directories) == 1)


def by_language(directories: Sequence[Path]) -> dict[str, list[Path]]:
    """The folders of the indexes of each language, of which each folder has one, or one for each language."""
    folders: dict[str, list[Path]] = {}
    for one in _opened(directories):
        folders.setdefault(one.index.manifest.language, []).append(one.directory)
    return folders


def have_vectors(directories: Sequence[Path]) -> bool:
    """Whether each of the indexes in folders has vectors."""
    return _usual(_opened(directories)) is By.HYBRID


def _opened(directories: Sequence[Path], threads: int | None = None) -> list[Opened]:
    """The indexes in folders, of which each has one, or one for each language."""
    from xqe.retrieval.documents import is_several
    from xqe.retrieval.lexical import open_index, open_languages

    opened: list[Opened] = []
    for directory in directories:
        if is_several(directory):
            within = f"{directory.resolve().name}/" if len(directories) > 1 else ""
            each = {at.name: index for at, index in open_languages(directory, threads=threads).items()}
            opened += [Opened(directory / code, f"{within}{code}", index) for code, index in each.items()]
        else:
            index = open_index(directory, threads=threads)
            opened.append(Opened(directory, index.name, index))
    return opened


def names_encoder(encoding: Encoding) -> bool:
    """Whether an encoder was asked for here; the variable of the environment is for commands of all kinds."""
    return encoding.encoder is not None and encoding.encoder != os.environ.get("XQE_ENCODER")


def _usual(opened: Sequence[Opened]) -> By:
    """What indexes are searched by unless told."""
    from xqe.retrieval.dense.description import descriptions

    return By.HYBRID if all(descriptions(one.index.documents.folder) for one in opened) else By.BM25


@contextmanager
def _sides(
    options: Searching,
    encoding: Encoding,
    opened: Sequence[Opened],
    by: By,
    threads: int | None,
    together: DocumentsTogether | None = None,
) -> Iterator[list[dict[By, Retriever[Any]]]]:
    """What searches each index by words, by vectors, or by both. together: the documents of all, if the vectors of all
    are to be searched as one set; what does so is with the first."""
    with ExitStack() as stack:
        sides: list[dict[By, Retriever[Any]]] = [{} for _ in opened]
        if by in _WORDS:
            for its, one in zip(sides, opened, strict=True):
                its[By.BM25] = _words(options, one.index)
        if by in _VECTORS:
            found = stack.enter_context(_meanings(options, encoding, opened, threads, together))
            for its, dense in zip(sides, found, strict=False):
                its[By.DENSE] = dense
        yield sides


def _words(options: Searching, index: Index) -> BM25:
    from xqe.retrieval.bm25 import BM25
    from xqe.retrieval.feedback import Feedback
    from xqe.retrieval.weighting import Weighting

    preset, feedback = options.preset.choices, None
    if options.feedback is not None and By.BM25 in options.feedback.sides:
        feedback = Feedback(
            options.feedback, options.feedback_docs or 10, options.feedback_terms, options.feedback_weight
        )
    return BM25(
        index,
        Weighting(
            options.use,
            _chosen(options.query_weight, preset.query_weight),
            _chosen(options.source_weight, preset.source_weight),
            options.passage_terms,
            _question_weight(options),
            _questions_of(options),
            _chosen(options.nbest_mass, preset.nbest_mass),
            options.query_weight != AUTO,
        ),
        index.manifest.parameters.changed(options.k1, options.b),
        feedback,
    )


@contextmanager
def _meanings(
    options: Searching,
    encoding: Encoding,
    opened: Sequence[Opened],
    threads: int | None,
    together: DocumentsTogether | None,
) -> Iterator[list[Retriever[Any]]]:
    """What searches the vectors of each index, or what searches those of all; with one encoder, which made them all."""
    from xqe.commands.encoding import check_made, encoder_for
    from xqe.models.encoders.remembering import Remembering
    from xqe.retrieval.dense import open_vectors
    from xqe.retrieval.meaning import Known
    from xqe.retrieval.nearest import Dense
    from xqe.retrieval.together import VectorsTogether

    share = _question_share(options)
    vectors = [
        open_vectors(one.directory, one.index.documents, encoding.encoder, threads, _owners(one.index, options), share)
        for one in opened
    ]
    encoder = encoder_for(opened[0].directory, vectors[0].description, encoding)
    with encoder if options.judge is None else Remembering(encoder) as encoder:  # a judge asks it in another thread
        for one, its in zip(opened[1:], vectors[1:], strict=True):
            check_made(one.directory, its.description, encoder)
        how = (encoder, _meant(options), _vector_feedback(options), options.approximate, Known())
        if together is not None:
            joined = VectorsTogether(vectors, together)
            yield [Dense(together.name, together.language, together, joined, *how)]
            return
        yield [
            Dense(one.name, one.index.manifest.language, one.index.documents, its, *how)
            for one, its in zip(opened, vectors, strict=True)
        ]


def _owners(index: Index, options: Searching) -> dict[str, Owners]:
    """Whose the questions are that count, by their language."""
    wanted = _questions_of(options) or index.manifest.questions
    return {code: index.owners(code) for code in index.manifest.questions if code in wanted}


def _meant(options: Searching) -> Meant:
    from xqe.retrieval.meaning import Meant

    preset = options.preset.choices
    return Meant(
        options.use,
        _chosen(options.encode, preset.encode),
        _chosen(options.query_weight, preset.query_weight),
        _chosen(options.nbest_mass, preset.nbest_mass),
        options.query_weight != AUTO,
    )


def _chosen(given: Any, of_preset: Any) -> Any:
    """What was asked for, else what the preset says; None for an automatic weight."""
    if given is None:
        return of_preset
    return None if given == AUTO else given


def _vector_feedback(options: Searching) -> VectorFeedback | None:
    from xqe.retrieval.vector_feedback import DOCUMENTS, VectorFeedback

    if options.feedback is None or By.DENSE not in options.feedback.sides:
        return None
    return VectorFeedback(options.feedback, options.feedback_docs or DOCUMENTS, options.feedback_weight)


def _mixture(options: Searching) -> Mixture:
    from xqe.retrieval.hybrid import METHOD, Mixture

    fusion = _fusion(options, METHOD)
    mixture = Mixture(fusion, _chosen(options.dense_weight, None))
    mixture.check()
    return mixture


def _fusion(options: Searching, default: str) -> Fusion:
    """What --fusion and --norm name, the default method where they name none."""
    from xqe.retrieval.fusion import DEFAULT_NORM, Fusion, method_named, norm_named

    method = method_named(options.fusion or default, "--fusion")
    if options.norm is not None and method.points is not None:
        hint = "leave it out" if options.fusion else "leave it out, or add --fusion combsum"
        raise XqeError(f"--norm has no effect on --fusion {method.name}, which looks at ranks", hint)
    return Fusion(method, norm_named(options.norm or DEFAULT_NORM))


def pools_of(options: Searching, documents: Numbered) -> Pools | None:
    """The pools of --pool, None for none."""
    from xqe.retrieval.pools import read_pools

    return read_pools(options.pool, documents) if options.pool is not None else None


def numbers_of(ids: Sequence[str], documents: Numbered, directories: Sequence[Path]) -> list[int]:
    """The numbers of documents that a command was given. Raises XqeError for one that the index does not hold."""
    numbers: list[int] = documents.numbers(ids).tolist()
    for name, number in zip(ids, numbers, strict=True):
        if number < 0:
            named = ", ".join(map(str, directories))
            raise XqeError(f'{named}: holds no document "{name}"', "an id is written as in the documents")
    return numbers
