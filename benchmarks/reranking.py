"""Pairs a second of `xqe rerank` beside a loop over `llama_cpp.Llama`, and whether its memory grows with the pairs.

    python benchmarks/reranking.py [--model tiny] [--queries 6] [--hits 20] [--rounds 3] [--threads N] [--pairs 2000]
                                   [--markdown]

In each round both sides measure the same pairs, one side after the other, so that whatever else the machine does
touches both: read the ratios. The second part measures many pairs of short documents; its first tenth is 200 pairs of
2,000. README.md says what the sides are.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cases import FIXTURES
from memory import MARKS, observed
from numpy.typing import NDArray
from tables import processor, spread, table

from xqe.errors import XqeError
from xqe.machine import available_cores
from xqe.models.engines.jobs import Job, Ticket
from xqe.models.engines.llama.drawing import Following
from xqe.models.engines.llama.engine import LlamaEngine
from xqe.models.lookup import resolve
from xqe.retrieval.lexical import open_index
from xqe.stages.rerank.kinds import DOCUMENT_TOKENS, Kind
from xqe.stages.rerank.pointwise import share_of_first
from xqe.stages.rerank.reranker import How

KINDS = (Kind.LIKELIHOOD, Kind.YES_NO)
SHORT = 8  # tokens of a document, where memory is looked at
HITS = 20  # of a record there
CONTEXT = 512  # of the loops: `logits_all` keeps as many rows


@dataclass(frozen=True, slots=True)
class Pair:
    """What is measured, as tokens. prompt: what is before. groups: the spellings of each choice, or the tokens of a
    continuation, each a group of its own."""

    prompt: list[int]
    groups: list[list[int]]
    is_continuation: bool


class Loop:
    """`llama_cpp.Llama.eval` for one pair after the other. all_rows: with `logits_all`, and so the only way to a
    prompt's log-probabilities that the class offers; else the tokens of a continuation are read one by one."""

    def __init__(self, path: str, threads: int, all_rows: bool) -> None:
        import llama_cpp

        self._all_rows = all_rows
        self._llama = llama_cpp.Llama(
            path, n_ctx=CONTEXT, n_threads=threads, n_threads_batch=threads, logits_all=all_rows, verbose=False
        )

    def score(self, pair: Pair) -> float:
        self._llama.reset()  # type: ignore[no-untyped-call]
        if self._all_rows and pair.is_continuation:
            tokens = [token for [token] in pair.groups]
            self._llama.eval(pair.prompt + tokens)
            rows = self._llama.scores[len(pair.prompt) - 1 :]
            return sum(float(_log_softmax(row)[token]) for row, token in zip(rows, tokens, strict=False))
        self._llama.eval(pair.prompt)
        if not pair.is_continuation:
            row = self._row()
            return share_of_first([float(np.logaddexp.reduce(row[group])) for group in pair.groups])
        total = 0.0
        for place, [token] in enumerate(pair.groups):
            total += float(self._row()[token])
            if place + 1 < len(pair.groups):
                self._llama.eval([token])
        return total

    def _row(self) -> NDArray[np.float64]:
        """What comes after the token that was read last."""
        context: Any = self._llama._ctx
        return _log_softmax(np.ctypeslib.as_array(context.get_logits_ith(-1), (self._llama.n_vocab(),)))

    def close(self) -> None:
        self._llama.close()


def _log_softmax(row: NDArray[np.float32]) -> NDArray[np.float64]:
    logits = row.astype(np.float64) - row.max()
    found: NDArray[np.float64] = logits - np.log(np.exp(logits).sum())
    return found


def pairs_of(kind: Kind, records: list[dict[str, Any]], index: Path, options: argparse.Namespace) -> list[Pair]:
    """What the command measures for each hit, in the order of the hits, as its engine makes tokens of it."""
    resolved = resolve(options.model)
    found = []
    with LlamaEngine(resolved.name, str(resolved.path), vocabulary_only=True) as engine:
        stage = How(kind, kind.template(), options.hits).reranker(engine, open_index(index).documents)
        for request in (request for record in records for request in stage.requests(record)):
            measured = engine._measured(Ticket(Job("", [request]), 0))
            picker = measured.picker
            groups = [[int(token)] for token in picker.tokens] if isinstance(picker, Following) else picker.groups
            found.append(Pair(measured.prompt.tolist(), list(map(list, groups)), bool(request.continuation)))
    return found


