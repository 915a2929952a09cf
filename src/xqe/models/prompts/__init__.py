"""Prompts are data: one TOML file a task, for chat models and for pretrained ones, validated strictly.

A file holds `description`, perhaps `shots` and `has_parts`; a table `[chat]` with `system` and `user` turns; and a
table `[completion]` with the `text` that a pretrained model continues and the strings at which it must `stop`. Where a
text shows worked examples it says `{examples}`, and `example` is the form of each. Which variables a text may name is
fixed by its task (`TASKS`); one that is unknown, or one that is needed and missing, is an error that names it.
`has_parts` says that an answer has parts with labels ("Rationale: … Answer: …"), all of which are wanted.

A prompt for expansion may have `[direct.chat]` and `[direct.completion]`, forms for an answer in another language than
the query's; what these do not say is as in `[chat]` and `[completion]`. Whichever is used for that must name
`{target_language}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xqe.errors import InputError, XqeError
from xqe.files import toml

EXAMPLES = "examples"
DEFAULT_SHOTS = 5
_SEE = "see docs/cli.md, prompt files"


@dataclass(frozen=True, slots=True)
class Task:
    """What prompts of one kind must say, what their texts and worked examples may name, and whether they may have forms
    for an answer in another language."""

    required: frozenset[str]
    variables: frozenset[str]
    example_variables: frozenset[str]
    has_direct: bool = False


TARGET = "target_language"
_LANGUAGES = frozenset({"source_language", TARGET})
_ANSWERED = frozenset({"language", TARGET})
_WORKED = frozenset({"query", "passage", "rationale", "rephrasing"})
_SAID = frozenset({"query", "documents", "question", "answer", "language"})
TASKS = {
    "answer": Task(frozenset({"query", "documents"}), _SAID | {"instruction", "refusal", "opening"}, _SAID | {"text"}),
    "expand": Task(frozenset({"query"}), frozenset({"query"}) | _ANSWERED, _WORKED | _ANSWERED, has_direct=True),
    "translate": Task(
        frozenset({"text"}), frozenset({"text"}) | _LANGUAGES, frozenset({"source", "target"}) | _LANGUAGES
    ),
    "likelihood": Task(frozenset({"document"}), frozenset({"document", "language"}), frozenset()),
    "question": Task(
        frozenset({"document", TARGET}),
        frozenset({"document"}) | _ANSWERED,
        frozenset({"query", "passage"}) | _ANSWERED,
    ),
    "ranking": Task(
        frozenset({"query", "documents"}), frozenset({"query", "documents", "count", "language"}), frozenset()
    ),
    "relevance": Task(frozenset({"query", "document"}), frozenset({"query", "document", "language"}), frozenset()),
}


@dataclass(frozen=True, slots=True)
class Chat:
    """A system and a user turn, to be rendered by the model's own chat template."""

    system: str
    user: str


@dataclass(frozen=True, slots=True)
class Text:
    """A text to be continued by a pretrained model, up to the first of the `stop` strings."""

    text: str
    stop: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """A query and a document, which a cross-encoder reads together, without words around them."""

    query: str
    document: str

    @property
    def text(self) -> str:
        """Both in one, which no other pair has."""
        return json.dumps([self.query, self.document], ensure_ascii=False)

    @property
    def stop(self) -> tuple[str, ...]:
        return ()


Prompt = Chat | Text | Pair


@dataclass(frozen=True, slots=True)
class Template:
    """One prompt file. `render` fills it for a chat model or for a pretrained one; where it shows worked examples,
    it shows `shots` of them unless the user asks for another number. direct: the prompt for an answer in another
    language than the query's, where that is another one. has_parts: the answer has parts with labels of their own."""

    name: str
    description: str
    chat: Mapping[str, str]
    completion: Mapping[str, Any]
    shots: int = DEFAULT_SHOTS
    direct: Template | None = None
    has_parts: bool = False

    def across(self) -> Template:
        """The prompt for an answer in another language than the query's. Raises XqeError if it does not name that."""
        template = self.direct or self
        forms = {
            "chat": (template.chat["system"], template.chat["user"]),
            "completion": (template.completion["text"],),
        }
        for form, texts in forms.items():
            if not any(TARGET in _variables(text) for text in texts):
                place = f"direct.{form}" if self.direct else form
                raise XqeError(
                    f"the prompt {self.name} does not name {{{TARGET}}} in [{place}]",
                    "without it the model is not told which language to write with --to",
                )
        return template

    def shows_examples(self, chat: bool) -> bool:
        """True if the form for chat models (or the one for pretrained models) contains worked examples."""
        return "example" in (self.chat if chat else self.completion)

    def example_fields(self, chat: bool) -> frozenset[str]:
        """The fields that each worked example must have; empty where none are shown."""
        form = self.chat if chat else self.completion
        return _WORKED.intersection(_variables(form.get("example", "")))

    def render(self, chat: bool, variables: Mapping[str, str], examples: Sequence[Mapping[str, str]] = ()) -> Prompt:
        """Return the prompt with `variables` filled in and every one of `examples` shown, in their order."""
        form = self.chat if chat else self.completion
        shown = (
            "".join(form["example"].format_map({**variables, **example}) for example in examples)
            if "example" in form
            else ""
        )
        values = {**variables, EXAMPLES: shown}
        if chat:
            return Chat(self.chat["system"].format_map(values), self.chat["user"].format_map(values))
        return Text(self.completion["text"].format_map(values), tuple(self.completion["stop"]))


