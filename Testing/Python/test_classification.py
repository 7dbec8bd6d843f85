"""Classifiers' figures, on cases small enough to count."""

from __future__ import annotations

import numpy as np
import pytest

from LungNoduleAILib.evaluation import bootstrap, calibration, classification
from SegmentationAILib.errors import InputError

# From the highest score down: positive, negative, positive, negative.
LABELS = [0, 1, 0, 1]
SCORES = [0.1, 0.4, 0.6, 0.9]


def test_decisions_at_a_threshold():
    decisions = classification.decide(LABELS, SCORES, 0.4)
    assert decisions == classification.Decisions(2, 1, 0, 1)
    assert decisions.precision == pytest.approx(2 / 3)
    assert decisions.recall == 1.0
    assert decisions.specificity == 0.5
    assert decisions.f1 == pytest.approx(0.8)


def test_what_cannot_be_divided_is_not_a_number():
    nothing_called = classification.decide([1, 1], [0.1, 0.2], 0.5)
    assert np.isnan(nothing_called.precision)
    assert np.isnan(nothing_called.specificity)
    assert (nothing_called.recall, nothing_called.f1) == (0.0, 0.0)


def test_roc_curve():
    curve = classification.roc(LABELS, SCORES)
    # Of four pairs of a positive and a negative case only (0.4, 0.6) is ranked wrongly.
    assert curve.area == classification.auc(LABELS, SCORES) == pytest.approx(3 / 4)
    assert curve.false_positive_rate.tolist() == [0.0, 0.0, 0.5, 0.5, 1.0]
    assert curve.true_positive_rate.tolist() == [0.0, 0.5, 0.5, 1.0, 1.0]
    assert curve.thresholds.tolist() == [np.inf, 0.9, 0.6, 0.4, 0.1]


def test_precision_recall_curve():
    curve = classification.precision_recall(LABELS, SCORES)
    assert curve.precision.tolist() == pytest.approx([1 / 2, 2 / 3, 1 / 2, 1, 1])
    assert curve.recall.tolist() == [1.0, 1.0, 0.5, 0.5, 0.0]
    # Half the recall comes at a precision of 1, half at 2/3.
    assert curve.average_precision == pytest.approx(5 / 6)
    assert classification.average_precision(LABELS, SCORES) == curve.average_precision


def test_one_class_has_no_curve_and_no_area():
    assert np.isnan(classification.auc([1, 1], [0.2, 0.3]))
    assert np.isnan(classification.average_precision([0, 0], [0.2, 0.3]))
    for curve in (classification.roc, classification.precision_recall):
        with pytest.raises(InputError, match="All cases are of one class"):
            curve([1, 1], [0.2, 0.3])


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([], [], "one label and one score"),
        ([1], [0.1, 0.2], "one label and one score"),
        ([1, 2], [0.1, 0.2], "neither 0 nor 1"),
        ([0, 1], [0.1, np.nan], "not a number"),
    ],
)
def test_bad_cases_are_refused(labels, scores, message):
    with pytest.raises(InputError, match=message):
        classification.decide(labels, scores, 0.5)
    with pytest.raises(InputError, match=message):
        calibration.reliability(labels, scores)


def test_kappa_weighs_a_disagreement_by_its_square():
    """1, 2, 3 against 1, 2, 2: the squares sum to 1; over all nine pairs to 9, of which chance makes three."""
    assert classification.quadratic_weighted_kappa([1, 2, 3], [1, 2, 2], [1, 2, 3]) == pytest.approx(1 - 1 / 3)


def test_kappa_at_its_ends():
    kappa = classification.quadratic_weighted_kappa
    assert kappa([1, 3, 5], [1, 3, 5], range(1, 6)) == 1.0
    assert kappa([1, 5], [5, 1], range(1, 6)) == -1.0
    assert np.isnan(kappa([2, 2], [2, 2], range(1, 6)))


