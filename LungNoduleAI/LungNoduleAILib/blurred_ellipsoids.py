"""A small core in ground glass as two blurred ellipsoids, fitted to the CT's own voxels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from SegmentationAILib.volume import Grid

# Kernels blur by a Gaussian in the plane, and some enhance edges by taking a wider one off.
_KERNEL_MM, _KERNEL_DEVIATION_MM = 0.5, 0.15
_ENHANCED_BY, _ENHANCED_DEVIATION = 0.3, 0.4
_WIDE_MM = 0.9
# How far places, sizes and forms stray from the contours', in mm and as natural logarithms.
_CENTRE_DEVIATION_MM, _SIZE_DEVIATION, _FORM_DEVIATION = 0.5, 0.2, 0.15
# A core is soft tissue: without knowing so, a small one of less contrast and more size would explain as much.
_TISSUE_DEVIATION_HU = 50.0
# Ground glass of -600 HU, give or take (pure ground-glass nodules: -600 to -650 on average).
_GLASS_HU, _GLASS_DEVIATION_HU = -600.0, 100.0
# The lung around is known from many more voxels than the fitted ones.
_LUNG_DEVIATION_HU = 4.0
# A slice is an average over its thickness: so many samples in it, at most so far apart, before they are averaged.
_SAMPLES_MM = 0.35
_ROUNDS, _MOST_TRIALS = 2, 12


@dataclass(frozen=True, eq=False)
class Ellipsoid:
    """An ellipsoid in a frame of mm along (k, j, i).

    Attributes:
        centre_mm: [3].
        form_mm: [3, 3]; its points are centre + form · u with |u| ≤ 1.
    """

    centre_mm: NDArray[np.float64]
    form_mm: NDArray[np.float64]

    @classmethod
    def of_mask(cls, share: NDArray[np.float32], points_mm: NDArray[np.float64], voxel_mm3: float) -> Ellipsoid:
        """Of the volume of a mask, and the form of its second moments.

        Args:
            share: 0…1, [k, j, i].
            points_mm: the voxels' centres, [k, j, i, 3].
            voxel_mm3: a voxel's volume.
        """
        held = share > 0
        points, weights = points_mm[held], share[held]
        centre = np.average(points, axis=0, weights=weights)
        moments = (points - centre).T @ ((points - centre) * weights[:, None]) / weights.sum()
        # A voxel is no point: without its own extent, few voxels would have no form.
        factor = np.linalg.cholesky(moments + np.eye(3) * np.cbrt(voxel_mm3) ** 2 / 12)
        radius = np.cbrt(3 * float(weights.sum()) * voxel_mm3 / (4 * np.pi))
        return cls(centre, factor * (radius / np.cbrt(np.linalg.det(factor))))

    @property
    def radius_mm(self) -> float:
        """Of the ball of the same volume."""
        return float(np.cbrt(abs(np.linalg.det(self.form_mm))))

    def changed(self, changes: NDArray[np.float64]) -> Ellipsoid:
        """Moved by three mm, grown by the exponential of the fourth change, stretched along k by that of the fifth."""
        stretch = np.exp(changes[3] + changes[4] * np.array([1.0, -0.5, -0.5]))
        return Ellipsoid(self.centre_mm + changes[:3], self.form_mm * stretch[:, None])

    def share(self, points_mm: NDArray[np.float64], voxel_mm: float) -> NDArray[np.float32]:
        """How much of each voxel around points [..., 3] lies within."""
        inverse = np.linalg.inv(self.form_mm)
        unit = (points_mm - self.centre_mm) @ inverse.T
        level = np.linalg.norm(unit, axis=-1)
        slope = np.linalg.norm(unit @ inverse, axis=-1)
        distance = level * (level - 1) / np.maximum(slope, 1e-9)
        return np.clip(0.5 - distance / voxel_mm, 0, 1).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Slices:
    """How a CT images an object on a grid: averaged over slices, and blurred in their plane by a kernel.

    The image is summed in the frequency domain, where a ball is 4π (sin q - q cos q)/q³, the slice a sinc, and the
    kernel the difference of two Gaussians.

    Attributes:
        shape: (k, j, i).
        spacing_mm: along (k, j, i); k goes across the slices.
        slice_mm: thickness of the slices.
        origin_mm: centre of the first voxel.
        interpolated: whether the grid's values were interpolated between the slices.
        smoothing_mm: standard deviation of a Gaussian that smoothed them after that.
    """

    shape: tuple[int, int, int]
    spacing_mm: NDArray[np.float64]
    slice_mm: float
    origin_mm: NDArray[np.float64]
    interpolated: bool = False
    smoothing_mm: float = 0.0

    @cached_property
    def _samples(self) -> int:
        return max(1, int(np.ceil(self.spacing_mm[0] / _SAMPLES_MM)))

    @cached_property
    def _frequencies(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """In cycles per mm."""
        count, height = self.shape[0] * self._samples, self.spacing_mm[0] / self._samples
        return (
            np.fft.fftfreq(count, height)[:, None, None],
            np.fft.fftfreq(self.shape[1], self.spacing_mm[1])[None, :, None],
            np.fft.rfftfreq(self.shape[2], self.spacing_mm[2])[None, None, :],
        )

    @cached_property
    def _transfer(self) -> NDArray[np.float64]:
        """Of all but the kernel."""
        across, *plane = self._frequencies
        transfer = np.sinc(across * self.slice_mm)
        if self.interpolated:
            # A triangle as wide as two slices.
            transfer = transfer * np.sinc(across * self.slice_mm) ** 2
        squared = across**2 + plane[0] ** 2 + plane[1] ** 2
        return transfer * np.exp(-2 * (np.pi * self.smoothing_mm) ** 2 * squared)

    def kernel(self, sigma_mm: float, enhanced_by: float) -> NDArray[np.float64]:
        """(1 + e) · Gaussian(σ) - e · Gaussian(wide), in the plane, with all else that blurs."""
        squared = self._frequencies[1] ** 2 + self._frequencies[2] ** 2
        narrow, wide = (np.exp(-2 * (np.pi * s) ** 2 * squared) for s in (sigma_mm, _WIDE_MM))
        return ((1 + enhanced_by) * narrow - enhanced_by * wide) * self._transfer

    def image(self, shape: Ellipsoid, kernel: NDArray[np.float64]) -> NDArray[np.float64]:
        """The blurred ellipsoid, 1 well inside, [k, j, i]."""
        across = self._frequencies
        turned = (sum(shape.form_mm[n, axis] * across[n] for n in range(3)) for axis in range(3))
        q = np.maximum(2 * np.pi * np.sqrt(sum(t**2 for t in turned)), 1e-3)
        ball = 4 * np.pi * (np.sin(q) - q * np.cos(q)) / q**3
        moved = shape.centre_mm - self.origin_mm
        phase = [np.exp(-2j * np.pi * f * m) for f, m in zip(across, moved, strict=True)]
        spectrum = abs(np.linalg.det(shape.form_mm)) * ball * kernel * phase[0] * phase[1] * phase[2]
        count = (self.shape[0] * self._samples, *self.shape[1:])
        cell = float(np.prod(self.spacing_mm)) / self._samples
        return np.fft.irfftn(spectrum, s=count, axes=(0, 1, 2))[:: self._samples] / cell


@dataclass(frozen=True, eq=False)
class CtPatch:
    """The CT's own voxels around a nodule.

    Attributes:
        grid: along the axes nearest to S, P and L, slices along k.
        contrast: HU above the lung's, [k, j, i].
        lung_hu: attenuation of the lung around.
    """

    grid: Grid
    contrast: NDArray[np.float32]
    lung_hu: float

    @property
    def spacing_mm(self) -> NDArray[np.float64]:
        """Along (k, j, i)."""
        return np.asarray(self.grid.spacing)[::-1]

    def points_mm(self, grid: Grid) -> NDArray[np.float64]:
        """The centres of another grid's voxels in this frame: mm along (k, j, i) from the first voxel."""
        indices = np.moveaxis(np.indices(grid.shape), 0, -1)[..., ::-1]
        return self.grid.ijk(grid.ras(indices.reshape(-1, 3)))[:, ::-1].reshape(*grid.shape, 3) * self.spacing_mm


