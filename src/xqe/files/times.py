"""Times as they are written: RFC 3339, in UTC, to the second."""

from __future__ import annotations

import time


def written(seconds: float) -> str:
    """A time that is so many seconds after 1970 began."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def now() -> str:
    return written(time.time())
