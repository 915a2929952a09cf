"""Renders a system and a user turn with the chat template that a model comes with, and checks that it shows them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from xqe.errors import ModelError
from xqe.models.closing import Closing
from xqe.models.prompts import Chat

Turn = Mapping[str, str]
"""A turn of a conversation: "role" (system, user, assistant) and "content"."""

_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from xqe.models.engines.llama import rendering; rendering.serve()"
)
_ANOTHER = "use another GGUF or checkpoint of this model"
_TRIAL = (
    {"role": "system", "content": "Only answer: it's the “système”,\nand no more."},
    {"role": "user", "content": f"\"Zinkpreise\" & 'cinc' <in> {{Wien}}\n\n{'Was steht wo? ' * 100}\n1. 哪里?"},
)


class Form(NamedTuple):
    """How a template takes turns. parts: their content as a list of parts, [{"type": "text", "text": …}], which
    templates of models for pictures and sound may want. merged: the system's text as the beginning of the user's, where
    there is no system turn, or it is left out."""

    parts: bool
    merged: bool

    def of(self, turns: Sequence[Turn]) -> list[dict[str, Any]]:
        """The turns as the template takes them."""
        if self.merged and len(turns) > 1 and turns[0]["role"] == "system":
            system, user, *rest = turns
            turns = [{**user, "content": f"{system['content']}\n\n{user['content']}"}, *rest]
        if not self.parts:
            return [dict(turn) for turn in turns]
        return [{**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in turns]


_FORMS = tuple(Form(parts, merged) for parts in (False, True) for merged in (False, True))


class ChatTemplate(Closing):
    """A Jinja chat template, rendered in a process of its own (`rendering`). Close it when done with it.

    source: the template. tokens: the texts of special tokens, by the names that templates have for them ("bos_token").
    name: of the model, for errors. Raises ModelError for a template that is broken, or that does not show a system and
    a user turn in whatever form it is given them.
    """

    def __init__(self, source: str, tokens: Mapping[str, str], name: str) -> None:
        self._begun: dict[str, Any] = {"source": source, "tokens": dict(tokens)}
        self._name = name
        self._lock = threading.Lock()  # requests are rendered by who reads them and by who generates
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._form = self._fitting()
        except BaseException:
            self.close()
            raise

    def _fitting(self) -> Form:
        """The first form in which the template shows both turns."""
        reasons: dict[Form, str] = {}
        for form in _FORMS:
            try:
                self._shown(_TRIAL, False, form)
            except ModelError as error:
                if self._process is None:  # another form would end it, too
                    raise
                reasons[form] = error.message
            else:
                return form
        raise ModelError(reasons[Form(parts=False, merged=True)], _ANOTHER)  # which asks least of a template

    def render(self, chat: Chat) -> str:
        """Return the turns as text that ends where the model's answer begins; thinking is switched off. Raises
        ModelError for an error in the template, and if it does not show the turns."""
        system = [{"role": "system", "content": chat.system}] if chat.system else []
        return self.render_turns([*system, {"role": "user", "content": chat.user}])

    def render_turns(self, turns: Sequence[Turn], answered: bool = False) -> str:
        """Return any turns as text. answered: the last one is the model's own, and the text ends after it."""
        return self._shown(turns, answered, self._form)

    def _shown(self, turns: Sequence[Turn], answered: bool, form: Form) -> str:
        answer = self._ask({"messages": form.of(turns), "add_generation_prompt": not answered})
        if "error" in answer:
            raise ModelError(f"the chat template of {self._name} cannot be used ({answer['error']})", _ANOTHER)
        text: str = answer["text"]
        for turn in () if answered else reversed(turns):  # some show the system's only where an answer is asked for
            if turn["role"] != "assistant" and not _shows(text, turn["content"]):  # whose reasoning may be left out
                raise ModelError(f"the chat template of {self._name} leaves out the {turn['role']}'s text", _ANOTHER)
        return text

    def _ask(self, asked: dict[str, Any]) -> dict[str, str]:
        """The answer of the process, which is started if none is running."""
        with self._lock:
            try:
                if self._process is None:
                    self._process = _started()
                    answer = _answer(self._process, self._begun)
                    if "error" in answer:
                        self._end()
                        return answer
                return _answer(self._process, asked)
            except (OSError, ValueError):  # a broken pipe, half a line: it has ended
                return {"error": self._end()}
            except BaseException:  # of an interrupt; the answer would be taken for that of the next request
                self._end()
                raise

    def _end(self) -> str:
        """End the process; return why it has ended by itself, if it has."""
        process, self._process = self._process, None
        if process is None:
            return "the process that renders it cannot be started"
        process.kill()
        process.communicate()
        if process.returncode == -signal.SIGPROF:
            return "it takes too long to render"
        return f"the process that renders it ends with status {process.returncode}"

    def close(self) -> None:
        with self._lock:
            self._end()


def _started() -> subprocess.Popen[bytes]:
    """Its group is its own: an interrupt of the terminal's is for this process to answer."""
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _PROGRAM, json.dumps(sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )


def _answer(process: subprocess.Popen[bytes], asked: dict[str, Any]) -> dict[str, str]:
    """Raises OSError or ValueError if the process has ended."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(asked).encode() + b"\n")
    process.stdin.flush()
    answer: dict[str, str] = json.loads(process.stdout.readline())
    return answer


def _shows(text: str, content: str) -> bool:
    """Whether a text has a content, however its white space has come out."""
    return "".join(content.split()) in "".join(text.split())
