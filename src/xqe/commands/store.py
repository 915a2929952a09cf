"""xqe store: finished generations, kept so that none is made twice, and what models have read of prompts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xqe.commands.options.common import Store
from xqe.commands.options.forms import Screen, ScreenFormat, on_screen
from xqe.errors import XqeError, why
from xqe.files import jsonl
from xqe.messages import amount, plural, say

if TYPE_CHECKING:
    from xqe.models.store.database import Summary

_DAY = 86_400.0
_HASH_DIGITS = 12  # of a sha256, enough for a person


def info(store: Store = None, form: ScreenFormat = Screen.AUTO) -> None:
    """Say what is kept of which model.

    A table on a terminal, one JSON object elsewhere. Prefixes are long beginnings of prompts that models have read.
    """
    from xqe.models.store.access import opened
    from xqe.models.store.place import file_of, prefixes_of
    from xqe.models.store.prefixes import kept

    path = file_of(store)
    with opened(path) as database:
        size, models = (database.size(), database.summaries()) if database is not None else (0, [])
    whole = {
        "path": str(path),
        "size": size,
        "generations": sum(model.generations for model in models),
        "tokens": sum(model.tokens for model in models),
        "prefixes": {
            "path": str(folder := prefixes_of(store)),
            "files": len(files := kept(folder)),
            "size": sum(file.size for file in files),
        },
    }
    if on_screen(form):
        jsonl.write(_text(whole, models))
        return
    from dataclasses import asdict

    jsonl.write(jsonl.dumps({**whole, "models": [asdict(model) for model in models]}))


def _text(whole: dict[str, Any], models: list[Summary]) -> str:
    from xqe.commands.columns import Column, Kind, laid_out
    from xqe.commands.screens import rendered
    from xqe.commands.sections import plain

    said = f"{whole['path']}: {plural(whole['generations'], 'generation')}, {plural(whole['tokens'], 'token')}"
    heads = [f"{said}, {amount(whole['size'])}"]
    if count := (prefixes := whole["prefixes"])["files"]:
        heads.append(f"{prefixes['path']}: {_prefixes(count)}, {amount(prefixes['size'])}")
    heading = rendered(plain("\n".join(heads)))
    if not models:
        return heading
    words, numbers = ("sha256", "oldest", "newest"), ("generations", "tokens")
    columns = [Column("model", Kind.KEY), *(Column(name, Kind.WORD) for name in words)]
    lines = [
        [
            model.model,
            *((model.sha256 or "")[:_HASH_DIGITS], model.oldest, model.newest),
            *(f"{count:,}" for count in (model.generations, model.tokens)),
        ]
        for model in models
    ]
    return f"{heading}\n{laid_out([*columns, *(Column(name, Kind.NUMBER) for name in numbers)], lines)}"


def export(store: Store = None) -> None:
    """Write every generation as JSONL, the oldest first.

    Each has its prompt, the parameters, the text, and what made it.
    """
    from xqe.models.store.access import opened
    from xqe.models.store.place import file_of

    with opened(file_of(store)) as database:
        for generation in database.export() if database is not None else ():
            jsonl.write(jsonl.dumps(generation))


def prune(
    older_than: Annotated[
        float | None,
        typer.Option(
            "--older-than", metavar="DAYS", min=0.0, show_default=False, help="Remove what was generated before that."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="NAME", show_default=False, help='Remove what this model of "info" generated.'),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove all generations, and all prefixes.")] = False,
    prefixes: Annotated[
        bool, typer.Option("--prefixes", help="Remove what models have read of prompts, and no generation.")
    ] = False,
    store: Store = None,
) -> None:
    """Remove generations, and give their space back to the disk.

    With --older-than and --model, those that both are true of. Runs that use the store meanwhile go on. A prefix is
    decoded again by the next run that needs it.
    """
    if everything + prefixes + (older_than is not None or model is not None) != 1:
        raise XqeError(
            "which generations are to be removed?",
            "give --all alone, or --prefixes alone, or --older-than DAYS, --model NAME",
        )
    if prefixes:
        _drop_prefixes(store)
        return
    from xqe.models.store.access import opened
    from xqe.models.store.place import file_of

    path = file_of(store)
    before = time.time() - older_than * _DAY if older_than is not None else None
    with opened(path) as database:
        removed = database.prune(before, model) if database is not None else 0
        left = database.summaries() if database is not None else []
        say(f"{path}: removed {removed} generations; {sum(each.generations for each in left)} are left{_of(left)}")
        if database is not None:
            database.shrink()
    if everything:
        _drop_prefixes(store)


def _drop_prefixes(store: str | None) -> None:
    from xqe.models.store.place import prefixes_of
    from xqe.models.store.prefixes import kept, remove

    folder = prefixes_of(store)
    files = kept(folder)
    try:
        remove(files)
    except OSError as error:
        raise XqeError(f"{folder}: {why(error)}", "give access to it, or name another store with --store") from None
    if files:
        say(f"{folder}: removed {_prefixes(len(files))}")


def _prefixes(count: int) -> str:
    return f"{count:,} {'prefix' if count == 1 else 'prefixes'}"


def _of(models: list[Summary]) -> str:
    names = sorted({model.model for model in models})
    return f", of {', '.join(names)}" if names else ""
