"""xqe models list: the models that xqe knows, and those that are there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from xqe.commands.options.forms import Rows, RowsFormat
from xqe.commands.rows import write_rows
from xqe.messages import amount

if TYPE_CHECKING:
    from xqe.models.lookup import ResolvedModel
    from xqe.models.registry import Model


def list_models(form: RowsFormat = Rows.AUTO) -> None:
    """List the models: a table on a terminal, JSONL elsewhere."""
    from xqe.models.lookup import installed
    from xqe.models.registry import MODELS, find

    there = {found.name: found for found in installed()}
    known = [model.name for model in MODELS]
    rows = [_row(find(name), there.get(name)) for name in [*known, *(name for name in there if name.count("/") >= 2)]]
    write_rows(rows, form, lambda: _table(rows))


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


def _table(rows: Sequence[dict[str, Any]]) -> str:
    from xqe.commands.columns import Column, Kind, laid_out

    kinds = {"name": Kind.KEY, "size": Kind.NUMBER, "licence": Kind.PROSE, "description": Kind.PROSE}
    names = ("name", "kind", "size", "present", "gated", "licence", "description")
    lines = [
        [
            row["name"],
            f"{row['kind']}, {row['dimension']}" if row["dimension"] else row["kind"],
            amount(row["size"]) if row["size"] else "?",
            *(["no", "yes"][row[field]] for field in ("present", "gated")),
            row["licence"],
            row["description"],
        ]
        for row in rows
    ]
    return laid_out([Column(name, kinds.get(name, Kind.WORD)) for name in names], lines)
