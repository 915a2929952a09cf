"""An index in shards finds what an index in one piece finds, with the same scores, ties and order, to the last bit:
words, vectors and both, with feedback, pools and questions, and whatever says why."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import pytest
from conftest import FIXTURES, Run, jsonl

from xqe.files.documents import Placed
from xqe.files.records import Document
from xqe.models.encoders.fake import FakeEncoder
from xqe.retrieval.bm25 import BM25
from xqe.retrieval.choices import By, Method, Precision, Windows
from xqe.retrieval.dense import open_vectors
from xqe.retrieval.dense.building import embed
from xqe.retrieval.dense.description import Storing
from xqe.retrieval.dense.joining import Embedded, check_joined, join_vectors
from xqe.retrieval.feedback import Feedback
from xqe.retrieval.hybrid import Hybrid
from xqe.retrieval.lexical import Parameters, build, build_shards, join, open_index, open_parts
from xqe.retrieval.lexical.looking import scores_of
from xqe.retrieval.lexical.opened import _ROUNDING
from xqe.retrieval.lexical.sharded import Sharded
from xqe.retrieval.lexical.shards import Shards
from xqe.retrieval.nearest import Dense
from xqe.retrieval.retriever import Best, Retriever
from xqe.retrieval.vector_feedback import VectorFeedback
from xqe.retrieval.weighting import Weighting

LANGUAGES = ("en", "de", "zh", "ar")
OTHER = Parameters(2.0, 0.2)


def words(code: str) -> list[str]:
    """Pieces of text in a language, which its analysis makes terms of."""
    texts = [json.loads(line)["text"] for line in (FIXTURES / "documents" / f"{code}.jsonl").read_text().splitlines()]
    pieces = (
        [text[at : at + 4] for text in texts for at in range(0, 40, 4)] if code == "zh" else " ".join(texts).split()
    )
    return list(dict.fromkeys(pieces))[:150]


@dataclass(frozen=True, slots=True)
class Case:
    """A collection that was drawn, and records that are searched with."""

    code: str
    documents: list[Placed]
    records: list[dict[str, Any]]

    @property
    def ids(self) -> list[str]:
        return [document.id for _, document in self.documents]


def drawn(seed: int) -> Case:
    """Few documents or some hundreds, with ties, equal and empty texts, terms that one document has, and questions."""
    draw = random.Random(seed)
    code = LANGUAGES[seed % len(LANGUAGES)]
    known = words(code)
    count = draw.choice([1, 2, 5, 40, 90])
    likely = [1 / (at + 1) for at in range(len(known))]

    def text(most: int) -> str:
        return " ".join(draw.choices(known, likely, k=draw.randint(0, most)))

    made: list[Document] = []
    for number in range(count):
        again = made and draw.random() < 0.2
        asked = {to: [text(6) or known[0]] for to in ("de", "fr") if draw.random() < 0.3}
        body = draw.choice(made).text if again else text(draw.choice([3, 30, 100]))
        if draw.random() < 0.05:
            body += f" only{number}"
        made.append(Document(f"d{draw.random()}", body, questions=asked or None))
    records: list[dict[str, Any]] = [
        {"id": f"q{number}", "query": " ".join(draw.choices(known, k=size)), "lang": code, "passages": [text(40)]}
        for number, size in enumerate((1, 5, 60))
    ]
    records += [{"id": "one", "query": f"only{number}", "lang": code} for number in range(0, count, 90)]
    records.append({"id": "de", "query": known[1], "lang": code, "source": {"query": known[0], "lang": "de"}})
    return Case(code, [(f"f:{number}", one) for number, one in enumerate(made, 1)], records)


class Sides:
    """An index and all that searches it."""

    def __init__(self, directory: Path, share: float = 0.0) -> None:
        self.index = index = open_index(directory)
        owners = {code: index.owners(code) for code in index.manifest.questions}
        encoder, where = FakeEncoder(), (index.name, index.manifest.language, index.documents)
        self.vectors = open_vectors(directory, index.documents, owners=owners, share=share)
        words = BM25(index, Weighting(question_weight=0.7))
        dense = Dense(*where, self.vectors, encoder)
        self.retrievers: dict[str, Retriever[Any]] = {
            "words": words,
            "other parameters": BM25(index, parameters=OTHER),
            "rm3": BM25(index, feedback=Feedback(Method.RM3)),
            "rocchio": BM25(index, Weighting(question_weight=0.4), feedback=Feedback(Method.ROCCHIO, 5, 20)),
            "dense": dense,
            "dense feedback": Dense(*where, self.vectors, encoder, feedback=VectorFeedback(Method.MEAN)),
            "hybrid": Hybrid({By.BM25: words, By.DENSE: dense}),
        }

    def hits(self, best: Best) -> list[Any]:
        said = {name: list(values) for name, values in (best.said or {}).items()}
        return [self.index.documents.ids(best.numbers), best.scores.tolist(), said]

    def told(self, name: str, record: dict[str, Any], k: int, ids: Sequence[str] | None) -> Any:
        """All that one retriever says of a record."""
        retriever, documents = self.retrievers[name], self.index.documents
        pool = documents.pool(ids)[0] if ids is not None else None
        query = retriever.query(record, "t:1")
        best = retriever.found([query], k, [pool])[0]
        fed = retriever.fed(query, pool)
        said: list[Any] = [self.hits(best), retriever.described(query, k)]
        if not name.startswith("dense"):
            account = retriever.account(record, query, fed, "t:1", pool, bool(len(best.numbers)))
            said += [account.terms, account.words, account.notes]
        for number in best.numbers[[0, -1]].tolist() if len(best.numbers) else []:
            why = retriever.explain(fed, number)
            said += [why, retriever.explained(fed, number), retriever.snippet(number, why), documents.text(number)]
            said += [retriever.rank(fed, number, pool)]
        return said


def made(directory: Path, case: Case, shards: int, storing: Storing, parts: int = 1) -> Path:
    """An index with vectors; of parts, each in so many shards, that are built by themselves and then joined."""
    places = [directory / f"part{number}" / "ix" for number in range(parts)] if parts > 1 else [directory / "ix"]
    for number, place in enumerate(places):
        build_shards(place, case.code, case.documents[number::parts], shards)
        index = open_index(place)
        questions = {code: index.questions(code) for code in index.manifest.questions}
        for _ in embed(place, index.documents, FakeEncoder(), storing, questions=questions):
            pass
    if parts > 1:
        opened = open_parts(places)
        sets = check_joined([Embedded(part.directory, part.data, part.questions()) for part in opened])
        join(directory / "ix", opened, beside=lambda data: join_vectors(data, sets))
    return directory / "ix"


def storing(seed: int) -> Storing:
    """A way to keep vectors that questions can be mixed with."""
    windows = (Storing(), Storing(windows=Windows.MAX, window_tokens=8, overlap=2))[seed % 2]
    return Storing(
        (Precision.F16, Precision.INT8)[seed // 2 % 2], windows.windows, windows.window_tokens, windows.overlap
    )


@pytest.mark.parametrize("seed", range(7))
def test_all_that_is_said_is_what_one_piece_says(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if seed % 3:  # else all documents of so few are scored
        monkeypatch.setattr("xqe.retrieval.lexical.looking._SMALL_POOL", 0)
    if seed % 5 == 4:
        monkeypatch.setattr("xqe.retrieval.lexical.looking._MANY_TERMS", 3)
    case, draw = drawn(seed), random.Random(seed)
    share = (0.0, 0.3)[seed % 2]
    shards = draw.choice([2, 3, 5])
    parts = draw.choice([1, 2]) if len(case.documents) > 1 else 1
    one = Sides(made(tmp_path / "one", case, 1, storing(seed)), share)
    many = Sides(made(tmp_path / "many", case, shards, storing(seed), parts), share)
    for name in ("k1", "b", "documents", "empty", "terms", "distinct", "average_length", "texts", "language"):
        assert getattr(many.index.manifest, name) == getattr(one.index.manifest, name), name
    assert isinstance(many.index.manifest, Shards)
    assert len(many.index.manifest.shards) >= min(shards, len(case.documents))
    for record in case.records:
        ids = draw.choice([None, draw.sample(case.ids, draw.randint(0, len(case.ids)))])
        for name in draw.sample(list(one.retrievers), 3):
            k = draw.choice([1, 2, 10, 40, 1000])
            assert many.told(name, record, k, ids) == one.told(name, record, k, ids), (name, k)
    for code, its in one.index.manifest.questions.items():
        assert many.index.manifest.questions[code].items() >= {k: its[k] for k in ("documents", "questions")}.items()


def placed(*texts: str) -> Iterator[Placed]:
    return ((f"f:{number}", Document(f"d{number}", text)) for number, text in enumerate(texts, 1))


def test_a_shard_is_looked_into_as_far_as_the_best_of_all_may_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All the best are in one shard, and its lengths are none of the others'."""
    monkeypatch.setattr("xqe.retrieval.lexical.looking._SMALL_POOL", 0)
    rare = ["zinc " * (1 + number % 7) + "tin " * (number % 40) for number in range(300)]
    common = [f"tin w{number} " * 60 for number in range(300)]
    texts = [text for pair in zip(rare, common, strict=True) for text in pair]
    build(tmp_path / "one", "en", placed(*texts))
    build_shards(tmp_path / "many", "en", placed(*texts), 2)
    one, many = open_index(tmp_path / "one"), open_index(tmp_path / "many")
    for k in (1, 100, 250, 400):
        for weights in ({"zinc": 1.0}, {"tin": 0.2, "zinc": 1.0}, {"tin": 1.0}):
            for parameters in (None, OTHER):
                assert many.search(weights, k, None, parameters) == one.search(weights, k, None, parameters)


