"""Which nodule of the prior CT is which of the current one: one to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from LungNoduleAILib.followup.lung_registration import LungRegistration
from LungNoduleAILib.nodule import Nodule

# How far a nodule may lie from where the registration expects it: this, or its diameter where that is more.
REACH_MM = 10.0
# Diameters that differ by more belong to two nodules: 27 times the volume, nearly five doublings.
LARGEST_SIZE_RATIO = 3.0
# Two partners at the limit cost as much as leaving both without one.
_ALONE = 0.5


@dataclass(frozen=True)
class Match:
    """One nodule on both CTs.

    Attributes:
        current, prior: index among the nodules of each CT.
        distance_mm: between the current nodule and where the prior one is expected.
    """

    current: int
    prior: int
    distance_mm: float


def match_nodules(
    current: Sequence[Nodule], prior: Sequence[Nodule], registration: LungRegistration
) -> tuple[Match, ...]:
    """Pair the nodules so that the pairs together disagree least in place and size (Kuhn, Nav Res Log 1955).

    A pair disagrees by √((distance / reach)² + (ln ratio of diameters / ln 3)²); 1 is the limit. Reach is 10 mm or
    the larger diameter. A nodule in the left lung is none in the right. Diameters are those of balls with the
    nodules' volumes. A pair is left apart where that lets the others agree better.

    Args:
        current, prior: nodules of the two CTs.
        registration: of the prior CT to the current one.

    Returns:
        In order of the current nodules.
    """
    if not current or not prior:
        return ()
    expected = registration.to_current([nodule.centre_ras for nodule in prior])
    distance = np.linalg.norm(np.array([nodule.centre_ras for nodule in current])[:, None] - expected, axis=-1)
    now, then = _ball_diameters(current), _ball_diameters(prior)
    reach = np.maximum(REACH_MM, np.maximum(now[:, None], then))
    ratio = np.abs(np.log(now[:, None] / then)) / np.log(LARGEST_SIZE_RATIO)
    disagreement = np.hypot(distance / reach, ratio)
    other_lung = np.array([[a.lung != b.lung and bool(a.lung and b.lung) for b in prior] for a in current])
    disagreement[other_lung | (disagreement > 1)] = np.inf
    return tuple(
        Match(i, j, float(distance[i, j])) for i, j in _assign(disagreement) if np.isfinite(disagreement[i, j])
    )


def _ball_diameters(nodules: Sequence[Nodule]) -> NDArray[np.float64]:
    return np.cbrt(6 / np.pi * np.array([nodule.measurements.volume_mm3 for nodule in nodules]))


def _assign(cost: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Pairs of least cost, where any row and any column may stay alone."""
    rows, columns = cost.shape
    far = 2.0 * (rows + columns)
    square = np.zeros((rows + columns, rows + columns))
    square[:rows, :columns] = np.where(np.isfinite(cost), cost, far)
    square[:rows, columns:] = square[rows:, :columns] = _ALONE
    from scipy.optimize import linear_sum_assignment  # takes long to import  # noqa: PLC0415

    chosen = zip(*linear_sum_assignment(square), strict=True)
    return [(int(i), int(j)) for i, j in chosen if i < rows and j < columns]
