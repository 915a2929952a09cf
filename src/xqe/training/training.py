"""LoRA training with transformers and peft: the loss is over the answers alone; a killed run can be gone on with."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xqe.errors import ModelError, XqeError, why
from xqe.files.atomic import replace
from xqe.machine import available_cores, available_memory
from xqe.training import memory
from xqe.training.base import Base, Kind, check_architecture
from xqe.training.library import peft, quiet, safetensors, silent, torch, transformers
from xqe.training.peftconfig import CONFIGURATION
from xqe.training.settings import ALL_LINEAR, MICRO_BATCH, VALIDATIONS, Device, Dtype, Schedule, Settings
from xqe.training.tokenizing import NOT_ON_HUB, Encoded, first_line
from xqe.training.weights import SAFETENSORS

ADAPTER_FILES = (SAFETENSORS, CONFIGURATION)
CHECKPOINTS = "checkpoints"
WHOLE = "whole"  # a checkpoint has a file of this name once all of it is written
SECONDS_BETWEEN_CHECKPOINTS = 300
_IGNORED = -100
_RECOMPUTE = {"off": (False,), "on": (True,), "auto": (False, True)}
_SHARE_OF_MEMORY = 0.9  # the estimate is one
_NO_MEMORY = "DefaultCPUAllocator"  # what torch says on a CPU
_NOT_WRITTEN = ("PytorchStreamWriter", "inline_container")  # and where a file cannot be written
_LESS_MEMORY = "go on with --resume and --gradient-checkpointing on, or begin anew with --micro-batch 1"
_NOT_LANGUAGE = r".*(vision|multi_modal|audio).*"  # what a model has besides its language model is left alone

Step = dict[str, float]
"""What is known of a step: "step", and "loss", "learning_rate", "grad_norm", or "validation_loss"."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run computes, and with what numbers."""

    device: str
    dtype: str

    @property
    def item(self) -> int:
        return 2 if self.dtype == "bfloat16" else 4

    @property
    def free(self) -> int:
        """Bytes of memory that are free there."""
        if self.device == "cuda":
            return int(torch.cuda.mem_get_info()[0])
        return available_memory()


