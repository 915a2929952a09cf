"""Runs and qrels: reading the formats that the field exchanges them in, and xqe's own records with hits.

| what          | how a line looks                                                             |
| ------------- | ---------------------------------------------------------------------------- |
| xqe run       | {"id": "q1", "hits": [{"id": "d7", "score": 12.5}, ...], ...}                |
| TREC run      | query Q0 document rank score tag                                             |
| MS MARCO run  | query document rank                                                          |
| TREC qrels    | query 0 document relevance                                                   |
| BEIR qrels    | query document relevance, under the header "query-id corpus-id score"        |

Columns are separated by tabs or spaces; every file may be packed, and may begin with a line that names its columns as
the field does. Errors are InputErrors, "file:line: what; next step".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from math import isfinite
from typing import Any

from xqe.errors import InputError
from xqe.files import irdatasets, jsonl
from xqe.files.numbers import BEYOND, decimal, is_number, whole
from xqe.files.records import Record, has_failed

Grades = Mapping[str, int]  # document id -> grade
Hits = Mapping[str, float]  # document id -> score
Qrels = dict[str, dict[str, int]]
Line = tuple[str, str]
Judgement = tuple[str, tuple[str, str, int]]  # where, (query, document, grade)

GREATEST_GRADE = 10_000  # trec_eval allots memory by the grade, and a greater one is a document id in the wrong column
_GREATEST_RANK = 1 << 24  # from here on, ranks beside each other are one 32-bit float, and so they would tie

_QUERY = {"query-id", "query", "qid", "topic", "topic-id"}
_ITERATION = {"iteration", "iter", "q0", "0"}
_DOCUMENT = {"corpus-id", "document-id", "doc-id", "docid", "docno", "document", "document#", "passage-id", "pid"}
_GRADE = {"score", "relevance", "relevancy", "rel", "label", "judgment", "judgement", "grade"}
_HEADERS = {
    "BEIR qrels": (_QUERY, _DOCUMENT, _GRADE),
    "TREC qrels": (_QUERY, _ITERATION, _DOCUMENT, _GRADE),
    "an MS MARCO run": (_QUERY, _DOCUMENT, {"rank"}),
    "a TREC run": (_QUERY, _ITERATION, _DOCUMENT, {"rank"}, {"score", "sim"}, {"tag", "run", "run-id", "name"}),
}
"""What lines are under a header -> what it may call each column, in small letters and with hyphens."""
QRELS_SHAPE = 'TREC qrels have 4 columns, "query 0 document relevance"; BEIR qrels 3, under "query-id corpus-id score"'
_RUN_SHAPE = 'a TREC run has 6 columns, "query Q0 document rank score tag", an MS MARCO run 3, "query document rank"'
_RECORD_SHAPE = 'each line of a run needs {"id", "hits"}'
_HIT_SHAPE = 'each hit needs {"id", "score"}'
_AS_RUN = "give it as an argument: xqe eval --qrels QRELS RUN"
_AS_QRELS = "give it to --qrels, and the run as an argument"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a run holds for one query.

    hits: document id -> score, a greater one is better. where: "file:line", the first one in a TREC run.
    record: the record that the hits came in; None in a TREC or MS MARCO run. ranks_only: whether the run has ranks
    and no scores (MS MARCO); its scores are the ranks, negative.
    """

    id: str
    hits: Hits
    where: str
    record: Record | None = None
    ranks_only: bool = False

    @property
    def failed(self) -> bool:
        """Whether a stage before the evaluation could not do this query."""
        return self.record is not None and has_failed(self.record)


def file_name(path: str) -> str:
    """What messages and results call a file; "-" is standard input."""
    return "<stdin>" if path == jsonl.STDIN else path


def read_qrels(path: str) -> Qrels:
    """Return the judgements of a TREC or BEIR qrels file: query id -> document id -> grade.

    path: also that of a collection of ir_datasets, ir_datasets:ID. The same judgement twice counts once; two different
    ones of a document raise, as every malformed line does.
    """
    if irdatasets.is_named(path):
        return _joined(irdatasets.qrels(irdatasets.load(path, ["qrels"]), path))
    source = jsonl.lines(path)
    where, head = next(source, ("", ""))
    if not head:
        raise InputError(f"{file_name(path)}: empty qrels", QRELS_SHAPE)
    columns = head.split()
    named = header(columns)
    if head.startswith("{"):
        raise InputError(f"{where}: a JSON record, so a run and not qrels", _AS_RUN)
    if len(columns) == 6:
        raise InputError(f"{where}: 6 columns, so a TREC run and not qrels", _AS_RUN)
    if named.endswith("qrels"):
        count = len(columns)
        qrels = _grades(source, count=count, document=count - 2, grade=count - 1)
    elif len(columns) == 3:
        raise InputError(f"{where}: 3 columns without a header", f"{QRELS_SHAPE}; an MS MARCO run is no qrels")
    else:
        qrels = _grades(chain([(where, head)], source), count=4, document=2, grade=3)
    if not qrels:
        raise InputError(f"{file_name(path)}: qrels with a header and no judgements", QRELS_SHAPE)
    return qrels


