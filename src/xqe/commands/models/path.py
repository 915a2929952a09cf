"""xqe models path: where a model lies."""

from __future__ import annotations

from xqe.commands.models.name import Name
from xqe.files import jsonl


def path(name: Name) -> None:
    """Print where a model lies; "tiny" is assembled first."""
    from xqe.models.lookup import resolve

    jsonl.write(str(resolve(name).path))
