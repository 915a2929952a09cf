"""The manifest of an index in shards: indexes like any other, of a part of the documents each, searched as one.

    DIR/xqe.json            what the index holds in all, and of each shard the sha256 of its own manifest
    DIR/data-N/shard-0000/  an index, as `manifest` has it
    DIR/data-N/dense-*/     vectors, of the documents of all shards, one shard after the other

Scores are those of one index of all documents, since document frequencies and lengths are summed up over the shards.
What a shard's manifest says of its padding holds for its own lengths; how far tantivy's scores there may fall short of
those of the whole ("excess", of "text" and of the fields of the joint index, see `bm25`) is reckoned when the shards
come together.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from xqe import __version__
from xqe.errors import InputError, why
from xqe.files.arrays import mapped
from xqe.files.names import distinct
from xqe.files.sealed import read_sealed
from xqe.files.whole import damaged
from xqe.retrieval.documents import MANIFEST, SHARDS
from xqe.retrieval.lexical.bm25 import ByLength, Parameters, excess
from xqe.retrieval.lexical.candidates import BODY, VERSION
from xqe.retrieval.lexical.joint import padding_of
from xqe.retrieval.lexical.manifest import DATA, REBUILD, Contents, Manifest, put_fields, read_manifest
from xqe.retrieval.lexical.questions import folder_of, owners_of
from xqe.retrieval.lexical.statistics import Statistics
from xqe.retrieval.lexical.vectors import Vectors
from xqe.text.analysis import analyzer

FORMAT = 1
TEXT = "text"
_SHARD = re.compile(r"shard-\d{4,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shards(Contents):
    """What xqe.json of an index in shards holds besides its seal.

    kind: tells it from others. questions: also "terms", of all of them. shards: the name of its folder -> "documents",
    "bytes", "sha256" of its manifest, "excess".
    """

    kind: str
    shards: dict[str, dict[str, Any]]

    @property
    def size(self) -> int:
        return sum(shard["bytes"] for shard in self.shards.values())

    def statistics(self) -> dict[str, Statistics]:
        """Those of each field, still without vectors."""
        of_questions = {
            code: Statistics(its["documents"], its["terms"] / its["documents"]) for code, its in self.questions.items()
        }
        return {BODY: Statistics(self.documents, self.average_length), **of_questions}


def folder_name(number: int) -> str:
    """Of a shard, from 0."""
    return f"shard-{number:04}"


class _Shard:
    """A shard that is written, without what only searches need."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = read_manifest(folder)
        self.vectors = Vectors(self._data)

    @property
    def _data(self) -> Path:
        return self.folder / self.manifest.data

    def lengths(self, field: str) -> NDArray[numpy.uint32]:
        """How many terms a field has in each document: the text, or the questions in a language."""
        if field == BODY:
            return self.vectors.lengths
        lengths = numpy.zeros(self.manifest.documents, numpy.uint32)
        folder = folder_of(self._data, field)
        own = Vectors(folder / read_manifest(folder).data).lengths
        lengths[mapped(owners_of(self._data, field), "<u4")] = own
        return lengths


def described(data: Path, chosen: Parameters | ByLength) -> Shards:
    """The manifest of the index whose shards are in a data folder. chosen: the parameters of the whole."""
    names = sorted(place.name for place in data.iterdir() if _SHARD.fullmatch(place.name))
    shards = {name: _Shard(data / name) for name in names}
    manifests = [shard.manifest for shard in shards.values()]
    first, terms = manifests[0], sum(manifest.terms for manifest in manifests)
    documents = sum(manifest.documents for manifest in manifests)
    parameters = chosen.of(terms / documents / analyzer(first.language).terms_of_a_word)
    whole = Shards(
        kind=SHARDS,
        format=FORMAT,
        xqe=__version__,
        tantivy=VERSION,
        language=first.language,
        analyzer=first.analyzer,
        k1=parameters.k1,
        b=parameters.b,
        documents=documents,
        empty=sum(manifest.empty for manifest in manifests),
        terms=terms,
        distinct=distinct([shard.vectors.names for shard in shards.values()]),
        average_length=terms / documents,
        texts=first.texts,
        data=data.name,
        questions=_questions(list(shards.values())),
        shards={},
    )
    averages = {field: its.average_length for field, its in whole.statistics().items()}
    for name, shard in shards.items():
        whole.shards[name] = {
            "documents": shard.manifest.documents,
            "bytes": shard.manifest.size,
            "sha256": sha256((shard.folder / MANIFEST).read_bytes()).hexdigest(),
            "excess": _excesses(shard, parameters, averages),
        }
    return whole


