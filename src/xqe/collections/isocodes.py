"""Names of languages, countries and their parts, scripts and currencies, in a hundred and more languages.

The package iso-codes has the lists of ISO 639-2, 3166-1, 3166-2, 4217 and 15924 as JSON, in English, and what people
made of their names in other languages as catalogues of gettext:

    {"alpha_2": "AZ", "alpha_3": "AZE", "name": "Azerbaijan", "numeric": "031", "official_name": "Republic of ..."}

A document is an entry: all that the lists say of it in a language, and its codes. Queries are names, of two kinds, each
a split of its own:

- countries: the short name of a country. Its document has the official name and not the short one, so that this is a
  task within one language, too: in Polish, Azerbejdżan has to find Republika Azerbejdżanu.
- names: of all else. Between two languages it has to be translated or spelt in another script; within one the document
  holds the query as it is, which says nothing of a system but that its analysis is the same on both sides.
"""

from __future__ import annotations

import gettext
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xqe.collections.debian import alone
from xqe.collections.layout import ANY, Collection, CollectionWriter
from xqe.collections.target import check_target
from xqe.errors import XqeError
from xqe.files.records import Document
from xqe.messages import say

if TYPE_CHECKING:
    from xqe.collections.archive import Archive

ENGLISH = "en"
LANGUAGES = (
    "af", "ar", "as", "ast", "az", "be", "bg", "bn", "br", "bs", "ca", "cs", "cv", "cy", "da", "de", "dz", "el",
    "en", "eo", "es", "et", "eu", "fa", "fi", "fr", "fur", "ga", "gl", "gu", "he", "hi", "hr", "hu", "hy", "ia",
    "id", "is", "it", "ja", "ka", "kk", "km", "kn", "ko", "ky", "lt", "lv", "mk", "ml", "mr", "ms", "ne",
    "nl", "no", "oc", "or", "pa", "pl", "pt", "ro", "ru", "rw", "sc", "si", "sk", "sl", "sq", "sr", "sv", "ta",
    "te", "tg", "th", "ti", "tk", "tl", "tr", "tt", "ug", "uk", "ur", "vi", "wa", "wo", "zh",
)  # fmt: skip
"""Languages with enough names, in iso-codes 4.18."""
FOLDERS = {"no": ("nb", "nb_NO"), "zh": ("zh_CN",)}
"""Language -> where its catalogues lie below usr/share/locale, if not in the folder of its code."""
COUNTRIES, NAMES = "countries", "names"
LEAST_DOCUMENTS = 150  # fewer make no collection
PACKAGE = "iso-codes"
LICENCE = "iso-codes, LGPL-2.1 or later"
ABOUT = "Names of languages, countries and their parts, scripts and currencies: a name finds its entry"

_LISTS = "usr/share/iso-codes/json/iso_"
_CATALOGUES = "usr/share/locale/"
_PARTS = {"language": "639-2", "country": "3166-1", "subdivision": "3166-2", "currency": "4217", "script": "15924"}
"""Kind of entry -> the part of the standard that lists it."""
_CODES = ("alpha_2", "alpha_3", "alpha_4", "bibliographic", "code", "numeric")
_FORMS = ("common_name", "name", "official_name")  # those that are translated
_OTHER_NAMES = re.compile(r"\s*[;；].*")


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a list. forms: its names in English, by field."""

    id: str
    kind: str
    forms: Mapping[str, str]
    codes: tuple[str, ...]

    @property
    def is_country(self) -> bool:
        """Whether its document has a name that is not the query's."""
        return self.kind == "country" and self.forms.get("official_name") not in (None, self.forms["name"])


Translate = Callable[[str, str], str]
"""(part of the standard, an English name) -> the name in a language, "" where it has none."""


