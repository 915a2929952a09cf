"""Batch files: requests for a server that answers them some time later, and the results that it wrote.

The format is that of OpenAI's Batch API, which vLLM's run_batch takes as well: a line of requests is {"custom_id",
"method", "url", "body"}, one of results {"custom_id", "response": {"status_code", "body"}, "error"}, in any order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from xqe.errors import InputError
from xqe.files import jsonl
from xqe.models.engines.jobs import Job
from xqe.models.engines.requests import Completion
from xqe.models.engines.served import CHAT, PATHS, AnswerError, ServedEngine, said

T = TypeVar("T")

URL_PREFIX = "/v1"
_OK = 200
_ID_LENGTH = 40  # of a record's id within a custom_id, which some servers limit to 64 characters
_DIGEST_BYTES = 4
_RESULT_SHAPE = 'each line needs {"custom_id", "response", "error"}'


def custom_id(identifier: str, number: int, body: Mapping[str, Any]) -> str:
    """The name of a request: the id of its record, its number there, and a digest of what is asked.

    Two requests have the same name only if they ask the same, so that one answer does for both.
    """
    text = json.dumps(body, sort_keys=True)
    digest = hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    start = identifier[:_ID_LENGTH].encode("utf-8", "replace").decode("utf-8")
    return f"{start}-{number}-{digest}"


class RequestWriter(ServedEngine):
    """Writes each request as a line of a batch file, and completes it with a text that stands for its answer.

    A job must have an id. A request that was written already, of a record that is there twice, is not
    written again. written: how many were.
    """

    def __init__(self, name: str, api: str = CHAT, write: Callable[[str], None] = jsonl.write) -> None:
        super().__init__(name, api)
        self._write = write
        self._names: set[str] = set()

    @property
    def written(self) -> int:
        return len(self._names)

    def generate(self, jobs: Iterable[Job[T]]) -> Iterator[Job[T]]:
        for job in jobs:
            for position in job.open():
                body = self.body(job.requests[position])
                name = _name(job, position, body)
                if name not in self._names:
                    self._names.add(name)
                    row = {"custom_id": name, "method": "POST", "url": URL_PREFIX + PATHS[self.api], "body": body}
                    self._write(jsonl.dumps(row))
                job.fill(position, Completion("exported", "stop", 0))
            yield job


class ResultReader(ServedEngine):
    """Answers from files of results, which are read at once. Raises InputError for a line that is no result.

    A job must have an id. Of several results with the same custom_id the last one that succeeded counts,
    else the last.
    """

    def __init__(self, name: str, paths: Sequence[str], api: str = CHAT) -> None:
        super().__init__(name, api)
        self._results: dict[str, Completion] = {}
        for path in paths:
            for where, raw in jsonl.objects(path):
                identifier, completion = self._result(raw, where)
                known = self._results.get(identifier)
                if known is None or known.has_failed or not completion.has_failed:
                    self._results[identifier] = completion
        self._asked = {_undigested(name) for name in self._results}
        self._used: set[str] = set()

    @property
    def unused(self) -> int:
        """How many results no request has asked for."""
        return len(self._results) - len(self._used)

    def generate(self, jobs: Iterable[Job[T]]) -> Iterator[Job[T]]:
        for job in jobs:
            for position in job.open():
                job.fill(position, self._answer(_name(job, position, self.body(job.requests[position]))))
            yield job

    def _answer(self, name: str) -> Completion:
        found = self._results.get(name)
        if found is not None:
            self._used.add(name)
            return found
        if _undigested(name) in self._asked:
            return _failed("the result answers another request: the options or the record differ from the export's")
        return _failed(f"there is no result for {name}")

    def _result(self, raw: Any, where: str) -> tuple[str, Completion]:
        """The custom_id of a line of results, and what came of the request."""
        if not isinstance(raw, dict) or not isinstance(raw.get("custom_id"), str):
            raise InputError(f"{where}: not the result of a batch", _RESULT_SHAPE)
        if "response" not in raw and "error" not in raw:
            raise InputError(
                f"{where}: neither a response nor an error", "--results names what the server made of the batch file"
            )
        return raw["custom_id"], self._outcome(raw.get("response"), raw.get("error"))

    def _outcome(self, response: Any, error: Any) -> Completion:
        if error:
            return _failed(said(error))
        if not isinstance(response, dict):
            return _failed("the result has no response")
        status, answer = response.get("status_code", _OK), response.get("body")
        if status != _OK:
            return _failed(f"answers {status}: {said(answer)}")
        try:
            return replace(self.completion(answer), reused=True)
        except AnswerError as problem:
            return _failed(str(problem))


def _name(job: Job[Any], position: int, body: Mapping[str, Any]) -> str:
    return custom_id(job.id, position, body)


def _undigested(name: str) -> str:
    return name.rpartition("-")[0]


def _failed(error: str) -> Completion:
    return Completion("", "error", 0, f"batch: {error}")
