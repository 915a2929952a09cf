"""TOML files: those of prompts and of grids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xqe.errors import InputError, why


def load(path: Path, missing: str, broken: str) -> dict[str, Any]:
    """Return what a file holds; a byte order mark at its start is passed over.

    missing, broken: the hint for a file that cannot be read, and for one that is no TOML. Raises InputError, which says
    where.
    """
    import tomllib

    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: {why(error)}", missing) from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not UTF-8 (byte {error.start})", "convert the file, for example with iconv -t UTF-8"
        ) from None
    except ValueError as error:  # also of a number of thousands of digits
        raise InputError(f"{path}: {error}", broken) from None
    except RecursionError:
        raise InputError(f"{path}: its brackets are nested too deep", broken) from None
