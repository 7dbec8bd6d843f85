"""From a place and a size to a nodule's mask and measurements, at sub-voxel accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleAILib.diameters import axial_diameters
from LungNoduleAILib.lung_surface import side_of
from LungNoduleAILib.nodule import Measurements, Nodule, NoduleMask
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.preprocess import resample
from SegmentationAILib.volume import Grid, Volume

SPACING_MM = 1.0
# Lung around a nodule, where the box shows none.
_LUNG_HU = -860.0
# Denser than any inflated lung, thinner than ground glass.
_LUNG_BELOW_HU = -700.0
# Soft tissue; calcium must not raise the threshold of what surrounds it.
_DENSEST_CORE_HU = 100.0
# Vessels thinner than this share of the nodule's own thickness are cut off.
_OPENING_SHARE = 0.45
# Below this radius the voxels are too coarse to tell a vessel from the nodule.
_LEAST_OPENED_MM = 2.0


@dataclass(frozen=True, eq=False)
class Delineation:
    """A nodule in a box of isotropic voxels.

    Attributes:
        occupancy: float32 [k, j, i] in 0…1.
        core_hu: of the nodule's middle.
        lung_hu: of the lung around.
        cut_share: how much of what hung together at the threshold was cut off as vessel or wall.
        attached_share: how much of the surface touches something as dense.
    """

    occupancy: NDArray[np.float32]
    core_hu: float
    lung_hu: float
    cut_share: float
    attached_share: float


def box_around(volume_grid: Grid, centre_ras: tuple[float, float, float], diameter_mm: float) -> Grid:
    """A cube of 1 mm voxels around a point, along the volume's axes nearest to L, P and S."""
    side = 2 * int(np.ceil(0.9 * diameter_mm + 8.0) / SPACING_MM) + 1
    matrix = np.eye(4)
    matrix[:3, :3] = volume_grid.canonical().directions * SPACING_MM
    matrix[:3, 3] = np.array(centre_ras) - matrix[:3, :3] @ np.full(3, (side - 1) / 2)
    return Grid((side, side, side), matrix)


