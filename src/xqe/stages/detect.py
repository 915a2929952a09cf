"""The language of records that name none, told from their texts: only where somebody asked for it.

Where it is not certain the best guess is taken, and the step says so (docs/languages.md has how often it is right).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice

from xqe.errors import InputError
from xqe.files.documents import Placed
from xqe.files.records import Document, Record, failed
from xqe.text.detection import DETECTOR, guess
from xqe.text.languages import code_of

STEP = "detect"
_SAMPLED = 200  # documents
_ONE = 0.95  # of those whose language is certain
_READ = 2000  # characters of a text


def with_language(record: Record, text: str, beside: Counter[str]) -> Record:
    """The record with the "lang" that its text is in, and a step that says how certain that is: its share. A record
    without letters is marked as failed. beside: the languages that texts before it are certainly in, which it is added
    to where it is certain itself."""
    told = guess(text[:_READ], beside)
    if told is None:
        return failed(record, STEP, "a text without letters is in no language")
    if told.is_certain:
        beside[told.lang] += 1
    step = {"step": STEP, "by": DETECTOR, "lang": told.lang, "share": round(told.share, 4), "certain": told.is_certain}
    return {**record, "lang": told.lang, "steps": [*record.get("steps", ()), step]}


class Mixture:
    """The languages of documents, told from the first of them.

    languages: how many are in each. unsure: of how many it is not certain. usual: the most frequent one. is_one:
    whether so many are in it that it is taken for that of all.
    """

    def __init__(self, documents: Iterator[Placed]) -> None:
        """Reads `_SAMPLED` documents, or all. Raises InputError where no language of xqe's can be told."""
        self._read = list(islice(documents, _SAMPLED))
        self._rest = documents
        told = [_language(document) for _, document in self._read]
        self.languages: Counter[str] = Counter(code for code in told if code)
        self.unsure = told.count("")
        self.usual = next((code for code, _ in self.languages.most_common(1)), "")
        if self._read and not self.usual:
            named = ", ".join(self.languages) or "none of which it is certain"
            raise InputError(f"{self._read[0][0]}: documents in {named}", "name the language that is meant with --lang")
        self.is_one = bool(self.usual) and self.languages[self.usual] >= _ONE * self.languages.total()

    @property
    def documents(self) -> Iterator[Placed]:
        """All documents, as they came."""
        return chain(self._read, self._rest)

    def each(self) -> Iterator[Placed]:
        """All documents, each with its language: its own, the one that it is told to be in, or the usual one, where it
        is not certain or none of xqe's. `languages` and `unsure` are of all then."""
        self.languages, self.unsure = Counter(), 0
        for where, document in self.documents:
            code = _language(document)
            self.unsure += not code
            self.languages[code or self.usual] += 1
            yield where, replace(document, lang=code or self.usual)


def _language(document: Document) -> str:
    """The code of a document's own language, or of the one that it is told to be in; "" where that is not certain."""
    if document.lang:
        return code_of(document.lang)
    told = guess(document.searched[:_READ])
    return told.lang if told is not None and told.is_certain else ""
