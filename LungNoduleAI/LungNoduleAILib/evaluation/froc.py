"""Sensitivity against false positives per scan (FROC), computed as LUNA16 does, with intervals.

Setio et al., Validation, comparison, and combination of algorithms for automatic detection of pulmonary
nodules, Med Image Anal 2017. The figures are those of its script noduleCADEvaluationLUNA16.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from LungNoduleAILib.evaluation.bootstrap import LEVEL, RESAMPLES, Estimate, draw, percentiles
from SegmentationAILib.errors import InputError

# False positives per scan at which LUNA16 reads the sensitivity.
RATES = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)
MISSED = -np.inf
_BAND_POINTS = 97


@dataclass(frozen=True)
class Detections:
    """What a detector's marks came to, over all scans.

    Attributes:
        nodule_scores: [n], the best hit's score, or ``MISSED``.
        nodule_units: [n], what each nodule is resampled with: an index below ``units``.
        units: how many scans (or patients) the nodules were looked for in.
        false_positive_scores: [m].
        false_positive_scans: [m], an index below ``scans``.
        scans: how many scans the false positives were counted in.
        together: the units of the nodules are those same scans, so both are resampled as one.
    """

    nodule_scores: NDArray[np.float64]
    nodule_units: NDArray[np.int64]
    units: int
    false_positive_scores: NDArray[np.float64]
    false_positive_scans: NDArray[np.int64]
    scans: int
    together: bool

    def __post_init__(self) -> None:
        if not len(self.nodule_scores):
            raise InputError("There is no nodule to find, so there is no sensitivity; give references that count.")
        if not self.scans:
            raise InputError("There is no scan to count false positives in; give at least one.")
        if np.isnan(self.nodule_scores).any() or np.isnan(self.false_positive_scores).any():
            raise InputError("A score is not a number; give each detection a number.")


def of_scans(nodule_scores: Sequence[ArrayLike], false_positive_scores: Sequence[ArrayLike]) -> Detections:
    """Detections where nodules and false positives come from the same scans, as in LUNA16.

    Args:
        nodule_scores: for each scan, the best hit's score of each nodule, or ``MISSED``.
        false_positive_scores: for each scan, in the same order.

    Raises:
        InputError: no scans, no nodules, or scores that are no numbers.
    """
    nodules, units = _joined(nodule_scores)
    false_positives, scans = _joined(false_positive_scores)
    count = len(nodule_scores)
    return Detections(nodules, units, count, false_positives, scans, len(false_positive_scores), together=True)


def of_two_sets(
    nodule_scores: ArrayLike, false_positive_scores: Sequence[ArrayLike], *, patients: ArrayLike | None = None
) -> Detections:
    """Detections where the sensitivity is measured on one set of nodules and false positives on other scans.

    Args:
        nodule_scores: [n], the best hit's score of each nodule, or ``MISSED``.
        false_positive_scores: for each whole scan.
        patients: [n], whose nodule each is: those of one patient are resampled together. Without it,
            nodule by nodule.

    Raises:
        InputError: no scans, no nodules, scores that are no numbers, or not one patient per nodule.
    """
    scores = np.asarray(nodule_scores, dtype=float)
    names = np.arange(len(scores)) if patients is None else np.asarray(patients)
    if len(names) != len(scores):
        raise InputError(f"There are {len(scores)} nodules and {len(names)} patients; name one for each nodule.")
    found, member = np.unique(names, return_inverse=True)
    false_positives, scans = _joined(false_positive_scores)
    return Detections(scores, member, len(found), false_positives, scans, len(false_positive_scores), together=False)


@dataclass(frozen=True)
class Curve:
    """Corners of the FROC curve, from the strictest threshold down; straight lines join them.

    Attributes:
        false_positives_per_scan: [n], never falling; the first is 0.
        sensitivity: [n], never falling; the first is 0.
        thresholds: [n], a mark counts from this score on; the first is infinite.
    """

    false_positives_per_scan: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    thresholds: NDArray[np.float64]

    def at(self, rates: ArrayLike) -> NDArray[np.float64]:
        """The sensitivity at so many false positives per scan: linear between corners, constant past the last."""
        return np.interp(rates, self.false_positives_per_scan, self.sensitivity)


class _Ranked:
    """Marks from the highest score down, so that each resample is a sum along them."""

    def __init__(self, detections: Detections) -> None:
        self._detections = detections
        hit = detections.nodule_scores > MISSED
        scores = np.concatenate([detections.nodule_scores[hit], detections.false_positive_scores])
        order = np.argsort(-scores, kind="stable")
        self._is_hit = (np.arange(len(scores)) < hit.sum())[order]
        self._unit = np.concatenate([detections.nodule_units[hit], detections.false_positive_scans])[order]
        # Marks of equal score come in at one threshold.
        ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True)) if len(scores) else np.empty(0, int)
        self._ends = ends
        self.thresholds = np.concatenate([[np.inf], scores[order][ends]])

    def curve(self, unit_counts: NDArray[np.int64], scan_counts: NDArray[np.int64]) -> tuple[NDArray, NDArray]:
        """False positives per scan and sensitivity at each threshold, units counted so often; NaN without nodules."""
        hits = np.zeros(len(self._unit), dtype=np.int64)
        hits[self._is_hit] = unit_counts[self._unit[self._is_hit]]
        false_positives = np.zeros(len(self._unit), dtype=np.int64)
        false_positives[~self._is_hit] = scan_counts[self._unit[~self._is_hit]]
        found = np.concatenate([[0], hits.cumsum()[self._ends]])
        false = np.concatenate([[0], false_positives.cumsum()[self._ends]])
        nodules = unit_counts[self._detections.nodule_units].sum()
        # The official script goes through rates and back. It rounds, and where a rate falls on a step of
        # the curve the last bit decides which end of the step is read.
        most = max(false[-1], 1)
        per_scan = (false / most) * most / self._detections.scans
        detected = max(found[-1], 1)
        sensitivity = (found / detected) * detected / nodules if nodules else np.full(len(found), np.nan)
        return per_scan, sensitivity


@dataclass(frozen=True)
class Froc:
    """A FROC analysis.

    Attributes:
        rates: false positives per scan.
        sensitivity: at each rate.
        mean: of the sensitivities: the score of LUNA16, or competition performance metric
            (Niemeijer et al., IEEE Trans Med Imaging 2011).
        curve: of all marks.
        band_rates, band_low, band_high: [n], the interval of the sensitivity along the curve.
        level: of all intervals.
        resamples, seed: what they come from.
    """

    rates: tuple[float, ...]
    sensitivity: tuple[Estimate, ...]
    mean: Estimate
    curve: Curve
    band_rates: NDArray[np.float64]
    band_low: NDArray[np.float64]
    band_high: NDArray[np.float64]
    level: float
    resamples: int
    seed: int


def froc(
    detections: Detections,
    rates: Sequence[float] = RATES,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Froc:
    """Sensitivity at the rates, their mean, and bootstrap intervals.

    Scans are drawn with replacement (LUNA16); where nodules and false positives come from different
    sets, each set is drawn by itself. A resample without any nodule is left out.

    Args:
        detections: from ``of_scans`` or ``of_two_sets``.
        rates: false positives per scan, rising.
        resamples: how many.
        level: of the percentile intervals.
        seed: the same one gives the same intervals.
    """
    ranked = _Ranked(detections)
    every_unit = np.ones(detections.units, dtype=np.int64)
    every_scan = np.ones(detections.scans, dtype=np.int64)
    curve = _corners(*ranked.curve(every_unit, every_scan), ranked.thresholds)
    band_rates = np.geomspace(rates[0], rates[-1], _BAND_POINTS)
    read_at = np.concatenate([rates, band_rates])

    random = np.random.default_rng(seed)
    samples = np.empty((resamples, len(read_at)))
    for n in range(resamples):
        scan_counts = draw(detections.scans, random)
        unit_counts = scan_counts if detections.together else draw(detections.units, random)
        samples[n] = np.interp(read_at, *ranked.curve(unit_counts, scan_counts))
    low, high = percentiles(samples, level)
    mean_low, mean_high = percentiles(samples[:, : len(rates)].mean(axis=1), level)

    values = curve.at(rates)
    sensitivity = tuple(Estimate(*map(float, row)) for row in zip(values, low, high, strict=False))
    mean = Estimate(float(values.mean()), float(mean_low), float(mean_high))
    band = (band_rates, low[len(rates) :], high[len(rates) :])
    return Froc(tuple(rates), sensitivity, mean, curve, *band, level, resamples, seed)


def _corners(per_scan: NDArray, sensitivity: NDArray, thresholds: NDArray) -> Curve:
    """Without the points amid a horizontal or a vertical run, which change nothing that is read off."""
    keep = np.ones(len(per_scan), dtype=bool)
    flat = np.diff(sensitivity) == 0
    steep = np.diff(per_scan) == 0
    keep[1:-1] = ~((flat[:-1] & flat[1:]) | (steep[:-1] & steep[1:]))
    return Curve(per_scan[keep], sensitivity[keep], thresholds[keep])


def _joined(scores_of_each: Sequence[ArrayLike]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """All scores, and the place in the sequence that each is from."""
    arrays = [np.asarray(scores, dtype=float).reshape(-1) for scores in scores_of_each]
    origin = np.repeat(np.arange(len(arrays)), [len(array) for array in arrays])
    return np.concatenate([*arrays, np.empty(0)]), origin
