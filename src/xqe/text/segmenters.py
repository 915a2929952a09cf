"""Segmenters: a text in NFKC and lower case to its words.

Most languages are cut by the rules of UAX #29, as `unicode_words` has them. Where white space parts no words, or more
than a word, a dictionary cuts the runs of that script, and those rules all else, so that Latin words and identifiers
(ffmpeg, x86_64) are the same in all languages.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, NamedTuple

from xqe.errors import XqeError
from xqe.text.normalisers import khmer_order, thai_letters

Segment = Callable[[str], list[str]]

_HAN = "\u3005-\u3007\u3021-\u3029\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA = "\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
_HANGUL = "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3"
_THAI = "\u0e01-\u0e4e"
_KHMER = "\u1780-\u17d3\u17d7\u17dd"
# A line that was wrapped inside a sentence goes on without a space. An empty line does end the paragraph.
_WRAPPED = rf"(?<=[{_HAN}{_KANA}])[^\S\n]*\n[^\S\n]*(?=[{_HAN}{_KANA}])"
_MOST = 4000  # characters, since a dictionary takes at most 48 kB and holds a lattice of all it is given
_KOREAN_RUN = rf"[{_HANGUL}{_HAN}][{_HANGUL}{_HAN} ]{{0,{_MOST}}}"  # with spaces, which tell readings apart


def words() -> Segment:
    from unicode_segmentation_rs import unicode_words

    return unicode_words


def _mixed(dictionary_words: Callable[[str], Iterable[str]], run: str = f"[{_HAN}{_KANA}]{{1,{_MOST}}}") -> Segment:
    """A segmenter that gives what `run` matches to a dictionary, and all else to `unicode_words`."""
    unicode_words = words()
    wrapped, dictionary_run = re.compile(_WRAPPED), re.compile(run)  # which takes 10 ms

    def segment(text: str) -> list[str]:
        text = wrapped.sub("", text)
        found: list[str] = []
        end = 0
        for match in dictionary_run.finditer(text):
            found += unicode_words(text[end : match.start()])
            found += dictionary_words(match[0])
            end = match.end()
        found += unicode_words(text[end:])
        return found

    return segment


def _jieba() -> Segment:
    """The words of jieba's dictionary, in simplified characters whichever the text has: 圖書館 and 图书馆 are one."""
    import rjieba
    from opencc import OpenCC

    simplified = OpenCC("t2s").convert
    return _mixed(lambda run: rjieba.cut_for_search(simplified(run)))


def _sudachi() -> Segment:
    """Short units in their normalised form (サーバ and サーバー are one), without particles and auxiliaries."""
    morphemes, dictionary = _sudachi_morphemes()
    grammatical = dictionary.pos_matcher([("助詞",), ("助動詞",), ("補助記号",), ("記号",), ("空白",)])

    def dictionary_words(run: str) -> Iterable[str]:
        # some normalised forms are Latin abbreviations in capitals
        return (word.normalized_form().lower() for word in morphemes(run) if not grammatical(word))

    return _mixed(dictionary_words)


def _sudachi_as_written() -> Segment:
    morphemes, _ = _sudachi_morphemes()
    return _mixed(lambda run: (word.surface() for word in morphemes(run)))


def _sudachi_morphemes() -> tuple[Callable[[str], Iterable[Any]], Any]:
    """What cuts a run into short units, and the dictionary. A tokenizer of Sudachi's is one thread's alone; a
    dictionary is everybody's."""
    import sudachipy

    dictionary = sudachipy.Dictionary(dict=SUDACHI_DICTIONARY)
    local = threading.local()

    def morphemes(run: str) -> Iterable[Any]:
        if not hasattr(local, "tokenizer"):
            local.tokenizer = dictionary.tokenizer(mode=sudachipy.SplitMode.A)
        found: Iterable[Any] = local.tokenizer.tokenize(run)
        return found

    return morphemes, dictionary


# Sejong's tags, as mecab-ko-dic has them: particles, endings, the copula, auxiliary verbs, what makes verbs and
# adjectives of nouns, interjections, conjunctions; and all symbols but Latin, Han and numbers.
_GRAMMATICAL = re.compile("J|E|VCP|VX|XSV|XSA|IC|MAJ|S(?![LHN])")


def _korean() -> Segment:
    """The morphemes of mecab-ko-dic that are no particles and endings: of a compound its parts, and of a word that
    inflects its stem."""
    try:
        from lindera import TokenizerBuilder
    except ImportError:
        raise _missing("Korean", "korean") from None
    tokenizer = TokenizerBuilder().set_mode("normal").set_dictionary("embedded://ko-dic").build()

    def dictionary_words(run: str) -> Iterable[str]:
        for token in tokenizer.tokenize(run):
            tag, *_, expression = token.details
            if "/" not in expression:  # a word of one morpheme, or one that the dictionary does not have
                if not _GRAMMATICAL.match(tag):
                    yield token.surface
                continue
            for part in expression.split("+"):
                form, its, *_ = part.split("/")
                if not _GRAMMATICAL.match(its):
                    yield form

    return _mixed(dictionary_words, _KOREAN_RUN)


def _thai() -> Segment:
    """The words of ICU's dictionary."""
    try:
        from icu4py.breakers import WordBreaker
    except ImportError:
        raise _missing("Thai", "thai") from None
    return _mixed(lambda run: WordBreaker(thai_letters(run), "th"), rf"[{_THAI}]{{1,{_MOST}}}")


def _khmer() -> Segment:
    """Clusters: a consonant or vowel letter with what is written below, above and around it."""
    clusters = re.compile("[\u1780-\u17b3](?:\u17d2[\u1780-\u17b3]|[\u17b6-\u17d1\u17dd])*").findall
    return _mixed(lambda run: clusters(khmer_order(run)), f"[{_KHMER}]+")


def _missing(what: str, extra: str) -> XqeError:
    return XqeError(f"the dictionary of {what} is not installed", f"pip install 'xqe[{extra}]'")


SUDACHI_DICTIONARY = "core"


class Segmenter(NamedTuple):
    """make: loads what there is to load. packages: that decide what it yields."""

    make: Callable[[], Segment]
    packages: tuple[str, ...]


_OF_UNICODE = "unicode-segmentation-rs"
WORDS = "words"
"""By the rules of UAX #29 alone."""
SEGMENTERS: dict[str, Segmenter] = {
    WORDS: Segmenter(words, (_OF_UNICODE,)),
    "jieba": Segmenter(_jieba, (_OF_UNICODE, "rjieba", "opencc")),
    "sudachi": Segmenter(_sudachi, (_OF_UNICODE, "sudachipy", f"sudachidict-{SUDACHI_DICTIONARY}")),
    "korean": Segmenter(_korean, (_OF_UNICODE, "lindera-python-ko-dic")),
    "khmer": Segmenter(_khmer, (_OF_UNICODE,)),
    "thai": Segmenter(_thai, (_OF_UNICODE, "icu4py")),
}

_WRITTEN: dict[str, Callable[[], Segment]] = {
    "ja": _sudachi_as_written,
    "km": lambda: _mixed(list, f"[{_KHMER}]+"),
    "th": lambda: _mixed(list, f"[{_THAI}]+"),
    "zh": lambda: _mixed(list),
}


@cache
def written_words(code: str) -> Segment:
    """What cuts a text of a language into its words as they are written, for comparing texts and not for an index.

    White space does; but in Japanese the dictionary (short units), and in Chinese, Thai and Khmer each character is
    one, as evaluations of answers have it there (MLQA, MKQA).
    """
    make = _WRITTEN.get(code)
    return make() if make is not None else str.split
