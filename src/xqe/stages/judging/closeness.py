"""How close texts stay to a query in any language, on a scale that is the same for every encoder:

    closeness = (cosine - unrelated) / (related - unrelated)

0 for a text that has no more to do with the query than any other, 1 for its translation, or a passage that answers it.
Cosines do not say that by themselves: those of e5 lie between 0.7 and 0.95, of other encoders between 0 and 1, and
lower between languages than within one. So `related` and `unrelated` are measured, once for each two languages: they
are the mean cosines of the built-in worked examples, which say the same in every language. Queries are compared in
the form that they have, phrases with phrases and questions with questions; within one language, where that would be the
text itself, what belongs together is a phrase and the question that it stands for. A language that nobody has written
worked examples in is measured as English is, or between two such languages as English and German are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xqe.errors import XqeError
from xqe.models.encoders.base import Side
from xqe.models.examples import builtin
from xqe.text.languages import Language, language

if TYPE_CHECKING:
    from xqe.models.encoders.base import Encoder, Matrix

STRAYED = 0.5
"""The closeness below which a text is nearer to those that have nothing to do with the query than to its translations,
or the passages that answer it (docs/dense.md has how often that is right)."""

_FIELDS: Mapping[Side, tuple[str, ...]] = {Side.QUERY: ("query", "rephrasing"), Side.PASSAGE: ("passage",)}


_MEASURED = ("en", "de", "fr")
"""Languages in place of those that have no examples, the first that is not the other one of two."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Mean cosines of queries in one language with texts in another: of those that belong together, and of others."""

    related: float
    unrelated: float

    def closeness(self, cosine: float) -> float:
        return (cosine - self.unrelated) / (self.related - self.unrelated)


@dataclass(frozen=True, slots=True)
class Compared:
    """A text that is held to a query. side: Side.QUERY for its translation, Side.PASSAGE for what answers it."""

    asked: str
    spoken: Language
    text: str
    written: Language
    side: Side


class Closeness:
    """Compares texts by an encoder, many at once."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._scales: dict[tuple[str, str, Side], Scale] = {}
        self._examples: dict[tuple[str, Side], Matrix] = {}

    @property
    def encoder(self) -> str:
        """Its name."""
        return self._encoder.name

    def of(self, pairs: Sequence[Compared]) -> list[float | XqeError]:
        """The closeness of each text to its query, or why it is not known: a text that a server could not encode, or
        two languages between which the encoder does not tell what belongs together."""
        texts = dict.fromkeys((Side.QUERY, pair.asked) for pair in pairs)
        texts |= dict.fromkeys((pair.side, pair.text) for pair in pairs)
        vectors: dict[tuple[Side, str], Matrix | str] = {}
        for side in Side:
            own = [text for its, text in texts if its is side]
            if own:
                encoded = self._encoder.encode(own, side)
                for place, (text, vector) in enumerate(zip(own, encoded.vectors, strict=True)):
                    vectors[side, text] = encoded.errors.get(place, vector)
        return [self._of(pair, vectors[Side.QUERY, pair.asked], vectors[pair.side, pair.text]) for pair in pairs]

    def _of(self, pair: Compared, asked: Matrix | str, text: Matrix | str) -> float | XqeError:
        if isinstance(asked, str):
            return XqeError(asked)
        if isinstance(text, str):
            return XqeError(text)
        try:
            return self.scale(pair.spoken, pair.written, pair.side).closeness(float(asked @ text))
        except XqeError as error:
            return error

    def scale(self, spoken: Language, written: Language, side: Side) -> Scale:
        """The scale of queries in a language and texts in another. Raises XqeError where the encoder has none: texts
        that belong together are not nearer than others by more than these differ."""
        key = (spoken.code, written.code, side)
        if key not in self._scales:
            self._scales[key] = self._measured(spoken, written, side)
        return self._scales[key]

    def _measured(self, spoken: Language, written: Language, side: Side) -> Scale:
        import numpy

        spoken, written = _with_examples(spoken, written)
        queries, texts = self._of_examples(spoken, Side.QUERY), self._of_examples(written, side)
        cosines = queries @ texts.T
        count = len(builtin(spoken.code))
        forms, examples = zip(*(numpy.divmod(numpy.arange(len(its)), count) for its in (queries, texts)), strict=True)
        is_one = examples[0][:, None] == examples[1]
        is_alike = forms[0][:, None] == forms[1] if side is Side.QUERY else numpy.ones_like(is_one)
        belongs = is_one & (is_alike if spoken != written or side is Side.PASSAGE else ~is_alike)
        unrelated = cosines[~is_one & is_alike]
        scale = Scale(float(cosines[belongs].mean()), float(unrelated.mean()))
        if scale.related - scale.unrelated <= float(unrelated.std()):
            between = f"in {spoken.name}" if spoken == written else f"between {spoken.name} and {written.name}"
            raise XqeError(
                f"{self.encoder} does not tell {between} what belongs together from what does not",
                "take an encoder of both languages",
            )
        return scale

    def _of_examples(self, spoken: Language, side: Side) -> Matrix:
        """The vectors of the built-in examples' texts in a language, field by field."""
        key = (spoken.code, side)
        if key not in self._examples:
            texts = [example[field] for field in _FIELDS[side] for example in builtin(spoken.code)]
            self._examples[key] = self._encoder.encode(texts, side).vectors
        return self._examples[key]


def _with_examples(spoken: Language, written: Language) -> tuple[Language, Language]:
    """Two languages that are measured for these: themselves, where both have examples, else others in their place, one
    where they are one."""
    if spoken == written:
        return (spoken, spoken) if builtin(spoken.code) else (language(_MEASURED[0]),) * 2
    others = [language(code) for code in _MEASURED if code not in (spoken.code, written.code)]
    first = spoken if builtin(spoken.code) else others.pop(0)
    return first, written if builtin(written.code) else others.pop(0)
