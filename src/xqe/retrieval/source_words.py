"""What of the query as it was asked is looked for beside its translation, word by word.

Of an untranslated query the documents know its names, the words that both languages have, and those that a translation
lost. Each of its words counts 1, but

    nothing  where it is a function word of its own language: among the words of another one it says nothing, however
             rare it is there ("des" in English documents)
    KEPT     where the translation has it already
    FOREIGN  where it is an ordinary word in Latin letters and the documents are written in others: they hold few of
             these, and what is rare weighs most. A name (`xqe.text.names`) counts in full, as do Latin words of a query
             in other letters, which are names there; a name that a translation wrote in the letters of the documents is
             one that it lost.

Its own language cuts and normalises the words (so that an article is off "l'archive"), and that of the documents makes
terms of them. A word that no document has adds nothing, as with any term. docs/performance.md has the figures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import TYPE_CHECKING

from xqe.text.analysis import Analysed, analyzer
from xqe.text.languages import known, language
from xqe.text.names import names

if TYPE_CHECKING:
    from xqe.retrieval.lexical import Index

KEPT, FOREIGN = 0.5, 0.5


def source_terms(text: str, code: str, query: Collection[str], index: Index) -> dict[str, float]:
    """Return the weight of each term of an untranslated query.

    code: of its language; where there is no such language, no word is a function word, and its letters are taken for
    those of the documents. query: the terms of the translation.
    """
    spoken, written = known(code), language(index.manifest.language)
    crosses = spoken is not None and spoken.is_latin and not written.is_latin
    kept_as_they_are = names(text, spoken) if crosses else frozenset()
    weights: defaultdict[str, float] = defaultdict(float)
    words = analyzer(spoken.code).explain(text) if spoken is not None else index.analyzer.explain(text)
    for word in words:
        if not word.stem:
            continue
        foreign = FOREIGN if crosses and word.word not in kept_as_they_are else 1.0
        for one in _as_written(word, index) if spoken is not None else [word]:
            for term in one.terms:
                weights[term] += foreign * (KEPT if one.stem in query else 1.0)
    return dict(weights)


def _as_written(word: Analysed, index: Index) -> list[Analysed]:
    """What the documents' language makes of a word of another one."""
    return index.analyzer.explain(word.form)
