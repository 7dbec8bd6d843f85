"""The patient's body, without table and clothes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Between lung (at most about -500 HU) and fat (about -100 HU).
TISSUE_HU = -400.0
# Thinner than a chest wall, thicker than a table top or blanket.
_TABLE_MM = 3.0


def segment_body(hu: NDArray[np.float32], spacing_mm: float) -> NDArray[np.bool_]:
    """The body with all that it encloses in each axial slice: lungs, airway, gas.

    Args:
        hu: [k, j, i] on an isotropic grid whose i, j, k run to left, posterior, superior.
        spacing_mm: voxel size.

    Returns:
        [k, j, i]; empty where there is no tissue.
    """
    tissue = ndimage.binary_opening(hu > TISSUE_HU, iterations=max(1, round(_TABLE_MM / spacing_mm)))
    labels, count = ndimage.label(tissue)
    if count == 0:
        return tissue
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    body = labels == sizes.argmax()
    for plane in body:
        plane[:] = ndimage.binary_fill_holes(plane)
    return body
