"""The translation stage: the query, and the passages where there are any (that is E+T)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xqe import examples, prompts
from xqe.engines.base import Completion, Engine, Request, Sampling
from xqe.errors import XqeError
from xqe.generation import clean, one_line, provenance, request
from xqe.languages import Language, language
from xqe.prompts import Prompt, Template
from xqe.records import Record, advanced

QUERY_TOKENS = 64
PASSAGE_TOKENS = 384
# What a pretrained model is shown of how many built-in examples. Queries come as full questions and as short
# phrases, in turn: of ten ways to arrange them that was the best, on real and on the fixtures' queries. Three passages
# are enough, each of some eighty tokens in each language.
_SHOWN = {"query": (("rephrasing", "query"), 5), "passage": (("passage",), 3)}


class Translate:
    """Translates records into `target`. A record that is in that language already passes unchanged.

    max_tokens: for one text; None is QUERY_TOKENS for a query and PASSAGE_TOKENS for a passage. A text that is short
    gets less, since a pretrained model that falls into a loop would fill whatever there is: see `most_tokens`.
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
        self._max_tokens = {"query": max_tokens or QUERY_TOKENS, "passage": max_tokens or PASSAGE_TOKENS}
        self._templates: dict[str, Template] = {field: prompts.builtin(f"translate-{field}") for field in _SHOWN}

    def requests(self, record: Record) -> list[Request]:
        origin = language(record.get("lang", ""))
        if origin.code == self._target.code:
            return []
        return [
            request(
                self._prompt(text, field, origin),
                text,
                most_tokens(text, self._max_tokens[field]),
                self._sampling,
                record,
                number,
            )
            for number, (field, text) in enumerate(_texts(record))
        ]

    def result(self, record: Record, completions: Sequence[Completion]) -> Record:
        query, *passages = (clean(completion.text) for completion in completions)
        limits = self._max_tokens if passages else self._max_tokens["query"]
        step = {
            "step": self.name,
            "from": language(record["lang"]).code,
            "to": self._target.code,
            **provenance(self._engine, self._sampling, limits, completions),
        }
        # Some chat models add remarks below the translation of a query; a query is one line.
        return advanced(
            record,
            step,
            query=query.splitlines()[0].strip(),
            lang=self._target.code,
            **({"passages": passages} if passages else {}),
        )

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


def _texts(record: Record) -> Iterator[tuple[str, str]]:
    for field, texts in (("query", [record["query"]]), ("passage", record.get("passages", []))):
        for text in texts:
            if not text.strip():
                raise XqeError(f"the {field} is empty")
            yield field, text