@dataclass(frozen=True, slots=True)
class Shape:
    """How a step is computed. micro_batch: pairs at once. recompute: activations are computed again for the backward
    pass. trainable: weights of the adapter. needed: the memory that takes."""

    micro_batch: int
    recompute: bool
    trainable: int
    needed: memory.Needs


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of a run. log: of every step and every validation, in order. resumed_from: the step it was gone on
    from, 0 for none. peak: bytes of memory at most."""

    steps: int
    log: list[Step]
    place: Place
    shape: Shape
    seconds: float
    resumed_from: int
    peak: int


def place_of(settings: Settings) -> Place:
    """Where to train: bfloat16 on a GPU that has it, float32 on a CPU, unless the settings say otherwise."""
    has_gpu = torch.cuda.is_available()
    if settings.device is Device.CUDA and not has_gpu:
        raise XqeError("--device cuda: torch finds no GPU", "install a build of torch for it, or leave out --device")
    device = "cuda" if has_gpu and settings.device is not Device.CPU else "cpu"
    if settings.dtype is not Dtype.AUTO:
        return Place(device, settings.dtype.value)
    return Place(device, "bfloat16" if device == "cuda" and torch.cuda.is_bf16_supported() else "float32")


def load_model(base: Base, dtype: str = "float32", config: Any = None) -> Any:
    """The base in transformers; `config` spares reading it again.

    Raises ModelError, with the library's reason, for weights that it cannot read.
    """
    with quiet(), silent():
        try:
            model = transformers.AutoModelForCausalLM.from_pretrained(
                **base.source(), **({"config": config} if config else {}), dtype=getattr(torch, dtype)
            )
        except Exception as error:  # of every kind: a file that is cut, a package that a quantized checkpoint needs
            raise ModelError(
                f"{base.place}: transformers cannot load it ({first_line(error)})", _advice(base)
            ) from None
    if base.kind is Kind.GGUF:  # its weights are plain numbers now
        model.hf_quantizer, model.is_quantized = None, False
        model.config.__dict__.pop("quantization_config", None)
    return model


def load_config(base: Base) -> Any:
    """The configuration of the base. Raises ModelError where it cannot be had."""
    with quiet(), silent():
        try:
            config = transformers.AutoConfig.from_pretrained(**base.source())
        except Exception as error:  # of every kind, as the keys of a configuration may be anything
            raise ModelError(
                f"{base.place}: transformers cannot read its configuration ({first_line(error)})", _advice(base)
            ) from None
    if base.kind is Kind.HUB:
        check_architecture(config.model_type, base.place)
    return config


def _advice(base: Base) -> str:
    if base.kind is Kind.HUB:
        return NOT_ON_HUB
    return "give the folder of another checkpoint"


def run(
    base: Base,
    train: Sequence[Encoded],
    validation: Sequence[Encoded],
    settings: Settings,
    folder: Path,
    on_fresh: Callable[[Path], None] = lambda _folder: None,
    on_step: Callable[[Step, int], None] = lambda _step, _steps: None,
) -> Trained:
    """Train an adapter and write it to `folder` as peft does; go on from the last whole checkpoint there, if any.

    on_fresh: called with a folder of the untrained adapter, to look at before the work begins. on_step: called with
    each entry of the log and the number of all steps. Raises XqeError before weights are read if memory cannot suffice,
    and for a loss that is no number.
    """
    place = place_of(settings)
    if place.device == "cpu":
        torch.set_num_threads(settings.threads or available_cores())
    config = load_config(base)
    shape = _shape(base, config, (*train, *validation), settings, place)
    memory.check(shape.needed, place.free, "GPU memory" if place.device == "cuda" else "memory")
    checkpoints = folder / CHECKPOINTS
    resumed = last_checkpoint(folder)
    transformers.set_seed(settings.seed)
    with quiet(), _told(folder):
        model = adapted(load_model(base, place.dtype, config), settings)
        with _saved(model, base, checkpoints / "fresh") as fresh:
            on_fresh(fresh)
        if shape.recompute:
            model.enable_input_require_grads()
        arguments = _arguments(checkpoints, settings, len(train), bool(validation), place, shape)
        arguments.eval_on_start = bool(validation) and resumed is None
        trainer = AnswerTrainer(
            model=model,
            args=arguments,
            train_dataset=list(train),
            eval_dataset=list(validation) or None,
            data_collator=pack,
            callbacks=[_Watch(on_step, settings.save_steps)],
        )
        trainer.remove_callback(transformers.PrinterCallback)
        began = time.monotonic()
        trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
        log = _log(trainer.state.log_history)
        if validation and "validation_loss" not in log[-1]:
            trainer.evaluate()
            log = _log(trainer.state.log_history)
        with _saved(model, base, checkpoints / "adapter") as saved:
            for name in ADAPTER_FILES:
                replace(folder / name, (saved / name).read_bytes())
    return Trained(
        int(trainer.state.global_step),
        log,
        place,
        shape,
        time.monotonic() - began,
        int(resumed.name.rpartition("-")[2]) if resumed else 0,
        _peak(place),
    )


def last_checkpoint(folder: Path) -> Path | None:
    """The last checkpoint of a run that was written to its end."""
    found = [path.parent for path in (folder / CHECKPOINTS).glob(f"checkpoint-*/{WHOLE}")]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _shape(base: Base, config: Any, pairs: Sequence[Encoded], settings: Settings, place: Place) -> Shape:
    """How much is computed at once: on a GPU as many pairs as fit, on a CPU a few; activations are kept if they fit.

    What was asked for stays as it is. Where nothing fits, the least is returned.
    """
    with quiet(), torch.device("meta"):
        empty = transformers.AutoModelForCausalLM.from_config(config)
        weights = sum(weight.numel() for weight in empty.parameters())
        with_adapter = adapted(empty, settings)
        trainable = sum(weight.numel() for weight in with_adapter.parameters() if weight.requires_grad)
    lengths = sorted((len(pair) for pair in pairs), reverse=True)
    answers = sorted((len(pair.answer) for pair in pairs), reverse=True)
    text = config.get_text_config()
    copies = 2 if base.kind is Kind.GGUF else 1  # as they are in the file, and as plain numbers
    most = settings.batch if place.device == "cuda" else MICRO_BATCH
    sizes = [size for size in range(most, 0, -1) if settings.batch % size == 0]
    shapes = [
        Shape(
            size,
            recompute,
            trainable,
            memory.needs(
                text, weights, trainable, sum(lengths[:size]), sum(answers[:size]), place.item, recompute, copies
            ),
        )
        for size in ([settings.micro_batch] if settings.micro_batch else sizes)
        for recompute in _RECOMPUTE[settings.checkpointing]
    ]
    return next((shape for shape in shapes if shape.needed.total <= _SHARE_OF_MEMORY * place.free), shapes[-1])


def adapted(model: Any, settings: Settings) -> Any:
    """The model with a fresh adapter. Raises XqeError for targets that it does not have."""
    is_all = settings.targets == (ALL_LINEAR,)
    targets = ALL_LINEAR if is_all else list(settings.targets)
    missing = [] if is_all else _missing(model, settings.targets)
    if missing:  # of which peft says nothing as long as there is another
        linear = {name.rpartition(".")[2] for name, part in model.named_modules() if isinstance(part, torch.nn.Linear)}
        raise XqeError(
            f"--targets {','.join(missing)}: the model has no such layer",
            f"its linear ones are {' '.join(sorted(linear))}",
        )
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        use_rslora=settings.rslora,
        target_modules=targets,
        exclude_modules=_NOT_LANGUAGE,
    )
    try:
        return peft.get_peft_model(model, config)
    except ValueError as error:
        raise XqeError(
            f"--targets {','.join(settings.targets)}: {first_line(error)}", f"{ALL_LINEAR} is every linear layer"
        ) from None


def _missing(model: Any, targets: Sequence[str]) -> list[str]:
    """The targets that no module's name ends with, from a dot on."""
    names = [f".{name}" for name, _ in model.named_modules()]
    return [target for target in targets if not any(name.endswith(f".{target}") for name in names)]


