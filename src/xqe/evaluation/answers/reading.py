"""Answers as runs hold them, and what is known to be right: reading the records of `xqe answer`, and gold answers.

    answer      {"lang", "text", "sentences": [{"text", "sources": [document ids]}], "refused"}
    its step    {"step": "answer", "offered": [document ids], "invalid": numbers that were none of theirs}

An answer of another system may be a text alone. Gold answers are JSONL in one of these forms, each line of a question:

| form                | how it is written                                                             |
| ------------------- | ----------------------------------------------------------------------------- |
| xqe's, XOR-TyDi QA  | {"id", "lang", "answers": ["…", …]}; "answer" for one alone, "lang" may lack  |
| MKQA                | {"example_id", "answers": {"de": [{"text", "aliases": ["…"]}], …}}            |
| SQuAD's, flattened  | {"id", "answers": {"text": ["…", …]}}                                         |

No answer is "", null, [] or, as in the MIA shared task, "No Answer": it is then right to refuse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from xqe.errors import InputError
from xqe.files import jsonl
from xqe.files.records import Record, has_failed
from xqe.files.trec import Answer, file_name
from xqe.text.languages import code_of

_RUN_SHAPE = 'each line needs {"id", "answer"}; xqe answer writes them'
_ANSWER_SHAPE = '"answer" is {"lang", "text", "sentences": [{"text", "sources"}]}'
_GOLD_SHAPE = 'each line needs {"id", "answers": ["…"]}, and may have "lang"'
_NONE = ("", "No Answer")


@dataclass(frozen=True, slots=True)
class Sentence:
    """sources: the ids of the documents that it rests on, as it says."""

    text: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Given:
    """An answer. lang: that it should be in, "" where that is not said. refused: it says that the documents do not
    tell. offered: the ids of the documents that were there to cite; None where that is not said. invalid: citations of
    what was not there, which are none of the sources."""

    text: str
    lang: str
    sentences: tuple[Sentence, ...] = ()
    refused: bool = False
    offered: tuple[str, ...] | None = None
    invalid: int = 0


@dataclass(frozen=True, slots=True)
class Answered(Answer):
    """What a run holds for one question; it has no hits. given: None where a stage could not do it."""

    given: Given | None = None


Golds = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Question -> language, "" where it is not said -> the answers that are right, none where there is none."""


def read_answers(path: str) -> Iterator[Answered]:
    """Yield the answers of a run in its order. Raises InputError for a line without one that is not of a failed
    record."""
    is_empty = True
    for where, text in jsonl.lines(path):
        is_empty = False
        if not text.lstrip().startswith(("{", "[")):
            raise InputError(f"{where}: no JSON record", _RUN_SHAPE)
        yield _answered(jsonl.value(text, where), where)
    if is_empty:
        raise InputError(f"{file_name(path)}: empty run", _RUN_SHAPE)


def _answered(record: Any, where: str) -> Answered:
    if not isinstance(record, dict):
        raise InputError(f"{where}: not a JSON object", _RUN_SHAPE)
    identifier = _identifier(record.get("id"))
    if identifier is None:
        raise InputError(f'{where}: "id" is not a string', 'for example "id": "q1"')
    answer = record.get("answer")
    if answer is None:
        if not has_failed(record):
            raise InputError(f'{where}: question "{identifier}" has no "answer"', "answer first: xqe answer DIR")
        return Answered(identifier, {}, where, record)
    if isinstance(answer, str):
        return Answered(identifier, {}, where, record, given=Given(answer, _lang(record)))
    return Answered(identifier, {}, where, record, given=_given(answer, record, where))


