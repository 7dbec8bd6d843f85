"""Freed memory kept for what is needed next.

The C library gives large blocks back to the system at once, which then has to clear every page of the next one: for a
layer of a network that is as much work as its sums. glibc can be told to keep them; elsewhere nothing is done.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# From malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
# Larger blocks, such as the sums of a whole CT's logits, are given back as before.
_LARGEST_KEPT = 1 << 30
_NEVER = 2**31 - 1
# Where glibc's own thresholds end once a large block was freed.
_LARGEST_OF_GLIBC = 32 << 20
# Sizes of what aligning a block to 64 bytes cuts off it, and more of each than a thread's cache takes.
_CUT_OFF, _MORE_THAN_CACHED = range(24, 200, 16), 16


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """While it lasts, what the process frees stays its own; then it is given back.

    For processes that run models: it holds for all of the process.
    """
    libc = _glibc()
    # A glibc before 2.35 refuses so high a threshold; nothing is changed then.
    if libc is None or not libc.mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT):
        yield
        return
    libc.mallopt(_TRIM_THRESHOLD, _NEVER)
    _fill_cache(libc)
    try:
        yield
    finally:
        libc.mallopt(_MMAP_THRESHOLD, _LARGEST_OF_GLIBC)
        libc.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST_OF_GLIBC)
        libc.malloc_trim(0)


def _fill_cache(libc: ctypes.CDLL) -> None:
    """Fill this thread's cache of small blocks.

    Cut-offs that went there would part freed blocks that belong together, and each large block be a new one.
    """
    for size in _CUT_OFF:
        blocks = [libc.malloc(size) for _ in range(_MORE_THAN_CACHED)]
        for block in blocks:
            libc.free(block)


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    if not (hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim")):
        return None
    libc.malloc.argtypes, libc.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
    libc.free.argtypes, libc.free.restype = [ctypes.c_void_p], None
    return libc
