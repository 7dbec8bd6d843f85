"""A CT of a noisy lump in lung, for radiomics, and the other ways to store the same voxels."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from SegmentationAILib.volume import LPS_FROM_RAS, Grid, Volume

# A turn that leaves each axis closest to its own.
TURN = sitk.Euler3DTransform((0, 0, 0), 0.1, -0.15, 0.2).GetMatrix()


def nodule_ct(spacing=(0.7, 0.9, 2.0), shape=(16, 26, 30)) -> tuple[Volume, np.ndarray]:
    """A noisy lump in lung on an oblique grid with axes near L, P, S."""
    matrix = LPS_FROM_RAS.copy()
    matrix[:3, :3] @= np.reshape(TURN, (3, 3)) @ np.diag(spacing)
    grid = Grid(shape, matrix)
    k, j, i = np.indices(shape)
    distance = np.linalg.norm(
        np.stack([(i - 14) * spacing[0], (j - 12) * spacing[1], (k - 8) * spacing[2]])
        / [[[[5.0]]], [[[4.0]]], [[[6.0]]]],
        axis=0,
    )
    hu = np.where(distance < 1.0, 40.0, -850.0) + np.random.default_rng(3).normal(scale=60.0, size=shape)
    return Volume(np.round(hu).astype(np.int16), grid, "lump", "CT"), distance < 1.1


def other_axes(grid: Grid, order: tuple[int, ...], signs: tuple[int, ...]) -> Grid:
    """The same voxels: the new axis n of (i, j, k) runs along the old axis order[n], forwards or backwards."""
    size = grid.shape[::-1]
    change = np.zeros((4, 4))
    change[3, 3] = 1.0
    for axis, (old, sign) in enumerate(zip(order, signs, strict=True)):
        change[old, axis] = sign
        change[old, 3] = 0 if sign > 0 else size[old] - 1
    return Grid(tuple(size[old] for old in order)[::-1], grid.ijk_to_ras @ change)