def _given(answer: Any, record: Record, where: str) -> Given:
    fits = isinstance(answer, dict) and isinstance(answer.get("text"), str)
    sentences = answer.get("sentences", []) if fits else None
    if not isinstance(sentences, list) or not all(map(_is_sentence, sentences)):
        raise InputError(f'{where}: "answer" has another form', _ANSWER_SHAPE)
    lang = answer.get("lang")
    steps = [step for step in record.get("steps") or () if isinstance(step, dict) and step.get("step") == "answer"]
    step = steps[-1] if steps else {}
    offered, invalid = step.get("offered"), step.get("invalid", 0)
    if not (offered is None or _are_texts(offered)) or type(invalid) is not int or invalid < 0:
        hint = '"offered" is a list of ids, "invalid" a count'
        raise InputError(f'{where}: the step "answer" has another form', hint)
    return Given(
        answer["text"],
        lang if isinstance(lang, str) else _lang(record),
        tuple(Sentence(sentence["text"], tuple(sentence.get("sources", ()))) for sentence in sentences),
        answer.get("refused") is True,
        None if offered is None else tuple(offered),
        invalid,
    )


def _is_sentence(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("text"), str) and _are_texts(value.get("sources", []))


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _lang(record: Record) -> str:
    """The language that a question was asked in, "" where it is not said."""
    source = record.get("source")
    lang = source.get("lang") if isinstance(source, dict) else record.get("lang")
    return lang if isinstance(lang, str) else ""


def asked_in(answered: Answered) -> str:
    """The language that an answer should be in, "" where it is not said."""
    lang = answered.given.lang if answered.given is not None else _lang(answered.record or {})
    return code_of(lang) if lang else ""


def _identifier(value: Any) -> str | None:
    if isinstance(value, str) and value:
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def read_golds(path: str) -> Golds:
    """Return the gold answers of a file. Raises InputError for a line of another form, and for a question that comes
    twice in a language."""
    golds: dict[str, dict[str, tuple[str, ...]]] = {}
    for where, raw in jsonl.objects(path):
        if not isinstance(raw, dict):
            raise InputError(f"{where}: not a JSON object", _GOLD_SHAPE)
        identifier = _identifier(raw.get("id", raw.get("example_id")))
        if identifier is None:
            raise InputError(f'{where}: no "id"', _GOLD_SHAPE)
        own = golds.setdefault(identifier, {})
        for lang, answers in _by_language(raw, where):
            if lang in own:
                named = f" in {lang}" if lang else ""
                raise InputError(f'{where}: question "{identifier}" again{named}', "keep one, with all its answers")
            own[lang] = answers
    if not golds:
        raise InputError(f"{file_name(path)}: no gold answers", _GOLD_SHAPE)
    return golds


def _by_language(raw: Mapping[str, Any], where: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The answers of a line in each of its languages; those of two spellings of one language together."""
    field = "answers" if "answers" in raw else "answer"
    if field not in raw:
        raise InputError(f'{where}: no "answers"', _GOLD_SHAPE)
    answers = raw[field]
    lang = raw.get("lang", "")
    if not isinstance(lang, str):
        raise InputError(f'{where}: "lang" is not a string', _GOLD_SHAPE)
    if not isinstance(answers, dict) or "text" in answers:
        yield code_of(lang) if lang else "", _texts(answers, where)
        return
    if not answers:
        raise InputError(f'{where}: "answers" names no language', _GOLD_SHAPE)
    found: dict[str, list[str]] = {}
    for its, some in answers.items():
        found.setdefault(code_of(its), []).extend(_texts(some, where))
    yield from ((its, tuple(dict.fromkeys(some))) for its, some in found.items())


def _texts(answers: Any, where: str) -> tuple[str, ...]:
    """The texts of an answer or of several, without those that say that there is none."""
    if answers is None:
        return ()
    if isinstance(answers, str):
        return () if answers.strip() in _NONE else (answers,)
    if isinstance(answers, dict) and "text" in answers:
        return (*_texts(answers["text"], where), *_texts(answers.get("aliases"), where))
    if isinstance(answers, list):
        return tuple(dict.fromkeys(text for one in answers for text in _texts(one, where)))
    raise InputError(f'{where}: "answers" has another form', _GOLD_SHAPE)
