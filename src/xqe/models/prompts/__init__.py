"""Prompts are data: one TOML file a task, for chat models and for pretrained ones, validated strictly.

A file holds `description`, perhaps `shots` and `has_parts`; a table `[chat]` with `system` and `user` turns; and a
table `[completion]` with the `text` that a pretrained model continues and the strings at which it must `stop`. Where a
text shows worked examples it says `{examples}`, and `example` is the form of each. Which variables a text may name is
fixed by its task (`TASKS`); one that is unknown, or one that is needed and missing, is an error that names it.
`has_parts` says that an answer has parts with labels ("Rationale: … Answer: …"), all of which are wanted.

`[[variants]]` makes several prompts of one file, for a method that asks in several ways: each is a table of strings,
and each `{key}` of it in the texts stands for its value, which may name variables. A text that names `{documents}`
reads those that were found; `answers = "list"` says that an answer lists things, `"quotations"` that what is wanted of
it stands in quotation marks.

A prompt for expansion may have `[direct.chat]` and `[direct.completion]`, forms for an answer in another language than
the query's; what these do not say is as in `[chat]` and `[completion]`. Whichever is used for that must name
`{target_language}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from xqe.errors import InputError, XqeError
from xqe.files import toml
from xqe.lines import among

EXAMPLES = "examples"
DEFAULT_SHOTS = 5
ANSWERS = ("text", "list", "quotations")
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
DOCUMENTS = "documents"
_COMMON = _LANGUAGES | _ANSWERED | {"examples", "instruction", "refusal", "opening", "question", "answer", "count"}
"""Variables that many records fill in the same way."""
_WORKED = frozenset({"query", "passage", "rationale", "rephrasing", "keywords", "sentence"})
_SAID = frozenset({"query", "documents", "question", "answer", "language"})
TASKS = {
    "answer": Task(frozenset({"query", "documents"}), _SAID | {"instruction", "refusal", "opening"}, _SAID | {"text"}),
    "expand": Task(
        frozenset({"query"}), frozenset({"query", DOCUMENTS}) | _ANSWERED, _WORKED | _ANSWERED, has_direct=True
    ),
    "refine": Task(frozenset({"query", "answers"}), frozenset({"query", "answers"}) | _ANSWERED, frozenset()),
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
    """A system and a user turn, to be rendered by the model's own chat template. head: how many characters the user's
    turn begins with that prompts for other records begin with, too; where it is 0, that is not known."""

    system: str
    user: str
    head: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Text:
    """A text to be continued by a pretrained model, up to the first of the `stop` strings. head: as of `Chat`."""

    text: str
    stop: tuple[str, ...]
    head: int = field(default=0, compare=False, repr=False)


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
    language than the query's, where that is another one. has_parts: the answer has parts with labels of their own.
    answers: what an answer is, "text", a "list" or "quotations". variants: the prompts of which the file has several;
    this one is then the first of them."""

    name: str
    description: str
    chat: Mapping[str, str]
    completion: Mapping[str, Any]
    shots: int = DEFAULT_SHOTS
    direct: Template | None = None
    has_parts: bool = False
    answers: str = "text"
    variants: tuple[Template, ...] = ()

    def each(self) -> tuple[Template, ...]:
        """The prompts of the file, of which most have one."""
        return self.variants or (self,)

    def reads_documents(self, chat: bool) -> bool:
        """True if the form for chat models (or the one for pretrained models) shows documents."""
        form = self.chat if chat else self.completion
        return any(DOCUMENTS in _variables(form.get(key, "")) for key in ("user", "text"))

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

    def render(
        self,
        chat: bool,
        variables: Mapping[str, str],
        examples: Sequence[Mapping[str, str]] = (),
        own_examples: bool = False,
    ) -> Prompt:
        """Return the prompt with `variables` filled in and every one of `examples` shown, in their order. own_examples:
        they were chosen for this prompt alone."""
        form = self.chat if chat else self.completion
        shown = (
            "".join(form["example"].format_map({**variables, **example}) for example in examples)
            if "example" in form
            else ""
        )
        values = {**variables, EXAMPLES: shown}
        main = self.chat["user"] if chat else self.completion["text"]
        head = len(_begun(main, not own_examples).format_map(values))
        if chat:
            return Chat(self.chat["system"].format_map(values), main.format_map(values), head)
        return Text(main.format_map(values), tuple(self.completion["stop"]), head)


class _Pairing(Template):
    """The prompt of cross-encoders, which has a form for both."""

    def render(
        self,
        chat: bool,
        variables: Mapping[str, str],
        examples: Sequence[Mapping[str, str]] = (),
        own_examples: bool = False,
    ) -> Prompt:
        return Pair(variables["query"], variables["document"])


PAIR = _Pairing("pair", "A query and a document as they are, for a cross-encoder.", {}, {})


@cache
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
    if "variants" not in data:
        return _one(name, data, task, where)
    variants = data["variants"]
    if not isinstance(variants, list) or not variants or not all(map(_is_of_strings, variants)):
        raise InputError(f"{where}: variants must be tables of strings", "write [[variants]] before each")
    rest = {key: value for key, value in data.items() if key != "variants"}
    each = [_one(name, _filled(rest, variant), task, where) for variant in variants]
    return replace(each[0], variants=tuple(each))


def _is_of_strings(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(text, str) for text in value.values())


def _filled(value: Any, variant: Mapping[str, str]) -> Any:
    """Some TOML with what a variant says in place of its keys."""
    if isinstance(value, dict):
        return {key: _filled(its, variant) for key, its in value.items()}
    if isinstance(value, str):
        for key, text in variant.items():
            value = value.replace(f"{{{key}}}", text)
    return value


def _one(name: str, data: Mapping[str, Any], task: Task, where: str) -> Template:
    chat, completion = _forms(data, "", task, where)
    tables = {"chat", "completion"}
    _reject_unknown(
        data,
        {"description", "shots", "has_parts", "answers", *tables, *(("direct",) if task.has_direct else ())},
        where,
    )
    shots = data.get("shots", DEFAULT_SHOTS)
    if type(shots) is not int or shots < 1:  # true is an int, too
        raise InputError(f"{where}: shots must be a whole number above 0", "it says how many worked examples are shown")
    has_parts = data.get("has_parts", False)
    if not isinstance(has_parts, bool):
        raise InputError(f"{where}: has_parts must be true or false", "it says whether labels are part of an answer")
    answers = data.get("answers", ANSWERS[0])
    if answers not in ANSWERS:
        raise InputError(f"{where}: answers must be one of {', '.join(ANSWERS)}", "it says what an answer is")
    about = str(data.get("description", ""))
    made = Template(name, about, chat, completion, shots, has_parts=has_parts, answers=answers)
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
            raise InputError(f'{place}: unknown key "{key}"', among(key, sorted(known)))


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


@cache
def _begun(text: str, with_examples: bool) -> str:
    """A text up to its first variable that every record fills in another way, to be formatted, too."""
    made = ""
    for literal, name in _fields(text):
        made += literal.replace("{", "{{").replace("}", "}}")
        if name is None or name not in _COMMON or (name == EXAMPLES and not with_examples):
            break
        made += f"{{{name}}}"
    return made


def _fields(text: str) -> Iterator[tuple[str, str | None]]:
    """What stands between variables, and the name of the one behind it."""
    from string import Formatter

    return ((literal, name) for literal, name, _, _ in Formatter().parse(text))


def _check(named: set[str], known: frozenset[str], place: str) -> None:
    for variable in sorted(named - known):
        raise InputError(f"{place}: unknown variable {{{variable}}}", among(variable, sorted(known)))
