"""Lung fields: air in the chest, left and right apart, with vessels, nodules and scars kept inside."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

AIR_HU = -400.0
# Bronchial walls that stay around the lumen.
_AIRWAY_WALL_MM = 3.0
# Pieces smaller than this, or than this share of the largest, are bronchi, oesophagus, bowel or noise.
_SMALLEST_PIECE_ML = 20.0
_SMALLEST_PIECE_SHARE = 0.03
# Together less than this is no lung (a collapsed one, a pneumonectomy leave the other).
_SMALLEST_LUNGS_ML = 300.0
# Parenchyma, vessels and noise; gas in bowel, sinus or oesophagus is darker and has no middle.
_PARENCHYMA_HU = (-960.0, -600.0)
_PARENCHYMA_SHARE = 0.4
# Nodules at the pleura and hilar vessels narrower than twice this are taken in.
_CLOSING_MM = 10.0
# Vessels and lesions with lung all around in an axial section; the dome of the diaphragm is larger.
_LARGEST_HOLE_MM2 = 600.0
_LARGEST_GAP_MM = 15.0
# A smaller half is a bulge of the same lung.
_SMALLEST_HALF = 0.12


def segment_lung_fields(
    hu: NDArray[np.float32], body: NDArray[np.bool_], airway: NDArray[np.bool_], spacing_mm: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The patient's right and left lung.

    Args:
        hu: [k, j, i] on an isotropic grid whose i, j, k run to left, posterior, superior.
        body: the body with what it encloses.
        airway: lumen of trachea and bronchi.
        spacing_mm: voxel size.

    Returns:
        right, left: [k, j, i] each; one may be empty; both are where there is no lung.
    """
    empty = np.zeros(hu.shape, dtype=bool)
    air = _lung_air(hu, body, airway, spacing_mm)
    if np.count_nonzero(air) * spacing_mm**3 / 1000.0 < _SMALLEST_LUNGS_ML:
        return empty, empty.copy()
    margin = int(np.ceil(_CLOSING_MM / spacing_mm)) + 2
    box = tuple(
        slice(max(0, side.start - margin), side.stop + margin) for side in ndimage.find_objects(air.astype(np.uint8))[0]
    )
    right_air, left_air = _right_and_left(air[box], body[box], spacing_mm)
    right, left = empty, empty.copy()
    right_closed = _fill(right_air, spacing_mm) & ~left_air
    left_closed = _fill(left_air, spacing_mm) & ~right_air
    right[box] = right_closed
    left[box] = left_closed & ~right_closed
    return right, left


def _lung_air(hu: NDArray, body: NDArray, airway: NDArray, spacing_mm: float) -> NDArray[np.bool_]:
    """Air in the chest that looks like lung, large pieces only."""
    wall = ndimage.binary_dilation(airway, iterations=round(_AIRWAY_WALL_MM / spacing_mm)) if airway.any() else airway
    labels, count = ndimage.label((hu < AIR_HU) & body & ~wall)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    parenchyma = (hu > _PARENCHYMA_HU[0]) & (hu < _PARENCHYMA_HU[1])
    share = np.bincount(labels[parenchyma], minlength=count + 1) / np.maximum(sizes, 1)
    kept = (sizes * spacing_mm**3 / 1000.0 > _SMALLEST_PIECE_ML) & (share > _PARENCHYMA_SHARE)
    kept[0] = False
    kept &= sizes > _SMALLEST_PIECE_SHARE * sizes[kept].max(initial=0)
    return kept[labels]


def _right_and_left(air: NDArray, body: NDArray, spacing_mm: float) -> tuple[NDArray, NDArray]:
    """Two lungs, cut where they touch at the narrowest place (watershed of the distance to the edge)."""
    depth = _distance_to(~air, spacing_mm)
    for cut in np.arange(0.0, _LARGEST_GAP_MM, spacing_mm):
        cores, count = ndimage.label(depth > cut)
        sizes = np.bincount(cores.ravel(), minlength=count + 1)
        sizes[0] = 0
        first, second = np.argsort(-sizes)[:2] if count > 1 else (1, 0)
        if count > 1 and sizes[second] > _SMALLEST_HALF * sizes.sum():
            break
    else:
        return _one_lung(air, body)
    markers = (cores == first) + 2 * (cores == second).astype(np.uint8)
    basins = sitk.MorphologicalWatershedFromMarkers(
        sitk.GetImageFromArray(-depth),
        sitk.GetImageFromArray(markers.astype(np.uint8)),
        markWatershedLine=False,
        fullyConnected=False,
    )
    basins = sitk.GetArrayFromImage(basins)
    halves = [air & (basins == value) for value in (1, 2)]
    # i runs to the patient's left.
    halves.sort(key=lambda half: np.argwhere(half)[:, 2].mean())
    return halves[0], halves[1]


def _one_lung(air: NDArray, body: NDArray) -> tuple[NDArray, NDArray]:
    nothing = np.zeros_like(air)
    is_right = np.argwhere(air)[:, 2].mean() < np.argwhere(body)[:, 2].mean()
    return (air, nothing) if is_right else (nothing, air)


def _fill(lung: NDArray, spacing_mm: float) -> NDArray[np.bool_]:
    """Close dents at the pleura and hilum and fill holes, as a ball rolled along the outside does."""
    if not lung.any():
        return lung
    side = int(np.ceil(_CLOSING_MM / spacing_mm)) + 1
    padded = np.pad(lung, side)
    grown = _distance_to(padded, spacing_mm) <= _CLOSING_MM
    closed = _distance_to(~grown, spacing_mm) > _CLOSING_MM
    closed = closed[side:-side, side:-side, side:-side] | lung
    closed = ndimage.binary_fill_holes(closed)
    for k, plane in enumerate(closed):
        holes, count = ndimage.label(ndimage.binary_fill_holes(plane) & ~plane)
        if count:
            small = np.bincount(holes.ravel()) * spacing_mm**2 < _LARGEST_HOLE_MM2
            small[0] = False
            closed[k] |= small[holes]
    return closed


def _distance_to(mask: NDArray, spacing_mm: float) -> NDArray[np.float32]:
    """Distance in mm of each voxel's centre to the nearest centre in the mask; negative deep inside."""
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing((spacing_mm,) * 3)
    distance = sitk.SignedMaurerDistanceMap(image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
    return sitk.GetArrayFromImage(distance)
