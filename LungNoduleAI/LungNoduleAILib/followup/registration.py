"""Lays the lungs of a prior CT on those of the current one, breath and posture undone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.files import to_itk
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.metrics import dice
from SegmentationAILib.preprocess import resample
from SegmentationAILib.surface_distance import surface_distances
from SegmentationAILib.terminology import LEFT_LUNG, RIGHT_LUNG
from SegmentationAILib.volume import LPS_FROM_RAS, Grid, Volume

# 3 mm find known places no better and take nearly three times as long.
_SPACING_MM = 4.0
_MARGIN_MM = 24.0
# Air to soft tissue; what surrounds the lungs counts as soft tissue, so that ribs, which the lungs slide along,
# do not hold them.
_AIR_HU, _TISSUE_HU = -1000.0, 0.0
# Less than this is a collapsed lung, or the edge of one on a CT of the abdomen.
_SMALLEST_LUNG_ML = 150.0
# Coarse to fine: size of the voxels in mm, iterations, standard deviation of the field's smoothing in voxels.
_DEFORMABLE_LEVELS = ((16.0, 60, 1.0), (8.0, 40, 1.2), (4.0, 20, 1.5))
_UPDATE_SIGMA_VOXELS = 1.0
# Lungs of one patient laid on each other reach 0.95 and more, those of two patients or parts of a lung far less.
SMALLEST_OVERLAP = 0.88
SMALLEST_CORRELATION = 0.6
_INVERSE_ITERATIONS = 40


@dataclass(frozen=True, eq=False)
class LungRegistration:
    """Where a place of the prior CT lies on the current one, and back.

    A point p of the prior CT goes to ``affine`` · (p + displacement(p)).

    Attributes:
        affine: 4×4, RAS in mm.
        displacement: float32 [3, k, j, i], RAS in mm, on ``grid``.
        grid: over the prior CT's lungs.
        overlap: Dice coefficient of the current lungs and the prior ones laid on them, 0…1.
        overlap_before: the same with the prior lungs' centre of gravity alone laid on the current one.
        residual_mm: mean distance between the surfaces of the two, both ways.
        correlation: Pearson's, of the HU inside both.
        folded_share: share of the lungs' voxels where the displacement turns space inside out.
        sides: "right" and "left": the lungs that both CTs show.
    """

    affine: NDArray[np.float64]
    displacement: NDArray[np.float32]
    grid: Grid
    overlap: float
    overlap_before: float
    residual_mm: float
    correlation: float
    folded_share: float
    sides: tuple[str, ...]

    def to_current(self, prior_ras: ArrayLike) -> NDArray[np.float64]:
        """Points (..., 3) of the prior CT on the current one, RAS in mm both."""
        points = np.asarray(prior_ras, dtype=np.float64)
        moved = points + self._displacement_at(points)
        return moved @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_prior(self, current_ras: ArrayLike) -> NDArray[np.float64]:
        """Points (..., 3) of the current CT on the prior one, RAS in mm both; exact to 0.01 mm without folds."""
        back = np.linalg.inv(self.affine)
        goal = np.asarray(current_ras, dtype=np.float64) @ back[:3, :3].T + back[:3, 3]
        points = goal
        for _ in range(_INVERSE_ITERATIONS):
            points = goal - self._displacement_at(points)
        return points

    def _displacement_at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Trilinear; beyond the grid that of its nearest voxel."""
        kji = np.moveaxis(self.grid.ijk(points)[..., ::-1], -1, 0)
        along = [ndimage.map_coordinates(axis, kji, order=1, mode="nearest") for axis in self.displacement]
        return np.stack(along, axis=-1).astype(np.float64)


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
    sides = _sides_in_both(current_lungs, prior_lungs)
    fixed = _Lungs.of(prior, prior_lungs, sides)
    moving = _Lungs.of(current, current_lungs, sides)
    fixed = fixed.with_density_of(moving)
    progress(0.2, "Turning and scaling the prior lungs")
    affine = _affine(fixed, moving)
    progress(0.4, "Undoing the breath")
    laid = moving.on(fixed.grid, affine)
    displacement = _deformation(fixed, laid)
    progress(0.9, "Checking the fit")
    registration = _checked(fixed, moving, affine, displacement, sides)
    progress(1.0, "Registration done")
    return registration


@dataclass(frozen=True, eq=False)
class _Lungs:
    """A CT's lungs on a coarse grid: HU inside, soft tissue around; and how much of each voxel is lung."""

    hu: NDArray[np.float32]
    share: NDArray[np.float32]
    grid: Grid

    @classmethod
    def of(cls, volume: Volume, lungs: LabelMap, sides: tuple[str, ...]) -> _Lungs:
        mask = np.isin(lungs.array, [value for value, side in _sides(lungs).items() if side in sides])
        grid = _grid_around(mask, lungs.grid)
        share = resample(mask.astype(np.float32), lungs.grid, grid, mode="area")
        hu = resample(volume.array, volume.grid, grid, mode="area", fill=_TISSUE_HU)
        return cls(share * (np.clip(hu, _AIR_HU, _TISSUE_HU) - _TISSUE_HU) + _TISSUE_HU, share, grid)

    @property
    def centre(self) -> NDArray[np.float64]:
        """RAS of the centre of gravity."""
        return self.grid.ras(np.array(ndimage.center_of_mass(self.share))[::-1])

    def with_density_of(self, other: _Lungs) -> _Lungs:
        """Scaled so that the middle of the lung has the other's HU and soft tissue stays."""
        middle, goal = (np.median(lungs.hu[lungs.share > 0.95]) - _TISSUE_HU for lungs in (self, other))
        return _Lungs((self.hu - _TISSUE_HU) * np.float32(goal / middle) + _TISSUE_HU, self.share, self.grid)

    def on(self, grid: Grid, affine: NDArray[np.float64]) -> _Lungs:
        """On another grid, whose points the matrix takes here."""
        there = Grid(grid.shape, affine @ grid.ijk_to_ras)
        hu = resample(self.hu, self.grid, there, fill=_TISSUE_HU)
        return _Lungs(hu, resample(self.share, self.grid, there), grid)