def test_levels_that_nobody_gave_keep_their_place():
    """1, 3, 4 against 1, 4, 4: 1 seen; over all nine pairs 0 + 9 + 9, 4 + 1 + 1, 9 + 0 + 0, or 11 by chance.

    Were 2 left out, 1 and 3 would be one level apart, and chance would make 0 + 4 + 4, 1 + 1 + 1, 4 + 0 + 0.
    """
    first, second = [1, 3, 4], [1, 4, 4]
    assert classification.quadratic_weighted_kappa(first, second, [1, 2, 3, 4]) == pytest.approx(1 - 1 / 11)
    assert classification.quadratic_weighted_kappa(first, second, [1, 3, 4]) == pytest.approx(1 - 1 / 5)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [([], [], "not empty"), ([1], [1, 2], "one length"), ([1, 6], [1, 2], "rating 6 is none of the levels")],
)
def test_bad_ratings_are_refused(first, second, message):
    with pytest.raises(InputError, match=message):
        classification.quadratic_weighted_kappa(first, second, [1, 2, 3, 4, 5])


def test_interval_is_that_of_the_patients_drawn():
    """Two patients, one with ones, one with zeros: the mean is 0, 1/2 or 1, and as 1:2:1."""
    groups, values = ["a"] * 50 + ["b"] * 50, [1] * 50 + [0] * 50
    wide = bootstrap.grouped(np.mean, groups, values)
    assert (wide.low, wide.value, wide.high) == (0.0, 0.5, 1.0)
    narrow = bootstrap.grouped(np.mean, groups, values, level=0.4)
    assert (narrow.low, narrow.high) == (0.5, 0.5)
    by_case = bootstrap.grouped(np.mean, range(100), values)
    # Twice the standard error of a proportion, sqrt(1/4 / 100), is 0.1.
    assert (by_case.low, by_case.high) == pytest.approx((0.4, 0.6), abs=0.02)


def test_resamples_of_one_class_are_left_out():
    """Of two patients with a case each, half the resamples are of one class; the AUC of the others is 1."""
    estimate = bootstrap.grouped(classification.auc, ["a", "b"], [0, 1], [0.2, 0.8], resamples=100)
    assert (estimate.low, estimate.value, estimate.high) == (1.0, 1.0, 1.0)


def test_interval_of_what_is_never_defined_is_not_a_number():
    estimate = bootstrap.grouped(classification.auc, ["a", "b"], [1, 1], [0.2, 0.8], resamples=10)
    assert np.isnan([estimate.value, estimate.low, estimate.high]).all()


@pytest.mark.parametrize(("groups", "values"), [([], []), (["a"], [1, 2])])
def test_cases_without_a_patient_are_refused(groups, values):
    with pytest.raises(InputError, match="a label, a score and a patient"):
        bootstrap.grouped(np.mean, groups, values)


def test_reliability_bins():
    """The upper edge belongs to a bin and the lower one does not, except 0."""
    bins = calibration.reliability([0, 1, 1, 0, 1], [0.0, 0.5, 0.6, 0.8, 1.0], bins=2)
    assert [(one.low, one.high, one.count) for one in bins] == [(0.0, 0.5, 2), (0.5, 1.0, 3)]
    assert [one.mean_probability for one in bins] == pytest.approx([0.25, 0.8])
    assert [one.frequency for one in bins] == pytest.approx([1 / 2, 2 / 3])
    expected = (2 * 0.25 + 3 * (0.8 - 2 / 3)) / 5
    assert calibration.expected_calibration_error(bins) == pytest.approx(expected)


def test_an_empty_bin_has_no_frequency_and_no_error():
    bins = calibration.reliability([1, 0], [0.9, 0.9], bins=10)
    assert [one.count for one in bins] == [0] * 8 + [2, 0]
    assert np.isnan(bins[0].frequency)
    assert calibration.expected_calibration_error(bins) == pytest.approx(0.4)


def test_probabilities_that_come_true_as_often_have_no_error():
    random = np.random.default_rng(0)
    probabilities = random.random(100_000)
    came_true = random.random(100_000) < probabilities
    calibrated = calibration.expected_calibration_error(calibration.reliability(came_true, probabilities))
    # In a bin of 6667 cases the standard error of a frequency is 0.006 at most.
    assert calibrated < 0.01
    too_sure = np.where(probabilities > 0.5, 1.0, 0.0)
    # The distance of the extremes to the truth is 1/4 on average.
    error = calibration.expected_calibration_error(calibration.reliability(came_true, too_sure))
    assert error == pytest.approx(0.25, abs=0.01)


def test_scores_that_are_no_probabilities_are_refused():
    with pytest.raises(InputError, match="outside 0 to 1"):
        calibration.reliability([0, 1], [-3.0, 4.0])
