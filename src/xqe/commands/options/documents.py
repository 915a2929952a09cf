"""What commands that read documents are told of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from xqe.commands.options.common import DocumentsForm
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


def check_no_fields(given: OfDocuments) -> None:
    """Raise XqeError for a name of a field where queries are read."""
    named = {"--id-field": given.id_field, "--text-field": given.text_field, "--title-field": given.title_field}
    for option, value in named.items():
        if value:
            raise XqeError(f"{option} has no effect on queries", "leave it out, or add --documents")
