"""Pages in English and what people made of them in other languages: which of them are kept, and a collection of them.

A page has a line that says what it is about, and a text. The line is a query, the text a document; the one of the same
page is relevant, in every language.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xqe.collections import draws
from xqe.collections.debian import alone
from xqe.collections.draws import rank
from xqe.collections.layout import ANY, Collection, CollectionWriter
from xqe.errors import XqeError
from xqe.files.records import Document
from xqe.messages import say

ENGLISH = "en"
LEAST_DOCUMENTS = 30  # fewer make no collection
LEAST_CHARACTERS = 200  # of a text; of those in Chinese, Japanese and Korean half as many
SPLITS = {"train": 0.25, "dev": 0.1, "test": 0.65}
EXAMPLES = 50

_DENSE = ("ja", "ko", "zh")
_ENGLISH_SHARE = 0.3  # of a translation's characters, in lines that are those of the English page
_LINE = 40  # characters of a line that says which language it is in
_PASSAGE = (150, 600)  # characters of a paragraph that is an example
_PASSAGE_DENSE = (60, 300)


@dataclass(frozen=True, slots=True)
class Text:
    """A page in a language. query: "" where there is none to ask."""

    name: str
    query: str
    text: str


Texts = dict[str, Text]
"""Name of a page -> what it is in a language."""


@dataclass
class Kept:
    """Pages that are kept, by language and name, and how many were left out and why."""

    texts: dict[str, Texts] = field(default_factory=dict)
    left: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def add_originals(self, texts: Texts) -> Texts:
        """Take the English pages, and return those that are kept: not short, and each text once."""
        self.texts[ENGLISH] = _distinct(texts, LEAST_CHARACTERS, self.left[ENGLISH])
        return self.texts[ENGLISH]

    def add(self, lang: str, texts: Texts) -> None:
        """Take the pages of a language.

        Left out are those without an English page that was kept, those that are English for the most part, short ones,
        and a text that another page has. A query that is still English is none. All of them, where too few are left.
        """
        originals, left = self.texts[ENGLISH], self.left[lang]
        found = _distinct(_translated(texts, originals, left), LEAST_CHARACTERS // (2 if lang in _DENSE else 1), left)
        if len(found) >= LEAST_DOCUMENTS:
            self.texts[lang] = found
        else:
            say(f"{lang}: left out, {len(found)} pages of the {LEAST_DOCUMENTS} that are needed")

    def finish(self, languages: Sequence[str], most: int | None) -> None:
        """Keep of the English pages those that are there in another language, and of each language at most so many.

        The same ones are drawn in every language. Raises XqeError where nothing but English is there.
        """
        others = [texts for lang, texts in self.texts.items() if lang != ENGLISH]
        if not others:
            raise XqeError(
                f"in {' '.join(languages)} there are not {LEAST_DOCUMENTS} translated pages", "choose other languages"
            )
        used = {name for texts in others for name in texts}
        self.texts[ENGLISH] = {name: one for name, one in self.texts[ENGLISH].items() if name in used}
        if ENGLISH not in languages:
            del self.texts[ENGLISH]
        order = sorted(used, key=lambda name: rank("counterparts", name))
        for lang, texts in self.texts.items():
            drawn = {*[name for name in order if name in texts][:most]}
            self.texts[lang] = {name: one for name, one in texts.items() if name in drawn}


def _distinct(texts: Texts, least: int, left: Counter[str]) -> Texts:
    kept: Texts = {}
    seen: set[str] = set()
    for name, one in texts.items():
        if len(one.text) < least:
            left["short pages left out"] += 1
        elif one.text in seen:
            left["pages left out whose text another one has"] += 1
        else:
            seen.add(one.text)
            kept[name] = one
    return kept


def _translated(texts: Texts, originals: Texts, left: Counter[str]) -> Texts:
    kept: Texts = {}
    for name, one in texts.items():
        if name not in originals:
            left["pages left out whose English original is not there or was left out"] += 1
        elif english_share(one.text, originals[name].text) > _ENGLISH_SHARE:
            left["pages left out that are English for the most part"] += 1
        elif one.query.casefold() == originals[name].query.casefold():
            left["lines that are still English are no queries"] += 1
            kept[name] = Text(name, "", one.text)
        else:
            kept[name] = one
    return kept


def english_share(text: str, original: str) -> float:
    """The part of a text's long lines, in characters, that the English page has too."""
    there = set(original.split("\n"))
    lines = [line for line in text.split("\n") if len(line) >= _LINE]
    return sum(len(line) for line in lines if line in there) / max(1, sum(map(len, lines)))


def write(writer: CollectionWriter, kept: Kept, about: str, licence: str, source: dict[str, Any]) -> Collection:
    """Write the pages that are kept as a collection. A line that two pages have in a language is no query there."""
    found = {lang: kept.texts[lang] for lang in sorted(kept.texts)}
    queries = {
        lang: alone({name: one.query for name, one in texts.items() if one.query}) for lang, texts in found.items()
    }
    for lang, texts in found.items():
        writer.documents(lang, (Document(one.name, one.text) for one in texts.values()))
    for split in SPLITS:
        asked: set[str] = set()
        for lang, lines in queries.items():
            chosen = [(name, text) for name, text in lines.items() if split_of(name) == split]
            asked.update(name for name, _ in chosen)
            if chosen:
                writer.queries(split, lang, chosen)
        for lang, texts in found.items():
            writer.qrels(split, ANY, lang, ((name, name, 1) for name in texts if name in asked))
    for lang, texts in found.items():
        writer.examples("train", lang, examples(texts, queries[lang], lang))
    for lang, texts in found.items():
        left = kept.left[lang]
        left["lines that another page has too are no queries"] = sum(
            1 for one in texts.values() if one.query and one.name not in queries[lang]
        )
        for reason, count in left.items():
            if count:
                writer.note(f"{lang}: {count} {reason}")
    return writer.finish(about, source, licence, parallel=True)


def split_of(name: str) -> str:
    """The split of a query."""
    return draws.split_of("counterparts split", name, SPLITS)


def examples(texts: Texts, queries: Mapping[str, str], lang: str) -> list[tuple[str, str]]:
    """Queries and paragraphs of `train` that show what a passage looks like: of each page the first that is neither
    short nor long."""
    least, most = _PASSAGE_DENSE if lang in _DENSE else _PASSAGE
    found = []
    for name in sorted(queries, key=lambda name: rank("counterparts example", name)):
        if split_of(name) == "train":
            fitting = (line for line in texts[name].text.split("\n") if least <= len(line) <= most)
            if passage := next(fitting, None):
                found.append((queries[name], passage))
    return found[:EXAMPLES]
