"""Where in its lung a nodule lies, and what touches it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleAILib.guidelines.findings import Lobe
from LungNoduleAILib.lung_surface import SIDES, depth_in_lung
from LungNoduleAILib.nodule import NoduleMask
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.preprocess import resample
from SegmentationAILib.volume import Grid

# A nodule whose surface comes this near to the pleura touches it: about a voxel of the lung's outline.
TOUCHING_MM = 1.0
# The surface is known this far without seeking it farther; then it is sought on coarser voxels.
_KNOWN_MM = 12.0
_REACHES_MM = (30.0, 90.0)
# What touches the nodule counts as a vessel where it is as dense as soft tissue's half against lung, and this large.
_VESSEL_HU = -400.0
_LEAST_CONTACT_MM2 = 2.0
_ZONES = ("lower", "middle", "upper")


@dataclass(frozen=True)
class Pleura:
    """The lung's surface near a nodule.

    Attributes:
        distance_mm: from the nodule's surface.
        touched: whether the nodule touches it.
    """

    distance_mm: float
    touched: bool


def pleura_near(mask: NoduleMask, lungs: LabelMap, side: str, depth_mm: NDArray[np.float32] | None) -> Pleura | None:
    """Distance to the costal, mediastinal or diaphragmatic surface of the nodule's lung.

    Args:
        mask: of the nodule.
        lungs: right and left lung.
        side: "right" or "left".
        depth_mm: of the mask's voxels in that lung; None where no lung is known, and nothing here.
    """
    inside = mask.occupancy >= 0.5
    if depth_mm is None or not inside.any():
        return None
    diameter = float(np.cbrt(6 / np.pi * np.count_nonzero(inside) * mask.grid.voxel_volume))
    nearest = float(depth_mm[inside].min())
    if nearest > _KNOWN_MM:
        for reach in _REACHES_MM:
            nearest = float(depth_in_lung(lungs, side, mask.grid, diameter, reach)[inside].min())
            if nearest < reach:
                break
    # The outermost voxel's centre lies half a voxel within the nodule.
    distance = max(0.0, nearest - float(mask.grid.spacing[0]) / 2)
    return Pleura(distance, distance <= TOUCHING_MM)


def zone_of(centre_ras: tuple[float, float, float], lungs: LabelMap, side: str) -> str:
    """Third of its lung's height that a nodule's centre lies in: "upper", "middle" or "lower"; "" without a lung.

    The height runs along the body from the lung's lowest voxel to its highest. These are no lobes.
    """
    if not side:
        return ""
    [value] = [value for value, held in lungs.structures.items() if held == SIDES[side]]
    axis = int(np.argmax(np.abs(lungs.grid.directions[2])))
    step = max(1, max(lungs.array.shape) // 150)
    held = np.argwhere(lungs.array[::step, ::step, ::step] == value)[:, ::-1] * step
    if not len(held):
        return ""
    heights = lungs.grid.ras(held[[held[:, axis].argmin(), held[:, axis].argmax()]])[:, 2]
    share = (centre_ras[2] - heights.min()) / max(float(np.ptp(heights)), 1e-3)
    return _ZONES[int(np.clip(3 * share, 0, 2))]


def lobe_of(mask: NoduleMask, lobes: LabelMap | None) -> Lobe | None:
    """The lobe that holds most of the nodule, by structures named as ``Lobe`` plus "lobe"; None where none does."""
    if lobes is None:
        return None
    labels = resample(lobes.array, lobes.grid, mask.grid, mode="nearest")[mask.occupancy >= 0.5]
    counts = {}
    for value, structure in lobes.structures.items():
        for lobe in Lobe:
            if all(word in structure.name.lower() for word in lobe.value.split()) and "lobe" in structure.name.lower():
                counts[lobe] = np.count_nonzero(labels == value)
    return max(counts, key=counts.get) if any(counts.values()) else None


def touches_fissure(mask: NoduleMask, lobes: LabelMap | None) -> bool | None:
    """Whether voxels of two lobes lie within 1.5 mm of the nodule; None where lobes are not known."""
    if lobes is None:
        return None
    spacing = float(mask.grid.spacing[0])
    near = ndimage.distance_transform_edt(mask.occupancy < 0.5) * spacing <= 1.5
    labels = resample(lobes.array, lobes.grid, mask.grid, mode="nearest")[near]
    return len(np.unique(labels[labels > 0])) > 1


def touches_vessel(mask: NoduleMask, hu: NDArray[np.float32], depth_mm: NDArray[np.float32] | None) -> bool:
    """Whether something dense in the lung touches the nodule's surface over 2 mm² or more.

    Args:
        mask: of the nodule.
        hu: float32 [k, j, i] on its grid.
        depth_mm: in the lung; None where no lung is known.
    """
    spacing = float(mask.grid.spacing[0])
    outside = ndimage.distance_transform_edt(mask.occupancy < 0.5) * spacing
    # Beyond the edge's own blur.
    shell = (outside > 2.0) & (outside <= 2.0 + 1.5 * spacing)
    inside = np.ones(hu.shape, dtype=bool) if depth_mm is None else depth_mm > 2.0
    pieces, count = ndimage.label(shell & inside & (hu > _VESSEL_HU))
    if not count:
        return False
    return float(np.bincount(pieces[pieces > 0]).max()) * spacing**2 / 1.5 >= _LEAST_CONTACT_MM2


def at_edge(mask: NoduleMask, volume_grid: Grid) -> bool:
    """Whether the nodule comes within a voxel of the CT's outermost voxels, where its edge cannot be judged."""
    index = volume_grid.ijk(mask.grid.ras(np.argwhere(mask.occupancy >= 0.5)[:, ::-1]))
    return bool(np.any(index < 1.0) or np.any(index > np.array(volume_grid.shape[::-1]) - 2.0))
