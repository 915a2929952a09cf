"""xqe finetune train: a LoRA adapter of pairs, for transformers and for llama.cpp."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from xqe.commands.options.common import Switch
from xqe.commands.options.lists import several
from xqe.errors import MissingExtraError, XqeError
from xqe.files import jsonl
from xqe.messages import Progress, say
from xqe.training import settings as defaults
from xqe.training.settings import Device, Dtype, Schedule, Settings

LIBRARIES = ("torch", "transformers", "peft", "accelerate", "gguf")
_SECONDS_BETWEEN_LINES = 60


def train(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", show_default=False, help='Pairs, as "xqe finetune data" writes them.'),
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="BASE",
            show_default=False,
            help="A checkpoint's folder, OWNER/NAME on the hub, or a GGUF file or its name as in other commands.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", show_default=False, help="The folder of the adapter.")],
    validation: Annotated[
        list[str] | None,
        typer.Option(
            "--validation",
            metavar="FILE",
            show_default=False,
            help="Pairs to validate on. Repeatable. [default: those that are marked so]",
        ),
    ] = None,
    rank: Annotated[int, typer.Option("--rank", metavar="N", min=1, help="Of the adapter's matrices.")] = defaults.RANK,
    alpha: Annotated[
        float, typer.Option("--alpha", metavar="A", min=0.001, help="The adapter is added alpha / rank times.")
    ] = defaults.ALPHA,
    rslora: Annotated[bool, typer.Option("--rslora", help="Added alpha / sqrt(rank) times (rsLoRA).")] = False,
    dropout: Annotated[
        float, typer.Option("--dropout", metavar="P", min=0.0, max=0.9, help="Of the adapter's inputs.")
    ] = defaults.DROPOUT,
    targets: Annotated[
        str,
        typer.Option(
            "--targets", metavar="NAME,...", help="Linear layers to adapt, such as q_proj,v_proj; or all-linear."
        ),
    ] = defaults.ALL_LINEAR,
    learning_rate: Annotated[
        float, typer.Option("--learning-rate", metavar="RATE", min=1e-9, max=1.0, help="Of AdamW.")
    ] = defaults.LEARNING_RATE,
    schedule: Annotated[
        Schedule, typer.Option("--schedule", help="Of the learning rate, after the warm-up.")
    ] = Schedule.CONSTANT,
    warmup: Annotated[
        float, typer.Option("--warmup", metavar="SHARE", min=0.0, max=1.0, help="Of the steps.")
    ] = defaults.WARMUP,
    weight_decay: Annotated[float, typer.Option("--weight-decay", metavar="W", min=0.0, help="Of AdamW.")] = 0.0,
    gradient_norm: Annotated[
        float, typer.Option("--gradient-norm", metavar="N", min=0.001, help="Greater gradients are cut to it.")
    ] = defaults.GRADIENT_NORM,
    epochs: Annotated[
        float, typer.Option("--epochs", metavar="N", min=0.001, help="Over the pairs.")
    ] = defaults.EPOCHS,
    steps: Annotated[
        int | None,
        typer.Option("--steps", metavar="N", min=1, show_default=False, help="Of the optimiser, in place of --epochs."),
    ] = None,
    batch: Annotated[int, typer.Option("--batch", metavar="N", min=1, help="Pairs a step.")] = defaults.BATCH,
    micro_batch: Annotated[
        int | None,
        typer.Option(
            "--micro-batch",
            metavar="N",
            min=1,
            show_default=False,
            help=f"Of these, how many are computed together. [default: {defaults.MICRO_BATCH}; more on a GPU]",
        ),
    ] = None,
    max_length: Annotated[
        int, typer.Option("--max-length", metavar="N", min=8, help="Leave out pairs with more tokens.")
    ] = defaults.MAX_LENGTH,
    eval_steps: Annotated[
        int | None,
        typer.Option(
            "--eval-steps", metavar="N", min=1, show_default=False, help="Validate every N steps. [default: ten times]"
        ),
    ] = None,
    save_steps: Annotated[
        int | None,
        typer.Option(
            "--save-steps",
            metavar="N",
            min=1,
            show_default=False,
            help="Write a checkpoint every N steps. [default: every five minutes]",
        ),
    ] = None,
    device: Annotated[Device, typer.Option("--device", help="Where to train.")] = Device.AUTO,
    dtype: Annotated[
        Dtype, typer.Option("--dtype", help="Numbers of the base; auto: bfloat16 on a GPU, float32 on a CPU.")
    ] = Dtype.AUTO,
    checkpointing: Annotated[
        Switch,
        typer.Option(
            "--gradient-checkpointing",
            help="Compute activations again in place of keeping them: less memory, a third slower.",
        ),
    ] = Switch.AUTO,
    threads: Annotated[
        int | None,
        typer.Option("--threads", "-t", metavar="N", min=1, show_default=False, help="On a CPU. [default: its cores]"),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="Of the adapter, its dropout, the order.")
    ] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint in DIR; begin if there is none.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Begin anew although DIR holds a run.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Train a LoRA adapter on pairs, by the loss on the passages alone.

    Writes to DIR the adapter as PEFT has it, adapter.gguf for "xqe expand --lora", and the record training.json; and to
    stdout a summary as JSON. Most defaults are QLoRA's (Dettmers et al. 2023).
    """
    if resume and force:
        raise XqeError("--resume goes on and --force begins anew", "give one of them")
    settings = Settings(
        rank=rank,
        alpha=alpha,
        dropout=dropout,
        rslora=rslora,
        targets=several([targets]) or (),
        learning_rate=learning_rate,
        schedule=schedule,
        warmup=warmup,
        weight_decay=weight_decay,
        gradient_norm=gradient_norm,
        epochs=epochs,
        steps=steps,
        batch=batch,
        micro_batch=micro_batch,
        max_length=max_length,
        eval_steps=eval_steps,
        save_steps=save_steps,
        dtype=dtype,
        device=device,
        checkpointing=checkpointing.value,
        threads=threads,
        seed=seed,
    )
    settings.check()
    _check_libraries()
    from xqe.training.base import Kind, find_base
    from xqe.training.pairs import read_pairs_and_validation

    given = [*files, *(validation or [])]
    _check_files(given)
    base = find_base(model)
    pairs = read_pairs_and_validation(files, validation or [])
    if not quiet:
        say("loading torch and transformers")
    from xqe.training import conduct

    conduct.check_folder(out, resume, force)
    with _progress(quiet) as on_step:
        tell = (lambda _: None) if quiet else say
        record = conduct.train(base, pairs, given, settings, out, force, on_step, tell)
    jsonl.write(jsonl.dumps(_summary(record, out)))
    if not quiet:
        asked = model if base.kind is Kind.GGUF else f"A-GGUF-FILE-OF-{base.name}"
        say(f"use it with: xqe expand --model {asked} --lora {out / conduct.GGUF}")


