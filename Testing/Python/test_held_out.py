"""How the detector's figures are made: hits, false marks, the scale of scores."""

from __future__ import annotations

import numpy as np
import pytest

from LungNoduleAILib.detection import ScoreScale
from LungNoduleAILib.search import SearchSpace
from LungNoduleAILib.training.backgrounds import Background
from LungNoduleAILib.training.held_out import Case, Mark, best_hit, blended, false_marks, in_place
from LungNoduleAILib.training.lidc import NoduleCrop, NoduleCube, box_grid
from LungNoduleAILib.training.score_scale import NODULES_PER_SCAN, fit_scale
from LungNoduleAILib.training.split import read_split

SHAPE = (120, 120, 120)


def ball(shape, centre, radius):
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    return sum((a - c) ** 2 for a, c in zip(axes, centre, strict=True)) <= radius**2


def mark(kji, score):
    return Mark(kji, score, lambda: np.zeros(SHAPE, dtype=bool))


def background():
    rng = np.random.default_rng(0)
    lungs = np.zeros(SHAPE, dtype=bool)
    lungs[10:-10, 10:-10, 10:-10] = True
    hu = np.where(lungs, rng.normal(-850, 20, SHAPE), 40).astype(np.int16)
    nodules = ball(SHAPE, (30, 30, 30), 5).astype(np.uint8)
    ignored = ball(SHAPE, (90, 90, 90), 5)
    return Background("made", hu, lungs, nodules, ignored, np.zeros((0, 3), dtype=int), box_grid(SHAPE))


def crop(radius=5.0):
    shape = (25, 25, 25)
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    distance = (radius - np.sqrt(sum((a - 12) ** 2 for a in axes))).astype(np.float32)
    hu = np.where(distance > 0, 30.0, -850.0).astype(np.float32)
    return NoduleCrop("n", "patient", hu, distance, 2 * radius, 5, 1.0)


def test_a_hit_lies_within_the_radius_and_the_highest_counts():
    case = Case(
        "n",
        "p",
        "solid",
        SearchSpace(np.zeros(SHAPE), np.ones(SHAPE, bool), box_grid(SHAPE)),
        ball(SHAPE, (60, 60, 60), 4),
    )
    near, nearer, beyond = mark((62, 60, 60), 0.7), mark((60, 60, 60), 0.4), mark((60, 60, 64.5), 0.9)
    assert best_hit([near, nearer, beyond], case) is near
    assert best_hit([beyond], case) is None
    assert best_hit([], case) is None


def test_marks_on_what_was_marked_are_not_false():
    scan = background()
    tumour = ball(SHAPE, (60, 60, 60), 8)
    marks = [mark((30, 30, 30), 0.9), mark((30, 30, 37), 0.8), mark((90, 92, 90), 0.7), mark((60, 60, 60), 0.6)]
    assert false_marks([*marks, mark((20, 80, 80), 0.5), mark((30, 30, 45), 0.3)], scan, tumour) == [0.5, 0.3]


def test_blended_cases_are_whole_nodules_in_the_lungs_and_repeat():
    scan = background()
    first, again = (list(blended([crop(), crop(3.0)], [scan], seed=4)) for _ in range(2))
    assert len(first) == 2
    for case, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(case.space.hu, other.space.hu)
        assert case.space.hu[case.mask].mean() > -150
        assert case.space.lungs[case.mask].all()
        middle = np.argwhere(case.mask).mean(axis=0)
        np.testing.assert_allclose(case.space.grid.ijk(case.space.grid.ras(middle[::-1])), middle[::-1])
    assert first[0].diameter_mm == pytest.approx(10, rel=0.1)
    assert first[1].diameter_mm == pytest.approx(6, rel=0.12)


def test_a_cube_keeps_its_nodule_in_the_lung():
    hu = np.full((51, 51, 51), -850.0, dtype=np.float32)
    mask = ball(hu.shape, (25, 25, 25), 5)
    hu[mask] = 20
    (case,) = in_place([NoduleCube("7_nod1_ann0", hu, mask)])
    assert case.patient == "7"
    assert case.space.lungs[mask].all()
    assert case.space.lungs.mean() > 0.7


def test_the_scale_gives_the_share_of_nodules_among_marks():
    """Marks of heat 0.8 are nodules three times as often as not, those of 0.1 one time in ten."""
    hits = [0.8] * 90 + [0.1] * 30
    others = [0.8] * 30 + [0.1] * 270
    scans = len(hits) // NODULES_PER_SCAN
    scale = fit_scale(hits, others, nodules=len(hits), scans=scans)
    assert scale.score(0.8) == pytest.approx(0.75, abs=0.01)
    assert scale.score(0.1) == pytest.approx(0.1, abs=0.01)


def test_rarer_nodules_make_lower_scores():
    hits, others = [0.9, 0.8, 0.7, 0.4], [0.6, 0.3, 0.2, 0.1]
    few, many = (fit_scale(hits, others, nodules=n, scans=2) for n in (40, 4))
    assert few.score(0.7) < many.score(0.7)
    assert isinstance(few, ScoreScale)


def test_no_patient_is_in_two_parts():
    for of, split in read_split().items():
        assert split.train, of
        assert split.test, of
        assert not split.train & split.test
        assert not split.train & split.validation
        assert not split.validation & split.test
