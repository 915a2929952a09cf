"""What a report begins with: four numbers of each collection, and the systems behind them query by query."""

from __future__ import annotations

from collections.abc import Sequence

from xqe.experiments.report import labels
from xqe.experiments.report.averages import Column
from xqe.experiments.report.blocks import Tile, Tiles, Versus, points
from xqe.experiments.report.results import HUMAN, ORIGINAL, TRANSLATION, WORDS, System
from xqe.experiments.report.study import Study
from xqe.messages import plural

_MOST_VALUES = 300_000
"""Of all systems that a reader may choose from."""


class Opening:
    """The systems that a collection's report begins with. study: of the retriever that the paper's tables are of.

    best: by the main measure, of all that a model had a part in, whatever they search by and whoever re-ranks their
    hits, apart from the translated query alone. Only systems with all language pairs of the study are looked at.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self._columns: dict[System, Column] = {}
        for system in study.results.everything(study.collection) if study.frame.size else ():
            column = study.frame.column(system, study.main)
            if column is not None:
                self._columns[system] = column
        self.original = self._first(ORIGINAL)
        self.human = self._first(HUMAN)
        made = [one for one in self._columns if _is_made(one)]
        self.compared = len(made)
        self.best = max(made, key=self._average, default=None)
        model = self.best.model if self.best is not None else None
        own = study.translation(model)
        self.translated = own if own in self._columns else self._first(TRANSLATION)

    @property
    def systems(self) -> dict[str, System | None]:
        """Those of the numbers, by what a column calls them."""
        return {"original": self.original, "translated": self.translated, "best": self.best, "human": self.human}

    def _first(self, kind: str) -> System | None:
        return next((one for one in self._columns if one.kind == kind and _is_plain(one)), None)

    def _average(self, system: System) -> float:
        return self.study.frame.average(self._columns[system])

    def tiles(self) -> Tiles | None:
        """The numbers with their intervals; those that are not there are left out."""
        parts = (
            ("Original", self.original, "The query as it was asked, in its own language."),
            ("Translated", self.translated, self._said_of_translated()),
            ("Best system", self.best, self._said_of_best()),
            ("Human ceiling", self.human, "The query as people wrote it in the language of the documents."),
        )
        tiles = tuple(self._tile(name, system, said) for name, system, said in parts if system is not None)
        if not tiles:
            return None
        study = self.study
        return Tiles(f"{study.collection}-tiles", f"{study.collection}: {study.frame.counted}", study.main, tiles)

    def _tile(self, name: str, system: System, said: str) -> Tile:
        low, high = self.study.frame.interval(self._columns[system])
        value, span = f"{100 * self._average(system):.2f}", f"{100 * low:.2f} to {100 * high:.2f}"
        return Tile(name, value, span, said)

    def _said_of_translated(self) -> str:
        return f"Translated by {self.translated.model}, and searched as it is." if self.translated is not None else ""

    def _said_of_best(self) -> str:
        if self.best is None:
            return ""
        said = f"{labels.full(self.best)}: the best of {plural(self.compared, 'system')}"
        if self.compared > 1:
            said += ", picked on these queries, and so a little too high"
        if self.translated is not None:
            said += f"; {points(self._average(self.best) - self._average(self.translated))} points to translated"
        return f"{said}."

    def versus(self) -> Versus | None:
        """Systems against each other, query by query: at first the best against the translated query alone, or what
        there is."""
        study, systems = self.study, self._chosen()
        before = self.translated or self.original
        after = self.best if self.best is not None else self.human
        if before is None or after is None or before == after:
            return None
        return Versus(
            f"{study.collection}-versus",
            study.collection,
            tuple(map(labels.full, systems)),
            tuple(f"{'-'.join(pair)} {query}" for pair, query in study.frame.queries),
            tuple(tuple(map(float, self._columns[one])) for one in systems),
            systems.index(before),
            systems.index(after),
            study.main,
            (
                f"{study.frame.counted}.",
                "Left: what the first gains on the second, the greatest gain first.",
                "Right: the second across, the first upwards; a larger dot is more values.",
                *self._left_out(systems),
            ),
        )

    def _chosen(self) -> list[System]:
        """All systems in their order, or as many of the best as a page has room for, and the baselines."""
        room = max(4, _MOST_VALUES // max(self.study.frame.size, 1))
        first = [one for one in (self.original, self.translated, self.best, self.human) if one is not None]
        others = sorted((one for one in self._columns if one not in first), key=self._average, reverse=True)
        kept = {*first, *others[: room - len(first)]}
        return [one for one in self._columns if one in kept]

    def _left_out(self, chosen: Sequence[System]) -> list[str]:
        left = len(self._columns) - len(chosen)
        return [f"Of all systems the {left} weakest cannot be chosen here."] if left else []


def _is_plain(system: System) -> bool:
    return system.reranker is None and system.questions is None and system.guided is None


def _is_made(system: System) -> bool:
    """Whether a model had a part in it, other than to translate the query for a search by words."""
    if system.kind in (ORIGINAL, HUMAN):
        return system.reranker is not None
    return system.kind != TRANSLATION or not _is_plain(system) or system.retriever != WORDS
