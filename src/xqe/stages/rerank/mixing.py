"""The scores of the first stage and of the model that re-ranks in one list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xqe.retrieval.fusion import Fusion, falling, fuse_hits, method_named, norm_named, ranking

_SUM = Fusion(method_named("combsum"), norm_named("min-max"))
_BELOW = 1e-6  # an equal score would be ordered by id


def mixed(hits: Sequence[dict[str, Any]], scores: Sequence[float], first_weight: float) -> list[dict[str, Any]]:
    """The hits of a record, best first, after the first of them have been given `scores`.

    Of those, both scores are brought to 0 to 1 (min-max; 1 for each where all are equal, as for an only hit), and the
    new one is first_weight x the first stage's + (1 - first_weight) x the model's. The others stay behind them in their
    order, from 0 down. Each re-ranked hit says in "reranked" its rank and score before, and the model's score.

    hits: in their order, at least as many as scores, of which there is at least one. Scores are finite.
    """
    again, rest = hits[: len(scores)], hits[len(scores) :]
    before = [(float(hit["score"]), str(hit["id"])) for hit in again]
    after = [(score, str(hit["id"])) for hit, score in zip(again, scores, strict=True)]
    fused = fuse_hits([before, after], _SUM, [first_weight, 1 - first_weight])
    said = {
        str(hit["id"]): {**hit, "reranked": {"rank": rank, "first": hit["score"], "score": score}}
        for rank, (hit, score) in enumerate(zip(again, scores, strict=True), 1)
    }
    best = [{**said[name], "score": score} for score, name in ranking(fused)]
    return [*best, *_below(rest, [score for score, _ in before])]


def _below(rest: Sequence[dict[str, Any]], before: Sequence[float]) -> list[dict[str, Any]]:
    """The hits that were not re-ranked, from 0 to -1: as far below the least of those that were as the first stage has
    them, in parts of the range of all."""
    least = min(before)
    span = max(before) - min([least, *(hit["score"] for hit in rest)]) or 1.0
    scores = falling([(hit["score"] - least) / span - _BELOW for hit in rest])
    return [{**hit, "score": score} for hit, score in zip(rest, scores, strict=True)]
