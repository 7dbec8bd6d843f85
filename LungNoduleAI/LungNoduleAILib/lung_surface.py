"""How deep a place lies in its lung: the pleura with nodules on it closed over."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from SegmentationAILib.labels import LabelMap
from SegmentationAILib.preprocess import resample
from SegmentationAILib.terminology import LEFT_LUNG, RIGHT_LUNG
from SegmentationAILib.volume import Grid

SIDES = {"right": RIGHT_LUNG, "left": LEFT_LUNG}
# Voxels for the closing ball, by the nodule's size and by how far the surface is sought; between them the surface is
# interpolated.
_SPACING_MM = (1.0, 4.0)
_VOXELS_PER_DIAMETER = 10.0
_VOXELS_PER_REACH = 15.0
# A ball sinks into a nodule's dent by an eighth of the dent's width over its own diameter, so it is to be large; the
# heart's and the diaphragm's domes are larger than the largest, so that they stay outside.
_CLOSING_PER_DIAMETER = 2.0
_CLOSING_MM = (15.0, 30.0)


def side_of(lungs: LabelMap, grid: Grid, inside: NDArray[np.bool_]) -> str:
    """The lung that holds most of the voxels: "right" or "left" (the patient's); "" where neither holds any.

    Args:
        lungs: right and left lung.
        grid: of ``inside``.
        inside: bool [k, j, i], such as a nodule or what lies around it.
    """
    labels = resample(lungs.array, lungs.grid, grid, mode="nearest")[inside]
    counts = {
        name: np.count_nonzero(labels == value)
        for name, structure in SIDES.items()
        for value, held in lungs.structures.items()
        if held == structure
    }
    return max(counts, key=counts.get) if any(counts.values()) else ""


def depth_in_lung(
    lungs: LabelMap, side: str, box: Grid, diameter_mm: float, reach_mm: float = 0.0
) -> NDArray[np.float32]:
    """How far each of a box's voxels lies from the lung's surface, mm; negative outside the lung.

    The surface is the lung's after closing by a ball (Kostis et al., IEEE Trans Med Imaging 2003, remove the chest
    wall so): what dents it, as a nodule on the pleura or a vessel at the hilum, lies inside.

    Args:
        lungs: right and left lung.
        side: "right" or "left".
        box: orthogonal, where depths are wanted.
        diameter_mm: of the nodule that may dent the surface.
        reach_mm: beyond the box, where the surface is sought too; depths above it plus the closing ball's radius
            mean "at least".

    Returns:
        float32 [k, j, i] on the box.
    """
    radius = float(np.clip(_CLOSING_PER_DIAMETER * diameter_mm, *_CLOSING_MM))
    [value] = [value for value, held in lungs.structures.items() if held == SIDES[side]]
    spacing = max(diameter_mm / _VOXELS_PER_DIAMETER, reach_mm / _VOXELS_PER_REACH)
    spacing = float(np.clip(spacing, *_SPACING_MM))
    margin = int(np.ceil((radius + reach_mm) / spacing)) + 2
    coarse = box.with_spacing(spacing)
    coarse = coarse.crop((-margin,) * 3, tuple(n + 2 * margin for n in coarse.shape))
    lung = resample(lungs.array, lungs.grid, coarse, mode="nearest") == value
    if lung.any() and not lung.all():
        near = ndimage.distance_transform_edt(~lung) * spacing <= radius
        lung = ndimage.distance_transform_edt(near) * spacing > radius
    depth = (_distance(lung) - _distance(~lung)) * spacing
    return resample(depth.astype(np.float32), coarse, box, fill=float(depth.min()))


def _distance(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """To what is not in the mask, from voxel centre to voxel face, in voxels; the array's end is no end."""
    if mask.all():
        return np.full(mask.shape, float(sum(mask.shape)))
    return np.maximum(ndimage.distance_transform_edt(mask) - 0.5, 0.0)
