"""Which voxels lie within six margins of a structure's surface: the arithmetic under ``margins``.

A margin reaches from the surface into half-ellipsoids whose semi-axes differ from side to side. Their
gauge is g² = Σ (d/m)², with m chosen along each axis by the sign of d, so it is a sum over the axes: the
least of it over all surface points is found by one pass along each axis, as in a Euclidean distance
transform (Felzenszwalb and Huttenlocher, Theory of Computing 2012), with the parabola bent at its foot.

Surface points are where the lines through the voxel centres cross the structure's surface. Three families
of points, one for each axis, meet every surface squarely somewhere, and lie on the grid but for one axis.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

# Occupancy is held in 64ths, the sum of the weights (1, 2, 1) along three axes.
FULL = 64
HALF = FULL // 2
# No voxel comes closer to the half level than this, so that the surface stays well away from voxel
# centres: single voxels and thin walls keep their thickness. Of the values tried (10, 13, 16, 20) this one
# had the least largest error of the volume of grown balls. A wide facet of a coarse ball lies half way
# whatever its true place, so that all its voxels are reached or none. Weights over 5, 7 or 9 voxels do not
# help: they see the curvature, and draw the ball in.
CLEARANCE = 13

# g² in whole numbers, so that sums do not depend on their order; a sum of two still fits in 16 bits.
ONE = 32767
FAR = 32768

# Between two lines of surface points the grown surface sags; lines are added until it is by less, mm.
SAG_MM = 0.05
MOST_LINES = 4
_TILE_VOXELS = 200_000


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
            share = np.where(distance == 0, 0.0, (distance / side) ** 2)
        return np.where(share <= 1.0, np.rint(np.minimum(share, 1.0) * ONE), FAR).astype(np.uint16)

    @property
    def halo(self) -> tuple[int, int]:
        """Voxels from which a surface can reach a voxel, before and after it."""
        return int(self.upper / self.spacing) + 2, int(self.lower / self.spacing) + 2


def occupancy(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The structure in 64ths, whose half level is its surface.

    A mask says no more than that the surface passes between two voxel centres. The weights (1, 2, 1)
    along each axis tell from the neighbours where: half way on a flat face, elsewhere on a slope, so
    that a staircase of voxels grows like the slope it stands for. Growing is then still monotonic.

    Args:
        mask: bool [k, j, i]; taken to continue beyond the array's edge.
    """
    level = mask.astype(np.uint8)
    for axis in range(3):
        level = np.moveaxis(level, axis, 0)
        twice = level * np.uint8(2)
        twice[1:] += level[:-1]
        twice[:-1] += level[1:]
        twice[0] += level[0]
        twice[-1] += level[-1]
        level = np.moveaxis(twice, 0, axis)
    return np.where(mask, np.maximum(level, HALF + CLEARANCE), np.minimum(level, HALF - CLEARANCE))


