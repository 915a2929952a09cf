"""How a prompt of any kind shows documents that are near to its query: in the words of nearby.toml, as far back as it
can, so that what prompts share stands before it.

That is behind the worked examples of a prompt, and before all else of one without any.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from xqe.models.prompts import EXAMPLES, Template

NEARBY = "nearby"
"""The variable of a template that shows them."""


def showing(template: Template) -> Template:
    """The template with a place for documents in both of its forms."""
    chat = {**template.chat, "user": _placed(template.chat["user"])}
    completion = {**template.completion, "text": _placed(template.completion["text"])}
    return replace(template, chat=chat, completion=completion)


def told(texts: Sequence[str], language: str, is_chat: bool) -> str:
    """What stands in that place. texts: of the documents, a line each; language: the name of theirs."""
    if not texts:
        return ""
    form = forms()["chat" if is_chat else "completion"]
    return form.format_map({"written_in": language, "documents": "\n".join(f"- {text}" for text in texts)})


def _placed(text: str) -> str:
    examples, place = f"{{{EXAMPLES}}}", f"{{{NEARBY}}}"
    return text.replace(examples, examples + place) if examples in text else place + text


@cache
def forms() -> Mapping[str, str]:
    return tomllib.loads(Path(__file__).with_name("nearby.toml").read_text("utf-8"))