def test_what_all_documents_of_a_shard_hold_is_bounded_by_its_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A term that tells much of all, and nothing there: tantivy has but the first digits of its idf."""
    texts = [("zinc " * (1 + number % 5) + f"w{number % 3} ") if number % 2 else "tin lead" for number in range(5000)]
    build(tmp_path / "one", "en", placed(*texts))
    build_shards(tmp_path / "many", "en", placed(*texts), 2)
    monkeypatch.setattr("xqe.retrieval.lexical.looking._SMALL_POOL", 0)
    one, many = open_index(tmp_path / "one"), open_index(tmp_path / "many")
    assert isinstance(many, Sharded)
    for weights in ({"zinc": 1.0}, {"zinc": 0.2, "w1": 1.0}, {"tin": 1.0, "zinc": 3.0}):
        for asked, shard in zip(many._asked(weights, None, None), many._shards, strict=True):
            numbers, bounds = shard._text.best(asked, 5000)
            if asked:
                ceiling = shard._text.ceiling(asked) * (1 + _ROUNDING)
                assert (scores_of(asked, numbers) <= bounds * ceiling).all()
        for k in (1, 10, 300):
            assert many.search(weights, k) == one.search(weights, k)
    monkeypatch.setattr("xqe.retrieval.lexical.scoring.idf_of_tantivy", lambda _, n: numpy.zeros(len(n)))
    assert many.search({"zinc": 1.0, "w1": 0.1}, 10) == one.search({"zinc": 1.0, "w1": 0.1}, 10) != []


def test_documents_are_dealt_out_in_turn(tmp_path: Path) -> None:
    index = shards_of(tmp_path / "ix", 7, 3)
    assert [its["documents"] for its in index.manifest.shards.values()] == [3, 2, 2]
    numbers = numpy.arange(7)
    assert open_index(tmp_path / "ix").documents.ids(numbers) == ["d1", "d4", "d7", "d2", "d5", "d3", "d6"]


def shards_of(directory: Path, documents: int, shards: int) -> Any:
    build_shards(directory, "en", placed(*(f"harbour {number}" for number in range(documents))), shards)
    return open_index(directory)


def test_processes_build_the_same_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More shards than cores: the last ones wait for a process."""
    texts = [f"quay{number} ship{number % 70} harbour" for number in range(900)]
    build_shards(tmp_path / "here", "en", placed(*texts), 3)
    monkeypatch.setattr("xqe.text.workers._CHUNK", 10_000)
    monkeypatch.setattr("xqe.retrieval.lexical.dealing.available_cores", lambda: 2)
    build_shards(tmp_path / "there", "en", placed(*texts), 3)
    here, there = (open_index(tmp_path / name).manifest for name in ("here", "there"))
    assert isinstance(here, Shards) and isinstance(there, Shards)
    of = [[(its["documents"], its["bytes"], its["excess"]) for its in one.shards.values()] for one in (here, there)]
    assert of[0] == of[1]
    data = tmp_path / "there" / there.data
    assert sorted(path.name for path in data.iterdir()) == ["shard-0000", "shard-0001", "shard-0002"]


