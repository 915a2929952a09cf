"""The answering stage: from a record's best hits an answer, each sentence with the documents that it rests on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xqe.errors import XqeError
from xqe.files.records import Record, advanced, as_asked, failed
from xqe.lines import cut
from xqe.models import prompts
from xqe.models.engines.base import Engine
from xqe.models.engines.requests import Request, Sampling
from xqe.models.examples import check_shown
from xqe.models.prompts import Chat, Prompt, Template, Text
from xqe.models.prompts.answering import OPENING, is_refusal, letters, wording
from xqe.stages import generation
from xqe.stages.answering.cite import CHAT, Cite
from xqe.stages.answering.offered import Offered, offered, read_as
from xqe.stages.answering.worked import worked
from xqe.stages.fitting import fitted, numbered, room_for_texts
from xqe.stages.generation import one_line, provenance
from xqe.text.answers.citations import Cited, read
from xqe.text.answers.parting import Wanted
from xqe.text.languages import Language, known, language
from xqe.text.sentences import is_whole

if TYPE_CHECKING:
    from xqe.retrieval.documents import Numbered
    from xqe.stages.answering.after import After

QUESTION_MARKS = ("?", "？", "؟")
_NUMBERS = re.compile(r"\s*\d{1,3}\s*(?:[,;]\s*\d{1,3}\s*)*\]")


@dataclass(frozen=True, slots=True)
class How:
    """How answers are made. n: documents for each. tokens: the most of a document that are read. max_tokens: of
    an answer. target: its language; None is that of the query as it first came."""

    cite: Cite = Cite.MODEL
    n: int = CHAT.documents
    tokens: int = CHAT.document_tokens
    max_tokens: int = CHAT.max_tokens
    target: Language | None = None
    sampling: Sampling = Sampling()  # noqa: RUF009  # frozen

    @property
    def asks(self) -> bool:
        """Whether the model is asked to cite."""
        return self.cite is not Cite.AFTER


class Answering:
    """Adds "answer" to each record: {"lang", "text", "sentences": [{"text", "sources"}]}, with "refused" where the
    model says that the documents do not tell.

    documents: of the indexes that were searched. after: finds citations; None where the model's are all. Counts what
    it did: `refused` answers, `invalid` citations, and records whose documents were `shortened` to fit the context.
    """

    name = "answer"

    def __init__(
        self,
        engine: Engine,
        documents: Numbered,
        how: How,
        template: Template | None = None,
        after: After | None = None,
    ) -> None:
        self._engine = engine
        self._documents = documents
        self._how = how
        self._template = template or prompts.builtin("answer")
        self._after = after
        self.refused = self.invalid = self.shortened = 0

    def requests(self, record: Record) -> list[Request]:
        return [self._request(record, offered(record, self._documents, self._how.n))]

    def wanted(self, record: Record) -> list[Wanted]:
        asked, answered = self._languages(record)
        return [Wanted("answer", _question(record), frozenset({asked.code, answered.code}))]

    def result(self, record: Record, answers: Sequence[generation.Answer]) -> Record:
        [made] = answers
        how = self._how
        documents, tokens = made.request.noted
        _, answered = self._languages(record)
        is_cut = made.completion.finish == "length"
        text = f"[{made.text}" if _is_opened(made.request) and _NUMBERS.match(made.text) else made.text
        cited = read(text, len(documents), wording(answered).sources, answered.code, is_cut)
        problem = _problem(cited, _question(record), text)
        if _is_said_again(made.request, made.completion.text):
            problem = "the model says the prompt again"
        elif is_cut and len(cited.sentences) == 1 and not is_whole(cited.text):
            problem = f"not one sentence is finished within {how.max_tokens} tokens: {cut(cited.text)}"
        if problem:
            return failed(record, self.name, problem)
        refused = is_refusal(cited.text)
        ids = [one.id for one in documents]
        sources = [[ids[number - 1] for number in sentence.cited if how.asks] for sentence in cited.sentences]
        found = 0 if refused else self._find(cited, sources, ids, answered)
        self.refused += refused
        self.invalid += cited.invalid if how.asks else 0
        self.shortened += tokens < how.tokens
        step: dict[str, Any] = {
            "step": self.name,
            "to": answered.code,
            "offered": ids,
            "document_tokens": tokens,
            "cite": how.cite.value,
            **({"invalid": cited.invalid} if how.asks else {}),
            **({"found": found, "by": self._after.by} if self._after and found else {}),
            **provenance(self._engine, how.sampling, how.max_tokens, answers),
        }
        if made.completion.text.strip() != cited.text:
            step["raw"] = [made.completion.text]
        answer = {
            "lang": answered.code,
            "text": cited.text,
            "sentences": [
                {"text": sentence.text, "sources": its} for sentence, its in zip(cited.sentences, sources, strict=True)
            ],
            **({"refused": True} if refused else {}),
        }
        return advanced(record, step, answer=answer)

    def _find(self, cited: Cited, sources: list[list[str]], ids: Sequence[str], answered: Language) -> int:
        """Find a document for each sentence that has none; return for how many there was one."""
        lacking = [at for at, its in enumerate(sources) if not its]
        if self._after is None or not lacking:
            return 0
        texts = [cited.sentences[at].text for at in lacking]
        for at, name in zip(lacking, self._after.first(texts, ids, answered.code), strict=True):
            sources[at] += [name] if name is not None else []
        return sum(bool(sources[at]) for at in lacking)

    def _languages(self, record: Record) -> tuple[Language, Language]:
        """That of the query as it first came, and that of the answer; this for both where the query's is not known.
        Raises XqeError where neither is."""
        source, target = record.get("source", {}), self._how.target
        named = source.get("lang") or record.get("lang")
        named = named if isinstance(named, str) else ""
        if target is not None:
            return known(named) or target, target
        if not named:
            raise XqeError('the query has no "lang" to answer in', "add it, or give --to")
        asked = language(named)
        return asked, asked

    def _request(self, record: Record, documents: Sequence[Offered]) -> Request:
        """The request, which notes the documents, and the most tokens of each that are in it: fewer where the prompt
        would not fit."""
        question, (asked, answered) = _question(record), self._languages(record)
        said = wording(answered)
        is_chat = self._engine.is_chat
        cites = self._how.asks or not is_chat  # one that has to begin with the number of a document keeps to it
        shown = []
        if self._template.shows_examples(is_chat):
            written = _written(record, documents, answered)
            shown = worked(self._template.shots, said, asked, answered, written)
            check_shown(shown, is_chat, (), asked, answered, written)
        how = self._how

        def prompt(texts: Sequence[str]) -> Prompt:
            variables = {**said.variables(cites), "query": question, "documents": numbered(texts)}
            return self._template.render(is_chat, variables, shown)

        room = room_for_texts(self._engine, prompt([""] * len(documents)), how.max_tokens)
        texts, tokens = fitted(read_as(documents), how.tokens, self._engine, room)
        subject = f"{question} [1]" if cites else question
        noted = documents, tokens
        return generation.request(prompt(texts), subject, how.max_tokens, how.sampling, record, 0, noted)


def _problem(cited: Cited, question: str, said: str) -> str:
    """Why an answer is none, "" if it is one."""
    if not cited.sentences:
        return f"the answer is nothing but citations: {cut(said)}"
    again, asked = letters(cited.text), letters(question)
    if asked.startswith(again) and len(again) > len(asked) / 2:
        return "the model says the question again, and nothing else"
    if all(sentence.text.endswith(QUESTION_MARKS) for sentence in cited.sentences):
        return f"the model answers with a question: {cut(cited.text)}"
    return ""


def _is_said_again(request: Request, answer: str) -> bool:
    """Whether an answer holds all of the prompt, with its documents and its question."""
    return isinstance(request.prompt, Chat) and letters(request.prompt.user) in letters(answer)


def _is_opened(request: Request) -> bool:
    """Whether the prompt has the bracket of the first citation."""
    return isinstance(request.prompt, Text) and request.prompt.text.endswith(OPENING)


def _question(record: Record) -> str:
    """The query as it first came, on one line. Raises XqeError for an empty one."""
    question = one_line(as_asked(record))
    if not question:
        raise XqeError("the query is empty")
    return question


def _written(record: Record, documents: Sequence[Offered], otherwise: Language) -> Language:
    """The language of the documents, as far as the record says it: that of the first of them, or of the index."""
    index = record.get("index")
    named = (documents[0].lang, index.get("lang") if isinstance(index, dict) else None)
    return next((found for code in named if code and (found := known(code))), otherwise)
