"""How many texts to generate together, and how much context to give them."""

from __future__ import annotations

from xqe.models.engines.llama.loading import CACHE_SHARE

CPU_BATCH = 32
GPU_BATCH = 64
USUAL_CELLS = 512  # of one text with its prompt, where nothing is known of the prompts yet


def batch_size(cell_bytes: int, free: int, on_gpu: bool) -> int:
    """The texts to generate together: the usual number, halved until the cache of texts of usual length fits.

    cell_bytes: of cache for one token. free: bytes of memory where the cache will lie.
    """
    batch = GPU_BATCH if on_gpu else CPU_BATCH
    while batch > 1 and batch * USUAL_CELLS > most_cells(cell_bytes, free):
        batch //= 2
    return batch


def most_cells(cell_bytes: int, free: int) -> int:
    """The tokens of context that memory has room for."""
    return max(1, int(free * CACHE_SHARE) // cell_bytes)
