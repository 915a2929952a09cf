"""What a record is searched with, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from xqe.commands.options.bm25 import K1, B
from xqe.commands.options.common import AUTO, DropSelf
from xqe.commands.options.forms import MOST_HITS
from xqe.commands.options.judging import Judge
from xqe.commands.options.panels import FEEDBACK, VECTORS, WORDS
from xqe.files.numbers import decimal
from xqe.retrieval.choices import GREATEST_WEIGHT, MASS, QUESTION_SHARE, QUESTION_WEIGHT, By, Encode, Method, Use
from xqe.retrieval.fusion import DEFAULT_NORM, METHODS, NORMS
from xqe.stages.presets import Preset

SCORING = (
    "preset",
    "by",
    "use",
    "query_weight",
    "source_weight",
    "nbest_mass",
    "question_weight",
    "question_share",
    "questions_of",
    "passage_terms",
    "k1",
    "b",
    "feedback",
    "feedback_docs",
    "feedback_terms",
    "feedback_weight",
    "encode",
    "approximate",
    "fusion",
    "norm",
    "dense_weight",
    "per_language",
)
"""The options of `Searching` that decide a document's score, not which documents are asked for."""


def _weight_or_auto(text: str) -> float | str:
    """A weight, or "auto", which is not the same as none: a record may say itself how it is combined."""
    if text == AUTO:
        return AUTO
    try:
        weight = decimal(text)
    except ValueError:
        weight = 0.0
    if not 0 < weight <= GREATEST_WEIGHT:
        raise typer.BadParameter(
            f"{text!r} is neither {AUTO} nor a number above 0 and up to {GREATEST_WEIGHT:g}; "
            "to search with the passages alone, give --use doc"
        )
    return weight


def _any_weight_or_auto(text: str) -> float | str:
    """As above, or 0."""
    if text == AUTO:
        return AUTO
    try:
        weight = decimal(text)
    except ValueError:
        weight = -1.0
    if not 0 <= weight <= GREATEST_WEIGHT:
        raise typer.BadParameter(f"{text!r} is neither {AUTO} nor a number from 0 to {GREATEST_WEIGHT:g}")
    return weight


