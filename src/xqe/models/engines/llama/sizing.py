"""How many texts to generate together, how much context to give them, and how many layers to put on a GPU."""

from __future__ import annotations

from xqe.models.engines.llama.library import Device

CPU_BATCH = 32
GPU_BATCH = 64
USUAL_CELLS = 512  # of one text with its prompt, where nothing is known of the prompts yet
CACHE_SHARE = 0.5  # of the free memory that the cache may take
GPU_RESERVE = 1 << 30  # bytes that are left for the buffers of computation


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


def gpu_layers(file_bytes: int, layers: int, gpus: list[Device]) -> int:
    """The layers that fit on the GPUs beside a cache for them, -1 for all; layers are taken to be of equal size.

    file_bytes: of the model file. layers: of the model, without the output layer.
    """
    free = sum(max(0, gpu.free - GPU_RESERVE) for gpu in gpus)
    for_weights = free * (1 - CACHE_SHARE / 2)
    if file_bytes <= for_weights:
        return -1
    return int(for_weights * (layers + 1) / file_bytes)
