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
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xqe.collections.choice import chosen
from xqe.collections.counterparts import ENGLISH, Kept, Text, write
from xqe.collections.layout import Collection, CollectionWriter
from xqe.collections.roff.reading import read_page, redirection
from xqe.collections.shelves import Shelf, of_first, texts_of
from xqe.collections.target import check_target
from xqe.errors import XqeError

if TYPE_CHECKING:
    from xqe.collections.archive import Archive

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
    "nl": ("nl",),
    "no": ("nb", "no"),
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
LANGUAGES = tuple(sorted({ENGLISH, *FOLDERS}))
MEGABYTES = 150
LICENCE = "each page under the licence of its package; all of them free by Debian's guidelines (main)"
ABOUT = "Manual pages, translated by people: the line that says what a page is about finds the page"

SHELF = Shelf("usr/share/man/", re.compile(r"usr/share/man/(?:([^/]+)/)?man[0-9][^/]*/([^/]+)\.gz"), None)
_LACKING = "pages left out that send on to another, or do not say what they are about"
_QUERY = 250  # characters; what is longer is no line of a name
_DESCRIBED = re.compile(r"(.{1,200}?)(?: [-‐–—―−－]+ ?|[–—―－])(?=\S)(.+)")


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
    places = SHELF.held(archive.contents(SHELF.below), folders)
    # without these there is nothing that an English page could be the original of
    first = [name for name, there in places.items() if name.startswith("manpages-") and any(one for one, _ in there)]
    packages = chosen(places, archive.packages(), round(megabytes * 1e6), first)
    if not packages:
        raise XqeError(
            f"{archive.mirror}: no manual pages in {' '.join(languages)} for {megabytes:g} MB",
            "give more languages or more --megabytes",
        )
    sources = SHELF.sources(archive.fetched(packages), folders, unpacked)
    kept = Kept()
    translated = {name for folder in folders for name in sources[folder]}
    english = {name: source for name, source in sources[""].items() if name in translated}
    originals = kept.add_originals(texts_of(ENGLISH, english, manual, kept, _LACKING))
    for lang in sorted({*languages} - {ENGLISH}):
        there = of_first(sources, FOLDERS[lang])
        own = {name: source for name, source in there.items() if name in originals}
        kept.add(lang, texts_of(lang, own, manual, kept, _LACKING))
    kept.finish(languages, most)
    with CollectionWriter(directory, "manpages", force) as writer:
        return write(writer, kept, ABOUT, LICENCE, archive.origin("manpages", packages))


# ---------------------------------------------------------------- what is in them


def unpacked(content: bytes) -> str | None:
    """The text of a page as a package has it; None of one that is damaged, which is as good as not there."""
    try:
        return decoded(gzip.decompress(content))
    except (OSError, EOFError, zlib.error):
        return None


def decoded(source: bytes) -> str:
    """The text of a page in UTF-8; of lines that are not, in ISO 8859-1, which old pages are in for a name or two."""
    try:
        return source.decode("utf-8")
    except UnicodeDecodeError:
        return "".join(_line(line) for line in source.splitlines(keepends=True))


def _line(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("iso-8859-1")


def manual(name: str, source: str) -> Text | None:
    """A page by its source, or None where it sends on to another or has no line that says what it is about."""
    if redirection(source) is not None:
        return None
    sections = read_page(source).sections[1:]
    if len(sections) < 2 or not (query := described(" ".join(sections[0].lines))):
        return None
    return Text(name, query, "\n".join(line for one in sections[1:] for line in (one.heading, *one.lines)))


def described(line: str) -> str:
    """What a line of a name says: "create links" of "ln, link - create links"; "" where it says nothing."""
    match = _DESCRIBED.match(line)
    return match[2].strip() if match and len(match[2]) <= _QUERY else ""
