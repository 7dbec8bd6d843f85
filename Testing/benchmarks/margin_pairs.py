"""A margin of 10 mm around targets in a whole CT, against distance maps that are cut at 10 mm.

Both rivals know one margin for all sides, and are given the structure's bounding box to work in, which
their callers seldom do.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from SegmentationAILib.metrics import dice
from SegmentationAILib.radiotherapy.margin_recipes import Margins
from SegmentationAILib.radiotherapy.margins import expand
from SegmentationAILib.volume import LPS_FROM_RAS

SHAPE = (300, 512, 512)
SPACING_KJI = (2.0, 0.98, 0.98)
MARGIN_MM = 10.0
Mask = NDArray[np.bool_]


def ellipsoid(centre_kji: tuple[float, ...], radii_mm: tuple[float, ...]) -> Mask:
    axes = np.ogrid[tuple(slice(0, n) for n in SHAPE)]
    scaled = zip(axes, centre_kji, SPACING_KJI, radii_mm, strict=True)
    return sum(((axis - centre) * size / radius) ** 2 for axis, centre, size, radius in scaled) <= 1


def target() -> Mask:
    """A target of 60 mm."""
    return ellipsoid((150, 256, 300), (30, 30, 30))


def lungs() -> Mask:
    return ellipsoid((150, 256, 180), (130, 95, 60)) | ellipsoid((150, 256, 332), (130, 95, 60))


def ours(mask: Mask) -> Mask:
    matrix = LPS_FROM_RAS @ np.diag([*SPACING_KJI[::-1], 1.0])
    return expand(mask, matrix, **Margins.isotropic(MARGIN_MM).as_sides())


def scipys(mask: Mask) -> Mask:
    return _in_a_box(mask, lambda part: ndimage.distance_transform_edt(~part, sampling=SPACING_KJI))


def simpleitks(mask: Mask) -> Mask:
    def distance(part: Mask) -> NDArray[np.float32]:
        image = sitk.GetImageFromArray(part.astype(np.uint8))
        image.SetSpacing(SPACING_KJI[::-1])
        return sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True))

    return _in_a_box(mask, distance)


def _in_a_box(mask: Mask, distance: Callable[[Mask], NDArray]) -> Mask:
    box = ndimage.find_objects(mask.view(np.uint8))[0]
    wider = tuple(
        slice(max(0, side.start - int(MARGIN_MM / size) - 1), side.stop + int(MARGIN_MM / size) + 1)
        for side, size in zip(box, SPACING_KJI, strict=True)
    )
    result = np.zeros_like(mask)
    result[wider] = distance(mask[wider]) <= MARGIN_MM
    return result


def overlap(found: Mask, theirs: Mask) -> float:
    """Dice; the rivals measure from voxel centres, hence a fraction of a voxel less on the slopes."""
    return dice(found, theirs)
