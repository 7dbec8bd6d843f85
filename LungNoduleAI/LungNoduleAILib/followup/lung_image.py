"""The lungs of a CT on a coarse grid, as the registration compares them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from SegmentationAILib.errors import InputError
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.preprocess import resample
from SegmentationAILib.terminology import LEFT_LUNG, RIGHT_LUNG
from SegmentationAILib.volume import LPS_FROM_RAS, Grid, Volume

# 3 mm find known places no better and take nearly three times as long.
SPACING_MM = 4.0
_MARGIN_MM = 24.0
_AIR_HU, _TISSUE_HU = -1000.0, 0.0
# Less than this is a collapsed lung, or the edge of one on a CT of the abdomen.
_SMALLEST_LUNG_ML = 150.0


@dataclass(frozen=True, eq=False)
class LungImage:
    """A CT's lungs on a coarse grid, and nothing else of it.

    What surrounds the lungs counts as soft tissue, so that ribs, which the lungs slide along, do not hold them.

    Attributes:
        hu: float32 [k, j, i], HU up to soft tissue's.
        share: float32 [k, j, i] in 0…1, how much of each voxel is lung.
        grid: isotropic voxels along L, P, S, over the lungs and a margin.
        extent: the CT's own voxels.
    """

    hu: NDArray[np.float32]
    share: NDArray[np.float32]
    grid: Grid
    extent: Grid

    @classmethod
    def of(cls, volume: Volume, lungs: LabelMap, sides: tuple[str, ...]) -> LungImage:
        """The lungs of those sides."""
        mask = np.isin(lungs.array, [value for value, side in _sides(lungs).items() if side in sides])
        grid = _grid_around(mask, lungs.grid)
        share = resample(mask.astype(np.float32), lungs.grid, grid, mode="area")
        hu = resample(volume.array, volume.grid, grid, mode="area", fill=_TISSUE_HU)
        return cls(share * (np.clip(hu, _AIR_HU, _TISSUE_HU) - _TISSUE_HU) + _TISSUE_HU, share, grid, volume.grid)

    @property
    def centre(self) -> NDArray[np.float64]:
        """RAS of the centre of gravity."""
        return self.grid.ras(np.array(ndimage.center_of_mass(self.share))[::-1])

    def with_density_of(self, other: LungImage) -> LungImage:
        """Scaled so that the middle of the lung has the other's HU and soft tissue stays."""
        middle, goal = (np.median(lungs.hu[lungs.share > 0.95]) - _TISSUE_HU for lungs in (self, other))
        return LungImage(
            (self.hu - _TISSUE_HU) * np.float32(goal / middle) + _TISSUE_HU, self.share, self.grid, self.extent
        )

    def on(self, grid: Grid, affine: NDArray[np.float64]) -> LungImage:
        """On another grid, whose points the matrix takes here."""
        there = Grid(grid.shape, affine @ grid.ijk_to_ras)
        hu = resample(self.hu, self.grid, there, fill=_TISSUE_HU)
        return LungImage(hu, resample(self.share, self.grid, there), grid, self.extent)

    def within(self, extent: Grid, matrix: NDArray[np.float64]) -> LungImage:
        """Soft tissue at the points that the 4×4 matrix takes out of the other CT."""
        k, j, i = np.indices(self.grid.shape)
        there = Grid(extent.shape, np.linalg.inv(matrix) @ extent.ijk_to_ras)
        ijk = there.ijk(self.grid.ras(np.stack([i, j, k], axis=-1)))
        covered = ((ijk >= -0.5) & (ijk <= np.array(extent.shape[::-1]) - 0.5)).all(axis=-1)
        hu = np.where(covered, self.hu, np.float32(_TISSUE_HU))
        return LungImage(hu, self.share * covered, self.grid, self.extent)


def _sides(lungs: LabelMap) -> dict[int, str]:
    names = {RIGHT_LUNG: "right", LEFT_LUNG: "left"}
    return {value: names[held] for value, held in lungs.structures.items() if held in names}


def sides_in_both(current: LabelMap, prior: LabelMap) -> tuple[str, ...]:
    """Which lungs, "right" and "left", both CTs show.

    Raises:
        InputError: a CT shows no lung, or none that the other shows too.
    """
    shown = []
    for name, lungs in (("current", current), ("prior", prior)):
        counts = np.bincount(lungs.array.ravel(), minlength=max(lungs.structures, default=0) + 1)
        volumes = {side: counts[value] * lungs.grid.voxel_volume / 1000.0 for value, side in _sides(lungs).items()}
        shown.append({side for side, ml in volumes.items() if ml >= _SMALLEST_LUNG_ML})
        if not shown[-1]:
            raise InputError(f"The {name} CT does not show the lungs; choose a CT of the chest to compare.")
    common = tuple(side for side in ("right", "left") if side in shown[0] & shown[1])
    if not common:
        raise InputError("The two CTs do not show the same lung; choose another prior CT.")
    return common


def _grid_around(mask: NDArray[np.bool_], source: Grid) -> Grid:
    """Isotropic voxels along L, P, S over the mask and a margin."""
    box = [np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    corners = np.array(np.meshgrid(*[(indices[0], indices[-1]) for indices in box[::-1]])).reshape(3, -1).T
    reach = source.ras(corners)
    low, high = reach.min(axis=0) - _MARGIN_MM, reach.max(axis=0) + _MARGIN_MM
    size_ijk = np.ceil((high - low) / SPACING_MM).astype(int) + 1
    matrix = LPS_FROM_RAS @ np.diag([SPACING_MM] * 3 + [1.0])
    matrix[:3, 3] = np.where(np.diag(matrix)[:3] < 0, high, low)
    return Grid(tuple(size_ijk[::-1]), matrix)
