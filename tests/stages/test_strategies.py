"""The field's methods: what they ask a model, what becomes of the answers, and what search makes of those."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import published
import pytest
from conftest import Run, jsonl, records
from hypothesis import given, settings
from hypothesis import strategies as st

from xqe.commands import steps
from xqe.commands.options.generation import Generation
from xqe.commands.options.steps import Expansion
from xqe.errors import InputError, XqeError
from xqe.files.records import Document, Record
from xqe.models import examples
from xqe.models.encoders.base import Side
from xqe.models.encoders.fake import FakeEncoder
from xqe.models.engines.base import Engine
from xqe.models.engines.fake import FakeEngine
from xqe.models.engines.jobs import Job
from xqe.models.engines.llama.engine import LlamaEngine
from xqe.models.engines.llama.settings import Settings
from xqe.models.engines.requests import Completion, Request, Sampling
from xqe.models.examples.derived import with_derived
from xqe.models.prompts import Chat, Text
from xqe.retrieval.bm25 import BM25
from xqe.retrieval.choices import Use
from xqe.retrieval.combining import MIX, USUAL, Combination, combination_of
from xqe.retrieval.lexical import Index, build, open_index
from xqe.retrieval.meaning import Known, Meaning, Meant, meanings
from xqe.retrieval.twice import Twice
from xqe.retrieval.weighting import Weighting, weighted_query
from xqe.stages.choosing import RULES, rule_for
from xqe.stages.choosing import Known as KnownOf
from xqe.stages.generation import Answer, Tally, run
from xqe.stages.librarian.choosing import Choice
from xqe.stages.librarian.guide import Guide
from xqe.stages.qa_expand import Prompts, QAExpand, refined
from xqe.stages.search import search
from xqe.stages.strategies import PAPER, RECIPES, Strategy
from xqe.text.answers import lists
from xqe.text.answers.parting import Parted
from xqe.text.languages import LANGUAGES

T = TypeVar("T")
QUERY = "zinc price east"
HITS: dict[str, Any] = {
    "index": {"name": "ix", "lang": "en"},
    "hits": [
        {"id": f"d{number}", "score": 9.0 - number, "text": f"Zinc\n\nThe price of {word} rises."}
        for number, word in enumerate(("zinc", "tin"), 1)
    ],
}
RECORD = {"id": "q1", "query": QUERY, "lang": "en"}
PUBLISHED = [name for name in RECIPES if name not in PAPER]


class Scripted(FakeEngine):
    """Answers each request with what `say` makes of it, and keeps it."""

    def __init__(self, say: Any = lambda request: "some text", is_chat: bool = True) -> None:
        super().__init__(is_chat=is_chat)
        self._say = say
        self.asked: list[Request] = []

    def generate(self, jobs: Iterable[Job[T]]) -> Iterator[Job[T]]:
        for job in jobs:
            for position in job.open():
                self.asked.append(job.requests[position])
                said = self._say(job.requests[position])
                job.fill(position, said if isinstance(said, Completion) else Completion(said, "stop", 1))
            yield job


def expanded(
    strategy: Strategy,
    engine: Engine,
    record: Record | None = None,
    to: str | None = None,
    expansion: Expansion | None = None,
    **generation: Any,
) -> Record:
    stage = steps.expansion(strategy, expansion or Expansion(), Generation(**generation), None, to)(engine)
    [done] = run(stage, engine, [record or {**RECORD, **HITS}], Tally())
    return done


def chats(engine: Scripted) -> list[Chat]:
    assert all(isinstance(request.prompt, Chat) for request in engine.asked)
    return [request.prompt for request in engine.asked if isinstance(request.prompt, Chat)]


# ---------------------------------------------------------------- what is asked


@pytest.mark.parametrize("name", published.RECIPES)
def test_a_strategy_by_its_name_alone_is_the_published_recipe(name: str) -> None:
    texts, temperature, tokens, documents = published.RECIPES[name]
    engine = Scripted()
    done = expanded(Strategy(name), engine)
    assert len(engine.asked) == len(done["passages"]) == texts
    assert {request.sampling.temperature for request in engine.asked} == {temperature}
    assert {request.max_tokens for request in engine.asked} == {tokens}
    recipe = RECIPES[Strategy(name)]
    assert (recipe.documents, recipe.kinds * recipe.samples) == (documents, texts)
    assert recipe.kinds == sum(len(template.each()) for template in recipe.templates)
    step = done["steps"][-1]
    assert step.items() >= {"strategy": name, "temperature": temperature, "max_tokens": tokens}.items()
    shown = [hit["id"] for hit in HITS["hits"]] if documents else None
    assert step.get("documents") == shown


def test_the_papers_four_are_greedy_and_say_nothing_of_how_they_are_combined() -> None:
    for strategy in PAPER:
        done = expanded(strategy, engine := Scripted())
        assert len(engine.asked) == 1
        assert (engine.asked[0].sampling.temperature, engine.asked[0].max_tokens) == (0, 192)
        assert "combine" not in done


def test_hyde_has_its_own_words() -> None:
    expanded(Strategy.HYDE, engine := Scripted())
    assert {chat.user for chat in chats(engine)} == {published.HYDE_USER.format(query=QUERY)}
    expanded(Strategy.HYDE, engine := Scripted(), to="ja")
    assert {chat.user for chat in chats(engine)} == {published.HYDE_IN.format(query=QUERY, language="Japanese")}


def test_genqr_ensemble_asks_in_its_ten_ways() -> None:
    expanded(Strategy.GENQR_ENSEMBLE, engine := Scripted())
    assert [chat.user for chat in chats(engine)] == [f'{one}:\n"{QUERY}"' for one in published.GENQR_ENSEMBLE]


def test_keywords_are_asked_for_as_published() -> None:
    expanded(Strategy.KEYWORDS, engine := Scripted())
    assert [chat.user for chat in chats(engine)] == [published.Q2E_USER.format(query=QUERY)]


def test_query2doc_shows_four_pairs_to_any_model() -> None:
    for is_chat in (True, False):
        expanded(Strategy.QUERY2DOC, engine := Scripted(is_chat=is_chat))
        [prompt] = [request.prompt for request in engine.asked]
        text = engine.rendered(prompt).removeprefix("<system>\n<user>").removesuffix("\n<model>")
        head, *rest = text.split("\n\n", 1)
        assert head == "Write a passage that answers the given query:"
        asked = {one["query"] for one in examples.builtin("en") if f"Query: {one['query']}\n" in text}
        assert len(asked) == 4
        assert rest[0].endswith(f"Query: {QUERY}\nPassage:")


def test_grf_asks_for_ten_kinds_of_text() -> None:
    expanded(Strategy.GRF, engine := Scripted())
    assert len({chat.user for chat in chats(engine)}) == 10
    kinds = ("keywords", "entities", "step by step", "queries", "summary", "facts", "document", "essay", "news")
    said = " ".join(chat.user for chat in chats(engine))
    assert all(kind in said for kind in kinds)


@pytest.mark.parametrize("strategy", PUBLISHED)
@pytest.mark.parametrize("code", ["ar", "ja", "ru"])
def test_a_pretrained_model_is_shown_worked_forms_in_the_language_of_the_query(strategy: Strategy, code: str) -> None:
    engine = Scripted(is_chat=False)
    hits = {**HITS, "index": {"lang": code}}
    done = expanded(strategy, engine, {**RECORD, **hits, "lang": code, "query": "QQQ"})
    assert "error" not in done
    native = [value for one in examples.builtin(code) for value in (one["query"], one["rephrasing"])]
    for request in engine.asked:
        assert isinstance(request.prompt, Text)
        assert sum(text in request.prompt.text for text in native) >= 2, request.prompt.text
        assert not re.search(r"[{}]", request.prompt.text)
        assert request.prompt.text.endswith(":")
        assert "\n" in request.prompt.stop


def test_keywords_of_worked_examples_are_words_of_their_passages_in_every_language() -> None:
    for code, row in LANGUAGES.items():
        for one in with_derived(examples.builtin(code), frozenset({"keywords", "sentence"}), row):
            words = one["keywords"].split(", ")
            assert 3 <= len(words) == len(set(words)) <= 10
            assert one["passage"].startswith(one["sentence"])
            assert len(one["sentence"]) < len(one["passage"]) or code == "th"  # which marks no sentence's end


# ---------------------------------------------------------------- documents that are read


@pytest.mark.parametrize("is_chat", [True, False])
@pytest.mark.parametrize("strategy", [Strategy.LAMER, Strategy.CSQE])
def test_documents_are_read_in_their_order_and_their_language_is_written(strategy: Strategy, is_chat: bool) -> None:
    german = {**RECORD, **HITS, "lang": "de", "query": "Zinkpreis"}
    done = expanded(strategy, engine := Scripted(is_chat=is_chat), german)
    shown = "1. Zinc The price of zinc rises.\n2. Zinc The price of tin rises."
    texts = [engine.rendered(request.prompt) for request in engine.asked]
    reading = [text for text in texts if shown in text]
    assert len(reading) == (5 if strategy is Strategy.LAMER else 2)
    assert all("in English" in text for text in texts)
    assert (done["lang"], done["passages_lang"], done["steps"][-1]["to"]) == ("de", "en", "en")


def test_only_the_best_ten_are_read_and_each_as_far_as_there_is_room() -> None:
    hits = [{"id": f"d{n:02}", "score": float(n), "text": f"word{n} " * 2000} for n in range(20)]
    done = expanded(Strategy.LAMER, engine := Scripted(), {**RECORD, "index": {"lang": "en"}, "hits": hits})
    assert done["steps"][-1]["documents"] == [f"d{n:02}" for n in range(19, 9, -1)]
    lines = chats(engine)[0].user.splitlines()[1:11]
    assert [line.split()[1] for line in lines] == [f"word{n}" for n in range(19, 9, -1)]
    assert all(len(line) < 128 * 5 for line in lines)


@pytest.mark.parametrize(
    ("hits", "said"),
    [
        ({}, "no hits to read"),
        ({"hits": [{"id": "d1", "score": 1.0}]}, 'the hit "d1" has no text'),
        ({"hits": "many"}, '"hits" is not a list'),
    ],
)
def test_a_record_without_documents_is_refused_by_itself(hits: dict[str, Any], said: str) -> None:
    done = expanded(Strategy.LAMER, engine := Scripted(), {**RECORD, **hits})
    assert said in done["error"]["message"]
    assert engine.asked == []


def test_where_nothing_was_found_the_model_writes_without_documents() -> None:
    nothing = {**RECORD, "index": {"lang": "en"}, "hits": [], "lang": "de"}
    done = expanded(Strategy.CSQE, engine := Scripted(), nothing)
    assert [chat.user for chat in chats(engine)] == [published.HYDE_USER.format(query=QUERY)] * 2
    assert (done["passages"], done["steps"][-1]["documents"]) == (["some text"] * 2, [])
    assert len(expanded(Strategy.LAMER, Scripted(), nothing)["passages"]) == 5


def test_hits_of_the_search_before_are_read_and_a_pipe_without_them_is_refused(xqe: Run, tmp_path: Path) -> None:
    index = str(tmp_path / "ix")
    documents = jsonl(*({"id": f"d{n}", "text": text} for n, text in enumerate(["zinc prices rise", "tin falls"])))
    assert xqe("index", index, "--lang", "en", stdin=documents).returncode == 0
    found = xqe("search", index, "--texts", "-k", "1", stdin=jsonl(RECORD))
    assert records(found)[0]["hits"][0]["text"] == "zinc prices rise"
    again = xqe("expand", "-s", "lamer", "--model", "fake", stdin=found.stdout)
    searched = xqe("search", index, stdin=again.stdout)
    assert records(searched)[0]["index"]["query_weight"] == 5
    explicit = xqe("search", index, "--query-weight", "3", stdin=again.stdout)
    assert records(explicit)[0]["index"]["query_weight"] == 3
    automatic = xqe("search", index, "--query-weight", "auto", stdin=again.stdout)
    assert records(automatic)[0]["index"]["query_weight"] == 1
    for stdin in (jsonl(RECORD), xqe("search", index, stdin=jsonl(RECORD)).stdout):
        refused = xqe("expand", "-s", "csqe", "--model", "fake", stdin=stdin)
        assert refused.returncode == 2
        assert "no hits with texts, which --strategy csqe reads; xqe search --texts writes them" in refused.stderr
    lacking = xqe("expand", "-s", "lamer", "--model", "fake", stdin=jsonl({**RECORD, **HITS}, {**RECORD, "id": "q2"}))
    assert (lacking.returncode, ["error" in one for one in records(lacking)]) == (1, [False, True])


# ---------------------------------------------------------------- what becomes of answers


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("zinc, tin, Zinc, lead.", ["zinc", "tin", "lead"]),
        ("1. zinc\n2. tin prices\n- lead\n* **ore**", ["zinc", "tin prices", "lead", "ore"]),
        ("亜鉛、価格，東", ["亜鉛", "価格", "東"]),
        ('"zinc", «tin»', ["zinc", "tin"]),
        ("زنك، سعر", ["زنك", "سعر"]),
        ("2048 game, 3.5 inch", ["2048 game", "3.5 inch"]),
        (",;\n", []),
    ],
)
def test_the_entries_of_a_list(text: str, items: list[str]) -> None:
    assert lists.items(text) == items


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        (
            'Document 1:\n"Zinc rises."\n"Tin\nfalls."\n\nDocument 3:\n“Ore is old.”',
            ["Zinc rises.", "Tin falls.", "Ore is old."],
        ),
        ("„Zink steigt.“ «Цинк растёт.» 「亜鉛が上がる。」", ["Zink steigt.", "Цинк растёт.", "亜鉛が上がる。"]),
        ("Document 1: Zinc rises.\n- Tin falls.", ["Zinc rises.", "Tin falls."]),
    ],
)
def test_what_an_answer_quotes(text: str, quoted: list[str]) -> None:
    assert lists.quotations(text) == quoted


@pytest.mark.parametrize(
    ("text", "questions"),
    [
        ("Here are 3 questions:\n1. What is zinc?\n2) Who sells it?", ["What is zinc?", "Who sells it?"]),
        ("What is zinc? Who sells it? And why", ["What is zinc?", "Who sells it?", "And why"]),
        ("亜鉛とは？誰が売る？", ["亜鉛とは？", "誰が売る？"]),
        ("zinc in the east", ["zinc in the east"]),
    ],
)
def test_the_questions_of_an_answer(text: str, questions: list[str]) -> None:
    assert lists.questions(text) == questions


@settings(max_examples=30)
@given(st.text())
def test_lists_of_any_text_are_texts(text: str) -> None:
    for entries in (lists.items(text), lists.questions(text), lists.quotations(text)):
        assert all(entry.strip() for entry in entries)


def test_csqe_keeps_free_passages_whole_and_of_the_others_what_they_quote() -> None:
    def say(request: Request) -> str:
        is_free = "Retrieved documents" not in FakeEngine().rendered(request.prompt)
        return "A free passage." if is_free else 'Document 1:\n"The price of zinc rises."\n"Zinc."'

    done = expanded(Strategy.CSQE, Scripted(say))
    assert done["passages"] == ["A free passage."] * 2 + ["The price of zinc rises. Zinc."] * 2


def test_keywords_are_joined_by_commas() -> None:
    done = expanded(Strategy.GENQR, Scripted(lambda request: "- zinc\n- tin"))
    assert done["passages"] == ["zinc, tin"] * 5


def test_a_list_among_other_texts_has_each_of_its_entries_once() -> None:
    """A small model that goes round in a list would fill the terms of GRF with it."""
    done = expanded(Strategy.GRF, Scripted(lambda request: "zinc, tin, zinc, zinc"))
    assert Counter(done["passages"]) == {"zinc, tin": 2, "zinc, tin, zinc, zinc": 8}


# ---------------------------------------------------------------- QA-Expand


def answering(request: Request) -> str:
    prompt = request.prompt
    assert isinstance(prompt, Chat)
    if "sub-questions" in prompt.user:
        return "1. What is zinc?\n2. Who sells it?\n3. Why?\n4. And then?"
    if "Question to answer" in prompt.user:
        return f"Answer to {request.subject}"
    return "[1] Zinc is a metal.\n[3] It rises."


def test_qa_expand_asks_for_questions_answers_them_and_keeps_those_to_the_point() -> None:
    done = expanded(Strategy.QA_EXPAND, engine := Scripted(answering))
    users = [chat.user for chat in chats(engine)]
    assert users[0] == f'Break the query into sub-questions: "{QUERY}"'
    questions = ["What is zinc?", "Who sells it?", "Why?"]
    assert users[1:4] == [f'Question to answer: "{question}"' for question in questions]
    shown = "\n".join(f"[{n}] Answer to {question}" for n, question in enumerate(questions, 1))
    assert users[4] == f'Initial query: "{QUERY}"\nAnswers:\n{shown}'
    assert done["passages"] == ["Zinc is a metal.", "It rises."]
    [step] = done["steps"]
    assert step["questions"] == questions
    assert step["tokens"] == 5
    assert {request.sampling.temperature for request in engine.asked} == {0.8}


def test_no_question_is_an_error_and_no_end_of_rounds() -> None:
    asked = QAExpand(
        Scripted(), Prompts(*RECIPES[Strategy.QA_EXPAND].templates), None, 3, Sampling(), 9, None, "qa", USUAL
    )
    begun = asked.begun(RECORD)
    [request] = begun.requests(RECORD)
    begun.result(RECORD, [Answer(request, Completion("***", "stop", 1), Parted("***"))])
    with pytest.raises(XqeError, match="the model wrote no question"):
        begun.requests(RECORD)


def test_qa_expand_of_a_pretrained_model_keeps_all_answers() -> None:
    numbers = iter(range(100))
    done = expanded(Strategy.QA_EXPAND, engine := Scripted(lambda request: f"text {next(numbers)}", is_chat=False))
    assert len(engine.asked) == 6
    assert done["passages"] == ["text 3", "text 4", "text 5"]


@pytest.mark.parametrize("is_chat", [True, False])
@pytest.mark.parametrize("strategy", [Strategy.MUGI, Strategy.CSQE, Strategy.GENQR_ENSEMBLE, Strategy.QA_EXPAND])
def test_of_several_texts_those_of_no_use_are_left_out_and_counted(strategy: Strategy, is_chat: bool) -> None:
    """The second of a record's answers is empty, of QA-Expand that of the second round."""
    numbers = iter(range(100))
    empty = 4 if strategy is Strategy.QA_EXPAND and not is_chat else 2

    def say(request: Request) -> str:
        text = answering(request) if strategy is Strategy.QA_EXPAND and is_chat else f'some "text" {request.seed}'
        return "" if next(numbers) == empty else text

    done = expanded(strategy, engine := Scripted(say, is_chat))
    whole = expanded(strategy, Scripted(lambda request: f'some "text" {request.seed}', is_chat))
    [step] = done["steps"]
    assert "error" not in done
    assert step["dropped"] == {"the model answered nothing": 1}
    if strategy is not Strategy.QA_EXPAND:
        assert done["passages"] == whole["passages"][:2] + whole["passages"][3:]
    elif is_chat:
        assert "[2] Answer to Why?" in chats(engine)[-1].user
    else:
        assert len(done["passages"]) == 2


