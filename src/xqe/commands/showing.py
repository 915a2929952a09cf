"""A record as a person reads it, by whichever command it was written: what it has, in one order.

Imports rich: load it in a command's body.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.text import Text as Styled

from xqe.commands.answering import answer_section, footnotes
from xqe.commands.screens import rendered
from xqe.commands.sections import ERROR, MATCH, NOTE, QUIET, Row, counted, plain, section
from xqe.files import jsonl
from xqe.files.records import CLOSENESS, TRANSLATIONS, Record, as_asked, failure, has_failed, passages_lang
from xqe.retrieval.choices import By
from xqe.stages.excerpts import HITS
from xqe.text.languages import name_of

_TEXT = 600  # characters of a document


def shown(record: Record, k: int = HITS, more: str = "") -> str:
    """A record, or a document, as text as wide as the terminal, and an empty line; as JSON where a field of it has
    another form than xqe writes. k: how many hits are shown. more: how more of them are shown."""
    try:
        parts = _parts(record, k, more)
    except (AttributeError, KeyError, TypeError, ValueError):
        parts = [section("record", plain(jsonl.dumps(record)))]
    return f"{rendered(*parts)}\n"


def _parts(record: Record, k: int, more: str) -> list[Any]:
    is_query = "query" in record
    heading = _query(record) if is_query else _document(record)
    rows = [row for part in _PARTS for row in part(record)]
    parts: list[Any] = [section("query" if is_query else "document", heading, rows)]
    if record.get("hits"):
        parts.append(section("hits", plain(_of_hits(record, k)), _hits(record, k, more)))
    elif record.get("hits") is not None and not has_failed(record):
        parts.append(section("hits", plain("nothing was found", NOTE), list(_found_nothing(record))))
    if isinstance(record.get("answer"), Mapping) and not has_failed(record):
        parts.append(answer_section(record, footnotes(record)))
    return parts


def _query(record: Record) -> Styled:
    return _named(record["query"], record)


def _document(record: Record) -> Styled:
    return _named(record.get("title") or "", record)


def _named(text: str, record: Record) -> Styled:
    """A text and the id of its record; the id alone where there is none."""
    if not text:
        return plain(identity(record), "bold")
    return Styled.assemble(plain(text, "bold"), plain(f"  {identity(record)}", QUIET))


def identity(record: Record) -> str:
    """The id of a record and its language, where it names one."""
    return f"{record['id']}, {name_of(record['lang'])}" if "lang" in record else str(record["id"])


# ---------------------------------------------------------------- what a record may have


def asked(record: Record) -> Iterator[Row]:
    """The query as it first arrived, where that is another."""
    source = as_asked(record) if "query" in record else ""
    if source != record.get("query", ""):
        lang = record["source"].get("lang")
        yield "asked as", Styled.assemble(plain(source), plain(f"  {name_of(lang)}" if lang else "", QUIET))


def translations(record: Record) -> Iterator[Row]:
    """Those that it has, and the part that each counts."""
    for one in record.get(TRANSLATIONS, ()):
        yield "", Styled.assemble(plain(f"{one.get('share', 0):.2f}  ", QUIET), plain(one["text"]))


def made_by(record: Record) -> Iterator[Row]:
    """What each step did, and with which model."""
    for step in record.get("steps", ()):
        if isinstance(step, Mapping):
            yield "made by", plain(described(step), QUIET)


def described(step: Mapping[str, Any]) -> str:
    """What a step of a record did, and with which model."""
    said = [str(step["step"])] if "step" in step else []
    if "from" in step and "to" in step:
        said.append(f"{name_of(step['from'])} → {name_of(step['to'])}")
    if "certain" in step:
        said.append(f"{name_of(step['lang'])}{'' if step['certain'] else ', a guess'}")
    if "strategy" in step:
        said.append(f"{step['strategy']} with {step['shots']} examples" if "shots" in step else str(step["strategy"]))
        if "to" in step:
            said.append(f"in {name_of(step['to'])}")
    if "why" in step:
        said.append(f"since {step['why']}")
    if "model" in step:
        said.append(str(step["model"]))
    return ", ".join(said)


def _cut_off(record: Record) -> Iterator[Row]:
    cut = [str(step.get("step")) for step in record.get("steps", ()) if _is_cut_off(step)]
    if cut:
        yield "note", plain(f"a text of {' and of '.join(dict.fromkeys(cut))} was cut off at its limit", NOTE)


def _is_cut_off(step: Any) -> bool:
    return isinstance(step, Mapping) and step.get("finish") == "length"


def _text(record: Record) -> Iterator[Row]:
    if "query" not in record:
        text = " ".join(record["text"].split())
        yield "text", plain(text if len(text) <= _TEXT else f"{text[:_TEXT].rstrip()} …")


def passages(record: Record) -> Iterator[Row]:
    """Those that it has, with their language where it is not the query's."""
    lang = passages_lang(record)
    other = f"  {name_of(lang)}" if lang != record.get("lang", "") else ""
    for passage in record.get("passages", ()):
        yield "passage", Styled.assemble(plain(passage), plain(other, QUIET))


