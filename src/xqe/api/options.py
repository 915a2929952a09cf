"""The options of a command as keyword arguments: the same names, defaults, environment variables, types and ranges."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from xqe.errors import XqeError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    G = TypeVar("G", bound=DataclassInstance)

OF_STREAMS = frozenset(
    {"input", "input-format", "id-field", "text-field", "title-field", "format", "tag", "show-prompt", "quiet"}
)
"""Options about what is read and written, which a function has as arguments and returns instead."""


class _Command(NamedTuple):
    """A command as typer has it. options: by the long name of each, without hyphens before it. converted: what makes
    the value that the command gets of the value that typer reads, by the names of parameters."""

    itself: Any
    options: Mapping[str, Any]
    converted: Mapping[str, Callable[[Any], Any]]


@cache
def _command(verb: str) -> _Command:
    from typer.main import get_params_convertors_ctx_param_name_from_function as read  # nowhere public

    from xqe.cli import COMMANDS, command
    from xqe.verbs import Verb

    rows = chain.from_iterable(COMMANDS.values())
    place = next(row.place for row in rows if isinstance(row, Verb) and row.name == verb)
    module, _, name = place.partition(":")
    _, converted, _ = read(getattr(import_module(f"xqe.commands.{module}"), name))
    itself = command().commands[verb]
    options = {_long(one.opts): one for one in itself.params if one.param_type_name == "option" and one.expose_value}
    return _Command(itself, options, converted)


def _long(spellings: Iterable[str]) -> str:
    return max(spellings, key=len).lstrip("-")


class Options:
    """What a call says of a command's options, and for the others what the environment or the command says.

    Values are read as if they were typed: 3 and "3" are the same, a list stands for an option that is repeated, or
    that has commas between values. None is an option that is not given.
    """

    def __init__(
        self, verb: str, given: Mapping[str, Any], withheld: Collection[str] = (), only: Collection[str] | None = None
    ) -> None:
        """withheld: options of the command that the call does not have, beside OF_STREAMS. only: the parameters that
        it has, None for all others. Raises XqeError for an unknown name, and for a value that the command refuses."""
        command = _command(verb)
        offered = {
            name.replace("-", "_"): option
            for name, option in command.options.items()
            if name not in OF_STREAMS and name not in withheld and (only is None or option.name in only)
        }
        for name in given:
            if name not in offered:
                near = get_close_matches(name, offered, 1)
                hint = f"did you mean {near[0]}?" if near else f"xqe {verb} --help lists them, with hyphens"
                raise XqeError(f'no option "{name}"', hint)
        self.given = {offered[name].name for name, value in given.items() if value is not None}
        said = {offered[name].name: _typed(value, offered[name]) for name, value in given.items() if value is not None}
        self._values = _read(verb, command, offered.values(), said)

    def __getitem__(self, parameter: str) -> Any:
        return self._values[parameter]

    def group(self, kind: type[G]) -> G:
        """A group of the command's options. What the command does not offer of it keeps its default."""
        return kind(**{one.name: self._values[one.name] for one in fields(kind) if one.name in self._values})


def _typed(value: Any, option: Any) -> Any:
    """A value as the parser of a command line would have it."""
    several = isinstance(value, list | tuple | set | frozenset)
    if option.multiple:
        return [str(one) for one in value] if several else [str(value)]
    if several:
        return ",".join(map(str, value))
    return value if option.is_flag else str(value)


def _read(verb: str, command: _Command, options: Iterable[Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """The values of options by their parameters, as the command gets them."""
    from typer import Context
    from typer.exceptions import TyperException

    context = Context(command.itself, info_name=f"xqe {verb}")
    values: dict[str, Any] = {}
    for option in options:
        try:
            value, _ = option.handle_parse_result(context, said, [])
        except TyperException as error:
            message = error.format_message().rstrip(".")
            raise XqeError(f"{message[:1].lower()}{message[1:]}", f"see xqe {verb} --help") from None
        convert = command.converted.get(option.name)
        values[option.name] = convert(value) if convert is not None else value
    return values
