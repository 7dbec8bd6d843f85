"""The part of a CT around a click, at a resolution that fits the tumour there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from SegmentationAILib.preprocess import resample
from SegmentationAILib.volume import Grid, Volume

# Lung, where the window shows none.
_LUNG_HU = -860.0
# Aerated lung, without ground glass.
_LUNG_BELOW_HU = -700.0
# Calcium must not raise the threshold of the soft tissue around it.
_DENSEST_CORE_HU = 100.0
_LEAST_CONTRAST_HU = 150.0
# Share of the way from lung to core from which on LIDC's readers count a voxel in: the median of their
# outlines' inner and outer neighbours lies at 0.44 and 0.13 (patients of training).
EDGE_SHARE = 0.30
# Depths that are looked for first at 1 mm, then at 3 mm.
_FIRST_LOOKS = ((1.0, 24.0), (3.0, 96.0))
_ENOUGH_FOR_FIRST_LOOK_MM = 11.0
LEAST_DEPTH_MM, MOST_DEPTH_MM = 1.2, 45.0
_VOXELS_PER_DEPTH = 6.0
_SPACINGS_MM = (0.6, 3.0)
_MOST_SIDE_VOXELS = 60
REACH_DEPTHS, _REACH_MM = 3.0, 8.0


@dataclass(frozen=True, eq=False)
class Window:
    """Isotropic voxels around a point.

    Attributes:
        grid: axes along the volume's, in the order nearest to L, P, S; ends where the volume ends.
        hu: float32 [k, j, i].
        centre: voxel (k, j, i) of the point.
        depth_mm: how far the surface of what was pointed at is away, about its inner radius.
        core_hu: of what was pointed at, calcium aside.
        lung_hu: of the lung around.
    """

    grid: Grid
    hu: NDArray[np.float32]
    centre: tuple[int, int, int]
    depth_mm: float
    core_hu: float
    lung_hu: float

    @property
    def spacing_mm(self) -> float:
        return float(self.grid.spacing[0])

    @property
    def density(self) -> NDArray[np.float32]:
        """0 in lung, 1 in the core, cut at -0.5 and 2."""
        share = (self.hu - self.lung_hu) / (self.core_hu - self.lung_hu)
        return np.clip(share, -0.5, 2.0).astype(np.float32)

    def distance_from(self, kji: tuple[float, float, float]) -> NDArray[np.float32]:
        """mm of each voxel's centre to a voxel."""
        return distance_from(self.hu.shape, kji, self.spacing_mm)


def window_around(volume: Volume, centre_ras: NDArray, depth_mm: float | None = None) -> Window:
    """The window of a click.

    Args:
        volume: CT, HU.
        centre_ras: mm, inside the volume.
        depth_mm: inner radius of the tumour where it is known, else it is looked for.
    """
    if depth_mm is None:
        depth_mm = _depth(volume, centre_ras)
    depth_mm = float(np.clip(depth_mm, LEAST_DEPTH_MM, MOST_DEPTH_MM))
    half = REACH_DEPTHS * depth_mm + _REACH_MM
    spacing = max(float(np.clip(depth_mm / _VOXELS_PER_DEPTH, *_SPACINGS_MM)), 2 * half / _MOST_SIDE_VOXELS)
    return _cut(volume, centre_ras, half, spacing, depth_mm)


def signed_distance(mask: NDArray[np.bool_], spacing_mm: float) -> NDArray[np.float32]:
    """mm to the faces between a mask and the rest, positive inside; ±1000 where there is no face."""
    if not mask.any() or mask.all():
        return np.full(mask.shape, 1000.0 if mask.any() else -1000.0, dtype=np.float32)
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing((spacing_mm,) * 3)
    # Without squares kept, Maurer's distance is 0 on the inner voxels of the border.
    distance = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
    centres = np.abs(sitk.GetArrayFromImage(distance))
    return np.where(mask, centres + spacing_mm / 2, spacing_mm / 2 - centres).astype(np.float32)


def distance_from(shape: tuple[int, ...], kji: tuple[float, ...], spacing_mm: float) -> NDArray[np.float32]:
    axes = np.ogrid[tuple(map(slice, shape))]
    squares = sum((spacing_mm * (axis - c)) ** 2 for axis, c in zip(axes, kji, strict=True))
    return np.sqrt(squares).astype(np.float32)


def _depth(volume: Volume, centre_ras: NDArray) -> float:
    for spacing, half in _FIRST_LOOKS:
        look = _cut(volume, centre_ras, half, spacing, 0.0)
        distance = signed_distance(look.density > EDGE_SHARE, spacing)
        away = look.distance_from(look.centre)
        depth = max(float(distance[look.centre]), 0.5)
        # A click beside the middle: deeper places nearby belong to the same tumour.
        for _ in range(2):
            depth = max(depth, float(distance[away <= 0.5 * depth + 0.5].max()))
        if depth < _ENOUGH_FOR_FIRST_LOOK_MM:
            break
    return depth


def _cut(volume: Volume, centre_ras: NDArray, half_mm: float, spacing: float, depth_mm: float) -> Window:
    grid, centre = _grid_around(volume.grid, np.asarray(centre_ras, dtype=float), half_mm, spacing)
    hu = resample(volume.array, volume.grid, grid, mode="area", fill=_LUNG_HU)
    near = hu[distance_from(hu.shape, centre, spacing) <= max(1.5, spacing)]
    core = min(float(np.percentile(near, 75)), _DENSEST_CORE_HU)
    lung = hu[hu < _LUNG_BELOW_HU]
    lung_hu = float(np.median(lung)) if lung.size >= 20 else _LUNG_HU
    return Window(grid, hu, centre, depth_mm, core, min(lung_hu, core - _LEAST_CONTRAST_HU))


def _grid_around(grid: Grid, centre_ras: NDArray, half_mm: float, spacing: float) -> tuple[Grid, tuple[int, int, int]]:
    """A grid with a voxel at the point that reaches ``half_mm``, less where the volume ends, and that voxel."""
    canonical = grid.canonical()
    at = canonical.ijk(centre_ras)
    before = np.minimum(half_mm, (at + 0.5) * canonical.spacing)
    after = np.minimum(half_mm, (np.array(canonical.shape[::-1]) - 0.5 - at) * canonical.spacing)
    below, above = (
        np.floor(np.maximum(side - spacing / 2, 0.0) / spacing + 1e-6).astype(int) for side in (before, after)
    )
    matrix = np.eye(4)
    matrix[:3, :3] = canonical.directions * spacing
    matrix[:3, 3] = centre_ras - matrix[:3, :3] @ below
    shape = tuple(int(n) for n in (below + above + 1)[::-1])
    return Grid(shape, matrix), tuple(int(n) for n in below[::-1])
