"""Characters a second that analysis takes in each language, on one core: `make bench-analysis`.

    python benchmarks/analysis_speed.py [--language CODE]... [--characters 60000] [--rounds 3] [--markdown]

Beside plain splitting of the same round's English by a regular expression. README.md says what the columns are.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
import tomllib
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from tables import processor, spread, table

from xqe.errors import XqeError
from xqe.text.analysis import Analyzer, stop_words
from xqe.text.counting import TermCounter
from xqe.text.languages import LANGUAGES

WORDS = Path(__file__).parent.parent / "tests" / "golden" / "words.toml"
_PLAIN = re.compile(r"\w+")
_DOCUMENT = 60  # words
_SEED = 7
Made = Callable[[list[str]], object]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings(one)


def vocabulary(code: str) -> list[str]:
    """What stands between spaces in the texts at hand of a language, each once, in the order in which it comes."""
    examples = files("xqe.models") / "examples" / f"{code}.jsonl"
    rows = [json.loads(line) for line in examples.read_text("utf-8").splitlines()] if examples.is_file() else []
    golden = tomllib.loads(WORDS.read_text("utf-8")).get(code, {})
    texts = [*_strings([row.get("passage", row.get("text", row)) for row in rows]), *_strings(golden)]
    return list(dict.fromkeys(word for text in texts for word in [*text.split(), *stop_words(code)[:100]]))


def running(words: list[str], characters: int) -> list[str]:
    """Documents of words drawn as often as Zipf's law has it."""
    chosen = random.Random(_SEED)
    weights = [1 / rank for rank in range(1, len(words) + 1)]
    documents: list[str] = []
    size = 0
    while size < characters:
        documents.append(" ".join(chosen.choices(words, weights, k=_DOCUMENT)))
        size += len(documents[-1])
    return documents


def rate(texts: list[str], make: Made) -> float:
    """Characters a second."""
    start = time.thread_time()
    make(texts)
    return sum(map(len, texts)) / (time.thread_time() - start)


def measured(code: str, characters: int) -> tuple[float, float]:
    """The rates of words that were not met before, and of running text whose words were."""
    analyze = Analyzer(LANGUAGES[code])
    analyze.terms("a")  # what is loaded and compiled when it is first needed
    words = vocabulary(code)
    first = rate(words, lambda texts: list(map(analyze.terms, texts)))
    counter, texts = TermCounter(analyze), running(words, characters)
    counter.count([" ".join(words)])
    return first, rate(texts, counter.count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", action="append", choices=LANGUAGES, help="one alone; may be repeated")
    parser.add_argument("--characters", type=int, default=60_000, help="of running text a language")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    plain: list[float] = []
    ratios: dict[str, list[tuple[float, float]]] = {}
    for _ in range(options.rounds):
        base = rate(running(vocabulary("en"), 20 * options.characters), lambda texts: list(map(_PLAIN.findall, texts)))
        plain.append(base / 1e6)
        for code in options.language or LANGUAGES:
            try:
                first, met = measured(code, options.characters)
            except XqeError as error:
                print(f"{code}: {error}")
                continue
            ratios.setdefault(code, []).append((first / base, met / base))
    print(f"{processor()}; splitting English: {spread(plain, '.1f')} million characters/s\n")
    rows = [
        (LANGUAGES[code].name, LANGUAGES[code].analysis.segmenter, *(spread(side) for side in zip(*its, strict=True)))
        for code, its in ratios.items()
    ]
    print(table(("language", "segmenter", "words not met", "running text"), rows, options.markdown))


if __name__ == "__main__":
    main()
