"""The index: documents in, a folder on disk, BM25 hits out.

    DIR/xqe.json    the manifest: what the index holds, how it was made, and the sha256 of every file
    DIR/data-N/     tantivy's files, and beside them what exact scores are computed from; each build has a new number
    DIR/xqe.lock    locked while an index is being built

tantivy is given terms, never text: `xqe.text.analysis` makes them, and tantivy's whitespace tokenizer takes them apart
again. So documents and queries are analysed by the same code, in languages that tantivy knows nothing of. It finds
the candidates; their scores are computed exactly, from the lengths and term counts that the index keeps (`bm25`).

    builder                      documents to a folder
    languages                    documents of several languages to a folder of such folders
    questions                    what documents answer, in an index beside theirs for each language
    joint                        all fields in one index of tantivy's, for candidates by their sum
    opened                       a folder to hits, explanations and term vectors
    scoring                      exact scores of one field of documents
    candidates                   the only importer of tantivy
    vectors                      term counts of documents
    bm25                         the formula, and how much of tantivy's own ranking has to be looked at
    manifest                     what is on disk, and that it is whole
"""

from xqe.files.names import Numbers
from xqe.retrieval.lexical.bm25 import ByLength, Parameters
from xqe.retrieval.lexical.builder import build, check_target
from xqe.retrieval.lexical.index import Hit, Index
from xqe.retrieval.lexical.languages import build_languages, check_languages, open_languages, read_languages
from xqe.retrieval.lexical.manifest import Contents, Manifest
from xqe.retrieval.lexical.opening import open_index

__all__ = [
    "ByLength",
    "Contents",
    "Hit",
    "Index",
    "Manifest",
    "Numbers",
    "Parameters",
    "build",
    "build_languages",
    "check_languages",
    "check_target",
    "open_index",
    "open_languages",
    "read_languages",
]
