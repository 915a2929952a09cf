"""The judge: what becomes of the texts of a record, by how close they stay to its query as it first came.

    weigh      all are kept; "closeness" says how close each is, and a search weighs them by it
    drop       the same, but for those that strayed (`closeness.STRAYED`)
    closest    of several translations, and of several passages, the closest alone is kept

Where a query has several translations, each with its share, the share of one changes by e to SHARPNESS x its closeness,
and the query is then the one with the greatest. Should all have strayed, the closest is kept: it is all there is. The
share of one that was judged before changes by the difference alone: a judge at each command counts as one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xqe.errors import XqeError
from xqe.files.arriving import together
from xqe.files.records import CLOSENESS, TRANSLATIONS, Record, advanced, failed, has_failed, passages_lang
from xqe.models.encoders.base import Side
from xqe.stages.judging.choices import Judging
from xqe.stages.judging.closeness import STRAYED, Closeness, Compared
from xqe.text.languages import language

if TYPE_CHECKING:
    from xqe.models.encoders.base import Encoder

NAME = "judge"
AT_A_TIME = 64  # records whose texts are encoded together
SHARPNESS = 4.0
"""A translation that is half as close as another counts a seventh of it. For e5 that is about a softmax of 30 x the
cosine, which was the best of what was tried."""
_GREATEST = 100.0  # closeness, which is about 1


@dataclass(frozen=True, slots=True)
class Judged:
    """The closeness of a record's texts. query: of its translated query; None for one that is as it first came.
    translations: of all that it has; passages: of each."""

    query: float | None
    translations: list[float]
    passages: list[float]

    @property
    def is_empty(self) -> bool:
        return self.query is None and not self.translations and not self.passages

    def said(self, record: Record) -> dict[str, Any]:
        """The same as a record says it, of the query that it is now."""
        of_text = {one["text"]: value for one, value in zip(_translations(record), self.translations, strict=True)}
        return _said(of_text.get(record["query"], self.query), self.passages)


class Judge:
    """Judges records. How they were judged is a step of theirs, and does not depend on the records beside them."""

    def __init__(self, encoder: Encoder, judging: Judging = Judging.WEIGH) -> None:
        self._closeness = Closeness(encoder)
        self._judging = judging
        self.failed = 0
        """Records whose texts could not be compared."""

    def over(self, records: Iterable[Record]) -> Iterator[Record]:
        """Yield each record judged, in order. One whose texts cannot be compared gains "error"; one that failed, or has
        no text but its query, passes as it is."""
        for group in together(records, AT_A_TIME):
            for record, judged in zip(group, self.judged(group), strict=True):
                if isinstance(judged, XqeError):
                    self.failed += 1
                    yield failed(record, NAME, str(judged))
                else:
                    yield record if judged.is_empty else self._applied(record, judged)

    def judged(self, records: Sequence[Record]) -> list[Judged | XqeError]:
        """The closeness of the texts of records, all encoded together; nothing of those that failed."""
        compared = [_compared(record) for record in records]
        pairs = [pair for some in compared if not isinstance(some, XqeError) for pair in some]
        found = iter(self._closeness.of(pairs) if pairs else ())
        made: list[Judged | XqeError] = []
        for record, some in zip(records, compared, strict=True):
            if isinstance(some, XqeError):
                made.append(some)
                continue
            values = [next(found) for _ in some]
            error = next((value for value in values if isinstance(value, XqeError)), None)
            made.append(error or _parted(record, [value for value in values if not isinstance(value, XqeError)]))
        return made

    def _applied(self, record: Record, judged: Judged) -> Record:
        query, closeness, changes, dropped = record["query"], judged.query, dict[str, Any](), 0
        if judged.translations:
            translations = self._weighed(_translations(record), judged.translations)
            dropped = len(judged.translations) - len(translations)
            first = max(translations, key=lambda one: one["share"])
            query, closeness = first["text"], first[CLOSENESS]
            changes[TRANSLATIONS] = translations
        kept = self._kept(judged.passages)
        if len(kept) < len(judged.passages):
            dropped += len(judged.passages) - len(kept)
            changes["passages"] = [record["passages"][place] for place in kept] or None
            if not kept:
                changes["passages_lang"] = None
        changes[CLOSENESS] = _said(closeness, [judged.passages[place] for place in kept]) or None
        step = {"step": NAME, "judge": str(self._judging), "encoder": self._closeness.encoder, "dropped": dropped}
        return advanced(record, step, query=query, **changes)

    def _weighed(self, translations: Sequence[Mapping[str, Any]], values: Sequence[float]) -> list[dict[str, Any]]:
        """The translations that are kept, each with its closeness and with the share that it has then."""
        kept = self._kept(values) or [_closest(values)]
        nearer = [values[at] - _before(translations[at]) for at in kept]
        most = max(nearer)
        weights = [
            translations[at].get("share", 1.0) * math.exp(SHARPNESS * (more - most))
            for at, more in zip(kept, nearer, strict=True)
        ]
        total = sum(weights)
        return [
            {**translations[at], "share": weight / total if total else 1 / len(kept), CLOSENESS: values[at]}
            for at, weight in zip(kept, weights, strict=True)
        ]

    def _kept(self, values: Sequence[float]) -> list[int]:
        """The places of the texts that are kept, those of these values."""
        if self._judging is Judging.CLOSEST:
            return [_closest(values)] if values else []
        return [place for place, value in enumerate(values) if self._judging is Judging.WEIGH or value >= STRAYED]


def _before(translation: Mapping[str, Any]) -> float:
    """The closeness that the share of a translation has in it already; 0 for none."""
    said = translation.get(CLOSENESS)
    is_number = isinstance(said, int | float) and abs(said) <= _GREATEST
    return float(said) if is_number and said is not None else 0.0


def _said(query: float | None, passages: Sequence[float]) -> dict[str, Any]:
    return {
        **({"query": query} if query is not None else {}),
        **({"passages": list(passages)} if passages else {}),
    }


def _closest(values: Sequence[float]) -> int:
    """The place of the greatest value, of the first of equal ones."""
    return max(range(len(values)), key=values.__getitem__)


def _compared(record: Record) -> list[Compared] | XqeError:
    """What of a record is held to its query: its translations, or its one translation, and its passages."""
    if has_failed(record):
        return []
    first: Mapping[str, Any] = record.get("source") or record
    asked, passages = first.get("query"), record.get("passages") or []
    texts = [translation["text"] for translation in _translations(record)]
    if not texts and asked != record["query"]:
        texts = [record["query"]]
    if not texts and not passages:
        return []
    try:
        if not isinstance(asked, str) or not asked.strip():
            raise XqeError("there is no query to hold texts to")
        spoken = language(str(first.get("lang") or ""))
        now, written = language(str(record.get("lang") or "")), language(passages_lang(record))
    except XqeError as error:
        return error
    return [
        *(Compared(asked, spoken, text, now, Side.QUERY) for text in texts),
        *(Compared(asked, spoken, text, written, Side.PASSAGE) for text in passages),
    ]


def _parted(record: Record, values: Sequence[float]) -> Judged:
    """The values of what `_compared` says of a record, told apart."""
    several = len(_translations(record))
    count = len(values) - len(record.get("passages") or []) if values else 0
    return Judged(
        values[0] if count and not several else None,
        list(values[:several]) if several else [],
        list(values[count:]),
    )


def _translations(record: Record) -> Sequence[Mapping[str, Any]]:
    """The translations that a query has; none where it is not among them, as they are of an earlier state then, and
    none of another form, which a search refuses."""
    said = record.get(TRANSLATIONS) or []
    is_list = isinstance(said, list) and all(map(_is_translation, said))
    return said if is_list and any(one["text"] == record["query"] for one in said) else []


def _is_translation(one: object) -> bool:
    if not isinstance(one, dict) or not isinstance(one.get("text"), str):
        return False
    share = one.get("share", 1.0)
    return isinstance(share, int | float) and 0 <= share < math.inf
