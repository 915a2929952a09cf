"""Groups of queries by fields of their records, and which queries each of them owes an answer to.

A run file can hold several language pairs, so that one query id stands in it several times. Where records are
grouped, a query is therefore known by its cell and its id; the cell is the values of the fields to group by
and of the language pair (`PAIR`). So an average by script or by document language is over all its pairs.

What a run lacks must count as 0 in the right cells, or a group whose hard queries failed would look good. The
qrels know no cells, so what is expected is inferred from the run itself, field by field:

- A field in which some id has two values, or that has one value only, does not depend on the query (the
  language of the documents, say): every query of the qrels is expected under each of its values.
- A field with several values in which every id has one belongs to the query (its domain, or the source
  language where ids differ by language): a query is expected under its own value only.
- A query of the qrels whose own value cannot be known, since the run never shows it, is expected in no
  cell; it counts as 0 in the average over the whole run.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping

from xqe.files.jsonl import dumps
from xqe.files.records import Record
from xqe.text.languages import Language, code_of, known

Group = tuple[str, ...]  # values of the fields to group by
Cell = tuple[str, ...]  # a group's, then those of the language pair
PAIR = ("source.lang", "index.lang")
NO_VALUE = "-"


def cell_fields(fields: tuple[str, ...]) -> tuple[str, ...]:
    """Return the fields whose values are a cell, for the fields to group by; none without those."""
    return (*fields, *(field for field in PAIR if field not in fields)) if fields else ()


def is_of_language(field: str) -> bool:
    """Whether a field holds the code of a language: "lang", "source.lang", "passages_lang"."""
    return re.split("[._]", field)[-1] == "lang"


def field_value(record: Record, field: str) -> str | None:
    """Return the value of a dotted field ("index.lang") as text, None where the record has none.

    The code of a language has one spelling, whichever the record has: "pt" for "pt-BR" in "lang" and "passages_lang".
    A record without "source" is as it first arrived, so its "source.lang" is its "lang". Where there is no
    field "script", "family" or "resources", it is derived from the "lang" beside it: "Latin" or "non-Latin" (the
    grouping of the paper's section 5), the family in the table of languages, the class of Joshi et al. (2020), 0 to 5.
    """
    *parents, last = field.split(".")
    if parents[:1] == ["source"] and "source" not in record:
        parents = parents[1:]
    holder: object = record
    for parent in parents:
        holder = holder.get(parent) if isinstance(holder, Mapping) else None
    if not isinstance(holder, Mapping):
        return None
    value = holder.get(last)
    if value is None and last in _DERIVED:
        return _derived(last, holder.get("lang"))
    if isinstance(value, str):
        return code_of(value) if is_of_language(field) else value
    return value if value is None else dumps(value)


_DERIVED: dict[str, Callable[[Language], str | None]] = {
    "script": lambda row: "Latin" if row.is_latin else "non-Latin",
    "family": lambda row: row.family or None,
    "resources": lambda row: None if row.resources is None else str(row.resources),
}


def _derived(field: str, code: object) -> str | None:
    """What a field says of a language; None where that is unknown, or has no row."""
    spoken = known(code) if isinstance(code, str) else None
    return None if spoken is None else _DERIVED[field](spoken)


def place(
    queries: Iterable[str], cells: Collection[Cell], seen: Iterable[tuple[tuple[str | None, ...], str]]
) -> dict[Cell | None, list[str]]:
    """Return the queries that each cell is expected to hold; None holds those that belong to no known cell.

    seen: the field values and the id of every record of the run, None for a value that is not known (a record
    that failed before it reached the stage that sets the field). The rule is this module's.
    """
    own: dict[int, dict[str, set[str]]] = {}
    for values, query in seen:
        for position, value in enumerate(values):
            known = own.setdefault(position, defaultdict(set))
            if value is not None:
                known[query].add(value)
    telling = [
        (position, known)
        for position, known in own.items()
        if len({cell[position] for cell in cells}) > 1 and all(len(values) == 1 for values in known.values())
    ]
    expected: dict[Cell | None, list[str]] = {cell: [] for cell in cells}
    for query in queries:
        owing: list[Cell | None] = [
            cell for cell in cells if all({cell[position]} == known.get(query) for position, known in telling)
        ]
        for cell in owing or [None]:
            expected.setdefault(cell, []).append(query)
    return expected
