"""What a page says: sections of lines, built up a piece at a time."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from xqe.collections.roff.escapes import CONTINUED

_WIDE = re.compile(r"[\u2e80-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]")
"""Characters of scripts that part no words by spaces: their lines are broken within words, and joined without one."""


@dataclass(slots=True)
class Section:
    """A heading and what stands below it: a line for each paragraph, item, line of code or row of a table."""

    heading: str
    lines: list[str] = field(default_factory=list)


class Page:
    """Sections as they are read. What stands before the first heading is in one without a heading.

    is_filled: lines of text run on in a paragraph; else each is a line of its own.
    """

    def __init__(self) -> None:
        self.sections = [Section("")]
        self.is_filled = True
        self._line = ""
        self._awaits: str | None = None

    @property
    def is_synopsis(self) -> bool:
        """Whether this is the section that shows how something is called: the second one of a page."""
        return len(self.sections) == 3

    def text(self, text: str) -> None:
        """Take one line of text."""
        if self._awaits is not None:
            if text.strip(f" {CONTINUED}"):
                self.heading(text, self._awaits == "section")
            return
        if not text.strip() or text.startswith((" ", "\t")):
            self.end_line()
        if text.startswith(CONTINUED) or self._line.endswith(CONTINUED):
            self._line = self._line.rstrip(CONTINUED) + text.lstrip(CONTINUED)
        elif self._line and text and _WIDE.match(self._line[-1]) and _WIDE.match(text[0]):
            self._line += text
        else:
            self._line += f" {text}"
        if not self.is_filled and not text.endswith(CONTINUED):
            self.end_line()

    def end_line(self) -> None:
        """What comes next begins a line."""
        if line := _clean(self._line):
            self.sections[-1].lines.append(line)
        self._line = ""

    def part(self) -> None:
        """What comes next goes on with a space, whatever was said before."""
        self._line = self._line.rstrip(CONTINUED)

    def row(self, cells: list[str]) -> None:
        """A row of a table: a line with tabs between its cells."""
        self.end_line()
        if any(clean := [_clean(cell) for cell in cells]):
            self.sections[-1].lines.append("\t".join(clean))

    def heading(self, text: str, is_section: bool = True) -> None:
        """Begin a section; a heading within one is a line of it. Without a text, it is the next line that comes."""
        self.end_line()
        self.is_filled = True
        self._awaits = None
        if not text.strip():
            self._awaits = "section" if is_section else "part"
        elif is_section:
            self.sections.append(Section(_clean(text)))
        else:
            self.sections[-1].lines.append(_clean(text))


def _clean(text: str) -> str:
    return " ".join(text.replace(CONTINUED, "").split())
