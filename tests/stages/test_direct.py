"""Passages that are written in another language than the query's, with no translation step."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import Run, jsonl, records
from hypothesis import given
from hypothesis import strategies as st
from paper_prompts import PAPER_SYSTEM, PAPER_SYSTEM_FEWSHOT, PAPER_USER
from small_models import SAID, SAID_TOKENS

from xqe import cli
from xqe.errors import InputError, XqeError
from xqe.files.records import Document, Record
from xqe.models import examples, prompts
from xqe.models.engines.base import Engine
from xqe.models.engines.fake import FakeEngine
from xqe.models.engines.requests import Completion
from xqe.models.prompts import Chat, Text
from xqe.retrieval.choices import Use
from xqe.retrieval.lexical import Index, build, open_index
from xqe.retrieval.weighting import GREATEST_SHARE, LEAST_SHARE, Weighting, weighted_query
from xqe.stages.expand import Expand
from xqe.stages.generation import Answer, run
from xqe.stages.strategies import PAPER, Strategy
from xqe.stages.translate import Translate
from xqe.text.answers.parting import Parted
from xqe.text.languages import LANGUAGES

ENGLISH, GERMAN, RUSSIAN = LANGUAGES["en"], LANGUAGES["de"], LANGUAGES["ru"]
QUERY = {"id": "q7", "query": "Ursprung des Namens Merkur", "lang": "de"}
DONE = [Completion("The name Mercury.", "stop", 4)]


def prompt(strategy: Strategy, target: str | None, is_chat: bool, record: Record = QUERY) -> Chat | Text:
    stage = Expand(FakeEngine(is_chat=is_chat), strategy.template, target=LANGUAGES[target] if target else None)
    [request] = stage.requests(record)
    assert isinstance(request.prompt, Chat | Text)
    return request.prompt


def without_the_language(text: str) -> str:
    """A chat prompt without its line that names a language."""
    lines = text.split("\n")
    rest = [line for line in lines if "English" not in line]
    assert len(lines) - len(rest) == 1, "it is named in one line"
    return "\n".join(rest)


# ---------------------------------------------------------------- prompts


@pytest.mark.parametrize("strategy", list(PAPER_USER))
def test_a_chat_model_is_given_the_papers_strings_and_a_line_that_asks_for_the_language(strategy: Strategy) -> None:
    asked = prompt(strategy, "en", is_chat=True)
    assert isinstance(asked, Chat)
    assert asked.system == PAPER_SYSTEM
    assert without_the_language(asked.user) == PAPER_USER[strategy].replace("original name of mercury", QUERY["query"])


def test_few_shot_for_a_chat_model_shows_queries_in_one_language_and_passages_in_the_other() -> None:
    asked = prompt(Strategy.FEWSHOT, "en", is_chat=True)
    assert isinstance(asked, Chat)
    assert asked.system == PAPER_SYSTEM_FEWSHOT
    pairs = zip(examples.builtin("de"), examples.builtin("en"), strict=True)
    shown = "".join(f"Query: {german['query']}\nPassage: {english['passage']}\n" for german, english in pairs)
    assert without_the_language(asked.user) == (
        f"Please write a passage that answers the given query:\n{shown}Query: {QUERY['query']}\nPassage:"
    )


@pytest.mark.parametrize("strategy", PAPER)
@pytest.mark.parametrize(("source", "target"), [("de", "en"), ("ja", "ru"), ("en", "zh"), ("ar", "hi")])
def test_a_pretrained_model_is_shown_answers_in_the_language_it_is_to_write(
    strategy: Strategy, source: str, target: str
) -> None:
    asked = prompt(strategy, target, is_chat=False, record={"id": "1", "query": "QQQ", "lang": source})
    assert isinstance(asked, Text)
    there, here = examples.builtin(source), examples.builtin(target)
    shown = [number for number, example in enumerate(there) if f": {example['query']}\n" in asked.text]
    assert len(shown) == strategy.template.shots
    fields = {Strategy.COT: ["rationale", "passage"], Strategy.RAR: ["rephrasing", "passage"]}.get(
        strategy, ["passage"]
    )
    for number in shown:
        answer = " ".join(here[number][field] for field in fields)
        assert f": {there[number]['query']}\n" in asked.text
        assert f" in {LANGUAGES[target].name}: {answer}\n\n" in asked.text
    end = re.search(r"\w+: QQQ\n\w+ in (\w+):\Z", asked.text)
    assert end is not None
    assert end[1] == LANGUAGES[target].name
    assert asked.stop == ("\n",)
    plain = prompt(strategy, None, is_chat=False, record={"id": "1", "query": "QQQ", "lang": source})
    assert isinstance(plain, Text)
    named = re.sub(rf" in {LANGUAGES[target].name}(?=[:,. ])", "", asked.text)
    assert [line.split(":")[0] for line in named.split("\n")] == [line.split(":")[0] for line in plain.text.split("\n")]


@pytest.mark.parametrize("strategy", PAPER)
@pytest.mark.parametrize("is_chat", [True, False])
@pytest.mark.parametrize("spelling", ["en", "EN", "en-GB"])
def test_a_query_in_the_language_already_has_the_prompt_that_it_has_without(
    strategy: Strategy, is_chat: bool, spelling: str
) -> None:
    record = {"id": "1", "query": "original name of mercury", "lang": spelling}
    assert prompt(strategy, "en", is_chat, record) == prompt(strategy, None, is_chat, record)
    stage = Expand(FakeEngine(is_chat=is_chat), strategy.template, target=ENGLISH)
    asked = stage.requests(record)
    answers = [Answer(one, done, Parted(done.text)) for one, done in zip(asked, DONE, strict=True)]
    assert "passages_lang" not in stage.result(record, answers)


def test_finished_generations_are_found_again_where_the_query_is_in_the_language_already(xqe: Run, store: Path) -> None:
    query = jsonl({**QUERY, "lang": "en"})
    fake = ("expand", "--model", "fake", "--store", str(store))
    first, second = xqe(*fake, stdin=query), xqe(*fake, "--to", "en", stdin=query)
    assert ("0 reused" in first.stderr, "1 reused" in second.stderr) == (True, True)
    other = xqe(*fake, "--to", "fr", stdin=query)
    assert "0 reused" in other.stderr


OWN = """
[chat]
user = "Say something in {target_language} about {query}, which is {language}."
[completion]
text = "{examples}{language}: {query}\\n{target_language}:"
example = "{language}: {query}\\n{target_language}: {passage}\\n"
stop = ["\\n"]
"""


def own(tmp_path: Path, text: str) -> prompts.Template:
    path = tmp_path / "own.toml"
    path.write_text(text)
    return prompts.load(str(path), "expand")


def test_a_prompt_of_the_users_names_the_language(tmp_path: Path) -> None:
    template = own(tmp_path, OWN)
    [asked] = Expand(FakeEngine(), template, target=ENGLISH).requests(QUERY)
    assert asked.prompt == Chat("", f"Say something in English about {QUERY['query']}, which is German.")
    [plain] = Expand(FakeEngine(), template).requests(QUERY)
    assert plain.prompt == Chat("", f"Say something in German about {QUERY['query']}, which is German.")
    [asked] = Expand(FakeEngine(is_chat=False), template, target=ENGLISH).requests(QUERY)
    pairs = zip(examples.builtin("de"), examples.builtin("en"), strict=True)
    shown = "".join(f"German: {german['query']}\nEnglish: {english['passage']}\n" for german, english in pairs)
    assert asked.prompt == Text(f"{shown}German: {QUERY['query']}\nEnglish:", ("\n",))


def test_a_form_for_another_language_has_what_it_does_not_say_from_the_other(tmp_path: Path) -> None:
    text = """
    [chat]
    system = "Be brief."
    user = "{query}?"
    [completion]
    text = "{query}:"
    stop = ["\\n"]
    [direct.chat]
    user = "{query}? In {target_language}."
    [direct.completion]
    text = "{query} ({target_language}):"
    """
    template = own(tmp_path, text)
    stage = Expand(FakeEngine(), template, target=ENGLISH)
    assert stage.requests(QUERY)[0].prompt == Chat("Be brief.", f"{QUERY['query']}? In English.")
    assert stage.requests({**QUERY, "lang": "en"})[0].prompt == Chat("Be brief.", f"{QUERY['query']}?")
    continued = Expand(FakeEngine(is_chat=False), template, target=ENGLISH).requests(QUERY)[0].prompt
    assert continued == Text(f"{QUERY['query']} (English):", ("\n",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (OWN.replace(" in {target_language}", ""), "the prompt own does not name {target_language} in [chat]"),
        (OWN.replace('\\n{target_language}:"\nex', ':"\nex'), "does not name {target_language} in [completion]"),
        (OWN + '[direct.chat]\nuser = "{query}"\n', "the table [direct.completion] is missing"),
        (OWN + '[direct]\nuser = "{query}"\n', 'own.toml: [direct]: unknown key "user"'),
        (OWN + '[direct.chat]\nuser = "{query}"\n[direct.completion]\n', "not name {target_language} in [direct.chat]"),
        (
            OWN + '[direct.chat]\nuser = "a"\n[direct.completion]\n',
            "own.toml: [direct.chat] user does not name {query}",
        ),
        (OWN + "direct = 3\n[direct.completion]\n", "own.toml"),
    ],
)
def test_a_prompt_that_leaves_the_language_open_is_refused_in_one_line(
    xqe: Run, tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    done = xqe("expand", "--to", "en", "--prompt", str(path), "--model", "none-such", stdin=jsonl(QUERY))
    assert done.returncode == 2
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert said in line


# ---------------------------------------------------------------- worked examples of the user's


def write(path: Path, *lines: dict[str, str]) -> str:
    path.write_text(jsonl(*lines))
    return str(path)


MIXED = (
    {"query": "deutsch", "passage": "english", "lang": "de", "passage_lang": "en"},
    {"query": "deutsch", "passage": "deutsch", "lang": "de"},
    {"query": "english", "passage": "english", "lang": "en"},
    {"query": "any", "passage": "english", "passage_lang": "en"},
    {"query": "any", "passage": "alike"},
)


@pytest.mark.parametrize(
    ("asked", "written", "shown"),
    [
        ("de", "en", ["deutsch/english", "any/english"]),
        ("de", None, ["deutsch/deutsch", "any/alike"]),
        ("en", "en", ["english/english", "any/english", "any/alike"]),
        ("ru", "en", ["any/english"]),
        ("ru", None, ["any/alike"]),
        ("de", "ru", []),
    ],
)
def test_examples_are_those_of_both_languages(
    tmp_path: Path, asked: str, written: str | None, shown: list[str]
) -> None:
    path = write(tmp_path / "e.jsonl", *MIXED)
    arguments = (LANGUAGES[asked], LANGUAGES[written] if written else None)
    if shown:
        found = examples.Chooser(path, len(shown))(*arguments)
        assert [f"{example['query']}/{example['passage']}" for example in found] == shown
    with pytest.raises(InputError, match=f"but {len(shown)} examples for {LANGUAGES[asked].name} queries"):
        examples.Chooser(path, len(shown) + 1)(*arguments)


def test_examples_in_the_wrong_language_are_refused_before_a_model_is_loaded(xqe: Run, tmp_path: Path) -> None:
    for example in (MIXED[1], MIXED[4]):
        path = write(tmp_path / "e.jsonl", example)
        done = xqe(
            "expand", "-s", "fewshot", "--to", "en", "--examples", path, "--shots", "1", "--model", "none-such",
            stdin=jsonl(QUERY),
        )  # fmt: skip
        assert done.returncode == 2
        [line] = done.stderr.splitlines()
        assert "e.jsonl: no example says that its passage is in English; " in line
    unknown = write(tmp_path / "e.jsonl", {**MIXED[0], "passage_lang": "tlhx"})
    with pytest.raises(XqeError, match=r'e.jsonl:1: unknown language "tlhx"'):
        examples.Chooser(unknown, 1)


def test_examples_of_a_file_are_shown(xqe: Run, tmp_path: Path) -> None:
    path = write(tmp_path / "e.jsonl", *MIXED)
    arguments = ("expand", "-s", "fewshot", "--to", "en", "--examples", path, "--shots", "2", "--model", "fake")
    shown = xqe(*arguments, "--show-prompt", stdin=jsonl(QUERY))
    assert "Query: deutsch\nPassage: english\nQuery: any\nPassage: english\nQuery: Ursprung" in shown.stdout


# ---------------------------------------------------------------- the record, and what later stages do with it


def test_the_record_keeps_its_query_and_says_what_language_the_passages_are_in(xqe: Run) -> None:
    done = xqe("expand", "-s", "rar", "--to", "en", "--model", "fake", stdin=jsonl(QUERY))
    [record] = records(done)
    assert done.returncode == 0
    assert {name: record[name] for name in QUERY} == QUERY
    assert record["passages_lang"] == "en"
    assert record["source"] == {"query": QUERY["query"], "lang": "de"}
    [step] = record["steps"]
    assert list(step)[:3] == ["step", "strategy", "to"]
    assert step.items() >= {"step": "expand", "strategy": "rar", "to": "en", "model": "fake"}.items()
    [again] = records(xqe("expand", "--model", "fake", stdin=done.stdout))
    assert "passages_lang" not in again, "these are in the language of the query"
    assert "to" not in again["steps"][1]


class Marking(FakeEngine):
    """Answers with the subject in brackets, so that it shows what was asked for."""

    def _answer(self, request):  # type: ignore[no-untyped-def]
        return Completion(f"[{request.subject}]", "stop", 1)


def translated(record: Record, target: str, engine: Engine | None = None) -> Record:
    [out] = run(Translate(engine or Marking(), LANGUAGES[target]), engine or Marking(), [record])
    return out


def test_translating_leaves_passages_alone_that_are_in_the_language_already() -> None:
    out = translated({**QUERY, "query": "drei", "passages": ["one", "two"], "passages_lang": "en"}, "en")
    assert (out["query"], out["lang"], out["passages"]) == ("[drei]", "en", ["one", "two"])
    assert "passages_lang" not in out, "query and passages are in one language now"
    [step] = out["steps"]
    assert step.items() >= {"from": "de", "to": "en", "max_tokens": 64}.items()
    assert "passages_from" not in step


def test_each_text_is_translated_from_its_own_language() -> None:
    record = {**QUERY, "query": "drei", "passages": ["one", "two"], "passages_lang": "en"}
    out = translated(record, "ru")
    assert (out["query"], out["lang"], out["passages"]) == ("[drei]", "ru", ["[one]", "[two]"])
    assert out["steps"][0].items() >= {"from": "de", "passages_from": "en", "to": "ru"}.items()
    first, *others = Translate(FakeEngine(), RUSSIAN).requests(record)
    assert "from German to Russian" in first.prompt.user  # type: ignore[union-attr]
    assert all("from English to Russian" in request.prompt.user for request in others)  # type: ignore[union-attr]


def test_only_passages_are_translated_where_the_query_is_in_the_language_already() -> None:
    out = translated({**QUERY, "query": "drei", "passages": ["one", "two"], "passages_lang": "en"}, "de")
    assert (out["query"], out["lang"], out["passages"]) == ("drei", "de", ["[one]", "[two]"])
    assert out["steps"][0].items() >= {"from": "en", "to": "de", "max_tokens": {"passage": 384}}.items()


CODES = st.sampled_from(["de", "en", "ru"])
WORDS = st.text("abcäжя水", min_size=1, max_size=8)


@given(CODES, CODES, st.none() | CODES, WORDS, st.lists(WORDS, max_size=3))
def test_translating_leaves_nothing_in_another_language_and_touches_nothing_in_the_target(
    target: str, spoken: str, written: str | None, query: str, passages: list[str]
) -> None:
    record: Record = {"id": "1", "query": query, "lang": spoken, "passages": passages}
    if written:
        record["passages_lang"] = written
    out = translated(record, target)
    others = written or spoken
    assert out["query"] == (query if spoken == target else f"[{query}]")
    assert out["passages"] == [text if others == target else f"[{text}]" for text in passages]
    if "steps" in out:
        assert out["lang"] == out.get("passages_lang", target) == target
    else:
        assert out == record


def test_direct_generation_then_translation_is_one_pipe(xqe: Run) -> None:
    directly = xqe("expand", "--to", "en", "--model", "fake", stdin=jsonl(QUERY))
    done = xqe("translate", "--to", "en", "--model", "fake", stdin=directly.stdout)
    [before], [after] = records(directly), records(done)
    assert done.returncode == 0
    assert after["passages"] == before["passages"]
    assert (after["query"] != QUERY["query"], after["lang"]) == (True, "en")
    assert [step["step"] for step in after["steps"]] == ["expand", "translate"]
    assert "1 generated" in done.stderr, "the passage is not translated"


def test_a_language_of_passages_that_is_no_string_is_bad_input(xqe: Run) -> None:
    bad = jsonl({**QUERY, "passages_lang": 3})
    done = xqe("translate", "--to", "en", "--model", "fake", stdin=bad)
    assert done.returncode == 2
    assert '<stdin>:1: "passages_lang" is not a string' in done.stderr
    unknown = xqe(
        "translate", "--to", "en", "--model", "fake", stdin=jsonl({**QUERY, "passages": ["p"], "passages_lang": "x"})
    )
    assert unknown.returncode == 1
    assert 'unknown language "x"' in records(unknown)[0]["error"]["message"]


# ---------------------------------------------------------------- search

PASSAGE = " ".join(f"word{number}" for number in range(40))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    path = tmp_path_factory.mktemp("direct") / "ix"
    texts = ["metal ship", "metal", "harbour sun", *(f"filler word{n}" for n in range(40))]
    build(path, "zh", [(f"t:{n}", Document(f"d{n}", text)) for n, text in enumerate(texts, 1)])
    return open_index(path)


def share(index: Index, record: Record) -> float:
    """Of the query in all weight; the passages have none of its words."""
    weights = weighted_query(record, index, Weighting(), "here").weights
    return sum(weights[term] for term in index.analyzer.terms(record["query"])) / sum(weights.values())


def test_an_automatic_weight_does_not_take_another_language_for_another_subject(index: Index) -> None:
    record = {"id": "q", "query": "metal ship", "lang": "de", "passages": [PASSAGE]}
    assert share(index, record) == pytest.approx(GREATEST_SHARE)
    assert share(index, {**record, "passages_lang": "de"}) == pytest.approx(GREATEST_SHARE)
    assert share(index, {**record, "passages_lang": "zh"}) == pytest.approx(LEAST_SHARE)
    given = weighted_query({**record, "passages_lang": "zh"}, index, Weighting(query_weight=2.0), "here")
    assert given.weights["metal"] == 2.0, "a weight that is named is that one"


def test_passages_alone_are_searched_whatever_the_language_of_the_query(index: Index) -> None:
    record = {"id": "q", "query": "Metall", "lang": "de", "passages": ["metal ship"], "passages_lang": "zh"}
    found = weighted_query(record, index, Weighting(Use.DOC), "here")
    assert dict(found.weights) == {"metal": 1.0, "ship": 1.0}


# ---------------------------------------------------------------- the commands that do several steps


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("trace")
    documents = folder / "documents.jsonl"
    documents.write_text(jsonl({"id": "d1", "text": "the planet mercury"}, {"id": "d2", "text": "a harbour"}))
    assert cli.run(["index", str(folder / "ix"), "--lang", "en", "-i", str(documents)]) == 0
    return str(folder / "ix")


def trace(capsys: pytest.CaptureFixture[str], *arguments: str) -> Record:
    capsys.readouterr()
    assert cli.run(["trace", *arguments, "--model", "fake"]) == 0
    record: Record = json.loads(capsys.readouterr().out)
    return record


def test_trace_writes_passages_directly_with_that_order(
    english: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ("mercury", "--lang", "de", "--index", english, "--to", "en", "-s", "zeroshot")
    record = trace(capsys, *arguments, "--order", "direct")
    assert [step["step"] for step in record["steps"]] == ["expand"]
    assert record["steps"][0]["to"] == "en"
    assert (record["query"], record["lang"], record["passages_lang"]) == ("mercury", "de", "en")
    assert record["index"]["query_weight"] == pytest.approx(
        weighted_query(record, open_index(Path(english)), Weighting(), "here").query_weight
    )
    path = tmp_path / "direct.jsonl"
    kept = {key: record[key] for key in ("id", "query", "lang", "passages", "passages_lang", "steps", "source")}
    path.write_text(jsonl(kept))
    [texts] = [
        step["texts"] for step in trace(capsys, "-i", str(path), "--index", english, "--to", "en")["trace"]["steps"]
    ]
    assert [text["field"] for text in texts] == ["query"]
    path.write_text(jsonl({**kept, "lang": "en", "passages_lang": "de"}))
    after = trace(capsys, "-i", str(path), "--index", english, "--to", "en")
    [texts] = [step["texts"] for step in after["trace"]["steps"]]
    assert [(text["field"], text["text"]) for text in texts] == [("passage", after["passages"][0])]


def test_trace_shows_in_what_language_passages_were_written(english: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["trace", "mercury", "--lang", "de", "--index", english, "--to", "en", "-s", "rar", "--order", "direct"]
    assert cli.run([*arguments, "--model", "fake", "--format", "text"]) == 0
    assert "rar · in English" in capsys.readouterr().out.replace(", ", " · ")


def test_a_batch_asks_for_passages_in_the_language(xqe: Run) -> None:
    options = ("-s", "zeroshot", "--to", "en", "--model", "openai:m")
    done = xqe("batch", "export", *options, stdin=jsonl(QUERY))
    assert done.returncode == 0
    assert "Write the passage in English." in done.stdout
    assert records(done)[0]["body"]["messages"][-1]["content"].startswith("Please write a passage to answer")


@pytest.mark.parametrize("command", [("expand",), ("batch", "export", "-s", "rar")])
def test_an_unknown_language_is_one_line(xqe: Run, command: tuple[str, ...]) -> None:
    done = xqe(*command, "--to", "xx", "--model", "openai:m", stdin=jsonl(QUERY))
    assert done.returncode == 2
    assert done.stderr.startswith('xqe: --to: unknown language "xx"; give a code of ISO 639')
    assert done.stderr.count("\n") == 1


# ---------------------------------------------------------------- a model of llama.cpp


def test_a_model_is_asked_in_the_end_for_the_language_and_what_it_writes_is_taken_for_it(
    xqe: Run, certain_path: Path
) -> None:
    """Whether a model obeys is for `make bench-writing` to say."""
    queries = [
        {"id": "1", "query": "Die Hauptstadt von Frankreich", "lang": "de"},
        {"id": "2", "query": "フランスの首都", "lang": "ja"},
    ]
    arguments = ("expand", "--to", "ru", "--model", str(certain_path), "--max-tokens", "16")
    done = xqe(*arguments, stdin=jsonl(*queries))
    for query, record in zip(queries, records(done), strict=True):
        assert {field: record[field] for field in query} == query
        assert (record["passages"], record["passages_lang"]) == ([SAID], "ru")
        assert record["steps"][0].items() >= {"to": "ru", "finish": "stop", "tokens": SAID_TOKENS}.items()
        shown = xqe(*arguments, "--show-prompt", stdin=jsonl(query)).stdout
        assert shown.startswith("<s>Please write a passage in Russian to answer the question.\n")
        assert shown.endswith(f"\nQuestion: {query['query']}\nPassage in Russian:\n")
