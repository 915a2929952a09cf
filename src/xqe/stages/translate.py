"""The translation stage: the query, and the passages where there are any (that is E+T), each from its own language."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from xqe.errors import XqeError
from xqe.files.records import Record, advanced, passages_lang
from xqe.models import examples, prompts
from xqe.models.engines.base import Engine
from xqe.models.engines.requests import Request, Sampling
from xqe.models.prompts import Prompt, Template
from xqe.stages.generation import Answer, one_line, provenance, request
from xqe.text.answers.parting import Field, Wanted
from xqe.text.languages import Language, language

QUERY_TOKENS = 64
PASSAGE_TOKENS = 384
# What a pretrained model is shown of how many built-in examples. Queries come as full questions and as short
# phrases, in turn: of ten ways to arrange them that was the best, on real and on the fixtures' queries. Three passages
# are enough, each of some eighty tokens in each language.
_SHOWN = {"query": (("rephrasing", "query"), 5), "passage": (("passage",), 3)}


class Translate:
    """Translates records into `target`. What is in that language already stays as it is: a record, or passages that
    were written in another language than their query's.

    max_tokens: for one text; None is QUERY_TOKENS for a query and PASSAGE_TOKENS for a passage. A text that is short
    gets less, since a pretrained model that falls into a loop would fill whatever there is: see `most_tokens`. A chat
    model gets all of a limit that is given: it may think first.
    """

    name = "translate"

    def __init__(
        self,
        engine: Engine,
        target: Language,
        sampling: Sampling | None = None,
        max_tokens: int | None = None,
    ) -> None:
        self._engine = engine
        self._target = target
        self._sampling = sampling or Sampling()
        self._is_given = max_tokens is not None
        self._max_tokens = {"query": max_tokens or QUERY_TOKENS, "passage": max_tokens or PASSAGE_TOKENS}
        self._templates: dict[str, Template] = {field: prompts.builtin(f"translate-{field}") for field in _SHOWN}

    def requests(self, record: Record) -> list[Request]:
        return [
            self._request(record, number, field, text, origin)
            for number, (field, text, origin) in enumerate(_texts(record))
            if origin.code != self._target.code
        ]

    def wanted(self, record: Record) -> list[Wanted]:
        return [
            Wanted(field, one_line(text), frozenset({origin.code, self._target.code}), is_translation=True)
            for field, text, origin in _texts(record)
            if origin.code != self._target.code
        ]

    def result(self, record: Record, answers: Sequence[Answer]) -> Record:
        made = iter(answers)
        texts: dict[str, list[str]] = {"query": [], "passage": []}
        origins: dict[str, str] = {}
        for field, text, origin in _texts(record):
            if origin.code != self._target.code:
                text = next(made).text
                origins[field] = origin.code
            texts[field].append(text)
        step = {
            "step": self.name,
            **_from(origins),
            "to": self._target.code,
            **provenance(self._engine, self._sampling, self._limits(origins), answers),
        }
        passages = {"passages": texts["passage"]} if texts["passage"] else {}
        [query] = texts["query"]
        return advanced(record, step, query=query, lang=self._target.code, **passages, passages_lang=None)

    def _request(self, record: Record, number: int, field: str, text: str, origin: Language) -> Request:
        if not text.strip():
            raise XqeError(f"the {field} is empty")
        limit = self._max_tokens[field]
        if not (self._is_given and self._engine.is_chat):
            limit = most_tokens(text, limit)
        return request(self._prompt(text, field, origin), text, limit, self._sampling, record, number)

    def _limits(self, fields: Iterable[str]) -> int | dict[str, int]:
        limits = {field: limit for field, limit in self._max_tokens.items() if field in fields}
        return limits["query"] if list(limits) == ["query"] else limits

    def _prompt(self, text: str, field: str, origin: Language) -> Prompt:
        template, is_chat = self._templates[field], self._engine.is_chat
        shown = examples.translations(origin, self._target, *_SHOWN[field]) if template.shows_examples(is_chat) else []
        variables = {"text": one_line(text), "source_language": origin.name, "target_language": self._target.name}
        return template.render(is_chat, variables, shown)


def most_tokens(text: str, limit: int) -> int:
    """The most tokens that a translation of `text` may take: a token for each two bytes of it in UTF-8, and some more.

    A token of multilingual vocabularies is two to four bytes of text, in every script, so that this is about twice
    what a faithful translation needs.
    """
    return min(limit, 16 + len(text.encode("utf-8", "replace")) // 2)


def _texts(record: Record) -> Iterator[tuple[Field, str, Language]]:
    """The query and then the passages, each with what it is and with its language."""
    spoken = language(record.get("lang", ""))
    yield "query", record["query"], spoken
    if passages := record.get("passages"):
        written = language(passages_lang(record))
        yield from (("passage", text, written) for text in passages)


def _from(origins: Mapping[str, str]) -> dict[str, str]:
    """What a step says of the languages that it translated from."""
    first, *others = dict.fromkeys(origins.values())
    return {"from": first, **({"passages_from": others[0]} if others else {})}
