"""Contours in any planes to a mask on a grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.preprocess import resample
from SegmentationAILib.radiotherapy.rasterise import rasterise
from SegmentationAILib.volume import Grid

# A contour whose points leave a slice's plane by less than this lies in it, in slices.
_FLAT = 0.2
# Contours are coplanar if their normals differ by less than 1°.
_SAME_DIRECTION = float(np.cos(np.radians(1.0)))
_OFF_PLANE_MM = 0.5


@dataclass(frozen=True, eq=False)
class Voxelised:
    """A mask and what had to be guessed for it.

    Attributes:
        mask: bool [k, j, i].
        interpolated: slices k that were filled between drawn slices.
        gaps: pairs of drawn slices (k, k) with nothing between them where the structure is in two parts.
        between_slices: whether contours lie between or across the slices.
        outside: how many contours lie beyond the slices.
        bent: how many contours were left out since their points lie in no plane.
        repeated: how many contours were left out since they repeat another.
    """

    mask: NDArray[np.bool_]
    interpolated: tuple[int, ...]
    gaps: tuple[tuple[int, int], ...]
    between_slices: bool
    outside: int
    bent: int
    repeated: int


def voxelise(contours: Sequence[NDArray[np.float64]], grid: Grid) -> Voxelised:
    """The mask that closed contours go around.

    Those in planes parallel to the slices are drawn in them; others on a grid of their own planes,
    which is resampled. Contours of one plane are combined by exclusive or, so that a contour within
    another is a hole; see ``rasterise`` for slices between them.

    Args:
        contours: [n, 3] points of each, RAS in mm, three at least.
        grid: where the mask is wanted.
    """
    places = [grid.ijk(contour) for contour in contours]
    flat = [float(np.ptp(place[:, 2])) <= _FLAT for place in places]
    in_slices = [place for place, is_flat in zip(places, flat, strict=True) if is_flat]
    across, bent = _by_direction([contour for contour, is_flat in zip(contours, flat, strict=True) if not is_flat])
    mask = np.zeros(grid.shape, dtype=bool)
    interpolated: tuple[int, ...] = ()
    gaps: tuple[tuple[int, int], ...] = ()
    between_slices, outside, repeated = bool(across), 0, 0
    if in_slices:
        rings = [place[:, :2] for place in in_slices]
        drawn = rasterise(rings, [float(p[:, 2].mean()) for p in in_slices], grid.shape, float(grid.spacing[2]))
        mask, interpolated, gaps, outside = drawn.mask, drawn.interpolated, drawn.gaps, drawn.outside
        between_slices |= drawn.between_planes
        repeated = drawn.repeated
    for group in across:
        own = _grid_along(group, grid)
        rings = [own.ijk(contour) for contour in group]
        drawn = rasterise(
            [ring[:, :2] for ring in rings], [ring[:, 2].mean() for ring in rings], own.shape, own.spacing[2]
        )
        repeated += drawn.repeated
        mask |= resample(drawn.mask, own, grid, mode="area") >= 0.5
    return Voxelised(mask, interpolated, gaps, between_slices, outside, bent, repeated)


def _by_direction(contours: Sequence[NDArray[np.float64]]) -> tuple[list[list[NDArray[np.float64]]], int]:
    """Contours in groups of parallel planes, and how many lie in none."""
    groups: list[tuple[NDArray[np.float64], list[NDArray[np.float64]]]] = []
    bent = 0
    for contour in contours:
        centred = contour - contour.mean(axis=0)
        normal = np.linalg.svd(centred, full_matrices=False)[2][2]
        if np.max(np.abs(centred @ normal)) > _OFF_PLANE_MM:
            bent += 1
            continue
        for direction, members in groups:
            if abs(direction @ normal) >= _SAME_DIRECTION:
                members.append(contour)
                break
        else:
            groups.append((normal, [contour]))
    return [members for _, members in groups], bent


def _grid_along(contours: Sequence[NDArray[np.float64]], like: Grid) -> Grid:
    """A grid whose slices are the contours' planes, as fine in them as the finest axis of ``like``."""
    largest = max(contours, key=len)
    axes = np.linalg.svd(largest - largest.mean(axis=0), full_matrices=False)[2]
    places = [contour @ axes.T for contour in contours]
    depths = np.unique(np.round([place[:, 2].mean() for place in places], 1))
    across = (
        float(np.median(np.diff(depths)))
        if len(depths) > 1
        else float(np.abs(axes[2] @ like.directions) @ like.spacing)
    )
    fine = float(like.spacing.min())
    spacing = np.array([fine, fine, across])
    low = np.min([place.min(axis=0) for place in places], axis=0) - 2 * spacing
    high = np.max([place.max(axis=0) for place in places], axis=0) + 2 * spacing
    # The first slice lies on a contour's plane.
    low[2] = depths[0] - 2 * across
    matrix = np.eye(4)
    matrix[:3, :3] = axes.T * spacing
    matrix[:3, 3] = low @ axes
    return Grid(tuple(np.ceil((high - low) / spacing).astype(int)[::-1] + 1), matrix)
