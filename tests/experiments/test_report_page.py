"""What a report begins with, its page and the script in it, queries one by one, and what lies beside it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from statistics import mean
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from collections_for_tests import fixture_collection, lines
from report_grid import SMALL, cell_path, make, read, write

from xqe import cli
from xqe.experiments.report import drawing, latex, opening, page, queries, results, tables
from xqe.experiments.report.averages import Difference
from xqe.experiments.report.blocks import Cases, Links, Paragraph, Report, Section, Table, Value, Versus
from xqe.experiments.report.blocks import named as names_of
from xqe.experiments.report.compose import compose
from xqe.experiments.report.places import Places
from xqe.experiments.report.study import Study, studies_of
from xqe.experiments.report.tracing import commands

pytestmark = pytest.mark.xdist_group("report")  # so that a grid is made once

PAIRS = ("de-en", "de-ja", "en-de", "en-ja", "ja-de")  # those that every system of the made-up grid has


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def study(small: Path) -> Study:
    return Study(results.read([small]), "debian", "MRR")


@pytest.fixture(scope="module")
def report(study: Study) -> Report:
    return compose(study.results, [study], 1)


@pytest.fixture(scope="module")
def text(report: Report) -> str:
    return page.page(report, "made")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid that xqe grid ran, with the fake engine, whose texts are known."""
    folder = tmp_path_factory.mktemp("real")
    fixture_collection(folder / "collection", ["de", "en"], topics=6)
    settings = 'strategies = ["zeroshot"]\npassage_tokens = 20\ndepth = 40\nsource_weight = 0.25\n'
    rows = '[[models]]\nmodel = "fake"\n[[collections]]\npath = "collection"\npairs = ["de-en"]\n'
    (folder / "grid.toml").write_text(settings + rows)
    assert cli.run(["grid", str(folder / "grid.toml"), "--out", str(folder / "out"), "--quiet"]) == 0
    return folder / "out"


# ---------------------------------------------------------------- what it begins with


def averages(folder: Path, name: str) -> list[float]:
    """The means of a system by query."""
    cells = [read(cell_path(folder, pair, name)) for pair in PAIRS]
    values = [dict(zip(cell["queries"], cell["values"]["MRR"], strict=True)) for cell in cells]
    return [mean(one[query] for one in values) for query in values[0]]


def test_a_report_begins_with_four_numbers_and_their_intervals(small: Path, report: Report, study: Study) -> None:
    from xqe.evaluation.significance import interval

    [tiles] = report.tiles
    assert [one.name for one in tiles.tiles] == ["Original", "Translated", "Best system", "Human ceiling"]
    assert tiles.title == "debian: 5 language pairs, 80 values of 16 queries"
    best = study.best(one for one in study.systems if one.kind in results.GENERATED)
    assert best is not None and tiles.tiles[2].said.startswith("tiny, Few-shot, ")
    for tile, name in zip(tiles.tiles, ("original", "tiny.translation", best.name, "human"), strict=True):
        each = averages(small, name)
        low, high = interval(each)
        assert tile.value == f"{100 * mean(each):.2f}"
        assert tile.interval == f"{100 * low:.2f} to {100 * high:.2f}"
    gain = mean(averages(small, best.name)) - mean(averages(small, "tiny.translation"))
    assert f"the best of 16 systems, picked on these queries, and so a little too high; {100 * gain:+.2f} points" in (
        tiles.tiles[2].said
    )


def test_the_best_is_looked_for_among_all_that_a_model_had_a_part_in(small: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(small, tmp_path / "grid"))
    for path in (own / "cells/debian").glob("*/tiny.translation.json"):
        cell = read(path)
        values = {name: [1.0] * len(column) for name, column in cell["values"].items()}
        told = {"system": "tiny.translation", "name": "cross", "kind": "cross", "model": "tiny", "n": 20}
        name = "tiny.translation+cross@20"
        write(path.with_name(f"{name}.json"), cell | {"system": name, "reranked": told, "values": values})
    found = opening.Opening(Study(results.read([own]), "debian", "MRR"))
    assert found.best is not None and found.best.name == "tiny.translation+cross@20"
    assert found.translated is not None and found.translated.name == "tiny.translation"


