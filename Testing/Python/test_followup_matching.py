"""Which nodule is which, where the registration is known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from LungNoduleAILib.followup.change import lone_of, pair_of
from LungNoduleAILib.followup.growth import THIN_SLICES
from LungNoduleAILib.followup.lung_registration import LungRegistration
from LungNoduleAILib.followup.matching import match_nodules
from LungNoduleAILib.guidelines.findings import Behaviour
from LungNoduleAILib.nodule import Measurements, Nodule, NoduleMask
from SegmentationAILib.volume import Grid

GRID = Grid((3, 3, 3), np.eye(4))


def nodule(number: int, centre, diameter: float, lung: str = "right") -> Nodule:
    measured = Measurements(np.pi / 6 * diameter**3, diameter, diameter, 20.0)
    mask = NoduleMask(np.zeros(GRID.shape, np.float32), GRID)
    return Nodule(number, tuple(float(x) for x in centre), diameter, 0.9, lung, mask, measured)


def shifted_by(shift) -> LungRegistration:
    affine = np.eye(4)
    affine[:3, 3] = shift
    still = np.zeros((3, *GRID.shape), np.float32)
    return LungRegistration(affine, still, GRID, 1, 1, 0, 1, 0, (1, 1), ("right", "left"))


def pairs(current, prior, registration=None) -> list[tuple[int, int]]:
    found = match_nodules(current, prior, registration or shifted_by((0, 0, 0)))
    return [(current[m.current].id, prior[m.prior].id) for m in found]


def test_the_registration_tells_neighbours_apart():
    """Moved by 20 mm, each lies where its neighbour was."""
    places = [(0, 0, 0), (20, 0, 0), (40, 0, 0)]
    prior = [nodule(n, place, 8) for n, place in enumerate(places, start=1)]
    current = [nodule(n, np.add(place, (20, 0, 0)), 8) for n, place in enumerate(places, start=1)]
    assert pairs(current, prior, shifted_by((20, 0, 0))) == [(1, 1), (2, 2), (3, 3)]
    assert pairs(current, prior) == [(1, 2), (2, 3)]


def test_a_good_pair_is_not_torn_apart_to_make_two_poor_ones():
    """The current CT shows 1 and, 8 mm on, new 2; the prior one shows 1 and, 8 mm on the other side, 3."""
    current = [nodule(1, (0, 0, 0), 8), nodule(2, (8, 0, 0), 8)]
    prior = [nodule(1, (0.5, 0, 0), 8), nodule(3, (-8, 0, 0), 8)]
    assert pairs(current, prior) == [(1, 1)]


def test_one_prior_nodule_has_one_partner():
    current = [nodule(1, (3, 0, 0), 8), nodule(2, (-1, 0, 0), 8)]
    assert pairs(current, [nodule(1, (0, 0, 0), 8)]) == [(2, 1)]


@pytest.mark.parametrize(
    ("moved", "now", "then", "lung", "paired"),
    [
        (9.5, 6, 6, "right", True),
        (10.5, 6, 6, "right", False),
        # A large nodule's middle is less sure.
        (18.0, 20, 20, "right", True),
        (0.0, 8.9, 3, "right", True),
        (0.0, 9.1, 3, "right", False),
        (2.0, 6, 6, "left", False),
        (2.0, 6, 6, "", True),
    ],
)
def test_limits_of_place_size_and_side(moved, now, then, lung, paired):
    assert bool(pairs([nodule(1, (moved, 0, 0), now, lung)], [nodule(1, (0, 0, 0), then)])) is paired


def test_no_nodules_no_pairs():
    assert pairs([], [nodule(1, (0, 0, 0), 8)]) == pairs([nodule(1, (0, 0, 0), 8)], []) == []


@given(st.integers(0, 10**6))
def test_order_does_not_matter_and_partners_are_unique(seed):
    rng = np.random.default_rng(seed)
    current = [nodule(n, rng.uniform(0, 40, 3), rng.uniform(4, 20)) for n in range(6)]
    prior = [nodule(n, rng.uniform(0, 40, 3), rng.uniform(4, 20)) for n in range(5)]
    found = pairs(current, prior)
    again = pairs([current[n] for n in rng.permutation(6)], [prior[n] for n in rng.permutation(5)])
    assert sorted(found) == sorted(again)
    assert all(len(set(ids)) == len(found) for ids in zip(*found, strict=True))
    assert all(a[0] < b[0] for a, b in pairwise(found))


def test_a_pair_says_how_it_grew():
    found = pair_of(nodule(3, (0, 0, 0), 10), nodule(7, (0, 0, 0), 8), 1.5, 180, THIN_SLICES)
    assert found.volume_change == pytest.approx(1.25**3 - 1)
    assert found.mean_diameter_change_mm == found.long_axis_change_mm == pytest.approx(2.0)
    assert found.doubling.days == pytest.approx(180 * np.log(2) / (3 * np.log(1.25)))
    assert found.behaviour is Behaviour.GROWING
    assert found.grew_by_bts
    assert found.sentence == (
        "Nodule 3 (prior 7): 268 to 524 mm³ (+95%) and 8.0 to 10.0 mm in 180 days, doubling in 186 days "
        "(95 % interval 140 to 280 days); growing by Lung-RADS, growth by BTS."
    )
    finding = found.finding(nodule_count=2)
    assert (finding.behaviour, finding.prior_mean_diameter_mm, finding.nodule_count) == (Behaviour.GROWING, 8.0, 2)
    assert finding.months_since_prior == pytest.approx(5.91, abs=0.01)
    assert finding.doubling_time_days == found.doubling.days


@pytest.mark.parametrize(
    ("then", "now", "words"),
    [
        (8, 8.2, "doubling in 842 days (95 % interval: doubling in 210 days or more, or no growth); stable"),
        (8, 8.0, "no change of volume; stable"),
        (8, 8.005, "hardly any change of volume (95 % interval: doubling in 277 days or more, or no growth); stable"),
        (10, 8, "halving in 93 days (95 % interval: it shrinks); decreased"),
    ],
)
def test_small_changes_and_shrinking_are_said_plainly(then, now, words):
    found = pair_of(nodule(1, (0, 0, 0), now), nodule(1, (0, 0, 0), then), 0.0, 90, THIN_SLICES)
    assert words in found.sentence
    assert found.finding().behaviour is found.behaviour


def test_a_nodule_whose_diameters_grow_and_volume_shrinks_has_no_doubling_time_for_guidelines():
    prior = nodule(1, (0, 0, 0), 8)
    flat = Nodule(1, (0, 0, 0), 8, 0.9, "right", prior.mask, Measurements(200.0, 12.0, 10.0, 20.0))
    found = pair_of(flat, prior, 0.0, 90, THIN_SLICES)
    assert found.behaviour is Behaviour.GROWING
    assert found.doubling.days < 0
    assert found.finding().doubling_time_days is None


def test_a_place_that_the_other_ct_does_not_reach_is_neither_new_nor_resolved():
    outside = lone_of(nodule(1, (0, 0, 0), 8), (1, 2, 3), covered=False, is_current=True)
    assert outside.behaviour is None
    assert "does not reach" in outside.sentence
    assert lone_of(nodule(1, (0, 0, 0), 8), (1, 2, 3), True, is_current=True).behaviour is Behaviour.NEW
    assert lone_of(nodule(1, (0, 0, 0), 8), (1, 2, 3), True, is_current=False).behaviour is Behaviour.RESOLVED
