"""A query and a document as a cross-encoder reads them: in one row of tokens, cut to what the model was trained on.

It is always the document that is cut. What stands for a special token in a text is plain text.

Sources: the tokenizers' post-processors in transformers, of which llama-server knows the separators of files that say
them only (server-common.cpp, format_prompt_rerank); conversion/qwen.py of llama.cpp for templates.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy

from xqe.errors import ModelError
from xqe.models.engines.llama.model import Model
from xqe.models.engines.llama.vocabulary import Tokens
from xqe.models.heads import Head
from xqe.models.purposes import ARCHITECTURE

MOST_TOKENS = 8192  # of a pair, where the model would read more
_TEMPLATE = "rerank"
_QUERY, _DOCUMENT = "{query}", "{document}"

Pairing = Callable[[str, str], Tokens]
"""From (query, document) to tokens. Raises ModelError for a query that leaves no room for a document."""


def pairing(name: str, model: Model, head: Head) -> Pairing:
    """How a model wants its pairs. Raises ModelError for one that does not say it."""
    said = model.metadata(f"{model.metadata(ARCHITECTURE)}.context_length")  # also where no weights are loaded
    limit = min(MOST_TOKENS, int(said) if said and said.isdecimal() else model.context_size)
    template = model.named_template(_TEMPLATE)
    if template is not None:
        if template.count(_QUERY) != 1 or template.count(_DOCUMENT) != 1:
            raise ModelError(
                f"{name}: its template for pairs does not say {_QUERY} and {_DOCUMENT} once each", "take another file"
            )
        return _Filled(model, template, limit)
    vocabulary = model.vocabulary
    if head.has_template or vocabulary.bos < 0 or vocabulary.separator < 0:
        raise ModelError(
            f"{name}: does not say how a query and a document are put together (tokenizer.chat_template.{_TEMPLATE})",
            "take another file of it",
        )
    return _Separated(model, limit)


class _Separated:
    """`<s> query </s></s> document </s>`, or `[CLS] query [SEP] document [SEP]`."""

    def __init__(self, model: Model, limit: int) -> None:
        self._vocabulary, self._limit = model.vocabulary, limit
        # the architecture of XLM-R is BERT's, and the tokenizer is not; that of ModernBERT is one of many
        is_bert = model.metadata("tokenizer.ggml.model") == "bert" or model.metadata(ARCHITECTURE) == "modern-bert"
        self._between = 1 if is_bert else 2

    def __call__(self, query: str, document: str) -> Tokens:
        asked, read = (self._vocabulary.tokenize(text, False, False) for text in (query, document))
        begin, separator = self._vocabulary.bos, self._vocabulary.separator
        before = numpy.concatenate([[begin], asked, [separator] * self._between]).astype(numpy.int32)
        room = self._limit - len(before) - 1
        _check_room(room, len(asked), self._limit)
        return numpy.concatenate([before, read[:room], numpy.asarray([separator], numpy.int32)])


class _Filled:
    """A template of the file, with a query and a document in it."""

    def __init__(self, model: Model, template: str, limit: int) -> None:
        self._vocabulary, self._limit = model.vocabulary, limit
        self._before, _, self._after = template.partition(_DOCUMENT)

    def __call__(self, query: str, document: str) -> Tokens:
        asked = self._vocabulary.defused(query)
        before, after = (text.replace(_QUERY, asked) for text in (self._before, self._after))
        head = before + self._vocabulary.defused(document)
        whole = self._tokens(head + after)
        if len(whole) <= self._limit:
            return whole
        end = self._tokens(after)
        room = self._limit - len(end)
        _check_room(room - len(self._tokens(before)), len(self._tokens(asked)), self._limit)
        return numpy.concatenate([self._tokens(head)[:room], end])

    def _tokens(self, text: str) -> Tokens:
        return self._vocabulary.tokenize(text, add_special=False, parse_special=True)


def _check_room(room: int, asked: int, limit: int) -> None:
    """Raise ModelError where no token of a document has room. asked: tokens of the query."""
    if room < 1:
        raise ModelError(
            f"the query has {asked} tokens, and with it there is no room for a document: the model reads {limit}"
        )
