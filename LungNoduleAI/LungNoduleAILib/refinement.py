"""From an outline that is roughly right to the nodule's own edge, at sub-voxel accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleAILib.blurred_ellipsoids import CtPatch
from LungNoduleAILib.detachment import without_vessels
from LungNoduleAILib.lung_surface import depth_in_lung, side_of
from LungNoduleAILib.nodule import NoduleMask
from LungNoduleAILib.two_levels import TwoLevels, two_levels
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.metrics import dice
from SegmentationAILib.preprocess import resample
from SegmentationAILib.volume import Grid, Volume

# The CT's own pixels within these bounds; a nodule of 30 mm has then at most half a million voxels around it.
_SPACING_MM = (0.5, 1.0)
_MOST_VOXELS_A_SIDE = 72
_MARGIN_MM = 7.0
# A closing ball sinks into the dent of a nodule at the pleura by about this.
_SAG_MM = 0.6
# Lung around a nodule, where the CT shows none.
_LUNG_HU = -860.0
# Denser than any inflated lung, thinner than ground glass.
_LUNG_BELOW_HU = -700.0
# Calcium must not raise the threshold of what surrounds it.
_DENSEST_HU = 100.0
# Below this contrast to the lung there is no edge to find.
_LEAST_CONTRAST_HU = 80.0
# Ground glass begins with this above the lung's attenuation.
_HAZE_HU = 130.0
# A core in ground glass: soft tissue, of which the densest voxels show this contrast at least.
_TISSUE_HU, _DENSEST_PERCENTILE, _CORE_CONTRAST_HU = 30.0, 97, 400.0
# The nodule's edge lies within this of the rough outline.
_REACH_MM = 1.0
# Noise is smoothed by a Gaussian, which leaves the integral of the attenuation as it is.
_SMOOTHING_MM = 0.6
# Room for blur around the voxels that are fitted.
_PATCH_ROOM_MM = 3.0
# Blur of the reconstruction in the plane, between soft and sharp kernels.
_KERNEL_MM = 0.45
# How much of a small nodule's half contour blur takes, against a flat edge's: by digital spheres of 6 mm.
_SHRINKAGE = 2.2
# Of a nodule of two densities, the denser one.
_CORE_PERCENTILE = 60
# Slices of more than this share of the diameter do not tell two densities from one.
_THICKEST = 0.5
# All that is denser than lung is so much of the core's volume, where there is ground glass to be found.
_LEAST_HALO = 1.3
# Less of the rough outline than this is not the nodule's edge.
_LEAST_FOUND = 0.15
_ROUNDS = 2
# Noise hides the edge of faint ground glass: where what is found there does not agree with the rough outline, by Dice,
# the outline stands.
_GLASS_CONTRAST_HU = 500.0
_AGREED = 0.9


@dataclass(frozen=True, eq=False)
class Surroundings:
    """A nodule's box, read from the CT.

    Attributes:
        grid: isotropic voxels along the axes nearest to L, P and S.
        hu: float32 [k, j, i].
        rough: bool [k, j, i], the outline that was given.
        depth_mm: float32 [k, j, i], depth in the lung; None where no lung is known.
        slice_mm: distance of the CT's slices.
    """

    grid: Grid
    hu: NDArray[np.float32]
    rough: NDArray[np.bool_]
    depth_mm: NDArray[np.float32] | None
    slice_mm: float

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Where a nodule may be."""
        return np.ones(self.hu.shape, dtype=bool) if self.depth_mm is None else self.depth_mm > -_SAG_MM


