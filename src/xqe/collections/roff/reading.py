"""From the text of a file to the page that it describes."""

from __future__ import annotations

import re

from xqe.collections.roff import man, mdoc
from xqe.collections.roff.language import Reader
from xqe.collections.roff.page import Page

_MDOC = re.compile(r"^\.[ \t]*Dd\b", re.MULTILINE)
_REDIRECT = re.compile(r"[.'][ \t]*so[ \t]+(\S+)")
_NOTHING = re.compile(r"\s*|[.'][ \t]*(?:\\[\"#].*)?")  # an empty line, or a comment


def redirection(source: str) -> str | None:
    """The file that a page sends on to, if it is no page itself but a redirect."""
    first = next((line for line in source.splitlines() if not _NOTHING.fullmatch(line)), "")
    match = _REDIRECT.match(first)
    return match[1] if match else None


def read_page(source: str) -> Page:
    """What a page says. source: the roff of its file."""
    reader = Reader(mdoc.MACROS if _MDOC.search(source) else man.MACROS)
    reader.read(source.replace("\r\n", "\n").split("\n"))
    reader.page.end_line()
    return reader.page
