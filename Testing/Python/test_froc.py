"""FROC curves worked out by hand, against scikit-learn as the official script uses it, and by resampling."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from LungNoduleAILib.evaluation import bootstrap
from LungNoduleAILib.evaluation.froc import MISSED, RATES, froc, of_scans, of_two_sets
from SegmentationAILib.errors import InputError

# Two scans; from the highest score down: hit, false, hit, false, false; one of three nodules is missed.
NODULES = [[0.9, MISSED], [0.7]]
FALSE_POSITIVES = [[0.8], [0.6, 0.5]]


def values(result):
    return [estimate.value for estimate in result.sensitivity]


def test_curve_of_two_scans():
    result = froc(of_scans(NODULES, FALSE_POSITIVES), resamples=10)
    # 1/2 falls on a step, whose upper end is read; from 1.5 on nothing more is found.
    assert values(result) == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3, 2 / 3, 2 / 3, 2 / 3])
    assert result.mean.value == pytest.approx(4 / 7)
    curve = result.curve
    assert curve.false_positives_per_scan.tolist() == pytest.approx([0, 0, 0.5, 0.5, 1.5])
    assert curve.sensitivity.tolist() == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert curve.thresholds.tolist() == [np.inf, 0.9, 0.8, 0.7, 0.5]


def test_scans_without_anything_lower_the_rate():
    result = froc(of_scans([*NODULES, [], []], [*FALSE_POSITIVES, [], []]), resamples=10)
    # The second hit now comes at 1/4, after one false positive in four scans.
    assert values(result)[:2] == pytest.approx([1 / 3, 2 / 3])


def test_equal_scores_come_in_together():
    result = froc(of_scans([[0.5]], [[0.5]]), resamples=10)
    assert values(result) == pytest.approx([1 / 8, 1 / 4, 1 / 2, 1, 1, 1, 1])


def test_without_false_positives_all_that_is_found_counts_at_every_rate():
    result = froc(of_scans([[0.5, MISSED]], [[]]), resamples=10)
    assert values(result) == [0.5] * len(RATES)


def test_without_marks_nothing_is_found():
    result = froc(of_scans([[MISSED]], [[]]), resamples=10)
    assert values(result) == [0.0] * len(RATES)
    assert (result.mean.low, result.mean.high) == (0.0, 0.0)


@pytest.mark.parametrize("seed", range(5))
def test_equals_the_official_computation(seed):
    nodules, false_positives = random_scans(seed)
    hits = np.concatenate(nodules)
    found = hits[hits > MISSED]
    false = np.concatenate(false_positives)
    labels = np.repeat([1, 0], [len(found), len(false)])
    false_rate, true_rate, _ = roc_curve(labels, np.concatenate([found, false]))
    expected = np.interp(RATES, false_rate * len(false) / len(false_positives), true_rate * len(found) / len(hits))
    result = froc(of_scans(nodules, false_positives), resamples=1)
    assert values(result) == pytest.approx(expected.tolist(), abs=1e-12)


def test_bootstrap_equals_copying_the_scans_drawn():
    nodules, false_positives = random_scans(1, scans=12)
    result = froc(of_scans(nodules, false_positives), resamples=60, seed=5)
    random = np.random.default_rng(5)
    samples = []
    for _ in range(60):
        drawn = np.repeat(np.arange(12), bootstrap.draw(12, random))
        copies = of_scans([nodules[n] for n in drawn], [false_positives[n] for n in drawn])
        samples.append(values(froc(copies, resamples=1)))
    low, high = np.quantile(samples, (0.025, 0.975), axis=0)
    assert [one.low for one in result.sensitivity] == pytest.approx(low.tolist())
    assert [one.high for one in result.sensitivity] == pytest.approx(high.tolist())
    means = np.mean(samples, axis=1)
    assert (result.mean.low, result.mean.high) == pytest.approx(tuple(np.quantile(means, (0.025, 0.975))))


def test_interval_of_one_hit_and_one_miss():
    """Two scans drawn from two: both the first 1/4, both the second 1/4, so 0, 1/2 and 1 come as 1:2:1."""
    detections = of_scans([[0.5], [MISSED]], [[], []])
    wide = froc(detections).mean
    assert (wide.low, wide.value, wide.high) == (0.0, 0.5, 1.0)
    narrow = froc(detections, level=0.4).mean
    assert (narrow.low, narrow.high) == (0.5, 0.5)


def test_two_sets_are_drawn_independently():
    """The false positive outranks the nodule: at a rate of 1/4 it is found only where no scan with it is drawn.

    Drawn together, no nodule is drawn in a quarter of the resamples, and it is found in a third of the
    others; drawn apart, in a quarter. The 70th percentile tells these apart.
    """
    together = froc(of_scans([[0.5], []], [[], [0.9]]), (1 / 4, 1 / 2), level=0.4, resamples=4000)
    apart = froc(of_two_sets([0.5], [[], [0.9]]), (1 / 4, 1 / 2), level=0.4, resamples=4000)
    assert values(together) == values(apart) == [0.0, 1.0]
    assert together.sensitivity[0].high == 1.0
    assert apart.sensitivity[0].high == 0.0


def test_nodules_of_one_patient_are_drawn_together():
    """Ten hits of one patient and ten misses of another are two draws, not twenty."""
    scores = [0.5] * 10 + [MISSED] * 10
    by_nodule = froc(of_two_sets(scores, [[]])).mean
    by_patient = froc(of_two_sets(scores, [[]], patients=["a"] * 10 + ["b"] * 10)).mean
    assert 0.2 < by_nodule.low < 0.5 < by_nodule.high < 0.8
    assert (by_patient.low, by_patient.high) == (0.0, 1.0)


def test_same_seed_same_intervals():
    detections = of_scans(*random_scans(0))
    first, again, other = (froc(detections, resamples=50, seed=seed).mean for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: of_scans([[]], [[0.5]]), "no nodule to find"),
        (lambda: of_scans([], []), "no nodule to find"),
        (lambda: of_two_sets([0.5], []), "no scan to count"),
        (lambda: of_two_sets([np.nan], [[]]), "not a number"),
        (lambda: of_two_sets([0.5], [[np.nan]]), "not a number"),
        (lambda: of_two_sets([0.5, 0.6], [[]], patients=["a"]), "2 nodules and 1 patients"),
    ],
)
def test_what_has_no_froc_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def random_scans(seed, scans=40):
    """Scores of few levels, so that many tie; a third of the nodules missed."""
    random = np.random.default_rng(seed)
    nodules, false_positives = [], []
    for _ in range(scans):
        scores = random.integers(3, 30, size=random.integers(0, 4)) / 30
        nodules.append(np.where(random.random(len(scores)) < 1 / 3, MISSED, scores))
        false_positives.append(random.integers(0, 25, size=random.integers(0, 12)) / 30)
    return nodules, false_positives
