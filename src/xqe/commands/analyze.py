"""xqe analyze: what becomes of a text on its way to the index, word by word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xqe.commands.options.common import Input
from xqe.commands.options.forms import Screen, ScreenFormat, on_screen
from xqe.commands.options.groups import takes
from xqe.commands.options.queries import OfQueries
from xqe.commands.streams import input_paths
from xqe.errors import InputError, XqeError
from xqe.files import jsonl
from xqe.files.forms import TEXTS
from xqe.files.records import TEXT_FIELDS
from xqe.text.languages import language

if TYPE_CHECKING:
    from xqe.text.analysis import Analyzer

_MANIFEST = "xqe.json"
_FIELDS = ("query", *TEXT_FIELDS)


@takes(written=OfQueries)
def analyze(
    text: Annotated[
        str | None,
        typer.Argument(metavar="[TEXT]", show_default=False, help="A text; - or none reads standard input."),
    ] = None,
    lang: Annotated[
        str | None,
        typer.Option(
            "--lang", metavar="LANG", show_default=False, help="Language of the text, as xqe languages lists them."
        ),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--index", metavar="DIR", show_default=False, help="Take the language of this index instead of --lang."
        ),
    ] = None,
    form: ScreenFormat = Screen.AUTO,
    files: Input = None,
    *,
    written: OfQueries,
) -> None:
    """Show the terms that a text is indexed and searched by.

    Input has a text a line, or queries or documents in any form that other commands read: of these "query" or "text"
    is taken, and "lang" where they have one. For each text there is one object: {"lang", "text", "words": [{"word",
    "form", "stem", "terms"}]}.
    A stop word has no terms; all others are the stem and what stands beside it: "=form", "prefix*", a pair.
    """
    code = _language(lang, directory)
    texts = _given(text, files, written)
    from xqe.text.analysis import analyzer

    if code:
        analyzer(code)
    shown = on_screen(form)
    for where, given, own in texts:
        if not (own or code):
            raise InputError(f"{where}: no language", "name it with --lang or --index")
        row = _row(analyzer(language(own, where).code if own else code), given)
        jsonl.write(_text(row) if shown else jsonl.dumps(row))


def _language(lang: str | None, directory: Path | None) -> str:
    if lang is not None and directory is not None:
        raise XqeError("both --lang and --index are given", "give one of them")
    if directory is not None:
        return _of_index(directory)
    return language(lang, "--lang").code if lang is not None else ""


def _of_index(directory: Path) -> str:
    """The language that the index in a folder was built for; the index itself is not opened."""
    try:
        code = json.loads((directory / _MANIFEST).read_bytes())["language"]
    except OSError:
        raise InputError(f"{directory}: holds no index", "name the language with --lang") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(f"{directory / _MANIFEST}: damaged", "name the language with --lang") from None
    return language(str(code), str(directory / _MANIFEST)).code


def _given(text: str | None, files: list[str] | None, written: OfQueries) -> Iterator[tuple[str, str, str]]:
    """Where each text stands, the text, and its own language, "" where it names none."""
    if text is not None and text != jsonl.STDIN:
        if files:
            raise XqeError("both a TEXT and --input are given", "give one of them")
        return iter([("TEXT", text, "")])
    rows = written.rows(TEXTS).read(input_paths(text, files))
    return ((where, *_fields(raw, where)) for where, raw in rows)


def _fields(record: Any, where: str) -> tuple[str, str]:
    there = record if isinstance(record, dict) else {}
    texts = [there[field] for field in _FIELDS if isinstance(there.get(field), str)]
    if not texts:
        raise InputError(f'{where}: neither "query" nor "text"', "each line needs one of them, or is a text itself")
    lang = there.get("lang", "")
    return texts[0], lang if isinstance(lang, str) else ""


def _row(analyze: Analyzer, text: str) -> dict[str, Any]:
    return {"lang": analyze.code, "text": text, "words": [word._asdict() for word in analyze.explain(text)]}


def _text(row: dict[str, Any]) -> str:
    from rich.text import Text

    from xqe.commands.columns import table
    from xqe.commands.screens import legible, rendered

    found = table(("word", "form", "stem", "beside it"))
    for word in row["words"]:
        stem = word["stem"] if word["terms"] else "(stop word)"
        cells = (word["word"], word["form"] if word["form"] != word["word"] else "", stem, " ".join(word["terms"][1:]))
        found.add_row(*(Text(legible(cell)) for cell in cells))
    return rendered(found)
