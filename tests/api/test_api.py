"""What `import xqe` offers: the commands' work, over plain dicts."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import FIXTURES, Run, jsonl, records

import xqe as library
from xqe.api.options import OF_STREAMS, Options, _command
from xqe.commands.options.searching import Searching
from xqe.text.detection import Guess

DOCUMENTS = [
    {"id": "d1", "text": "the planet mercury is nearest to the sun"},
    {"id": "d2", "title": "Quicksilver", "text": "mercury is a metal that flows, and is the only one."},
    {"id": "d3", "text": "a harbour in winter"},
]
QUERY = {"id": "q7", "query": "le mercure", "lang": "fr", "mine": 1}
QRELS = {"a": {"d1": 1}, "b": {"d2": 1, "d3": 0}}


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch, no_settings: None) -> None:
    monkeypatch.setenv("XQE_MODEL", "fake")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[library.Index]:
    folder = tmp_path_factory.mktemp("api") / "en"
    with library.build_index(folder, iter(DOCUMENTS), "en", encoder="fake", quiet=True) as made:
        yield made


def test_every_name_is_there_and_importing_costs_nothing() -> None:
    for name in library.__all__:
        assert getattr(library, name) is not None
    assert set(library.__all__) <= set(dir(library))
    with pytest.raises(AttributeError, match="no attribute 'serch'"):
        _ = library.serch  # type: ignore[attr-defined]
    said = "import sys; before = set(sys.modules); import xqe; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout == "['xqe']\n"


def test_one_gives_one_and_several_give_a_list() -> None:
    one = library.translate("le mercure", "en", lang="fr", quiet=True)
    assert (one["id"], one["lang"], one["source"]) == ("q1", "en", {"query": "le mercure", "lang": "fr"})
    [same, other] = library.translate(["le mercure", QUERY], "en", lang="fr", quiet=True)
    assert (same, other["id"], other["mine"]) == (one, "q7", 1)
    assert QUERY == {"id": "q7", "query": "le mercure", "lang": "fr", "mine": 1}
    assert library.translate([], "en", lang="fr") == []


def test_records_are_those_of_the_command_line(xqe: Run, index: library.Index) -> None:
    piped = xqe(
        "expand", "--strategy", "mugi", "--to", "en", "-m", "fake", "--seed", "3", "-q", stdin=jsonl(QUERY)
    ).stdout
    found = xqe("search", str(index.directories[0]), "-k", "2", "--k1", "0.9", "--feedback", "rm3", stdin=piped)
    with library.open_model("fake", quiet=True) as model:
        expanded = library.expand(QUERY, strategy="mugi", to="en", model=model, seed=3, quiet=True)
        assert [expanded] == [json.loads(piped)]
        assert [index.search(expanded, k=2, k1=0.9, feedback="rm3")] == records(found)


def test_what_is_said_is_what_the_commands_say(capfd: pytest.CaptureFixture[str]) -> None:
    library.expand("zinc", lang="en")
    assert capfd.readouterr().err.startswith("xqe: expand: 1 records, 1 generated, 0 reused, 0 failed")
    with library.silent():
        library.expand("zinc", lang="en")
    library.expand("zinc", lang="en", quiet=True)
    assert capfd.readouterr() == ("", "")


def test_a_record_that_fails_goes_on(index: library.Index) -> None:
    untold = {"id": "q1", "query": "le mercure", "error": {"step": "detect", "message": "its language is not certain"}}
    assert library.expand([untold, QUERY], quiet=True)[0] == untold
    failed = {**QUERY, "error": {"step": "translate", "message": "no"}}
    assert library.translate([failed, QUERY], "en", quiet=True)[0] == failed
    assert index.search([failed])[0]["error"] == failed["error"]


def test_an_open_model_serves_many_calls_until_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    from xqe.models.engines import fake as fake_engine
    from xqe.models.engines.fake import FakeEngine

    opened: list[FakeEngine] = []

    class Counted(FakeEngine):
        def __init__(self) -> None:
            opened.append(self)
            super().__init__()

    monkeypatch.setattr(fake_engine, "FakeEngine", Counted)
    with library.open_model(quiet=True) as model:
        for _ in range(2):
            library.translate(QUERY, "en", model=model, quiet=True)
        assert len(opened) == 1
        with pytest.raises(library.XqeError, match="threads has no effect on a model that is open"):
            library.translate(QUERY, "en", model=model, threads=2)
    with pytest.raises(library.XqeError, match="is closed"):
        library.translate(QUERY, "en", model=model)


def test_the_documents_of_an_index(index: library.Index) -> None:
    assert (len(index), index.languages, "d2" in index, "d9" in index) == (3, ("en",), True, False)
    assert index.text("d2") == f"Quicksilver\n\n{DOCUMENTS[1]['text']}"
    assert index.document("d2") == {**DOCUMENTS[1], "lang": "en"}
    assert index.document("d1") == {**DOCUMENTS[0], "lang": "en"}
    with pytest.raises(library.XqeError, match='holds no document "d9"'):
        index.text("d9")


def test_a_way_of_searching_is_opened_once(index: library.Index, monkeypatch: pytest.MonkeyPatch) -> None:
    from xqe.api import indexes

    first = index.search("mercury", k=2, by="bm25")
    monkeypatch.setattr(indexes, "open_retriever", None)
    assert index.search("mercury", k=1, by="bm25")["hits"] == first["hits"][:1]


def test_documents_without_ids_and_in_several_languages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xqe.stages.detect.guess", lambda text: Guess("en", 1.0, True))  # it takes a second to load
    mixed: list[str | dict[str, str]] = [
        "the planet nearest to the sun is small",
        {"text": "Le mercure est un métal liquide et lourd", "lang": "fr"},
    ]
    with library.build_index(tmp_path / "mixed", mixed, "auto", texts=False, quiet=True) as made:
        assert (len(made), set(made.languages)) == (2, {"en", "fr"})
        [hit] = made.search("mercure", by="bm25")["hits"]
        assert (hit["id"], hit["lang"]) == ("d2", "fr")
        with pytest.raises(library.XqeError, match="keeps no texts"):
            made.text("d1")
        with pytest.raises(library.XqeError, match="keeps no texts"):
            library.embed(made, "fake")
    with pytest.raises(library.XqeError, match="holds an index already; replace it with force=True, or give"):
        library.build_index(tmp_path / "mixed", mixed, "record")


def test_vectors_are_made_once(index: library.Index) -> None:
    with pytest.raises(library.XqeError, match="has vectors of fake"):
        library.embed(index, "fake")
    [summary] = library.embed(index, "fake", force=True, dtype="int8", quiet=True)
    assert (summary["encoder"], summary["rows"], summary["dtype"]) == ("fake", 3, "int8")
    assert library.search(index.directories[0], "mercury")["index"]["by"] == "hybrid"


def test_hits_are_reranked_and_answered_from(index: library.Index) -> None:
    found = index.search({**QUERY, "query": "mercury"}, by="bm25")
    ranked = library.rerank(found, index, kind="yes-no", n=2, quiet=True)
    assert {hit["id"] for hit in ranked["hits"]} == {hit["id"] for hit in found["hits"]}
    assert all("reranked" in hit for hit in ranked["hits"][:2])
    assert library.answer([found], index, n=1, to="de", quiet=True)[0]["answer"]["lang"] == "de"
    with pytest.raises(library.XqeError, match='no "hits"'):
        library.rerank(QUERY, index)


def test_runs_are_fused_whichever_form_they_have(tmp_path: Path) -> None:
    (tmp_path / "two.run").write_text("a Q0 d2 1 3 t\na Q0 d1 2 1 t\n")
    one = [{"id": "a", "hits": [{"id": "d1", "score": 9.0}, {"id": "d2", "score": 1.0}]}]
    [fused] = library.fuse({"one": one, "two": tmp_path / "two.run"}, rrf_k=0, weight=[2, 1], k=1, quiet=True)
    assert (fused["hits"][0]["id"], fused["hits"][0]["score"]) == ("d1", 2 / 1 + 1 / 2)
    assert [it["run"] for it in library.fuse([one, {"a": {"d1": 1.0}}], quiet=True)[0]["hits"][0]["from"]] == [
        "run1",
        "run2",
    ]


def test_an_evaluation_as_plain_dicts() -> None:
    """Reciprocal ranks by hand: 1 and 1/2, and 1/2 and nothing."""
    best: dict[str, dict[str, float]] = {"a": {"d1": 2.0, "d2": 1.0}, "b": {"d1": 2.0, "d2": 1.0}}
    other: list[dict[str, Any]] = [{"id": "a", "hits": [{"id": "d2", "score": 2.0}, {"id": "d1", "score": 1.0}]}]
    runs: dict[str, Any] = {"best": best, "other": other}
    found = library.evaluate(runs, QRELS, "MRR", quiet=True)
    assert found["averages"] == {"best": {"MRR": 0.75}, "other": {"MRR": 0.25}}
    assert found["queries"]["other"] == {"a": {"MRR": 0.5}, "b": {"MRR": 0.0}}
    assert (found["missing"], found["baseline"]) == ({"best": 0, "other": 1}, "best")
    difference = found["differences"]["other"]["MRR"]
    assert (difference["difference"], difference["losses"]) == (-0.5, 2)
    assert difference["p"] == 0.5  # of four signs of two differences, two are as far from 0
    assert library.evaluate(best, QRELS, ["MRR"])["differences"] == {}
    assert library.evaluate(other, QRELS, "MRR", complete=False, quiet=True)["averages"]["run"] == {"MRR": 0.5}
    untested = library.evaluate(runs, QRELS, "MRR", test="none", quiet=True)
    assert untested["differences"] == {"other": {"MRR": {"difference": -0.5}}}


def test_files_are_read_as_the_commands_read_them(tmp_path: Path) -> None:
    (tmp_path / "queries.tsv").write_text("a\tle mercure\nb\tle zinc\n")
    (tmp_path / "documents.csv").write_text("nr,name,body\n1,Zinc,a metal\n")
    (tmp_path / "run").write_text("a Q0 d2 1 3 t\n")
    assert library.read_queries(tmp_path / "queries.tsv", lang="fr")[1] == {"id": "b", "query": "le zinc", "lang": "fr"}
    [document] = library.read_documents(
        tmp_path / "documents.csv", id_field="nr", title_field="name", text_field="body"
    )
    assert document == {"id": "1", "title": "Zinc", "text": "a metal"}
    assert library.read_run(tmp_path / "run") == [{"id": "a", "hits": [{"id": "d2", "score": 3.0}]}]
    assert library.read_qrels(FIXTURES / "qrels.txt")["astro1"] == {"astro1": 1}


api: Any = library  # whose types would not let all of this be
WRONG: dict[str, tuple[Callable[[Any], Any], str]] = {
    "no language": (lambda _: api.translate(["x"], "en"), 'queries:1: missing "lang"; .*lang='),
    "an unknown language": (lambda _: api.translate("x", "xx", lang="fr"), '--to: unknown language "xx"'),
    "an unknown option": (lambda index: index.search("x", feedbak="rm3"), 'no option "feedbak"; did you mean feedback'),
    "an option of a stream": (lambda index: index.search("x", format="trec"), 'no option "format"'),
    "beyond a range": (lambda index: index.search("x", k1=-1), "invalid value for '--k1': .* range"),
    "no whole number": (lambda index: index.search("x", k=2.5), "invalid value for '-k': '2.5' is not an integer"),
    "one of several": (lambda index: index.search("x", by="bm52"), "'bm52' is not one of 'bm25'"),
    "without effect": (lambda index: index.search("x", by="bm25", encode="query"), "--encode has no effect"),
    "no query": (lambda _: api.expand([3], lang="en"), "queries:1: not a JSON object"),
    "not even several": (lambda _: api.expand(3, lang="en"), "3 is no query; read the file: xqe.read_queries"),
    "a path": (lambda index: index.search(Path("queries.tsv")), "is no query; read the file"),
    "no index": (lambda _: api.open_index("nowhere"), "nowhere: no such index"),
    "a document twice": (
        lambda index: api.build_index(f"{index.directories[0]}2", [{"id": "a", "text": "b"}] * 2, "en"),
        'documents:2: id "a" again, first at documents:1',
    ),
    "other queries": (lambda _: api.evaluate({"z": {"d": 1.0}}, QRELS), "shares no query id with the qrels"),
    "no judgements": (lambda _: api.evaluate({"z": {"d": 1.0}}, {}), "qrels: no judgements"),
    "no measure": (lambda _: api.evaluate({"a": {"d": 1.0}}, QRELS, "nDGC@10"), "nDGC@10"),
    "no run": (lambda _: api.evaluate([{"hits": []}], QRELS), 'run: record 1: no dict with an "id"'),
    "drawing at opening": (lambda _: api.open_model("fake", temperature=1), "temperature is no option of a model"),
    "weights": (lambda _: api.fuse([{}, {}], weight=[1]), "--weight is given once for 2 runs"),
}


@pytest.mark.parametrize(("call", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_as_the_commands_say_it(
    index: library.Index, call: Callable[[Any], Any], message: str
) -> None:
    with pytest.raises(library.XqeError, match=message):
        call(index)


def test_an_option_is_read_as_if_it_were_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XQE_THREADS", "3")
    said = Options("search", {"query_weight": "auto", "questions_of": ("de", "fr"), "k1": 1, "approximate": True})
    searching = said.group(Searching)
    assert (searching.query_weight, searching.questions_of, searching.k1) == ("auto", ["de", "fr"], 1.0)
    assert (searching.approximate, searching.k, said["threads"]) == (True, Searching().k, 3)
    shares = [Options("answer", {"tensor_split": given})["tensor_split"] for given in ((3, 1), "3,1")]
    assert shares[0] == shares[1] == (3.0, 1.0)


@pytest.mark.parametrize("verb", ["translate", "expand", "search", "rerank", "answer", "index", "embed", "fuse"])
def test_what_a_function_spells_out_is_an_option_of_its_command(verb: str) -> None:
    """So a command that renames one is not followed by a function that has it no more."""
    function = library.build_index if verb == "index" else getattr(library, verb)
    own = {"queries", "records", "runs", "documents", "directory", "index", "quiet", "options"}
    spelled = set(inspect.signature(function).parameters) - own - ({"lang"} if verb == "translate" else set())
    known = {name.replace("-", "_") for name in _command(verb).options}
    assert spelled <= known
    assert {"quiet"} <= set(inspect.signature(function).parameters)
    assert all(isinstance(name, str) for name in OF_STREAMS)
