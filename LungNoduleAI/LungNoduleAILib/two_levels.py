"""A core in ground glass told from a nodule of one density, by least squares against blurred shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleAILib.blurred_ellipsoids import CtPatch, Ellipsoid, Slices, fit_ellipsoids
from SegmentationAILib.preprocess import resample
from SegmentationAILib.volume import Grid

Blur = Callable[[NDArray[np.float32]], NDArray[np.float32]]

# Outlines are tried this far inside and outside the contours, blurred at the coarse step, and interpolated at the fine.
_REACH_MM = (2.0, 1.6)
_FINER = 2
_COARSE_MM, _FINE_MM = 0.3, 0.05
# Reconstructions are blurred in the plane by so much, from sharp to soft kernels.
_KERNELS_MM = (0.3, 0.6)
# A kernel that enhances edges is the difference of two Gaussians.
_ENHANCING_MM, _ENHANCING_WIDE_MM, _ENHANCED_BY = 0.4, 0.9, 0.7
# Room for blur around the fitted voxels, and how many of these there are at the least.
_ROOM_MM, _LEAST_VOXELS = 2.0, 60
# A rim of less contrast than this is noise, of more than this share of the core's is the core's own edge.
_LEAST_RIM_HU, _MOST_RIM_SHARE = 100.0, 0.6
# A thinner rim than this is blur.
_LEAST_WIDTH_MM = 0.6
# Up to this size blur hides the shapes of the parts, and they are taken for ellipsoids.
_SMALL_MM = 13.0
# What one density leaves over is to be more than two densities leave by this factor: where shapes are what the contours
# show, and where ellipsoids have the last word.
_LEAST_GAIN, _LEAST_GAIN_SMALL = 1.25, 1.05


@dataclass(frozen=True, eq=False)
class TwoLevels:
    """A core in ground glass.

    Attributes:
        rim_hu: level of the ground glass.
        excess_hu: float32 [k, j, i], what the blurred core adds to it.
        whole: bool [k, j, i], core and ground glass.
        gain: residual of one level over that of two.
        ellipsoid: float32 [k, j, i], all of the nodule as an ellipsoid, whose sum is its volume; None for one that is
            large enough to have its volume from its attenuation.
    """

    rim_hu: float
    excess_hu: NDArray[np.float32]
    whole: NDArray[np.bool_]
    gain: float
    ellipsoid: NDArray[np.float32] | None = None


def two_levels(
    contrast: NDArray[np.float32],
    core: NDArray[np.bool_],
    core_threshold: float,
    whole: NDArray[np.bool_],
    whole_threshold: float,
    fitted: NDArray[np.bool_],
    blur_mm: tuple[float, float],
    grid: Grid,
    patch: CtPatch,
    tissue_hu: float,
) -> TwoLevels | None:
    """Fit core and ground glass; None where one density says as much.

    The attenuation above the lung's is modelled as c₁ times one blurred shape plus c₂ times another, the shapes grown
    and shrunk from a core's and a whole nodule's contours. For every pair the contrasts follow by linear least squares.

    Args:
        contrast: HU above the lung's, [k, j, i] on isotropic voxels.
        core: contour of the dense part, roughly.
        whole: contour of all that is denser than lung, roughly.
        fitted: the voxels to be explained.
        blur_mm: standard deviations along k, and in the plane without the kernel's.
        grid: of these arrays, isotropic.
        patch: the CT's own voxels there.
        tissue_hu: soft tissue's attenuation.
    """
    spacing_mm = float(grid.spacing[0])
    if np.count_nonzero(fitted) < _LEAST_VOXELS:
        return None
    around, size = _box(fitted, spacing_mm), contrast.shape
    contrast, core, whole, fitted = (a[around] for a in (contrast, core, whole, fitted))
    measured = contrast[fitted].astype(np.float64)
    cores = _grown(_signed_distance(contrast, core, core_threshold, spacing_mm), spacing_mm)
    wholes = _grown(_signed_distance(contrast, whole, whole_threshold, spacing_mm), spacing_mm)
    volumes = np.array([float(s.sum()) for s in (*cores, *wholes)])
    best, best_one = None, np.inf
    for blur in _blurs(blur_mm, spacing_mm):
        basis = np.array([blur(s)[fitted] for s in (*cores, *wholes)], dtype=np.float64)
        residual, places, levels, one = _best_pair(basis, len(cores), measured, volumes)
        best_one = min(best_one, one)
        if best is None or residual < best[0]:
            best = residual, places, levels, blur
    residual, (at_core, at_whole), (added, rim), blurred = best
    width = _mean_width(cores, wholes, at_core, at_whole, spacing_mm)
    gain = best_one / max(residual, 1e-9)
    if (
        rim < _LEAST_RIM_HU
        or rim > _MOST_RIM_SHARE * (rim + added)
        or width < _LEAST_WIDTH_MM
        or gain < _LEAST_GAIN_SMALL
    ):
        return None
    shapes = _between(cores, at_core), _between(wholes, at_whole)
    if np.cbrt(6 / np.pi * shapes[1].sum()) * spacing_mm < _SMALL_MM:
        held = grid.crop([side.start for side in around], contrast.shape)
        found = _as_ellipsoids(patch, held, shapes, fitted, blur_mm[1], tissue_hu, gain)
    elif gain >= _LEAST_GAIN:
        found = TwoLevels(rim, (added * blurred(shapes[0])).astype(np.float32), shapes[1] >= 0.5, gain)
    else:
        found = None
    if found is None:
        return None
    return replace(
        found,
        excess_hu=_placed(found.excess_hu, around, size),
        whole=_placed(found.whole, around, size),
        ellipsoid=None if found.ellipsoid is None else _placed(found.ellipsoid, around, size),
    )


def _placed(values: NDArray, at: tuple[slice, ...], shape: tuple[int, ...]) -> NDArray:
    """Values in a box of a larger array of nothing else."""
    placed = np.zeros(shape, dtype=values.dtype)
    placed[at] = values
    return placed


def _as_ellipsoids(
    patch: CtPatch,
    grid: Grid,
    shapes: tuple[NDArray[np.float32], NDArray[np.float32]],
    fitted: NDArray[np.bool_],
    smoothing_mm: float,
    tissue_hu: float,
    gain: float,
) -> TwoLevels | None:
    """Core and whole as ellipsoids, where that leaves ground glass between them; shapes and voxels are on the grid."""
    points = patch.points_mm(grid)
    core, whole = (Ellipsoid.of_mask(shape, points, grid.voxel_volume) for shape in shapes)
    explained = resample(fitted.astype(np.uint8), grid, patch.grid, mode="nearest") > 0
    fit = fit_ellipsoids(patch, explained, core, whole, tissue_hu)
    if not _LEAST_RIM_HU <= fit.rim_hu <= _MOST_RIM_SHARE * fit.core_hu or fit.width_mm < _LEAST_WIDTH_MM:
        return None
    seen = Slices(grid.shape, np.asarray(grid.spacing), float(patch.spacing_mm[0]), points[0, 0, 0], True, smoothing_mm)
    excess = (fit.core_hu - fit.rim_hu) * seen.image(fit.core, seen.kernel(*fit.kernel))
    share = fit.whole.share(points, float(grid.spacing[0]))
    # Soft edges on coarse voxels add a little to a ball's volume.
    exact = share * np.float32(4 / 3 * np.pi * fit.whole.radius_mm**3 / (share.sum() * grid.voxel_volume))
    return TwoLevels(fit.rim_hu, excess.astype(np.float32), share >= 0.5, gain, exact)


def _box(fitted: NDArray[np.bool_], spacing_mm: float) -> tuple[slice, ...]:
    """The voxels with as much room as blur needs."""
    [box] = ndimage.find_objects(fitted.astype(np.uint8))
    room = int(np.ceil(_ROOM_MM / spacing_mm))
    return tuple(slice(max(side.start - room, 0), side.stop + room) for side in box)


def _blurs(blur_mm: tuple[float, float], spacing_mm: float) -> Iterator[Blur]:
    """Every kernel together with the other blur."""

    def gaussian(kernel_mm: float) -> Blur:
        plane = float(np.hypot(blur_mm[1], kernel_mm))
        return partial(ndimage.gaussian_filter, sigma=np.array([blur_mm[0], plane, plane]) / spacing_mm)

    yield from map(gaussian, _KERNELS_MM)
    narrow, wide = gaussian(_ENHANCING_MM), gaussian(_ENHANCING_WIDE_MM)
    yield lambda shape: (1 + _ENHANCED_BY) * narrow(shape) - _ENHANCED_BY * wide(shape)


def _signed_distance(
    contrast: NDArray[np.float32], mask: NDArray[np.bool_], threshold: float, spacing_mm: float
) -> NDArray[np.float64]:
    """To the contour of a threshold near a mask, mm, negative inside, sought between the voxels."""
    fine = ndimage.zoom(contrast, _FINER, order=1, grid_mode=True, mode="nearest")
    held = (fine > threshold) & np.kron(ndimage.binary_dilation(mask), np.ones((_FINER,) * 3, dtype=bool))
    outside, inside = ndimage.distance_transform_edt(~held), ndimage.distance_transform_edt(held)
    signed = np.where(held, 0.5 - inside, outside - 0.5) * (spacing_mm / _FINER)
    return signed.reshape([n for size in contrast.shape for n in (size, _FINER)]).mean(axis=(1, 3, 5))


def _grown(distance: NDArray[np.float64], spacing_mm: float) -> list[NDArray[np.float32]]:
    """What is enclosed, shrunk and grown in coarse steps, with soft edges."""
    steps = np.arange(-_REACH_MM[0], _REACH_MM[1] + 1e-6, _COARSE_MM)
    steps = steps[steps > min(distance.min(), steps[-3])]
    return [np.clip(0.5 + (at - distance) / spacing_mm, 0, 1).astype(np.float32) for at in steps]


def _between(shapes: list[NDArray[np.float32]], at: float) -> NDArray[np.float32]:
    low = min(int(at), len(shapes) - 2)
    return (1 - (at - low)) * shapes[low] + (at - low) * shapes[low + 1]


def _best_pair(
    basis: NDArray[np.float64], cores: int, measured: NDArray[np.float64], volumes: NDArray[np.float64]
) -> tuple[float, tuple[float, float], tuple[float, float], float]:
    """Least residual, the places of core and whole among their shapes, contrasts; and the residual of one shape."""
    count = len(measured)
    weights = [_interpolation(n) for n in (cores, len(basis) - cores)]
    gram, projected = basis @ basis.T, basis @ measured
    w0, w1 = weights
    g00 = np.einsum("ai,ij,aj->a", w0, gram[:cores, :cores], w0)[:, None]
    g11 = np.einsum("ai,ij,aj->a", w1, gram[cores:, cores:], w1)[None]
    g01 = w0 @ gram[:cores, cores:] @ w1.T
    p0, p1 = (w0 @ projected[:cores])[:, None], (w1 @ projected[cores:])[None]
    determinant = np.maximum(g00 * g11 - g01**2, 1e-9)
    c0, c1 = (g11 * p0 - g01 * p1) / determinant, (g00 * p1 - g01 * p0) / determinant
    total = float(measured @ measured)
    smaller = (w0 @ volumes[:cores])[:, None] < (w1 @ volumes[cores:])[None]
    left = np.where((c0 > 0) & (c1 > 0) & smaller, total - (c0 * p0 + c1 * p1), np.inf)
    a, b = np.unravel_index(int(np.argmin(left)), left.shape)
    one = min(float((total - p0**2 / g00).min()), float((total - p1**2 / g11).min()))
    places = (float(w0[a] @ np.arange(w0.shape[1])), float(w1[b] @ np.arange(w1.shape[1])))
    return float(left[a, b]) / count, places, (float(c0[a, b]), float(c1[a, b])), one / count


def _interpolation(count: int) -> NDArray[np.float64]:
    """Weights of the coarse shapes at every fine step, [fine, coarse]."""
    at = np.arange(0, count - 1 + 1e-6, _FINE_MM / _COARSE_MM)
    return np.maximum(1 - np.abs(at[:, None] - np.arange(count)), 0)


def _mean_width(cores: list, wholes: list, at_core: float, at_whole: float, spacing_mm: float) -> float:
    """Difference of the radii of the balls of the same volumes, mm."""
    inner, outer = (float(_between(s, at).sum()) for s, at in ((cores, at_core), (wholes, at_whole)))
    return float((np.cbrt(outer) - np.cbrt(inner)) * np.cbrt(3 / (4 * np.pi))) * spacing_mm
