"""Internal target volume: where a target is over the phases of a 4-D CT (ICRU Report 62).

A target drawn on a maximum intensity projection misses the phases in which it lies beside the chest
wall or the diaphragm; the union over the phases does not. Where there is one phase only, an internal
margin takes the place of the union: the rule ``expand(GTVp, ...)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.preprocess import resample
from SegmentationAILib.rigid_registration import Alignment, align_rigidly
from SegmentationAILib.volume import Grid, Volume


@dataclass(frozen=True, eq=False)
class Phase:
    """One phase of a 4-D CT, or one of several breath-hold CTs.

    Attributes:
        volume: HU.
        mask: bool [k, j, i] on the volume's grid: the target in this phase.
    """

    volume: Volume
    mask: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class InternalTarget:
    """The union over the phases and how the target moves in it.

    Attributes:
        mask: bool [k, j, i] on the reference phase's grid.
        centroids_ras: (phases, 3) RAS in mm, after the alignment.
        alignments: of each phase to the reference; None for the reference, and where none was asked for.
    """

    mask: NDArray[np.bool_]
    centroids_ras: NDArray[np.float64]
    alignments: tuple[Alignment | None, ...]

    @property
    def excursion_mm(self) -> tuple[float, float, float]:
        """How far the target's centre travels from end to end along (R, A, S), mm."""
        r, a, s = np.ptp(self.centroids_ras, axis=0)
        return float(r), float(a), float(s)


def internal_target(
    phases: Sequence[Phase],
    *,
    reference: int = 0,
    onto: Volume | None = None,
    align: bool = False,
    region: NDArray[np.bool_] | None = None,
    progress: Progress | None = None,
) -> InternalTarget:
    """The union of the target over the phases, on the grid of one of them or of another CT.

    Args:
        phases: on any grids in one frame of reference.
        reference: index of the phase to whose grid the others are brought.
        onto: the CT to whose grid all phases are brought instead, such as the average over the phases.
        align: lay each phase on the reference first by a turn and a shift. Phases of one 4-D CT need
            none; CTs of repeated breath-holds may.
        region: bool [k, j, i] on the reference's grid that alone must fit, such as the spine.
        progress: told after each phase.

    Raises:
        InputError: there is no phase, a mask is empty or not on its CT, the target lies outside the
            reference CT, or a phase cannot be aligned.
    """
    progress = progress or Progress()
    if not phases or not 0 <= reference < len(phases):
        raise InputError("An ITV needs the target in at least one phase; choose the phases.")
    for n, phase in enumerate(phases):
        name = phase.volume.name or f"{n + 1}"
        if phase.mask.shape != phase.volume.shape:
            raise InputError(f"The target of phase '{name}' is not on the grid of its CT; resample it.")
        if not phase.mask.any():
            raise InputError(f"The target of phase '{name}' is empty; draw it or leave the phase out.")
    fixed = onto or phases[reference].volume
    union = np.zeros(fixed.shape, dtype=bool)
    centroids = []
    alignments: list[Alignment | None] = []
    for n, phase in enumerate(phases):
        grid = phase.volume.grid
        moves = align and (onto is not None or n != reference)
        alignment = align_rigidly(phase.volume, fixed, region) if moves else None
        if alignment is not None:
            grid = Grid(grid.shape, alignment.matrix @ grid.ijk_to_ras)
        there = resample(phase.mask, grid, fixed.grid) >= 0.5
        if not there.any():
            raise InputError(
                f"The target of phase '{phase.volume.name or n + 1}' lies outside the reference CT; "
                "choose phases of one examination."
            )
        union |= there
        centroids.append(grid.ras(np.argwhere(phase.mask).mean(axis=0)[::-1]))
        alignments.append(alignment)
        progress((n + 1) / len(phases), "ITV")
    return InternalTarget(union, np.array(centroids), tuple(alignments))
