"""Texts about the text: what a model says of the query or of its answer instead of answering."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

from xqe.text.analysis import clean


@cache
def _metatext(code: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """The patterns for texts in a language: at the beginning, and anywhere."""
    table = tomllib.loads(Path(__file__).with_name("metatext.toml").read_text("utf-8"))
    rows = [table[one] for one in dict.fromkeys((code, "en")) if one in table]
    openings, anywhere = ("|".join(pattern for row in rows for pattern in row[key]) for key in ("openings", "anywhere"))
    return re.compile(rf"\W*(?:{openings})"), re.compile(anywhere)


def is_meta(text: str, code: str) -> bool:
    """Whether a text in a language talks about the query or itself, by the patterns of metatext.toml."""
    text = clean(text)
    openings, anywhere = _metatext(code)
    return bool(openings.match(text) or anywhere.search(text))
