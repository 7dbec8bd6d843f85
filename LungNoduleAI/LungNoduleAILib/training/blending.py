"""A nodule put into a lung so that nothing but the nodule tells that it was not always there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleAILib.training.lidc import NoduleCrop
from LungNoduleAILib.training.parametric import Insert

# Denser than this is vessel, airway wall or chest wall.
_TISSUE_HU = -500.0
_RING_MM = (2.5, 6.0)
# More of the ring than vessels fill is chest wall or mediastinum.
_WALLED_SHARE = 0.3


def real_insert(crop: NoduleCrop, rng: np.random.Generator, scale: float = 1.0) -> Insert:
    """A reader's nodule, turned about the body's axis, flipped and scaled.

    Args:
        crop: of LIDC.
        rng: source of the turn and the flips.
        scale: of its diameter.
    """
    turn = _about_k(rng.uniform(0, 2 * np.pi)) @ np.diag(rng.choice([-1.0, 1.0], 3)) / scale
    size = np.array(crop.hu.shape)
    around = int(np.ceil(np.sqrt(2) * max(size[1:]) * scale)) | 1
    shape = np.array([int(np.ceil(size[0] * scale)) | 1, around, around])
    shift = (size - 1) / 2 - turn @ ((shape - 1) / 2)
    hu = ndimage.affine_transform(crop.hu, turn, shift, tuple(shape), order=3, mode="nearest")
    distance = scale * ndimage.affine_transform(
        crop.distance, turn, shift, tuple(shape), order=1, cval=float(crop.distance.min())
    )
    near = ndimage.find_objects((distance > -_RING_MM[1]).astype(np.uint8))[0]
    hu, distance = hu[near], distance[near]
    # Lung around the nodule, without the vessels and walls that came along.
    ring = (distance < -_RING_MM[0]) & (hu < _TISSUE_HU)
    parenchyma = float(np.median(hu[ring])) if ring.any() else -850.0
    return Insert(hu, np.clip(distance + 0.5, 0, 1).astype(np.float32), parenchyma)


def blend(hu: NDArray, insert: Insert, centre: tuple[int, int, int], lungs: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Write the insert into the CT, in place.

    A nodule takes the place of air, never of a vessel or of the chest wall: where the CT is denser
    it stays. Around the outline the insert's own surroundings fade into the CT's, at the CT's level
    of lung; chest wall around it does not come along.

    Args:
        hu: float32 [k, j, i] at 1 mm, changed.
        insert: the nodule.
        centre: voxel (k, j, i) of its middle.
        lungs: bool [k, j, i]; what lies outside is no nodule.

    Returns:
        Occupancy by the nodule, float32 of hu's shape.
    """
    shape = np.array(insert.hu.shape)
    start = np.array(centre) - shape // 2
    low, high = np.maximum(start, 0), np.minimum(start + shape, hu.shape)
    whole = np.zeros(hu.shape, dtype=np.float32)
    if (high <= low).any():
        return whole
    there = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    here = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
    occupancy, own, old = insert.occupancy[here], insert.hu[here], hu[there]
    if insert.parenchyma_hu is None:
        hu[there] = old + occupancy * np.maximum(own - old, 0)
    else:
        lung = old[(old < _TISSUE_HU) & lungs[there]]
        level = float(np.median(lung)) if lung.size else -850.0
        inside = occupancy > 0.5
        weight = np.clip(ndimage.gaussian_filter(ndimage.grey_dilation(occupancy, 3), 0.8), 0, 1)
        shifted = own + (1 - occupancy) * (level - insert.parenchyma_hu)
        ring = (weight > 0.05) & ~inside
        if ring.any() and np.mean(shifted[ring] > _TISSUE_HU) > _WALLED_SHARE:
            # A nodule at the pleura comes with a piece of wall, which stays behind.
            core = float(np.percentile(own[inside], 75)) if inside.any() else level
            edge = level + 1.3 * ndimage.gaussian_filter(occupancy, 0.8) * max(core - level, 0) + 60
            shifted = np.where(inside, shifted, np.minimum(shifted, edge))
        hu[there] = old + weight * np.where(old < _TISSUE_HU, shifted - old, np.maximum(shifted - old, 0))
    whole[there] = occupancy * lungs[there]
    return whole


def _about_k(angle: float) -> NDArray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
