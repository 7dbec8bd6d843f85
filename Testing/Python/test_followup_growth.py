"""Doubling times and categories of response, against values worked out by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from LungNoduleAILib.followup.growth import THIN_SLICES, Repeatability, doubling_interval, doubling_time
from LungNoduleAILib.followup.response import RECIST, VOLUMETRIC, Category, NonTarget, assess
from SegmentationAILib.errors import InputError

VOLUMES = st.floats(1.0, 1e5)
DAYS = st.floats(1.0, 4000.0)


@pytest.mark.parametrize(
    ("before", "after", "days", "expected"),
    [
        (100, 200, 90, 90.0),
        (100, 125, 90, 279.57),
        (6**3, 8**3, 90, 72.28),
        (8**3, 8.5**3, 365, 1391.07),
        (10**3, 9**3, 180, -394.73),
    ],
)
def test_doubling_times_worked_out_by_hand(before, after, days, expected):
    assert doubling_time(before, after, days) == pytest.approx(expected, abs=0.005)


def test_an_unchanged_volume_has_no_doubling_time():
    assert doubling_time(120.0, 120.0, 90) is None


@given(VOLUMES, DAYS, st.floats(10, 5000))
def test_a_volume_grown_by_its_doubling_time_gives_it_back(volume, days, doubling):
    grown = volume * 2 ** (days / doubling)
    if grown / volume > 1.001 and grown < 1e7:
        assert doubling_time(volume, grown, days) == pytest.approx(doubling, rel=1e-6)
        assert doubling_time(grown, volume, days) == pytest.approx(-doubling, rel=1e-6)


def test_the_interval_of_a_doubling():
    """ln 2 ± ln 1.25 in 90 days."""
    found = doubling_interval(100, 200, 90, THIN_SLICES)
    assert found.shortest_days == pytest.approx(90 * math.log(2) / math.log(2.5))
    assert found.longest_days == pytest.approx(90 * math.log(2) / math.log(1.6))
    assert "de Hoop" in found.source


@given(VOLUMES, VOLUMES, DAYS)
def test_an_interval_holds_its_middle_and_the_larger_spread_holds_the_smaller(before, after, days):
    narrow, wide = (doubling_interval(before, after, days, Repeatability(x, 1.5, "test")) for x in (0.1, 0.4))
    for found in (narrow, wide):
        grows = found.days is not None and found.days > 0
        if grows:
            assert found.shortest_days <= found.days
            assert found.longest_days is None or found.days <= found.longest_days
        else:
            assert found.longest_days is None
    if narrow.shortest_days is not None:
        assert wide.shortest_days < narrow.shortest_days


def test_growth_within_the_repeatability_may_be_none():
    found = doubling_interval(100, 120, 90, THIN_SLICES)
    assert found.days > 0
    assert found.shortest_days == pytest.approx(90 * math.log(2) / math.log(1.5))
    assert found.longest_days is None


def test_without_repeatability_there_is_no_interval():
    found = doubling_interval(100, 200, 90, None)
    assert (found.days, found.shortest_days, found.longest_days, found.source) == (90.0, None, None, "")


@pytest.mark.parametrize(("before", "after", "days"), [(0, 100, 90), (100, -1, 90), (100, 200, 0), (1, 2, math.nan)])
def test_what_is_no_volume_or_no_time_is_refused(before, after, days):
    with pytest.raises(InputError):
        doubling_time(before, after, days)


@pytest.mark.parametrize(
    ("baseline", "between", "current", "category"),
    [
        ([20, 30], [], [14, 21], Category.PARTIAL),
        ([20, 30], [], [14.1, 21], Category.STABLE),
        ([20, 30], [], [24, 36], Category.PROGRESSIVE),
        ([20, 30], [], [23.9, 36], Category.STABLE),
        # A fifth more, yet under 5 mm more.
        ([12], [], [15], Category.STABLE),
        ([20, 30], [], [0, 0], Category.COMPLETE),
        # Progression is counted from the nadir, response from the baseline.
        ([50], [[25]], [30], Category.PROGRESSIVE),
        ([50], [[25]], [29.9], Category.PARTIAL),
        ([50], [[40]], [46], Category.STABLE),
        # The baseline may be the nadir.
        ([50], [[58]], [59], Category.STABLE),
        # Back after a complete response.
        ([20], [[0]], [3], Category.PROGRESSIVE),
    ],
)
def test_recist(baseline, between, current, category):
    found = assess(RECIST, baseline, current, between=between)
    assert found.targets is found.overall is category
    assert found.nadir_sum == min(sum(x) for x in [baseline, *between])
    assert category.value.capitalize() in found.sentence


def test_new_and_other_lesions_as_in_table_1_of_recist():
    smaller, gone = ([20], [10]), ([20], [0])
    assert assess(RECIST, *smaller, new_lesion=True).overall is Category.PROGRESSIVE
    assert assess(RECIST, *smaller, new_lesion=True).targets is Category.PARTIAL
    assert assess(RECIST, *smaller, non_target=NonTarget.PROGRESSED).overall is Category.PROGRESSIVE
    assert assess(RECIST, *smaller, non_target=NonTarget.PRESENT).overall is Category.PARTIAL
    assert assess(RECIST, *gone, non_target=NonTarget.PRESENT).overall is Category.PARTIAL
    assert assess(RECIST, *gone, non_target=NonTarget.GONE).overall is Category.COMPLETE


def test_volumetric_thresholds_are_those_of_a_ball():
    assert (VOLUMETRIC.partial, VOLUMETRIC.progression) == pytest.approx((-0.657, 0.728))
    for current, category in ((343, "PARTIAL"), (344, "STABLE"), (1727, "STABLE"), (1728, "PROGRESSIVE")):
        assert assess(VOLUMETRIC, [1000], [current]).overall is Category[category]


@given(st.lists(st.floats(10, 100), min_size=1, max_size=5), st.floats(0.05, 3.0))
def test_balls_that_change_alike_get_one_category_by_diameter_and_by_volume(sizes, factor):
    now = [size * factor for size in sizes]
    by_length = assess(RECIST, sizes, now)
    by_volume = assess(VOLUMETRIC, [math.pi / 6 * x**3 for x in sizes], [math.pi / 6 * x**3 for x in now])
    if min(abs(factor - 0.7), abs(factor - 1.2)) > 1e-6 and not 0 < sum(now) - sum(sizes) < 5:
        assert by_length.overall is by_volume.overall


@pytest.mark.parametrize(
    ("baseline", "current"), [([], []), ([9.9], [9]), ([20, 20], [20]), ([20], [-1]), ([12] * 6, [12] * 6)]
)
def test_what_recist_cannot_use_is_refused(baseline, current):
    with pytest.raises(InputError):
        assess(RECIST, baseline, current)
