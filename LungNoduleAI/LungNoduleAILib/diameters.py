"""Longest diameters of a mask and the longest perpendicular to them, in axial sections and in any plane."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import cdist

from LungNoduleAILib.character import Diameters
from LungNoduleAILib.nodule import NoduleMask

_HALF = 0.5
# Directions of the short axis that are tried around the long one: every 3°.
_TURNS = 60


def axial_diameters(mask: NoduleMask) -> Diameters | None:
    """In the axial section (the grid's k planes) with the longest diameter, as the Fleischner Society measures.

    Bankier et al., Radiology 2017: the longest, and the longest perpendicular to it in the same section.

    Returns:
        None where no voxel is half nodule.
    """
    best: tuple[float, NDArray, NDArray] | None = None
    for k, section in enumerate(mask.occupancy):
        points = _crossings(section[None], axes=(1, 2))
        if len(points) < 3:
            continue
        points[:, 0] = k
        world = mask.grid.ras(points[:, ::-1])
        ends = world[list(_farthest(world))]
        length = float(np.linalg.norm(ends[1] - ends[0]))
        if best is None or length > best[0]:
            best = (length, world, ends)
    if best is None:
        return None
    length, world, ends = best
    return _with_short(world, ends, np.cross(mask.grid.directions[:, 2], ends[1] - ends[0])[None] / length)


def best_plane_diameters(mask: NoduleMask) -> Diameters | None:
    """In the plane, oblique ones included, that holds the longest diameter and the longest one perpendicular to it.

    Returns:
        None where no voxel is half nodule.
    """
    points = _crossings(mask.occupancy)
    if len(points) < 4:
        return None
    world = mask.grid.ras(points[:, ::-1])
    a, b = _farthest(world)
    ends = world[[a, b]]
    along = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
    first = np.cross(along, np.eye(3)[int(np.argmin(np.abs(along)))])
    first /= np.linalg.norm(first)
    angles = np.arange(_TURNS) * np.pi / _TURNS
    return _with_short(world, ends, np.outer(np.cos(angles), first) + np.outer(np.sin(angles), np.cross(along, first)))


def _with_short(points: NDArray[np.float64], ends: NDArray[np.float64], across: NDArray[np.float64]) -> Diameters:
    """The short axis: between two points of the contour along one of the directions, wherever on the long axis.

    Each direction spans a plane with the long axis; points within half a millimetre of it are its contour.
    """
    long_axis = ends[1] - ends[0]
    length = float(np.linalg.norm(long_axis))
    along = long_axis / length
    offset = points - ends[0]
    u = offset @ along
    best = (0.0, ends[[0, 0]])
    width = np.arange(0.0, length, 0.25)
    for direction in across:
        v = offset @ direction
        rest = offset @ np.cross(along, direction)
        in_plane = np.abs(rest) <= 0.5
        if in_plane.sum() < 2:
            continue
        pu, pv = u[in_plane], v[in_plane]
        order = np.argsort(pu)
        pu, pv = pu[order], pv[order]
        upper, lower = _envelope(pu, pv, width), -_envelope(pu, -pv, width)
        at = int(np.argmax(upper - lower))
        if upper[at] - lower[at] > best[0]:
            foot = ends[0] + width[at] * along
            best = (
                float(upper[at] - lower[at]),
                np.stack([foot + lower[at] * direction, foot + upper[at] * direction]),
            )
    short = min(best[0], length)
    return Diameters(length, short, _pair(ends), _pair(best[1]))


def _envelope(u: NDArray, v: NDArray, at: NDArray) -> NDArray[np.float64]:
    """Upper convex hull of points (u, v), sorted by u, at positions."""
    hull: list[int] = []
    for n in range(len(u)):
        while len(hull) > 1 and (u[hull[-1]] - u[hull[-2]]) * (v[n] - v[hull[-2]]) >= (v[hull[-1]] - v[hull[-2]]) * (
            u[n] - u[hull[-2]]
        ):
            hull.pop()
        hull.append(n)
    return np.interp(at, u[hull], v[hull])


def _farthest(points: NDArray[np.float64]) -> tuple[int, int]:
    """The two points that lie farthest apart."""
    kept = np.arange(len(points))
    # In the plane of a section the hull needs two coordinates.
    centred = points - points.mean(axis=0)
    spread, axes = np.linalg.svd(centred, full_matrices=False)[1:]
    spanned = spread > 1e-6 * spread[0]
    if np.count_nonzero(spanned) > 1:
        with suppress(QhullError):
            kept = ConvexHull(centred @ axes[spanned].T).vertices
    between = cdist(points[kept], points[kept])
    a, b = np.unravel_index(np.argmax(between), between.shape)
    return int(kept[a]), int(kept[b])


def _crossings(occupancy: NDArray[np.float32], axes: tuple[int, ...] = (0, 1, 2)) -> NDArray[np.float64]:
    """Points (k, j, i) where the occupancy crosses 0.5 between neighbouring voxels, by linear interpolation."""
    padded = np.pad(occupancy, 1).astype(np.float64)
    found = []
    for axis in axes:
        low, high = (
            padded[tuple(slice(*cut) if n == axis else slice(None) for n in range(3))] for cut in ((0, -1), (1, None))
        )
        at = np.nonzero((low >= _HALF) != (high >= _HALF))
        points = np.stack(at, axis=1).astype(np.float64)
        points[:, axis] += (_HALF - low[at]) / (high[at] - low[at])
        found.append(points)
    return np.vstack(found) - 1.0


def _pair(points: NDArray) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    return tuple(tuple(float(x) for x in point) for point in points)
