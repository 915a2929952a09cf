"""What can go wrong, as types: each error is one line that says where, what, and the next step."""

from __future__ import annotations

from xqe.lines import HINT, bounded


class XqeError(Exception):
    """The work cannot be done: a usage, input, model or index error. The command exits with status 2.

    `message` says where and what ("queries.jsonl:12: missing \\"query\\""); `hint` says the next step.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Both on one line, of which the values that it quotes are cut, and never the hint for their sake."""
        message = bounded(" ".join(self.message.split()))
        return f"{message}; {bounded(' '.join(self.hint.split()), HINT)}" if self.hint else message


class InputError(XqeError):
    """A file or stream that xqe was given to read is not what it should be."""


class ModelError(XqeError):
    """A model is unknown, missing, damaged, or cannot be loaded."""


class MissingExtraError(XqeError):
    """A feature needs a package that an optional extra brings."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(what, f'install it with: pip install "xqe[{extra}]"')


def why(error: OSError) -> str:
    """What the system says of an error, as a part of a message: "no such file or directory"."""
    return (error.strerror or str(error)).lower()
