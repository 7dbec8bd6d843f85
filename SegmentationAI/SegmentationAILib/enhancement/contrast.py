"""More contrast: a window, and histograms made even, over the whole picture or tile by tile."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.enhancement.filtering import as_dtype, check_numbers
from SegmentationAILib.errors import InputError
from SegmentationAILib.volume import Grid, Volume

# Grey levels of what is for viewing.
LEVELS = 256
_CHUNK_VOXELS = 2_000_000
# Per axis; what the histograms are counted over.
_SAMPLES = 128


def window(
    volume: Volume, *, centre_hu: float = 40.0, width_hu: float = 400.0, progress: Progress | None = None
) -> Volume:
    """Values outside the window become its ends; those inside stay as they are.

    Raises:
        InputError: the width is not above 0, or the voxels are not numbers.
        Cancelled: the user cancelled.
    """
    check_numbers(volume)
    low, high = _ends(centre_hu, width_hu)
    (progress or Progress())(0.0, "Window")
    low, high = as_dtype(np.array([low, high]), volume.array.dtype)
    return volume.with_array(np.clip(volume.array, low, high))


def equalise(
    volume: Volume,
    *,
    centre_hu: float = 40.0,
    width_hu: float = 400.0,
    overview: Volume | None = None,
    progress: Progress | None = None,
) -> Volume:
    """Grey levels of which each holds as many of the voxels within the window.

    Args:
        volume: any.
        centre_hu, width_hu: the window; what lies below is black, above white.
        overview: what the histogram is counted over; ``sampled(volume)`` if not given.
        progress: told of each part.

    Returns:
        uint8 of 0 to 255: for viewing, not for measuring.

    Raises:
        InputError: the width is not above 0, or the voxels are not numbers.
        Cancelled: the user cancelled.
    """
    return _equalised(volume, centre_hu, width_hu, None, 0.0, overview, progress)


def clahe(
    volume: Volume,
    *,
    centre_hu: float = -300.0,
    width_hu: float = 1400.0,
    tile_mm: float = 40.0,
    clip: float = 4.0,
    overview: Volume | None = None,
    progress: Progress | None = None,
) -> Volume:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld, Graphics Gems IV, 1994), in three dimensions.

    Each tile has its own even histogram, and between the tiles' centres the grey level is interpolated.

    Args:
        volume: any.
        centre_hu, width_hu: the window; what lies below is black, above white.
        tile_mm: size of a tile; structures larger than it lose their contrast to each other.
        clip: no level counts more than this many times the mean; what is above is shared among all.
        overview: what the histograms are counted over; ``sampled(volume)`` if not given.
        progress: told of each part.

    Returns:
        uint8 of 0 to 255: for viewing, not for measuring.

    Raises:
        InputError: a parameter is out of its range, or the voxels are not numbers.
        Cancelled: the user cancelled.
    """
    if not tile_mm > 0 or not clip >= 1:
        raise InputError("Give tiles of more than 0 mm and a limit of 1 or more.")
    return _equalised(volume, centre_hu, width_hu, tile_mm, clip, overview, progress)


