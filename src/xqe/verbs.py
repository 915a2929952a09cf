"""A table of commands, of which the one that runs is imported, and no other.

Help, the completion of names, and what is said of a wrong name are made of the table alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import CompletionItem, TyperCommand, TyperGroup, TyperOption  # type: ignore[attr-defined]  # the first: nowhere public
from typer.exceptions import TyperException
from typer.main import get_command

from xqe.files.numbers import GREATEST, decimal, whole
from xqe.helping import ARGUMENTS_GIVEN, SHORT, is_short, write_examples, write_options, write_text
from xqe.lines import nearest
from xqe.messages import show

UNABLE_STATUS = 2
_EXTRA = re.compile(r"unexpected extra argument.*? \((.*)\)")
COMPLETING = "_XQE_COMPLETE"
"""The variable by which a shell asks for completions."""


class Verb(NamedTuple):
    """A command. help: the first sentence of what it says of itself. place: "module:function", in xqe.commands."""

    name: str
    help: str
    place: str


class Group(NamedTuple):
    """A command of commands. help: the first sentence of what it says of itself, and more: the rest. epilog: what
    stands below its commands."""

    name: str
    help: str
    more: str
    verbs: tuple[Verb, ...]
    epilog: str | None = None


Table = Mapping[str, Sequence[Verb | Group]]
"""Commands, by the headings of the help that they stand under."""


class Single(TyperCommand):
    """A command that is the one to look up where its options are wrong: of some of that typer does not say whose.

    Its help has its options by panels, and examples (`xqe.helping`); -h shows the short one.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta[ARGUMENTS_GIVEN] = list(args)
        try:
            return super().parse_args(ctx, args)
        except TyperException as error:
            error.message += self._meant(error.message, ctx.meta[ARGUMENTS_GIVEN])
            error.ctx = getattr(error, "ctx", None) or ctx  # type: ignore[attr-defined]
            raise

    def _meant(self, message: str, given: Sequence[str]) -> str:
        """What to do about arguments that the command does not have, "" where that is not known."""
        if message.startswith("No such option: -o"):
            return " (what it writes goes to standard output: > FILE)"
        if message.startswith("No such option: --lang") and any("--from" in one.opts for one in self.params):
            return " (the language of what is read is --from)"
        extra = _EXTRA.search(message)
        if extra is None or "files" not in {one.name for one in self.params}:
            return ""
        if {"-i", "--input"} & {*given}:
            return ": --input takes one file, and may be given again"
        first = next((one for one in given if f"{extra[1]} ".startswith(f"{one} ")), "")
        takes_text = any(one.param_type_name == "argument" for one in self.params)
        if takes_text and not os.path.isfile(first):  # noqa: PTH113  # which a long query is too long for
            return ": put a text of several words into quotes"
        return f": a file is read with --input {first}"

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        write_text(formatter, self.help, is_short(ctx))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        write_options(formatter, self, ctx)
        write_examples(formatter, ctx)


class OnDemand(TyperGroup):
    """A command of commands that has a table of them; each is imported when it is asked for."""

    table: Table

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return self.commands[cmd_name] if cmd_name in self.list_commands(ctx) else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        widest = max(map(len, self.commands))
        for heading, rows in self.table.items():
            lines = [(row.name, row.help) for row in rows]
            with formatter.section(heading):
                formatter.write_dl(lines, col_spacing=2 + widest - max(len(name) for name, _ in lines))

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        fitting = (row for rows in self.table.values() for row in rows if row.name.startswith(incomplete))
        options = super(TyperGroup, self).shell_complete(ctx, incomplete)
        return [*(CompletionItem(row.name, help=row.help) for row in fitting), *options]


