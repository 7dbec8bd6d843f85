"""Whether a probability means what it says (Guo et al., On calibration of modern neural networks, ICML 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from LungNoduleAILib.evaluation.classification import checked
from SegmentationAILib.errors import InputError

# As in the experiments of Guo et al.
BINS = 15


@dataclass(frozen=True)
class Bin:
    """Cases whose probability lies above ``low`` and not above ``high``; the lowest bin holds 0 too.

    Attributes:
        count: of cases.
        mean_probability: that was given; NaN where the bin is empty.
        frequency: the part of cases that came true; NaN where the bin is empty.
    """

    low: float
    high: float
    count: int
    mean_probability: float
    frequency: float


def reliability(labels: ArrayLike, probabilities: ArrayLike, bins: int = BINS) -> tuple[Bin, ...]:
    """Probabilities against frequencies, in bins of equal width.

    Args:
        labels: [n], 1 where the event came true. For two classes the event is the positive class; for
            many, as in Guo et al., that the likeliest class is the right one.
        probabilities: [n], of the event, 0 to 1.
        bins: how many.

    Raises:
        InputError: no cases, labels other than 0 and 1, or probabilities outside 0 to 1.
    """
    true, values = checked(labels, probabilities)
    if values.min() < 0 or values.max() > 1:
        raise InputError("A probability lies outside 0 to 1; calibration needs probabilities, not other scores.")
    edges = np.linspace(0, 1, bins + 1)
    place = np.maximum(np.searchsorted(edges, values, side="left") - 1, 0)
    counts = np.bincount(place, minlength=bins)
    divisor = np.where(counts, counts, np.nan)
    probability = np.bincount(place, weights=values, minlength=bins) / divisor
    frequency = np.bincount(place, weights=true, minlength=bins) / divisor
    columns = (edges[:-1], edges[1:], counts, probability, frequency)
    return tuple(Bin(*row) for row in zip(*(column.tolist() for column in columns), strict=True))


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """The mean distance of probability and frequency over all cases (ECE; Guo et al., eq. 3).

    Args:
        bins: from ``reliability``.
    """
    filled = [one for one in bins if one.count]
    cases = sum(one.count for one in filled)
    return sum(one.count * abs(one.frequency - one.mean_probability) for one in filled) / cases
