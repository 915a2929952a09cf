"""What is written for a reader: records, tables that fit, progress of several processes on one terminal."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import command, jsonl
from terminals import screen, written_on

from xqe import terminal
from xqe.cli import run
from xqe.commands import screens
from xqe.commands.columns import Column, Kind, laid_out, shortened
from xqe.commands.eval.screen import of_rows
from xqe.commands.rows import csv_lines
from xqe.commands.showing import shown
from xqe.evaluation.comparison import Row
from xqe.files.records import Record
from xqe.lines import nearest
from xqe.messages import Progress

WIDTHS = (40, 60, 80, 120, 200)
NUMBER = re.compile(r"[+-]?\d+\.\d\d\b")


@pytest.fixture(params=WIDTHS)
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(screens, "columns_there", lambda: request.param)
    return int(request.param)


# ---------------------------------------------------------------- tables

MEASURES = ("Hit@10", "Recall@5", "Recall@50", "MRR", "nDCG@10")
RUNS = ("a/folder/of/some/length/original.jsonl", "a/folder/of/some/length/final.jsonl", "other.run")


def row(number: int, with_interval: bool, group: dict[str, str]) -> Row:
    values = {measure: (11 + 7 * number + place) / 100 for place, measure in enumerate(MEASURES)}
    difference = dict.fromkeys(MEASURES, -number / 100) if number else None
    interval = dict.fromkeys(MEASURES, (0.0512, 0.9934)) if with_interval else None
    return Row(RUNS[number], group, 1234, 5, values, difference, None, interval)


@pytest.mark.parametrize("with_interval", [False, True])
@pytest.mark.parametrize("fields", [(), ("source.lang",)])
def test_a_table_of_runs_loses_no_digit_on_any_terminal(
    width: int, with_interval: bool, fields: tuple[str, ...]
) -> None:
    rows = [row(number, with_interval, dict.fromkeys(fields, "fr")) for number in range(3)]
    text = of_rows(rows, fields, MEASURES)
    assert max(map(len, text.splitlines())) <= width
    values = [f"{100 * value:.2f}" for one in rows for value in one.measures.values()]
    differences = [f"{100 * value:+.2f}" for one in rows if one.difference for value in one.difference.values()]
    ends = ["5.12", "99.34"] * (15 if with_interval else 0)
    assert sorted(NUMBER.findall(text)) == sorted([*values, *differences, *ends])
    assert all(measure in text for measure in MEASURES)
    assert text.count("inal.json") == 2 * text.count("other.run") > 0, "in every block"


def test_a_table_without_rows_is_its_headings(width: int) -> None:
    text = laid_out([Column("run", Kind.RUN), Column("MRR", Kind.NUMBER), Column("about", Kind.PROSE)], [])
    assert text.split() == ["run", "MRR", "about"]


@pytest.mark.parametrize("listed", ["models list", "data list", "store info", "strategies", "data info mmarco"])
def test_what_has_to_be_typed_is_whole_on_any_terminal(
    listed: str, width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*listed.split(), "--format", "jsonl"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    form = "table" if listed.endswith("list") else "text"
    assert run([*listed.split(), "--format", form]) == 0
    text = capsys.readouterr().out
    assert all(str(row.get("name", "")) in text for row in rows)
    assert max(map(len, text.splitlines())) <= width or listed == "store info"  # whose first line is a path


def test_sizes_are_for_people_and_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "info", "mmarco", "--format", "text"]) == 0
    assert "53.2 GB" in capsys.readouterr().out
    assert run(["data", "list", "--format", "csv"]) == 0
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    assert (rows["mmarco"]["size"], rows["debian"]["size"]) == ("53196781484", "")


SHORT = {
    ("a/b/c/original.jsonl", "a/b/c/final.jsonl"): 12,
    ("run.tiny.rar.te.query+doc.jsonl", "run.tiny.fewshot.te.query+doc.jsonl"): 14,
    ("one", "two"): 16,
    ("x" * 40, "x" * 40): 10,
    ("z" * 30 + "a" + "y" * 30, "z" * 30 + "b" + "y" * 30): 12,
    ("a" * 20, "a" * 30, "a" * 40): 12,
}


@pytest.mark.parametrize(("names", "most"), SHORT.items())
def test_short_names_are_as_different_as_the_long_ones(names: tuple[str, ...], most: int) -> None:
    made = shortened(names, most)
    assert len(set(made)) == len(set(names))
    for name, short in zip(names, made, strict=True):
        assert re.fullmatch(".*".join(map(re.escape, short.split("…"))), name)
    if len({len(name) for name in names}) < 3:
        assert max(map(len, made)) <= most


def test_the_parts_of_numbers_stand_below_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = [Column("run", Kind.KEY), Column("MRR", Kind.NUMBER)]
    lines = [["a", "9.50"], ["b", "10.50 +1.00*"], ["c", "9.00 -0.50"]]
    assert laid_out(columns, lines) == (
        "run           MRR\n"
        "a     9.50\n"
        "b    10.50 +1.00*\n"
        "c     9.00 -0.50"
    )  # fmt: skip


def test_csv_has_the_fields_of_fields() -> None:
    rows: list[dict[str, Any]] = [
        {"run": 'a "b",c', "group": {}, "measures": {"MRR": 0.5}, "difference": None, "none": None},
        {"run": "d", "group": {"lang": "fr"}, "x": [1, 2], "difference": {"MRR": -0.5}},
    ]
    read = list(csv.DictReader(io.StringIO("\n".join(csv_lines(rows)))))
    assert read == [
        {"run": 'a "b",c', "measures.MRR": "0.5", "none": "", "group.lang": "", "x": "", "difference.MRR": ""},
        {"run": "d", "measures.MRR": "", "none": "", "group.lang": "fr", "x": "1 2", "difference.MRR": "-0.5"},
    ]


# ---------------------------------------------------------------- records

RECORD: Record = {
    "id": "q1",
    "query": "name of mercury",
    "lang": "en",
    "source": {"query": "nom du mercure", "lang": "fr"},
    "translations": [{"text": "name of mercury", "share": 0.7}, {"text": "mercury's name", "share": 0.3}],
    "passages": ["Mercury is named after the Roman god."],
    "steps": [{"step": "translate", "from": "fr", "to": "en", "model": "fake", "finish": "length"}],
    "index": {"name": "facts", "lang": "en", "by": "bm25", "query_weight": 2.43, "source_weight": "auto"},
    "hits": [{"id": f"d{rank}", "score": 30.0 - rank, "title": f"Title {rank}"} for rank in range(12)],
    "error": {"step": "rerank", "message": "no model"},
}


def test_a_record_shows_what_it_has(width: int) -> None:
    said = [
        "name of mercury  q1, English", "nom du mercure  French", "0.70  name of mercury", "0.30  mercury's name",
        "named after the Roman god.", "translate, French → English, fake", "a text of translate was cut off",
        "facts, by words", "the query counts 2.43 times; the untranslated query word by word", "rerank: no model",
        "the best 10 of 12", "d0  30  Title 0", "d9  21  Title 9", "2 more, shown with -k",
    ]  # fmt: skip
    text = shown(RECORD, more=", shown with -k")
    flat = " ".join(text.split())
    at = -1
    for one in said:
        place = flat.find(" ".join(one.split()), at + 1)
        assert place > at, one
        at = place
    assert "Title 10" not in text
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize(
    "odd",
    [
        {"translations": 5}, {"translations": ["x"]}, {"steps": 1}, {"passages": 3}, {"hits": "x"}, {"hits": [1]},
        {"index": {"by": []}}, {"combine": 2}, {"closeness": {"query": "x"}}, {"answer": {}}, {"source": {"lang": 5}},
        {"hits": [{"id": "d", "score": 1, "snippet": {}}]}, {"hits": [{"id": "d", "from": 3}]},
    ],
)  # fmt: skip
def test_a_record_of_another_form_is_shown_all_the_same(odd: dict[str, Any]) -> None:
    assert "q1" in shown({"id": "q1", "query": "tin", **odd})


def test_a_document_shows_its_questions() -> None:
    text = shown({"id": "d1", "title": "Tin", "text": "A\nmetal. " * 200, "questions": {"fr": ["Qu'est-ce ?"]}})
    assert re.search(r"document +Tin  d1\ntext +A metal\. .* …\nfr +Qu'est-ce \?", text)


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("facts")
    rows = [{"id": f"d{n}", "title": f"About {n}", "text": f"Mercury and its moon number {n}."} for n in range(14)]
    (folder / "docs").write_text(jsonl(*rows))
    assert run(["index", str(folder / "ix"), "--lang", "en", "-i", str(folder / "docs")]) == 0
    return folder


def test_a_reader_is_shown_ten_hits_and_a_program_all(facts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["search", str(facts / "ix"), "moon of mercury"]
    assert run(asked) == 0
    [record] = map(json.loads, capsys.readouterr().out.splitlines())
    assert len(record["hits"]) == 14
    assert record["hits"][0].keys() == {"id", "score"}
    assert run([*asked, "--format", "text"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^1 +d9  [\d.]+  About 9\n +Mercury and its moon number 9\.$", text, re.M)
    assert "the best 10 of 14" in text and "4 more, shown with -k" in text and " d11 " not in text
    assert run([*asked, "--format", "text", "-k", "14"]) == 0
    assert "14 documents" in capsys.readouterr().out
    assert run([*asked, "--format", "trec", "-k", "2"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_an_index_is_summed_up_for_a_reader(facts: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    verify = ["index", str(facts / "ix"), "--verify"]
    assert run(verify) == 0
    row = json.loads(capsys.readouterr().out)
    monkeypatch.setattr("xqe.commands.summaries.on_screen", lambda form: True)
    assert run(verify) == 0
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert (shown["documents"], shown["lang"], shown["k1"]) == ("14", "en", str(row["k1"]))
    assert shown["bytes"].endswith(" kB")
    assert shown.keys() >= {"name", "terms", "distinct", "b"}


def test_a_query_that_finds_nothing_is_helped_on(facts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["search", str(facts / "ix"), "Zufallszahlen", "--format", "text"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "hits nothing was found the documents are in English; a query in another language: xqe translate" in out


def test_records_and_runs_are_viewed(facts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records, columns, queries = (str(tmp_path / name) for name in ("records", "columns", "queries"))
    asked = [{"id": "q1", "query": "moon"}, {"id": "q2", "query": "mercury"}]
    hits = [{"id": "d1", "score": 2.0}, {"id": "d2", "score": 1.0}]
    Path(queries).write_text(jsonl(*asked))
    Path(records).write_text(jsonl(*({**one, "hits": hits} for one in asked)))
    Path(columns).write_text("q1 Q0 d1 1 2 x\nq1 Q0 d2 2 1 x\nq2 Q0 d1 1 2 x\nq2 Q0 d2 2 1 x\n")
    assert run(["view", records, "-k", "1"]) == 0
    of_records = capsys.readouterr().out
    assert re.findall(r"^query +(.*)$", of_records, re.M) == ["moon  q1", "mercury  q2"]
    assert run(["view", columns, "-k", "1", "--queries", queries]) == 0
    assert capsys.readouterr().out == of_records
    assert run(["view", columns, "q2", "--index", str(facts / "ix")]) == 0
    of_one = capsys.readouterr().out
    assert "q1" not in of_one and "d2  1  About 2" in of_one
    for arguments, said in (
        ([records, "q3"], f'{records}: holds no "q3"'),
        ([queries + "x"], "no such file"),
        ([str(facts / "docs"), "--queries", queries], "--queries has no effect on records"),
    ):
        assert run(["view", *arguments]) == 2
        assert said in capsys.readouterr().err


def test_documents_of_an_index_are_viewed(facts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["view", str(facts / "ix"), "d3", "d1"]) == 0
    out = capsys.readouterr().out
    assert re.findall(r"^document +(.*)$", out, re.M) == ["About 3  d3", "About 1  d1"]
    assert "Mercury and its moon number 1." in out
    assert run(["view", str(facts / "ix")]) == 0
    assert capsys.readouterr().out.count("\ndocument ") == 13
    for arguments, said in (
        (["ix", "d99"], 'ix: holds no document "d99"; an id is written as in the documents'),
        (["ix", "--index", str(facts / "ix")], "an index has documents, and no run; leave out --queries and --index"),
        (["t.csv"], "t.csv: a table, and not JSONL; index it, and see its documents: xqe view DIR"),
    ):
        assert run(["view", str(facts / arguments[0]), *arguments[1:]]) == 2
        assert said in capsys.readouterr().err


def test_a_pager_shows_it_on_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "records").write_text(jsonl({"id": "q1", "query": "moon"}))
    asked = command("view", str(tmp_path / "records"))
    assert screen(written_on(asked, 60, tmp_path, {"PAGER": "sed s/query/paged/"}))[:1] == ["paged      moon  q1"]
    assert screen(written_on([*asked, "--no-pager"], 60, tmp_path, {"PAGER": "false"}))[:1] == ["query      moon  q1"]


# ---------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("given", "meant"),
    [("few-shot", "fewshot"), ("FEWSHOT", "fewshot"), ("rarr", "rar"), ("query_2_doc", "query2doc"), ("xyz", "")],
)
def test_the_nearest_value_is_told(given: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["expand", "tin", "--lang", "en", "-s", given]) == 2
    said = capsys.readouterr().err
    assert (f"(did you mean {meant}?)" in said) == bool(meant)
    assert nearest("combsumm", ["combmnz", "combsum"]) == "combsum"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (
            "translate tin --from Englsh --to de",
            '--from: unknown language "Englsh"; did you mean English? give a code',
        ),
        (
            "data convert bier x.jsonl --out y --lang en",
            'unknown format "bier"; did you mean beir? xqe reads clirmatrix',
        ),
        ("grid {tmp}/g.toml --out {tmp}/out", 'unknown key "strategie"; did you mean strategies? known are'),
        ("translate ein Text --from de --to en", "argument(s) (Text): put a text of several words into quotes; see"),
        ("translate --to en -i a.jsonl b.jsonl c", "(c): --input takes one file, and may be given again; see"),
        ("expand a {tmp}/g.toml", "g.toml): a file is read with --input"),
        ("inspect a.jsonl", "argument(s) (a.jsonl): a file is read with --input a.jsonl; see xqe inspect --help"),
        ("translate tin --lang de --to en", "no such option: --lang (the language of what is read is --from)"),
        ("search {tmp} tin -o out.jsonl", "no such option: -o (what it writes goes to standard output: > FILE); see"),
    ],
)
def test_what_was_meant_is_told(typed: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "g.toml").write_text('name = "g"\nstrategie = ["cot"]\n[[collections]]\npath = "c"\n')
    assert run(typed.format(tmp=tmp_path).split()) == 2
    assert said in capsys.readouterr().err


# ---------------------------------------------------------------- progress


def test_a_line_of_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    shown = Progress("expand", 40, speed=lambda: "31 tokens/s")
    shown.doing = "loading the model"
    now[0] += 5
    assert shown.text() == "expand: 00:05 · loading the model"
    records = shown.each(range(40))
    for _ in range(11):
        next(records)
    now[0] += 60
    assert shown.text() == "expand: ██▌        10/40 · 31 tokens/s · 01:05 · 03:00 left"
    assert Progress("search").text() == "search: 0 · 00:00"
    downloaded = Progress("a file", 5_000_000, 1_000_000, shown=lambda size: f"{size / 1e6:g} MB")
    now[0] += 3700
    downloaded.count(3_700_000_000)
    assert downloaded.text() == "a file: ██████████ 3701 MB/5 MB · 1 MB/s · 1:01:40"


def test_lines_are_cut_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "size", lambda: os.terminal_size((10, 3)))
    drawn = terminal._drawn({"12": "b" * 30, "3": "日本語日本語", "40": "c\nd"})
    assert screen(drawn) == ["c", "d"], "the last that there is room for"
    monkeypatch.setattr(terminal, "size", lambda: os.terminal_size((10, 30)))
    assert screen(terminal._drawn({"12": "b" * 30, "3": "日本語日本語"})) == ["日本語日", "b" * 9]


STAGE = """
import sys, time
from xqe.files.stdout import Output
from xqe.messages import progress, say
from xqe.terminal import once
sys.stdout = Output(sys.stdout)
name, records, last = sys.argv[1], int(sys.argv[2]), sys.argv[3]
for number, _ in enumerate(progress(range(records), None, name)):
    if not number and once("model"):
        say("said once")
    time.sleep(0.35)
    if last:
        print(f"record {number}", flush=True)
say(f"{name} done")
"""


def test_stages_of_a_pipe_keep_a_line_each(tmp_path: Path) -> None:
    stages = " | ".join(f"'{sys.executable}' -c '{STAGE}' {name} {count} '{last}'"
                        for name, count, last in (("first", 4, ""), ("second", 8, "last")))  # fmt: skip
    written = written_on(["bash", "-c", stages], 60, tmp_path)
    assert re.search(r"\x1b\[Jfirst: \d[^\r]* · 00:0\d\r+\nsecond: \d[^\r]* · 00:0\d\x1b\[1A\r", written)
    lines = [line for line in screen(written) if line]
    assert sorted(lines) == sorted(
        [*(f"record {number}" for number in range(8)), "xqe: first done", "xqe: second done", "xqe: said once"]
    ), "nothing is left of the lines"
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_drawn_off_a_terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with Progress("expand") as shown:
        assert not shown.is_open
        shown.count(1)
    assert capsys.readouterr() == ("", "")
