"""The topics of TREC and of those who followed it, as queries in one language.

Elements are read by `files.topics`. HC4's and NeuCLIR's are a line of JSON each, {"topic_id", "topics": [{"lang",
"topic_title", ...}]}; JSONL, CSV and TSV are as every command reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from xqe.collections.conversion import Placed, Query, Stream, query_file
from xqe.errors import InputError, XqeError
from xqe.files import jsonl
from xqe.files.fields import Fields
from xqe.files.topics import NUMBER, SHAPE, Topic
from xqe.files.topics import topics as elements
from xqe.text.languages import code_of

FIELDS = ("title", "desc", "narr")
"""What --topic names; JSON says topic_title, topic_description, topic_narrative."""

_JSON_FIELDS = {"title": "topic_title", "desc": "topic_description", "narr": "topic_narrative"}
_SOURCES = ("original", "human translation")


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


def _of_elements(path: Path, wanted: Sequence[str], lang: str) -> Iterator[Placed[Query]]:
    found = list(map(_spoken, elements(jsonl.lines(str(path)))))
    if not found:
        raise InputError(f"{path}: no topic was read", SHAPE)
    marked = set().union(*(topic.languages for topic in found)) - {""}
    if marked and lang not in marked and all(topic.languages - {""} for topic in found):
        raise InputError(f"{path}: topics in {', '.join(sorted(marked))}, and not in {lang}", "see --query-lang")
    for topic in found:
        if not topic.languages - {""} or lang in topic.languages:
            yield topic.where, _query(topic, wanted, lang)


def _spoken(topic: Topic) -> Topic:
    """A topic with languages as xqe spells them."""
    fields: dict[tuple[str, str], str] = {}
    for (lang, field), text in topic.fields.items():
        fields.setdefault((code_of(lang), field), text)
    return Topic(topic.where, code_of(topic.lang), fields)


def _query(topic: Topic, wanted: Sequence[str], lang: str) -> Query:
    values = {}
    for field in (NUMBER, *wanted):
        of_field = [topic.fields[key] for key in ((lang, field), ("", field)) if key in topic.fields]
        if not of_field:
            has = ", ".join(dict.fromkeys(field for _, field in topic.fields))
            raise InputError(f"{topic.where}: a topic without <{field}>", f"it has {has or 'no field'}; see --topic")
        values[field] = of_field[0]
    return values[NUMBER], " ".join(filter(None, (values[field] for field in wanted)))


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
