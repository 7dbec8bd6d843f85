"""Which voxels lie within six margins of a structure's surface: the arithmetic under ``margins``.

A margin reaches from the surface into half-ellipsoids whose semi-axes differ from side to side. Their
gauge is g² = Σ (d/m)², with m chosen along each axis by the sign of d, so it is a sum over the axes: the
least of it over all surface points is found by one pass along each axis, as in a Euclidean distance
transform (Felzenszwalb and Huttenlocher, Theory of Computing 2012), with the parabola bent at its foot.

Surface points are where the lines through the voxel centres cross the structure's surface. Three families
of points, one for each axis, meet every surface squarely somewhere, and lie on the grid but for one axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.radiotherapy.parts import PART_VOXELS, in_parts
from SegmentationAILib.radiotherapy.surface import finer

# g² in whole numbers, so that sums do not depend on their order; a sum of two still fits in 16 bits.
ONE = 32767
FAR = 32768

# A margin below this is none; its inverse could not be told from infinity.
_LEAST_MM = 1e-6
# Between two lines of surface points the grown surface sags; lines are added until it is by less, mm.
SAG_MM = 0.05
MOST_LINES = 4

# Voxels worked on at once, times the lines of each, for what they take of memory: some 16 bytes.
_SLAB_VOXELS = 40_000_000


@dataclass(frozen=True)
class Axis:
    """One array axis: voxel size and the margins towards lower and higher indices, mm."""

    spacing: float
    lower: float
    upper: float

    def squared(self, distance: NDArray[np.float64]) -> NDArray[np.uint16]:
        """This axis' share of g² at signed distances from a surface point, FAR where it is above 1."""
        side = np.where(distance > 0, self.upper, self.lower)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return _share(np.where(distance == 0, 0.0, distance / side))

    @property
    def halo(self) -> tuple[int, int]:
        """Voxels from which a surface can reach a voxel, before and after it, and those that place it."""
        return int(self.upper / self.spacing) + 4, int(self.lower / self.spacing) + 4