@pytest.mark.parametrize("strategy", [Strategy.MUGI, Strategy.QA_EXPAND])
def test_where_all_texts_are_of_no_use_the_record_fails_and_keeps_its_state(strategy: Strategy) -> None:
    done = expanded(strategy, Scripted(lambda request: "Sure!", is_chat=False))
    assert done["error"]["step"] == "expand"
    assert "talk" in done["error"]["message"]
    assert "passages" not in done
    assert "steps" not in done


def test_an_engine_that_fails_on_one_of_several_texts_fails_the_record() -> None:
    """What was made is in the store, and the next run asks for the rest."""
    numbers = iter(range(100))
    failing = Completion("", "error", 0, "it broke")
    done = expanded(Strategy.MUGI, Scripted(lambda request: failing if next(numbers) == 2 else "some text"))
    assert done["error"] == {"step": "expand", "message": "it broke"}


@pytest.mark.parametrize("round_of", ["sub-questions", "Question to answer", "Initial query"])
def test_a_round_that_fails_is_the_records_error_and_the_others_go_on(round_of: str) -> None:
    def say(request: Request) -> str | Completion:
        is_bad = round_of in FakeEngine().rendered(request.prompt) and "bad" in str(request.subject) + str(
            request.prompt
        )
        return Completion("", "error", 0, "it broke") if is_bad else answering(request)

    def echo(request: Request) -> str | Completion:
        said = say(request)
        return said.replace("What", f"{request.subject}: what") if isinstance(said, str) else said

    engine = Scripted(echo)
    stage = steps.expansion(Strategy.QA_EXPAND, Expansion(), Generation(), None)(engine)
    tally = Tally()
    given_records = [{**RECORD, "id": str(n), "query": word} for n, word in enumerate(["good", "bad", "fine"])]
    done = list(run(stage, engine, given_records, tally))
    assert [one["id"] for one in done] == ["0", "1", "2"]
    assert ["error" in one for one in done] == [False, True, False]
    assert done[1]["error"] == {"step": "expand", "message": "it broke"}
    assert "passages" not in done[1]
    assert (tally.records, tally.failed) == (3, 1)


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        ("[2] better two", ["better two"]),
        ("**[1]**\n[2]: new\n", ["one", "new"]),
        ("All are good.", ["one", "two"]),
        ("[7] none", ["one", "two"]),
        ("", ["one", "two"]),
    ],
)
def test_which_answers_are_kept(answer: str, kept: list[str]) -> None:
    assert refined(answer, ["one", "two"]) == kept


