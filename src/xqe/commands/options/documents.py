"""What commands that read documents are told of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from xqe.commands.options.common import DocumentsForm
from xqe.commands.options.queries import OfQueries, column
from xqe.errors import XqeError
from xqe.files.fields import Fields
from xqe.files.forms import DOCUMENTS, Form
from xqe.files.rows import Rows

_JOINED = "2- is the second and all behind it. Repeatable: several are joined."


@dataclass(frozen=True, slots=True)
class OfDocuments:
    """How documents are written, and what their fields are called."""

    input_format: DocumentsForm = Form.AUTO
    id_field: Annotated[str, column("id", "document")] = ""
    text_field: Annotated[list[str] | None, column("text", "document", _JOINED)] = None
    title_field: Annotated[str, column("title", "document")] = ""

    def rows(self) -> Rows:
        """What reads them."""
        return Rows(DOCUMENTS, self.input_format, Fields(self.id_field, tuple(self.text_field or ()), self.title_field))

    def queries(self) -> OfQueries:
        """The same, of queries. Raises XqeError for what these do not have."""
        if self.title_field:
            raise XqeError("--title-field has no effect on queries", "leave it out, or add --documents")
        return OfQueries(self.input_format, self.id_field, self.text_field)
