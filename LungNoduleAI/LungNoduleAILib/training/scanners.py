"""The same lung by another scanner: slice thickness, kernel, dose, contrast agent, field of view."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_AIR_HU = -1000.0


def other_scanner(hu: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Degrade a patch of 1 mm voxels as some scanner or protocol would.

    Args:
        hu: [k, j, i].
        rng: decides what is done.
    """
    if rng.random() < 0.25:
        hu = np.where(hu > 0, hu * rng.uniform(0.8, 2.2), hu)
    if rng.random() < 0.5:
        hu = _slices(hu, rng.uniform(1.5, 5.0), rng.uniform(0, 1))
    if rng.random() < 0.5:
        hu = _kernel(hu, rng)
    if rng.random() < 0.7:
        hu = hu + _noise(hu.shape, rng)
    hu = hu + rng.normal(0, 15)
    if rng.random() < 0.05:
        hu = _truncated(hu, rng)
    return hu.astype(np.float32)


def _slices(hu: NDArray, thickness_mm: float, phase: float) -> NDArray:
    """Slices of that thickness, contiguous, interpolated back to 1 mm."""
    averaged = ndimage.uniform_filter1d(hu, max(1, round(thickness_mm)), axis=0, mode="nearest")
    places = np.arange(phase * thickness_mm, hu.shape[0] - 1, thickness_mm)
    position = np.clip((np.arange(hu.shape[0]) - places[0]) / thickness_mm, 0, len(places) - 1)
    low = np.minimum(position.astype(int), max(len(places) - 2, 0))
    high = np.minimum(low + 1, len(places) - 1)
    rows = averaged[np.round(places).astype(int)]
    share = (position - low)[:, None, None]
    return rows[low] * (1 - share) + rows[high] * share


def _kernel(hu: NDArray, rng: np.random.Generator) -> NDArray:
    """A softer kernel, or a sharper one by unsharp masking, in the plane."""
    blurred = ndimage.gaussian_filter(hu, (0, 0.8, 0.8) if rng.random() < 0.5 else (0, 0.6, 0.6))
    return blurred if rng.random() < 0.5 else hu + rng.uniform(0.3, 1.2) * (hu - blurred)


def _noise(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray:
    """Noise of a dose: 3 to 60 HU, with the grain of a soft kernel or of none."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    grain = rng.choice([0.0, 0.5, 0.9])
    if grain:
        noise = ndimage.gaussian_filter(noise, (grain / 2, grain, grain))
        noise /= noise.std()
    return noise * np.exp(rng.uniform(np.log(3), np.log(60)))


def _truncated(hu: NDArray, rng: np.random.Generator) -> NDArray:
    """Nothing beyond the reconstruction circle's edge."""
    hu = hu.copy()
    axis, cut = rng.integers(1, 3), int(rng.integers(3, 12))
    edge = slice(0, cut) if rng.random() < 0.5 else slice(-cut, None)
    hu[(slice(None),) * axis + (edge,)] = _AIR_HU
    return hu
