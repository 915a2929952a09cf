"""Options that several commands share, each stated once, and how a command takes a group of them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import typer

from xqe.errors import XqeError
from xqe.retrieval.feedback import Method
from xqe.retrieval.weighting import GREATEST_WEIGHT, Use
from xqe.text.languages import LANGUAGES, language

G = TypeVar("G")

AUTO = "auto"
MOST_SEQUENCES = 256  # llama.cpp's limit


def takes(**groups: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the options that are the fields of dataclasses, each group in place of its argument.

    `@takes(generation=Generation)` calls the command with one argument `generation`, an instance of the class.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        own = inspect.signature(command, eval_str=True).parameters
        fields = {name: inspect.signature(group, eval_str=True).parameters for name, group in groups.items()}

        @functools.wraps(command)
        def run(**given: Any) -> Any:
            made = {name: groups[name](**{field: given.pop(field) for field in fields[name]}) for name in groups}
            return command(**given, **made)

        parameters = [p for name in own for p in (fields[name].values() if name in groups else [own[name]])]
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        del run.__wrapped__  # typer would read the options of that one
        return run

    return decorate


def part(group: type[G], *names: str) -> Callable[..., G]:
    """A group of which only these options are offered; the others keep their defaults."""

    def make(**given: Any) -> G:
        return group(**given)

    parameters = inspect.signature(group, eval_str=True).parameters
    make.__signature__ = inspect.Signature([parameters[name] for name in names])  # type: ignore[attr-defined]
    return make


def several(values: Sequence[str] | None) -> tuple[str, ...] | None:
    """The values of an option that may be repeated, or hold several with commas between; None for none."""
    parts = [part.strip() for value in values or () for part in value.split(",")]
    return tuple(dict.fromkeys(part for part in parts if part)) or None


def language_codes(values: Sequence[str] | None) -> tuple[str, ...] | None:
    """The languages of --lang, of which there may be several; None for none. Raises InputError for an unknown one."""
    named = several(values)
    return tuple(dict.fromkeys(language(code, "--lang").code for code in named)) if named else None


def _number_or_auto(least: int, most: int | None = None) -> Callable[[str], int | None]:
    """A parser of "auto" (None) and of whole numbers from `least` to `most`."""

    def parse(text: str) -> int | None:
        if text == AUTO:
            return None
        try:
            number = int(text)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is neither a whole number nor {AUTO}") from None
        if number < least or (most is not None and number > most):
            span = f"from {least} to {most}" if most is not None else f"of at least {least}"
            raise typer.BadParameter(f"{number} is not a number {span}")
        return number

    return parse


class Switch(StrEnum):
    """An option that the engine decides unless told."""

    AUTO = AUTO
    ON = "on"
    OFF = "off"


class Api(StrEnum):
    """What a server is asked: to answer a chat turn, or to continue a text."""

    CHAT = "chat"
    COMPLETIONS = "completions"


class SplitMode(StrEnum):
    """How a model is divided among several GPUs; llama.cpp's names."""

    LAYER = "layer"
    ROW = "row"
    NONE = "none"


class CacheType(StrEnum):
    """What the KV cache is kept in; llama.cpp's names."""

    F16 = "f16"
    BF16 = "bf16"
    F32 = "f32"
    Q8_0 = "q8_0"
    Q4_0 = "q4_0"


Query = Annotated[
    str | None,
    typer.Argument(
        metavar="[QUERY]", show_default=False, help="One query, instead of records; - reads standard input."
    ),
]
Input = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        "-i",
        metavar="FILE",
        show_default=False,
        help="Read this file (plain or .gz; - is standard input) instead of standard input. Repeatable.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        min=1,
        envvar="XQE_THREADS",
        show_default=False,
        help="CPU threads. [default: the cores this process may use]",
    ),
]
Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="FILE",
        envvar="XQE_STORE",
        show_default=False,
        help="The file of finished generations. [default: generations.sqlite in xqe's cache folder]",
    ),
]


