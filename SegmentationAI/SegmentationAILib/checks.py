"""Whether a volume is a CT that can be analysed, found out before any work."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.errors import InputError
from SegmentationAILib.volume import Volume

# A few slices or a thin slab show no lung as a whole, and a nodule of 30 mm needs its surroundings.
SMALLEST_SLICES = 8
SMALLEST_EXTENT_MM = 40.0
# Nodules under 10 mm, most of those that matter, fall between slices further apart.
LARGEST_SPACING_MM = 10.0

# HU of air in and around the body, and of fat, muscle, blood and contrast medium.
_AIR_BELOW_HU = -500
_TISSUE_HU = (-200, 300)
# Share of voxels that are air; and of the other voxels, share that is soft tissue. In nine CTs of chest
# and neck that this was written against, cropped ones included, the shares are 0.29 and 0.70 at least.
# MR and scaled images spread their values, or have none there.
_SMALLEST_AIR_SHARE = 0.02
_SMALLEST_TISSUE_SHARE = 0.5
_CT_OFFSET = 1024


def check_ct(volume: Volume | None) -> None:
    """Refuse what cannot be analysed as a CT.

    Raises:
        InputError: no volume, no voxels, not 3-D, thinner than 8 slices or 40 mm, voxels over 10 mm,
            axes not at right angles, another modality, NaN or infinite voxels, one value throughout,
            or values that are not Hounsfield units.
    """
    if volume is None:
        raise InputError("No volume is selected; choose a CT volume.")
    name = f"The volume '{volume.name}'" if volume.name else "The volume"
    _check_size(volume, name)
    if volume.modality not in ("", "CT"):
        raise InputError(f"{name} is {volume.modality}, not CT; choose a CT volume.")
    _check_values(volume.array, name)


def looks_like_ct(array: NDArray) -> bool:
    """Whether voxels [k, j, i] have the shares of air and of soft tissue that a CT in HU has."""
    return _is_ct(_sample(array))


def _check_size(volume: Volume, name: str) -> None:
    shape = volume.array.shape
    if volume.array.size == 0:
        raise InputError(f"{name} has no voxels; load its image again or choose another volume.")
    if len(shape) != 3:
        raise InputError(f"{name} has {len(shape)} dimensions (a colour or 4-D image); choose a 3-D CT volume.")
    spacing = volume.spacing
    if min(shape) < SMALLEST_SLICES:
        slices = "a single slice" if min(shape) == 1 else f"only {min(shape)} slices"
        raise InputError(f"{name} has {slices}; choose a CT volume of the whole chest.")
    extent = float(np.min(spacing * shape[::-1]))
    if extent < SMALLEST_EXTENT_MM:
        raise InputError(
            f"{name} is only {extent:.3g} mm thick; choose a CT volume of the whole chest, with its voxel size in mm."
        )
    if spacing.max() > LARGEST_SPACING_MM:
        raise InputError(
            f"{name} has voxels {spacing.max():.3g} mm apart, too coarse for nodules; choose a CT with slices of "
            f"{LARGEST_SPACING_MM:.0f} mm or less, with its voxel size in mm."
        )
    if not volume.grid.is_orthogonal:
        raise InputError(
            f"{name} has axes that are not at right angles, as from a tilted gantry; resample it to a regular grid, "
            "or load it from its DICOM folder, which straightens it."
        )


def _check_values(array: NDArray, name: str) -> None:
    if array.dtype.kind not in "iuf":
        raise InputError(f"{name} does not hold numbers that can be Hounsfield units; choose a CT volume.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(
            f"{name} has voxels that are not numbers (NaN or infinite); replace them, for example with -1024."
        )
    low, high = array.min(), array.max()
    if low == high:
        raise InputError(f"{name} has the value {low} in every voxel; choose a CT volume.")
    sample = _sample(array)
    if _is_ct(sample):
        return
    if low >= 0 and _is_ct(sample - _CT_OFFSET):
        raise InputError(
            f"{name} is a CT stored without its offset (its values begin at {low:.0f}); subtract {_CT_OFFSET} from "
            "every voxel."
        )
    if low >= 0 and high <= 255:
        raise InputError(
            f"{name} holds values of 0 to 255 instead of Hounsfield units, as a picture or a label map does; "
            "choose the original CT."
        )
    raise InputError(
        f"{name} does not look like a CT of the chest in Hounsfield units (air near -1000, soft tissue near 0 to 100; "
        f"found {low:.4g} to {high:.4g}); choose a chest CT."
    )


def _sample(array: NDArray) -> NDArray[np.float32]:
    return array[tuple(slice(None, None, 1 + n // 64) for n in array.shape)].astype(np.float32)


def _is_ct(hu: NDArray[np.float32]) -> bool:
    air = hu < _AIR_BELOW_HU
    rest = hu[~air]
    if air.mean() < _SMALLEST_AIR_SHARE or rest.size == 0:
        return False
    return bool(((rest >= _TISSUE_HU[0]) & (rest <= _TISSUE_HU[1])).mean() >= _SMALLEST_TISSUE_SHARE)