def test_a_grid_of_the_original_query_alone_has_one_number(small: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(small, tmp_path / "grid"))
    for path in (own / "cells").rglob("*.json"):
        if path.stem != "original":
            path.unlink()
    found = opening.Opening(Study(results.read([own]), "debian", "MRR"))
    tiles = found.tiles()
    assert tiles is not None and [one.name for one in tiles.tiles] == ["Original"]
    assert found.versus() is None


# ---------------------------------------------------------------- two systems query by query


def versus_of(report: Report) -> Versus:
    return next(block for section in report.sections for block in section.blocks if isinstance(block, Versus))


def test_two_systems_are_held_against_each_other_query_by_query(small: Path, report: Report) -> None:
    made = versus_of(report)
    assert made.systems[made.before] == "tiny, Translated query alone"
    assert made.systems[made.after] == report.tiles[0].tiles[2].said.split(":")[0]
    values = dict(zip(made.asked, made.values[made.before], strict=True))
    for pair in PAIRS:
        cell = read(cell_path(small, pair, "tiny.translation"))
        for query, value in zip(cell["queries"], cell["values"]["MRR"], strict=True):
            assert values[f"{pair} {query}"] == value
    both = zip(made.values[made.after], made.values[made.before], strict=True)
    assert made.gains == sorted((100 * (a - b) for a, b in both), reverse=True)