# ---------------------------------------------------------------- what search makes of it

TEXTS = ["zinc rises in the east", "tin falls", "the price of ore", "harbour sun", *(f"filler{n}" for n in range(30))]
PASSAGES = ["Zinc is a metal whose price rises and rises.", "Ore of the eastern mountains, and tin."]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    path = tmp_path_factory.mktemp("strategies") / "ix"
    build(path, "en", [(f"t:{n}", Document(f"d{n}", text)) for n, text in enumerate(TEXTS, 1)])
    return open_index(path)


def beside_lighter(weights: Mapping[str, float]) -> dict[str, float]:
    """What stands beside a stem, its form and its beginning, weighs 0.3 times as much."""
    return {term: 0.3 * weight if term[0] == "=" or term[-1] == "*" else weight for term, weight in weights.items()}


def record_of(strategy: Strategy, passages: Sequence[str] = PASSAGES) -> Record:
    """A record as the strategy would have left it with these passages."""
    return {**RECORD, "passages": list(passages), "combine": expanded(strategy, Scripted()).get("combine")}


@pytest.mark.parametrize("name", published.JOINED)
@pytest.mark.parametrize("passages", [PASSAGES, PASSAGES * 4])
def test_words_are_weighted_as_the_published_text_would_be(name: str, passages: list[str], index: Index) -> None:
    text = published.JOINED[name](QUERY, passages)
    found = weighted_query(record_of(Strategy(name), passages), index, Weighting(), "here")
    assert dict(found.weights) == pytest.approx(beside_lighter(Counter(index.analyzer.terms(text))))


