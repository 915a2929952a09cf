"""xqe data info: all that is known of a source or of a collection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xqe.commands.data.rows import collection_row, source_row
from xqe.commands.options.forms import Screen, ScreenFormat, on_screen
from xqe.errors import XqeError
from xqe.files import jsonl
from xqe.messages import amount

if TYPE_CHECKING:
    from xqe.collections.layout import Collection


def info(
    name: Annotated[
        str,
        typer.Argument(metavar="SOURCE|DIR", show_default=False, help='A name of "xqe data list", or a collection.'),
    ],
    verify: Annotated[
        bool, typer.Option("--verify", help="Check every file of a collection against its hash.")
    ] = False,
    form: ScreenFormat = Screen.AUTO,
) -> None:
    """Say all that is known of a source or of a collection."""
    from xqe.collections.sources import sources

    if name in sources() and not Path(name).is_dir():
        if verify:
            raise XqeError(f"--verify: {name} is not a collection on disk", "give the folder of one")
        row = source_row(name)
        jsonl.write(_text(row) if on_screen(form) else jsonl.dumps(row))
        return
    from xqe.collections.layout import Collection

    collection = Collection(Path(name))
    row = collection_row(collection)
    if verify:
        collection.verify()
        row["verified"] = sum(1 for _ in collection.entries())
    jsonl.write(_of_collection(collection, row) if on_screen(form) else jsonl.dumps(row))


def _text(row: dict[str, Any]) -> str:
    """What is said of a source, a field a line."""
    from xqe.commands.screens import rendered
    from xqe.commands.sections import fields, plain

    said = {**row, "size": amount(row["size"]) if row["size"] else "not known before it is made"}
    return rendered(
        fields({key: plain(" ".join(value) if isinstance(value, list) else value) for key, value in said.items()})
    )


def _of_collection(collection: Collection, row: dict[str, Any]) -> str:
    from xqe.commands.columns import Column, Kind, laid_out
    from xqe.commands.screens import rendered
    from xqe.commands.sections import fields, plain

    queries = [(split, lang) for split in collection.splits for lang in collection.query_languages(split)]
    languages = sorted({*row["documents"], *(lang for _, lang in queries)})
    counts = [
        Column(heading, Kind.NUMBER) for heading in ("documents", *(f"queries of {s}" for s in collection.splits))
    ]
    lines = []
    for lang in languages:
        asked = [row["queries"].get(split, {}).get(lang, 0) for split in collection.splits]
        lines.append([lang, *(f"{count:,}" for count in (row["documents"].get(lang, 0), *asked))])
    pool = "all of the source" if row["pool"] is None else f"a pool: {row['pool'].get('how', '')}"
    said = {"name": row["name"], "about": row["about"], "licence": row["licence"], "documents": pool}
    said |= {"size": amount(row["bytes"])}
    said |= {f"note {number}": note for number, note in enumerate(row["notes"], 1)}
    if "verified" in row:
        said["verified"] = f"{row['verified']} files are what the manifest says"
    table = laid_out([Column("language", Kind.KEY), *counts], lines)
    return f"{rendered(fields({key: plain(value) for key, value in said.items()}))}\n\n{table}"