def grade_of(text: str, where: str, hint: str) -> int:
    """The grade that a column holds. Raises InputError, which says `where` and the hint, for one that can be none."""
    try:
        grade = whole(text)
    except ValueError as error:
        raise InputError(f'{where}: relevance "{text}" {error}', hint) from None
    check_grade(grade, where, hint)
    return grade


def check_grade(grade: int, where: str, hint: str) -> None:
    """Raise InputError, which says `where` and the hint, for a number that can be no grade."""
    if abs(grade) > GREATEST_GRADE:
        beyond = f"above {GREATEST_GRADE}" if grade > 0 else f"below -{GREATEST_GRADE}"
        raise InputError(f"{where}: relevance {grade} is {beyond}", hint)


def _grades(source: Iterable[Line], count: int, document: int, grade: int) -> Qrels:
    return _joined(_judgements(source, count, document, grade))


def _judgements(source: Iterable[Line], count: int, document: int, grade: int) -> Iterator[Judgement]:
    for where, text in source:
        columns = text.split()
        if len(columns) != count:
            raise InputError(f"{where}: {_columns(len(columns))} where {count} are needed", QRELS_SHAPE)
        yield where, (columns[0], columns[document], grade_of(columns[grade], where, QRELS_SHAPE))


def _joined(judgements: Iterable[Judgement]) -> Qrels:
    qrels: Qrels = {}
    for where, (query, document, grade) in judgements:
        before = qrels.setdefault(query, {}).setdefault(document, grade)
        if before != grade:
            raise InputError(
                f'{where}: document "{document}" of query "{query}" is judged {grade} here and {before} before',
                "keep one of the two lines",
            )
    return qrels


def read_run(path: str) -> Iterator[Answer]:
    """Yield the answers of a run in its order, in whichever format its first line shows.

    In a run of columns, the lines of a query must follow each other: a query that comes back is one that was
    answered twice, as when the runs of two language pairs are joined. Records may repeat an id, since their
    other fields can tell them apart.
    """
    source = jsonl.lines(path)
    where, head = next(source, ("", ""))
    if not head:
        raise InputError(f"{file_name(path)}: empty run", f"{_RUN_SHAPE}; xqe search writes records with hits")
    columns = head.split()
    named = header(columns)
    if named.endswith("run"):
        where, head = next(source, ("", ""))
        if not head:
            raise InputError(f"{file_name(path)}: a run with a header and no hits", _RUN_SHAPE)
    whole = chain([(where, head)], source)
    if head[0] in "{[":
        return (_answer(text, where) for where, text in whole)
    if len(columns) == 4:
        raise InputError(f"{where}: 4 columns, so qrels and not a run", _AS_QRELS)
    if named.endswith("qrels"):
        raise InputError(f"{where}: the header of {named}, so not a run", _AS_QRELS)
    layout = next((layout for layout in _RUN_LAYOUTS if layout.count == len(columns)), None)
    if layout is None:
        raise InputError(f"{where}: {_columns(len(columns))}", _RUN_SHAPE)
    return _answers(whole, layout)


@dataclass(frozen=True, slots=True)
class _RunLayout:
    """A run of `count` columns: where its document and what orders it stand, and how that is read as a score.

    score: raises ValueError, which says what is wrong with it. named: what errors call it. ranks_only: whether what
    orders it is a rank.
    """

    count: int
    document: int
    order: int
    score: Callable[[str], float]
    named: str
    ranks_only: bool = False


def _of_rank(rank: str) -> float:
    """A score that falls as ranks rise, so that both kinds of runs are put in order by the same rule."""
    if not 0 <= (number := whole(rank)) <= _GREATEST_RANK:
        raise ValueError(f"is not from 0 to {_GREATEST_RANK}")
    return -number


