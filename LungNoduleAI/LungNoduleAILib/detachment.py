"""A nodule cut from the vessels that run into it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# A vessel is thinner than this share of the nodule where it leaves it.
_OPENING_SHARE = 0.45
# What sticks out by less than this share of the nodule's radius, and ends there, is its own bump or spicule.
_LONGEST_BUMP = 1.0
# Below this radius, in voxels, the voxels are too coarse to tell a vessel from the nodule.
_LEAST_OPENED = 2.5


def without_vessels(
    dense: NDArray[np.bool_], prior: NDArray[np.bool_], allowed: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """The dense voxels that are the nodule's, less the tubes that leave it.

    What hangs together is opened by a ball of a share of the nodule's own radius (Kuhnigk et al., IEEE Trans Med
    Imaging 2006). Of what the opening takes off, pieces that go on beyond the allowed voxels, or reach far from the
    rest, are vessels; the others are the nodule's own surface, and return.

    Args:
        dense: bool [k, j, i] on isotropic voxels, nodule, vessels and all else above a threshold.
        prior: bool [k, j, i], where the nodule is thought to be.
        allowed: bool [k, j, i], where it may be.
    """
    region = _overlapping_most(dense & allowed, prior)
    if not region.any():
        return region
    depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1, 1:-1]
    central = np.where(prior, depth, 0.0)
    radius = float(central.max())
    if radius < _LEAST_OPENED:
        return region & prior
    opening = _OPENING_SHARE * radius
    middle = np.unravel_index(int(np.argmax(central)), region.shape)
    labels, _ = ndimage.label(depth > opening)
    core = labels == labels[middle]
    from_core = ndimage.distance_transform_edt(~core)
    # One voxel grows back, so that the nodule's own edges stay.
    opened = ndimage.binary_dilation(region & (from_core <= opening)) & region
    pieces, count = ndimage.label(region & ~opened)
    if count == 0:
        return ndimage.binary_fill_holes(opened)
    beyond = ndimage.binary_dilation(dense & ~allowed)
    going_on = np.bincount(pieces[beyond & (pieces > 0)], minlength=count + 1) > 0
    reach = ndimage.maximum(from_core, pieces, np.arange(count + 1)) - opening
    own = ~going_on & (reach <= _LONGEST_BUMP * radius)
    own[0] = False
    return ndimage.binary_fill_holes(_overlapping_most(opened | own[pieces], opened))


def _overlapping_most(mask: NDArray[np.bool_], with_mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The connected part that shares most voxels with another mask; nothing where none does."""
    labels, count = ndimage.label(mask)
    shared = np.bincount(labels[with_mask], minlength=count + 1)
    shared[0] = 0
    return labels == int(np.argmax(shared)) if shared.any() else np.zeros(mask.shape, dtype=bool)
