"""The translation stage: the query, and the passages where there are any (that is E+T), each from its own language."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xqe.errors import XqeError
from xqe.files.records import Record, advanced, passages_lang
from xqe.models import examples, prompts
from xqe.models.engines.base import Engine
from xqe.models.engines.requests import Request, Sampling
from xqe.models.examples import Example
from xqe.models.examples.pairs import FIELDS as PAIR_FIELDS
from xqe.models.examples.pairs import Pairs
from xqe.models.prompts import Prompt, Template
from xqe.models.prompts.nearby import NEARBY, showing
from xqe.stages.generation import Answer, one_line, provenance, request
from xqe.stages.librarian.guide import Guide
from xqe.stages.nbest import translations
from xqe.text.answers.parting import Field, Wanted
from xqe.text.languages import Language, language
from xqe.text.sentences import sentences

SAMPLING_TEMPERATURE = 0.7
QUERY_TOKENS = 64
PASSAGE_TOKENS = 384


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of text. prompt: the name of its prompt. wanted: what its translation is taken for. tokens: most of one.
    shown, examples: which fields of how many built-in examples a pretrained model is shown. begun: of each only the
    first sentence."""

    prompt: str
    wanted: Field
    tokens: int
    shown: tuple[str, ...]
    examples: int
    begun: bool = False


# Queries come as full questions and as short phrases, in turn: of ten ways to arrange them that was the best, on real
# and on the fixtures' queries. Three passages are enough, each of some eighty tokens in each language.
_QUERIES, _PASSAGES = ("rephrasing", "query"), ("passage",)
_KINDS = {
    "query": _Kind("translate-query", "query", QUERY_TOKENS, _QUERIES, 5),
    "passage": _Kind("translate-passage", "passage", PASSAGE_TOKENS, _PASSAGES, 3),
    "title": _Kind("translate-title", "query", PASSAGE_TOKENS, _QUERIES, 5),
    "sentence": _Kind("translate-passage", "passage", PASSAGE_TOKENS, _PASSAGES, 5, begun=True),
}


class Translator:
    """Asks an engine for translations of single texts, each of a kind ("query", "passage", "title", and "sentence", a
    short passage), into `target`.

    max_tokens: for one text; None is QUERY_TOKENS for a query and PASSAGE_TOKENS for any other. A text that is
    short gets less, since a pretrained model that falls into a loop would fill whatever there is: see `most_tokens`. A
    chat model gets all of a limit that is given: it may think first. pairs: the worked examples to show for queries,
    None for the built-in ones. guide: what is shown for each query.
    """

    def __init__(
        self,
        engine: Engine,
        target: Language,
        sampling: Sampling | None,
        max_tokens: int | None,
        pairs: Pairs | None = None,
        guide: Guide | None = None,
    ) -> None:
        self.target = target
        self._pairs, self._guide = pairs, guide or Guide()
        self._engine = engine
        self._sampling = sampling or Sampling()
        self._is_given = max_tokens is not None
        self._max_tokens = {kind: max_tokens or of.tokens for kind, of in _KINDS.items()}
        self._templates: dict[str, Template] = {kind: prompts.builtin(of.prompt) for kind, of in _KINDS.items()}
        if pairs is not None:
            self._templates["query"] = prompts.builtin("translate-fewshot")
        if self._guide.nearby is not None:
            self._templates["query"] = showing(self._templates["query"])

    def request(self, record: Record, number: int, kind: str, text: str, origin: Language) -> Request:
        """The request for the `number`th text of a record. Raises XqeError for a text of white space."""
        if not text.strip():
            raise XqeError(f"the {kind} is empty")
        limit = self._max_tokens[kind]
        if not (self._is_given and self._engine.is_chat):
            limit = most_tokens(text, limit)
        return request(self._prompt(record, text, kind, origin), text, limit, self._sampling, record, number)

    def wanted(self, kind: str, text: str, origin: Language) -> Wanted:
        """What the answer to a request should be."""
        spoken = frozenset({origin.code, self.target.code})
        return Wanted(_KINDS[kind].wanted, one_line(text), spoken, is_translation=True)

    def provenance(self, kinds: Iterable[str], answers: Sequence[Answer]) -> dict[str, Any]:
        """What a step says of how texts of these kinds came about."""
        limits = {kind: limit for kind, limit in self._max_tokens.items() if kind in kinds}
        said = limits["query"] if list(limits) == ["query"] else limits
        return provenance(self._engine, self._sampling, said, answers)

    def shown(self, record: Record, kinds: Iterable[str]) -> dict[str, Any]:
        """What a step says of what the prompt of a record's query showed, where that was chosen for it or is the
        user's."""
        if "query" not in kinds:
            return {}
        shots = {"shots": self._pairs.shots} if self._pairs is not None else {}
        return {**shots, **self._guide.said(record, self._engine, self._pairs is not None)}

    def _prompt(self, record: Record, text: str, kind: str, origin: Language) -> Prompt:
        template, is_chat = self._templates[kind], self._engine.is_chat
        shown = self._examples(record, kind, origin) if template.shows_examples(is_chat) else []
        variables = {"text": one_line(text), "source_language": origin.name, "target_language": self.target.name}
        if kind == "query":
            variables[NEARBY] = self._guide.block(record, self._engine)
        return template.render(is_chat, variables, shown, own_examples=self._guide.choice is not None)

    def _examples(self, record: Record, kind: str, origin: Language) -> Sequence[Example]:
        of, pairs, choice = _KINDS[kind], self._pairs, self._guide.choice
        if kind != "query" or pairs is None:
            shown = examples.translations(origin, self.target, of.shown, of.examples)
            examples.check_shown(shown, self._engine.is_chat, PAIR_FIELDS, origin, self.target)
            return [_begun(pair, origin, self.target) for pair in shown] if of.begun else shown
        if choice is None:
            return pairs(origin, self.target)
        return choice.nearest(record, pairs.candidates(origin, self.target), origin, self.target, pairs.shots)


