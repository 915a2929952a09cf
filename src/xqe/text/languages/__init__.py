"""Languages by whatever they are called: those of the table (`rows`), and any other of ISO 639 (`others`)."""

from __future__ import annotations

from functools import lru_cache

from xqe.errors import XqeError
from xqe.text.languages.rows import LANGUAGES, Analysis, Language

__all__ = ["LANGUAGES", "Analysis", "Language", "code_of", "known", "language", "name_of", "row_of"]

_LONG = {
    "af": "afr", "am": "amh", "ar": "ara arb", "bg": "bul", "bn": "ben", "ca": "cat", "cs": "ces cze", "da": "dan",
    "de": "deu ger", "el": "ell gre", "en": "eng", "es": "spa", "et": "est ekk", "eu": "eus baq",
    "fa": "fas per pes prs", "fi": "fin", "fr": "fra fre", "gl": "glg", "gu": "guj", "ha": "hau", "he": "heb iw",
    "hi": "hin", "hr": "hrv", "hu": "hun", "hy": "hye arm", "id": "ind in", "ig": "ibo", "it": "ita", "ja": "jpn",
    "ka": "kat geo", "km": "khm", "ko": "kor", "lt": "lit", "lv": "lav lvs", "ml": "mal", "mr": "mar",
    "ms": "msa may zsm", "nl": "nld dut", "no": "nor nb nob nn nno", "pa": "pan", "pl": "pol", "pt": "por",
    "ro": "ron rum mo mol", "ru": "rus", "sk": "slk slo", "sl": "slv", "so": "som", "sr": "srp sh hbs", "sv": "swe",
    "sw": "swa swh", "ta": "tam", "te": "tel", "th": "tha", "tl": "tgl fil", "tr": "tur", "uk": "ukr", "ur": "urd",
    "vi": "vie", "yo": "yor", "zh": "zho chi cmn", "zu": "zul",
}  # fmt: skip
"""Code -> what else the language is called: ISO 639-3, what ISO 639-2/B calls otherwise, codes that were withdrawn, and
those of its standard form where it has several."""
_SHORT = {long: short for short, longs in _LONG.items() for long in longs.split()}
_SHORT |= {name.lower(): row.code for row in LANGUAGES.values() for name in (row.name, row.native)}


def language(code: str, where: str = "") -> Language:
    """Return a language, in any case: by its code, of two letters or three and with any region ("pt_BR" is "pt"), or by
    its name, in English or in itself. One without a row has the analysis of `others.FALLBACK`.

    Raises XqeError for an unknown one; `where` ("queries.jsonl:3", "--to") says in the message who named it.
    """
    found = known(code)
    if found is None:
        from xqe.text.languages import others

        place = f"{where}: " if where else ""
        raise XqeError(f'{place}unknown language "{code}"', others.hint(code))
    return found


@lru_cache(maxsize=1 << 10)
def known(code: str) -> Language | None:
    """The language of a code or a name, None where there is no such language."""
    name = code.strip().lower()
    row = row_of(name)
    if row is not None:
        return row
    from xqe.text.languages import others

    found = others.find(name)
    return found and (row_of(found.code) or found)


@lru_cache(maxsize=1 << 10)
def row_of(name: str) -> Language | None:
    """The row that a code or a name in lower case has, None where there is none; nothing else is looked at."""
    primary = name.replace("_", "-").split("-")[0]
    return LANGUAGES.get(_SHORT.get(name) or _SHORT.get(primary, primary))


def code_of(code: str) -> str:
    """Return the one spelling of a language's code, by which languages are compared: "pt" for "pt_BR" and "PT ". What
    is no language is as it was given."""
    found = known(code)
    return code if found is None else found.code


def name_of(code: object) -> str:
    """The English name of a language, or what was given if there is no such language."""
    found = known(str(code))
    return str(code) if found is None else found.name
