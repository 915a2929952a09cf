"""xqe grid: what a file comes to, that its cells are what the pipe gives, and that a run can be killed and repeated."""

from __future__ import annotations

import errno
import fcntl
import gzip
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from math import log2
from pathlib import Path
from typing import Any

import pytest
from collections_for_tests import fixture_collection, lines
from conftest import FIXTURES, ROOT, command
from hypothesis import given
from hypothesis import strategies as st
from small_models import SAID, SAID_TOKENS
from vectors_for_tests import of_examples

from xqe import __version__, cli
from xqe.errors import InputError, XqeError
from xqe.experiments.grid import pairs
from xqe.experiments.grid.asked import _draw
from xqe.experiments.grid.folder import Folder
from xqe.experiments.grid.generating import stage_of
from xqe.experiments.grid.nights import changes, judge
from xqe.experiments.grid.pairs import Wanted
from xqe.experiments.grid.plan import Cell, Plan
from xqe.experiments.grid.planner import make_plan
from xqe.experiments.grid.settings import Gate, read_grid
from xqe.files.atomic import append_line
from xqe.files.hashes import sha256
from xqe.files.sealed import sealed
from xqe.models.encoders.base import Encoded, Side
from xqe.models.encoders.fake import FakeEncoder
from xqe.models.engines.fake import FakeEngine
from xqe.models.engines.requests import Completion, Request
from xqe.stages.generation import run

TWO, ALL = ["de", "en"], ["de", "en", "ja"]
SMALL = """
name = "small"
strategies = ["zeroshot", "fewshot"]
depth = 50
[[models]]
model = "fake"
[[collections]]
path = "collection"
"""

Written = Callable[..., Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Write a grid file beside a collection of the fixtures."""

    def write(text: str = SMALL, languages: list[str] | None = None, **options: Any) -> Path:
        fixture_collection(tmp_path / "collection", languages or TWO, **{"topics": 6, **options})
        path = tmp_path / "grid.toml"
        path.write_text(text, "utf-8")
        return path

    return write


def grid(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Run xqe grid in this process; return its status and what it said."""
    status = cli.run(["grid", *map(str, arguments)])
    out, err = capsys.readouterr()
    assert out == "" or "--dry-run" in arguments
    return status, out + err


def cells(out: Path) -> dict[str, dict[str, Any]]:
    root = out / "cells"
    return {str(p.relative_to(root).with_suffix("")): json.loads(p.read_text()) for p in sorted(root.rglob("*.json"))}


def numbers(out: Path) -> dict[str, Any]:
    return {name: (cell["queries"], cell["values"], cell["relevant"]) for name, cell in cells(out).items()}


# ---------------------------------------------------------------- what a file comes to


def test_work_is_shared(written: Written) -> None:
    plan = make_plan(read_grid(written(languages=ALL)))
    pairs, languages, strategies, queries = 6, 3, 2, 6
    kinds = [texts.name.split(".")[0] for texts in plan.texts]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "t": pairs,  # once for both strategies
        "e": languages * strategies,  # once for all languages of documents
        "te": pairs * strategies,
        "et": pairs * strategies,
        "d": pairs * strategies,
    }
    assert sum(texts.count for texts in plan.texts) == queries * len(plan.texts)
    # original, human, translation; T+E, E+T, source and direct, each with two uses
    assert len(plan.cells) == pairs * (3 + strategies * 4 * 2)
    assert len({cell.place for cell in plan.cells}) == len(plan.cells)
    for texts in plan.texts:
        assert texts.after is None or plan.texts.index(texts.after) < plan.texts.index(texts)


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.toml")), ids=lambda path: path.name)
def test_the_examples_are_read(path: Path) -> None:
    found = read_grid(path)
    assert found.name == path.stem and found.collections and found.models
    assert set(found.gate.systems or ()) <= {"tiny.fewshot.te.query+doc", "tiny.translation"}


