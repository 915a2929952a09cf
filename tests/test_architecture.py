"""The shape of the code, read from its imports: arrows point down, and heavy libraries stay where they belong."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from graphlib import TopologicalSorter
from itertools import chain
from pathlib import Path

import pytest
from conftest import ROOT

import xqe
from xqe.cli import COMMANDS
from xqe.verbs import Group, Verb

SOURCE = Path(xqe.__file__).parent
LAYERS = (
    {"lines", "terminal"},
    {"errors", "kept", "machine", "messages"},
    {"cluster", "files"},
    {"text"},
    {"evaluation", "models"},
    {"retrieval.choices", "retrieval.documents"},
    {"retrieval.dense", "retrieval.lexical"},
    {"retrieval"},
    {"collections", "stages"},
    {"doctor", "experiments.grid", "experiments.report", "training"},
    {"helping", "resident"},
    {"commands"},
    {"verbs"},
    {"cli"},
    {"api", "frames"},
    {"__main__", "pyterrier"},
)
"""From the ground up. A room knows those of the layers below it, and itself; none beside it."""

ONLY_IMPORTER = {
    "llama_cpp": {"models/engines/llama/library.py"},
    "tantivy": {"retrieval/lexical/candidates.py"},
    "typer": {"cli.py", "verbs.py", "commands/", "api/options.py"},
    "usearch": {"retrieval/dense/approximate.py"},
    "threadpoolctl": {"retrieval/dense/exact.py"},
    "sqlite3": {"models/store/database.py"},
    "pytrec_eval_ext": {"evaluation/values.py"},  # its package, pytrec_eval, imports numpy
    "scipy": {"evaluation/significance.py"},
    "huggingface_hub": {"models/download.py"},
    "httpx2": {
        "models/engines/exchange.py",
        "models/download.py",
    },  # for errors that huggingface_hub passes on
    "tqdm": {"messages.py"},
    "jinja2": {"models/engines/llama/rendering.py", "experiments/report/page.py"},
    "markupsafe": {"experiments/report/page.py"},
    "matplotlib": {"experiments/report/drawing.py"},
    "ir_datasets": {"files/irdatasets.py"},
    "pyarrow": {"files/parquet.py"},
    "pandas": {"frames.py", "pyterrier.py"},  # the latter for types
    "ir_measures": {"frames.py"},
    "pyterrier": {"pyterrier.py"},
    "py3langid": {"text/detection.py"},
    "rjieba": {"text/segmenters.py"},
    "opencc": {"text/segmenters.py"},
    "sudachipy": {"text/segmenters.py"},
    "lindera": {"text/segmenters.py"},
    "icu4py": {"text/segmenters.py"},
    "Stemmer": {"text/stemmers.py"},
    "langcodes": {"text/languages/others.py"},
    "torch": {"training/library.py", "models/encoders/sentence_transformers.py"},
    "transformers": {"training/library.py", "models/encoders/sentence_transformers.py"},
    "sentence_transformers": {"models/encoders/sentence_transformers.py"},
    "peft": {"training/library.py"},
    "gguf": {
        "training/library.py",
        "training/adapters.py",  # without torch, which takes seconds
        "models/encoders/onnx.py",
    },
    "onnxruntime": {"models/encoders/onnx.py"},
    "ray": {"cluster/library.py"},
    "uvicorn": {"resident/endpoint.py"},
    "starlette": {"resident/endpoint.py"},
}
HEAVY = {
    "llama_cpp",
    "sqlite3",
    "tantivy",
    "usearch",
    "threadpoolctl",
    "numpy",
    "rich",
    "tqdm",
    "pytrec_eval_ext",
    "py3langid",
    "scipy",
    "sudachipy",
    "rjieba",
    "opencc",
    "lindera",
    "icu4py",
    "langcodes",
    "Stemmer",
    "jinja2",
    "matplotlib",
    "httpx2",
    "ir_datasets",
    "pyarrow",
    "pandas",
    "ir_measures",
    "pyterrier",
    "gguf",
    "onnxruntime",
    "ray",
    "uvicorn",
    "starlette",
    "transformers",
    "torch",
    "peft",
    "sentence_transformers",
}


NOT_FOR_A_VERSION = ("email", "importlib.metadata")  # which take as long as numpy


def _verbs() -> Iterator[tuple[str, Verb]]:
    """Every command, by what is typed for it."""
    for row in chain.from_iterable(COMMANDS.values()):
        if isinstance(row, Group):
            yield from ((f"{row.name} {verb.name}", verb) for verb in row.verbs)
        else:
            yield row.name, row


PLACES = {typed: f"xqe.commands.{verb.place.partition(':')[0]}" for typed, verb in _verbs()}
"""The module of each command, by what is typed for it."""


def modules() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py"))


@cache
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


# ---------------------------------------------------------------- what is imported when

_IN_CHILDREN = """
import json, os, sys
import typer  # which imports nothing of what is asked about here; each child would take a while to