@dataclass(frozen=True)
class Searching:
    """What a record is searched with, and how."""

    preset: Annotated[
        Preset,
        typer.Option(
            "--preset",
            help="What holds where no option says otherwise: what measures best; in xqe ask also the same, quick; or "
            "the paper's: by words, one passage beside the query once, no source words.",
        ),
    ] = Preset.BEST
    by: Annotated[
        By | None,
        typer.Option(
            "--by",
            show_default=False,
            help="Find by words, by vectors (see xqe embed), or by both. [default: hybrid where the index has vectors, "
            "else bm25]",
        ),
    ] = None
    use: Annotated[
        Use,
        typer.Option(
            "--use", help="Search with the query, with its passages (doc), or with both.", rich_help_panel=WORDS
        ),
    ] = Use.QUERY_DOC
    query_weight: Annotated[
        Any,
        typer.Option(
            "--query-weight",
            metavar="W|auto",
            parser=_weight_or_auto,
            show_default=False,
            help="With passages, the query counts W times; 1 is the paper's. [default: as the record's strategy does, "
            "else auto, which gives it 0.6 to 0.9 of all weight, the less the more of its words the passages have; "
            "among vectors 5]",
            rich_help_panel=WORDS,
        ),
    ] = None
    source_weight: Annotated[
        Any,
        typer.Option(
            "--source-weight",
            metavar="W|auto",
            parser=_any_weight_or_auto,
            show_default=False,
            help="Search also with the words of the untranslated query, which counts W times as much as the query; 0 "
            "is the paper's. [default: auto, which weighs each word: names in full, function words not at all]",
            rich_help_panel=WORDS,
        ),
    ] = None
    nbest_mass: Annotated[
        float | None,
        typer.Option(
            "--nbest-mass",
            metavar="P",
            min=0.0,
            max=1.0,
            show_default=False,
            help="Of several translations (xqe translate --samples), search with the likeliest that have P of all "
            f"probability; 0 is the best alone. [default: {MASS}]",
            rich_help_panel=WORDS,
        ),
    ] = None
    question_weight: Annotated[
        float | None,
        typer.Option(
            "--question-weight",
            metavar="W",
            min=0.0,
            max=GREATEST_WEIGHT,
            show_default=False,
            help="What the words of documents' questions (see xqe augment) count, where those of their text count 1. "
            f"[default: {QUESTION_WEIGHT:g}]",
            rich_help_panel=WORDS,
        ),
    ] = None
    question_share: Annotated[
        float | None,
        typer.Option(
            "--question-share",
            metavar="B",
            min=0.0,
            max=1.0,
            show_default=False,
            help="Mix the vectors of documents' questions into those of the documents, with this share. "
            f"[default: {QUESTION_SHARE:g}]",
            rich_help_panel=VECTORS,
        ),
    ] = None
    questions_of: Annotated[
        list[str] | None,
        typer.Option(
            "--questions-of",
            metavar="LANG,...",
            show_default=False,
            help="Only questions in these languages count. [default: all]",
            rich_help_panel=WORDS,
        ),
    ] = None
    passage_terms: Annotated[
        int | None,
        typer.Option(
            "--passage-terms",
            metavar="N",
            min=1,
            show_default=False,
            help="Keep the N terms of the passages that weigh most. [default: all]",
            rich_help_panel=WORDS,
        ),
    ] = None
    k: Annotated[int | None, MOST_HITS] = None
    k1: K1 = None
    b: B = None
    feedback: Annotated[
        Method | None,
        typer.Option(
            "--feedback",
            show_default=False,
            help="Add what the first hits are about to the query, and search again: rm3 and rocchio add terms, rocchio "
            "and mean add vectors.",
            rich_help_panel=FEEDBACK,
        ),
    ] = None
    feedback_docs: Annotated[
        int | None,
        typer.Option(
            "--feedback-docs",
            metavar="N",
            min=1,
            show_default=False,
            help="How many hits are looked at. [default: 10 for terms, 3 for vectors]",
            rich_help_panel=FEEDBACK,
        ),
    ] = None
    feedback_terms: Annotated[
        int,
        typer.Option(
            "--feedback-terms", metavar="N", min=1, help="How many terms are added.", rich_help_panel=FEEDBACK
        ),
    ] = 10
    feedback_weight: Annotated[
        float | None,
        typer.Option(
            "--feedback-weight",
            metavar="W",
            min=0.0,
            max=GREATEST_WEIGHT,
            show_default=False,
            help="What they count; rm3 gives the query 1 - W. [default: 0.5 with rm3, 0.75 with rocchio; of vectors "
            "their number with mean, 0.11 with rocchio]",
            rich_help_panel=FEEDBACK,
        ),
    ] = None
    encode: Annotated[
        Encode | None,
        typer.Option(
            "--encode",
            show_default=False,
            help="The vector is that of the query as it was asked (source), as it is now (query), or of both. "
            "[default: both]",
            rich_help_panel=VECTORS,
        ),
    ] = None
    approximate: Annotated[
        bool,
        typer.Option(
            "--approximate",
            help="Look for near vectors in the graph that xqe embed --approximate made.",
            rich_help_panel=VECTORS,
        ),
    ] = False
    fusion: Annotated[
        str | None,
        typer.Option(
            "--fusion",
            metavar="METHOD",
            show_default=False,
            help="How the hits of words and vectors are fused, or by words those of several indexes: one of "
            f"{' '.join(method.name for method in METHODS)}. [default: combsum; of several indexes rrf]",
            rich_help_panel=VECTORS,
        ),
    ] = None
    norm: Annotated[
        str | None,
        typer.Option(
            "--norm",
            metavar="NORM",
            show_default=False,
            help="How a fusion of scores makes them comparable: one of "
            f"{' '.join(norm.name for norm in NORMS if not norm.at_face_value)}, of several indexes also "
            f"{' '.join(norm.name for norm in NORMS if norm.at_face_value)}. [default: {DEFAULT_NORM}]",
            rich_help_panel=VECTORS,
        ),
    ] = None
    dense_weight: Annotated[
        Any,
        typer.Option(
            "--dense-weight",
            metavar="W|auto",
            parser=_any_weight_or_auto,
            show_default=False,
            help="What vectors count in the fusion, where words count 1. [default: auto, by how far apart they put the "
            "hits of a query; 2 where ranks are fused, with another --norm, or with vectors of old]",
            rich_help_panel=VECTORS,
        ),
    ] = None
    per_language: Annotated[
        bool,
        typer.Option(
            "--per-language",
            help="Search the vectors of each of several indexes for itself and fuse these lists, instead of taking the "
            "nearest of all: encoders prefer documents in the query's own language.",
            rich_help_panel=VECTORS,
        ),
    ] = False
    pool: Annotated[
        str | None,
        typer.Option(
            "--pool",
            metavar="FILE",
            show_default=False,
            help="Find only these documents: an id a line for all queries, or query and document, or a run or qrels.",
        ),
    ] = None
    drop_self: DropSelf = False
    judge: Judge = None