# What several commands say of an option that each has in a type or with a default of its own.
STRATEGY = typer.Option("--strategy", "-s", help="The paper's prompts.")
TO = typer.Option("--to", metavar="LANG", help=f"Language to translate into: {' '.join(LANGUAGES)}.")
WRITTEN_IN = typer.Option(
    "--to",
    metavar="LANG",
    show_default=False,
    help=f"Language to write the passages in, with no translation: {' '.join(LANGUAGES)}. [default: the query's]",
)


OF_THE_STEP = "that of xqe expand or xqe translate"


def most_tokens(default: str) -> Any:
    """--max-tokens, of a text; `default` says what it is where it is not given."""
    return typer.Option(
        "--max-tokens", min=1, metavar="N", show_default=False, help=f"Most tokens for one text. [default: {default}]"
    )


def spoken(*spellings: str) -> Any:
    """The option for the language of records that name none."""
    return typer.Option(
        *spellings, metavar="LANG", show_default=False, help='Language of the queries that have no "lang" of their own.'
    )


def fields_of(by: str | None, example: str) -> tuple[str, ...]:
    """The fields that --by names, none for None. Raises XqeError, with an example, for what names none."""
    fields = () if by is None else tuple(field.strip() for field in by.split(","))
    if not all(all(field.split(".")) for field in fields) or len(set(fields)) < len(fields):
        raise XqeError(f'--by: "{by}" does not name one or more fields', f"for example {example}")
    return fields


