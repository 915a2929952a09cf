"""The report of a grid: what it reads, what it averages and compares, and what it says of it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from report_grid import SMALL, Shape, cell_path, make, make_history, read, write
from scipy.stats import kendalltau

from xqe.errors import InputError, XqeError
from xqe.experiments.report import (
    beside,
    drawing,
    fairness,
    labels,
    latex,
    maps,
    markdown,
    published,
    quality,
    queries,
    ranks,
    results,
    retrievers,
    story,
    tables,
    tidy,
    trend,
)
from xqe.experiments.report.averages import Difference, Frame, common
from xqe.experiments.report.blocks import (
    BEST,
    WORST,
    Cases,
    HeatMap,
    Links,
    Paragraph,
    Report,
    Row,
    Section,
    Table,
    Value,
    marked,
)
from xqe.experiments.report.compose import compose
from xqe.experiments.report.grouping import By, grouped
from xqe.experiments.report.places import Places
from xqe.experiments.report.results import Results, System
from xqe.experiments.report.sparkline import sparkline
from xqe.experiments.report.study import Study, studies_of
from xqe.stages.inspection.measures import MEASURES
from xqe.text.analysis import word_count

pytestmark = pytest.mark.xdist_group("report")  # so that a grid is made once

TWO = Shape(("de", "en", "ja"), ("tiny", "gemma-3-4b"), ("zeroshot", "fewshot"), ("debian", "clirmatrix"), 12)
WHOLE = ("de-en", "de-ja", "en-de", "en-ja", "ja-de")  # the pairs that every system of the made-up grid has


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("two"), TWO)


@pytest.fixture
def own(small: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(small, tmp_path / "grid"))


def study(folder: Path, collection: str = "debian", measure: str = "MRR") -> Study:
    return Study(results.read([folder]), collection, measure)


def every(of: Study) -> dict[tuple[str, str, str], Difference]:
    """All differences: (baseline, measure, system) -> difference."""
    return {
        (kind, measure, name): one
        for kind in ("original", "translation", "human")
        for measure in of.measures
        for name, one in of.against(kind, measure).items()
    }


def system(of: Study, name: str) -> System:
    return next(one for one in of.systems if one.name == name)


def row(table: Table | None, *heads: str) -> dict[str, Value]:
    """The first row with these heads, by the names of the columns; of columns of one name, the first."""
    assert table is not None
    found = next(one for one in table.rows if one.heads[: len(heads)] == heads)
    named: dict[str, Value] = {}
    for name, value in zip(table.columns, found.values, strict=True):
        named.setdefault(name, value)
    return named


# ---------------------------------------------------------------- averages


def test_an_average_is_the_mean_of_the_pairs_means_over_the_pairs_that_all_systems_have(small: Path) -> None:
    of = study(small)
    means = [read(cell_path(small, pair, "tiny.fewshot.te.doc"))["measures"]["MRR"] for pair in WHOLE]
    assert of.average(system(of, "tiny.fewshot.te.doc"), "MRR") == pytest.approx(sum(means) / len(means), abs=1e-12)
    assert ["-".join(pair) for pair in of.frame.pairs] == list(WHOLE)
    assert any("ja-en lacks a system" in note for note in of.common.notes)


def test_pairs_count_alike_however_many_queries_they_have(own: Path) -> None:
    for path in (own / "cells/debian/de-en").glob("*.json"):
        cell = read(path)
        cell |= {name: cell[name][:4] for name in ("queries", "first", "relevant")}
        cell["values"] = {name: column[:4] for name, column in cell["values"].items()}
        cell["failures"] = {}
        write(path, cell)
    of = study(own)
    name = "tiny.zeroshot.te.doc"
    columns = [read(cell_path(own, pair, name))["values"]["MRR"] for pair in WHOLE]
    expected = sum(sum(column) / len(column) for column in columns) / len(columns)
    assert of.average(system(of, name), "MRR") == pytest.approx(expected, abs=1e-12)
    one = of.against("original", "MRR")[name]
    assert one.value - one.baseline == pytest.approx(one.difference, abs=1e-12)
    # the units of the test have the average as their mean, though a query is in some of the pairs only
    assert sum(of.frame._by_unit(of.frame.column(system(of, name), "MRR"))) / 16 == pytest.approx(expected)  # type: ignore[arg-type]


def test_a_query_asked_in_several_pairs_is_one_unit_of_the_test(small: Path) -> None:
    of = study(small)
    one = of.against("translation", "MRR")["tiny.fewshot.te.doc"]
    assert one.units == 16
    assert one.wins + one.ties + one.losses == 16 * len(WHOLE) == of.frame.size


def test_the_p_is_that_of_the_shared_test_over_mean_values_of_queries(small: Path) -> None:
    from xqe.evaluation.significance import compare

    of = study(small)

    def by_query(name: str) -> list[float]:
        cells = [read(cell_path(small, pair, name)) for pair in WHOLE]
        values = [dict(zip(cell["queries"], cell["values"]["MRR"], strict=True)) for cell in cells]
        return [sum(one[query] for one in values) / len(values) for query in sorted(values[0])]

    expected = compare(by_query("tiny.fewshot.te.doc"), by_query("tiny.translation"))
    found = of.against("translation", "MRR")["tiny.fewshot.te.doc"]
    assert found.difference == pytest.approx(expected.difference)
    assert found.p == pytest.approx(expected.p, rel=0.2, abs=1e-4)  # sums in another order may be drawn otherwise
    assert found.low == pytest.approx(expected.low) and found.high == pytest.approx(expected.high)


def test_corrected_ps_are_never_below_the_ps_of_their_family(small: Path) -> None:
    differences = every(study(small)).values()
    assert all(one.p <= one.holm <= 1 for one in differences)
    assert any(one.p < one.holm for one in differences)


def test_a_system_that_lacks_most_pairs_is_left_out_and_named(own: Path) -> None:
    for pair in ("de-en", "de-ja", "en-de", "en-ja"):
        cell_path(own, pair, "human").unlink()
    of = study(own)
    assert of.human() is None
    assert [one.name for one in of.common.left_out] == ["human"]
    assert len(of.frame.pairs) == len(WHOLE)
    assert any("human" in note for note in of.common.notes)


def test_pairs_of_one_language_are_no_part_of_averages(own: Path) -> None:
    before = common(results.read([own]), "debian").pairs
    cell = read(cell_path(own, "de-en", "original"))
    write(cell_path(own, "de-de", "original"), cell | {"target": "de"})
    assert common(results.read([own]), "debian").pairs == before


# ---------------------------------------------------------------- tables


def test_table_4_averages_the_settings_of_a_model_and_strategy(two: Path) -> None:
    of = study(two, "clirmatrix")
    found = row(tables.models_by_strategies(of), "gemma-3-4b", "Few-shot")
    settings = [f"gemma-3-4b.fewshot.{order}.{use}" for order in ("te", "et") for use in ("doc", "query+doc")]
    means = [of.average(system(of, name), "MRR") or 0 for name in settings]
    assert found["MRR"].number == pytest.approx(sum(means) / 4)
    original = of.average(system(of, "original"), "MRR") or 0
    assert found["to original"].number == pytest.approx(sum(means) / 4 - original)
    assert found["to original"].note.startswith("p ")


def test_published_numbers_stand_beside_the_papers_models_only(two: Path) -> None:
    table = tables.models_by_strategies(study(two, "clirmatrix"))
    assert table is not None
    assert [name for name, _ in table.groups] == ["measured", "paper, CLIRMatrix"]
    gemma = next(one for one in table.rows if one.heads == ("gemma-3-4b", "Zero-shot"))
    assert table.columns[-3:] == ("MRR", "Hit@10", "Recall@50")
    assert [value.text for value in gemma.values[-3:]] == ["51.03", "76.98", "11.68"]  # Table 4 of the paper
    tiny = next(one for one in table.rows if one.heads == ("tiny", "Zero-shot"))
    assert [value.text for value in tiny.values[-3:]] == ["", "", ""]


def test_another_collection_is_named_as_such_and_other_models_get_context(two: Path) -> None:
    of = study(two, "debian")
    assert (of.paper, of.is_paper) == ("mMARCO", False)
    table = tables.settings(of, "gemma-3-4b")
    assert table is not None and ("paper, on mMARCO", 3) in table.groups
    assert any("another collection than debian" in note for note in table.notes)
    other = tables.settings(of, "tiny")
    assert other is not None and other.groups == ()
    assert any(note.startswith("For context only, other models and another collection") for note in other.notes)


def test_the_settings_of_a_model_are_those_of_the_paper_with_all_baselines(two: Path) -> None:
    table = tables.settings(study(two, "clirmatrix"), "gemma-3-4b")
    assert table is not None and "Table 9" in table.title
    heads = [one.heads for one in table.rows]
    assert heads[:3] == [
        (name, "", "") for name in ("Original query", "Query as people wrote it", "Translated query alone")
    ]
    assert heads[3] == ("Zero-shot", "E only", "Doc only")
    assert ("Few-shot", "direct", "Q + doc") in heads
    assert heads[-4:] == [("Few-shot", o, u) for o in ("T + E", "E + T") for u in ("Doc only", "Q + doc")]
    assert [value.text for value in table.rows[-1].values[-3:]] == ["48.91", "75.29", "11.58"]  # Table 9 of the paper
    best = max(table.rows[3:], key=lambda one: one.values[0].number or 0.0)
    assert best.values[0].mark == BEST and table.columns[:3] == ("MRR", "to original", "to translated")


@pytest.mark.parametrize(
    ("numbers", "marks"),
    [
        ((0.5, 0.7, 0.2), ("", BEST, WORST)),
        ((0.5, 0.7, 0.2, 0.70001), ("", "", WORST, "")),  # two that look equal are the best
        ((0.5, 0.7, 0.5, 0.5), ("", BEST, "", "")),  # and what ties is not the worst
        ((0.5, 0.7), ("", "")),
        ((0.5, 0.5, 0.5), ("", "", "")),
    ],
)
def test_marked_is_what_alone_is_best_or_worst_of_systems(numbers: tuple[float, ...], marks: tuple[str, ...]) -> None:
    rows = [Row(("original",), (Value("0.00", 0.0),), "baseline")]
    rows += [Row(("a",), (Value("", number),)) for number in numbers]
    assert [one.values[0].mark for one in marked(rows, [0])] == ["", *marks]


def test_fine_tuned_models_are_differences_to_their_base(own: Path) -> None:
    manifest = read(own / "manifest.json")
    manifest["models"]["tuned"] = manifest["models"]["tiny"] | {"lora": ["adapter.gguf"]}
    write(own / "manifest.json", manifest)
    for path in list((own / "cells").rglob("tiny.*.te.*.json")):
        cell = read(path)
        name = cell["system"].replace("tiny", "tuned")
        values = {one: [min(1.0, value + 0.1) for value in column] for one, column in cell["values"].items()}
        write(path.with_name(f"{name}.json"), cell | {"system": name, "model": "tuned", "values": values})
    of = study(own)
    assert of.base("tuned") == "tiny"
    assert of.translation("tuned") == system(of, "tiny.translation")  # the base translates
    found = row(tables.finetuned(of), "tuned", "tiny", "Few-shot")
    rises = []
    for use in ("doc", "query+doc"):
        for pair in WHOLE:
            column = read(cell_path(own, pair, f"tiny.fewshot.te.{use}"))["values"]["MRR"]
            rises.append(sum(min(1.0, value + 0.1) - value for value in column) / len(column))
    assert found["MRR"].number == pytest.approx(sum(rises) / len(rises))
    assert tables.finetuned(study(make(own.parent / "plain"))) is None


def test_languages_are_averaged_as_query_and_as_document_language(two: Path) -> None:
    of = study(two, "clirmatrix")
    table = tables.by_language(of, "gemma-3-4b")
    assert table is not None and "Table 10" in table.title
    pairs = [pair for pair in of.frame.pairs if pair[1] == "ja"]
    means = [
        read(cell_path(two, "-".join(pair), one.name, "clirmatrix"))["measures"]["MRR"]
        for pair in pairs
        for one in of.expansions("gemma-3-4b")
    ]
    japanese = next(one for one in table.rows if one.heads == ("Japanese", "ja", "other"))
    width = table.groups[0][1]
    assert japanese.values[width].number == pytest.approx(sum(means) / len(means))
    assert japanese.values[-1].number == len(pairs) * 12


# ---------------------------------------------------------------- published


def test_the_papers_tables_are_whole() -> None:
    from importlib.resources import files

    names = sorted(path.name for path in (files("xqe.experiments.report") / "paper").iterdir())
    assert [name[:7] for name in names] == [f"table{number:02}" for number in range(4, 15)]
    assert published.spread("CLIRMatrix", "Hit@10") == (69.40, 86.69)
    assert published.spread("mMARCO", "MRR") == (17.23, 21.56)
    assert published.original("mMARCO", "Hit@10") == published.original("mMARCO", "Recall@10") == 38.55
    assert published.by_language("gemma-3-12b", "CLIRMatrix", "ar", "document", "nDCG@10") == 53.07
    assert published.by_language("aya-expanse-8b", "mMARCO", "hi", "query", "Recall@5") == 23.19
    assert published.finetuned("cot", "CM En & Es", "CLIRMatrix", "MRR") == 3.84


@pytest.mark.parametrize(
    ("name", "paper"),
    [
        ("gemma-3-4b", "Gemma 3 4B"),
        ("gemma-3-4b-it-q4_0.gguf", "Gemma 3 4B"),
        ("openai:aya-expanse-8b", "Aya Expanse 8B"),
        ("models/gemma-3-12b-it.gguf", "Gemma 3 12B"),
        ("gemma-3-270m", None),
        ("gemma-4-12b", None),
        ("tiny-aya", None),
        ("gemma-3-4bx", None),
    ],
)
def test_the_papers_models_are_known_by_name(name: str, paper: str | None) -> None:
    assert published.model(name) == paper


def test_the_nearer_of_the_papers_collections_is_told_by_the_number_of_relevant_documents() -> None:
    assert published.collection("clirmatrix-multi8", single=True) == ("CLIRMatrix", True)
    assert published.collection("mMARCO dev", single=False) == ("mMARCO", True)
    assert published.collection("debian", single=True) == ("mMARCO", False)
    assert published.collection("neuclir", single=False) == ("CLIRMatrix", False)


# ---------------------------------------------------------------- languages, lengths, scripts


def test_languages_stand_in_groups_of_the_table_of_languages() -> None:
    """Joshi et al. (2020): English and Arabic 5, Hungarian 4, Swahili and Yoruba 2. Breton and Lao have no row."""
    codes = ["yo", "en", "ar", "sw", "hu", "br", "fa", "de", "lo"]
    assert grouped(["ru", "id", "en", "ar", "pl"], By.PAPER) == (
        ("European", ("en", "pl")),
        ("other", ("ar", "id", "ru")),
    )
    assert grouped(["ru", "id", "en"], By.LATIN) == (("Latin", ("en", "id")), ("other", ("ru",)))
    assert grouped(codes, By.SCRIPT) == (
        ("Latn", ("br", "de", "en", "hu", "sw", "yo")),
        ("Arab", ("ar", "fa")),
        ("Laoo", ("lo",)),
    )
    assert grouped(codes, By.FAMILY) == (
        ("Germanic", ("de", "en")),
        ("Niger-Congo", ("sw", "yo")),
        ("others", ("ar", "br", "fa", "hu", "lo")),  # each alone in its family, or of none that is known
    )
    assert grouped(codes, By.RESOURCES) == (
        ("class 5", ("ar", "de", "en")),
        ("class 4", ("fa", "hu")),
        ("class 2", ("sw", "yo")),
        ("others", ("br", "lo")),
    )


def test_a_map_has_european_languages_first_and_the_means_of_its_quadrants(small: Path) -> None:
    one, other, change = maps.heat_maps(study(small), "tiny")
    assert one.rows == one.columns == ("de", "en", "ja")
    assert one.row_groups == one.column_groups == (("European", 2), ("other", 1))
    assert (one.diverging, change.diverging) == (False, True)
    assert one.values[0][0] is None
    (both, to_other), (from_other, neither) = one.means
    assert both == pytest.approx((one.values[0][1] + one.values[1][0]) / 2)  # type: ignore[operator]
    assert to_other == pytest.approx((one.values[0][2] + one.values[1][2]) / 2)  # type: ignore[operator]
    assert from_other == pytest.approx((one.values[2][0] + one.values[2][1]) / 2)  # type: ignore[operator]
    assert neither is None
    said = markdown.means_note(one)[0]
    assert f"other queries, European documents {from_other:.2f}." in said and "other documents –" not in said
    assert any("tiny, Zero-shot, E + T, Doc only" in note for note in one.notes)  # the cell that is broken
    assert other.title.startswith("MRR")


def test_maps_and_tables_have_the_groups_that_are_asked_for(small: Path) -> None:
    of = Study(results.read([small]), "debian", "MRR", by=By.RESOURCES)
    table = tables.by_language(of, "tiny")
    assert table is not None and table.heads == ("language", "code", "resources")
    assert {one.heads[2] for one in table.rows} == {"class 5"}  # Joshi et al.: English, German, Japanese
    assert [one.row_groups for one in maps.heat_maps(of, "tiny")] == [(("class 5", 3),)] * 3
    assert "classes of Joshi et al. 2020" in maps.about(of)


CODES = (
    *("de", "en", "sv", "fr", "it", "es", "pt", "ro"),
    *("cs", "pl", "ru", "uk", "sk", "sl", "hr", "hi", "bn", "ur", "mr", "gu", "pa"),
)
LARGE = HeatMap(
    "large",
    "A large map",
    CODES,
    CODES,
    tuple(tuple(None if row == column else 10.0 * (row < column) for column in range(21)) for row in range(21)),
    *(((("Germanic", 3), ("Romance", 5), ("Slavic", 7), ("Indo-Aryan", 6)),) * 2),
    ((5.0, 10.0, 10.0, 10.0), (0.0, 5.0, 10.0, 10.0), (0.0, 0.0, 5.0, 10.0), (0.0, 0.0, 0.0, 5.0)),
    True,
    tuple(tuple("*" if column == 20 else "" for column in range(21)) for _ in range(21)),
    file="maps.csv",
)


def test_a_map_of_many_languages_is_its_groups_means_in_text() -> None:
    section = Section("s", "S", (LARGE,))
    text = markdown.markdown(Report("R", (), (section,)))
    assert (
        "| Romance (5) | +0.00 | +5.00 | +10.00 | +10.00 |" in text and "420 values" in text and "maps.csv has" in text
    )
    assert max(map(len, text.splitlines())) < 300
    [(_, tabular)] = latex.parts(Report("R", (), (section,)))
    assert "Romance (5) & +0.00 & +5.00 & +10.00 & +10.00" in tabular and tabular.count("+") == 16


def test_a_picture_of_many_languages_has_short_numbers_and_significant_ones_in_bold() -> None:
    text = drawing.svg(LARGE)
    words = ["".join(one.itertext()).strip() for one in ElementTree.fromstring(text).iter("text")]
    assert {"+10", "+0", "Indo-Aryan", "Slavic", "uk"} <= set(words) and "+10*" not in words
    assert len(re.findall(r"font: [^;]*bold|font-weight: *(?:bold|700)|font: 700", text)) == 20


def test_the_fairness_of_a_system_is_between_its_best_and_worst_language(small: Path) -> None:
    of = study(small)
    table = fairness.systems(of)
    assert table is not None and table.groups[1:] == (("query languages", 4), ("document languages", 4))
    name = "tiny.fewshot.te.doc"
    means = {pair: read(cell_path(small, pair, name))["measures"]["MRR"] for pair in WHOLE}
    by_query = {code: [mean for pair, mean in means.items() if pair[:2] == code] for code in ("de", "en", "ja")}
    values = {code: sum(some) / len(some) for code, some in by_query.items()}
    best, worst = max(values.values()), min(values.values())
    centre = sum(values.values()) / 3
    found = next(one for one in table.rows if one.heads == (labels.full(system(of, name)),)).values
    assert [found[place].number for place in (1, 2, 3)] == pytest.approx([best, worst, best - worst])
    assert found[4].number == pytest.approx((sum((one - centre) ** 2 for one in values.values()) / 3) ** 0.5)
    assert found[1].text.endswith(labels.language(max(values, key=values.__getitem__)))
    assert len(table.rows) == len(of.systems) and any("Not every language meets" in note for note in table.notes)


def test_the_map_of_changes_is_the_difference_to_the_translated_query(small: Path) -> None:
    change = maps.heat_maps(study(small), "tiny")[-1]
    names = [path.stem for path in (small / "cells/debian/de-en").glob("tiny.*.[te][te].*.json")]
    names = [name for name in names if name != "tiny.zeroshot.et.doc"]
    mean = sum(read(cell_path(small, "de-en", name))["measures"]["MRR"] for name in names) / len(names)
    before = read(cell_path(small, "de-en", "tiny.translation"))["measures"]["MRR"]
    assert len(names) == 7
    assert change.values[0][1] == pytest.approx(100 * (mean - before))


def test_words_are_counted_between_spaces_or_by_the_segmenter() -> None:
    assert word_count("was ist ein l'été", "de") == 4
    assert word_count("山の音楽を検索", "ja") == 3  # without particles, as it is indexed
    assert word_count("tlh wa' cha'", "tlh") == 3


def test_queries_are_grouped_by_their_length(small: Path) -> None:
    of = study(small)
    table = maps.by_length(of)
    assert table is not None and [name for name, _ in table.groups] == ["under 5 words", "5 words and more"]
    asked = {code: of.results.question("debian", code) for code in ("de", "en", "ja")}
    short = [(pair, query) for pair, query in of.frame.queries if word_count(asked[pair[0]][query], pair[0]) < 5]
    judged = table.rows[-1]
    assert judged.values[0].number == len(short)
    assert judged.values[2].number == of.frame.size - len(short)


def test_scripts_are_grouped_by_pair(small: Path) -> None:
    of = study(small)
    table = maps.by_script(of)
    assert table is not None and [name for name, _ in table.groups] == [
        "Latin to Latin",
        "Latin to other",
        "other to Latin",
    ]
    frame = Frame(of.results, "debian", [("de", "ja"), ("en", "ja")])
    column = frame.column(system(of, "original"), "MRR")
    assert column is not None
    assert table.rows[0].values[2].number == pytest.approx(frame.average(column))


# ---------------------------------------------------------------- queries, quality, words


def cases(of: Study, number: int) -> list[Cases]:
    return [one for one in queries.cases(of, number, Places(None)) if isinstance(one, Cases)]


def test_the_most_won_and_lost_queries_are_shown_with_their_texts(small: Path) -> None:
    of = study(small)
    found = next(one for one in cases(of, 3) if one.key.endswith("tiny.fewshot.te.query+doc"))
    gains = {}
    for pair in (*WHOLE, "ja-en"):
        cell, before = (
            read(cell_path(small, pair, f"tiny.{name}")) for name in ("fewshot.te.query+doc", "translation")
        )
        for place, query in enumerate(cell["queries"]):
            gains[f"{pair} {query}"] = cell["values"]["MRR"][place] - before["values"]["MRR"][place]
    best = max(gains.values())
    assert gains[found.won[0].head.split(":")[0]] == best
    assert len({one.head.split()[0] for one in found.won}) == 3  # of three pairs
    texts = [label for label, _, _ in found.won[0].texts]
    assert texts[0].startswith("query (") and "translated" in texts and "passage" in texts
    assert found.won[0].facts[0][0] == "rank of the first relevant document"
    won = sum(gain > 0 for gain in gains.values())
    assert found.said.startswith(f"{won} won, ")
    assert [one.best for one in cases(of, 1)].count(True) == 1


def test_long_texts_are_cut() -> None:
    assert queries._short("a" * 600) == "a" * 500 + " … (600 characters)"


@settings(deadline=None)
@given(some.lists(some.tuples(some.integers(-9, 9), some.integers(-9, 9)), min_size=20, max_size=60))
def test_a_correlation_in_one_stratum_is_spearmans(points: list[tuple[int, int]]) -> None:
    from scipy import stats

    if len({x for x, _ in points}) == 1 or len({y for _, y in points}) == 1:
        assert quality.correlation([("s", x, y) for x, y in points]) is None
        return
    found = quality.correlation([("s", x, y) for x, y in points])
    assert found is not None
    expected = stats.spearmanr(*zip(*points, strict=True))
    assert found[0] == pytest.approx(expected.statistic, abs=1e-9)
    if abs(found[0]) < 0.5:
        assert found[1] == pytest.approx(expected.pvalue, abs=0.02)


def test_differences_between_strata_do_not_count() -> None:
    draw = Random(3)
    points = [(str(level), level + draw.random(), level + draw.random()) for level in range(10) for _ in range(40)]
    within = quality.correlation(points)
    across = quality.correlation([("all", x, y) for _, x, y in points])
    assert within is not None and across is not None
    assert abs(within[0]) < 0.15 and across[0] > 0.9


def test_too_few_points_have_no_correlation() -> None:
    assert quality.correlation([("s", float(n), float(n)) for n in range(19)]) is None


def test_intrinsic_checks_are_set_against_gains(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that is the rank of the passage's own result goes with the gain; one that never speaks is only named."""
    of = study(small)
    ranks = {}
    for pair in WHOLE:
        for system_ in of.systems:
            cell = of.results.cell("debian", tuple(pair.split("-")), system_)  # type: ignore[arg-type]
            if cell is not None and cell.texts is not None and system_.use == "query+doc":
                ranks[cell.texts] = dict(zip(cell.queries, cell.values["MRR"], strict=True))
    checks = [one for one in MEASURES if one.name in ("words", "empty")]
    monkeypatch.setattr(quality, "MEASURES", tuple(checks))
    asked = []

    def records(result: Any) -> Any:
        asked.append(result.texts)
        return ({"id": query, "value": ranks[result.texts][query]} for query in result.queries)

    monkeypatch.setattr(of.results.__class__, "records", lambda _, result: records(result))
    monkeypatch.setattr(
        quality,
        "inspected",
        lambda records: ({**one, "inspection": {"words": one["value"], "empty": 0.0}} for one in records),
    )
    table = quality.correlations(of, "tiny")
    assert table is not None
    assert [one.heads for one in table.rows] == [("words",)]
    assert len(asked) == len(set(asked)) == 2 * 3 * len(WHOLE)  # strategies, two orders and direct
    for place in (1, 5):
        found = table.rows[0].values[place]
        assert found.number is not None and found.number > 0.3 and found.text.endswith("***")
        assert table.rows[0].values[place + 2].number == 3 * len(WHOLE) * 16
    assert any(note == "Never found: empty." for note in table.notes)