def _sides(lungs: LabelMap) -> dict[int, str]:
    names = {RIGHT_LUNG: "right", LEFT_LUNG: "left"}
    return {value: names[held] for value, held in lungs.structures.items() if held in names}


def _sides_in_both(current: LabelMap, prior: LabelMap) -> tuple[str, ...]:
    shown = []
    for name, lungs in (("current", current), ("prior", prior)):
        counts = np.bincount(lungs.array.ravel(), minlength=max(lungs.structures, default=0) + 1)
        volumes = {side: counts[value] * lungs.grid.voxel_volume / 1000.0 for value, side in _sides(lungs).items()}
        shown.append({side for side, ml in volumes.items() if ml >= _SMALLEST_LUNG_ML})
        if not shown[-1]:
            raise InputError(f"The {name} CT does not show the lungs; choose a CT of the chest to compare.")
    common = tuple(side for side in ("right", "left") if side in shown[0] & shown[1])
    if not common:
        raise InputError("The two CTs do not show the same lung; choose another prior CT.")
    return common


def _grid_around(mask: NDArray[np.bool_], source: Grid) -> Grid:
    """Isotropic voxels along L, P, S over the mask and a margin."""
    box = [np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    corners = np.array(np.meshgrid(*[(indices[0], indices[-1]) for indices in box[::-1]])).reshape(3, -1).T
    reach = source.ras(corners)
    low, high = reach.min(axis=0) - _MARGIN_MM, reach.max(axis=0) + _MARGIN_MM
    size_ijk = np.ceil((high - low) / _SPACING_MM).astype(int) + 1
    matrix = LPS_FROM_RAS @ np.diag([_SPACING_MM] * 3 + [1.0])
    matrix[:3, 3] = np.where(np.diag(matrix)[:3] < 0, high, low)
    return Grid(tuple(size_ijk[::-1]), matrix)


def _affine(fixed: _Lungs, moving: _Lungs) -> NDArray[np.float64]:
    """4×4, RAS of the prior to RAS of the current CT."""
    to_lps = LPS_FROM_RAS[:3, :3]
    rigid = sitk.Euler3DTransform()
    rigid.SetCenter((to_lps @ fixed.centre).tolist())
    rigid.SetTranslation((to_lps @ (moving.centre - fixed.centre)).tolist())
    images = to_itk(fixed.hu, fixed.grid), to_itk(moving.hu, moving.grid)
    affine = sitk.AffineTransform(3)
    try:
        _linear_method(rigid).Execute(*images)
        affine.SetCenter(rigid.GetCenter())
        affine.SetMatrix(rigid.GetMatrix())
        affine.SetTranslation(rigid.GetTranslation())
        _linear_method(affine).Execute(*images)
    except RuntimeError as error:
        raise InputError("The lungs of the two CTs do not overlap; choose a prior CT of the same patient.") from error
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(affine.GetMatrix()).reshape(3, 3)
    matrix[:3, 3] = affine.TransformPoint((0.0, 0.0, 0.0))
    return LPS_FROM_RAS @ matrix @ LPS_FROM_RAS


def _linear_method(transform: sitk.Transform) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsCorrelation()
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=4.0, minStep=0.05, numberOfIterations=60, relaxationFactor=0.5, gradientMagnitudeTolerance=1e-7
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel((4, 2))
    method.SetSmoothingSigmasPerLevel((6.0, 3.0))
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(transform, inPlace=True)
    return method


def _deformation(fixed: _Lungs, laid: _Lungs) -> NDArray[np.float32]:
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
    fixed: _Lungs, moving: _Lungs, affine: NDArray, displacement: NDArray, sides: tuple[str, ...]
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
    if overlap < SMALLEST_OVERLAP or not correlation >= SMALLEST_CORRELATION:
        raise InputError(
            f"The lungs of the two CTs do not fit on each other (overlap {overlap:.2f}, correlation "
            f"{correlation:.2f}); choose a prior CT of the same patient that shows the whole lungs."
        )
    folded = float((_jacobian(kji)[own] <= 0).mean())
    residual = surface_distances(own, other, (_SPACING_MM,) * 3).mean()
    return LungRegistration(affine, displacement, fixed.grid, overlap, before, residual, correlation, folded, sides)


def _jacobian(kji: NDArray[np.float64]) -> NDArray[np.float64]:
    """Determinant of the derivatives of where each voxel goes, [k, j, i]."""
    derivatives = np.stack([np.stack(np.gradient(axis)) for axis in kji])
    return np.linalg.det(np.moveaxis(derivatives, (0, 1), (-2, -1)))
