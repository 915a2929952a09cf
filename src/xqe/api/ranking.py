"""What comes after a search: re-ranking hits, and answering from them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, overload

from xqe.api.indexes import Index, Indexes, folders_of
from xqe.api.models import Model, done, generation_of, named
from xqe.api.options import Options
from xqe.api.records import answered, queries
from xqe.commands.answering import answerer, check_encoding, cites, say_remarks
from xqe.commands.options.answering import Answering
from xqe.commands.options.encoding import Encoding, beside
from xqe.commands.options.reranking import Reranking
from xqe.commands.ranking import how_of, open_reranker
from xqe.commands.runs import check_hits
from xqe.commands.searching import open_documents
from xqe.messages import say, silent
from xqe.stages.answering.cite import Cite
from xqe.stages.rerank.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from xqe.files.records import Record
    from xqe.models.engines.base import Engine
    from xqe.stages.answering.answer import Answering as Answerer
    from xqe.stages.generation import Generating, Tally
    from xqe.stages.rerank.reranker import Reranker


@overload
def rerank(
    records: Mapping[str, Any],
    index: Index | Indexes,
    *,
    model: Model | str | None = ...,
    kind: str | None = ...,
    n: int | None = ...,
    quiet: bool = ...,
    **options: Any,
) -> Record: ...
@overload
def rerank(
    records: Iterable[Mapping[str, Any]],
    index: Index | Indexes,
    *,
    model: Model | str | None = ...,
    kind: str | None = ...,
    n: int | None = ...,
    quiet: bool = ...,
    **options: Any,
) -> list[Record]: ...
def rerank(
    records: Mapping[str, Any] | Iterable[Mapping[str, Any]],
    index: Index | Indexes,
    *,
    model: Model | str | None = None,
    kind: str | None = None,
    n: int | None = None,
    quiet: bool = False,
    **options: Any,
) -> Record | list[Record]:
    """Put the best hits of records in a new order, by a model that reads them, as `xqe rerank` does.

    records: one that `search` or `fuse` returned, or several. index: where the documents are. model: a name, or one of
    `open_model`; a cross-encoder, or a model that writes. kind: likelihood, yes-no, listwise or cross, by default as
    the model is. n: how many hits are re-ranked. Other options are those of the command: first_weight, query,
    document_tokens, prompt … Each hit that was re-ranked has "reranked": its "rank" and "first"
    score before, and the model's "score".
    """
    with silent(quiet):
        said = Options("rerank", {"model": named(model), "kind": kind, "n": n, **options}, ("queries",))
        generation = generation_of(model, said)
        how = how_of(said.group(Reranking), generation)
        checked = queries(records, check=check_hits)
        documents = open_documents(folders_of(index))
        made: list[Reranker] = []

        def make(engine: Engine) -> Reranker:
            made.append(how.reranker(engine, documents))
            return made[0]

        def over(_: Generating, engine: Engine, arrived: Iterable[Record], tally: Tally) -> Iterator[Record]:
            return made[0].run(arrived, tally)

        opening = partial(open_reranker, how.kind)
        is_cross = how.kind is Kind.CROSS
        out = done(checked, model, generation, make, over, how.kind.gives_scores, opening, is_cross)
        if made and made[0].fell_back:
            say(f"windows that stayed as they were: {made[0].fell_back}; the answer names no document")
        return answered(out, records)


@overload
def answer(
    records: Mapping[str, Any],
    index: Index | Indexes,
    *,
    model: Model | str | None = ...,
    cite: str | None = ...,
    n: int | None = ...,
    to: str | None = ...,
    quiet: bool = ...,
    **options: Any,
) -> Record: ...
@overload
def answer(
    records: Iterable[Mapping[str, Any]],
    index: Index | Indexes,
    *,
    model: Model | str | None = ...,
    cite: str | None = ...,
    n: int | None = ...,
    to: str | None = ...,
    quiet: bool = ...,
    **options: Any,
) -> list[Record]: ...
def answer(
    records: Mapping[str, Any] | Iterable[Mapping[str, Any]],
    index: Index | Indexes,
    *,
    model: Model | str | None = None,
    cite: str | None = None,
    n: int | None = None,
    to: str | None = None,
    quiet: bool = False,
    **options: Any,
) -> Record | list[Record]:
    """Answer questions from the documents that were found, as `xqe answer` does.

    records: one that `search`, `fuse` or `rerank` returned, or several. index: where the documents are. model: a name,
    or one of `open_model`. cite: "model", "after" or "both". n: answer from so many hits. to: the language to answer
    in, by default that of the query as it first came. Other options are those of the command: max_tokens,
    document_tokens, prompt, encoder, temperature, seed … A record has "answer": {"lang", "text", "sentences": [{"text",
    "sources"}]}, perhaps "refused"; "error" where it could not be done.
    """
    with silent(quiet):
        said = Options("answer", {"model": named(model), "cite": cite, "n": n, "to": to, **options})
        generation, answering = generation_of(model, said), said.group(Answering)
        check_encoding(answering.cite, said.group(Encoding))
        encoding = beside(said.group(Encoding), generation)
        checked = queries(records, check=check_hits)
        sources, make = answerer(answering, generation, encoding, folders_of(index))
        made: list[Answerer] = []

        def stage(engine: Engine) -> Answerer:
            check_encoding(cites(answering, engine), encoding)
            made.append(make(engine))
            return made[0]

        with sources:
            if answering.cite not in (None, Cite.MODEL):
                sources.after  # noqa: B018  # what is wrong with it is found before a model is loaded
            out = done(checked, model, generation, stage)
        if made:
            say_remarks(made[0])
        return answered(out, records)
