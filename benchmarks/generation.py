"""Tokens per second of xqe's engine against a loop over llama_cpp.Llama: same model, prompts, limits and threads.

    python benchmarks/generation.py [--queries 64] [--strategy zeroshot] [--max-tokens 64] [--batch 32] [--rounds 3]
    python benchmarks/generation.py --shots 1 --full-length     # a short prefix, and no text that ends early

The two run in turn in one process, so that whatever else the machine does touches both; read the ratio, not the
absolute numbers. The prompts are those of `xqe expand` for the fixtures' questions. Both sides decode the shared
prefix once (the Llama class keeps the cells of its last prompt). Loading the model counts for neither.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from llama_cpp import Llama

from xqe import models
from xqe.machine import available_cores
from xqe.engines.base import Job, Request
from xqe.engines.llama.engine import LlamaEngine
from xqe.examples import Chooser
from xqe.expand import Expand, Strategy
from xqe.prompts import Text

FIXTURES = Path(__file__).parent.parent / "fixtures"


NEVER = ("\0\0",)


def requests_of(
    engine: LlamaEngine, strategy: Strategy, count: int, max_tokens: int, shots: int | None, full_length: bool
) -> list[Request]:
    """The requests of `xqe expand` for English questions and titles of the fixtures."""
    files = [FIXTURES / kind / "en.jsonl" for kind in ("questions", "titles")]
    records = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()][:count]
    choose = Chooser(None, shots) if shots else None
    stage = Expand(engine, strategy.template, choose, max_tokens=max_tokens)
    requests = [request for record in records for request in stage.requests(record)]
    if full_length:
        requests = [replace(r, prompt=replace(r.prompt, stop=NEVER)) for r in requests if isinstance(r.prompt, Text)]
    return requests


def batched(engine: LlamaEngine, requests: list[Request]) -> int:
    jobs = engine.generate(Job(None, [request]) for request in requests)
    return sum(completion.tokens for job in jobs for completion in job.results())


def one_by_one(llama: Llama, requests: list[Request]) -> int:
    tokens = 0
    llama.reset()  # type: ignore[no-untyped-call]  # what it kept of an earlier round's prompts would be a head start
    for request in requests:
        assert isinstance(request.prompt, Text)
        done = llama.create_completion(
            request.prompt.text, max_tokens=request.max_tokens, temperature=0.0, stop=list(request.prompt.stop)
        )
        assert isinstance(done, dict)
        tokens += done["usage"]["completion_tokens"]
    return tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--queries", type=int, default=64)
    parser.add_argument("--strategy", type=Strategy, default=Strategy.ZEROSHOT, choices=list(Strategy))
    parser.add_argument("--shots", type=int, help="worked examples in each prompt (default: the strategy's)")
    parser.add_argument("--full-length", action="store_true", help="let no text stop before --max-tokens")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    path = str(models.resolve(options.model).path)
    threads = available_cores()
    engine = LlamaEngine(options.model, path, batch=options.batch)
    requests = requests_of(
        engine, options.strategy, options.queries, options.max_tokens, options.shots, options.full_length
    )
    llama = Llama(path, n_ctx=2048, n_batch=512, n_threads=threads, n_threads_batch=threads, verbose=False)
    batched(engine, requests[:2])
    one_by_one(llama, requests[:2])
    sides: dict[str, Callable[[], int]] = {
        f"xqe, {options.batch} sequences together": lambda: batched(engine, requests),
        "llama_cpp.Llama, one after the other": lambda: one_by_one(llama, requests),
    }
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, run in sides.items():
            start = time.perf_counter()
            rates[name].append(run() / (time.perf_counter() - start))
    print(f"{len(requests)} prompts, {options.strategy}, at most {options.max_tokens} tokens, {threads} threads")
    for name, values in rates.items():
        print(f"  {name:40} {statistics.median(values):8.1f} tokens/s  (of {options.rounds} rounds, median)")
    ours, theirs = rates.values()
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    print(f"  ratio, round by round: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")
    engine.close()
    llama.close()


if __name__ == "__main__":
    main()
