"""The translation of documents: title and text, the text in pieces that a model can take, so that an index can be made
in the language of those who ask."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from xqe.errors import XqeError
from xqe.files.records import Record, has_failed
from xqe.models.engines.base import Engine
from xqe.models.engines.requests import Request, Sampling
from xqe.stages.generation import Answer, Tally, run
from xqe.stages.translate import PASSAGE_TOKENS, Translator
from xqe.text.answers.parting import Wanted
from xqe.text.languages import Language, language
from xqe.text.pieces import Piece, pieces, whole

PIECE = 2 * (PASSAGE_TOKENS - 16)
"""Bytes of a piece: it has all of the tokens that a passage may take (`most_tokens`)."""
LEAST_TOKENS = 32
"""Of a limit that is given: with less, a piece would be no sentence."""


def check_limit(max_tokens: int | None) -> None:
    """Raise XqeError for a limit below LEAST_TOKENS."""
    if max_tokens is not None and max_tokens < LEAST_TOKENS:
        raise XqeError(f"--max-tokens {max_tokens} leaves no room for a sentence", f"give {LEAST_TOKENS} or more")


class _Part(NamedTuple):
    """A text that is translated. kind: "title" or "passage". number: of the piece, or of the title, which is the
    first."""

    kind: str
    number: int
    text: str


class TranslateDocuments:
    """Translates documents into `target`. One that is in that language already passes as it is, and so does a piece
    without a letter.

    max_tokens: for one text, as of `Translate`; pieces are shorter where it is less than PASSAGE_TOKENS. A document of
    which one text cannot be translated fails as a whole.
    """

    name = "translate"

    def __init__(
        self, engine: Engine, target: Language, sampling: Sampling | None = None, max_tokens: int | None = None
    ) -> None:
        self._target = target
        self._translator = Translator(engine, target, sampling, max_tokens)
        self._most = min(PIECE, 2 * ((max_tokens or PASSAGE_TOKENS) - 16))
        self._between = " " if target.has_spaces else ""

    def requests(self, record: Record) -> list[Request]:
        origin = language(record["lang"])
        parts = self._parts(record, origin, self._pieces(record, origin))
        return [self._translator.request(record, number, kind, text, origin) for kind, number, text in parts]

    def wanted(self, record: Record) -> list[Wanted]:
        origin = language(record["lang"])
        parts = self._parts(record, origin, self._pieces(record, origin))
        return [self._translator.wanted(kind, text, origin) for kind, _, text in parts]

    def result(self, record: Record, answers: Sequence[Answer]) -> Record:
        origin = language(record["lang"])
        cut = self._pieces(record, origin)
        parts = self._parts(record, origin, cut)
        title: dict[str, str] = {}
        for part, answer in zip(parts, answers, strict=True):
            if part.kind == "title":
                title["title"] = answer.text
            else:
                cut[part.number - 1] = cut[part.number - 1]._replace(text=answer.text)
        step = {
            "step": self.name,
            "from": origin.code,
            "to": self._target.code,
            "pieces": len(cut),
            **self._translator.provenance(dict.fromkeys(part.kind for part in parts), answers),
        }
        moved = self._moved({**record, **title, "text": whole(cut, self._between)}, record)
        return {**moved, "steps": [*record.get("steps", ()), step]}

    def _moved(self, translated: Record, record: Record) -> Record:
        """The document in the new language, with what it was when it first came."""
        before = {field: record[field] for field in ("title", "text", "lang") if field in record}
        kept = record.get("source")
        if not _is_ours(kept):  # what a document says of itself, such as where it was found
            kept = {**before, **({"source": kept} if kept is not None else {})}
        return {**translated, "lang": self._target.code, "source": kept}

    def run(self, engine: Engine, records: Iterable[Record], tally: Tally | None = None) -> Iterator[Record]:
        """Run the stage over documents, as `generation.run` does; one that has nothing to translate is in the new
        language, too."""
        for record in run(self, engine, records, tally):
            has_moved = language(record["lang"]).code == self._target.code
            yield record if has_moved or has_failed(record) else self._moved(record, record)

    def _pieces(self, record: Record, origin: Language) -> list[Piece]:
        return list(_cut(record["text"], self._most, origin.code))

    def _parts(self, record: Record, origin: Language, cut: Sequence[Piece]) -> list[_Part]:
        """What of a document is to be translated."""
        if origin.code == self._target.code:
            return []
        texts = [_Part("title", 0, record.get("title") or "")]
        texts += [_Part("passage", number, piece.text) for number, piece in enumerate(cut, 1)]
        return [part for part in texts if any(map(str.isalpha, part.text))]


@lru_cache(maxsize=128)  # documents that are under way: each is asked for three times
def _cut(text: str, most: int, code: str) -> tuple[Piece, ...]:
    return tuple(pieces(text, most, code))


def _is_ours(source: object) -> bool:
    return isinstance(source, dict) and isinstance(source.get("text"), str)
