"""Pages of the manual, in the macros of man(7), of what the commands say of themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from xqe import __version__
from xqe.doctor.variables import VARIABLES
from xqe.helping import examples, first_sentence, headings

_STATUS = {
    "0": "The work is done.",
    "1": "It is done, but some records failed, or an evaluation missed a limit.",
    "2": "It could not be done: usage, input, model, index.",
    "130": "Interrupted; what was finished has been written.",
    "141": "The reader of the pipe went away.",
}
_SPECIAL = {"\\": "\\e", "-": "\\-", "`": "\\(ga", "'": "\\(aq", "^": "\\(ha", "~": "\\(ti"}


def pages(root: Any) -> dict[str, str]:
    """All pages, by their names: "xqe", "xqe-search", "xqe-data-fetch". root: the context of xqe itself, as typer has
    it."""
    return {"xqe": _page("xqe", root, variables(root))} | {name: _page(name, own) for name, own in below(root).items()}


def variables(root: Any) -> dict[str, str]:
    """The variables of the environment that xqe reads, by their names, and what each is."""
    of_options: dict[str, str] = {}
    for context in below(root).values():
        for name, said in _variables(context):
            of_options.setdefault(name, said)
    return dict(sorted((of_options | VARIABLES).items()))


def below(context: Any) -> dict[str, Any]:
    """Every command below one, by the name of its page: a context of its own."""
    found = {}
    for name in context.command.list_commands(context):
        command = context.command.get_command(context, name)
        own = type(context)(command, info_name=name, parent=context)
        found[own.command_path.replace(" ", "-")] = own
        if hasattr(command, "commands"):
            found |= below(own)
    return found


def _variables(context: Any) -> Iterator[tuple[str, str]]:
    for parameter in context.command.params:
        names = getattr(parameter, "envvar", None) or ()
        for name in [names] if isinstance(names, str) else names:
            yield name, f"{first_sentence(parameter.help or '')} See {parameter.opts[0]}."


def _page(name: str, context: Any, environment: dict[str, str] | None = None) -> str:
    """A page. environment: the variables to list, where they are not those of its options."""
    command = context.command
    said = inspect.cleandoc(command.help or "").partition("\f")[0]
    first = said.partition("\n\n")[0]
    usage = " ".join(command.collect_usage_pieces(context))
    parts = [
        f'.TH "{name.upper()}" "1" "" "xqe {__version__}" "xqe"',
        _section("NAME", f"{_escaped(name)} \\- {_escaped(_line(first).rstrip('.'))}"),
        _section("SYNOPSIS", f".B {_escaped(context.command_path)}\n{_escaped(usage)}"),
        _section("DESCRIPTION", "\n.PP\n".join(_escaped(_line(part)) for part in said.split("\n\n"))),
    ]
    if hasattr(command, "commands"):
        for heading, rows in command.table.items():
            found = {f"{name}-{row.name}(1)": row.help for row in rows}
            parts.append(_section(heading.upper(), _listed(found)))
    parts += [_section(heading.upper(), _listed(dict(rows))) for heading, rows in headings(command, context).items()]
    used = dict(_variables(context)) if environment is None else environment
    if used:
        parts.append(_section("ENVIRONMENT", _listed(used)))
    shown = examples(context.command_path.partition(" ")[2])
    if shown:
        lines = [f"{_escaped(about)}:\n.PP\n.EX\n    {_escaped(line)}\n.EE\n.PP" for about, line in shown.items()]
        parts.append(_section("EXAMPLES", "\n".join(lines)))
    parts.append(_section("EXIT STATUS", _listed(_STATUS)))
    if command.epilog:
        parts.append(_section("NOTES", _escaped(_line(command.epilog))))
    if name != "xqe":
        above = context.parent.command_path.replace(" ", "-")
        parts.append(_section("SEE ALSO", f".BR {_escaped(above)} (1)"))
    return "\n".join(parts) + "\n"


def _section(heading: str, text: str) -> str:
    return f".SH {_escaped(heading)}\n{text}"


def _listed(rows: dict[str, str]) -> str:
    return "\n".join(f".TP\n.B {_escaped(name)}\n{_escaped(_line(said)) or '.br'}" for name, said in rows.items())


def _line(text: str) -> str:
    return " ".join(text.split())


def _escaped(text: str) -> str:
    """The text as it is, for what would read parts of it as its own."""
    text = re.sub(r"[\\\-`'^~]", lambda found: _SPECIAL[found[0]], text)
    return f"\\&{text}" if text[:1] == "." else text
