"""A synthetic chest CT, drawn in RAS, so that any grid samples the same anatomy.

Not to be taken for a patient: it has what the lung and nodule code must cope with, at known places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.volume import LPS_FROM_RAS, Grid, Volume

AIR_HU, LUNG_HU, TISSUE_HU, BLOOD_HU, BONE_HU = -1000.0, -860.0, 40.0, 60.0, 450.0
# RAS, mm. The patient's right is at positive R.
BODY_RADII = (165.0, 115.0)
LUNG_RADII = (58.0, 78.0, 120.0)
LUNG_CENTRES = {"right": (72.0, 0.0, 0.0), "left": (-72.0, 0.0, 0.0)}
DOME_TOP = {"right": -50.0, "left": -65.0}
DOME_RADIUS = 90.0
CARINA = (0.0, -15.0, 35.0)
TRACHEA_RADIUS = 8.5
HILUM = {"right": (38.0, -10.0, 10.0), "left": (-38.0, -10.0, 10.0)}

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class PhantomNodule:
    """A ball: solid at 50 HU, ground glass at about -600 HU."""

    centre_ras: Vector
    diameter_mm: float
    hu: float = 50.0

    @property
    def volume_mm3(self) -> float:
        return np.pi / 6 * self.diameter_mm**3


@dataclass(frozen=True, eq=False)
class ChestPhantom:
    """The CT and, on its grid, the true lungs (vessels and nodules included) and airway."""

    volume: Volume
    right_lung: NDArray[np.bool_]
    left_lung: NDArray[np.bool_]
    airway: NDArray[np.bool_]
    nodules: tuple[PhantomNodule, ...] = field(default=())


def default_grid(spacing: float = 2.0) -> Grid:
    """A grid over the whole phantom with the axes of a usual chest CT."""
    size = np.array([360.0, 270.0, 320.0])
    matrix = LPS_FROM_RAS @ np.diag([spacing, spacing, spacing, 1.0])
    count = np.round(size / spacing).astype(int)
    matrix[:3, 3] = -matrix[:3, :3] @ ((count - 1) / 2)
    return Grid(tuple(count[::-1]), matrix)


def slab_grid(spacing: float = 4.0, *, bottom: float = -8.0, height: float = 56.0) -> Grid:
    """The slices of ``default_grid`` from S = ``bottom`` upwards, mm; most of what is tested needs no more."""
    whole = default_grid(spacing)
    return whole.crop((round((bottom + 160) / spacing), 0, 0), (round(height / spacing), *whole.shape[1:]))


def chest(
    grid: Grid | None = None,
    *,
    spacing: float = 2.0,
    nodules: Sequence[PhantomNodule] = (),
    seed: int = 0,
    noise_hu: float = 15.0,
    lungs: Sequence[str] = ("right", "left"),
    touching: bool = False,
    vessels: bool = True,
) -> ChestPhantom:
    """Draw the phantom; the same arguments give the same voxels.

    Args:
        grid: where to sample it; ``default_grid(spacing)`` if not given.
        nodules: balls to plant.
        seed: of noise and vessel tree (the tree does not depend on the grid).
        noise_hu: standard deviation of the noise.
        lungs: which lungs are aerated.
        touching: whether the lungs meet in front of the heart in a septum of 1 mm.
        vessels: whether to draw the pulmonary vessels.
    """
    grid = grid or default_grid(spacing)
    canvas = Canvas(grid)
    canvas.paint(lambda p: elliptic_cylinder(p, BODY_RADII), TISSUE_HU)
    canvas.paint(lambda p: slab(p, -128.0, 6.0), -100.0)
    canvas.paint(lambda p: capsule(p, (0, -75, -400), (0, -75, 400), 18.0), BONE_HU)
    for z in range(-120, 130, 24):
        canvas.paint(lambda p, z=z: rib(p, float(z)), BONE_HU)
    truth = {}
    for side in ("right", "left"):
        inside = canvas.occupancy(lambda p, side=side: lung(p, side, touching))
        truth[side] = inside >= 0.5 if side in lungs else np.zeros(grid.shape, dtype=bool)
        if side in lungs:
            canvas.blend(inside, LUNG_HU)
    if vessels:
        rng = np.random.default_rng(seed)
        for side in lungs:
            for start, end, radius in vessel_tree(HILUM[side], side, rng):
                canvas.paint(
                    lambda p, a=start, b=end, r=radius: capsule(p, a, b, r),
                    BLOOD_HU,
                    near=(start, end, radius),
                    where=truth[side],
                )
    airway = canvas.occupancy(airways)
    canvas.blend(canvas.occupancy(lambda p: airways(p) - 1.5) * (1 - airway), TISSUE_HU)
    canvas.blend(airway, AIR_HU)
    for nodule in nodules:
        centre, radius = nodule.centre_ras, nodule.diameter_mm / 2
        canvas.paint(lambda p, c=centre, r=radius: ball(p, c, r), nodule.hu, near=(centre, centre, radius))
    hu = canvas.hu + np.random.default_rng(seed).normal(0, noise_hu, grid.shape)
    volume = Volume(np.round(hu).astype(np.int16), grid, "phantom", "CT")
    lumen = airway >= 0.5
    return ChestPhantom(volume, truth["right"] & ~lumen, truth["left"] & ~lumen, lumen, tuple(nodules))


class Canvas:
    """HU on a grid, painted shape by shape with partial volume at the edges."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.hu = np.full(grid.shape, AIR_HU, dtype=np.float32)
        self._edge = float(np.cbrt(grid.voxel_volume))
        self._everywhere = tuple(slice(0, n) for n in grid.shape)

    def occupancy(self, distance: Callable[[NDArray], NDArray], window: tuple[slice, ...] | None = None) -> NDArray:
        """[k, j, i] in 0…1 of the shape whose signed distance (mm, negative inside) is given."""
        window = window or self._everywhere
        k, j, i = np.meshgrid(*[np.arange(side.start, side.stop) for side in window], indexing="ij", sparse=True)
        matrix = self.grid.ijk_to_ras.astype(np.float32)
        points = np.stack([matrix[n, 0] * i + matrix[n, 1] * j + matrix[n, 2] * k + matrix[n, 3] for n in range(3)])
        return np.clip(0.5 - distance(points) / self._edge, 0, 1)

    def blend(self, occupancy: NDArray, hu: float, window: tuple[slice, ...] | None = None) -> None:
        held = self.hu[window or self._everywhere]
        held += occupancy * (hu - held)

    def paint(
        self,
        distance: Callable[[NDArray], NDArray],
        hu: float,
        near: tuple[Vector, Vector, float] | None = None,
        where: NDArray | None = None,
    ) -> None:
        """Blend a shape in; ``near`` bounds it by a capsule, ``where`` clips it."""
        window = self._window(*near) if near else self._everywhere
        inside = self.occupancy(distance, window)
        self.blend(inside * where[window] if where is not None else inside, hu, window)

    def _window(self, start: Vector, end: Vector, radius: float) -> tuple[slice, ...]:
        reach = radius + 2 * self._edge
        low, high = np.minimum(start, end) - reach, np.maximum(start, end) + reach
        corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1).T
        indices = self.grid.ijk(corners)[:, ::-1]
        first = np.clip(np.floor(indices.min(axis=0)).astype(int), 0, self.grid.shape)
        last = np.clip(np.ceil(indices.max(axis=0)).astype(int) + 1, 0, self.grid.shape)
        return tuple(slice(a, max(a, b)) for a, b in zip(first, last, strict=True))


