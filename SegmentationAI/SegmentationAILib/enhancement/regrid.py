"""Another grid for the same picture: voxels of another size, or in another order."""

from __future__ import annotations

import math

import numpy as np
import psutil
from numpy.typing import NDArray

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.enhancement.filtering import as_dtype, check_numbers
from SegmentationAILib.enhancement.orientation import AXIS_CODES, patient_axes, with_axis_codes
from SegmentationAILib.errors import InputError
from SegmentationAILib.preprocess import reorient as reordered
from SegmentationAILib.preprocess import resample
from SegmentationAILib.volume import Volume

# The result as float and as what is stored, and what the interpolation holds on the way.
_BYTES_PER_VOXEL = 12


def to_spacing(
    volume: Volume,
    *,
    left_right_mm: float = 1.0,
    front_back_mm: float = 1.0,
    head_foot_mm: float = 1.0,
    progress: Progress | None = None,
) -> Volume:
    """Voxels of another size over the same extent; coarser ones average, so that nothing aliases.

    Args:
        volume: any.
        left_right_mm, front_back_mm, head_foot_mm: size along the voxel axis that runs closest to that of the
            patient.
        progress: told of the stages.

    Raises:
        InputError: a size is not above 0, the result does not fit into the memory, or the voxels are not numbers.
        Cancelled: the user cancelled.
    """
    check_numbers(volume)
    wanted = np.array([left_right_mm, front_back_mm, head_foot_mm])
    if not np.all(wanted > 0):
        raise InputError("Give voxels of more than 0 mm.")
    spacing = wanted[patient_axes(volume.grid)]
    voxels = float(np.prod(np.maximum(1.0, volume.spacing * volume.shape[::-1] / spacing)))
    if voxels * _BYTES_PER_VOXEL > psutil.virtual_memory().available:
        raise InputError(
            f"Voxels of {' × '.join(f'{size:g}' for size in wanted)} mm would be {voxels / 1e6:,.0f} million, more "
            "than the memory holds; choose larger ones."
        )
    (progress or Progress())(0.0, "Resampling")
    grid = volume.grid.with_spacing(spacing)
    array = resample(volume.array, volume.grid, grid, mode="area", fill=float(volume.array.min()))
    return Volume(as_dtype(array, volume.array.dtype), grid, volume.name, volume.modality)


def reorient(volume: Volume, *, codes: str = "RAS", progress: Progress | None = None) -> Volume:
    """The same voxels in another order: i, j and k run towards the patient's sides that ``codes`` names.

    Args:
        volume: any.
        codes: one of ``AXIS_CODES``; "RAS": i runs to the right, j to the front, k to the head.
        progress: told of the start.

    Raises:
        InputError: there is no such code.
        Cancelled: the user cancelled.
    """
    if codes not in AXIS_CODES:
        raise InputError(f"'{codes}' names no axes; give three letters such as RAS or LPS.")
    (progress or Progress())(0.0, "Reorienting")
    grid = with_axis_codes(volume.grid, codes)
    return Volume(np.ascontiguousarray(reordered(volume.array, volume.grid, grid)), grid, volume.name, volume.modality)


def reach(volume: Volume, *, left_right_mm: float, front_back_mm: float, head_foot_mm: float) -> NDArray[np.int_]:
    """Voxels along (k, j, i) that a voxel of ``to_spacing`` may depend on."""
    largest = max(left_right_mm, front_back_mm, head_foot_mm)
    return np.array([math.ceil(largest / size) + 1 for size in volume.spacing[::-1]])
