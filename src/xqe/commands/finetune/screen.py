"""What xqe finetune says to a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from xqe.commands.screens import rendered

if TYPE_CHECKING:
    from xqe.training.candidates import Left, Row

_TOTAL = "all"


def statistics(rows: Sequence[Row]) -> str:
    """Tables of what became examples and of what was left out, with a line of totals, and what its columns mean."""
    from xqe.training.candidates import MEANING, Left, Row

    total = Row(_TOTAL, "")
    for row in rows:
        total.queries += row.queries
        total.split += row.split
        total.query_tokens += row.query_tokens
        total.passage_tokens += row.passage_tokens
        total.cut += row.cut
        total.left += row.left
    shown = [*rows, *([total] if len(rows) > 1 else [])]
    reasons = [why for why in Left if total.left[why] > 0]
    parts = [_examples(shown)]
    if reasons:
        parts += ["", _left_out(shown, reasons), "", *(f"{why}: {MEANING[why]}" for why in reasons)]
    return rendered(*parts)


def _examples(rows: Sequence[Row]) -> object:
    from xqe.commands.columns import table

    numbers = ("queries", "train", "validation", "query tokens", "passage tokens", "cut")
    made = table(("collection", "language", *numbers), numbers)
    for row in rows:
        counts = (row.queries, row.split["train"], row.split["validation"])
        means = (_mean(row.query_tokens, row.examples), _mean(row.passage_tokens, row.examples))
        made.add_row(row.collection, row.lang, *(f"{count:,}" for count in counts), *means, f"{row.cut:,}")
    return made


def _left_out(rows: Sequence[Row], reasons: Sequence[Left]) -> object:
    from xqe.commands.columns import table

    made = table(("left out", "", *reasons), reasons)
    for row in rows:
        left: Counter[Left] = row.left
        made.add_row(row.collection, row.lang, *(f"{left[why]:,}" for why in reasons))
    return made


def _mean(total: int, number: int) -> str:
    return f"{total / number:.1f}" if number else "-"
