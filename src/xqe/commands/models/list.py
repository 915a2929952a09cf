"""xqe models list: the models that xqe knows, and those that are there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from xqe.files import jsonl

if TYPE_CHECKING:
    from xqe.models.lookup import ResolvedModel
    from xqe.models.registry import Model


def list_models() -> None:
    """List the models: a table on a terminal, JSONL elsewhere."""
    from xqe.models.lookup import installed
    from xqe.models.registry import MODELS, find

    there = {found.name: found for found in installed()}
    known = [model.name for model in MODELS]
    rows = [_row(find(name), there.get(name)) for name in [*known, *(name for name in there if name.count("/") >= 2)]]
    if sys.stdout.isatty():
        _show(rows)
        return
    for row in rows:
        jsonl.write(jsonl.dumps(row))


def _row(model: Model, found: ResolvedModel | None) -> dict[str, Any]:
    from xqe.models.purposes import kind_of

    size = _size(found) if found is not None else None
    return {
        "name": model.name,
        "kind": (kind_of(found.path) if found is not None else None) or model.kind,
        "dimension": model.encoding.dimension if model.encoding else None,
        "size": size if size is not None else model.size,
        "present": size is not None,
        "gated": model.gated,
        "licence": model.licence.name,
        "licence_url": model.licence.url,
        "description": model.description,
        "repository": model.repository,
        "file": model.file,
        "sha256": model.sha256,
        "path": str(model.path),
    }


def _size(found: ResolvedModel) -> int | None:
    """Bytes of a model's files; None where one is missing."""
    from xqe.models.gguf import DamagedError
    from xqe.models.split import size_of

    try:
        return size_of(found.path)
    except (DamagedError, OSError):
        return None


def _show(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from xqe.commands.screens import rendered

    table = Table("name", "kind", "size", "present", "gated", "licence", "description", box=None, pad_edge=False)
    for row in rows:
        size = f"{row['size'] / 1e9:.2f} GB" if row["size"] else "?"
        marks = [["no", "yes"][row[field]] for field in ("present", "gated")]
        kind = f"{row['kind']}, {row['dimension']}" if row["dimension"] else row["kind"]
        table.add_row(*map(Text, [row["name"], kind, size, *marks, row["licence"], row["description"]]))
    jsonl.write(rendered(table))