def refine(volume: Volume, mask: NoduleMask, lungs: LabelMap | None = None) -> NoduleMask:
    """The nodule's edge by the CT's own attenuation, without vessels and pleura.

    The edge is where the smoothed attenuation is halfway between the nodule's (nearby: ground glass has another edge
    than the core) and the lung's around it. The volume does not hang on that: within the blur of the edge, the
    attenuation above the lung's is added up and divided by the nodule's, which blur, kernel and slice thickness leave
    as it is. The occupancy is shifted so that its sum is that volume.

    Args:
        volume: CT, HU.
        mask: roughly the nodule: a network's, a reader's or a first guess.
        lungs: right and left lung on any grid; without them no pleura is known.

    Returns:
        On isotropic voxels of the CT's resolution; the mask as it was where the CT shows no edge near it.
    """
    around = surroundings(volume, mask, lungs)
    if around is None:
        return mask
    rough = around.rough & around.inside
    smooth = ndimage.gaussian_filter(around.hu, _SMOOTHING_MM / around.grid.spacing[0])
    allowed = around.inside & (_distance(rough, around.grid) <= _REACH_MM)
    lung_hu = _lung_level(around, rough)
    core_hu = float(min(np.percentile(smooth[_inner(rough, around.grid)], _CORE_PERCENTILE), _DENSEST_HU))
    glass = _core_in_glass(volume, around, smooth, rough, allowed, lung_hu)
    if glass is not None:
        # Without what the core adds, the whole is of one density.
        smooth = smooth - glass.excess_hu
        dense = smooth > lung_hu + glass.rim_hu / 2
        nodule = without_vessels(dense | glass.whole, glass.whole, allowed)
        level = np.full(nodule.shape, lung_hu + glass.rim_hu, dtype=np.float32)
        size = None if glass.ellipsoid is None else float(glass.ellipsoid[around.inside].sum())
        return NoduleMask(_occupancy(around, smooth, nodule, dense, level, lung_hu, size), around.grid)
    nodule = rough
    for _ in range(_ROUNDS):
        if core_hu - lung_hu < _LEAST_CONTRAST_HU:
            return mask
        dense = smooth > (core_hu + lung_hu) / 2
        nodule = without_vessels(dense, nodule, allowed)
        if np.count_nonzero(nodule) < _LEAST_FOUND * np.count_nonzero(rough):
            return mask
        core_hu = _level(around, smooth, nodule, core_hu, lung_hu)
    level = np.full(nodule.shape, core_hu, dtype=np.float32)
    if core_hu - lung_hu < _GLASS_CONTRAST_HU and dice(nodule, rough) < _AGREED:
        return mask
    return NoduleMask(_occupancy(around, smooth, nodule, dense, level, lung_hu), around.grid)


def surroundings(volume: Volume, mask: NoduleMask, lungs: LabelMap | None = None) -> Surroundings | None:
    """A nodule's box; None where the mask is empty."""
    held = np.argwhere(mask.occupancy >= 0.5)
    if len(held) == 0:
        return None
    grid = _box(volume.grid, mask.grid.ras(held[:, ::-1]))
    hu = resample(volume.array, volume.grid, grid, mode="area", fill=_LUNG_HU)
    rough = resample(mask.occupancy, mask.grid, grid) >= 0.5
    if not rough.any():
        return None
    slice_mm = float(volume.grid.canonical().spacing[2])
    depth = None
    side = side_of(lungs, grid, _distance(rough, grid) <= _REACH_MM) if lungs is not None else ""
    if side:
        diameter = float(np.cbrt(6 / np.pi * np.count_nonzero(rough) * grid.voxel_volume))
        depth = depth_in_lung(lungs, side, grid, diameter)
        if not (rough & (depth > 0)).any():
            depth = None
    return Surroundings(grid, np.asarray(hu, dtype=np.float32), rough, depth, slice_mm)


def _box(volume_grid: Grid, points_ras: NDArray[np.float64]) -> Grid:
    """Isotropic voxels around points, along the axes of the volume nearest to L, P and S.

    It begins at a voxel's centre of the volume: pixels of the same size are then read as they are.
    """
    canonical = volume_grid.canonical()
    index = canonical.ijk(points_ras)
    margin = _MARGIN_MM / canonical.spacing
    low, high = np.floor(index.min(axis=0) - margin), index.max(axis=0) + margin
    extent = (high - low) * canonical.spacing
    spacing = float(np.clip(canonical.spacing[:2].min(), *_SPACING_MM))
    spacing = max(spacing, min(float(extent.max()) / _MOST_VOXELS_A_SIDE, _SPACING_MM[1]))
    matrix = np.eye(4)
    matrix[:3, :3] = canonical.directions * spacing
    matrix[:3, 3] = canonical.ras(low)
    return Grid(tuple((np.ceil(extent / spacing).astype(int) + 1)[::-1]), matrix)


