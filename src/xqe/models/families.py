"""Families of encoders: what stands before a text, and how its tokens become one vector.

A file belongs to the first family whose pattern is found in its name. Sources: the models' cards.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_INSTRUCTION = "Instruct: Given a web search query, retrieve relevant passages that answer the query"

POOLINGS = ("mean", "cls", "last")


@dataclass(frozen=True, slots=True)
class Family:
    """Encoders that are used alike. pattern: of the name of a file or a model, whatever its case.

    pooling: the vector of a text is the mean of those of its tokens, or that of its first ("cls") or last one. end: a
    token that stands last, although not every file says so.
    """

    pattern: str
    pooling: str
    query_prefix: str = ""
    passage_prefix: str = ""
    end: str = ""


E5_INSTRUCT = Family(r"multilingual.e5.*instruct", "mean", f"{_INSTRUCTION}\nQuery: ")
E5 = Family(r"multilingual.e5", "mean", "query: ", "passage: ")
BGE_M3 = Family(r"bge.m3", "cls")
EMBEDDING_GEMMA = Family(r"embedding.?gemma", "mean", "task: search result | query: ", "title: none | text: ")
QWEN3_EMBEDDING = Family(r"qwen3.embedding", "last", f"{_INSTRUCTION}\nQuery:", end="<|endoftext|>")
GRANITE = Family(r"granite.embedding", "cls")
NOMIC_V2 = Family(r"nomic.embed.text.v2", "mean", "search_query: ", "search_document: ")

FAMILIES = (E5_INSTRUCT, E5, BGE_M3, EMBEDDING_GEMMA, QWEN3_EMBEDDING, GRANITE, NOMIC_V2)


def family_of(*names: str) -> Family | None:
    """The family of what goes by these names; None for one that is not known."""
    for family in FAMILIES:
        if any(re.search(family.pattern, name, re.IGNORECASE) for name in names):
            return family
    return None
