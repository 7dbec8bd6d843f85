"""A structure's sections in the image planes of a CT, whatever grid its mask is on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.errors import InputError
from SegmentationAILib.preprocess import resample
from SegmentationAILib.radiotherapy.ct_reference import CTReference
from SegmentationAILib.radiotherapy.structure_set import RTStructure
from SegmentationAILib.volume import Grid


def planes_of(
    structure: RTStructure, grid: Grid, ct: CTReference
) -> Iterator[tuple[int, NDArray[np.bool_], tuple[int, int]]]:
    """The parts of the CT's slices that hold the structure.

    A mask on another grid is resampled; a structure so small that no voxel of the CT is half full
    keeps the fullest ones, as many as make up its volume.

    Yields:
        k of the slice, bool [j, i] of a part of it, and the part's first voxel (i, j).

    Raises:
        InputError: the structure is not within the CT.
    """
    box = _box(structure.mask)
    if ct.regular is not None and grid.same_as(ct.regular):
        start = (box[2].start, box[1].start)
        for k in range(box[0].start, box[0].stop):
            if structure.mask[k, box[1], box[2]].any():
                yield k, structure.mask[k, box[1], box[2]], start
        return
    parts = list(_occupancy(structure, grid, ct, box))
    if not any((occupancy > 0).any() for _, occupancy, _ in parts):
        raise InputError(
            f"The structure '{structure.name}' lies outside the CT's images; choose the CT that it was drawn on."
        )
    if any((occupancy >= 0.5).any() for _, occupancy, _ in parts):
        threshold = 0.5
    else:
        values = np.sort(np.concatenate([occupancy.ravel() for _, occupancy, _ in parts]))[::-1]
        wanted = np.count_nonzero(structure.mask) * grid.voxel_volume / _voxel_volume(ct)
        threshold = max(values[min(max(round(wanted), 1), len(values)) - 1], np.finfo(np.float32).tiny)
    for k, occupancy, start in parts:
        if (occupancy >= threshold).any():
            yield k, occupancy >= threshold, start


def _occupancy(
    structure: RTStructure, grid: Grid, ct: CTReference, box: tuple[slice, slice, slice]
) -> Iterator[tuple[int, NDArray[np.float32], tuple[int, int]]]:
    # Voxels beyond the mask's box keep interpolation from taking its end for the end of the image.
    start = [side.start - 2 for side in box]
    source = grid.crop(start, tuple(side.stop - side.start + 4 for side in box))
    mask = np.pad(structure.mask[box], 2)
    if ct.regular is not None:
        window = _window(source, ct.regular)
        if window is not None:
            first, shape = window
            values = resample(mask, source, ct.regular.crop(first, shape), mode="area")
            for k in range(shape[0]):
                yield int(first[0]) + k, values[k], (int(first[2]), int(first[1]))
        return
    for k, plane in enumerate(ct.grids):
        window = _window(source, plane)
        if window is not None:
            first, shape = window
            # One plane has no spacing of its own to average over.
            values = resample(mask, source, plane.crop(first, shape), mode="linear")
            yield k, values[0], (int(first[2]), int(first[1]))


def _window(source: Grid, target: Grid) -> tuple[NDArray[np.intp], tuple[int, int, int]] | None:
    """First voxel (k, j, i) and shape of the part of the target that the source reaches, None if none."""
    corners = np.array(list(product(*[(-0.5, n - 0.5) for n in source.shape[::-1]])))
    reach = target.ijk(source.ras(corners))[:, ::-1]
    size = np.array(target.shape)
    first = np.clip(np.floor(reach.min(axis=0)).astype(int), 0, size)
    last = np.clip(np.ceil(reach.max(axis=0)).astype(int) + 1, 0, size)
    if np.any(last <= first):
        return None
    return first, tuple(int(n) for n in last - first)


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """The smallest box (k, j, i) that holds the mask."""
    held = np.flatnonzero(mask.any(axis=(1, 2)))
    plane = mask[held[0] : held[-1] + 1].any(axis=0)
    rows, columns = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
    return tuple(slice(int(n[0]), int(n[-1]) + 1) for n in (held, rows, columns))


def _voxel_volume(ct: CTReference) -> float:
    return (ct.regular or ct.grids[0]).voxel_volume