def xqe(*arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, "-m", "xqe", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done


def measure(kind: Kind, records: list[dict[str, Any]], folder: Path, options: argparse.Namespace) -> list[str]:
    """The row of a kind: pairs/s of each side, how they compare, and how much their numbers differ."""
    run = folder / "run.jsonl"
    run.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    how = ["--model", options.model, "--threads", str(options.threads), "--no-store", "--kind", kind]
    how += ["-n", str(options.hits), "--document-tokens", str(DOCUMENT_TOKENS)]
    pairs = pairs_of(kind, records, folder / "index", options)
    ours: list[float] = []
    difference = 0.0
    others: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(options.rounds):
        done = xqe("rerank", str(folder / "index"), str(run), *how)
        ours.append(float(re.findall(r"([0-9.]+) scored/s", done.stderr)[0]))
        for all_rows, rates in others.items():
            loop = Loop(str(resolve(options.model).path), options.threads, all_rows)
            start = time.perf_counter()
            scores = [loop.score(pair) for pair in pairs]
            rates.append(len(pairs) / (time.perf_counter() - start))
            loop.close()
            difference = max(difference, *map(abs, np.subtract(scores, _scores(done.stdout)).tolist()))
    ratios = [[one / other for one, other in zip(ours, rates, strict=True)] for rates in others.values()]
    rates_of = [spread(rates, ".1f") for rates in (ours, *others.values())]
    return [kind, str(len(pairs)), *rates_of, *map(spread, ratios), f"{difference:.3f}"]


def _scores(output: str) -> list[float]:
    """The model's scores, in the order of the hits before."""
    found = []
    for line in output.splitlines():
        again = [hit["reranked"] for hit in json.loads(line)["hits"]]
        found += [hit["score"] for hit in sorted(again, key=lambda hit: hit["rank"])]
    return found


def memory(folder: Path, options: argparse.Namespace) -> list[list[str]]:
    """A row for each kind: resident memory after parts of the pairs."""
    ids = [json.loads(line)["id"] for line in (FIXTURES / "documents" / "en.jsonl").read_text("utf-8").splitlines()]
    run = folder / "many.jsonl"
    count = options.pairs // HITS
    with run.open("w", encoding="utf-8") as file:
        for number in range(count):
            hits = [{"id": ids[(number + rank) % len(ids)], "score": float(-rank)} for rank in range(HITS)]
            file.write(json.dumps({"id": f"q{number}", "query": f"question {number}", "hits": hits}) + "\n")
    how = ["--model", options.model, "--threads", str(options.threads), "--no-store", "--quiet", "-n", str(HITS)]
    rows = []
    for kind in KINDS:
        looked = observed(
            kind,
            ["rerank", str(folder / "index"), str(run), "--kind", kind, "--document-tokens", str(SHORT), *how],
            count,
        )
        resident = [f"{looked.at(part).resident / 2**20:.1f}" for part in MARKS]
        rows.append([kind, *resident, f"{looked.peak / 2**20:.1f}", f"{looked.slope() / HITS:.0f}"])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--queries", type=int, default=6)
    parser.add_argument("--hits", type=int, default=20, help="of a query")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=2000, help="of the second part; 0 leaves it out")
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    try:
        resolve(options.model)
    except XqeError as error:
        raise SystemExit(str(error)) from None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        xqe("index", str(folder / "index"), "--lang", "en", "-i", str(FIXTURES / "documents" / "en.jsonl"))
        asked = (FIXTURES / "questions" / "en.jsonl").read_text("utf-8").splitlines()[: options.queries]
        (folder / "queries.jsonl").write_text("\n".join(asked) + "\n", "utf-8")
        found = xqe("search", str(folder / "index"), "-i", str(folder / "queries.jsonl"), "-k", str(options.hits))
        records = [json.loads(line) for line in found.stdout.splitlines()]
        print(f"{processor()}, {options.threads} threads, {options.model}")
        rows = [measure(kind, records, folder, options) for kind in KINDS]
        headers = ["pairs/s", "pairs", "xqe", "Llama", "Llama, by tokens", "xqe / Llama", "/ by tokens", "difference"]
        print(table(headers, rows, options.markdown))
        if options.pairs >= 10 * HITS:
            marks = [f"after {part * options.pairs:.0f} pairs" for part in MARKS]
            print("\nResident memory, MiB")
            print(table(["", *marks, "peak", "bytes more a pair"], memory(folder, options), options.markdown))


if __name__ == "__main__":
    main()
