"""N4: brightness that varies slowly over the picture, as MR coils leave it, taken away."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.enhancement.filtering import check_numbers, execute, itk_image
from SegmentationAILib.errors import InputError
from SegmentationAILib.preprocess import resample
from SegmentationAILib.volume import Volume

# Per axis; the field is smooth, so a coarse picture shows all of it.
_VOXELS = 32
_MOST_LEVELS = 6


@dataclass(frozen=True, eq=False)
class BiasField:
    """How much brighter each place is.

    Attributes:
        log_field: natural logarithm of the factor, on a coarse grid over the volume.
        offset: what was taken from the values before they were divided.
    """

    log_field: Volume
    offset: float


def n4(
    volume: Volume,
    *,
    scale_mm: float = 100.0,
    iterations: float = 30,
    overview: BiasField | None = None,
    progress: Progress | None = None,
) -> Volume:
    """Divide by the smooth field that N4 finds (Tustison et al., IEEE TMI 2010).

    Args:
        volume: any; values below 0 are shifted to 0 for the division and back.
        scale_mm: distance of the field's control points at the last of its levels; brightness that varies faster
            is left.
        iterations: at each level; it ends earlier where nothing changes any more.
        overview: the field, if it is known; else it is found.
        progress: told of the stages.

    Returns:
        float32, in the volume's unit; on CT no longer HU: for viewing, not for measuring.

    Raises:
        InputError: the voxels are not numbers, all the same, or a parameter is not above 0.
        Cancelled: the user cancelled.
    """
    check_numbers(volume)
    progress = progress or Progress()
    found = overview or bias_field(volume, scale_mm=scale_mm, iterations=iterations, progress=progress.part(0.0, 0.9))
    progress(0.9, "Bias field")
    field = np.exp(resample(found.log_field.array, found.log_field.grid, volume.grid, mode="linear"))
    return volume.with_array((volume.array.astype(np.float32) - found.offset) / field + found.offset)


def bias_field(volume: Volume, *, scale_mm: float, iterations: float, progress: Progress | None = None) -> BiasField:
    """The field that ``n4`` divides by; see there."""
    check_numbers(volume)
    if not scale_mm > 0 or iterations < 1:
        raise InputError("Give a scale of more than 0 mm and at least 1 iteration.")
    coarse = _averaged(volume)
    if coarse.array.min() == coarse.array.max():
        raise InputError("The volume has the same value everywhere; choose another.")
    offset = min(0.0, float(coarse.array.min()))
    extent = coarse.spacing * coarse.shape[::-1]
    levels = min(_MOST_LEVELS, 1 + max(0, math.ceil(math.log2(max(float(extent.max()) / scale_mm, 1.0)))))
    spans = np.maximum(1, np.rint(extent / scale_mm / 2 ** (levels - 1))).astype(int)
    itk_filter = sitk.N4BiasFieldCorrectionImageFilter()
    itk_filter.SetMaximumNumberOfIterations([round(iterations)] * levels)
    itk_filter.SetNumberOfControlPoints([int(n) + 3 for n in spans])
    image = itk_image(coarse.array - offset, coarse)
    execute(itk_filter, image, progress or Progress(), "Bias field")
    log_field = sitk.GetArrayFromImage(itk_filter.GetLogBiasFieldAsImage(image))
    return BiasField(coarse.with_array(log_field), offset)


def _averaged(volume: Volume) -> Volume:
    """The volume on at most 32 voxels per axis, over the same extent."""
    extent = volume.spacing * volume.shape[::-1]
    grid = volume.grid.with_spacing(extent / np.minimum(volume.shape[::-1], _VOXELS))
    return Volume(resample(volume.array, volume.grid, grid, mode="area"), grid, volume.name)