def test_grf_mixes_the_best_terms_of_all_texts_with_the_query(index: Index) -> None:
    terms = index.analyzer.terms
    passages = [*PASSAGES, " ".join(f"word{n} word{n}" for n in range(60))]
    assert RECIPES[Strategy.GRF].combination == Combination(terms=50)
    found = weighted_query(record_of(Strategy.GRF, passages), index, Weighting(), "here")
    expected = published.grf(terms(QUERY), list(map(terms, passages)), 50, MIX)
    assert sum(expected.values()) == pytest.approx(1)
    assert dict(found.weights) == pytest.approx(beside_lighter(expected))


def test_hyde_leaves_words_as_they_usually_are(index: Index) -> None:
    usual = weighted_query({**RECORD, "passages": PASSAGES}, index, Weighting(), "here")
    assert weighted_query(record_of(Strategy.HYDE), index, Weighting(), "here") == usual


def vector(record: Record, meant: Meant | None = None) -> list[float]:
    [made] = meanings([(record, "here")], FakeEncoder(), meant or Meant(), Known())
    assert isinstance(made, Meaning)
    return [float(value) for value in made.vector]


def encoded(*texts: str, side: Side = Side.QUERY) -> list[list[float]]:
    return [[float(value) for value in row] for row in FakeEncoder().encode(list(texts), side).vectors]


