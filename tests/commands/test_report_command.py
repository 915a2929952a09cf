"""xqe report as it is run, and the page that it writes."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from collections_for_tests import fixture_collection
from conftest import Run, command
from report_grid import Shape, cell_path, make, make_history, read, write

from xqe.commands.report import _write as write_report
from xqe.experiments.report import page, results
from xqe.experiments.report.blocks import Bars, Case, Cases, HeatMap, Panel, Report, Row, Section, Table, Trend, Value
from xqe.experiments.report.drawing import svg

pytestmark = pytest.mark.xdist_group("report")  # so that a grid is made once

SHAPE = Shape(("de", "en", "ja"), ("gemma-3-4b",), ("zeroshot", "fewshot"), ("debian",), 8)
EXPANDED = ("source-expansion", "direct", "expansion")
VOID = {"meta", "link", "br", "hr", "img", "input"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make(tmp_path_factory.mktemp("grid"), SHAPE)
    make_history(made)
    return made


@pytest.fixture(scope="module")
def written(folder: Path) -> subprocess.CompletedProcess[str]:
    """A finished run without options, whose files lie in the folder's report."""
    return subprocess.run(command("report", str(folder)), capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def text(written: subprocess.CompletedProcess[str], folder: Path) -> str:
    """The page that it wrote."""
    return (folder / "report/report.html").read_text("utf-8")


class Page(HTMLParser):
    """A page, read as a browser reads it, with what is wrong with it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.wrong: list[str] = []
        self.feed(text)
        self.close()
        self.wrong += [f"<{tag}> is not closed" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id" and value]

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> closes nothing")


def small_report(text: str = "a passage", cases: int = 1) -> Report:
    case = Case(
        "de-en q1: MRR +50.00", (("query (German)", text, "de"), ("passage", text, "en")), (("MRR", "0", "50"),)
    )
    table = Table("one", f"A table {text}", ("name",), ("MRR",), (Row((text,), (Value("1.00", 0.01, "best"),)),))
    found = Cases("case", "tiny", "1 won", (case,) * cases, (), True)
    return Report("A title", ("Found.",), (Section("s", "A section", (table, found)),))


# ---------------------------------------------------------------- the command


def test_all_forms_are_written_and_their_paths_printed(
    written: subprocess.CompletedProcess[str], folder: Path, text: str
) -> None:
    assert written.returncode == 0
    names = ["report.md", "report.tex", "report.html", "tables", "figures", "cells.csv", "queries.csv"]
    names += ["differences.csv", "maps.csv", "costs.csv", "failures.csv"]
    assert written.stdout.splitlines() == [str(folder / "report" / name) for name in names]
    assert all(path.stat().st_size for path in (folder / "report").rglob("*"))
    cells = len(list((folder / "cells").rglob("*.json")))
    assert written.stderr == f"xqe: {cells - 1} cells of 1 folder, {8 * (cells - 1)} values, 1 cell could not be done\n"

    found = Page(text)
    assert found.wrong == []
    assert len(found.ids) == len(set(found.ids))


def test_the_page_needs_nothing_else(text: str) -> None:
    assert re.findall(r"https?://[^\s\"'<]*", text) == ["https://arxiv.org/abs/2511.19325"]
    assert "//" not in text.replace("https://arxiv.org", "").replace("///", "")
    found = Page(text)
    assert not {"iframe", "link", "img", "object", "embed"} & {tag for tag, _ in found.tags}
    assert not [named for _, named in found.tags if named.keys() & {"src", "srcset", "action", "data", "poster"}]
    assert not re.search(r"@import|url\((?!#)", text)
    assert not [named for _, named in found.tags if any(name.startswith("on") for name in named)]


def test_the_page_can_be_read_without_seeing_it(text: str) -> None:
    found = Page(text)
    pictures = [named for tag, named in found.tags if tag == "svg"]
    assert len(pictures) == 5  # three maps, the bars, and two systems query by query
    for named in pictures:
        assert named["role"] == "img"
        assert all(one in found.ids for one in (named["aria-labelledby"] or "").split())
    heads = [named for tag, named in found.tags if tag == "th"]
    assert heads and all(named.get("scope") in ("col", "row", "colgroup") for named in heads)
    captions = [tag for tag, _ in found.tags].count("caption")
    assert captions == sum(named.get("class") != "small" for tag, named in found.tags if tag == "table")
    assert ("html", {"lang": "en"}) in found.tags


def test_one_form_goes_to_standard_output(xqe: Run, folder: Path) -> None:
    done = xqe("report", str(folder), "--format", "md", "--out", "-", "--examples", "0")
    assert done.returncode == 0
    assert done.stdout.startswith("# Cross-lingual query expansion: made-up\n\n19 systems with gemma-3-4b on ")
    assert "<details>" not in done.stdout


def test_the_history_is_a_report_of_its_own(xqe: Run, folder: Path, tmp_path: Path) -> None:
    with (folder / "history.jsonl").open("a") as file:
        file.write('{"time": "2026-11-13T19')
    done = xqe("report", str(folder), "--history", "--out", str(tmp_path))
    assert done.returncode == 0
    assert [Path(line).name for line in done.stdout.splitlines()] == [
        *(f"history.{suffix}" for suffix in ("md", "tex", "html")),
        *("tables", "figures", "history.csv"),
    ]
    assert "history.jsonl:13: skipped a broken line" in done.stderr
    found = Page((tmp_path / "history.html").read_text("utf-8"))
    assert found.wrong == [] and "svg" in {tag for tag, _ in found.tags}


@pytest.mark.parametrize("other", ["thesis.tex", "figures/thesis.tex", "tables/my table.tex"])
def test_a_folder_with_anything_else_is_refused(xqe: Run, folder: Path, tmp_path: Path, other: str) -> None:
    (tmp_path / "cells.csv").write_text("mine")
    (tmp_path / other).parent.mkdir(exist_ok=True)
    (tmp_path / other).write_text("mine")
    done = xqe("report", str(folder), "--out", str(tmp_path), "--format", "csv")
    assert (done.returncode, done.stdout) == (2, "")
    assert f'--out: {tmp_path} holds "{other}", so it is not the folder of a report; name another' in done.stderr
    assert (tmp_path / "cells.csv").read_text() == "mine"


def test_a_table_is_there_packed_or_not(tmp_path: Path) -> None:
    for name, gone in (("cells.csv", ""), ("cells.csv.gz", "cells.csv"), ("cells.csv", "cells.csv.gz")):
        write_report(iter([(name, b"x")]), tmp_path)
        assert (tmp_path / name).exists() and not (gone and (tmp_path / gone).exists())


def test_without_matplotlib_all_but_the_page_works(folder: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "matplotlib.py").write_text("raise ModuleNotFoundError('none', name='matplotlib')")
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from xqe.cli import main; main()"

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, str(blocked), "report", str(folder), "--out", str(tmp_path / "out")]
        return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)

    done = run()
    assert done.returncode == 2
    assert done.stderr == (
        'xqe: a report in html needs matplotlib for its pictures; install it with: pip install "xqe[report]"\n'
    )
    assert not (tmp_path / "out").exists()
    assert run("--format", "latex,csv").returncode == 0
    assert run("--history", "--format", "md").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "nowhere: no such folder; give the folder that xqe grid wrote to (--out)"),
        ((".",), ".: holds no manifest.json; give the folder that xqe grid wrote to (--out)"),
        (("GRID", "--format", "pdf"), '--format: unknown format "pdf"; give one or more of md,latex,csv,html,figures'),
        (("GRID", "--format", ","), '--format: unknown format ","; give one or more of md,latex,csv,html,figures'),
        (("GRID", "--out", "-"), "--out -: standard output takes one text; add --format md, latex or html"),
        (("GRID", "--out", "-", "--format", "csv"), "--out -: standard output takes one text; add --format md, latex"),
        (("GRID", "OTHER"), "several folders have no place for one report; name one with --out"),
        (("GRID", "OTHER", "--history", "--out", "x"), "--history takes one folder; report the shards one by one"),
        (("GRID", "--measure", "MAP"), "--measure: the grid has no MAP; it has Hit@10, Recall@5, Recall@50, MRR"),
        (("GRID", "--measure", "luck"), '--measure: unknown measure "luck"'),
        (("OTHER", "--history"), "OTHER: holds no history.jsonl; give the folder"),
        (("GRID", "--out", "GRID/manifest.json"), "--out: GRID/manifest.json is not a folder; name another"),
    ],
)
def test_what_cannot_be_reported_is_one_line(
    xqe: Run, folder: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "other", ignore=shutil.ignore_patterns("history.jsonl", "report")))
    named = {"GRID": str(folder), "OTHER": str(other)}

    def filled(text: str) -> str:
        for name, path in named.items():
            text = text.replace(name, path)
        return text

    done = xqe("report", *map(filled, arguments), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"xqe: {filled(said)}") and done.stderr.count("\n") == 1


def test_what_xqe_grid_writes_is_read(xqe: Run, tmp_path: Path) -> None:
    """Report and grid share files and no code: the layout that one writes is the one that the other reads."""
    fixture_collection(tmp_path / "collection", ["de", "en"], topics=4)
    file, out = tmp_path / "grid.toml", tmp_path / "out"
    settings = 'name = "real"\nstrategies = ["fewshot"]\nquery_weights = [1, "auto"]\n'
    file.write_text(settings + '[[models]]\nmodel = "fake"\n[[collections]]\npath = "collection"\n')
    assert xqe("grid", str(file), "--out", str(out)).returncode == 0
    assert xqe("report", str(out), "--format", "md,csv").returncode == 0
    with (out / "report/cells.csv").open() as table:
        rows = {(one["source"], one["target"], one["system"]): one for one in csv.DictReader(table)}
    cells = [json.loads(path.read_text()) for path in (out / "cells").rglob("*.json")]
    assert len(rows) == len(cells) == 2 * (3 + 4 * 3)
    for cell in cells:
        row = rows[cell["source"], cell["target"], cell["system"]]
        assert {name: float(row[name]) for name in cell["measures"]} == pytest.approx(cell["measures"], abs=1e-6)
        assert (row["kind"], row["model"], row["use"]) == (cell["kind"], cell["model"] or "", cell["use"])
        assert (row["documents"], row["queries"]) == (str(cell["documents"]), "4")
    with (out / "report/queries.csv").open() as table:
        assert {one["first"] for one in csv.DictReader(table)} >= {
            one for cell in cells for one in cell["first"] if one
        }
    text = (out / "report/report.md").read_text("utf-8")
    assert "The grid real ran 15 systems" in text and "not finished" not in text and "| fake |" in text
    found = results.read([out])
    assert found.question("fixtures", "de")["astro1"].startswith("Warum gibt es auf dem Merkur Eis")
    assert all(
        bool(found.text(one, "astro1").get("passages")) == (one.system.kind in EXPANDED) for one in found.results
    )
    assert xqe("report", str(out), "--history", "--format", "md").returncode == 0
    assert "1 run from " in (out / "report/history.md").read_text("utf-8")


def test_a_folder_that_is_named_twice_counts_once(xqe: Run, folder: Path, tmp_path: Path) -> None:
    done = xqe("report", str(folder), f"{folder}/", "--format", "csv", "--out", str(tmp_path / "out"))
    assert done.returncode == 0 and "of 1 folder" in done.stderr


def test_shards_are_reported_together(xqe: Run, folder: Path, tmp_path: Path) -> None:
    shards = []
    for number in (0, 1):
        shard = Path(shutil.copytree(folder, tmp_path / f"shard{number}", ignore=shutil.ignore_patterns("report")))
        for place, pair in enumerate(sorted((shard / "cells/debian").iterdir())):
            if place % 2 != number:
                shutil.rmtree(pair)
        shards.append(str(shard))
    done = xqe("report", *shards, "--format", "csv", "--out", str(tmp_path / "merged"))
    assert done.returncode == 0 and "of 2 folders" in done.stderr
    assert xqe("report", str(folder), "--format", "csv", "--out", str(tmp_path / "whole")).returncode == 0
    for name in ("differences.csv", "failures.csv"):
        assert (tmp_path / "merged" / name).read_text() == (tmp_path / "whole" / name).read_text()

    path = Path(shards[1]) / "cells/debian/de-en/original.json"
    path.parent.mkdir(exist_ok=True)
    cell = read(cell_path(folder, "de-en", "original"))
    cell["values"]["MRR"][0] = 0.99
    write(path, cell)
    done = xqe("report", *shards, "--format", "csv", "--out", str(tmp_path / "merged"))
    assert done.returncode == 2 and "debian de-en original has other values than in" in done.stderr


def test_a_grid_without_baselines_or_texts_is_reported(xqe: Run, folder: Path, tmp_path: Path) -> None:
    bare = Path(shutil.copytree(folder, tmp_path / "bare", ignore=shutil.ignore_patterns("texts", "queries", "report")))
    for name in ("original", "human", "gemma-3-4b.translation"):
        for path in (bare / "cells").rglob(f"{name}.json"):
            path.unlink()
    done = xqe("report", str(bare), "--out", str(tmp_path / "out"))
    assert done.returncode == 0
    assert Page((tmp_path / "out/report.html").read_text("utf-8")).wrong == []


def test_a_grid_without_a_common_pair_is_reported_without_averages(xqe: Run, folder: Path, tmp_path: Path) -> None:
    bare = Path(shutil.copytree(folder, tmp_path / "bare", ignore=shutil.ignore_patterns("report")))
    for place, pair in enumerate(sorted((bare / "cells/debian").iterdir())):
        for number, path in enumerate(sorted(pair.glob("*.json"))):
            if number % 6 == place:
                path.unlink()
    done = xqe("report", str(bare), "--out", str(tmp_path / "out"))
    assert done.returncode == 0
    text = (tmp_path / "out/report.md").read_text("utf-8")
    assert "No language pair has all systems, so nothing can be averaged." in text
    assert Page((tmp_path / "out/report.html").read_text("utf-8")).wrong == []


def test_a_grid_of_baselines_alone_is_reported(xqe: Run, folder: Path, tmp_path: Path) -> None:
    bare = Path(shutil.copytree(folder, tmp_path / "bare", ignore=shutil.ignore_patterns("report")))
    for path in (bare / "cells").rglob("gemma-3-4b.*shot*.json"):
        path.unlink()
    done = xqe("report", str(bare), "--out", "-", "--format", "html")
    assert done.returncode == 0
    assert "no system that expands queries could be averaged" in done.stdout


# ---------------------------------------------------------------- the page and its pictures


def test_texts_of_models_cannot_reach_into_the_page() -> None:
    text = '</td><script>alert("x")</script>&amp;'
    found = Page(page.page(small_report(text), "made"))
    assert found.wrong == []
    assert [tag for tag, _ in found.tags].count("script") == 1


def test_a_large_page_shows_fewer_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = page.page(small_report("word " * 300, cases=20), "made")
    monkeypatch.setattr(page, "LARGEST", len(whole) // 2)
    cut = page.page(small_report("word " * 300, cases=20), "made")
    assert len(cut) <= len(whole) // 2
    assert 1 <= cut.count("<b>Won</b>") < 20


def test_a_large_page_of_lost_queries_shows_fewer_too(monkeypatch: pytest.MonkeyPatch) -> None:
    made = small_report("word " * 300, cases=20)
    sections = tuple(
        replace(
            section, blocks=tuple(replace(b, won=(), lost=b.won) if isinstance(b, Cases) else b for b in section.blocks)
        )
        for section in made.sections
    )
    lost = replace(made, sections=sections)
    whole = page.page(lost, "made")
    assert whole.count("<b>Lost</b>") == 20
    monkeypatch.setattr(page, "LARGEST", len(whole) // 2)
    assert 1 <= page.page(lost, "made").count("<b>Lost</b>") < 20


PICTURES = (
    HeatMap(
        *("map", "A <map>", ("de", "ja"), ("de", "ja"), ((None, 50.0), (25.5, None))),
        *(((("European", 1), ("other", 1)),) * 2),
        ((None, 50.0), (25.5, None)),
    ),
    HeatMap("change", "Changes", ("de", "ja"), ("en",), ((2.5,), (-1.25,)), diverging=True, stars=(("***",), ("",))),
    HeatMap("flat", "All equal", ("de",), ("en", "fr"), ((0.0, 0.0),), diverging=True, stars=(("", ""),)),
    HeatMap("my notes", "Of a name", ("de",), ("en", "fr"), ((0.0, -0.04),), diverging=True),
    Bars(
        "bars",
        "Bars",
        (Panel("by query language", ("German", "Thai"), ((1.5, -2.0), (None, 0.5))),),
        ("MRR", "Hit@10"),
        "points",
    ),
    Bars(
        "zeros", "No change", (Panel("a", ("x",), ((0.0, -0.0),)), Panel("b", ("y",), ((0.0, 0.0),))), ("m", "n"), "p"
    ),
    Trend(
        "trend",
        "Trend",
        ("Mon", "Tue", "Wed"),
        (("a", (1.0, None, 2.0)), ("b", (3.0, 3.0, 3.0))),
        ((1, "new"),),
        (2,),
        "MRR",
    ),
)


@pytest.mark.parametrize("block", PICTURES, ids=lambda block: block.key)
def test_a_picture_is_svg_with_words_for_who_cannot_see_it(block: HeatMap | Bars | Trend) -> None:
    text = svg(block)
    tree = ElementTree.fromstring(text)
    assert tree.tag == "svg" and tree.get("role") == "img"
    assert tree.findtext("title") == block.title
    assert tree.findtext("desc")
    ids = [one.get("id") for one in tree.iter() if one.get("id")]
    assert all((one or "").startswith(f"{block.key.replace(' ', '_')}-") for one in ids)
    assert not any(re.search(r"\s", one or "") for one in ids)
    used = re.findall(r'(?:href="|url\()#([^")]+)', text)
    assert set(used) <= set(ids)
    assert "http" not in text and "<metadata" not in text


def words_in(text: str) -> list[str]:
    return ["".join(one.itertext()).strip() for one in ElementTree.fromstring(text).iter("text")]


def test_every_number_is_written_into_the_maps_and_beside_the_bars() -> None:
    assert {"50.0", "25.5", "–", "de", "ja", "European", "other"} <= set(words_in(svg(PICTURES[0])))
    assert {"+2.5***", "-1.2"} <= set(words_in(svg(PICTURES[1])))
    assert words_in(svg(PICTURES[3])).count("+0.0") == 2  # nothing shown has a sign of its own
    beside = words_in(svg(PICTURES[4]))
    assert {"+1.5", "-2.0", "+0.5", "German", "Thai"} <= set(beside) and "+0.0" not in beside  # None has no bar


def test_the_tidy_files_are_read_by_any_reader_of_csv(folder: Path, text: str) -> None:
    with (folder / "report/differences.csv").open() as file:
        rows = list(csv.DictReader(file))
    cells = json.loads((folder / "cells/debian/de-en/original.json").read_text())
    assert {one["measure"] for one in rows} == set(cells["measures"])
    assert all(0 <= float(one["p"]) <= float(one["p_holm"]) <= 1 for one in rows)