def sampled(volume: Volume, **_parameters: object) -> Volume:
    """Every n-th voxel along each axis, at most 128: its histograms are the volume's, and quicker to count."""
    steps = [1 + (n - 1) // _SAMPLES for n in volume.shape]
    # From the middle of the first step on, so that both ends are equally near.
    first = [(n - 1) % step // 2 for n, step in zip(volume.shape, steps, strict=True)]
    array = np.ascontiguousarray(volume.array[tuple(slice(a, None, s) for a, s in zip(first, steps, strict=True))])
    scale = np.diag([*steps[::-1], 1.0])
    scale[:3, 3] = first[::-1]
    return Volume(array, Grid(array.shape, volume.ijk_to_ras @ scale), volume.name)


def _equalised(
    volume: Volume,
    centre_hu: float,
    width_hu: float,
    tile_mm: float | None,
    clip: float,
    overview: Volume | None,
    progress: Progress | None,
) -> Volume:
    check_numbers(volume)
    low, high = _ends(centre_hu, width_hu)
    progress = progress or Progress()
    progress(0.0, "Histogram")
    overview = overview or sampled(volume)
    extent = overview.spacing * overview.shape[::-1]
    count = np.ones(3, dtype=int) if tile_mm is None else np.maximum(1, np.rint(extent / tile_mm)).astype(int)
    tiles = overview.grid.with_spacing(extent / count)
    curves = _curves(overview, tuple(count[::-1]), low, high, clip)
    result = np.empty(volume.shape, dtype=np.uint8)
    thickness = max(1, _CHUNK_VOXELS // int(np.prod(volume.shape[1:])))
    for start in range(0, volume.shape[0], thickness):
        progress(start / volume.shape[0], "Histogram")
        chunk = slice(start, start + thickness)
        grid = volume.grid.crop((start, 0, 0), (len(result[chunk]), *volume.shape[1:]))
        result[chunk] = _applied(curves, _levels(volume.array[chunk], low, high), tiles.ras_to_ijk @ grid.ijk_to_ras)
    progress(1.0, "Histogram")
    return volume.with_array(result)


def _ends(centre_hu: float, width_hu: float) -> tuple[float, float]:
    if not width_hu > 0:
        raise InputError("Give a window wider than 0 HU.")
    return centre_hu - width_hu / 2, centre_hu + width_hu / 2


def _levels(array: NDArray, low: float, high: float) -> NDArray[np.intp]:
    scaled = (array.astype(np.float32) - low) * (LEVELS / (high - low))
    return np.clip(scaled, 0, LEVELS - 1).astype(np.intp)


def _curves(overview: Volume, count: tuple[int, ...], low: float, high: float, clip: float) -> NDArray[np.float32]:
    """[tile k, j, i, level] the grey level 0…255 that each level becomes."""
    numbers = [np.arange(size) * n // size for size, n in zip(overview.shape, count, strict=True)]
    tile = np.ravel_multi_index(np.ix_(*numbers), count)
    inside = (overview.array > low) & (overview.array < high)
    places = (tile * LEVELS + _levels(overview.array, low, high))[inside]
    held = np.bincount(places, minlength=int(np.prod(count)) * LEVELS).reshape(-1, LEVELS).astype(np.float64)
    # A tile with next to nothing inside the window shows it as the window alone would.
    held += np.maximum(1.0 - held.sum(axis=1, keepdims=True), 1e-3) / LEVELS
    held /= held.mean(axis=1, keepdims=True)
    if clip:
        over = np.maximum(held - clip, 0).sum(axis=1, keepdims=True)
        held = np.minimum(held, clip) + over / LEVELS
    curves = (np.cumsum(held, axis=1) - 0.5 * held) * ((LEVELS - 1) / LEVELS)
    curves[:, 0], curves[:, -1] = 0, LEVELS - 1
    return curves.astype(np.float32).reshape(*count, LEVELS)


def _applied(curves: NDArray[np.float32], levels: NDArray[np.intp], to_tiles: NDArray) -> NDArray[np.uint8]:
    """The levels [k, j, i] on the curves of the tiles around each voxel, weighted by how near they are."""
    count = curves.shape[:3]
    flat = curves.reshape(-1)
    if count == (1, 1, 1):
        return np.rint(flat[levels]).astype(np.uint8)
    sides = np.meshgrid(*[np.arange(n) for n in levels.shape], indexing="ij", sparse=True)
    lower, shares = [], []
    for axis in range(3):
        row = to_tiles[2 - axis]
        place = row[3] + sum(row[2 - n] * sides[n] for n in range(3))
        place = np.clip(np.broadcast_to(place, levels.shape), 0, count[axis] - 1).astype(np.float32)
        below = np.minimum(place.astype(np.intp), max(count[axis] - 2, 0))
        lower.append(below)
        shares.append(place - below)
    total = np.zeros(levels.shape, dtype=np.float32)
    for corner in np.ndindex(*[min(n, 2) for n in count]):
        at = np.zeros(levels.shape, dtype=np.intp)
        share = np.ones(levels.shape, dtype=np.float32)
        for axis in range(3):
            at = at * count[axis] + lower[axis] + corner[axis]
            if count[axis] > 1:
                share *= shares[axis] if corner[axis] else 1 - shares[axis]
        total += share * flat[at * LEVELS + levels]
    return np.rint(total).astype(np.uint8)
