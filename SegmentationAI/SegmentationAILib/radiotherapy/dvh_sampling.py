"""Points that stand for a structure, and the dose there: what a dose-volume histogram is made of.

Clinical systems disagree on the DVH of small structures mainly in how finely they sample and in how they
treat the boundary and the first and last slice (Nelms et al., Med Phys 2015;42:4435; Pepin et al., Phys Med
Biol 2022; Stanley et al., J Appl Clin Med Phys 2021;22(7):99). Here:

* Voxels are divided until the structure has ``POINTS`` parts or more, at least one a voxel.
* The parts of the structure are those in which the linearly interpolated occupancy is highest, as many as
  make up the structure's volume: stairs of the voxels are smoothed, between slices too, and the volume stays
  exactly that of the mask.
* The first and last slice reach half a slice beyond their plane, as voxels do; the same rule rounds them.
* Dose is trilinear between the points of the dose grid; beyond the outermost there is none. Eclipse's own
  histograms end there as well.
"""

from __future__ import annotations

from collections.abc import Iterator
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
            yield Samples(*_dose_at(dose, grid, kji[piece, ::-1], division), weight[piece].astype(np.float64) * part_cc)
        return
    flat = np.flatnonzero(inside)
    for piece in _pieces(len(flat)):
        kji = np.unravel_index(flat[piece], inside.shape)
        ijk = np.stack(kji[::-1], axis=-1).astype(np.float32)
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
    dose: Volume, grid: Grid, ijk: NDArray[np.float32], division: NDArray[np.intp]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Trilinear dose at voxel positions ``ijk`` [n, 3] of ``grid``, and half the span over a part of a voxel.

    The span is that of an even distribution with the variance of a linear dose over the part.
    """
    matrix = dose.grid.ras_to_ijk @ grid.ijk_to_ras
    at = ijk @ matrix[:3, :3].T.astype(np.float32) + matrix[:3, 3].astype(np.float32)
    size = np.array(dose.shape[::-1])
    outside = np.any((at < -_EDGE) | (at > size - 1 + _EDGE), axis=1)
    below = np.clip(np.floor(at), 0, np.maximum(size - 2, 0)).astype(np.intp)
    part = np.clip(at - below, 0, 1)
    stride = np.array([1, size[0], size[0] * size[1]]) * (size > 1)
    first = below @ np.array([1, size[0], size[0] * size[1]])
    flat = dose.array.reshape(-1)
    corner = {
        (x, y, z): flat[first + x * stride[0] + y * stride[1] + z * stride[2]]
        for x in (0, 1)
        for y in (0, 1)
        for z in (0, 1)
    }
    x, y, z = part.T
    edge_i = {(b, c): corner[1, b, c] - corner[0, b, c] for b in (0, 1) for c in (0, 1)}
    line = {(b, c): corner[0, b, c] + x * edge_i[b, c] for b in (0, 1) for c in (0, 1)}
    plane = [line[0, c] + y * (line[1, c] - line[0, c]) for c in (0, 1)]
    slope_i = [edge_i[0, c] + y * (edge_i[1, c] - edge_i[0, c]) for c in (0, 1)]
    slope_j = [line[1, c] - line[0, c] for c in (0, 1)]
    value = plane[0] + z * (plane[1] - plane[0])
    gradient = np.stack(
        [
            slope_i[0] + z * (slope_i[1] - slope_i[0]),
            slope_j[0] + z * (slope_j[1] - slope_j[0]),
            plane[1] - plane[0],
        ],
        axis=-1,
    )
    value[outside] = np.nan
    across = gradient @ (matrix[:3, :3] / division).astype(np.float32)
    return value, 0.5 * np.sqrt(np.einsum("na,na->n", across, across))
