"""What a generating stage shows a model besides its instruction, chosen for each record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from xqe.files.arriving import together
from xqe.files.records import Record
from xqe.models.prompts.nearby import told
from xqe.stages.librarian.choosing import Choice
from xqe.stages.librarian.nearby import Nearby
from xqe.text.languages import language

if TYPE_CHECKING:
    from xqe.models.engines.base import Engine

AT_A_TIME = 64  # records that are looked at together
NEAREST = "nearest"


@dataclass(frozen=True, slots=True)
class Guide:
    """choice: what chooses worked examples for each record; None where the seed does. nearby: what finds documents to
    show; None for none."""

    choice: Choice | None = None
    nearby: Nearby | None = None

    def without_documents(self) -> Guide:
        """For a stage that shows none but those of the hits."""
        return replace(self, nearby=None)

    def ahead(self, records: Iterable[Record]) -> Iterator[Record]:
        """The records, of which those that have arrived are encoded together, and their documents looked for, before
        they are asked about one by one."""
        for group in together(records, AT_A_TIME):
            self.prepare(group)
            yield from group

    def prepare(self, records: Sequence[Record]) -> None:
        """Encode what is asked for records, and look for their documents, all together."""
        for one in (self.choice, self.nearby):
            if one is not None:
                one.prepare(records)

    def block(self, record: Record, engine: Engine) -> str:
        """What a prompt says of the documents that are near to a record's query."""
        if self.nearby is None:
            return ""
        texts = [one.text for one in self.nearby.of(record, engine)]
        return told(texts, language(self.nearby.lang).name, engine.is_chat)

    def said(self, record: Record, engine: Engine, shows_examples: bool) -> dict[str, Any]:
        """What a step says of it: by whose vectors the examples were chosen, where the prompt shows any, and which
        documents were shown."""
        of_choice = self.choice is not None and shows_examples
        return {
            **({"chosen": NEAREST, "encoder": self.choice.encoder} if self.choice is not None and of_choice else {}),
            **({"nearby": self._documents(self.nearby, record, engine)} if self.nearby is not None else {}),
        }

    def _documents(self, nearby: Nearby, record: Record, engine: Engine) -> dict[str, Any]:
        return {"index": nearby.index, "documents": [one.id for one in nearby.of(record, engine)]}
