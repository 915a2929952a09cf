"""What a command has made, summed up: fields for a reader on a terminal, a line of JSON elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xqe.commands.options.forms import Screen, on_screen
from xqe.files import jsonl
from xqe.messages import amount, duration


def write_summary(done: Mapping[str, Any]) -> None:
    """Write what was made, of values that JSON has."""
    if not on_screen(Screen.AUTO):
        jsonl.write(jsonl.dumps(done))
        return
    from xqe.commands.screens import rendered
    from xqe.commands.sections import fields, plain

    said = {name.replace("_", " "): _said(name, value) for name, value in done.items()}
    jsonl.write(rendered(fields({name: plain(value) for name, value in said.items() if value})))


def _said(name: str, value: Any) -> str:
    """A value for a person; "" for one that says nothing."""
    if isinstance(value, Mapping):
        parts = ((key, _said(key, one)) for key, one in value.items())
        return ", ".join(
            f"{key} {one}" if not isinstance(value[key], Mapping) else f"{key}: {one}" for key, one in parts
        )
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if value is None or isinstance(value, bool):
        return "yes" if value else ""
    if name == "bytes":
        return amount(value)
    if name == "seconds":
        return duration(value) if value >= 100 else f"{value:g} s"
    return f"{value:,}" if isinstance(value, int | float) and name != "process" else str(value)
