"""The shape of the code, read from its imports: arrows point down, and heavy libraries stay where they belong."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import xqe

SOURCE = Path(xqe.__file__).parent
LAYERS = (
    {"atomic", "errors", "machine"},
    {"messages", "records"},
    {"jsonl", "languages", "gguf", "fingerprints"},
    {
        "analysis",
        "collection",
        "counting",
        "detection",
        "documents",
        "examples",
        "fusion",
        "measures",
        "models",
        "prompts",
        "trec",
        "workers",
        "groups",
        "significance",
        "snippets",
        "store",
    },
    {"download", "engines", "index", "evaluate", "decisions", "comparison"},
    {"data", "generation", "weighting", "feedback", "pools", "explanation", "doctor"},
    {"expand", "translate", "search"},
    {"finetune", "fuse", "grid", "inspection", "report", "tracing"},
    {"commands"},
    {"cli"},
    {"__main__"},
)
ONLY_IMPORTER = {
    "llama_cpp": {"engines/llama/library.py"},
    "tantivy": {"index/candidates.py"},
    "typer": {"cli.py", "commands/"},
    "sqlite3": {"store.py"},
    "ir_measures": {"evaluate.py"},
    "scipy": {"significance.py"},
    "huggingface_hub": {"download.py"},
    "httpx2": {"engines/openai.py", "download.py"},  # the latter for the errors that huggingface_hub passes on
    "jinja2": {"engines/llama/chat.py", "report/page.py"},
    "markupsafe": {"report/page.py"},
    "matplotlib": {"report/drawing.py"},
    "ir_datasets": {"data/irdatasets.py"},
    "py3langid": {"detection.py"},
    "rjieba": {"analysis.py"},
    "sudachipy": {"analysis.py"},
    "Stemmer": {"analysis.py"},
    "torch": {"finetune/library.py"},
    "transformers": {"finetune/library.py"},
    "peft": {"finetune/library.py"},
    "gguf": {"finetune/library.py", "finetune/adapters.py"},  # the latter without torch, which takes seconds
}
HEAVY = (
    "llama_cpp",
    "sqlite3",
    "tantivy",
    "numpy",
    "rich",
    "tqdm",
    "ir_measures",
    "py3langid",
    "scipy",
    "sudachipy",
    "rjieba",
    "Stemmer",
    "jinja2",
    "matplotlib",
    "httpx2",
    "ir_datasets",
    "gguf",
    "transformers",
    "torch",
    "peft",
)


def modules() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """The modules that a file imports, in dotted form ("xqe.records", "numpy")."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            if node.module == "xqe":
                names.update(f"xqe.{alias.name}" for alias in node.names)
    return names


def layer(name: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if name in names)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_arrows_point_down(path: Path) -> None:
    own = path.relative_to(SOURCE).with_suffix("").parts[0]
    if own == "__init__":
        return
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "xqe" or len(parts) == 1 or parts[1] in (own, "__version__"):
            continue
        assert layer(parts[1]) <= layer(own), f"{own} imports {name}"
        assert layer(parts[1]) < layer(own) or own not in ("errors", "records", "commands"), f"{own} imports {name}"


@pytest.mark.parametrize("library", ONLY_IMPORTER)
def test_each_heavy_library_has_its_one_importer(library: str) -> None:
    importers = {
        str(path.relative_to(SOURCE))
        for path in modules()
        if any(name.split(".")[0] == library for name in imports(path))
    }
    allowed = ONLY_IMPORTER[library]
    assert importers, f"nothing imports {library}: drop it from the dependencies"
    assert all(any(path.startswith(place) for place in allowed) for path in importers)


@pytest.mark.parametrize(
    "arguments",
    [
        "--help",
        "translate --help",
        "expand --help",
        "index --help",
        "eval --help",
        "analyze --help",
        "search --help",
        "explain --help",
        "trace --help",
        "inspect --help",
        "fuse --help",
        "store --help",
        "data convert --help",
        "report --help",
        "batch export --help",
        "finetune data --help",
        "finetune export --help",
    ],
)
def test_help_loads_no_heavy_library(arguments: str) -> None:
    code = (
        "import sys\nfrom xqe.cli import run\n"
        f"assert run({arguments.split()!r}) == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "Usage: xqe" in done.stdout