def test_systems_to_choose_from_have_a_limit(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_MOST_VALUES", 6 * study.frame.size)
    found = opening.Opening(study)
    made = found.versus()
    assert made is not None and len(made.systems) == 6
    assert made.notes[-1] == "Of all systems the 13 weakest cannot be chosen here."
    assert {made.systems[made.before], made.systems[made.after]} < set(made.systems)


def test_the_picture_has_a_form_for_papers_and_one_for_pages(report: Report) -> None:
    made = versus_of(report)
    saved = dict(drawing.files(made))
    assert saved["pdf"].startswith(b"%PDF-") and b"/Type3" not in saved["pdf"]  # which publishers refuse
    assert ElementTree.fromstring(saved["svg"]).tag == "{http://www.w3.org/2000/svg}svg"
    drawing._saved.cache_clear()
    assert saved == dict(drawing.files(made))
    won = sum(gain > 0 for gain in made.gains)
    assert f"{won} won, " in (ElementTree.fromstring(drawing.svg(made)).findtext("desc") or "")


# ---------------------------------------------------------------- the page, and its script


class Read(HTMLParser):
    """A page as elements: (tag, attributes, text in it)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))
        if tag not in ("meta", "br"):
            self._open.append(self.elements[-1][2])

    def handle_endtag(self, tag: str) -> None:
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for one in self._open:
            one.append(data)


def test_no_script_can_run_but_the_pages_own(text: str) -> None:
    found = Read(text).elements
    scripts = [(named, "".join(inside)) for tag, named, inside in found if tag == "script"]
    [own] = [inside for named, inside in scripts if "type" not in named]
    digest = b64encode(sha256(own.encode()).digest()).decode()
    policy = next(named["content"] or "" for tag, named, _ in found if tag == "meta" and "http-equiv" in named)
    allowed = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert allowed["default-src"] == "'none'" and allowed["script-src"] == f"'sha256-{digest}'"
    assert {named.get("type") for named, _ in scripts} == {None, "application/json"}  # which is no script to run
    assert own == (files("xqe.experiments.report") / "page.js").read_text("utf-8")
    assert not re.search(r"https?:|innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|fetch\(|import\b", own)


def test_the_same_grid_gives_the_same_page(small: Path, text: str) -> None:
    drawing._saved.cache_clear()
    found = results.read([small])
    assert page.page(compose(found, studies_of(found, "MRR"), 1), "made") == text


def test_what_the_script_draws_is_what_was_measured(text: str, report: Report) -> None:
    made = versus_of(report)
    found = Read(text).elements
    [[named, inside]] = [(named, inside) for tag, named, inside in found if named.get("type") == "application/json"]
    said = json.loads("".join(inside))
    assert said["systems"] == list(made.systems) and said["asked"] == list(made.asked)
    assert (said["before"], said["after"], said["measure"]) == (made.before, made.after, "MRR")
    assert said["values"] == [[round(10_000 * value) for value in column] for column in made.values]
    [figure] = [one for one in found if one[1].get("id") == named["data-for"]]
    assert figure[0] == "figure" and "versus" in (figure[1]["class"] or "")


def test_names_cannot_end_the_data_of_the_script(report: Report) -> None:
    nasty = "</script><script>alert(1)</script><!--"
    block = replace(
        versus_of(report), systems=(nasty, "b"), values=((0.5,), (0.25,)), asked=(nasty,), before=0, after=1
    )
    found = Read(page.page(Report("t", (), (Section("s", "s", (block,)),)), "made")).elements
    scripts = ["".join(inside) for tag, _, inside in found if tag == "script"]
    assert len(scripts) == 2 and json.loads(scripts[0])["asked"] == [nasty]


def test_what_is_sorted_by_is_what_is_shown(text: str) -> None:
    """A cell with a number carries it for the script; it is what is written there but for its rounding and its unit."""
    cells = [
        (float(named["data-v"] or ""), "".join(inside))
        for tag, named, inside in Read(text).elements
        if tag == "td" and "data-v" in named
    ]
    assert len(cells) > 300
    for number, shown in cells:
        if shown.startswith("< "):
            assert number < float(shown[2:])
            continue
        match = re.match(r"[+-]?[\d,]+\.?\d*", shown)
        assert match is not None, shown
        written = float(match[0].replace(",", ""))
        place = 0.5 * 10 ** -len(match[0].partition(".")[2])  # half of the last that is shown
        assert min(abs(number - written), abs(100 * number - written)) <= 1.01 * place, shown


def test_the_page_has_what_its_script_looks_for(text: str) -> None:
    script = (files("xqe.experiments.report") / "page.js").read_text("utf-8")
    looked_for = set(re.findall(r'(?:querySelector(?:All)?|closest)\("([a-z]*)(?:\.([a-z-]+))?"\)', script))
    found = Read(text).elements
    there = {(tag, one) for tag, named, _ in found for one in ("", *(named.get("class") or "").split())}
    there |= {("", one) for _, one in there}
    assert looked_for >= {("table", "data"), ("script", "versus-data"), ("details", "search"), ("details", "told")}
    assert looked_for <= there


def test_a_row_can_be_told_on_a_narrow_page(text: str) -> None:
    more = ["".join(inside) for tag, named, inside in Read(text).elements if named.get("class") == "more"]
    assert "E + T, Q + doc" in more and "T + E, Doc only" in more


def test_what_a_pointer_finds_is_written_too(text: str, study: Study) -> None:
    one = study.against("translation", "MRR")["tiny.fewshot.te.doc"]
    items = ["".join(inside) for tag, _, inside in Read(text).elements if tag == "li"]
    assert f"Few-shot, T + E, Doc only, to translated: {tables.told(one)}" in items


def test_sections_and_tables_have_places_to_link_to(text: str) -> None:
    found = Read(text).elements
    ids = {named.get("id") for _, named, _ in found}
    places = [named["href"] or "" for tag, named, _ in found if tag == "a" and named.get("class") == "here"]
    assert {"#findings", "#cases", "#debian-tiny-settings-caption", "#debian-versus-figure"} <= set(places)
    assert {place[1:] for place in places} <= ids


def test_the_legend_is_told_once(text: str) -> None:
    assert text.count("*** p &lt; 0.001") == 1 and text.count("underlined") == 1
    assert "judgement" not in text


def test_notes_of_a_second_model_are_not_said_again(tmp_path: Path) -> None:
    folder = make(tmp_path, replace(SMALL, models=("tiny", "gemma-3-4b"), queries=4))
    made = compose(found := results.read([folder]), studies_of(found, "MRR"), 0)
    blocks = next(section.blocks for section in made.sections if section.key == "settings")
    first, second = (block.notes for block in blocks if isinstance(block, Table))
    assert not set(first) & set(second) and second[-1] == "Otherwise as above."


# ---------------------------------------------------------------- ties


def test_the_interval_of_what_always_ties_says_what_it_means() -> None:
    tie = Difference(0.5, 0.5, 0.0, 1.0, 1.0, -0.1368, 0.1368, 0, 120, 0, 20)
    assert tables.told(tie) == "all 120 tie; of 20 queries, a difference of up to 13.68 points may have been missed"
    assert tables._interval(tie).text == "all tie"
    other = replace(tie, wins=1, ties=119, low=-0.01)
    assert tables._interval(other) == Value("-1.00 to +13.68")


def test_a_system_that_changes_nothing_has_no_card(small: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(small, tmp_path / "grid"))
    for path in (own / "cells").rglob("tiny.zeroshot.te.doc.json"):
        same = read(path.with_name("tiny.translation.json"))
        write(path, read(path) | {name: same[name] for name in ("values", "first", "relevant", "queries")})
    made = queries.cases(Study(results.read([own]), "debian", "MRR"), 1, Places(None))
    assert all(one.won or one.lost for one in made if isinstance(one, Cases))
    assert made[-1] == Paragraph("No query changed for better or worse with tiny, Zero-shot, T + E, Doc only.")


# ---------------------------------------------------------------- a grid that was run


def test_a_card_has_what_people_wrote_and_what_is_relevant(real: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(real, tmp_path / "grid"))
    path = cell_path(own, "de-en", "fake.translation", "fixtures")
    cell = read(path)
    write(path, cell | {"values": {name: [0.0] * len(column) for name, column in cell["values"].items()}})
    made = queries.cases(Study(results.read([own]), "fixtures", "MRR"), 50, Places(own / "report"))
    found = [one for block in made if isinstance(block, Cases) for one in block.won]
    assert found
    for case in found:
        query = case.head.split()[1].removesuffix(":")
        texts = {label: text for label, text, _ in case.texts}
        people = {one["id"]: one["query"] for one in lines(real / "human/fixtures/en.jsonl")}
        assert texts["as people wrote it (English)"] == people[query]
        known = {one["id"]: one["text"] for one in lines(real / "documents/fixtures/en.jsonl")}
        [relevant] = [text for label, text in texts.items() if label == f"relevant document {query}"]
        assert relevant.removesuffix(" …") in known[query] and len(relevant) > 100
        assert {one.name for one in case.links} == {"run, translated alone", "run, expanded"}
        assert all((own / "report" / unquote(one.place)).resolve().is_file() for one in case.links)


def ranks(command: str, capsys: pytest.CaptureFixture[str]) -> list[int | None]:
    """The rank of the relevant document at each stage, as the command tells it."""
    before, _, after = command.rpartition(" | ")
    record = subprocess.run(before, shell=True, capture_output=True, check=True).stdout if before else None
    words = subprocess.run(f"printf '%s\\0' {after}", shell=True, capture_output=True, check=True).stdout
    [name, *arguments] = words.decode().split("\0")[:-1]
    assert name == "xqe"
    if record is not None:
        place = Path(arguments[arguments.index("--index") + 1]).parents[2] / "record.jsonl"
        place.write_bytes(record)
        arguments += ["--input", str(place)]
    assert cli.run([*arguments, "--format", "jsonl"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    [relevant] = json.loads(line)["trace"]["relevant"]
    return [one.get("rank") for one in relevant["standings"]]


@pytest.mark.parametrize(
    "system", ["fake.zeroshot.te.query+doc", "fake.zeroshot.et.doc", "fake.zeroshot.direct.query+doc"]
)
def test_the_commands_of_a_card_find_what_the_cell_found(
    real: Path, system: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = results.read([real])
    [cell] = [one for one in found.results if one.system.name == system]
    place = next(place for place, rank in enumerate(cell.ranks) if rank is not None)
    told = dict(commands(found, cell, cell.queries[place]))
    assert list(told) == ["as it was searched, without a model", "from the start, with the model"]
    for command in told.values():
        assert ranks(command, capsys)[-1] == cell.ranks[place]


def test_what_options_cannot_say_has_no_command_with_a_model(real: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(real, tmp_path / "grid"))
    manifest = read(own / "manifest.json")
    write(own / "manifest.json", manifest | {"settings": manifest["settings"] | {"examples": "train"}})
    found = results.read([own])
    [cell] = [one for one in found.results if one.system.name == "fake.zeroshot.te.doc"]
    assert [what for what, _ in commands(found, cell, cell.queries[0])] == ["as it was searched, without a model"]


def test_links_lead_to_what_is_there(real: Path) -> None:
    found = results.read([real])
    report = compose(found, studies_of(found, "MRR"), 1, Places(real / "report"), ["cells.csv", "queries.csv.gz"])
    blocks = [block for section in report.sections for block in section.blocks if isinstance(block, Links)]
    places = [one.place for block in blocks for one in block.links]
    assert places[:2] == ["cells.csv", "queries.csv.gz"]
    assert "../qrels/fixtures" in places and "../runs/fixtures" in places
    assert all((real / "report" / place).resolve().is_dir() for place in places[2:])
    alone = compose(found, studies_of(found, "MRR"), 1)
    assert not [one for section in alone.sections for one in section.blocks if isinstance(one, Links)]


def test_every_query_can_be_searched_for(real: Path) -> None:
    found = results.read([real])
    [study] = studies_of(found, "MRR")
    made = queries.asked(study, opening.Opening(study).systems)
    assert made is not None and made.on_page and made.columns[-2:] == ("asked", "as people wrote it")
    assert [row.heads for row in made.rows] == [(query, "de-en") for query in found.queries("fixtures", ("de", "en"))]
    asked = found.question("fixtures", "de")
    assert all(row.values[-2].text == asked[row.heads[0]] for row in made.rows)
    text = unescape(page.page(Report("t", (), (Section("s", "s", (made,)),)), "made"))
    assert all(one in text for one in asked.values())


# ---------------------------------------------------------------- in a paper


def test_tables_for_papers_are_the_tabulars_of_the_document(report: Report) -> None:
    parts = dict(latex.parts(report))
    assert {"debian-tiny-settings", "debian-tiny-mrr", "debian-tiles"} <= set(parts)
    whole = latex.latex(report)
    for text in parts.values():
        comment, tabular = text.split("\n", 1)
        assert comment.startswith("% ") and tabular.startswith(r"\begin{tabular}")
        assert tabular.replace("\n", "").removesuffix(r"\end{tabular}") in whole.replace("\n", "")
    names = names_of(report)
    document = latex.latex(report, {"debian-tiny-mrr": "figures/a.pdf"}, {key: f"tables/{names[key]}" for key in parts})
    assert r"\includegraphics{figures/a.pdf}" in document and r"\begin{tabular}" not in document
    assert document.count(r"\input{tables/") == len(parts) - 1  # the picture is there in place of its numbers


def test_files_are_named_so_that_latex_and_shells_take_them() -> None:
    def table(key: str) -> Table:
        return Table(key, "", (), (), ())

    made = Report("", (), (Section("s", "", tuple(map(table, ("a.b", "a b", "日本-x")))),))
    assert names_of(made) == {"a.b": "a_b", "a b": "a_b_", "日本-x": "_-x"}