# ---------------------------------------------------------------- commands take it without knowing


ASKED = ("-i", "ask.jsonl")
COMMANDS = (
    ("search", "ix", *ASKED),
    ("search", "ix", *ASKED, "--by", "bm25", "--feedback", "rm3", "--question-weight", "0.5", "-k", "3"),
    ("search", "ix", *ASKED, "--by", "dense", "--question-share", "0.3"),
    ("search", "ix", *ASKED, "--by", "hybrid", "--pool", "pool.tsv", "--format", "trec"),
    ("search", "ix", "../one/ix2", *ASKED, "--by", "bm25", "--k1", "1.9"),
    ("explain", "ix", "-", "chem1", *ASKED, "--by", "bm25", "--question-weight", "0.5"),
    ("trace", "--index", "ix", *ASKED, "--by", "hybrid", "--format", "jsonl"),
    ("expand", "--strategy", "zeroshot", "--model", "fake", "--index", "ix", *ASKED, "--show-prompt"),
    ("ask", "ix", "symbol of mercury", "--lang", "en", "--model", "fake", "--no-store", "--format", "jsonl"),
    ("embed", "ix", "--encoder", "fake", "--verify"),
)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same documents in one piece and in shards, in folders of one name."""
    folder = tmp_path_factory.mktemp("both")
    rows = [json.loads(line) for line in (FIXTURES / "documents" / "en.jsonl").read_text("utf-8").splitlines()]
    documents = [
        (f"f:{number}", Document(row["id"], row["text"], row.get("title", ""), questions={"de": [f"Frage {number}?"]}))
        for number, row in enumerate(rows, 1)
    ]
    build(folder / "one" / "ix2", "de", placed("Quecksilber", "Zink"))
    for name, shards in (("one", 1), ("many", 3)):
        made(folder / name, Case("en", documents, []), shards, Storing())
        (folder / name / "ask.jsonl").write_text(
            jsonl(
                {"id": "q1", "query": "symbol of mercury", "lang": "en", "passages": ["A metal that flows."]},
                {"id": "q2", "query": "the moon", "lang": "en", "source": {"query": "Frage 3", "lang": "de"}},
            )
        )
        (folder / name / "pool.tsv").write_text("".join(f"q1\t{row['id']}\nq2\t{row['id']}\n" for row in rows[::2]))
    return folder


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: " ".join(arguments)[:40])
def test_a_command_says_the_same(both: Path, xqe: Run, arguments: tuple[str, ...]) -> None:
    one, many = (xqe(*arguments, cwd=both / name) for name in ("one", "many"))
    assert (one.returncode, many.returncode) == (0, 0), (one.stderr, many.stderr)
    said = [re.sub(r'"seconds":[0-9.]+', "", done.stdout) for done in (one, many)]  # of `xqe trace`
    assert said[0] == said[1] != ""
