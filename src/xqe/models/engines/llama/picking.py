"""Whether the likeliest tokens may be picked where the model is computed: a trial, since that is experimental."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from xqe.errors import ModelError
from xqe.models.engines.llama.cached import CELL_PADDING, CachedContext
from xqe.models.engines.llama.vocabulary import Tokens, Vocabulary

_TEXTS = ("The capital of France is", "La rivière la plus longue du monde est", "1, 2, 3,", "Wasser kocht bei")
_STEPS = 8


def picks_alike(vocabulary: Vocabulary, open_context: Callable[[int, int, bool], CachedContext]) -> bool:
    """Continue some texts together, once with logits and once without; True if the tokens are the same. open_context:
    by cells, sequences, and whether it picks."""
    texts = [vocabulary.tokenize(text, True, False) for text in _TEXTS]
    found = []
    for picks in (False, True):
        try:
            context = open_context(CELL_PADDING * len(texts), len(texts), picks)
        except ModelError:
            return False
        with closing(context):
            found.append(_continued(context, texts))
    return found[0] == found[1]


def _continued(context: CachedContext, texts: list[Tokens]) -> list[list[int]]:
    """The texts with the likeliest tokens of the first steps after them, all decoded together; nothing if it fails."""
    tokens = [list(map(int, text)) for text in texts]
    for step in range(_STEPS):
        lasts = []
        count = 0
        for sequence, text in enumerate(tokens):
            for position in range(0 if step == 0 else len(text) - 1, len(text)):
                context.token[count], context.position[count] = text[position], position
                context.sequence[count], context.wants_logits[count] = sequence, position + 1 == len(text)
                count += 1
            lasts.append(count - 1)
        if context.decode(count) != 0:
            return []
        context.take_logits(len(texts))
        for row, (text, entry) in enumerate(zip(tokens, lasts, strict=True)):
            text.append(context.likeliest(row, entry))
    return tokens
