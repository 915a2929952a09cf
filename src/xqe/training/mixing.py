"""Which candidates are taken: collections in the proportion of their weights, languages balanced, and two sides."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from typing import Any

from xqe.collections.draws import share
from xqe.collections.layout import Collection
from xqe.collections.leakage import Naming, groups, spelled
from xqe.errors import InputError
from xqe.training.candidates import Candidate, Plan
from xqe.training.heldout import digest


@dataclass(frozen=True, slots=True)
class Source:
    """A collection to train on. weight: its part of the mixture; None for all that it has."""

    collection: Collection
    weight: Fraction | None = None


def most(sources: Sequence[Source], plan: Plan, languages: Mapping[str, Sequence[str]]) -> list[int | None]:
    """How many candidates a language of each collection can be asked for; None where that is not known before."""
    weights = weights_of(sources)
    if plan.size is None or (weights is None and len(sources) > 1):
        return [None] * len(sources)
    total = sum(weights or [Fraction(1)])
    limits: list[int | None] = []
    for source, weight in zip(sources, weights or [Fraction(1)], strict=True):
        names = languages[source.collection.name]
        shares = len(names) if plan.balance and names else 1
        limits.append(math.ceil(Fraction(plan.size) * weight / total / shares))
    return limits


def weights_of(sources: Sequence[Source]) -> list[Fraction] | None:
    """The weights of the collections, 1 where only others have one; None where none has."""
    if all(source.weight is None for source in sources):
        return None
    return [Fraction(1) if source.weight is None else source.weight for source in sources]


def drawn(sources: Sequence[Source], found: Sequence[Sequence[list[Candidate]]], plan: Plan) -> list[Candidate]:
    """The candidates that are taken. found: those of each language of each collection, in the order of the draw."""
    if plan.balance:
        found = [[group[: min(map(len, made))] for group in made] for made in found]
    available = [sum(map(len, made)) for made in found]
    weights = weights_of(sources)
    for source, number in zip(sources, available, strict=True):
        if weights is not None and not number and any(available):
            raise InputError(
                f"{source.collection.directory}: gives no examples, so there is no mixture of the weights asked for",
                "leave it out, or the weights",
            )
    numbers = shared_out(available, weights, plan.size)
    taken: list[Candidate] = []
    for made, number in zip(found, numbers, strict=True):
        if plan.balance:
            taken += (one for group in made for one in group[: number // len(made)])
        else:
            taken += sorted(chain.from_iterable(made), key=lambda one: one.place)[:number]
    return taken


def shared_out(available: Sequence[int], weights: Sequence[Fraction] | None, size: int | None) -> list[int]:
    """How many of each are taken: as many as there are or as `size` allows, in the proportion of the weights.

    Without weights all are taken, or, of more than `size`, in the proportion of what there is. No share is further
    than one example from the exact one, and none is repeated to reach it.
    """
    if weights is None and (size is None or size >= sum(available)):
        return list(available)
    parts = list(weights) if weights is not None else [Fraction(number) for number in available]
    scales = [Fraction(number) / part for number, part in zip(available, parts, strict=True) if part]
    scale = min(scales)
    if size is not None:
        scale = min(scale, Fraction(size) / sum(parts))
    bounds = [math.floor(scale * sum(parts[:end])) for end in range(len(parts) + 1)]
    return [after - before for before, after in pairwise(bounds)]


def validation(taken: Sequence[Candidate], sources: Sequence[Source], plan: Plan) -> set[str]:
    """The ids of the examples that are not trained on. Queries that share their id, text or passage stay together."""
    namings = {source.collection.name: Naming.of(source.collection) for source in sources}

    def marked() -> Iterator[tuple[tuple[str, str, str], Any]]:
        for one in taken:
            collection, lang = one.row.collection, one.row.lang
            query = collection, lang, one.query_id
            yield query, (collection, *namings[collection].own(lang, one.query_id))
            yield query, digest("query", spelled(one.query))
            yield query, digest("passage", spelled(one.passage.text))

    least = groups(marked())
    apart = {query for query, name in least.items() if share(plan.seed, f"validation\n{name}") < plan.validation}
    return {one.id for one in taken if (one.row.collection, one.row.lang, one.query_id) in apart}
