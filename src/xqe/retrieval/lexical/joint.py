"""Candidates for what is looked for in texts and in questions at once: one index of tantivy's that has all of these
fields ranks by their sum.

    DIR/data-N/joint/    tantivy's files: of each document the terms of its text and of its questions in each language

It is written from the term vectors of the fields: which languages there are is known when the last document was read.
The manifest says of it "fields": "body" or a language -> {"pad", "filler", "excess"}; "fillers": how many documents are
padding, each with "filler" terms in a field (see `bm25`); and "files": name -> {"size", "sha256"}.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy

from xqe.files.arrays import mapped
from xqe.files.names import Numbers
from xqe.retrieval.documents import Owners, data_folder
from xqe.retrieval.lexical.bm25 import Field, Padding, Parameters, excess
from xqe.retrieval.lexical.candidates import BODY, CandidatesWriter
from xqe.retrieval.lexical.manifest import described
from xqe.retrieval.lexical.questions import folder_of, owners_of
from xqe.retrieval.lexical.vectors import Vectors

JOINT = "joint"
_AT_A_TIME = 2048  # documents


class _Terms:
    """The terms of one field. owners: the document of each of its numbers, rising; None for all."""

    def __init__(self, vectors: Vectors, owners: Owners | None = None) -> None:
        self.vectors, self._owners = vectors, owners

    def of(self, first: int, last: int) -> list[str]:
        """The terms of each document from `first` to before `last`, with spaces between."""
        owners = numpy.arange(first, last) if self._owners is None else self._owners[slice(*self._own(first, last))]
        bodies = [""] * (last - first)
        for number, body in zip(owners.tolist(), self._bodies(numpy.arange(*self._own(first, last))), strict=True):
            bodies[number - first] = body
        return bodies

    def _own(self, first: int, last: int) -> tuple[int, int]:
        """The same in the numbers of the field."""
        if self._owners is None:
            return first, last
        start, end = numpy.searchsorted(self._owners, [first, last]).tolist()
        return start, end

    def _bodies(self, numbers: Numbers) -> Iterator[str]:
        pairs = self.vectors.pairs(numbers)
        distinct, places = numpy.unique(pairs.terms, return_inverse=True)
        names = self.vectors.names.texts(distinct.astype(numpy.int64))
        repeated = [
            " ".join([names[place]] * count)
            for place, count in zip(places.tolist(), pairs.counts.astype(int).tolist(), strict=True)
        ]
        ends = numpy.cumsum(numpy.bincount(pairs.documents, minlength=len(numbers)))
        start = 0
        for end in ends.tolist():
            yield " ".join(repeated[start:end])
            start = end

    def lengths(self, documents: int) -> Any:
        """How many terms each document has."""
        if self._owners is None:
            return self.vectors.lengths
        lengths = numpy.zeros(documents, numpy.uint32)
        lengths[self._owners] = self.vectors.lengths
        return lengths


def build_joint(data: Path, parameters: Parameters, languages: Iterable[str]) -> dict[str, Any]:
    """Write the joint index of a data folder whose vectors, and questions in these languages, are written; return what
    the manifest says of it."""
    fields = {BODY: _Terms(Vectors(data))}
    for code in languages:
        questions = data_folder(folder_of(data, code))
        assert questions is not None
        fields[code] = _Terms(Vectors(questions), mapped(owners_of(data, code), "<u4"))
    documents = len(fields[BODY].vectors)
    paddings = _paddings(parameters, documents, fields)
    folder = data / JOINT
    folder.mkdir()
    writer = CandidatesWriter(folder, list(languages))
    pads = [padding.pad for padding in paddings.values()]
    for first in range(0, documents, _AT_A_TIME):
        last = min(first + _AT_A_TIME, documents)
        writer.append(zip(*(field.of(first, last) for field in fields.values()), strict=True), None, pads)
    fillers = list(zip(*(padding.fillers for padding in paddings.values()), strict=True))
    writer.finish(fillers)
    return {
        "fillers": len(fillers),
        "fields": {
            name: {
                "pad": paddings[name].pad,
                "filler": max(paddings[name].fillers, default=0),
                "excess": excess(parameters, field.lengths(documents), _average(field), paddings[name]),
            }
            for name, field in fields.items()
        },
        "files": described(folder, data),
    }


def _average(field: _Terms) -> float:
    lengths = field.vectors.lengths
    return int(lengths.sum()) / len(lengths)


def _paddings(parameters: Parameters, documents: int, fields: Mapping[str, _Terms]) -> dict[str, Padding]:
    counted = {name: Field(int(field.vectors.lengths.sum()), _average(field)) for name, field in fields.items()}
    return Padding.fitted_together(parameters, documents, counted)


def padding_of(joint: Mapping[str, Any], field: str) -> Padding:
    """The padding of a field, as the manifest says it."""
    its = joint["fields"][field]
    return Padding(its["pad"], (its["filler"],) * joint["fillers"])
