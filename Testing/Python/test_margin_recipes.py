"""Margin recipes against published formulas worked by hand, and what a margin may be."""

from __future__ import annotations

import numpy as np
import pytest

from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy.margin_recipes import (
    BETA_80,
    PENUMBRA_LUNG_MM,
    Margins,
    PerAxis,
    mckenzie_prv,
    parker,
    per_axis,
    stroom,
    van_herk,
    van_herk_full,
    with_breathing,
)
from SegmentationAILib.radiotherapy.margins import expand


@pytest.mark.parametrize(
    ("margin", "expected"),
    [
        (van_herk(3, 2), 8.9),
        (van_herk_full(3, 2), 8.44),
        (van_herk(2, 3), 7.1),
        (van_herk_full(2, 3), 6.95),
        (van_herk_full(2, 3, penumbra=PENUMBRA_LUNG_MM), 6.10),
        # 5 + 0.84 (√(9 + 10.24) - 3.2)
        (van_herk_full(2, 3, beta=BETA_80), 5.997),
        (stroom(3, 2), 7.4),
        # 3 + √(16 + 9)
        (parker(3, 4), 8.0),
        (mckenzie_prv(3, 2), 4.9),
        # √(4² + 3²), where 3 = 0.36 · 8.333
        (with_breathing(4, 25 / 3), 5.0),
        (van_herk_full(1, 0), 2.5),
    ],
)
def test_recipes_give_the_margins_worked_by_hand(margin, expected):
    assert margin == pytest.approx(expected, abs=0.005)


def test_a_recipe_is_taken_axis_by_axis():
    margins = per_axis(van_herk, PerAxis(lr=3, ap=2, si=4), PerAxis(lr=2, ap=3, si=with_breathing(3, 10)))
    assert (margins.left, margins.right) == pytest.approx((8.9, 8.9))
    assert (margins.anterior, margins.posterior) == pytest.approx((7.1, 7.1))
    assert margins.superior == margins.inferior == pytest.approx(10 + 0.7 * np.hypot(3, 3.6))


def test_margins_are_what_expand_takes():
    mask = np.zeros((9, 9, 9), dtype=bool)
    mask[4, 4, 4] = True
    identity = np.eye(4)
    assert np.array_equal(
        expand(mask, identity, **Margins.opposed(2, 1, 3).as_sides()),
        expand(mask, identity, left=2, right=2, anterior=1, posterior=1, superior=3, inferior=3),
    )
    assert Margins.isotropic(-3) == Margins.opposed(-3, -3, -3)


@pytest.mark.parametrize("margin", [100.5, -101, float("nan"), float("inf")])
def test_margins_beyond_reason_are_refused(margin):
    with pytest.raises(InputError, match="posterior margin"):
        Margins(posterior=margin)
    assert Margins(posterior=-100).posterior == -100


@pytest.mark.parametrize("recipe", [van_herk, van_herk_full, stroom, parker, mckenzie_prv, with_breathing])
def test_negative_errors_are_refused(recipe):
    for values in ((-1, 2), (1, -2), (float("nan"), 1)):
        with pytest.raises(InputError, match="standard deviation"):
            recipe(*values)


def test_wide_breathing_is_referred_to_the_internal_target():
    with pytest.raises(InputError, match="internal target"):
        with_breathing(3, 12)
