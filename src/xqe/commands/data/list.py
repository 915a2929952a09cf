"""xqe data list: the collections that xqe knows by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xqe.commands.data.rows import source_row
from xqe.commands.options.forms import Rows, RowsFormat
from xqe.commands.rows import write_rows
from xqe.messages import amount


def list_sources(form: RowsFormat = Rows.AUTO) -> None:
    """List the collections that xqe knows by name.

    A table on a terminal, JSONL elsewhere.
    """
    from xqe.collections.sources import sources

    rows = [source_row(name) for name in sources()]
    write_rows(rows, form, lambda: _table(rows))


def _table(rows: Sequence[dict[str, Any]]) -> str:
    from xqe.commands.columns import Column, Kind, laid_out

    kinds = {"name": Kind.KEY, "how": Kind.WORD, "size": Kind.NUMBER}
    names = ("name", "how", "languages", "size", "needs", "licence")
    lines = [
        [
            row["name"],
            row["how"],
            " ".join(row["languages"]),
            amount(row["size"]) if row["size"] else "?",
            row["needs"],
            row["licence"],
        ]
        for row in rows
    ]
    return laid_out([Column(name, kinds.get(name, Kind.PROSE)) for name in names], lines)
