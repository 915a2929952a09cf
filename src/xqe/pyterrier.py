"""xqe's steps as transformers of PyTerrier 1 (extra `pyterrier`), for its pipelines and experiments.

    import pyterrier as pt
    from xqe.pyterrier import Expand, Retriever, Translate

    search = Retriever("english", k=100)
    both = Translate("en", lang="fr", model="tiny") >> Expand(model="tiny") >> search
    pt.Experiment([search, both], topics, qrels, ["ndcg_cut_10"])

Queries are rows of "qid" and "query", results of "qid", "query", "docno", "score" and "rank", as everywhere in
PyTerrier. Beside them stand "lang", "passages" and "record", what else xqe knows of a query, so that a later step has
it (`xqe.frames`). A query that is changed is kept as "query_0". A frame without rows gives one without rows, of the
columns that there would be, and opens nothing, so that `pt.inspect` and the check of a pipeline cost nothing.

Models are opened with the first rows and stay open; `close()` closes what a transformer has opened. One of
`xqe.open_model` may be given to several. A record that fails has "error" in "record", and goes on.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import count, takewhile
from typing import TYPE_CHECKING, Any, ClassVar

from xqe.api.generating import expand, translate
from xqe.api.indexes import Index, Indexes, folders_of, open_index
from xqe.api.models import OPENED_WITH, Model, open_model
from xqe.api.ranking import answer, rerank
from xqe.errors import MissingExtraError
from xqe.files.records import Record
from xqe.frames import RESULTS, TOPICS, Row, records_of_rows, results, topic
from xqe.stages.topics import topic_text

try:
    import pyterrier
except ModuleNotFoundError:
    raise MissingExtraError("xqe.pyterrier needs PyTerrier", "pyterrier") from None

if TYPE_CHECKING:
    import pandas

_BESIDE = TOPICS[2:]
_OF_MODEL = {*OPENED_WITH, "quiet"}


class _Step(pyterrier.Transformer):  # type: ignore[misc]
    """One of xqe's steps. adds: the columns that it adds to those of its input. per_hit: whether its output has a row
    for each hit, and not for each query. takes_results, takes_queries: what frames it takes. changes_query: whether
    "query" is another one afterwards."""

    adds: ClassVar[tuple[str, ...]] = _BESIDE
    per_hit: ClassVar[bool] = False
    takes_results: ClassVar[bool] = False
    takes_queries: ClassVar[bool] = True
    changes_query: ClassVar[bool] = False

    def transform(self, inp: pandas.DataFrame) -> pandas.DataFrame:
        columns = self.transform_outputs(list(inp.columns))
        rows = [] if inp.empty else list(self._transformed(inp.to_dict("records")))
        return type(inp)(rows, columns=columns)

    def transform_outputs(self, input_columns: list[str]) -> list[str]:
        """The columns of the output. Raises PyTerrier's InputValidationError for an input that is no such frame."""
        with pyterrier.validate.any(input_columns) as validate:
            if self.takes_queries:
                validate.query_frame(["query"])
            if self.takes_results:
                validate.result_frame(["query", "score"])
        kept = [name for name in input_columns if self.per_hit or name not in (*RESULTS, "text")]
        older = _older(input_columns)
        return list(dict.fromkeys([*kept, *self.adds, *([f"query_{len(older)}"] if self.changes_query else [])]))

    def __repr__(self) -> str:
        said = {name: value for name, value in vars(self).items() if name in ("to", "strategy", "index", "kind", "k")}
        named = ", ".join(f"{name}={value!r}" for name, value in said.items() if value is not None)
        return f"xqe.{type(self).__name__}({named})"

    def close(self) -> None:
        """Close what the transformer has opened."""

    def _step(self, records: list[Record]) -> list[Record]:
        """The records after the step."""
        raise NotImplementedError

    def _transformed(self, rows: Sequence[Mapping[Any, Any]]) -> Iterator[Row]:
        """The rows of the output: what the input's had, and over it what the step says."""
        before: dict[str, Row] = {}
        of_hits: dict[tuple[str, str], Row] = {}
        for row in rows:
            before.setdefault(str(row["qid"]), dict(row))
            if self.per_hit and "docno" in row:
                of_hits[str(row["qid"]), str(row["docno"])] = dict(row)
        for record in self._step(records_of_rows(rows)):
            old = before[record["id"]]
            for made in results(record) if self.per_hit else [topic(record)]:
                own = of_hits.get((record["id"], str(made.get("docno"))), old)
                yield {**own, **made, **_queries(old, made["query"]), **self._more(record)}

    def _more(self, record: Record) -> Row:
        """Columns of a query that only this step has."""
        return {}


def _older(columns: Container[object]) -> list[str]:
    """The columns of what a query was before, the last one first: "query_0", "query_1" and so on."""
    return list(takewhile(lambda name: name in columns, (f"query_{number}" for number in count())))


def _queries(row: Row, query: str) -> Row:
    """The columns of a query that was changed: what it was is "query_0" now, what that was "query_1"."""
    if query == row["query"]:
        return {}
    texts = [row["query"], *(row[name] for name in _older(row))]
    return {f"query_{number}": text for number, text in enumerate(texts)}


