"""A small core in ground glass as two blurred ellipsoids, fitted to the CT."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

# Kernels blur by a Gaussian in the plane, and some enhance edges by taking a wider one off.
_KERNEL_MM, _KERNEL_DEVIATION_MM = 0.5, 0.15
_ENHANCED_BY, _ENHANCED_DEVIATION = 0.3, 0.4
_WIDE_MM = 0.9
# How far forms and centres stray from the contours', as natural logarithms and mm.
_FORM_DEVIATION, _CENTRE_DEVIATION_MM = 0.15, 0.5
# A core is soft tissue: without knowing so, a small one of less contrast and more size would explain as much.
_TISSUE_DEVIATION_HU = 50.0
_MOST_TRIALS = 10


@dataclass(frozen=True, eq=False)
class Fit:
    """Two ellipsoids.

    Attributes:
        excess_hu: float32 [k, j, i], what the blurred core adds to the ground glass.
        whole: bool [k, j, i], within the outer ellipsoid.
        core_hu: contrast of the core to the lung.
        rim_hu: contrast of the ground glass to the lung.
        width_mm: of the ground glass, mean.
    """

    excess_hu: NDArray[np.float32]
    whole: NDArray[np.bool_]
    core_hu: float
    rim_hu: float
    width_mm: float


class _Ellipsoid:
    """An ellipsoid of a mask's moments; it may move, grow, and stretch along k."""

    def __init__(self, share: NDArray[np.float32], spacing_mm: float) -> None:
        points = np.argwhere(share > 0) * spacing_mm
        weights = share[share > 0]
        self._points = np.moveaxis(np.indices(share.shape), 0, -1) * spacing_mm
        self._centre = np.average(points, axis=0, weights=weights)
        covariance = np.cov(points.T, aweights=weights) + np.eye(3) * spacing_mm**2 / 12
        # The volume of the mask, the form of its moments.
        factor = np.linalg.cholesky(covariance)
        volume = float(weights.sum()) * spacing_mm**3
        radius = np.cbrt(3 * volume / (4 * np.pi))
        self._form = np.linalg.inv(factor * (radius / np.cbrt(np.linalg.det(factor))))
        self.radius_mm = float(radius)
        self._spacing = spacing_mm

    def share(self, changes: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much of each voxel lies within: changes are a shift (k, j, i) in mm, and logarithms of size and form."""
        stretch = np.exp(changes[3] + changes[4] * np.array([1.0, -0.5, -0.5]))
        form = self._form / stretch
        unit = (self._points - self._centre - changes[:3]) @ form.T
        level = np.linalg.norm(unit, axis=-1)
        slope = np.linalg.norm(unit @ form, axis=-1)
        distance = level * (level - 1) / np.maximum(slope, 1e-9)
        return np.clip(0.5 - distance / self._spacing, 0, 1)


def fit_ellipsoids(
    contrast: NDArray[np.float32],
    core: NDArray[np.float32],
    whole: NDArray[np.float32],
    fitted: NDArray[np.bool_],
    blur_mm: tuple[float, float],
    spacing_mm: float,
    misfit_hu: float,
    tissue: float,
) -> Fit:
    """Least squares for places, sizes, forms, contrasts and the kernel, from first shapes.

    Args:
        contrast: HU above the lung's, [k, j, i] on isotropic voxels.
        core: 0…1, roughly the dense part.
        whole: 0…1, roughly all of the nodule.
        fitted: the voxels to be explained.
        blur_mm: standard deviations along k, and in the plane without the kernel's.
        spacing_mm: of the voxels.
        misfit_hu: what noise and form leave, root mean square; weighs the CT against what is known beforehand.
        tissue: soft tissue's attenuation above the lung's.
    """
    margin = int(np.ceil(4.0 / spacing_mm))
    [box] = ndimage.find_objects(fitted.astype(np.uint8))
    held = tuple(slice(max(side.start - margin, 0), side.stop + margin) for side in box)
    inside, measured = fitted[held], contrast[held][fitted[held]].astype(np.float64)
    inner, outer = _Ellipsoid(core[held], spacing_mm), _Ellipsoid(whole[held], spacing_mm)

    def blurred(share: NDArray[np.float64], kernel_mm: float, enhanced: float) -> NDArray[np.float64]:
        narrow, wide = (
            ndimage.gaussian_filter(share, np.array([blur_mm[0], plane, plane]) / spacing_mm)
            for plane in np.hypot(blur_mm[1], [kernel_mm, _WIDE_MM])
        )
        return (1 + enhanced) * narrow - enhanced * wide

    # Neighbouring voxels share their noise, within about two voxels each way.
    weight = 1 / (misfit_hu * np.sqrt(8.0))
    wanted = np.append(measured * weight, tissue / _TISSUE_DEVIATION_HU)

    def model(changes: NDArray[np.float64]) -> tuple[list[NDArray[np.float64]], NDArray[np.float64]]:
        shapes = [inner.share(changes[:5]), outer.share(changes[5:10])]
        images = [blurred(s, _KERNEL_MM + changes[10], _ENHANCED_BY + changes[11]) for s in shapes]
        rows = [np.append(image[inside] * weight, 1 / _TISSUE_DEVIATION_HU) for image in images]
        return images, np.linalg.lstsq(np.stack(rows, axis=1), wanted, rcond=None)[0]

    deviations = np.array(
        [*[_CENTRE_DEVIATION_MM] * 3, 0.5, _FORM_DEVIATION] * 2 + [_KERNEL_DEVIATION_MM, _ENHANCED_DEVIATION]
    )

    def residuals(scaled: NDArray[np.float64]) -> NDArray[np.float64]:
        images, levels = model(scaled * deviations)
        left = measured - levels[0] * images[0][inside] - levels[1] * images[1][inside]
        return np.concatenate([left * weight, scaled, [(levels.sum() - tissue) / _TISSUE_DEVIATION_HU]])

    found = optimize.least_squares(residuals, np.zeros(12), max_nfev=_MOST_TRIALS, diff_step=1e-3)
    changes = found.x * deviations
    images, (added, rim) = model(changes)
    excess = np.zeros_like(contrast)
    excess[held] = added * images[0]
    inside_outer = np.zeros(contrast.shape, dtype=bool)
    inside_outer[held] = outer.share(changes[5:10]) >= 0.5
    width = outer.radius_mm * np.exp(changes[8]) - inner.radius_mm * np.exp(changes[3])
    return Fit(excess, inside_outer, float(added + rim), float(rim), float(width))
