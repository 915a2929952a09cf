"""xqe data fetch: a collection is downloaded, and converted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xqe.commands.data.options import Force, Languages, Splits
from xqe.commands.data.rows import summarise
from xqe.commands.options.lists import language_codes, several
from xqe.errors import XqeError
from xqe.files import jsonl
from xqe.messages import amount, say

LARGE = 10_000_000_000  # bytes that are not downloaded because an option was forgotten


def fetch(
    name: Annotated[str, typer.Argument(metavar="SOURCE", show_default=False, help='A name of "xqe data list".')],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", show_default=False, help="The folder of the collection."),
    ] = None,
    languages: Languages = None,
    splits: Splits = None,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", metavar="DIR", envvar="XQE_DATA", show_default=False, help="Where downloads are kept."),
    ] = None,
    convert: Annotated[bool, typer.Option("--convert/--no-convert", help="Make a collection of it.")] = True,
    again: Annotated[bool, typer.Option("--again", help="Download files although they are there.")] = False,
    force: Force = False,
) -> None:
    """Download a collection, and convert it.

    A download that broke off goes on where it stopped. What arrived is checked where its md5 or sha256 is known.
    HF_ENDPOINT names a mirror of the hub.
    """
    from xqe.collections import conversion, fetching, formats
    from xqe.collections.options import Options
    from xqe.collections.sources import chosen_languages, data_folder, downloads, source
    from xqe.collections.target import check_apart, check_target

    row = source(name)
    codes, of_splits = language_codes(languages), several(splits)
    wanted = chosen_languages(row, codes)
    if codes is None and (row.size or 0) > LARGE:
        raise XqeError(f"{name} is {amount(row.size)} in all languages", "name those that you want with --lang")
    if convert and out is None:
        raise XqeError("missing option --out", "the folder of the collection; or --no-convert, to download only")
    kept = (cache or data_folder()) / row.folder.partition("/")[0]
    if convert and out is not None:
        check_target(out, force)
        check_apart(out, [kept])
    files = downloads(row, wanted, of_splits, kept)
    if convert and out is not None:
        fetching.check_room(out, sum(one.size or 0 for one in files) // 2)
    say(f"licence: {row.licence}; {row.url}")
    paths = fetching.fetch(files, kept, again)
    if not convert or out is None:
        for path in paths:
            jsonl.write(str(path))
        return
    chosen = Options(languages=tuple(wanted), splits=of_splits)
    material = formats.read(row.form, [str((cache or data_folder()) / row.folder)], chosen)
    material.name = row.name
    summarise(conversion.convert(material, out, force))
