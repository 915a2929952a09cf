"""The paper's ways to prompt for a passage, and how long one is. Commands offer them before anything is loaded."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xqe.models.prompts import Template

PASSAGE_TOKENS = 192


class Strategy(StrEnum):
    """The paper's prompting strategies (section 3.4, appendix A); the prompt of each is prompts/expand-NAME.toml."""

    ZEROSHOT = "zeroshot"
    COT = "cot"
    RAR = "rar"
    FEWSHOT = "fewshot"

    @property
    def template(self) -> Template:
        from xqe.models import prompts

        return prompts.builtin(f"expand-{self.value}")
