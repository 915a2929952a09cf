"""The prompts of training examples: those that xqe expand gives the model for the same query, to the character."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xqe.collections.draws import key
from xqe.collections.leakage import spelled
from xqe.models.engines.fake import FakeEngine
from xqe.models.examples import Chooser
from xqe.models.prompts import Chat, Template
from xqe.stages.expand import Expand
from xqe.text.languages import language
from xqe.training.pairs import Form


class Prompting:
    """Puts a query and its passage into the form of one of some strategies; the hash of an example's id says which.

    form: of the examples. examples, shots: the worked examples that prompts show, as for xqe expand. Raises
    XqeError where they could have no effect.
    """

    def __init__(
        self,
        templates: Sequence[Template],
        form: Form,
        examples: str | None = None,
        shots: int | None = None,
        seed: int = 0,
    ) -> None:
        self._form, self._seed = form, seed
        engine = FakeEngine(is_chat=form == Form.CHAT)  # the stage asks it for nothing but the form
        self._stages: list[tuple[str, Expand]] = []
        self._choosers: list[Chooser] = []
        is_shown = any(template.shows_examples(engine.is_chat) for template in templates)
        for template in templates:
            choose = None
            given = examples is not None or shots is not None
            if template.shows_examples(engine.is_chat):
                choose = Chooser(examples, template.shots if shots is None else shots, seed)
                self._choosers.append(choose)
            elif given and not is_shown:
                choose = Chooser(examples, template.shots if shots is None else shots, seed)  # which it refuses
            self._stages.append((template.name.removeprefix("expand-"), Expand(engine, template, choose)))
        self.stops = () if form == Form.CHAT else tuple({stop for one in templates for stop in one.completion["stop"]})

    def shown(self, lang: str) -> set[str]:
        """The queries of the worked examples that prompts in a language show, as `spelled`."""
        return {spelled(example["query"]) for choose in self._choosers for example in choose(language(lang))}

    def __call__(self, identifier: str, query: str, lang: str, passage: str) -> tuple[str, dict[str, Any]]:
        """The name of the strategy, and the fields of the example: messages, or a prompt and its completion."""
        name, stage = self._stages[key(self._seed, f"strategy\n{identifier}") % len(self._stages)]
        prompt = stage.requests({"id": identifier, "query": query, "lang": lang})[0].prompt
        if isinstance(prompt, Chat):
            turns = [("system", prompt.system), ("user", prompt.user), ("assistant", passage)]
            return name, {"messages": [{"role": role, "content": text} for role, text in turns if text]}
        space = "" if prompt.text[-1:].isspace() else " "
        return name, {"prompt": prompt.text, "completion": f"{space}{passage}{prompt.stop[0]}"}
