"""xqe languages: what there is for each language, and what was measured of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xqe.commands.options.forms import Rows, RowsFormat
from xqe.commands.rows import write_rows

if TYPE_CHECKING:
    from xqe.text.languages import Language


def languages(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[LANG]...", show_default=False, help="Codes or names; any of ISO 639. [default: all]"),
    ] = None,
    form: RowsFormat = Rows.AUTO,
) -> None:
    """List what there is for each language.

    How its text becomes index terms, whether there are worked examples, and what was measured; a table on a terminal,
    JSONL elsewhere. The list has the languages that xqe has something of its own for; any other of ISO 639 may be
    named, by its code or by its name in any language. Its text is cut into words by Unicode's rules, which are found as
    they are and by how they begin. Prompts name every language. A pretrained model is shown worked examples, so in a
    language without any it needs --examples.

    "measured" has the MRR of BM25 within the language, and that of Lucene on the same queries; docs/languages.md says
    on what texts. A language without is untested.
    """
    from xqe.text.languages import LANGUAGES, language

    rows = [_row(language(name)) for name in names or LANGUAGES]
    write_rows(rows, form, lambda: _table(rows))


def _row(row: Language) -> dict[str, Any]:
    from xqe.models.examples import builtin
    from xqe.text.analysis import stop_words
    from xqe.text.languages.measured import measured

    analysis = row.analysis
    return {
        "code": row.code,
        "name": row.name,
        "native": row.native,
        "script": row.script,
        "direction": "rtl" if row.is_right_to_left else "ltr",
        "family": row.family or None,
        "resources": row.resources,
        "own": row.is_known,
        "segmenter": analysis.segmenter,
        "normalisers": [*analysis.texts, *analysis.normalisers, *analysis.foldings],
        "stemmer": analysis.stemmer or None,
        "terms": [*(["stem"] if analysis.stemmer else ["word"]), *analysis.additions, *["pairs"] * analysis.pairs],
        "stop_words": len(stop_words(row.code)),
        "examples": len(builtin(row.code)),
        "measured": measured(row.code),
    }


def _table(rows: Sequence[dict[str, Any]]) -> str:
    from xqe.commands.columns import Column, Kind, laid_out

    kinds = {"code": Kind.KEY, "stop words": Kind.NUMBER, "examples": Kind.NUMBER, "MRR - Lucene": Kind.NUMBER}
    names = ("code", "language", "script", "words", "stemmer", "stop words", "examples", "MRR - Lucene")
    lines = [
        [
            row["code"],
            f"{row['name']} ({row['native']})" if row["native"] != row["name"] else row["name"],
            row["script"],
            row["segmenter"] if row["own"] else "as any",
            (row["stemmer"] or "").removeprefix("snowball ").replace("_", " "),
            str(row["stop_words"] or ""),
            str(row["examples"] or ""),
            _difference(row["measured"]),
        ]
        for row in rows
    ]
    return laid_out([Column(name, kinds.get(name, Kind.PROSE)) for name in names], lines)


def _difference(measured: Sequence[dict[str, Any]]) -> str:
    """The mean over collections of what the MRR is above Lucene's, in points."""
    each = [one["mrr"] - one["lucene"] for one in measured if one["lucene"] is not None]
    return f"{sum(each) / len(each):+.1f}" if each else "untested" if not measured else ""
