"""How well ratings agree with the readers', with intervals by patient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from LungNoduleAILib.evaluation.bootstrap import grouped
from LungNoduleAILib.evaluation.classification import auc, quadratic_weighted_kappa
from LungNoduleAILib.rating import GRADES

MALIGNANT_FROM, BENIGN_TO = 4, 2

Figure = dict[str, float | list[float]]


def spearman(read: NDArray, expected: NDArray) -> float:
    """Rank correlation with the readers' grades."""
    return float(spearmanr(read, expected).statistic)


def kappa(read: NDArray, expected: NDArray) -> float:
    """Quadratic weighted kappa of the grade nearest to the expected one."""
    return quadratic_weighted_kappa(read, np.round(expected).astype(int), levels=range(1, GRADES + 1))


def with_interval(figure: Callable[..., float], truth: NDArray, score: NDArray, patient: NDArray) -> Figure:
    """``figure(truth, score)`` and its 95 % interval over patients drawn with replacement."""
    found = grouped(figure, patient, truth, score)
    return {"value": round(found.value, 4), "interval_95": [round(found.low, 4), round(found.high, 4)]}


def malignancy_auc(malignancy: NDArray, score: NDArray, patient: NDArray) -> Figure:
    """AUC of grades 4 and 5 against 1 and 2; nodules of grade 3 are left out."""
    sure = (malignancy >= MALIGNANT_FROM) | (malignancy <= BENIGN_TO)
    return with_interval(auc, malignancy[sure] >= MALIGNANT_FROM, score[sure], patient[sure])


def calcification_auc(calcified: NDArray[np.bool_], score: NDArray, patient: NDArray) -> Figure:
    """AUC of nodules that the readers saw calcium in against the others."""
    return with_interval(auc, calcified, score, patient)
