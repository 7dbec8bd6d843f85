"""The part of a volume that a network of nnU-Net sees, by structures that another model found before."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from SegmentationAILib.labels import LabelMap
from SegmentationAILib.metrics import bounding_box
from SegmentationAILib.volume import Grid

Window = tuple[slice, slice, slice]


def surroundings(
    found: LabelMap, ids: Mapping[int, str], crop: Mapping[str, Any]
) -> tuple[Window, NDArray[np.bool_] | None]:
    """The box of some structures with a margin, and which of its voxels may be labelled.

    Args:
        found: by the model that ``crop`` names.
        ids: value in it -> id of the structure.
        crop: "structures" and "margin_mm", along x, y and z; "within", where labels must be near structures, with
            "structures" and "mm", which TotalSegmentator calls remove_outside and counts in voxels from face to face.

    Returns:
        The box, the whole volume where it shows none of the structures; and [k, j, i] of the box, None where labels
        may be anywhere.
    """
    window = _box(_any_of(found, ids, crop["structures"]), found.grid, crop["margin_mm"])
    near = crop.get("within")
    if near is None:
        return window, None
    mask = _any_of(found, ids, near["structures"])
    if not mask.any():
        return window, None
    steps = int(near["mm"] / found.grid.spacing.mean())
    wide = _grown(window, [steps] * 3, mask.shape)
    if not mask[wide].any():
        return window, np.zeros(mask[window].shape, dtype=bool)
    away = ndimage.distance_transform_cdt(~mask[wide], metric="taxicab")
    inner = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(window, wide, strict=True))
    return window, away[inner] <= steps


def _any_of(found: LabelMap, ids: Mapping[int, str], structures: Collection[str]) -> NDArray[np.bool_]:
    return np.isin(found.array, [value for value, name in ids.items() if name in structures])


def _box(mask: NDArray[np.bool_], grid: Grid, margin_mm: Sequence[float]) -> Window:
    """Along each axis from a first to a last voxel, within the volume."""
    tight = bounding_box(mask)
    if tight is None:
        return tuple(slice(0, n) for n in mask.shape)
    more = [int(np.ceil(mm / spacing)) for mm, spacing in zip(margin_mm, grid.spacing, strict=True)][::-1]
    return _grown(tight, more, mask.shape)


def _grown(box: Window, more: Sequence[int], shape: Sequence[int]) -> Window:
    return tuple(
        slice(max(0, part.start - by), min(n, part.stop + by)) for part, by, n in zip(box, more, shape, strict=True)
    )
