"""xqe data build: a collection of what this machine can have."""

from __future__ import annotations

from typing import Annotated

import typer

from xqe.commands.data.options import Force, Languages, Out
from xqe.commands.data.rows import summarise
from xqe.commands.options.lists import language_codes
from xqe.errors import XqeError
from xqe.messages import Progress


def build(
    name: Annotated[str, typer.Argument(metavar="COLLECTION", show_default=False, help="debian or debian-graded.")],
    out: Out,
    languages: Languages = None,
    graded: Annotated[bool, typer.Option("--graded", help="The same as debian-graded.")] = False,
    force: Force = False,
) -> None:
    """Make a collection of what this machine can have.

    That is Debian's package descriptions, as people translated them.

    debian: a package's synopsis is a query, its long description the one relevant document, in every language.
    debian-graded: a short title is a query, and BM25 grades up to 100 documents for it, from 1 to 6. Needs apt-get and
    its network; the machine's own package lists are left alone.
    """
    from xqe.collections import debian, grades
    from xqe.collections.sources import source, sources

    if name not in sources() or source(name).how != "build":
        known = ", ".join(row.name for row in sources().values() if row.how == "build")
        raise XqeError(f'nothing to build by the name "{name}"', f"xqe builds {known}")
    wanted = language_codes(languages) or tuple(debian.NAMES)
    builder = grades if graded or name == "debian-graded" else debian
    with Progress(name) as shown:
        shown.doing = "making the collection"
        collection = builder.build(out, wanted, force)
    summarise(collection)
