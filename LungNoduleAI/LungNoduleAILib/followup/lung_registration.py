"""Where a place of the prior CT lies on the current one, apart from what finds that out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from SegmentationAILib.volume import Grid

_INVERSE_ITERATIONS = 40
# Correlation of the HU in both below which two CTs may be of two patients: see ``registration``.
DOUBTFUL_CORRELATION = 0.8


@dataclass(frozen=True, eq=False)
class LungRegistration:
    """Where a place of the prior CT lies on the current one, and back.

    A point p of the prior CT goes to ``affine`` · (p + displacement(p)).

    Attributes:
        affine: 4×4, RAS in mm.
        displacement: float32 [3, k, j, i], RAS in mm, on ``grid``.
        grid: over the prior CT's lungs.
        overlap: Dice coefficient of the current lungs and the prior ones laid on them, 0…1.
        overlap_before: the same with the prior lungs' centre of gravity alone laid on the current one.
        residual_mm: mean distance between the surfaces of the two, both ways.
        correlation: Pearson's, of the HU inside both.
        folded_share: share of the lungs' voxels where the displacement turns space inside out.
        stretch: the affine part's factors along its axes of least and most stretch.
        sides: "right" and "left": the lungs that both CTs show.
    """

    affine: NDArray[np.float64]
    displacement: NDArray[np.float32]
    grid: Grid
    overlap: float
    overlap_before: float
    residual_mm: float
    correlation: float
    folded_share: float
    stretch: tuple[float, float]
    sides: tuple[str, ...]

    def to_current(self, prior_ras: ArrayLike) -> NDArray[np.float64]:
        """Points (..., 3) of the prior CT on the current one, RAS in mm both."""
        points = np.asarray(prior_ras, dtype=np.float64)
        moved = points + self._displacement_at(points)
        return moved @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_prior(self, current_ras: ArrayLike) -> NDArray[np.float64]:
        """Points (..., 3) of the current CT on the prior one, RAS in mm both; exact to 0.01 mm without folds."""
        back = np.linalg.inv(self.affine)
        goal = np.asarray(current_ras, dtype=np.float64) @ back[:3, :3].T + back[:3, 3]
        points = goal
        for _ in range(_INVERSE_ITERATIONS):
            points = goal - self._displacement_at(points)
        return points

    def _displacement_at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Trilinear; beyond the grid that of its nearest voxel."""
        # A scene without a prior CT waits for no image library.
        from scipy import ndimage  # noqa: PLC0415

        kji = self.grid.ijk(points)[..., ::-1].reshape(-1, 3).T
        along = [ndimage.map_coordinates(axis, kji, order=1, mode="nearest") for axis in self.displacement]
        return np.stack(along, axis=-1).astype(np.float64).reshape(points.shape)