def test_the_vector_of_hyde_is_the_mean_of_the_querys_and_the_passages() -> None:
    expected = published.hyde(encoded(QUERY)[0], encoded(*PASSAGES, side=Side.PASSAGE))
    assert vector(record_of(Strategy.HYDE)) == pytest.approx(expected, abs=1e-6)


def test_the_vector_of_query2doc_is_that_of_both_with_a_mark_between() -> None:
    [expected] = encoded(f"{QUERY} [SEP] {PASSAGES[0]}")
    assert vector(record_of(Strategy.QUERY2DOC, PASSAGES[:1])) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", [name for name in published.JOINED if name not in ("query2doc", "csqe")])
def test_other_vectors_are_those_of_the_published_text(name: str) -> None:
    [expected] = encoded(published.JOINED[name](QUERY, PASSAGES))
    assert vector(record_of(Strategy(name))) == pytest.approx(expected, abs=1e-6)


def test_a_weight_that_is_asked_for_goes_before_the_records(index: Index) -> None:
    record, terms = record_of(Strategy.LAMER), index.analyzer.terms
    found = weighted_query(record, index, Weighting(query_weight=3.0), "here")
    assert dict(found.weights) == pytest.approx(beside_lighter(Counter(terms(" ".join([QUERY] * 3 + PASSAGES)))))
    usual = {**RECORD, "passages": PASSAGES}
    ignored = Weighting(heeds_record=False)
    assert weighted_query(record, index, ignored, "here") == weighted_query(usual, index, ignored, "here")
    assert vector(record, Meant(query_weight=3.0)) == pytest.approx(
        encoded(" ".join([QUERY] * 3 + PASSAGES))[0], abs=1e-6
    )
    assert vector(record, Meant(heeds_record=False)) == pytest.approx(vector(usual), abs=1e-6)
    assert vector(record, Meant(Use.QUERY)) == pytest.approx(encoded(QUERY)[0], abs=1e-6)