def build(directory: Path, languages: Sequence[str], archive: Archive, force: bool = False) -> Collection:
    """Fetch the package and write the collection. Raises XqeError where the mirror does not have it."""
    from xqe.collections.archive import members

    check_target(directory, force)
    packages = archive.packages()
    if PACKAGE not in packages:
        raise XqeError(f"{archive.mirror}: no package {PACKAGE}", "give another mirror, or another release")
    [file] = archive.fetched([packages[PACKAGE]])
    files = {one.path: one.content for one in members(file, "usr/share/") if one.content is not None}
    listed = list(entries(files, file))
    found = {}
    for lang in sorted(languages):
        texts = {one.id: one for one in named(listed, translator(files, lang))}
        if len(texts) >= LEAST_DOCUMENTS:
            found[lang] = texts
        else:
            say(f"{lang}: left out, {len(texts)} names of the {LEAST_DOCUMENTS} that are needed")
    if not found:
        raise XqeError(f"in {' '.join(languages)} there are not {LEAST_DOCUMENTS} names", "choose other languages")
    with CollectionWriter(directory, PACKAGE, force) as writer:
        for lang, texts in found.items():
            writer.documents(lang, (Document(one.id, one.text) for one in texts.values()))
        for split in (COUNTRIES, NAMES):
            asked: set[str] = set()
            for lang, texts in found.items():
                queries = alone({name: one.query for name, one in texts.items()})
                queries = {name: text for name, text in queries.items() if texts[name].split == split}
                asked.update(queries)
                writer.queries(split, lang, queries.items())
            for lang, texts in found.items():
                writer.qrels(split, ANY, lang, ((name, name, 1) for name in texts if name in asked))
        writer.note("a name that two entries have in a language is no query there")
        writer.note(f"{NAMES}: within one language the document holds the query; between two it does not")
        return writer.finish(ABOUT, archive.origin(PACKAGE, [packages[PACKAGE]]), LICENCE, parallel=True)


# ---------------------------------------------------------------- from the package


def entries(files: Mapping[str, bytes | None], package: Path) -> Iterator[Entry]:
    """All entries of the lists. Raises XqeError where the package lacks one."""
    for kind, part in _PARTS.items():
        try:
            [rows] = json.loads(files[f"{_LISTS}{part}.json"] or b"").values()
            yield from [_entry(kind, row) for row in rows if "name" in row]
        except (KeyError, ValueError, TypeError, AttributeError):
            raise XqeError(f"{package}: no list of ISO {part} that xqe reads", "give another release") from None


def _entry(kind: str, row: Mapping[str, Any]) -> Entry:
    codes = tuple(str(row[name]) for name in _CODES if name in row)
    return Entry(f"{kind}-{codes[0]}", kind, {form: str(row[form]) for form in _FORMS if form in row}, codes)


def translator(files: Mapping[str, bytes | None], lang: str) -> Translate:
    """What says a name in a language; English is as the lists have it."""
    if lang == ENGLISH:
        return lambda part, name: name
    folders = FOLDERS.get(lang, (lang,))
    catalogues: dict[str, gettext.NullTranslations] = {}
    for part in _PARTS.values():
        catalogues[part] = _Untranslated()
        there = (files.get(f"{_CATALOGUES}{folder}/LC_MESSAGES/iso_{part}.mo") for folder in folders)
        if content := next(filter(None, there), None):
            try:
                catalogues[part] = gettext.GNUTranslations(io.BytesIO(content))
            except (OSError, UnicodeDecodeError):
                continue  # as good as not there
            catalogues[part].add_fallback(_Untranslated())
    return lambda part, name: catalogues[part].gettext(name)


class _Untranslated(gettext.NullTranslations):
    """Says nothing of what a catalogue lacks, where gettext would return it as it is."""

    def gettext(self, message: str) -> str:
        return ""


# ---------------------------------------------------------------- what is said of an entry


@dataclass(frozen=True, slots=True)
class Named:
    """An entry in a language."""

    id: str
    split: str
    query: str
    text: str


def named(listed: Sequence[Entry], translate: Translate) -> Iterator[Named]:
    """The entries that have a name in a language; of a country, also its official name.

    The query is the common name, else the name, up to a semicolon; the text is what else the entry is called, or the
    same name if nothing else, its country for a part of one, and its codes, a line each.
    """
    countries: dict[str, str] = {}
    for one in listed:
        forms = {form: translate(_PARTS[one.kind], name) for form, name in one.forms.items()}
        name = forms["name"]
        if not name or (one.is_country and not forms["official_name"]):
            continue
        query = _OTHER_NAMES.sub("", forms.get("common_name") or name)
        others = [text for text in dict.fromkeys(forms.values()) if text]
        if one.is_country:
            others = [text for text in others if text != query] or [query]
        if one.kind == "country":
            countries[one.codes[0]] = query
        above = countries.get(one.codes[0].partition("-")[0], "") if one.kind == "subdivision" else ""
        lines = [*others, *([above] if above else []), " ".join(one.codes)]
        yield Named(one.id, COUNTRIES if one.is_country else NAMES, query, "\n".join(lines))
