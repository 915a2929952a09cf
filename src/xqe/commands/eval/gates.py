"""What xqe eval holds runs to: the options that say it, and the lines that say whether it is kept."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from xqe.errors import XqeError
from xqe.messages import say

if TYPE_CHECKING:
    from xqe.evaluation.decisions import Limit
    from xqe.evaluation.decisions import Test as TestName
    from xqe.evaluation.evaluated import Evaluation, Part

Outcome = Literal["fell", "noise", "kept"]


class Test(StrEnum):
    """How a difference is tested; the command line's names."""

    randomization = "randomization"
    t = "t"
    none = "none"


@dataclass(frozen=True, slots=True)
class Gates:
    """The options that hold runs to limits."""

    fail_under: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-under",
            metavar="MEASURE=X",
            show_default=False,
            help="End with status 1 if a run's measure is below X, 0.30 or 30%. Repeatable, or separated by commas.",
        ),
    ] = None
    max_drop: Annotated[
        list[str] | None,
        typer.Option(
            "--max-drop",
            metavar="MEASURE=X",
            show_default=False,
            help="End with status 1 if a run's measure is more than X below the baseline's, and this is no chance. "
            "Repeatable, or separated by commas.",
        ),
    ] = None
    strict: Annotated[
        bool, typer.Option("--strict", help="With --max-drop: a drop that may be chance fails as well.")
    ] = False
    each_group: Annotated[
        bool, typer.Option("--each-group", help="Hold each group of --by to the limits, and not the whole run only.")
    ] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No line that says that all limits are kept.")] = False

    @property
    def given(self) -> bool:
        return bool(self.fail_under or self.max_drop)


@dataclass(frozen=True, slots=True)
class Limits:
    """What runs are held to: least values, and greatest drops below the baseline."""

    least: tuple[Limit, ...]
    drops: tuple[Limit, ...]


def limits_of(
    gates: Gates, paths: Sequence[str], fields: Sequence[str], test: Test, parse: Callable[[str, str], Hashable]
) -> Limits:
    """What the options hold the runs to. parse: the measure that a text names. Raises XqeError for what they cannot
    mean."""

    from xqe.evaluation.decisions import parse_limits

    refusals = (
        (gates.max_drop and len(paths) < 2, "--max-drop: there is no run to compare with", "give --baseline RUN"),
        (gates.strict and not gates.max_drop, "--strict: there is no drop to be strict about", "give --max-drop"),
        (gates.each_group and not fields, "--each-group: there are no groups", "name their fields with --by"),
        (gates.each_group and not gates.given, "--each-group: there are no limits", "give --fail-under or --max-drop"),
        (
            gates.max_drop and test is Test.none and not gates.strict,
            "--max-drop: without a test, a drop cannot be told from chance",
            "leave --test none out, or give --strict",
        ),
    )
    for is_wrong, message, hint in refusals:
        if is_wrong:
            raise XqeError(message, hint)
    return Limits(
        parse_limits(gates.fail_under or (), "--fail-under", parse),
        parse_limits(gates.max_drop or (), "--max-drop", parse),
    )


def say_verdicts(
    evaluations: Sequence[Evaluation], baseline: Evaluation, limits: Limits, gates: Gates, test: TestName
) -> bool:
    """Say which limits are not kept, or that all are; return whether all are."""
    lines: dict[Outcome, list[str]] = {"fell": [], "noise": [], "kept": []}
    several = sum(bool(limits.least) or evaluation is not baseline for evaluation in evaluations) > 1
    for evaluation in evaluations:
        for part in (None, *(evaluation.groups if gates.each_group else ())):
            subject = _subject(evaluation, part, several)
            held = chain(
                _held_alone(evaluation, part, limits),
                _held_to(baseline, evaluation, part, limits, gates.strict, test) if evaluation is not baseline else (),
            )
            for outcome, line in held:
                lines[outcome].append(subject + line)
    for line in (*lines["fell"], *lines["noise"]):
        say(line)
    if not lines["fell"] and not gates.quiet:
        _say_kept(lines["kept"], len(lines["noise"]))
    return not lines["fell"]


def _say_kept(kept: Sequence[str], noise: int) -> None:
    """One line that says that all limits are kept; where the only one is in doubt, a line has said so."""
    if len(kept) + noise > 1:
        in_doubt = f", {noise} of them in doubt" if noise else ""
        say(f"{len(kept) + noise} limits kept{in_doubt}")
    elif kept:
        say(f"{kept[0]}; kept")


def _held_alone(evaluation: Evaluation, part: Part | None, limits: Limits) -> Iterator[tuple[Outcome, str]]:
    from xqe.evaluation.comparison import columns
    from xqe.evaluation.decisions import standings

    for standing in standings(columns(evaluation, part), limits.least):
        yield "fell" if standing.is_failure else "kept", standing.line()


def _held_to(
    baseline: Evaluation, evaluation: Evaluation, part: Part | None, limits: Limits, strict: bool, test: TestName
) -> Iterator[tuple[Outcome, str]]:
    from xqe.evaluation.comparison import paired
    from xqe.evaluation.decisions import drops

    if limits.drops:
        for verdict in drops(*paired(evaluation, baseline, part), limits.drops, strict, test=test):
            yield "fell" if verdict.is_failure else "noise" if verdict.is_noise else "kept", verdict.line()


def _subject(evaluation: Evaluation, part: Part | None, several: bool) -> str:
    """The run and the group that a line is about, where it could be about another."""
    from xqe.evaluation.comparison import named

    group = " ".join(f"{field}={value}" for field, value in named(evaluation, part).items())
    about = " ".join(word for word in (evaluation.run if several else "", group) if word)
    return f"{about}: " if about else ""
