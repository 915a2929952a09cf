"""The macros of man, groff_man(7): what each puts into the text."""

from __future__ import annotations

from xqe.collections.roff.language import Macro, Reader


def _heading(reader: Reader, given: list[str]) -> None:
    reader.page.heading(reader.plain(" ".join(given)))


def _part(reader: Reader, given: list[str]) -> None:
    reader.page.heading(reader.plain(" ".join(given)), is_section=False)


def _paragraph(reader: Reader, given: list[str]) -> None:
    reader.page.end_line()


def _item(reader: Reader, given: list[str]) -> None:
    """A paragraph with a tag before it."""
    reader.page.end_line()
    if given and given[0]:
        reader.say(given[0])


def _words(reader: Reader, given: list[str]) -> None:
    if given:
        reader.say(" ".join(given))


def _alternating(reader: Reader, given: list[str]) -> None:
    """Arguments in two fonts, one after the other without spaces."""
    if given:
        reader.say("".join(given))


def _code(reader: Reader, given: list[str]) -> None:
    reader.page.end_line()
    reader.page.is_filled = False


def _end_code(reader: Reader, given: list[str]) -> None:
    reader.page.end_line()
    reader.page.is_filled = True


def _link(reader: Reader, given: list[str]) -> None:
    """An address; its text follows, up to the end."""
    reader.link = given[0] if given else ""


def _end_link(reader: Reader, given: list[str]) -> None:
    reader.say(f"<{reader.link}>{given[0] if given else ''}")


def _reference(reader: Reader, given: list[str]) -> None:
    page, section, after = [*given, "", "", ""][:3]
    reader.say(f"{page}({section}){after}")


def _synopsis(reader: Reader, given: list[str]) -> None:
    reader.page.end_line()
    _words(reader, given)


def _option(reader: Reader, given: list[str]) -> None:
    reader.say(f"[{' '.join(given)}]")


MACROS: dict[str, Macro] = {
    "SH": _heading,
    "SS": _part,
    **dict.fromkeys(("PP", "P", "LP", "HP", "TP", "TQ", "RS", "RE", "YS", "TH", "DS", "DE"), _paragraph),
    "IP": _item,
    **dict.fromkeys(("B", "I", "SM", "SB", "R", "CW"), _words),
    **dict.fromkeys(("BR", "RB", "BI", "IB", "IR", "RI"), _alternating),
    "EX": _code,
    "EE": _end_code,
    **dict.fromkeys(("UR", "MT"), _link),
    **dict.fromkeys(("UE", "ME"), _end_link),
    "MR": _reference,
    "SY": _synopsis,
    "OP": _option,
}
