"""Masks to planar contours: smooth, of the same area as the voxels, in few points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from SegmentationAILib.radiotherapy.polygons import Ring, area, contains, cross, keyhole, simplify, with_area

Holes = Literal["keyhole", "xor"]

DEFAULT_TOLERANCE_MM = 0.1
_SMOOTHING_VOXELS = 1.0
# After smoothing each voxel is kept at least this far on its own side of one half. So the contour
# passes between the same voxel centres as it does in the mask: nothing appears, vanishes or merges.
_OWN_SIDE = 0.05

# For each of 16 ways in which a cell's corners (top left 1, top right 2, bottom right 4, bottom left 8)
# are inside, the sides (top 0, right 1, bottom 2, left 3) that a contour goes from and to with the
# inside to its right on the screen. In the cells with two opposite corners the inside is joined, so
# that voxels that touch at a corner are one structure; they have the second contour below.
_FROM = np.array([-1, 0, 1, 1, 2, 0, 2, 2, 3, 0, 3, 1, 3, 0, 3, -1])
_TO = np.array([-1, 3, 0, 3, 1, 1, 0, 3, 2, 2, 0, 2, 1, 1, 0, -1])
_SECOND = {5: (2, 3), 10: (1, 2)}


def plane_contours(
    mask: NDArray[np.bool_],
    spacing_ij: Sequence[float],
    *,
    tolerance_mm: float = DEFAULT_TOLERANCE_MM,
    holes: Holes = "keyhole",
) -> list[Ring]:
    """The contours of a mask in one plane.

    The area within them is that of the mask's voxels, and no two of their edges cross (the channels
    of keyholes aside).

    Args:
        mask: bool [j, i].
        spacing_ij: voxel size along i and j, mm.
        tolerance_mm: how far a contour may lie from the one before simplification; 0 keeps all points.
        holes: ``"keyhole"`` joins each hole to its outline, ``"xor"`` gives it as a contour of its own.

    Returns:
        [n, 2] (i, j) of each contour's points, continuous, voxel centres at whole numbers.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return []
    scale = np.asarray(spacing_ij, dtype=np.float64)
    padded = np.pad(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 2)
    rings = _simple_rings(padded, scale, tolerance_mm)
    if holes == "keyhole":
        rings = _with_keyholes(rings)
    first = np.array([columns[0], rows[0]]) - 2
    return [ring + first for ring in rings]


def isolines(values: NDArray) -> list[Ring]:
    """Where values in a plane cross one half, by linear interpolation between neighbours.

    Args:
        values: [j, i]; what lies outside counts as 0.

    Returns:
        [n, 2] (i, j) of each closed line's points, as ``plane_contours`` gives them.
    """
    padded = np.pad(values, 1).astype(np.float64)
    return [ring - 1.0 for ring in _level_set(padded >= 0.5, padded)[0]]


def _occupancy(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    smooth = ndimage.gaussian_filter(mask.astype(np.float64), _SMOOTHING_VOXELS, mode="nearest", truncate=3)
    return np.where(mask, np.maximum(smooth, 0.5 + _OWN_SIDE), np.minimum(smooth, 0.5 - _OWN_SIDE))


def _level_set(mask: NDArray[np.bool_], values: NDArray[np.float64]) -> tuple[list[Ring], list[float]]:
    """Marching squares at one half: rings, and the signed area of the voxels that each goes around.

    A point of a ring lies between an inside and an outside voxel, and so stands for the face between
    them; by Green's theorem the faces across i give the area of the ring of faces.
    """
    height, width = mask.shape
    corners = mask[:-1, :-1] + 2 * mask[:-1, 1:] + 4 * mask[1:, 1:] + 8 * mask[1:, :-1]
    j, i = np.nonzero((corners != 0) & (corners != 15))
    codes = corners[j, i]
    # Pairs of neighbours along i are numbered first, then those along j, by their first voxel.
    cells = np.arange(len(codes))
    top = j * width + i
    sides = np.array([top, top + height * width + 1, top + width, top + height * width])
    source, destination = [sides[_FROM[codes], cells]], [sides[_TO[codes], cells]]
    for code, (start, end) in _SECOND.items():
        source.append(sides[start, codes == code])
        destination.append(sides[end, codes == code])
    source, destination = np.concatenate(source), np.concatenate(destination)
    order = np.argsort(source)
    names = source[order]
    follows = np.searchsorted(names, destination[order])

    along_j = names >= height * width
    j, i = np.divmod(names - along_j * height * width, width)
    first, second = values[j, i], values[j + along_j, i + ~along_j]
    fraction = (0.5 - first) / (second - first)
    points = np.column_stack([i + np.where(along_j, 0, fraction), j + np.where(along_j, fraction, 0)])
    # Going around the inside clockwise on the screen, the contour runs towards +j where it leaves it along i.
    faces = np.where(along_j, 0.0, (i + 0.5) * np.where(mask[j, i], 1.0, -1.0))

    rings, targets = [], []
    for ring in _cycles(follows):
        rings.append(points[ring])
        targets.append(float(faces[ring].sum()))
    return rings, targets


def _cycles(follows: NDArray[np.intp]) -> Iterator[list[int]]:
    following = follows.tolist()
    seen = bytearray(len(following))
    for start in range(len(following)):
        if seen[start]:
            continue
        cycle = []
        at = start
        while not seen[at]:
            seen[at] = 1
            cycle.append(at)
            at = following[at]
        yield cycle


def _simple_rings(mask: NDArray[np.bool_], scale: NDArray[np.float64], tolerance_mm: float) -> list[Ring]:
    """Rings of the voxels' area that do not cross, as smooth and of as few points as that allows."""
    smooth = _occupancy(mask)
    attempts = ((smooth, tolerance_mm), (smooth, tolerance_mm / 4), (smooth, 0.0), (mask.astype(float), 0.0))
    for values, tolerance in attempts:
        rings, targets = _level_set(mask, values)
        result = []
        for ring, target in zip(rings, targets, strict=True):
            # In voxels, so that where they are oblong the contour does not reach a neighbour's centre sooner one way.
            moved = with_area(simplify(ring * scale, tolerance) / scale, target)
            result.append(ring if moved is None or np.sign(area(moved)) != np.sign(target) else moved)
        if not cross(result):
            return result
    return rings


def _with_keyholes(rings: list[Ring]) -> list[Ring]:
    outlines = [ring for ring in rings if area(ring) > 0]
    holes: list[list[Ring]] = [[] for _ in outlines]
    for hole in (ring for ring in rings if area(ring) < 0):
        around = [n for n, outline in enumerate(outlines) if contains(outline, hole[0])]
        holes[min(around, key=lambda n: area(outlines[n]))].append(hole)
    return [keyhole(outline, inside) for outline, inside in zip(outlines, holes, strict=True)]
