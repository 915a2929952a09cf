"""The shape of the code, read from its imports: arrows point down, and heavy libraries stay where they belong."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import xqe

SOURCE = Path(xqe.__file__).parent
LAYERS = (
    {"errors", "machine", "messages"},
    {"files"},
    {"text"},
    {"evaluation", "models"},
    {"retrieval.documents"},
    {"retrieval.lexical"},
    {"retrieval"},
    {"collections", "stages"},
    {"doctor", "experiments.grid", "experiments.report", "training"},
    {"commands"},
    {"cli"},
    {"__main__"},
)
"""From the ground up. A room knows those of the layers below it, and itself; none beside it."""

ONLY_IMPORTER = {
    "llama_cpp": {"models/engines/llama/library.py"},
    "tantivy": {"retrieval/lexical/candidates.py"},
    "typer": {"cli.py", "commands/"},
    "sqlite3": {"models/store/database.py"},
    "ir_measures": {"evaluation/values.py"},
    "scipy": {"evaluation/significance.py"},
    "huggingface_hub": {"models/download.py"},
    "httpx2": {
        "models/engines/openai.py",
        "models/download.py",
    },  # for errors that huggingface_hub passes on
    "jinja2": {"models/engines/llama/chat.py", "experiments/report/page.py"},
    "markupsafe": {"experiments/report/page.py"},
    "matplotlib": {"experiments/report/drawing.py"},
    "ir_datasets": {"collections/irdatasets.py"},
    "py3langid": {"text/detection.py"},
    "rjieba": {"text/analysis.py"},
    "sudachipy": {"text/analysis.py"},
    "Stemmer": {"text/analysis.py"},
    "torch": {"training/library.py"},
    "transformers": {"training/library.py"},
    "peft": {"training/library.py"},
    "gguf": {"training/library.py", "training/adapters.py"},  # the latter without torch, which takes seconds
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
    """The modules that a file imports, in dotted form ("xqe.files.records", "numpy")."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            if node.module == "xqe":
                names.update(f"xqe.{alias.name}" for alias in node.names)
    return names


def room(name: str) -> str:
    """The room of the table that a module of xqe is in; the more special one where two would do."""
    fitting = [room for rooms in LAYERS for room in rooms if f"{name}.".startswith(f"xqe.{room}.")]
    return max(fitting, key=len, default="")


def layer(room: str) -> int:
    return next(number for number, rooms in enumerate(LAYERS) if room in rooms)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_arrows_point_down(path: Path) -> None:
    own = room(f"xqe.{'.'.join(path.relative_to(SOURCE).with_suffix('').parts)}")
    if not own:
        assert path.name == "__init__.py", "a module that is in no room"
        return
    for name in imports(path):
        its = room(name)
        assert not its or its == own or layer(its) < layer(own), f"{own} imports {name}"


def when_it_runs(tree: ast.Module) -> Iterator[ast.AST]:
    """The nodes of a module, without what only a type checker reads."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            waiting += ast.iter_child_nodes(node)


def test_no_arrow_goes_round_in_a_circle() -> None:
    names = {path: f"xqe.{'.'.join(path.relative_to(SOURCE).with_suffix('').parts)}" for path in modules()}
    known = {name.removesuffix(".__init__") for name in names.values()}
    arrows: dict[str, set[str]] = {}
    for path, name in names.items():
        own = arrows.setdefault(name.removesuffix(".__init__"), set())
        for node in when_it_runs(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                ends = {f"{node.module}.{alias.name}" for alias in node.names}
                own |= (ends & known) or ({node.module} & known)
    TopologicalSorter(arrows).prepare()  # raises CycleError, which names them


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
