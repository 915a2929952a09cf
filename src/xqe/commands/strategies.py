"""xqe strategies: the ways to expand a query."""

from __future__ import annotations

import sys
from typing import Any

from xqe.files import jsonl
from xqe.messages import plural
from xqe.stages.strategies import RECIPES, Strategy


def strategies() -> None:
    """List the strategies of xqe expand.

    They are text on a terminal, and JSONL elsewhere: what each has a model write, how texts are drawn, how search puts
    them together with the query, and who published it. The last one chooses among the others for each query, by the
    first rule that holds.
    """
    if sys.stdout.isatty():
        _show(rows())
        return
    for row in rows():
        jsonl.write(jsonl.dumps(row))


def rows() -> list[dict[str, Any]]:
    """What is said of each strategy."""
    return [*map(_row, RECIPES), _auto()]


def _row(strategy: Strategy) -> dict[str, Any]:
    recipe = strategy.recipe
    return {
        "name": strategy.value,
        "description": recipe.templates[0 if recipe.in_rounds else -1].description,
        "texts": recipe.kinds * recipe.samples,
        "samples": recipe.samples,
        "temperature": recipe.temperature,
        "max_tokens": recipe.max_tokens,
        "documents": recipe.documents,
        "combine": recipe.combination.said(),
        "source": recipe.source,
    }


def _auto() -> dict[str, Any]:
    from xqe.stages.choosing import RULES

    rules = [{"strategy": rule.strategy.value, "why": rule.why} for rule in RULES]
    return {"name": Strategy.AUTO.value, "description": "One of the others, chosen for each query.", "rules": rules}


def _show(listed: list[dict[str, Any]]) -> None:
    widest = max(len(row["name"]) for row in listed)
    for row in listed:
        about = _of_rules(row["rules"]) if "rules" in row else [_of_texts(row), row["source"]]
        margin = " " * (widest + 2)
        lines = [f"{row['name']:{widest}}  {row['description']}", *(f"{margin}{line}" for line in about)]
        jsonl.write("\n".join(lines))


def _of_rules(rules: list[dict[str, str]]) -> list[str]:
    return [f"{rule['strategy']} if {rule['why']}" for rule in rules]


def _of_texts(row: dict[str, Any]) -> str:
    parts = [plural(row["texts"], "text"), f"temperature {row['temperature']:g}", f"{row['max_tokens']} tokens"]
    if row["documents"]:
        parts.append(f"reads {row['documents']} documents")
    combine = (name if held is True else f"{name} {held}" for name, held in row["combine"].items())
    return ", ".join(parts) + "".join(f"; {said}" for said in combine)
