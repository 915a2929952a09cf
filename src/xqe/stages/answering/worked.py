"""Worked examples of answers for a pretrained model, made of the built-in ones: they say the same in every language."""

from __future__ import annotations

from collections.abc import Mapping

from xqe.models import examples
from xqe.models.prompts.answering import Wording
from xqe.stages.fitting import numbered
from xqe.text.languages import Language
from xqe.text.sentences import sentences

_SENTENCES = 2  # of a document; the first one answers


def worked(
    count: int, wording: Wording, asked: Language, answered: Language, written: Language
) -> list[Mapping[str, str]]:
    """Questions in one language, answered in another from two documents in a third, `written`, of which now the second
    and now the first answers; an answer begins with the number of its document. Behind whole questions, which an answer
    does not repeat, a small model repeats fewer of its own than behind short phrases (docs/results.md)."""
    queries, answers, passages = (examples.builtin(one.code) for one in (asked, answered, written))
    made: list[Mapping[str, str]] = []
    for at in range(min(count, len(queries), len(answers), len(passages))):
        both = [
            _beginning(passages[place]["passage"], written, _SENTENCES) for place in (at, at + count - len(passages))
        ]
        number = 1 + (at + 1) % 2
        shown = both if number == 1 else both[::-1]
        said = _beginning(answers[at]["passage"], answered, 1)
        made.append(
            {
                "documents": numbered(shown),
                "query": queries[at]["rephrasing"],
                "text": f"[{number}] {said}",
                "question": wording.question,
                "answer": wording.answer,
            }
        )
    return made


def _beginning(text: str, spoken: Language, count: int) -> str:
    """The first sentences of a text."""
    return text[: sentences(text, spoken.code)[:count][-1][1]]
