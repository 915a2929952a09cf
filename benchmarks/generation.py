"""Tokens per second of xqe beside what llama.cpp can do, on the same prompts: `make bench-generation`.

    python benchmarks/generation.py [--case NAME] [--side NAME] [--rounds 3] [--queries 64] [--max-tokens 48]
                                    [--model tiny] [--chat-model FILE] [--llama-server FILE] [--json FILE] [--markdown]

In each round every side makes the texts of every case, one side after the other, so that whatever else the machine
does touches all of them: read the ratios, which are of one round each, not the absolute numbers. README.md says what
the sides and the columns are.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cases import CASES, LONG, SHORT, Case, Work
from server import Server, WarmServer
from sides import SEQUENCES, Apart, BareLoop, Command, Engine, OneByOne, Outcome, Setup, Side
from tables import MISSING, middle, processor, spread, table

from xqe.errors import XqeError
from xqe.machine import available_cores
from xqe.models.lookup import resolve


@dataclass(frozen=True, slots=True)
class SideRow:
    """once: measured in the first round only, since it is slow or says no more in the others."""

    name: str
    once: bool = False


XQE, ENGINE, BARE, LLAMA, SERVER, WARM = "xqe", "engine", "bare loop", "Llama", "llama-server", "warm server"
SIDES = (
    SideRow(XQE),
    SideRow(ENGINE, once=True),
    SideRow(BARE),
    SideRow(LLAMA, once=True),
    SideRow(SERVER, once=True),
    SideRow(WARM),
)
OTHERS = (BARE, LLAMA, SERVER, WARM)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one side did in one round. For xqe, `side` is the engine's where no command expresses the case."""

    case: str
    side: str
    round: int
    queries: int
    outcome: Outcome

    @property
    def rate(self) -> float:
        return self.outcome.tokens / self.outcome.seconds

    @property
    def query_seconds(self) -> float:
        return self.outcome.seconds / self.queries


class Results:
    """The measurements so far, by case, side and round."""

    def __init__(self) -> None:
        self.all: list[Measurement] = []

    def of(self, case: str, side: str) -> list[Measurement]:
        return [m for m in self.all if m.case == case and m.side == side]

    def ours(self, case: Case) -> list[Measurement]:
        return self.of(case.name, XQE if case.is_command else ENGINE)

    def ratios(
        self, first: list[Measurement], second: list[Measurement], value: Callable[[Measurement], float]
    ) -> list[float]:
        """value(first) / value(second), round by round."""
        by_round = {m.round: m for m in second}
        return [value(m) / value(by_round[m.round]) for m in first if m.round in by_round]


def measure(options: argparse.Namespace, results: Results) -> None:
    for model, cases in _models(options):
        if not cases:
            continue
        setup = Setup(model, str(resolve(model).path), options.threads)
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            engine = Apart(Engine, setup)
            stack.callback(engine.close)
            if engine.call("is_chat") != cases[0].chat:
                raise SystemExit(f"{model}: {'no' if cases[0].chat else 'a'} chat model, and the cases want the other")
            works: list[Work] = [
                engine.call("prepare", case, folder / str(number), options.queries, options.max_tokens)
                for number, case in enumerate(cases)
            ]
            sides = _open(setup, engine, options, stack)
            for number in range(options.rounds):
                for work in works:
                    _round(number, work, sides, results)


def _models(options: argparse.Namespace) -> Iterator[tuple[str, list[Case]]]:
    """Each model with the cases it is for."""
    asked = [case for case in CASES if case.name in (options.case or [case.name])]
    yield options.model, [case for case in asked if not case.chat]
    chat = [case for case in asked if case.chat]
    if chat and options.chat_model is None:
        _say(f"{chat[0].name}: left out, no --chat-model (CHAT_MODEL=FILE for make)")
    elif chat:
        yield options.chat_model, chat


