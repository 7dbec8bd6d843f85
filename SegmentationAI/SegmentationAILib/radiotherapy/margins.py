"""Growing and shrinking a structure by six margins in the patient's own directions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from SegmentationAILib.errors import InputError
from SegmentationAILib.preprocess import reorient, resample
from SegmentationAILib.radiotherapy.margin_recipes import Margins
from SegmentationAILib.radiotherapy.reach import Axis, reached
from SegmentationAILib.radiotherapy.surface import FULL, finer, single_levels, surface_levels
from SegmentationAILib.volume import LPS_FROM_RAS, Grid

# Voxel axes this close to the patient's count as parallel to them: 0.1 mm over the widest margin.
_PARALLEL = 1e-3
_MOST_TURNED_VOXELS = 50_000_000

Window = tuple[slice, slice, slice]


def expand(
    mask: NDArray[np.bool_],
    ijk_to_ras: ArrayLike,
    *,
    left: float = 0.0,
    right: float = 0.0,
    anterior: float = 0.0,
    posterior: float = 0.0,
    superior: float = 0.0,
    inferior: float = 0.0,
) -> NDArray[np.bool_]:
    """The structure grown by six margins, or shrunk where they are negative.

    Growing covers every voxel whose centre lies within a margin of the structure's surface. The margin is
    the union of eight octants of half-ellipsoids in the patient's space, each with the three semi-axes of
    its sides, so that 5 mm to the right alone moves the structure's right side and nothing else (as the
    margins of ICRU Reports 62 and 83 are drawn). The surface is the smooth one behind the mask, found by
    ``surface``. A box's face runs half way between voxel centres; it moves by the margin to the nearest
    whole voxel, hence by nothing where the margin is below half a voxel. More structure may reach less in
    places, by a part of a voxel, as it changes the surface; more margin never does.

    Balls of 10 to 20 mm radius grown by 3 to 10 mm have, in the mean over where their centres fall in a
    voxel, the right volume to 2 % on cubic voxels of 0.75 to 3 mm and with slices of 2 to 3 mm between
    pixels of 1 mm; to 3.5 % with slices of 4 mm and 6 % with slices of 5 mm. A ball of two voxels' radius,
    6 + 3 mm on 3 mm, is 4 % too small.

    Shrinking takes away what lies within the margins of the surroundings' surface. Balls of 10 to 20 mm
    shrunk by 3 to 10 mm are right to 2.1 % in volume on voxels up to 1.5 mm, to 7 % up to 3 mm (20 - 8 mm on
    3 mm, 0.09 voxels at the surface) and to 3.2 % with slices of up to 3 mm between pixels of 1 mm. A structure
    grown and then shrunk by the same margins keeps each voxel or one that touches it: no part is lost, but
    single voxels of its surface may be. For this, the voxels that alone would grow to within the structure
    stay where nothing else near them does.
    Where some margins are negative and others positive, the structure is shrunk first and then grown.

    On a grid oblique to the patient, unequal margins are drawn on an upright grid of half the voxel size;
    a few voxels of the surface may then differ, also on sides without a margin, and shrinking may lose
    thin parts.

    What would lie outside the grid is cut off. Where the structure touches the grid's edge it is taken to
    continue beyond it, so that shrinking does not move it away from the edge.

    Args:
        mask: bool [k, j, i].
        ijk_to_ras: 4×4, of the mask's grid; any order, direction, spacing and rotation of the axes.
        left, right, anterior, posterior, superior, inferior: mm, towards the patient's own sides.

    Returns:
        bool [k, j, i], on the same grid.

    Raises:
        InputError: a margin is beyond ±100 mm or not a number, the mask is not bool [k, j, i], or the
            voxels are sheared.
        ValueError: ``ijk_to_ras`` is not a finite, invertible 4×4 matrix.
    """
    sides = Margins(left, right, anterior, posterior, superior, inferior).as_sides()
    if mask.dtype != bool or mask.ndim != 3:
        raise InputError(
            f"A margin is drawn around one structure on three axes, not {mask.dtype} on {mask.ndim}; "
            "take a single label, as in labels == 1."
        )
    grid = Grid(mask.shape, ijk_to_ras)
    if not grid.is_orthogonal:
        raise InputError(
            "The voxels' axes are not at right angles, as a tilted gantry leaves them; resample the CT "
            "and its structures to upright voxels first."
        )
    result = mask.copy()
    shrinking = Margins(**{side: max(0.0, -margin) for side, margin in sides.items()})
    if any(shrinking.as_sides().values()) and (window := _window(result, np.ones(3, dtype=int))):
        result[window] = _shrunk(result[window], _crop(grid, window), _opposite(shrinking))
    growing = Margins(**{side: max(0.0, margin) for side, margin in sides.items()})
    border = np.ceil(max(growing.as_sides().values()) / grid.spacing[::-1]).astype(int) + 1
    if any(growing.as_sides().values()) and (window := _window(result, border)):
        result[window] |= _reached(result[window], _crop(grid, window), growing)
    return result


def _opposite(margins: Margins) -> Margins:
    m = margins
    return Margins(m.right, m.left, m.posterior, m.anterior, m.inferior, m.superior)


def _window(mask: NDArray[np.bool_], border: NDArray[np.int_]) -> Window | None:
    """The structure's bounding box with a border of voxels along (k, j, i); None where it is empty."""
    window: list[slice] = []
    for axis in range(3):
        filled = np.flatnonzero(mask[tuple(window)].any(axis=tuple(n for n in range(3) if n != axis)))
        if not len(filled):
            return None
        window.append(slice(max(0, filled[0] - border[axis]), min(mask.shape[axis], filled[-1] + 1 + border[axis])))
    return tuple(window)