def test_the_first_words_say_what_was_run_found_and_failed(two: Path) -> None:
    read_ = results.read([two])
    studies = [Study(read_, name, "MRR") for name in read_.collections]
    assert story.lead(read_)[0] == "36 systems with tiny and gemma-3-4b on clirmatrix and debian."
    first, *found, failed = story.told(read_, studies)
    assert "36 systems with 2 models (tiny and gemma-3-4b)" in first
    assert "clirmatrix (a pool of 4,000 documents a language: judged documents" in first
    assert "debian (the whole collection, 33,075 documents a language; 6 language pairs of 3 languages" in first
    assert all("gemma-3-4b, Few-shot, " in one and "significant)" in one for one in found)
    best = studies[0].best(one for one in studies[0].systems if one.kind in results.GENERATED)
    assert best is not None and f"{100 * (studies[0].average(best, 'MRR') or 0):.2f}" in found[0]
    assert failed.startswith("What failed: 2 cells could not be done and ") and failed == story.lead(read_)[1]


def test_a_grid_that_has_not_finished_is_said_to_be_so(own: Path) -> None:
    assert "has not finished" not in story.told(results.read([own]), [])[0]
    _change(own / "manifest.json", finished=None)
    assert story.told(results.read([own]), [])[0].endswith("what follows is what is there so far.")
    assert story.lead(results.read([own]))[1].startswith("It has not finished. ")


