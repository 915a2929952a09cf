"""Options that name several things."""

from __future__ import annotations

from collections.abc import Sequence

from xqe.errors import XqeError
from xqe.text.languages import language


def several(values: Sequence[str] | None) -> tuple[str, ...] | None:
    """The values of an option that may be repeated, or hold several with commas between; None for none."""
    parts = [part.strip() for value in values or () for part in value.split(",")]
    return tuple(dict.fromkeys(part for part in parts if part)) or None


def language_codes(values: Sequence[str] | None, option: str = "--lang") -> tuple[str, ...] | None:
    """The languages of an option, of which there may be several; None where it is not given. Raises XqeError for an
    unknown one, and for an option that names none."""
    if not values:
        return None
    codes = tuple(dict.fromkeys(language(code, option).code for code in several(values) or ()))
    if not codes:
        raise XqeError(f"{option} names no language", f"for example {option} de,fr,ja")
    return codes


def fields_of(by: str | None, example: str) -> tuple[str, ...]:
    """The fields that --by names, none for None. Raises XqeError, with an example, for what names none."""
    fields = () if by is None else tuple(field.strip() for field in by.split(","))
    if not all(all(field.split(".")) for field in fields) or len(set(fields)) < len(fields):
        raise XqeError(f'--by: "{by}" does not name one or more fields', f"for example {example}")
    return fields
