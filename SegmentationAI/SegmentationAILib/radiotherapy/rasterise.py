"""Planar contours to masks: coverage of each voxel, and planes between the drawn ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from SegmentationAILib.radiotherapy.polygons import Ring, area

# Coverage is exact along i and sampled along j on this many lines for each row of voxels.
_LINES = 16
# Half a voxel, less rounding: a contour through voxel centres covers half of those it passes.
_HALF = 0.5 - 1e-6
# A contour this close to an image plane lies on it, in slices.
_ON_PLANE = 0.1
# Planes further apart than this are never taken for a structure that was drawn on some slices only.
# Five slices of 3 mm: planning systems interpolate over a few slices, not over centimetres.
_LARGEST_GAP_MM = 15.0


_SAME_PLANE_MM = 0.05
# Two contours that differ by no more than this share of their area are one drawn twice.
_SAME_AREA = 0.03


@dataclass(frozen=True, eq=False)
class Rasterised:
    """A mask and what had to be guessed for it.

    Attributes:
        mask: bool [k, j, i].
        interpolated: slices k that were filled between drawn slices.
        gaps: pairs of drawn slices (k, k) with nothing between them where the structure is in two parts.
        between_planes: whether contours lie off the image planes.
        outside: how many contours lie above the first or below the last slice.
        repeated: how many contours repeat another of their plane and are left out.
    """

    mask: NDArray[np.bool_]
    interpolated: tuple[int, ...]
    gaps: tuple[tuple[int, int], ...]
    between_planes: bool
    outside: int
    repeated: int


def coverage(rings: Sequence[Ring], shape: tuple[int, int]) -> NDArray[np.float32]:
    """[j, i] share of each voxel that lies within an odd number of the rings (0…1).

    Holes may be rings of their own or joined by keyholes; which way rings turn does not matter.

    Args:
        rings: [n, 2] (i, j) points, continuous, voxel centres at whole numbers.
        shape: number of voxels along (j, i).
    """
    height, width = shape
    start = np.concatenate(rings)
    end = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    # Line n is at j = (n + 1/2) / lines - 1/2; an edge crosses those from its lower end up to, not with, its upper.
    first_line = np.ceil((np.minimum(start[:, 1], end[:, 1]) + 0.5) * _LINES - 0.5).astype(np.int64)
    last_line = np.ceil((np.maximum(start[:, 1], end[:, 1]) + 0.5) * _LINES - 0.5).astype(np.int64)
    first_line, last_line = np.clip(first_line, 0, height * _LINES), np.clip(last_line, 0, height * _LINES)
    counts = last_line - first_line
    edge = np.repeat(np.arange(len(start)), counts)
    line = first_line[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    j = (line + 0.5) / _LINES - 0.5
    i = start[edge, 0] + (j - start[edge, 1]) * (end[edge, 0] - start[edge, 0]) / (end[edge, 1] - start[edge, 1])

    order = np.lexsort((i, line))
    line, i = line[order], np.clip(i[order] + 0.5, 0, width)
    # Each line is crossed an even number of times, so the parity of the rank says entering or leaving.
    sign = np.where(np.arange(len(line)) % 2 == 0, 1.0, -1.0) / _LINES
    voxel = np.minimum(i.astype(np.int64), width)
    fraction = i - voxel
    place = (line // _LINES) * (width + 2) + voxel
    size = height * (width + 2)
    steps = np.bincount(place, sign * (1 - fraction), size) + np.bincount(place + 1, sign * fraction, size)
    return np.cumsum(steps.reshape(height, width + 2), axis=1)[:, :width].astype(np.float32)


def rasterise(
    rings: Sequence[Ring], planes: Sequence[float], shape: tuple[int, int, int], spacing_k: float
) -> Rasterised:
    """The mask of contours that lie in planes parallel to a grid's slices.

    A voxel belongs to the mask where at least half of it is covered in its slice; a plane whose
    contours cover no voxel by half gives the one that they cover most. Slices between two drawn
    planes are filled where the structure overlaps itself from one to the other, by interpolating the
    distances to their outlines (Raya and Udupa, IEEE TMI 1990). Where contours lie off the slices, the
    outermost reach half a slice (or half their own distance, if that is less) beyond their plane.

    Args:
        rings: [n, 2] (i, j) of each contour.
        planes: k of each contour, continuous.
        shape: the grid's (k, j, i).
        spacing_k: mm between slices.
    """
    mask = np.zeros(shape, dtype=bool)
    places, members = _grouped(planes, spacing_k)
    outside = int(np.sum((np.asarray(planes) < -0.5) | (np.asarray(planes) > shape[0] - 0.5)))
    window = _window(rings, shape)
    if window is None:
        return Rasterised(mask, (), (), False, len(rings), 0)
    j, i = window
    size = (j.stop - j.start, i.stop - i.start)
    distinct = [_distinct([rings[n] - (i.start, j.start) for n in member], size) for member in members]
    drawn = [_section(plane, size) for plane in distinct]
    between_planes = bool(np.any(places != np.round(places)))
    slices = mask[:, j, i]
    for place, section in zip(places, drawn, strict=True):
        if place == round(place) and 0 <= place < shape[0]:
            slices[int(place)] = section
    interpolated: list[int] = []
    gaps: list[tuple[int, int]] = []
    for n in range(len(places) - 1):
        low, high = places[n], places[n + 1]
        missing = [k for k in range(int(low) + 1, int(np.ceil(high))) if low < k < high and 0 <= k < shape[0]]
        if not missing:
            continue
        near = high - low <= 1.01 or (high - low) * spacing_k <= _LARGEST_GAP_MM
        parts = _overlapping(drawn[n], drawn[n + 1]) if near else None
        if parts is None:
            gaps.append((int(low), int(np.ceil(high))))
            continue
        inside = [_signed_distance(part) for part in parts]
        for k in missing:
            share = (k - low) / (high - low)
            slices[k] |= (1 - share) * inside[0] + share * inside[1] > 0
        interpolated += missing
    if between_planes:
        usual = float(np.median(np.diff(places))) if len(places) > 1 else 1.0
        for place, section in zip(places, drawn, strict=True):
            k = round(place)
            if 0 <= k < shape[0] and not slices[k].any() and abs(place - k) <= 0.5 * min(1.0, usual):
                slices[k] = section
    return Rasterised(
        mask, tuple(interpolated), tuple(gaps), between_planes, outside, len(rings) - sum(map(len, distinct))
    )


def _grouped(planes: Sequence[float], spacing_k: float) -> tuple[NDArray[np.float64], list[list[int]]]:
    """The different planes in order, on the slices where they are close to them, and the contours in each."""
    place = np.asarray(planes, dtype=np.float64)
    place = np.where(np.abs(place - np.round(place)) <= _ON_PLANE, np.round(place), place)
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-np.inf) > _SAME_PLANE_MM / spacing_k)
    members = [group.tolist() for group in np.split(order, starts[1:])]
    return np.array([place[group[0]] for group in members]), members


def _window(rings: Sequence[Ring], shape: tuple[int, int, int]) -> tuple[slice, slice] | None:
    """The part (j, i) of the slices that the contours can reach; None where they lie beside the grid."""
    points = np.concatenate(rings)
    size = np.array(shape[:0:-1])
    first = np.clip(np.floor(points.min(axis=0)).astype(int) - 1, 0, size)
    last = np.clip(np.ceil(points.max(axis=0)).astype(int) + 2, 0, size)
    if np.any(last <= first):
        return None
    return slice(first[1], last[1]), slice(first[0], last[0])


def _distinct(rings: Sequence[Ring], shape: tuple[int, int]) -> list[Ring]:
    """The rings without those that go around what another already goes around.

    Some systems write a contour twice, once resampled; by exclusive or the two would leave nothing.
    """
    kept: list[Ring] = []
    for ring in rings:
        size = abs(area(ring))
        alike = [
            other for other in kept if abs(abs(area(other)) - size) <= _SAME_AREA * size and _same_box(ring, other)
        ]
        if not any(float(coverage([ring, other], shape).sum()) <= _SAME_AREA * size for other in alike):
            kept.append(ring)
    return kept


def _same_box(first: Ring, second: Ring) -> bool:
    low, high = first.min(axis=0) - second.min(axis=0), first.max(axis=0) - second.max(axis=0)
    return bool(np.all(np.abs([low, high]) <= 1.0))


def _section(rings: Sequence[Ring], shape: tuple[int, int]) -> NDArray[np.bool_]:
    covered = coverage(rings, shape)
    section = covered >= _HALF
    if not section.any() and covered.max() > 1e-6:
        section[np.unravel_index(int(np.argmax(covered)), shape)] = True
    return section


def _overlapping(
    first: NDArray[np.bool_], second: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """The parts of two sections that overlap each other, None where there are none."""
    common = first & second
    if not common.any():
        return None
    parts = []
    for section in (first, second):
        labels, _ = ndimage.label(section, structure=np.ones((3, 3)))
        parts.append(np.isin(labels, np.unique(labels[common])))
    return parts[0], parts[1]


def _signed_distance(section: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distance to the outline in voxels, positive inside."""
    padded = np.pad(section, 1)
    inside, outside = ndimage.distance_transform_edt(padded), ndimage.distance_transform_edt(~padded)
    return (inside - outside)[1:-1, 1:-1]
