"""Outlined marks -> nodules: measured, each place taken once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from LungNoduleAILib.characterization import nodule_of
from LungNoduleAILib.nodule import Nodule, NoduleMask
from LungNoduleAILib.refinement import refine
from LungNoduleAILib.search import SearchSpace
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.volume import Volume

# A mark of which more than this lies in a higher one is the same nodule.
_MOST_SHARED = 0.2


@dataclass(frozen=True, eq=False)
class OutlinedMark:
    """What a detector marks, in a window of the search space.

    Attributes:
        score: 0…1.
        diameter_mm: as the detector sees it.
        window: of the search space.
        occupancy: float [k, j, i], how much of each of the window's voxels is the nodule.
    """

    score: float
    diameter_mm: float
    window: tuple[slice, slice, slice]
    occupancy: NDArray[np.float32]


def collect(
    marks: Iterable[OutlinedMark],
    volume: Volume,
    lungs: LabelMap,
    space: SearchSpace,
    most: int,
    keep: Callable[[Nodule, OutlinedMark], bool] | None = None,
) -> list[Nodule]:
    """Measure marks, the highest first, and leave out what lies in one before.

    Args:
        marks: in order of falling score; taken until there are enough nodules.
        volume: the CT, HU.
        lungs: right and left lung on the volume's grid.
        space: that the windows are of.
        most: nodules at the most.
        keep: whether a measured nodule stays; all do if not given.

    Returns:
        In the order of the marks, with ids 1…n.
    """
    nodules: list[Nodule] = []
    taken = np.zeros(space.grid.shape, dtype=bool)
    for mark in marks:
        inside = mark.occupancy >= 0.5
        if not inside.any() or taken[mark.window][inside].mean() > _MOST_SHARED:
            continue
        taken[mark.window] |= inside
        box = space.grid.crop([side.start for side in mark.window], mark.occupancy.shape)
        mask = refine(volume, NoduleMask(mark.occupancy, box), lungs)
        nodule = nodule_of(volume, lungs, mask, len(nodules) + 1, mark.diameter_mm, mark.score)
        if keep is None or keep(nodule, mark):
            nodules.append(nodule)
        if len(nodules) == most:
            break
    return nodules
