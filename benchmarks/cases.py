"""What `generation.py` measures: a table of cases, and the records, prompts and options that each comes to.

The records are the questions and titles of the fixtures, the prompts those of xqe's own stages. The whole command gets
the records and its options, every other side the texts that the stage makes of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from bare import Ask

from xqe.models import prompts
from xqe.models.engines.base import Engine
from xqe.models.engines.requests import Request, Sampling
from xqe.models.examples import Chooser
from xqe.models.prompts import Chat, Template
from xqe.stages.expand import Expand
from xqe.stages.generation import Stage
from xqe.stages.translate import Translate
from xqe.text.languages import language

FIXTURES = Path(__file__).parent.parent / "fixtures"
NEVER = "\u2042\u2042\u2042"  # a stop string that no model writes
TOP_K, TOP_P = 64, 0.95
TARGET = "en"
OTHERS = 32  # queries beside those that are asked for


@dataclass(frozen=True, slots=True)
class Case:
    """A row of the table.

    share: of the queries that are asked for. languages: of the records, in turn. shots: worked examples in a prompt,
    None for the strategy's own number. from_documents: they are taken from a file made of the fixtures' documents,
    which has more than the five built-in ones. full_length: a text ends at its limit and nowhere else (a prompt file
    with a stop string that never comes). limits: most tokens of the texts, in turn, instead of the one limit; no
    option of the command says that. chat: needs a chat model.
    """

    name: str
    about: str
    verb: str = "expand"
    share: float = 1.0
    languages: tuple[str, ...] = ("en",)
    strategy: str = "zeroshot"
    shots: int | None = None
    from_documents: bool = False
    full_length: bool = False
    limits: tuple[int, ...] = ()
    temperature: float = 0.0
    samples: int = 1
    chat: bool = False

    @property
    def is_command(self) -> bool:
        return not self.limits


SHORT, LONG = "short prefix", "long prefix"
CASES = (
    Case(SHORT, "one worked example, every text as long as allowed", shots=1, full_length=True),
    Case(
        LONG,
        "the same queries and limits after twelve worked examples",
        strategy="fewshot",
        shots=12,
        from_documents=True,
        full_length=True,
    ),
    Case(
        "four pairs",
        "translation from four languages in turn, so four prefixes",
        verb="translate",
        languages=("de", "fr", "ja", "ru"),
    ),
    Case(
        "mixed lengths",
        "texts of 8 to 192 tokens side by side",
        shots=1,
        full_length=True,
        share=0.75,
        limits=(8, 192, 24, 48, 16, 128, 32, 12, 64, 8, 96, 24),
    ),
    Case("sampling", "four samples a query at temperature 0.7", share=0.25, temperature=0.7, samples=4),
    Case("chat model", "the prompt of a chat model, texts end by themselves", share=0.5, chat=True),
)


@dataclass(frozen=True, slots=True)
class Work:
    """A case made ready. asks: the texts, in order, for every side but xqe's. requests: the same for xqe's engine, by
    record. others: texts of the same kind that are not among them. command: arguments of xqe, without the model and
    how it is run; None where no options express the case."""

    case: Case
    asks: list[Ask]
    requests: list[list[Request]]
    others: list[Ask]
    command: list[str] | None

    @property
    def queries(self) -> int:
        return len(self.requests)


def prepared(case: Case, engine: Engine, folder: Path, queries: int, max_tokens: int) -> Work:
    """Write the files of a case into `folder` and make its prompts as the stage makes them."""
    folder.mkdir(parents=True, exist_ok=True)
    count = max(1, round(queries * case.share))
    records = list(islice(_records(case.languages), count + OTHERS))
    if count > len(records):
        raise SystemExit(f"the fixtures make {len(records)} queries for {case.name}, fewer than {count}")
    sampling = Sampling(case.temperature, TOP_P, TOP_K, repeat_penalty=1.0)
    stage, options = _MAKERS[case.verb](case, engine, folder, max_tokens, sampling)
    made = [stage.requests(record) for record in records]
    flat = [request for requests in made for request in requests]
    if case.limits:
        limits = (case.limits * (len(flat) // len(case.limits) + 1))[: len(flat)]
        flat = [replace(request, max_tokens=limit) for request, limit in zip(flat, limits, strict=True)]
        made = [[request] for request in flat]
    groups = [record["lang"] for record, requests in zip(records, made, strict=True) for _ in requests]
    asks = [_ask(engine, request, group) for request, group in zip(flat, groups, strict=True)]
    texts = sum(map(len, made[:count]))
    file = folder / "records.jsonl"
    file.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records[:count]), "utf-8")
    drawn = ["--temperature", str(case.temperature), "--top-k", str(TOP_K), "--top-p", str(TOP_P)]
    command = [case.verb, "--input", str(file), *options, *drawn, "--repeat-penalty", "1"]
    return Work(case, asks[:texts], made[:count], asks[texts:], command if case.is_command else None)


def _records(languages: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """The questions and then the titles of the fixtures, one language after the other in turn; and then two of a
    language joined, thousands of them."""
    single = [
        {"id": f"{kind}-{line['lang']}-{line['id']}", "query": line["query"], "lang": line["lang"]}
        for kind in ("questions", "titles")
        for lines in zip(*(_lines(FIXTURES / kind / f"{code}.jsonl") for code in languages), strict=True)
        for line in lines
    ]
    yield from single
    for apart in range(len(languages), len(single), len(languages)):
        for one, other in zip(single, single[apart:], strict=False):
            both = f"{one['query']} {other['query']}"
            yield {"id": f"{one['id']}+{other['id']}", "query": both, "lang": one["lang"]}


def _expand(case: Case, engine: Engine, folder: Path, max_tokens: int, sampling: Sampling) -> tuple[Stage, list[str]]:
    template = prompts.builtin(f"expand-{case.strategy}")
    options = ["--strategy", case.strategy]
    if case.full_length:
        prompt = _endless(template, folder)
        template, options = prompts.load(prompt, "expand"), ["--prompt", prompt]
    examples = _examples(case.languages, folder) if case.from_documents else None
    options += ["--examples", examples] if examples else []
    options += ["--shots", str(case.shots)] if case.shots else []
    options += ["--samples", str(case.samples), "--max-tokens", str(max_tokens)]
    choose = Chooser(examples, case.shots) if case.shots else None
    return Expand(engine, template, choose, case.samples, sampling, max_tokens), options


def _translate(
    _case: Case, engine: Engine, _folder: Path, max_tokens: int, sampling: Sampling
) -> tuple[Stage, list[str]]:
    options = ["--to", TARGET, "--max-tokens", str(max_tokens)]
    return Translate(engine, language(TARGET), sampling, max_tokens), options


_MAKERS = {"expand": _expand, "translate": _translate}


def _ask(engine: Engine, request: Request, group: str) -> Ask:
    """A request as any program would make it; no prompt spells out BOS, which every side puts in front itself."""
    text = engine.rendered(request.prompt).removeprefix("<bos>").removeprefix("<s>")
    stop = () if isinstance(request.prompt, Chat) else tuple(s for s in request.prompt.stop if s != NEVER)
    return Ask(text, request.max_tokens, stop, request.sampling.temperature, TOP_K, TOP_P, request.seed, group)


def _endless(template: Template, folder: Path) -> str:
    """A copy of a prompt for pretrained models, with a stop string that never comes."""
    form = {key: value for key, value in template.completion.items() if key != "stop"}
    lines = [f"[chat]\nuser = {_quoted('{query}')}", "[completion]"]
    lines += [f"{key} = {_quoted(value)}" for key, value in form.items()]
    path = folder / "endless.toml"
    path.write_text("\n".join([*lines, f"stop = [{_quoted(NEVER)}]", ""]), "utf-8")
    return str(path)


def _quoted(text: str) -> str:
    """A TOML string: what JSON writes is one."""
    return json.dumps(text, ensure_ascii=False)


def _examples(languages: tuple[str, ...], folder: Path) -> str:
    """Worked examples from the fixtures: the title of each document as the query, its text as the passage."""
    path = folder / "examples.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for code in languages:
            titles = _lines(FIXTURES / "titles" / f"{code}.jsonl")
            texts = {document["id"]: document["text"] for document in _lines(FIXTURES / "documents" / f"{code}.jsonl")}
            for title in titles:
                example = {"query": title["query"], "passage": texts[title["id"]], "lang": code}
                file.write(json.dumps(example, ensure_ascii=False) + "\n")
    return str(path)


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]
