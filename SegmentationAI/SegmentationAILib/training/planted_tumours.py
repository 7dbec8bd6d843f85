"""Large tumours planted into real chest CTs: no set that may be trained on holds one larger than 6 cm.

Round lumps with a rough surface at the surface of the lungs, as dense as tumours are, either held by pleura or
grown a little way into wall and mediastinum; only air and soft tissue is replaced, bone and vessels with contrast
agent stay.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from SegmentationAILib.labels import LabelMap
from SegmentationAILib.preprocess import resample
from SegmentationAILib.radiotherapy.tumour_window import distance_from, signed_distance
from SegmentationAILib.volume import Volume

_VOXEL_MM = 2.0
_RADII_MM = (12.0, 50.0)
# Of the radius: where the centre lies from the lung's surface, into the lung; and how deep it grows into the wall.
_CENTRES, _INVASION = (-0.3, 0.8), 0.25
_AXES = (0.75, 1.3)
_ROUGHNESS = 0.1
_HU, _TEXTURE_HU = (10.0, 60.0), 15.0
_SMALLEST_MM3 = 1500.0
_MARGIN_VOXELS = 50
_MOST_TRIES = 50


def planted_tumours(
    volume: Volume, lungs: LabelMap, count: int, rng: np.random.Generator
) -> Iterator[tuple[Volume, NDArray[np.bool_]]]:
    """Parts of the CT at 2 mm with one tumour each, and its mask.

    Args:
        volume: CT, HU.
        lungs: on the volume's grid.
        count: how many; fewer come where the lungs leave no room.
        rng: decides all.
    """
    grid = volume.grid.canonical().with_spacing(_VOXEL_MM)
    hu = resample(volume.array, volume.grid, grid, mode="area", fill=-1000.0)
    lung = resample(lungs.array, lungs.grid, grid, mode="nearest") > 0
    depth = signed_distance(lung, _VOXEL_MM)
    made = 0
    for _ in range(_MOST_TRIES):
        if made == count:
            return
        radius = float(rng.uniform(*_RADII_MM))
        places = np.argwhere(np.abs(depth - rng.uniform(*_CENTRES) * radius) < _VOXEL_MM)
        if not len(places):
            continue
        centre = places[rng.integers(len(places))]
        invasion = _INVASION * radius if rng.random() < 0.5 else 0.0
        reach = int(np.ceil(2 * radius / _VOXEL_MM)) + _MARGIN_VOXELS
        first = np.maximum(centre - reach, 0)
        box = tuple(slice(a, c + reach) for a, c in zip(first, centre, strict=True))
        grows_into = (depth[box] > -invasion) & (hu[box] < 150.0)
        mask = _lump(grows_into, centre - first, radius, rng)
        if np.count_nonzero(mask) * _VOXEL_MM**3 < _SMALLEST_MM3:
            continue
        made += 1
        planted = _filled(hu[box], mask, rng)
        yield Volume(planted, grid.crop(first, planted.shape), f"{volume.name} {made}", "CT"), mask


def _lump(room: NDArray[np.bool_], centre: NDArray, radius: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    rough = ndimage.gaussian_filter(rng.normal(size=room.shape).astype(np.float32), radius / _VOXEL_MM / 3)
    stretch = rng.uniform(*_AXES, 3)
    axes = np.ogrid[tuple(map(slice, room.shape))]
    squares = sum(((a - c) * _VOXEL_MM / s) ** 2 for a, c, s in zip(axes, centre, stretch, strict=True))
    inside = (np.sqrt(squares) + rough / rough.std() * _ROUGHNESS * radius < radius) & room
    labels, parts = ndimage.label(ndimage.binary_opening(inside))
    if parts == 0:
        return np.zeros_like(inside)
    return labels == labels.flat[int(np.argmin(np.where(labels > 0, distance_from(room.shape, centre, 1.0), np.inf)))]


def _filled(hu: NDArray, mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float32]:
    """The CT with the tumour in it, blurred at its surface as by a scanner; denser voxels stay."""
    share = ndimage.gaussian_filter(mask.astype(np.float32), 0.5)
    texture = ndimage.gaussian_filter(rng.normal(size=hu.shape).astype(np.float32), 0.6)
    tumour = rng.uniform(*_HU) + texture * (_TEXTURE_HU / texture.std())
    return (hu + share * (tumour - hu)).astype(np.float32)
