"""What a command costs before it does anything, beside `import typer`: `make bench-startup`.

    python benchmarks/startup.py [--rounds 9] [--only TEXT] [--json FILE] [--markdown]

CPU time and wall time of whole processes, as ratios to `python -c "import typer"`. In each round every command runs
once, one after the other, and just before it the baseline, as its own: a ratio is of two medians. README.md says how to
read it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from operator import attrgetter
from pathlib import Path

from processes import Done, run
from tables import processor, table

from xqe.cli import COMMANDS
from xqe.machine import available_cores

FIXTURES = Path(__file__).parent.parent / "fixtures"
XQE = str(Path(sys.executable).with_name("xqe"))
QUERIES = 16
BASELINE = [sys.executable, "-c", "import typer"]


def commands(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """What is run, by the names that the table has; `folder` holds an index of 40 documents and runs of 16 queries."""
    queries, qrels = str(folder / "queries.jsonl"), str(FIXTURES / "qrels.txt")
    one, two = str(folder / "one.jsonl"), str(folder / "two.jsonl")
    yield "python -c pass", [sys.executable, "-c", "pass"]
    yield "floor of eval: typer, ujson, pytrec_eval_ext", [sys.executable, "-c", "import typer, ujson, pytrec_eval_ext"]
    yield "floor of search: typer, ujson, numpy, tantivy", [sys.executable, "-c", "import typer, ujson, numpy, tantivy"]
    for arguments in (
        "--version",
        "--help",
        "help",
        *(f"{row.name} --help" for rows in COMMANDS.values() for row in rows),
    ):
        yield f"xqe {arguments}", [XQE, *arguments.split()]
    yield "xqe data list", [XQE, "data", "list"]
    yield "xqe models list", [XQE, "models", "list"]
    yield f"xqe eval, {QUERIES} queries, --test none", [XQE, "eval", one, "--qrels", qrels, "--test", "none"]
    yield f"xqe eval, {QUERIES} queries", [XQE, "eval", one, "--qrels", qrels]
    yield f"xqe eval, two runs of {QUERIES} queries", [XQE, "eval", one, two, "--qrels", qrels]
    yield "xqe search, 40 documents", [XQE, "search", str(folder / "index"), "rust of iron"]
    yield f"xqe search, 40 documents, {QUERIES} queries", [XQE, "search", str(folder / "index"), "-i", queries]


def prepare(folder: Path) -> None:
    """Write the index, the queries and two runs of them."""
    lines = (FIXTURES / "questions" / "en.jsonl").read_text("utf-8").splitlines(keepends=True)
    (folder / "queries.jsonl").write_text("".join(lines[:QUERIES]), "utf-8")
    documents, index = FIXTURES / "documents" / "en.jsonl", str(folder / "index")
    subprocess.run([XQE, "index", index, "--lang", "en", "-i", str(documents)], check=True, capture_output=True)
    for name, options in (("one", []), ("two", ["--k1", "2"])):
        with open(folder / f"{name}.jsonl", "w", encoding="utf-8") as out:
            command = [XQE, "search", index, "-i", str(folder / "queries.jsonl"), *options]
            subprocess.run(command, check=True, stdout=out)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default="", metavar="TEXT", help="commands with this in their names")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the seconds of every process there")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what a user has compiled once is not compiled here each time
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        asked = {of: command for of, command in commands(folder) if options.only in of}
        beside: dict[str, list[Done]] = {of: [] for of in asked}
        done: dict[str, list[Done]] = {of: [] for of in asked}
        for number in range(options.rounds + 1):
            print(f"round {number} of {options.rounds}", file=sys.stderr, flush=True)
            for of, command in asked.items():
                before, one = run(BASELINE, available_cores()), run(command, available_cores())
                if number:  # the first compiles byte code, and brings files into memory
                    beside[of].append(before)
                    done[of].append(one)
    if options.json is not None:
        raw = {of: {"baseline": _seconds(beside[of]), "command": _seconds(done[of])} for of in asked}
        options.json.write_text(json.dumps(raw), "utf-8")
    print(f"{processor()}, {available_cores()} cores, median of {options.rounds}\n")
    print(report(beside, done, options.markdown))


def report(beside: dict[str, list[Done]], done: dict[str, list[Done]], markdown: bool) -> str:
    """A row for each command: milliseconds of CPU and of wall time, and how often its baseline's they are."""
    everything = [one for several in beside.values() for one in several]
    rows = [_row('python -c "import typer"', everything, everything)]
    rows += [_row(of, several, beside[of]) for of, several in done.items()]
    return table(["", "CPU, ms", "ratio", "wall, ms", "ratio"], rows, markdown)


def _row(name: str, several: Sequence[Done], baseline: Sequence[Done]) -> list[str]:
    row = [name]
    for of in (attrgetter("cpu"), attrgetter("seconds")):
        middle, base = statistics.median(map(of, several)), statistics.median(map(of, baseline))
        row += [f"{middle * 1000:.0f}", f"{middle / base:.2f}"]
    return row


def _seconds(several: Sequence[Done]) -> list[dict[str, float]]:
    return [{"cpu": one.cpu, "wall": one.seconds} for one in several]


if __name__ == "__main__":
    main()
