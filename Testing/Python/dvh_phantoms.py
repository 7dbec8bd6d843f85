"""Sphere, cylinder and cone under a linear dose, whose DVHs are known in closed form.

After Nelms et al., "Methods, software and datasets to verify DVH calculations against analytical values: Twenty
years late(r)", Med Phys 2015;42:4435: a gradient of 1 Gy/mm along or across the axis, on several grids.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import integrate, optimize

from SegmentationAILib.radiotherapy.rasterise import coverage
from SegmentationAILib.volume import LPS_FROM_RAS, Grid, Volume

CENTRE_GY = 100.0
_POINTS = 256  # of each contour


@dataclass(frozen=True)
class Solid:
    """A solid of revolution around S, its centre at the origin.

    Attributes:
        radius_at: the radius in mm at a height s in mm, 0 above and below.
        half_height: mm.
        radius: the largest, mm.
        volume_cc: exact.
    """

    name: str
    radius_at: Callable[[NDArray | float], NDArray | float]
    half_height: float
    radius: float
    volume_cc: float

    def reach(self, along_s: bool) -> float:
        """mm from the centre to the hottest point."""
        return self.half_height if along_s else self.radius

    def part_beyond(self, t: float, along_s: bool) -> float:
        """The exact part 0…1 of the solid that lies beyond ``t`` mm from the centre, along S or along R."""

        def segment(s: float) -> float:
            r = float(self.radius_at(s))
            x = np.clip(t, -r, r)
            return r * r * np.arccos(x / r) - x * np.sqrt(r * r - x * x) if r > 0 else 0.0

        low = np.clip(t, -self.half_height, self.half_height) if along_s else -self.half_height
        area = (lambda s: np.pi * float(self.radius_at(s)) ** 2) if along_s else segment
        return integrate.quad(area, low, self.half_height, limit=200)[0] / (1000 * self.volume_cc)

    def dose_at(self, part: float, along_s: bool) -> float:
        """The exact least dose in Gy in the hottest part 0…1."""
        reach = self.reach(along_s)
        return CENTRE_GY + optimize.brentq(lambda t: self.part_beyond(t, along_s) - part, -reach, reach)

    def mean(self, along_s: bool) -> float:
        if not along_s:
            return CENTRE_GY
        moment = integrate.quad(
            lambda s: s * np.pi * float(self.radius_at(s)) ** 2, -self.half_height, self.half_height
        )
        return CENTRE_GY + moment[0] / (1000 * self.volume_cc)


def sphere(volume_cc: float) -> Solid:
    r = float(np.cbrt(750 * volume_cc / np.pi))
    return Solid("sphere", lambda s: np.sqrt(np.maximum(r * r - np.square(s), 0.0)), r, r, volume_cc)


def cylinder(volume_cc: float) -> Solid:
    """As high as wide."""
    r = float(np.cbrt(500 * volume_cc / np.pi))
    return Solid("cylinder", lambda s: r * (np.abs(s) <= r), r, r, volume_cc)


def cone(volume_cc: float) -> Solid:
    """As high as wide, its tip up."""
    r = float(np.cbrt(1500 * volume_cc / np.pi))
    return Solid("cone", lambda s: np.where(np.abs(s) <= r, (r - np.asarray(s)) / 2, 0.0), r, r, volume_cc)


SOLIDS = (sphere, cylinder, cone)


def ct_grid(solid: Solid, spacing: tuple[float, float, float], offset: NDArray[np.float64]) -> Grid:
    """A grid around the solid, its centre ``offset`` voxels away from a voxel's."""
    size = 2 * np.ceil([solid.radius / spacing[0], solid.radius / spacing[1], solid.half_height / spacing[2]]) + 5
    matrix = LPS_FROM_RAS @ np.diag([*spacing, 1.0])
    matrix[:3, 3] = -matrix[:3, :3] @ ((size - 1) / 2 + offset)
    return Grid(tuple(size[::-1].astype(int)), matrix)


def mask(solid: Solid, grid: Grid) -> NDArray[np.bool_]:
    """[k, j, i] voxels whose centre is inside."""
    k, j, i = np.indices(grid.shape)
    r, a, s = np.moveaxis(grid.ras(np.stack([i, j, k], axis=-1)), -1, 0)
    return r**2 + a**2 < solid.radius_at(s) ** 2


def drawn(solid: Solid, grid: Grid) -> NDArray[np.float32]:
    """[k, j, i] coverage by the contours that the planes of the slices cut out of the solid."""
    occupancy = np.zeros(grid.shape, dtype=np.float32)
    angle = 2 * np.pi * np.arange(_POINTS) / _POINTS
    for k in range(grid.shape[0]):
        s = grid.ras([0, 0, k])[2]
        # The polygon has the circle's area.
        r = float(solid.radius_at(s)) * np.sqrt(2 * np.pi / _POINTS / np.sin(2 * np.pi / _POINTS))
        if r > 0:
            points = np.stack([r * np.cos(angle), r * np.sin(angle), np.full(_POINTS, s)], axis=-1)
            occupancy[k] = coverage([grid.ijk(points)[:, :2]], grid.shape[1:])
    return occupancy


def linear_dose(along_s: bool, *, spacing: float = 2.5, reach: float = 60.0) -> Volume:
    """1 Gy/mm along S or R, ``CENTRE_GY`` at the origin."""
    size = 2 * int(np.ceil(reach / spacing)) + 1
    matrix = LPS_FROM_RAS @ np.diag([spacing, spacing, spacing, 1.0])
    matrix[:3, 3] = -matrix[:3, :3] @ np.full(3, (size - 1) / 2 + 0.3)
    grid = Grid((size, size, size), matrix)
    k, j, i = np.indices(grid.shape)
    along = grid.ras(np.stack([i, j, k], axis=-1))[..., 2 if along_s else 0]
    return Volume((CENTRE_GY + along).astype(np.float32), grid, "linear", "RTDOSE")