def test_a_grid_file_may_begin_with_a_byte_order_mark(written: Written) -> None:
    path = written(SMALL)
    plain = read_grid(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_grid(path) == plain


def test_only_what_is_asked_for_is_generated(written: Written) -> None:
    text = SMALL.replace("depth = 50", 'orders = ["et"]\nbaselines = []\nuses = ["doc"]')
    plan = make_plan(read_grid(written(text)))
    assert {texts.name.split(".")[0] for texts in plan.texts} == {"e", "et"}
    assert {cell.kind for cell in plan.cells} == {"expansion"}


def test_shards_are_the_whole_and_share_nothing(written: Written) -> None:
    plan = make_plan(read_grid(written(languages=ALL)))
    shards = [plan.shard(number, 2) for number in range(2)]
    assert sorted(c.place for s in shards for c in s.cells) == sorted(c.place for c in plan.cells)
    assert sorted(t.place for s in shards for t in s.texts) == sorted(t.place for t in plan.texts)
    assert all(shard.cells for shard in shards)


ELIGIBLE = st.dictionaries(
    st.sampled_from([("de", "en"), ("de", "ja"), ("en", "de"), ("ja", "en")]),
    st.lists(st.sampled_from([f"q{n}" for n in range(30)]), min_size=1, unique=True),
    min_size=1,
)


@given(ELIGIBLE, st.integers(1, 12), st.integers(0, 3), st.booleans())
def test_queries_are_drawn_from_those_judged_as_many_as_there_are(
    eligible: dict[tuple[str, str], list[str]], count: int, seed: int, is_parallel: bool
) -> None:
    drawn = _draw(eligible, count, seed, is_parallel)
    assert list(drawn) == list(eligible)
    for pair, ids in drawn.items():
        assert set(ids) <= set(eligible[pair]) and len(set(ids)) == len(ids)
        assert len(ids) == min(count, len(eligible[pair]))
        assert list(ids) == [one for one in eligible[pair] if one in ids]  # in the order of the collection
    common = set.intersection(*map(set, eligible.values()))
    if is_parallel and len(common) >= count:
        assert len(set(map(frozenset, drawn.values()))) == 1


def test_a_draw_does_not_depend_on_queries_that_are_not_drawn(written: Written) -> None:
    ids = [f"q{n}" for n in range(40)]
    [drawn] = _draw({("de", "en"): ids}, 10, 1, True).values()
    [again] = _draw({("de", "en"): [one for one in ids if one in drawn or int(one[1:]) % 2]}, 10, 1, True).values()
    [other] = _draw({("de", "en"): ids}, 10, 2, True).values()
    assert drawn == again and drawn != other


BAD = {
    'strategies = ["few"]': "grid.toml: unknown strategies 'few'",
    'orders = ["T+E"]': "grid.toml: unknown orders 'T+E'",
    "samples = 2": "all of them would be the same",
    "samples = 0": "samples: 0 is no number of passages",
    "query_weights = [-1]": "query_weights: -1 is no weight",
    'measures = ["Hits"]': 'grid.toml: measures: unknown measure "Hits"',
    "temprature = 1": 'grid.toml: unknown key "temprature"',
    "depth = true": "depth = True",
    'examples = "train"': 'examples = "train", and',
    "uses = []": "uses is empty",
    "top_p = 2": "grid.toml: top_p = 2",
    "repeat_penalty = 0": "repeat_penalty = 0",
    "temperature = inf": "temperature = inf",
    "temperature = nan": "temperature = nan",
    "seed = 99999999999": "seed = 99999999999",
    "shots = 1000": "grid.toml: shots: --shots 1000",
    "query_weights = [1, 1.0]": "names one thing twice",
    "[gate]\nmax_drop = [1]": "max_drop = 1 is not a list of strings",
    '[gate]\nmax_drop = ["P@5=0.1"]': "the grid does not measure P@5",
    '[gate]\nsystems = ["best"]': 'no system "best"',
    '[gate]\nfail_under = ["MRR"]': "MRR",
    'retrievers = ["splade"]': "unknown retrievers 'splade'",
    "retrievers = []": "retrievers is empty",
    'encode = "source"': "encode has no effect on searches by bm25",
    'encoder = "fake"': "encoder has no effect on searches by bm25",
    'retrievers = "dense"\ndense_weight = 1': "dense_weight has no effect on searches by dense",
    'retrievers = "dense"\nsource_weight = 1': "source_weight has no effect on searches by dense",
    "source_weight = -1": 'source_weight: -1 is no weight; give "auto" or a number from 0',
    'source_weight = "all"': "is no weight",
    "translations = 0": "translations",
    'retrievers = "dense"\nencode = "all"': "unknown encode 'all'",
    'retrievers = "dense"\nencoder = "openai:e"': "grid.toml: encoder: base_url is missing",
    'retrievers = "dense"\nencoder = {model = "sentence-transformers:"}': "names no model",
    'retrievers = "dense"\nencoder = "e5-enormous"': "grid.toml: encoder: ",
}


@pytest.mark.parametrize("line", BAD)
def test_a_mistake_in_the_file_is_one_line(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    key = line.split(" = ")[0]
    rest = "".join(f"{one}\n" for one in SMALL.splitlines() if not one.startswith(key))
    path = written(f"{line}\n{rest}" if not line.startswith("[gate]") else f"{rest}\n{line}")
    status, said = grid(capsys, path, "--out", tmp_path / "out")
    assert status == 2
    assert said.count("\n") == 1 and BAD[line] in said, said
    assert not (tmp_path / "out" / "texts").exists()


NO_NUMBERS = ("nan", "inf", "-inf", "1" + 400 * "0", "1" + 5000 * "0", "true", '"1"', "0x" + 4000 * "f")


@pytest.mark.parametrize("value", NO_NUMBERS)
@pytest.mark.parametrize(
    "line",
    [
        *("temperature = {}", "top_p = {}", "repeat_penalty = {}", "top_k = {}", "seed = {}", "depth = {}", "rel = {}"),
        *("samples = [{}]", "query_weights = [{}]", "passage_tokens = {}", "shots = {}"),
        'retrievers = "hybrid"\nencoder = "fake"\ndense_weight = {}',
        '[[collections]]\npath = "x"\nqueries = {}',
    ],
)
def test_a_number_of_the_file_is_a_number(tmp_path: Path, line: str, value: str) -> None:
    path = tmp_path / "grid.toml"
    path.write_text(f'{line.format(value)}\n[[collections]]\npath = "y"\n', "utf-8")
    with pytest.raises(InputError) as caught:
        read_grid(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < 250 + len(str(path))


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("pt-BR-en", ("pt", "en")),
        ("en-pt_BR", ("en", "pt")),
        ("DE-zh-Hant", ("de", "zh")),
        ("zh-CN-de-AT", ("zh", "de")),
    ],
)
def test_the_languages_of_a_pair_may_have_regions(tmp_path: Path, text: str, pair: tuple[str, str]) -> None:
    path = tmp_path / "grid.toml"
    path.write_text(f'[[collections]]\npath = "x"\npairs = ["{text}"]\n')
    assert read_grid(path).collections[0].pairs == (Wanted(*pair),)


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ('["pt-BR-en", "pt-en"]', "pairs names one thing twice"),
        ('["en-ID-de"]', '"en-ID-de" can be read as several pairs'),  # Indonesian is a language that xqe knows
        ('["xx-BR-en"]', 'unknown language "xx"'),
        ('["*-xx"]', 'unknown language "xx"'),
        ('["*"]', '"*" is no pair'),
        ('["*-EN", "*-eng"]', "pairs names one thing twice"),
    ],
)
def test_a_pair_is_named_once_and_for_certain(tmp_path: Path, pairs: str, said: str) -> None:
    path = tmp_path / "grid.toml"
    path.write_text(f'[[collections]]\npath = "x"\npairs = {pairs}\n')
    with pytest.raises(XqeError, match=re.escape(said)):
        read_grid(path)


THERE = [(source, target) for source in ("de", "en", "ja", "tl") for target in ("de", "en", "ja")]


@pytest.mark.parametrize(
    ("texts", "made"),
    [
        (["*-en", "de-*"], "de-en ja-en tl-en de-ja"),  # each once, and no language with itself
        (["en-en", "*-en"], "en-en de-en ja-en tl-en"),  # but where it is named in full
        (["*-*", "!ja-*", "!*-ja"], "de-en en-de tl-de tl-en"),
        (["!*-d?", "!tl-*"], "de-en de-ja en-ja ja-en"),  # of all pairs of two languages
        (["fil-PH-*", "D?-JA"], "tl-de tl-en tl-ja de-ja"),
    ],
)
def test_pairs_are_named_by_patterns(texts: list[str], made: str) -> None:
    assert pairs.chosen(pairs.read("g", texts), THERE, "g", "c") == [tuple(one.split("-")) for one in made.split()]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["*-zu"], '"*-zu" matches no pair of two languages of c'),
        (["de-de*", "*-en"], '"de-de*" matches no pair'),  # it would be German with itself
        (["de-zu"], "c has no queries and qrels for de-zu"),
        (["*-en", "!en-*"], '"!en-*" takes nothing away'),
        (["de-en", "!*-en"], 'of "de-en" "!*-en" leave nothing'),
    ],
)
def test_a_pattern_that_does_nothing_is_refused(texts: list[str], said: str) -> None:
    with pytest.raises(InputError) as caught:
        pairs.chosen(pairs.read("g", texts), THERE, "g", "c")
    assert said in caught.value.message and caught.value.hint


OWN = """
strategies = ["zeroshot"]
orders = ["et"]
uses = ["query+doc"]
baselines = ["original"]
measures = ["nDCG@10", "MRR"]
rel = 2
[[models]]
model = "fake"
[[collections]]
path = "collection"
pairs = ["en-en"]
"""


