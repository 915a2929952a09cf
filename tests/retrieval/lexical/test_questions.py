"""Documents with questions beside a ten-line reference: text and questions are fields, of which the scores are added,
and whatever says what a document scores says the same."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy
import pytest
from bm25_reference import bm25

from xqe.errors import XqeError
from xqe.files.documents import Placed, documents
from xqe.files.records import Document
from xqe.retrieval.bm25 import BM25
from xqe.retrieval.choices import Method, Use
from xqe.retrieval.feedback import Feedback
from xqe.retrieval.lexical import Index, Parameters, build, build_languages, open_index
from xqe.retrieval.weighting import Weighting
from xqe.text.analysis import analyzer

COUNT = 240
WORDS = [f"w{number}" for number in range(40)]
RECORD = {"id": "q", "query": "w3 w9 w9", "lang": "en", "source": {"query": "w3 w12", "lang": "de"}}
WEIGHT = 0.7


def drawn(seed: int = 1) -> list[Document]:
    """Documents of which some have questions in German, some in English, and some in both or none."""
    draw = random.Random(seed)

    def text(most: int) -> str:
        return " ".join(draw.choices(WORDS, [1 / (at + 1) for at in range(len(WORDS))], k=draw.randint(1, most)))

    made = []
    for number in range(COUNT):
        languages = [code for code, part in (("de", 0.6), ("en", 0.2)) if draw.random() < part]
        questions = {code: [text(6) for _ in range(draw.randint(1, 4))] for code in languages}
        made.append(Document(f"d{number}", text(30), questions=questions or None))
    made += [Document(f"tie{number}", "w9", questions={"de": ["w12"]}) for number in range(9)]
    return made


def placed(made: Sequence[Document]) -> list[Placed]:
    return [(f"f:{number}", document) for number, document in enumerate(made, 1)]


@pytest.fixture(scope="module")
def made() -> list[Document]:
    return drawn()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, made: list[Document]) -> Index:
    folder = tmp_path_factory.mktemp("questions") / "ix"
    build(folder, "en", placed(made))
    return open_index(folder)


def is_beside(term: str) -> bool:
    """Whether a term is the form of a word or its beginning."""
    return term[0] == "=" or term[-1] == "*"


def expected(made: Sequence[Document], parameters: Parameters) -> dict[str, float]:
    """What the documents score for RECORD: its query in texts and in English questions, its source in German ones."""
    total: defaultdict[str, float] = defaultdict(float)
    texts = {one.id: one.text for one in made}
    fields = [("en", texts, RECORD["query"], 1.0)]
    for code, query in (("en", RECORD["query"]), ("de", "w3 w12")):
        asked = {one.id: "\n".join(one.questions[code]) for one in made if one.questions and code in one.questions}
        fields.append((code, asked, query, WEIGHT))
    for code, field, query, weight in fields:
        terms = analyzer(code).terms
        weights: defaultdict[str, float] = defaultdict(float)
        for term in terms(str(query)):
            weights[term] += weight * (0.3 if is_beside(term) else 1.0)
        scores = bm25({name: terms(text) for name, text in field.items()}, weights, parameters.k1, parameters.b)
        for name, score in scores.items():
            total[name] += score
    return dict(total)


@pytest.mark.parametrize("parameters", [Parameters(0.82, 0.68), Parameters(2.0, 0.2)])
@pytest.mark.parametrize("candidates", [False, True])
@pytest.mark.parametrize("k", [1, 7, 1000])
def test_hits_ranks_and_explanations_are_those_of_the_sum(
    index: Index,
    made: list[Document],
    parameters: Parameters,
    candidates: bool,
    k: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if candidates:
        monkeypatch.setattr("xqe.retrieval.lexical.looking._SMALL_POOL", 0)
    retriever = BM25(index, Weighting(question_weight=WEIGHT), parameters)
    query = retriever.query(RECORD, "q:1")
    reference = expected(made, parameters)
    for pool in (None, numpy.arange(0, len(index), 3)):
        allowed = {
            name: score
            for name, score in reference.items()
            if pool is None or int(index.documents.numbers([name])[0]) in pool
        }
        best = retriever.best(query, k, pool)
        found = list(zip(index.documents.ids(best.numbers), best.scores.tolist(), strict=True))
        assert dict(found) == pytest.approx({name: allowed[name] for name, _ in found}, rel=1e-6)
        assert found == sorted(found, key=lambda hit: (hit[1], hit[0]), reverse=True)
        assert len(found) == min(k, len(allowed))
        left = [score for name, score in allowed.items() if name not in dict(found)]
        assert all(score <= found[-1][1] * (1 + 1e-6) for score in left)
        for rank, (number, score) in enumerate(zip(best.numbers.tolist(), best.scores.tolist(), strict=True), 1):
            if rank in (1, 2, 5, 40):
                assert retriever.rank(query, number, pool) == rank
                assert retriever.explain(query, number).score == score == retriever.explained(query, number)["score"]


def test_texts_score_as_they_do_without_questions(index: Index, made: list[Document], tmp_path: Path) -> None:
    manifest = build(tmp_path / "plain", "en", placed([Document(one.id, one.text) for one in made]))
    plain = open_index(tmp_path / "plain")
    weights = {"w3": 1.0, "w9": 2.0}
    assert plain.search(weights, 1000) == index.search(weights, 1000)
    assert BM25(index).query(RECORD, "").questions == {}, "no weight, no questions"
    assert not {"questions", "joint"} & json.loads((tmp_path / "plain" / "xqe.json").read_bytes()).keys()
    assert {path.name for path in plain.documents.folder.iterdir()} == set(manifest.files)


def only(question: str) -> list[Document]:
    return [
        Document("d1", "zinc is a metal", questions={"de": ["Was ist Zink?", question]}),
        Document("d2", "tin is a metal", questions={"de": []}),
    ]


def test_a_document_that_only_a_question_finds_shows_that_question(tmp_path: Path) -> None:
    build(tmp_path / "ix", "en", placed(only("Woraus besteht\n Messing?")))
    retriever = BM25(open_index(tmp_path / "ix"), Weighting(question_weight=1.0))
    query = retriever.query({"id": "q", "query": "messing", "lang": "DE"}, "q:1")
    best = retriever.best(query, 10, None)
    [number] = best.numbers.tolist()
    why = retriever.explain(query, number)
    assert retriever.documents.id(number) == "d1"
    assert [term.term for term in why.terms] == ["questions in German"]
    assert why.terms[0].score == pytest.approx(why.score)
    snippet = retriever.snippet(number, why)
    assert snippet is not None and snippet.text == "Woraus besteht Messing?"
    assert [snippet.text[slice(*match)] for match in snippet.matches] == ["Messing"]
    [asked] = retriever.explained(query, number)["questions"]
    assert (asked["lang"], asked["documents"], asked["score"]) == ("de", 1, pytest.approx(why.score))
    assert retriever.described(query, 10)["questions"] == ["de"]
    notes = retriever.account({"id": "q", "query": "messing", "lang": "de"}, query, query, "q:1", None, True).notes
    assert notes == [], "that the languages differ is no reason to wonder"


@pytest.mark.parametrize(
    ("weighting", "record", "languages"),
    [
        (Weighting(question_weight=1.0), {}, {"en": "w3 w9 w9", "de": "w3 w12"}),
        (Weighting(question_weight=1.0, questions_of=("de",)), {}, {"de": "w3 w12"}),
        (Weighting(question_weight=1.0, questions_of=()), {}, {}),
        (Weighting(question_weight=1.0), {"source": {}}, {"en": "w3 w9 w9"}),
        (Weighting(question_weight=1.0), {"lang": "de"}, {"de": "w3 w9 w9"}),
        (Weighting(question_weight=1.0), {"lang": "fr"}, {"de": "w3 w12"}),
        (Weighting(question_weight=1.0, use=Use.DOC), {"passages": ["w1"]}, {}),
        (Weighting(question_weight=0.0), {}, {}),
    ],
)
def test_which_query_is_looked_for_in_the_questions_of_which_language(
    index: Index, weighting: Weighting, record: dict[str, object], languages: Mapping[str, str]
) -> None:
    questions = BM25(index, weighting).query({**RECORD, **record}, "q:1").questions
    words = {code: sum(n for term, n in its.items() if not is_beside(term)) for code, its in questions.items()}
    assert words == {code: len(text.split()) for code, text in languages.items()}


def test_questions_keep_their_part_beside_passages_and_feedback(index: Index) -> None:
    def parts(weighting: Weighting, feedback: Feedback | None = None) -> float:
        retriever = BM25(index, weighting, feedback=feedback)
        query = retriever.query({**RECORD, "passages": ["w1 w2 w3 w4"]}, "q:1")
        fed = retriever.fed(query, None)
        assert fed.questions.keys() == {"de", "en"}
        return float(fed.questions["en"]["w9"] / fed.parts["query"]["w9"])

    assert parts(Weighting(question_weight=WEIGHT)) == pytest.approx(WEIGHT)
    assert parts(Weighting(question_weight=WEIGHT, query_weight=3)) == pytest.approx(WEIGHT)
    for method in (Method.RM3, Method.ROCCHIO):
        assert parts(Weighting(question_weight=WEIGHT), Feedback(method)) == pytest.approx(WEIGHT)


def test_each_language_of_documents_has_its_own_questions(tmp_path: Path) -> None:
    one = Document("a", "zinc", lang="en", questions={"fr": ["du zinc ?"]})
    build_languages(tmp_path / "ix", placed([one, Document("b", "Zink", lang="de")]))
    assert open_index(tmp_path / "ix" / "en").manifest.questions["fr"]["questions"] == 1
    assert open_index(tmp_path / "ix" / "de").manifest.questions == {}


def test_questions_under_two_spellings_of_a_language_are_those_of_one(tmp_path: Path) -> None:
    one = Document("a", "zinc", questions={"DE": ["Wo gibt es Zink?"], "de-AT": ["Wer kauft Zink?"]})
    build(tmp_path / "ix", "en", placed([one]))
    index = open_index(tmp_path / "ix")
    assert index.manifest.questions["de"]["questions"] == 2
    assert index.questions_of("de", 0) == "Wo gibt es Zink?\nWer kauft Zink?"


@pytest.mark.parametrize(
    ("questions", "said"),
    [
        ('"Was?"', '"questions" is not an object of lists'),
        ('["Was?"]', '"questions" is not an object of lists'),
        ('{"de": "Was?"}', '"questions" is not an object of lists'),
        ('{"de": ["Was?", 3]}', '"questions" in "de" holds what is no text'),
        ('{"de": [" "]}', '"questions" in "de" holds what is no text'),
        ('{"xx": ["Was?"]}', '"questions": unknown language "xx"'),
    ],
)
def test_questions_that_are_none_are_refused_with_their_line(tmp_path: Path, questions: str, said: str) -> None:
    path = tmp_path / "docs.jsonl"
    path.write_text(
        f'{{"id": "d0", "text": "x", "questions": null}}\n{{"id": "d1", "text": "y", "questions": {questions}}}'
    )
    with pytest.raises(XqeError) as raised:
        build(tmp_path / "ix", "en", documents([str(path)]))
    assert str(raised.value).startswith(f"{path}:2: {said}") and raised.value.hint


def test_damage_to_questions_is_found(tmp_path: Path) -> None:
    build(tmp_path / "ix", "en", placed(only("Und Messing?")))
    files = open_index(tmp_path / "ix", verify=True).files
    data = tmp_path / "ix" / "data-1"
    places = [data / "owners.de", *data.glob("joint/*.idx"), *data.glob("questions-de/data-1/vectors.terms")]
    assert (len(places), files) == (3, sum(path.is_file() and path.suffix != ".lock" for path in data.rglob("*")) - 1)
    for place in [*places, data / "questions-de" / "xqe.json"]:
        whole = place.read_bytes()
        place.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(XqeError, match=r"damaged|not the questions") as raised:
            open_index(tmp_path / "ix", verify=True)
        assert raised.value.hint
        place.write_bytes(whole)
