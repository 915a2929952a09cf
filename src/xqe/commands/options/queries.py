"""What commands that read queries are told of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from xqe.commands.options.common import QueriesForm
from xqe.files.fields import Fields
from xqe.files.forms import QUERIES, Form, Kind
from xqe.files.rows import Rows


def column(name: str, of: str, more: str = "") -> Any:
    """--NAME-field, of what is `of`; `more` ends its help."""
    help = f"Field, or column, that holds the {name} of a {of}; the number of a column that has no name. {more}"
    return typer.Option(f"--{name}-field", metavar="NAME", show_default=False, help=help.rstrip())


@dataclass(frozen=True, slots=True)
class OfQueries:
    """How queries are written, and what their fields are called."""

    input_format: QueriesForm = Form.AUTO
    id_field: Annotated[str, column("id", "query")] = ""
    text_field: Annotated[list[str] | None, column("text", "query", "Repeatable: several are joined.")] = None

    def rows(self, kind: Kind = QUERIES) -> Rows:
        """What reads them."""
        return Rows(kind, self.input_format, Fields(self.id_field, tuple(self.text_field or ())))
