"""The manifest of a set of vectors, dense.json, and which sets an index has."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from xqe.errors import InputError, XqeError
from xqe.files.atomic import replace, sync
from xqe.files.sealed import read_sealed, sealed
from xqe.files.whole import check_whole
from xqe.retrieval.choices import Precision, Windows
from xqe.retrieval.documents import data_folder

FORMAT = 1
DESCRIPTION, ROWS, SCALES, ENDS, BLOCKS, GRAPH = (
    "dense.json",
    "rows",
    "scales",
    "ends",
    "blocks.jsonl",
    "approximate.usearch",
)
AGAIN = "make them again with xqe embed --force"
SUMS, COUNTS = "sums", "counts"
"""Of questions (see `questions`)."""
_PREFIX = "dense-"


@dataclass(frozen=True, slots=True)
class Storing:
    """How the vectors of documents are made and kept. window_tokens, overlap: None without windows."""

    precision: Precision = Precision.F16
    windows: Windows = Windows.NONE
    window_tokens: int | None = None
    overlap: int | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "dtype": self.precision.value,
            "windows": self.windows.value,
            "window_tokens": self.window_tokens,
            "overlap": self.overlap,
        }


@dataclass(frozen=True, slots=True)
class Description:
    """What dense.json holds; its last field there is "sha256", of all others.

    encoder: its name. contract: see `Contract`. making: how the model was run. dtype: "f16" or "int8". windows: "none",
    "max" or "mean". documents: of the index; rows: vectors that are kept; truncated: texts or windows that the encoder
    cut. approximate: None, or the parameters of the graph and its "recall": k -> the part of the k best documents that
    it found. files: name -> {"size", "sha256"}. contrast: of the encoder (`xqe.models.encoders.contrast`); None where
    it has none, and of questions.
    """

    format: int
    xqe: str
    encoder: str
    contract: dict[str, Any]
    making: dict[str, Any]
    dtype: str
    windows: str
    window_tokens: int | None
    overlap: int | None
    documents: int
    rows: int
    truncated: int
    approximate: dict[str, Any] | None
    files: dict[str, dict[str, Any]]
    contrast: float | None = None

    @property
    def dimension(self) -> int:
        return int(self.contract["dimension"])

    @property
    def folder_name(self) -> str:
        return folder_name(self.encoder, self.contract)

    @property
    def storing(self) -> Storing:
        return Storing(Precision(self.dtype), Windows(self.windows), self.window_tokens, self.overlap)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file["size"] for file in self.files.values())


def folder_name(encoder: str, contract: Mapping[str, Any]) -> str:
    """The name of the folder in which vectors of this contract are. What queries begin with makes no difference."""
    slug = re.sub(r"[^a-z0-9]+", "-", encoder.lower()).strip("-")[:60]
    decisive = json.dumps(of_passages(contract), sort_keys=True)
    return f"{_PREFIX}{slug}-{sha256(decisive.encode()).hexdigest()[:8]}"


def of_passages(contract: Mapping[str, Any]) -> dict[str, Any]:
    """What of a contract the vectors of documents depend on."""
    return {name: value for name, value in contract.items() if name != "query_prefix"}


def embedded(directory: Path) -> list[Description]:
    """The finished sets of vectors of the index in a folder, by name. Raises InputError for a damaged one."""
    data = data_folder(directory)
    return descriptions(data) if data is not None else []


def descriptions(data: Path) -> list[Description]:
    """The same for the data folder of an index."""
    return [read_description(path.parent) for path in sorted(data.glob(f"{_PREFIX}*/{DESCRIPTION}"))]


def read_description(folder: Path) -> Description:
    """What a finished set of vectors says of itself. Raises InputError for a damaged one."""
    fields = read_sealed(folder / DESCRIPTION, AGAIN)
    if fields.get("format") != FORMAT:
        raise InputError(f"{folder}: vectors of format {fields.get('format')}, this xqe reads {FORMAT}", AGAIN)
    return Description(**fields)


def questions_folder(folder: Path, code: str) -> Path:
    """Where, beside a set of vectors, those of the questions in a language are."""
    return folder / f"questions-{code}"


def read_questions(folder: Path, code: str) -> Description | None:
    """What finished vectors of questions say of themselves; None where there are none."""
    its = questions_folder(folder, code)
    return read_description(its) if (its / DESCRIPTION).exists() else None


def write_description(folder: Path, description: Description) -> None:
    """Put a description into the place of the one that is there, in one step."""
    replace(folder / DESCRIPTION, sealed(asdict(description)))
    sync(folder)


def check_description(folder: Path, description: Description, verify: bool = False) -> None:
    """Raise InputError that names a file which is missing or not what was written."""
    check_whole(folder, description.files, folder, AGAIN, verify)


def chosen(data: Path, directory: Path, encoder: str | None) -> Description:
    """The set of vectors of an encoder, or the only one. Raises XqeError where there is none, or several."""
    found = descriptions(data)
    fitting = [one for one in found if encoder in (None, one.encoder, one.folder_name)]
    if len(fitting) == 1:
        return fitting[0]
    there, wanted = ([*dict.fromkeys(one.encoder for one in some)] for some in (found, fitting))
    if not found:
        named = f" of {encoder}" if encoder is not None else ""
        raise XqeError(f"{directory}: has no vectors{named}", f"make them: xqe embed {directory} --encoder NAME")
    if not fitting:
        raise XqeError(f"{directory}: has no vectors of {encoder}, only of {', '.join(there)}", "xqe embed adds others")
    if len(wanted) > 1:
        raise XqeError(f"{directory}: has vectors of several encoders: {', '.join(wanted)}", "choose with --encoder")
    folders = ", ".join(one.folder_name for one in fitting)
    raise XqeError(
        f"{directory}: has several sets of vectors of {wanted[0]}", f"choose with --encoder one of {folders}"
    )
