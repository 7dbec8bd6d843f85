"""How sure a figure is: intervals from resampling what was sampled, whole scans or patients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from SegmentationAILib.errors import InputError

# As LUNA16: Setio et al., Med Image Anal 2017, after Efron and Tibshirani 1994.
RESAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure and its interval; NaN where it is undefined."""

    value: float
    low: float
    high: float


def draw(units: int, random: np.random.Generator) -> NDArray[np.int64]:
    """How often each of so many units is drawn when as many are drawn with replacement: [units]."""
    return np.bincount(random.integers(units, size=units), minlength=units)


def percentiles(samples: ArrayLike, level: float = LEVEL) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The ends of the percentile interval over axis 0.

    Args:
        samples: [resamples, ...]; NaN where a resample leaves a figure undefined, which is left out.
        level: what part of the resamples lies within.
    """
    samples = np.asarray(samples, dtype=float)
    low = np.full(samples.shape[1:], np.nan)
    high = low.copy()
    known = ~np.isnan(samples).all(axis=0)
    if known.any():
        tails = ((1 - level) / 2, (1 + level) / 2)
        low[known], high[known] = np.nanquantile(samples[:, known], tails, axis=0)
    return low, high


def grouped(
    statistic: Callable[..., float],
    groups: ArrayLike,
    *arrays: ArrayLike,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Estimate:
    """A statistic of cases and its interval, resampling whole groups.

    Cases of one patient resemble each other; resampling them one by one would give too narrow an
    interval (Field and Welsh, J R Stat Soc B 2007).

    Args:
        statistic: of the arrays; NaN where it is undefined.
        groups: [n], the patient of each case.
        arrays: each [n, ...], what the statistic takes.
        resamples: how many.
        level: of the interval.
        seed: the same one gives the same interval.

    Raises:
        InputError: there are no cases, or arrays of different length.
    """
    groups = np.asarray(groups)
    columns = [np.asarray(array) for array in arrays]
    if not len(groups) or any(len(column) != len(groups) for column in columns):
        raise InputError("Each case needs a label, a score and a patient; give lists of one length that are not empty.")
    _, member = np.unique(groups, return_inverse=True)
    units = int(member.max()) + 1
    random = np.random.default_rng(seed)
    samples = np.empty((resamples, 1))
    for n in range(resamples):
        cases = np.repeat(np.arange(len(groups)), draw(units, random)[member])
        samples[n] = statistic(*(column[cases] for column in columns))
    (low,), (high,) = percentiles(samples, level)
    return Estimate(float(statistic(*columns)), float(low), float(high))
