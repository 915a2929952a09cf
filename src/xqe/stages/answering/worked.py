"""Worked examples of answers for a pretrained model, made of the built-in ones: they say the same in every language."""

from __future__ import annotations

import re
from collections.abc import Mapping

from xqe.models import examples
from xqe.models.prompts.answering import Wording
from xqe.text.languages import Language
from xqe.text.sentences import sentences

_SENTENCES = 2  # of an answer
_MARK = re.compile(r"\s*[.。।!?！？؟]\Z")


def worked(
    count: int, wording: Wording, asked: Language, answered: Language, written: Language, cites: bool
) -> list[Mapping[str, str]]:
    """Questions in one language, answered in another from documents in a third, `written`: the passages of an example
    and of the one after it. What answers is now the second document and now the first."""
    queries, answers, passages = (examples.builtin(one.code) for one in (asked, answered, written))
    made: list[Mapping[str, str]] = []
    for at in range(min(count, len(queries))):
        both = [passages[at]["passage"], passages[(at + count) % len(passages)]["passage"]]
        number = 1 + (at + 1) % 2
        shown = both if number == 1 else both[::-1]
        whole = answers[at]["passage"]
        parts = [whole[slice(*span)] for span in sentences(whole, answered.code)[:_SENTENCES]]
        joint = "" if answered.script in ("Jpan", "Hans") else " "
        made.append(
            {
                "documents": "\n".join(f"[{place}] {text}" for place, text in enumerate(shown, 1)),
                "query": queries[at]["query"],
                "text": joint.join(_cited(part, number) if cites else part for part in parts),
                "question": wording.question,
                "answer": wording.answer,
            }
        )
    return made


def _cited(sentence: str, number: int) -> str:
    mark = _MARK.search(sentence)
    end = mark.start() if mark else len(sentence)
    return f"{sentence[:end]} [{number}]{sentence[end:]}"
