"""The history of a grid that runs again and again: each night's measures, what failed, and what had changed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from xqe.errors import InputError, XqeError, why
from xqe.experiments.report.blocks import (
    NOTHING,
    Block,
    Paragraph,
    Report,
    Row,
    Section,
    Table,
    Trend,
    Value,
    count,
    points,
    words,
)
from xqe.experiments.report.results import HISTORY, HUMAN, MANIFEST, ORIGINAL, RETRIEVERS, WORDS
from xqe.experiments.report.shapes import Shape, amount, by_name, misfit, or_none, several, share, text
from xqe.experiments.report.shapes import count as count_of
from xqe.experiments.report.study import main_measure_of
from xqe.messages import plural

Night = dict[str, Any]
PASSED = "passed"
_NIGHT: Shape = {
    "time": text,
    "measures": by_name(by_name(share)),
    **dict.fromkeys(("name", "status", "xqe"), text),
    **dict.fromkeys(("queries", "failed_cells", "failed_records", "generated", "reused"), count_of),
    "seconds": amount,
    "changed": several(text),
    "dropped": several(text),
    "models": by_name(or_none(text)),
}

_AS_ASKED = {
    f"{kind}{suffix}" for kind in (ORIGINAL, HUMAN) for suffix in ("", *(f".{by}" for by in RETRIEVERS if by != WORDS))
}
"""Systems that no model had a part in."""


def _is_as_asked(system: str) -> bool:
    """Whether no model had a part in the query, whatever re-ranks its hits (`SYSTEM+RERANKER@N`), and whether questions
    of documents count (`SYSTEM.qw0_5.qs0_25`)."""
    return re.split(r"\+|\.q[ws]\d", system, maxsplit=1)[0] in _AS_ASKED


def read_history(folder: Path) -> tuple[list[Night], list[str]]:
    """Return the nights of a grid's folder, oldest first, and what is to be said of lines that were skipped.

    Raises InputError for a folder without a history, and for one in which no line can be read.
    """
    path = folder / HISTORY
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        what = (
            f"holds no {HISTORY}" if (folder / MANIFEST).is_file() else f"holds no {HISTORY}, and is no grid's folder"
        )
        raise InputError(f"{folder}: {what}", "give the folder that xqe grid wrote to, after a finished run") from None
    except OSError as error:
        raise InputError(f"{path}: {why(error)}", "check the path") from None
    nights: list[Night] = []
    skipped = []
    for number, line in enumerate(raw.split(b"\n"), 1):
        if not line.strip():
            continue
        night = _night(line)
        if isinstance(night, str):
            skipped.append(f"{path}:{number}: skipped {night}")
        else:
            nights.append(night)
    if not nights:
        raise InputError(f"{path}: no finished run", "wait for the first one to end")
    return sorted(nights, key=lambda night: str(night["time"])), skipped


def _night(line: bytes) -> Night | str:
    """What a line says of a run, or what is wrong with the line."""
    try:
        night = json.loads(line)
    except (ValueError, RecursionError):
        night = None
    if not isinstance(night, dict) or None in (night.get("time"), night.get("measures")):
        return "a broken line, as a run leaves that was killed while writing it"
    if (field := misfit(night, _NIGHT)) is not None:
        return f'a line in which "{field}" is not what a grid writes'
    return night


def measures_of(nights: Sequence[Night]) -> list[str]:
    return list(dict.fromkeys(name for night in nights for means in night["measures"].values() for name in means))


def compose_history(nights: Sequence[Night], asked: str | None) -> Report:
    """Return the report of some nights. asked: the measure, else MRR or the first there is.

    Raises XqeError for a measure that no night has.
    """
    there = measures_of(nights)
    if asked is not None and asked not in there:
        raise XqeError(f"--measure: the history has no {asked}", f"it has {', '.join(there) or 'none'}")
    if not there:
        raise InputError("the history has no measures", "wait for the first run that evaluates")
    main = main_measure_of(there, asked)
    changes = [(place, what) for place in range(1, len(nights)) if (what := _changed(nights[place - 1], nights[place]))]
    name = str(nights[-1].get("name") or "grid")
    blocks: list[Block] = [_trend(nights, main, changes), _nights(nights, main, dict(changes))]
    said = [f"{_when(nights[place])}: {what}." for place, what in changes]
    dropped = [f"{_when(night)}: {line}." for night in nights for line in night.get("dropped") or ()]
    sections = [Section("trend", "Trend", tuple(blocks))]
    if said:
        sections.append(Section("changes", "What changed", tuple(map(Paragraph, said))))
    if dropped:
        sections.append(Section("dropped", "What dropped", tuple(map(Paragraph, dropped))))
    return Report(f"Night by night: {name}", (_lead(nights, main),), tuple(sections))


def _lead(nights: Sequence[Night], main: str) -> str:
    last = nights[-1]
    bad = sum(night.get("status") != PASSED for night in nights)
    passed = f"{bad} of them did not pass" if bad else "all of them passed"
    said = [
        (
            f"{plural(len(nights), 'run')} from {_when(nights[0])} to {_when(last)}; {passed}, the last "
            f"{last.get('status', 'has no status')}"
        )
    ]
    best = _best(last, main)
    if best is not None:
        said.append(f"its best system is {best} with a mean {main} of {100 * last['measures'][best][main]:.2f}")
    if len(nights) > 1 and best is not None and main in nights[-2]["measures"].get(best, {}):
        before = nights[-2]["measures"][best][main]
        said.append(f"{points(last['measures'][best][main] - before)} points to the run before")
    return "; ".join(said) + "."


def _best(night: Night, main: str) -> str | None:
    there = {name: means[main] for name, means in night["measures"].items() if main in means and not _is_as_asked(name)}
    return max(there, key=lambda name: there[name], default=None)


def _when(night: Night) -> str:
    """The day, and the minute, in UTC."""
    return str(night["time"])[:16].replace("T", " ")


def _trend(nights: Sequence[Night], main: str, changes: Sequence[tuple[int, str]]) -> Trend:
    names = dict.fromkeys(name for night in nights for name, means in night["measures"].items() if main in means)
    lines = [(name, tuple(_percentage(night, name, main) for night in nights)) for name in names]
    lines.sort(key=lambda line: -next(number for number in reversed(line[1]) if number is not None))
    failed = tuple(place for place, night in enumerate(nights) if night.get("status") != PASSED)
    marks = "; ".join(f"{number}: {what}" for number, (_, what) in enumerate(changes, 1))
    return Trend(
        "trend",
        f"{main} by system, run by run",
        tuple(_when(night) for night in nights),
        tuple(lines),
        tuple(changes),
        failed,
        f"mean {main}, percent",
        (
            (
                "Systems stand in the order of the last run; each row of blocks goes from its own least to its own "
                "greatest."
            ),
            *([f"Changes, dashed in the picture: {marks}."] if changes else []),
            *(["✕ marks a run that did not pass."] if failed else []),
        ),
    )


def _percentage(night: Night, name: str, main: str) -> float | None:
    value = night["measures"].get(name, {}).get(main)
    return None if value is None else 100 * float(value)


def _nights(nights: Sequence[Night], main: str, changes: dict[int, str]) -> Table:
    rows = []
    for place, night in enumerate(nights):
        best = _best(night, main)
        rows.append(
            Row(
                (_when(night), str(night.get("status") or NOTHING)),
                (
                    Value(NOTHING) if best is None else Value(f"{100 * night['measures'][best][main]:.2f}"),
                    words(best or NOTHING),
                    count(int(night.get("queries") or 0)),
                    count(int(night.get("failed_cells") or 0)),
                    count(int(night.get("failed_records") or 0)),
                    Value(f"{float(night.get('seconds') or 0):,.0f}"),
                    count(int(night.get("generated") or 0)),
                    count(int(night.get("reused") or 0)),
                    words(changes.get(place, "")),
                ),
            )
        )
    return Table(
        "runs",
        "Runs",
        ("time (UTC)", "status"),
        (
            *(f"best {main}", "of", "values", "failed cells", "failed records", "seconds", "generated", "reused"),
            "changed before it",
        ),
        tuple(rows),
    )


def _changed(before: Night, after: Night) -> str:
    """What was another in a run than in the one before it, in words."""
    said = [str(what) for what in after.get("changed") or ()]
    one, other = before.get("models") or {}, after.get("models") or {}
    for name in dict.fromkeys([*one, *other]):
        if one.get(name) != other.get(name) and not any(name in what for what in said):
            said.append(f"model {name} {'came' if name not in one else 'left' if name not in other else 'has changed'}")
    for key, what in (("xqe", "xqe"), ("queries", "values")):
        if key in before and key in after and before[key] != after[key]:
            said.append(f"{what} {before[key]} to {after[key]}")
    return "; ".join(said)


def tidy(nights: Sequence[Night]) -> Iterator[tuple[Any, ...]]:
    """A line for each run, system and measure, the first with the names of the columns."""
    yield "time", "status", "system", "measure", "value", "queries", "failed_cells", "failed_records", "xqe", "changed"
    for place, night in enumerate(nights):
        changed = _changed(nights[place - 1], night) if place else ""
        for system, means in night["measures"].items():
            for measure, value in means.items():
                yield (
                    *(night["time"], night.get("status"), system, measure, value, night.get("queries")),
                    *(night.get("failed_cells"), night.get("failed_records"), night.get("xqe"), changed),
                )
