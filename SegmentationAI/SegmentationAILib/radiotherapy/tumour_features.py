"""What a voxel looks like to someone who has clicked on a tumour: density, place, thickness, wall."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from SegmentationAILib.radiotherapy.tumour_window import EDGE_SHARE, Window, signed_distance

# Places that hold a ball of these shares of the tumour's depth hang together; vessels hold none.
_THICKNESSES = (0.3, 0.5, 0.7)
# A ball this many times as deep as the tumour fits into chest wall and mediastinum only.
_WALL_DEPTHS = (2.0, 4.0)
# The lung's surface goes straight on over dents narrower than this.
_CLOSING_DEPTHS, _CLOSING_MOST_MM = 3.0, 40.0
# Noise of thin slices, HU, against which soft tissues are told apart.
_TISSUE_STEP_HU = 80.0

NAMES = (
    "density",
    "density within 1 mm",
    "density around",
    "distance",
    "depth",
    "depth mm",
    "thick 0.3",
    "thick 0.5",
    "thick 0.7",
    "wall 2",
    "wall 4",
    "lung surface",
    "path",
    "path of equals",
    "size",
    "core",
    "denser than core",
    "unlike core",
    "edge",
)


def features(window: Window, lungs: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """[feature, k, j, i] in the order of ``NAMES``; lengths are in units of the tumour's depth.

    Args:
        window: around the click.
        lungs: bool [k, j, i] on the window's grid, nodules inside, where they are known.
    """
    step, depth = window.spacing_mm, window.depth_mm
    density = window.density
    fine = ndimage.gaussian_filter(density, 1.0 / step)
    dense = density > EDGE_SHARE
    distance = signed_distance(dense, step)
    away = window.distance_from(window.centre)
    smooth_hu = ndimage.gaussian_filter(np.minimum(window.hu, 400.0), 1.0 / step)
    contrast = (smooth_hu - min(window.core_hu, smooth_hu[window.centre])) / _TISSUE_STEP_HU
    inner = np.where(component_near(dense, away), distance, -1.0)
    maps = [
        density,
        fine,
        ndimage.gaussian_filter(density, 0.6 * depth / step),
        away / depth,
        np.clip(distance / depth, -1.5, 1.5),
        np.clip(distance, -4.0, 4.0),
        *(_thickness(inner, away, share * depth, step, depth) for share in _THICKNESSES),
        *(_wall(distance, times * depth, step, depth) for times in _WALL_DEPTHS),
        _beyond_lung(dense if lungs is None else dense & ~lungs, depth, step),
        _path(np.clip(density, 0.02, 1.0), window.centre, step, 6.0 * depth) / depth,
        _path(1 / (1 + contrast**2) * np.clip(fine, 0.02, 1.0), window.centre, step, 12.0 * depth) / depth,
        np.full_like(density, np.log(depth)),
        np.full_like(density, window.core_hu / 500.0),
        np.clip(contrast, -4.0, 4.0),
        np.minimum(np.abs(contrast), 4.0),
        np.clip(ndimage.gaussian_gradient_magnitude(density, 1.0 / step) / step, 0.0, 1.0),
    ]
    return np.stack(maps).astype(np.float32)


def component_near(mask: NDArray[np.bool_], away: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The connected part of a mask that comes nearest to where ``away`` is 0."""
    labels, count = ndimage.label(mask)
    if count < 2:
        return mask
    return labels == labels.flat[int(np.argmin(np.where(mask, away, np.inf)))]


def _thickness(inner: NDArray, away: NDArray, radius: float, step: float, depth: float) -> NDArray:
    """Place in the tumour's part that a ball of ``radius`` reaches from inside, positive inside."""
    holds = inner >= radius
    core = component_near(holds, away) if holds.any() else away <= step
    return np.clip((signed_distance(core, step) + radius) / depth, -2.0, 1.0)


def _wall(distance: NDArray, radius: float, step: float, depth: float) -> NDArray:
    """Place in what a ball of ``radius`` fits into, positive inside."""
    holds = distance >= radius
    if not holds.any() or holds.all():
        return np.full(distance.shape, -4.0)
    return np.clip((signed_distance(holds, step) + radius) / depth, -4.0, 2.0)


def _beyond_lung(dense: NDArray, depth: float, step: float) -> NDArray:
    """Place in the air of the lung closed over its dents, positive inside."""
    radius = min(_CLOSING_DEPTHS * depth, _CLOSING_MOST_MM)
    grown = signed_distance(~dense, step) >= -radius
    closed = signed_distance(grown, step) >= radius
    return np.clip(signed_distance(closed | ~dense, step) / depth, -3.0, 3.0)


def _path(speed: NDArray, start: tuple[int, int, int], step: float, longest: float) -> NDArray:
    """Shortest way from a voxel, mm over speed, cut at ``longest`` (fast marching: Sethian, PNAS 1996)."""
    image = sitk.GetImageFromArray(speed.astype(np.float32))
    image.SetSpacing((step,) * 3)
    marching = sitk.FastMarchingImageFilter()
    marching.SetTrialPoints([tuple(int(n) for n in start[::-1])])
    marching.SetStoppingValue(longest)
    return np.minimum(sitk.GetArrayFromImage(marching.Execute(image)), longest)
