"""The documents that a record's hits offer to a model that answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from xqe.errors import XqeError
from xqe.files.records import Record
from xqe.stages import hits
from xqe.stages.generation import one_line
from xqe.text.sentences import is_whole

if TYPE_CHECKING:
    from xqe.retrieval.documents import Numbered

LONGEST_TITLE = 120  # characters of a first paragraph


class Offered(NamedTuple):
    """A document. title: "" where it has none. lang: as its hit says it, "" where it does not."""

    id: str
    title: str
    text: str
    lang: str


def offered(record: Record, documents: Numbered, n: int) -> list[Offered]:
    """The documents of the best `n` hits, in their order. Raises XqeError where there is none, where none has a text,
    and as `hits.read`."""
    found: list[Offered] = []
    for hit, whole in hits.read(record, documents, n):
        title, text = titled(whole)
        found.append(Offered(str(hit["id"]), title, one_line(text), str(hit.get("lang", ""))))
    if not found:
        raise XqeError("no hits to answer from")
    if not any(read_as(found)):
        raise XqeError("the documents that were found have no text to answer from")
    return found


def titled(text: str) -> tuple[str, str]:
    """The title that a text begins with, as an index keeps it, "" for none; and the rest.

    A title is a first paragraph of one line that is not long and no sentence.
    """
    first, parting, rest = text.partition("\n\n")
    is_title = bool(parting) and "\n" not in first and len(first) <= LONGEST_TITLE and not is_whole(first)
    return (one_line(first), rest) if is_title else ("", text)


def title_of(name: str, documents: Numbered) -> str:
    """The title of a document by its id, "" where it has none."""
    number = int(documents.numbers([name])[0])
    return titled(documents.text(number) or "")[0] if number >= 0 else ""


def read_as(documents: Sequence[Offered]) -> list[str]:
    """What is read of each document: its title, where it has one, and its text."""
    return [f"{one.title}: {one.text}" if one.title else one.text for one in documents]
