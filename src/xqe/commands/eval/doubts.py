"""What averages do not show, a line each on standard error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xqe.messages import say

if TYPE_CHECKING:
    from xqe.evaluation.evaluated import Evaluation


@dataclass(frozen=True, slots=True)
class Words:
    """How it is said that records failed, and that queries are not known, of so many."""

    failed: str
    ignored: str


OF_RANKINGS = Words(
    "of {} records failed before the evaluation, and count with the hits they have",
    "of {} queries of the run are not in the qrels and are ignored",
)
OF_ANSWERS = Words(
    "of {} records failed, and count as 0 by gold answers where they have no answer",
    "of {} questions of the run have no gold answers and are ignored",
)
_OWN = "of {} queries have a hit of their own id; where that is the query itself, leave it out with --drop-self"


def say_doubts(evaluations: Sequence[Evaluation], words: Words, drop_self: bool = False) -> None:
    """Say of each run what its averages do not show."""
    groups = {group for evaluation in evaluations for group in evaluation.groups}
    for one in evaluations:
        expected = sum(map(len, one.values.values()))
        nowhere = len(one.values.get(None, ()))
        without = groups.difference(one.groups)
        where = "in no average of --macro" if one.macro else "as 0 in the whole run only"
        counted = (
            (len(one.missing), f"of {expected} expected queries are missing from the run and count as 0"),
            (
                one.left_out,
                f"of {expected + one.left_out} queries are missing from the run and left out, as --no-complete says",
            ),
            (nowhere, f"of the missing queries belong to no known group, and count {where}"),
            (one.failed, words.failed.format(one.answers)),
            (one.ignored, words.ignored.format(one.answers)),
            (len(without), f"of {len(groups)} groups are not in the run; it has no row for them"),
            (_in_doubt(one, drop_self), _OWN.format(one.answers)),
            (
                one.own_relevant if drop_self else 0,
                f"of {one.answers} queries have a relevant hit of their own id, which --drop-self leaves out",
            ),
        )
        for count, what in counted:
            if count:
                say(f"{one.run}: {count} {what}")
        for field in one.absent:
            say(f'{one.run}: no record has the field "{field}" of --by')


def _in_doubt(one: Evaluation, drop_self: bool) -> int:
    """How many queries have a hit of their own id; 0 where these are left out, or so few that the ids met by chance."""
    return one.own if not drop_self and 2 * one.own >= one.answers - one.ignored else 0
