"""Queries, runs and judgements as pandas' DataFrames, with PyTerrier's names of columns, and as ir_measures has them.

| what    | columns                                              | here                                       |
| ------- | ---------------------------------------------------- | ------------------------------------------ |
| topics  | qid, query, lang, passages, record                   | records                                    |
| results | qid, docno, score, rank (from 0), and those of topics | records with "hits"                        |
| qrels   | qid, docno, label                                    | query id -> document id -> grade           |

"record" holds the other fields of a record, such as "source" and "steps", so that none is lost on the way. pandas and
ir_measures are imported when they are used (pip install "xqe[pandas]"; ir_measures has no extra of its own).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from xqe.errors import InputError, MissingExtraError, XqeError
from xqe.files.records import Record

if TYPE_CHECKING:
    import ir_measures
    import pandas

Row = dict[str, Any]
Qrels = Mapping[str, Mapping[str, int]]

TOPICS = ("qid", "query", "lang", "passages", "record")
RESULTS = ("docno", "score", "rank")
_OWN = {"id", "query", "lang", "passages", "index", "hits"}
_QUERY_IDS, _DOCUMENT_IDS = ("qid", "query_id"), ("docno", "doc_id", "docid")
_GRADES = ("label", "relevance", "rel")


def topics_to_frame(records: Iterable[Mapping[str, Any]]) -> pandas.DataFrame:
    """A row for each record."""
    return _frame([topic(record) for record in records], TOPICS)


def run_to_frame(records: Iterable[Mapping[str, Any]]) -> pandas.DataFrame:
    """A row for each hit, best first, with the query's columns before it. A record without hits has no row."""
    return _frame([row for record in records for row in results(record)], (*TOPICS, *RESULTS))


def qrels_to_frame(qrels: Qrels) -> pandas.DataFrame:
    """A row for each judgement."""
    rows = [
        {"qid": query, "docno": document, "label": grade}
        for query, its in qrels.items()
        for document, grade in its.items()
    ]
    return _frame(rows, ("qid", "docno", "label"))


def records_of_frame(frame: pandas.DataFrame) -> list[Record]:
    """The records of topics, or of results, in the order of their first rows; hits in that of their scores. Raises
    InputError for a column that is missing."""
    return records_of_rows(frame.to_dict("records"))


def qrels_of_frame(frame: pandas.DataFrame) -> dict[str, dict[str, int]]:
    """Judgements; the grade is "label", or "relevance" as ir_measures calls it. Raises InputError for a column that is
    missing."""
    qrels: dict[str, dict[str, int]] = {}
    for row in frame.to_dict("records"):
        its = qrels.setdefault(str(_of(row, _QUERY_IDS)), {})
        its[str(_of(row, _DOCUMENT_IDS))] = int(_of(row, _GRADES))
    return qrels


def run_to_ir_measures(records: Iterable[Mapping[str, Any]]) -> list[ir_measures.ScoredDoc]:
    """A ScoredDoc for each hit."""
    scored = _ir_measures().ScoredDoc
    return [scored(one["id"], hit["id"], hit["score"]) for one in records for hit in one.get("hits") or ()]


def qrels_to_ir_measures(qrels: Qrels) -> list[ir_measures.Qrel]:
    """A Qrel for each judgement."""
    judged = _ir_measures().Qrel
    return [judged(query, document, grade) for query, its in qrels.items() for document, grade in its.items()]


def run_of_ir_measures(scored: Iterable[ir_measures.ScoredDoc]) -> list[Record]:
    """Records with hits, such as `xqe.evaluate` and `xqe.fuse` take."""
    return records_of_rows({"qid": one.query_id, "docno": one.doc_id, "score": one.score} for one in scored)


def qrels_of_ir_measures(qrels: Iterable[ir_measures.Qrel]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for one in qrels:
        found.setdefault(one.query_id, {})[one.doc_id] = int(one.relevance)
    return found


# ---------------------------------------------------------------- rows


def topic(record: Mapping[str, Any]) -> Row:
    """The columns of a record as a query."""
    rest = {name: value for name, value in record.items() if name not in _OWN}
    return {
        "qid": record["id"],
        "query": record.get("query"),
        "lang": record.get("lang"),
        "passages": record.get("passages"),
        "record": rest,
    }


def results(record: Mapping[str, Any]) -> Iterator[Row]:
    """The columns of each hit of a record, best first, with the text of the document where the hit has it."""
    own = topic(record)
    for rank, hit in enumerate(record.get("hits") or ()):
        text = {"text": hit["text"]} if "text" in hit else {}
        yield {**own, "docno": hit["id"], "score": hit["score"], "rank": rank, **text}


def records_of_rows(rows: Iterable[Mapping[Any, Any]]) -> list[Record]:
    """What `topic` and `results` made rows of; "hits" where rows name documents."""
    found: dict[str, Record] = {}
    for row in rows:
        name = str(_of(row, _QUERY_IDS))
        if name not in found:
            own = {field: row[field] for field in ("query", "lang", "passages") if _is_there(row.get(field))}
            rest = row.get("record")
            found[name] = {"id": name, **own, **(rest if isinstance(rest, dict) else {})}
        if any(field in row for field in _DOCUMENT_IDS):
            hit = {"id": str(_of(row, _DOCUMENT_IDS)), "score": float(_of(row, ("score",)))}
            text = {"text": row["text"]} if isinstance(row.get("text"), str) else {}
            found[name].setdefault("hits", []).append({**hit, **text})
    for record in found.values():
        if "hits" in record:
            record["hits"].sort(key=lambda hit: (hit["score"], hit["id"]), reverse=True)
    return list(found.values())


def _is_there(value: Any) -> bool:
    """Whether a cell holds anything; pandas has NaN where it does not."""
    return value is not None and value == value


def _of(row: Mapping[Any, Any], names: Sequence[str]) -> Any:
    for name in names:
        if name in row:
            return row[name]
    raise InputError(f'no column "{names[0]}"', f"it has {', '.join(map(str, row)) or 'none'}")


def _frame(rows: list[Row], columns: Sequence[str]) -> pandas.DataFrame:
    try:
        import pandas
    except ModuleNotFoundError:
        raise MissingExtraError("a DataFrame needs pandas", "pandas") from None
    extra = [name for name in (rows[0] if rows else ()) if name not in columns]
    return pandas.DataFrame(rows, columns=[*columns, *extra])


def _ir_measures() -> Any:
    try:
        import ir_measures
    except ModuleNotFoundError:
        raise XqeError("ScoredDoc and Qrel are of ir_measures", "install it with: pip install ir-measures") from None
    return ir_measures
