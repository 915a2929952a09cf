"""What the help of a command has, by headings, and the two ways to show it: short by -h, whole by --help.

Options stand under the panel that they name where they are declared (typer's `rich_help_panel`), those that name none
under OPTIONS. The short help has the latter only, and the names of all others.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from functools import cache
from pathlib import Path
from typing import Any

from xqe.files import toml

EXAMPLES = Path(__file__).parent / "commands" / "examples.toml"
ARGUMENTS, OPTIONS = "Arguments", "Options"
_SENTENCE = re.compile(r"(?s).*?\.(?=\s|$)")
ARGUMENTS_GIVEN = "xqe.arguments"
"""Where a context keeps the words that a command was given."""
SHORT = "xqe.short"
"""What is noted of a context of which the short help is asked."""

Rows = list[tuple[str, str]]


def headings(command: Any, context: Any) -> dict[str, Rows]:
    """The arguments and options of a command, each with what is said of it, by the heading that they stand under:
    its arguments, the options that are its own, then the others as they come."""
    found: dict[str, Rows] = {ARGUMENTS: [], OPTIONS: []}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            is_option = parameter.param_type_name == "option"
            heading = (getattr(parameter, "rich_help_panel", None) or OPTIONS) if is_option else ARGUMENTS
            found.setdefault(heading, []).append(record)
    return {heading: rows for heading, rows in found.items() if rows}


def is_short(context: Any) -> bool:
    return bool(context.meta.get(SHORT))


def write_text(formatter: Any, text: str | None, short: bool) -> None:
    """What a command says of itself: all, or the first paragraph."""
    said = inspect.cleandoc(text or "")
    if said:
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(said.partition("\n\n")[0] if short else said)


def write_options(formatter: Any, command: Any, context: Any) -> None:
    found = headings(command, context)
    short = is_short(context)
    for heading, rows in found.items():
        if not short or heading in {ARGUMENTS, OPTIONS}:
            with formatter.section(heading):
                formatter.write_dl([(name, first_sentence(said)) for name, said in rows] if short else rows)
    others = {heading: rows for heading, rows in found.items() if heading not in {ARGUMENTS, OPTIONS}}
    if short and others:
        with formatter.section(f"More, by {context.command_path} --help"):
            for heading, rows in others.items():
                formatter.write(f"{_hanging(heading, [_name(row) for row in rows], formatter)}\n")


def _hanging(heading: str, names: list[str], formatter: Any) -> str:
    """The names behind their heading, none of them broken at a hyphen."""
    indent = " " * formatter.current_indent
    return textwrap.fill(
        f"{heading}: {' '.join(names)}",
        formatter.width,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_on_hyphens=False,
    )


def examples(typed: str) -> dict[str, str]:
    """The examples of the command that is typed so ("data fetch"): what each does, and its line."""
    found: dict[str, str] = _examples().get(typed, {})
    return found


@cache
def _examples() -> dict[str, Any]:
    """Those of all commands, which a manual has."""
    return toml.load(EXAMPLES, "install xqe anew", "install xqe anew")


def write_examples(formatter: Any, context: Any) -> None:
    """The examples, whose lines are never folded, so that they can be copied."""
    found = examples(context.command_path.partition(" ")[2])
    if not found:
        return
    with formatter.section("Examples"):
        for about, line in found.items():
            formatter.write_text(f"{about}:")
            formatter.write(f"{' ' * formatter.current_indent}  {line}\n")


def first_sentence(said: str) -> str:
    """The first sentence of what is said of an option, without its defaults."""
    text = re.sub(r"\s*\[(default|env var|required|[\w.]*<=?x|x>)[^\]]*\]", "", said)
    found = _SENTENCE.match(text)
    return found[0] if found else text or said


def _name(row: tuple[str, str]) -> str:
    """What an option is called at length: "--model" of "-m, --model NAME|PATH"."""
    return next((word for word in re.split(r"[ ,/]+", row[0]) if word.startswith("--")), row[0])
