"""Languages without a row: any that ISO 639 has, by its code, an older one, or its name in any language.

The codes are those of IANA's registry of language subtags, the names and scripts those of Unicode's CLDR, as the
library langcodes has them. It takes a quarter of a second to load, and is loaded for such a language alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from xqe.lines import nearest
from xqe.text.languages.rows import LANGUAGES, UNSPACED, Analysis, Language

if TYPE_CHECKING:
    import langcodes

FALLBACK = Analysis()
"""Of a language without a row: its words (UAX #29), each by its form and by what it begins with."""
FALLBACK_UNSPACED = Analysis(additions=(), pairs=True)
"""The same where no white space parts words: each character with what combines with it, and each two neighbours."""

_CODE = re.compile(r"[a-z]{2,3}")
_NO_LANGUAGE = re.compile(r"und|mul|mis|zxx|q[a-t][a-z]")  # undetermined, several, uncoded, none, for private use
_NAMED = 4  # letters that a name has at least; fewer are a code, or nothing


def find(name: str) -> Language | None:
    """The language of a code, with or without what stands behind a hyphen, or of a name; None where there is none."""
    tag = _tag(name)
    if tag is None:
        return None
    script = tag.maximize().script or ""
    analysis = FALLBACK_UNSPACED if script in UNSPACED else FALLBACK
    return Language(tag.language or "", tag.language_name(), tag.autonym(), script, analysis)


def hint(name: str) -> str:
    """What to do about a name that no language has."""
    said = 'give a code of ISO 639 or a name, as "xqe languages" lists them'
    if not _CODE.fullmatch(name.strip().lower()):
        near = nearest(name, [row.name for row in LANGUAGES.values()])
        return f"did you mean {near}? {said}" if near else said
    import langcodes

    meant = langcodes.Language.make(territory=name.strip().upper()).maximize()
    row = LANGUAGES.get(meant.language or "")
    return (
        f'that is the code of a country; {row.name} is "{row.code}"'
        if row is not None and _is_of(meant, name)
        else said
    )


def _is_of(meant: langcodes.Language, country: str) -> bool:
    """Whether the likely language of a country is told by it, and not by the world's average."""
    import langcodes

    return meant.language != "en" or langcodes.Language.make(language="en").maximize().territory == country.upper()


def _tag(name: str) -> langcodes.Language | None:
    primary = name.replace("_", "-").split("-")[0]
    is_code = _CODE.fullmatch(primary) is not None
    if _NO_LANGUAGE.fullmatch(primary) or (not is_code and len(name) < _NAMED):
        return None
    import langcodes

    if is_code:
        tag = langcodes.Language.get(primary)
        return tag if tag.is_valid() and tag.language else None
    try:
        return langcodes.find(name)
    except LookupError:
        return None
