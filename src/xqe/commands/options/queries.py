"""What commands that read queries are told of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from xqe.commands.options.common import QueriesForm
from xqe.files.fields import Fields
from xqe.files.forms import QUERIES, Form, Kind
from xqe.files.rows import Rows

_COLUMN = "Field, or column, that holds the {} of a query; the number of a column that has no name."


@dataclass(frozen=True, slots=True)
class OfQueries:
    """How queries are written, and what their fields are called."""

    input_format: QueriesForm = Form.AUTO
    id_field: Annotated[
        str, typer.Option("--id-field", metavar="NAME", show_default=False, help=_COLUMN.format("id"))
    ] = ""
    text_field: Annotated[
        list[str] | None,
        typer.Option(
            "--text-field",
            metavar="NAME",
            show_default=False,
            help=f"{_COLUMN.format('text')} Repeatable: several are joined.",
        ),
    ] = None

    def rows(self, kind: Kind = QUERIES) -> Rows:
        """What reads them."""
        return Rows(kind, self.input_format, Fields(self.id_field, tuple(self.text_field or ())))
