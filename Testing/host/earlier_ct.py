"""A made-up earlier CT of the same chest, for pictures of a follow-up."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from SegmentationAILib.volume import Volume

# How the patient lay then: turned about the long axis, and shifted; RAS, mm.
_TURN_DEGREES, _SHIFT_MM = 2.5, (4.0, -6.0, 9.0)
# The nodule's size then over now, and how far around it the lung gives way, mm.
_SIZE_THEN, _REACH_MM = 0.75, 22.0
_AIR_HU = -1000.0


def earlier_ct(now: Volume, nodule_ras: tuple[float, float, float]) -> Volume:
    """The CT turned and shifted, with one nodule smaller.

    Args:
        now: HU.
        nodule_ras: the nodule's centre, mm.
    """
    angle = np.radians(_TURN_DEGREES)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    middle = now.grid.ras((np.array(now.shape[::-1]) - 1) / 2)
    hu = np.empty(now.shape, dtype=np.int16)
    rows, columns = np.indices(now.shape[1:])
    for k in range(now.shape[0]):
        there = now.grid.ras(np.stack([columns, rows, np.full_like(rows, k)], axis=-1))
        here = (there - middle - _SHIFT_MM) @ turn + middle
        from_nodule = here - nodule_ras
        near = np.exp(-np.sum((from_nodule / _REACH_MM) ** 2, axis=-1, keepdims=True))
        here = nodule_ras + from_nodule * (1 + near * (1 / _SIZE_THEN - 1))
        ijk = now.grid.ijk(here)
        hu[k] = ndimage.map_coordinates(now.array, np.moveaxis(ijk[..., ::-1], -1, 0), order=1, cval=_AIR_HU)
    return Volume(hu, now.grid, f"{now.name} earlier (simulated)", modality="CT")