def reached(levels: NDArray, axes: tuple[Axis, Axis, Axis], *, between: bool = True) -> NDArray[np.bool_]:
    """The voxels within the margins of the structure, itself included.

    Args:
        levels: [3, k, j, i], as ``surface_levels`` gives; nothing lies beyond the array.
        axes: of k, j and i.
        between: add lines of surface points between the voxels where margins are short; they see the voxels
            as one surface, so leave it out for ``single_levels``.
    """
    result = levels[0] > 0
    lines = tuple(_lines(axis, axes) if between else 1 for axis in axes)
    before, after = axes[0].halo
    count = len(result)
    depth = max(1, _SLAB_VOXELS // (result[0].size * max(lines)))
    for start in range(0, count, depth):
        core = slice(start, min(start + depth, count))
        around = slice(max(0, core.start - before), min(count, core.stop + after))
        if (levels[0, around] > 0).any():
            squared = _squared_gauge(levels[:, around], axes, lines)
            result[core] |= squared[core.start - around.start :][: core.stop - core.start] <= ONE
    return result


@np.errstate(over="ignore")
def _share(ratio: NDArray) -> NDArray[np.uint16]:
    """g² where distance and margin are in this ratio; those at the margin count as within it."""
    share = np.square(ratio)
    share *= ONE
    np.minimum(share, FAR, out=share)
    return np.rint(share, out=share).astype(np.uint16)


def _lines(axis: Axis, axes: tuple[Axis, Axis, Axis]) -> int:
    """How many lines of surface points a voxel needs along an axis, from the sag between two of them.

    A power of two, so that the lines of a wider margin include those of a narrower one.
    """
    short = min((m for m in (axis.lower, axis.upper) if m > 0), default=0.0)
    if short == 0.0:
        return 1
    longest = max(max(a.lower, a.upper) for a in axes)
    pitch = short * np.sqrt(8.0 * SAG_MM / longest)
    lines = 1
    while lines < MOST_LINES and axis.spacing > lines * pitch:
        lines *= 2
    return lines


def _squared_gauge(levels: NDArray, axes: tuple[Axis, Axis, Axis], lines: tuple[int, int, int]) -> NDArray[np.uint16]:
    """g² of every voxel [k, j, i], the least over all surface points."""
    across = _from_crossings(levels[2], axes, lines, (2, 1, 0))
    np.minimum(across, _from_crossings(levels[1], axes, lines, (1, 2, 0)), out=across)
    along = _from_crossings(levels[0], axes, lines, (0, 2, 1))
    least = np.empty(levels.shape[1:], dtype=np.uint16)

    def over_k(part: tuple[slice]) -> None:
        least[:, part[0]] = _least(across[:, part[0]], axes[0], lines[0])

    def over_j(part: tuple[slice]) -> None:
        found = _least(np.moveaxis(along[part], 1, 0), axes[1], lines[1])
        np.minimum(least[part], np.moveaxis(found, 0, 1), out=least[part])

    in_parts(over_k, least.shape[1:2], max(1, PART_VOXELS // across[:, 0].size))
    in_parts(over_j, least.shape[:1], max(1, PART_VOXELS // along[0].size))
    return least


def _from_crossings(
    level: NDArray, axes: tuple[Axis, Axis, Axis], lines: tuple[int, int, int], order: tuple[int, int, int]
) -> NDArray[np.uint16]:
    """g² from the crossings of the lines along one axis, at the voxels along it and the second axis.

    Along the third axis, whose share of g² is still to come, it is that of each line, not of each voxel.
    """
    own, second, third = order
    count, more = level.shape[third], lines[third]
    shape = list(level.shape)
    shape[third] = (count - 1) * more + 1
    result = np.full(shape, FAR, dtype=np.uint16)

    def fill(part: tuple[slice]) -> None:
        start, stop = part[0].start, part[0].stop
        around = slice(max(0, start - 2), min(count, stop + 3))
        near = np.moveaxis(level, third, 0)[around]
        solid = np.moveaxis(near > 0, 0, third)
        box: list[slice] = []
        for n in range(3):
            filled = np.flatnonzero(solid.any(axis=tuple(a for a in range(3) if a != n))) if n != third else ()
            box.append(_within_reach(filled, axes[n]) if len(filled) else slice(None))
        if not solid.any():
            return
        within = tuple(box)
        fine = finer(finer(np.moveaxis(near, 0, third)[within], third, more), second, lines[second])
        first = (start - around.start) * more
        rows = slice(start * more, min(stop * more, shape[third]))
        fine = np.moveaxis(fine, third, 0)[first : first + rows.stop - rows.start]
        squared = _crossings(np.ascontiguousarray(np.moveaxis(np.moveaxis(fine, 0, third), own, 0)), axes[own])
        squared = np.moveaxis(squared, 0, own)
        least = _least(np.moveaxis(squared, second, 0), axes[second], lines[second])
        box[third] = rows
        result[tuple(box)] = np.moveaxis(least, 0, second)

    in_parts(fill, (count,), max(1, PART_VOXELS // (level.size // count * more * lines[second])))
    return result


def _within_reach(filled: NDArray[np.int_], along: Axis) -> slice:
    """The voxels that a structure can reach along an axis, of which it fills these."""
    before, after = along.halo
    return slice(max(0, filled[0] - after), filled[-1] + 1 + before)


@np.errstate(over="ignore")
def _crossings(level: NDArray, along: Axis) -> NDArray[np.uint16]:
    """g² from the points where the surface crosses the lines along the first axis, on those lines."""
    solid = level > 0
    row = level[0].size
    least = np.full(level.shape, np.inf, dtype=np.float32)
    for upwards, margin in ((True, along.upper), (False, along.lower)):
        inner, outer = (solid[:-1], solid[1:]) if upwards else (solid[1:], solid[:-1])
        at = np.flatnonzero(inner & ~outer)
        if margin < _LEAST_MM or not len(at):
            continue
        inside, outside = (at, at + row) if upwards else (at + row, at)
        depth, height = (level.ravel()[n].astype(np.float64) for n in (inside, outside))
        step = along.spacing / margin
        ratio = np.full(level.shape, np.inf, dtype=np.float32)
        ratio.ravel()[outside] = height / (height - depth) * step
        farther = np.empty_like(ratio[0])
        for this, following in pairwise(ratio if upwards else ratio[::-1]):
            np.add(this, np.float32(step), out=farther)
            np.minimum(following, farther, out=following)
        np.minimum(least, ratio, out=least)
    return _share(least)


def _least(field: NDArray[np.uint16], along: Axis, lines: int) -> NDArray[np.uint16]:
    """The least over the first axis of a field plus this axis' share of g², at the voxels."""
    before, after = (n * lines for n in along.halo)
    length = len(field)
    around = np.full((before + length + after, *field.shape[1:]), FAR, dtype=np.uint16)
    around[before : before + length] = field
    least = np.full_like(around[:length:lines], FAR)
    total = np.empty_like(least)
    for share, starts in _steps(along, lines):
        nearest, *others = (around[n : n + length : lines] for n in starts)
        for other in others:
            nearest = np.minimum(nearest, other, out=total)
        np.add(nearest, share, out=total)
        np.minimum(least, total, out=least)
    return least


@lru_cache(maxsize=32)
def _steps(along: Axis, lines: int) -> list[tuple[int, list[int]]]:
    """Each share of g² along an axis, and where the lines that are as far begin in the field and its halo."""
    before, after = (n * lines for n in along.halo)
    shares = along.squared(-np.arange(-before, after + 1) * (along.spacing / lines))
    return [(int(share), np.flatnonzero(shares == share).tolist()) for share in np.unique(shares[shares <= ONE])]
