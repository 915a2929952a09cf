"""xqe strategies: the ways to expand a query."""

from __future__ import annotations

from typing import Any

from xqe.commands.options.forms import Screen, ScreenFormat, on_screen
from xqe.files import jsonl
from xqe.messages import plural
from xqe.stages.strategies import RECIPES, Strategy


def strategies(form: ScreenFormat = Screen.AUTO) -> None:
    """List the strategies of xqe expand.

    They are text on a terminal, and JSONL elsewhere: what each has a model write, how texts are drawn, how search puts
    them together with the query, and who published it. The last one chooses among the others for each query, by the
    first rule that holds.
    """
    if on_screen(form):
        jsonl.write(_text(rows()))
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


def _text(listed: list[dict[str, Any]]) -> str:
    from xqe.commands.screens import rendered
    from xqe.commands.sections import fields, plain

    said = {}
    for row in listed:
        about = _of_rules(row["rules"]) if "rules" in row else [_of_texts(row), row["source"]]
        said[row["name"]] = plain("\n".join([row["description"], *about]))
    return rendered(fields(said))


def _of_rules(rules: list[dict[str, str]]) -> list[str]:
    return [f"{rule['strategy']} if {rule['why']}" for rule in rules]


def _of_texts(row: dict[str, Any]) -> str:
    parts = [plural(row["texts"], "text"), f"temperature {row['temperature']:g}", f"{row['max_tokens']} tokens"]
    if row["documents"]:
        parts.append(f"reads {row['documents']} documents")
    combine = (name if held is True else f"{name} {held}" for name, held in row["combine"].items())
    return ", ".join(parts) + "".join(f"; {said}" for said in combine)
