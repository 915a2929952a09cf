"""Speed of a training step, against the loss that transformers computes by itself: `make bench-finetuning`.

    python benchmarks/finetuning.py [--model tiny] [--pairs 16] [--rounds 3] [--threads N] [--markdown]

The baseline is a model of transformers with a LoRA adapter, given padded pairs and labels, as most training scripts do.
Beside it, in turn, in the same process: xqe's loss on packed pairs, some pairs at once, with activations kept or
computed again; and in bfloat16. A round goes over the same pairs, forward and backward. README.md says how to read it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from cases import FIXTURES
from tables import processor, spread, table

from xqe.errors import XqeError
from xqe.machine import available_cores
from xqe.training import training
from xqe.training.base import find_base
from xqe.training.library import quiet, torch, versions
from xqe.training.settings import Settings
from xqe.training.tokenizing import Encoded, open_tokenizer

PASSAGE_TOKENS = 64
AT_ONCE = (1, 2, 4, 8)
BASELINE = "transformers, padded, all logits, 2 at once"


def pairs_of(model: str, count: int) -> list[Encoded]:
    """Questions of the fixtures in the zero-shot prompt without examples, with the beginnings of documents."""
    tokenizer = open_tokenizer(find_base(model))
    questions, documents = (
        [json.loads(line) for line in (FIXTURES / kind / "en.jsonl").read_text("utf-8").splitlines()]
        for kind in ("questions", "documents")
    )
    found = []
    for number in range(count):
        query, text = questions[number % len(questions)]["query"], documents[number % len(documents)]["text"]
        prompt = f"Please write a passage to answer the question.\n\nQuestion: {query}\nPassage:"
        tokens = tokenizer.tokens(f" {text}", False, False)[: PASSAGE_TOKENS - number % 16]  # passages differ in length
        found.append(Encoded(tokenizer.tokens(prompt, True, False), tokens))
    tokenizer.close()
    return found


def usual(model: Any, pairs: Sequence[Encoded], at_once: int) -> None:
    """What transformers does with padded pairs and labels."""
    for some in _groups(pairs, at_once):
        longest = max(map(len, some))
        rows = [[*one.prompt, *one.answer] + [0] * (longest - len(one)) for one in some]
        labels = [[-100] * len(one.prompt) + one.answer + [-100] * (longest - len(one)) for one in some]
        mask = [[1] * len(one) + [0] * (longest - len(one)) for one in some]
        loss = model(
            input_ids=torch.tensor(rows),
            attention_mask=torch.tensor(mask),
            labels=torch.tensor(labels),
            use_cache=False,
        ).loss
        loss.backward()


def ours(model: Any, pairs: Sequence[Encoded], at_once: int, recompute: bool = False, half: bool = False) -> None:
    """What xqe does."""
    (model.gradient_checkpointing_enable if recompute else model.gradient_checkpointing_disable)()
    for some in _groups(pairs, at_once):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss, count = training.answer_loss(model, training.pack(some))
        (loss / count).backward()


def _groups(pairs: Sequence[Encoded], size: int) -> Iterator[Sequence[Encoded]]:
    for start in range(0, len(pairs), size):
        yield pairs[start : start + size]


def measure(options: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds of each round of each way, by its name; one round of each before them does not count."""
    pairs = pairs_of(options.model, options.pairs)
    torch.set_num_threads(options.threads)
    sides: dict[str, Callable[[Any, Sequence[Encoded]], None]] = {BASELINE: partial(usual, at_once=2)}
    sides |= {f"xqe, {size} at once": partial(ours, at_once=size) for size in AT_ONCE}
    sides["xqe, 2 at once, activations computed again"] = partial(ours, at_once=2, recompute=True)
    sides["xqe, 2 at once, bfloat16"] = partial(ours, at_once=2, half=True)
    seconds: dict[str, list[float]] = defaultdict(list)
    with quiet():
        model = training.adapted(training.load_model(find_base(options.model)), Settings())
        model.enable_input_require_grads()
        model.train()
        for number in range(options.rounds + 1):
            for name, step in sides.items():
                began = time.perf_counter()
                step(model, pairs)
                if number:
                    seconds[name].append(time.perf_counter() - began)
                print(f"round {number} of {options.rounds}: {name}", file=sys.stderr)
    return seconds


def report(seconds: dict[str, list[float]], options: argparse.Namespace) -> str:
    rows = [
        (
            name,
            spread([baseline / mine for baseline, mine in zip(seconds[BASELINE], values, strict=True)]),
            spread([options.pairs / value for value in values]),
        )
        for name, values in seconds.items()
    ]
    return table(("way", "times the baseline's speed", "pairs/s"), rows, options.markdown)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    try:
        seconds = measure(options)
    except XqeError as error:
        sys.exit(f"finetuning.py: {error}")
    print(f"{options.model}, {options.pairs} pairs a round, {options.threads} threads, {processor()}; {versions()}\n")
    print(report(seconds, options))


if __name__ == "__main__":
    main()