_RUN_LAYOUTS = (
    _RunLayout(6, document=2, order=4, score=decimal, named="score"),
    _RunLayout(3, document=1, order=2, score=_of_rank, named="rank", ranks_only=True),
)


def _answers(source: Iterator[Line], layout: _RunLayout) -> Iterator[Answer]:
    began: dict[str, str] = {}
    for query, rows in groupby(_rows(source, layout.count), key=lambda row: row[1][0]):
        hits: dict[str, float] = {}
        for where, columns in rows:
            if not hits:
                if query in began:
                    raise InputError(
                        f'{where}: query "{query}" again, after other queries (first at {began[query]})',
                        "sort the lines of one run by query, and keep two runs in two files",
                    )
                began[query] = where
            document = columns[layout.document]
            try:
                score = layout.score(columns[layout.order])
            except ValueError as error:
                named = f'{layout.named} "{columns[layout.order]}"'
                raise InputError(f"{where}: {named} {error}", _RUN_SHAPE) from None
            if document in hits:
                raise _twice(where, document, query)
            hits[document] = score
        yield Answer(query, hits, began[query], ranks_only=layout.ranks_only)


def _rows(source: Iterable[Line], count: int) -> Iterator[tuple[str, list[str]]]:
    for where, text in source:
        columns = text.split()
        if len(columns) != count:
            raise InputError(f"{where}: {_columns(len(columns))} where the lines before have {count}", _RUN_SHAPE)
        yield where, columns


def _answer(text: str, where: str) -> Answer:
    record = jsonl.value(text, where)
    if not isinstance(record, dict):
        raise InputError(f"{where}: not a JSON object", _RECORD_SHAPE)
    if "id" not in record:
        raise InputError(f'{where}: missing "id"', _RECORD_SHAPE)
    query = _text(record["id"])
    if query is None:
        raise InputError(f'{where}: "id" is not a string', 'for example "id": "q1"')
    return Answer(query, hits_of(record, where, query), where, record)


def hits_of(record: Record, where: str, query: str) -> Hits:
    """The hits of a record, in its order. Raises InputError where it has none and has not failed, where one has no id
    or no number as score, and where two have one id."""
    found = record.get("hits", [] if has_failed(record) else None)
    if found is None:
        raise InputError(f'{where}: query "{query}" has no "hits"', "search first: xqe search DIR")
    if not isinstance(found, list):
        raise InputError(f'{where}: "hits" is not a list', _HIT_SHAPE)
    if (usual := _usual(found)) is not None:
        return usual
    hits: dict[str, float] = {}
    for number, hit in enumerate(found, 1):
        document = _text(hit.get("id")) if isinstance(hit, dict) else None
        if document is None:
            raise InputError(f'{where}: hit {number} has no "id"', _HIT_SHAPE)
        score = hit.get("score")
        if not is_number(score):
            fault = BEYOND if type(score) in (int, float) and score == score else "is not a number"
            raise InputError(f'{where}: the score of hit {number} ("{document}") {fault}', _HIT_SHAPE)
        if document in hits:
            raise _twice(where, document, query)
        hits[document] = score
    return hits


def _usual(found: list[Any]) -> dict[str, float] | None:
    """Hits whose ids are strings, looked at together; None for others, and for any that something is wrong with."""
    try:
        ids, scores = [hit["id"] for hit in found], [hit["score"] for hit in found]
        are_numbers = set(map(type, scores)) <= {int, float} and all(map(isfinite, scores))
    except (KeyError, TypeError, IndexError, OverflowError):
        return None
    is_usual = are_numbers and set(map(type, found)) <= {dict} and set(map(type, ids)) <= {str} and "" not in ids
    hits = dict(zip(ids, scores, strict=True)) if is_usual else {}
    return hits if is_usual and len(hits) == len(found) else None


def _text(value: Any) -> str | None:
    if isinstance(value, str) and value:
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _twice(where: str, document: str, query: str) -> InputError:
    return InputError(f'{where}: document "{document}" twice for query "{query}"', "keep its best score only")


def header(columns: Sequence[str]) -> str:
    """What the lines of a file are if its first one holds such names of columns, a key of `_HEADERS`; "" if it holds
    none."""
    names = [column.lower().replace("_", "-") for column in columns]
    for what, known in _HEADERS.items():
        if len(names) == len(known) and all(name in some for name, some in zip(names, known, strict=True)):
            return what
    return ""


def _columns(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"