def test_a_translated_query_is_joined_in_both_of_its_states() -> None:
    record = {**record_of(Strategy.GENQR), "source": {"query": "Zinkpreis Osten", "lang": "de"}}
    [source, query] = encoded(*(published.JOINED["genqr"](text, PASSAGES) for text in ("Zinkpreis Osten", QUERY)))
    mixed = [2 / 3 * a + 1 / 3 * b for a, b in zip(source, query, strict=True)]
    length = sum(value * value for value in mixed) ** 0.5
    assert vector(record) == pytest.approx([value / length for value in mixed], abs=1e-6)


@pytest.mark.parametrize("kept", [PASSAGES[:1], []])
def test_one_text_has_no_passage_that_a_judge_gives_no_weight(kept: list[str]) -> None:
    record = record_of(Strategy.GENQR, [*kept, "far away"])
    judged = {**record, "closeness": {"passages": [*[0.4] * len(kept), -0.2]}}
    expected = published.JOINED["genqr"](QUERY, kept) if kept else QUERY
    assert vector(judged) == pytest.approx(encoded(expected)[0], abs=1e-6)


@pytest.mark.parametrize("strategy", [Strategy.HYDE, Strategy.QUERY2DOC, Strategy.GENQR, Strategy.GRF])
def test_a_vector_says_how_it_was_put_together(strategy: Strategy) -> None:
    made = meanings([(record_of(strategy), "here")] * 2, FakeEncoder(), Meant(), Known())
    assert [one.vectors for one in made if isinstance(one, Meaning)] == [strategy.recipe.combination.vectors] * 2
    [usual] = meanings([(record_of(strategy), "here")], FakeEncoder(), Meant(heeds_record=False), Known())
    assert isinstance(usual, Meaning)
    assert usual.vectors is None


