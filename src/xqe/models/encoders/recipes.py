"""How a GGUF file is used as an encoder: by the table of models, by what the file says, by its family, or as asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xqe.errors import ModelError
from xqe.models.families import POOLINGS, Family, family_of
from xqe.models.folder import file_errors
from xqe.models.gguf import read_header, whole_number
from xqe.models.heads import find_head
from xqe.models.purposes import ARCHITECTURE, RANK, UNSPECIFIED, pooling_key
from xqe.models.registry import MODELS, Model, known_at, named
from xqe.models.split import parts_of

_MOST_TOKENS = 8192  # of a text, where nobody says less
_POOLINGS = {1: "mean", 2: "cls", 3: "last"}  # llama_pooling_type
_POSITIONS = "position_embd.weight"
_PRECOMPILED = "tokenizer.ggml.precompiled_charsmap"
_NO_PREFIXES = Family("", "")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a file is used. reference: as it was asked for. limit: tokens of a text, with its prefix and all that is
    added to it. end: a token that is to stand last. normalised: texts are normalised before they are tokenized, since
    the file does not say how. dimension: as far as it is known beforehand.
    """

    reference: str
    path: Path
    architecture: str
    pooling: str
    query_prefix: str
    passage_prefix: str
    limit: int
    end: str = ""
    normalised: bool = False
    dimension: int | None = None


def recipe(
    reference: str,
    path: Path,
    pooling: str | None = None,
    query_prefix: str | None = None,
    passage_prefix: str | None = None,
    limit: int | None = None,
) -> Recipe:
    """Return how to use a file, whatever is given going before what is known.

    reference: the name or the path that it was asked for by. Raises ModelError for a model that is no encoder, and for
    one of which too little is known.
    """
    row = known_at(path)
    _check_encodes(reference, row)
    if pooling is not None and pooling not in POOLINGS:
        raise ModelError(f'--pooling "{pooling}" is not known', f"known are {', '.join(POOLINGS)}")
    with file_errors(path):
        headers = [read_header(part) for part in parts_of(path)]
    said = headers[0].metadata
    architecture = str(said.get(ARCHITECTURE))
    encoding = row.encoding if row is not None else None
    family = encoding.family if encoding else family_of(path.name, str(said.get("general.name", "")))
    says = whole_number(said, pooling_key(architecture), path, UNSPECIFIED)
    found = find_head(headers, architecture)
    if pooling is None and (says == RANK or (found is not None and found.is_whole)):
        raise ModelError(f"{reference}: is a re-ranker and makes no vectors", f"take {_encoders()}")
    pooling = pooling or _POOLINGS.get(says) or (family.pooling if family else None)
    if pooling is None:
        raise ModelError(
            f"{reference}: nothing says how it makes one vector of a text, so it may be no encoder",
            f"give --pooling {', '.join(POOLINGS)}, as its authors say, or take {_encoders()}",
        )
    if family is None and None in (query_prefix, passage_prefix):
        raise ModelError(
            f"{reference}: nothing says what it wants before a text",
            'give --query-prefix and --passage-prefix, as its authors say; "" for none',
        )
    family = family or _NO_PREFIXES
    limits = [limit or (encoding.limit if encoding else _MOST_TOKENS)]
    limits.append(whole_number(said, f"{architecture}.context_length", path, limits[0]))
    limits += [header.places[_POSITIONS].shape[-1] for header in headers if _POSITIONS in header.places]
    return Recipe(
        reference,
        path,
        architecture,
        pooling,
        family.query_prefix if query_prefix is None else query_prefix,
        family.passage_prefix if passage_prefix is None else passage_prefix,
        min(limits),
        family.end,
        said.get("tokenizer.ggml.model") == "t5" and _PRECOMPILED not in headers[0].arrays,
        encoding.dimension if encoding else None,
    )


def check_makes_vectors(name: str) -> None:
    """Raise ModelError for the name of a model of the table that generates, before its file is asked for."""
    _check_encodes(name, named().get(name))


def _check_encodes(reference: str, row: Model | None) -> None:
    if row is not None and row.encoding is None:
        raise ModelError(f'"{reference}" generates text and makes no vectors', f"take {_encoders()}")


def _encoders() -> str:
    return f"one of {', '.join(model.name for model in MODELS if model.encoding)}"
