"""Manual pages as people translated them: long texts and short descriptions, parallel by page.

A page begins with its name and a line of what it describes; the rest of it may be as long as a book:

    NAME
        tar - an archiving utility
    SYNOPSIS
        ...

A query is that line without the name, a document the page without that section; the one of the same page is relevant,
in every language. Translations are in the packages manpages-LANG and beside the programs; the English pages, of which
they are translations, in many hundred packages. Of these, some are taken by how many texts they bring for their size.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xqe.collections.archive import Archive, Package, members
from xqe.collections.debian import alone
from xqe.collections.draws import rank, share
from xqe.collections.layout import ANY, Collection, CollectionWriter
from xqe.collections.roff.page import Section
from xqe.collections.roff.reading import read_page, redirection
from xqe.collections.target import check_target
from xqe.errors import XqeError
from xqe.files.records import Document
from xqe.messages import say

FOLDERS = {
    "ca": ("ca",),
    "cs": ("cs",),
    "da": ("da",),
    "de": ("de",),
    "es": ("es",),
    "fi": ("fi",),
    "fr": ("fr",),
    "hu": ("hu",),
    "id": ("id",),
    "it": ("it",),
    "ja": ("ja",),
    "ko": ("ko",),
    "nb": ("nb", "no"),
    "nl": ("nl",),
    "pl": ("pl",),
    "pt": ("pt_BR", "pt"),
    "ro": ("ro",),
    "ru": ("ru",),
    "sr": ("sr", "sr_Cyrl"),
    "sv": ("sv",),
    "tr": ("tr",),
    "uk": ("uk",),
    "vi": ("vi",),
    "zh": ("zh_CN", "zh_Hans"),
}
"""Language -> where its pages lie below usr/share/man: all that have enough of them. A page is taken from the first
folder that has it."""
ENGLISH = "en"
LANGUAGES = tuple(sorted({ENGLISH, *FOLDERS}))
LEAST_DOCUMENTS = 30  # fewer make no collection
LEAST_CHARACTERS = 200  # of a page; of those in Chinese, Japanese and Korean, which need half as many
MEGABYTES = 150
SPLITS = {"train": 0.25, "dev": 0.1, "test": 0.65}
EXAMPLES = 50
LICENCE = "each page under the licence of its package; all of them free by Debian's guidelines (main)"
ABOUT = "Manual pages, translated by people: the line that says what a page is about finds the page"

_BELOW = "usr/share/man/"
_PAGE = re.compile(r"usr/share/man/(?:([^/]+)/)?man[0-9][^/]*/([^/]+)\.gz")
_DENSE = ("ja", "ko", "zh")
_ENGLISH_SHARE = 0.3  # of a translation's characters, in lines that are those of the English page
_LINE = 40  # characters of a line that says which language it is in
_QUERY = 250  # characters; what is longer is no line of a name
_DESCRIBED = re.compile(r"(.{1,200}?)(?: [-‐–—―−－]+ ?|[–—―－])(?=\S)(.+)")
_PASSAGE = (150, 600)  # characters of a paragraph that is an example
_PASSAGE_DENSE = (60, 300)
_OVERHEAD = 20_000  # bytes that a package costs besides its size: a request


@dataclass(frozen=True, slots=True)
class Manual:
    """A page. name: with its section, "tar.1". query: "" where there is none to ask."""

    name: str
    query: str
    text: str


Pages = dict[str, Manual]
Where = tuple[str, str]
"""(folder of a language, "" for English; name of a page)."""


def build(
    directory: Path,
    languages: Sequence[str],
    archive: Archive,
    megabytes: float = MEGABYTES,
    most: int | None = None,
    force: bool = False,
) -> Collection:
    """Fetch packages and write the collection.

    megabytes: of packages, at most. most: pages a language, drawn by their names. Raises XqeError where the mirror does
    not have them, and where too few pages are left.
    """
    check_target(directory, force)
    folders = [folder for lang in languages for folder in FOLDERS.get(lang, ())]
    packages = chosen(archive.contents(_BELOW), archive.packages(), folders, round(megabytes * 1e6))
    if not packages:
        raise XqeError(
            f"{archive.mirror}: no manual pages in {' '.join(languages)} for {megabytes:g} MB",
            "give more languages or more --megabytes",
        )
    sources = read_packages(archive.fetched(packages), folders)
    notes: dict[str, Counter[str]] = defaultdict(Counter)
    found = pages(sources, languages, notes)
    if most is not None:
        found = _drawn(found, most)
    if not any(lang != ENGLISH for lang in found):
        raise XqeError(
            f"in {' '.join(languages)} there are not {LEAST_DOCUMENTS} translated pages", "choose other languages"
        )
    if ENGLISH not in languages:
        del found[ENGLISH]
    with CollectionWriter(directory, "manpages", force) as writer:
        return _written(writer, found, notes, archive, packages)


def _written(
    writer: CollectionWriter,
    found: Mapping[str, Pages],
    notes: Mapping[str, Counter[str]],
    archive: Archive,
    packages: Iterable[Package],
) -> Collection:
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
            writer.queries(split, lang, chosen)
        for lang, texts in found.items():
            writer.qrels(split, ANY, lang, ((name, name, 1) for name in texts if name in asked))
    for lang, texts in found.items():
        writer.examples("train", lang, examples(texts, queries[lang], lang))
    for lang, texts in found.items():
        reasons = notes[lang]
        reasons["descriptions that another page has too are no queries"] = sum(
            1 for one in texts.values() if one.query and one.name not in queries[lang]
        )
        for reason, count in reasons.items():
            if count:
                writer.note(f"{lang}: {count} {reason}")
    return writer.finish(ABOUT, archive.origin("manpages", packages), LICENCE, parallel=True)


# ---------------------------------------------------------------- which packages


def chosen(
    contents: Mapping[str, Sequence[str]], packages: Mapping[str, Package], folders: Sequence[str], room: int
) -> list[Package]:
    """Packages to read, those first that bring the most texts for their size, as long as there is room for them.

    A text is a translation in one of the folders whose English page is there too. The packages that hold translations
    alone come first: without them there is nothing that an English page could be the original of. room: in bytes.
    """
    holds: dict[str, set[Where]] = defaultdict(set)
    for path, names in contents.items():
        if match := _PAGE.fullmatch(path):
            folder, page = match[1] or "", match[2]
            if not folder or folder in folders:
                for name in names:
                    if name in packages:
                        holds[name].add((folder, page))
    translations: dict[str, set[str]] = defaultdict(set)
    for there in holds.values():
        for folder, page in there:
            if folder:
                translations[page].add(folder)
    choice = _Choice(translations)
    first = [name for name in holds if name.startswith("manpages-") and any(folder for folder, _ in holds[name])]
    taken: list[Package] = []
    for name in sorted(first, key=lambda name: (-len(holds[name]) / packages[name].size, name)):
        if packages[name].size <= room:
            room -= packages[name].size
            choice.take(holds[name])
            taken.append(packages[name])
    left = {
        name: holds[name]
        for name in sorted(holds)
        if name not in first and any(p in translations for _, p in holds[name])
    }
    worth = {name: choice.gain(there) / (packages[name].size + _OVERHEAD) for name, there in left.items()}
    while left:
        name = max(left, key=lambda name: worth[name])
        now = choice.gain(left[name]) / (packages[name].size + _OVERHEAD)
        if now < worth[name]:  # others have brought its pages since
            worth[name] = now
        elif now <= 0:
            break
        else:
            there = left.pop(name)
            if packages[name].size <= room:
                room -= packages[name].size
                choice.take(there)
                taken.append(packages[name])
    return taken


class _Choice:
    """What the packages that were taken hold. translations: page -> folders that have one of it."""

    def __init__(self, translations: Mapping[str, set[str]]) -> None:
        self._translations = translations
        self._has: set[Where] = set()

    def take(self, there: set[Where]) -> None:
        self._has |= there

    def gain(self, there: set[Where]) -> int:
        """How many translations are there with their English pages because of a package."""
        new = there - self._has
        count = 0
        for folder, page in new:
            if folder:
                count += ("", page) in self._has or ("", page) in new
            else:
                count += sum((one, page) in self._has for one in self._translations.get(page, ()))
        return count


# ---------------------------------------------------------------- what is in them


def read_packages(files: Iterable[Path], folders: Sequence[str]) -> dict[str, dict[str, str]]:
    """Folder, "" for English -> page -> its source, of the first package that has it. Links are none."""
    sources: dict[str, dict[str, str]] = {folder: {} for folder in ("", *folders)}
    for file in files:
        for one in members(file, _BELOW):
            match = _PAGE.fullmatch(one.path)
            if match and one.content is not None and (match[1] or "") in sources:
                try:
                    text = gzip.decompress(one.content).decode("utf-8", "replace")
                except (OSError, EOFError, zlib.error):
                    continue  # as good as not there
                sources[match[1] or ""].setdefault(match[2], text)
    return sources


def manual(name: str, source: str) -> Manual | None:
    """A page by its source, or None where it sends on to another or has no line that says what it is about."""
    if redirection(source) is not None:
        return None
    sections = read_page(source).sections[1:]
    if len(sections) < 2 or not (query := described(" ".join(sections[0].lines))):
        return None
    return Manual(name, query, text_of(sections[1:]))


def described(line: str) -> str:
    """What a line of a name says: "create links" of "ln, link - create links"; "" where it says nothing."""
    match = _DESCRIBED.match(line)
    return match[2].strip() if match and len(match[2]) <= _QUERY else ""


def text_of(sections: Sequence[Section]) -> str:
    return "\n".join(line for one in sections for line in (one.heading, *one.lines))


def pages(
    sources: Mapping[str, Mapping[str, str]], languages: Sequence[str], notes: Mapping[str, Counter[str]]
) -> dict[str, Pages]:
    """Language -> its pages by name: English ones that are translated into one of them, and the translations.

    Left out are redirects, pages without a description, short ones, a text that another page has, and translations that
    are English for the most part. A description that is still English is no query. notes: counts all that.
    """
    originals = _distinct(_read(sources[""], notes[ENGLISH], _wanted(sources)), LEAST_CHARACTERS, notes[ENGLISH])
    found: dict[str, Pages] = {}
    for lang in sorted({*languages} - {ENGLISH}):
        texts: dict[str, str] = {}
        for folder in FOLDERS[lang]:
            texts = {**sources[folder], **texts}
        notes[lang]["pages whose English original is not there or was left out"] = len(texts.keys() - originals.keys())
        read = _read(texts, notes[lang], originals.keys())
        kept = _translated(read, originals, notes[lang])
        kept = _distinct(kept, LEAST_CHARACTERS // (2 if lang in _DENSE else 1), notes[lang])
        if len(kept) >= LEAST_DOCUMENTS:
            found[lang] = kept
        else:
            say(f"{lang}: left out, {len(kept)} pages of the {LEAST_DOCUMENTS} that are needed")
    used = {name for texts in found.values() for name in texts}
    found[ENGLISH] = {name: one for name, one in originals.items() if name in used}
    return {lang: found[lang] for lang in sorted(found)}


def _wanted(sources: Mapping[str, Mapping[str, str]]) -> set[str]:
    return {name for folder, texts in sources.items() if folder for name in texts}


def _read(sources: Mapping[str, str], notes: Counter[str], wanted: Iterable[str]) -> Pages:
    found: Pages = {}
    for name in sorted(sources.keys() & set(wanted)):
        if (one := manual(name, sources[name])) is not None:
            found[name] = one
        else:
            notes["pages that send on to another, or do not say what they are about"] += 1
    return found


def _distinct(pages: Pages, least: int, notes: Counter[str]) -> Pages:
    kept: Pages = {}
    seen: set[str] = set()
    for name, one in pages.items():
        if len(one.text) < least:
            notes["short pages"] += 1
        elif one.text in seen:
            notes["pages whose text another one has"] += 1
        else:
            seen.add(one.text)
            kept[name] = one
    return kept


def _translated(pages: Pages, originals: Pages, notes: Counter[str]) -> Pages:
    kept: Pages = {}
    for name, one in pages.items():
        if english_share(one.text, originals[name].text) > _ENGLISH_SHARE:
            notes["pages that are English for the most part"] += 1
        elif one.query.casefold() == originals[name].query.casefold():
            notes["descriptions that are still English are no queries"] += 1
            kept[name] = Manual(name, "", one.text)
        else:
            kept[name] = one
    return kept


def english_share(text: str, original: str) -> float:
    """The part of a text's long lines, in characters, that the English page has too."""
    there = set(original.split("\n"))
    lines = [line for line in text.split("\n") if len(line) >= _LINE]
    return sum(len(line) for line in lines if line in there) / max(1, sum(map(len, lines)))


def _drawn(found: Mapping[str, Pages], most: int) -> dict[str, Pages]:
    """At most so many pages a language, the same ones where they are there."""
    names = sorted({name for texts in found.values() for name in texts}, key=lambda name: rank("manpages", name))
    kept = {}
    for lang, texts in found.items():
        taken = {*[name for name in names if name in texts][:most]}
        kept[lang] = {name: one for name, one in texts.items() if name in taken}
    return kept


def split_of(name: str) -> str:
    """The split of a query, by a hash of its id: the same in every language and every release."""
    at = share("manpages split", name)
    for split, size in SPLITS.items():
        if at < size:
            return split
        at -= size
    return split


def examples(pages: Pages, queries: Mapping[str, str], lang: str) -> list[tuple[str, str]]:
    """Descriptions and paragraphs of `train` that show what a passage looks like: the first that is neither short nor
    long."""
    least, most = _PASSAGE_DENSE if lang in _DENSE else _PASSAGE
    found = []
    for name in sorted(queries, key=lambda name: rank("manpages example", name)):
        if split_of(name) == "train":
            fitting = (line for line in pages[name].text.split("\n") if least <= len(line) <= most)
            if passage := next(fitting, None):
                found.append((queries[name], passage))
    return found[:EXAMPLES]
