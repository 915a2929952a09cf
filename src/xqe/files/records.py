"""The query record and the document: reading and writing their fields, and nothing of files.

A record is a plain dict, one JSON object a line. A stage adds or replaces the fields that it owns and
leaves all others alone (docs/cli.md, "The record"):

    id, query, lang, passages   the current state, what the next stage works on
    passages_lang               the language of the passages, where it is not the query's
    translations                of the query, where it has several: [{"text", "share"}]
    closeness                   how close "query" and each of "passages" are to the query as it first arrived
    combine                     how search puts the passages together with the query, where not as usual
    source                      the record's query and lang as they first arrived
    steps                       provenance, one entry a stage; their order is the order of T and E
    index, hits                 what a search found, best first
    error                       {"step", "message"} of the first stage that could not do this record

A document that goes through a stage is such a record, too: id, title, text, lang, source, steps, error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xqe.errors import InputError
from xqe.files.fields import has

Record = dict[str, Any]

QUERY_SHAPE = 'each line needs {"id", "query", "lang"}'
DOCUMENT_SHAPE = 'each line needs {"id", "text"} and may have "title"'
QUESTIONS_SHAPE = 'xqe augment writes them: "questions": {"de": ["Was ist Zink?"]}'

TRANSLATIONS, CLOSENESS = "translations", "closeness"

QUERY_IDS = ("id", "_id", "qid", "query_id")
DOCUMENT_IDS = ("id", "_id", "pid", "docid", "doc_id", "docno")
"""The spellings of an id, the first that is there: a passage of MS MARCO v2 has "pid", and "docid" of its document."""
TEXT_FIELDS = ("text", "contents", "body", "passage", "segment")


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it is indexed: `text` is what is searched, `title` is put before it where there is one.

    An empty line parts them, so that the title's last word and the text's first stay two in every language. lang: as
    the document itself names it, "" where it does not. questions: that it answers, by their language; None for none.
    """

    id: str
    text: str
    title: str = ""
    lang: str = ""
    questions: Mapping[str, list[str]] | None = None

    @property
    def searched(self) -> str:
        return f"{self.title}\n\n{self.text}" if self.title else self.text


def check_query(raw: Any, where: str, options: str = "--id-field and --text-field") -> Record:
    """Return `raw` as a record, with a string id; `where` ("file:line") goes into the error, and the options that name
    fields.

    An integer id becomes its decimal string, since runs and qrels hold strings. BEIR's {"_id", "text"} queries are read
    as {"id", "query"}, and "language" as "lang". Raises InputError that names the missing or ill-typed field, or the
    form of topics that hold a query in several languages.
    """
    if not isinstance(raw, dict):
        raise InputError(f"{where}: not a JSON object", QUERY_SHAPE)
    record: Record = raw
    if "id" not in record:
        spelling = next((field for field in QUERY_IDS if field in record), None)
        if spelling is None and "topic_id" in record:
            raise InputError(f"{where}: a topic of HC4 or NeuCLIR", "xqe data convert trec reads it: --queries FILE")
        if spelling is None:
            raise InputError(f'{where}: missing "id"', _lacking_query(raw, options))
        record = {"id": record[spelling], **{k: v for k, v in record.items() if k != spelling}}
    if "query" not in record and isinstance(record.get("text"), str):
        record = {("query" if k == "text" else k): v for k, v in record.items()}
    if "lang" not in record and isinstance(record.get("language"), str):
        record = {("lang" if k == "language" else k): v for k, v in record.items()}
    record["id"] = _identifier(record["id"], where)
    if "query" not in record:
        raise InputError(f'{where}: missing "query"', _lacking_query(raw, options))
    if not isinstance(record["query"], str):
        raise InputError(f'{where}: "query" is not a string', QUERY_SHAPE)
    if not isinstance(record.get("lang", ""), str):
        raise InputError(f'{where}: "lang" is not a string', QUERY_SHAPE)
    if not isinstance(record.get("passages_lang", ""), str):
        raise InputError(f'{where}: "passages_lang" is not a string', QUERY_SHAPE)
    passages = record.get("passages", [])
    if not isinstance(passages, list) or not all(isinstance(p, str) for p in passages):
        raise InputError(f'{where}: "passages" is not a list of strings', QUERY_SHAPE)
    if not isinstance(record.get("steps", []), list):
        raise InputError(f'{where}: "steps" is not a list', QUERY_SHAPE)
    if not isinstance(record.get("source", {}), dict):
        raise InputError(f'{where}: "source" is not an object', QUERY_SHAPE)
    check_error(record, where)
    return record


def check_error(record: Record, where: str) -> None:
    """Raise InputError for an "error" that no stage has written."""
    if has_failed(record) and not failure(record):
        raise InputError(f'{where}: an "error" that is none of a stage', "give that field another name")