def test_a_query_weight_is_told_in_the_rows_where_it_varies(own: Path) -> None:
    for path in (own / "cells").rglob("*.query+doc.json"):
        _change(path, query_weight="auto")
    table = tables.settings(study(own), "tiny")
    assert table is not None and row(table, "Few-shot", "T + E", "Q + doc")
    assert any("the query weighs auto" in note for note in table.notes)
    for path in list((own / "cells").rglob("*.query+doc.json")):
        cell = read(path)
        name = f"{cell['system']}.w1"
        write(path.with_name(f"{name}.json"), cell | {"system": name, "query_weight": 1.0})
    table = tables.settings(study(own), "tiny")
    assert row(table, "Few-shot", "T + E", "Q + doc, weight auto") == row(
        table, "Few-shot", "T + E", "Q + doc, weight 1"
    )
    assert row(tables.models_by_strategies(study(own)), "tiny", "Few-shot")


def test_a_failed_generation_counts_once_however_many_cells_it_touches(small: Path) -> None:
    table = story.failures(results.read([small]))
    assert table is not None
    lines = {(one.values[0].text, one.values[1].text): one.values for one in table.rows}
    # de q3 into two languages, for translation then expansion once each, and for two strategies before translation
    assert lines["translate", "the model answered nothing"][2].number == 2 + 2 * 2
    assert lines["translate", "the model answered nothing"][3].number == 2 + 2 * 2 * 2 * 2
    assert ("cell", "xqe search: the index is of another format") in lines


