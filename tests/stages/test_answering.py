"""Answers from documents: what a model is shown, what becomes of what it says, and what sentences rest on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from small_models import SAID, SAID_TOKENS

from xqe.files.records import Document, Record
from xqe.models import examples
from xqe.models.engines.base import Engine
from xqe.models.engines.fake import FakeEngine
from xqe.models.engines.llama.engine import LlamaEngine
from xqe.models.engines.llama.settings import Settings
from xqe.models.engines.requests import Completion, Request
from xqe.models.prompts import Chat, Text
from xqe.models.prompts.answering import is_refusal, wording
from xqe.retrieval.bm25 import BM25
from xqe.retrieval.lexical import Index, build, open_index
from xqe.retrieval.weighting import Weighting
from xqe.stages import hits
from xqe.stages.answering.after import After
from xqe.stages.answering.answer import Answering, How
from xqe.stages.answering.cite import Cite
from xqe.stages.answering.offered import titled
from xqe.stages.generation import run
from xqe.text.languages import LANGUAGES, Analysis, Language

DOCUMENTS = {
    "d1": ("On zinc", "Zinc rises in the east.\n\nIts price is high."),
    "d2": ("", "Copper falls in Vienna, and copper is red."),
    "d3": ("On tin", "Tin is soft. " * 40),
}
HITS = [{"id": name, "score": 3.0 - rank} for rank, name in enumerate(DOCUMENTS)]
FRENCH: Record = {
    "id": "q1",
    "query": "price of zinc",
    "lang": "en",
    "source": {"query": "prix du zinc", "lang": "fr"},
    "steps": [{"step": "translate"}],
    "index": {"lang": "en"},
    "hits": HITS,
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    path = tmp_path_factory.mktemp("answering") / "index"
    rows = enumerate([*DOCUMENTS.items(), ("empty", ("", " "))], 1)
    build(path, "en", [(f"t:{number}", Document(name, text, title)) for number, (name, (title, text)) in rows])
    return open_index(path)


class Saying(FakeEngine):
    """Says the same to everything; holds so many characters of a prompt."""

    def __init__(self, said: str, is_chat: bool = True, holds: int = 10**6, finish: str = "stop") -> None:
        super().__init__(is_chat=is_chat)
        self._said, self._holds, self._finish = said, holds, finish

    def _answer(self, request: Request) -> Completion:
        return Completion(self._said, self._finish, len(self._said.split()))

    def count(self, text: str) -> int:
        return len(text)

    def room(self) -> int:
        return self._holds


def prompt(index: Index, how: How, is_chat: bool = True, record: Record = FRENCH) -> Chat | Text:
    [request] = Answering(FakeEngine(is_chat=is_chat), index.documents, how).requests(record)
    assert isinstance(request.prompt, Chat | Text)
    return request.prompt


def answered(index: Index, engine: Engine, how: How = How(), record: Record = FRENCH) -> Record:  # noqa: B008
    after = After(BM25(index, Weighting())) if how.cite is not Cite.MODEL else None
    [done] = run(Answering(engine, index.documents, how, after=after), engine, [record])
    return done


def sentences(record: Record) -> list[tuple[str, list[str]]]:
    return [(one["text"], one["sources"]) for one in record["answer"]["sentences"]]


# ---------------------------------------------------------------- what a model is shown


def test_a_chat_model_is_told_in_the_language_that_it_is_to_answer_in(index: Index) -> None:
    asked = prompt(index, How(tokens=16))
    assert isinstance(asked, Chat)
    said = wording(LANGUAGES["fr"])
    assert asked.system == f"{said.instruction} {said.citing} {said.unable.replace('{refusal}', said.refusal)}"
    assert asked.user == (
        "[1] On zinc: Zinc rises in the east. Its price is high.\n"
        "[2] Copper falls in Vienna, and copper is red.\n"
        "[3] On tin: Tin is soft. Tin is soft. Tin is soft. Tin is soft. Tin\n\n"
        "Question: prix du zinc\nRéponse en français:"
    )


def test_documents_are_the_best_hits_whatever_their_order(index: Index) -> None:
    asked = prompt(index, How(n=1), record={**FRENCH, "hits": HITS[::-1]})
    assert isinstance(asked, Chat)
    assert asked.user.startswith("[1] On zinc: ")
    assert "[2]" not in asked.user


def test_a_model_that_is_not_to_cite_is_not_told_how(index: Index) -> None:
    asked = prompt(index, How(cite=Cite.AFTER))
    assert isinstance(asked, Chat)
    assert wording(LANGUAGES["fr"]).citing not in asked.system


def test_a_pretrained_model_is_shown_answers_across_languages_and_begins_with_a_number(index: Index) -> None:
    asked = prompt(index, How(), is_chat=False)
    assert isinstance(asked, Text)
    french, english = examples.builtin("fr"), examples.builtin("en")
    shown = asked.text.split("\n\n")
    assert shown[0].splitlines()[1].startswith(f"[2] {english[0]['passage'][:60]}")
    question, answer = shown[1].splitlines()
    assert question == f"Question: {french[0]['rephrasing']}"
    assert answer == f"Réponse en français: [2] {french[0]['passage'].split('. ')[0]}."
    assert shown[3].splitlines()[1].startswith(f"Réponse en français: [1] {french[1]['passage'][:40]}")
    assert asked.text.endswith("Question: prix du zinc\nRéponse en français: [")
    assert asked.stop == ("\n",)
    assert prompt(index, How(cite=Cite.AFTER), is_chat=False) == asked, "one that has to begin so keeps to a document"


def test_the_number_that_a_pretrained_model_begins_with_is_a_citation(index: Index) -> None:
    done = answered(index, Saying("2] Le cuivre baisse. Il est rouge.", is_chat=False))
    assert sentences(done) == [("Le cuivre baisse.", ["d2"]), ("Il est rouge.", [])]


def test_to_is_the_language_of_the_answer_and_the_question_stays_as_it_came(index: Index) -> None:
    asked = prompt(index, How(target=LANGUAGES["ja"]))
    assert isinstance(asked, Chat)
    assert asked.user.endswith("質問: prix du zinc\n日本語での回答:")
    done = answered(index, Saying("亜鉛は高い[1]。銅は安い[2]。"), How(target=LANGUAGES["ja"]))
    assert done["answer"]["lang"] == done["steps"][-1]["to"] == "ja"
    assert sentences(done) == [("亜鉛は高い。", ["d1"]), ("銅は安い。", ["d2"])]


NAMED_ONLY = ("am", "ha", "ig", "km", "so", "yo", "zu")
"""Languages in which nobody has written what a model is told: it is told in English, with their name."""


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_language_has_its_own_words(code: str) -> None:
    own, english = wording(LANGUAGES[code]), wording(LANGUAGES["en"])
    assert "{refusal}" in own.unable
    assert "[1]" in own.citing and "[2][3]" in own.citing
    assert "{" not in own.instruction + own.answer
    assert is_refusal(own.refusal) and is_refusal(f"**{own.refusal.upper()}**\n")
    assert not is_refusal(own.instruction)
    if code not in ("en", *NAMED_ONLY):
        texts = ("instruction", "citing", "unable", "refusal", "answer")
        assert all(getattr(own, name) != getattr(english, name) for name in texts)


def test_a_language_without_words_is_named_in_english_ones() -> None:
    icelandic = wording(Language("is", "Icelandic", "íslenska", "Latn", Analysis()))
    assert icelandic.instruction.startswith("Answer the question in Icelandic, ")
    assert icelandic.answer == "Answer in Icelandic"
    assert icelandic.refusal == wording(LANGUAGES["en"]).refusal


def test_documents_are_shortened_alike_until_the_prompt_fits(index: Index) -> None:
    whole = answered(index, Saying("Oui [1]."))
    assert whole["steps"][-1]["document_tokens"] == How().tokens
    around = len(Saying("").rendered(prompt(index, How(tokens=1)))) + How().max_tokens
    short = answered(index, Saying("Oui [1].", holds=around + 3 * 30))
    assert 25 <= short["steps"][-1]["document_tokens"] <= 35
    assert short["steps"][-1]["offered"] == ["d1", "d2", "d3"]


def test_a_pretrained_model_that_begins_with_no_number_says_what_it_says(index: Index, certain_path: Path) -> None:
    with LlamaEngine("certain", str(certain_path), settings=Settings(batch=2, threads=1)) as engine:
        records = list(run(Answering(engine, index.documents, How()), engine, [FRENCH, {**FRENCH, "id": "q2"}]))
    assert [sentences(record) for record in records] == [[(SAID, [])]] * 2
    assert records[0]["steps"][-1]["tokens"] == SAID_TOKENS


# ---------------------------------------------------------------- what becomes of what it says


def test_an_answer_has_its_sentences_with_ids_and_the_step_says_how(index: Index) -> None:
    said = "Sure! Here is the answer:\n\nLe zinc monte [1][3]. Le cuivre baisse.[2] Il y a [17] autre chose."
    done = answered(index, Saying(said))
    assert done["answer"] == {
        "lang": "fr",
        "text": "Le zinc monte. Le cuivre baisse. Il y a autre chose.",
        "sentences": [
            {"text": "Le zinc monte.", "sources": ["d1", "d3"]},
            {"text": "Le cuivre baisse.", "sources": ["d2"]},
            {"text": "Il y a autre chose.", "sources": []},
        ],
    }
    assert {name: value for name, value in done.items() if name not in ("answer", "steps")} == {
        name: value for name, value in FRENCH.items() if name != "steps"
    }
    step = done["steps"][-1]
    assert (step["step"], step["cite"], step["invalid"], step["offered"]) == ("answer", "model", 1, ["d1", "d2", "d3"])
    assert step["raw"] == [said]
    assert step["model"] == "fake"


@pytest.mark.parametrize(
    ("said", "is_refused"),
    [
        ("Les documents ne le disent pas.", True),
        ("« Les documents ne le disent pas » [1].", True),
        ("The documents do not say.", True),
        ("Les documents ne le disent pas. Mais le zinc est cher.", True),
        ("Le zinc est cher. Les documents ne le disent pas.", False),
        ("Je ne peux pas répondre : le zinc est cher.", False),
    ],
)
def test_the_marker_is_a_refusal_and_no_failure(index: Index, said: str, is_refused: bool) -> None:
    stage = Answering(engine := Saying(said), index.documents, How())
    [done] = run(stage, engine, [FRENCH])
    assert "error" not in done
    assert done["answer"].get("refused", False) is is_refused
    assert stage.refused == is_refused


def test_an_answer_that_was_cut_ends_with_a_whole_sentence(index: Index) -> None:
    done = answered(index, Saying("Le zinc monte [1]. Le cuivre bai", finish="length"))
    assert sentences(done) == [("Le zinc monte.", ["d1"])]
    assert done["steps"][-1]["finish"] == "length"


def test_documents_are_read_once(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0

    def read(*given: Any) -> Any:
        nonlocal count
        count += 1
        return original(*given)

    original = hits.read
    monkeypatch.setattr(hits, "read", read)
    assert sentences(answered(index, Saying("Le zinc monte [1]."))) == [("Le zinc monte.", ["d1"])]
    assert count == 1


def test_an_answer_without_a_whole_sentence_is_none(index: Index) -> None:
    done = answered(index, Saying("vlock-create-lockfile-remove-lock", finish="length"))
    assert done["error"]["message"].startswith("not one sentence is finished within 256 tokens: vlock-create")


def test_thoughts_are_taken_off(index: Index) -> None:
    done = answered(index, Saying("<think>The user asks [2].</think>Le zinc monte [1]."))
    assert sentences(done) == [("Le zinc monte.", ["d1"])]
    assert done["steps"][-1]["taken_off"] == ["reasoning"]


@pytest.mark.parametrize(
    ("change", "said", "message"),
    [
        ({"hits": []}, "Oui.", "no hits to answer from"),
        ({"hits": None}, "Oui.", "no hits to answer from"),
        ({"hits": [{"id": "dx", "score": 1}]}, "Oui.", 'document "dx" is not in the index'),
        ({"hits": [{"id": "d1"}]}, "Oui.", 'query "q1": the score of hit 1 ("d1") is not a number'),
        (
            {"source": {"query": "prix"}, "lang": ""},
            "Oui.",
            'the query has no "lang" to answer in; add it, or give --to',
        ),
        ({"source": {"query": "prix"}}, "Yes.", ""),
        ({"source": {"query": "prix", "lang": "xx"}}, "Oui.", 'unknown language "xx"'),
        ({"source": {"query": " ", "lang": "fr"}}, "Oui.", "the query is empty"),
        ({}, "", "the model answered nothing"),
        ({}, "[1] [2]", "the answer is nothing but citations: [1] [2]"),
        ({}, "[1] [2] a", ""),
        ({}, "Prix du zinc [1].", "the model says the question again"),
        ({"hits": [{"id": "empty", "score": 1}]}, "Oui.", "the documents that were found have no text to answer from"),
        ({}, "Prix du zi, [1]", "the model says the question again"),  # that ends a line there
        ({}, "Prix [1].", ""),
        ({}, "Quel zinc ? [1]", "the model answers with a question: Quel zinc ?"),
        ({}, "1. Quel zinc ?\n2. Quel cuivre ?", "the model answers with a question: Quel zinc ?"),
        ({}, "Quel zinc ? Le prix monte [1].", ""),
    ],
)
def test_what_cannot_be_answered_says_so(index: Index, change: Mapping[str, Any], said: str, message: str) -> None:
    done = answered(index, Saying(said), record={**FRENCH, **change})
    assert message in done.get("error", {}).get("message", "")
    assert ("answer" in done) is (not message)
    assert done.get("error", {}).get("step", "answer") == "answer"


def test_a_prompt_that_is_said_again_is_no_answer(index: Index) -> None:
    [asked] = Answering(Saying(""), index.documents, How()).requests(FRENCH)
    assert isinstance(asked.prompt, Chat)
    done = answered(index, Saying(asked.prompt.user))
    assert done["error"]["message"] == "the model says the prompt again"


@pytest.mark.parametrize("lang", [{}, {"lang": "fi"}, {"source": {"lang": 7}}])
def test_a_query_whose_language_is_not_known_is_answered_in_the_one_that_is_asked_for(
    index: Index, lang: Mapping[str, Any]
) -> None:
    record = {"id": "q", "query": "zinc", "hits": HITS, **lang}
    done = answered(index, Saying("Ja [1]."), How(target=LANGUAGES["de"]), record)
    assert done["answer"]["lang"] == "de"


# ---------------------------------------------------------------- citations that are found afterwards


def test_each_sentence_gets_what_ranks_first_among_those_offered(index: Index) -> None:
    said = "The price of zinc is high. Copper is red. Nothing else."
    done = answered(index, Saying(said), How(cite=Cite.AFTER))
    assert [its for _, its in sentences(done)] == [["d1"], ["d2"], []]
    step = done["steps"][-1]
    assert (step["found"], step["by"]) == (2, "bm25")
    assert "invalid" not in step
    own = answered(index, Saying("3] Copper is red.", is_chat=False), How(cite=Cite.AFTER))
    assert sentences(own) == [("Copper is red.", ["d2"])], "what a pretrained model begins with does not count"
    few = answered(index, Saying(said), How(cite=Cite.AFTER, n=1))
    assert [its for _, its in sentences(few)] == [["d1"], [], []], "d2 was not offered"


def test_both_finds_only_what_the_model_does_not_cite(index: Index) -> None:
    done = answered(index, Saying("Copper is red [3]. Copper falls [9]. Zinc rises."), How(cite=Cite.BOTH))
    assert [its for _, its in sentences(done)] == [["d3"], ["d2"], ["d1"]]
    assert (done["steps"][-1]["found"], done["steps"][-1]["invalid"]) == (2, 1)


def test_a_refusal_rests_on_no_document(index: Index) -> None:
    done = answered(index, Saying("The documents do not say."), How(cite=Cite.AFTER))
    assert sentences(done) == [("The documents do not say.", [])]


@pytest.mark.parametrize(
    ("text", "parted"),
    [
        ("On zinc\n\nZinc rises.", ("On zinc", "Zinc rises.")),
        ("Zinc rises.\n\nIt falls.", ("", "Zinc rises.\n\nIt falls.")),
        ("Zinc rises and\nfalls\n\nagain", ("", "Zinc rises and\nfalls\n\nagain")),
        ("word " * 40 + "\n\nZinc", ("", "word " * 40 + "\n\nZinc")),
        ("Zinc", ("", "Zinc")),
        ("", ("", "")),
    ],
)
def test_a_title_is_told_from_a_text(text: str, parted: tuple[str, str]) -> None:
    assert titled(text) == parted
