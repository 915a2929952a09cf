"""xqe finetune data: training examples for an expander, from collections."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xqe.commands.finetune.screen import statistics
from xqe.commands.options.groups import part, takes
from xqe.commands.options.lists import language_codes, several
from xqe.commands.options.steps import Expansion
from xqe.errors import XqeError, why
from xqe.files import jsonl
from xqe.lines import among
from xqe.messages import show
from xqe.models.engines import FAKE, SERVER
from xqe.stages.strategies import PAPER, PASSAGE_TOKENS, Strategy
from xqe.training.pairs import VALIDATION, Form

if TYPE_CHECKING:
    from xqe.models.prompts import Template
    from xqe.training.building import Built
    from xqe.training.mixing import Source
    from xqe.training.passages import Count


@takes(expansion=part(Expansion, "examples", "shots", "prompt"))
def data(
    collections: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR[:WEIGHT]...",
            show_default=False,
            help="Collections to train on; the weights are their parts of the mixture.",
        ),
    ],
    languages: Annotated[
        list[str] | None,
        typer.Option("--lang", metavar="LANG,...", show_default=False, help="Languages to train in. [default: all]"),
    ] = None,
    split: Annotated[str, typer.Option("--split", metavar="SPLIT", help="Whose queries are trained on.")] = "train",
    strategies: Annotated[
        list[str] | None,
        typer.Option(
            "--strategy",
            "-s",
            metavar="STRATEGY,...",
            show_default=False,
            help=f"The paper's prompts: {', '.join(PAPER)}; several share the examples. [default: zeroshot]",
        ),
    ] = None,
    *,
    expansion: Expansion,
    form: Annotated[
        Form | None,
        typer.Option("--form", show_default=False, help="Of the examples. [default: what --model reads]"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME|PATH",
            envvar="XQE_MODEL",
            show_default=False,
            help='The model to train, which counts the tokens: a name of "xqe models list", a GGUF file, the folder of '
            'a checkpoint, or "fake". [default: tiny]',
        ),
    ] = None,
    min_rel: Annotated[
        int | None,
        typer.Option(
            "--min-rel",
            metavar="N",
            min=1,
            show_default=False,
            help="Documents of grade N and above. [default: those of each query's highest grade]",
        ),
    ] = None,
    passages: Annotated[int, typer.Option("--passages", metavar="N", min=1, help="For one query, at most.")] = 1,
    passage_tokens: Annotated[
        int, typer.Option("--passage-tokens", metavar="N", min=1, help="Most tokens of a passage, cut at a sentence.")
    ] = PASSAGE_TOKENS,
    min_tokens: Annotated[
        int, typer.Option("--min-tokens", metavar="N", min=1, help="Leave out passages with fewer tokens.")
    ] = 8,
    balance: Annotated[
        bool, typer.Option("--balance", help="Each language of a collection as often as its rarest.")
    ] = False,
    size: Annotated[
        int | None, typer.Option("--size", metavar="N", min=1, show_default=False, help="Examples in all, at most.")
    ] = None,
    validation_share: Annotated[
        float,
        typer.Option("--validation-share", metavar="SHARE", min=0.0, max=0.9, help="Of the queries, not trained on."),
    ] = 0.05,
    validation: Annotated[
        Path | None,
        typer.Option(
            "--validation",
            metavar="FILE",
            show_default=False,
            help="Write the examples for validation here. [default: among the others, marked by their split]",
        ),
    ] = None,
    not_in: Annotated[
        list[Path] | None,
        typer.Option(
            "--not-in",
            metavar="DIR",
            show_default=False,
            help="Another collection that will be evaluated: none of its queries and answers. Repeatable.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Decides what is drawn, and the order.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No statistics.")] = False,
) -> None:
    """Write training examples from collections.

    They are queries in the prompts of xqe expand, answered by documents in the same language. No query is used that
    another split has too, by its id, its text or its best document, in any language. The draw depends on the seed and
    the ids alone.
    """
    from xqe.collections.layout import Collection
    from xqe.training.building import build
    from xqe.training.candidates import Plan
    from xqe.training.prompting import Prompting

    if validation is not None:
        _check_file(validation, "--validation")
        if not validation_share:
            raise XqeError("--validation names a file, and --validation-share 0 leaves nothing for it", "leave one out")
    templates = _templates(strategies, expansion.prompt)
    plan = Plan(
        languages=language_codes(languages),
        split=split,
        min_rel=min_rel,
        passages=passages,
        passage_tokens=passage_tokens,
        min_tokens=min_tokens,
        balance=balance,
        size=size,
        validation=validation_share,
        seed=seed,
    )
    sources = [_source(text) for text in collections]
    held_out = [Collection(path) for path in not_in or ()]
    with _counting(model) as (is_chat, count):
        read = form or (Form.CHAT if is_chat else Form.COMPLETION)
        prompting = Prompting(templates, read, expansion.examples, expansion.shots, seed)
        built = build(sources, held_out, plan, prompting, count)
    _write(built, validation)
    if not quiet:
        show(statistics(built.rows))


def _templates(strategies: Sequence[str] | None, prompt: str | None) -> list[Template]:
    from xqe.models import prompts

    names = several(strategies) or ()
    if prompt is not None:
        if names:
            raise XqeError("both --strategy and --prompt are given", "--prompt takes the place of a strategy")
        return [prompts.load(prompt, "expand")]
    for name in names:
        if name not in PAPER:
            raise XqeError(f'--strategy: unknown strategy "{name}"', among(name, PAPER))
    return [Strategy(name).template for name in names or [Strategy.ZEROSHOT]]


def _source(text: str) -> Source:
    """The collection that DIR[:WEIGHT] means."""
    from fractions import Fraction

    from xqe.collections.layout import Collection
    from xqe.training.mixing import Source

    path, number = text, ""
    if not Path(text).expanduser().exists() and ":" in text:
        path, _, number = text.rpartition(":")
    collection = Collection(Path(path).expanduser())
    if not number:
        return Source(collection)
    try:
        weight = Fraction(number)
    except (ValueError, ZeroDivisionError):
        weight = Fraction(0)
    if weight <= 0:
        raise XqeError(f'{text}: the weight "{number}" is no number above 0', "for example 2, or 0.5")
    return Source(collection, weight)


@contextmanager
def _counting(model: str | None) -> Iterator[tuple[bool, Count]]:
    """Whether the model is a chat model, and what counts the tokens of a text with its vocabulary."""
    if model == FAKE:
        from unicode_segmentation_rs import unicode_words

        yield True, lambda text: len(unicode_words(text))
        return
    if model is not None and model.startswith(SERVER):
        raise XqeError(f"--model {model}: a server does not count tokens", "name the model's GGUF file or checkpoint")
    from xqe.models import registry
    from xqe.models.lookup import resolve
    from xqe.training.base import find_base
    from xqe.training.tokenizing import LlamaTokenizer, open_tokenizer

    if model is None:
        model = registry.default_model()
        registry.announce_default()
    if Path(model).expanduser().is_dir():
        tokenizer = open_tokenizer(find_base(model))
    else:
        resolved = resolve(model)
        tokenizer = LlamaTokenizer(resolved.name, str(resolved.path))
    try:
        yield tokenizer.is_chat, lambda text: len(tokenizer.tokens(text, False, False))
    finally:
        tokenizer.close()


def _check_file(path: Path, option: str) -> None:
    """Raise XqeError unless a file can be written there."""
    above = next(one for one in path.absolute().parents if one.exists())
    if path.is_dir():
        raise XqeError(f"{option} {path}: is a folder", "give a file")
    if not above.is_dir():
        raise XqeError(f"{option} {path}: {above} is no folder", "give another file")
    if not os.access(above, os.W_OK | os.X_OK):
        raise XqeError(f"{option} {path}: permission denied", "check the permissions, or give another file")


def _write(built: Built, validation: Path | None) -> None:
    """Write the examples; those for validation to a file of their own, whole or not there, where one is named."""
    from xqe.files.atomic import replace

    examples = built.examples
    if validation is not None:
        kept = [jsonl.dumps(one) for one in examples if one["split"] == VALIDATION]
        examples = [one for one in examples if one["split"] != VALIDATION]
        try:
            replace(validation, "".join(f"{line}\n" for line in kept).encode())
        except OSError as error:
            reason = why(error)
            raise XqeError(f"--validation {validation}: {reason}", "check the path and its permissions") from None
    for example in examples:
        jsonl.write(jsonl.dumps(example))
