"""How much a candidate looks like a nodule: a logistic model on a few measurements of its shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from LungNoduleAILib.characterization import SPACING_MM, Delineation

# Names of ``features``, in order.
FEATURES = ("log answer", "log diameter", "log width / thickness", "log length / width", "contrast", "attached", "fill")


@dataclass(frozen=True)
class LogisticModel:
    """p = 1 / (1 + exp(-(bias + Σ weight · (feature - mean) / deviation)))."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    weight: tuple[float, ...]
    bias: float

    def probability(self, values: NDArray[np.float64]) -> float:
        standard = (values - np.array(self.mean)) / np.array(self.deviation)
        return float(1.0 / (1.0 + np.exp(-(self.bias + standard @ np.array(self.weight)))))


# Made by training/scorer.py: LIDC cubes with a candidate (88 of 101) as nodules, the other candidates
# of LIDC-IDRI-0002, -0003, -0314 and CMB-CRC-MSB-01068 as what is none.
BASELINE = LogisticModel(
    mean=(3.5739, 1.8963, 0.4253, 0.4186, 0.6617, 0.1737, 0.2576),
    deviation=(0.322, 0.4353, 0.2541, 0.2672, 0.2301, 0.1391, 0.1474),
    weight=(1.1554, 1.2099, -0.289, 0.0226, -0.5207, -0.2043, 0.9937),
    bias=-3.9277,
)


def features(found: Delineation, answer: float) -> NDArray[np.float64]:
    """What the score is made of, in the order of ``FEATURES``.

    Args:
        found: the candidate's outline.
        answer: of the dot-enhancement filter, HU.
    """
    occupancy = found.occupancy
    volume = max(float(occupancy.sum()), 1e-3) * SPACING_MM**3
    points = np.argwhere(occupancy >= 0.5) * SPACING_MM
    # A voxel is a cube, not a point: its own variance is 1/12.
    own = np.eye(3) * SPACING_MM**2 / 12
    variances = np.linalg.eigvalsh(np.cov(points.T) + own) if len(points) > 3 else np.ones(3)
    # A ball of diameter d has a variance of d²/20 along each axis.
    length = np.sqrt(20 * variances[2])
    return np.array(
        [
            np.log(max(answer, 1.0)),
            np.log(np.cbrt(6 * volume / np.pi)),
            0.5 * np.log(variances[1] / variances[0]),
            0.5 * np.log(variances[2] / variances[1]),
            (found.core_hu - found.lung_hu) / 1000.0,
            found.attached_share,
            min(volume / (np.pi / 6 * length**3), 1.2),
        ]
    )
