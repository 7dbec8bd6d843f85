"""How well two segmentations agree."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """2|A∩B| / (|A| + |B|) of two masks of the same shape; NaN where both are empty (Dice, Ecology 1945)."""
    total = np.count_nonzero(first) + np.count_nonzero(second)
    return 2.0 * np.count_nonzero(first & second) / total if total else float("nan")


def hd95(first: NDArray[np.bool_], second: NDArray[np.bool_], spacing_kji: ArrayLike) -> float:
    """95th percentile of the distances between two surfaces, the larger of both directions, mm.

    Surfaces are the masks' outermost voxels; distances are between voxel centres (Huttenlocher et al.,
    IEEE PAMI 1993, with the percentile that BraTS uses).

    Args:
        first, second: bool [k, j, i].
        spacing_kji: voxel size along (k, j, i), mm.

    Returns:
        NaN where both masks are empty, infinity where one is.
    """
    if not first.any() or not second.any():
        return float("nan") if first.any() == second.any() else float("inf")
    box = ndimage.find_objects((first | second).astype(np.uint8))[0]
    surfaces = [mask[box] & ~ndimage.binary_erosion(mask[box]) for mask in (first, second)]
    distances = [ndimage.distance_transform_edt(~surface, sampling=spacing_kji) for surface in surfaces]
    there, back = distances[1][surfaces[0]], distances[0][surfaces[1]]
    return float(max(np.percentile(there, 95), np.percentile(back, 95)))
