"""TREC's documents in SGML, <DOC> with <DOCNO>, whichever way they are put into lines.

Of a document with <TEXT> (or what other sources call it), its text is what the elements of `_TEXTS` hold, in their
order, and its title what those of `_TITLES` do; of one without, all of it. The elements are those of TREC's disks 1 to
5, with those that Anserini's TrecCollection takes among them, and of CLEF's newspapers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import unescape

from xqe.errors import InputError

_MAIN = ("TEXT", "BODY", "TX", "TE")
_TEXTS = (*_MAIN, "LP", "LEADPARA", "LEAD", "LD", "LE", "SUMMARY", "DD", "DATE")
_TITLES = ("TITLE", "HEADLINE", "HL", "TTL", "H3", "H4", "TI")
_NAMES = ("DOCNO", "DOCID", "DOCOLDNO")

_EDGE = re.compile(r"<(?P<end>/?)DOC(?P<attributes>\s[^<>]*)?>", re.IGNORECASE)
_ELEMENT = re.compile(
    # the <head> of a page of HTML has elements in it, and AP's <HEAD>, a title, has none
    rf"<(?:(?P<name>{'|'.join((*_TEXTS, *_TITLES))})(?:\s[^<>]*)?>(?P<inside>.*?)(?:</(?P=name)\s*>|\Z)"
    r"|HEAD>(?P<head>[^<]*)</HEAD>)",
    re.IGNORECASE | re.DOTALL,
)
_NAME = re.compile(r"<(?P<name>DOCNO|DOCID)(?:\s[^<>]*)?>(?P<value>[^<]*)<", re.IGNORECASE)
_NO_TEXT = re.compile(
    rf"<(?P<name>{'|'.join(_NAMES)}|DOCHDR|SCRIPT|STYLE)(?:\s[^<>]*)?>.*?(?:</(?P=name)\s*>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_VALUE = r"""(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>]+)"""
_ATTRIBUTE = re.compile(rf"([\w:.-]+)\s*=\s*({_VALUE})")
_TAG = re.compile(  # "x <5 and y> 3" is none, and "x <y and z> 3" neither
    rf"<(?:/?[a-z][\w:.-]*(?:\s+[\w:.-]+\s*=\s*{_VALUE}|\s+(?:nowrap|noshade|selected|checked|compact|ismap|border))*\s*/?"
    r"|[!?][a-z\[][^<>]*)>",
    re.IGNORECASE,
)
_ENTITIES = (("&blank;", " "), ("&hyph;", "-"))  # of the Federal Register, beside those of HTML


def documents(lines: Iterable[tuple[str, str]]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield ("file:line", {"id", "title", "text"}) for each <DOC> of the lines of a file."""
    inside: list[str] = []
    start = attributes = ""
    for where, text in lines:
        if "<" not in text:
            if start:
                inside.append(text)
            continue
        begin = 0
        for edge in _EDGE.finditer(text):
            if edge["end"]:
                if start:
                    inside.append(text[begin : edge.start()])
                    yield start, _document("\n".join(inside), attributes, start)
                start = ""
            elif start:
                raise InputError(f"{start}: <DOC> without </DOC>", f"the next one begins at {where}")
            else:
                start, attributes, inside, begin = where, edge["attributes"] or "", [], edge.end()
        if start:
            inside.append(text[begin:])
    if start:
        raise InputError(f"{start}: <DOC> without </DOC>", "the file is not whole")


def _document(raw: str, attributes: str, where: str) -> dict[str, str]:
    raw = _without_comments(raw)
    names = {match["name"].upper(): match["value"].strip() for match in reversed(list(_NAME.finditer(raw)))}
    name = names.get("DOCNO") or attributes_of(attributes).get("id") or names.get("DOCID")
    if not name:
        raise InputError(f"{where}: <DOC> without <DOCNO>", "each document needs one, or an id")
    raw = _NO_TEXT.sub(" ", raw)
    elements = [(match["name"] or "HEAD", match["inside"] or match["head"] or "") for match in _ELEMENT.finditer(raw)]
    titles = [inside for name, inside in elements if name.upper() in (*_TITLES, "HEAD")]
    texts = [inside for name, inside in elements if name.upper() in _TEXTS]
    if not any(name.upper() in _MAIN for name, _ in elements):
        titles, texts = [], [raw]
    return {"id": name, "title": bare_line(" ".join(titles)), "text": bare("\n".join(texts))}


def _without_comments(text: str) -> str:
    first, *rest = text.split("<!--")
    return first + "".join(part.partition("-->")[2] if "-->" in part else f"<!--{part}" for part in rest)


def attributes_of(text: str) -> dict[str, str]:
    """The attributes of a tag, by their names in small letters."""
    return {name.lower(): unescape(value.strip("\"'")) for name, value in _ATTRIBUTE.findall(text)}


def bare(text: str) -> str:
    """Text without tags, entities resolved, in its lines."""
    text = _TAG.sub(" ", text.replace("<![CDATA[", "").replace("]]>", ""))
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    return "\n".join(" ".join(line.split()) for line in unescape(text).split("\n")).strip()


def bare_line(text: str) -> str:
    """Text without tags, entities resolved, in one line."""
    return " ".join(bare(text).split())