def test_a_report_without_failures_says_so(tmp_path: Path) -> None:
    folder = make(tmp_path, Shape(("en", "ru"), ("gemma-3-4b",), ("zeroshot",), ("debian",), 4))
    assert story.told(results.read([folder]), [])[-1] == "Nothing failed."
    assert len(story.lead(results.read([folder]))) == 1
    assert story.failures(results.read([folder])) is None


# ---------------------------------------------------------------- what is read


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "holds no manifest.json; give the folder"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "manifest.json: damaged, not JSON"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "damaged, not a JSON object"),
        (lambda folder: _change(folder / "manifest.json", format=2), "manifest.json: not a grid of format 1"),
        (lambda folder: _change(folder / "manifest.json", measures=[]), "damaged, no measures"),
        (lambda folder: _change(cell_path(folder, "de-en", "human"), format=3), "human.json: not a cell of format 1"),
        (lambda folder: _change(cell_path(folder, "de-en", "human"), kind="magic"), 'unknown kind "magic"'),
        (lambda folder: _change(cell_path(folder, "de-en", "human"), values={}), "damaged, no values of Hit@10"),
        (lambda folder: _change(cell_path(folder, "de-en", "human"), first=["d"]), "do not fit its queries"),
        *(
            (lambda folder, value=value: _spoil(cell_path(folder, "de-en", "human"), value), 'json: damaged, "values"')
            for value in (float("nan"), float("inf"), -0.1, 1.5, 10**400, "0.5", True, None)
        ),
        *(
            (lambda folder, said=said: _change(cell_path(folder, "de-en", "human"), **said), f'"{next(iter(said))}" is')
            for said in (
                {"documents": float("inf")},
                {"seconds": float("nan")},
                {"missing": "x"},
                {"relevant": [0] * 16},
                {"queries": [1] * 16},
                {"failures": ["q1"]},
                {"query_weight": float("nan")},
            )
        ),
        (lambda folder: _change(cell_path(folder, "de-en", "human"), queries=None), "damaged, no queries"),
        (lambda folder: _nest(cell_path(folder, "de-en", "human")), "human.json: damaged, not JSON"),
        (lambda folder: _change(folder / "manifest.json", part="1/9999999999"), '"part" is not what a grid writes'),
        (lambda folder: _change(folder / "manifest.json", seconds=float("nan")), '"seconds" is not what a grid writes'),
        (lambda folder: _change(folder / "manifest.json", generation={"m": {"tokens": "x"}}), '"generation" is not'),
        (lambda folder: shutil.rmtree(folder / "cells"), "no finished cell"),
    ],
)
def test_a_damaged_folder_is_one_line(own: Path, damage: Callable[[Path], object], said: str) -> None:
    damage(own)
    with pytest.raises(InputError) as error:
        results.read([own])
    assert said in str(error.value)