class _Pairing(Template):
    """The prompt of cross-encoders, which has a form for both."""

    def render(self, chat: bool, variables: Mapping[str, str], examples: Sequence[Mapping[str, str]] = ()) -> Prompt:
        return Pair(variables["query"], variables["document"])


PAIR = _Pairing("pair", "A query and a document as they are, for a cross-encoder.", {}, {})


def builtin(name: str) -> Template:
    """Return a prompt of xqe's own, "expand-zeroshot" for example."""
    return load(str(Path(__file__).parent / f"{name}.toml"), name.split("-")[0])


def chosen(given: str | None, name: str) -> Template:
    """The prompt that is given: one of xqe's own, by its name, that does what `name` does, or a file; by default the
    one of that name."""
    is_own = given is not None and given.split("-")[0] == name and given in own()
    return builtin(given or name) if given is None or is_own else load(given, name)


def own() -> list[str]:
    """The names of xqe's own prompts."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.toml"))


def load(path: str, task: str) -> Template:
    """Return the prompt in a file, for one of `TASKS`; raises InputError for whatever is wrong in it."""
    data = toml.load(Path(path), "--prompt names a TOML file", _SEE)
    return _template(Path(path).stem, data, TASKS[task], path)


def _template(name: str, data: Mapping[str, Any], task: Task, where: str) -> Template:
    chat, completion = _forms(data, "", task, where)
    tables = {"chat", "completion"}
    _reject_unknown(
        data, {"description", "shots", "has_parts", *tables, *(("direct",) if task.has_direct else ())}, where
    )
    shots = data.get("shots", DEFAULT_SHOTS)
    if type(shots) is not int or shots < 1:  # true is an int, too
        raise InputError(f"{where}: shots must be a whole number above 0", "it says how many worked examples are shown")
    has_parts = data.get("has_parts", False)
    if not isinstance(has_parts, bool):
        raise InputError(f"{where}: has_parts must be true or false", "it says whether labels are part of an answer")
    made = Template(name, str(data.get("description", "")), chat, completion, shots, has_parts=has_parts)
    if "direct" not in data:
        return made
    direct = _table(data, "direct", where)
    _reject_unknown(direct, tables, f"{where}: [direct]")
    for key in tables & direct.keys():  # what it does not say is as in the other form
        direct[key] = {**data[key], **_table(direct, key, where, "direct.")}
    chat, completion = _forms(direct, "direct.", task, where)
    made = replace(made, direct=replace(made, chat=chat, completion=completion))
    made.across()
    return made


def _forms(data: Mapping[str, Any], prefix: str, task: Task, where: str) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    """The tables "chat" and "completion", validated; `prefix` is what stands before their names."""
    chat, completion = _table(data, "chat", where, prefix), _table(data, "completion", where, prefix)
    in_chat, in_completion = f"{where}: [{prefix}chat]", f"{where}: [{prefix}completion]"
    _reject_unknown(chat, {"system", "user", "example"}, in_chat)
    _reject_unknown(completion, {"text", "example", "stop"}, in_completion)
    for form, main, place in ((chat, "user", in_chat), (completion, "text", in_completion)):
        if main not in form:
            raise InputError(f"{place} {main} is missing", _SEE)
        for key in ("system", main, "example"):
            if not isinstance(form.get(key, ""), str):
                raise InputError(f"{place} {key} must be a string", "put it in quotes")
        named = {variable for key in ("system", main) for variable in _variables(form.get(key, ""), place)}
        _check(named, task.variables | {EXAMPLES}, place)
        for variable in sorted(task.required - named):
            raise InputError(f"{place} {main} does not name {{{variable}}}", "without it the model never sees the text")
        if (EXAMPLES in named) != ("example" in form):
            raise InputError(f"{place} needs both {{examples}} in {main} and an example, or neither", _SEE)
        if "example" in form:
            _check(set(_variables(form["example"], place)), task.example_variables, f"{place} example")
    stop = completion.get("stop")
    if not isinstance(stop, list) or not stop or not all(isinstance(s, str) and s for s in stop):
        raise InputError(
            f"{in_completion} stop must be a list of strings", "a pretrained model does not stop by itself"
        )
    return {"system": "", **chat}, completion


def _table(data: Mapping[str, Any], key: str, where: str, prefix: str = "") -> dict[str, Any]:
    table = data.get(key)
    if not isinstance(table, dict):
        raise InputError(f"{where}: the table [{prefix}{key}] is missing", _SEE)
    return table


def _reject_unknown(table: Mapping[str, Any], known: set[str], place: str) -> None:
    for key in table:
        if key not in known:
            raise InputError(f'{place}: unknown key "{key}"', f"known are {', '.join(sorted(known))}")


def _variables(text: str, place: str = "") -> list[str]:
    """The names that stand in braces in a text. Raises InputError for a brace that is none of a name's, and for a name
    with more beside it: in `format` a colon or an exclamation mark says how a value is written."""
    from string import Formatter

    try:
        fields = [field for field in Formatter().parse(text) if field[1] is not None]
    except ValueError as error:
        raise InputError(f"{place}: {error}", "write a literal brace twice") from None
    for _, name, form, conversion in fields:
        if form or conversion:
            written = f"{name}{f'!{conversion}' if conversion else ''}{f':{form}' if form else ''}"
            raise InputError(f"{place}: {{{written}}} is not the name of a variable", f"write {{{name}}} alone")
    return [str(name) for _, name, _, _ in fields]


def _check(named: set[str], known: frozenset[str], place: str) -> None:
    for variable in sorted(named - known):
        raise InputError(f"{place}: unknown variable {{{variable}}}", f"known are {', '.join(sorted(known))}")
