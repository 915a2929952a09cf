"""xqe data sample: a smaller collection is drawn from another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from xqe.commands.data.options import Force, Languages, Out
from xqe.commands.data.rows import summarise
from xqe.commands.options.lists import language_codes
from xqe.files.numbers import GREATEST, whole


def _pool(text: str) -> tuple[int | None]:
    """A number of documents, or None for all of them; in a tuple, since typer takes None for no answer."""
    if text == "none":
        return (None,)
    try:
        count = whole(text)
    except ValueError:
        count = -1
    if not 0 <= count <= GREATEST:
        raise typer.BadParameter(f"{text!r} is neither none nor a number of documents")
    return (count,)


def sample(
    directory: Annotated[
        Path, typer.Argument(metavar="COLLECTION", show_default=False, help="The collection to draw from.")
    ],
    out: Out,
    queries: Annotated[
        int,
        typer.Option("--queries", metavar="N", min=1, show_default=False, help="How many for each pair of languages."),
    ],
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Decides what is drawn.")] = 0,
    split: Annotated[str, typer.Option("--split", metavar="SPLIT", help="The split that is drawn from.")] = "test",
    languages: Languages = None,
    shared: Annotated[
        bool, typer.Option("--shared", help="Only queries that exist in every language and are judged in every pair.")
    ] = False,
    pool: Annotated[
        Any,
        typer.Option(
            "--pool",
            metavar="N|none",
            parser=_pool,
            help="Keep the judged documents and N others a language; none keeps all documents.",
        ),
    ] = "none",
    examples: Annotated[
        int, typer.Option("--examples", metavar="N", min=0, help="Worked examples a language, from train.")
    ] = 0,
    train: Annotated[int, typer.Option("--train", metavar="N", min=0, help="Queries of train to draw as well.")] = 0,
    split_train: Annotated[
        float | None,
        typer.Option(
            "--split-train",
            metavar="SHARE",
            min=0.01,
            max=0.99,
            show_default=False,
            help="Divide the split: this share of its queries is train, the rest test.",
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Draw a smaller collection: queries, perhaps a pool of documents.

    The draw depends on the seed and the ids alone. Queries of train whose text or best document is one of the drawn
    split's as well are never used.
    """
    from xqe.collections.layout import Collection
    from xqe.collections.sampling import Plan
    from xqe.collections.sampling import sample as draw

    plan = Plan(
        queries=queries,
        seed=seed,
        split=split,
        languages=language_codes(languages),
        shared=shared,
        pool=pool[0],
        examples=examples,
        train=train,
        split_train=split_train,
    )
    summarise(draw(Collection(directory), out, plan, force))
