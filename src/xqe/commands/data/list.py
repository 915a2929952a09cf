"""xqe data list: the collections that xqe knows by name."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from xqe.commands.data.rows import source_row
from xqe.files import jsonl
from xqe.messages import amount


def list_sources() -> None:
    """List the collections that xqe knows by name.

    A table on a terminal, JSONL elsewhere.
    """
    from xqe.collections.sources import sources

    rows = [source_row(name) for name in sources()]
    if sys.stdout.isatty():
        _show_sources(rows)
        return
    for row in rows:
        jsonl.write(jsonl.dumps(row))


def _show_sources(rows: Sequence[dict[str, Any]]) -> None:
    from xqe.commands.screens import rendered, table

    made = table(("name", "how", "languages", "size", "needs", "licence"), ("size",))
    for row in rows:
        size = amount(row["size"]) if row["size"] else "?"
        made.add_row(row["name"], row["how"], " ".join(row["languages"]), size, row["needs"], row["licence"])
    jsonl.write(rendered(made))
