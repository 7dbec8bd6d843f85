"""Points that stand for a structure, and the dose there: what a dose-volume histogram is made of.

Clinical systems disagree on the DVH of small structures mainly in how finely they sample and in how they
treat the boundary and the first and last slice (Nelms et al., Med Phys 2015;42:4435; Pepin et al.,
"Assessment of dose-volume histogram precision for five clinical systems", 2022; PMC8248418). Here:

* Voxels are divided until the structure has ``POINTS`` parts or more, at least one a voxel.
* The parts of the structure are those in which the linearly interpolated occupancy is highest, as many as
  make up the structure's volume: stairs of the voxels are smoothed, between slices too, and the volume stays
  exactly that of the mask.
* The first and last slice reach half a slice beyond their plane, as voxels do; the same rule rounds them.
* Dose is trilinear between the points of the dose grid; beyond the outermost there is none. The
  histograms that Eclipse writes into its RTDOSE end there as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from SegmentationAILib.volume import Grid, Volume

# So many parts are enough that what remains of an error comes from the voxels, not from the sampling: see the tests.
POINTS = 100_000
# In voxels of the dose grid: what rounding moves a point across the outermost plane.
_EDGE = 1e-3
# So many parts fit a processor's cache.
_CHUNK = 65_536


class Samples(NamedTuple):
    """Parts of a structure.

    Attributes:
        dose_gy: [n] at the parts' centres; NaN outside the dose grid.
        half_span_gy: [n] each part holds doses of ``dose_gy`` ± this, evenly.
        volume_cc: [n].
    """

    dose_gy: NDArray[np.float32]
    half_span_gy: NDArray[np.float32]
    volume_cc: NDArray[np.float64]


def sample(dose: Volume, occupancy: NDArray, grid: Grid) -> Iterator[Samples]:
    """The parts of a structure and their dose, in pieces that bound the memory.

    Args:
        dose: in Gy.
        occupancy: [k, j, i] on ``grid``: a mask, or the part of each voxel that is inside, 0…1.
        grid: any grid, parallel to the dose or not.
    """
    dose = dose.with_array(np.ascontiguousarray(dose.array, dtype=np.float32))
    window = _window(occupancy)
    if window is None:
        return
    inside = np.ascontiguousarray(occupancy[window], dtype=np.float32)
    grid = grid.crop([s.start for s in window], inside.shape)
    volume_mm3 = float(inside.sum(dtype=np.float64)) * grid.voxel_volume
    division = np.maximum(1, np.ceil(grid.spacing / np.cbrt(volume_mm3 / POINTS) - 1e-6)).astype(int)
    part_cc = grid.voxel_volume / division.prod() / 1000.0
    if division.max() > 1:
        kji, weight = _divided(inside, division)
        for piece in _pieces(len(kji)):
            yield Samples(
                *_dose_at(dose, grid, kji[piece].T[::-1], division), weight[piece].astype(np.float64) * part_cc
            )
        return
    flat = np.flatnonzero(inside)
    for piece in _pieces(len(flat)):
        kji = np.unravel_index(flat[piece], inside.shape)
        ijk = [index.astype(np.float32) for index in kji[::-1]]
        yield Samples(*_dose_at(dose, grid, ijk, division), inside[kji].astype(np.float64) * part_cc)


def _pieces(count: int) -> Iterator[slice]:
    for start in range(0, count, _CHUNK):
        yield slice(start, start + _CHUNK)


def _window(occupancy: NDArray) -> tuple[slice, ...] | None:
    """The structure's voxels and, where the array has it, a rim of one, in which the smoothed surface may lie."""
    present = occupancy if occupancy.dtype == bool else occupancy > 0
    k = np.flatnonzero(present.any(axis=(1, 2)))
    if not len(k):
        return None
    plane = present[k[0] : k[-1] + 1].any(axis=0)
    spans = [k, np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))]
    return tuple(slice(max(0, int(span[0]) - 1), int(span[-1]) + 2) for span in spans)


def _divided(inside: NDArray[np.float32], division: NDArray[np.intp]) -> tuple[NDArray, NDArray]:
    """Parts [n, 3] (k, j, i) in voxels, and which part of each counts, with the occupancy's exact volume."""
    near = np.argwhere(ndimage.maximum_filter(inside, 3) > 0).astype(np.float32)
    steps = [(np.arange(n, dtype=np.float32) + 0.5) / n - 0.5 for n in division[::-1]]
    offsets = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    kji = (near[:, None] + offsets).reshape(-1, 3)
    level = ndimage.map_coordinates(inside, kji.T, order=1, mode="nearest", output=np.float32)
    wanted = float(inside.sum(dtype=np.float64)) * len(offsets)
    threshold = np.partition(level, len(level) - int(np.ceil(wanted)))[len(level) - int(np.ceil(wanted))]
    above, equal = level > threshold, level == threshold
    # Parts on the very surface share what is missing.
    weight = above + equal * np.float32((wanted - np.count_nonzero(above)) / np.count_nonzero(equal))
    kept = weight > 0
    return kji[kept], weight[kept].astype(np.float32)


def _dose_at(
    dose: Volume, grid: Grid, ijk: Sequence[NDArray], division: NDArray[np.intp]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Trilinear dose at voxel positions ``ijk`` [3][n] of ``grid``, and half the span over a part of a voxel.

    The span is that of an even distribution with the variance of a linear dose over the part.
    """
    matrix = (dose.grid.ras_to_ijk @ grid.ijk_to_ras).astype(np.float32)
    first = np.zeros(len(ijk[0]), dtype=np.intp)
    outside = np.zeros(len(first), dtype=bool)
    part, stride = [], []
    step = 1
    for row, size in zip(matrix[:3], dose.shape[::-1], strict=True):
        at = row[0] * ijk[0] + row[1] * ijk[1] + row[2] * ijk[2] + row[3]
        outside |= (at < -_EDGE) | (at > size - 1 + _EDGE)
        below = np.clip(np.floor(at), 0, max(size - 2, 0))
        part.append(np.clip(at - below, 0, 1))
        first += below.astype(np.intp) * step
        stride.append(step if size > 1 else 0)
        step *= size
    flat = dose.array.reshape(-1)
    x, y, z = part
    # Along i on the four edges of the cell, along j on two faces, then along k.
    line, slope = {}, {}
    for b in (0, 1):
        for c in (0, 1):
            index = first + (b * stride[1] + c * stride[2])
            line[b, c] = flat[index]
            slope[b, c] = flat[index + stride[0]] - line[b, c]
            line[b, c] += x * slope[b, c]
    across_j = [line[1, c] - line[0, c] for c in (0, 1)]
    plane = [line[0, c] + y * across_j[c] for c in (0, 1)]
    slope_i = [slope[0, c] + y * (slope[1, c] - slope[0, c]) for c in (0, 1)]
    across_k = plane[1] - plane[0]
    value = plane[0] + z * across_k
    value[outside] = np.nan
    gradient = (slope_i[0] + z * (slope_i[1] - slope_i[0]), across_j[0] + z * (across_j[1] - across_j[0]), across_k)
    span = sum(
        (gradient[0] * column[0] + gradient[1] * column[1] + gradient[2] * column[2]) ** 2
        for column in (matrix[:3, :3] / division).T.astype(np.float32)
    )
    return value, 0.5 * np.sqrt(span)
