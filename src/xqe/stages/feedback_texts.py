"""The documents that a record's hits show to a model that expands: `xqe search --texts` puts their texts there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from xqe.errors import XqeError
from xqe.files.records import Record
from xqe.models.engines.base import Engine
from xqe.models.prompts import Prompt
from xqe.stages.fitting import fitted, room_for_texts
from xqe.stages.generation import one_line
from xqe.stages.hits import ordered
from xqe.text.languages import Language, code_of, known

DOCUMENT_TOKENS = 128
"""Of a document at most, as LameR cuts them (section 4)."""
HINT = "xqe search --texts writes them: xqe search DIR --texts -k 10 | xqe expand"


class Read(NamedTuple):
    """Documents that are read. language: of most of them, None where their hits and index do not say one."""

    ids: list[str]
    texts: list[str]
    language: Language | None


def has_texts(record: Record) -> bool:
    """Whether a record has a hit with a text."""
    return any(_text(hit) for hit in _hits(record))


def read(record: Record, n: int) -> Read:
    """The best `n` hits with their texts, none where nothing was found. Raises XqeError where nothing was searched, and
    for a hit that has no text."""
    if "hits" not in record:
        raise XqeError("no hits to read", HINT)
    hits = ordered({**record, "hits": _hits(record)})[:n]
    if lacking := next((hit["id"] for hit in hits if not _text(hit)), None):
        raise XqeError(f'the hit "{lacking}" has no text to read', HINT)
    index = record.get("index")
    only = index.get("lang") if isinstance(index, dict) else None
    codes = Counter(code_of(str(hit.get("lang") or only or "")) for hit in hits)
    most = known(codes.most_common(1)[0][0]) if codes else None
    return Read([str(hit["id"]) for hit in hits], [one_line(_text(hit)) for hit in hits], most)


def shown(texts: Sequence[str], prompt: Callable[[str], Prompt], answer: int, engine: Engine) -> str:
    """Documents as a prompt shows them, a line each with a number, as much of each as there is room for. prompt: makes
    the whole prompt. answer: tokens of the answer."""
    room = room_for_texts(engine, prompt(_numbered([""] * len(texts))), answer)
    fitting, _ = fitted(texts, DOCUMENT_TOKENS, engine, room)
    return _numbered(fitting)


def _numbered(texts: Sequence[str]) -> str:
    return "\n".join(f"{number}. {text}" for number, text in enumerate(texts, 1))


def _hits(record: Record) -> list[dict[str, Any]]:
    hits = record.get("hits") or []
    if not isinstance(hits, list) or not all(map(_is_hit, hits)):
        raise XqeError('"hits" is not a list of {"id", "score"}', HINT)
    return hits


def _is_hit(hit: Any) -> bool:
    is_scored = isinstance(hit, dict) and isinstance(hit.get("score"), int | float)
    return is_scored and isinstance(hit.get("id"), str)


def _text(hit: dict[str, Any]) -> str:
    text = hit.get("text")
    return text.strip() if isinstance(text, str) else ""