class Translate:
    """Translates records. What is in the translator's language already stays as it is: a record, or passages that were
    written in another language than their query's.

    samples: of a query, translations that are asked for: the one of the likeliest tokens, and others that are drawn as
    `sampling` says, at SAMPLING_TEMPERATURE where that is 0. They become "translations" (see `nbest`), of which the
    first is the query. unweighed: records whose translations the engine did not say the likelihood of.
    """

    name = "translate"

    def __init__(
        self,
        engine: Engine,
        target: Language,
        sampling: Sampling | None = None,
        max_tokens: int | None = None,
        samples: int = 1,
        pairs: Pairs | None = None,
        guide: Guide | None = None,
    ) -> None:
        self._target = target
        self._samples = samples
        self.unweighed = 0
        sampling = sampling or Sampling()
        if samples > 1 and sampling.temperature == 0:
            sampling = replace(sampling, temperature=SAMPLING_TEMPERATURE)
        self._greedy = replace(sampling, temperature=0.0)
        self._translator = Translator(engine, target, sampling, max_tokens, pairs, guide)

    def requests(self, record: Record) -> list[Request]:
        asked = [
            self._translator.request(record, number, field, text, origin)
            for number, (field, text, origin) in enumerate(_texts(record))
            if origin.code != self._target.code
        ]
        if self._samples == 1:
            return asked
        asked = [replace(one, sampling=self._greedy) for one in asked]
        if not self._is_several(record):
            return asked
        first, origin = len(record.get("passages") or ()) + 1, language(record["lang"])
        drawn = (
            self._translator.request(record, number, "query", record["query"], origin)
            for number in range(first, first + self._samples - 1)
        )
        return [replace(asked[0], is_weighed=True), *asked[1:], *(replace(one, is_weighed=True) for one in drawn)]

    def wanted(self, record: Record) -> list[Wanted]:
        wanted = [
            self._translator.wanted(field, text, origin)
            for field, text, origin in _texts(record)
            if origin.code != self._target.code
        ]
        more = self._samples - 1 if self._is_several(record) else 0
        return wanted + [replace(one, is_optional=True) for one in wanted[:1] * more]

    def _is_several(self, record: Record) -> bool:
        """Whether a record's query is to have several translations."""
        return self._samples > 1 and language(record.get("lang", "")).code != self._target.code

    def result(self, record: Record, answers: Sequence[Answer]) -> Record:
        made = iter(answers)
        several = self._several(record, answers)
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
            **({"samples": self._samples} if several else {}),
            **self._translator.shown(record, origins),
            **self._translator.provenance(origins, answers),
        }
        passages = {"passages": texts["passage"]} if texts["passage"] else {}
        query = several[0]["text"] if several else texts["query"][0]
        return advanced(
            record,
            step,
            query=query,
            lang=self._target.code,
            translations=several or None,
            **passages,
            passages_lang=None,
        )

    def _several(self, record: Record, answers: Sequence[Answer]) -> list[dict[str, Any]]:
        """The translations of a query that has several; those of its answers that have a problem are left out."""
        if not self._is_several(record):
            return []
        of_query = [answers[0], *answers[len(answers) - self._samples + 1 :]]
        usable = [answer for answer in of_query if not answer.parted.problem]
        found = translations([(answer.text, answer.completion.likelihood) for answer in usable])
        self.unweighed += "logprob" not in found[0]
        return found


def most_tokens(text: str, limit: int) -> int:
    """The most tokens that a translation of `text` may take: a token for each two bytes of it in UTF-8, and some more.

    A token of multilingual vocabularies is two to four bytes of text, in every script, so that this is about twice
    what a faithful translation needs.
    """
    return min(limit, 16 + len(text.encode("utf-8", "replace")) // 2)


def _begun(pair: Mapping[str, str], origin: Language, target: Language) -> dict[str, str]:
    """A worked example with the first sentence of each side alone."""
    sides = (("source", origin), ("target", target))
    return {side: pair[side][: sentences(pair[side], spoken.code)[0][1]] for side, spoken in sides}


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
