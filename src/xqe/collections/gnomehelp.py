"""Help of GNOME's programs, as people translated it: long pages with short titles, parallel by page.

Pages are in Mallard, an XML of its own (projectmallard.org), in a folder for each language:

    usr/share/help/C/gnome-help/files-browse.page       <page><title>Browse files and folders</title><p>...
    usr/share/help/ko/gnome-help/files-browse.page

A query is the title of a page, a document the page without its title and what it says of itself (authors, licence).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from xqe.collections.choice import Where, chosen
from xqe.collections.counterparts import ENGLISH, Kept, Text, Texts, write
from xqe.collections.layout import Collection, CollectionWriter
from xqe.collections.target import check_target
from xqe.errors import XqeError
from xqe.messages import plural, say

if TYPE_CHECKING:
    from xqe.collections.archive import Archive

LANGUAGES = (
    "bg", "ca", "cs", "da", "de", "el", "en", "es", "eu", "fi", "fr", "gl", "hr", "hu", "id", "it", "ja", "ko", "lv",
    "nl", "pl", "pt", "ro", "ru", "sl", "sr", "sv", "ta", "tr", "uk", "zh",
)  # fmt: skip
"""Languages that have enough pages."""
FOLDERS = {"en": ("C",), "pt": ("pt_BR", "pt"), "zh": ("zh_CN",)}
"""Language -> where its pages lie below usr/share/help, if not in the folder of its code. A page is taken from the
first folder that has it."""
MEGABYTES = 100
LICENCE = "each page under the licence of its package, mostly CC BY-SA 3.0; all free by Debian's guidelines"
ABOUT = "Help of GNOME's programs, translated by people: the title of a page finds the page"

_BELOW = "usr/share/help/"
_PAGE = re.compile(r"usr/share/help/([^/]+)/([^/]+/.+)\.page")
_LINES = {"p", "title", "subtitle", "screen", "code", "cite", "synopsis"}
"""Elements that hold text; what is within them belongs to their line."""
_SILENT = {"info", "media", "comment", "links"}


def build(
    directory: Path,
    languages: Sequence[str],
    archive: Archive,
    megabytes: float = MEGABYTES,
    most: int | None = None,
    force: bool = False,
) -> Collection:
    """Fetch packages and write the collection; the options are those of `manpages.build`."""
    check_target(directory, force)
    folders = [folder for lang in languages if lang != ENGLISH for folder in FOLDERS.get(lang, (lang,))]
    places = held(archive.contents(_BELOW), folders)
    packages = chosen(places, archive.packages(), round(megabytes * 1e6))
    if not packages:
        raise XqeError(
            f"{archive.mirror}: no pages of help in {' '.join(languages)} for {megabytes:g} MB",
            "give more languages or more --megabytes",
        )
    sources = read_packages(archive.fetched(packages), folders)
    kept = Kept()
    kept.add_originals(_read(ENGLISH, sources[""], kept))
    for lang in sorted({*languages} - {ENGLISH}):
        there: dict[str, bytes] = {}
        for folder in FOLDERS.get(lang, (lang,)):
            there = {**sources[folder], **there}
        kept.add(lang, _read(lang, there, kept))
    kept.finish(languages, most)
    with CollectionWriter(directory, "gnome-help", force) as writer:
        return write(writer, kept, ABOUT, LICENCE, archive.origin("gnome-help", packages))


def held(contents: Mapping[str, Sequence[str]], folders: Sequence[str]) -> dict[str, set[Where]]:
    """Package -> the pages that are in it, in English and in some folders."""
    found: dict[str, set[Where]] = defaultdict(set)
    for path, names in contents.items():
        if (match := _PAGE.fullmatch(path)) and match[1] in ("C", *folders):
            for name in names:
                found[name].add(("" if match[1] == "C" else match[1], match[2]))
    return found


def read_packages(files: Iterable[Path], folders: Sequence[str]) -> dict[str, dict[str, bytes]]:
    """Folder, "" for English -> page -> its source, of the first package that has it. Links are none."""
    from xqe.collections.archive import members

    sources: dict[str, dict[str, bytes]] = {folder: {} for folder in ("", *folders)}
    for file in files:
        for one in members(file, _BELOW):
            match = _PAGE.fullmatch(one.path)
            if match and one.content is not None:
                folder = "" if match[1] == "C" else match[1]
                if folder in sources:
                    sources[folder].setdefault(match[2], one.content)
    return sources


def _read(lang: str, sources: Mapping[str, bytes], kept: Kept) -> Texts:
    """The pages of a language that have a title."""
    say(f"{lang}: reading {plural(len(sources), 'page')}")
    found: Texts = {}
    for name in sorted(sources):
        if (one := page(name, sources[name])) is not None:
            found[name] = one
        else:
            kept.left[lang]["pages left out that have no title, or are damaged"] += 1
    return found


def page(name: str, source: bytes) -> Text | None:
    """A page by its source, or None where it has no title or is not XML."""
    try:
        root = ElementTree.fromstring(source)
    except ElementTree.ParseError:
        return None
    title = next((child for child in root if _tag(child) == "title"), None)
    if title is None or not (query := _text(title)):
        return None
    lines = [line for child in root if child is not title for line in _lines(child)]
    return Text(name, query, "\n".join(lines))


def _lines(element: ElementTree.Element) -> Iterator[str]:
    """A line for each paragraph, title, cell and line of code."""
    tag = _tag(element)
    if tag in _SILENT:
        return
    if tag in ("screen", "code"):
        yield from filter(None, (" ".join(line.split()) for line in "".join(element.itertext()).split("\n")))
    elif tag in _LINES:
        if line := _text(element):
            yield line
    else:
        for child in element:
            yield from _lines(child)


def _tag(element: ElementTree.Element) -> str:
    """The name of an element without its namespace; "" for what is none, such as a comment."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _text(element: ElementTree.Element) -> str:
    return " ".join("".join(element.itertext()).split())
