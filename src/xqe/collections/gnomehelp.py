"""Help of GNOME's programs, as people translated it: long pages with short titles, parallel by page.

Pages are in Mallard, an XML of its own (projectmallard.org), in a folder for each language:

    usr/share/help/C/gnome-help/files-browse.page       <page><title>Browse files and folders</title><p>...
    usr/share/help/ko/gnome-help/files-browse.page

A query is the title of a page, a document the page without its title and what it says of itself (authors, licence).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from xqe.collections.choice import chosen
from xqe.collections.counterparts import ENGLISH, Kept, Text, write
from xqe.collections.layout import Collection, CollectionWriter
from xqe.collections.shelves import Shelf, of_first, texts_of
from xqe.collections.target import check_target
from xqe.errors import XqeError

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

SHELF = Shelf("usr/share/help/", re.compile(r"usr/share/help/([^/]+)/([^/]+/.+)\.page"), "C")
_LACKING = "pages left out that have no title, or are damaged"
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
    places = SHELF.held(archive.contents(SHELF.below), folders)
    packages = chosen(places, archive.packages(), round(megabytes * 1e6))
    if not packages:
        raise XqeError(
            f"{archive.mirror}: no pages of help in {' '.join(languages)} for {megabytes:g} MB",
            "give more languages or more --megabytes",
        )
    sources = SHELF.sources(archive.fetched(packages), folders, bytes)
    kept = Kept()
    kept.add_originals(texts_of(ENGLISH, sources[""], page, kept, _LACKING))
    for lang in sorted({*languages} - {ENGLISH}):
        there = of_first(sources, FOLDERS.get(lang, (lang,)))
        kept.add(lang, texts_of(lang, there, page, kept, _LACKING))
    kept.finish(languages, most)
    with CollectionWriter(directory, "gnome-help", force) as writer:
        return write(writer, kept, ABOUT, LICENCE, archive.origin("gnome-help", packages))


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