@dataclass(frozen=True, slots=True)
class Expansion:
    """The options of what an expansion shows a model and asks of it, besides its strategy."""

    examples: Annotated[
        str | None,
        typer.Option(
            "--examples",
            metavar="FILE",
            show_default=False,
            help='Worked examples to choose from, JSONL {"query", "passage"}. [default: five built-in ones]',
        ),
    ] = None
    shots: Annotated[
        int | None,
        typer.Option(
            "--shots",
            min=0,
            metavar="N",
            show_default=False,
            help="Worked examples to show; 0 for none. [default: 5 for fewshot; 2 otherwise, for pretrained models]",
        ),
    ] = None
    samples: Annotated[
        int, typer.Option("--samples", "-n", min=1, metavar="N", help="Passages to write for each query.")
    ] = 1
    prompt: Annotated[
        str | None,
        typer.Option(
            "--prompt",
            metavar="FILE",
            show_default=False,
            help="A prompt file (TOML) of your own, instead of --strategy.",
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class Generation:
    """The options of every command that generates."""

    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME|PATH",
            envvar="XQE_MODEL",
            show_default=False,
            help='A name of "xqe models list", a GGUF file, openai:NAME on a server, or "fake". [default: tiny]',
        ),
    ] = None
    lora: Annotated[
        list[str] | None,
        typer.Option(
            "--lora",
            metavar="FILE[:SCALE]",
            show_default=False,
            help="A LoRA adapter (GGUF) for the model, at full scale unless told. Repeatable.",
        ),
    ] = None
    temperature: Annotated[
        float,
        typer.Option(
            "--temperature", metavar="T", min=0.0, help="0 takes the likeliest token; above, sampling from the seed."
        ),
    ] = 0.0
    top_p: Annotated[
        float | None,
        typer.Option(
            "--top-p",
            metavar="P",
            min=0.0,
            max=1.0,
            show_default=False,
            help="Draw from the likeliest tokens that make up P together. [default: 0.95; a server's own]",
        ),
    ] = None
    top_k: Annotated[
        int | None,
        typer.Option(
            "--top-k",
            metavar="N",
            min=0,
            show_default=False,
            help="Draw from the N likeliest tokens; 0 is all. [default: 64; a server's own]",
        ),
    ] = None
    repeat_penalty: Annotated[
        float | None,
        typer.Option(
            "--repeat-penalty",
            metavar="R",
            min=1.0,
            show_default=False,
            help="Divide the score of a token that the text has by R. [default: 1.1 for a pretrained model, else 1, "
            "which is none; a server's own]",
        ),
    ] = None
    seed: Annotated[
        int,
        typer.Option("--seed", metavar="N", min=0, max=2**31 - 1, help="Seed of sampling and of choosing examples."),
    ] = 0
    deterministic: Annotated[
        bool,
        typer.Option(
            "--deterministic", help="Decode one text at a time: slow, and the same bits whatever stands beside it."
        ),
    ] = False
    batch: Annotated[
        Any,
        typer.Option(
            "--batch",
            metavar="N|auto",
            parser=_number_or_auto(1, MOST_SEQUENCES),
            envvar="XQE_BATCH",
            show_default=False,
            help="Texts generated together; for a server, requests in flight. [default: auto]",
        ),
    ] = None
    ctx: Annotated[
        Any,
        typer.Option(
            "--ctx",
            metavar="N|auto",
            parser=_number_or_auto(1),
            envvar="XQE_CTX",
            show_default=False,
            help="Tokens of context for all texts together. [default: auto, what the prompts need and memory holds]",
        ),
    ] = None
    threads: Threads = None
    gpu_layers: Annotated[
        Any,
        typer.Option(
            "--gpu-layers",
            metavar="N|auto",
            parser=_number_or_auto(0),
            envvar="XQE_GPU_LAYERS",
            show_default=False,
            help="Layers to put on the GPU. [default: auto, as many as fit]",
        ),
    ] = None
    split_mode: Annotated[
        SplitMode,
        typer.Option("--split-mode", envvar="XQE_SPLIT_MODE", help="How several GPUs share the model."),
    ] = SplitMode.LAYER
    tensor_split: Annotated[
        str | None,
        typer.Option(
            "--tensor-split",
            metavar="N,N,...",
            envvar="XQE_TENSOR_SPLIT",
            show_default=False,
            help="What part of the model each GPU takes, such as 3,1. [default: by free memory]",
        ),
    ] = None
    main_gpu: Annotated[
        int,
        typer.Option("--main-gpu", metavar="N", min=0, envvar="XQE_MAIN_GPU", help="The GPU of --split-mode none."),
    ] = 0
    flash_attention: Annotated[
        Switch, typer.Option("--flash-attention", envvar="XQE_FLASH_ATTENTION", help="llama.cpp's flash attention.")
    ] = Switch.AUTO
    gpu_sampling: Annotated[
        Switch,
        typer.Option(
            "--gpu-sampling", envvar="XQE_GPU_SAMPLING", help="Pick greedy tokens on the GPU, if it does so rightly."
        ),
    ] = Switch.AUTO
    cache_type: Annotated[
        CacheType,
        typer.Option("--cache-type", envvar="XQE_CACHE_TYPE", help="Number format of the KV cache."),
    ] = CacheType.F16
    base_url: Annotated[
        str | None,
        typer.Option(
            "--base-url",
            metavar="URL",
            envvar="XQE_BASE_URL",
            show_default=False,
            help="Of the OpenAI-compatible server for openai:NAME, such as http://localhost:8080/v1.",
        ),
    ] = None
    api: Annotated[
        Api,
        typer.Option("--api", envvar="XQE_API", help="Ask the server's chat API, or let a pretrained model complete."),
    ] = Api.CHAT
    timeout: Annotated[
        float,
        typer.Option("--timeout", metavar="SECONDS", min=0.001, envvar="XQE_TIMEOUT", help="For one server request."),
    ] = 120.0
    retries: Annotated[
        int,
        typer.Option(
            "--retries", metavar="N", min=0, envvar="XQE_RETRIES", help="Of a server request that failed in passing."
        ),
    ] = 5
    store: Store = None
    no_store: Annotated[
        bool, typer.Option("--no-store", help="Neither reuse finished generations nor keep new ones.")
    ] = False
    show_prompt: Annotated[
        bool,
        typer.Option(
            "--show-prompt", help="Print what the model would see, special tokens included, and generate nothing."
        ),
    ] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No summary line at the end.")] = False
    verbose: Annotated[bool, typer.Option("--verbose", help="Show what llama.cpp logs, or each retry of a server.")] = (
        False
    )