def _spoil(path: Path, value: object) -> None:
    cell = read(path)
    cell["values"]["MRR"][0] = value
    write(path, cell)


def _nest(path: Path) -> None:
    path.write_text("[" * 100_000)


def _change(path: Path, **changes: Any) -> None:
    write(path, read(path) | changes)


def test_cells_of_a_pair_must_have_been_judged_on_the_same_queries(own: Path) -> None:
    path = cell_path(own, "en-de", "human")
    _change(path, queries=[f"other{number}" for number in range(16)])
    with pytest.raises(InputError, match="not the 16 of the other cells"):
        results.read([own])


def test_the_order_of_queries_in_a_cell_does_not_matter(own: Path) -> None:
    before = every(study(own))
    for path in (own / "cells").rglob("tiny.fewshot.*.json"):
        cell = read(path)
        order = list(range(len(cell["queries"])))
        Random(path.name).shuffle(order)
        cell |= {name: [cell[name][place] for place in order] for name in ("queries", "first", "relevant")}
        cell["values"] = {name: [column[place] for place in order] for name, column in cell["values"].items()}
        write(path, cell)
    after = every(study(own))
    assert {key: one.wins for key, one in after.items()} == {key: one.wins for key, one in before.items()}


def test_shards_give_what_the_whole_gives(small: Path, tmp_path: Path) -> None:
    for number in (0, 1):
        shard = tmp_path / f"shard{number}"
        shutil.copytree(small, shard)
        for place, pair in enumerate(sorted((shard / "cells/debian").iterdir())):
            if place % 2 != number:
                shutil.rmtree(pair)
    merged = results.read([tmp_path / "shard0", tmp_path / "shard1"])
    assert every(Study(merged, "debian", "MRR")) == every(study(small))
    assert len(merged.generation) == 2


