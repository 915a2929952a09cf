"""Renders a system and a user turn with the chat template that a GGUF file carries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from xqe.errors import ModelError
from xqe.models.prompts import Chat

Turn = Mapping[str, str]
"""A turn of a conversation: "role" (system, user, assistant) and "content"."""


class ChatTemplate:
    """A Jinja chat template, in a sandbox: it comes with the model file and is not to be trusted."""

    def __init__(self, source: str, bos: str, eos: str) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
        try:
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise ModelError(
                f"the model's chat template is broken ({error})", "use another GGUF of this model"
            ) from None
        self._tokens = {"bos_token": bos, "eos_token": eos}

    def render(self, chat: Chat) -> str:
        """Return the turns as text that ends where the model's answer begins; thinking is switched off."""
        system = [{"role": "system", "content": chat.system}] if chat.system else []
        return self.render_turns([*system, {"role": "user", "content": chat.user}])

    def render_turns(self, turns: Sequence[Turn], answered: bool = False) -> str:
        """Return any turns as text. answered: the last one is the model's own, and the text ends after it."""
        return with_system(lambda shown: self._render(shown, answered), turns)

    def _render(self, turns: Sequence[Turn], answered: bool) -> str:
        return self._template.render(
            messages=turns, add_generation_prompt=not answered, enable_thinking=False, **self._tokens
        )


def with_system(render: Callable[[Sequence[Turn]], str], turns: Sequence[Turn]) -> str:
    """What `render` makes of the turns. A template that knows no system turn, and raises on one, gets its text as the
    beginning of the user's."""
    if not (turns and turns[0]["role"] == "system"):
        return render(turns)
    try:
        return render(turns)
    except TemplateError:
        system, user, *rest = turns
        return render([{**user, "content": f"{system['content']}\n\n{user['content']}"}, *rest])


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)
