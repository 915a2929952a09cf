"""What a shell completes as the value of an option or an argument: a table, by what it is called or stands for.

It is read when a shell asks and at no other time (`xqe.verbs`). Where nothing fits, the shell goes on with files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

Value = tuple[str, str]
"""A value, and what it is."""

_MANY = 200  # folders that are looked into


def _languages() -> Iterator[Value]:
    from xqe.text.languages import LANGUAGES

    return ((row.code, row.name) for row in LANGUAGES.values())


def _generators() -> Iterator[Value]:
    from xqe.models.registry import MODELS

    yield from ((model.name, model.description) for model in MODELS if model.kind == "generator")
    yield "fake", "an engine that echoes, to try pipelines with"


def _encoders() -> Iterator[Value]:
    from xqe.models.registry import MODELS

    yield from ((model.name, model.description) for model in MODELS if model.kind == "encoder")
    yield "fake", "an encoder of characters, to try pipelines with"


def _models() -> Iterator[Value]:
    from xqe.models.registry import MODELS

    return ((model.name, model.description) for model in MODELS)


def _strategies() -> Iterator[Value]:
    from xqe.commands.strategies import rows

    return ((row["name"], row["description"]) for row in rows())


def _measures() -> Iterator[Value]:
    from xqe.evaluation.measures import FAMILIES

    for family in FAMILIES:
        yield from ((spelling.replace("@k", "@10"), family.about) for spelling in family.spellings)


def _methods() -> Iterator[Value]:
    from xqe.retrieval.fusion import METHODS

    return ((method.name, method.about) for method in METHODS)


def _norms() -> Iterator[Value]:
    from xqe.retrieval.fusion import NORMS

    return ((norm.name, norm.about) for norm in NORMS)


def _sources() -> Iterator[Value]:
    from xqe.collections.sources import sources

    return ((source.name, source.about) for source in sources().values())


def _built() -> Iterator[Value]:
    from xqe.collections.sources import sources

    return ((source.name, source.about) for source in sources().values() if source.how == "build")


def _formats() -> Iterator[Value]:
    from xqe.collections.formats import FORMATS

    return ((name, "") for name in FORMATS)


def _indexes(typed: str) -> Iterator[Value]:
    """The folders of indexes that begin so, and those in a folder that does."""
    from xqe.retrieval.documents import MANIFEST

    above = Path(typed).parent if not typed.endswith("/") else Path(typed)
    for folder in _folders(above):
        if (folder / MANIFEST).is_file():
            yield str(folder), "an index"
        elif str(folder).startswith(typed):
            yield from ((str(below), "an index") for below in _folders(folder) if (below / MANIFEST).is_file())


def _folders(above: Path) -> list[Path]:
    try:
        found = [path for path in above.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError:
        return []
    return sorted(found)[:_MANY]


_NAMED: dict[str, Callable[[], Iterator[Value]]] = {
    "--model": _generators,
    "--rerank-model": _generators,
    "--encoder": _encoders,
    "--strategy": _strategies,
    "--measure": _measures,
    "--fusion": _methods,
    "--norm": _norms,
    "LANG": _languages,
    "METHOD": _methods,
    "MODEL": _models,
    "NAME|PATH": _models,
    "SOURCE": _sources,
    "COLLECTION": _built,
    "FORMAT": _formats,
}


def completed(option: str, metavar: str, typed: str) -> list[Value]:
    """What begins as is typed. option: what it is called, "" for an argument; metavar: what stands for its value, by
    its first word. Of a list with commas, the last is completed."""
    kind = metavar.split(",")[0].split(" ")[0].rstrip(".").strip("[]{}")
    if option == "--index" or (not option and kind == "DIR"):
        return [value for value in _indexes(typed) if value[0].startswith(typed)]
    values = _NAMED.get(option) or _NAMED.get(kind) or _NAMED.get(kind.partition("|")[0])
    if values is None:
        return []
    before, comma, last = typed.rpartition(",") if "," in metavar else ("", "", typed)
    return [(f"{before}{comma}{value}", about) for value, about in values() if value.startswith(last)]