def _questions(record: Record) -> Iterator[Row]:
    for lang, some in (record.get("questions") or {}).items():
        for question in some:
            yield str(lang), plain(question)


def _weights(record: Record) -> Iterator[Row]:
    """What counts how much, as far as the record says it."""
    said = []
    index = record.get("index") or {}
    by_words = index.get("sides", {}).get(By.BM25, index)
    if record.get("passages") and by_words.get("query_weight", 1) != 1:
        said.append(f"the query counts {by_words['query_weight']:.3g} times")
    elif record.get("combine"):
        said.append(", ".join(f"{name} {value}" for name, value in record["combine"].items()))
    if "source" in record and by_words.get("source_weight"):
        said.append(f"the untranslated query {times(by_words['source_weight'])}")
    close = record.get(CLOSENESS)
    if isinstance(close, Mapping) and "query" in close:
        said.append(f"closeness to the query as asked {close['query']:.2f}")
    if said:
        yield "weights", plain("; ".join(said), QUIET)


def _search(record: Record) -> Iterator[Row]:
    index = record.get("index")
    if isinstance(index, Mapping) and "by" in index:
        sides = index.get("sides", {index["by"]: index})
        by = [f"vectors of {side.get('encoder')}" if name == By.DENSE else "words" for name, side in sides.items()]
        yield "searched", plain(f"{index.get('name', '')}, by {' and '.join(by)}".lstrip(", "), QUIET)
    if isinstance(fusion := record.get("fusion"), Mapping):
        yield "fused by", plain(str(fusion.get("method", "")), QUIET)


def _failed(record: Record) -> Iterator[Row]:
    if said := failure(record):
        yield "failed", plain(said, ERROR)


_PARTS: tuple[Callable[[Record], Iterator[Row]], ...] = (
    asked,
    translations,
    _text,
    passages,
    _questions,
    made_by,
    _cut_off,
    _search,
    _weights,
    _failed,
)


def times(weight: Any) -> str:
    """How often something counts."""
    return f"{weight:g} times" if isinstance(weight, float | int) else "word by word"


# ---------------------------------------------------------------- hits


def _found_nothing(record: Record) -> Iterator[Row]:
    """What may help a query that was searched by words, and as it was asked."""
    index = record.get("index") or {}
    lang = index.get("lang")
    if index.get("by") == By.BM25 and isinstance(lang, str):
        said = f"the documents are in {name_of(lang)}"
        if record.get("lang", "") != lang:
            said = f"{said}; a query in another language: xqe translate --to {lang} … | xqe search, or xqe ask"
        yield "", plain(said, QUIET)


def _of_hits(record: Record, k: int) -> str:
    count = len(record["hits"])
    return counted(count, "document") if count <= k else f"the best {k:,} of {count:,}"


def _hits(record: Record, k: int, more: str) -> Iterator[Row]:
    hits = record["hits"]
    for rank, hit in enumerate(hits[:k], 1):
        yield f"{rank:,}", _hit(hit)
    if (left := len(hits) - k) > 0:
        yield "…", plain(f"{left:,} more{more}", QUIET)


def _hit(hit: Mapping[str, Any]) -> Styled:
    made = Styled.assemble(
        plain(hit["id"], "bold"),
        plain(f"  {hit['score']:.5g}" if "score" in hit else ""),
        plain(f"  {hit['title']}" if hit.get("title") else ""),
        plain(f"  {hit['lang']}" if "lang" in hit else "", QUIET),
    )
    for line in (_snippet(hit), plain(_origin(hit), QUIET)):
        if line:
            made.append("\n").append_text(line)
    return made


def _snippet(hit: Mapping[str, Any]) -> Styled:
    """The snippet of a hit, its matches marked, without the title, which stands above; "" where there is none."""
    if "snippet" not in hit:
        return plain("")
    text, title = hit["snippet"]["text"], hit.get("title", "")
    made = plain(text)
    for start, end in hit["snippet"]["matches"]:
        made.stylize(MATCH, start, end)
    rest = (text[len(title) :] if text.startswith(title) else text).lstrip(" ·")
    return made[len(text) - len(rest) :]


def _origin(hit: Mapping[str, Any]) -> str:
    """Where a hit of a fusion or of a re-ranking stood before."""
    before = hit.get("from") or ()
    sides = before.items() if isinstance(before, Mapping) else ((one["run"], one) for one in before)
    said = [f"{name}: rank {side['rank']:,}, {side['score']:.5g}" for name, side in sides]
    if isinstance(told := hit.get("reranked"), Mapping):
        said.append(f"before: rank {told['rank']:,}, {told['first']:.5g}")
    return " · ".join(said)