def _lung_level(around: Surroundings, nodule: NDArray[np.bool_]) -> float:
    """Median attenuation of the lung near the nodule."""
    distance = _distance(nodule, around.grid)
    lung = around.hu[(distance > _REACH_MM) & around.inside & (around.hu < _LUNG_BELOW_HU)]
    return float(np.median(lung)) if lung.size >= 20 else _LUNG_HU


def _inner(nodule: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """The voxels away from the surface."""
    depth = ndimage.distance_transform_edt(nodule) * float(grid.spacing[0])
    return depth > min(1.5, 0.6 * float(depth.max()))


def _level(
    around: Surroundings, smooth: NDArray[np.float32], nodule: NDArray[np.bool_], core_hu: float, lung_hu: float
) -> float:
    """The nodule's attenuation, by least squares.

    What is measured inside is the lung's plus the contrast times the blurred nodule, which is below 1 even in the
    middle where the nodule is small or the slices are thick.
    """
    blur = np.array(_blur_mm(around))
    spread = float(np.sqrt(np.mean(blur**2)))
    radius = float(np.cbrt(3 / (4 * np.pi) * np.count_nonzero(nodule) * around.grid.voxel_volume))
    # Half the contrast of a blurred ball lies σ²/r inside its surface, where the edge rises by 1/(σ√(2π)) a mm; twice,
    # since the middle falls too.
    share = max(0.5 - _SHRINKAGE * spread / (radius * np.sqrt(2 * np.pi)), 0.15)
    unblurred = (smooth > lung_hu + share * (core_hu - lung_hu)) & ndimage.binary_dilation(nodule)
    blurred = ndimage.gaussian_filter(unblurred.astype(np.float32), blur / around.grid.spacing[0])
    inner = _inner(nodule, around.grid)
    contrast = np.minimum(smooth[inner], _DENSEST_HU) - lung_hu
    return lung_hu + float((contrast * blurred[inner]).sum() / (blurred[inner] ** 2).sum())


def _core_in_glass(
    volume: Volume,
    around: Surroundings,
    smooth: NDArray[np.float32],
    rough: NDArray[np.bool_],
    allowed: NDArray[np.bool_],
    lung_hu: float,
) -> TwoLevels | None:
    """A core and its ground glass; None where the nodule has one density."""
    core_hu = float(min(np.percentile(smooth[rough], _DENSEST_PERCENTILE), _DENSEST_HU))
    diameter = float(np.cbrt(6 / np.pi * np.count_nonzero(rough))) * float(around.grid.spacing[0])
    if core_hu - lung_hu < _CORE_CONTRAST_HU or around.slice_mm > _THICKEST * diameter:
        return None
    threshold = (core_hu - lung_hu) / 2
    contrast = np.minimum(smooth, _DENSEST_HU) - lung_hu
    core = without_vessels(contrast > threshold, rough, allowed)
    hazy = contrast > _HAZE_HU
    whole = without_vessels(hazy, rough, allowed)
    if not core.any() or np.count_nonzero(whole) < _LEAST_HALO * np.count_nonzero(core):
        return None
    fitted = around.inside & (_distance(whole, around.grid) <= 2 * _REACH_MM)
    other = hazy & ~whole
    if other.any():
        # The blurred edge of what was cut off is no ground glass.
        fitted &= _distance(other, around.grid) > 2 * _REACH_MM
    along, _, _ = _blur_mm(around)
    patch = _patch(volume, around, fitted, lung_hu)
    tissue = max(_TISSUE_HU, float(np.percentile(around.hu[core], _CORE_PERCENTILE)))
    return two_levels(
        contrast, core, threshold, whole, _HAZE_HU, fitted, (along, _SMOOTHING_MM), around.grid, patch, tissue
    )


def _patch(volume: Volume, around: Surroundings, held: NDArray[np.bool_], lung_hu: float) -> CtPatch:
    """The CT's own voxels around what is held, with room for its blur."""
    canonical = volume.grid.canonical()
    index = canonical.ijk(around.grid.ras(np.argwhere(held)[:, ::-1]))[:, ::-1]
    room = _PATCH_ROOM_MM / np.asarray(canonical.spacing)[::-1]
    low = np.maximum(np.floor(index.min(axis=0) - room).astype(int), 0)
    high = np.minimum(np.ceil(index.max(axis=0) + room).astype(int) + 1, canonical.shape)
    grid = canonical.crop(low, tuple(int(n) for n in high - low))
    hu = resample(volume.array, volume.grid, grid, mode="nearest").astype(np.float32)
    return CtPatch(grid, hu - np.float32(lung_hu), lung_hu)


def _blur_mm(around: Surroundings) -> tuple[float, float, float]:
    """Standard deviations of kernel, slice and smoothing along (k, j, i)."""
    plane = float(np.hypot(_KERNEL_MM, _SMOOTHING_MM))
    # A slice is a box, and the interpolation between slices a triangle: variances of 1/12 and 1/6.
    return float(np.hypot(_SMOOTHING_MM, 0.5 * around.slice_mm)), plane, plane


def _occupancy(
    around: Surroundings,
    smooth: NDArray[np.float32],
    nodule: NDArray[np.bool_],
    dense: NDArray[np.bool_],
    level: NDArray[np.float32],
    lung_hu: float,
    size: float | None = None,
) -> NDArray[np.float32]:
    """How much of each voxel is nodule; its sum is the size, or else the blurred edge's integral."""
    spacing = float(around.grid.spacing[0])
    along, sigma, _ = _blur_mm(around)
    band = 2.0 * sigma
    step = (spacing * sigma / along, spacing, spacing)
    outer = ndimage.distance_transform_edt(~nodule, sampling=step)
    inner = ndimage.distance_transform_edt(nodule, sampling=step)
    share = (smooth - lung_hu) / np.maximum(level - lung_hu, _LEAST_CONTRAST_HU)
    # Near what was cut off, the cut is the edge: attenuation says nothing there.
    other = (dense & ~nodule) | ~around.inside
    cut = ndimage.distance_transform_edt(~other) * spacing <= band if other.any() else np.zeros_like(other)
    geometric = np.clip(0.5 + np.where(nodule, inner - 0.5 * spacing, 0.5 * spacing - outer) / spacing, 0, 1)
    share = np.where(cut, geometric, share)
    share = np.where(inner > band, 1.0, np.where(outer > band, 0.0, share))
    edge = (inner <= band) & (outer <= band) & ~cut
    return _shifted(share.astype(np.float32), edge, size)


def _shifted(share: NDArray[np.float32], edge: NDArray[np.bool_], size: float | None) -> NDArray[np.float32]:
    """Shares in 0…1 of the same sum or a given one: those of the edge are shifted together, which moves its contour."""
    wanted = float(share[edge].sum() if size is None else size - np.clip(share[~edge], 0, 1).sum())
    low, high = -0.5, 0.5
    for _ in range(20):
        shift = (low + high) / 2
        if float(np.clip(share[edge] + shift, 0, 1).sum()) < wanted:
            low = shift
        else:
            high = shift
    shifted = share.copy()
    shifted[edge] += (low + high) / 2
    return np.clip(shifted, 0, 1)


def _distance(mask: NDArray[np.bool_], grid: Grid) -> NDArray[np.float64]:
    """To the mask, mm."""
    return ndimage.distance_transform_edt(~mask) * float(grid.spacing[0])
