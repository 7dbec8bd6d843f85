"""How well scores tell two classes apart, and ordered ratings agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import (
    average_precision_score,
    cohen_kappa_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from SegmentationAILib.errors import InputError


@dataclass(frozen=True)
class Decisions:
    """Counts of right and wrong decisions, and what follows from them; NaN where there is nothing to divide by."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    @property
    def precision(self) -> float:
        """Of those called positive, the part that is."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Of the positive, the part called so (sensitivity)."""
        return _ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def specificity(self) -> float:
        """Of the negative, the part called so."""
        return _ratio(self.true_negatives, self.true_negatives + self.false_positives)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return _ratio(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)


@dataclass(frozen=True)
class RocCurve:
    """Receiver operating characteristic, from the strictest threshold down.

    Attributes:
        false_positive_rate, true_positive_rate: [n].
        thresholds: [n], a case is positive from this score on; the first is infinite.
        area: under the curve (AUC); the part of pairs that are ranked rightly.
    """

    false_positive_rate: NDArray[np.float64]
    true_positive_rate: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    area: float


@dataclass(frozen=True)
class PrecisionRecallCurve:
    """Precision against recall, from the loosest threshold up; a last point (recall 0, precision 1) has none.

    Attributes:
        precision, recall: [n + 1].
        thresholds: [n], a case is positive from this score on.
        average_precision: sum of the precisions weighted by the steps in recall, without interpolation,
            which would be too hopeful (Davis and Goadrich, ICML 2006).
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    average_precision: float


def decide(labels: ArrayLike, scores: ArrayLike, threshold: float) -> Decisions:
    """Decisions where a score of the threshold or more is called positive.

    Args:
        labels: [n], 0 or 1.
        scores: [n].
        threshold: on the scale of the scores.

    Raises:
        InputError: no cases, other labels, or scores that are no numbers.
    """
    positive, values = checked(labels, scores)
    called = values >= threshold
    return Decisions(
        int((called & positive).sum()),
        int((called & ~positive).sum()),
        int((~called & positive).sum()),
        int((~called & ~positive).sum()),
    )


def roc(labels: ArrayLike, scores: ArrayLike) -> RocCurve:
    """The ROC curve.

    Args:
        labels: [n], 0 or 1.
        scores: [n].

    Raises:
        InputError: as ``decide``, or only one class is there.
    """
    positive, values = _both_classes(labels, scores)
    return RocCurve(*roc_curve(positive, values), area=float(roc_auc_score(positive, values)))


def precision_recall(labels: ArrayLike, scores: ArrayLike) -> PrecisionRecallCurve:
    """The precision-recall curve.

    Args:
        labels: [n], 0 or 1.
        scores: [n].

    Raises:
        InputError: as ``decide``, or only one class is there.
    """
    positive, values = _both_classes(labels, scores)
    average = float(average_precision_score(positive, values))
    return PrecisionRecallCurve(*precision_recall_curve(positive, values), average_precision=average)


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve; NaN where only one class is there, as in a resample (``bootstrap.grouped``)."""
    positive, values = checked(labels, scores)
    return float(roc_auc_score(positive, values)) if _mixed(positive) else np.nan


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """Average precision; NaN where only one class is there, as in a resample (``bootstrap.grouped``)."""
    positive, values = checked(labels, scores)
    return float(average_precision_score(positive, values)) if _mixed(positive) else np.nan


def quadratic_weighted_kappa(first: ArrayLike, second: ArrayLike, levels: ArrayLike) -> float:
    """Agreement of two ordered ratings beyond chance (Cohen, Psychol Bull 1968).

    1 is full agreement, 0 that of chance; a disagreement weighs the square of its distance in levels.
    NaN where both gave all cases one and the same level, which leaves nothing for chance to miss.

    Args:
        first, second: [n], levels.
        levels: all that could be given, lowest first, such as 1 to 5.

    Raises:
        InputError: no cases, ratings of different length, or a rating that is no level.
    """
    first, second, levels = np.asarray(first), np.asarray(second), np.asarray(levels)
    if not len(first) or first.shape != second.shape:
        raise InputError("Ratings are compared case by case; give two lists of one length that are not empty.")
    foreign = np.setdiff1d(np.concatenate([first, second]), levels)
    if len(foreign):
        raise InputError(f"The rating {foreign[0]} is none of the levels {levels.tolist()}; rate with these alone.")
    if (first == first[0]).all() and (second == first[0]).all():
        return np.nan
    return float(cohen_kappa_score(first, second, labels=levels, weights="quadratic"))


def checked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which cases are positive, and the scores.

    Args:
        labels: [n], 0 or 1.
        scores: [n].

    Raises:
        InputError: no cases, other labels, or scores that are no numbers.
    """
    classes, values = np.asarray(labels), np.asarray(scores, dtype=float)
    if not classes.size or classes.ndim != 1 or classes.shape != values.shape:
        raise InputError("Each case needs one label and one score; give two lists of one length that are not empty.")
    if not np.isin(classes, (0, 1)).all():
        raise InputError("A label is neither 0 nor 1; give 1 for positive cases and 0 for the others.")
    if not np.isfinite(values).all():
        raise InputError("A score is not a number; give each case a finite number.")
    return classes.astype(bool), values


def _both_classes(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    positive, values = checked(labels, scores)
    if not _mixed(positive):
        raise InputError("All cases are of one class, so there is no curve; give positive and negative cases.")
    return positive, values


def _mixed(positive: NDArray[np.bool_]) -> bool:
    return bool(positive.any() and not positive.all())


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else np.nan
