"""A click that corrects a tumour's outline changes it near itself, and elsewhere by little."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from SegmentationAILib.radiotherapy.tumour_prompts import Click, voxel_of
from SegmentationAILib.volume import Grid

# How far from the click the outline may move, and how far it may move anywhere, in units of the way from the
# click to the outline; chosen on tumours of training and validation.
_REACH_GAPS, _LEAST_REACH_MM = 3.0, 3.0
_SHELL_GAPS = 1.0


def edited(
    before: NDArray[np.bool_], after: NDArray[np.bool_], click: Click, grid: Grid, *, shell: bool = True
) -> NDArray[np.bool_]:
    """``before`` with those changes towards ``after`` that the click may account for.

    Turned are voxels of the click's kind only: those that hang together with the click within its reach, and a
    thin shell of the whole outline where that may move. A click that the outline already agrees with changes nothing.

    Args:
        before: bool [k, j, i]; where nothing of it is of the click's kind, the result is ``after``.
        after: what the click would make of it, were there no limit.
        click: the last one.
        grid: of both.
        shell: whether the outline may move everywhere by a little, as one that nobody drew may.
    """
    at = voxel_of(grid, click.ras)
    if before[at] == click.add:
        return before
    box = _box_of(before | after, at)
    on_side = before[box] == click.add
    if not on_side.any():
        return after
    turned = ~on_side & (after[box] == click.add)
    here = tuple(n - side.start for n, side in zip(at, box, strict=True))
    turned[here] = True
    sampling = grid.spacing[::-1]
    axes = np.ogrid[tuple(map(slice, turned.shape))]
    squares = sum(((axis - n) * mm) ** 2 for axis, n, mm in zip(axes, here, sampling, strict=True))
    away = np.sqrt(squares)
    gap = float(away[on_side].min())
    labels, _ = ndimage.label(turned & (away <= max(_REACH_GAPS * gap, _LEAST_REACH_MM)))
    kept = labels == labels[here]
    if shell:
        kept |= turned & (ndimage.distance_transform_edt(~on_side, sampling=sampling) <= _SHELL_GAPS * gap)
    result = before.copy()
    result[box][kept] = click.add
    return result


def _box_of(mask: NDArray[np.bool_], at: tuple[int, int, int]) -> tuple[slice, slice, slice]:
    """[k, j, i] of the mask and a voxel, and one voxel around."""
    [box] = ndimage.find_objects(mask.astype(np.uint8))
    return tuple(
        slice(max(min(side.start, n) - 1, 0), max(side.stop, n + 1) + 1) for side, n in zip(box, at, strict=True)
    )
