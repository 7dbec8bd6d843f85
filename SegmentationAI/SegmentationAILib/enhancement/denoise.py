"""Less noise, with the scale of what is taken away in mm; the values stay HU."""

from __future__ import annotations

import math

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.enhancement.filtering import check_numbers, execute, in_type_of, itk_image
from SegmentationAILib.errors import InputError
from SegmentationAILib.volume import Volume

# ITK's guide gives 0.0625 for voxels of 1 mm in three dimensions; an explicit scheme's bound goes as 1 / sum(1 / h²).
_FLOW_STEP = 3 * 0.0625
_FLOW_REACH = 3
# Standard deviations beyond which a Gaussian gives next to nothing.
_GAUSSIAN_REACH = 4.0


def median(volume: Volume, *, radius_mm: float = 1.0, progress: Progress | None = None) -> Volume:
    """The median over a box of ``radius_mm`` to each side: takes away single grains, keeps straight edges.

    Raises:
        InputError: the radius reaches no neighbour, or the voxels are not numbers.
        Cancelled: the user cancelled.
    """
    check_numbers(volume)
    itk_filter = sitk.MedianImageFilter()
    itk_filter.SetRadius(median_reach(volume, radius_mm=radius_mm)[::-1].tolist())
    # The median of whole numbers is faster than that of float, and exact.
    image = itk_image(volume.array, volume)
    if volume.array.dtype.kind == "i" and volume.array.dtype.itemsize <= 2:
        image = sitk.Cast(image, sitk.sitkInt16)
    return in_type_of(volume, execute(itk_filter, image, progress or Progress(), "Median"))


def median_reach(volume: Volume, *, radius_mm: float) -> NDArray[np.int_]:
    """Voxels along (k, j, i) that lie within the radius.

    Raises:
        InputError: there are none.
    """
    radius = np.rint(radius_mm / volume.spacing[::-1]).astype(int)
    if not radius.any():
        raise InputError(
            f"A radius of {radius_mm:g} mm reaches no neighbouring voxel; choose {volume.spacing.min():.2g} mm or more."
        )
    return radius


def gaussian(volume: Volume, *, sigma_mm: float = 0.8, progress: Progress | None = None) -> Volume:
    """The mean weighted by a Gaussian of standard deviation ``sigma_mm``: softens noise and edges alike.

    Raises:
        InputError: the voxels are not numbers, or sigma is not above 0.
        Cancelled: the user cancelled.
    """
    check_numbers(volume)
    if not sigma_mm > 0:
        raise InputError("Give a Gaussian of more than 0 mm.")
    progress = progress or Progress()
    array = volume.array.astype(np.float32)
    for axis, size in enumerate(volume.spacing[::-1]):
        progress(axis / 3, "Gaussian")
        array = ndimage.gaussian_filter1d(array, sigma_mm / size, axis=axis, mode="nearest", truncate=_GAUSSIAN_REACH)
    progress(1.0, "Gaussian")
    return in_type_of(volume, array)


def gaussian_reach(volume: Volume, *, sigma_mm: float) -> NDArray[np.int_]:
    """Voxels along (k, j, i) that have a weight."""
    return np.ceil(_GAUSSIAN_REACH * sigma_mm / volume.spacing[::-1]).astype(int)


def curvature_flow(volume: Volume, *, radius_mm: float = 1.0, progress: Progress | None = None) -> Volume:
    """Level sets shrink by their curvature: grains smaller than ``radius_mm`` vanish, straight edges stay.

    A ball's radius r obeys dr/dt = -2/r under ITK's flow (Sethian, Level Set Methods, 1996), so that of radius r₀
    is gone at t = r₀²/4, which is how long the flow runs.

    Raises:
        InputError: the voxels are not numbers, or the radius is not above 0.
        Cancelled: the user cancelled.
    """
    check_numbers(volume)
    if not radius_mm > 0:
        raise InputError("Give a radius of more than 0 mm.")
    time = radius_mm**2 / 4
    steps = _flow_steps(volume, radius_mm)
    itk_filter = sitk.CurvatureFlowImageFilter()
    itk_filter.SetNumberOfIterations(steps)
    itk_filter.SetTimeStep(time / steps)
    image = itk_image(volume.array, volume)
    return in_type_of(volume, execute(itk_filter, image, progress or Progress(), "Curvature flow"))


def flow_reach(volume: Volume, *, radius_mm: float) -> NDArray[np.int_]:
    """Voxels along (k, j, i) that change a voxel by more than a rounding: each step looks one further, if faintly."""
    return np.full(3, min(_flow_steps(volume, radius_mm), _FLOW_REACH))


def _flow_steps(volume: Volume, radius_mm: float) -> int:
    """How many steps of a stable length the flow takes."""
    longest = _FLOW_STEP / float(np.sum(1 / volume.spacing**2))
    return max(1, math.ceil(radius_mm**2 / 4 / longest))
