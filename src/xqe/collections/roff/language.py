"""The language of roff: requests, strings, registers, conditions and macros, as much of it as pages are written in.

A page is read a line at a time. A line that begins with a dot is a request, a macro of the page's own, or one of the
set that it is written with; every other line is text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from xqe.collections.roff.conditions import holds, number
from xqe.collections.roff.escapes import resolved
from xqe.collections.roff.page import Page
from xqe.collections.roff.tables import rows

_CONTROL = re.compile(r"[.'][ \t]*((?:[^\s\\]|\\(?![\"#{]))*)[ ]*(.*)", re.DOTALL)
_EXPANDED = re.compile(
    r"""\\(?:(?P<escaped>[\\"\#])
    | \$(?P<argument>\d|[*@^]|\(..|\[[^\]]*\])
    | \*(?P<string>\(..|\[[^\]]*\]|.)
    | n(?P<step>[+-]?)(?P<register>\(..|\[[^\]]*\]|.))""",
    re.VERBOSE,
)
_BRACE = re.compile(r"\\(.)", re.DOTALL)
_END = re.compile(r"[.'][ \t]*\.\s*")
_STRINGS = {".T": "utf8", "R": "®", "Tm": "™", "lq": "“", "rq": "”", "S": ""}
_REGISTERS = {".g": 1.0, ".x": 1.0, ".y": 23.0, ".l": 1560.0, ".u": 1.0}
_MOST_LINES = 500_000  # read, with those of macros: no page has so many, but one could go round in a circle
_DEEPEST = 25  # macros that call each other
_LONGEST = 20_000  # characters of a line once its strings are put in


class Quoted(str):
    """An argument that stood in quotes: to mdoc it is never the name of a macro."""

    __slots__ = ()


Macro = Callable[["Reader", list[str]], None]


class _Lines:
    """Lines that are being read: of the page, of a macro, of a branch. arguments: those of the macro."""

    def __init__(self, lines: Sequence[str], arguments: list[str]) -> None:
        self.lines, self.arguments = iter(lines), arguments


class Reader:
    """Reads a page. page: what comes of it. macros: the set it is written with, by name."""

    def __init__(self, macros: Mapping[str, Macro]) -> None:
        self.page = Page()
        self._set = dict(macros)
        self.link = ""  # the address that a text is linked to
        self.named = ""  # what the page is about, as mdoc repeats it
        self.is_spaced = True  # whether mdoc puts spaces between arguments
        self._own: dict[str, list[str]] = {}
        self._strings = dict(_STRINGS)
        self._registers = dict(_REGISTERS)
        self._translated: dict[int, str] = {}
        self._stack: list[_Lines] = []
        self._branches: list[bool] = []
        self._count = 0
        self._base = 0

    def read(self, lines: Sequence[str]) -> None:
        """Read lines to their end."""
        base, self._base = self._base, len(self._stack)
        self._stack.append(_Lines(lines, []))
        while (raw := self._raw()) is not None:
            self._line(self._expanded(raw))
        self._base = base

    def say(self, text: str) -> None:
        """A line of text, whose escapes are still there."""
        self.page.text(self.plain(text))

    def plain(self, text: str) -> str:
        """A text without escapes."""
        return resolved(text).translate(self._translated)

    # ------------------------------------------------------------ lines

    def _raw(self) -> str | None:
        """The next line, with those that it goes on with, or None at the end."""
        line = self._next()
        while line is not None and (len(line) - len(line.rstrip("\\"))) % 2 and '\\"' not in line:
            more = self._next()
            line = line[:-1] + (more or "")
            if more is None:
                break
        return line

    def _next(self) -> str | None:
        self._count += 1
        while len(self._stack) > self._base and self._count < _MOST_LINES:
            if (line := next(self._stack[-1].lines, None)) is not None:
                return line
            self._stack.pop()
        del self._stack[self._base :]
        return None

    def _push(self, lines: Sequence[str], arguments: list[str]) -> None:
        if len(self._stack) < _DEEPEST:
            self._stack.append(_Lines(lines, arguments))

    @property
    def _arguments(self) -> list[str]:
        return self._stack[-1].arguments if self._stack else []

    def _line(self, line: str) -> None:
        match = _CONTROL.fullmatch(line)
        if match is None:
            self.say(line)
            return
        name, rest = match[1], match[2]
        if name in self._own:
            self._push(self._own[name], arguments(rest))
        elif name in self._set:
            self._set[name](self, arguments(rest))
        elif request := _REQUESTS.get(name):
            request(self, rest)

    # ------------------------------------------------------------ what stands for something else

    def _expanded(self, line: str, depth: int = 0) -> str:
        """A line with its strings, registers and arguments put in; what stands after a comment's sign is left."""
        if "\\" not in line:
            return line
        out: list[str] = []
        at = size = 0
        while match := _EXPANDED.search(line, at):
            out.append(line[at : match.start()])
            if match["escaped"] in ('"', "#"):
                return "".join(out)
            put = self._put(match, depth)
            out.append(put)
            at, size = match.end(), size + len(put)
            if size > _LONGEST:
                break
        return "".join(out) + line[at:]

    def _put(self, match: re.Match[str], depth: int) -> str:
        if match["escaped"]:
            return match[0]
        if argument := match["argument"]:
            return self._argument(argument.strip("([]"))
        if string := match["string"]:
            name = _name(string).partition(" ")[0]
            value = self._strings.get(name, "")
            return self._expanded(value, depth + 1) if depth < 10 else ""
        name = _name(match["register"])
        if name == ".$":
            return str(len(self._arguments))
        if match["step"]:
            self._registers[name] = self._registers.get(name, 0) + (1 if match["step"] == "+" else -1)
        return f"{self._registers.get(name, 0):g}"

    def _argument(self, which: str) -> str:
        given = self._arguments
        if which == "@":
            return " ".join(f'"{one}"' for one in given)
        if not which.isdecimal():
            return " ".join(given)
        number = int(which)
        return given[number - 1] if 0 < number <= len(given) else ""

    # ------------------------------------------------------------ requests

    def _define(self, rest: str) -> None:
        name, _, end = rest.strip().partition(" ")
        self._own[name] = list(self._until(end.strip()))

    def _append_macro(self, rest: str) -> None:
        name, _, end = rest.strip().partition(" ")
        more = list(self._until(end.strip()))
        if name in self._own:
            self._own[name] = [*self._own[name], *more]

    def _ignore(self, rest: str) -> None:
        for _ in self._until(rest.strip()):
            pass

    def _until(self, end: str) -> Iterator[str]:
        """The lines to .. or to a macro of a name, as a macro keeps them: one backslash of two is left."""
        while (line := self._next()) is not None:
            if end and (match := _CONTROL.fullmatch(line)) and match[1] == end:
                return
            if not end and _END.fullmatch(line):
                return
            yield line.replace("\\\\", "\\")

    def _string(self, rest: str) -> None:
        name, _, value = rest.partition(" ")
        self._strings[name] = value.lstrip(" ").removeprefix('"').replace("\\\\", "\\")

    def _longer_string(self, rest: str) -> None:
        name, _, value = rest.partition(" ")
        value = value.lstrip(" ").removeprefix('"').replace("\\\\", "\\")
        self._strings[name] = (self._strings.get(name, "") + value)[:_LONGEST]

    def _register(self, rest: str) -> None:
        name, _, value = rest.partition(" ")
        value = resolved(value).strip()
        step = value[:1] if value[:1] in ("+", "-") else ""
        found, _ = number(value.removeprefix(step))
        self._registers[name] = {
            "+": self._registers.get(name, 0) + found,
            "-": self._registers.get(name, 0) - found,
        }.get(step, found)

    def _remove(self, rest: str) -> None:
        for name in rest.split():
            self._own.pop(name, None)
            self._strings.pop(name, None)
            self._registers.pop(name, None)

    def _rename(self, rest: str) -> None:
        old, _, new = rest.partition(" ")
        if old in self._own:
            self._own[new.strip()] = self._own.pop(old)
        elif old in self._set:
            self._set[new.strip()] = self._set.pop(old)

    def _alias(self, rest: str) -> None:
        new, _, old = rest.partition(" ")
        old = old.strip()
        self._own[new] = self._own.get(old, [f".{old} \\$@"])

    def _shift(self, rest: str) -> None:
        del self._arguments[: int(rest) if rest.strip().isdecimal() else 1]

    def _translate(self, rest: str) -> None:
        """Characters in pairs: each first one is shown as the second."""
        letters = [resolved(one) for one in re.findall(r"\\\(..|\\\[[^\]]*\]|\\.|.", rest)]
        for old, new in zip(letters[::2], [*letters[1::2], " "], strict=False):
            if len(old) == 1:
                self._translated[ord(old)] = new

    def _if(self, rest: str) -> None:
        is_true, body = self._condition(rest)
        self._branch(is_true, body)

    def _if_else(self, rest: str) -> None:
        is_true, body = self._condition(rest)
        self._branches.append(not is_true)
        self._branch(is_true, body)

    def _else(self, rest: str) -> None:
        self._branch(self._branches.pop() if self._branches else False, rest)

    def _while(self, rest: str) -> None:
        self._branch(False, self._condition(rest)[1])  # what goes round counts pages and widths

    def _condition(self, rest: str) -> tuple[bool, str]:
        text = re.sub(r"\\w(.).*?\1", lambda match: resolved(match[0]), rest)
        return holds(text, {*self._own, *self._set, *self._strings, *_REQUESTS}, self._registers)

    def _branch(self, is_taken: bool, body: str) -> None:
        """Read what depends on a condition, up to the end of the line or of its braces, or pass over it."""
        body = body.lstrip(" \t")
        lines = [body]
        if body.startswith("\\{"):
            lines = [body[2:].lstrip(" \t")]
            depth = 1 + _opened(lines[0])
            while depth > 0 and (line := self._raw()) is not None:
                depth += _opened(line)
                lines.append(line)
            before, _, after = lines[-1].rpartition("\\}")
            lines[-1] = before + after
        if is_taken:
            self._push(lines, self._arguments)

    def _break(self, rest: str) -> None:
        self.page.end_line()

    def _unfilled(self, rest: str) -> None:
        self.page.end_line()
        self.page.is_filled = False

    def _filled(self, rest: str) -> None:
        self.page.end_line()
        self.page.is_filled = True

    def _control(self, rest: str) -> None:
        self._push([f".{rest}"], self._arguments)

    def _text(self, rest: str) -> None:
        self.say(rest)

    def _table(self, rest: str) -> None:
        lines = []
        while (line := self._raw()) is not None and not re.match(r"[.'][ \t]*TE\b", line):
            lines.append(line)
        self.page.end_line()
        for cells in rows(lines):
            self.page.row([self._cell(cell) for cell in cells])

    def _cell(self, lines: list[str]) -> str:
        """What the lines of a cell say."""
        page, self.page = self.page, Page()
        self.read(lines)
        self.page.end_line()
        said = " ".join(line for section in self.page.sections for line in (section.heading, *section.lines))
        self.page = page
        return said

    def _skip_to(self, end: str) -> None:
        while (line := self._next()) is not None and not re.match(rf"[.'][ \t]*{end}\b", line):
            pass


_REQUESTS: dict[str, Callable[[Reader, str], None]] = {
    **dict.fromkeys(("de", "de1", "dei"), Reader._define),
    **dict.fromkeys(("am", "am1"), Reader._append_macro),
    **dict.fromkeys(("ds", "ds1"), Reader._string),
    **dict.fromkeys(("as", "as1"), Reader._longer_string),
    **dict.fromkeys(("rm", "rr"), Reader._remove),
    **dict.fromkeys(("br", "sp", "ti", "in", "ce", "bp"), Reader._break),
    "ig": Reader._ignore,
    "nr": Reader._register,
    "rn": Reader._rename,
    "als": Reader._alias,
    "shift": Reader._shift,
    "tr": Reader._translate,
    "if": Reader._if,
    "ie": Reader._if_else,
    "el": Reader._else,
    "while": Reader._while,
    "nf": Reader._unfilled,
    "fi": Reader._filled,
    "do": Reader._control,
    "nop": Reader._text,
    "TS": Reader._table,
    "EQ": lambda reader, rest: reader._skip_to("EN"),
    "PS": lambda reader, rest: reader._skip_to("PE"),
}


def arguments(text: str) -> list[str]:
    """The arguments of a macro: parted by spaces, unless they are in quotes or behind a backslash.

    Two quotes within quotes are one.
    """
    found: list[str] = []
    at = 0
    while match := _ARGUMENT.match(text, at):
        quoted = match[1]
        found.append(Quoted(quoted.replace('""', '"')) if quoted is not None else match[2])
        at = match.end()
    return found


_ARGUMENT = re.compile(r' *(?:"((?:[^"]|"")*)(?:"|$)|((?:[^ \\]|\\.|\\$)+))', re.DOTALL)


def _name(given: str) -> str:
    """The name in x, (xx or [xx]."""
    return given[1:] if given.startswith("(") else given.strip("[]") if given.startswith("[") else given


def _opened(line: str) -> int:
    """How many more braces a line opens than it closes."""
    signs = [match[1] for match in _BRACE.finditer(line)]
    return signs.count("{") - signs.count("}")
