"""Prompts: the paper's strings, and the strictness of prompt files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from paper_prompts import PAPER_SYSTEM, PAPER_SYSTEM_FEWSHOT, PAPER_USER

from xqe.errors import InputError, XqeError
from xqe.models import examples, prompts
from xqe.models.engines.fake import FakeEngine
from xqe.models.prompts import Chat, Text
from xqe.stages.strategies import PAPER, Strategy
from xqe.stages.translate import Translate
from xqe.text.languages import LANGUAGES

WITH_EXAMPLES = [code for code in LANGUAGES if examples.builtin(code)]
QUERY = {"query": "original name of mercury", "language": "English"}


@pytest.mark.parametrize("strategy", list(PAPER_USER))
def test_chat_prompts_are_the_papers(strategy: Strategy) -> None:
    assert strategy.template.render(True, QUERY) == Chat(PAPER_SYSTEM, PAPER_USER[strategy])


def test_the_few_shot_prompt_is_the_papers_with_five_pairs() -> None:
    shown = examples.Chooser()(LANGUAGES["en"])
    prompt = Strategy.FEWSHOT.template.render(True, QUERY, shown)
    assert isinstance(prompt, Chat)
    assert prompt.system == PAPER_SYSTEM_FEWSHOT
    lines = prompt.user.split("\n")
    assert lines[0] == "Please write a passage that answers the given query:"
    assert lines[-2:] == ["Query: original name of mercury", "Passage:"]
    assert [line.split(":")[0] for line in lines[1:-2]] == ["Query", "Passage"] * 5


@pytest.mark.parametrize("strategy", PAPER)
@pytest.mark.parametrize("code", LANGUAGES)
def test_a_pretrained_model_is_shown_examples_in_the_language_of_the_query(strategy: Strategy, code: str) -> None:
    shown = examples.Chooser()(LANGUAGES[code])
    assert strategy.template.shots == (5 if strategy is Strategy.FEWSHOT else 2)
    prompt = strategy.template.render(False, {"query": "QQQ", "language": LANGUAGES[code].name}, shown)
    assert isinstance(prompt, Text)
    for example in shown:
        assert example["query"] in prompt.text
        assert example["passage"] in prompt.text
    assert prompt.text.count("QQQ") == 1
    assert re.search(r"QQQ\n\w+:\Z", prompt.text), "it ends where the passage begins, without a trailing space"
    assert "\n" in prompt.stop


def test_braces_in_a_query_are_text() -> None:
    prompt = Strategy.ZEROSHOT.template.render(True, {"query": "{query} {0} }", "language": "English"})
    assert isinstance(prompt, Chat)
    assert prompt.user.endswith("Question: {query} {0} }")


GOOD = """
[chat]
user = "Tell me about {query}."
[completion]
text = "{examples}About {query}:"
example = "About {query}: {passage}\\n"
stop = ["\\n"]
"""


def test_a_prompt_file_of_the_users_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD, "utf-8-sig")  # as editors on Windows do
    template = prompts.load(str(path), "expand")
    assert template.name == "mine"
    assert template.render(True, QUERY) == Chat("", "Tell me about original name of mercury.")
    assert template.render(False, QUERY, [{"query": "a", "passage": "b"}]) == Text(
        "About a: b\nAbout original name of mercury:", ("\n",)
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("Tell me about {query}.", "Tell me."), "does not name {query}"),
        (("Tell me about {query}.", "{query} in {lang}"), "unknown variable {lang}"),
        (("{passage}", "{text}"), "unknown variable {text}"),
        (("[chat]", "[chart]"), "the table [chat] is missing"),
        (('stop = ["\\n"]', ""), "stop must be"),
        (("user =", "usr ="), 'unknown key "usr"'),
        (("{examples}", ""), "needs both {examples}"),
        (("{query}.", "{query."), "expected '}'"),
        (("[completion]", "[completion"), "mine.toml: "),
        (("{query}.", "{query:d}."), "{query:d} is not the name of a variable; write {query} alone"),
        (("{query}.", "{query!z}."), "{query!z} is not the name of a variable; write {query} alone"),
        (("{query}.", "{query:{language}}."), "{query:{language}} is not the name of a variable"),
        (("{query}.", "{query!r:>9}."), "{query!r:>9} is not the name of a variable"),
        (("{query}.", "{query.format} {query}"), "unknown variable {query.format}"),
        (("{query}.", "{query[0]} {query}"), "unknown variable {query[0]}"),
        (("{query}.", "{} {query}"), "unknown variable {}"),
        (("{passage}", "{passage:5}"), "{passage:5} is not the name of a variable"),
        (("[completion]", "example = 5\n[completion]"), "[chat] example must be a string"),
        (("[completion]", "system = true\n[completion]"), "[chat] system must be a string"),
        (('"Tell me about {query}."', "[1]"), "[chat] user must be a string"),
        (("[chat]", "shots = true\n[chat]"), "shots must be a whole number"),
        (("[chat]", f"description = {'[' * 5000}\n[chat]"), "nested too deep"),
        (("Tell", "T\udcff"), "not UTF-8 (byte"),
    ],
)
def test_a_prompt_file_with_a_mistake_is_refused_and_the_mistake_named(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(GOOD.replace(*change).encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError) as caught:
        prompts.load(str(path), "expand")
    assert "mine.toml" in str(caught.value)
    assert said in str(caught.value)


def test_the_built_in_examples_are_parallel_in_every_language() -> None:
    assert {len(examples.builtin(code)) for code in WITH_EXAMPLES} == {5}
    assert len(WITH_EXAMPLES) >= 54
    for code in WITH_EXAMPLES:
        for example in examples.builtin(code):
            assert set(example) == {"id", "query", "passage", "rationale", "rephrasing"}
            assert all(text.strip() == text != "" for text in example.values())
        assert [e["id"] for e in examples.builtin(code)] == ["1", "2", "3", "4", "5"]
    texts = [e["passage"] for code in LANGUAGES for e in examples.builtin(code)]
    assert len(set(texts)) == len(texts)


def write_examples(path: Path, count: int, **more: str) -> str:
    path.write_text("".join(f'{{"query": "q{i}", "passage": "p{i}"}}\n' for i in range(count)))
    return str(path)


def test_examples_of_a_file_are_chosen_by_seed_and_shown_alike_to_every_query(tmp_path: Path) -> None:
    path = write_examples(tmp_path / "e.jsonl", 30)
    chosen = examples.Chooser(path, 5, seed=1)(LANGUAGES["de"])
    assert len({e["query"] for e in chosen}) == 5
    assert examples.Chooser(path, 5, seed=1)(LANGUAGES["fr"]) == chosen
    assert examples.Chooser(path, 5, seed=2)(LANGUAGES["de"]) != chosen
    assert [e["query"] for e in examples.Chooser(path, 30)(LANGUAGES["de"])] == [f"q{i}" for i in range(30)]


def test_examples_with_a_language_are_shown_to_queries_in_it(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_text('{"query": "a", "passage": "b", "lang": "de"}\n{"query": "c", "passage": "d", "lang": "fr"}\n')
    assert [e["query"] for e in examples.Chooser(str(path), 1)(LANGUAGES["fr"])] == ["c"]
    with pytest.raises(InputError, match="0 examples for Russian"):
        examples.Chooser(str(path), 1)(LANGUAGES["ru"])


def test_too_few_or_bad_examples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--shots 9, but 5 examples"):
        examples.Chooser(write_examples(tmp_path / "five.jsonl", 5), 9)
    with pytest.raises(XqeError, match="--shots 9: there are 5 built-in examples"):
        examples.Chooser(None, 9)
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"query": "a", "passage": "b"}\n{"query": "a", "passage": " "}\n')
    with pytest.raises(InputError, match=r'bad.jsonl:2: missing "passage"'):
        examples.Chooser(str(bad), 2)


@pytest.mark.parametrize("source", WITH_EXAMPLES)
def test_translation_prompts_between_all_languages(source: str) -> None:
    record = {"id": "1", "query": "QQQ", "lang": source, "passages": ["PPP"]}
    for target in WITH_EXAMPLES:
        if target == source:
            continue
        names = (LANGUAGES[source].name, LANGUAGES[target].name)
        query, passage = Translate(FakeEngine(is_chat=False), LANGUAGES[target]).requests(record)
        for request, text in ((query, "QQQ"), (passage, "PPP")):
            assert isinstance(request.prompt, Text)
            assert request.prompt.text.endswith(f"\n\n{names[0]}: {text}\n{names[1]}:")
            assert request.prompt.text.startswith(f"{names[0]}: ")
            assert request.prompt.stop == ("\n",)
        assert examples.builtin(source)[0]["query"] in query.prompt.text  # type: ignore[union-attr]
        assert examples.builtin(target)[4]["query"] in query.prompt.text  # type: ignore[union-attr]
        assert examples.builtin(target)[2]["passage"] in passage.prompt.text  # type: ignore[union-attr]
        chat = Translate(FakeEngine(), LANGUAGES[target]).requests(record)[0].prompt
        assert isinstance(chat, Chat)
        assert f"from {names[0]} to {names[1]}" in chat.user
        assert chat.user.endswith("\n\nQQQ")