def test_exp4fuse_fuses_what_the_query_finds_alone_and_with_its_passage(index: Index) -> None:
    record = record_of(Strategy.EXP4FUSE, ["tin and harbour"])
    alone = {name: value for name, value in record.items() if name not in ("passages", "combine")}
    retriever = BM25(index)
    ranked = [
        [hit["id"] for hit in found["hits"]]
        for found in search([alone, {**record, "combine": {"query": 5}}], retriever, 1, lambda: "here")
    ]
    assert ranked[0] != ranked[1]
    [fused, plain] = search([record, alone], Twice(retriever), 1, lambda: "here")
    expected = published.exp4fuse(*ranked)
    assert [hit["id"] for hit in fused["hits"]] == [document for document, _ in expected]
    assert [hit["score"] for hit in fused["hits"]] == pytest.approx([score for _, score in expected])
    first = fused["hits"][0]
    assert first["from"]["alone"]["rank"] == ranked[0].index(first["id"]) + 1
    assert fused["index"]["twice"] == {"fusion": "exp4fuse", "rrf_k": 60}
    assert [hit["id"] for hit in plain["hits"]] == ranked[0]
    assert "twice" not in plain["index"]
    query = Twice(retriever).query(record, "here")
    [number] = retriever.documents.numbers([first["id"]]).tolist()
    why = Twice(retriever).explain(query, number)
    assert why.score == pytest.approx(first["score"])
    assert Twice(retriever).rank(query, number, None) == 1
    assert Twice(retriever).explained(query, number)["fused"]["score"] == pytest.approx(first["score"])


NO_COMBINATIONS: list[Any] = [
    *("five", 5, {"times": 5}, {"query": 0}, {"query": "often"}, {"query": True}, {"query": 1e9}, {"query": [5]}),
    *({"terms": 2.5}, {"terms": True}, {"vectors": "sum"}, {"vectors": {}}, {"fuse": "yes"}),
]


@pytest.mark.parametrize("said", NO_COMBINATIONS, ids=str)
def test_what_is_no_combination_is_told(said: Any) -> None:
    with pytest.raises(InputError, match=r"^here: .*combine"):
        combination_of({**RECORD, "passages": ["text"], "combine": said}, "here")


def test_passages_that_are_gone_have_no_combination() -> None:
    assert combination_of({**RECORD, "combine": {"query": 5}}, "here") == Combination()
    first = expanded(Strategy.MUGI, Scripted())
    assert "combine" not in expanded(Strategy.ZEROSHOT, Scripted(), first)


# ---------------------------------------------------------------- options


def test_options_go_before_the_recipe() -> None:
    engine = Scripted()
    expanded(Strategy.MUGI, engine, expansion=Expansion(samples=2), temperature=0.3)
    assert [request.sampling.temperature for request in engine.asked] == [0.3] * 2
    expanded(Strategy.GRF, engine := Scripted(), expansion=Expansion(samples=2))
    assert len(engine.asked) == 20
    expanded(Strategy.QA_EXPAND, engine := Scripted(answering), expansion=Expansion(samples=2))
    assert sum("Question to answer" in chat.user for chat in chats(engine)) == 2
    with pytest.raises(XqeError, match=r"8 at temperature 0.*write the same passage.*or --samples 1"):
        expanded(Strategy.HYDE, Scripted(), temperature=0.0)
    with pytest.raises(XqeError, match="the prompt qa-expand shows a chat model no examples"):
        expanded(Strategy.QA_EXPAND, Scripted(), expansion=Expansion(shots=2))


