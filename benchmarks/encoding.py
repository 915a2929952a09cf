"""Tokens per second and memory of xqe's encoder beside what else encodes with the same weights: `make bench-encoding`.

    python benchmarks/encoding.py [--encoder e5-small] [--texts FILE] [--count 96] [--rounds 3] [--threads N]
                                  [--side NAME] [--markdown]

In each round each side is a process of its own, which loads the model, encodes the texts twice, and says how long the
second time took. The sides of a round run one after the other, so that whatever else the machine does touches all of
them: read the ratios, which are of one round each. README.md says what the sides are.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from cases import FIXTURES
from numpy.typing import NDArray
from processes import run
from tables import processor, spread, table

from xqe.machine import available_cores
from xqe.models.lookup import resolve

ONNX, LLAMA, BARE, TORCH, NUMPY = "xqe, onnxruntime", "xqe, llama.cpp", "bare loop", "sentence-transformers", "numpy"
PREFIX = "passage: "
BLAS_THREADS = "OPENBLAS_NUM_THREADS"
COUNTING = """
import json
from packs import Tokens

tokens = Tokens(sys.argv[1])
print(sum(len(tokens(text)) for text in json.load(sys.stdin)))
"""
EXPORTING = """
from pathlib import Path
from exporting import export

export(sys.argv[1], Path(sys.argv[2]))
"""


class Encoder(Protocol):
    def encode(self, texts: Sequence[str]) -> NDArray[Any]: ...


class Ours:
    def __init__(self, path: str, threads: int, runtime: str) -> None:
        from xqe.models.encoders.local import open_encoder
        from xqe.models.engines.llama.settings import Hardware

        hardware = Hardware(threads=threads, gpu_layers=0)
        self._encoder = open_encoder(path, hardware, query_prefix="", passage_prefix=PREFIX, runtime=runtime)

    def encode(self, texts: Sequence[str]) -> NDArray[Any]:
        from xqe.models.encoders.base import Side

        vectors: NDArray[Any] = self._encoder.encode(
            [text.removeprefix(PREFIX) for text in texts], Side.PASSAGE
        ).vectors
        return vectors


class Torch:
    """sentence-transformers on the folder that `exporting` wrote."""

    def __init__(self, folder: str, threads: int) -> None:
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(threads)
        self._model = SentenceTransformer(folder, device="cpu")

    def encode(self, texts: Sequence[str]) -> NDArray[Any]:
        vectors: NDArray[Any] = self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return vectors


def _bare(path: str, threads: int) -> Encoder:
    from packs import Packs

    return Packs(path, threads)


def _numpy(path: str, threads: int) -> Encoder:
    from forward import Forward

    return Forward(path, threads)


SIDES: dict[str, Callable[[str, int], Encoder]] = {
    ONNX: lambda path, threads: Ours(path, threads, "onnxruntime"),
    LLAMA: lambda path, threads: Ours(path, threads, "llama.cpp"),
    BARE: _bare,
    TORCH: Torch,
    NUMPY: _numpy,
}
OURS = (ONNX, LLAMA)


def child(side: str, path: str, threads: int, texts: Path, out: str) -> None:
    """One side in this process: its vectors into a file, its seconds to standard output."""
    wanted = json.loads(texts.read_text("utf-8"))
    encoder = SIDES[side](path, threads)
    encoder.encode(wanted)
    start = perf_counter()
    vectors = encoder.encode(wanted)
    print(perf_counter() - start)
    np.save(out, vectors)


def measure(options: argparse.Namespace) -> None:
    path = str(resolve(options.encoder).path)
    texts = [PREFIX + text for text in _texts(options.texts, options.count)]
    sides = options.side or list(SIDES)
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    memory: dict[str, int] = {}
    vectors: dict[str, NDArray[Any]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        given = folder / "texts.json"
        given.write_text(json.dumps(texts), "utf-8")
        tokens = _tokens(path, texts)
        if TORCH in sides:
            _export(path, folder / "torch")
        for _ in range(options.rounds):
            for side in sides:
                out = str(folder / "vectors.npy")
                weights = str(folder / "torch") if side == TORCH else path
                command = [sys.executable, __file__, "--child", side, weights, str(options.threads), str(given), out]
                os.environ[BLAS_THREADS] = "1" if side == NUMPY else str(options.threads)
                done = run(command, options.threads)
                seconds[side].append(float(done.output.split()[-1]))
                memory[side] = max(memory.get(side, 0), done.largest)
                vectors[side] = np.load(out)
    size = Path(path).stat().st_size
    print(f"{processor()}, {options.threads} threads; {options.encoder}, {size / 1e6:.0f} MB; {len(texts)} texts, "
          f"{tokens:,} tokens; {options.rounds} rounds")  # fmt: skip
    first = vectors[sides[0]]
    ours = [side for side in OURS if side in sides]
    rows = [
        [
            side,
            spread([tokens / value for value in seconds[side]], ".0f"),
            *(spread([b / a for a, b in zip(seconds[own], seconds[side], strict=True)]) for own in ours),
            f"{memory[side] / 1e6:.0f}",
            f"{memory[side] / size:.1f}",
            f"{float((vectors[side] * first).sum(1).min()):.5f}",
        ]
        for side in sides
    ]
    headers = ["", "tokens/s", *(f"{own} is x times" for own in ours), "peak MB", "x the file", "least cosine"]
    print(table(headers, rows, options.markdown))


def _texts(file: str | None, count: int) -> list[str]:
    """The first texts of a file of documents, or of the fixtures by turns, over again where there are too few."""
    files = [Path(file)] if file else sorted((FIXTURES / "documents").glob("*.jsonl"))
    columns = [[json.loads(line)["text"] for line in one.read_text("utf-8").splitlines()] for one in files]
    found = [text for row in zip(*columns, strict=True) for text in row]
    return [found[number % len(found)] for number in range(count)]


def _tokens(path: str, texts: Sequence[str]) -> int:
    return int(_apart(COUNTING, [path], json.dumps(texts)).split()[-1])


def _export(path: str, folder: Path) -> None:
    _apart(EXPORTING, [path, str(folder)])


def _apart(program: str, arguments: Sequence[str], text: str = "") -> str:
    """What a program with the modules of this folder says, in a process of its own, whose memory does not count."""
    start = f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    return run([sys.executable, "-c", start + program, *arguments], available_cores(), text).output


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        side, path, threads, texts, out = sys.argv[2:]
        child(side, path, int(threads), Path(texts), out)
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--encoder", default="e5-small")
    parser.add_argument("--texts", help="documents, JSONL with a text each")
    parser.add_argument("--count", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--side", action="append", choices=SIDES)
    parser.add_argument("--markdown", action="store_true")
    measure(parser.parse_args())


if __name__ == "__main__":
    main()