def _questions(shards: Sequence[_Shard]) -> dict[str, dict[str, Any]]:
    """What all shards hold of questions in each language."""
    sums: dict[str, Counter[str]] = {}
    for shard in shards:
        for code, its in shard.manifest.questions.items():
            counted = sums.setdefault(code, Counter())
            counted.update({name: its[name] for name in ("documents", "questions", "bytes")})
            counted["terms"] += int(shard.lengths(code).sum())
    return {code: dict(counted) for code, counted in sorted(sums.items())}


def _excesses(shard: _Shard, parameters: Parameters, averages: Mapping[str, float]) -> dict[str, float]:
    """How many times its score by tantivy in a shard a document's score in the whole is at most, where its text alone
    is searched, and for each field of the joint index: lengths and padding are the shard's, averages the whole's."""
    manifest, joint = shard.manifest, shard.manifest.joint
    paddings = {TEXT: manifest.padding, **{field: padding_of(joint, field) for field in joint.get("fields", ())}}
    return {
        name: excess(parameters, shard.lengths(field), averages[field], padding)
        for name, padding in paddings.items()
        for field in [BODY if name == TEXT else name]
    }


def write_shards(directory: Path, manifest: Shards) -> None:
    """Put a manifest into the place of the one that is there, in one step."""
    put_fields(directory, asdict(manifest))


def read_shards(directory: Path) -> Shards:
    """Return the manifest of an index in shards; raises InputError for a damaged one."""
    path = directory / MANIFEST
    fields = read_sealed(path, REBUILD)
    if fields.get("format") != FORMAT:
        raise InputError(f"{directory}: shards of format {fields.get('format')}, this xqe reads {FORMAT}", REBUILD)
    try:
        manifest = Shards(**fields)
    except TypeError:
        raise InputError(f"{path}: damaged, fields are missing", REBUILD) from None
    if not DATA.fullmatch(manifest.data) or not all(map(_SHARD.fullmatch, manifest.shards)):
        raise damaged(path, REBUILD)
    return manifest


def checked(directory: Path, manifest: Shards) -> Iterator[Path]:
    """The folder of each shard. Raises InputError for one that is missing or is not the one that was written."""
    for name, said in manifest.shards.items():
        folder = directory / manifest.data / name
        try:
            written = (folder / MANIFEST).read_bytes()
        except OSError as error:
            raise InputError(f"{folder / MANIFEST}: {why(error)}", REBUILD) from None
        if sha256(written).hexdigest() != said["sha256"]:
            raise InputError(f"{folder}: not the shard that was indexed with the others", REBUILD)
        yield folder


def part_of(whole: Shards, name: str, manifest: Manifest) -> Manifest:
    """The manifest of a shard, with the parameters of the whole and how far tantivy's scores fall short of its own."""
    joint, excesses = manifest.joint, whole.shards[name]["excess"]
    fields = {field: {**its, "excess": excesses[field]} for field, its in joint.get("fields", {}).items()}
    return replace(
        manifest,
        k1=whole.k1,
        b=whole.b,
        excess=excesses[TEXT],
        joint={**joint, "fields": fields} if joint else joint,
    )
