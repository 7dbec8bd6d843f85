"""What a user points at: clicks, a box, a mask; each checked before any work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.errors import InputError
from SegmentationAILib.preprocess import EDGE
from SegmentationAILib.volume import Grid, Volume

Point = tuple[float, float, float]
# Fainter than the faintest ground glass within 1.5 mm of the click is air, lung or what lies outside the body.
_FAINTEST_HU = -800.0
_BLUR_MM = 1.5
# Smaller than the smallest tumour that thick slices show.
_SMALLEST_BOX_MM = 2.0


@dataclass(frozen=True)
class Click:
    """A point that belongs to the tumour, or does not."""

    ras: Point
    add: bool = True


@dataclass(frozen=True)
class Box:
    """The tumour lies inside and nearly fills it; RAS, mm."""

    low: Point
    high: Point

    @property
    def centre(self) -> Point:
        return tuple((a + b) / 2 for a, b in zip(self.low, self.high, strict=True))


@dataclass(frozen=True, eq=False)
class Drawn:
    """A mask to start from, bool [k, j, i] on the volume's grid."""

    mask: NDArray[np.bool_]


Prompt = Click | Box | Drawn


def checked_click(volume: Volume, ras: Point, add: bool) -> Click:
    """A click on the volume.

    Raises:
        InputError: it lies outside the volume, or would add air.
    """
    point = _point(ras)
    kji = np.round(volume.grid.ijk(point)).astype(int)[::-1]
    if not _inside(volume, point):
        raise InputError(f"The click at {_text(point)} lies outside the CT; click inside it.")
    if add and _brightest(volume, kji) < _FAINTEST_HU:
        raise InputError(f"The click at {_text(point)} lies in air; click on the tumour itself.")
    return Click(point, bool(add))


def checked_box(volume: Volume, first: Point, second: Point) -> Box:
    """A box between two corners, in any order.

    Raises:
        InputError: it has no size, or does not lie in the volume.
    """
    a, b = np.array(_point(first)), np.array(_point(second))
    low, high = np.minimum(a, b), np.maximum(a, b)
    if (high - low).min() < _SMALLEST_BOX_MM:
        raise InputError(f"The box is less than {_SMALLEST_BOX_MM:g} mm wide; draw it around the whole tumour.")
    box = Box(tuple(map(float, low)), tuple(map(float, high)))
    if not _inside(volume, box.centre):
        raise InputError("The middle of the box lies outside the CT; draw the box inside it.")
    return box


def checked_mask(volume: Volume, mask: NDArray[np.bool_]) -> Drawn:
    """A mask on the volume's grid.

    Raises:
        InputError: it is empty, or has another shape.
    """
    if mask.shape != volume.shape:
        raise InputError(f"The segment has {mask.shape} voxels and the CT {volume.shape}; resample it to the CT.")
    if not mask.any():
        raise InputError("The segment is empty; choose one that holds a tumour.")
    kept = np.array(mask, dtype=bool)
    kept.setflags(write=False)
    return Drawn(kept)


def voxel_of(grid: Grid, ras: Point) -> tuple[int, int, int]:
    """(k, j, i) of the voxel that is nearest to a point."""
    kji = np.round(grid.ijk(ras)).astype(int)[::-1]
    return tuple(int(n) for n in np.clip(kji, 0, np.array(grid.shape) - 1))


def _point(ras: Point) -> Point:
    point = tuple(float(x) for x in ras)
    if len(point) != 3 or not np.isfinite(point).all():
        raise InputError("A click needs three finite coordinates in mm; click on the CT.")
    return point


def _inside(volume: Volume, ras: Point) -> bool:
    ijk = volume.grid.ijk(ras)
    return bool(np.all((ijk > -EDGE) & (ijk < np.array(volume.shape[::-1]) - 1 + EDGE)))


def _brightest(volume: Volume, kji: NDArray[np.int_]) -> float:
    reach = np.floor(_BLUR_MM / volume.spacing[::-1]).astype(int)
    near = tuple(slice(max(0, c - r), c + r + 1) for c, r in zip(kji, reach, strict=True))
    return float(volume.array[near].max())


def _text(point: Point) -> str:
    return "R {:.0f}, A {:.0f}, S {:.0f} mm".format(*point)