def test_hits_that_are_the_query_itself_are_left_out_as_the_collection_or_the_file_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """BEIR's own evaluation gives nDCG@10 and MRR of 1; and a grade below `rel` counts in nDCG."""
    source = tmp_path / "arg"
    (source / "qrels").mkdir(parents=True)
    texts = {"a1": "zinc prices rise because of demand", "a2": "zinc prices fall because of supply", "a3": "cobalt"}
    rows = [json.dumps({"_id": name, "text": text}) for name, text in texts.items()]
    (source / "corpus.jsonl").write_text("\n".join(rows))
    (source / "queries.jsonl").write_text("\n".join(rows[:2]))
    (source / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\na1\ta2\t2\na2\ta1\t1\n")
    assert cli.run(["data", "convert", "beir", str(source), "--lang", "en", "--out", str(tmp_path / "collection")]) == 0
    capsys.readouterr()
    path = tmp_path / "grid.toml"
    found = {}
    for line in ("", "drop_self = false"):
        path.write_text(OWN + line)
        out = tmp_path / (line[-5:] or "out")
        status, said = grid(capsys, path, "--out", out)
        assert status == 0, said
        assert "1 of 2 queries have no document of grade 2 or more and count as 0, as in trec_eval" in said
        cell = cells(out)["arg/en-en/original"]
        found[line] = (cell["queries"], cell["first"], cell["measures"])
        assert json.loads((out / "manifest.json").read_text())["collections"]["arg"].get("drop_self") == (
            None if line else True
        )
    assert found == {
        "": (["a1", "a2"], ["a2", "a1"], {"nDCG@10": 1.0, "MRR": 0.5}),
        "drop_self = false": (["a1", "a2"], ["a1", "a2"], {"nDCG@10": pytest.approx(1 / log2(3)), "MRR": 0.25}),
    }


ROWS = {
    ('model = "fake"', 'model = "fake"\n[[models]]\nmodel="fake"\nname="b"\n[[models]]\nmodel = "gemma-9"'): (
        "grid.toml: models[3]",
        "gemma-9",
    ),
    ('model = "fake"', 'model = "fake"\n[[models]]\nmodel = "fake"'): ("models[2]", '"fake" again'),
    ('model = "fake"', 'model = "fake"\nlora = ["x.gguf"]'): ("models[1]", "lora has no effect on fake"),
    ('model = "fake"', 'model = "openai:m"'): ("models[1]", "base_url is missing"),
    ('model = "fake"', 'model = "openai:m"\nbase_url = "nonsense"'): ("models[1]", "no address"),
    ('path = "collection"', 'path = "nowhere"'): ("collections[1]", "nowhere", "no such folder"),
    ('path = "collection"', 'path = "collection"\nsplit = "dev"'): ("collections[1]", 'no split "dev"', "it has test"),
    ('path = "collection"', 'path = "collection"\npairs = ["de-fr"]'): ("collections[1].pairs", "de-fr", "it has"),
    ('path = "collection"', 'path = "collection"\npairs = ["de"]'): ("collections[1].pairs", '"de" is no pair'),
    ('path = "collection"', 'path = "collection"\npairs=["de-en"]\nlanguages=["de"]'): ("both pairs and languages",),
    ('path = "collection"', 'path = "collection"\nlanguages = ["xx"]'): ("collections[1].languages", '"xx"'),
    ("[[collections]]", "[[collection]]"): ("no [[collections]]",),
}


@pytest.mark.parametrize("change", ROWS, ids=lambda change: change[1])
def test_a_mistake_in_a_row_names_the_row(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str]
) -> None:
    status, said = grid(capsys, written(SMALL.replace(*change)), "--out", tmp_path / "out")
    assert status == 2
    assert said.count("\n") == 1 and all(part in said for part in ROWS[change]), said


