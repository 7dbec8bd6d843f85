"""How well ratings agree with the readers', with intervals by patient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

RESAMPLES = 1000
MALIGNANT_FROM, BENIGN_TO = 4, 2


def auc(score: NDArray, positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve, by the rank sum (Hanley and McNeil, Radiology 1982); NaN for one class."""
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return float("nan")
    ranks = rankdata(score)
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def quadratic_kappa(grade: NDArray, reader: NDArray) -> float:
    """Cohen's kappa with quadratic weights (Cohen, Psychol Bull 1968); grades are whole numbers."""
    observed = ((grade - reader) ** 2).mean()
    # The mean of (a - b)² over all pairs of the two margins.
    expected = grade.var() + reader.var() + (grade.mean() - reader.mean()) ** 2
    return float(1 - observed / expected) if expected > 0 else 0.0


def spearman(score: NDArray, reader: NDArray) -> float:
    return float(spearmanr(score, reader).statistic)


def interval(
    figure: Callable[[NDArray, NDArray], float], score: NDArray, truth: NDArray, patient: NDArray, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of ``figure(score, truth)`` over patients drawn with replacement."""
    members = [np.flatnonzero(patient == p) for p in np.unique(patient)]
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([members[n] for n in rng.integers(0, len(members), len(members))])
        drawn.append(figure(score[rows], truth[rows]))
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def malignancy_auc(score: NDArray, malignancy: NDArray, patient: NDArray) -> dict[str, float | list[float]]:
    """AUC of grades 4 and 5 against 1 and 2; nodules of grade 3 are left out."""
    sure = (malignancy >= MALIGNANT_FROM) | (malignancy <= BENIGN_TO)
    truth = malignancy[sure] >= MALIGNANT_FROM
    return with_interval(auc, score[sure], truth, patient[sure])


def with_interval(
    figure: Callable[[NDArray, NDArray], float], score: NDArray, truth: NDArray, patient: NDArray
) -> dict[str, float | list[float]]:
    low, high = interval(figure, score, truth, patient)
    return {"value": round(figure(score, truth), 4), "interval_95": [round(low, 4), round(high, 4)]}
