"""Nodules in place and the same nodules blended into another scan, on equal terms, to look for the seam between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleAILib.training.blending import blend, real_insert
from LungNoduleAILib.training.lidc import NoduleCrop, NoduleCube, box_grid, make_crop
from LungNoduleAILib.training.parametric import Insert
from SegmentationAILib.volume import Volume

SIDE = 31
# Nothing is looked at beyond this from the outline: the cubes end there, or their own nodule begins.
REACH_MM = 6.0
FOLDS = 5
# Voxels denser than this are no lung.
DENSE_HU = -500.0
_LUNG_HU = (-960.0, -600.0)
# The boxes of lidc-vois have that much around the outline in the plane, and often nothing along z.
_IN_PLANE_MM = 10
_LARGEST_MM = 12.0
_TRIES = 20

Blend = Callable[[NDArray, Insert, tuple[int, int, int], NDArray[np.bool_]], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Window:
    """A nodule in the middle of a cube of ``SIDE`` mm.

    Attributes:
        hu: float32 [k, j, i] at 1 mm, in steps of 8 as lidc-cubes is.
        distance: float32 [k, j, i], mm to the smoothed outline, positive inside; below −``REACH_MM``
            voxels may be missing, or of another nodule.
        blended: or in its place.
        scan: the nodule's.
        fold: of the scan, and of the scan it was blended into.
        dense: share of the shell 4 to 6 mm outside the outline that is no lung.
    """

    hu: NDArray[np.float32]
    distance: NDArray[np.float32]
    blended: bool
    scan: str
    fold: int
    dense: float


def windows(
    cubes: Sequence[NoduleCube], rng: np.random.Generator, per_nodule: int = 3, how: Blend = blend
) -> list[Window]:
    """Each nodule up to 12 mm in place, and blended into other scans of its fold.

    Among the free places of the other lung the one is taken whose share of dense tissue in the shell is
    nearest to the nodule's own: readers' nodules sit by vessels and pleura, which is no seam.

    Args:
        cubes: nodules in their surroundings.
        rng: source of folds, turns and places.
        per_nodule: how many blended windows are made of each nodule.
        how: ``blend``, or what it is compared with.
    """
    order = sorted({cube.scan for cube in cubes}, key=int)
    fold = dict(zip(order, rng.permutation(len(order)) % FOLDS, strict=True))
    found = []
    for cube in cubes:
        if cube.diameter_mm > _LARGEST_MM:
            continue
        own = _in_place(cube, int(fold[cube.scan]))
        found.append(own)
        others = [one for one in cubes if fold[one.scan] == fold[cube.scan] and one.scan != cube.scan]
        crop = _crop(cube)
        made = 0
        for number in rng.permutation(len(others)):
            window = _blended(crop, others[number], own, rng, how)
            if window is not None:
                found.append(window)
                made += 1
            if made == per_nodule:
                break
    return found


def signed_distance(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance to the outline in voxels, positive inside.

    The outline is smoothed first: readers draw in steps, and an interpolated outline has none.
    """
    smooth = ndimage.gaussian_filter(mask.astype(np.float32), 1.0) >= 0.5
    inner, outer = ndimage.distance_transform_edt(smooth), ndimage.distance_transform_edt(~smooth)
    return np.where(smooth, inner - 0.5, 0.5 - outer).astype(np.float32)


def _in_place(cube: NoduleCube, fold: int) -> Window:
    box = ndimage.find_objects(cube.mask.astype(np.uint8))[0]
    corner = [(part.start + part.stop) // 2 - SIDE // 2 for part in box]
    there = tuple(slice(a, a + SIDE) for a in corner)
    distance = signed_distance(cube.mask)[there]
    return Window(cube.hu[there], distance, False, cube.scan, fold, _dense(cube.hu[there], distance))


def _crop(cube: NoduleCube) -> NoduleCrop:
    """The nodule as lidc-vois would hold it: its box ends with the outline along z."""
    box = ndimage.find_objects(cube.mask.astype(np.uint8))[0]
    near = (box[0], *(slice(max(part.start - _IN_PLANE_MM, 0), part.stop + _IN_PLANE_MM) for part in box[1:]))
    grid = box_grid(cube.mask[near].shape)
    image, mask = (Volume(array[near].astype(np.float32), grid) for array in (cube.hu, cube.mask))
    return make_crop(cube.name, cube.scan, 5, image, mask)


def _blended(crop: NoduleCrop, other: NoduleCube, own: Window, rng: np.random.Generator, how: Blend) -> Window | None:
    """Scaled as in training; None where the other lung has no room."""
    insert = real_insert(crop, rng, float(np.exp(rng.normal(0, 0.15))))
    planned = signed_distance(_around(insert.occupancy >= 0.5, tuple(n // 2 for n in insert.hu.shape), False))
    reached = np.argwhere(planned > -REACH_MM) - SIDE // 2
    if np.abs(reached).max() == SIDE // 2:
        return None
    lung = _lung(other.hu)
    # Every fourth voxel of the region is looked at, hence a wider berth.
    taken = ndimage.binary_dilation(other.mask, iterations=3)
    spots = np.argwhere(lung & ~taken)
    size = np.array(other.hu.shape)
    fits = ((spots + reached.min(0) >= 0) & (spots + reached.max(0) < size)).all(axis=1)
    spots = rng.permutation(spots[fits])[: 10 * _TRIES]
    shell = np.argwhere(_in_shell(planned)) - SIDE // 2
    rated = []
    for spot in spots:
        if taken[tuple((spot + reached[::4]).T)].any():
            continue
        around = other.hu[tuple((spot + shell).T)]
        # Air around the body or in the trachea is as dark as no lung is.
        if np.median(around) > _LUNG_HU[0]:
            rated.append((abs(float(np.mean(around > DENSE_HU)) - own.dense), tuple(int(n) for n in spot)))
        if len(rated) == _TRIES:
            break
    if not rated:
        return None
    spot = min(rated)[1]
    hu = other.hu.copy()
    occupancy = how(hu, insert, spot, ndimage.binary_closing(lung, iterations=4, border_value=0) | lung)
    inside = occupancy >= 0.5
    if np.count_nonzero(inside) < 0.7 * np.count_nonzero(insert.occupancy >= 0.5):
        return None
    written = (np.clip(np.round(hu / 8) * 8, -1200, 400)).astype(np.float32)
    hu, inside = _around(written, spot, -1000.0), _around(inside, spot, False)
    distance = signed_distance(inside)
    return Window(hu, distance, True, crop.patient, own.fold, _dense(hu, distance))


def _lung(hu: NDArray[np.float32]) -> NDArray[np.bool_]:
    smooth = ndimage.gaussian_filter(hu, 1.5)
    return (smooth > _LUNG_HU[0]) & (smooth < _LUNG_HU[1])


def _in_shell(distance: NDArray[np.float32]) -> NDArray[np.bool_]:
    return (distance < -4) & (distance > -REACH_MM)


def _dense(hu: NDArray[np.float32], distance: NDArray[np.float32]) -> float:
    return float(np.mean(hu[_in_shell(distance)] > DENSE_HU))


def _around(array: NDArray, centre: tuple[int, int, int], fill: float) -> NDArray:
    half = SIDE // 2
    padded = np.pad(array, half, constant_values=fill)
    return padded[tuple(slice(n, n + SIDE) for n in centre)]