def test_a_prompt_of_ones_own_takes_the_place_of_the_strategys(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[chat]\nuser = "{kind}? {query}"\n[completion]\ntext = "{kind}: {query}"\nstop = ["x"]\n', "utf-8")
    path.write_text(path.read_text() + '[[variants]]\nkind = "Words"\n[[variants]]\nkind = "Facts"\n', "utf-8")
    engine = Scripted()
    done = expanded(Strategy.GENQR, engine, expansion=Expansion(prompt=str(path), samples=1))
    assert [chat.user for chat in chats(engine)] == [f"Words? {QUERY}", f"Facts? {QUERY}"]
    assert (done["steps"][-1]["strategy"], done["combine"]["query"]) == ("mine", 5)
    for strategy in (Strategy.CSQE, Strategy.AUTO):
        with pytest.raises(XqeError, match="--prompt has no effect"):
            expanded(strategy, Scripted(), expansion=Expansion(prompt=str(path)))


def test_qa_expand_does_not_fit_a_batch_file_and_the_others_do(xqe: Run) -> None:
    refused = xqe("batch", "export", "-s", "qa-expand", "-m", "openai:m", stdin=jsonl(RECORD))
    assert refused.returncode == 2
    assert "a batch file asks once" in refused.stderr
    written = xqe("batch", "export", "-s", "genqr-ensemble", "-m", "openai:m", stdin=jsonl(RECORD))
    assert len(written.stdout.splitlines()) == 10
    unread = xqe("batch", "export", "-s", "lamer", "-m", "openai:m", stdin=jsonl(RECORD))
    assert unread.returncode == 2
    assert "no hits with texts, which --strategy lamer reads" in unread.stderr


def test_strategies_are_listed(xqe: Run) -> None:
    rows = records(xqe("strategies"))
    assert [row["name"] for row in rows] == list(map(str, Strategy))
    by_name = {row["name"]: row for row in rows}
    assert (
        by_name["mugi"].items()
        >= {"texts": 5, "temperature": 1.0, "combine": {"query": "adaptive", "vectors": "joined"}}.items()
    )
    assert [rule["strategy"] for rule in by_name["auto"]["rules"]] == [rule.strategy.value for rule in RULES]


# ---------------------------------------------------------------- auto


@pytest.mark.parametrize(
    ("query", "lang", "is_chat", "hits", "strategy"),
    [
        ("zinc price east today", "en", True, {}, "zeroshot"),
        ("what is the zinc price", "en", True, {}, "fewshot"),
        ("what is the zinc price", "en", False, HITS, "fewshot"),
        ("zinc", "en", True, HITS, "lamer"),
        ("zinc", "en", True, {"hits": [{"id": "d", "score": 1.0}]}, "zeroshot"),
        ("東京の天気", "ja", True, {}, "zeroshot"),
        ("東京で明日の天気と気温と風速はどうなりますか", "ja", True, {}, "fewshot"),
    ],
)
def test_auto_chooses_by_what_is_known_of_a_query(
    query: str, lang: str, is_chat: bool, hits: dict[str, Any], strategy: str
) -> None:
    record = {"id": "1", "query": query, "lang": lang, **hits}
    done = expanded(Strategy.AUTO, Scripted(is_chat=is_chat), record)
    step = done["steps"][-1]
    assert step["strategy"] == strategy
    assert step["why"] == next(rule.why for rule in RULES if rule.strategy == strategy)
    own = expanded(Strategy(strategy), Scripted(is_chat=is_chat), record)
    assert {**done, "steps": 0} == {**own, "steps": 0}


def test_auto_takes_examples_of_ones_own_and_tells_how_they_were_chosen(tmp_path: Path) -> None:
    path = tmp_path / "examples.jsonl"
    path.write_text(jsonl(*({"query": f"ships in port {n}", "passage": f"text {n}"} for n in range(6))), "utf-8")
    make = steps.expansion(Strategy.AUTO, Expansion(examples=str(path)), Generation(), None)
    guide = Guide(Choice(FakeEncoder(), "query"))
    short, long = run(make(engine := Scripted(), guide), engine, [RECORD, {**RECORD, "query": "a b c d e"}])
    assert short["steps"][-1]["strategy"] == "zeroshot"
    assert "text 1" in "".join(chat.user for chat in chats(engine))
    step = long["steps"][-1]
    assert (step["shots"], step["chosen"], step["why"]) == (5, "nearest", "it has 5 words or more")
    path.write_text(jsonl({"query": "ships", "passage": "text"}), "utf-8")
    with pytest.raises(InputError, match="1 examples"):  # before a model is opened
        steps.expansion(Strategy.AUTO, Expansion(examples=str(path)), Generation(), None)


def test_some_rule_holds_for_whatever_is_known() -> None:
    for words in (0, 4, 5, 40):
        for is_chat in (True, False):
            for has_documents in (True, False):
                assert rule_for(KnownOf(words, "Latn", is_chat, has_documents)) in RULES


def test_auto_records_say_what_was_chosen_in_a_pipe(xqe: Run) -> None:
    done = xqe(
        "expand",
        "-s",
        "auto",
        "--model",
        "fake",
        "--shots",
        "3",
        stdin=jsonl(RECORD, {**RECORD, "id": "2", "query": "a b c d e"}),
    )
    assert [json.loads(line)["steps"][0]["strategy"] for line in done.stdout.splitlines()] == ["zeroshot", "fewshot"]
    assert [json.loads(line)["steps"][0].get("shots") for line in done.stdout.splitlines()] == [None, 3]


# ---------------------------------------------------------------- a real model


def test_methods_of_each_kind_run_on_a_real_pretrained_model(few_path: Path) -> None:
    expansion = Expansion(shots=0, samples=1)
    with LlamaEngine("few", str(few_path), settings=Settings(batch=8, threads=1)) as engine:
        for strategy in (Strategy.HYDE, Strategy.CSQE, Strategy.QA_EXPAND):  # one text, documents, rounds
            stage = steps.expansion(strategy, expansion, Generation(), 4)(engine)
            [done] = run(stage, engine, [{**RECORD, **HITS}], Tally())
            texts = [done["error"]["message"]] if "error" in done else done["passages"]
            assert done["steps"][-1]["strategy"] == strategy if "error" not in done else texts, strategy
            assert len(texts) <= RECIPES[strategy].kinds
