"""Numbers and names: what stays as it is in any language."""

from __future__ import annotations

import re
import unicodedata

from xqe.text.languages import Language

_TOKEN = re.compile(r"[A-Za-z0-9]+(?:[._][A-Za-z0-9]+)*")


def anchors(query: str, spoken: Language | None) -> set[str]:
    """Return what any translation of a query keeps, lower-cased: numbers, names with a digit in them, abbreviations.

    Of a query in another script also every Latin word of two letters or more.
    """
    latin = spoken is None or spoken.is_latin
    tokens = _TOKEN.findall(_ascii_digits(query))
    return {
        token.lower()
        for token in tokens
        if any(map(str.isdigit, token)) or sum(map(str.isupper, token)) > 1 or (not latin and len(token) > 1)
    }


def _ascii_digits(text: str) -> str:
    text = unicodedata.normalize("NFKC", text)
    return re.sub(r"[^\D0-9]", lambda digit: str(unicodedata.decimal(digit[0])), text)


def kept(wanted: set[str], text: str) -> float | None:
    """Return the share of some anchors that a text keeps; None where there are none."""
    if not wanted:
        return None
    found = {token.lower() for token in _TOKEN.findall(_ascii_digits(text))}
    return len(wanted & found) / len(wanted)
