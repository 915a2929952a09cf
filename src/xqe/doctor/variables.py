"""The variables of the environment that xqe, or what it is made of, reads. Secrets are not shown."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches

VARIABLES = {
    "HF_ENDPOINT": "Another hub than huggingface.co, to download models and collections from.",
    "HF_TOKEN": "The token for the hub, where a model is gated.",
    "OPENAI_API_KEY": "The key of a server, where XQE_API_KEY is not set.",
    "XQE_API_KEY": "The key of the server.",
    "XQE_DEBUG": "Show where in xqe an error arose.",
    "XQE_MODELS": "The folder of models.",
    "XQE_PREFIXES": "The most megabytes of prompts' beginnings that are kept, 2000 if it is not set; 0 keeps none.",
    "XQE_SERVER": "off leaves out the process of xqe serve; a path names its socket.",
    "XDG_CACHE_HOME": "The folder of caches, ~/.cache if it is not set; models, downloads and texts are kept in it.",
    "NO_COLOR": "Show no colours.",
}
"""What is read and belongs to no option."""

_SHOWN = re.compile(
    r"(XQE|OMP|GOMP|KMP|GGML|LLAMA|CUDA|HIP|ROCR|HF)_.+|OPENAI_API_KEY|XDG_CACHE_HOME|(LD_LIBRARY|PYTHON)PATH"
    r"|(HTTPS?|ALL|NO)_PROXY"
)
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH|PROXY")


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the environment. value: None for a secret. known: False for one like xqe's that it does not read;
    near: the name that was meant, perhaps."""

    name: str
    value: str | None
    known: bool = True
    near: str | None = None


def variables_here(known: Collection[str]) -> list[Variable]:
    """Those that are set, in the order of their names. known: what options of xqe read."""
    known = {*known, *VARIABLES}
    found = []
    for name, value in sorted(os.environ.items()):
        if not _SHOWN.fullmatch(name.upper()):
            continue
        shown = None if value and _SECRET.search(name.upper()) else public(value)
        if name in known or not name.startswith("XQE_"):
            found.append(Variable(name, shown))
        else:
            near = get_close_matches(name, sorted(known), n=1, cutoff=0.7)
            found.append(Variable(name, None, known=False, near=near[0] if near else None))
    return found


def public(value: str) -> str:
    """A value without the name, the password and the query of a URL in it, which may hold a key."""
    value = re.sub(r"(?<=://)\S*@|^[^\s/:@]+:(?!//)\S*@", "***@", value)
    return re.sub(r"(://[^?#\s]*\?)[^#\s]+", r"\1***", value)
