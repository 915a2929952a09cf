"""The report of a grid with re-ranked cells: a section of their own, what stages took, and all else as it was."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from report_grid import SMALL, cell_path, make, read, write

from xqe.errors import InputError
from xqe.experiments.report import reranking, results, tables, tidy
from xqe.experiments.report.blocks import Table
from xqe.experiments.report.compose import compose
from xqe.experiments.report.markdown import markdown
from xqe.experiments.report.study import studies_of
from xqe.experiments.report.trend import _best

pytestmark = pytest.mark.xdist_group("report")  # so that a grid is made once

FIRST = "tiny.translation"
SYSTEM = f"{FIRST}+likelihood@20"


def cost(stage: str, count: int, made: int, reused: int, tokens: int, seconds: float, **more: float) -> dict[str, Any]:
    counts = {"count": count, "made": made, "reused": reused, "tokens": tokens, "seconds": seconds}
    return {"stage": stage, "by": "tiny", "of": stage, **counts, **more}


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid in which the translated query alone was re-ranked, by which every second query gained a rank."""
    folder = make(tmp_path_factory.mktemp("again"), SMALL)
    for path in sorted((folder / "cells/debian").glob(f"*/{FIRST}.json")):
        cell = read(path)
        ranks = [max(1, rank - place % 2) if rank else None for place, rank in enumerate(cell["relevant"])]
        values = dict(cell["values"], MRR=[1 / rank if rank else 0.0 for rank in ranks])
        for weight in (0.3, 0.5):
            told = {"system": FIRST, "name": "likelihood", "kind": "likelihood", "model": "tiny", "n": 20}
            system = f"{SYSTEM}.w{weight:g}".replace(".w0.", ".w0_")
            costs = [cost("translate", 16, 8, 8, 80, 4.0), cost("rerank", 16, 640, 0, 64_000, 32.0, part=0.5)]
            more = {"reranked": {**told, "first_weight": weight}, "system": system, "costs": costs}
            write(path.with_name(f"{system}.json"), cell | more | {"relevant": ranks, "values": values})
    manifest = read(folder / "manifest.json")
    whole = [cost("translate", 96, 48, 48, 480, 24.0), cost("rerank", 96, 3840, 0, 384_000, 72.0)]
    write(folder / "manifest.json", manifest | {"costs": whole, "rerankers": {"likelihood": {"model": "tiny"}}})
    return folder


def table(found: results.Results) -> Table:
    [_, made] = reranking.blocks(found, "MRR")
    assert isinstance(made, Table)
    return made


def test_a_re_ranked_system_is_compared_with_its_first_stage(again: Path) -> None:
    found = results.read([again])
    rows = {row.heads: dict(zip(table(found).columns, row.values, strict=True)) for row in table(found).rows}
    assert list(rows) == [
        ("BM25: Query as people wrote it", "–"),
        ("BM25: tiny, Translated query alone", "–"),
        ("BM25: tiny, Translated query alone", "likelihood@20, weight 0.3"),
        ("BM25: tiny, Translated query alone", "likelihood@20, weight 0.5"),
    ]
    pairs = [f"{source}-{target}" for source in SMALL.languages for target in SMALL.languages if source != target]
    means = {}
    for name in (FIRST, f"{SYSTEM}.w0_3"):
        columns = [read(cell_path(again, pair, name))["values"]["MRR"] for pair in pairs]
        means[name] = sum(sum(column) / len(column) for column in columns) / len(columns)
    one = rows["BM25: tiny, Translated query alone", "likelihood@20, weight 0.3"]
    assert one["MRR"].number == pytest.approx(means[f"{SYSTEM}.w0_3"])
    assert one["change"].number == pytest.approx(means[f"{SYSTEM}.w0_3"] - means[FIRST])
    # half of the translations were there already, and half of what was read is of this depth
    assert one["found in, s"].number == pytest.approx(4.0 / 16 * 2)
    assert one["re-ranked in, s"].number == pytest.approx(32.0 / 16 / 2)
    assert one["tokens"].number == pytest.approx(64_000 / 16 / 2)


def test_other_tables_are_as_without_it(again: Path, tmp_path: Path) -> None:
    plain = results.read([make(tmp_path / "plain", SMALL)])
    found = results.read([again])
    for one, other in zip(studies_of(found, "MRR"), studies_of(plain, "MRR"), strict=True):
        assert tables.settings(one, "tiny") == tables.settings(other, "tiny")
        assert tables.all_differences(one) == tables.all_differences(other)
    assert "Re-ranking" not in markdown(compose(plain, studies_of(plain, "MRR"), 0))


def test_what_stages_took_is_told(again: Path) -> None:
    found = results.read([again])
    made = reranking.costs(found)
    assert made is not None
    assert [(row.heads, [value.text for value in row.values]) for row in made.rows] == [
        (("translate", "tiny"), ["96", "0.5", "10", "24.0", "25.0 %"]),
        (("rerank", "tiny"), ["96", "0.75", "4,000", "72.0", "75.0 %"]),
    ]
    assert "What each stage took" in markdown(compose(found, studies_of(found, "MRR"), 0))


def test_tidy_files_tell_of_the_first_stage(again: Path) -> None:
    found = results.read([again])
    files = {
        name: list(csv.DictReader(io.StringIO(text.decode())))
        for name, text in tidy.files(found, studies_of(found, "MRR"))
    }
    told = {row["first_weight"] for row in files["cells.csv"] if row["first_stage"] == FIRST}
    assert told == {"0.3", "0.5"}
    changes = [row for row in files["differences.csv"] if row["baseline"] == FIRST]
    assert [row["system"] for row in changes] == [f"{SYSTEM}.w0_3", f"{SYSTEM}.w0_5"]
    costs = [row for row in files["costs.csv"] if row["stage"] == "rerank"]
    assert {row["part"] for row in costs if row["system"]} == {"0.5"}
    [whole] = [row for row in costs if not row["system"]]
    assert (whole["collection"], whole["records"], whole["seconds"], whole["part"]) == ("", "96", "72.0", "1.0")


@pytest.mark.parametrize("field", [{"n": 0}, {"system": None}, {"first_weight": 2}, "likelihood"])
def test_a_damaged_cell_is_one_line(again: Path, tmp_path: Path, field: Any) -> None:
    cell = read(cell_path(again, "de-en", f"{SYSTEM}.w0_3"))
    told = {**cell["reranked"], **field} if isinstance(field, dict) else field
    write(tmp_path / "cells/debian/de-en/x.json", cell | {"reranked": told})
    write(tmp_path / "manifest.json", read(again / "manifest.json"))
    with pytest.raises(InputError, match='damaged, "reranked" is not what a grid writes'):
        results.read([tmp_path])


def test_no_query_of_people_is_the_best_of_a_night_whoever_re_ranks_it() -> None:
    measures = {name: {"MRR": value} for name, value in (("human+likelihood@20", 0.9), (SYSTEM, 0.5))}
    assert _best({"measures": measures}, "MRR") == SYSTEM