def replace_line(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")


def reseal(collection: Path) -> None:
    """Bring the hashes of a manifest to what its files are now."""
    manifest = json.loads((collection / "collection.json").read_text())
    for kind in ("queries", "qrels"):
        for files in manifest[kind].values():
            for entry in files.values():
                entry["sha256"] = sha256(collection / entry["file"])
    del manifest["sha256"]
    (collection / "collection.json").write_bytes(sealed(manifest))


def test_a_pair_without_queries_and_qrels_that_match_nothing(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written()
    qrels = tmp_path / "collection" / "qrels" / "test" / "all-en.qrels"
    text = qrels.read_text()
    qrels.write_text("".join(f"x{line}\n" for line in text.splitlines()))
    reseal(tmp_path / "collection")
    status, said = grid(capsys, path, "--out", tmp_path / "out")
    assert status == 2 and said.count("\n") == 1
    assert "no query of" in said and "is judged for de-en" in said

    qrels.write_text("".join(f"{q} 0 x{d} {g}\n" for q, _, d, g in map(str.split, text.splitlines())))
    reseal(tmp_path / "collection")
    status, said = grid(capsys, path, "--out", tmp_path / "out")
    assert status == 2 and "none of its relevant documents are in the collection" in said
    assert not (tmp_path / "out" / "texts").exists()


def test_a_file_that_is_not_the_manifests_is_refused(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written()
    with (tmp_path / "collection" / "queries" / "test" / "de.jsonl").open("a") as file:
        file.write('{"id": "new", "query": "neu", "lang": "de"}\n')
    status, said = grid(capsys, path, "--out", tmp_path / "out")
    assert status == 2 and said.count("\n") == 1
    assert "de.jsonl: not the file that collection.json names" in said


# ---------------------------------------------------------------- what it does


def by_hand(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, stages: list[list[str]], queries: str, *search: str
) -> dict[str, Any]:
    """The averages that the commands of a pipe give."""
    qrels = str(tmp_path / "collection" / "qrels" / "test" / "all-en.qrels")
    index = str(tmp_path / "out" / "indexes" / "fixtures" / "en")
    given, text = tmp_path / "given.jsonl", queries
    for stage in [*([*stage, "--model", "fake"] for stage in stages), ["search", index, "-k", "50", *search]]:
        given.write_text(text, "utf-8")
        assert cli.run([*stage, "-i", str(given)]) == 0
        text = capsys.readouterr().out
    given.write_text(text, "utf-8")
    assert cli.run(["eval", "--qrels", qrels, str(given)]) == 0
    [row] = capsys.readouterr().out.splitlines()
    measures: dict[str, Any] = json.loads(row)["measures"]
    return measures


def test_cells_are_what_the_pipe_gives(written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written()
    assert grid(capsys, path, "--out", tmp_path / "out")[0] == 0
    found = {name: cell["measures"] for name, cell in cells(tmp_path / "out").items()}
    queries = (tmp_path / "collection" / "queries" / "test" / "de.jsonl").read_text()
    english = (tmp_path / "collection" / "queries" / "test" / "en.jsonl").read_text()
    t, e = ["translate", "--to", "en"], ["expand", "--strategy", "fewshot"]
    d = [*e, "--to", "en"]
    for system, stages, text, use in (
        ("original", [], queries, "query"),
        ("human", [], english, "query"),
        ("fake.translation", [t], queries, "query"),
        ("fake.fewshot.te.doc", [t, e], queries, "doc"),
        ("fake.fewshot.te.query+doc", [t, e], queries, "query+doc"),
        ("fake.fewshot.et.doc", [e, t], queries, "doc"),
        ("fake.fewshot.source.query+doc", [e], queries, "query+doc"),
        ("fake.fewshot.direct.query+doc", [d], queries, "query+doc"),
    ):
        wanted = by_hand(capsys, tmp_path, stages, text, "--use", use)
        assert found[f"fixtures/de-en/{system}"] == pytest.approx(wanted, abs=1e-9), system
    assert found["fixtures/de-en/human"] != found["fixtures/de-en/original"]


def test_a_cell_holds_values_ranks_and_a_run_that_agree(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid(capsys, written(), "--out", tmp_path / "out")
    qrels: dict[str, set[str]] = {}
    for line in (tmp_path / "collection" / "qrels" / "test" / "all-en.qrels").read_text().splitlines():
        query, _, document, grade = line.split()
        if int(grade) > 0:
            qrels.setdefault(query, set()).add(document)
    for name, cell in cells(tmp_path / "out").items():
        if "/de-en/" not in name:
            continue
        run: dict[str, list[str]] = {}
        with gzip.open(tmp_path / "out" / cell["run"], "rt") as file:
            for line in file:
                query, _, document, *_ = line.split()
                run.setdefault(query, []).append(document)
        for query, first, rank, value in zip(
            cell["queries"], cell["first"], cell["relevant"], cell["values"]["MRR"], strict=True
        ):
            hits = run.get(query, [])
            assert first == (hits[0] if hits else None)
            ranks = [place for place, one in enumerate(hits, 1) if one in qrels[query]]
            assert rank == (ranks[0] if ranks else None)
            assert value == pytest.approx(1 / rank if rank else 0, abs=1e-6)


def test_a_second_run_does_nothing(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = written(), tmp_path / "out"
    grid(capsys, path, "--out", out)
    states = {p: p.stat().st_mtime_ns for kind in ("cells", "texts", "runs") for p in (out / kind).rglob("*.*")}
    monkeypatch.setattr("xqe.commands.grid.open_engine", lambda _: pytest.fail("an engine was opened"))
    status, said = grid(capsys, path, "--out", out, "--resume")
    assert status == 0
    assert "0 new, 0 failed; 0 texts generated, 0 reused" in said
    assert {p: p.stat().st_mtime_ns for p in states} == states
    first, second = (json.loads(line) for line in (out / "history.jsonl").read_text().splitlines())
    assert first["measures"] == second["measures"] and first["values"] == second["values"]
    assert (first["generated"], second["generated"]) == (6 * 18, 0)

    status, said = grid(capsys, path, "--out", out)
    assert status == 2 and "--resume" in said


def test_all_is_done_again_when_asked_with_nothing_generated(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = written(), tmp_path / "out"
    grid(capsys, path, "--out", out)
    before = numbers(out)
    status, said = grid(capsys, path, "--out", out, "--resume", "--again")
    assert status == 0 and "38 new, 0 failed; 0 texts generated" in said.splitlines()[-1]
    assert numbers(out) == before


def test_a_new_row_does_only_what_is_new_and_a_row_that_went_is_removed(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = written(), tmp_path / "out"
    grid(capsys, path, "--out", out)
    before = numbers(out)
    replace_line(path, '"zeroshot", "fewshot"', '"fewshot", "cot"')
    status, said = grid(capsys, path, "--out", out, "--resume")
    after = numbers(out)
    assert status == 0 and "the grid file: it has changed" in said
    assert {name: v for name, v in after.items() if ".cot." not in name} == {
        name: v for name, v in before.items() if ".zeroshot." not in name
    }
    assert f"{sum('.cot.' in name for name in after)} new" in said
    assert not list((out / "runs").rglob("*zeroshot*"))


def test_failures_are_counted_and_nothing_is_lost(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    status, said = grid(capsys, written(texts={"astro3": "fake:error"}), "--out", out)
    assert status == 1
    assert "records failed" in said.splitlines()[-1] and " 0 records failed" not in said
    cell = cells(out)["fixtures/de-en/fake.fewshot.te.query+doc"]
    assert cell["failed"] == 1 and list(cell["failures"]) == ["astro3"]
    assert cell["failures"]["astro3"].startswith("translate: ")
    assert "astro3" in cell["queries"]
    # the next run tries again what failed, and only that
    status, said = grid(capsys, tmp_path / "grid.toml", "--out", out, "--resume")
    assert status == 1 and "; 0 texts generated" in said.splitlines()[-1]


def test_what_failed_in_passing_is_judged_anew_when_it_is_mended(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out, whole = written(), tmp_path / "out", tmp_path / "whole"
    answer = FakeEngine._answer

    def weak(self: FakeEngine, request: Request) -> Completion:
        return Completion("", "error", 0, "busy") if "?" in request.subject[-3:] else answer(self, request)

    with monkeypatch.context() as patched:
        patched.setattr(FakeEngine, "_answer", weak)
        assert grid(capsys, path, "--out", out)[0] == 1
    assert any(cell["failed"] for cell in cells(out).values())
    status, said = grid(capsys, path, "--out", out, "--resume")
    assert status == 0 and "; 0 records failed" in said.splitlines()[-1]
    assert not any(cell["failed"] for cell in cells(out).values())
    assert grid(capsys, path, "--out", whole)[0] == 0
    assert numbers(out) == numbers(whole)


def test_parts_of_a_grid_keep_to_their_folders_and_know_all_systems(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(f'{SMALL}\n[gate]\nsystems = ["fake.cot.te.doc", "original"]\n', ALL)
    out = tmp_path / "out"
    replace_line(path, '"fewshot"]', '"fewshot", "cot"]')
    assert grid(capsys, path, "--out", out, "--shard", "1/3")[0] == 0
    before = numbers(out)
    for shard in (["--shard", "2/3"], []):
        status, said = grid(capsys, path, "--out", out, "--resume", *shard)
        assert status == 2 and "holds part 1/3 of it" in said
    assert numbers(out) == before
    assert grid(capsys, path, "--out", out, "--resume", "--shard", "1/3")[0] == 0


def test_a_model_that_cannot_be_reached_leaves_the_others_alone(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = '[[models]]\nmodel = "openai:gone"\nbase_url = "http://127.0.0.1:9/v1"\n[[models]]'
    out = tmp_path / "out"
    status, _ = grid(capsys, written(SMALL.replace("[[models]]", row)), "--out", out, "--retries", "0")
    assert status == 1
    found = cells(out)
    of_gone = {name: cell for name, cell in found.items() if cell["model"] == "gone"}
    assert of_gone and all(cell["error"] or cell["failed"] for cell in of_gone.values())
    assert all(not cell["error"] and not cell["failed"] for name, cell in found.items() if name not in of_gone)


def test_another_process_is_named_and_left_alone(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = written(), tmp_path / "out"
    grid(capsys, path, "--out", out)
    with (out / "grid.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        status, said = grid(capsys, path, "--out", out, "--resume")
    assert status == 2 and said.count("\n") == 1
    assert f"process {os.getpid()}, since" in said and "is running this grid" in said
    assert len((out / "history.jsonl").read_text().splitlines()) == 1


def test_a_collection_that_changed_is_said_and_indexed_again_when_asked(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = written(), tmp_path / "out"
    grid(capsys, path, "--out", out)
    fixture_collection(tmp_path / "collection", TWO, topics=6)
    assert grid(capsys, path, "--out", out, "--resume")[0] == 0  # it is the same again, to the byte
    from xqe.collections.layout import ANY, CollectionWriter
    from xqe.files.records import Document

    writer = CollectionWriter(tmp_path / "collection", "fixtures", replace=True)
    for lang in TWO:
        rows = lines_of(lang)
        writer.documents(lang, [Document(one["id"], one["text"]) for one in rows[: 30 if lang == "en" else 99]])
        queries = lines(FIXTURES / "questions" / f"{lang}.jsonl")[:6]
        writer.queries("test", lang, [(one["id"], one["query"]) for one in queries])
        writer.qrels("test", ANY, lang, [(one["id"], rows[0]["id"], 1) for one in queries])
    writer.finish("changed", {}, "CC0-1.0", parallel=True)
    status, said = grid(capsys, path, "--out", out, "--resume")
    assert status == 2
    assert "have changed since it was built" in said.splitlines()[-1] and "--reindex" in said
    status, said = grid(capsys, path, "--out", out, "--resume", "--reindex")
    assert status == 0 and "collection fixtures: it has changed since" in said and " 30 documents" in said


def lines_of(lang: str) -> list[dict[str, str]]:
    return lines(FIXTURES / "documents" / f"{lang}.jsonl")


def test_a_plan_is_printed_and_nothing_is_left(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said = grid(capsys, written(languages=ALL), "--out", tmp_path / "out", "--dry-run")
    assert status == 0 and not (tmp_path / "out").exists()
    assert "114 cells, 19 systems on 6 pairs; 0 are done" in said
    assert "6 pairs of 6 queries each" in said
    assert "288 texts; without sharing" in said
    assert "generating: 288 texts of 48 stages" in said and "measured" not in said
    status, said = grid(capsys, written(languages=ALL), "--out", tmp_path / "out", "--dry-run", "--measure")
    assert status == 0 and "measured now" in said and "generating takes about" in said
    assert grid(capsys, written(), "--out", tmp_path / "out", "--measure")[0] == 2


def test_a_plan_says_how_many_pairs_patterns_make(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(languages=ALL)
    text = path.read_text("utf-8").replace('path = "collection"', 'path = "collection"\npairs = ["*-en", "!ja-*"]')
    path.write_text(text, "utf-8")
    status, said = grid(capsys, path, "--out", tmp_path / "out", "--dry-run")
    assert status == 0 and 'pairs "*-en", "!ja-*": 1 of 2 languages' in said


def test_a_plan_needs_no_model(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XQE_MODELS", str(tmp_path / "none"))
    path, out = written(), tmp_path / "out"
    path.write_text(path.read_text("utf-8").replace('model = "fake"', 'model = "gemma-3-12b"'), "utf-8")
    status, said = grid(capsys, path, "--out", out, "--dry-run")
    assert status == 0 and "gemma-3-12b: the model is not here yet" in said and "; 0 are done" in said
    status, said = grid(capsys, path, "--out", out)
    assert status == 2 and "xqe models pull gemma-3-12b" in said
    path.write_text(path.read_text("utf-8").replace("gemma-3-12b", "gemma-3-12c"), "utf-8")
    status, said = grid(capsys, path, "--out", out, "--dry-run")
    assert status == 2 and 'unknown model "gemma-3-12c"' in said


def test_ctrl_c_says_how_to_go_on(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    path, out = written(), tmp_path / "out"
    monkeypatch.setattr("xqe.experiments.grid.conduct.generate", interrupted)
    status, said = grid(capsys, path, "--out", out)
    assert status == 130 and said.endswith(f"what is done stays done: xqe grid {path} --out {out} --resume goes on\n")


def test_what_was_damaged_is_done_again(written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = written(), tmp_path / "out"
    grid(capsys, path, "--out", out)
    before = numbers(out)
    [text, *_] = sorted((out / "texts").rglob("te.*.jsonl"))
    text.write_bytes(text.read_bytes()[:-20])
    [run, *_] = sorted((out / "runs").rglob("*.gz"))
    run.unlink()
    shutil.rmtree(out / "indexes" / "fixtures" / "en")
    status, said = grid(capsys, path, "--out", out, "--resume")
    assert status == 0 and "index 1/1 fixtures en" in said and " 1 new, 0 failed" in said.splitlines()[-1]
    assert text.read_bytes().endswith(b"\n") and run.exists() and numbers(out) == before

    (out / "indexes" / "fixtures" / "en" / "xqe.json").write_text("{}")
    status, said = grid(capsys, path, "--out", out, "--resume")
    assert status == 2 and "--reindex" in said.splitlines()[-1]
    assert grid(capsys, path, "--out", out, "--resume", "--reindex")[0] == 0


def test_another_grid_is_not_overwritten(written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = written(), tmp_path / "out"
    grid(capsys, path, "--out", out)
    replace_line(path, 'name = "small"', 'name = "other"')
    status, said = grid(capsys, path, "--out", out, "--resume")
    assert status == 2 and 'holds the grid "small"' in said
    assert len(cells(out)) == 38


def test_values_of_a_night_that_are_damaged_are_no_quiet_pass(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = written(f'{SMALL}\n[gate]\nmax_drop = ["MRR=0.01"]\n'), tmp_path / "out"
    assert grid(capsys, path, "--out", out)[0] == 0
    [night_values] = (out / "nights").iterdir()
    night_values.write_bytes(b"no gzip")
    status, said = grid(capsys, path, "--out", out, "--resume")
    assert status == 1 and "DROPPED: not compared: " in said.splitlines()[-1]


def test_a_reader_of_messages_that_goes_away_ends_nothing(written: Written, tmp_path: Path) -> None:
    out = tmp_path / "out"
    started = subprocess.Popen(
        command("grid", str(written()), "--out", str(out)), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert started.stderr is not None
    started.stderr.readline()
    started.stderr.close()
    assert started.wait(timeout=120) == 0
    assert (out / "history.jsonl").exists()


def test_a_folder_of_something_else_is_not_touched(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    status, said = grid(capsys, written(), "--out", tmp_path / "out", "--resume")
    assert status == 2 and "holds other files" in said
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("kind", ["texts", "runs", "cells"])
def test_a_full_disk_ends_it_in_one_line_and_the_rest_is_done_later(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    from xqe.files import atomic

    path, out, whole = written(), tmp_path / "out", tmp_path / "whole"
    put, room = atomic.replace, iter(range(7))

    def replace(path: Path, data: bytes) -> None:
        if kind in path.parts and next(room, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        put(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(atomic, "replace", replace)
        status, said = grid(capsys, path, "--out", out)
    assert status == 2
    assert "no space left on device" in said.splitlines()[-1] and "--resume" in said.splitlines()[-1]
    assert not (out / "history.jsonl").exists()
    assert grid(capsys, path, "--out", out, "--resume")[0] == 0
    assert grid(capsys, path, "--out", whole)[0] == 0
    assert numbers(out) == numbers(whole)


# ---------------------------------------------------------------- killed

SLOW = {"astro1": "fake:slow 1"}


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_run_goes_on_to_the_same_numbers(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str], sent: int
) -> None:
    text = SMALL.replace(
        'strategies = ["zeroshot", "fewshot"]', 'strategies = ["fewshot"]\nbaselines = ["translation"]'
    )
    path = written(
        text.replace('path = "collection"', 'path = "collection"\npairs = ["de-en"]'), ["de", "en"], texts=SLOW
    )
    out, whole = tmp_path / "out", tmp_path / "whole"
    started = subprocess.Popen(
        command("grid", str(path), "--out", str(out)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: list((out / "texts").rglob("*.json")))
    started.send_signal(sent)
    _, said = started.communicate(timeout=60)
    assert started.returncode == (130 if sent == signal.SIGINT else -sent)
    assert "Traceback" not in said
    for file in (out / "texts").rglob("[!.]*.json*"):
        assert [json.loads(line) for line in file.read_text().splitlines()], file
    before = {p: p.stat().st_mtime_ns for p in (out / "texts").rglob("[!.]*.json")}
    assert before
    status, said = grid(capsys, path, "--out", out, "--resume")
    assert status == 0
    assert {p: p.stat().st_mtime_ns for p in before} == before  # what was done was not done again
    assert not list(out.rglob(".*.part"))
    assert grid(capsys, path, "--out", whole)[0] == 0
    assert numbers(out) == numbers(whole)


def test_with_a_model_of_llama_cpp(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str], certain_path: Path
) -> None:
    text = SMALL.replace('"zeroshot", "fewshot"]', '"fewshot"]\norders = ["te"]\nbaselines = ["translation"]')
    text = text.replace("depth = 50", "passage_tokens = 8").replace('"collection"', '"collection"\npairs = ["de-en"]')
    path = written(text.replace('"fake"', f'"{certain_path}"\nname = "gemma"'), ["de", "en"], topics=2)
    status, said = grid(capsys, path, "--out", tmp_path / "out")
    assert status == 0, said
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["models"]["gemma"]["sha256"] == sha256(certain_path)
    # two translations, and an expansion of what is one query now
    assert manifest["generation"]["gemma"]["tokens"] == 2 * SAID_TOKENS + 8
    texts: list[Any] = lines(tmp_path / "out" / "texts" / "fixtures" / "gemma" / "te.fewshot.de-en.jsonl")
    for record in texts:
        assert [step["step"] for step in record["steps"]] == ["translate", "expand"]
        assert (record["query"], record["lang"], record["passages"]) == (SAID, "en", [SAID[:8]])
    # another folder: the store has it all
    status, said = grid(capsys, path, "--out", tmp_path / "again")
    assert status == 0 and "; 0 texts generated" in said.splitlines()[-1]
    assert numbers(tmp_path / "again") == numbers(tmp_path / "out")


# ---------------------------------------------------------------- night after night


def test_what_changed_is_said() -> None:
    now: dict[str, Any] = {
        "models": {"tiny": {"sha256": "b" * 64, "lora": []}},
        "collections": {"debian": {"sha256": "d" * 64}},
        "xqe": "2",
        "python": "3.11.7",
        "libraries": {"tantivy": "0.27"},
        "grid": {"seed": 0},
    }
    assert changes({}, now) == []
    assert changes(now, now) == []
    before = {
        **now,
        "finished": "2026-11-20T02:00:00Z",
        "models": {"tiny": {"sha256": "a" * 64, "lora": []}},
        "libraries": {"tantivy": "0.26"},
    }
    model, library = changes(before, now)
    assert model.startswith("model tiny: its file has changed since 2026-11-20T02:00:00Z (sha256 aaaaaaaaaaaa, now bbb")
    assert library == "tantivy: 0.26 then, 0.27 now"


def test_what_changed_is_still_said_by_the_run_that_finishes_a_killed_one(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = written(), tmp_path / "out"
    grid(capsys, path, "--out", out)
    replace_line(path, '"zeroshot", "fewshot"', '"fewshot", "cot"')
    with monkeypatch.context() as patched:
        patched.setattr("xqe.experiments.grid.conduct.generate", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert grid(capsys, path, "--out", out, "--resume")[0] == 130
    grid(capsys, path, "--out", out, "--resume")
    grid(capsys, path, "--out", out, "--resume")
    runs = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    assert [len(run["changed"]) for run in runs] == [0, 1, 0]
    assert "the grid file: it has changed" in runs[1]["changed"][0]


def night(values: list[float], queries: list[str] | None = None) -> dict[str, Any]:
    system = {"pairs": ["c/de-en"], "values": {"MRR": values}, "means": {"MRR": [sum(values) / len(values)]}}
    return {"queries": {"c/de-en": queries or [f"q{n}" for n in range(len(values))]}, "systems": {"s": system}}


GOOD = [0.5 + 0.01 * (n % 7) for n in range(60)]


def test_a_real_drop_fails_and_noise_is_said() -> None:
    gate = Gate(max_drop=("MRR=0.01",))
    worse = night([value - 0.05 for value in GOOD])
    verdict = judge(gate, worse, night(GOOD), "yesterday", 0)
    assert len(verdict.fell) == 1 and "s: MRR" in verdict.fell[0] and "5.00" in verdict.fell[0]
    # three queries that lost all of it: 2.7 points on average, and as likely chance
    noisy = night([0.0 if n < 3 else value for n, value in enumerate(GOOD)])
    verdict = judge(gate, noisy, night(GOOD), "yesterday", 0)
    assert verdict.fell == () and len(verdict.noise) == 1 and "s: MRR" in verdict.noise[0]
    strict = judge(Gate(max_drop=("MRR=0.01",), strict=True), noisy, night(GOOD), "yesterday", 0)
    assert len(strict.fell) == 1
    assert judge(gate, night(GOOD), night(GOOD), "yesterday", 0).fell == ()


def test_a_query_that_is_asked_in_several_pairs_counts_once_in_the_test() -> None:
    def twice(values: list[float]) -> dict[str, Any]:
        one = night(values)
        queries = one["queries"]["c/de-en"]
        system = {"pairs": ["c/de-en", "c/fr-en"], "values": {"MRR": values * 2}, "means": {"MRR": [0.5, 0.5]}}
        return {"queries": {"c/de-en": queries, "c/fr-en": queries}, "systems": {"s": system}}

    gate = Gate(max_drop=("MRR=0.01",), strict=True)
    noisy = [0.0 if n < 3 else value for n, value in enumerate(GOOD)]
    assert judge(gate, twice(noisy), twice(GOOD), "then", 0) == judge(gate, night(noisy), night(GOOD), "then", 0)
    assert "60 queries" in judge(gate, twice(noisy), twice(GOOD), "then", 0).fell[0]


def test_nights_over_other_queries_are_not_compared() -> None:
    other = night([0.1] * 60, [f"x{n}" for n in range(60)])
    verdict = judge(Gate(max_drop=("MRR=0.01",)), other, night(GOOD), "yesterday", 0)
    assert verdict.fell == () and "other pairs or queries" in verdict.noise[0]


def test_a_limit_that_is_missed_is_exit_status_1_and_stays_so_until_it_is_good(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = written(f'{SMALL}\n[gate]\nsystems = ["original"]\nfail_under = ["MRR=0.999"]\n'), tmp_path / "out"
    status, said = grid(capsys, path, "--out", out)
    assert status == 1
    assert "DROPPED: original: " in said.splitlines()[-1] and "99.9" in said.splitlines()[-1]
    assert json.loads((out / "history.jsonl").read_text())["status"] == "dropped"
    replace_line(path, "0.999", "0.001")
    assert grid(capsys, path, "--out", out, "--resume", "--quiet") == (
        0,
        f"xqe: grid: the grid file: it has changed since {since(out)}\n",
    )


def since(out: Path) -> str:
    return str(json.loads((out / "history.jsonl").read_text().splitlines()[0])["time"])


def test_the_history_survives_a_line_that_was_cut_off(tmp_path: Path) -> None:
    (tmp_path / "grid.lock").touch()
    path = tmp_path / "history.jsonl"
    append_line(path, '{"time": "1", "name": "a\u2028b"}')
    with path.open("a") as file:
        file.write('{"time": "2", "mea')
    folder = Folder(tmp_path, resume=True)
    assert [line["time"] for line in folder.history()] == ["1"]
    folder.add_history({"time": "3"})
    assert [line["time"] for line in folder.history()] == ["1", "3"]


def test_rows_that_share_a_model_load_it_once_and_a_refused_run_writes_nothing(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = (
        written(SMALL.replace('model = "fake"', 'model = "fake"\n[[models]]\nmodel = "fake"\nname = "b"')),
        "out",
    )
    opened: list[str] = []

    def open_engine(options: Any) -> FakeEngine:
        opened.append(options.model)
        return FakeEngine()

    monkeypatch.setattr("xqe.commands.grid.open_engine", open_engine)
    assert grid(capsys, path, "--out", tmp_path / out)[0] == 0
    assert opened == ["fake"]
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / out / "queries").rglob("*.jsonl")}
    replace_line(path, 'name = "small"', 'name = "other"')
    assert grid(capsys, path, "--out", tmp_path / out, "--resume")[0] == 2
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / out / "queries").rglob("*.jsonl")}


# ---------------------------------------------------------------- words, vectors, both

THREE = SMALL.replace("depth = 50", 'depth = 50\nretrievers = ["bm25", "dense", "hybrid"]\nencoder = "fake"')
Texts = list[tuple[str, Side]]


def planned(path: Path, text: str) -> Plan:
    path.write_text(text, "utf-8")
    return make_plan(read_grid(path))


def keys(plan: Plan) -> dict[str, str]:
    return {**{one.place: one.key for one in plan.texts}, **{one.place: one.key for one in plan.cells}}


def test_a_grid_without_retrievers_is_the_one_that_it_was(written: Written) -> None:
    text = SMALL.replace("depth = 50", 'depth = 50\nquery_weights = ["auto", 1]\nsamples = [1, 2]\ntemperature = 0.5')
    path = written(text, ALL)
    plan = planned(path, text)
    golden = json.loads((ROOT / "tests" / "golden" / "grid_plan.json").read_text())
    assert sorted(one.place for one in plan.texts) == golden["texts"]
    assert sorted(one.place for one in plan.cells) == golden["cells"]
    for cell in plan.cells:
        assert cell.key == key_of_words(plan, cell), cell.place
    assert keys(planned(path, text.replace("depth", 'retrievers = ["bm25"]\ndepth'))) == keys(plan)


def key_of_words(plan: Plan, cell: Cell) -> str:
    """The key of a cell as it was before there were other retrievers."""
    asked, pair = plan.asked["fixtures"], [cell.source, cell.target]
    lang = cell.target if cell.kind == "human" else cell.source
    queries = [[[one, asked.queries[lang][one]] for one in cell.ids]]
    weight = None if cell.query_weight is None else float(cell.query_weight)
    made_of = [
        *(__version__, cell.kind, cell.texts.key if cell.texts else hashed(queries), cell.use, weight, 50),
        *(["Hit@10", "Recall@5", "Recall@50", "MRR", "nDCG@10"], 1, asked.qrels[cell.pair]),
        *(asked.collection.manifest["documents"][cell.target]["sha256"], pair),
    ]
    return hashed(made_of)


def hashed(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def test_each_system_has_a_cell_for_each_retriever_and_texts_are_shared(written: Written) -> None:
    path = written(languages=ALL)
    words, three = planned(path, SMALL), planned(path, THREE)
    assert {one.place: one.key for one in three.texts} == {one.place: one.key for one in words.texts}
    names = {cell.place for cell in words.cells}
    assert {cell.place for cell in three.cells} == names | {f"{n}.{by}" for n in names for by in ("dense", "hybrid")}
    assert keys(words).items() <= keys(three).items()
    assert len(set(keys(three).values())) == len(keys(three))


def test_a_query_weight_is_of_words(written: Written) -> None:
    plan = planned(written(), THREE.replace("depth", 'query_weights = ["auto", 1]\ndepth'))
    named = {cell.system for cell in plan.cells if cell.system.startswith("fake.zeroshot.te.query+doc")}
    te = "fake.zeroshot.te.query+doc"
    assert named == {f"{te}.{one}" for one in ("auto", "w1", "auto.hybrid", "w1.hybrid", "dense")}


CHANGED = {
    'encode = "query"': {"dense", "hybrid"},
    "dense_weight = 1": {"hybrid"},
    'source_weight = "auto"': {"bm25"},
    "source_weight = 0.5": {"bm25", "hybrid"},
    "depth = 40": {"bm25", "dense", "hybrid"},
}


@pytest.mark.parametrize("line", CHANGED)
def test_what_decides_a_cell_is_in_its_key(written: Written, line: str) -> None:
    path = written()
    before = planned(path, THREE)
    text = THREE.replace("depth = 50", line) if line.startswith("depth") else f"{line}\n{THREE}"
    after = keys(planned(path, text))
    changed = {str(cell.retriever) for cell in before.cells if after[cell.place] != cell.key}
    same = {str(cell.retriever) for cell in before.cells if after[cell.place] == cell.key}
    assert changed == CHANGED[line] and not changed & same


def test_several_translations_change_what_is_translated_and_come_of_it(written: Written) -> None:
    path = written()
    before, after = planned(path, SMALL), planned(path, f"translations = 3\n{SMALL}")
    changed = {one.place for one, other in zip(before.texts, after.texts, strict=True) if one.key != other.key}
    assert changed == {
        one.place for one in after.texts if "/t." in one.place or "/te." in one.place or "/et." in one.place
    }
    translated = next(one for one in after.texts if "/t." in one.place and one.target != "de")
    assert translated.count == 3 * translated.records
    [record] = run(stage_of(translated, after, FakeEngine()), FakeEngine(), [{"id": "1", "query": "eis", "lang": "de"}])
    assert len(record["translations"]) == 3


def test_another_encoder_is_another_key(written: Written) -> None:
    path = written()
    served = 'encoder = {model = "openai:e", base_url = "http://localhost:1/v1"}'
    before, after = keys(planned(path, THREE)), keys(planned(path, THREE.replace('encoder = "fake"', served)))
    assert {place.endswith((".dense", ".hybrid")) for place in before if before[place] != after[place]} == {True}
    assert {place.endswith((".dense", ".hybrid")) for place in before if before[place] == after[place]} == {False}


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> Texts:
    """What the fake encoder is asked to encode, as it is."""
    texts: Texts = []
    encode = FakeEncoder.encode

    def counted(self: FakeEncoder, some: list[str], side: Side) -> Encoded:
        if of_examples(some, 1) is None:
            texts.extend((text, side) for text in some)
        return encode(self, some, side)

    monkeypatch.setattr(FakeEncoder, "encode", counted)
    return texts


def test_cells_of_vectors_are_what_the_pipe_gives(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert grid(capsys, written(THREE), "--out", tmp_path / "out")[0] == 0
    found = {name: cell["measures"] for name, cell in cells(tmp_path / "out").items()}
    queries = (tmp_path / "collection" / "queries" / "test" / "de.jsonl").read_text()
    english = (tmp_path / "collection" / "queries" / "test" / "en.jsonl").read_text()
    t, e = ["translate", "--to", "en"], ["expand", "--strategy", "fewshot"]
    for by in ("dense", "hybrid"):
        for system, stages, text, use in (
            ("original", [], queries, "query"),
            ("human", [], english, "query"),
            ("fake.translation", [t], queries, "query"),
            ("fake.fewshot.te.doc", [t, e], queries, "doc"),
            ("fake.fewshot.et.query+doc", [e, t], queries, "query+doc"),
        ):
            wanted = by_hand(capsys, tmp_path, stages, text, "--use", use, "--by", by, "--encoder", "fake")
            assert found[f"fixtures/de-en/{system}.{by}"] == pytest.approx(wanted, abs=1e-9), (system, by)
    values = [found[f"fixtures/de-en/fake.fewshot.te.query+doc{by}"]["MRR"] for by in ("", ".dense", ".hybrid")]
    assert len(set(values)) == 3


def test_a_cell_says_its_retriever(written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid(capsys, written(THREE), "--out", tmp_path / "out")
    for name, cell in cells(tmp_path / "out").items():
        by = {"dense": "dense", "hybrid": "hybrid"}.get(name.rpartition(".")[2], "bm25")
        assert (cell["retriever"], cell["error"]) == (by, None)
        weighs = cell["use"] == "query+doc" and by != "dense"
        assert cell["query_weight"] == ("auto" if weighs else None)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["encoder"] == {"encoder": "fake"} and manifest["settings"]["encode"] == "both"


def documents_in(collection: Path) -> int:
    return sum(len(gzip.open(path).readlines()) for path in (collection / "documents").iterdir())


def test_a_text_is_encoded_once_and_a_second_run_opens_no_encoder(
    written: Written,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    encoded: Texts,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, out = written(THREE, ALL), tmp_path / "out"
    assert grid(capsys, path, "--out", out)[0] == 0
    documents = documents_in(tmp_path / "collection")
    asked = encoded[documents:]
    assert len(asked) == len(set(asked)) > 100
    monkeypatch.setattr("xqe.commands.grid.open_embedder", lambda *_: pytest.fail("an encoder was opened"))
    status, said = grid(capsys, path, "--out", out, "--resume")
    assert status == 0 and "0 new, 0 failed" in said


def test_embedding_goes_on_where_it_was_killed(
    written: Written,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    encoded: Texts,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, out, whole = written(THREE), tmp_path / "out", tmp_path / "whole"
    monkeypatch.setattr("xqe.retrieval.dense.building.BLOCK", 4)
    encode = FakeEncoder.encode

    def dying(self: FakeEncoder, texts: list[str], side: Side) -> Encoded:
        if len(encoded) >= 8:
            raise KeyboardInterrupt
        return encode(self, texts, side)

    with monkeypatch.context() as patched:
        patched.setattr(FakeEncoder, "encode", dying)
        assert grid(capsys, path, "--out", out)[0] == 130
    assert len(encoded) == 8
    before = list(encoded)
    encoded.clear()
    assert grid(capsys, path, "--out", out, "--resume")[0] == 0
    assert not set(before) & set(encoded)
    assert grid(capsys, path, "--out", whole)[0] == 0
    assert numbers(out) == numbers(whole)


def test_vectors_come_to_a_grid_that_had_none(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = written(), tmp_path / "out"
    grid(capsys, path, "--out", out)
    before = {p: p.stat().st_mtime_ns for p in (out / "cells").rglob("*.json")}
    path.write_text(THREE, "utf-8")
    status, plan = grid(capsys, path, "--out", out, "--dry-run")
    documents = documents_in(tmp_path / "collection")
    assert status == 0 and f"embedding: {documents} documents of 2 indexes" in plan
    assert "retrievers: bm25, dense, hybrid; vectors of fake" in plan
    status, said = grid(capsys, path, "--out", out, "--resume")
    assert status == 0 and "0 texts generated" in said and f"{2 * len(before)} new" in said
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert "embedding: nothing left to do" in grid(capsys, path, "--out", out, "--dry-run")[1]


def test_vectors_of_another_encoder_are_not_searched(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = written(THREE), tmp_path / "out"
    grid(capsys, path, "--out", out)
    index = out / "indexes" / "fixtures" / "en.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "encoder": {"encoder": "older"}}))
    status, said = grid(capsys, path, "--out", out, "--resume")
    assert status == 2 and said.count("\n") == 1
    assert "another encoder made its vectors (older)" in said and "--reindex" in said
    status, said = grid(capsys, path, "--out", out, "--resume", "--reindex")
    assert status == 0 and "0 new, 0 failed" in said
    assert json.loads(index.read_text())["encoder"] == {"encoder": "fake"}


def test_another_encoder_is_told_where_runs_are_compared() -> None:
    then: dict[str, Any] = {"models": {}, "collections": {}, "libraries": {}, "grid": {}, "finished": "yesterday"}
    older, newer = {"encoder": "e5-small", "sha256": "a"}, {"encoder": "e5-small", "sha256": "b"}
    assert changes({**then, "xqe": None}, {**then, "xqe": None, "python": None, "encoder": newer}) == []
    [line] = changes({**then, "encoder": older}, {**then, "xqe": None, "python": None, "encoder": newer})
    assert "encoder e5-small" in line and "yesterday" in line


def test_an_encoder_that_is_gone_leaves_words_alone(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = written(THREE), tmp_path / "out"
    opened = iter([FakeEncoder()])

    def gone(*_: object) -> FakeEncoder:
        if (encoder := next(opened, None)) is not None:
            return encoder
        raise XqeError("the encoder is gone")

    with monkeypatch.context() as patched:
        patched.setattr("xqe.commands.grid.open_embedder", gone)
        status, said = grid(capsys, path, "--out", out)
    assert status == 1 and "the encoder is gone" in said
    errors = {cell["retriever"]: cell["error"] for cell in cells(out).values()}
    assert errors == {"bm25": None, "dense": "the encoder is gone", "hybrid": "the encoder is gone"}
    assert grid(capsys, path, "--out", out, "--resume")[0] == 0