def _arguments(
    checkpoints: Path,
    settings: Settings,
    pairs: int,
    has_validation: bool,
    place: Place,
    shape: Shape,
) -> Any:
    steps = total_steps(settings, pairs)
    arguments = transformers.TrainingArguments(
        output_dir=str(checkpoints),
        per_device_train_batch_size=shape.micro_batch,
        per_device_eval_batch_size=shape.micro_batch,
        gradient_accumulation_steps=settings.batch // shape.micro_batch,
        max_steps=steps,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant_with_warmup" if settings.schedule is Schedule.CONSTANT else settings.schedule.value,
        warmup_steps=min(math.ceil(settings.warmup * steps), steps - 1),  # its first step changes nothing
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.gradient_norm,
        optim="adamw_torch",
        bf16=place.dtype == "bfloat16",
        use_cpu=place.device == "cpu",
        gradient_checkpointing=shape.recompute,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        logging_steps=1,  # what a checkpoint holds of a sum over several steps would be lost
        logging_nan_inf_filter=False,
        eval_strategy="steps" if has_validation else "no",
        eval_steps=settings.eval_steps or math.ceil(steps / VALIDATIONS),
        save_strategy="steps" if settings.save_steps else "no",
        save_steps=settings.save_steps or steps,
        save_total_limit=2,
        seed=settings.seed,
        remove_unused_columns=False,
        dataloader_pin_memory=place.device == "cuda",
        report_to="none",
        disable_tqdm=True,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # packed pairs cannot be divided among GPUs
    return arguments


def total_steps(settings: Settings, pairs: int) -> int:
    """Steps of the optimiser in a run."""
    return settings.steps or max(1, math.ceil(settings.epochs * math.ceil(pairs / settings.batch)))


def pack(pairs: Sequence[Encoded]) -> dict[str, Any]:
    """Pairs as one row without padding, shape (1, tokens); positions that begin anew keep them apart."""
    ids: list[int] = []
    labels: list[int] = []
    positions: list[int] = []
    for pair in pairs:
        ids += [*pair.prompt, *pair.answer]
        labels += [*([_IGNORED] * len(pair.prompt)), *pair.answer]
        positions += range(len(pair))
    return {
        "input_ids": torch.tensor([ids]),
        "labels": torch.tensor([labels]),
        "position_ids": torch.tensor([positions]),
    }


def answer_loss(model: Any, inputs: dict[str, Any]) -> tuple[Any, int]:
    """The summed loss over the answer tokens of packed pairs, and how many they are.

    Logits are computed for the answers only: with vocabularies of 260,000 they are most of the memory and of the time.
    """
    labels = inputs["labels"][0, 1:]
    kept = (labels != _IGNORED).nonzero().squeeze(-1)
    logits = model(
        input_ids=inputs["input_ids"], position_ids=inputs["position_ids"], logits_to_keep=kept, use_cache=False
    ).logits
    return torch.nn.functional.cross_entropy(logits[0].float(), labels[kept], reduction="sum"), len(kept)


class AnswerTrainer(transformers.Trainer):  # type: ignore[misc]
    """A Trainer whose loss is the mean over all answer tokens of a step, whichever pairs they are in."""

    loss_is_scaled_for_ga = True

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.model_accepts_loss_kwargs = True  # so that the answer tokens of a step are counted

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        total, count = answer_loss(model, inputs)
        return total / (num_items_in_batch if num_items_in_batch is not None else count)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Mean loss over all answer tokens of the validation pairs; the Trainer's own is one of means of batches."""
        self.model.eval()
        total, count = 0.0, 0
        with torch.no_grad():
            for batch in self.get_eval_dataloader():
                with self.accelerator.autocast():
                    loss, tokens = answer_loss(self.model, self._prepare_inputs(batch))
                total, count = total + float(loss), count + tokens
        metrics = {"eval_loss": total / count}
        self.log(metrics)
        self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


class _Watch(transformers.TrainerCallback):  # type: ignore[misc]
    """Tells of each step, keeps checkpoints by the clock, marks whole ones, and stops where a loss is no number."""

    def __init__(self, on_step: Callable[[Step, int], None], save_steps: int | None) -> None:
        self._on_step = on_step
        self._by_clock = save_steps is None
        self._saved = time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        entries = _log(state.log_history[-1:])
        if not entries:
            return
        entry = entries[0]
        for name, value in entry.items():
            if not math.isfinite(value) and not entry["step"]:
                raise XqeError("the base's own loss is no number", "its weights are damaged: take another copy")
            if not math.isfinite(value):  # of such a gradient nothing would be learnt
                what = name.replace("_", " ").replace("grad norm", "gradient")
                raise XqeError(f"step {entry['step']:.0f}: the {what} is no number any more", "lower --learning-rate")
        self._on_step(entry, state.max_steps or args.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        is_last = state.global_step >= state.max_steps
        if self._by_clock and not is_last and time.monotonic() - self._saved > SECONDS_BETWEEN_CHECKPOINTS:
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        replace(Path(args.output_dir) / f"checkpoint-{state.global_step}" / WHOLE, b"")
        self._saved = time.monotonic()


_NAMES = {
    "step": "step", "loss": "loss", "learning_rate": "learning_rate", "grad_norm": "grad_norm",
    "eval_loss": "validation_loss",
}  # fmt: skip


def _log(history: Sequence[dict[str, Any]]) -> list[Step]:
    """The Trainer's log in our words, without the summary of its run."""
    return [
        {name: entry[key] for key, name in _NAMES.items() if key in entry}
        for entry in history
        if "loss" in entry or "eval_loss" in entry
    ]


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Turn what the libraries raise where memory or the disk ends into one line."""
    try:
        yield
    except XqeError:
        raise
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        if isinstance(error, torch.OutOfMemoryError) or _NO_MEMORY in str(error):
            raise XqeError("memory did not suffice", _LESS_MEMORY) from None
        if isinstance(error, RuntimeError) and not any(part in str(error) for part in _NOT_WRITTEN):
            raise
        reason = why(error) if isinstance(error, OSError) else "cannot be written to"
        raise XqeError(f"{folder}: {reason}", "make room or give access; then go on with --resume") from None


@contextmanager
def _saved(model: Any, base: Base, folder: Path) -> Iterator[Path]:
    """A folder with the adapter as peft writes it, for as long as it is looked at."""
    for config in model.peft_config.values():
        config.base_model_name_or_path = base.place
    try:
        model.save_pretrained(str(folder))
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _peak(place: Place) -> int:
    """Bytes of memory that the process had at most."""
    if place.device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
