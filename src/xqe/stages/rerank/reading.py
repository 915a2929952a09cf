"""What a model reads of a record when it re-ranks: its query, and its best hits with their texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from xqe.errors import XqeError
from xqe.files.records import Record
from xqe.stages import hits
from xqe.stages.fitting import MOST_A_TOKEN
from xqe.stages.generation import one_line
from xqe.stages.rerank.kinds import Asked
from xqe.text.languages import name_of

if TYPE_CHECKING:
    from xqe.retrieval.documents import Numbered


class Candidate(NamedTuple):
    """A hit that is re-ranked. hit: as the record has it. text: of the document on one line, its title first."""

    hit: dict[str, Any]
    text: str


@dataclass(frozen=True)
class Reader:
    """documents: of the index that was searched. n: how many hits are re-ranked. tokens: the most of a document that
    are read. asked: as the query first came, or as it was searched with."""

    documents: Numbered
    n: int
    tokens: int
    asked: Asked = Asked.SOURCE

    def query(self, record: Record) -> str:
        """The query on one line. Raises XqeError for an empty one."""
        query = one_line(str(self._of(record, "query")))
        if not query:
            raise XqeError("the query is empty")
        return query

    def language(self, record: Record) -> str:
        """The name of the query's language, as prompts have it."""
        code = self._of(record, "lang")
        return name_of(code) if code else "the language of the query"

    def _of(self, record: Record, field: str) -> Any:
        """A field of the query that is asked."""
        source = record.get("source", {}) if self.asked is Asked.SOURCE else {}
        return source[field] if isinstance(source.get(field), str) else record.get(field, "")

    def candidates(self, record: Record) -> list[Candidate]:
        """The best `n` hits, in their order. Raises XqeError as `hits.read`."""
        read = hits.read(record, self.documents, self.n)
        return [Candidate(hit, one_line(text[: self.tokens * MOST_A_TOKEN])) for hit, text in read]
