"""Where MONAI puts the voxels when it changes their size, and which it reads for each.

It maps voxel centres onto voxel centres: a resampled grid starts at the centre of the first voxel, not at its
face.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from SegmentationAILib.volume import Grid

Positions = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
_SAME_MM = 1e-3


def spaced(grid: Grid, pixdim: tuple[float, float, float]) -> Grid:
    """The grid that MONAI's ``Spacing`` makes: the first voxel's centre stays, and so, nearly, does the last one's.

    Args:
        grid: with axes at right angles.
        pixdim: mm along (i, j, k).
    """
    # MONAI keeps a spacing that is as good as the wanted one (its AFFINE_TOL).
    spacing = np.where(np.abs(grid.spacing - pixdim) <= _SAME_MM, grid.spacing, pixdim)
    size = np.array(grid.shape[::-1])
    shape = np.round((size - 1) * grid.spacing / spacing + 1).astype(int)
    matrix = grid.ijk_to_ras.copy()
    matrix[:3, :3] = grid.directions * spacing
    # By the detour that MONAI takes, whose rounding decides where ``nearest`` has a tie.
    return Grid(tuple(shape[::-1]), grid.ijk_to_ras @ np.linalg.solve(grid.ijk_to_ras, matrix))


def positions(source: Grid, target: Grid) -> Positions:
    """Continuous indices of the target's voxels in the source along i, j and k; the axes are parallel."""
    matrix = np.linalg.solve(source.ijk_to_ras, target.ijk_to_ras)
    return tuple(matrix[axis, axis] * np.arange(size) + matrix[axis, 3] for axis, size in enumerate(target.shape[::-1]))


def nearest(source: Grid, target: Grid) -> Positions:
    """Whole indices of the source's voxel nearest to each of the target's along i, j and k.

    MONAI leaves the choice to torch's ``grid_sample``. Where a voxel lies halfway between two, as every other one
    does at half the spacing, rounding in it decides, so ``grid_sample`` itself is asked here, of a line along each
    axis that holds its own indices.
    """
    before, after = (np.array(grid.shape[::-1]) for grid in (source, target))
    xform = np.linalg.solve(source.ijk_to_ras, target.ijk_to_ras)
    theta = _normalized(before) @ xform @ np.linalg.inv(_normalized(after))
    found = []
    for axis in range(3):
        line = torch.zeros(1, 3, 4, dtype=torch.float64)
        line[0, 2, 2], line[0, 2, 3] = theta[axis, axis], theta[axis, 3]
        indices = torch.arange(before[axis], dtype=torch.float64)[None, None, :, None, None]
        at = torch.nn.functional.affine_grid(line, [1, 1, int(after[axis]), 1, 1], align_corners=False)
        taken = torch.nn.functional.grid_sample(indices, at, "nearest", "border", align_corners=False)
        found.append(taken.flatten().numpy())
    return tuple(found)


def _normalized(size: np.ndarray) -> np.ndarray:
    """4×4, from indices to torch's coordinates, -1 and 1 at the outermost voxel faces."""
    return np.block([[np.diag(2.0 / size), (1.0 / size - 1.0)[:, None]], [np.zeros((1, 3)), np.ones((1, 1))]])
