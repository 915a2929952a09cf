"""The macros of mdoc, groff_mdoc(7): what each puts into the text.

A macro may stand within the arguments of another: a line is words and names of macros. So it is read from left to
right, and becomes pieces, some of which stand without a space beside their neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xqe.collections.roff.escapes import CONTINUED
from xqe.collections.roff.language import Macro, Quoted, Reader

_CLOSING = frozenset([".", ",", ":", ";", ")", "]", "?", "!"])
_OPENING = frozenset(["(", "["])
_BETWEEN = {*_CLOSING, *_OPENING, "|"}
_ENCLOSING = {
    "Op": ("[", "]"),
    "Aq": ("<", ">"),
    "Bq": ("[", "]"),
    "Brq": ("{", "}"),
    "Pq": ("(", ")"),
    "Dq": ("“", "”"),
    "Sq": ("‘", "’"),
    "Ql": ("‘", "’"),
    "Qq": ('"', '"'),
    "En": ("", ""),
    "D1": ("", ""),
    "Dl": ("", ""),
    "%T": ("", ""),
}
"""Macros that enclose the rest of the line, but for the punctuation at its end."""
_OPENERS = {
    "Oo": "[", "Ao": "<", "Bo": "[", "Bro": "{", "Po": "(", "Do": "“", "So": "‘", "Qo": '"',
    "Eo": "", "Xo": "", "Fo": "",
}  # fmt: skip
_CLOSERS = {
    "Oc": "]", "Ac": ">", "Bc": "]", "Brc": "}", "Pc": ")", "Dc": "”", "Sc": "’", "Qc": '"',
    "Ec": "", "Xc": "", "Fc": ")",
}  # fmt: skip
_WORDS = frozenset((
    "Ad", "An", "Ar", "Cm", "Cd", "Dv", "Em", "Er", "Ev", "Fa", "Fd", "Fl", "Ft", "Ic", "Li", "Lk", "Ms", "Mt",
    "Nm", "No", "Pa", "Sx", "Sy", "Tn", "Va", "Vt", "Lb", "In", "Xr", "Fn", "St", "Nd",
))  # fmt: skip
"""Macros that take the words up to the next one."""
_SYSTEMS = {
    "Ux": "UNIX", "Ox": "OpenBSD", "Nx": "NetBSD", "Fx": "FreeBSD", "Dx": "DragonFly", "Bsx": "BSD/OS", "Bx": "BSD",
    "At": "AT&T UNIX",
}  # fmt: skip
_LINES = frozenset(["D1", "Dl"])
_DECLARED = frozenset(["Nm", "Ft", "Fd", "In"])
"""Macros that begin a line in a synopsis."""
_CALLABLE = {*_ENCLOSING, *_OPENERS, *_CLOSERS, *_WORDS, *_SYSTEMS, "Ns", "Pf", "Ap"}
_STANDARDS = {
    "-p1003.1-88": "IEEE Std 1003.1-1988 (“POSIX.1”)",
    "-p1003.1-90": "IEEE Std 1003.1-1990 (“POSIX.1”)",
    "-p1003.1-96": "ISO/IEC 9945-1:1996 (“POSIX.1”)",
    "-p1003.1-2001": "IEEE Std 1003.1-2001 (“POSIX.1”)",
    "-p1003.1-2004": "IEEE Std 1003.1-2004 (“POSIX.1”)",
    "-p1003.1-2008": "IEEE Std 1003.1-2008 (“POSIX.1”)",
    "-p1003.2": "IEEE Std 1003.2 (“POSIX.2”)",
    "-p1003.2-92": "IEEE Std 1003.2-1992 (“POSIX.2”)",
    "-ansiC": "ANSI X3.159-1989 (“ANSI C89”)",
    "-isoC": "ISO/IEC 9899:1990 (“ISO C90”)",
    "-isoC-99": "ISO/IEC 9899:1999 (“ISO C99”)",
    "-isoC-2011": "ISO/IEC 9899:2011 (“ISO C11”)",
    "-susv2": "Version 2 of the Single UNIX Specification (“SUSv2”)",
    "-susv3": "Version 3 of the Single UNIX Specification (“SUSv3”)",
}


class _Phrase:
    """Pieces of a line, joined by spaces where no punctuation or macro says otherwise."""

    def __init__(self, is_spaced: bool) -> None:
        self.text = ""
        self.is_spaced = is_spaced
        self._glue = False

    def add(self, piece: str) -> None:
        is_closing = piece in _CLOSING and not isinstance(piece, Quoted)
        if self.text and not self._glue and not is_closing:
            self.text += " "
        elif not self.text and (is_closing or self._glue):
            self.text = CONTINUED
        self.text += piece
        self._glue = piece in _OPENING or not self.is_spaced

    def glue(self) -> None:
        """The next piece stands beside the last one."""
        self._glue = True

    def end(self) -> str:
        return self.text + (CONTINUED if self._glue and self.text else "")


def _line(name: str) -> Macro:
    """What reads a line that begins with a macro."""

    def read(reader: Reader, given: list[str]) -> None:
        if name in _LINES or (name in _DECLARED and reader.page.is_synopsis):
            reader.page.end_line()
        phrase = _Phrase(reader.is_spaced)
        _read(reader, phrase, [name, *given])
        if phrase.text:
            reader.say(phrase.end())
        if name in ("D1", "Dl"):
            reader.page.end_line()

    return read


def _read(reader: Reader, phrase: _Phrase, tokens: Sequence[str]) -> None:
    """Put words and macros into a phrase."""
    at = 0
    while at < len(tokens):
        name = tokens[at]
        at += 1
        if isinstance(name, Quoted) or name not in _CALLABLE:
            phrase.add(name)
        elif name == "Ns":
            phrase.glue()
        elif name == "Ap":
            phrase.glue()
            phrase.add("'")
            phrase.glue()
        elif name == "Pf":
            if at < len(tokens):
                phrase.add(tokens[at])
                at += 1
            phrase.glue()
        elif name in _ENCLOSING:
            _enclosed(reader, phrase, name, tokens[at:])
            return
        elif name == "Fo":
            phrase.add(f"{' '.join(tokens[at : at + 1])}(")
            phrase.glue()
            at += 1
        elif name in _OPENERS:
            if _OPENERS[name]:
                phrase.add(_OPENERS[name])
                phrase.glue()
        elif name in _CLOSERS:
            phrase.glue()
            phrase.add(_CLOSERS[name])
            phrase.is_spaced, phrase._glue = reader.is_spaced, not reader.is_spaced
        else:
            end = at
            while end < len(tokens) and (isinstance(tokens[end], Quoted) or tokens[end] not in _CALLABLE):
                end += 1
            _words(reader, phrase, name, tokens[at:end])
            if name == "Fl" and at == end < len(tokens):
                phrase.glue()  # a dash before what another macro says
            at = end


def _enclosed(reader: Reader, phrase: _Phrase, name: str, tokens: Sequence[str]) -> None:
    end = len(tokens)
    while end and tokens[end - 1] in _CLOSING and not isinstance(tokens[end - 1], Quoted):
        end -= 1
    opening, closing = _ENCLOSING[name]
    if opening:
        phrase.add(opening)
        phrase.glue()
    _read(reader, phrase, tokens[:end])
    if closing:
        phrase.glue()
        phrase.add(Quoted(closing))
    for mark in tokens[end:]:
        phrase.add(mark)


def _words(reader: Reader, phrase: _Phrase, name: str, words: Sequence[str]) -> None:
    """Put a macro and the words that it takes into a phrase; punctuation among them is of the text around."""
    before = 0
    while before < len(words) and words[before] in _OPENING:
        phrase.add(words[before])
        before += 1
    end = len(words)
    while end > before and words[end - 1] in _CLOSING and not isinstance(words[end - 1], Quoted):
        end -= 1
    for piece in _SAID.get(name, _plain)(reader, name, words[before:end]):
        phrase.add(piece)
    for mark in words[end:]:
        phrase.add(mark)


def _plain(reader: Reader, name: str, words: Sequence[str]) -> Sequence[str]:
    return words


def _name(reader: Reader, name: str, words: Sequence[str]) -> Sequence[str]:
    """The name of what the page is about: the first time it is given, later meant without words."""
    if words and not reader.named:
        reader.named = words[0]
    return words or [reader.named]


def _flag(reader: Reader, name: str, words: Sequence[str]) -> Sequence[str]:
    return [one if one in _BETWEEN else Quoted(f"-{one}") for one in words] or ["-"]


def _argument(reader: Reader, name: str, words: Sequence[str]) -> Sequence[str]:
    return words or ["file", "..."]


def _reference(reader: Reader, name: str, words: Sequence[str]) -> Sequence[str]:
    return [f"{words[0]}({words[1]})", *words[2:]] if len(words) > 1 else words


def _function(reader: Reader, name: str, words: Sequence[str]) -> Sequence[str]:
    return [f"{words[0]}({', '.join(words[1:])})"] if words else []


def _file(reader: Reader, name: str, words: Sequence[str]) -> Sequence[str]:
    return [*(["#include"] if reader.page.is_synopsis else []), f"<{' '.join(words)}>"]


def _description(reader: Reader, name: str, words: Sequence[str]) -> Sequence[str]:
    return ["–", *words]


def _link(reader: Reader, name: str, words: Sequence[str]) -> Sequence[str]:
    return [f"{' '.join(words[1:])}: {words[0]}"] if len(words) > 1 else words


def _standard(reader: Reader, name: str, words: Sequence[str]) -> Sequence[str]:
    return [_STANDARDS.get(words[0], words[0].removeprefix("-")), *words[1:]] if words else []


def _system(reader: Reader, name: str, words: Sequence[str]) -> Sequence[str]:
    if name == "Bx" and words:
        return [f"{words[0]}{_SYSTEMS[name]}", *words[1:]]
    return [_SYSTEMS[name], *words]


_SAID: dict[str, Callable[[Reader, str, Sequence[str]], Sequence[str]]] = {
    "Nm": _name,
    "Fl": _flag,
    "Ar": _argument,
    "Xr": _reference,
    "Fn": _function,
    "In": _file,
    "Nd": _description,
    "Lk": _link,
    "St": _standard,
    **dict.fromkeys(_SYSTEMS, _system),
}


# ---------------------------------------------------------------- macros that begin a line


def _section(reader: Reader, given: list[str]) -> None:
    reader.page.heading(reader.plain(" ".join(given)))


def _part(reader: Reader, given: list[str]) -> None:
    reader.page.heading(reader.plain(" ".join(given)), is_section=False)


def _item(reader: Reader, given: list[str]) -> None:
    reader.page.end_line()
    phrase = _Phrase(reader.is_spaced)
    _read(reader, phrase, given)
    if phrase.text:
        reader.say(phrase.end())


def _end_line(reader: Reader, given: list[str]) -> None:
    reader.page.end_line()


def _display(reader: Reader, given: list[str]) -> None:
    reader.page.end_line()
    reader.page.is_filled = not {"-literal", "-unfilled"} & {*given}


def _end_display(reader: Reader, given: list[str]) -> None:
    reader.page.end_line()
    reader.page.is_filled = True


def _spacing(reader: Reader, given: list[str]) -> None:
    reader.is_spaced = given[:1] == ["on"] if given else not reader.is_spaced
    if reader.is_spaced:
        reader.page.part()


def _exit_status(reader: Reader, given: list[str]) -> None:
    names = " ".join(word for word in given if word != "-std") or reader.named
    reader.say(f"The {names} utility exits 0 on success, and >0 if an error occurs.")


def _cited(reader: Reader, given: list[str]) -> None:
    reader.say(" ".join(given))


MACROS: dict[str, Macro] = {
    **{name: _line(name) for name in _CALLABLE},
    "Sh": _section,
    "Ss": _part,
    "It": _item,
    **dict.fromkeys(("Pp", "Lp", "Bl", "El", "Rs", "Re"), _end_line),
    "Bd": _display,
    "Ed": _end_display,
    "Sm": _spacing,
    "Ex": _exit_status,
    **dict.fromkeys(("%A", "%B", "%D", "%I", "%J", "%N", "%O", "%P", "%R", "%T", "%U", "%V"), _cited),
}
