"""Stored values of a slice to HU: rescaling, padding, images stored as negatives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from SegmentationAILib.dicom_pixels import StoredValues

AIR_HU = -1024
# Hounsfield's scale ends at −1024 and, with 12 bits, at 3071; padding beyond cannot be mistaken for tissue.
_LOWEST_HU, _HIGHEST_HU = -1024, 3071
_BORDER_OF_AIR_HU = (-1100, -900)


def rescale(stored: StoredValues, frame: int, slope: float, intercept: float, *, pad_with_air: bool) -> NDArray:
    """[j, i] ``slope * stored + intercept``: int16 where all values are whole and fit, else float32.

    Args:
        pad_with_air: set padding to −1024 HU (for CT). Where the padding value is one that tissue can
            have, only padding that reaches the image's edge is, since some writers name a value that
            also occurs within the body.
    """
    values = stored.values[frame].astype(np.float64) * slope + intercept
    if pad_with_air and stored.padding is not None:
        padding = stored.padding[frame]
        meant = np.array(stored.padding_values) * slope + intercept
        if np.any((meant > _LOWEST_HU) & (meant <= _HIGHEST_HU)):
            padding = _reaching_the_edge(padding)
        values[padding] = AIR_HU
    limits = np.iinfo(np.int16)
    whole = float(slope).is_integer() and float(intercept).is_integer()
    fits = values.min() >= limits.min and values.max() <= limits.max
    return values.astype(np.int16 if whole and fits else np.float32)


def looks_negative(stored: StoredValues, frame: int, slope: float, intercept: float) -> bool:
    """Whether a MONOCHROME1 CT slice holds the negative of its HU.

    By the standard (PS3.3 C.7.6.3.1.2) MONOCHROME1 concerns display alone, and rescaled values are HU
    as they are. Writers that inverted the pixels as well are told by the image's border, which shows
    air: it lies at −1100…−900 HU only when the pixels are taken as negatives.
    """
    if not stored.inverted:
        return False
    edge = np.ones(stored.values.shape[1:], dtype=bool)
    edge[1:-1, 1:-1] = False
    if stored.padding is not None:
        edge &= ~stored.padding[frame]
    if not edge.any():
        return False
    border = np.median(stored.values[frame][edge].astype(np.float64))
    low, high = _BORDER_OF_AIR_HU
    as_stored, as_negative = (value * slope + intercept for value in (border, stored.sum_of_ends - border))
    return bool(low <= as_negative <= high and not low <= as_stored <= high)


def _reaching_the_edge(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    edge = np.ones(mask.shape, dtype=bool)
    edge[1:-1, 1:-1] = False
    return ndimage.binary_propagation(mask & edge, mask=mask)