def test_a_cell_that_two_shards_give_other_values_is_an_error(small: Path, own: Path) -> None:
    assert len(results.read([small, own]).results) == len(results.read([small]).results)
    cell = read(cell_path(own, "de-en", "original"))
    cell["values"]["MRR"][0] = 0.123
    write(cell_path(own, "de-en", "original"), cell)
    with pytest.raises(InputError, match="debian de-en original has other values than in"):
        results.read([small, own])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"measures": ["MRR"]}, "measures MRR, but Hit@10"),
        ({"rel": 2}, "rel 2, but 1"),
        ({"collections": {"debian": {"sha256": "other"}}}, 'collection "debian" is another one'),
        ({"models": {"tiny": {"sha256": "other"}}}, 'model "tiny" is another one'),
    ],
)
def test_grids_of_different_settings_are_not_mixed(small: Path, own: Path, changes: dict[str, Any], said: str) -> None:
    _change(own / "manifest.json", **changes)
    with pytest.raises(InputError) as error:
        results.read([small, own])
    assert said in str(error.value)


def test_a_cell_that_failed_in_one_shard_is_taken_from_the_other(small: Path, own: Path) -> None:
    done = read(cell_path(own, "de-en", "tiny.zeroshot.et.doc"))
    write(cell_path(own, "ja-en", "tiny.zeroshot.et.doc"), done | {"source": "ja", "target": "en"})
    assert len(results.read([small]).broken) == 1
    assert not results.read([small, own]).broken


# ---------------------------------------------------------------- words, vectors, both


STRATEGIES, RETRIEVERS = ("zeroshot", "cot", "rar", "fewshot"), ("bm25", "dense", "hybrid")
THREE = replace(SMALL, strategies=STRATEGIES, retrievers=RETRIEVERS, queries=8)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("three"), THREE)


@pytest.fixture(scope="module")
def by_retriever(three: Path) -> tuple[Study, ...]:
    found = studies_of(results.read([three]), "MRR")
    assert [one.retriever for one in found] == ["bm25", "dense", "hybrid"]
    return tuple(found)


def tables_of(studies: tuple[Study, ...]) -> dict[str, Table]:
    return {block.key: block for block in retrievers.blocks(studies) if isinstance(block, Table)}


def mean_over(folder: Path, pairs: list[tuple[str, str]], name: str) -> float:
    values = [float(read(cell_path(folder, "-".join(pair), name))["measures"]["MRR"]) for pair in pairs]
    return sum(values) / len(values)


def test_the_papers_tables_are_those_of_words_alone(
    by_retriever: tuple[Study, ...], three: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = make(tmp_path_factory.mktemp("alone"), replace(THREE, retrievers=("bm25",)))
    [alone] = studies_of(results.read([folder]), "MRR")
    assert [one.name for one in by_retriever[0].systems] == [one.name for one in alone.systems]
    for make_table in (tables.models_by_strategies, tables.all_differences):
        assert make_table(by_retriever[0]) == make_table(alone)
    for make_of_model in (tables.settings, tables.by_language, quality.correlations):
        assert make_of_model(by_retriever[0], "tiny") == make_of_model(alone, "tiny")
    sections = {section.key: section for section in compose(by_retriever[0].results, list(by_retriever), 1).sections}
    before = {section.key: section for section in compose(alone.results, [alone], 1).sections}
    assert [key for key in sections if key not in before] == ["retrievers"]
    for key in ("findings", "languages", "queries", "quality", "cases"):
        assert repr(sections[key]).replace(str(three), "") == repr(before[key]).replace(str(folder), "")


def test_each_retriever_has_its_table_of_settings(by_retriever: tuple[Study, ...], three: Path) -> None:
    for one in by_retriever:
        suffix = "" if one.retriever == "bm25" else f".{one.retriever}"
        shown = row(tables.settings(one, "tiny"), "Few-shot", "T + E", "Q + doc")
        wanted = mean_over(three, one.frame.pairs, f"tiny.fewshot.te.query+doc{suffix}")
        assert shown["MRR"].number == pytest.approx(wanted)
    report = compose(by_retriever[0].results, list(by_retriever), 0)
    keys = [
        block.key for section in report.sections for block in section.blocks if not isinstance(block, Paragraph | Links)
    ]
    assert len(keys) == len(set(keys))


def test_a_retriever_is_compared_by_the_same_system(by_retriever: tuple[Study, ...], three: Path) -> None:
    table = tables_of(by_retriever)["debian-retrievers"]
    pairs = by_retriever[0].frame.pairs
    for by, suffix in (("dense", ".dense"), ("hybrid", ".hybrid")):
        for shown, name in (("Original query", "original"), ("tiny, Translated query alone", "tiny.translation")):
            found = row(table, by, shown)
            after, before = mean_over(three, pairs, f"{name}{suffix}"), mean_over(three, pairs, name)
            assert found["MRR"].number == pytest.approx(after)
            assert found["to BM25"].number == pytest.approx(after - before)
    values = [mean_over(three, pairs, one.name) for one in by_retriever[1].systems if one.kind in results.GENERATED]
    best = next(line for line in table.rows if line.heads[0] == "dense" and not line.kind)
    assert best.values[table.columns.index("MRR")].number == pytest.approx(max(values))


def test_pairs_have_each_retriever_and_stars_for_what_differs(by_retriever: tuple[Study, ...], three: Path) -> None:
    table = tables_of(by_retriever)["debian-retrievers-pairs"]
    assert [one.heads[0] for one in table.rows] == [*WHOLE, "mean"]
    groups = [name for name, width in table.groups for _ in range(width)]
    places = [place for place, group in enumerate(groups) if group == "as people wrote it"]
    line = row(table, "en-de")
    assert line["BM25"].number is not None
    numbers = [table.rows[2].values[place].number for place in places]
    wanted = [read(cell_path(three, "en-de", name))["measures"]["MRR"] for name in ("human", "human.dense")]
    assert numbers[:2] == pytest.approx(wanted)
    for one in table.rows:
        for value, column in zip(one.values, table.columns, strict=True):
            assert column != "BM25" or "*" not in value.text
            assert ("corrected" in value.note) == (column != "BM25")


def test_a_system_of_several_weights_meets_the_automatic_one(by_retriever: tuple[Study, ...]) -> None:
    words, dense, _ = by_retriever
    mine = system(dense, "tiny.fewshot.te.query+doc.dense")
    same = system(words, "tiny.fewshot.te.query+doc")
    weighted = [replace(same, name=f"{same.name}.{weight}", query_weight=weight) for weight in ("1", "auto")]
    several = Study(words.results, "debian", "MRR")
    several.systems = tuple(weighted)
    found = beside.counterpart(several, mine)
    assert found is not None and found.query_weight == "auto"
    found = beside.counterpart(several, replace(mine, query_weight="1"))
    assert found is not None and found.query_weight == "1"
    assert beside.counterpart(several, system(dense, "original.dense")) is None


COLUMNS = some.lists(some.tuples(some.integers(0, 4), some.integers(0, 4)), min_size=2, max_size=8)


@given(COLUMNS)
def test_tau_is_that_of_scipy(points: list[tuple[int, int]]) -> None:
    first, second = ([float(point[side]) for point in points] for side in (0, 1))
    wanted = kendalltau(first, second).statistic
    found = ranks.tau(first, second)
    assert (found is None) == bool(wanted != wanted)
    if found is not None:
        assert found == pytest.approx(wanted)
    opposite = sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(points, 2))
    assert ranks.swapped(first, second) == opposite