def _crop(grid: Grid, window: Window) -> Grid:
    return grid.crop([part.start for part in window], tuple(part.stop - part.start for part in window))


def _shrunk(mask: NDArray[np.bool_], grid: Grid, margins: Margins) -> NDArray[np.bool_]:
    """The mask without what lies within the margins of its surroundings, but for a core of every part."""
    kept = mask & ~_reached(~mask, grid, margins)
    lost = mask & ~ndimage.binary_dilation(kept, np.ones((3, 3, 3), dtype=bool))
    if lost.any():
        kept |= lost & ~_reached(~mask, grid, margins, single=True)
    return kept


def _reached(mask: NDArray[np.bool_], grid: Grid, margins: Margins, *, single: bool = False) -> NDArray[np.bool_]:
    """The voxels within the margins of the mask; with ``single``, within those of any of its voxels alone."""
    upright = grid.canonical()
    inside = reorient(mask, grid, upright)
    levels = single_levels(inside) if single else surface_levels(inside, tuple(upright.spacing[::-1]))
    off = np.abs(LPS_FROM_RAS[:3, :3] @ upright.directions - np.eye(3)).max()
    if off <= _PARALLEL or len(set(margins.as_sides().values())) == 1:
        return reorient(reached(levels, _axes(upright, margins), between=not single), upright, grid)
    turned = _turned(upright)
    level = np.rint(resample(*_halved(levels[0], upright), turned, fill=-FULL)).astype(np.int16)
    near = reached(np.broadcast_to(level, (3, *turned.shape)), _axes(turned, margins))
    added = near & (level <= 0)
    # Between the grids the surface itself moves by parts of a voxel, also where it should stay.
    return (_back(near, turned, grid) >= 0.5) & (_back(added, turned, grid) > 0)


def _halved(level: NDArray[np.int16], grid: Grid) -> tuple[NDArray[np.float32], Grid]:
    """Levels on voxels of half the size, as lines through a coarse grid's levels would cut corners."""
    if 8 * level.size > _MOST_TURNED_VOXELS:
        return level.astype(np.float32), grid
    for axis in range(3):
        level = finer(level, axis, 2)
    half = Grid(level.shape, grid.ijk_to_ras @ np.diag([0.5, 0.5, 0.5, 1.0]))
    return (level / 16**3).astype(np.float32), half


def _back(mask: NDArray[np.bool_], turned: Grid, grid: Grid) -> NDArray[np.float32]:
    return resample(mask.astype(np.float32), turned, grid)


def _axes(upright: Grid, margins: Margins) -> tuple[Axis, Axis, Axis]:
    """Of k, j and i, which run to superior, posterior and left."""
    i, j, k = upright.spacing
    return (
        Axis(k, margins.inferior, margins.superior),
        Axis(j, margins.anterior, margins.posterior),
        Axis(i, margins.right, margins.left),
    )


def _turned(grid: Grid) -> Grid:
    """A grid along the patient's axes that covers an oblique one, with voxels of half the size."""
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in grid.shape[::-1]])).reshape(3, -1).T
    lps = grid.ras(corners) @ LPS_FROM_RAS[:3, :3]
    extent = np.ptp(lps, axis=0)
    spacing = max(grid.spacing.min() / 2, np.cbrt(extent.prod() / _MOST_TURNED_VOXELS))
    matrix = np.diag([spacing, spacing, spacing, 1.0])
    matrix[:3, 3] = lps.min(axis=0)
    size = np.ceil(extent / spacing).astype(int) + 1
    return Grid(tuple(size[::-1]), LPS_FROM_RAS @ matrix)
