"""What adapters add to their base, use by use, from the report of a grid: the table of docs/results.md.

    xqe report results/finetuned
    python benchmarks/adapted.py results/finetuned --base base [--measure MRR]

Values are means over language pairs, times 100. A difference to the base is tested over queries (one that is asked in
several pairs is one unit) by the paired randomization test, with Holm's correction over the adapters of a row.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

from tables import table

from xqe.evaluation.significance import compare, holm

Values = dict[tuple[str, str], dict[str, float]]
"""(collection, system) -> query -> mean over its pairs."""


def read(folder: Path, measure: str) -> Values:
    found: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with (folder / "report" / "queries.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found[row["collection"], row["system"]][row["query"]].append(float(row[measure]))
    return {key: {name: sum(all_) / len(all_) for name, all_ in of.items()} for key, of in found.items()}


def mean(values: dict[str, float]) -> float:
    return 100 * sum(values.values()) / len(values)


def chance(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p {p:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--base", default="base")
    parser.add_argument("--measure", default="MRR")
    options = parser.parse_args()
    values = read(options.folder, options.measure)
    settings = [key for key in values if key[1].startswith(f"{options.base}.") and key[1].count(".") > 1]
    models = sorted({system.partition(".")[0] for _, system in values if system.count(".") > 1} - {options.base})
    rows = []
    for collection, system in settings:
        base, setting = values[collection, system], system.partition(".")[2]
        order = sorted(base)
        differences = [
            compare([values[collection, f"{model}.{setting}"][one] for one in order], [base[one] for one in order])
            for model in models
        ]
        adjusted = holm([difference.p for difference in differences])
        cells = [
            f"{mean(values[collection, f'{model}.{setting}']):.1f} ({100 * difference.difference:+.1f}, {chance(p)})"
            for model, difference, p in zip(models, differences, adjusted, strict=True)
        ]
        rows.append((f"{collection}, {setting}", f"{mean(base):.1f}", *cells))
    print(table((options.measure, options.base, *models), rows, markdown=True))


if __name__ == "__main__":
    main()
