"""A slice of what an operation would make: the part of the volume around it, and what becomes of that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.task import Option
from SegmentationAILib.engine.worker.registry import load
from SegmentationAILib.enhancement.enhance import enhance, learnt_of
from SegmentationAILib.enhancement.operations import Operation, operation
from SegmentationAILib.enhancement.plane import Plane
from SegmentationAILib.preprocess import resample
from SegmentationAILib.volume import Grid, Volume

# A plane that is turned against the voxels so little is shown by whole slices of the volume.
_MOST_SLICES = 4
_SKETCH_VOXELS = 16


def preview(
    volume: Volume,
    plane: Plane,
    name: str,
    parameters: Mapping[str, Option],
    overview: Any = None,
    progress: Progress | None = None,
    step: int = 1,
) -> Volume | None:
    """The slices next to a plane as the operation makes them; None where the plane misses the volume.

    Where the plane runs along the voxels they are those of the whole result, voxel by voxel; across them, those of
    the volume resampled to the plane.

    Args:
        volume: any.
        plane: that is looked at.
        name: of the operation.
        parameters, overview: as ``enhance.learnt_of`` gives them for the volume.
        progress: told of the stages; its token cancels.
        step: how many times larger the voxels along the plane are to be.

    Raises:
        InputError: see ``enhance.enhance``.
        Cancelled: the user cancelled.
    """
    held = operation(name)
    found = _along_voxels(volume, plane) or _across_voxels(volume, plane, _reach(held, volume, parameters))
    if found is None:
        return None
    source, axis, first, last = found
    reach = _reach(held, source, parameters)[axis]
    start, stop = max(0, first - reach), min(source.shape[axis], last + reach + 1)
    part = _slices(source, axis, start, stop)
    made = enhance(_coarser(part, axis, step) if step > 1 else part, name, parameters, progress, overview)
    if made.shape[axis] != stop - start:
        return made
    return _slices(made, axis, first - start, last - start + 1)


def sketch(
    volume: Volume, plane: Plane, name: str, parameters: Mapping[str, Option], progress: Progress | None = None
) -> Volume | None:
    """Nearly what ``preview`` gives, in a moment: on larger voxels, by what a thinned out volume tells.

    Args:
        parameters: as for ``enhance.enhance``.

    Raises:
        InputError, Cancelled: as ``preview``.
    """
    held = operation(name)
    known = learnt_of(_thinned(volume), name, {**parameters, **dict(held.sketch)}, progress)
    return preview(volume, plane, name, *known, progress, step=held.sketch_step)


def _thinned(volume: Volume) -> Volume:
    """Every so many voxels of each axis, few enough that what is learnt of them takes a moment."""
    steps = [-(-n // _SKETCH_VOXELS) for n in volume.shape]
    array = volume.array[tuple(slice(None, None, n) for n in steps)]
    matrix = volume.ijk_to_ras.copy()
    matrix[:3, :3] *= steps[::-1]
    return Volume(array, Grid(array.shape, matrix), volume.name, volume.modality)


def _coarser(volume: Volume, axis: int, step: int) -> Volume:
    """On voxels that are larger along the slices across an axis [k, j, i]."""
    spacing = volume.spacing * [1 if 2 - n == axis else step for n in range(3)]
    grid = volume.grid.with_spacing(spacing)
    return Volume(resample(volume.array, volume.grid, grid, mode="area"), grid, volume.name, volume.modality)


def _reach(held: Operation, volume: Volume, chosen: Mapping[str, Option]) -> NDArray[np.int_]:
    return load(held.reach)(volume, **chosen) if held.reach else np.zeros(3, dtype=int)


def _along_voxels(volume: Volume, plane: Plane) -> tuple[Volume, int, int, int] | None:
    """The volume, the axis [k, j, i] across the plane, and the first and last slice that the plane meets."""
    across = volume.grid.ijk_to_ras[:3, :3].T @ plane.normal
    n = int(np.argmax(np.abs(across)))
    # Index along that axis at which the plane cuts each edge of the volume that runs along it.
    size = np.array(volume.shape[::-1])
    others = [m for m in range(3) if m != n]
    corners = np.zeros((4, 3))
    corners[:, others] = [[a, b] for a in (0, size[others[0]] - 1) for b in (0, size[others[1]] - 1)]
    cuts = (plane.origin - volume.grid.ras(corners)) @ plane.normal / across[n]
    first, last = int(np.floor(cuts.min())), int(np.ceil(cuts.max()))
    if last - first + 1 > _MOST_SLICES:
        return None
    first, last = max(first, 0), min(last, int(size[n]) - 1)
    return (volume, 2 - n, first, last) if first <= last else None


def _across_voxels(volume: Volume, plane: Plane, reach: NDArray[np.int_]) -> tuple[Volume, int, int, int] | None:
    """The volume's voxels around the plane on a grid along it, as fine as the volume's finest voxels."""
    size = float(volume.spacing.min())
    turn = plane.to_ras[:3, :3] / np.linalg.norm(plane.to_ras[:3, :3], axis=0)
    ends = np.array([0, 1])
    corners = np.array(np.meshgrid(*[ends * (n - 1) for n in volume.shape[::-1]])).reshape(3, -1).T
    places = (volume.grid.ras(corners) - plane.origin) @ turn / size
    low, high = np.floor(places.min(axis=0)).astype(int), np.ceil(places.max(axis=0)).astype(int)
    if low[2] > 0 or high[2] < 0:
        return None
    depth = int(np.ceil(np.max(reach * volume.spacing[::-1]) / size)) + 1
    matrix = np.eye(4)
    matrix[:3, :3] = turn * size
    matrix[:3, 3] = plane.origin + turn @ (np.array([low[0], low[1], -depth]) * size)
    grid = Grid((2 * depth + 1, int(high[1] - low[1]) + 1, int(high[0] - low[0]) + 1), matrix)
    array = resample(volume.array, volume.grid, grid, mode="linear", fill=float(volume.array.min()))
    return Volume(array, grid, volume.name, volume.modality), 0, depth - 1, depth + 1


def _slices(volume: Volume, axis: int, start: int, stop: int) -> Volume:
    window = tuple(slice(start, stop) if n == axis else slice(None) for n in range(3))
    array = volume.array[window]
    corner = [start if n == axis else 0 for n in range(3)]
    return Volume(array, volume.grid.crop(corner, array.shape), volume.name, volume.modality)
