"""How runs are written by the commands that make them, and read by those that go on with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from xqe.commands.options.forms import RunFormat
from xqe.commands.streams import Queries, input_paths, writing
from xqe.errors import InputError, XqeError
from xqe.files import jsonl
from xqe.files.forms import RECORDS
from xqe.files.records import Record, check_query, failed, has_failed
from xqe.files.rows import Rows
from xqe.messages import plural, say
from xqe.retrieval.fusion import GREATEST_SCORE

if TYPE_CHECKING:
    from xqe.commands.generating import Arriving
    from xqe.files.trec import Answer, Hits


_OF_RUN = "give a RUN or --input FILE, or pipe records in"
MORE = ", shown with -k"
"""How more hits are shown."""


def writing_run(form: RunFormat, tag: str, k: int | None = None, more: str = "") -> Callable[..., tuple[int, int]]:
    """What writes records with hits in a form; k and more as in `writing`."""
    return partial(write_run, tag=tag) if form is RunFormat.TREC else writing(form, k, more)


def write_run(records: Iterable[Record], tag: str) -> tuple[int, int]:
    """Write the lines of a TREC run; return how many queries there were, and how many of them failed."""
    from xqe.stages.search import run_lines

    count = failures = unanswered = 0
    for record in records:
        if lines := run_lines(record, tag):
            jsonl.write("\n".join(lines))
        count += 1
        failures += has_failed(record)
        unanswered += not lines
    if unanswered:
        say(f"{unanswered} of {count} queries have no hits, and so no line in the run")
    return count, failures


def open_run(run: str | None, files: Sequence[str] | None, queries: str | None, step: str) -> Arriving:
    """The records with hits of a RUN, of files or of standard input, to go on with.

    queries: a file of the queries where these are of runs that have none; then they may have any form of a run. step:
    whose error a query has that stands in the run alone.
    """
    if run is not None and files:
        raise XqeError("both a RUN and --input are given", "give one of them")
    if queries is None:
        return _Records([run] if run is not None else files)
    if queries == jsonl.STDIN:
        raise XqeError("--queries cannot be standard input, which is for the run", "give a file")
    return _Joined(input_paths(run, [run] if run is not None else files, _OF_RUN), queries, step)


class _Records:
    """Records that have their queries and hits."""

    def __init__(self, files: Sequence[str] | None) -> None:
        with _named():
            self._records = Queries(None, files, check=check_hits, rows=Rows(RECORDS), hint=_OF_RUN)
        self.total = self._records.total

    def __iter__(self) -> Iterator[Record]:
        with _named():
            yield from self._records


class _Joined:
    """The answers of runs, each with the query of its id; then the queries that the runs lack, without hits."""

    def __init__(self, paths: Sequence[str], queries: str, step: str) -> None:
        self._paths, self._file, self._step = paths, queries, step
        self._queries: dict[str, Record] = {}
        for record in Queries(None, [queries]):
            if record["id"] in self._queries:
                raise InputError(f'{queries}: query "{record["id"]}" twice', "keep those of one language")
            self._queries[record["id"]] = record
        self.total = self._checked() if all(map(jsonl.can_be_read_twice, paths)) and jsonl.STDIN not in paths else None

    def __iter__(self) -> Iterator[Record]:
        seen: set[str] = set()
        for answer in self._answers():
            seen.add(answer.id)
            yield self._joined(answer)
        if lacking := self._queries.keys() - seen:
            say(f"{len(lacking)} of {plural(len(self._queries), 'query')} of {self._file} are not in the run")
        for name, query in self._queries.items():
            if name in lacking:
                yield {**query, "hits": []}

    def _checked(self) -> int:
        """How many records there are. Raises InputError where a run cannot be read, or has none of the queries."""
        seen = {answer.id for answer in self._answers()}
        if seen and not self._queries:
            raise InputError(f"{self._file}: no queries", "--queries names the queries that were searched with")
        if not seen & self._queries.keys():
            one, other = next(iter(seen), ""), next(iter(self._queries), "")
            raise InputError(
                f'{self._file}: holds no query of the run, which has "{one}", and it "{other}"',
                "--queries names the queries that were searched with",
            )
        return len(seen | self._queries.keys())

    def _answers(self) -> Iterator[Answer]:
        from xqe.files.trec import read_run

        for path in self._paths:
            for answer in read_run(path):
                _check_scores(answer.hits, answer.where)
                yield answer

    def _joined(self, answer: Answer) -> Record:
        own = answer.record or {"hits": [{"id": name, "score": score} for name, score in answer.hits.items()]}
        query = self._queries.get(answer.id)
        if query is None:
            return failed({**own, "id": answer.id}, self._step, f"{self._file} has no query of this id")
        return check_query({**own, **query}, answer.where)


@contextmanager
def _named() -> Iterator[None]:
    """Says of a run of columns what it lacks."""
    try:
        yield
    except InputError as error:
        if error.message.endswith("not JSON"):
            raise InputError(error.message, "a run has no queries: name them with --queries FILE") from None
        raise


def check_hits(record: Record, where: str) -> None:
    """Raise InputError for a record without hits that has not failed, and for hits that are none."""
    from xqe.files.trec import hits_of

    _check_scores(hits_of(record, where, record["id"]), where)


def _check_scores(hits: Hits, where: str) -> None:
    for document, score in hits.items():
        if not -GREATEST_SCORE <= score <= GREATEST_SCORE:
            raise InputError(f'{where}: the score of document "{document}" is not a 32-bit number', "search again")
