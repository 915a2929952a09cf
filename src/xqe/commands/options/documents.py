"""What commands that read documents are told of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from xqe.commands.options.common import DocumentsForm
from xqe.commands.options.queries import OfQueries
from xqe.errors import XqeError
from xqe.files.fields import Fields
from xqe.files.forms import DOCUMENTS, Form
from xqe.files.rows import Rows

_COLUMN = "Field, or column, that holds the {} of a document; the number of a column that has no name."


@dataclass(frozen=True, slots=True)
class OfDocuments:
    """How documents are written, and what their fields are called."""

    input_format: DocumentsForm = Form.AUTO
    id_field: Annotated[
        str, typer.Option("--id-field", metavar="NAME", show_default=False, help=_COLUMN.format("id"))
    ] = ""
    text_field: Annotated[
        list[str] | None,
        typer.Option(
            "--text-field",
            metavar="NAME",
            show_default=False,
            help=f"{_COLUMN.format('text')} 2- is the second and all behind it. Repeatable: several are joined.",
        ),
    ] = None
    title_field: Annotated[
        str, typer.Option("--title-field", metavar="NAME", show_default=False, help=_COLUMN.format("title"))
    ] = ""

    def rows(self) -> Rows:
        """What reads them."""
        return Rows(DOCUMENTS, self.input_format, Fields(self.id_field, tuple(self.text_field or ()), self.title_field))

    def queries(self) -> OfQueries:
        """The same, of queries. Raises XqeError for what these do not have."""
        if self.title_field:
            raise XqeError("--title-field has no effect on queries", "leave it out, or add --documents")
        return OfQueries(self.input_format, self.id_field, self.text_field)
