"""Renders a system and a user turn with the chat template that a GGUF file carries."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from xqe.errors import ModelError
from xqe.prompts import Chat


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
        """Return the turns as text that ends where the model's answer begins; thinking is switched off.

        A template that knows no system turn (it raises on one) gets it as the beginning of the user's.
        """
        turns = [{"role": "user", "content": chat.user}]
        if not chat.system:
            return self._render(turns)
        try:
            return self._render([{"role": "system", "content": chat.system}, *turns])
        except TemplateError:
            return self._render([{"role": "user", "content": f"{chat.system}\n\n{chat.user}"}])

    def _render(self, turns: list[dict[str, Any]]) -> str:
        return self._template.render(messages=turns, add_generation_prompt=True, enable_thinking=False, **self._tokens)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)
