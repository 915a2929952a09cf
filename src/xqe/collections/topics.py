"""The topics of TREC and of those who followed it, as queries.

| form                 | a topic                                                    | its number and title     |
| -------------------- | ---------------------------------------------------------- | ------------------------ |
| TREC, FIRE           | <top>; a field ends with its tag, or where another begins  | <num>, <title>           |
| TREC's in XML        | <topic number="1">, with fields or nothing but a text      | the attribute, <query>   |
| CLEF                 | <top>, <topic lang="de">                                   | <identifier>, <DE-title> |
| Indri's parameters   | <query>                                                    | <number>, <text>         |
| HC4, NeuCLIR (JSONL) | {"topic_id", "topics": [{"lang", "topic_title", ...}]}     | "topic_id", of a "lang"  |
| JSONL, TSV           | {"id", "query"} or {"_id", "text"}; id<TAB>text            |                          |
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xqe.collections.conversion import Placed, Query, Stream, query_file
from xqe.errors import InputError, XqeError
from xqe.files import jsonl
from xqe.files.fields import Fields
from xqe.files.sgml import attributes_of, bare_line
from xqe.text.languages import code_of

FIELDS = ("title", "desc", "narr")
"""What --topic names; JSON says topic_title, topic_description, topic_narrative."""

_NUMBER = "num"
_ELEMENTS = {
    **dict.fromkeys(("num", "number", "identifier", "id"), _NUMBER),
    **dict.fromkeys(("title", "query", "text"), "title"),
    **dict.fromkeys(("desc", "description", "question"), "desc"),
    **dict.fromkeys(("narr", "narrative"), "narr"),
}
"""The name of an element, in small letters and without a language before it -> its field."""
_OTHERS = {"head", "dom", "smry", "con", "fac", "nat", "def", "time", "note", "summary", "subtopic"}
_LABELS = {
    _NUMBER: re.compile(r"\s*(Topic\s+)?Number\s*:", re.IGNORECASE),
    "title": re.compile(r"\s*(Topic|Title)\s*:", re.IGNORECASE),
    "desc": re.compile(r"\s*Description\s*:", re.IGNORECASE),
    "narr": re.compile(r"\s*Narrative\s*:", re.IGNORECASE),
}
"""What the first topics repeat at the beginning of a field."""
_NUMBERED = ("number", "num", "id", "topicid", "qid")
_JSON_FIELDS = {"title": "topic_title", "desc": "topic_description", "narr": "topic_narrative"}
_SOURCES = ("original", "human translation")

_TAG = re.compile(r"<(?P<name>[a-z][\w.-]*)(?P<attributes>\s[^<>]*)?>", re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_END = re.compile(r"</(?P<name>[a-z][\w.-]*)\s*>", re.IGNORECASE)
_PREFIXED = re.compile(r"([a-z]{2,3})-(.+)")
_OPENED = re.compile(r"<(?P<name>topic|top)(?=[\s>])", re.IGNORECASE)
_SHAPE = "xqe reads <top>, <topic number=...>, TSV and JSONL; see docs/cli.md"


def topics(path: Path, fields: str | None, lang: str, called: Fields | None = None) -> Stream[Query]:
    """The queries of a file of topics in a language: of their fields those that `fields` names, joined by +. called:
    what the fields of queries without topics are called.

    Raises XqeError for fields that topics do not have; the stream raises InputError for a file without topics, a topic
    without one of the fields, and topics that say that they are in other languages only.
    """
    wanted = (fields or FIELDS[0]).split("+")
    if not set(wanted) <= set(FIELDS):
        raise XqeError(f'--topic "{fields}": not fields of a topic', f"{', '.join(FIELDS)}, joined by +")
    head = next((text for _, text in jsonl.lines(str(path))), "").lstrip()
    if called is not None:
        return query_file(path, fields=called)
    if head.startswith("<"):
        return lambda: _of_elements(path, wanted, lang)
    if head.startswith("{") and '"topics"' in head:
        return lambda: _of_languages(path, wanted, lang)
    if fields is not None:
        raise XqeError(f"--topic {fields}: {path} has no fields", "it is for topics with <title> and <desc>")
    return query_file(path)


# ---------------------------------------------------------------- elements


@dataclass(frozen=True, slots=True)
class _Topic:
    """fields: (language or "", field) -> text. lang: of the whole topic, "" where it does not say."""

    where: str
    lang: str
    fields: dict[tuple[str, str], str]

    @property
    def languages(self) -> set[str]:
        return {lang or self.lang for lang, field in self.fields if field != _NUMBER} - {""}


def _of_elements(path: Path, wanted: Sequence[str], lang: str) -> Iterator[Placed[Query]]:
    found = list(_parsed(path))
    if not found:
        raise InputError(f"{path}: no topic was read", _SHAPE)
    marked = set().union(*(topic.languages for topic in found))
    if marked and lang not in marked and not any(not topic.languages for topic in found):
        raise InputError(f"{path}: topics in {', '.join(sorted(marked))}, and not in {lang}", "see --query-lang")
    for topic in found:
        if not topic.languages or lang in topic.languages:
            yield topic.where, _query(topic, wanted, lang)


def _query(topic: _Topic, wanted: Sequence[str], lang: str) -> Query:
    values = {}
    for field in (_NUMBER, *wanted):
        of_field = [topic.fields[key] for key in ((lang, field), ("", field)) if key in topic.fields]
        if not of_field:
            has = ", ".join(dict.fromkeys(field for _, field in topic.fields))
            raise InputError(f"{topic.where}: a topic without <{field}>", f"it has {has or 'no field'}; see --topic")
        values[field] = of_field[0]
    return values[_NUMBER], " ".join(filter(None, (values[field] for field in wanted)))


def _parsed(path: Path) -> Iterator[_Topic]:
    places: list[str] = []
    starts: list[int] = []
    lines: list[str] = []
    length = 0
    for where, line in jsonl.lines(str(path)):
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
        number_in_tag = next((attributes[key] for key in _NUMBERED if key in attributes), None)
        if number_in_tag is not None:
            fields.setdefault(("", _NUMBER), number_in_tag.strip())
        yield _Topic(where, _code(attributes), fields)


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
        key = (lang or _code(attributes_of(tag["attributes"] or "")), field)
        found.setdefault(key, bare_line(inside[label.end() :] if label else inside))
    return found


def _field(name: str) -> tuple[str, str]:
    """The language that an element names, and its field; "" for none."""
    name = name.lower()
    if (prefixed := _PREFIXED.fullmatch(name)) and prefixed[2] in _ELEMENTS:
        return code_of(prefixed[1]), _ELEMENTS[prefixed[2]]
    return "", _ELEMENTS.get(name, "")


def _ends_field(tag: re.Match[str], text: str) -> bool:
    """Whether a tag ends a field that has no tag of its own to end it: one that is known, or that begins a line."""
    before = text[text.rfind("\n", 0, tag.start()) + 1 : tag.start()]
    return bool(_field(tag["name"])[1]) or tag["name"].lower() in _OTHERS or not before.strip()


def _code(attributes: dict[str, str]) -> str:
    return code_of(attributes.get("lang") or attributes.get("xml:lang") or "")


# ---------------------------------------------------------------- several languages a line


def _of_languages(path: Path, wanted: Sequence[str], lang: str) -> Iterator[Placed[Query]]:
    for where, raw in jsonl.objects(str(path)):
        each = raw.get("topics") if isinstance(raw, dict) else None
        if not isinstance(each, list) or not all(isinstance(one, dict) for one in each) or "topic_id" not in raw:
            raise InputError(f"{where}: not a topic of HC4", 'each line needs {"topic_id", "topics": [{"lang", ...}]}')
        there = [one for one in each if code_of(str(one.get("lang", ""))) == lang]
        if not there:
            has = ", ".join(dict.fromkeys(str(one.get("lang")) for one in each))
            raise InputError(f"{where}: a topic in {has}, and not in {lang}", "see --query-lang")
        yield where, (str(raw["topic_id"]), _text(min(there, key=_rank), wanted, where))


def _rank(topic: dict[str, Any]) -> int:
    """What people wrote is before what they translated, and that before what a machine did."""
    source = topic.get("source", _SOURCES[0])
    return _SOURCES.index(source) if source in _SOURCES else len(_SOURCES)


def _text(topic: dict[str, Any], wanted: Sequence[str], where: str) -> str:
    values = [topic.get(_JSON_FIELDS[field]) for field in wanted]
    for field, value in zip(wanted, values, strict=True):
        if not isinstance(value, str):
            raise InputError(f"{where}: a topic without {_JSON_FIELDS[field]}", "see --topic")
    return " ".join(" ".join(str(value).split()) for value in values if value)