def _open(setup: Setup, engine: Apart, options: argparse.Namespace, stack: ExitStack) -> dict[str, Side]:
    wanted = options.side or [row.name for row in SIDES]
    makers: dict[str, Callable[[], Side]] = {
        XQE: lambda: Command(setup),
        BARE: lambda: Apart(BareLoop, setup),
        LLAMA: lambda: Apart(OneByOne, setup),
    }
    sides: dict[str, Side] = {ENGINE: engine} if ENGINE in wanted or XQE in wanted else {}
    for name, make in makers.items():
        if name in wanted:
            sides[name] = make()
            stack.callback(sides[name].close)
    if {SERVER, WARM} & set(wanted) and options.llama_server is None:
        _say("llama-server: left out, no --llama-server (LLAMA_SERVER=FILE for make)")
    elif {SERVER, WARM} & set(wanted):
        server = Server(options.llama_server, setup)
        stack.callback(server.close)
        both: dict[str, Side] = {SERVER: server, WARM: WarmServer(server)}
        sides |= {name: side for name, side in both.items() if name in wanted}
    return {row.name: sides[row.name] for row in SIDES if row.name in sides}


def _round(number: int, work: Work, sides: dict[str, Side], results: Results) -> None:
    """Let every side make the texts of a case; the engine stands in for a command that cannot."""
    once = {row.name for row in SIDES if row.once}
    if not work.case.is_command:
        once.remove(ENGINE)
    for name, side in sides.items():
        if (number > 0 and name in once) or (name == XQE and not work.case.is_command):
            continue
        measurement = Measurement(work.case.name, name, number, work.queries, side.run(work))
        results.all.append(measurement)
        _say(f"{work.case.name}, round {number + 1}: {name} {measurement.rate:.1f} tokens/s")


def report(results: Results, cases: Sequence[Case], markdown: bool) -> Iterator[tuple[str, str]]:
    """(title, table) of everything that was measured."""
    names = [row.name for row in SIDES if any(m.side == row.name for m in results.all)]
    others = [name for name in OTHERS if name in names]
    startup = ["xqe with start-up", "start-up, s"] if XQE in names else []
    yield (
        "Tokens per second, median of the rounds",
        table(
            ["", *names, *startup],
            [
                [
                    case.name,
                    *(middle([m.rate for m in results.of(case.name, name)]) for name in names),
                    *(_startup(results.of(case.name, XQE)) if startup else ()),
                ]
                for case in cases
            ],
            markdown,
        ),
    )
    yield (
        "Tokens per second of xqe over those of the others: median of the rounds (least–most)",
        table(
            ["", *others, "with start-up / bare loop", "same texts as bare loop"],
            [
                [
                    case.name,
                    *(
                        spread(results.ratios(results.ours(case), results.of(case.name, name), lambda m: m.rate))
                        for name in others
                    ),
                    spread(results.ratios(results.of(case.name, XQE), results.of(case.name, BARE), _whole_rate)),
                    _same(results.ours(case), results.of(case.name, BARE)) if case.temperature == 0 else MISSING,
                ]
                for case in cases
            ],
            markdown,
        ),
    )
    yield (
        "The cases",
        table(
            [
                "",
                "queries",
                "texts",
                "prompt tokens",
                "of these shared",
                "tokens a text",
                "xqe s/query",
                "bare loop s/query",
            ],
            [[case.name, *_size(results, case)] for case in cases],
            markdown,
        ),
    )
    prefixes = list(_prefixes(results, names))
    if prefixes:
        yield "Seconds a query, long prefix over short prefix", table(["", "ratio"], prefixes, markdown)
    overheads = [[f"{case.name}, {side}", *_overhead(results, case, side)] for case in cases for side in (ENGINE, BARE)]
    yield (
        "Python's part of a run",
        table(["", "ms a batch in Python", "ms a batch", "batches", "context opened in s"], overheads, markdown),
    )


def _startup(measured: list[Measurement]) -> list[str]:
    """Tokens per second of the whole process, and what it took besides generating."""
    waits = [(m.outcome.wall or 0) - m.outcome.seconds for m in measured]
    return [middle([_whole_rate(m) for m in measured]), middle(waits)]


def _whole_rate(measurement: Measurement) -> float:
    return measurement.outcome.tokens / (measurement.outcome.wall or measurement.outcome.seconds)


