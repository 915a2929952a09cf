"""The collections that xqe knows by name: one row each, from which help, lists and downloads are derived."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from xqe.collections import counterparts, debian, gnomehelp, isocodes, licences, manpages
from xqe.collections.downloads import Download, Files, listed, total
from xqe.errors import XqeError

CLIRMATRIX = "http://www.cs.jhu.edu/~shuosun/clirmatrix/data/"
CLIRMATRIX_INDEX = Download(
    f"{CLIRMATRIX}downloads.json.gz", "downloads.json.gz", 5_143_717, "md5", "371cc532aca236759bd3602eb6ce2181"
)
BI139 = (
    "af", "am", "an", "ar", "arz", "ast", "az", "azb", "ba", "bar", "be", "bg", "bn", "bpy", "br", "bs", "bug",
    "ca", "cdo", "ce", "ceb", "ckb", "cs", "cv", "cy", "da", "de", "diq", "el", "en", "eo", "es", "et", "eu", "fa",
    "fi", "fo", "fr", "fy", "ga", "gd", "gl", "gu", "he", "hi", "hr", "hsb", "ht", "hu", "hy", "ia", "id", "ilo",
    "io", "is", "it", "ja", "jv", "ka", "kk", "kn", "ko", "ku", "ky", "la", "lb", "li", "lmo", "lt", "lv", "mai",
    "mg", "mhr", "min", "mk", "ml", "mn", "mr", "mrj", "ms", "my", "mzn", "nap", "nds", "ne", "new", "nl", "no",
    "oc", "or", "os", "pa", "pl", "pms", "pnb", "ps", "pt", "qu", "ro", "ru", "sa", "sah", "scn", "sco", "sd", "si",
    "sk", "sl", "sq", "sr", "su", "sv", "sw", "szl", "ta", "te", "tg", "th", "tl", "tr", "tt", "uk", "ur", "uz",
    "vec", "vi", "vo", "wa", "war", "wuu", "xmf", "yi", "yo", "zh",
)  # fmt: skip
"""Those of CLIRMatrix's 139 Wikipedias that are named by the code of their language: als is Alemannic there and Tosk
Albanian in ISO 639, sh and nn are taken for Serbian and Norwegian here, eml and simple are no languages of ISO 639.
"""
MULTI8 = ("ar", "de", "en", "es", "fr", "ja", "ru", "zh")


@dataclass(frozen=True, slots=True)
class Source:
    """A collection. how: "fetch" or "build". needs: what it takes besides. size: bytes of all that fetch downloads,
    None where that is not known. splits: those that are there. form: its format. folder: what of the downloads is
    converted, in the folder of all downloads."""

    name: str
    about: str
    languages: tuple[str, ...]
    licence: str
    how: str
    needs: str
    url: str
    splits: tuple[str, ...]
    size: int | None = None
    form: str = ""
    folder: str = ""
    files: Files | None = None


def _clirmatrix(context: str) -> Files:
    """Files of CLIRMatrix, by the list that its site publishes: {context: {key: {"url", "expected_md5"}}}."""

    def found(languages: Sequence[str], splits: Sequence[str] | None, folder: Path) -> list[Download]:
        if len(languages) < 2:
            raise XqeError("CLIRMatrix judges pairs of two languages", "name at least two with --lang")
        import gzip
        import json

        from xqe.collections.fetching import fetch

        [index] = fetch([CLIRMATRIX_INDEX], folder)
        table = json.loads(gzip.decompress(index.read_bytes()))
        pairs = [(queries, documents) for queries in languages for documents in languages if queries != documents]
        keys = [f"queries/{queries}_{documents}/{split}" for queries, documents in pairs for split in splits or _FOUR]
        found = [table[context][key] for key in keys if key in table[context]]
        found += [table["clirmatrix_docs"][f"docs/{lang}"] for lang in languages]
        return [_published(entry) for entry in found]

    return found


def _published(entry: dict[str, Any]) -> Download:
    url, md5 = entry["url"], entry.get("expected_md5") or ""
    path = url.partition("/data/")[2]
    if not path or Path(path).is_absolute() or ".." in Path(path).parts:
        raise XqeError(f"{url}: not a file of CLIRMatrix", "its list of files has changed; upgrade xqe")
    return Download(url, path, entry.get("size_hint"), "md5" if md5 else "", md5)


_MMARCO = ("ar", "de", "en", "es", "fr", "hi", "id", "it", "ja", "nl", "pt", "ru", "vi", "zh")
_FOUR = ("train", "dev", "test1", "test2")
_MIRACL = ("ar", "bn", "de", "en", "es", "fa", "fi", "fr", "hi", "id", "ja", "ko", "ru", "sw", "te", "th", "yo", "zh")
_DEBIAN_NEEDS = "apt-get and its network: 50 MB"
_DEBIAN_URL = "https://www.debian.org/international/l10n/ddtp"


@cache
def sources() -> dict[str, Source]:
    """Name -> source."""
    rows = (
        Source(
            "debian",
            debian.ABOUT,
            debian.LANGUAGES,
            debian.LICENCE,
            "build",
            _DEBIAN_NEEDS,
            _DEBIAN_URL,
            tuple(debian.SPLITS),
        ),
        Source(
            "debian-graded",
            "The same descriptions, found by short titles, graded by BM25 as CLIRMatrix is",
            debian.LANGUAGES,
            debian.LICENCE,
            "build",
            _DEBIAN_NEEDS,
            _DEBIAN_URL,
            tuple(debian.SPLITS),
        ),
        Source(
            "manpages",
            manpages.ABOUT,
            manpages.LANGUAGES,
            manpages.LICENCE,
            "build",
            "the network: 60 MB of indexes, and packages of up to 150 MB",
            "https://manpages-l10n-team.pages.debian.net/manpages-l10n/",
            tuple(counterparts.SPLITS),
        ),
        Source(
            "gnome-help",
            gnomehelp.ABOUT,
            gnomehelp.LANGUAGES,
            gnomehelp.LICENCE,
            "build",
            "the network: 60 MB of indexes, and packages of up to 100 MB",
            "https://help.gnome.org",
            tuple(counterparts.SPLITS),
        ),
        Source(
            "iso-codes",
            isocodes.ABOUT,
            isocodes.LANGUAGES,
            isocodes.LICENCE,
            "build",
            "the network: 12 MB",
            "https://salsa.debian.org/iso-codes-team/iso-codes",
            (isocodes.COUNTRIES, isocodes.NAMES),
        ),
        Source(
            "mmarco",
            "MS MARCO's queries and passages, translated by machine (Bonifacio et al., 2021)",
            _MMARCO,
            licences.MMARCO,
            "fetch",
            "about 4 GB a language",
            "https://github.com/unicamp-dl/mMARCO",
            ("dev", "dev.small"),
            total("mmarco"),
            "mmarco",
            "mmarco",
            listed("mmarco", "unicamp-dl/mmarco/resolve/main/"),
        ),
        Source(
            "clirmatrix-multi8",
            "Titles of Wikipedia articles against articles in seven other languages, graded (Sun and Duh, 2020)",
            MULTI8,
            licences.CLIRMATRIX,
            "fetch",
            "two languages or more",
            "https://github.com/ssun32/CLIRMatrix",
            _FOUR,
            None,
            "clirmatrix",
            "clirmatrix/MULTI-8",
            _clirmatrix("clirmatrix_multi8"),
        ),
        Source(
            "clirmatrix-bi139",
            "The same for every pair of languages (the part named base)",
            BI139,
            licences.CLIRMATRIX,
            "fetch",
            "two languages or more",
            "https://github.com/ssun32/CLIRMatrix",
            _FOUR,
            None,
            "clirmatrix",
            "clirmatrix/BI-139",
            _clirmatrix("clirmatrix_bi139_base"),
        ),
        Source(
            "miracl",
            "Questions and passages of Wikipedia in one language, judged by people (Zhang et al., 2023)",
            _MIRACL,
            licences.MIRACL,
            "fetch",
            "0.1 to 6 GB a language",
            "https://github.com/project-miracl/miracl",
            ("train", "dev"),
            total("miracl"),
            "miracl",
            "miracl",
            listed("miracl", ""),
        ),
    )
    return {row.name: row for row in rows}


def source(name: str) -> Source:
    """The row of a name. Raises XqeError for an unknown one."""
    known = sources()
    if name not in known:
        raise XqeError(f'unknown collection "{name}"', f"xqe knows {', '.join(known)}; xqe data list says more")
    return known[name]


def chosen_languages(row: Source, wanted: Sequence[str] | None) -> list[str]:
    """The languages that were asked for, or all. Raises XqeError for one that the source does not have."""
    for lang in wanted or ():
        if lang not in row.languages:
            raise XqeError(f"{row.name} has nothing in {lang}", f"it has {' '.join(row.languages)}")
    return list(wanted or row.languages)


def data_folder() -> Path:
    """Where downloads are kept: XQE_DATA, else $XDG_CACHE_HOME/xqe/data."""
    if own := os.environ.get("XQE_DATA"):
        return Path(own).expanduser()
    cache_home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache_home).expanduser() / "xqe" / "data"


def downloads(row: Source, languages: Sequence[str], splits: Sequence[str] | None, folder: Path) -> list[Download]:
    """What has to be downloaded for some languages and splits of a source. May fetch a list of files first."""
    if row.files is None:
        raise XqeError(f"{row.name} is built, not downloaded", f"xqe data build {row.name} --out DIR")
    for split in splits or ():
        if split not in row.splits:
            raise XqeError(f"{row.name} has no split {split}", f"it has {', '.join(row.splits)}")
    return row.files(languages, splits, folder)
