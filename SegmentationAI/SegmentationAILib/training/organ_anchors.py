"""What classical segmentation is sure of in a chest CT that nobody labelled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from SegmentationAILib.body import TISSUE_HU, segment_body
from SegmentationAILib.training.organ_classes import (
    AIRWAY,
    BACKGROUND,
    BODY,
    BONE,
    LUNG_LEFT,
    LUNG_RIGHT,
    SOFT,
    UNKNOWN,
)

_BONE_HU = 250.0
_SMALLEST_BONE_ML = 0.3
# Marrow lies within this of the cortex that encloses it.
_MARROW_MM = 8.0
# Blood is brighter than this only with contrast agent.
_CONTRAST_HU = 150.0
_CONTRAST_ML = 20.0
_FAT_HU = (-140.0, -50.0)
# Skin, its fat and the muscles below it: no organ lies so near the surface.
_WALL_MM = 10.0
_LUNG_MARGIN_MM = 4.0
# What else of this size lies outside the body, such as an arm, is neither air nor table.
_LIMB_ML = 150.0


def anchors(hu: NDArray[np.float32], lungs: NDArray[np.uint8], spacing_mm: float) -> NDArray[np.uint8]:
    """Labels where they are certain.

    Args:
        hu: [k, j, i] on an isotropic grid whose i, j, k run to left, posterior, superior.
        lungs: [k, j, i]: 1 right lung, 2 left lung, 3 airway, as ``segment_lungs`` gives them.
        spacing_mm: voxel size.

    Returns:
        [k, j, i]: a class; ``SOFT`` for tissue that is neither lung, airway nor bone; or ``UNKNOWN``.
    """
    body = segment_body(hu, spacing_mm) | (lungs > 0)
    labels = np.full(hu.shape, UNKNOWN, dtype=np.uint8)
    limbs = _large_pieces((hu > TISSUE_HU) & ~body, _LIMB_ML, spacing_mm)
    labels[~body & ~limbs] = BACKGROUND

    hull = _hull_by_slice((lungs == 1) | (lungs == 2))
    bone = _bone(hu, body & (lungs == 0), hull, spacing_mm)
    gap = ndimage.distance_transform_edt(lungs == 0) * spacing_mm
    near_bone = _closed(bone | ((hu > _BONE_HU) & body), _MARROW_MM, spacing_mm)
    tissue = body & (gap > _LUNG_MARGIN_MM) & (hu > _FAT_HU[0] - 50.0)
    labels[tissue & ~near_bone] = SOFT
    fat = ndimage.binary_erosion((hu > _FAT_HU[0]) & (hu < _FAT_HU[1]) & tissue)
    labels[fat & ~near_bone] = BODY
    # Away from air that was scanned; beyond the field of view there may be more of the patient.
    wall = ndimage.distance_transform_edt(np.pad(body, ((0, 0), (1, 1), (1, 1)), mode="edge"))[:, 1:-1, 1:-1]
    labels[tissue & ~near_bone & (wall * spacing_mm < _WALL_MM)] = BODY
    labels[bone] = BONE
    for value, lung in ((1, LUNG_RIGHT), (2, LUNG_LEFT), (3, AIRWAY)):
        labels[lungs == value] = lung
    return labels


def _bone(hu: NDArray, inside: NDArray, hull: NDArray, spacing_mm: float) -> NDArray[np.bool_]:
    """Bright pieces outside the lungs' convex hull; with contrast agent nothing within it is certain."""
    hard = (hu > _BONE_HU) & inside
    pool = ndimage.binary_opening((hu > _CONTRAST_HU) & hull & inside, iterations=max(1, round(6.0 / spacing_mm)))
    enhanced = np.count_nonzero(pool) * spacing_mm**3 / 1000.0 > _CONTRAST_ML
    if enhanced:
        hard &= ~hull
    pieces, count = ndimage.label(hard)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1) * spacing_mm**3 / 1000.0
    # Bright kidneys and vessels lie below the lungs, apart from ribs and spine.
    chest = hull.any(axis=(1, 2))
    reaches_chest = np.zeros(count + 1, dtype=bool)
    reaches_chest[np.unique(pieces[chest])] = True
    kept = (sizes > _SMALLEST_BONE_ML) & reaches_chest
    kept[0] = False
    return kept[pieces]


def _large_pieces(mask: NDArray, least_ml: float, spacing_mm: float) -> NDArray[np.bool_]:
    pieces, count = ndimage.label(mask)
    large = np.bincount(pieces.ravel(), minlength=count + 1) * spacing_mm**3 / 1000.0 > least_ml
    large[0] = False
    return large[pieces]


def _closed(mask: NDArray, radius_mm: float, spacing_mm: float) -> NDArray[np.bool_]:
    grown = ndimage.distance_transform_edt(~mask) * spacing_mm <= radius_mm
    return ndimage.distance_transform_edt(grown) * spacing_mm > radius_mm - spacing_mm


def _hull_by_slice(mask: NDArray) -> NDArray[np.bool_]:
    """The convex hull in each axial slice; empty where the slice has too little to enclose."""
    hull = np.zeros_like(mask, dtype=bool)
    grid = np.stack(np.meshgrid(*map(np.arange, mask.shape[1:]), indexing="ij"), axis=-1)
    for k, plane in enumerate(mask):
        points = np.argwhere(plane)
        if len(points) < 3:
            continue
        try:
            sides = ConvexHull(points).equations
        except QhullError:  # points in one line
            continue
        hull[k] = np.all(grid @ sides[:, :2].T + sides[:, 2] <= 1e-6, axis=-1)
    return hull
