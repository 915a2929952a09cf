"""What was run, what was found and what failed: in words, and in the tables that the words rest on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from xqe.experiments.report import labels
from xqe.experiments.report.blocks import NOTHING, Row, Table, Value, count, points, words
from xqe.experiments.report.results import GENERATED, HUMAN, ORIGINAL, TRANSLATION, Results
from xqe.experiments.report.study import Study
from xqe.messages import plural

_MOST_REASONS = 20


def lead(results: Results) -> list[str]:
    """A sentence on what was run, and one on what must be known before anything else is read."""
    systems = plural(len({one.system.name for one in results.results}), "system")
    models = f" with {labels.listed(results.models)}" if results.models else ""
    said = f"{systems}{models} on {labels.listed(results.collections)}."
    open_ = "It has not finished." if _is_unfinished(results) else ""
    failed = _failed(results) if results.broken or _failures(results) else ""
    return [said, *([" ".join(filter(None, (open_, failed)))] if open_ or failed else [])]


def told(results: Results, studies: Sequence[Study]) -> list[str]:
    """What was run, then what was found in each collection, then what failed."""
    return [_run(results), *map(_found, studies), _failed(results)]


def _run(results: Results) -> str:
    models = [_model_name(name, said) for name, said in results.models.items()]
    with_models = f"with {plural(len(models), 'model')} ({labels.listed(models)})" if models else "without a model"
    parts = []
    for name, said in results.collections.items():
        pairs = results.pairs(name)
        judged = sum(len(results.queries(name, pair)) for pair in pairs)
        parts.append(
            f"{name} ({_documents(results, name)}; {plural(len(pairs), 'language pair')} of "
            f"{plural(len({code for pair in pairs for code in pair}), 'language')}, "
            f"{plural(judged, 'value')} a system"
            + (f", {said['sampled']} queries drawn for each pair" if said.get("sampled") else "")
            + ")"
        )
    systems = len({one.system.name for one in results.results})
    shards = f" in {len(results.folders)} shards" if len(results.folders) > 1 else ""
    parts_there = [part for manifest in results.manifests if (part := manifest.get("part"))]
    whole = max((int(part.partition("/")[2]) for part in parts_there), default=0)
    missing = sorted({f"{n}/{whole}" for n in range(1, whole + 1)} - set(parts_there))
    lacking = f" Of its {whole} parts {labels.listed(missing)} are not here." if missing else ""
    open_ = " It has not finished: what follows is what is there so far." if _is_unfinished(results) else ""
    return (
        f"The grid {results.name}{shards} ran {plural(systems, 'system')} {with_models} on "
        f"{labels.listed(parts)}.{lacking}{open_}"
    )


def _is_unfinished(results: Results) -> bool:
    return any(not manifest.get("finished") for manifest in results.manifests)


def _model_name(name: str, said: dict[str, object]) -> str:
    file, adapters = said.get("model"), said.get("lora")
    tuned = f", with {plural(len(adapters), 'adapter')}" if isinstance(adapters, list) and adapters else ""
    return f"{name}{f' ({file}{tuned})' if file not in (None, name) or tuned else ''}"


def _documents(results: Results, collection: str) -> str:
    """Whole collection or pool, and how many documents."""
    cells = [one for one in results.results if one.collection == collection]
    counts = sorted({one.documents for one in cells})
    many = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
    pool = results.collections[collection].get("pool")
    if pool or any(one.pool for one in cells):
        how = pool.get("how") if isinstance(pool, dict) else None
        return f"a pool of {many} documents a language{f': {how}' if how else ''}"
    return f"the whole collection, {many} documents a language"


def _found(study: Study) -> str:
    best = study.best(one for one in study.systems if one.kind in GENERATED)
    if best is None:
        why = " ".join(study.common.notes)
        return f"On {study.collection}, no system that expands queries could be averaged. {why}".rstrip()
    value = study.average(best, study.main) or 0.0
    many = sum(one.kind in GENERATED for one in study.systems)
    said = [
        (
            f"On {study.collection}, the best of {plural(many, 'system')} that generate passages is "
            f"{labels.full(best)}, with a mean {study.main} of {100 * value:.2f} over "
            f"{plural(len(study.frame.pairs), 'language pair')}"
        )
    ]
    names = {
        ORIGINAL: "the original query",
        TRANSLATION: f"the query translated by {best.model} alone",
        HUMAN: "the query as people wrote it in the documents' language",
    }
    for kind, name in names.items():
        one = study.against(kind, study.main).get(best.name)
        if one is not None:
            sure = "significant" if one.holm < 0.05 else "not significant"
            said.append(
                f"{points(one.difference)} points against {name} at {100 * one.baseline:.2f} ({_p(one.holm)}, {sure})"
            )
    chosen = (
        " It was picked as the best of them on these queries, so its value is a little too high." if many > 1 else ""
    )
    return "; ".join(said) + "." + chosen + "".join(f" {note}" for note in study.common.notes)


def _p(value: float) -> str:
    return "corrected p < 0.001" if value < 0.001 else f"corrected p {value:.3f}"


def _failed(results: Results) -> str:
    broken = len(results.broken)
    distinct = len(_failures(results))
    if not broken and not distinct:
        return "Nothing failed."
    said = []
    if broken:
        said.append(f"{plural(broken, 'cell')} could not be done")
    if distinct:
        affected = sum(len(one.failures) for one in results.results)
        said.append(
            f"{plural(distinct, 'generation')} failed, which leaves {plural(affected, 'value')} of "
            f"{sum(len(one.queries) for one in results.results):,} to what the query alone finds, or to nothing"
        )
    return f"What failed: {' and '.join(said)}; the reasons are listed below."


def _failures(results: Results) -> dict[tuple[str | None, ...], tuple[str, str]]:
    """What failed, each generation once, however many systems use its text: identity -> (model, collection).

    A translation of a query is the same for all strategies, and an expansion before translation for all languages.
    """
    found: dict[tuple[str | None, ...], tuple[str, str]] = {}
    for one in results.results:
        system, (source, target) = one.system, one.pair
        for query, reason in one.failures.items():
            if system.reranker is not None and _stage(reason)[0] == "rerank":
                again = system.reranker
                ranking = (one.collection, again.model, source, target, query, reason, again.name, again.first)
                found[ranking] = (again.model, one.collection)
                continue
            translated_first = system.order in (None, "te") and _stage(reason)[0] == "translate"
            expanded_first = system.order == "et" and _stage(reason)[0] == "expand"
            identity = (
                *(one.collection, system.model, source, None if expanded_first else target, query, reason),
                *((None, None) if translated_first else (system.strategy, system.order)),
            )
            found[identity] = (system.model or NOTHING, one.collection)
    return found


# ---------------------------------------------------------------- tables


def collections(results: Results) -> Table:
    """What was searched: documents, queries, and whether it was all of the collection."""
    rows = []
    for name, said in results.collections.items():
        pairs = results.pairs(name)
        units = {query for pair in pairs for query in results.queries(name, pair)}
        per_pair = sorted({len(results.queries(name, pair)) for pair in pairs})
        languages = sorted({code for pair in pairs for code in pair})
        rows.append(
            Row(
                (name,),
                (
                    words(str(said.get("split") or NOTHING)),
                    words(_documents(results, name)),
                    words(" ".join(languages)),
                    count(len(pairs)),
                    words(f"{per_pair[0]:,}" if len(per_pair) == 1 else f"{per_pair[0]:,} to {per_pair[-1]:,}"),
                    count(len(units)),
                    words(str(said.get("licence") or NOTHING)),
                ),
            )
        )
    return Table(
        "collections",
        "Collections",
        ("collection",),
        ("split", "documents", "languages", "pairs", "queries a pair", "query ids", "licence"),
        tuple(rows),
    )


def cost(results: Results) -> Table | None:
    """What generation took, model by model."""
    rows = []
    for model, said in results.generation:
        seconds, tokens = float(said.get("seconds") or 0), int(said.get("tokens") or 0)
        file = results.models.get(model, {})
        rows.append(
            Row(
                (model,),
                (
                    words(str(file.get("file") or file.get("model") or NOTHING)),
                    words(str(file.get("sha256") or NOTHING)[:12]),
                    count(int(said.get("texts") or 0)),
                    count(int(said.get("reused") or 0)),
                    count(int(said.get("failed") or 0)),
                    count(tokens),
                    Value(f"{seconds:,.0f}", seconds),
                    Value(f"{tokens / seconds:,.0f}" if seconds else NOTHING),
                ),
            )
        )
    if not rows:
        return None
    return Table(
        "generation",
        "Generation",
        ("model",),
        ("file", "sha256", "texts", "reused", "failed", "tokens", "seconds", "tokens/s"),
        tuple(rows),
        notes=(
            "Reused texts come from the store of finished generations and took no time. A row is a model in a shard.",
        ),
    )


def failures(results: Results) -> Table | None:
    """What failed: by model, stage and reason, each generation once."""
    counted = Counter(
        (model, collection, *_stage(str(identity[5]))) for identity, (model, collection) in _failures(results).items()
    )
    cells: dict[tuple[str, str, str, str], int] = Counter(
        (one.system.model or NOTHING, one.collection, "cell", one.error or "no queries") for one in results.broken
    )
    touched: dict[tuple[str, str, str, str], int] = defaultdict(int)
    for one in results.results:
        for reason in one.failures.values():
            by = one.system.reranker if _stage(reason)[0] == "rerank" else None
            touched[(by.model if by else one.system.model or NOTHING, one.collection, *_stage(reason))] += 1
    found = [
        *((key, number, touched[key]) for key, number in counted.most_common()),
        *((k, n, 0) for k, n in cells.items()),
    ]
    if not found:
        return None
    rows = [
        Row(
            (model, collection),
            (words(stage), words(reason), count(number), count(affected) if affected else words(NOTHING)),
        )
        for (model, collection, stage, reason), number, affected in found[:_MOST_REASONS]
    ]
    left = len(found) - len(rows)
    return Table(
        "failures",
        "Failures",
        ("model", "collection"),
        ("stage", "reason", "times", "values"),
        tuple(rows),
        notes=(
            (
                "Times: generations, or whole cells. Judgements: how many values in cells they touch; such a query "
                "keeps what "
                "its last good state finds, and counts in all averages."
            ),
            *([f"{left} rarer reasons are left out; failures.csv has all."] if left else []),
        ),
    )


def _stage(reason: str) -> tuple[str, str]:
    stage, separator, message = reason.partition(": ")
    return (stage, message) if separator and stage.isidentifier() else (NOTHING, reason)


def provenance(results: Results) -> Table:
    """What made the numbers: versions, machine, times."""
    rows = []
    for folder, said in zip(results.folders, results.manifests, strict=True):
        libraries = ", ".join(f"{name} {version}" for name, version in (said.get("libraries") or {}).items())
        machine = said.get("machine") or {}
        gpus = machine.get("gpus")  # None where nothing was generated in process
        known = [f"{machine.get('cores')} cores", *([", ".join(gpus) or "no GPU"] if gpus is not None else [])]
        rows.append(
            Row(
                (folder.name,),
                (
                    words(f"xqe {said.get('xqe')}, Python {said.get('python')}; {libraries}"),
                    words(f"{', '.join(known)}; {said.get('platform')}"),
                    words(str(said.get("started") or NOTHING)),
                    words(str(said.get("finished") or "not finished")),
                    Value(f"{float(said.get('seconds') or 0):,.0f}"),
                    words(
                        f"seed {said.get('seed')}, relevant from grade {said.get('rel')}, {said.get('depth')} hits"
                        f"{_vectors(said.get('encoder'))}"
                    ),
                ),
            )
        )
    return Table(
        "provenance",
        "What made these numbers",
        ("folder",),
        ("versions", "machine", "started", "finished", "seconds", "settings"),
        tuple(rows),
    )


def _vectors(encoder: dict[str, object] | None) -> str:
    """Whose vectors were searched, where some were."""
    if not encoder:
        return ""
    sha256 = encoder.get("sha256")
    return f", vectors of {encoder.get('encoder')}" + (f" ({sha256[:12]})" if isinstance(sha256, str) else "")


def reading_notes(studies: Sequence[Study]) -> list[str]:
    """How averages and tests are to be read."""
    mains = labels.listed(dict.fromkeys(study.main for study in studies))
    return [
        (
            "An average is the mean of the language pairs' means, as in the paper, over the same pairs and queries for "
            "everything in a table."
        ),
        (
            f"Differences are in {mains}. They are tested by the two-sided paired randomization test and corrected by "
            "Holm's method over the family that stands below each table. A query id that is asked in several language "
            "pairs is one unit of the test: its values go up and down together, and counting them as independent would "
            "make p too small. So it is with the intervals."
        ),
        (
            "A test says whether other queries of this kind would show a difference too. It says nothing of other "
            "collections, models or prompts."
        ),
    ]
