"""Numbers for how a nodule looks: size, attenuation, shape, edge and surroundings.

They do not change when the crop is flipped or turned by 90° in the axial plane.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from LungNoduleAILib.nodule_crop import SPACING_MM, NoduleCrop

_HU_RANGE = (-1000.0, 1500.0)
# Ground glass, its denser part, soft tissue, calcium that is suspected and calcium that is certain.
_HU_STEPS = (-600.0, -300.0, 0.0, 100.0, 200.0, 400.0)
_PERCENTILES = (5, 25, 50, 75, 95, 100)

# Names of ``appearance``, in order.
FEATURES = (
    "log diameter",
    "log long axis",
    "log short axis",
    "log height",
    "elongation",
    "flatness",
    "sphericity",
    "solidity",
    "axial solidity",
    "roughness",
    "axial roughness",
    "mean",
    "deviation",
    *(f"percentile {p}" for p in _PERCENTILES),
    *(f"share over {step:.0f}" for step in _HU_STEPS),
    "core mean",
    "core less rim",
    "edge contrast",
    "edge sharpness",
    "edge sharpness deviation",
    "gradient off radial",
    "near shell mean",
    "near shell deviation",
    "near shell dense",
    "far shell mean",
    "far shell dense",
)


def appearance(crop: NoduleCrop) -> NDArray[np.float32]:
    """The numbers of ``FEATURES`` for a nodule; HU in thousands, lengths as logarithms of mm."""
    inside = crop.occupancy >= 0.5
    if np.count_nonzero(inside) < 4:
        inside = crop.occupancy >= 0.5 * crop.occupancy.max()
    # Distances near the box's faces need voxels beyond them.
    inside = np.pad(inside, 3)
    hu = np.clip(np.pad(crop.hu, 3, mode="edge"), *_HU_RANGE)
    occupancy = np.pad(crop.occupancy, 3)
    outside_mm = ndimage.distance_transform_edt(~inside) * SPACING_MM
    depth_mm = ndimage.distance_transform_edt(inside) * SPACING_MM
    values = [
        *shape_features(inside, occupancy),
        *_attenuation(hu, inside, depth_mm),
        *_edge(hu, inside, outside_mm, depth_mm),
    ]
    return np.nan_to_num(np.array(values, dtype=np.float32))


def shape_features(inside: NDArray[np.bool_], occupancy: NDArray[np.float32]) -> list[float]:
    """``FEATURES`` up to "axial roughness"; ``inside`` is bool [k, j, i] on 1 mm voxels."""
    points = np.argwhere(inside) * SPACING_MM
    volume = max(float(occupancy.sum()), 1.0) * SPACING_MM**3
    # A voxel is a cube, not a point: its own variance is 1/12.
    variances = np.linalg.eigvalsh(np.cov(points.T) + np.eye(3) * SPACING_MM**2 / 12)
    section = inside[np.argmax(inside.sum(axis=(1, 2)))]
    flat = np.argwhere(section) * SPACING_MM
    flat_variances = np.linalg.eigvalsh(np.cov(flat.T) + np.eye(2) * SPACING_MM**2 / 12)
    height = float(np.count_nonzero(inside.any(axis=(1, 2)))) * SPACING_MM
    area = float(_gradient_norm(ndimage.gaussian_filter(occupancy, 0.7)).sum()) * SPACING_MM**2
    return [
        float(np.log(np.cbrt(6 * volume / np.pi))),
        # An ellipse's semi-axis has a variance of a²/4 along it.
        float(np.log(4 * np.sqrt(flat_variances[1]))),
        float(np.log(4 * np.sqrt(flat_variances[0]))),
        float(np.log(height)),
        float(np.sqrt(variances[1] / variances[2])),
        float(np.sqrt(variances[0] / variances[2])),
        float(np.cbrt(36 * np.pi * volume**2) / max(area, 1e-3)),
        _solidity(points),
        _solidity(flat),
        _roughness(inside, points),
        _roughness(section, flat),
    ]


def _solidity(points: NDArray[np.float64]) -> float:
    """Share of the convex hull that voxels fill; 1 where there are too few for a hull."""
    offsets = np.array(np.meshgrid(*[(-0.5, 0.5)] * points.shape[1])).reshape(points.shape[1], -1).T * SPACING_MM
    corners = (points[:, None] + offsets).reshape(-1, points.shape[1])
    try:
        return float(len(points) * SPACING_MM ** points.shape[1] / ConvexHull(corners).volume)
    except QhullError:
        return 1.0


def _roughness(inside: NDArray[np.bool_], points: NDArray[np.float64]) -> float:
    """Deviation of the surface's distance from the centroid, over its mean."""
    surface = np.argwhere(inside & ~ndimage.binary_erosion(inside)) * SPACING_MM
    distance = np.linalg.norm(surface - points.mean(axis=0), axis=1)
    return float(distance.std() / max(distance.mean(), 0.5))


def _attenuation(hu: NDArray, inside: NDArray[np.bool_], depth_mm: NDArray) -> list[float]:
    values = hu[inside]
    core = values[depth_mm[inside] >= min(2.0, depth_mm.max())]
    rim = values[depth_mm[inside] < 2.0]
    rim_mean = float(rim.mean()) if len(rim) else float(values.mean())
    return [
        float(values.mean()) / 1000,
        float(values.std()) / 1000,
        *(np.percentile(values, _PERCENTILES) / 1000),
        *(float((values > step).mean()) for step in _HU_STEPS),
        float(core.mean()) / 1000,
        (float(core.mean()) - rim_mean) / 1000,
    ]


def _edge(hu: NDArray, inside: NDArray[np.bool_], outside_mm: NDArray, depth_mm: NDArray) -> list[float]:
    """How steep the edge is and what lies around, in the slices that the nodule is in."""
    slices = inside.any(axis=(1, 2))[:, None, None]
    near = (outside_mm > 0) & (outside_mm <= 2.5) & slices
    far = (outside_mm > 2.5) & (outside_mm <= 6.0) & slices
    band = (((depth_mm > 0) & (depth_mm <= 1.5)) | ((outside_mm > 0) & (outside_mm <= 1.5))) & slices
    gradient = np.stack(np.gradient(hu, SPACING_MM))
    # Along the body the crop repeats its last slice, where no gradient can be measured.
    norm = np.sqrt(gradient[1] ** 2 + gradient[2] ** 2)
    away = np.stack(np.gradient(outside_mm - depth_mm, SPACING_MM))
    across = np.sqrt(away[1] ** 2 + away[2] ** 2)
    cosine = -(gradient[1] * away[1] + gradient[2] * away[2]) / np.maximum(norm * across, 1e-3)
    contrast = max(float(np.median(hu[inside]) - np.percentile(hu[near], 25)), 50.0)
    steep = norm[band] / contrast
    weight = norm[band] + 1e-3
    return [
        contrast / 1000,
        float(np.percentile(steep, 75)),
        float(steep.std()),
        float(np.average(np.clip(cosine[band], -1, 1), weights=weight)),
        float(hu[near].mean()) / 1000,
        float(hu[near].std()) / 1000,
        float((hu[near] > -400).mean()),
        float(hu[far].mean()) / 1000 if far.any() else -0.86,
        float((hu[far] > -400).mean()) if far.any() else 0.0,
    ]


def _gradient_norm(array: NDArray) -> NDArray:
    return np.sqrt(sum(g**2 for g in np.gradient(array, SPACING_MM)))