def _weight_or_auto(text: str) -> float | None:
    if text == AUTO:
        return None
    try:
        weight = float(text)
    except ValueError:
        weight = 0.0
    if not 0 < weight <= GREATEST_WEIGHT:
        raise typer.BadParameter(
            f"{text!r} is neither {AUTO} nor a number above 0 and up to {GREATEST_WEIGHT:g}; "
            "to search with the passages alone, give --use doc"
        )
    return weight


K1 = Annotated[
    float | None,
    typer.Option(
        "--k1", metavar="X", min=0.0, max=1000.0, show_default=False, help="BM25's k1, how slowly repetition saturates."
    ),
]
B = Annotated[
    float | None,
    typer.Option("--b", metavar="X", min=0.0, max=1.0, show_default=False, help="BM25's b, how far length counts."),
]


class Screen(StrEnum):
    """How what is meant for a person is written."""

    TEXT = "text"
    JSONL = "jsonl"


ScreenFormat = Annotated[
    Screen | None,
    typer.Option("--format", show_default=False, help="[default: text on a terminal, jsonl elsewhere]"),
]
SCORING = (
    "use",
    "query_weight",
    "source_weight",
    "passage_terms",
    "k1",
    "b",
    "feedback",
    "feedback_docs",
    "feedback_terms",
    "feedback_weight",
)
"""The options of `Searching` that decide a document's score, not which documents are asked for."""


@dataclass(frozen=True)
class Searching:
    """What a record is searched with, and how."""

    use: Annotated[Use, typer.Option("--use", help="Search with the query, with its passages (doc), or with both.")] = (
        Use.QUERY_DOC
    )
    query_weight: Annotated[
        Any,
        typer.Option(
            "--query-weight",
            metavar="W|auto",
            parser=_weight_or_auto,
            show_default=False,
            help="With passages, the query counts W times; 1 is the paper's. [default: auto, which gives it 0.6 to "
            "0.9 of all weight, the less the more of its words the passages have]",
        ),
    ] = None
    source_weight: Annotated[
        float,
        typer.Option(
            "--source-weight",
            metavar="W",
            min=0.0,
            max=GREATEST_WEIGHT,
            help="Search also with the untranslated query, which counts W times as much as the query.",
        ),
    ] = 0.0
    passage_terms: Annotated[
        int | None,
        typer.Option(
            "--passage-terms",
            metavar="N",
            min=1,
            show_default=False,
            help="Keep the N terms of the passages that weigh most. [default: all]",
        ),
    ] = None
    k: Annotated[int, typer.Option("-k", metavar="N", min=1, help="Most hits for a query.")] = 1000
    k1: K1 = None
    b: B = None
    feedback: Annotated[
        Method | None,
        typer.Option(
            "--feedback", show_default=False, help="Add terms of the first hits to the query, and search again."
        ),
    ] = None
    feedback_docs: Annotated[
        int, typer.Option("--feedback-docs", metavar="N", min=1, help="How many hits terms are taken from.")
    ] = 10
    feedback_terms: Annotated[
        int, typer.Option("--feedback-terms", metavar="N", min=1, help="How many terms are added.")
    ] = 10
    feedback_weight: Annotated[
        float | None,
        typer.Option(
            "--feedback-weight",
            metavar="W",
            min=0.0,
            max=GREATEST_WEIGHT,
            show_default=False,
            help="What they count; rm3 gives the query 1 - W. [default: 0.5 with rm3, 0.75 with rocchio]",
        ),
    ] = None
    pool: Annotated[
        str | None,
        typer.Option(
            "--pool",
            metavar="FILE",
            show_default=False,
            help="Find only these documents: an id a line for all queries, or query and document, or a run or qrels.",
        ),
    ] = None