def _check_files(files: Sequence[str]) -> None:
    """Raise XqeError for what can be read but once, and for a file that is given twice."""
    places = [Path(file).resolve() for file in files]
    for file, place in zip(files, places, strict=True):
        given = Path(file)
        if file == "-" or (given.exists() and not given.is_file() and not given.is_dir()):
            raise XqeError(
                f"{file}: pairs are read from files, since a run that is gone on with reads them again", "name a file"
            )
        if places.count(place) > 1:
            raise XqeError(f"{file}: given twice", "leave one out; --epochs goes over the pairs more often")


def _check_libraries() -> None:
    """Raise MissingExtraError before anything is read; importing them takes seconds."""
    from importlib.util import find_spec

    for name in LIBRARIES:
        if find_spec(name) is None:
            raise MissingExtraError(f"training needs {name}", "finetune")


def _summary(record: dict[str, Any], out: Path) -> dict[str, Any]:
    said = {key: record[key] for key in ("steps", "loss", "validation_loss", "seconds")}
    adapter = record["files"][-1]
    return {"adapter": str(out / adapter["file"]), "sha256": adapter["sha256"], **said}


@contextmanager
def _progress(quiet: bool) -> Iterator[Any]:
    """What is told of each step: a bar on a terminal, a line a minute elsewhere, and each validation everywhere."""
    if quiet:
        yield lambda _step, _steps: None
        return
    began = said = time.monotonic()
    loss = ""
    with Progress("train", speed=lambda: loss) as shown:
        shown.doing = "loading the model"

        def tell(step: dict[str, float], steps: int) -> None:
            nonlocal said, loss
            number, now = int(step["step"]), time.monotonic()
            if "validation_loss" in step:
                say(f"step {number} of {steps}: validation loss {step['validation_loss']:.4f}")
                return
            loss = f"loss {step['loss']:.3f}"
            shown.total = steps
            shown.count(number - shown.done)
            if not shown.is_open and (now - said > _SECONDS_BETWEEN_LINES or number == steps):
                said = now
                say(f"step {number} of {steps}: loss {step['loss']:.4f}, {now - began:.0f} s")

        yield tell
