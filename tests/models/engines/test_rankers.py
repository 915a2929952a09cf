"""Cross-encoders in this process, held to transformers on the same weights and with its own tokenizers."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import random_rankers
import small_models
from collections_for_tests import fixture_collection, lines
from conftest import FIXTURES, Run, jsonl, records
from random_rankers import POSITIONS, TEMPLATE, Ranker

from xqe import cli
from xqe.errors import ModelError
from xqe.experiments.report import reranking, results
from xqe.experiments.report.blocks import Table
from xqe.files.records import Document
from xqe.models.encoders.local import open_encoder
from xqe.models.engines.fake import FakeEngine
from xqe.models.engines.jobs import Job
from xqe.models.engines.llama.ranker import LlamaRanker
from xqe.models.engines.llama.settings import Hardware
from xqe.models.engines.requests import Completion, Request
from xqe.models.engines.stored import StoredEngine
from xqe.models.gguf import read_header
from xqe.models.prompts import Pair
from xqe.models.purposes import Purpose, check_generates, check_ranks, purpose_of
from xqe.models.store.run import Store
from xqe.retrieval.lexical import build
from xqe.stages.fitting import beginning
from xqe.stages.rerank.kinds import usual_kind

pytestmark = pytest.mark.xdist_group("model")

CPU = Hardware(threads=1, gpu_layers=0)
EXACT = Hardware(threads=1, gpu_layers=0, flash_attention="off")
PAIRS = [
    ("what is the matter?", "the other matter."),
    ("where", "here and there. and everywhere"),
    ("the", ""),
    ("a", "b " * 2 * POSITIONS),
    ("a longer query. with the words in it?", "an answer. " * 5),
]
MAKERS = {"xlm_roberta": "logit", "bert": "logit", "qwen3": "probability"}


@pytest.fixture(scope="module")
def rankers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ranker]:
    folder = tmp_path_factory.mktemp("rankers")
    return {name: getattr(random_rankers, name)(folder / f"{name}.gguf") for name in MAKERS}


def opened(path: Path, pairs: int | None = None, hardware: Hardware = CPU) -> LlamaRanker:
    return LlamaRanker("some", str(path), "abc", check_ranks("some", path), hardware, pairs)


def completions(engine: Any, pairs: Sequence[tuple[str, str]], together: int = 3) -> list[Completion]:
    """What an engine makes of pairs, so many of which are a job."""
    asked = [Request(Pair(*pair), pair[0], 0) for pair in pairs]
    jobs = [Job(at, asked[at : at + together]) for at in range(0, len(asked), together)]
    done = list(engine.generate(jobs))
    assert [job.item for job in done] == [job.item for job in jobs]
    return [completion for job in done for completion in job.results()]


def scores(engine: Any, pairs: Sequence[tuple[str, str]]) -> list[float]:
    return [completion.measured[0] for completion in completions(engine, pairs)]


def many(number: int = 40) -> list[tuple[str, str]]:
    chance = np.random.default_rng(1)
    words = ["the", "other", "matter", "here", "and", "there", "everywhere", "answer", "is"]
    return [
        (" ".join(chance.choice(words, chance.integers(1, 5))), " ".join(chance.choice(words, chance.integers(0, 12))))
        for _ in range(number)
    ]


@pytest.mark.parametrize("name", MAKERS)
def test_scores_are_those_of_transformers(rankers: dict[str, Ranker], name: str) -> None:
    ranker = rankers[name]
    with opened(ranker.file) as engine:
        found = scores(engine, PAIRS)
        assert engine.making()["score"] == MAKERS[name]
    expected = ranker.scores(PAIRS)
    assert np.ptp(expected) > 0.3
    assert np.abs(np.subtract(found, expected)).max() < 0.01  # of gelu as llama.cpp has it


@pytest.mark.parametrize("name", ["xlm_roberta", "qwen3"])
def test_a_score_does_not_depend_on_its_neighbours(rankers: dict[str, Ranker], name: str) -> None:
    pairs = many()
    with opened(rankers[name].file) as engine:
        alone, among = [scores(engine, [pair])[0] for pair in pairs[::8]], scores(engine, pairs)
    assert len(set(among)) > 30
    assert np.abs(np.subtract(alone, among[::8])).max() < 1e-5
    with opened(rankers[name].file, 64, EXACT) as engine:
        together = scores(engine, pairs)
    with opened(rankers[name].file, 1, EXACT) as engine:
        one_by_one = scores(engine, pairs)
    assert np.abs(np.subtract(one_by_one, together)).max() < 1e-3  # BERT's gelu is rounded to 16 bits


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("xlm_roberta", "<s> the tree</s></s> a.</s>"),
        ("bert", "[CLS] the tree[SEP] a .[SEP]"),
        ("qwen3", TEMPLATE.replace("{query}", "the tree").replace("{document}", "a.")),
    ],
)
def test_a_pair_has_the_separators_of_its_model(rankers: dict[str, Ranker], name: str, shown: str) -> None:
    path = rankers[name].file
    with LlamaRanker("some", str(path), "abc", check_ranks("some", path), CPU, vocabulary_only=True) as engine:
        assert engine.show(Pair("the tree", "a.")) == shown


def test_a_document_is_cut_and_a_query_is_not(rankers: dict[str, Ranker]) -> None:
    query = "a b c d e f g h i j"
    for name, end, limit in (("xlm_roberta", "</s>", POSITIONS), ("qwen3", TEMPLATE.partition("{document}")[2], 2048)):
        with opened(rankers[name].file) as engine:
            (long,) = completions(engine, [(query, "x" * 5000)])
            shown = engine.show(Pair(query, "x" * 5000))
            assert long.tokens == limit and query in shown and shown.endswith(f"x{end}")
            good, bad = completions(engine, [("a", "b"), ("x" * 5000, "b")])
            assert not good.has_failed
            assert bad.error.startswith("the query has 500") and f"the model reads {limit}" in bad.error


@pytest.mark.parametrize(
    ("name", "text"), [("xlm_roberta", "the other. the ée"), ("bert", "the other"), ("qwen3", "the <|")]
)
def test_tokens_of_a_document_are_counted(rankers: dict[str, Ranker], name: str, text: str) -> None:
    """As many as a pair has more with it."""
    with opened(rankers[name].file) as engine:
        without, with_it = completions(engine, [("where", ""), ("where", text)])
        assert engine.count(text) == with_it.tokens - without.tokens > 2


@pytest.mark.parametrize("name", MAKERS)
def test_any_text_has_a_score(rankers: dict[str, Ranker], name: str) -> None:
    odd = ["", " \n", "\0", "\ud800", "ﷺ" * 600, "</s><s>", "<|im_end|>\n<|im_start|>"]
    with opened(rankers[name].file) as engine:
        assert all(map(math.isfinite, scores(engine, [("the", text) for text in odd])))


def test_names_of_special_tokens_are_plain_text(rankers: dict[str, Ranker]) -> None:
    with opened(rankers["qwen3"].file) as engine:
        shown = engine.show(Pair("<|im_end|>", "no<|im_start|>"))
    assert shown.count("<|im_end|>") == 1 and shown.count("<|im_start|>") == 2
    with opened(rankers["xlm_roberta"].file) as engine:
        assert len(set(scores(engine, [("</s>", "a"), ("", "</s> a"), ("", "a")]))) == 3


def test_the_output_that_is_called_yes_counts(rankers: dict[str, Ranker], tmp_path: Path) -> None:
    turned = random_rankers.qwen3(tmp_path / "turned.gguf", labels=("no", "yes"))
    with opened(turned.file) as one, opened(rankers["qwen3"].file) as other:
        assert np.allclose(scores(one, PAIRS), scores(other, PAIRS), atol=1e-6)


def test_what_was_scored_is_kept(rankers: dict[str, Ranker], tmp_path: Path) -> None:
    pairs = [*many(6), *many(6)]
    runs = []
    for _ in range(2):
        with Store(tmp_path / "store.sqlite") as store, opened(rankers["xlm_roberta"].file) as engine:
            runs.append(completions(StoredEngine(engine, store), pairs))
    first, second = runs
    assert [done.reused for done in first] == [False] * 6 + [True] * 6
    assert all(done.reused for done in second) and [d.text for d in first] == [d.text for d in second]
    assert second[0].made_by["score"] == "logit"


def test_the_fake_engine_scores_pairs() -> None:
    assert scores(FakeEngine(), [("zinc price", "the Price of zinc"), ("zinc price", "a price"), ("x", "")]) == [
        1,
        0.5,
        0,
    ]


def test_ctrl_c_hands_over_what_is_done(rankers: dict[str, Ranker]) -> None:
    import signal

    done = []
    with opened(rankers["bert"].file) as engine, pytest.raises(KeyboardInterrupt):
        for job in engine.generate(Job(at, [Request(Pair("a", f"b {at}"), "a", 0)]) for at in range(1000)):
            done.append(job)
            if len(done) == 3:
                signal.raise_signal(signal.SIGINT)
    assert 3 <= len(done) < 100 and all(job.is_done for job in done)


def test_a_file_that_ranks_is_a_cross_encoder_for_rerank(xqe: Run, rankers: dict[str, Ranker], tmp_path: Path) -> None:
    documents = {"d1": "the matter", "d2": "here and there"}
    build(tmp_path / "i", "en", [(f"t:{name[1]}", Document(name, text)) for name, text in documents.items()])
    hits = [{"id": "d1", "score": 2.0}, {"id": "d2", "score": 1.0}]
    found = [{"id": query[:2], "query": query, "lang": "en", "hits": hits} for query in ("what is it?", "x" * 500)]
    ranker = rankers["xlm_roberta"]
    options = ("--model", str(ranker.file), "--first-weight", "0", "--threads", "1")
    done = xqe("rerank", str(tmp_path / "i"), *options, stdin=jsonl(*found))
    assert done.returncode == 1
    good, bad = records(done)
    scored = {hit["id"]: hit["reranked"]["score"] for hit in good["hits"]}
    expected = ranker.scores([("what is it?", text) for text in documents.values()])
    assert [scored[name] for name in documents] == pytest.approx(expected, abs=0.01)
    assert list(scored) == sorted(scored, key=lambda name: -scored[name])
    step = good["steps"][-1]
    assert (step["kind"], step["score"], step["engine"][:5]) == ("cross", "logit", "llama")
    assert "there is no room for a document" in bad["error"]["message"]


# Other commands that re-rank


GRID = """
name = "small"
baselines = ["human"]
strategies = ["zeroshot"]
orders = ["te"]
[[models]]
model = "fake"
[[collections]]
path = "collection"
pairs = ["de-en"]
[[rerank]]
model = "RANKER"
n = [2, 3]
systems = "human"
document_tokens = 20
"""


def test_a_grid_re_ranks_with_a_cross_encoder_and_reports_it(
    rankers: dict[str, Ranker], tmp_path: Path, capsys: pytest.CaptureFixture[str], no_settings: None
) -> None:
    ranker, out = rankers["xlm_roberta"], str(tmp_path / "out")
    fixture_collection(tmp_path / "collection", ["de", "en"], topics=1)
    file = tmp_path / "grid.toml"
    file.write_text(GRID.replace("RANKER", str(ranker.file)))
    assert cli.run(["grid", str(file), "--out", out, "--dry-run", "--measure"]) == 0
    assert " s a pair, measured now\n" in capsys.readouterr().out
    assert cli.run(["grid", str(file), "--out", out, "--deterministic"]) == 0
    system = "human+cross-xlm_roberta@3"
    cell = json.loads((tmp_path / f"out/cells/fixtures/de-en/{system}.json").read_text())
    assert (cell["reranked"]["kind"], cell["failed"]) == ("cross", 0)
    [made] = (tmp_path / "out/ranked").rglob("*.jsonl")
    asked = {one["id"]: one["query"] for one in lines(FIXTURES / "questions/en.jsonl")}
    with opened(ranker.file) as engine:
        for record in map(json.loads, made.read_text().splitlines()):
            assert record["steps"][-1]["prompt"] == "pair" and len(record["hits"]) == 3
            texts = {one["id"]: document_of(one, engine, 20) for one in lines(FIXTURES / "documents/en.jsonl")}
            expected = ranker.scores([(asked[record["id"]], texts[hit["id"]]) for hit in record["hits"]])
            found = [hit["reranked"]["score"] for hit in record["hits"]]
            assert found == pytest.approx(expected, abs=0.02)
    [_, table] = reranking.blocks(results.read([Path(out)]), "MRR")
    assert isinstance(table, Table)
    assert [row.heads[1] for row in table.rows] == ["–", "cross-xlm_roberta@2", "cross-xlm_roberta@3"]


def test_what_cannot_re_rank_in_a_grid_is_said_before_anything_is_made(
    rankers: dict[str, Ranker], tmp_path: Path, capsys: pytest.CaptureFixture[str], no_settings: None
) -> None:
    fixture_collection(tmp_path / "collection", ["de", "en"], topics=1)
    generator = small_models.gemma(tmp_path / "gemma.gguf", layers=1)
    for row, message in (
        (f'kind = "cross"\nmodel = "{generator}"', "rerank[1]: gemma: generates text and is no re-ranker"),
        (f'kind = "yes-no"\nmodel = "{rankers["bert"].file}"', "rerank[1]: bert: ranks passages and generates no text"),
        (f'prompt = "p.toml"\nmodel = "{rankers["bert"].file}"', "rerank[1]: prompt has no effect on cross"),
        ('model = "openai:m"\nbase_url = "http://localhost:1/v1"\nkind = "likelihood"', "no server tells of a chat"),
    ):
        file = tmp_path / "grid.toml"
        file.write_text(f"{GRID.partition('[[rerank]]')[0]}[[rerank]]\n{row}\n")
        assert cli.run(["grid", str(file), "--out", str(tmp_path / "out")]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


def test_another_model_re_ranks_than_the_one_that_writes(
    rankers: dict[str, Ranker], tmp_path: Path, capsys: pytest.CaptureFixture[str], no_settings: None
) -> None:
    ranker, index = rankers["bert"], str(tmp_path / "i")
    documents = {"d1": "the matter", "d2": "a matter here. and there", "d3": "the other"}
    build(tmp_path / "i", "en", [(f"t:{name[1]}", Document(name, text)) for name, text in documents.items()])
    scored = dict(zip(documents, ranker.scores([("the matter", text) for text in documents.values()]), strict=True))
    both = ("--lang", "en", "--model", "fake", "--rerank-model", str(ranker.file))
    for command in (
        ("trace", "the matter", "--index", index, "--strategy", "zeroshot", "--rerank-n", "3", *both),
        ("ask", index, "the matter", "--gloss", "none", "--strategy", "zeroshot", *both),
    ):
        assert cli.run(list(command)) == 0
        record = json.loads(capsys.readouterr().out)
        steps = {step["step"]: step for step in record["steps"]}
        assert (steps["expand"]["model"], steps["rerank"]["model"]) == ("fake", "bert")
        assert steps["rerank"]["kind"] == "cross"
        told = {hit["id"]: hit["reranked"]["score"] for hit in record["hits"]}
        assert told == {name: pytest.approx(scored[name], abs=0.01) for name in told} and len(told) > 1
        if command[0] == "trace":
            assert record["trace"]["rerank"]["texts"][0]["prompt"].startswith("[CLS] the matter[SEP]")

    trace = ("trace", "the matter", "--index", index)
    assert cli.run([*trace, "--rerank-model", str(ranker.file), "--format", "text"]) == 0
    assert "cross · bert · the query as asked" in capsys.readouterr().out
    for options, message in (
        (("--rerank-model", str(ranker.file), "--model", "fake"), "--model has no effect, since nothing is generated"),
        (("--rerank", "likelihood", "--model", "fake", "--seed", "3"), "--seed has no effect, since nothing is gener"),
        (("--rerank", "cross"), "cross needs a re-ranker, and no model is named"),
        (("--rerank", "cross", "--model", "fake", "--deterministic"), "--deterministic has no effect on a cross-enc"),
        (("--rerank", "yes-no", "--rerank-model", str(ranker.file)), "bert: ranks passages and generates no text"),
    ):
        assert cli.run([*trace, *options]) == 2
        assert message in capsys.readouterr().err


def document_of(row: dict[str, str], engine: LlamaRanker, tokens: int) -> str:
    """The beginning of a document of the fixtures, title first, with so many tokens at most."""
    return beginning(" ".join(f"{row.get('title', '')} {row['text']}".split()), tokens, engine)


# What a file is for, and what is refused


def test_a_head_says_that_a_file_ranks(rankers: dict[str, Ranker], tmp_path: Path) -> None:
    assert {purpose_of(ranker.file) for ranker in rankers.values()} == {Purpose.RANKS}
    assert purpose_of(small_models.bert(tmp_path / "e.gguf")) is Purpose.ENCODES
    generator = small_models.gemma(tmp_path / "g.gguf", layers=1)
    assert purpose_of(generator) is Purpose.GENERATES
    bare = random_rankers.qwen3(tmp_path / "Qwen3-Reranker.gguf", head=False).file
    assert purpose_of(bare) is Purpose.HEADLESS
    kinds = dict.fromkeys((None, "fake", "nowhere.gguf", str(generator)), "likelihood")
    for model, kind in {**kinds, "openai:m": "yes-no", str(rankers["bert"].file): "cross", str(bare): "cross"}.items():
        assert usual_kind(model) == kind
    check_generates("x", bare, measures=True)
    for path in (bare, rankers["qwen3"].file, rankers["bert"].file):
        with pytest.raises(ModelError, match="ranks passages and generates no text"):
            check_generates("x", path)
    with pytest.raises(ModelError, match="generates no text"):
        check_generates("x", rankers["qwen3"].file, measures=True)
    with pytest.raises(ModelError, match="is a re-ranker and makes no vectors"):
        open_encoder(str(rankers["xlm_roberta"].file), CPU)


def test_what_cannot_rank_is_refused(tmp_path: Path) -> None:
    head = ("cls.weight", "cls.bias", "cls.output.weight", "cls.output.bias")
    bge = "take a GGUF file of bge-reranker-v2-m3"
    xlm, bert, qwen3 = random_rankers.xlm_roberta, random_rankers.bert, random_rankers.qwen3
    refused = [
        (xlm(tmp_path / "1.gguf", head, pooling=True).file, rf"\(cls.weight and cls.output.weight\); {bge}"),
        (xlm(tmp_path / "2.gguf", head[2:]).file, rf"lacks the head .*\(cls.output.weight\); {bge}"),
        (bert(tmp_path / "3.gguf", head[:2]).file, rf"lacks the head .*\(cls.weight\); {bge}"),
        (qwen3(tmp_path / "Qwen3-Reranker.gguf", head=False).file, "re-rank with it by yes-no, or take"),
        (qwen3(tmp_path / "4.gguf", labels=["yes"]).file, "its head has 1 outputs"),
        (small_models.gemma(tmp_path / "5.gguf", layers=1), "generates text and is no re-ranker; .* another kind"),
        (small_models.gemma(tmp_path / "reranker-gemma.gguf", layers=1), "knows no head .* gemma3; .* by yes-no"),
        (small_models.bert(tmp_path / "6.gguf"), "makes vectors and is no re-ranker"),
    ]
    for path, message in refused:
        with pytest.raises(ModelError, match=message) as caught:
            check_ranks("x", path)
        assert "\n" not in str(caught.value)


def test_a_head_of_zeros_is_found_out(tmp_path: Path) -> None:
    path = random_rankers.xlm_roberta(tmp_path / "x.gguf").file
    place = read_header(path).places["cls.output.weight"]
    with path.open("r+b") as file:
        file.seek(place.start)
        file.write(bytes(place.length))
    with pytest.raises(ModelError, match="does not tell two documents apart"):
        opened(path)


def test_a_file_that_does_not_say_what_a_pair_is_like_is_refused(tmp_path: Path) -> None:
    for template, message in (
        ("{query}", r"does not say \{query\} and \{document\} once each"),
        ("", r"does not say how .* \(tokenizer.chat_template.rerank\)"),
    ):
        path = random_rankers.qwen3(tmp_path / f"{len(template)}.gguf", template=template).file
        with pytest.raises(ModelError, match=message):
            opened(path)