def check_document(raw: Any, where: str) -> Document:
    """Return the document in `raw`, in xqe's spelling or Pyserini's, BEIR's, MIRACL's or MS MARCO's."""
    if not isinstance(raw, dict):
        raise InputError(f"{where}: not a JSON object", DOCUMENT_SHAPE)
    id_field = _spelt(raw, DOCUMENT_IDS)
    if id_field is None:
        raise InputError(f'{where}: missing "id"', _lacking(raw))
    text_field = _spelt(raw, TEXT_FIELDS)
    if text_field is None:
        raise InputError(f'{where}: missing "text"', _lacking(raw))
    text, title = raw[text_field], raw.get("title") or ""
    if not isinstance(text, str) or not isinstance(title, str):
        raise InputError(f'{where}: "{text_field}" and "title" must be strings', DOCUMENT_SHAPE)
    lang = raw.get("lang", raw.get("language"))
    return Document(
        _identifier(raw[id_field], where),
        text,
        title,
        lang if isinstance(lang, str) else "",
        _questions(raw.get("questions"), where),
    )


def _lacking(raw: Mapping[str, Any]) -> str:
    return f"{has(raw)}; --id-field, --text-field and --title-field say which field is which" if raw else DOCUMENT_SHAPE


def _lacking_query(raw: Mapping[str, Any], options: str) -> str:
    return f"{has(raw)}; {options} say which field is which" if raw else QUERY_SHAPE


def _questions(value: Any, where: str) -> Mapping[str, list[str]] | None:
    """The questions of a document."""
    if value is None:
        return None
    if not isinstance(value, dict) or not all(isinstance(some, list) for some in value.values()):
        raise InputError(f'{where}: "questions" is not an object of lists', QUESTIONS_SHAPE)
    for lang, some in value.items():
        if not all(isinstance(question, str) and question.strip() for question in some):
            raise InputError(f'{where}: "questions" in "{lang}" holds what is no text', QUESTIONS_SHAPE)
    return value


def document_record(raw: Any, where: str) -> Record:
    """Return the document in `raw` with all that it has, its id and its text named "id" and "text".

    Raises InputError as `check_document` does, and for a "lang" or "steps" of another type.
    """
    document = check_document(raw, where)
    if not isinstance(raw.get("lang", ""), str):
        raise InputError(f'{where}: "lang" is not a string', DOCUMENT_SHAPE)
    if not isinstance(raw.get("steps", []), list):
        raise InputError(f'{where}: "steps" is not a list', DOCUMENT_SHAPE)
    own = {_spelt(raw, DOCUMENT_IDS): "id", _spelt(raw, TEXT_FIELDS): "text"}
    if "lang" not in raw and isinstance(raw.get("language"), str):
        own["language"] = "lang"
    return {**{own.get(field, field): value for field, value in raw.items()}, "id": document.id}


def _spelt(raw: Mapping[str, Any], spellings: Sequence[str]) -> str | None:
    """How a field is called, the first that is there; None for none."""
    return next((field for field in spellings if field in raw), None)


def _identifier(value: Any, where: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value:
        raise InputError(f'{where}: "id" must be a non-empty string or an integer', 'for example "id": "q1"')
    if value.split() != [value]:
        raise InputError(
            f'{where}: "id" {value!r} contains white space', "TREC runs and qrels separate fields by white space"
        )
    return value


def advanced(record: Record, step: Mapping[str, Any], **changes: Any) -> Record:
    """Return a copy of `record` after a stage: `changes` applied, `source` kept, `step` added to `steps`.

    A change to None removes the field. What was said of how close texts are is not said of others.
    """
    out = dict(record)
    if changes.keys() & {"query", "passages"}:
        out.pop(CLOSENESS, None)
    if "source" not in out:
        out["source"] = {key: out[key] for key in ("query", "lang") if key in out}
    for key, value in changes.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = value
    out["steps"] = [*record.get("steps", ()), dict(step)]
    return out


def failed(record: Record, step: str, message: str) -> Record:
    """Return a copy of `record` in its last good state, marked with the stage that could not do it."""
    return {**record, "error": {"step": step, "message": " ".join(message.split())}}


def untranslated(record: Mapping[str, Any], where: str) -> str:
    """The query as it first arrived; "" if it is the query still. Raises InputError, which says `where`."""
    text = record.get("source", {}).get("query", "")
    if not isinstance(text, str):
        raise InputError(f'{where}: "query" of "source" is not a string', "it is the query as it first arrived")
    return text if text != record["query"] else ""


def as_asked(record: Mapping[str, Any]) -> str:
    """The query as it first arrived, whether it is the query still or not."""
    source = record.get("source")
    asked = source.get("query") if isinstance(source, dict) else None
    return asked if isinstance(asked, str) else str(record["query"])


def passages_lang(record: Mapping[str, Any]) -> str:
    """The language of a record's passages: that of the query, unless they name their own."""
    return str(record.get("passages_lang") or record.get("lang", ""))


def failed_document(raw: Any) -> str:
    """What an earlier stage says of a document whose text it could not make; "" for any other, as for one that only
    lacks the questions that it should have."""
    said = failure(raw)
    return "" if said.startswith("augment: ") else said


def failure(raw: Any) -> str:
    """What an earlier stage says of a record that it could not do; "" for any other, and for an "error" of its own."""
    error = raw.get("error") if isinstance(raw, dict) else None
    if not isinstance(error, dict) or not {"step", "message"} <= error.keys():
        return ""
    return f"{error['step']}: {error['message']}"


def has_failed(record: Mapping[str, Any]) -> bool:
    return record.get("error") is not None
