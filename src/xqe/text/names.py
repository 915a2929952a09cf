"""Words of a text that are names or otherwise stay what they are in every language: numbers, versions, identifiers,
file names, options, abbreviations, whatever is quoted, and proper names as far as capitals tell them."""

from __future__ import annotations

import re

from xqe.text.analysis import clean
from xqe.text.languages import Language
from xqe.text.sentences import SIGNS

_QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|„([^“”]+)[“”]|«([^»]+)»|»([^«»]+)«|`([^`]+)`|「([^」]+)」|『([^』]+)』")
_CHUNK = re.compile(r"\S+")
_CODE = re.compile(
    r"\d"  # a number, a version, x86
    r"|\w[._@\\:=]+\w|_"  # node.js, foo_bar, someone@there, std::map
    r"|(?:^|[(\[])(?:--?|[~.]?/|[$#@.\\])\w"  # --option, -x, /etc, ~/file, $HOME, #include, .txt
    r"|\w(?:\(\)|\+\+|\#)"  # main(), C++, C#
)
_WORD = re.compile(rf"(?:[^\W_]|[{SIGNS}])+")
_JOINED = re.compile(rf"{_WORD.pattern}(?:[._]+{_WORD.pattern})+")


def names(text: str, language: Language | None) -> frozenset[str]:
    """Return the names among the words of a text, as an analysis sees words: in lower case and NFKC.

    A word is one where the characters around it make it code, where it stands in quotation marks, where it has two
    capitals, or one that neither begins the text nor, in German, every noun. A text in capitals has no names by that.
    """
    found = {word for quoted in _QUOTED.findall(text) for word in _words("".join(quoted))}
    capitals = not text.isupper()
    for chunk in _CHUNK.finditer(text):
        if _CODE.search(chunk[0]):
            found.update(_words(chunk[0]))
    for number, word in enumerate(_WORD.findall(text) if capitals else ()):
        upper = sum(map(str.isupper, word))
        if upper > 1 or (upper and number and not (language and language.code == "de")):
            found.update(_words(word))
    return frozenset(found)


def _words(text: str) -> list[str]:
    """The words of a text, and those that points or underscores join, whole."""
    cleaned = clean(text)
    return _WORD.findall(cleaned) + _JOINED.findall(cleaned)
