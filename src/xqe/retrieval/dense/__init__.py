"""Vectors of the documents of an index, as an encoder makes them, and their exact search.

    DIR/data-N/dense-NAME-HASH/    the vectors of one encoder; HASH is of its contract
        dense.json                 the manifest, written last: what they are, and the sha256 of every file
        rows                       the vectors, one after the other, in the order of the documents
        scales                     with int8: what each row is multiplied by, float32
        ends                       with --windows max: where the rows of each document end, int64
        blocks.jsonl               a line for each block of documents that is finished
        approximate.usearch        with --approximate: a graph that finds candidates

They are in the index's data folder: a new build of the index drops them, and who has the old one open keeps them.

    building                       documents to a folder that a killed run goes on with
    opened                         a folder to the best documents, scores and vectors
    exact                          the best rows of all, in blocks on all cores
    approximate                    the only importer of usearch
    questions                      of what documents answer, mixed with their passages as they are searched
    rows                           how numbers are kept
    description                    what is on disk, and that it is whole
"""

from xqe.retrieval.dense.description import Description, embedded
from xqe.retrieval.dense.opened import Vectors, open_vectors

__all__ = ["Description", "Vectors", "embedded", "open_vectors"]
