"""xqe completion: what a shell runs to complete the command line."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]  # nowhere public

from xqe.files import jsonl


class Shell(StrEnum):
    """A shell that can complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", show_default=False, help="bash, zsh or fish.")],
) -> None:
    """Print what lets a shell complete xqe.

    It completes commands, options, and values: languages, models, strategies, measures, collections, and the folders of
    indexes. Put it where the shell looks for such files, or load it when the shell starts, with a line in its own file:
    `eval "$(xqe completion bash)"` in ~/.bashrc, `eval "$(xqe completion zsh)"` in ~/.zshrc behind compinit,
    `xqe completion fish | source` in ~/.config/fish/config.fish.
    """
    jsonl.write(get_completion_script(prog_name="xqe", complete_var="_XQE_COMPLETE", shell=shell.value))