def _same(ours: list[Measurement], theirs: list[Measurement]) -> str:
    """How many texts of the first round are the same on two sides."""
    if not ours or not theirs:
        return MISSING
    pairs = list(zip(ours[0].outcome.texts, theirs[0].outcome.texts, strict=True))
    return f"{sum((a or '').strip() == (b or '').strip() for a, b in pairs)} of {len(pairs)}"


def _size(results: Results, case: Case) -> list[str]:
    ours, bare = results.ours(case), results.of(case.name, BARE)
    if not ours and not bare:
        return [MISSING] * 7
    first = (ours or bare)[0]
    texts = len(first.outcome.texts)
    prompt, prefix = (bare[0].outcome.prompt or 0, bare[0].outcome.prefix or 0) if bare else (0, 0)
    return [
        str(first.queries),
        str(texts),
        f"{prompt / texts:.0f}" if bare else MISSING,
        f"{prefix / len(case.languages):.0f}" if bare else MISSING,
        f"{first.outcome.tokens / texts:.1f}",
        middle([m.query_seconds for m in ours], ".3f"),
        middle([m.query_seconds for m in bare], ".3f"),
    ]


def _prefixes(results: Results, names: Sequence[str]) -> Iterator[list[str]]:
    for name in names:
        ratios = results.ratios(results.of(LONG, name), results.of(SHORT, name), lambda m: m.query_seconds)
        if ratios:
            yield [name, spread(ratios)]


def _overhead(results: Results, case: Case, side: str) -> list[str]:
    outcomes = [m.outcome for m in results.of(case.name, side)]
    steps = [outcome.steps or 1 for outcome in outcomes]
    openings = [outcome.opening or 0.0 for outcome in outcomes]
    counted = openings if side == ENGINE else [0.0] * len(openings)
    outside = [o.seconds - (o.inside or 0) - opening for o, opening in zip(outcomes, counted, strict=True)]
    return [
        middle([seconds / n * 1000 for seconds, n in zip(outside, steps, strict=True)], ".2f"),
        middle([outcome.seconds / n * 1000 for outcome, n in zip(outcomes, steps, strict=True)]),
        middle(steps, ".0f"),
        middle(openings, ".2f"),
    ]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _raw(results: Results, options: argparse.Namespace) -> dict[str, Any]:
    measurements = [{**asdict(m), **asdict(m.outcome)} for m in results.all]
    for measurement in measurements:
        del measurement["outcome"]
    return {
        "processor": processor(),
        "llama_cpp_python": version("llama-cpp-python"),
        "spin_count": os.environ.get("GOMP_SPINCOUNT"),
        "options": {key: value for key, value in vars(options).items() if value is not None},
        "sequences": SEQUENCES,
        "measurements": measurements,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES], help="repeatable")
    parser.add_argument("--side", action="append", choices=[row.name for row in SIDES], help="repeatable")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--queries", type=int, default=64, help="of a case; some take a part of them")
    parser.add_argument("--max-tokens", type=int, default=48, help="of a text")
    parser.add_argument("--model", default="tiny", help="a pretrained one")
    parser.add_argument("--chat-model", metavar="FILE")
    parser.add_argument("--llama-server", metavar="FILE", help="the program")
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement there")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    results = Results()
    try:
        measure(options, results)
    except XqeError as error:
        raise SystemExit(str(error)) from None
    finally:
        if options.json is not None:
            options.json.write_text(json.dumps(_raw(results, options), ensure_ascii=False, default=str), "utf-8")
    cases = [case for case in CASES if any(m.case == case.name for m in results.all)]
    binding = f"llama-cpp-python {version('llama-cpp-python')}"
    print(f"{processor()}, {options.threads} threads, {SEQUENCES} sequences, {binding}")
    for title, text in report(results, cases, options.markdown):
        print(f"\n{'### ' if options.markdown else ''}{title}\n\n{text}" if options.markdown else f"\n{title}\n{text}")


if __name__ == "__main__":
    main()
