"""xqe: cross-lingual query expansion, search and evaluation, at the command line and here.

What the commands do, over plain dicts (docs/python.md):

    open_model, translate, expand               a model, and what it writes
    build_index, join_indexes, embed,
    open_index, search                          documents, and what is found
    rerank, answer                              what comes after
    fuse, evaluate                              runs
    read_queries, read_documents, read_run, read_qrels
    silent, XqeError                            no word on standard error; what is raised

`xqe.frames` has them as DataFrames and for ir_measures, `xqe.pyterrier` as transformers. Each name is loaded when it is
first used.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False  # typing takes longer to import than all else that a client of a server does

if TYPE_CHECKING:
    from xqe import frames as frames
    from xqe import pyterrier as pyterrier
    from xqe.api.generating import expand as expand
    from xqe.api.generating import translate as translate
    from xqe.api.indexes import Index as Index
    from xqe.api.indexes import build_index as build_index
    from xqe.api.indexes import embed as embed
    from xqe.api.indexes import join_indexes as join_indexes
    from xqe.api.indexes import open_index as open_index
    from xqe.api.indexes import search as search
    from xqe.api.models import Model as Model
    from xqe.api.models import open_model as open_model
    from xqe.api.ranking import answer as answer
    from xqe.api.ranking import rerank as rerank
    from xqe.api.runs import evaluate as evaluate
    from xqe.api.runs import fuse as fuse
    from xqe.api.runs import read_documents as read_documents
    from xqe.api.runs import read_qrels as read_qrels
    from xqe.api.runs import read_queries as read_queries
    from xqe.api.runs import read_run as read_run
    from xqe.errors import XqeError as XqeError
    from xqe.messages import silent as silent

_PLACES = {
    "open_model": "api.models",
    "Model": "api.models",
    "translate": "api.generating",
    "expand": "api.generating",
    "build_index": "api.indexes",
    "embed": "api.indexes",
    "join_indexes": "api.indexes",
    "open_index": "api.indexes",
    "search": "api.indexes",
    "Index": "api.indexes",
    "rerank": "api.ranking",
    "answer": "api.ranking",
    "fuse": "api.runs",
    "evaluate": "api.runs",
    "read_queries": "api.runs",
    "read_documents": "api.runs",
    "read_run": "api.runs",
    "read_qrels": "api.runs",
    "silent": "messages",
    "XqeError": "errors",
}
"""The module of each name."""
_MODULES = ("frames", "pyterrier")

__all__ = ["__version__", *_PLACES]

if not TYPE_CHECKING:  # which would take every name for known

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name in _PLACES:
            value = globals()[name] = getattr(import_module(f"xqe.{_PLACES[name]}"), name)
            return value
        if name in _MODULES:
            return import_module(f"xqe.{name}")
        raise AttributeError(f"module 'xqe' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES, *_MODULES])
