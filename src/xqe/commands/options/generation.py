"""How texts are generated: the model, the machine, the server, the store."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import typer

from xqe.commands.options.cluster import On, WorkerCpus, WorkerGpus, Workers
from xqe.commands.options.common import (
    BaseUrl,
    GpuLayers,
    Retries,
    Store,
    Switch,
    Threads,
    Timeout,
    Verbose,
    number_or_auto,
)
from xqe.commands.options.panels import GENERATION, HARDWARE, SERVER, STORE
from xqe.models.engines.llama.settings import tensor_split

MOST_SEQUENCES = 256  # llama.cpp's limit
DRAWN = ("temperature", "top_p", "top_k", "repeat_penalty", "seed")
"""The options that only matter where texts are generated."""


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
            rich_help_panel=GENERATION,
        ),
    ] = None
    temperature: Annotated[
        float | None,
        typer.Option(
            "--temperature",
            metavar="T",
            min=0.0,
            show_default=False,
            help="0 takes the likeliest token; above, sampling from the seed. [default: 0; of xqe augment 0.7, of a "
            "strategy its own]",
            rich_help_panel=GENERATION,
        ),
    ] = None
    top_p: Annotated[
        float | None,
        typer.Option(
            "--top-p",
            metavar="P",
            min=0.0,
            max=1.0,
            show_default=False,
            help="Draw from the likeliest tokens that make up P together. [default: 0.95; a server's own]",
            rich_help_panel=GENERATION,
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
            rich_help_panel=GENERATION,
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
            rich_help_panel=GENERATION,
        ),
    ] = None
    seed: Annotated[
        int,
        typer.Option(
            "--seed",
            metavar="N",
            min=0,
            max=2**31 - 1,
            help="Seed of sampling and of choosing examples.",
            rich_help_panel=GENERATION,
        ),
    ] = 0
    deterministic: Annotated[
        bool,
        typer.Option(
            "--deterministic",
            help="Decode one text at a time: slow, and the same bits whatever stands beside it.",
            rich_help_panel=GENERATION,
        ),
    ] = False
    batch: Annotated[
        Any,
        typer.Option(
            "--batch",
            metavar="N|auto",
            parser=number_or_auto(1, MOST_SEQUENCES),
            envvar="XQE_BATCH",
            show_default=False,
            help="Texts generated together; for a server, requests in flight. [default: auto]",
            rich_help_panel=HARDWARE,
        ),
    ] = None
    ctx: Annotated[
        Any,
        typer.Option(
            "--ctx",
            metavar="N|auto",
            parser=number_or_auto(1),
            envvar="XQE_CTX",
            show_default=False,
            help="Tokens of context for all texts together. [default: auto, what the prompts need and memory holds]",
            rich_help_panel=HARDWARE,
        ),
    ] = None
    threads: Threads = None
    gpu_layers: GpuLayers = None
    split_mode: Annotated[
        SplitMode,
        typer.Option(
            "--split-mode", envvar="XQE_SPLIT_MODE", help="How several GPUs share the model.", rich_help_panel=HARDWARE
        ),
    ] = SplitMode.LAYER
    tensor_split: Annotated[
        Any,
        typer.Option(
            "--tensor-split",
            metavar="N,N,...",
            parser=tensor_split,
            envvar="XQE_TENSOR_SPLIT",
            show_default=False,
            help="What part of the model each GPU takes, such as 3,1. [default: by free memory]",
            rich_help_panel=HARDWARE,
        ),
    ] = None
    main_gpu: Annotated[
        int,
        typer.Option(
            "--main-gpu",
            metavar="N",
            min=0,
            envvar="XQE_MAIN_GPU",
            help="The GPU of --split-mode none.",
            rich_help_panel=HARDWARE,
        ),
    ] = 0
    flash_attention: Annotated[
        Switch,
        typer.Option(
            "--flash-attention",
            envvar="XQE_FLASH_ATTENTION",
            help="llama.cpp's flash attention.",
            rich_help_panel=HARDWARE,
        ),
    ] = Switch.AUTO
    gpu_sampling: Annotated[
        Switch,
        typer.Option(
            "--gpu-sampling",
            envvar="XQE_GPU_SAMPLING",
            help="Pick greedy tokens on the GPU, if it does so rightly.",
            rich_help_panel=HARDWARE,
        ),
    ] = Switch.AUTO
    cache_type: Annotated[
        CacheType,
        typer.Option(
            "--cache-type", envvar="XQE_CACHE_TYPE", help="Number format of the KV cache.", rich_help_panel=HARDWARE
        ),
    ] = CacheType.F16
    on: On = None
    workers: Workers = None
    worker_cpus: WorkerCpus = None
    worker_gpus: WorkerGpus = None
    base_url: BaseUrl = None
    api: Annotated[
        Api,
        typer.Option(
            "--api",
            envvar="XQE_API",
            help="Ask the server's chat API, or let a pretrained model complete.",
            rich_help_panel=SERVER,
        ),
    ] = Api.CHAT
    timeout: Timeout = 120.0
    retries: Retries = 5
    store: Store = None
    no_store: Annotated[
        bool,
        typer.Option(
            "--no-store",
            help="Neither reuse finished generations nor keep new ones, nor what models have read of prompts.",
            rich_help_panel=STORE,
        ),
    ] = False
    show_prompt: Annotated[
        bool,
        typer.Option(
            "--show-prompt", help="Print what the model would see, special tokens included, and generate nothing."
        ),
    ] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No summary line at the end.")] = False
    verbose: Verbose = False
