"""How a model is trained: LoRA's shape and the optimisation, with the sources of the defaults."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from xqe.errors import XqeError

# Defaults. QLoRA (Dettmers et al. 2023): all linear layers, of which they find that it matters and the rank does not
# (section 4); dropout 0.05, of which they find that it helps models of 7B and 13B (appendix A.1); learning rate 2e-4,
# batches of 16, gradients cut at a norm of 0.3, a constant rate (appendix B.2). Their scripts ask for 3 % of warm-up,
# which the schedule that they name leaves out. A and B begin as PEFT has them: Kaiming's uniform numbers, and zeros.
# alpha twice the rank is what most of the field uses.
RANK = 16
ALPHA = 32.0
DROPOUT = 0.05
ALL_LINEAR = "all-linear"
LEARNING_RATE = 2e-4
BATCH = 16
WARMUP = 0.03
GRADIENT_NORM = 0.3
EPOCHS = 1.0
MAX_LENGTH = 1024
VALIDATIONS = 10  # in a run, if no other number of steps is asked for
MICRO_BATCH = 2  # on a CPU, where more at once is no faster (benchmarks/finetuning.py)


class Schedule(StrEnum):
    """What becomes of the learning rate after the warm-up."""

    CONSTANT = "constant"
    LINEAR = "linear"
    COSINE = "cosine"


class Device(StrEnum):
    """Where a model is trained."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Dtype(StrEnum):
    """The numbers that a base has while an adapter of it is trained; the adapter's own are of 32 bits."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


@dataclass(frozen=True, slots=True)
class Settings:
    """rank, alpha, dropout, rslora, targets: of LoRA. steps: of the optimiser; None for `epochs` over the data. batch:
    pairs a step; micro_batch: of these, how many are computed at once. warmup: share of the steps. max_length: tokens
    of a pair; longer ones are left out. eval_steps, save_steps: how often validation is computed and a checkpoint
    written; None for ten times a run, and every five minutes. checkpointing: compute activations again instead of
    keeping them, "on", "off", or "auto": if memory would not suffice otherwise."""

    rank: int = RANK
    alpha: float = ALPHA
    dropout: float = DROPOUT
    rslora: bool = False
    targets: tuple[str, ...] = (ALL_LINEAR,)
    learning_rate: float = LEARNING_RATE
    schedule: Schedule = Schedule.CONSTANT
    warmup: float = WARMUP
    weight_decay: float = 0.0
    gradient_norm: float = GRADIENT_NORM
    epochs: float = EPOCHS
    steps: int | None = None
    batch: int = BATCH
    micro_batch: int | None = None
    max_length: int = MAX_LENGTH
    eval_steps: int | None = None
    save_steps: int | None = None
    dtype: Dtype = Dtype.AUTO
    device: Device = Device.AUTO
    checkpointing: str = "auto"
    threads: int | None = None
    seed: int = 0

    def check(self) -> None:
        """Raise XqeError for what does not go together."""
        if not self.targets:
            raise XqeError("--targets names no layer", f"{ALL_LINEAR} is every linear layer")
        if ALL_LINEAR in self.targets and len(self.targets) > 1:
            raise XqeError(f"--targets {','.join(self.targets)}: {ALL_LINEAR} is every layer", "give it alone")
        if self.micro_batch is not None and self.batch % self.micro_batch:
            raise XqeError(
                f"--batch {self.batch} is no multiple of --micro-batch {self.micro_batch}",
                "a step is a whole number of them",
            )

    def json(self) -> dict[str, Any]:
        return asdict(self)

    def deciding(self) -> dict[str, Any]:
        """Those that decide what is learnt: a run goes on only with the same."""
        free = {"eval_steps", "save_steps", "threads", "device", "checkpointing"}
        return {name: value for name, value in asdict(self).items() if name not in free}
