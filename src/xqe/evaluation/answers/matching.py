"""How well an answer's text agrees with one that is right.

Exact match and F1 are XOR-Full's (Asai et al., 2021; evals/eval_xor_fullpy.py of AkariAsai/XORQA): lower case, without
punctuation and the counters that it leaves out, word by word, Japanese cut by a dictionary. That knows the punctuation
of ASCII alone; here all of Unicode's is left out, as by MLQA's script, or nothing that ends in 。 would agree. Texts
are brought to NFKC first, and Chinese, Thai and Khmer count by characters, as in MLQA and MKQA. Recall of character
3-grams is BERGEN's (Chirkova et al., 2024; modules/metrics.py of naver/bergen), with its normalisation of English. A
text of which nothing would be left, such as "+", "年" or the blood group "A", is compared as it is: these scripts take
"-" for "+", or never find it.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence

from xqe.text.segmenters import written_words

_ASCII_MARKS = frozenset(string.punctuation)
_COUNTERS = frozenset("年歳人년")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NGRAM = 3


def exact_match(answer: str, gold: str, lang: str) -> float:
    """1 if both are the same words, else 0. lang: of the two; "" for one that is not known."""
    return float(words(answer, lang) == words(gold, lang))


def f1(answer: str, gold: str, lang: str) -> float:
    """The harmonic mean of the shares of each one's words that the other has."""
    mine, theirs = words(answer, lang), words(gold, lang)
    shared = _shared(mine, theirs)
    return 2 * shared / (len(mine) + len(theirs)) if shared else 0.0


def char_3_recall(answer: str, gold: str, lang: str) -> float:
    """The share of the gold answer's character 3-grams that the answer has."""
    theirs = _ngrams(gold)
    return _shared(_ngrams(answer), theirs) / len(theirs) if theirs else 0.0


def words(text: str, lang: str) -> list[str]:
    """The words that are compared.

    >>> words("The U.S. Navy, in 2019!", "en"), words("2019年です。", "ja")
    (['the', 'us', 'navy', 'in', '2019'], ['2019', 'です'])
    """
    written = written_words(lang)(unicodedata.normalize("NFKC", text).lower())
    bare = ("".join(character for character in word if not _is_left_out(character)) for word in written)
    return [word for word in bare if word] or unicodedata.normalize("NFKC", text).lower().split()


def _is_left_out(character: str) -> bool:
    return character in _ASCII_MARKS or character in _COUNTERS or unicodedata.category(character).startswith("P")


def _ngrams(text: str) -> list[str]:
    """All runs of three characters within the words of a text, and the words that are shorter."""
    bare = "".join(character for character in text.lower() if character not in _ASCII_MARKS)
    parts = _ARTICLES.sub(" ", bare).split() or text.lower().split()
    return [part[start : start + _NGRAM] for part in parts for start in range(max(1, len(part) - _NGRAM + 1))]


def _shared(mine: Sequence[str], theirs: Sequence[str]) -> int:
    return (Counter(mine) & Counter(theirs)).total()