def characterize(
    volume: Volume, centre_ras: tuple[float, float, float], diameter_mm: float, lungs: NDArray[np.bool_] | None = None
) -> tuple[NoduleMask, Measurements]:
    """Outline and measure the nodule at a place.

    Args:
        volume: CT, HU.
        centre_ras: a point in the nodule, mm.
        diameter_mm: its size to within a factor of about 1.5.
        lungs: bool [k, j, i] on the volume's grid with the nodules inside; keeps chest wall and
            mediastinum out.
    """
    box = box_around(volume.grid, centre_ras, diameter_mm)
    hu = resample(volume.array, volume.grid, box, mode="area", fill=_LUNG_HU)
    inside = None
    if lungs is not None:
        inside = resample(lungs.astype(np.uint8), volume.grid, box, mode="nearest") > 0
    middle = tuple((n - 1) // 2 for n in box.shape)
    found = delineate(hu, middle, diameter_mm, inside)
    mask = NoduleMask(found.occupancy, box)
    return mask, measure(mask, hu)


def delineate(
    hu: NDArray[np.float32], centre: tuple[int, int, int], diameter_mm: float, inside: NDArray[np.bool_] | None = None
) -> Delineation:
    """The nodule at a voxel of a box of 1 mm voxels.

    The threshold is halfway between nodule and lung, which is where the edge of a blurred object
    lies. What is thinner than the nodule is cut off by an opening, then the surface grows back.

    Args:
        hu: float32 [k, j, i].
        centre: voxel (k, j, i).
        diameter_mm: expected size.
        inside: bool [k, j, i], the lung with its nodules; without it, the box.
    """
    distance = np.sqrt(
        sum((axis - c) ** 2 for axis, c in zip(np.ogrid[tuple(map(slice, hu.shape))], centre, strict=True))
    )
    distance = distance * SPACING_MM
    near = distance <= max(1.5 * SPACING_MM, diameter_mm / 4)
    core_hu = float(min(np.percentile(hu[near], 75), _DENSEST_CORE_HU))
    around = (hu < _LUNG_BELOW_HU) & (distance > diameter_mm / 2)
    lung = hu[around & inside] if inside is not None else hu[around]
    lung_hu = float(np.median(lung)) if lung.size >= 20 else _LUNG_HU
    threshold = (core_hu + lung_hu) / 2
    dense = hu > threshold
    allowed = distance <= 0.9 * diameter_mm + 4.0
    if inside is not None:
        allowed &= inside
    region = _component_at(dense & allowed, distance)
    if not region.any():
        region = distance <= SPACING_MM
    nodule = _without_vessels(region, distance, diameter_mm)
    edge = ndimage.binary_dilation(nodule, iterations=2) & ~nodule
    occupancy = _occupancy(hu, nodule, edge & ~dense, core_hu, lung_hu)
    surface = ndimage.binary_dilation(nodule) & ~nodule
    return Delineation(
        occupancy,
        core_hu,
        lung_hu,
        1.0 - np.count_nonzero(nodule) / np.count_nonzero(region),
        np.count_nonzero(surface & dense) / max(np.count_nonzero(surface), 1),
    )


def measure(mask: NoduleMask, hu: NDArray[np.float32]) -> Measurements:
    """Volume, diameters and attenuation.

    Diameters are those of ``axial_diameters``.

    Args:
        mask: occupancy in 0…1 on isotropic voxels.
        hu: [k, j, i] on the mask's grid.
    """
    occupancy = mask.occupancy
    axial = axial_diameters(mask)
    long_axis, short_axis = (axial.long_axis_mm, axial.short_axis_mm) if axial else (0.0, 0.0)
    volume = float(occupancy.sum()) * mask.grid.voxel_volume
    if long_axis == 0.0:
        # Smaller than a voxel: of the ball with the same volume.
        long_axis = short_axis = float(np.cbrt(6 * volume / np.pi))
    wholly = occupancy > 0.99
    inner = ndimage.binary_erosion(wholly) if ndimage.binary_erosion(wholly).sum() >= 8 else wholly
    mean_hu = float(hu[inner].mean()) if inner.any() else float(np.average(hu, weights=np.maximum(occupancy, 1e-6)))
    return Measurements(volume, long_axis, short_axis, mean_hu)


def nodule_of(
    volume: Volume, lungs: LabelMap, mask: NoduleMask, number: int, diameter_mm: float, score: float
) -> Nodule:
    """A detector's finding with its measurements, which are taken on the CT itself.

    Args:
        volume: CT, HU.
        lungs: right and left lung on the volume's grid.
        mask: of the nodule.
        number: its id.
        diameter_mm: as the detector saw it.
        score: 0…1.
    """
    hu = resample(volume.array, volume.grid, mask.grid, mode="area", fill=_LUNG_HU)
    weights = mask.occupancy / mask.occupancy.sum()
    centre_kji = [
        float((np.arange(n) * weights.sum(axis=axes)).sum())
        for n, axes in zip(weights.shape, ((1, 2), (0, 2), (0, 1)), strict=True)
    ]
    return Nodule(
        id=number,
        centre_ras=tuple(float(x) for x in mask.grid.ras(centre_kji[::-1])),
        diameter_mm=diameter_mm,
        score=score,
        lung=side_of(lungs, mask.grid, mask.occupancy >= 0.5),
        mask=mask,
        measurements=measure(mask, hu),
    )


def _component_at(mask: NDArray, distance: NDArray) -> NDArray[np.bool_]:
    """The connected part of the mask nearest to where the distance is 0."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    nearest = np.where(mask, distance, np.inf)
    return labels == labels[np.unravel_index(np.argmin(nearest), mask.shape)]


def _without_vessels(region: NDArray, distance: NDArray, diameter_mm: float) -> NDArray[np.bool_]:
    """The region less what is thin against its thickest place near the centre."""
    depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1, 1:-1] * SPACING_MM
    central = np.where(distance <= max(diameter_mm / 2, 2 * SPACING_MM), depth, 0.0)
    radius = float(central.max())
    if radius < _LEAST_OPENED_MM:
        return region & (distance <= diameter_mm / 2 + 2.0)
    opening = _OPENING_SHARE * radius
    core = _component_at(depth > opening, np.where(central == radius, 0.0, 1.0))
    opened = region & (ndimage.distance_transform_edt(~core) * SPACING_MM <= opening)
    # One voxel grows back, so that bumps of the nodule's own surface stay.
    grown = ndimage.binary_dilation(opened) & region
    return ndimage.binary_fill_holes(_component_at(grown, np.where(central == radius, 0.0, 1.0)))


def _occupancy(hu: NDArray, nodule: NDArray, edge: NDArray, core_hu: float, lung_hu: float) -> NDArray[np.float32]:
    """How much of each voxel is nodule: all of it deep inside, by partial volume at the edge."""
    share = np.clip((hu - lung_hu) / max(core_hu - lung_hu, 1.0), 0.0, 1.0)
    occupancy = np.zeros(hu.shape, dtype=np.float32)
    occupancy[edge] = share[edge]
    occupancy[nodule] = np.maximum(share[nodule], 0.5)
    occupancy[ndimage.binary_erosion(nodule, iterations=2)] = 1.0
    return occupancy
