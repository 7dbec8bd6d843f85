"""How well two segmentations agree."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from SegmentationAILib.errors import InputError
from SegmentationAILib.surface_distance import bounding_box, check_pair, surface_distances


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """2|A∩B| / (|A| + |B|) of two masks of the same shape; NaN where both are empty (Dice, Ecology 1945)."""
    total = np.count_nonzero(first) + np.count_nonzero(second)
    return 2.0 * np.count_nonzero(first & second) / total if total else float("nan")


def hd95(first: NDArray[np.bool_], second: NDArray[np.bool_], spacing_kji: ArrayLike) -> float:
    """95th percentile of the distances between two surfaces, the larger of both directions, mm.

    Surfaces are the masks' outermost voxels; distances are between voxel centres (Huttenlocher et al.,
    IEEE PAMI 1993, with the percentile that BraTS uses). ``compare`` weighs the surface by its area instead.

    Args:
        first, second: bool [k, j, i].
        spacing_kji: voxel size along (k, j, i), mm.

    Returns:
        NaN where both masks are empty, infinity where one is.
    """
    if not first.any() or not second.any():
        return float("nan") if first.any() == second.any() else float("inf")
    box = ndimage.find_objects((first | second).astype(np.uint8))[0]
    surfaces = [mask[box] & ~ndimage.binary_erosion(mask[box]) for mask in (first, second)]
    distances = [ndimage.distance_transform_edt(~surface, sampling=spacing_kji) for surface in surfaces]
    there, back = distances[1][surfaces[0]], distances[0][surfaces[1]]
    return float(max(np.percentile(there, 95), np.percentile(back, 95)))


def added_path_length(reference: NDArray[np.bool_], test: NDArray[np.bool_], spacing_kji: ArrayLike) -> float:
    """Length of the reference's contours that the test's lack: what would have to be drawn, mm.

    The pixels of the reference's contours in all slices (along k) that are not on the test's contour of that slice,
    times the pixel's size (Vaassen et al., Phys Imaging Radiat Oncol 2020). A contour is the pixels of the mask with
    one of their four neighbours in the slice outside; the size of a pixel that is not square is its geometric mean.

    Args:
        reference, test: bool [k, j, i].
        spacing_kji: voxel size along (k, j, i), mm.
    """
    _, row, column = np.asarray(spacing_kji, dtype=np.float64)
    return float(np.count_nonzero(_contours(reference) & ~_contours(test)) * np.sqrt(row * column))


def _contours(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    padded = np.pad(mask, ((0, 0), (1, 1), (1, 1)))
    rows, columns = padded[:, :, 1:-1], padded[:, 1:-1, :]
    return mask & ~(rows[:, :-2] & rows[:, 2:] & columns[:, :, :-2] & columns[:, :, 2:])


def compare(
    reference: NDArray[np.bool_], test: NDArray[np.bool_], spacing_kji: ArrayLike, tolerance_mm: float
) -> dict[str, float]:
    """All that is usually reported of how a test structure agrees with its reference.

    Args:
        reference, test: bool [k, j, i].
        spacing_kji: voxel size along (k, j, i), mm.
        tolerance_mm: of the surface Dice; what clinicians differ by.

    Returns:
        - ``dice``: see ``dice``.
        - ``surface_dice``, ``hd95_mm``, ``hd100_mm``, ``mean_surface_distance_mm``: see ``surface_distance``, which
          also says what they are of empty masks.
        - ``added_path_length_mm``: see ``added_path_length``.
        - ``volume_ratio``: test over reference; NaN where both are empty, infinity where the reference is.
        - ``centre_shift_mm``: distance between the centres of mass; NaN where a mask is empty.

    Raises:
        InputError: the masks are not bool [k, j, i] of one shape, or a spacing or the tolerance is not in mm.
    """
    spacing = tuple(np.asarray(spacing_kji, dtype=np.float64).tolist())
    check_pair(reference, test, spacing)
    if reference.ndim != 3 or not tolerance_mm >= 0:
        raise InputError("Give masks [k, j, i] and a tolerance of 0 mm or more to compare structures.")
    box = bounding_box(reference | test) or (slice(0, 0),) * 3
    reference, test = reference[box], test[box]
    distances = surface_distances(reference, test, spacing)
    volumes = np.count_nonzero(reference), np.count_nonzero(test)
    nothing = float("nan") if not volumes[1] else float("inf")
    return {
        "dice": dice(reference, test),
        "surface_dice": distances.dice(tolerance_mm),
        "hd95_mm": distances.hausdorff(95),
        "hd100_mm": distances.hausdorff(100),
        "mean_surface_distance_mm": distances.mean(),
        "added_path_length_mm": added_path_length(reference, test, spacing),
        "volume_ratio": volumes[1] / volumes[0] if volumes[0] else nothing,
        "centre_shift_mm": _centre_shift(reference, test, spacing),
    }


def _centre_shift(reference: NDArray[np.bool_], test: NDArray[np.bool_], spacing: tuple[float, ...]) -> float:
    if not reference.any() or not test.any():
        return float("nan")
    return float(np.linalg.norm((_centre(test) - _centre(reference)) * spacing))


def _centre(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Centre of mass in voxels."""
    profiles = (mask.sum(axis=tuple(n for n in range(mask.ndim) if n != axis)) for axis in range(mask.ndim))
    return np.array([np.arange(len(profile)) @ profile / profile.sum() for profile in profiles])
