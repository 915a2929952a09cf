"""A finished run beside the one before: what has changed of what makes the numbers, and whether they fell.

A run is compared with the last one that passed, so that quality cannot drift down in steps too small to be seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xqe.errors import XqeError
from xqe.evaluation.decisions import Limit, drops, parse_limits, shortfalls
from xqe.evaluation.significance import by_unit
from xqe.experiments.grid.folder import Folder
from xqe.experiments.grid.plan import Plan
from xqe.experiments.grid.settings import Gate

Json = dict[str, Any]
PASSED, DROPPED, FAILED = "passed", "dropped", "failed"


def changes(before: Json, now: Json) -> list[str]:
    """What differs between two manifests of a grid, of all that makes its numbers: a line each."""
    return list(_changes(before, now)) if before else []


def _changes(before: Json, now: Json) -> Iterator[str]:
    since = before.get("finished") or before.get("started")
    for name, new in now["models"].items():
        old = before.get("models", {}).get(name)
        if old is not None and (what := _another(old, new, since)):
            yield f"model {name}: {what}, so its texts are generated anew"
        elif old is not None and old.get("lora") != new.get("lora"):
            yield f"model {name}: its adapters have changed since {since}, so its expansions are generated anew"
    for name, new in now.get("rerankers", {}).items():
        old = before.get("rerankers", {}).get(name)
        if old is not None and old != new:
            what = _another(old, new, since) or f"it is asked otherwise than at {since}"
            yield f"re-ranker {name}: {what}, so it ranks anew"
    old, new = before.get("encoder"), now.get("encoder")
    if old and new and old != new:
        yield f"encoder {new['encoder']}: it is not that of {since}, so vectors are searched anew"
    for name, new in now["collections"].items():
        old = before.get("collections", {}).get(name)
        if old is not None and old.get("sha256") != new["sha256"]:
            yield f"collection {name}: it has changed since {since} (sha256 {_short(old)}, now {_short(new)})"
    for what in ("xqe", "python"):
        if before.get(what) != now[what]:
            yield f"{what}: {before.get(what)} then, {now[what]} now"
    for name, new in now["libraries"].items():
        old = before.get("libraries", {}).get(name)
        if old != new:
            yield f"{name}: {old} then, {new} now"
    if before.get("grid") != now["grid"]:
        yield f"the grid file: it has changed since {since}"


def _another(old: Json, new: Json, since: str | None) -> str:
    """What of a model is another than it was; empty for nothing."""
    if old.get("sha256") != new.get("sha256"):
        return f"its file has changed since {since} (sha256 {_short(old)}, now {_short(new)})"
    return f"its server tells another model than at {since}" if old.get("listed") != new.get("listed") else ""


def _short(said: Mapping[str, Any]) -> str:
    return str(said.get("sha256"))[:12]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a gate says of a run. fell: the lines that make it a failure. noise: drops that may be chance."""

    fell: tuple[str, ...] = ()
    noise: tuple[str, ...] = ()
    compared: str | None = None


def values_of(plan: Plan, folder: Folder) -> Json:
    """The values of a finished run: of each system, over its pairs and their queries, one after the other."""
    systems: dict[str, Json] = {}
    queries: dict[str, list[str]] = {}
    for cell in sorted(plan.cells, key=lambda cell: cell.place):
        said = folder.cell(cell)
        if said:
            pair = f"{cell.collection}/{cell.source}-{cell.target}"
            queries[pair] = said["queries"]
            system = systems.setdefault(cell.system, {"pairs": [], "values": {}, "means": {}})
            system["pairs"].append(pair)
            for measure, values in said["values"].items():
                system["values"].setdefault(measure, []).extend(values)
                system["means"].setdefault(measure, []).append(said["measures"][measure])
    return {"queries": queries, "systems": systems}


def means(values: Json) -> dict[str, dict[str, float]]:
    """System -> measure -> the mean over its pairs of their means."""
    return {
        system: {measure: math.fsum(each) / len(each) for measure, each in said["means"].items()}
        for system, said in values["systems"].items()
    }


def check_gate(plan: Plan) -> None:
    """Raise XqeError for a limit that says nothing, or one on what the grid does not have."""
    gate, where = plan.grid.gate, f"{plan.grid.file}: gate"
    for limit in (*_limits(gate.fail_under, f"{where}.fail_under"), *_limits(gate.max_drop, f"{where}.max_drop")):
        if str(limit.measure) not in map(str, plan.grid.measures):
            named = ", ".join(map(str, plan.grid.measures))
            raise XqeError(f"{where}: the grid does not measure {limit.measure}", f"it measures {named}")
    for system in gate.systems or ():
        if system not in plan.systems:
            there = ", ".join(sorted(plan.systems)[:20])
            raise XqeError(f'{where}.systems: no system "{system}"', f"there are {there}")


def _limits(texts: Sequence[str], where: str) -> tuple[Limit, ...]:
    return parse_limits(texts, where) if texts else ()


def last_passed(history: Sequence[Json]) -> Json | None:
    """The line of the last run that passed and has values."""
    return next((line for line in reversed(history) if line.get("status") == PASSED and line.get("values")), None)


def judge(gate: Gate, values: Json, before: Json | None, time: str | None, seed: int) -> Judgement:
    """Hold the values of a run against its limits, and against those of an earlier one, of that time."""
    systems = [name for name in values["systems"] if gate.systems is None or name in gate.systems]
    fell: list[str] = []
    noise: list[str] = []
    under = _limits(gate.fail_under, "fail_under")
    for name in systems:
        fell += [f"{name}: {line}" for line in shortfalls(_by_query(name, values), under)]
    allowed = _limits(gate.max_drop, "max_drop")
    if before is None or not allowed:
        return Judgement(tuple(fell))
    for name in systems:
        old = before["systems"].get(name)
        if old is None:
            noise.append(f"{name}: the run of {time} did not have it")
        elif not _same_queries(name, values, before):
            noise.append(f"{name}: the run of {time} was over other pairs or queries, so the two are not compared")
        else:
            known = [limit for limit in allowed if str(limit.measure) in old["values"]]
            noise += [
                f"{name}: the run of {time} did not measure {limit.measure}" for limit in allowed if limit not in known
            ]
            verdicts = drops(_by_query(name, values), _by_query(name, before), known, strict=gate.strict, seed=seed)
            fell += [f"{name}: {verdict.line()}" for verdict in verdicts if verdict.is_failure]
            noise += [f"{name}: {verdict.line()}" for verdict in verdicts if verdict.is_noise]
    return Judgement(tuple(fell), tuple(noise), time)


def _same_queries(system: str, values: Json, before: Json) -> bool:
    pairs = values["systems"][system]["pairs"]
    return bool(
        pairs == before["systems"][system]["pairs"]
        and all(values["queries"][pair] == before["queries"].get(pair) for pair in pairs)
    )


def _by_query(system: str, values: Json) -> dict[str, list[float]]:
    """Measure -> a value for each query, asked in one pair or in several; their mean is that of the pairs' means."""
    said, asked = values["systems"][system], values["queries"]
    numbers: dict[tuple[str, str], int] = {}
    units = [
        numbers.setdefault((pair.partition("/")[0], query), len(numbers))
        for pair in said["pairs"]
        for query in asked[pair]
    ]
    weights = [1 / (len(asked[pair]) * len(said["pairs"])) for pair in said["pairs"] for _ in asked[pair]]
    return {measure: by_unit(each, units, weights) for measure, each in said["values"].items()}
