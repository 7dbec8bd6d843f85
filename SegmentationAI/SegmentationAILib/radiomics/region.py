"""The part of a volume that radiomics look at: a mask and its surroundings, on the grid that IBSI asks for.

Section numbers are those of the reference manual of the Image Biomarker Standardisation Initiative
(Zwanenburg et al., arXiv:1612.07003).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from SegmentationAILib.errors import InputError
from SegmentationAILib.preprocess import reorient, resample
from SegmentationAILib.radiomics.settings import Interpolation
from SegmentationAILib.volume import Grid, Volume

# The local intensity peak is a mean over a sphere of 1 cm³, radius 6.2 mm, around voxels of the mask (3.2.1).
SURROUNDINGS_MM = 6.5
# A cubic spline's coefficients depend on all voxels, by 0.27 to the power of the distance (Unser, IEEE SPM 1999).
_SPLINE_REACH = 12
# A spacing computed from a rotated matrix has noise in its last digits, which must not decide roundings.
_DIGITS = 6


@dataclass(frozen=True, eq=False)
class Region:
    """Voxels around a mask, with i, j, k closest to L, P, S.

    Attributes:
        image: float64 [k, j, i].
        mask: bool [k, j, i].
        spacing_kji: mm.
    """

    image: NDArray[np.float64]
    mask: NDArray[np.bool_]
    spacing_kji: tuple[float, float, float]


def region_around(
    volume: Volume,
    mask: NDArray[np.bool_],
    *,
    spacing_mm: float | None,
    in_plane: bool,
    interpolation: Interpolation,
) -> Region:
    """The mask and 6.5 mm around it; the same whatever the order and direction of the volume's axes are.

    New voxels lie on IBSI's lattice (2.4): its centre is that of the whole volume, so the region does
    not depend on how much of the volume is looked at.

    Args:
        volume: whatever modality.
        mask: [k, j, i] on the volume's grid.
        spacing_mm: of the new voxels; None keeps those of the volume.
        in_plane: whether slices stay where they are and only the axial plane gets the new spacing.
        interpolation: of the image; the mask is linear and holds voxels of half and more (2.4), and
            is nearest where the image is.

    Raises:
        InputError: the mask is not on the grid or holds fewer than two voxels before or after
            resampling; the axes are not at right angles; voxels there are NaN or infinite.
    """
    _check(volume, mask)
    upright = volume.grid.canonical()
    image = reorient(volume.array, volume.grid, upright)
    inside = reorient(np.asarray(mask) != 0, volume.grid, upright)
    old = np.round(upright.spacing[::-1], _DIGITS)
    new = old.copy()
    if spacing_mm is not None:
        new[1 if in_plane else 0 :] = spacing_mm

    first, count = _lattice_window(inside, old, new)
    pad = _SPLINE_REACH if interpolation == "cubic" else 1
    begin = np.clip(np.floor(first).astype(int) - pad, 0, None)
    end = np.clip(np.ceil(first + (count - 1) * new / old).astype(int) + 1 + pad, None, inside.shape)
    window = tuple(slice(a, b) for a, b in zip(begin, end, strict=True))
    image = _finite(image[window], volume.name)
    inside = inside[window]

    if not np.array_equal(old, new):
        source = Grid(inside.shape, np.diag([*old[::-1], 1.0]))
        place = np.diag([*new[::-1], 1.0])
        place[:3, 3] = ((first - begin) * old)[::-1]
        target = Grid(tuple(count), place)
        image = _interpolated(image, source, target, interpolation)
        if interpolation == "nearest":
            inside = resample(inside, source, target, mode="nearest")
        else:
            inside = resample(inside, source, target) >= 0.5 - 10.0**-_DIGITS
    if np.count_nonzero(inside) < 2:
        raise InputError(
            f"The mask holds {np.count_nonzero(inside)} voxels of {spacing_mm:g} mm after resampling; "
            "choose a smaller spacing or keep the volume's own."
        )
    return Region(np.asarray(image, dtype=np.float64), inside, tuple(float(mm) for mm in new))


def _check(volume: Volume, mask: NDArray) -> None:
    if np.shape(mask) != volume.shape:
        raise InputError(
            f"The mask has {_size(np.shape(mask))} voxels and the volume {_size(volume.shape)}; "
            "resample the mask to the volume's grid."
        )
    count = np.count_nonzero(mask)
    if count < 2:
        found = "no voxel" if count == 0 else "a single voxel"
        raise InputError(f"The mask holds {found}; choose a segment of two voxels and more.")
    if not volume.grid.is_orthogonal:
        raise InputError(
            "The volume has axes that are not at right angles, as from a tilted gantry; resample it and its mask "
            "to a regular grid."
        )


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(str(n) for n in shape[::-1])


def _finite(image: NDArray, name: str) -> NDArray:
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        volume = f"The volume '{name}'" if name else "The volume"
        raise InputError(
            f"{volume} has voxels in or near the mask that are not numbers (NaN or infinite); replace them, "
            "for example with -1024 in a CT."
        )
    return image


def _lattice_window(
    inside: NDArray[np.bool_], old: NDArray, new: NDArray
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The new voxels around the mask, along (k, j, i): the first's place in old indices, and how many.

    New voxels whose centres lie outside the volume, which the lattice may have at its ends, are left out.
    """
    size = np.array(inside.shape)
    ratio = new / old
    total = np.ceil(np.round(size / ratio, _DIGITS)).astype(int)
    origin = 0.5 * (size - 1) - 0.5 * (total - 1) * ratio

    box = ndimage.find_objects(inside.astype(np.uint8))[0]
    reach = SURROUNDINGS_MM / old
    low = np.maximum(np.array([s.start for s in box]) - reach, -0.5)
    high = np.minimum(np.array([s.stop - 1 for s in box]) + reach, size - 0.5)
    start = np.clip(np.ceil((low - origin) / ratio), 0, total - 1).astype(int)
    stop = np.clip(np.floor((high - origin) / ratio), start, total - 1).astype(int) + 1
    return origin + start * ratio, stop - start


def _interpolated(image: NDArray, source: Grid, target: Grid, interpolation: Interpolation) -> NDArray:
    if interpolation == "cubic":
        matrix = source.ras_to_ijk @ target.ijk_to_ras
        return ndimage.affine_transform(
            image.astype(np.float64),
            np.diag(matrix)[2::-1],
            offset=matrix[2::-1, 3],
            output_shape=target.shape,
            order=3,
            mode="nearest",
        )
    return resample(image, source, target, mode=interpolation)
