"""The process in which a chat template is rendered: it comes with a model file, and is not to be trusted.

The templates are sandboxed, and limited by the system in time and in memory. What they find is what transformers gives
them (utils/chat_template_utils.py of version 5.24), so that a model sees the prompt that it was trained with: the same
options of Jinja, the tag `generation`, `tojson` that escapes nothing for HTML, `raise_exception`, `strftime_now`, and
`tools` and `documents` that are none. What Jinja has beside that and no prompt needs is left out: `lipsum`, `cycler`,
`joiner`.

A line of JSON is answered with a line of JSON. The first is {"source", "tokens"}: the template, and the texts of
special tokens by the names that templates have for them; each further one is {"messages", "add_generation_prompt"}.
The answer is {"text"}, or {"error"} in a few words.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import Template, TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

SECONDS = 1
"""Of processor time, for one rendering; a real template takes a few thousandths."""

MEMORY = 1 << 29
"""Bytes of the whole process."""

ADDED = 100_000
"""Characters that a template may add to the texts that it is given."""


def serve() -> None:
    """Answer the lines of standard input until it ends. The system ends the process that takes too long for one."""
    with suppress(ValueError, OSError):  # a lower limit is set already, or the system has none
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    render: Callable[..., str] | None = None
    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            asked = json.loads(line)
            if render is None:
                render = renderer(**asked)
                answer = {"text": ""}
            else:
                answer = {"text": render(**asked)}
        except Exception as error:  # a template can raise whatever Python can
            answer = {"error": f"{type(error).__name__}: {error}"}
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


def renderer(source: str, tokens: dict[str, str]) -> Callable[..., str]:
    """What renders messages with a template. Raises what Jinja and Python raise for one that they cannot read."""
    template = _Environment().from_string(source)

    def render(messages: list[dict[str, Any]], add_generation_prompt: bool) -> str:
        values = {"add_generation_prompt": add_generation_prompt, "enable_thinking": False, **tokens}
        return _limited(template, len(json.dumps(messages)) + ADDED, messages=messages, **values)

    return render


def _limited(template: Template, most: int, **values: Any) -> str:
    """The text, or an error as soon as it is longer than `most`."""
    written: list[str] = []
    length = 0
    for piece in template.generate(tools=None, documents=None, **values):
        length += len(piece)
        if length > most:
            raise ValueError(f"it writes more than {most:,} characters")
        written.append(piece)
    return "".join(written)


class _Environment(ImmutableSandboxedEnvironment):
    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
        for name in ("lipsum", "cycler", "joiner"):
            del self.globals[name]
        self.globals |= {
            "raise_exception": _raise,
            "strftime_now": lambda form: datetime.now().strftime(form),
            "namespace": _Namespace,
        }
        self.filters["tojson"] = _tojson


class _Generation(Extension):
    """{% generation %}…{% endgeneration %} marks what a model is trained to write. It is rendered as it stands, in a
    scope of its own."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_as_it_stands"), [], [], body).set_lineno(line)

    def _as_it_stands(self, caller: Callable[[], str]) -> str:
        return caller()


class _Namespace(Namespace):
    """Jinja's, without names that mean something to Python."""

    def __init__(*args: Any, **values: Any) -> None:  # a template may have a value named "self"
        self, *rest = args
        Namespace.__init__(self)
        for name, value in dict(*rest, **values).items():
            self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            raise SecurityError(f"a namespace takes no {name}")
        super().__setitem__(name, value)


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
