"""What a GPU makes of xqe: tokens a second by batch and option, and which texts stay the same.

    python benchmarks/gpu.py MODEL [--queries N] [--tokens N] [--markdown]

Expands the questions of the fixtures in all their languages, few-shot, with nothing kept; every row loads the model
anew, and its time is without that. README.md says how to read it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cases import FIXTURES
from tables import table

from xqe.errors import XqeError
from xqe.files import jsonl
from xqe.files.records import Record
from xqe.models.engines.llama import library
from xqe.models.engines.llama.engine import LlamaEngine
from xqe.models.engines.llama.settings import Settings
from xqe.models.engines.requests import Sampling
from xqe.stages.expand import Expand
from xqe.stages.generation import Tally, run
from xqe.stages.strategies import Strategy


@dataclass(frozen=True)
class Row:
    """What is run. part: of the queries. backwards: they come in reversed order."""

    name: str
    settings: Settings = field(default_factory=Settings)
    sampling: Sampling = field(default_factory=Sampling)
    part: float = 1.0
    backwards: bool = False


DEFAULT, PART = Row("default"), 64 / 560
NO_PENALTY = Sampling(repeat_penalty=1.0)  # without one, tokens may be picked where the model computes
ROWS = (
    DEFAULT,
    Row("again"),
    Row("reversed order", backwards=True),
    Row("one text at a time", Settings(batch=1), part=PART),
    Row("deterministic", Settings(deterministic=True), part=PART),
    Row("deterministic, reversed order", Settings(deterministic=True), part=PART, backwards=True),
    *(Row(f"batch {batch}", Settings(batch=batch)) for batch in (16, 32, 128, 256)),
    Row("flash attention off", Settings(flash_attention="off")),
    Row("q8_0 cache", Settings(cache_type="q8_0")),
    Row("temperature 0.7", sampling=Sampling(0.7)),
    Row("no penalty, gpu sampling auto", sampling=NO_PENALTY),
    Row("no penalty, gpu sampling off", Settings(gpu_sampling="off"), NO_PENALTY),
    Row("ten layers on the GPU", Settings(gpu_layers=10), part=PART),
    Row("none on the GPU", Settings(gpu_layers=0), part=PART / 4),
)
COMPARED = {  # a row, and the one whose texts it is held against
    "again": "default",
    "reversed order": "default",
    "one text at a time": "default",
    "deterministic, reversed order": "deterministic",
    "no penalty, gpu sampling off": "no penalty, gpu sampling auto",
}


def queries() -> Iterator[Record]:
    """The questions, language by language, as a grid asks them."""
    for path in sorted((FIXTURES / "questions").glob("*.jsonl")):
        for _, record in jsonl.objects(str(path)):
            yield {"id": f"{path.stem}-{record['id']}", "query": record["query"], "lang": path.stem}


def measured(row: Row, model: Path, records: list[Record], tokens: int) -> tuple[list[str], dict[str, str]]:
    """Id -> text, and the cells of the table."""
    asked = records[: max(1, round(row.part * len(records)))]
    with LlamaEngine(model.stem, str(model), settings=row.settings) as engine:
        stage: Any = Expand(engine, Strategy.FEWSHOT.template, None, 1, row.sampling, tokens)
        began = time.monotonic()
        done = list(run(stage, engine, iter(asked[::-1] if row.backwards else asked), Tally()))
        seconds = time.monotonic() - began
        made, generated = engine.making(), engine.counts.generated
    texts = [record["passages"][0] for record in (done[::-1] if row.backwards else done)]
    return texts, {
        "batch": str(made["batch"]),
        "queries": str(len(asked)),
        "tokens/s": f"{generated / seconds:,.0f}",
        "ms a step": f"{1000 * seconds * min(made['batch'], len(asked)) / generated:.1f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path, help="a GGUF file")
    parser.add_argument("--queries", type=int, default=560)
    parser.add_argument("--tokens", type=int, default=64, help="of each text")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    print(f"{library.version()}, {', '.join(device.description for device in library.devices())}")
    records, texts, rows = list(queries())[: options.queries], dict[str, list[str]](), []
    for row in ROWS:
        try:
            texts[row.name], cells = measured(row, options.model, records, options.tokens)
        except XqeError as error:
            print(f"{row.name}: {error}")
            continue
        if other := texts.get(COMPARED.get(row.name, "")):
            both = list(zip(texts[row.name], other, strict=False))
            cells["same texts"] = f"{sum(one == two for one, two in both)} of {len(both)} as {COMPARED[row.name]}"
        rows.append({"": row.name, **cells})
    headings = ["", "batch", "queries", "tokens/s", "ms a step", "same texts"]
    print(table(headings, [[row.get(heading, "") for heading in headings] for row in rows], options.markdown))


if __name__ == "__main__":
    main()
