"""Resizing as nnU-Net does it, as a matrix product along each axis.

nnU-Net resizes with ``skimage.transform.resize``: splines through the voxel values, voxel faces aligned at
both ends, the outermost value continued beyond, the result kept within the input's values. A spline of a
given order is linear in the values and separable, so it is a matrix for each axis: the very one that
``scipy.ndimage.zoom`` makes of the unit vectors. The product runs on the device and costs a small share of
the zoom's time.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

# A spacing is anisotropic from this ratio of its largest to its smallest value (nnU-Net's ANISO_THRESHOLD).
ANISOTROPIC = 3.0


def separate_axis(spacing: NDArray, other_spacing: NDArray) -> int | None:
    """The axis that nnU-Net resizes on its own, without interpolation: the one with thick slices.

    Args:
        spacing, other_spacing: of the array and of what it is resized to, in the order of the array's axes, mm.
    """
    for one in (np.asarray(spacing, dtype=float), np.asarray(other_spacing, dtype=float)):
        if one.max() / one.min() > ANISOTROPIC:
            thick = np.flatnonzero(one == one.max())
            return int(thick[0]) if len(thick) == 1 else None
    return None


def resize(
    channels: torch.Tensor, shape: tuple[int, int, int], *, order: int, separate: int | None = None
) -> torch.Tensor:
    """The channels [c, k, j, i] with that many voxels along k, j and i, as float32.

    Args:
        channels: on any device.
        shape: new number of voxels.
        order: of the spline, 0 to 3.
        separate: an axis (0 is k) that takes the nearest voxel instead.
    """
    channels = channels.to(torch.float32)
    if tuple(channels.shape[1:]) == tuple(shape):
        return channels
    # nnU-Net keeps each slice within its own values where it takes the slices one by one.
    spanned = [axis + 1 for axis in range(3) if axis != separate]
    low, high = channels.amin(dim=spanned, keepdim=True), channels.amax(dim=spanned, keepdim=True)
    # The axis that shrinks most goes first, so that the later ones have less to do.
    for dim in sorted(spanned, key=lambda d: shape[d - 1] / channels.shape[d]):
        if channels.shape[dim] != shape[dim - 1]:
            matrix = torch.from_numpy(_matrix(channels.shape[dim], shape[dim - 1], order)).to(channels.device)
            channels = torch.movedim(torch.tensordot(matrix, channels, dims=([1], [dim])), 0, dim)
    channels = torch.minimum(torch.maximum(channels, low), high)
    if separate is not None:
        index = torch.from_numpy(_nearest(channels.shape[separate + 1], shape[separate])).to(channels.device)
        channels = channels.index_select(separate + 1, index)
    return channels.contiguous()


@lru_cache(maxsize=16)
def _matrix(before: int, after: int, order: int) -> NDArray[np.float32]:
    """[after, before]: what each new voxel takes from each old one."""
    zoomed = np.stack(
        [
            ndimage.zoom(unit, after / before, order=order, mode="nearest", grid_mode=True)
            for unit in np.eye(before, dtype=np.float64)
        ],
        axis=1,
    )
    return zoomed.astype(np.float32)


def _nearest(before: int, after: int) -> NDArray[np.int64]:
    places = before / after * (np.arange(after) + 0.5) - 0.5
    return np.clip(np.floor(places + 0.5), 0, before - 1).astype(np.int64)
