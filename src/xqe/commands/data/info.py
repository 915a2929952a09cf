"""xqe data info: all that is known of a source or of a collection."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xqe.commands.data.rows import collection_row, source_row
from xqe.errors import XqeError
from xqe.files import jsonl
from xqe.lines import harmless

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
) -> None:
    """Say all that is known of a source or of a collection."""
    from xqe.collections.sources import sources

    if name in sources() and not Path(name).is_dir():
        if verify:
            raise XqeError(f"--verify: {name} is not a collection on disk", "give the folder of one")
        _write(source_row(name))
        return
    from xqe.collections.layout import Collection

    collection = Collection(Path(name))
    row = collection_row(collection)
    if verify:
        collection.verify()
        row["verified"] = sum(1 for _ in collection.entries())
    if sys.stdout.isatty():
        _show_collection(collection, row)
    else:
        jsonl.write(jsonl.dumps(row))


def _write(row: dict[str, Any]) -> None:
    """One object: a field a line on a terminal, JSON elsewhere."""
    if not sys.stdout.isatty():
        jsonl.write(jsonl.dumps(row))
        return
    for key, value in row.items():
        said = " ".join(value) if isinstance(value, list) else value
        jsonl.write(harmless(f"{key}: {'?' if said is None else said}"))


def _show_collection(collection: Collection, row: dict[str, Any]) -> None:
    from xqe.commands.screens import rendered, table

    queries = [(split, lang) for split in collection.splits for lang in collection.query_languages(split)]
    languages = sorted({*row["documents"], *(lang for _, lang in queries)})
    headings = ["language", "documents", *(f"queries of {split}" for split in collection.splits)]
    made = table(headings, headings[1:])
    for lang in languages:
        asked = [row["queries"].get(split, {}).get(lang, 0) for split in collection.splits]
        made.add_row(lang, *(f"{count:,}" for count in (row["documents"].get(lang, 0), *asked)))
    pool = "all documents of the source" if row["pool"] is None else f"a pool: {row['pool'].get('how', '')}"
    jsonl.write(harmless(f"{row['name']}: {row['about']}\nlicence: {row['licence']}\ndocuments: {pool}"))
    jsonl.write(rendered(made))
    for note in row["notes"]:
        jsonl.write(harmless(f"note: {note}"))
    if "verified" in row:
        jsonl.write(f"{row['verified']} files are what the manifest says")