def every_voxel(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The structure in 64ths such that it reaches as far as its voxels do one by one, and no farther.

    The surface stays as close to the voxel centres as ``occupancy`` ever has it, so that nothing is
    reached from here that is not reached from there.

    Args:
        mask: bool [k, j, i].
    """
    return mask * np.uint8(HALF + CLEARANCE)


def reached(level: NDArray, axes: tuple[Axis, Axis, Axis], *, between: bool = True) -> NDArray[np.bool_]:
    """The voxels within the margins of the structure, itself included.

    Args:
        level: [k, j, i] in 64ths, as ``occupancy`` gives; nothing lies beyond the array.
        axes: of k, j and i.
        between: add lines of surface points between the voxels where margins are short; they see the voxels
            as one surface, so leave it out for ``every_voxel``.
    """
    result = level >= HALF
    lines = tuple(_lines(axis, axes) if between else 1 for axis in axes)
    halo = tuple(axis.halo for axis in axes)

    def work(core: tuple[slice, ...]) -> None:
        if not result[core].all():
            around = tuple(
                slice(max(0, s.start - h[0]), min(n, s.stop + h[1]))
                for s, h, n in zip(core, halo, level.shape, strict=True)
            )
            if (near := level[around]).max() >= HALF:
                missing = [
                    (a.start - s.start + h[0], s.stop + h[1] - a.stop)
                    for s, a, h in zip(core, around, halo, strict=True)
                ]
                result[core] |= _tile(np.pad(near, missing), axes, lines) <= ONE

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(work, _tiles(level.shape, lines)))
    return result


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


def _tiles(shape: tuple[int, ...], lines: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    side = max(16, int(np.cbrt(_TILE_VOXELS / np.prod(lines))))
    for start in product(*(range(0, n, side) for n in shape)):
        yield tuple(slice(a, min(a + side, n)) for a, n in zip(start, shape, strict=True))


def _tile(level: NDArray, axes: tuple[Axis, Axis, Axis], lines: tuple[int, int, int]) -> NDArray[np.uint16]:
    """g² [k, j, i] of the voxels of ``level`` inside the halo."""
    finer = [_finer(level, lines, skip) for skip in range(3)]
    k, j, i = (_crossings(finer[n], n, axes[n]) for n in range(3))
    across = np.minimum(_least(i, 1, axes[1], lines[1]), _least(j, 2, axes[2], lines[2]))
    along = _least(_least(k, 1, axes[1], lines[1]), 2, axes[2], lines[2])
    return np.minimum(_least(across, 0, axes[0], lines[0]), along)


def _finer(level: NDArray, lines: tuple[int, int, int], skip: int) -> NDArray:
    """``level`` interpolated to more lines along the other two axes."""
    for axis in range(3):
        count = lines[axis]
        if axis == skip or count == 1:
            continue
        level = np.moveaxis(level.astype(np.float32), axis, 0)
        fine = np.empty(((len(level) - 1) * count + 1, *level.shape[1:]), dtype=np.float32)
        fine[::count] = level
        for n in range(1, count):
            fine[n::count] = (level[:-1] * (count - n) + level[1:] * n) / count
        level = np.moveaxis(fine, 0, axis)
    return level


def _crossings(level: NDArray, axis: int, along: Axis) -> NDArray[np.uint16]:
    """g² from the points where the surface crosses the lines along one axis, on those lines."""
    before, after = along.halo
    level = np.moveaxis(level, axis, 0)
    solid = level >= HALF
    count = len(level) - before - after
    least = np.full((count, *level.shape[1:]), FAR, dtype=np.uint16)
    flat = least.reshape(count, -1)
    for direction, margin in ((1, along.upper), (-1, along.lower)):
        inner, outer = (slice(None, -1), slice(1, None))[::direction]
        at, line = np.divmod(np.flatnonzero(solid[inner] & ~solid[outer]), flat.shape[1])
        inside = level[inner].reshape(len(level) - 1, -1)[at, line].astype(np.float64)
        outside = level[outer].reshape(len(level) - 1, -1)[at, line].astype(np.float64)
        beyond = (inside - HALF) / (inside - outside)
        at += (direction == -1) - before
        for step in range(1, int(margin / along.spacing) + 2):
            target = at + direction * step
            share = along.squared(direction * (step - beyond) * along.spacing)
            ok = (target >= 0) & (target < count) & (share <= ONE)
            place = target[ok], line[ok]
            flat[place] = np.minimum(flat[place], share[ok])
    return np.ascontiguousarray(np.moveaxis(least, 0, axis))


def _least(field: NDArray[np.uint16], axis: int, along: Axis, lines: int) -> NDArray[np.uint16]:
    """The least over one axis of a field plus this axis' share of g², at the voxels inside the halo."""
    before, after = along.halo
    shape = list(field.shape)
    shape[axis] = count = (shape[axis] - 1) // lines + 1 - before - after
    offsets = np.arange(-before * lines, after * lines + 1)
    shares = along.squared(-offsets * (along.spacing / lines))
    least = np.full(shape, FAR, dtype=np.uint16)
    total = np.empty_like(least)
    for offset, share in zip(offsets.tolist(), shares, strict=True):
        if share <= ONE:
            first = before * lines + offset
            taken = slice(first, first + (count - 1) * lines + 1, lines)
            np.add(field[(slice(None),) * axis + (taken,)], share, out=total)
            np.minimum(least, total, out=least)
    return least
