"""Cutting a structure at a distance from another: away from an organ, or below the skin."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from SegmentationAILib.radiotherapy.margin_recipes import Margins
from SegmentationAILib.radiotherapy.margins import expand


def outside(
    mask: NDArray[np.bool_], other: NDArray[np.bool_], ijk_to_ras: ArrayLike, gap_mm: float = 0.0
) -> NDArray[np.bool_]:
    """What of a structure is not in another, nor within ``gap_mm`` of it.

    Args:
        mask: bool [k, j, i].
        other: bool [k, j, i] on the same grid.
        ijk_to_ras: 4×4.
        gap_mm: the distance that is kept, mm.
    """
    result = np.zeros_like(mask)
    box = _reach(mask, ijk_to_ras, gap_mm)
    if box is not None:
        near = expand(other[box], ijk_to_ras, **Margins.isotropic(gap_mm).as_sides()) if gap_mm else other[box]
        result[box] = mask[box] & ~near
    return result


def inside(
    mask: NDArray[np.bool_], body: NDArray[np.bool_], ijk_to_ras: ArrayLike, depth_mm: float = 0.0
) -> NDArray[np.bool_]:
    """What of a structure is in another, more than ``depth_mm`` below its surface.

    Where the image ends there is no surface: a body that runs out of the scan is not cut there.

    Args:
        mask: bool [k, j, i].
        body: bool [k, j, i] on the same grid, such as EXTERNAL.
        ijk_to_ras: 4×4.
        depth_mm: the depth that is left free, mm.
    """
    return outside(mask, ~body, ijk_to_ras, depth_mm)


def _reach(mask: NDArray[np.bool_], ijk_to_ras: ArrayLike, distance_mm: float) -> tuple[slice, ...] | None:
    """The box of the mask with all that is within a distance of it; None for an empty mask."""
    found = ndimage.find_objects(mask.astype(np.uint8))
    if not found:
        return None
    # Planes of voxels are this far apart; in a sheared grid that is less than the length of the step.
    apart_kji = 1 / np.linalg.norm(np.linalg.inv(np.asarray(ijk_to_ras)[:3, :3]), axis=1)[::-1]
    pad = np.ceil(distance_mm / apart_kji).astype(int) + 1
    return tuple(
        slice(max(0, side.start - more), min(size, side.stop + more))
        for side, more, size in zip(found[0], pad, mask.shape, strict=True)
    )