class _Commands(Mapping[str, Any]):
    """The commands of a table, by their names."""

    def __init__(self, table: Table) -> None:
        self._rows = {row.name: row for rows in table.values() for row in rows}
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        row = self._rows[name]
        if name not in self._made:
            self._made[name] = _group(row) if isinstance(row, Group) else _command(row)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def with_commands(app: typer.Typer, table: Table) -> Any:
    """The command that `app` describes, which is of the class OnDemand, with the commands of a table."""
    command = get_command(app)
    command.table, command.commands = table, _Commands(table)  # type: ignore[attr-defined]
    return command


def check_given(context: typer.Context) -> None:
    """Show the help, with the status of a wrong usage, where a command of commands is given none of them."""
    if context.invoked_subcommand is None:
        show(context.get_help())
        raise typer.Exit(UNABLE_STATUS)


def _group(row: Group) -> Any:
    about = f"{row.help} {row.more}".strip()
    app = typer.Typer(
        cls=OnDemand, name=row.name, help=about, epilog=row.epilog, rich_markup_mode=None, add_completion=False
    )
    app.callback(invoke_without_command=True)(check_given)
    return with_commands(app, {"Commands": row.verbs})


def _command(row: Verb) -> Any:
    module, _, function = row.place.partition(":")
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.command(row.name, cls=Single)(getattr(import_module(f"xqe.commands.{module}"), function))
    command = get_command(app)
    for parameter in command.params:
        parameter.type = _in_full(parameter.type)
        if COMPLETING in os.environ:
            parameter.type = _completing(parameter.type)
    command.params.append(_short_help())
    return command


def _completing(kind: Any) -> Any:
    """A type whose values a shell completes by `xqe.commands.values`, where they have some, else as it does itself."""
    from xqe.commands.values import completed

    known = copy(kind)

    def shell_complete(context: Any, parameter: Any, typed: str) -> list[Any]:
        option = parameter.opts[0] if parameter.param_type_name == "option" else ""
        values = completed(option, parameter.metavar or "", typed)
        return [CompletionItem(value, help=about) for value, about in values] or kind.shell_complete(
            context, parameter, typed
        )

    known.shell_complete = shell_complete
    return known


def _short_help() -> Any:
    """-h of a command: of its help, what matters most."""

    def show_short(context: Any, parameter: Any, asked: bool) -> None:
        if asked and not context.resilient_parsing:
            context.meta[SHORT] = True
            typer.echo(context.get_help())
            context.exit()

    return TyperOption(
        param_decls=["-h"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show_short,
        show_default=False,
        help="Show what matters most, and exit.",
    )


def _in_full(kind: Any) -> Any:
    """A type of options: what names none of its values is told the nearest, and a number is read as `files.numbers`
    reads it: not as Python does, which takes "nan", "1_0" and digits of every script, and lets the first of them pass
    whatever the range."""
    if hasattr(kind, "choices"):
        return _with_nearest(kind)
    read = {"float": decimal, "int": whole}.get(kind.name.partition(" ")[0])
    if read is None:
        return kind
    strict, convert = copy(kind), kind.convert

    def converted(value: Any, parameter: Any, context: Any) -> Any:
        if isinstance(value, str):
            try:
                value = read(value)
            except ValueError as error:
                kind.fail(f"{value!r} {error}.", parameter, context)
            if read is whole and abs(value) > GREATEST:
                kind.fail(f"{value} is not from -{GREATEST} to {GREATEST}.", parameter, context)
        return convert(value, parameter, context)

    strict.convert = converted
    return strict


def _with_nearest(kind: Any) -> Any:
    """A type of some values, of which the nearest is told for what is none of them."""
    helpful, convert = copy(kind), kind.convert

    def converted(value: Any, parameter: Any, context: Any) -> Any:
        try:
            return convert(value, parameter, context)
        except TyperException as error:
            near = nearest(str(value), [str(getattr(one, "value", one)) for one in kind.choices])
            if near:
                error.message = f"{error.message.rstrip('.')} (did you mean {near}?)"
            raise

    helpful.convert = converted
    return helpful
