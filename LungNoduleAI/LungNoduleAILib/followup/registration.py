"""Lays the lungs of a prior CT on those of the current one, breath and posture undone."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleAILib.followup.lung_image import SPACING_MM, LungImage, sides_in_both
from LungNoduleAILib.followup.lung_registration import LungRegistration
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.files import to_itk
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.metrics import dice
from SegmentationAILib.preprocess import resample
from SegmentationAILib.surface_distance import surface_distances
from SegmentationAILib.volume import LPS_FROM_RAS, Volume

# Coarse to fine: size of the voxels in mm, iterations, standard deviation of the field's smoothing in voxels.
_DEFORMABLE_LEVELS = ((16.0, 60, 1.0), (8.0, 40, 1.2), (4.0, 20, 1.5))
_UPDATE_SIGMA_VOXELS = 1.0
# Eleven pairs of CTs of different patients (one a phantom) came to overlaps of 0.93 to 0.97 and correlations of 0.50
# to 0.67; CTs laid on themselves after a known breath to 0.98 and 0.89 at least.
SMALLEST_OVERLAP = 0.93
SMALLEST_CORRELATION = 0.7
# From full breath in to the end of a quiet breath out the lungs lose about half of their air; beyond, it is a part.
LARGEST_VOLUME_RATIO = 1.9
# From full breath in to full breath out the lungs lose about a quarter of their height.
LARGEST_STRETCH = 1.45


def register_lungs(
    current: Volume,
    current_lungs: LabelMap,
    prior: Volume,
    prior_lungs: LabelMap,
    progress: Progress | None = None,
) -> LungRegistration:
    """Register the prior CT's lungs to the current CT's: rigidly, then affinely, then deformably.

    The first two maximise the correlation; the last is the demons algorithm (Thirion, Med Image Anal 1998)
    with symmetric forces, coarse to fine. Lung that one breath has thinned is brought to the other's density first.

    Args:
        current: chest CT, HU.
        current_lungs: right and left lung on the current CT's grid.
        prior: an earlier chest CT of the same patient.
        prior_lungs: the same on the prior CT's grid.
        progress: told of each stage; its token cancels between them.

    Raises:
        InputError: a CT shows no lung that the other shows too, or the lungs do not fit on each other.
        Cancelled: the user cancelled.
    """
    progress = progress or Progress()
    progress(0.0, "Reading the lungs of both CTs")
    sides = sides_in_both(current_lungs, prior_lungs)
    fixed = LungImage.of(prior, prior_lungs, sides)
    moving = LungImage.of(current, current_lungs, sides)
    fixed = fixed.with_density_of(moving)
    progress(0.2, "Turning and scaling the prior lungs")
    rigid = _rigid(fixed, moving)
    fixed, moving = _in_both(fixed, moving, rigid)
    _check_volumes(fixed, moving)
    affine = _affine(fixed, moving, rigid)
    progress(0.4, "Undoing the breath")
    laid = moving.on(fixed.grid, affine)
    displacement = _deformation(fixed, laid)
    progress(0.9, "Checking the fit")
    registration = _checked(fixed, moving, affine, displacement, sides)
    progress(1.0, "Registration done")
    return registration


def _rigid(fixed: LungImage, moving: LungImage) -> sitk.Euler3DTransform:
    """LPS of the prior to LPS of the current CT."""
    to_lps = LPS_FROM_RAS[:3, :3]
    rigid = sitk.Euler3DTransform()
    rigid.SetCenter((to_lps @ fixed.centre).tolist())
    rigid.SetTranslation((to_lps @ (moving.centre - fixed.centre)).tolist())
    _fit(rigid, fixed, moving, first_step=4.0)
    return rigid


def _in_both(fixed: LungImage, moving: LungImage, rigid: sitk.Euler3DTransform) -> tuple[LungImage, LungImage]:
    """The part of the lungs that both CTs cover: what one cuts off must not pull at the other."""
    there = _ras_matrix(rigid)
    return fixed.within(moving.extent, there), moving.within(fixed.extent, np.linalg.inv(there))


def _check_volumes(fixed: LungImage, moving: LungImage) -> None:
    then, now = float(fixed.share.sum()), float(moving.share.sum())
    if max(then, now) > LARGEST_VOLUME_RATIO * min(then, now):
        ratio = max(then, now) / max(min(then, now), 1e-3)
        raise InputError(
            f"The lungs have {ratio:.1f} times the volume on one CT that they have on the other; choose a prior CT of "
            "the same patient and breath that shows the whole lungs."
        )


def _affine(fixed: LungImage, moving: LungImage, rigid: sitk.Euler3DTransform) -> NDArray[np.float64]:
    """4×4, RAS of the prior to RAS of the current CT."""
    affine = sitk.AffineTransform(3)
    affine.SetCenter(rigid.GetCenter())
    affine.SetMatrix(rigid.GetMatrix())
    affine.SetTranslation(rigid.GetTranslation())
    # A scale that runs away never comes back, so that it starts with small steps and must fit better.
    fit = _fit(affine, fixed, moving, first_step=1.0)
    return _ras_matrix(affine if fit < _fit(rigid, fixed, moving, first_step=1.0) else rigid)


def _ras_matrix(transform: sitk.Transform) -> NDArray[np.float64]:
    """4×4 in RAS of a linear transform in LPS."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(transform.GetMatrix()).reshape(3, 3)
    matrix[:3, 3] = transform.TransformPoint((0.0, 0.0, 0.0))
    return LPS_FROM_RAS @ matrix @ LPS_FROM_RAS


