"""IBSI's morphological features that need intensities: the centre's shift, integrated intensity, Moran's I, Geary's C.

MIRP takes a Python call per pair of voxels for the last two and estimates them from 1000 voxels on. As
sums over the pairs of a grid they are convolutions with 1 / distance, which the FFT does exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from SegmentationAILib.radiomics.region import Region

# What rounding in float64 leaves of a variance of 0, relative to the square of the mean.
_NO_VARIANCE = 1e-12


def spatial_features(region: Region, in_range: NDArray[np.bool_], volume_mm3: float) -> dict[str, float]:
    """Sections 3.1.11 and 3.1.27 to 3.1.29 of the reference manual, by IBSI's tags.

    Args:
        region: image, mask and spacing.
        in_range: bool [k, j, i], the mask's voxels whose intensity counts; two at least.
        volume_mm3: of the mask's mesh.

    Returns:
        The shift in mm; Moran's I and Geary's C are NaN where all intensities are the same, and the
        shift where they sum to 0.
    """
    box = ndimage.find_objects(in_range.astype(np.uint8))[0]
    moran, geary = _autocorrelation(region.image[box], in_range[box], region.spacing_kji)
    values = region.image[in_range]
    return {
        "morph_com": _shift(region, in_range),
        "morph_integ_int": volume_mm3 * float(values.mean()),
        "morph_moran_i": moran,
        "morph_geary_c": geary,
    }


def _shift(region: Region, in_range: NDArray[np.bool_]) -> float:
    """Distance from the mask's centre to that of its intensities."""
    weights = region.image[in_range]
    if weights.sum() == 0:
        return float("nan")
    centre = np.argwhere(region.mask).mean(axis=0)
    weighted = np.average(np.argwhere(in_range), axis=0, weights=weights)
    return float(np.linalg.norm((weighted - centre) * region.spacing_kji))


def _autocorrelation(
    image: NDArray[np.float64], inside: NDArray[np.bool_], spacing_kji: tuple[float, float, float]
) -> tuple[float, float]:
    """Moran's I and Geary's C with weights of 1 / distance."""
    values = image[inside]
    deviation = np.where(inside, image - values.mean(), 0.0)
    squares = float((deviation**2).sum())
    if squares <= _NO_VARIANCE * max(1.0, float((values**2).sum())):
        return float("nan"), float("nan")
    steps = np.meshgrid(
        *[np.arange(1 - n, n) * mm for n, mm in zip(inside.shape, spacing_kji, strict=True)], indexing="ij", sparse=True
    )
    distance = np.sqrt(sum(step**2 for step in steps))
    weights = np.divide(1.0, distance, out=np.zeros_like(distance), where=distance > 0)
    of_mask = signal.fftconvolve(inside.astype(np.float64), weights, mode="same")
    of_deviation = signal.fftconvolve(deviation, weights, mode="same")
    count, total = len(values), float(of_mask[inside].sum())
    products = float((deviation * of_deviation).sum())
    # The sum of w (a - b)² over pairs is twice that of w a² less that of w a b.
    differences = float((deviation**2 * of_mask).sum()) - products
    return count * products / (total * squares), (count - 1) * differences / (total * squares)
