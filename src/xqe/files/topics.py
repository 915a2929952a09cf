"""The topics of TREC and of those who followed it: elements with fields, in SGML or XML.

| form                 | a topic                                                    | its number and title     |
| -------------------- | ---------------------------------------------------------- | ------------------------ |
| TREC, FIRE           | <top>; a field ends with its tag, or where another begins  | <num>, <title>           |
| TREC's in XML        | <topic number="1">, with fields or nothing but a text      | the attribute, <query>   |
| CLEF                 | <top>, <topic lang="de">                                   | <identifier>, <DE-title> |
| Indri's parameters   | <query>                                                    | <number>, <text>         |
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from xqe.errors import InputError
from xqe.files.jsonl import Line
from xqe.files.sgml import attributes_of, bare_line

SHAPE = "xqe reads <top>, <topic number=...>, TSV and JSONL; see docs/cli.md"
NUMBER = "num"
_ELEMENTS = {
    **dict.fromkeys(("num", "number", "identifier", "id"), NUMBER),
    **dict.fromkeys(("title", "query", "text"), "title"),
    **dict.fromkeys(("desc", "description", "question"), "desc"),
    **dict.fromkeys(("narr", "narrative"), "narr"),
}
"""The name of an element, in small letters and without a language before it -> its field."""
_OTHERS = {"head", "dom", "smry", "con", "fac", "nat", "def", "time", "note", "summary", "subtopic"}
_LABELS = {
    NUMBER: re.compile(r"\s*(Topic\s+)?Number\s*:", re.IGNORECASE),
    "title": re.compile(r"\s*(Topic|Title)\s*:", re.IGNORECASE),
    "desc": re.compile(r"\s*Description\s*:", re.IGNORECASE),
    "narr": re.compile(r"\s*Narrative\s*:", re.IGNORECASE),
}
"""What the first topics repeat at the beginning of a field."""
_ATTRIBUTES = ("number", "num", "id", "topicid", "qid")

_TAG = re.compile(r"<(?P<name>[a-z][\w.-]*)(?P<attributes>\s[^<>]*)?>", re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_END = re.compile(r"</(?P<name>[a-z][\w.-]*)\s*>", re.IGNORECASE)
_PREFIXED = re.compile(r"([a-z]{2,3})-(.+)")
_OPENED = re.compile(r"<(?P<name>topic|top)(?=[\s>])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Topic:
    """fields: (language or "", field) -> text. lang: of the whole topic, "" where it does not say; languages are as the
    file spells them."""

    where: str
    lang: str
    fields: dict[tuple[str, str], str]

    @property
    def languages(self) -> set[str]:
        """Those of its fields; "" where they do not say."""
        return {lang or self.lang for lang, field in self.fields if field != NUMBER}


def queries(lines: Iterable[Line], name: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield ("file:line", {"id", "query", "title", "desc", "narr"}) for each topic, as far as it has them, and "lang"
    where it names one; the query is the title. Raises InputError for a file without topics, and for topics in several
    languages."""
    lang: str | None = None
    is_empty = True
    for topic in topics(lines):
        is_empty = False
        for one in topic.languages:
            if lang not in (None, one):
                raise InputError(
                    f"{topic.where}: topics in several languages",
                    "xqe data convert trec --query-lang takes one of them",
                )
            lang = one
        fields = {field: text for (_, field), text in topic.fields.items()}
        row = {"id": fields.pop(NUMBER)} if NUMBER in fields else {}
        row |= {"query": fields["title"]} if fields.get("title") else {}
        yield topic.where, {**row, **fields, **({"lang": lang} if lang else {})}
    if is_empty:
        raise InputError(f"{name}: no topic was read", SHAPE)


def topics(all_lines: Iterable[Line]) -> Iterator[Topic]:
    """Yield the topics of the lines of a file. Raises InputError for one that does not end."""
    places: list[str] = []
    starts: list[int] = []
    lines: list[str] = []
    length = 0
    for where, line in all_lines:
        places.append(where)
        starts.append(length)
        lines.append(line)
        length += len(line) + 1
    text = _COMMENT.sub(lambda comment: " " * len(comment[0]), "\n".join(lines))  # what follows stays where it is
    first = _OPENED.search(text)
    name = first["name"].lower() if first else "query"
    opened = list(re.finditer(rf"<{name}(?P<attributes>\s[^<>]*)?>", text, re.IGNORECASE))
    ends = [one.start() for one in re.finditer(rf"</{name}\s*>", text, re.IGNORECASE)]
    for number, one in enumerate(opened):
        where = places[bisect(starts, one.start()) - 1]
        limit = opened[number + 1].start() if number + 1 < len(opened) else len(text)
        at = bisect(ends, one.end() - 1)
        if at == len(ends) or ends[at] > limit:
            raise InputError(f"{where}: <{name}> without </{name}>", "the file is not whole")
        attributes = attributes_of(one["attributes"] or "")
        fields = _fields(text[one.end() : ends[at]])
        number_in_tag = next((attributes[key] for key in _ATTRIBUTES if key in attributes), None)
        if number_in_tag is not None:
            fields.setdefault(("", NUMBER), number_in_tag.strip())
        yield Topic(where, _lang(attributes), fields)


def _fields(text: str) -> dict[tuple[str, str], str]:
    """(language or "", field) -> text, of what stands in a topic; of a field that comes again the first."""
    found: dict[tuple[str, str], str] = {}
    tags = list(_TAG.finditer(text))
    if not tags:
        return {("", "title"): bare_line(text)}
    ends: dict[str, list[int]] = {}
    for end in _END.finditer(text):
        ends.setdefault(end["name"].lower(), []).append(end.start())
    following, starts = len(text), {}
    for tag in reversed(tags):
        starts[tag.start()] = following  # where a field without an end would end
        following = tag.start() if _ends_field(tag, text) else following
    done = 0
    for tag in tags:
        lang, field = _field(tag["name"])
        if tag.start() < done or not field:
            continue
        own = ends.get(tag["name"].lower(), [])
        at = bisect(own, tag.start())
        done = own[at] if at < len(own) else starts[tag.start()]
        inside = text[tag.end() : done]
        label = _LABELS[field].match(inside)
        key = (lang or _lang(attributes_of(tag["attributes"] or "")), field)
        found.setdefault(key, bare_line(inside[label.end() :] if label else inside))
    return found


def _field(name: str) -> tuple[str, str]:
    """The language that an element names, and its field; "" for none."""
    name = name.lower()
    if (prefixed := _PREFIXED.fullmatch(name)) and prefixed[2] in _ELEMENTS:
        return prefixed[1], _ELEMENTS[prefixed[2]]
    return "", _ELEMENTS.get(name, "")


def _ends_field(tag: re.Match[str], text: str) -> bool:
    """Whether a tag ends a field that has no tag of its own to end it: one that is known, or that begins a line."""
    before = text[text.rfind("\n", 0, tag.start()) + 1 : tag.start()]
    return bool(_field(tag["name"])[1]) or tag["name"].lower() in _OTHERS or not before.strip()


def _lang(attributes: dict[str, str]) -> str:
    return attributes.get("lang") or attributes.get("xml:lang") or ""
