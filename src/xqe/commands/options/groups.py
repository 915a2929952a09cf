"""How a command takes a group of options."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import typer

G = TypeVar("G")


def takes(**groups: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the options that are the fields of dataclasses, each group in place of its argument.

    `@takes(generation=Generation)` calls the command with one argument `generation`, an instance of the class.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        own = inspect.signature(command, eval_str=True).parameters
        fields = {name: inspect.signature(group, eval_str=True).parameters for name, group in groups.items()}

        @functools.wraps(command)
        def run(**given: Any) -> Any:
            made = {name: groups[name](**{field: given.pop(field) for field in fields[name]}) for name in groups}
            return command(**given, **made)

        parameters = [p for name in own for p in (fields[name].values() if name in groups else [own[name]])]
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        del run.__wrapped__  # typer would read the options of that one
        return run

    return decorate


def with_defaults(group: Callable[..., G], **defaults: Any) -> Callable[..., G]:
    """A group of which some options have other defaults."""

    def make(**given: Any) -> G:
        return group(**given)

    parameters = inspect.signature(group, eval_str=True).parameters
    changed = [one.replace(default=defaults.get(name, one.default)) for name, one in parameters.items()]
    make.__signature__ = inspect.Signature(changed)  # type: ignore[attr-defined]
    return make


def part(group: type[G], *names: str) -> Callable[..., G]:
    """A group of which only these options are offered; the others keep their defaults."""

    def make(**given: Any) -> G:
        return group(**given)

    parameters = inspect.signature(group, eval_str=True).parameters
    make.__signature__ = inspect.Signature([parameters[name] for name in names])  # type: ignore[attr-defined]
    return make


def on_command_line(context: typer.Context) -> dict[str, str]:
    """The parameters that were given there, not by the environment, each with what its option is called."""
    found = {}
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            found[name] = parameter.opts[0]
    return found
