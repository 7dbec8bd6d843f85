"""Solid, part-solid or ground glass; calcium and fat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleAILib.character import SolidPart
from LungNoduleAILib.diameters import axial_diameters
from LungNoduleAILib.guidelines.findings import Calcification, Kind
from LungNoduleAILib.nodule import NoduleMask

# What obscures the vessels (BTS 2015, table 1) is, on thin CT, what reaches -300 HU.
SOLID_HU = -300.0
# Shares at -300 HU with the highest weighted kappa to the readers' texture ratings of 216 nodules of LIDC patients that
# do not measure (0.67); on 167 nodules of other patients it is 0.74.
PART_SOLID_FROM, SOLID_FROM = 0.04, 0.42
# Calcium in a nodule (Erasmus et al., RadioGraphics 2000); fat (MacMahon et al., Radiology 2017, hamartoma).
_CALCIUM_HU = 200.0
_FAT_HU = (-120.0, -40.0)
_COMPLETE, _PRESENT, _CENTRAL = 0.7, 0.05, 0.6
_LEAST_FAT_MM3, _FAT_SHARE = 10.0, 0.15
_FAT_DEVIATION_HU = 30.0


def solid_part(mask: NoduleMask, hu: NDArray[np.float32]) -> SolidPart:
    """What reaches -300 HU.

    Args:
        mask: of the nodule.
        hu: float32 [k, j, i] on the mask's grid.
    """
    # The level set is made a soft one, so that its contour lies between voxels.
    share = np.clip(0.5 + (hu - SOLID_HU) / 600.0, 0.0, 1.0).astype(np.float32)
    dense = (hu >= SOLID_HU) & (mask.occupancy >= 0.5)
    near = ndimage.binary_dilation(dense)
    part = NoduleMask(np.where(near, np.minimum(share, mask.occupancy), 0.0).astype(np.float32), mask.grid)
    volume = float(np.count_nonzero(dense)) * mask.grid.voxel_volume
    return SolidPart(volume, axial_diameters(part) if dense.any() else None)


def solid_share(mask: NoduleMask, hu: NDArray[np.float32]) -> float:
    """Share of the voxels that are half nodule and reach -300 HU, away from the blurred edge where there is room."""
    inside = mask.occupancy >= 0.5
    depth = ndimage.distance_transform_edt(inside) * float(mask.grid.spacing[0])
    core = depth > min(1.0, 0.5 * float(depth.max()))
    return float((hu[core] >= SOLID_HU).mean()) if core.any() else 0.0


def kind_of_share(share: float) -> Kind:
    """Attenuation type by the share that is solid."""
    if share >= SOLID_FROM:
        return Kind.SOLID
    return Kind.PART_SOLID if share >= PART_SOLID_FROM else Kind.GROUND_GLASS


def calcification(mask: NoduleMask, hu: NDArray[np.float32]) -> Calcification:
    """Pattern of what exceeds 200 HU in the nodule's inner part.

    Complete: 70 % and more of it. Central: 5 % and more, 60 % of that in the inner half of the depth and in one piece.
    Other: as much, elsewhere; popcorn and rings are told by eye only.
    """
    inside = mask.occupancy >= 0.5
    depth = ndimage.distance_transform_edt(inside)
    inner = depth > 1.0 if (depth > 1.0).any() else inside
    calcium = inner & (hu >= _CALCIUM_HU)
    share = np.count_nonzero(calcium) / max(np.count_nonzero(inner), 1)
    if share < _PRESENT:
        return Calcification.NONE
    if share >= _COMPLETE:
        return Calcification.COMPLETE
    pieces, count = ndimage.label(calcium)
    largest = np.bincount(pieces[pieces > 0]).max() / np.count_nonzero(calcium) if count else 0.0
    central = float((depth[calcium] >= depth.max() / 2).mean())
    return Calcification.CENTRAL if central >= _CENTRAL and largest >= 0.9 else Calcification.OTHER


def has_fat(mask: NoduleMask, hu: NDArray[np.float32], noise_hu: float) -> bool:
    """Whether a solid nodule holds fat: -120…-40 HU in 10 mm³ and 15 % of its inner part, in one piece.

    Noise is smoothed first; where it is too high to tell fat from soft tissue, there is none.
    """
    spacing = float(mask.grid.spacing[0])
    depth = ndimage.distance_transform_edt(mask.occupancy >= 0.5) * spacing
    inner = depth > 2.0
    if noise_hu > _FAT_DEVIATION_HU * 2 or not inner.any():
        return False
    smooth = ndimage.gaussian_filter(hu, 0.7 / spacing)
    fat = inner & (smooth >= _FAT_HU[0]) & (smooth <= _FAT_HU[1])
    pieces, count = ndimage.label(fat)
    if not count:
        return False
    largest = float(np.bincount(pieces[pieces > 0]).max())
    return bool(largest * mask.grid.voxel_volume >= _LEAST_FAT_MM3 and largest >= _FAT_SHARE * np.count_nonzero(inner))
