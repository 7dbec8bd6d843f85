"""How a nodule's outline departs from a smooth, convex one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from LungNoduleAILib.nodule import NoduleMask

# Spicules are thinner than this share of the nodule's thickness.
_OPENING_SHARE = 0.35
_SPICULE_MM = 1.5
_LEAST_VOXELS = 30


def spiculation(mask: NoduleMask) -> float:
    """Share of the surface that thin spikes cover, 0…1.

    A spike is what an opening takes off the mask: by a ball of 0.35 of the largest inscribed ball's radius, at least
    one voxel and at most 1.5 mm. The index is the share of the mask's surface voxels that lie on spikes.
    """
    inside = np.pad(mask.occupancy >= 0.5, 2)
    if np.count_nonzero(inside) < _LEAST_VOXELS:
        return 0.0
    depth = ndimage.distance_transform_edt(inside)
    radius = float(np.clip(_OPENING_SHARE * depth.max(), 1.0, max(1.0, _SPICULE_MM / mask.grid.spacing[0])))
    opened = inside & (ndimage.distance_transform_edt(depth <= radius) <= radius + 0.5)
    surface = inside & (depth <= 1.0)
    return float(np.count_nonzero(surface & ~opened) / np.count_nonzero(surface))


def lobulation(mask: NoduleMask) -> float:
    """Share of the convex hull that the nodule leaves empty between its lobes, 0…1.

    Taken on the mask without its spikes at twice the voxel size, so that steps between voxels do not count: 1 less the
    ratio of the volume to the convex hull's.
    """
    smooth = ndimage.gaussian_filter(np.pad(mask.occupancy, 2), 1.0)
    inside = smooth >= 0.5
    if np.count_nonzero(inside) < _LEAST_VOXELS:
        return 0.0
    corners = _surface_points(smooth)
    try:
        hull = ConvexHull(corners).volume
    except QhullError:
        return 0.0
    return float(np.clip(1.0 - np.count_nonzero(inside) / hull, 0.0, 1.0))


def _surface_points(smooth: NDArray[np.float32]) -> NDArray[np.float64]:
    """Where the smoothed occupancy crosses 0.5 between neighbours, in voxels."""
    found = []
    for axis in range(3):
        low, high = np.moveaxis(smooth, axis, 0)[:-1], np.moveaxis(smooth, axis, 0)[1:]
        at = np.nonzero((low >= 0.5) != (high >= 0.5))
        points = np.stack(at, axis=1).astype(np.float64)
        points[:, 0] += (0.5 - low[at]) / (high[at] - low[at])
        found.append(np.insert(points[:, 1:], axis, points[:, 0], axis=1))
    return np.vstack(found)
