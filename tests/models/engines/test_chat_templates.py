"""Chat templates, beside what transformers makes of them.

Those of `chat_templates/` were written for these tests, one a family of models, with what that family's own is made of:
they are shorter, but have its turns and tokens, and whatever of Jinja and of transformers' environment it relies on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import ROOT
from transformers.utils.chat_template_utils import render_jinja_template

from xqe.errors import ModelError
from xqe.models.engines.llama import rendering
from xqe.models.engines.llama.chat import ChatTemplate, Form
from xqe.models.prompts import Chat

SYSTEM, USER = "You translate.\n", ' <Zinkpreise> & "Überraschung"? it\'s {{ 7 * 7 }} 价格\n\nAntwort:'
TURNS = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]
NO_TOKENS: Mapping[str, str] = {}
ANSWERED = [*TURNS, {"role": "assistant", "content": "zinc prices"}]


class Family(NamedTuple):
    """A family's template. file: its name. tokens: BOS and EOS. merged: it has no system turn, and the user's has its
    text. parts: it wants content as a list of parts."""

    file: str
    tokens: tuple[str, str] = ("<s>", "</s>")
    merged: bool = False
    parts: bool = False

    def source(self) -> str:
        return (Path(__file__).parent / "chat_templates" / f"{self.file}.jinja").read_text("utf-8")


FAMILIES = {
    "Qwen 2, 2.5; SmolLM2": Family("chatml"),
    "Qwen3": Family("qwen3"),
    "QwQ": Family("qwq"),
    "Llama 2": Family("llama2"),
    "Llama 3.1, 3.3": Family("llama31", ("<|begin_of_text|>", "<|eot_id|>")),
    "Llama 3.2 Vision": Family("llama32_vision", ("<|begin_of_text|>", "<|eot_id|>")),
    "Mistral 7B v0.1": Family("mistral1", merged=True),
    "Mistral v3": Family("mistral3"),
    "Mistral Small (Tekken)": Family("mistral_tekken"),
    "Pixtral": Family("pixtral", merged=True, parts=True),
    "Gemma 1, 2": Family("gemma2", ("<bos>", "<eos>"), merged=True),
    "Gemma 3": Family("gemma3", ("<bos>", "<eos>")),
    "Aya, Command R": Family("aya", ("<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>")),
    "Command A": Family("command_a", ("<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>")),
    "DeepSeek V2, V3": Family("deepseek", ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>")),
    "DeepSeek R1": Family("deepseek_r1", ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>")),
    "DeepSeek V3.1": Family("deepseek_v31", ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>")),
    "Phi-3": Family("phi3"),
    "Phi-4": Family("phi4"),
    "SmolLM3": Family("smollm3"),
    "SmolVLM": Family("smolvlm", parts=True),
    "Granite 3": Family("granite3"),
    "OLMo 2": Family("olmo2", ("<|endoftext|>", "<|endoftext|>")),
    "Falcon3": Family("falcon3"),
    "EuroLLM; InternLM2": Family("eurollm"),
    "GLM-4": Family("glm4"),
    "GLM-4.5": Family("glm45"),
    "Yi": Family("yi"),
    "EXAONE": Family("exaone"),
    "gpt-oss": Family("gpt_oss"),
    "Kimi K2": Family("kimi"),
    "MiniCPM": Family("minicpm"),
    "Jamba": Family("jamba"),
    "Baichuan 2": Family("baichuan", merged=True),
    "Zephyr, StableLM": Family("zephyr"),
    "Vicuna": Family("vicuna"),
    "Nemotron": Family("nemotron"),
    "Seed-OSS": Family("seed_oss"),
}
CHATML, GEMMA2 = Family("chatml").source(), Family("gemma2").source()


class Here(ChatTemplate):
    """A template that is rendered in this process: what is rendered is the same, and no process has to be started."""

    _render: Callable[..., str] | None = None

    def _ask(self, asked: dict[str, Any]) -> dict[str, str]:
        try:
            self._render = self._render or rendering.renderer(**self._begun)
            self._process = self._process or object()  # type: ignore[assignment]
            return {"text": self._render(**asked)}
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}

    def close(self) -> None:
        """Nothing was started."""


@pytest.fixture
def made() -> Iterator[Callable[[str], ChatTemplate]]:
    """Makes templates as xqe does, and closes them."""
    opened: list[ChatTemplate] = []

    def make(source: str) -> ChatTemplate:
        opened.append(ChatTemplate(source, {"bos_token": "<s>"}, "some.gguf"))
        return opened[-1]

    yield make
    for template in opened:
        template.close()


def expected(
    source: str, turns: list[dict[str, Any]], tokens: Mapping[str, str] = NO_TOKENS, answered: bool = False
) -> str:
    texts, _ = render_jinja_template(
        [turns], chat_template=source, add_generation_prompt=not answered, enable_thinking=False, **tokens
    )
    return str(texts[0])


def as_the_family_takes_them(family: Family, turns: list[dict[str, str]]) -> list[dict[str, Any]]:
    if family.merged:
        user = {"role": "user", "content": f"{turns[0]['content']}\n\n{turns[1]['content']}"}
        turns = [user, *turns[2:]]
    if family.parts:
        return [{**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in turns]
    return list(turns)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_familys_prompt_is_what_transformers_makes_of_its_template(name: str) -> None:
    family = FAMILIES[name]
    source, tokens = family.source(), dict(zip(("bos_token", "eos_token"), family.tokens, strict=True))
    template = Here(source, tokens, name)
    theirs = expected(source, as_the_family_takes_them(family, TURNS), tokens)
    assert template.render(Chat(SYSTEM, USER)) == theirs
    assert USER.strip() in theirs
    assert SYSTEM.strip() in theirs
    alone = as_the_family_takes_them(family._replace(merged=False), TURNS[1:])
    assert template.render(Chat("", USER)) == expected(source, alone, tokens)
    whole = as_the_family_takes_them(family, ANSWERED)
    assert template.render_turns(ANSWERED, answered=True) == expected(source, whole, tokens, answered=True)


def test_the_documentation_names_these_families() -> None:
    page = (ROOT / "docs" / "templates.md").read_text("utf-8")
    rows = re.findall(r"^\| ([^|]+) \|.*\| yes \|$", page, re.MULTILINE)
    assert sorted(rows) == sorted(FAMILIES)


IN_TEMPLATES = {
    "tojson": "{{ messages | tojson }}",
    "tojson that escapes": "{{ messages | tojson(ensure_ascii=true, sort_keys=true) }}",
    "tojson in another form": "{{ {'b': 'ü', 'a': ['<&>']} | tojson(indent=4, separators=(',', ' : ')) }}",
    "tools and documents": "{{ tools }} {{ tools is defined }} {{ documents is none }} {{ nothing is defined }}",
    "loop controls": "{% for i in range(9) %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}"
    "{% if i > 3 %}{% break %}{% endif %}{% endfor %}",
    "the date": "{{ strftime_now('%Y-%m-%d') }}",
    "a namespace": "{% set ns = namespace(self=1, a='x') %}"
    "{% for i in 'abc' %}{% set ns.a = ns.a ~ i %}{% endfor %}{{ ns.a }}",
    "blocks on lines of their own": "a\n  {% if true %}\n  b\n  {% endif %}\nc\n",
    "generation, its scope": "{% set a = 1 %}{% generation %}{% set a = 2 %}{{ a }}{% endgeneration %}{{ a }}",
    "generation, trimmed": "x {%- generation -%} y {% endgeneration %}\nz",
    "a token that there is none of": "[{{ pad_token }}]",
    "dict": "{{ dict(a=1) | tojson }}",
}


@pytest.mark.parametrize("name", IN_TEMPLATES)
def test_what_templates_find_is_what_transformers_gives_them(name: str) -> None:
    source = IN_TEMPLATES[name]
    ours = rendering.renderer(source, {"bos_token": "<s>"})(TURNS, True)
    assert ours == expected(source, TURNS, {"bos_token": "<s>"})


NO_TURNS = "<|im_start|>user\n"
BROKEN = {
    "{{ 1/0 }}": "ZeroDivisionError: division by zero",
    "{{ messages + 1 }}": "TypeError: can only concatenate list",
    "{% for i in range(10**9) %}{{ i }}{% endfor %}": "OverflowError: Range too big",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}": "RecursionError: maximum recursion depth exceeded",
    "{{ raise_exception('turns must\nalternate') }}": "TemplateError: turns must alternate",
    "{{ nothing.attribute }}": "UndefinedError: 'nothing' is undefined",
    "{% unknown %}": "TemplateSyntaxError: Encountered unknown tag 'unknown'",
    "{% for m in messages %}{{ m.content }}": "TemplateSyntaxError: Unexpected end of template",
    "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}": "RecursionError: maximum recursion depth exceeded",
    "{% include 'other' %}": "TypeError: no loader for this environment",
    "{{ ''.__class__.__mro__ }}": "SecurityError: access to attribute '__class__'",
    "{% set ns = namespace() %}{% set ns._a = 1 %}": "SecurityError: a namespace takes no _a",
    "{{ lipsum(n=10**7) }}": "UndefinedError: 'lipsum' is undefined",
    "{% set c = cycler(1) %}{{ joiner() }}": "UndefinedError: 'cycler' is undefined",
    "{% for i in range(99999) %}{{ 'a' * 9999 }}{% endfor %}": "ValueError: it writes more than",
    NO_TURNS: "leaves out the user's text",
    "{{ messages }}": "leaves out the user's text",  # as Python writes them
    "{% for m in messages %}{{ m.content[:40] }}{% endfor %}": "leaves out the user's text",
    "{% for m in messages %}{{ m.content | e }}{% endfor %}": "leaves out the user's text",
}


@pytest.mark.parametrize("source", BROKEN)
def test_a_template_that_cannot_be_used_is_refused_in_one_line_that_names_the_model(source: str) -> None:
    with pytest.raises(ModelError, match="the chat template of some") as raised:
        Here(source, {}, "some.gguf")
    assert BROKEN[source] in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 350


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "it takes too long"),
        ("{{ 'a' * 10**9 }}", "MemoryError"),
    ],
)
def test_a_template_without_end_or_measure_is_refused(
    source: str, reason: str, made: Callable[[str], ChatTemplate]
) -> None:
    with pytest.raises(ModelError, match=f"the chat template of some.gguf cannot be used .*{reason}"):
        made(source)


def test_a_process_that_has_ended_is_started_anew(made: Callable[[str], ChatTemplate]) -> None:
    """Here by a power, one call that nothing in Python could interrupt. The one prompt is lost."""
    endless = "{% if 'forever' in messages[1]['content'] %}{{ 10 ** (10 ** 9 * messages|length) }}{% endif %}"
    template = made(endless + CHATML)
    before = template.render(Chat(SYSTEM, USER))
    with pytest.raises(ModelError, match="it takes too long"):
        template.render(Chat(SYSTEM, "forever"))
    assert template.render(Chat(SYSTEM, USER)) == before == expected(CHATML, TURNS)


def test_a_template_that_leaves_out_what_one_record_says_fails_for_that_record() -> None:
    template = Here(GEMMA2.replace("| trim", "| trim | replace('zinc', '')"), {"bos_token": "<bos>"}, "some.gguf")
    assert "tin prices" in template.render(Chat("", "tin prices"))
    with pytest.raises(ModelError, match=r"the chat template of some\.gguf leaves out the user's text"):
        template.render(Chat("", "zinc prices"))


def test_the_form_that_asks_least_of_the_prompts_is_taken() -> None:
    """One that takes content as a text and as parts is given texts, and one with a system turn has it."""
    both = FAMILIES["Llama 3.2 Vision"].source()
    assert Here(both, {"bos_token": "<s>"}, "some.gguf")._form == Form(parts=False, merged=False)
