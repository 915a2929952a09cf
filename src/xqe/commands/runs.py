"""How the commands that make runs write them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from xqe.files import jsonl
from xqe.files.records import Record, has_failed
from xqe.messages import say


class RunFormat(StrEnum):
    """Records with hits, or the lines of a TREC run."""

    JSONL = "jsonl"
    TREC = "trec"


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