class _Generating(_Step):
    """A step that a model does, which is opened when it is first needed."""

    def __init__(self, model: Model | str | None, options: Mapping[str, Any]) -> None:
        self.model = model
        self.options = dict(options)
        self._own: Model | None = None

    def _model(self) -> Model:
        if isinstance(self.model, Model):
            return self.model
        if self._own is None:
            given = {name: value for name, value in self.options.items() if name in _OF_MODEL}
            self._own = open_model(self.model, **given)
        return self._own

    def _said(self) -> dict[str, Any]:
        """The options of the step itself."""
        if isinstance(self.model, Model):
            return {"quiet": True, **self.options}
        return {"quiet": True, **{name: value for name, value in self.options.items() if name not in OPENED_WITH}}

    def close(self) -> None:
        if self._own is not None:
            self._own.close()
            self._own = None


class Translate(_Generating):
    """Queries in another language, as `xqe.translate`: Q to Q. The query as it was is "query_0"."""

    changes_query = True

    def __init__(self, to: str, *, lang: str | None = None, model: Model | str | None = None, **options: Any) -> None:
        super().__init__(model, options)
        self.to, self.lang = to, lang

    def _step(self, records: list[Record]) -> list[Record]:
        return list(translate(records, self.to, lang=self.lang, model=self._model(), **self._said()))


class Expand(_Generating):
    """Passages for queries, as `xqe.expand`: Q to Q; and R to Q for a strategy that reads documents, whose rows need
    "text" (`Retriever(..., k=10, texts=True)`). The query stays as it is: `Retriever` heeds "passages", and for other
    engines there is `Join`."""

    takes_results = True

    def __init__(
        self,
        *,
        strategy: str | None = None,
        lang: str | None = None,
        to: str | None = None,
        model: Model | str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(model, options)
        self.strategy, self.lang, self.to = strategy, lang, to

    def _step(self, records: list[Record]) -> list[Record]:
        said = self._said()
        return list(expand(records, strategy=self.strategy, lang=self.lang, to=self.to, model=self._model(), **said))


class Join(_Step):
    """For engines that know no passages: the query repeated, and its passages behind it, become "query"; what the query
    was is "query_0". Q to Q. weight: how often it is repeated, by default as its strategy says, else once."""

    changes_query = True

    def __init__(self, *, weight: float | None = None) -> None:
        self.weight = weight

    def _step(self, records: list[Record]) -> list[Record]:
        return [{**record, "query": topic_text(record, self.weight), "passages": None} for record in records]


class _OnIndex:
    """index: one of `xqe.open_index`, or its folder, which is opened when it is first needed."""

    index: Index | Indexes
    _opened: Index | None = None

    def _index(self) -> Index:
        if isinstance(self.index, Index):
            return self.index
        if self._opened is None:
            self._opened = open_index(*folders_of(self.index))
        return self._opened

    def _close_index(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None


class Retriever(_Step, _OnIndex):
    """The documents of an index for each query, as `xqe.search`: Q to R. texts: with the "text" of each."""

    per_hit = True

    def __init__(self, index: Index | Indexes, *, k: int = 1000, texts: bool = False, **options: Any) -> None:
        self.index, self.k, self.texts, self.options = index, k, texts, dict(options)

    @property
    def adds(self) -> tuple[str, ...]:  # type: ignore[override]
        return (*_BESIDE, *RESULTS, *(("text",) if self.texts else ()))

    def fuse_rank_cutoff(self, k: int) -> Retriever:
        """What `% k` makes of it."""
        return Retriever(self.index, k=min(k, self.k), texts=self.texts, **self.options)

    def close(self) -> None:
        self._close_index()

    def _step(self, records: list[Record]) -> list[Record]:
        return list(self._index().search(records, k=self.k, texts=self.texts, **{"quiet": True, **self.options}))


class Rerank(_Generating, _OnIndex):
    """The best hits in a new order, by a model that reads them, as `xqe.rerank`: R to R."""

    adds = (*_BESIDE, *RESULTS)
    per_hit, takes_results, takes_queries = True, True, False

    def __init__(
        self,
        index: Index | Indexes,
        *,
        model: Model | str | None = None,
        kind: str | None = None,
        n: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(model, options)
        self.index, self.kind, self.n = index, kind, n

    def close(self) -> None:
        super().close()
        self._close_index()

    def _step(self, records: list[Record]) -> list[Record]:
        said = self._said()
        return list(rerank(records, self._index(), model=self._model(), kind=self.kind, n=self.n, **said))


class Answer(_Generating, _OnIndex):
    """An answer from each query's best hits, as `xqe.answer`: R to a row for each query, with "qanswer", its text, and
    "answer" with the documents that each sentence rests on."""

    adds = (*_BESIDE, "qanswer", "answer")
    takes_results, takes_queries = True, False

    def __init__(
        self, index: Index | Indexes, *, model: Model | str | None = None, cite: str | None = None, **options: Any
    ) -> None:
        super().__init__(model, options)
        self.index, self.cite = index, cite

    def close(self) -> None:
        super().close()
        self._close_index()

    def _step(self, records: list[Record]) -> list[Record]:
        return list(answer(records, self._index(), model=self._model(), cite=self.cite, **self._said()))

    def _more(self, record: Record) -> Row:
        found = record.get("answer")
        return {"qanswer": found["text"] if isinstance(found, dict) else None, "answer": found}
