"""Passages that drift towards the worked examples that the model was shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from xqe.models.examples import BUILTIN, Chooser, Example, builtin
from xqe.models.examples.derived import FIELDS as DERIVED
from xqe.stages.inspection.history import History, row_of
from xqe.stages.inspection.texts import Text
from xqe.stages.strategies import RECIPES, Strategy
from xqe.text.languages import Language, language

_FEWEST_OF_EXAMPLE = 3  # distinct words that passage and example share before it counts as drift


class Shown:
    """The words of the worked examples that expansions were shown.

    examples: the file that --examples named when they were made, None for the built-in ones.
    """

    def __init__(self, examples: str | None) -> None:
        self._examples = examples
        self._words: dict[tuple[Any, ...], list[frozenset[str]]] = {}
        if examples is not None:
            Chooser(examples, 1)  # says now what is wrong with the file

    def words(self, told: History, row: Language | None) -> list[frozenset[str]]:
        """The telling words of each that was shown, in the language that the passages are in now.

        The built-in examples say the same in every language, so that what E+T translates is found too. Those of a
        file are compared only with passages that were not translated. A step names the seed that chose them only where
        texts were sampled; without it, all that may have been shown count.
        """
        step = told.expansion or {}
        shots, seed = step.get("shots"), step.get("seed")
        spoken, written = row_of(told.spoken), row_of(told.written)
        is_file = self._examples is not None
        if row is None or spoken is None or not isinstance(shots, int) or shots < 1:
            return []
        if written is not row if is_file else shots > BUILTIN:  # more than there are: of a file that was not named
            return []
        key = (row.code, spoken.code, str(step.get("strategy")), shots, str(seed), "chosen" in step)
        if key not in self._words:
            chooser = Chooser(self._examples, shots, seed if isinstance(seed, int) else 0)
            asked = spoken if is_file else row
            chosen = chooser(asked, row)
            if seed is None or "chosen" in step:  # by an encoder: all that may have been shown
                chosen = chooser.candidates(asked, row)
            fields = _fields_of(str(step.get("strategy")))
            words = [Text(_text_of(example, fields), row).content for example in chosen]
            self._words[key] = telling(words, _common(row.code))
        return self._words[key]


def drift(stems: frozenset[str], examples: Sequence[frozenset[str]], query: frozenset[str]) -> float:
    """Return the share of a passage's distinct words that come from a worked example and not from the query.

    examples: the telling words of each. One that shares fewer than three words with the passage does so by chance.
    """
    found: set[str] = set()
    for example in examples:
        shared = (stems & example) - query
        if len(shared) >= _FEWEST_OF_EXAMPLE:
            found |= shared
    return len(found) / len(stems) if stems else 0.0


def telling(examples: Sequence[frozenset[str]], common: frozenset[str] = frozenset()) -> list[frozenset[str]]:
    """Return of each example the words that no other has, and that are not among the `common` ones."""
    count = Counter(word for example in examples for word in example)
    alone = frozenset(word for word, number in count.items() if number == 1) - common
    return [example & alone for example in examples]


@cache
def _common(code: str) -> frozenset[str]:
    """Words that several of the built-in examples have, whose topics differ: those of the language, not of a topic."""
    fields = ("query", "passage", "rationale", "rephrasing")
    row = language(code)
    count = Counter(word for one in builtin(code) for word in Text(_text_of(one, fields), row).content)
    return frozenset(word for word, number in count.items() if number > 1)


def _text_of(example: Example, fields: Iterable[str]) -> str:
    return "\n".join(example.get(name, "") for name in fields)


@cache
def _fields_of(strategy: str) -> tuple[str, ...]:
    """What a prompt shows of each example; of a prompt of the user's it is not known, so query and passage."""
    if strategy not in {one.value for one in RECIPES}:
        return ("query", "passage")
    each = [part for template in Strategy(strategy).recipe.templates for part in template.each()]
    shown = frozenset[str]().union(*(part.example_fields(chat) for part in each for chat in (True, False)))
    return tuple(sorted(shown - DERIVED))  # those are made of the passage
