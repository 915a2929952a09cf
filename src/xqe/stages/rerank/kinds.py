"""The ways to re-rank, a row each, which query is asked, and what holds where nothing else is said. Commands offer it
before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from xqe.errors import XqeError

if TYPE_CHECKING:
    from xqe.models.prompts import Template

HITS, FIRST_WEIGHT, DOCUMENT_TOKENS = 20, 0.4, 192
"""Unless told: how many hits are re-ranked, what the first stage's score counts, and how much of a document is read."""


class Asked(StrEnum):
    """Which query a document is held against."""

    SOURCE = "source"
    QUERY = "query"


class Kind(StrEnum):
    """How a model re-ranks. What each is asked is in `pointwise` and `listwise`; a cross-encoder has no prompt."""

    LIKELIHOOD = "likelihood"
    YES_NO = "yes-no"
    LISTWISE = "listwise"
    CROSS = "cross"

    @property
    def gives_scores(self) -> bool:
        """Whether each document has a score of the model, and not only its place."""
        return self is not Kind.LISTWISE

    def template(self, prompt: str | None = None) -> Template:
        """What a model is asked. prompt: a name or a file, None for xqe's own. Raises XqeError for one that is no
        prompt of this kind."""
        from xqe.models import prompts

        return prompts.PAIR if self is Kind.CROSS else prompts.chosen(prompt, _PROMPTS[self])

    def check_effect(self, given: Mapping[str, str]) -> None:
        """Raise XqeError for a setting that is given and has no effect on this kind. given: by the name of each
        setting, how it is written."""
        for name, written in given.items():
            able = _EFFECTIVE.get(name, frozenset(Kind))
            if self not in able:
                raise XqeError(
                    f"{written} has no effect on {self}",
                    f"leave it out, or re-rank by {' or '.join(kind for kind in Kind if kind in able)}",
                )


_PROMPTS = {Kind.LIKELIHOOD: "likelihood", Kind.YES_NO: "relevance", Kind.LISTWISE: "ranking"}
"""The names of prompts, and of the tasks that a prompt file is checked against."""
_EFFECTIVE = {
    "first_weight": frozenset(Kind) - {Kind.LISTWISE},
    "max_tokens": frozenset({Kind.LISTWISE}),
    "prompt": frozenset(Kind) - {Kind.CROSS},
}
"""Settings that not every kind heeds, and those that do."""


def usual_kind(model: str | None) -> Kind:
    """The kind where none is named: cross for the file of a re-ranker, if only of one that lacks its head, which
    whoever opens it says; yes-no for a model of a server, of which few tell how likely a prompt is; else likelihood,
    which any model can do. model: as --model takes it."""
    from xqe.models.engines import FAKE, SERVER
    from xqe.models.lookup import locate
    from xqe.models.purposes import Purpose, purpose_of

    if model is None or model == FAKE:
        return Kind.LIKELIHOOD
    if model.startswith(SERVER):
        return Kind.YES_NO
    try:
        ranks = purpose_of(locate(model).path) in (Purpose.RANKS, Purpose.HEADLESS)
    except (XqeError, OSError):  # which whoever opens it says
        ranks = False
    return Kind.CROSS if ranks else Kind.LIKELIHOOD