before = set(sys.modules)
for arguments, environment in json.load(sys.stdin):
    read, write = os.pipe()
    if not os.fork():
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        os.environ.update(environment)
        from xqe.cli import run
        try:
            status = run(arguments)
        except SystemExit as ended:  # as completion ends
            status = ended.code or 0
        with open(write, "w") as out:
            json.dump([status, sorted(set(sys.modules) - before)], out)
        os._exit(0)
    os.close(write)
    print(open(read).read())
    os.wait()
"""


def imported_by(*cases: str, completing: Mapping[str, str] | None = None) -> dict[str, list[str]]:
    """What each command line imports besides typer, one after the other, in children of a new Python; and what is
    imported where a shell completes one of these: {what is typed: shell}."""
    asked: list[tuple[str, list[str], dict[str, str]]] = [(case, case.split(), {}) for case in cases]
    for typed, shell in (completing or {}).items():
        bash = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split(" ")) - 1)}
        others = {"_TYPER_COMPLETE_ARGS": typed, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
        asked.append((typed, [], {"_XQE_COMPLETE": f"complete_{shell}", **bash, **others}))
    given = json.dumps([(arguments, environment) for _, arguments, environment in asked])
    done = subprocess.run([sys.executable, "-c", _IN_CHILDREN], input=given, capture_output=True, text=True, check=True)
    found = dict(zip((name for name, _, _ in asked), map(json.loads, done.stdout.splitlines()), strict=True))
    assert {case: status for case, (status, _) in found.items() if status} == {}
    return {case: names for case, (_, names) in found.items()}


def of(names: Iterable[str], forbidden: Iterable[str]) -> list[str]:
    """Those of some modules that are one of the forbidden ones, or in one."""
    places = tuple(f"{name}." for name in forbidden)
    return [name for name in names if f"{name}.".startswith(places)]


def test_what_needs_no_command_imports_none() -> None:
    groups = [f"{row.name} --help" for row in chain.from_iterable(COMMANDS.values()) if isinstance(row, Group)]
    for case, names in imported_by("--version", "--help", *groups).items():
        assert of(names, ("xqe.commands", *HEAVY)) == [], case


def test_completing_a_name_imports_no_command() -> None:
    """What typer itself imports to write it is not asked: for some shells that is rich."""
    completing = {"xqe ": "bash", "xqe s": "zsh", "xqe e": "fish", "xqe data f": "bash", "xqe data --": "bash"}
    for typed, names in imported_by(completing=completing).items():
        assert of(names, ("xqe.commands", *HEAVY - {"rich"})) == [], typed


def test_help_and_completion_import_one_command() -> None:
    completing = {"xqe search --fee": "bash", "xqe data fetch --": "fish"}
    found = imported_by("help", "help data", "help data fetch", completing=completing)
    assert {case: set(PLACES.values()).intersection(names) for case, names in found.items()} == {
        "help": {PLACES["help"]},
        "help data": {PLACES["help"]},
        "help data fetch": {PLACES["help"], PLACES["data fetch"]},
        "xqe search --fee": {PLACES["search"]},
        "xqe data fetch --": {PLACES["data fetch"]},
    }


def test_the_help_of_a_command_imports_no_other_and_nothing_heavy() -> None:
    places = {f"{path} --help": place for path, place in PLACES.items()}
    for case, names in imported_by(*places).items():
        others = [place for place in places.values() if place != places[case]]
        assert of(names, [*others, *HEAVY, *NOT_FOR_A_VERSION]) == [], case
        assert places[case] in names


def test_a_command_imports_what_it_uses(tmp_path: Path) -> None:
    index, run, qrels = (str(tmp_path / name) for name in ("index", "run", "qrels"))
    Path(qrels).write_text("q1 0 d1 1\n")
    Path(run).write_text("q1 Q0 d1 1 2.0 tag\n")
    Path(f"{run}2").write_text("q1 Q0 d2 1 2.0 tag\n")
    documents = str(ROOT / "fixtures" / "documents" / "en.jsonl")
    unused = {
        f"eval {run} --qrels {qrels}": ("numpy", "scipy"),
        f"eval {run} --qrels {qrels} --test none": ("numpy", "scipy"),
        f"eval {run} {run}2 --qrels {qrels} --test none": ("numpy", "scipy"),
        "data list": ("numpy", "http", "xqe.collections.conversion"),
        "models list": ("numpy", "http"),
        f"index {index} --lang en -i {documents}": ("scipy", "rich", "multiprocessing"),
        f"search {index} mercury": ("scipy", "rich", "multiprocessing"),
        f"search {index} mercury --format trec": ("scipy", "rich", "multiprocessing"),
    }
    for case, names in imported_by(*unused).items():
        assert of(names, [*unused[case], *NOT_FOR_A_VERSION]) == [], case
