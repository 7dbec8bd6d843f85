"""Where the smooth surface behind a mask runs: a level for every voxel, zero on the surface.

A mask says no more than on which side of the surface each voxel centre lies. Smoothed, it tells more, but
a Gaussian of width σ draws the half level of a ball of radius R in: at the ball's surface it leaves
1/2 - σ / (R √(2π)) and terms in exp(-2 R²/σ²). The error is linear in σ, hence

    (√2 G(σ) - G(√2 σ)) / (√2 - 1)

is one half on the surface of every ball, to those terms, and to first order in its curvatures on every
smooth surface. G is a triangle here, which is a box smoothed by itself, and G(√2 σ) is G applied twice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.radiotherapy.parts import PART_VOXELS, in_parts

# Levels of voxels wholly inside; those wholly outside have the negative. Whole numbers, so that neither
# mirroring nor the order of the axes changes a voxel.
FULL = 4096
# No voxel's level comes closer to zero, so that a surface stays off the voxel centres: single voxels and
# thin walls keep a thickness. A tenth leaves the surface free between 1/11 and 10/11 of the way from one
# centre to the next; with more, the facets of coarse balls lie wrong, and grown balls with them.
NEAREST = FULL // 10
# Of a box's face, which runs half way.
_FLAT = FULL // 2

# Width of the box in voxels, along the widest axis and at most: 3 smooth over σ = √(4/3). Across thick
# slices the steps of a slope are long, and more voxels are needed to see them; the widest box, 7, keeps
# within whole numbers of 32 bits.
_NARROWEST, _WIDEST = 3, 7


def surface_levels(mask: NDArray[np.bool_], spacing: tuple[float, float, float]) -> NDArray[np.int16]:
    """How far inside the surface each voxel centre is, as lines along each axis see it.

    Where all that is near a voxel is straight along an axis but for one end, as at the faces of a box,
    the surface crosses lines along this axis half way between the voxels.

    Args:
        mask: bool [k, j, i]; taken to continue beyond the array's edge.
        spacing: of k, j and i, mm.

    Returns:
        int16 [3, k, j, i]: above 0 in the mask, below 0 elsewhere, between ``FULL`` and ``-FULL``; for
        lines along k, j and i.
    """
    widths = tuple(min(_WIDEST, round(_NARROWEST * np.sqrt(max(spacing) / size))) for size in spacing)
    reach = tuple(2 * (width - 1) for width in widths)
    around = np.pad(mask, [(r, r) for r in reach], mode="edge").view(np.uint8)
    levels = np.empty((3, *mask.shape), dtype=np.int16)

    def fill(core: tuple[slice, ...]) -> None:
        near = around[tuple(slice(s.start, s.stop + 2 * r) for s, r in zip(core, reach, strict=True))]
        if near.all() or not near.any():
            levels[(slice(None), *core)] = FULL if near.flat[0] else -FULL
            return
        inside = mask[core]
        levels[(slice(None), *core)] = _level(near, widths, inside)
        flat = np.where(inside, np.int16(_FLAT), np.int16(-_FLAT))
        for axis in range(3):
            np.copyto(levels[(axis, *core)], flat, where=_straight(near, axis, reach))

    in_parts(fill, mask.shape, round(PART_VOXELS ** (1 / 3)))
    return levels


def single_levels(mask: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Levels such that the mask reaches as far as each of its voxels is sure to, in whatever surroundings.

    Args:
        mask: bool [k, j, i].

    Returns:
        int16 [3, k, j, i], as ``surface_levels`` gives.
    """
    return np.broadcast_to(np.where(mask, np.int16(NEAREST), np.int16(-FULL)), (3, *mask.shape))


def finer(level: NDArray, axis: int, lines: int) -> NDArray:
    """Levels with more lines along an axis, on cubics through four of them.

    Args:
        level: [k, j, i] of one axis of ``surface_levels``, or what this function made of it.
        axis: along which lines are added.
        lines: for each voxel; 1, 2 or 4.

    Returns:
        int32, 16 times the levels for each doubling, so that they stay whole; ``lines`` times as long less
        what would lie beyond the last voxel's centre.
    """
    level = np.moveaxis(level, axis, 0)
    while lines > 1:
        fine = np.empty((2 * len(level) - 1, *level.shape[1:]), dtype=np.int32)
        fine[::2] = 16 * level.astype(np.int32)
        wide = np.concatenate([level[:1], level, level[-1:]]).astype(np.int32)
        fine[1::2] = 9 * (wide[1:-2] + wide[2:-1]) - (wide[:-3] + wide[3:])
        level = fine
        lines //= 2
    return np.moveaxis(level, 0, axis)


def _level(near: NDArray[np.uint8], widths: tuple[int, ...], inside: NDArray[np.bool_]) -> NDArray[np.int16]:
    once = _smooth(near, widths, largest=1)
    twice = _smooth(once, widths, largest=np.prod(widths) ** 2)
    core = tuple(slice(w - 1, n - w + 1) for w, n in zip(widths, once.shape, strict=True))
    scale = 2 * FULL / (np.sqrt(2) - 1) / np.prod(widths) ** 2
    level = np.multiply(once[core], np.sqrt(2) * scale, dtype=np.float32)
    level -= np.multiply(twice, scale / np.prod(widths) ** 2, dtype=np.float32)
    level -= FULL
    level = np.rint(np.clip(level, -FULL, FULL, out=level), out=level).astype(np.int16)
    return np.where(inside, np.maximum(level, NEAREST), np.minimum(level, -NEAREST))


def _smooth(array: NDArray, widths: tuple[int, ...], *, largest: int) -> NDArray:
    """The sums over a triangle along each axis, where it fits in an array of numbers up to ``largest``."""
    for axis, width in enumerate(widths):
        largest *= width**2
        array = np.moveaxis(array.astype(np.min_scalar_type(largest), copy=False), axis, 0)
        for _ in range(2):
            count = len(array) - width + 1
            total = array[:count] + array[1 : count + 1]
            for n in range(2, width):
                total += array[n : n + count]
            array = total
        array = np.moveaxis(array, 0, axis)
    return array


def _straight(near: NDArray[np.uint8], axis: int, reach: tuple[int, ...]) -> NDArray[np.bool_]:
    """The voxels of the core on either side of an end along an axis, where nothing near has another."""
    near = np.moveaxis(near, axis, 0)
    margin = reach[axis]
    length = len(near) - 2 * margin
    change = near[margin - 2 : margin + length + 1] != near[margin - 1 : margin + length + 2]
    end = change[1:-1]
    other = (change[:-2] | change[2:]) & ~end
    first, second = (reach[n] for n in range(3) if n != axis)
    other = _any_within(_any_within(other, 1, first), 2, second)
    end = end[:, first:-first, second:-second] & ~other
    return np.moveaxis(end[:-1] | end[1:], 0, axis)


def _any_within(array: NDArray[np.bool_], axis: int, radius: int) -> NDArray[np.bool_]:
    array = np.moveaxis(array, axis, 0)
    have, want = 1, 2 * radius + 1
    while have < want:
        step = min(have, want - have)
        array = array[:-step] | array[step:]
        have += step
    return np.moveaxis(array, 0, axis)