@dataclass(frozen=True, eq=False)
class Fit:
    """Core and whole nodule.

    Attributes:
        core, whole: in the patch's frame.
        core_hu: contrast of the core to the lung.
        rim_hu: contrast of the ground glass to the lung.
        kernel: standard deviation in mm and enhancement of the reconstruction kernel.
    """

    core: Ellipsoid
    whole: Ellipsoid
    core_hu: float
    rim_hu: float
    kernel: tuple[float, float]

    @property
    def width_mm(self) -> float:
        """Of the ground glass, mean."""
        return self.whole.radius_mm - self.core.radius_mm


def fit_ellipsoids(
    patch: CtPatch, fitted: NDArray[np.bool_], core: Ellipsoid, whole: Ellipsoid, tissue_hu: float
) -> Fit:
    """Least squares for places, sizes, forms, contrasts and the kernel, from first shapes.

    Args:
        patch: the CT.
        fitted: bool [k, j, i] on the patch, the voxels to be explained.
        core: roughly the dense part.
        whole: roughly all of the nodule.
        tissue_hu: the core's attenuation, as it is to be expected.
    """
    slices = Slices(patch.grid.shape, patch.spacing_mm, float(patch.spacing_mm[0]), np.zeros(3))
    measured = patch.contrast[fitted].astype(np.float64)
    # Of core's excess, ground glass and lung: what is known beforehand, one row each.
    tissue, glass = tissue_hu - patch.lung_hu, _GLASS_HU - patch.lung_hu
    known = np.array(
        [
            [1 / _TISSUE_DEVIATION_HU, 1 / _TISSUE_DEVIATION_HU, 0],
            [0, 1 / _GLASS_DEVIATION_HU, 0],
            [0, 0, 1 / _LUNG_DEVIATION_HU],
        ]
    )
    wanted = np.array([tissue / _TISSUE_DEVIATION_HU, glass / _GLASS_DEVIATION_HU, 0])
    of_shape = [*[_CENTRE_DEVIATION_MM] * 3, _SIZE_DEVIATION, _FORM_DEVIATION]
    deviations = np.array([*of_shape, *of_shape, _KERNEL_DEVIATION_MM, _ENHANCED_DEVIATION])

    def kernel_of(changes: NDArray[np.float64]) -> tuple[float, float]:
        return max(_KERNEL_MM + float(changes[10]), 0.05), _ENHANCED_BY + float(changes[11])

    def solved(changes: NDArray[np.float64], weight: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The levels, and all that is left over, in standard deviations."""
        kernel = slices.kernel(*kernel_of(changes))
        images = [slices.image(s, kernel)[fitted] for s in (core.changed(changes[:5]), whole.changed(changes[5:10]))]
        rows = np.vstack([np.stack([*images, np.ones_like(measured)], axis=1) * weight, known])
        answer = np.concatenate([measured * weight, wanted])
        levels = np.linalg.lstsq(rows, answer, rcond=None)[0]
        return levels, answer - rows @ levels

    scaled, noise_hu = np.zeros(12), 30.0
    for _ in range(_ROUNDS):
        _, left = solved(scaled * deviations, 1 / noise_hu)
        noise_hu = max(noise_hu * float(np.sqrt(np.mean(left[: len(measured)] ** 2))), 1.0)
        scaled = optimize.least_squares(
            lambda x: np.concatenate([solved(x * deviations, 1 / noise_hu)[1], x]),  # noqa: B023 - called in this round
            scaled,
            max_nfev=_MOST_TRIALS,
            diff_step=1e-3,
        ).x
    changes = scaled * deviations
    (added, rim, _), _ = solved(changes, 1 / noise_hu)
    return Fit(
        core.changed(changes[:5]), whole.changed(changes[5:10]), float(added + rim), float(rim), kernel_of(changes)
    )
