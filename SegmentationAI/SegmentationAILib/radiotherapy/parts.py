"""Work on a volume part by part, on all cores; what a part needs stays in a core's cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product

# Voxels of a part: few enough for its arrays to stay in a cache, enough for their edges to count little.
PART_VOXELS = 800_000

Part = tuple[slice, ...]


def in_parts(work: Callable[[Part], None], shape: tuple[int, ...], side: int) -> None:
    """Call ``work`` with every part of an array, from several threads at once.

    Args:
        work: writes its part of the result; no two parts overlap.
        shape: of the array.
        side: of a part, along each axis; those at the far ends may be shorter.
    """
    starts = product(*(range(0, n, side) for n in shape))
    parts = [tuple(slice(a, min(a + side, n)) for a, n in zip(start, shape, strict=True)) for start in starts]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(work, parts))
