"""What a worked example shows besides its fields: keywords and a key sentence, which are made of its passage.

So examples of every language and of the user's own have both, as QueryGym's few-shot Q2E (methods/query2e.py) makes its
keywords of passages.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from xqe.models.examples import Example
from xqe.text.analysis import analyzer
from xqe.text.languages import Language
from xqe.text.sentences import sentences

KEYWORDS = 10


def with_derived(examples: Iterable[Example], fields: frozenset[str], language: Language) -> list[Example]:
    """The examples with those of the `fields` that are made of their passages, which are in a language."""
    wanted = [(field, make) for field, make in _MADE.items() if field in fields]
    return [
        {**example, **{field: make(example["passage"], language.code) for field, make in wanted}}
        for example in examples
    ]


@cache
def _keywords(passage: str, code: str) -> str:
    """The first words of a passage that are no stop words, each once, with commas between."""
    words = (word.word for word in analyzer(code).explain(passage) if word.stem and not word.word.isdigit())
    return ", ".join(list(dict.fromkeys(words))[:KEYWORDS])


@cache
def _sentence(passage: str, code: str) -> str:
    """The first sentence of a passage."""
    first = sentences(passage, code)[:1]
    return passage[slice(*first[0])].strip() if first else passage


_MADE = {"keywords": _keywords, "sentence": _sentence}
"""How each field is made of a passage and the code of its language."""

FIELDS = frozenset(_MADE)