def test_the_ranks_of_strategies_are_told(by_retriever: tuple[Study, ...], three: Path) -> None:
    table = tables_of(by_retriever)["debian-retrievers-ranks"]
    pairs = by_retriever[0].frame.pairs
    names = [f"tiny.{strategy}.te.doc" for strategy in THREE.strategies]
    words, dense = ([mean_over(three, pairs, f"{name}{suffix}") for name in names] for suffix in ("", ".dense"))
    line = next(one for one in table.rows if one.heads == ("tiny", "T + E", "Doc only"))
    assert line.values[2].number == pytest.approx(kendalltau(words, dense).statistic)
    ranked = sorted(zip(words, ("Zero-shot", "CoT", "RaR", "Few-shot"), strict=True), reverse=True)
    assert line.values[0].text == ", ".join(strategy for _, strategy in ranked)
    couples = len(THREE.strategies) * (len(THREE.strategies) - 1) // 2
    swaps = sum((a > b) != (c > d) for (a, c), (b, d) in combinations(zip(words, dense, strict=True), 2))
    assert line.values[3].text == f"{swaps} of {couples}"
    taus = [one.values[2].number for one in table.rows[:-1]]
    assert table.rows[-1].values[2].number == pytest.approx(sum(filter(None, taus)) / len(taus))
    assert table.rows[-1].values[3].text.endswith(f" of {couples * (len(table.rows) - 1)}")


def test_cells_as_csv_have_their_retriever(by_retriever: tuple[Study, ...]) -> None:
    files = dict(tidy.files(by_retriever[0].results, by_retriever))
    cells = list(csv.DictReader(io.StringIO(files["cells.csv"].decode())))
    assert {one["retriever"] for one in cells if one["system"].endswith(".dense")} == {"dense"}
    assert {one["retriever"] for one in cells if one["system"] == "original"} == {"bm25"}
    differences = list(csv.DictReader(io.StringIO(files["differences.csv"].decode())))
    assert len(differences) == sum(len(every(one)) for one in by_retriever)


def test_a_grid_of_vectors_alone_is_reported(tmp_path: Path) -> None:
    folder = make(tmp_path / "dense", replace(SMALL, retrievers=("dense",)))
    [one] = studies_of(results.read([folder]), "MRR")
    report = compose(one.results, [one], 1)
    assert "retrievers" not in {section.key for section in report.sections}
    assert "dense" in report.tiles[0].tiles[2].said
    text = markdown.markdown(report)
    assert "debian, dense" in text and "searched by BM25" in text


def test_queries_as_they_were_asked_are_not_the_best_of_a_night() -> None:
    measures = {name: {"MRR": 0.9} for name in ("original.dense", "human.hybrid", "human")}
    night = {"time": "2026-11-26", "measures": {**measures, "tiny.translation.dense": {"MRR": 0.1}}}
    assert trend._best(night, "MRR") == "tiny.translation.dense"


# ---------------------------------------------------------------- how it is written


@pytest.fixture(scope="module")
def report(two: Path) -> tuple[Results, list[Study], Any]:
    read_ = results.read([two])
    studies = [Study(read_, name, "MRR") for name in read_.collections]
    return read_, studies, compose(read_, studies, 2)


def test_markdown_tables_are_whole(report: tuple[Results, list[Study], Any]) -> None:
    text = markdown.markdown(report[2])
    width = 0
    for line in text.splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        cells = len(line.replace("\\|", "").strip("|").split("|"))
        assert width in (0, cells), line
        width = cells
    assert text.count("<details>") == text.count("</details>") == 2  # the best system of each collection
    assert "** ▲" in text and "_ ▼" in text


def test_markdown_shows_texts_as_they_are() -> None:
    assert markdown.escaped("a|b *c* <script> `x`\n# y") == r"a\|b \*c\* \<script\> \`x\` \# y"


def test_latex_has_as_many_cells_in_each_row_as_columns(report: tuple[Results, list[Study], Any]) -> None:
    text = latex.latex(report[2])
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") > 10
    for part in text.split(r"\begin{tabular}{")[1:]:
        columns = part.splitlines()[0].removesuffix("}").replace("|", "").replace("p{8cm}", "p")
        body = part.split(r"\bottomrule")[0]
        for line in body.splitlines():
            if line.endswith(r" \\") and "multicolumn" not in line:
                assert line.replace(r"\&", "").count("&") == len(columns) - 1, line
    assert r"\begin{document}" in text and text.rstrip().endswith(r"\end{document}")


def test_latex_escapes_what_it_would_read() -> None:
    assert latex.escaped("50% of a_b & {c} $x$ #1 ~^\\") == (
        r"50\% of a\_b \& \{c\} \$x\$ \#1 \textasciitilde{}\textasciicircum{}\textbackslash{}"
    )
    assert latex.escaped("日") == "?"


