"""Lays one CT of a patient on another by a turn and a shift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from SegmentationAILib.errors import InputError
from SegmentationAILib.files import to_itk
from SegmentationAILib.preprocess import resample
from SegmentationAILib.volume import LPS_FROM_RAS, Volume

# Air to soft tissue and spongy bone: contrast medium, metal and the couch's edges say little about position.
_WINDOW_HU = (-1000.0, 400.0)
# Finer voxels cost time and gain nothing: the optimum is found to a small part of a voxel.
_SPACING_MM = 3.0
_FEWEST_VOXELS = 8
# Coarse to fine: shrink factor, smoothing in mm, share of the voxels that are compared.
_LEVELS = ((4, 6.0, 1.0), (2, 3.0, 0.5), (1, 0.0, 0.1))
_SEED = 1
_BINS = 32


@dataclass(frozen=True, eq=False)
class Alignment:
    """A rigid motion and how well it fits.

    Attributes:
        matrix: 4×4, RAS in mm of the moving CT to RAS of the fixed CT.
        rotation_deg: the angle of the turn.
        shift_mm: how far what comes to lie in the middle of the fixed CT moves along (R, A, S).
        correlation_before: Pearson's correlation of the two CTs as they came.
        correlation: the same after the motion.
    """

    matrix: NDArray[np.float64]
    rotation_deg: float
    shift_mm: tuple[float, float, float]
    correlation_before: float
    correlation: float


def align_rigidly(moving: Volume, fixed: Volume, region: NDArray[np.bool_] | None = None) -> Alignment:
    """The turn and shift that lay ``moving`` on ``fixed``, by Mattes' mutual information.

    Args:
        moving: a CT in HU.
        fixed: another CT of the same patient.
        region: bool [k, j, i] on the fixed CT's grid that alone must fit, such as the spine; all if not given.

    Raises:
        InputError: the CTs are too small, do not overlap, or fit no better after than before.
    """
    target = fixed.grid.with_spacing(np.maximum(fixed.spacing, _SPACING_MM))
    source = moving.grid.with_spacing(np.maximum(moving.spacing, _SPACING_MM))
    if min(*target.shape, *source.shape) < _FEWEST_VOXELS:
        raise InputError("A CT is too small to be aligned; switch the alignment off.")
    still = np.clip(resample(fixed.array, fixed.grid, target, mode="area", fill=-1000.0), *_WINDOW_HU)
    moved = np.clip(resample(moving.array, moving.grid, source, mode="area", fill=-1000.0), *_WINDOW_HU)
    method = _method()
    inside = np.ones(target.shape, dtype=bool)
    if region is not None:
        inside = resample(region, fixed.grid, target, mode="nearest")
        method.SetMetricFixedMask(to_itk(inside, target))
    motion = sitk.Euler3DTransform()
    centre = target.ras((np.array(target.shape[::-1]) - 1) / 2)
    motion.SetCenter((LPS_FROM_RAS[:3, :3] @ centre).tolist())
    method.SetInitialTransform(motion, inPlace=True)
    try:
        method.Execute(to_itk(still, target), to_itk(moved, source))
    except RuntimeError as error:
        raise InputError("The CTs do not overlap and cannot be aligned; switch the alignment off.") from error
    to_moving = _ras_matrix(motion)
    before = _correlation(still, resample(moved, source, target, fill=np.nan), inside)
    shifted = type(source)(source.shape, np.linalg.inv(to_moving) @ source.ijk_to_ras)
    after = _correlation(still, resample(moved, shifted, target, fill=np.nan), inside)
    if not after >= before - 1e-3:
        raise InputError(
            f"The CTs fit worse after the alignment (correlation {after:.2f}) than before ({before:.2f}); "
            "switch the alignment off."
        )
    matrix = np.linalg.inv(to_moving)
    turn = np.degrees(np.arccos(np.clip((np.trace(matrix[:3, :3]) - 1) / 2, -1, 1)))
    shift = centre - (to_moving[:3, :3] @ centre + to_moving[:3, 3])
    return Alignment(matrix, float(turn), (float(shift[0]), float(shift[1]), float(shift[2])), before, after)


def _method() -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=4.0, minStep=0.01, numberOfIterations=100, relaxationFactor=0.5, gradientMagnitudeTolerance=1e-6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    shrink, smoothing, share = zip(*_LEVELS, strict=True)
    method.SetShrinkFactorsPerLevel(shrink)
    method.SetSmoothingSigmasPerLevel(smoothing)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentagePerLevel(share, _SEED)
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    return method


def _ras_matrix(motion: sitk.Euler3DTransform) -> NDArray[np.float64]:
    """4×4, RAS of the fixed to RAS of the moving CT."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(motion.GetMatrix()).reshape(3, 3)
    matrix[:3, 3] = motion.TransformPoint((0.0, 0.0, 0.0))
    return LPS_FROM_RAS @ matrix @ LPS_FROM_RAS


def _correlation(first: NDArray, second: NDArray, inside: NDArray[np.bool_]) -> float:
    """Pearson's; 0 where they do not overlap or one is uniform."""
    both = inside & np.isfinite(second)
    if both.sum() < 2 or first[both].std() == 0 or second[both].std() == 0:
        return 0.0
    return float(np.corrcoef(first[both], second[both])[0, 1])
