"""What lung would look like in a nodule's place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Denser than this is vessel, wall or nodule.
_LUNG_BELOW_HU = -700.0
_TYPICAL_LUNG_HU = -860.0
# With fewer voxels of lung around, the typical one stands for it.
_LEAST_VOXELS = 200
# Lung changes its density slowly; noise of CT at 1 mm is correlated over about a voxel.
_LEVEL_MM, _GRAIN_MM = 6.0, 0.6
# A median absolute deviation to a normal distribution's deviation.
_MAD_TO_DEVIATION = 1.4826


def lung_texture(hu: NDArray[np.float32], lungs: NDArray[np.bool_], nodule: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Lung everywhere: the level of the lung nearby, with noise as strong as the lung's own.

    The same voxels give the same texture.

    Args:
        hu: [k, j, i] at 1 mm.
        lungs: bool [k, j, i], where lung may be learnt from.
        nodule: bool [k, j, i], where it may not; nor within 2 mm of it.

    Returns:
        HU, float32 [k, j, i].
    """
    known = lungs & (hu < _LUNG_BELOW_HU) & ~ndimage.binary_dilation(nodule, iterations=2)
    if np.count_nonzero(known) < _LEAST_VOXELS:
        return np.full(hu.shape, _TYPICAL_LUNG_HU, dtype=np.float32)
    middle = float(np.median(hu[known]))
    weight = ndimage.gaussian_filter(known.astype(np.float32), _LEVEL_MM)
    departure = ndimage.gaussian_filter(np.where(known, hu - middle, 0).astype(np.float32), _LEVEL_MM)
    # Far from any lung the level falls back on the middle one.
    level = middle + departure / (weight + 0.05)
    deviation = _MAD_TO_DEVIATION * float(np.median(np.abs((hu - level)[known])))
    noise = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(hu.shape), _GRAIN_MM)
    return (level + noise * (deviation / noise.std())).astype(np.float32)
