"""The paper's published results, tables 4 to 14 of arXiv 2511.19325, in percent, from the files in `paper/`.

The paper's models and collections are found by name; its averages are over all language pairs, orders and retrieval
texts. For a collection that the paper does not have, the nearer of its two is the one whose queries have as many
relevant documents: one (mMARCO) or many (CLIRMatrix).
"""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files

from xqe.experiments.report import labels
from xqe.experiments.report.results import System
from xqe.text.languages import name_of

PAPER = "https://arxiv.org/abs/2511.19325"
CLIRMATRIX, MMARCO = "CLIRMatrix", "mMARCO"

_MODELS = {
    # the beginning of a model's name here: (its name in the paper, the tables by setting, by language)
    "aya-expanse-8b": (
        "Aya Expanse 8B",
        "table05_aya",
        {CLIRMATRIX: "table07_aya_clirmatrix_languages", MMARCO: "table08_aya_mmarco_languages"},
    ),
    "gemma-3-4b": (
        "Gemma 3 4B",
        "table09_gemma3_4b",
        {CLIRMATRIX: "table10_gemma3_4b_clirmatrix_languages", MMARCO: "table11_gemma3_4b_mmarco_languages"},
    ),
    "gemma-3-12b": (
        "Gemma 3 12B",
        "table12_gemma3_12b",
        {CLIRMATRIX: "table13_gemma3_12b_clirmatrix_languages", MMARCO: "table14_gemma3_12b_mmarco_languages"},
    ),
}
MODELS = tuple(paper for paper, _, _ in _MODELS.values())
# Fine-tuned on (English and Spanish, Arabic and Chinese), as table 6 names them.
FINETUNED = ("CM En & Es", "CM Ar & Zh")


def model(name: str) -> str | None:
    """The paper's name of a model, None for one that the paper does not have.

    >>> model("gemma-3-4b-it-q4_0.gguf"), model("gemma-3-270m")
    ('Gemma 3 4B', None)
    """
    entry = _entry(name)
    return None if entry is None else entry[0]


def _entry(name: str) -> tuple[str, str, dict[str, str]] | None:
    plain = name.rsplit("/", 1)[-1].removeprefix("openai:").lower().replace("_", "-")
    for known, entry in _MODELS.items():
        if plain == known or (plain.startswith(known) and not plain[len(known)].isalnum()):
            return entry
    return None


def collection(name: str, single: bool) -> tuple[str, bool]:
    """(the paper's collection that comes nearest, whether it is that collection itself). single: each query has one
    relevant document."""
    plain = "".join(letter for letter in name.lower() if letter.isalnum())
    for known in (CLIRMATRIX, MMARCO):
        if known.lower() in plain:
            return known, True
    return (MMARCO if single else CLIRMATRIX), False


def setting(system: System, paper_collection: str, measure: str) -> float | None:
    """The published percentage of a system of one setting (tables 5, 9, 12), None where the paper has none."""
    entry = _entry(system.model or "")
    if entry is None or system.strategy is None or system.order is None:
        return None
    key = (labels.strategy(system).lower(), labels.order(system), labels.USES.get(system.use))
    for row in _rows(entry[1]):
        if (row["strategy"].lower(), row["order"], row["use"]) == key:
            return _number(row, paper_collection, measure)
    return None


def strategy(model_name: str, name: str, paper_collection: str, measure: str) -> float | None:
    """The published percentage of a model and strategy over all orders and uses (table 4)."""
    for row in _rows("table04_models"):
        if row["model"] == model(model_name) and row["strategy"].lower() == labels.STRATEGIES.get(name, name).lower():
            return _number(row, paper_collection, measure)
    return None


def original(paper_collection: str, measure: str) -> float | None:
    """The published percentage of the untranslated query."""
    for table in ("table04_models", "table05_aya"):
        for row in _rows(table):
            if row["strategy"] == "original":
                number = _number(row, paper_collection, measure)
                if number is not None:
                    return number
    return None


def spread(paper_collection: str, measure: str) -> tuple[float, float] | None:
    """The least and the greatest published percentage of all its models and settings (tables 5, 9, 12)."""
    numbers = [
        number
        for _, table, _ in _MODELS.values()
        for row in _rows(table)
        if row["strategy"] != "original" and (number := _number(row, paper_collection, measure)) is not None
    ]
    return (min(numbers), max(numbers)) if numbers else None


def by_language(model_name: str, paper_collection: str, code: str, side: str, measure: str) -> float | None:
    """The published percentage for a language, `side` "query" or "document" (tables 7, 8, 10, 11, 13, 14)."""
    entry = _entry(model_name)
    if entry is None:
        return None
    for row in _rows(entry[2][paper_collection]):
        if row["language"] == name_of(code):
            return _found(row, f"{side}_", paper_collection, measure)
    return None


def finetuned(strategy_name: str, variant: str, paper_collection: str, measure: str) -> float | None:
    """The published difference of a fine-tuned model to its base, in points (table 6)."""
    for row in _rows("table06_finetuned"):
        if row["strategy"] == labels.STRATEGIES.get(strategy_name) and row["model"] == variant:
            return _number(row, paper_collection, measure)
    return None


def _number(row: dict[str, str], paper_collection: str, measure: str) -> float | None:
    return _found(row, f"{paper_collection.lower()}_", paper_collection, measure)


def _found(row: dict[str, str], prefix: str, paper_collection: str, measure: str) -> float | None:
    # with one relevant document a query, Hit@k and Recall@k are one, and the paper gives either
    names = [measure.lower()]
    if paper_collection == MMARCO:
        names += [measure.lower().replace("hit", "recall"), measure.lower().replace("recall", "hit")]
    text = next((row[prefix + name] for name in names if row.get(prefix + name)), None)
    return None if text is None else float(text)


@cache
def _rows(table: str) -> list[dict[str, str]]:
    text = (files("xqe.experiments.report") / "paper" / f"{table}.csv").read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))
