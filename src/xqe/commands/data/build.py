"""xqe data build: a collection of what Debian has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xqe.commands.data.options import Force, Languages, Out
from xqe.commands.data.rows import summarise
from xqe.commands.options.lists import language_codes
from xqe.errors import XqeError
from xqe.messages import Progress

if TYPE_CHECKING:
    from xqe.collections.archive import Archive
    from xqe.collections.layout import Collection

Build = Callable[..., "Collection"]


def build(
    name: Annotated[
        str,
        typer.Argument(
            metavar="COLLECTION", show_default=False, help="debian, debian-graded, manpages, gnome-help or iso-codes."
        ),
    ],
    out: Out,
    languages: Languages = None,
    graded: Annotated[bool, typer.Option("--graded", help="Of debian: the same as debian-graded.")] = False,
    mirror: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            show_default=False,
            help="Not of debian: where Debian's archive is. [default: http://deb.debian.org/debian]",
        ),
    ] = None,
    release: Annotated[
        str | None,
        typer.Option(metavar="NAME", show_default=False, help="Not of debian: of the archive. [default: bookworm]"),
    ] = None,
    megabytes: Annotated[
        float | None,
        typer.Option(
            metavar="MB",
            min=1,
            show_default=False,
            help="Of manpages and gnome-help: of packages to fetch, at most. [default: 150, 100]",
        ),
    ] = None,
    pages: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            show_default=False,
            help="Of manpages and gnome-help: a language, at most. [default: all]",
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Make a collection of what Debian has, as people translated it.

    debian: a package's synopsis is a query, its long description the one relevant document, in every language.
    debian-graded: a short title is a query, and BM25 grades up to 100 documents for it, from 1 to 6. Both need apt-get
    and its network; the machine's own package lists are left alone.

    manpages: the line that says what a manual page is about is a query, the page without it the one relevant document.
    gnome-help: the title of a page of help is a query, the page without it the one relevant document.
    iso-codes: names of countries, languages, scripts, currencies and subdivisions, in a hundred languages. These
    need the network alone; what they download is kept in XQE_DATA.
    """
    from xqe.collections.sources import chosen_languages, source, sources
    from xqe.collections.target import check_target

    if name not in sources() or source(name).how != "build":
        known = ", ".join(row.name for row in sources().values() if row.how == "build")
        raise XqeError(f'nothing to build by the name "{name}"', f"xqe builds {known}")
    given = {"graded": graded or None, "mirror": mirror, "release": release, "megabytes": megabytes, "pages": pages}
    for option, value in given.items():
        if value is not None and option not in _OPTIONS[name]:
            raise XqeError(f"--{option}: means nothing to {name}", f"it is for {' and '.join(_with(option))}")
    wanted = chosen_languages(source(name), language_codes(languages))
    check_target(out, force)
    with Progress(name) as shown:
        shown.doing = "making the collection"
        collection = _BUILDERS["debian-graded" if graded else name](out, wanted, given, force)
    summarise(collection)


def _debian(out: Path, languages: Sequence[str], given: dict[str, Any], force: bool) -> Collection:
    from xqe.collections import debian

    return debian.build(out, languages, force)


def _graded(out: Path, languages: Sequence[str], given: dict[str, Any], force: bool) -> Collection:
    from xqe.collections import grades

    return grades.build(out, languages, force)


def _manpages(out: Path, languages: Sequence[str], given: dict[str, Any], force: bool) -> Collection:
    from xqe.collections import manpages

    megabytes = given["megabytes"] or manpages.MEGABYTES
    return manpages.build(out, languages, _archive(given), megabytes, given["pages"], force)


def _gnome_help(out: Path, languages: Sequence[str], given: dict[str, Any], force: bool) -> Collection:
    from xqe.collections import gnomehelp

    megabytes = given["megabytes"] or gnomehelp.MEGABYTES
    return gnomehelp.build(out, languages, _archive(given), megabytes, given["pages"], force)


def _iso_codes(out: Path, languages: Sequence[str], given: dict[str, Any], force: bool) -> Collection:
    from xqe.collections import isocodes

    return isocodes.build(out, languages, _archive(given), force)


def _archive(given: dict[str, Any]) -> Archive:
    from xqe.collections import archive
    from xqe.collections.sources import data_folder

    return archive.Archive(given["mirror"] or archive.MIRROR, given["release"] or archive.RELEASE, data_folder())


_BUILDERS: dict[str, Build] = {
    "debian": _debian,
    "debian-graded": _graded,
    "manpages": _manpages,
    "gnome-help": _gnome_help,
    "iso-codes": _iso_codes,
}
_OPTIONS = {
    "debian": ("graded",),
    "debian-graded": ("graded",),
    "manpages": ("mirror", "release", "megabytes", "pages"),
    "gnome-help": ("mirror", "release", "megabytes", "pages"),
    "iso-codes": ("mirror", "release"),
}
"""Collection -> the options that mean something to it."""


def _with(option: str) -> list[str]:
    return [name for name, options in _OPTIONS.items() if option in options]
