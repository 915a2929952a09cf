"""From collections to training examples: queries with the passages that answer them, in the same language.

    queries of a split  ─▶ not held out ─▶ their best documents ─▶ passages, cut ─▶ candidates
    candidates          ─▶ languages balanced, collections weighted ─▶ train and validation ─▶ examples

Everything is drawn by a hash of the seed and an id, as samples are (`xqe.collections.draws`): one query more or less
changes the draw by hardly more than itself, and 1,000 examples of a collection are among the 2,000 of the same seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xqe.collections.draws import rank
from xqe.collections.layout import Collection
from xqe.collections.leakage import Naming
from xqe.errors import InputError, XqeError
from xqe.messages import plural
from xqe.training import mixing
from xqe.training.candidates import MEANING, Candidate, Group, Left, Plan, Row
from xqe.training.heldout import HeldOut
from xqe.training.mixing import Source
from xqe.training.pairs import TRAIN, VALIDATION
from xqe.training.passages import Count
from xqe.training.prompting import Prompting


@dataclass(frozen=True, slots=True)
class Built:
    """Examples, ready to be written, in a random order; and the statistics."""

    examples: list[dict[str, Any]]
    rows: list[Row]


def build(
    sources: Sequence[Source], held_out: Sequence[Collection], plan: Plan, prompting: Prompting, count: Count
) -> Built:
    """Make the examples. held_out: collections whose evaluated queries must not be trained on either.

    Raises InputError where nothing remains, for languages that are nowhere, and for two collections of one name;
    XqeError for a plan that no passage can meet.
    """
    if plan.min_tokens > plan.passage_tokens:
        raise XqeError(
            f"--min-tokens {plan.min_tokens} is more than --passage-tokens {plan.passage_tokens}", "change one of them"
        )
    languages = _languages(sources, plan)
    for lang in {lang for names in languages.values() for lang in names}:
        prompting.shown(lang)  # too few worked examples of a language are found before anything is read
    held = _held_out([source.collection for source in sources], held_out, plan.split, languages)
    limits = mixing.most(sources, plan, languages)
    seen: set[int] = set()
    found = {
        source.collection.name: [
            Group(source.collection, lang, plan, held, prompting, count).candidates(limit, seen)
            for lang in languages[source.collection.name]
        ]
        for source, limit in zip(sources, limits, strict=True)
    }
    rows = [row for made in found.values() for row, _ in made]
    drawn = mixing.drawn(sources, [[list(candidates) for _, candidates in made] for made in found.values()], plan)
    if not drawn:
        raise _nothing(sources, rows)
    validation = mixing.validation(drawn, sources, plan)
    examples = []
    for candidate in sorted(drawn, key=lambda one: rank(plan.seed, f"order\n{one.id}")):
        split = VALIDATION if candidate.id in validation else TRAIN
        _count(candidate, split, count)
        examples.append(_example(candidate, split, prompting))
    return Built(examples, rows)


# ---------------------------------------------------------------- what there is


def _languages(sources: Sequence[Source], plan: Plan) -> dict[str, list[str]]:
    """Collection -> its languages that are trained on: those with queries of the split, and judged documents."""
    languages: dict[str, list[str]] = {}
    there: set[str] = set()
    for source in sources:
        collection = source.collection
        if collection.name in languages:
            raise InputError(
                f"{collection.directory}: another collection is named {collection.name} too",
                "their ids would mean the same; give one of them",
            )
        if plan.split not in collection.splits:
            raise InputError(
                f"{collection.directory}: no split {plan.split}",
                f"it has {', '.join(collection.splits)}; xqe data sample --split-train divides one",
            )
        able = [lang for lang in collection.query_languages(plan.split) if _is_able(collection, plan.split, lang)]
        languages[collection.name] = [lang for lang in able if plan.languages is None or lang in plan.languages]
        there.update(able)
    missing = [lang for lang in plan.languages or () if lang not in there]
    if missing or not there:
        where = ", ".join(str(source.collection.directory) for source in sources)
        what = f" in {', '.join(missing)}" if missing else ""
        raise InputError(
            f"{where}: no queries of {plan.split}{what} with judged documents in their own language",
            f"there are {' '.join(sorted(there))}" if there else "training pairs are of one language",
        )
    return languages


def _is_able(collection: Collection, split: str, lang: str) -> bool:
    if lang not in collection.document_languages:
        return False
    return (lang, lang) in collection.pairs(split) or Naming.of(collection).articles


def _held_out(
    trained: Sequence[Collection], others: Sequence[Collection], split: str, languages: Mapping[str, Sequence[str]]
) -> HeldOut:
    held = HeldOut()
    used = sorted({lang for names in languages.values() for lang in names})
    for collection in trained:
        held.add(collection, split)
    for collection in others:
        held.add(collection, None)
    for collection in (*trained, *others):
        held.read_answers(collection, used)
    return held


# ---------------------------------------------------------------- what comes of it


def _count(candidate: Candidate, split: str, count: Count) -> None:
    row = candidate.row
    row.split[split] += 1
    row.left[Left.NOT_DRAWN] -= candidate.number == 1
    row.query_tokens += count(candidate.query)
    row.passage_tokens += candidate.passage.tokens
    row.cut += candidate.passage.is_cut


def _example(candidate: Candidate, split: str, prompting: Prompting) -> dict[str, Any]:
    row = candidate.row
    strategy, fields = prompting(candidate.id, candidate.query, row.lang, candidate.passage.text)
    return {
        "id": candidate.id,
        **fields,
        "split": split,
        "collection": row.collection,
        "lang": row.lang,
        "strategy": strategy,
        "query_id": candidate.query_id,
        "document_id": candidate.document_id,
        **({"grade": candidate.grade} if candidate.grade is not None else {}),
    }


def _nothing(sources: Sequence[Source], rows: Sequence[Row]) -> XqeError:
    """The error for nothing that remains: it says what was left out most."""
    where = ", ".join(str(source.collection.directory) for source in sources)
    left: Counter[Left] = Counter()
    for row in rows:
        left += row.left
    if not left:
        return InputError(f"{where}: no examples", "it has no queries of that split")
    why, number = left.most_common(1)[0]
    total = plural(sum(row.queries for row in rows), "query")
    return InputError(f"{where}: no examples of {total}", f"most left out: {number:,} {MEANING[why]}")
