"""xqe eval --languages: which languages the first hits are in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from xqe.files import jsonl

if TYPE_CHECKING:
    from xqe.evaluation.languages import Shares


def write_languages(paths: Sequence[str], at: int, fields: Sequence[str], drop_own: bool, is_table: bool) -> None:
    """Write the shares of each run and group, as a table for a person or as JSONL."""
    from xqe.evaluation.languages import language_shares
    from xqe.files.trec import file_name, read_run

    rows = [row for path in paths for row in language_shares(file_name(path), read_run(path), at, fields, drop_own)]
    if is_table:
        jsonl.write(_table(rows, fields))
        return
    for row in rows:
        jsonl.write(jsonl.dumps(asdict(row)))


def _table(rows: Sequence[Shares], fields: Sequence[str]) -> str:
    """Percents of the first hits; below them those of the documents, where they are the same for all and known."""
    from rich.text import Text

    from xqe.commands.screens import legible, rendered, table

    languages = sorted({language for row in rows for language in (*row.languages, *row.documents)})
    made = table((*fields, "run", "queries", *languages), ("queries", *languages))
    for row in rows:
        names = [row.group.get(field, "all") for field in fields]
        shares = [_percent(row.languages.get(language, 0.0)) for language in languages]
        made.add_row(*(Text(legible(name)) for name in (*names, row.run)), str(row.queries), *shares)
    if rows[0].documents and all(row.documents == rows[0].documents for row in rows):
        shares = [_percent(rows[0].documents.get(language, 0.0)) for language in languages]
        made.add_row(*("" for _ in fields), "of the documents", "", *shares)
    return rendered(Text(f"% of the first {rows[0].at} hits"), made)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
