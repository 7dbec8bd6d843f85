"""A nodule and its surroundings on 1 mm voxels: what its ratings are made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from LungNoduleAILib.nodule import NoduleMask
from SegmentationAILib.errors import InputError
from SegmentationAILib.preprocess import resample
from SegmentationAILib.volume import Grid, Volume

SPACING_MM = 1.0
# In the section, mm beyond the mask. None along the body: the crops that the network learned from
# end with the nodule's last slice, so it must not see further in use either.
MARGIN_MM = (0.0, 10.0, 10.0)
_LUNG_HU = -860.0
# A nodule is at most 3 cm across; a larger mass is seen in part.
_LARGEST_HALF_SIDE = 40


@dataclass(frozen=True, eq=False)
class NoduleCrop:
    """A box of 1 mm voxels with the nodule's centroid in its middle, axes nearest to L, P and S.

    Attributes:
        hu: float32 [k, j, i]; beyond the mask's box and its margin, the nearest voxel's value.
        occupancy: float32 [k, j, i] in 0…1, how much of each voxel is nodule.
        grid: the box's voxels in RAS.
    """

    hu: NDArray[np.float32]
    occupancy: NDArray[np.float32]
    grid: Grid


def crop_nodule(volume: Volume, mask: NoduleMask) -> NoduleCrop:
    """Cut a nodule out.

    Args:
        volume: CT, HU.
        mask: the nodule, on any grid.

    Raises:
        InputError: the mask is empty or lies outside the volume.
    """
    inside = np.argwhere(mask.occupancy >= 0.5)
    if len(inside) == 0:
        raise InputError("The nodule's mask is empty; outline the nodule first.")
    points = mask.grid.ras(inside[:, ::-1])
    axes = volume.grid.canonical().directions
    weight = mask.occupancy[tuple(inside.T)].astype(np.float64)
    along = points @ np.linalg.inv(axes).T
    centre = weight @ along / weight.sum()
    # Half a voxel of the mask beyond the outermost centres, (i, j, k) of the crop.
    half_voxel = np.abs(np.linalg.inv(axes) @ (mask.grid.directions * mask.grid.spacing)).sum(axis=1) / 2
    margin = np.array(MARGIN_MM)[::-1]
    low, high = along.min(axis=0) - half_voxel - margin - centre, along.max(axis=0) + half_voxel + margin - centre
    half = np.clip(np.ceil(np.maximum(-low, high) / SPACING_MM).astype(int), 2, _LARGEST_HALF_SIDE)
    matrix = np.eye(4)
    matrix[:3, :3] = axes * SPACING_MM
    matrix[:3, 3] = axes @ (centre - (half - 0.5) * SPACING_MM)
    grid = Grid(tuple(2 * half[::-1]), matrix)
    hu = resample(volume.array, volume.grid, grid, mode="area", fill=np.nan)
    known = np.isfinite(hu)
    if not known.any():
        raise InputError("The nodule lies outside the volume; choose the volume that it was found in.")
    for axis, (first, last) in enumerate(zip(low[::-1], high[::-1], strict=True)):
        position = np.arange(hu.shape[axis]) - (hu.shape[axis] - 1) / 2
        others = tuple(n for n in range(3) if n != axis)
        shown = (position * SPACING_MM >= first) & (position * SPACING_MM <= last) & known.any(axis=others)
        if shown.any():
            ends = np.flatnonzero(shown)[[0, -1]]
            hu = np.take(hu, np.clip(np.arange(hu.shape[axis]), *ends), axis=axis)
    occupancy = resample(mask.occupancy.astype(np.float32), mask.grid, grid, mode="area", fill=0.0)
    return NoduleCrop(np.nan_to_num(hu, nan=_LUNG_HU), np.clip(occupancy, 0.0, 1.0), grid)


def cube(array: NDArray[np.float32], side: int, *, fill: float | None = None) -> NDArray[np.float32]:
    """The middle cube of an array [k, j, i] with even sides; where it is smaller, its edge or ``fill`` repeats."""
    padding = [(max(0, (side - n) // 2),) * 2 for n in array.shape]
    array = np.pad(array, padding, mode="edge") if fill is None else np.pad(array, padding, constant_values=fill)
    starts = [(n - side) // 2 for n in array.shape]
    return array[tuple(slice(start, start + side) for start in starts)]
