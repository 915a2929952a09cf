"""The index: documents in, a folder on disk, BM25 hits out.

    DIR/xqe.json    the manifest: what the index holds, how it was made, and the sha256 of every file
    DIR/data-N/     tantivy's files, and beside them what exact scores are computed from; each build has a new number
    DIR/xqe.lock    locked while an index is being built

In shards, DIR/data-N/ has a folder for each, which is like DIR (`shards`).

tantivy is given terms, never text: `xqe.text.analysis` makes them, and tantivy's whitespace tokenizer takes them apart
again. So documents and queries are analysed by the same code, in languages that tantivy knows nothing of. It finds
the candidates; their scores are computed exactly, from the lengths and term counts that the index keeps (`bm25`).

    builder                      documents to a folder
    languages                    documents of several languages to a folder of such folders
    questions                    what documents answer, in an index beside theirs for each language
    joint                        all fields in one index of tantivy's, for candidates by their sum
    shards                       the manifest of an index in shards
    dealing                      documents to such an index, by processes
    spread                       the same, by workers of a cluster
    joining                      finished indexes to such an index
    index                        what an open index is
    opened                       a folder to hits, explanations and term vectors
    sharded                      the same of an index in shards
    opening                      of either
    statistics                   what scores depend on beside a document and a query
    scoring                      exact scores of one field of documents
    candidates                   the only importer of tantivy
    vectors                      term counts of documents
    bm25                         the formula, and how much of tantivy's own ranking has to be looked at
    manifest                     what is on disk, and that it is whole
"""

from xqe.files.names import Numbers
from xqe.retrieval.lexical.bm25 import ByLength, Parameters
from xqe.retrieval.lexical.builder import build, check_target
from xqe.retrieval.lexical.dealing import build_shards
from xqe.retrieval.lexical.index import Hit, Index
from xqe.retrieval.lexical.joining import Finished, check_distinct, join, open_parts
from xqe.retrieval.lexical.languages import (
    build_languages,
    check_languages,
    join_languages,
    open_languages,
    read_languages,
)
from xqe.retrieval.lexical.manifest import Contents, Manifest
from xqe.retrieval.lexical.opening import open_index
from xqe.retrieval.lexical.shards import Shards

__all__ = [
    "ByLength",
    "Contents",
    "Finished",
    "Hit",
    "Index",
    "Manifest",
    "Numbers",
    "Parameters",
    "Shards",
    "build",
    "build_languages",
    "build_shards",
    "check_distinct",
    "check_languages",
    "check_target",
    "join",
    "join_languages",
    "open_index",
    "open_languages",
    "open_parts",
    "read_languages",
]
