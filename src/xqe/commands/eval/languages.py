"""xqe eval --languages: which languages the first hits are in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from xqe.commands.options.forms import Rows
from xqe.commands.rows import write_rows

if TYPE_CHECKING:
    from xqe.evaluation.languages import Shares


def write_languages(paths: Sequence[str], at: int, fields: Sequence[str], drop_own: bool, form: Rows) -> None:
    """Write the shares of each run and group, in a form."""
    from xqe.evaluation.languages import language_shares
    from xqe.files.trec import file_name, read_run

    rows = [row for path in paths for row in language_shares(file_name(path), read_run(path), at, fields, drop_own)]
    write_rows(map(asdict, rows), form, lambda: _table(rows, fields))


def _table(rows: Sequence[Shares], fields: Sequence[str]) -> str:
    """Percents of the first hits; below them those of the documents, where they are the same for all and known."""
    from xqe.commands.columns import Column, Kind, laid_out

    languages = sorted({language for row in rows for language in (*row.languages, *row.documents)})
    lines = []
    for row in rows:
        shares = [_percent(row.languages.get(language, 0.0)) for language in languages]
        lines.append([*(row.group.get(field, "all") for field in fields), row.run, str(row.queries), *shares])
    if rows[0].documents and all(row.documents == rows[0].documents for row in rows):
        shares = [_percent(rows[0].documents.get(language, 0.0)) for language in languages]
        lines.append([*("" for _ in fields), "of the documents", "", *shares])
    keys = [*(Column(field, Kind.KEY) for field in fields), Column("run", Kind.RUN)]
    numbers = [Column(heading, Kind.NUMBER) for heading in ("queries", *languages)]
    return f"% of the first {rows[0].at} hits\n{laid_out([*keys, *numbers], lines)}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