def test_tidy_files_hold_every_cell_value_and_difference(two: Path, report: tuple[Results, list[Study], Any]) -> None:
    files = dict(tidy.files(report[0], report[1]))
    assert list(files) == ["cells.csv", "queries.csv", "differences.csv", "maps.csv", "costs.csv", "failures.csv"]
    cells = list(csv.DictReader(io.StringIO(files["cells.csv"].decode())))
    assert len(cells) == len(list((two / "cells").rglob("*.json")))
    human = next(one for one in cells if (one["collection"], one["source"], one["system"]) == ("debian", "de", "human"))
    assert float(human["MRR"]) == pytest.approx(
        read(cell_path(two, f"de-{human['target']}", "human"))["measures"]["MRR"]
    )
    assert [one["error"] for one in cells if one["error"]] == ["xqe search: the index is of another format"] * 2
    values = list(csv.DictReader(io.StringIO(files["queries.csv"].decode())))
    assert len(values) == 12 * (len(cells) - 2)
    differences = list(csv.DictReader(io.StringIO(files["differences.csv"].decode())))
    assert len(differences) == sum(len(every(one)) for one in report[1])


def test_no_text_of_a_tidy_file_is_a_formula() -> None:
    """OWASP's advice against CSV injection: an apostrophe before what a spreadsheet would compute."""
    texts = ["=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", "＝1", "q1", "a=b", "", "日本"]
    [line] = csv.reader(io.StringIO(tidy.as_csv(texts, []).decode()))
    assert line == [*(f"'{text}" for text in texts[:6]), *texts[6:]]
    assert tidy.as_csv(["x"], [[-0.5], ['=HYPERLINK("a")'], [None]]) == b'x\n-0.5\n"\'=HYPERLINK(""a"")"\n""\n'


def test_a_large_tidy_file_is_packed(report: tuple[Results, list[Study], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    plain = dict(tidy.files(report[0], report[1]))["queries.csv"]
    monkeypatch.setattr(tidy, "LARGE", 100_000)
    assert gzip.decompress(dict(tidy.files(report[0], report[1]))["queries.csv.gz"]) == plain


# ---------------------------------------------------------------- history


def test_the_trend_has_a_line_a_system_and_says_what_changed(tmp_path: Path) -> None:
    make_history(tmp_path)
    nights, skipped = trend.read_history(tmp_path)
    assert (len(nights), skipped) == (12, [])
    text = markdown.markdown(trend.compose_history(nights, None))
    assert "2026-11-06 19:00: model tiny: its file has changed." in text
    assert "2026-11-04 19:00: xqe 0.1.0 to 0.1.1." in text
    assert "| original | ▄▄▄▄▄" in text
    assert "12 runs from 2026-11-01 19:00 to 2026-11-12 19:00; 1 of them did not pass, the last passed" in text
    assert len(list(trend.tidy(nights))) == 1 + 12 * 2 * len(nights[0]["measures"])


def test_a_broken_last_line_is_skipped_and_said(tmp_path: Path) -> None:
    path = make_history(tmp_path)
    path.write_bytes(path.read_bytes()[:-300])
    nights, skipped = trend.read_history(tmp_path)
    assert len(nights) == 11
    assert skipped == [f"{path}:12: skipped a broken line, as a run leaves that was killed while writing it"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(
            ("measures", {"tiny": {"MRR": value}})
            for value in ("x", float("nan"), float("-inf"), 10**400, 1.5, None, True, [0.5])
        ),
        ("measures", {"tiny": 0.5}),
        ("queries", "x"),
        ("seconds", float("inf")),
        ("failed_cells", float("nan")),
        ("reused", 10**400),
        ("dropped", "MRR fell"),
        ("changed", [1]),
        ("models", ["tiny"]),
        ("time", 5),
    ],
)
def test_a_line_with_a_value_that_no_run_has_is_skipped_and_said(tmp_path: Path, field: str, value: object) -> None:
    path = make_history(tmp_path)
    first, *rest = path.read_text("utf-8").splitlines()
    path.write_text("\n".join([json.dumps(json.loads(first) | {field: value}), "[" * 100_000, *rest]), "utf-8")
    nights, skipped = trend.read_history(tmp_path)
    assert len(nights) == 11
    assert [line.partition(": skipped a ")[2] for line in skipped] == [
        f'line in which "{field}" is not what a grid writes',
        "broken line, as a run leaves that was killed while writing it",
    ]


def test_a_system_that_comes_later_has_gaps(tmp_path: Path) -> None:
    make_history(tmp_path)
    nights, _ = trend.read_history(tmp_path)
    del nights[0]["measures"]["human"]
    made = trend.compose_history(nights, "Hit@10")
    lines = dict(made.sections[0].blocks[0].lines)  # type: ignore[union-attr]
    assert lines["human"][0] is None and lines["human"][1] == pytest.approx(
        100 * nights[1]["measures"]["human"]["Hit@10"]
    )


def test_a_change_of_values_is_told(tmp_path: Path) -> None:
    make_history(tmp_path)
    nights, _ = trend.read_history(tmp_path)
    nights[-1]["queries"] = 50
    assert "values 96 to 50" in markdown.markdown(trend.compose_history(nights, None))


def test_no_history_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no history.jsonl, and is no grid's folder"):
        trend.read_history(tmp_path)
    (tmp_path / "history.jsonl").write_text("\n{\n")
    with pytest.raises(InputError, match="no finished run"):
        trend.read_history(tmp_path)
    make_history(tmp_path)
    with pytest.raises(XqeError, match=r"no MAP; it has MRR, Hit@10"):
        trend.compose_history(trend.read_history(tmp_path)[0], "MAP")


def test_a_change_that_rounds_to_nothing_has_no_minus(tmp_path: Path) -> None:
    make_history(tmp_path)
    nights, _ = trend.read_history(tmp_path)
    for night, value in zip(nights, [0.50001] * 11 + [0.5], strict=True):
        night["measures"] = {"tiny": {"MRR": value}}
    made = trend.compose_history(nights, None)
    assert "+0.00 points to the run before" in made.lead[0]
    assert "| 50.00 | 50.00 | +0.00 |" in markdown.markdown(made)
    assert r"tiny & 50.00 & 50.00 & +0.00 \\" in latex.latex(made)


def test_sparklines() -> None:
    assert sparkline([1, 2, 3, 4, 5, 6, 7, 8]) == "▁▂▃▄▅▆▇█"
    assert sparkline([5, None, 5]) == "▄·▄"
    assert sparkline([]) == ""


assert SMALL.queries == 16  # what the numbers above count on
