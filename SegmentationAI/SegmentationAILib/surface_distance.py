"""Distances between the surfaces of two masks, weighted by area (Nikolov et al., arXiv:1809.04430; JMIR 2021).

The surface of a mask is its surfels (surfels.py), each at the corner that voxels share. The distance of a surfel is
that to the nearest surfel of the other mask. Empty masks are as in DeepMind's surface-distance:

| | one is empty | both are |
|---|---|---|
| distances of the mask that is not | infinity | – |
| mean from the mask that is not, of both | infinity | NaN |
| mean from the empty mask | NaN | NaN |
| percentile (HD95, HD100) | infinity | infinity |
| surface Dice | 0 | NaN |
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from SegmentationAILib.errors import InputError
from SegmentationAILib.surfels import surfel_areas, surfel_codes

# Steps up to this many voxels (of their mean size) are tried one by one: about 65 of them in 3-D.
_NEARBY_VOXELS = 2.5


@dataclass(frozen=True, eq=False)
class Surface:
    """Distances of the surfels of one mask to the other's surface, nearest first, equals by area.

    Attributes:
        distances: [n], mm.
        areas: [n], mm² (2-D: lengths in mm).
    """

    distances: NDArray[np.float64]
    areas: NDArray[np.float64]

    def mean(self) -> float:
        """mm."""
        return _ratio(self.distances @ self.areas, self.areas.sum())

    def percentile(self, percent: float) -> float:
        """The distance within which ``percent`` of the area lies, mm."""
        if not len(self.distances):
            return float("inf")
        share = np.cumsum(self.areas) / self.areas.sum()
        return float(self.distances[min(np.searchsorted(share, percent / 100), len(share) - 1)])

    def area_within(self, tolerance_mm: float) -> float:
        """mm² at most ``tolerance_mm`` away."""
        return float(self.areas[: np.searchsorted(self.distances, tolerance_mm, side="right")].sum())


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """The surfaces of two masks and how far each is from the other."""

    reference: Surface
    test: Surface

    def mean(self) -> float:
        """Mean over both surfaces together, mm (average symmetric surface distance; Heimann et al., TMI 2009)."""
        area = self.reference.areas.sum() + self.test.areas.sum()
        return _ratio(sum(one.distances @ one.areas for one in (self.reference, self.test)), area)

    def hausdorff(self, percent: float = 100.0) -> float:
        """The larger of both directions' percentiles, mm; HD95 and HD100 at 95 and 100."""
        return max(self.reference.percentile(percent), self.test.percentile(percent))

    def dice(self, tolerance_mm: float) -> float:
        """Surface Dice: the share of both surfaces' area that is within the tolerance of the other, 0…1."""
        within = self.reference.area_within(tolerance_mm) + self.test.area_within(tolerance_mm)
        return _ratio(within, self.reference.areas.sum() + self.test.areas.sum())


def surface_distances(
    reference: NDArray[np.bool_], test: NDArray[np.bool_], spacing_kji: ArrayLike
) -> SurfaceDistances:
    """Measure two masks.

    Args:
        reference, test: bool [k, j, i]; [j, i] measures contours of a slice.
        spacing_kji: voxel size along each axis of the masks, mm.

    Raises:
        InputError: the masks do not fit each other or the spacing.
    """
    spacing = tuple(np.asarray(spacing_kji, dtype=np.float64).tolist())
    check_pair(reference, test, spacing)
    box = bounding_box(reference | test)
    if box is None:
        empty = Surface(np.zeros(0), np.zeros(0))
        return SurfaceDistances(empty, empty)
    codes = [surfel_codes(mask[box]) for mask in (reference, test)]
    places = [
        np.flatnonzero((code != 0) & (code != np.iinfo(np.uint8).max >> (8 - (1 << code.ndim)))) for code in codes
    ]
    ours, theirs = (_surface(codes[n], places[n], places[1 - n], spacing) for n in range(2))
    return SurfaceDistances(ours, theirs)


def bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...] | None:
    """The smallest box that holds the mask, None where it is empty."""
    box: list[slice] = []
    for axis in range(mask.ndim):
        held = mask[tuple(box)].any(axis=tuple(n for n in range(mask.ndim) if n != axis))
        places = np.flatnonzero(held)
        if not len(places):
            return None
        box.append(slice(int(places[0]), int(places[-1]) + 1))
    return tuple(box)


def check_pair(reference: NDArray[np.bool_], test: NDArray[np.bool_], spacing: tuple[float, ...]) -> None:
    """Refuse masks that cannot be compared.

    Raises:
        InputError: not bool, not of one shape, not 2-D or 3-D, or not with one positive spacing per axis.
    """
    if reference.dtype != bool or test.dtype != bool:
        raise InputError("The masks to compare must be boolean; select a label first, for example labels == 1.")
    if reference.shape != test.shape:
        raise InputError(f"The masks have {reference.shape} and {test.shape} voxels; resample them to one grid.")
    if reference.ndim not in (2, 3) or len(spacing) != reference.ndim or not np.all(np.asarray(spacing) > 0):
        raise InputError(
            f"Masks of {reference.ndim} dimensions with spacing {spacing} cannot be compared; "
            "give 2 or 3 dimensions and a positive voxel size in mm for each."
        )


def _surface(
    codes: NDArray[np.uint8], places: NDArray[np.intp], others: NDArray[np.intp], spacing: tuple[float, ...]
) -> Surface:
    """The surface at flat indices ``places`` of ``codes``, and its distances to that at ``others``."""
    areas = surfel_areas(spacing)[codes.ravel()[places]]
    distances = _distances(places, others, codes.shape, spacing)
    order = np.lexsort((areas, distances))
    return Surface(distances[order], areas[order])


def _distances(
    places: NDArray[np.intp], others: NDArray[np.intp], shape: tuple[int, ...], spacing: tuple[float, ...]
) -> NDArray[np.float64]:
    """mm from each of ``places`` to the nearest of ``others``, both flat indices into ``shape``."""
    distances = np.full(len(places), np.inf)
    if not len(others):
        return distances
    occupied = np.zeros(shape, dtype=bool)
    occupied.ravel()[others] = True
    left = _nearby(places, occupied, spacing, distances)
    if not len(left):
        return distances
    nearest = ndimage.distance_transform_edt(
        ~occupied, sampling=spacing, return_distances=False, return_indices=True
    ).reshape(len(shape), -1)[:, places[left]]
    steps = nearest - np.stack(np.unravel_index(places[left], shape))
    distances[left] = np.sqrt(sum((along * size) ** 2 for along, size in zip(steps, spacing, strict=True)))
    return distances


def _nearby(
    places: NDArray[np.intp], occupied: NDArray[np.bool_], spacing: tuple[float, ...], distances: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Fill in the distances that are short, by looking at each step in the order of its length.

    Most surfels of two masks that agree are a voxel or two apart; a distance transform of the whole box for their
    sake takes many times as long.

    Returns:
        Indices into ``places`` that no step reached.
    """
    radius = _NEARBY_VOXELS * np.prod(spacing) ** (1 / len(spacing))
    reach = [int(radius / size) for size in spacing]
    steps = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in reach], indexing="ij"), axis=-1).reshape(
        -1, len(reach)
    )
    lengths = np.sqrt(sum((steps[:, n] * size) ** 2 for n, size in enumerate(spacing)))
    steps, lengths = steps[lengths <= radius], lengths[lengths <= radius]
    padded = np.pad(occupied, [(n, n) for n in reach])
    strides = np.array(padded.strides)
    at = np.stack(np.unravel_index(places, occupied.shape), axis=1) @ strides + np.array(reach) @ strides
    left = np.arange(len(places))
    for n in np.argsort(lengths, kind="stable"):
        met = padded.ravel()[at + steps[n] @ strides]
        distances[left[met]] = lengths[n]
        left, at = left[~met], at[~met]
        if not len(left):
            break
    return left


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
