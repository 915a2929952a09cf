"""From what a grid file says to the plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from fnmatch import fnmatchcase
from functools import cache, partial
from typing import Any

from xqe import __version__
from xqe.errors import InputError
from xqe.experiments.grid.asked import Asked, ask_all, examples_file
from xqe.experiments.grid.keys import Identity, at_once, digest, encoder_identity, identity
from xqe.experiments.grid.pairs import Pair, listed
from xqe.experiments.grid.plan import (
    DIRECT,
    EXPAND,
    EXPANSION,
    TRANSLATE,
    Again,
    Cell,
    Guided,
    Plan,
    Questions,
    Ranked,
    Texts,
    needed,
)
from xqe.experiments.grid.settings import (
    BUILTIN,
    DOCUMENTS,
    TRAIN,
    Grid,
    Guidance,
    ModelRow,
    QuestionsRow,
    RerankRow,
)
from xqe.experiments.grid.tables import told_at
from xqe.files.hashes import cached_sha256
from xqe.models import examples, prompts
from xqe.models.prompts.nearby import forms as nearby_forms
from xqe.retrieval.choices import By, Use
from xqe.retrieval.hybrid import DENSE_CONTRASTS, DEPTH, METHOD, NORM
from xqe.retrieval.meaning import QUERY_WEIGHT
from xqe.stages.choosing import RULES
from xqe.stages.judging.choices import Judging
from xqe.stages.judging.closeness import STRAYED
from xqe.stages.librarian.diverse import BALANCE
from xqe.stages.librarian.nearby import TOKENS
from xqe.stages.presets import Preset
from xqe.stages.strategies import RECIPES, Strategy

Identify = Callable[[Any, Identity | None], Identity]


def make_plan(grid: Grid, before: Mapping[str, Any] | None = None, reads_models: bool = True) -> Plan:
    """Return what a grid comes to. Raises InputError, with the row of the grid file, for whatever cannot be done.

    before: the manifest of an earlier run, for what servers told that are not there now. reads_models: without it,
    models need not be there, and what was made by those that are not known yet counts as not done.
    """
    before = before or {}
    identify: Identify = identity if reads_models else partial(at_once, identity)
    identify_encoder: Identify = encoder_identity if reads_models else partial(at_once, encoder_identity)
    identities = {}
    for number, row in enumerate(grid.models, 1):
        with told_at(f"{grid.file}: models[{number}]"):
            identities[row.name] = identify(row, before.get("models", {}).get(row.name))
    encoder = None
    if grid.encoder is not None:
        with told_at(f"{grid.file}: encoder"):
            encoder = identify_encoder(grid.encoder, before.get("encoder"))
    asked = ask_all(grid)
    planner = _Planner(grid, asked, identities, encoder)
    cells: list[Cell] = []
    impossible: list[str] = []
    for one in asked.values():
        for pair in one.pairs:
            for retriever in grid.retrievers:
                cells += planner.cells(one, pair, retriever)
        if "human" in grid.baselines and (lacking := [pair for pair in one.pairs if not one.has_human(pair)]):
            impossible.append(f"{one.name} {listed(lacking)}: no queries that people translated")
    if not cells:
        raise InputError(f"{grid.file}: nothing to search with", "name strategies, baselines or presets")
    if grid.questions is not None:
        cells += planner.with_questions(grid.questions, cells)
    ranked = before.get("rerankers", {})
    rerankers = {row.name: _reranker(row, ranked.get(row.name), identify) for row in grid.rerankers}
    searched = tuple(cells)
    for way in grid.rerankers:
        cells += reranked(way, rerankers[way.name], searched)
    cells = _by_pair(cells)
    texts = needed(planner.texts.values(), cells)
    systems = frozenset(cell.system for cell in cells)
    return Plan(grid, asked, texts, tuple(cells), identities, encoder, rerankers, systems, tuple(impossible))


@cache
def _prompts(strategy: Strategy) -> list[str]:
    """All that a strategy is made of."""
    used = [strategy] if strategy in RECIPES else [rule.strategy for rule in RULES]
    return [repr((one.recipe, one.recipe.templates)) for one in used]


def _by_pair(cells: Iterable[Cell]) -> list[Cell]:
    """The cells of a collection and language pair together, and otherwise in their order."""
    places: dict[tuple[str, Pair], int] = {}
    return sorted(cells, key=lambda cell: places.setdefault((cell.collection, cell.pair), len(places)))


def _reranker(row: RerankRow, before: Identity | None, identify: Identify) -> Identity:
    """What decides a ranking besides the hits. before: as of a model. Raises InputError where the model or the prompt
    is not there."""
    with told_at(row.where):
        return {
            **identify(row.model, before),
            "kind": row.kind,
            "prompt": digest(repr(row.template)),
            "query": row.asked,
            "document_tokens": row.document_tokens,
        }


def reranked(row: RerankRow, identity: Identity, cells: Sequence[Cell]) -> Iterator[Cell]:
    """The cells that re-rank some of these, which the row names. Raises InputError for a pattern that names none."""
    _check_patterns(row.where, row.systems, cells)
    chosen = [
        cell for cell in cells if _is_named(cell, row.systems, cell.kind == "translation" and cell.questions is None)
    ]
    if not chosen:
        raise InputError(f"{row.where}: no system is the translated query alone, which is re-ranked", "name systems")
    for first in chosen:
        for n in row.depths:
            read = max(row.depths) if row.kind.gives_scores else n
            ranked = Ranked(first, row, read, digest(__version__, first.key, identity, read))
            for weight in row.first_weights or (None,):
                parts = [f"{first.system}+{row.name}@{n}"]
                if len(row.first_weights) > 1:
                    parts.append(f"w{weight:g}".replace(".", "_"))
                yield replace(
                    first,
                    system=".".join(parts),
                    key=digest(__version__, first.key, identity, n, weight),
                    again=Again(ranked, n, weight),
                )


def _is_named(cell: Cell, patterns: Sequence[str] | None, usual: bool) -> bool:
    """Whether a row is of a cell. usual: whether it is where the row names no systems."""
    return usual if patterns is None else any(fnmatchcase(cell.system, pattern) for pattern in patterns)


def _check_patterns(where: str, patterns: Sequence[str] | None, cells: Sequence[Cell]) -> None:
    """Raise InputError for a pattern that names no system."""
    for pattern in patterns or ():
        if not any(fnmatchcase(cell.system, pattern) for cell in cells):
            there = ", ".join(sorted({cell.system for cell in cells})[:20])
            raise InputError(f'{where}.systems: no system "{pattern}"', f"there are {there}")


def _expands(cell: Cell) -> bool:
    """Whether a cell is searched with passages."""
    return cell.texts is not None and cell.texts.strategy is not None


class _Planner:
    def __init__(
        self, grid: Grid, asked: dict[str, Asked], identities: dict[str, Identity], encoder: Identity | None
    ) -> None:
        self.grid = grid
        self.asked = asked
        self.identities = identities
        self.encoder = encoder
        self.texts: dict[str, Texts] = {}

    def cells(self, one: Asked, pair: Pair, retriever: By) -> Iterator[Cell]:
        grid = self.grid
        if "original" in grid.baselines:
            yield self._cell(one, pair, retriever, "original", None, Use.QUERY)
        if "human" in grid.baselines and one.has_human(pair):
            yield self._cell(one, pair, retriever, "human", None, Use.QUERY)
        for model in grid.models:
            if DOCUMENTS in grid.baselines and not model.lora:
                yield self._of_documents(one, pair, retriever, model)
            for preset in grid.presets if not model.lora else ():
                if grid.retriever_of(preset) is retriever:
                    yield self._of_preset(one, pair, retriever, model, preset)
            for guide in grid.guides:
                yield from self._guided(one, pair, retriever, model, guide)

    def _guided(self, one: Asked, pair: Pair, retriever: By, model: ModelRow, guide: Guidance) -> Iterator[Cell]:
        """The cells of a model whose prompts show what a guide chooses; of texts that have nothing to be judged by,
        those without a judge."""
        grid = self.grid
        if "translation" in grid.baselines and not model.lora:
            texts = self.translated(one, pair, model, guide)
            yield self._cell(one, pair, retriever, "translation", texts, Use.QUERY)
        for strategy in grid.strategies:
            for samples in grid.samples_of(strategy):
                for kind, texts in self._expanded(one, pair, model, strategy, samples, guide):
                    for use in grid.uses:
                        for weight in self._weights(use, retriever):
                            cell = self._cell(one, pair, retriever, kind, texts, use, weight)
                            yield from (self._judged(cell, judge) for judge in grid.judges)

    def _of_preset(self, one: Asked, pair: Pair, retriever: By, model: ModelRow, preset: Preset) -> Cell:
        """A whole way, from the query to how it is searched."""
        choices = preset.choices
        texts = self._texts(one, TRANSLATE, pair, model, samples=choices.translations)
        use, weight = Use.QUERY, None
        if choices.strategy is not None:
            [samples] = self.grid.samples_of(choices.strategy)[:1]
            texts = self._texts(one, EXPAND, pair, model, choices.strategy, "te", samples, texts)
            use, weight = Use.QUERY_DOC, choices.query_weight
        cell = self._cell(one, pair, retriever, str(preset), texts, use, weight)
        return replace(cell, key=digest(cell.key, repr(choices)), preset=preset)

    def _judged(self, cell: Cell, judge: Judging | None) -> Cell:
        """A cell whose texts are judged before they are searched with."""
        if judge is None:
            return cell
        guided = cell.guided or Guided(cell.system, Guidance.PLAIN, None)
        return replace(
            cell,
            system=f"{cell.system}.{judge}",
            key=digest(cell.key, judge, self.encoder, repr(STRAYED)),
            guided=replace(guided, judge=judge),
        )

    def with_questions(self, row: QuestionsRow, cells: Sequence[Cell]) -> list[Cell]:
        """The cells in which the questions of documents count, of all languages that have any. Raises InputError for a
        pattern that names no system, and where there is nothing that they could count in."""
        _check_patterns(row.where, row.systems, cells)
        found = []
        for cell in cells:
            asked = self.asked[cell.collection]
            if (
                cell.stock is None
                and cell.target in asked.row.questions
                and _is_named(cell, row.systems, not _expands(cell))
            ):
                found += list(self._with_questions(row, cell, asked))
        if not found:
            raise InputError(f"{row.where}: no system has documents with questions", "see systems, and their languages")
        return found

    def _with_questions(self, row: QuestionsRow, cell: Cell, asked: Asked) -> Iterator[Cell]:
        """A cell for each weight and share that its retriever heeds."""
        weights = row.weights if cell.retriever is not By.DENSE and cell.use is not Use.DOC else ()
        shares = row.shares if cell.retriever is not By.BM25 else ()
        for weight in (0.0, *weights):
            for share in (0.0, *shares):
                if weight or share:
                    parts = [f"qw{weight:g}"] * bool(weight) + [f"qs{share:g}"] * bool(share)
                    yield replace(
                        cell,
                        system=".".join([cell.system, *(part.replace(".", "_") for part in parts)]),
                        key=digest(cell.key, weight, share, row.languages, asked.questions_sha256(cell.target)),
                        questions=Questions(cell.system, weight, share),
                    )

    def _weights(self, use: Use, retriever: By) -> Sequence[float | None]:
        """The query weights that a system is searched with, which are those of words."""
        if use is Use.QUERY or retriever is By.DENSE:
            return [None]
        return self.grid.query_weights if use is Use.QUERY_DOC else self.grid.query_weights[:1]

    def _expanded(
        self, one: Asked, pair: Pair, model: ModelRow, strategy: Strategy, samples: int, guide: Guidance
    ) -> Iterator[tuple[str, Texts]]:
        """What is expanded; in the source language only without a guide, since one shows what the target's is."""
        if "te" in self.grid.orders:
            after = self.translated(one, pair, model, guide)
            yield EXPANSION, self._texts(one, EXPAND, pair, model, strategy, "te", samples, after, guide=guide)
        if strategy.reads:
            return  # it reads documents that were found, which the words of the other language do not find
        if "direct" in self.grid.baselines and not guide.has_examples:  # no split has any in two languages
            yield "direct", self._texts(one, DIRECT, pair, model, strategy, None, samples, guide=guide)
        if guide is not Guidance.PLAIN:
            return
        source = self.expanded(one, pair[0], model, strategy, samples)
        if "et" in self.grid.orders:
            yield EXPANSION, self._texts(one, TRANSLATE, pair, model, strategy, "et", samples, source)
        if "source-expansion" in self.grid.baselines:
            yield "source-expansion", source

    def _of_documents(self, one: Asked, pair: Pair, retriever: By, model: ModelRow) -> Cell:
        """The query as it is, in documents that are translated into its language."""
        source, target = pair
        count = one.collection.document_count(target)
        made_by = {**self.identities[model.name], "lora": []}
        key = digest(
            __version__,
            DOCUMENTS,
            one.documents_sha256(target),
            source,
            made_by,
            [self._shown(one, TRANSLATE, target, source, None), repr(prompts.builtin("translate-title"))],
            asdict(self.grid.sampling),
        )
        name = f"docs.{target}-{source}"
        stock = Texts(name, DOCUMENTS, one.name, model, target, source, None, None, 1, False, (), key, None, count)
        stock = self.texts.setdefault(stock.place, stock)
        cell = self._cell(one, pair, retriever, DOCUMENTS, None, Use.QUERY)
        system = ".".join([model.name, DOCUMENTS, *([str(retriever)] if retriever is not By.BM25 else [])])
        return replace(cell, system=system, key=digest(cell.key, stock.key), stock=stock)

    def translated(self, one: Asked, pair: Pair, model: ModelRow, guide: Guidance = Guidance.PLAIN) -> Texts:
        return self._texts(one, TRANSLATE, pair, model, samples=self.grid.translations, guide=guide)

    def expanded(self, one: Asked, source: str, model: ModelRow, strategy: Strategy, samples: int) -> Texts:
        """Expansions of all queries of a language that some pair asks."""
        ids = one.all_ids()[source]
        return self._texts(one, EXPAND, (source, None), model, strategy, None, samples, None, ids)

    def _texts(
        self,
        one: Asked,
        kind: str,
        pair: tuple[str, str | None],
        model: ModelRow,
        strategy: Strategy | None = None,
        order: str | None = None,
        samples: int = 1,
        after: Texts | None = None,
        ids: tuple[str, ...] | None = None,
        guide: Guidance = Guidance.PLAIN,
    ) -> Texts:
        source, target = pair
        if ids is None:
            ids = one.pairs[source, target]  # type: ignore[index]
        prefix = order or {TRANSLATE: "t", EXPAND: "e", DIRECT: "d"}[kind]
        several = [f"n{samples}"] if strategy and len(self.grid.samples) > 1 else []
        translations = self.grid.translations
        if kind == TRANSLATE and after is None:
            translations = samples
        elif after is not None and after.kind == TRANSLATE:
            translations = after.samples
        several += [f"t{translations}"] if translations != self.grid.translations else []
        languages = source if target is None else f"{source}-{target}"
        shown = [str(guide)] if guide is not Guidance.PLAIN else []
        name = ".".join([prefix, *([str(strategy)] if strategy else []), *several, *shown, languages])
        adapted = kind != TRANSLATE
        identity_of = self.identities[model.name]
        made_by = identity_of if adapted else {**identity_of, "lora": []}
        limit = self.grid.tokens_of(strategy) if strategy is not None and kind != TRANSLATE else None
        sampling = self.grid.sampling_of(strategy if kind != TRANSLATE else None)
        queries = [translations] if kind == TRANSLATE and translations > 1 else []
        key = digest(
            __version__,
            kind,
            after.key if after else None,
            one.digest_of(source, ids),
            target,
            made_by,
            self._shown(one, kind, source, target, strategy),
            [asdict(sampling), samples, limit, *queries],
            *(self._read(one, strategy, target) if kind == EXPAND and target is not None else []),
            *(self._chosen(one, source, target, kind, guide) if guide is not Guidance.PLAIN and target else []),
        )
        texts = Texts(name, kind, one.name, model, source, target, strategy, order, samples, adapted, ids, key, after)
        texts = replace(texts, guide=guide)
        return self.texts.setdefault(texts.place, texts)

    def _chosen(self, one: Asked, source: str, target: str, kind: str, guide: Guidance) -> list[object]:
        """What decides what a guide shows."""
        from xqe.experiments.grid.guidance import train_pairs

        said: list[object] = [guide, self.encoder]
        if guide.has_nearby:
            said += [one.documents_sha256(target), self.grid.nearby, TOKENS, nearby_forms(), one.drop_self]
        if guide.has_examples:
            examples = train_pairs(one, (source, target)) if kind == TRANSLATE else examples_file(one, target)
            said += [TRAIN, digest(examples) if isinstance(examples, list) else cached_sha256(examples), BALANCE]
        return said

    def _shown(self, one: Asked, kind: str, source: str, target: str | None, strategy: Strategy | None) -> str:
        """The digest of prompts and worked examples."""
        languages = [source, *([target] if target else [])]
        parts: list[object] = [examples.builtin(lang) for lang in languages]
        if kind == TRANSLATE:
            parts += [repr(prompts.builtin(f"translate-{what}")) for what in ("query", "passage")]
        elif strategy is not None:
            parts += [_prompts(strategy), self.grid.shots]
            if self.grid.examples != BUILTIN:
                parts += [cached_sha256(examples_file(one, lang)) for lang in languages]
        return digest(parts)

    def _read(self, one: Asked, strategy: Strategy | None, target: str) -> list[object]:
        """What else decides the texts of a strategy that reads documents: these."""
        reads = strategy is not None and strategy.reads
        return [one.documents_sha256(target), *(["drop_self"] if one.drop_self else [])] if reads else []

    def _cell(
        self,
        one: Asked,
        pair: Pair,
        retriever: By,
        kind: str,
        texts: Texts | None,
        use: Use,
        weight: float | None = None,
    ) -> Cell:
        ids = one.pairs[pair]
        searched = texts.key if texts else one.digest_of(pair[1] if kind == "human" else pair[0], ids)
        with_passages = texts is not None and use is not Use.QUERY
        key = digest(
            __version__,
            kind,
            searched,
            use,
            weight,
            self.grid.depth,
            list(map(str, self.grid.measures)),
            self.grid.rel,
            one.qrels[pair],
            one.documents_sha256(pair[1]),
            pair,
            *self._by(retriever),
            *(["drop_self"] if one.drop_self else []),
        )
        return Cell(
            one.name,
            *pair,
            self._system(retriever, kind, texts, use, weight),
            kind,
            use,
            ids,
            texts,
            weight if with_passages else None,
            key,
            retriever,
            guided=self._guide_of(retriever, kind, texts, use, weight),
        )

    def _guide_of(self, retriever: By, kind: str, texts: Texts | None, use: Use, weight: float | None) -> Guided | None:
        if texts is None or texts.guide is Guidance.PLAIN:
            return None
        plain = replace(texts, guide=Guidance.PLAIN)
        return Guided(self._system(retriever, kind, plain, use, weight), texts.guide, None)

    def _by(self, retriever: By) -> list[dict[str, object]]:
        """What else decides what a retriever finds: nothing where it looks for the words of translations alone."""
        source_weight = self.grid.source_weights.get(retriever)
        if retriever is By.BM25:
            return [] if source_weight == 0 else [{"source_weight": source_weight}]
        said: dict[str, object] = {
            "by": retriever,
            "encoder": self.encoder,
            "encode": self.grid.encode,
            "query_weight": QUERY_WEIGHT,
        }
        if retriever is By.DENSE:
            return [said]
        weight = (
            {"dense_contrasts": DENSE_CONTRASTS} if (own := self.grid.dense_weight) is None else {"dense_weight": own}
        )
        fused = {"fusion": METHOD, "norm": NORM, "depth": DEPTH, **weight}
        return [{**said, **fused, "source_weight": source_weight}]

    def _system(self, retriever: By, kind: str, texts: Texts | None, use: Use, weight: float | None) -> str:
        """The name of a system: what is the same in all of the grid is left out, but for the paper's parameters, and
        so is that words are searched for, as in the paper."""
        parts = [] if texts is None else [texts.model.name]
        if texts is None or kind in ("translation", *Preset):
            parts.append(kind)
        else:
            parts += [
                str(texts.strategy),
                texts.order or {"source-expansion": "source", "direct": "direct"}[kind],
                str(use),
            ]
            if use is Use.QUERY_DOC and len(self.grid.query_weights) > 1 and retriever is not By.DENSE:
                parts.append("auto" if weight is None else f"w{weight:g}".replace(".", "_"))
            if len(self.grid.samples) > 1:
                parts.append(f"n{texts.samples}")
        if texts is not None and texts.guide is not Guidance.PLAIN:
            parts.append(str(texts.guide))
        if retriever is not By.BM25:
            parts.append(str(retriever))
        return ".".join(parts)
