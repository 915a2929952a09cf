"""The form of a training example: a prompt, and the passage that the model is to answer it with.

    {"messages": [{"role", "content"}, ..., {"role": "assistant", "content": PASSAGE}]}     for chat models
    {"prompt": TEXT, "completion": PASSAGE}                                                 for pretrained ones

Both are forms that training libraries read. A line may have other fields; of these only "split" has a meaning here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from xqe.errors import InputError
from xqe.files import jsonl

TRAIN, VALIDATION = "train", "validation"
SPLITS = (TRAIN, VALIDATION)


class Form(StrEnum):
    """What a model reads: turns of a chat, or a text to continue."""

    CHAT = "chat"
    COMPLETION = "completion"


_FIELDS = {Form.CHAT: ("messages",), Form.COMPLETION: ("prompt", "completion")}
_SHAPE = 'each line needs {"messages": [...]} that end with the assistant, or {"prompt", "completion"}'
_ROLES = ("system", "user", "assistant")

Turn = dict[str, str]


@dataclass(frozen=True, slots=True)
class Pair:
    """One example. where: "file:line". split: "train" or "validation". turns: of a conversation, the last one the
    assistant's; where there are none, the text `completion` is what follows the text `prompt`."""

    where: str
    split: str
    turns: tuple[Turn, ...] = ()
    prompt: str = ""
    completion: str = ""

    @property
    def form(self) -> Form:
        return Form.CHAT if self.turns else Form.COMPLETION


def read_pairs(paths: Sequence[str], split: str = TRAIN) -> list[Pair]:
    """Return the examples of JSONL files, in their order; `split` is that of lines that name none.

    Raises InputError that names the line for one that is no example, whose passage is empty, or whose form is not that
    of the first; and for files without any example to train on.
    """
    pairs: list[Pair] = []
    for path in paths:
        for pair in _pairs(path, split):
            if pairs and pair.form != pairs[0].form:
                raise InputError(
                    f"{pair.where}: in the form {pair.form}, and {pairs[0].where} in the form {pairs[0].form}",
                    "train on one form: that of the model",
                )
            pairs.append(pair)
    if split == TRAIN and not any(pair.split == TRAIN for pair in pairs):
        what = "all examples are for validation" if pairs else "no examples"
        raise InputError(f"{', '.join(paths)}: {what}", "make some with xqe finetune data")
    return pairs


def read_pairs_and_validation(files: Sequence[str], validation: Sequence[str]) -> list[Pair]:
    """Return the examples of files, and those of the files `validation`, which are for that, whatever they say."""
    pairs = read_pairs(files)
    return pairs + [replace(pair, split=VALIDATION) for pair in read_pairs(validation, VALIDATION)]


def _pairs(path: str, split: str) -> Iterator[Pair]:
    for where, value in jsonl.objects(path):
        yield check_pair(value, where, split)


def check_pair(value: Any, where: str, split: str = TRAIN) -> Pair:
    """Return the example in the value of a line. Raises InputError."""
    if not isinstance(value, dict):
        raise InputError(f"{where}: not a JSON object", _SHAPE)
    has = [form for form, fields in _FIELDS.items() if all(field in value for field in fields)]
    if len(has) != 1:
        what = "both messages and a prompt" if has else _missing(value)
        raise InputError(f"{where}: {what}", _SHAPE)
    split = value.get("split", split)
    if split not in SPLITS:
        raise InputError(f"{where}: the split {split!r} is unknown", f"known are {' and '.join(SPLITS)}")
    return _READERS[has[0]](value, where, split)


def _missing(value: dict[str, Any]) -> str:
    half = [field for field in _FIELDS[Form.COMPLETION] if field in value]
    return f'"{half[0]}" without its other half' if half else "neither messages nor a prompt"


def _chat(value: dict[str, Any], where: str, split: str) -> Pair:
    turns = value["messages"]
    if not isinstance(turns, list) or not turns or not all(_is_turn(turn) for turn in turns):
        raise InputError(
            f'{where}: "messages" is not a list of turns', f'each turn has a "role" ({", ".join(_ROLES)}) and "content"'
        )
    if turns[-1]["role"] != "assistant" or len(turns) < 2:
        raise InputError(f"{where}: the last turn is not an answer of the assistant", _SHAPE)
    _check_passage(turns[-1]["content"], where)
    return Pair(where, split, tuple({"role": turn["role"], "content": turn["content"]} for turn in turns))


def _is_turn(turn: Any) -> bool:
    return isinstance(turn, dict) and turn.get("role") in _ROLES and isinstance(turn.get("content"), str)


def _completion(value: dict[str, Any], where: str, split: str) -> Pair:
    prompt, completion = value["prompt"], value["completion"]
    if not isinstance(prompt, str) or not isinstance(completion, str):
        raise InputError(f'{where}: "prompt" and "completion" must be strings', _SHAPE)
    _check_passage(completion, where)
    return Pair(where, split, prompt=prompt, completion=completion)


def _check_passage(text: str, where: str) -> None:
    if not text.strip():
        raise InputError(f"{where}: the passage is empty", "leave the line out")


_READERS = {Form.CHAT: _chat, Form.COMPLETION: _completion}
