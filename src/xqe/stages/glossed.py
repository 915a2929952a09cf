"""What of the sources of an answer is glossed, by name. Commands offer it before anything is loaded."""

from __future__ import annotations

from enum import StrEnum


class Glossed(StrEnum):
    """Nothing; the sentence that tells most, of the documents that an answer cites, or of the best one where it cites
    none; that sentence of every document; the snippet of every document."""

    NONE = "none"
    CITED = "cited"
    SENTENCES = "sentences"
    SNIPPETS = "snippets"
