"""What GET /models tells of the model that answers to a name: which weights they are, where a server says so.

llama.cpp, SGLang, vLLM and others list one model, and many serve it whatever it is asked for; Ollama and gateways have
many, and answer for what is named. Ids may say more than the name ("llama3:latest", the path of a file).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

_LONGEST = 1000  # characters of what identifies; a record holds it
_ADDED = ("", ":latest")
"""What Ollama adds to a name."""
_BEFORE = ("", "models/")
"""What Gemini puts before a name."""

_TELLING = {
    "id": ("id",),
    "root": ("root",),  # vLLM, SGLang: the folder, or the name at the hub
    "slug": ("canonical_slug",),  # OpenRouter: the name with its date
    "size": ("meta", "size"),  # llama-server, with the two below
    "parameters": ("meta", "n_params"),
    "vocabulary": ("meta", "n_vocab"),
}
"""What tells one model from another, and where it is in a row. When it was made ("created") is not: many servers say
that it is now."""


def rows_of(answer: Any) -> list[Row]:
    """The models of an answer, each with an id."""
    rows = answer.get("data") if isinstance(answer, dict) else answer
    if not isinstance(rows, list):
        return []
    return [row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]


def has(rows: Sequence[Row], name: str) -> bool:
    """Whether one of several models may be meant: tags are not looked at, as some servers add and others drop them."""
    return any(_bare(name) in map(_bare, _names(row)) for row in rows)


def may_be(row: Row, name: str) -> bool:
    """Whether the only model may be the one that is named: a server calls it by its file, its folder or its owner's
    name at a hub, too."""
    return has([row], name) or _last(name) in map(_last, _names(row))


def row_of(rows: Sequence[Row], name: str) -> Row | None:
    """The model that a name means: the one that is called so, or the only one."""
    exact = [before + name + added for before in _BEFORE for added in _ADDED]
    found = [row for full in exact for row in rows if full in _names(row)]
    return found[0] if found else rows[0] if len(rows) == 1 else None


def told(rows: Sequence[Row], name: str) -> dict[str, Any]:
    """What is told of the model that a name means, without what is only the name again."""
    row = row_of(rows, name)
    if row is None:
        return {}
    found = {field: _at(row, path) for field, path in _TELLING.items()}
    # an adapter has the name of the model that it is on for its parent
    parent = next((one for one in rows if one["id"] == row.get("parent")), None)
    found["parent"] = None if parent is None else parent.get("root")
    return {field: value for field, value in found.items() if _is_telling(value, name)}


def own_interface(rows: Sequence[Row], name: str) -> Mapping[str, Callable[[Any], dict[str, Any]]]:
    """The paths of a server's own interface that tell more of the model, and what reads their answers."""
    row = row_of(rows, name)
    if row is None:
        return {}
    if row.get("owned_by") == "llamacpp":
        return {"/props": _properties, "/lora-adapters": _adapters}
    if all(":" in one["id"] for one in rows):  # so Ollama lists models, with their tags
        return {"/api/tags": lambda answer: _digest(answer, row["id"])}
    return {}


def _properties(answer: Any) -> dict[str, Any]:
    """llama-server's file, which may be another one of the same shape, and the template of its prompts."""
    properties = answer if isinstance(answer, dict) else {}
    path, template = properties.get("model_path"), properties.get("chat_template")
    hashed = hashlib.sha256(template.encode("utf-8", "replace")).hexdigest() if isinstance(template, str) else None
    return {name: value for name, value in (("path", path), ("template", hashed)) if _is_telling(value, "")}


def _adapters(answer: Any) -> dict[str, Any]:
    """The LoRA adapters that llama-server was started with, as xqe names its own: FILE:SCALE."""
    rows = [row for row in answer if isinstance(row, dict)] if isinstance(answer, list) else []
    adapters = ",".join(f"{row.get('path')}:{row.get('scale')}" for row in rows)
    return {"lora": adapters} if _is_telling(adapters, "") else {}


def _digest(answer: Any, name: str) -> dict[str, Any]:
    rows = answer.get("models") if isinstance(answer, dict) else None
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict) and name in (row.get("name"), row.get("model")) and _is_telling(row.get("digest"), ""):
            return {"digest": row["digest"]}
    return {}


def _names(row: Row) -> list[str]:
    aliases = row.get("aliases")  # llama-server's; Mistral lists them as models, too
    return [row["id"], *(one for one in (aliases if isinstance(aliases, list) else []) if isinstance(one, str))]


def _bare(name: str) -> str:
    """A model's name without what may be left out or added."""
    return name.removeprefix("models/").partition(":")[0]


def _last(name: str) -> str:
    """What a path or a name at a hub ends in, without what says that it is a file."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return _bare(last).lower().removesuffix(".gguf")


def _at(row: Row, path: Sequence[str]) -> Any:
    value: Any = row
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _is_telling(value: Any, name: str) -> bool:
    if isinstance(value, str):
        return 0 < len(value) <= _LONGEST and value != name
    return isinstance(value, int) and not isinstance(value, bool)
