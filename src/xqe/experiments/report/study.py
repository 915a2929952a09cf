"""A collection of a grid as it is reported: what is averaged, what is compared with what, and what it is nearest to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from xqe.experiments.report import labels, published
from xqe.experiments.report.averages import Difference, Frame, common, corrected
from xqe.experiments.report.grouping import By, grouped
from xqe.experiments.report.results import (
    EXPANSION,
    HUMAN,
    ORIGINAL,
    PRESETS,
    TRANSLATION,
    WORDS,
    Pair,
    Results,
    System,
)

BASELINES = (ORIGINAL, TRANSLATION, HUMAN)

_MAIN = ("MRR", "nDCG@10")


class Study:
    """One collection of a grid, searched by one retriever.

    key, title: of the collection, with the retriever where that is not words. main: the measure that differences are
    shown of. by: what parts the `groups` of its languages. frame: the values that averages are over. single: whether
    each query has one relevant document, as far as the values tell. What cannot be averaged or compared is None.
    """

    def __init__(self, results: Results, collection: str, main: str, retriever: str = WORDS, by: By = By.PAPER) -> None:
        self.results = results
        self.collection = collection
        self.retriever = retriever
        self.key = collection if retriever == WORDS else f"{collection}-{retriever}"
        self.title = (
            collection if retriever == WORDS else f"{collection}, {labels.RETRIEVERS.get(retriever, retriever)}"
        )
        self.main = main
        self.by = by
        self.groups = grouped((code for pair in results.pairs(collection) for code in pair), by)
        self.common = common(results, collection, retriever)
        self.systems = self.common.systems
        self.frame = Frame(results, collection, self.common.pairs)
        self.single = _single(results, collection)
        self._against: dict[tuple[str, str], dict[str, Difference]] = {}
        self.paper, self.is_paper = published.collection(collection, self.single)

    @property
    def measures(self) -> tuple[str, ...]:
        """The main one first."""
        return tuple(main_first(self.results.measures, self.main))

    def some(self, *wanted: str) -> list[str]:
        """Those of the wanted measures that the grid has, and the main one before them."""
        return [name for name in self.measures if name == self.main or name in wanted]

    @property
    def models(self) -> list[str]:
        return list(dict.fromkeys(system.model for system in self.systems if system.model is not None))

    def of(self, kind: str, model: str | None = None) -> list[System]:
        return [one for one in self.systems if one.kind == kind and (model is None or one.model == model)]

    def presets(self, model: str | None = None) -> list[System]:
        """The systems of a kind of their own that presets are."""
        return [one for preset in PRESETS for one in self.of(preset, model)]

    def expansions(self, model: str | None = None) -> list[System]:
        return self.of(EXPANSION, model)

    def original(self) -> System | None:
        return next(iter(self.of(ORIGINAL)), None)

    def human(self) -> System | None:
        return next(iter(self.of(HUMAN)), None)

    def translation(self, model: str | None) -> System | None:
        """The translated query alone, of the model that translates for `model`: with adapters, that is the base."""
        if model is None:
            return None
        own = next(iter(self.of(TRANSLATION, model)), None)
        base = self.base(model)
        return own if own is not None or base is None else self.translation(base)

    def base(self, model: str) -> str | None:
        """The model without adapters that a fine-tuned one goes back to; None where it is none, or it is not there."""
        said = self.results.models.get(model, {})
        if not said.get("lora"):
            return None
        for name, other in self.results.models.items():
            if name != model and not other.get("lora") and other.get("model") == said.get("model"):
                return name
        return None

    def is_finetuned(self, model: str) -> bool:
        return bool(self.results.models.get(model, {}).get("lora"))

    def reference(self, model: str) -> str:
        """What a model is called outside this grid: its name in xqe's table, or its file."""
        return str(self.results.models.get(model, {}).get("model") or model)

    def paper_model(self, model: str) -> str | None:
        """The paper's name of the model; None for another one, for one with adapters, and where the search is not the
        paper's."""
        if self.retriever != WORDS or self.is_finetuned(model):
            return None
        return published.model(self.reference(model))

    def average(self, system: System, measure: str) -> float | None:
        column = self.frame.column(system, measure) if self.frame.size else None
        return None if column is None else self.frame.average(column)

    def baseline(self, kind: str, model: str | None) -> System | None:
        """What a model's systems are compared with: ORIGINAL, HUMAN, or its own TRANSLATION; None without it."""
        return self.translation(model) if kind == TRANSLATION else next(iter(self.of(kind)), None)

    def against(self, kind: str, measure: str) -> dict[str, Difference]:
        """Name of a system -> its difference to a kind of baseline, one of `BASELINES`.

        All of them are a family. Systems without such a baseline are not in it.
        """
        if (kind, measure) not in self._against:
            compared: list[tuple[System, System]] = []
            for system in self.systems:
                baseline = self.baseline(kind, system.model)
                if baseline is not None and baseline != system:
                    compared.append((system, baseline))
            family = corrected([self.difference(self.frame, [one], [other], measure) for one, other in compared])
            self._against[kind, measure] = {
                one.name: difference
                for (one, _), difference in zip(compared, family, strict=True)
                if difference is not None
            }
        return self._against[kind, measure]

    @staticmethod
    def difference(
        frame: Frame, systems: Sequence[System], baselines: Sequence[System], measure: str
    ) -> Difference | None:
        """How the mean of some systems differs from that of their baselines, before any correction."""
        if not frame.size:
            return None
        column, before = frame.mean_column(systems, measure), frame.mean_column(baselines, measure)
        return None if column is None or before is None else frame.compare(column, before)

    def best(self, systems: Iterable[System]) -> System | None:
        """The system with the highest average of the main measure."""
        return max(
            (one for one in systems if self.average(one, self.main) is not None),
            key=lambda one: self.average(one, self.main) or 0.0,
            default=None,
        )

    def languages(self) -> list[str]:
        """Those that are averaged over, group by group."""
        there = {code for pair in self.frame.pairs for code in pair}
        return [code for _, codes in self.groups for code in codes if code in there]

    def pairs_with(self, code: str, side: str) -> list[Pair]:
        """The pairs that have a language as that of queries ("query") or of documents ("document")."""
        place = 0 if side == "query" else 1
        return [pair for pair in self.frame.pairs if pair[place] == code]


def studies_of(results: Results, main: str, by: By = By.PAPER) -> list[Study]:
    """Each collection of a grid by each of its retrievers, words first."""
    return [
        Study(results, collection, main, retriever, by)
        for collection in results.collections
        for retriever in results.retrievers(collection)
    ]


def main_first(measures: Iterable[str], main: str) -> list[str]:
    """The measures, that which differences are shown of before the others."""
    return [main, *(name for name in measures if name != main)]


def main_measure_of(measures: Sequence[str], asked: str | None = None) -> str:
    """The measure that differences are shown of: the one asked for, else MRR, else the first there is."""
    if asked is not None:
        return asked
    return next((name for name in _MAIN if name in measures), measures[0])


def _single(results: Results, collection: str) -> bool:
    """Whether recall takes only the values 0 and 1 there."""
    recalls = [name for name in results.measures if name.startswith("Recall@")]
    return all(
        value in (0.0, 1.0)
        for one in results.results
        if one.collection == collection
        for name in recalls
        for value in one.values[name]
    )
