"""xqe inspect --collection: how well an encoder aligns the languages of a collection whose texts are translations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xqe.commands.encoding import open_encoder
from xqe.errors import XqeError
from xqe.files import jsonl
from xqe.messages import say

if TYPE_CHECKING:
    from xqe.collections.parallel import Texts
    from xqe.commands.columns import Fitting
    from xqe.commands.options.encoding import Encoding
    from xqe.evaluation.alignment import Alignment
    from xqe.models.encoders.base import Encoder, Matrix, Side

SAMPLE = 500
"""Texts of each language, unless told."""


def inspect_encoder(
    directory: Path,
    encoding: Encoding,
    what: Texts,
    split: str | None,
    languages: Sequence[str] | None,
    most: int,
    shown: bool,
) -> None:
    """Write how the texts of each pair of languages find their translations."""
    from xqe.collections.layout import Collection
    from xqe.collections.parallel import Texts, parallel_texts
    from xqe.evaluation.alignment import alignments
    from xqe.models.encoders.base import Side

    collection = Collection(directory)
    ids, texts = parallel_texts(collection, what, split, languages, most)
    side = Side.QUERY if what is Texts.QUERIES else Side.PASSAGE
    with open_encoder(encoding) as encoder:
        vectors = {lang: _encoded(encoder, lang, ids, some, side) for lang, some in texts.items()}
        name = encoder.name
    rows = alignments(vectors)
    if shown:
        jsonl.write(_tables(rows, f"{name}, {len(ids)} {what} of {collection.name}"))
        return
    for row in rows:
        jsonl.write(jsonl.dumps({"encoder": name, "collection": collection.name, "of": str(what), **asdict(row)}))


def _encoded(encoder: Encoder, lang: str, ids: Sequence[str], texts: Sequence[str], side: Side) -> Matrix:
    encoded = encoder.encode(texts, side)
    if encoded.errors:
        place, error = min(encoded.errors.items())
        raise XqeError(f'{encoder.name}: text "{ids[place]}" in {lang}: {error}', "mend that, and begin again")
    if encoded.truncated:
        say(f"{encoded.truncated} of {len(texts)} texts in {lang} are longer than {encoder.name} takes, and are cut")
    return encoded.vectors


_SHOWN: tuple[tuple[str, Callable[[Alignment], str]], ...] = (
    ("% of texts whose translation is the nearest of all", lambda row: f"{100 * row.nearest:.1f}"),
    ("cosine of the translation minus that of the nearest other text", lambda row: f"{row.margin:+.3f}"),
    ("cosine of the translation", lambda row: f"{row.cosine:.3f}"),
)
"""What a table shows, and how."""


def _tables(rows: Sequence[Alignment], title: str) -> str:
    from xqe.commands.screens import rendered

    parts: list[Any] = [title]
    for what, cell in _SHOWN:
        parts += ["", f"{what}; down the text, across its translation", _table(rows, cell)]
    return rendered(*parts)


def _table(rows: Sequence[Alignment], cell: Callable[[Alignment], str]) -> Fitting:
    from xqe.commands.columns import table

    languages = list(dict.fromkeys(row.source for row in rows))
    at = {(row.source, row.target): cell(row) for row in rows}
    made = table(("", *languages), languages)
    for source in languages:
        made.add_row(source, *(at.get((source, target), "-") for target in languages))
    return made
