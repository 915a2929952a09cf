"""Opening the index in a folder, whether it is in one piece or in shards."""

from __future__ import annotations

from pathlib import Path

from xqe.errors import InputError
from xqe.retrieval.documents import SHARDS, kind_of
from xqe.retrieval.lexical.index import Index
from xqe.retrieval.lexical.opened import open_single
from xqe.retrieval.lexical.sharded import open_shards


def open_index(directory: Path, verify: bool = False, threads: int | None = None) -> Index:
    """Open the index in a folder, having checked that it is whole and that text is analysed as when it was built.

    tantivy would answer from a damaged file without a word, so the files are hashed the first time, and every time
    with `verify`. threads: that look into shards for one search, by default one for each core. Raises InputError, with
    what to do, for a missing, damaged or unfit index, or shard of one.
    """
    while True:
        kind = kind_of(directory)
        try:
            return open_shards(directory, verify, threads) if kind == SHARDS else open_single(directory, verify)
        except InputError:
            if kind_of(directory) == kind:
                raise  # else it was replaced by one of the other kind meanwhile
