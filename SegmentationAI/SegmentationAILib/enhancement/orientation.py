"""Where the voxel axes run in the patient, in letters, and the same voxels in another order."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np

from SegmentationAILib.volume import Grid

_PAIRS = ("RL", "AP", "SI")
# Every way in which i, j and k can run: 48 of them, the usual ones first.
AXIS_CODES = tuple(
    sorted(
        ("".join(letters) for order in permutations(_PAIRS) for letters in product(*order)),
        key=lambda code: (code not in ("RAS", "LPS", "LAS", "RPS"), code),
    )
)


def axis_codes(grid: Grid) -> str:
    """Where i, j and k run, as closest: "LPS" for i to the left, j to the back, k to the head."""
    axes = patient_axes(grid)
    return "".join(_PAIRS[axis][int(grid.directions[axis, n] < 0)] for n, axis in enumerate(axes))


def with_axis_codes(grid: Grid, codes: str) -> Grid:
    """The same voxels with axes permuted and flipped so that ``axis_codes`` of it is ``codes``."""
    canonical = grid.canonical("RAS")
    turn = np.zeros((4, 4))
    turn[3, 3] = 1.0
    order = [next(n for n, pair in enumerate(_PAIRS) if letter in pair) for letter in codes]
    for target, source in enumerate(order):
        flipped = codes[target] != _PAIRS[source][0]
        turn[source, target] = -1.0 if flipped else 1.0
        turn[source, 3] += canonical.shape[2 - source] - 1 if flipped else 0
    shape = tuple(canonical.shape[2 - source] for source in order)[::-1]
    return Grid(shape, canonical.ijk_to_ras @ turn)


def patient_axes(grid: Grid) -> list[int]:
    """For i, j and k the axis of RAS (0, 1, 2) that each runs closest to, each once."""
    along = np.abs(grid.directions)
    return list(max(permutations(range(3)), key=lambda p: sum(along[p[n], n] for n in range(3))))
