"""What is measured of a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["share", "flag", "count"]
Value = float | bool | int | None


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that is measured of a text.

    kind: a share from 0 to 1; a flag, true where something is wrong; or a count. higher_is_better: None where neither
    is.
    """

    name: str
    kind: Kind
    higher_is_better: bool | None
    about: str


MEASURES = (
    Measure("faithfulness", "share", True, "the query's words that the passage keeps"),
    Measure("kept", "share", True, "numbers and names of the query as asked that the text keeps, in any language"),
    Measure("closeness", "share", True, "how close it is to the query as asked: 0 as other texts, 1 as a translation"),
    Measure("drift", "share", False, "the passage's words that come from one of the worked examples shown"),
    Measure("script", "share", True, "letters that are of the language's script"),
    Measure("repetition", "share", False, "sequences of words that have been in the text before"),
    Measure("wrong_language", "flag", False, "written in another language than the one asked for"),
    Measure("wrong_script", "flag", False, "fewer than a quarter of the letters are of the language's script"),
    Measure("loop", "flag", False, "says a phrase three times in a row"),
    Measure("meta", "flag", False, "talks about the query or the answer instead of answering"),
    Measure("echo", "flag", False, "repeats the query and says no more, or repeats it before it answers"),
    Measure("strayed", "flag", False, "nearer to texts about something else than to translations of the query"),
    Measure("empty", "flag", False, "holds no word"),
    Measure("cut", "flag", False, "cut off at the limit of tokens"),
    Measure("words", "count", None, "words, stop words included"),
    Measure("characters", "count", None, "characters"),
)
"""What is measured of each text, in the order in which it is written; a record has the means of its texts."""

REFERENCED = (
    Measure("chrf", "share", True, "character n-grams that the query and what people wrote have in common"),
    Measure("similarity", "share", True, "cosine, to an encoder, of the query and what people wrote"),
)
"""What is measured of a query where there is what people wrote (see `references`)."""

FLAGS = tuple(measure.name for measure in MEASURES if measure.kind == "flag")
FLAGGED = "flagged"  # beside the measures: the share of texts with any flag


def in_order(values: Mapping[str, Any]) -> dict[str, Any]:
    """What was measured of a text, as it is written: its language, then every measure, None for one that it has not."""
    return {"language": values["language"], **{measure.name: values.get(measure.name) for measure in MEASURES}}


def means(values: Sequence[Mapping[str, Any]]) -> dict[str, Value]:
    """The mean of each measure over the texts that have it, None where none has, and the share of flagged texts."""
    made: dict[str, Value] = {}
    for measure in MEASURES:
        known = [value[measure.name] for value in values if value.get(measure.name) is not None]
        made[measure.name] = sum(known) / len(known) if known else None
    flagged = [any(value.get(name) for name in FLAGS) for value in values]
    return {**made, FLAGGED: sum(flagged) / len(flagged) if flagged else None}
