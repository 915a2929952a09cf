"""xqe models pull: a model is downloaded."""

from __future__ import annotations

from typing import Annotated

import typer

from xqe.commands.models.name import Name
from xqe.files import jsonl


def pull(
    name: Name,
    force: Annotated[bool, typer.Option("--force", help="Download it although it is there.")] = False,
) -> None:
    """Download a model and print where it lies.

    A download that was cut goes on where it stopped, and what arrived is checked before it is put in place. The
    variables of huggingface_hub count: HF_TOKEN, or the file that "hf auth login" writes, for gated models, and
    HF_ENDPOINT for a mirror.
    """
    from xqe.models.download import pull as download
    from xqe.models.registry import find

    jsonl.write(str(download(find(name), force)))
