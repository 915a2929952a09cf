"""Samples: what is drawn, from which split, with which documents, and that nothing is given away."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest
from conftest import FIXTURES
from hypothesis import given, settings
from hypothesis import strategies as st

from xqe.cli import run
from xqe.collections import formats
from xqe.collections.conversion import convert
from xqe.collections.layout import ANY, Collection, CollectionWriter
from xqe.collections.options import Options
from xqe.collections.sampling import Plan, sample
from xqe.errors import InputError, XqeError
from xqe.files.records import Document

TOPICS = 40


def parallel(directory: Path, extra: int = 0, train: bool = True) -> Collection:
    """A collection in three languages with shared ids. Of forty topics in each split, Italian lacks every fourth
    document and query; each topic has one relevant document and one that is judged 0."""
    writer = CollectionWriter(directory, "parallel")
    splits = ("train", "test") if train else ("test",)
    topics = {split: [f"{split}{number}" for number in range(TOPICS + extra)] for split in splits}

    def has(lang: str, name: str) -> bool:
        return lang != "it" or not name.endswith("4")

    for lang in ("de", "en", "it"):
        names = [name for split in splits for name in topics[split] if has(lang, name)]
        text = "a passage in {} that is about {} and nothing else in this world"
        writer.documents(lang, [Document(f"d-{name}", text.format(lang, name)) for name in names])
        for split in splits:
            writer.queries(split, lang, [(name, f"{lang} {name}") for name in topics[split] if has(lang, name)])
            pairs = zip(topics[split], [*topics[split][1:], topics[split][0]], strict=True)
            judged = [(name, f"d-{one}", grade) for name, other in pairs for one, grade in ((name, 1), (other, 0))]
            writer.qrels(split, ANY, lang, [line for line in judged if has(lang, line[1])])
    return writer.finish("a test", {"name": "here"}, "none", parallel=True)


def ids(collection: Collection, split: str, lang: str) -> set[str]:
    return set(collection.read_queries(split, lang))


def documents(collection: Collection, lang: str) -> set[str]:
    with gzip.open(collection.documents(lang), "rt", encoding="utf-8") as file:
        return {json.loads(line)["id"] for line in file}


def test_queries_a_pair(tmp_path: Path) -> None:
    source = parallel(tmp_path / "source")
    drawn = sample(source, tmp_path / "out", Plan(queries=10))
    assert drawn.splits == ["test"] and len(drawn.pairs("test")) == 9
    for pair in drawn.pairs("test"):
        qrels = drawn.read_qrels("test", *pair)
        assert len(qrels) == 10 and all(f"d-{name}" in judged for name, judged in qrels.items())
        assert qrels.keys() <= ids(drawn, "test", pair[0])
        # the lowest by hash of those that have a relevant document there
        able = [n for n in ids(source, "test", pair[0]) if "it" not in pair or not n.endswith("4")]
        assert set(qrels) == set(sorted(able, key=lambda n: hashlib.sha256(f"0\n{n}".encode()).digest())[:10])
    assert drawn.documents("de").read_bytes() == source.documents("de").read_bytes()
    assert drawn.manifest["pool"] is None
    assert (
        drawn.manifest["sample"]["of"]["sha256"]
        == hashlib.sha256((tmp_path / "source/collection.json").read_bytes()).hexdigest()
    )
    drawn.verify()


def test_shared_queries_are_in_every_language_and_pair(tmp_path: Path) -> None:
    drawn = sample(parallel(tmp_path / "source"), tmp_path / "out", Plan(queries=10, shared=True))
    chosen = ids(drawn, "test", "de")
    assert len(chosen) == 10 and not any(name.endswith("4") for name in chosen)
    assert ids(drawn, "test", "en") == ids(drawn, "test", "it") == chosen
    assert all(set(drawn.read_qrels("test", *pair)) == chosen for pair in drawn.pairs("test"))


def test_a_draw_is_stable(tmp_path: Path) -> None:
    source, larger = parallel(tmp_path / "source"), parallel(tmp_path / "larger", extra=4)
    ten = ids(sample(source, tmp_path / "a", Plan(queries=10)), "test", "de")
    assert ids(sample(source, tmp_path / "b", Plan(queries=10)), "test", "de") == ten
    assert ids(sample(source, tmp_path / "c", Plan(queries=10, seed=1)), "test", "de") != ten
    assert ids(sample(source, tmp_path / "d", Plan(queries=20, languages=("de", "en"))), "test", "de") > (
        ids(sample(source, tmp_path / "e", Plan(queries=10, languages=("de", "en"))), "test", "de")
    )
    more = ids(sample(larger, tmp_path / "f", Plan(queries=10, languages=("de", "en"))), "test", "de")
    few = ids(sample(source, tmp_path / "g", Plan(queries=10, languages=("de", "en"))), "test", "de")
    assert len(few - more) <= 4  # of four further queries, each displaces one at most


def test_queries_of_train_may_be_drawn_by_themselves(tmp_path: Path) -> None:
    source = parallel(tmp_path / "source")
    drawn = sample(source, tmp_path / "out", Plan(queries=4, split="train", languages=("de", "en")))
    assert drawn.splits == ["train"]
    assert len(ids(drawn, "train", "de")) == 4 and ids(drawn, "train", "de") <= ids(source, "train", "de")


def test_a_pool(tmp_path: Path) -> None:
    source = parallel(tmp_path / "source")
    drawn = sample(source, tmp_path / "out", Plan(queries=5, pool=7, languages=("de", "en")))
    judged = {d for pair in drawn.pairs("test") for names in drawn.read_qrels("test", *pair).values() for d in names}
    assert len(judged) > 5  # those that are judged 0 too
    assert judged < documents(drawn, "en") and len(documents(drawn, "en")) == len(judged) + 7
    assert drawn.is_pool and drawn.manifest["pool"]["others"] == 7
    alone = sample(source, tmp_path / "alone", Plan(queries=5, pool=0, languages=("de", "en")))
    assert documents(alone, "en") == judged
    other = sample(source, tmp_path / "other", Plan(queries=5, pool=7, languages=("de", "en"), seed=3))
    assert documents(other, "en") != documents(drawn, "en")
    every = sample(source, tmp_path / "every", Plan(queries=5, pool=10_000, languages=("de", "en")))
    assert documents(every, "en") == documents(source, "en")


def test_examples_come_from_train(tmp_path: Path) -> None:
    drawn = sample(parallel(tmp_path / "source"), tmp_path / "out", Plan(queries=5, examples=6, train=8))
    for lang in ("de", "en", "it"):
        lines = [json.loads(line) for line in drawn.examples("train", lang).read_text().splitlines()]
        assert len(lines) == 6
        for one in lines:
            code, name = one["query"].split()
            assert code == lang and name.startswith("train")
            assert one["passage"] == f"a passage in {lang} that is about {name} and nothing else in this world"
            assert one["lang"] == lang
    assert len(drawn.read_qrels("train", "de", "en")) == 8


def leaky(directory: Path) -> Collection:
    """Train has a query with the text of one of test, one with its best document, and three that are its own."""
    writer = CollectionWriter(directory, "leaky")
    passages = [Document(f"d{n}", f"passage number {n}, which is long enough to be an example") for n in range(9)]
    writer.documents("en", passages)
    writer.queries("test", "en", [("t1", "What is a Yak?"), ("t2", "the second")])
    writer.qrels("test", "en", "en", [("t1", "d1", 2), ("t1", "d5", 1), ("t2", "d2", 1)])
    writer.queries("train", "en", [(f"n{n}", text) for n, text in enumerate(["what is  a YAK?", "b", "c", "d", "e"])])
    judged = [("n0", "d3", 1), ("n1", "d2", 1), ("n2", "d5", 1), ("n3", "d6", 1), ("n4", "d7", 3), ("n4", "d2", 1)]
    writer.qrels("train", "en", "en", judged)
    return writer.finish("a test", {}, "none", parallel=True)


def test_what_is_evaluated_is_no_example(tmp_path: Path) -> None:
    drawn = sample(leaky(tmp_path / "source"), tmp_path / "out", Plan(queries=2, examples=5, train=5))
    texts = {json.loads(line)["query"] for line in drawn.examples("train", "en").read_text().splitlines()}
    # n0 has the text of t1, n1 the best document of t2; d5 is not the best of t1, and d2 not the best of n4
    assert texts == {"c", "d", "e"}
    assert ids(drawn, "train", "en") == {"n2", "n3", "n4"}
    assert drawn.manifest["notes"] == [
        "train: left out 2 queries whose text or best document is one of test's as well",
        "train, en-en: 3 queries, all that there are, of 5 wanted",
        "en: 3 examples of 5",
    ]


def test_one_split_divided(tmp_path: Path) -> None:
    source = parallel(tmp_path / "source", train=False)
    plan = Plan(queries=TOPICS, split="test", split_train=0.5, train=TOPICS, examples=3, languages=("de", "en"))
    drawn = sample(source, tmp_path / "out", plan)
    train, test = ids(drawn, "train", "de"), ids(drawn, "test", "de")
    assert not train & test and train | test == ids(source, "test", "de") and 10 < len(train) < 30
    # in every language the same
    assert ids(drawn, "train", "en") == train
    assert {
        json.loads(line)["query"].split()[1] for line in drawn.examples("train", "en").read_text().splitlines()
    } <= train


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 9)), min_size=4, max_size=14),
    st.integers(0, 50),
)
def test_divided_splits_share_nothing(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int]], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("c")
    writer = CollectionWriter(folder / "source", "x")
    writer.documents("en", [Document(f"d{n}", f"text {n}") for n in range(10)])
    writer.queries("all", "en", [(f"q{n}", text) for n, (text, _) in enumerate(rows)])
    writer.qrels("all", "en", "en", [(f"q{n}", f"d{document}", 1) for n, (_, document) in enumerate(rows)])
    source = writer.finish("", {}, "", parallel=True)
    plan = Plan(queries=99, train=99, split="all", split_train=0.5, seed=seed)
    try:
        drawn = sample(source, folder / "out", plan)
    except InputError as error:
        assert "no queries of" in str(error)  # all hang together, or chance put all on one side
        return
    train, test = ids(drawn, "train", "en"), ids(drawn, "test", "en")
    assert len(train) + len(test) == len(rows) and not train & test
    of = {f"q{n}": row for n, row in enumerate(rows)}
    for place in (0, 1):
        assert not {of[name][place] for name in train} & {of[name][place] for name in test}


def test_queries_of_clirmatrix_are_matched_by_their_articles(tmp_path: Path) -> None:
    multi8 = [str(FIXTURES / "clirmatrix" / "MULTI-8")]
    source = convert(formats.read("clirmatrix", multi8, Options()), tmp_path / "source")
    drawn = sample(source, tmp_path / "out", Plan(queries=2, split="test1", shared=True, examples=1))
    # id 103 is a query in German, English and Japanese, and three different articles
    numbers = [{int(name) - first for name in ids(drawn, "test1", lang)} for lang, first in (("de", 102), ("en", 101))]
    assert numbers[0] == numbers[1] == {int(name) - 103 for name in ids(drawn, "test1", "ja")}
    assert len(numbers[0]) == 2 and numbers[0] < {0, 2, 4}
    example = json.loads(drawn.examples("train", "en").read_text())
    starts = {"Bee dance": "When a honey bee", "Electric car battery": "The battery of an electric car"}
    assert example["passage"].startswith(starts[example["query"]])


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (Plan(queries=1, split="dev"), "no split dev; it has train, test"),
        (Plan(queries=1, split="train", examples=1), "examples would be drawn from the split that is evaluated"),
        (Plan(queries=1, split_train=0.5), "has a split train; leave out --split-train"),
        (Plan(queries=1, languages=("ja",)), "nothing in ja; it has de en it"),
    ],
)
def test_what_cannot_be_drawn(tmp_path: Path, plan: Plan, message: str) -> None:
    source = parallel(tmp_path / "source")
    with pytest.raises(XqeError, match=message):
        sample(source, tmp_path / "out", plan)
    assert not (tmp_path / "out").exists()


def test_queries_without_counterparts_are_not_shared(tmp_path: Path) -> None:
    writer = CollectionWriter(tmp_path / "source", "own")
    for lang in ("de", "en"):
        writer.documents(lang, [Document("d", lang)])
        writer.queries("test", lang, [("1", f"a question of its own in {lang}")])
        writer.qrels("test", lang, lang, [("1", "d", 1)])
    source = writer.finish("", {}, "", parallel=False)
    with pytest.raises(InputError, match="no counterparts in other languages; leave out --shared"):
        sample(source, tmp_path / "out", Plan(queries=1, shared=True))
    drawn = sample(source, tmp_path / "one", Plan(queries=1, shared=True, languages=("de",)))
    assert ids(drawn, "test", "de") == {"1"} and drawn.manifest["parallel"] is False


def test_no_train_no_examples(tmp_path: Path) -> None:
    source = parallel(tmp_path / "source", train=False)
    with pytest.raises(XqeError, match="no split train to draw examples from; divide one: --split-train"):
        sample(source, tmp_path / "out", Plan(queries=1, examples=1))
    with pytest.raises(XqeError, match=r"source: is .*source, which is read"):
        sample(source, source.directory, Plan(queries=1), force=True)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parallel(tmp_path / "source")
    command = ["data", "sample", str(tmp_path / "source"), "--queries", "3", "--out", str(tmp_path / "out")]
    assert run([*command, "--lang", "de,en", "--pool", "2", "--shared", "--examples", "2", "--seed", "5"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["queries"] == {"test": {"de": 3, "en": 3}} and row["examples"] == {"train": {"de": 2, "en": 2}}
    assert run([*command, "--force", "--pool", "none"]) == 0
    assert json.loads(capsys.readouterr().out)["pool"] is None
    assert run(command) == 2 and "holds a collection already" in capsys.readouterr().err
    assert run([*command, "--pool", "few"]) == 2
    assert "'few' is neither none nor a number of documents" in capsys.readouterr().err