def ball(p: NDArray, centre: Vector, radius: float) -> NDArray:
    return np.sqrt(sum((p[n] - centre[n]) ** 2 for n in range(3))) - radius


def capsule(p: NDArray, start: Vector, end: Vector, radius: float) -> NDArray:
    axis = np.subtract(end, start)
    along = sum((p[n] - start[n]) * axis[n] for n in range(3)) / max(float(axis @ axis), 1e-9)
    along = np.clip(along, 0, 1)
    return np.sqrt(sum((p[n] - start[n] - along * axis[n]) ** 2 for n in range(3))) - radius


def ellipsoid(p: NDArray, centre: Vector, radii: Vector) -> NDArray:
    """First-order signed distance: exact on the surface, which is where it matters."""
    scaled = sum(((p[n] - centre[n]) / radii[n]) ** 2 for n in range(3))
    gradient = np.sqrt(sum(((p[n] - centre[n]) / radii[n] ** 2) ** 2 for n in range(3)))
    return (scaled - 1) / np.maximum(2 * gradient, 1e-6)


def elliptic_cylinder(p: NDArray, radii: tuple[float, float]) -> NDArray:
    return ellipsoid(p * np.array([1, 1, 0]).reshape(3, 1, 1, 1), (0, 0, 0), (*radii, 1.0))


def slab(p: NDArray, a: float, thickness: float) -> NDArray:
    return np.maximum(np.abs(p[1] - a) - thickness / 2, np.abs(p[0]) - 200.0)


def rib(p: NDArray, z: float) -> NDArray:
    """A ring of 4 mm around the lungs that falls towards the front."""
    ring = np.abs(elliptic_cylinder(p, (BODY_RADII[0] - 22, BODY_RADII[1] - 22))) - 4.0
    return np.maximum(ring, np.abs(p[2] - z + 0.3 * p[1]) - 5.0)


def lung(p: NDArray, side: str, touching: bool) -> NDArray:
    """Ellipsoid above the dome of the diaphragm, beside the mediastinum."""
    sign = 1.0 if side == "right" else -1.0
    outer = ellipsoid(p, LUNG_CENTRES[side], LUNG_RADII)
    dome = -ball(p, (LUNG_CENTRES[side][0], 0.0, DOME_TOP[side] - DOME_RADIUS), DOME_RADIUS)
    medial = 22.0 - sign * p[0]
    if touching:
        front = capsule(p, (0.0, 45.0, 60.0), (sign * 40.0, 45.0, 60.0), 14.0)
        outer = np.minimum(np.maximum(outer, medial), front)
        medial = 0.5 - sign * p[0]
    return np.maximum(np.maximum(outer, medial), dome)


def airways(p: NDArray) -> NDArray:
    """Trachea and the two main bronchi."""
    trachea = capsule(p, CARINA, (0.0, -15.0, 400.0), TRACHEA_RADIUS)
    bronchi = [capsule(p, CARINA, HILUM[side], 5.5) for side in ("right", "left")]
    return np.minimum(trachea, np.minimum(*bronchi))


def vessel_tree(root: Vector, side: str, rng: np.random.Generator) -> list[tuple[Vector, Vector, float]]:
    """Branches (start, end, radius in mm) that fork and taper from the hilum outwards."""
    outwards = 1.0 if side == "right" else -1.0
    branches = []
    tips = [(np.array(root), np.array([outwards, rng.normal(0, 0.4), z]), 5.0) for z in (1.0, 0.0, -1.0)]
    for _ in range(5):
        next_tips = []
        for start, direction, radius in tips:
            heading = direction / np.linalg.norm(direction)
            end = start + heading * 9.0 * np.sqrt(radius)
            branches.append((tuple(start), tuple(end), radius))
            next_tips += [(end, heading + rng.normal(0, 0.55, 3), radius * 0.68) for _ in range(2)]
        tips = next_tips
    return branches