def _fit(transform: sitk.Transform, fixed: LungImage, moving: LungImage, first_step: float) -> float:
    """Optimise the transform in place; less is a better fit."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsCorrelation()
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=first_step,
        minStep=0.02,
        numberOfIterations=60,
        relaxationFactor=0.5,
        gradientMagnitudeTolerance=1e-7,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel((4, 2))
    method.SetSmoothingSigmasPerLevel((6.0, 3.0))
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(to_itk(fixed.hu, fixed.grid), to_itk(moving.hu, moving.grid))
    except RuntimeError as error:
        raise InputError("The lungs of the two CTs do not overlap; choose a prior CT of the same patient.") from error
    return method.GetMetricValue()


def _deformation(fixed: LungImage, laid: LungImage) -> NDArray[np.float32]:
    """Displacement [3, k, j, i] in RAS mm on the fixed grid, from there to the affinely laid current lungs."""
    field = None
    for spacing, iterations, sigma in _DEFORMABLE_LEVELS:
        grid = fixed.grid.with_spacing(spacing)
        images = [to_itk(resample(lungs.hu, fixed.grid, grid, mode="area"), grid) for lungs in (fixed, laid)]
        demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
        demons.SetNumberOfIterations(iterations)
        demons.SetSmoothDisplacementField(True)
        demons.SetStandardDeviations(sigma)
        demons.SetSmoothUpdateField(True)
        demons.SetUpdateFieldStandardDeviations(_UPDATE_SIGMA_VOXELS)
        if field is None:
            field = demons.Execute(*images)
        else:
            start = sitk.Resample(field, images[0], sitk.Transform(), sitk.sitkLinear, 0.0, field.GetPixelID(), True)
            field = demons.Execute(*images, start)
    lps = np.moveaxis(sitk.GetArrayFromImage(field), -1, 0)
    return (lps * np.diag(LPS_FROM_RAS)[:3, None, None, None]).astype(np.float32)


def _checked(
    fixed: LungImage, moving: LungImage, affine: NDArray, displacement: NDArray, sides: tuple[str, ...]
) -> LungRegistration:
    start = np.eye(4)
    start[:3, 3] = moving.centre - fixed.centre
    before = dice(fixed.share >= 0.5, moving.on(fixed.grid, start).share >= 0.5)
    laid = moving.on(fixed.grid, affine)
    kji = (
        np.indices(fixed.grid.shape)
        + np.einsum("ab,b...->a...", fixed.grid.ras_to_ijk[:3, :3], displacement.astype(np.float64))[::-1]
    )
    hu = ndimage.map_coordinates(laid.hu, kji, order=1, mode="nearest")
    own, other = fixed.share >= 0.5, ndimage.map_coordinates(laid.share, kji, order=1, mode="nearest") >= 0.5
    both = own & other
    overlap = dice(own, other)
    correlation = float(np.corrcoef(fixed.hu[both], hu[both])[0, 1]) if both.sum() > 2 else 0.0
    scales = np.linalg.svd(affine[:3, :3], compute_uv=False)
    stretch = float(scales.min()), float(scales.max())
    if overlap < SMALLEST_OVERLAP or not correlation >= SMALLEST_CORRELATION:
        raise InputError(
            f"The lungs of the two CTs do not fit on each other (overlap {overlap:.2f}, correlation "
            f"{correlation:.2f}); choose a prior CT of the same patient that shows the whole lungs."
        )
    if stretch[0] < 1 / LARGEST_STRETCH or stretch[1] > LARGEST_STRETCH:
        raise InputError(
            "The lungs of the two CTs fit only with one of them stretched more than a breath does "
            f"({stretch[0]:.2f} to {stretch[1]:.2f} times); choose a prior CT of the same patient that shows the whole "
            "lungs."
        )
    folded = float((_jacobian(kji)[own] <= 0).mean())
    residual = surface_distances(own, other, (SPACING_MM,) * 3).mean()
    return LungRegistration(
        affine, displacement, fixed.grid, overlap, before, residual, correlation, folded, stretch, sides
    )


def _jacobian(kji: NDArray[np.float64]) -> NDArray[np.float64]:
    """Determinant of the derivatives of where each voxel goes, [k, j, i]."""
    derivatives = np.stack([np.stack(np.gradient(axis)) for axis in kji])
    return np.linalg.det(np.moveaxis(derivatives, (0, 1), (-2, -1)))
