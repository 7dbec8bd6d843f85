"""What the ratings' network is compared with, on the same folds: size alone, radiomics with a forest or an SVM."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, RobustScaler, StandardScaler
from sklearn.svm import SVC

from LungNoduleAILib.training.lidc_nodules import FOLDS


def random_forest(seed: int) -> ClassifierMixin:
    """Its leaves are a share of the rows, so that several outlines of a nodule do not fill one."""
    return RandomForestClassifier(300, min_samples_leaf=0.008, max_features="sqrt", random_state=seed)


def support_vectors(seed: int) -> ClassifierMixin:
    """On standardised values without outliers, which the sums of powers among the features have."""
    return make_pipeline(
        RobustScaler(), FunctionTransformer(_clamp), StandardScaler(), SVC(C=1.0, gamma="scale", random_state=seed)
    )


def out_of_fold_scores(
    make: Callable[[int], ClassifierMixin],
    features: NDArray[np.float32],
    positive: NDArray[np.bool_],
    learned: NDArray[np.bool_],
    fold: NDArray[np.int64],
    seed: int,
    outlines: int = 1,
) -> NDArray[np.float64]:
    """Scores [outline, nodule] of nodules by classifiers that saw none of their fold.

    Args:
        make: a classifier from a seed.
        features: [nodule, outline, feature].
        positive: [nodule].
        learned: [nodule], whether the nodule is learned from where its fold is.
        fold: [nodule].
        seed: of the classifier.
        outlines: how many of each nodule's outlines are learned; the first is the readers'.
    """
    scores = np.zeros(features.shape[1::-1])
    for left_out in range(FOLDS):
        rows = (fold != left_out) & learned
        seen = features[rows, :outlines].reshape(-1, features.shape[2])
        classifier = make(seed).fit(seen, np.repeat(positive[rows], outlines))
        rate = getattr(classifier, "decision_function", None) or (lambda x, c=classifier: c.predict_proba(x)[:, 1])
        for outline in range(features.shape[1]):
            scores[outline, fold == left_out] = rate(features[fold == left_out, outline])
    return scores


def _clamp(x: NDArray) -> NDArray:
    return np.clip(x, -5.0, 5.0)
