"""Metrics from text: what they parse to and what they give on a DVH that is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy.dose_metrics import INDICES, Metric, evaluate, parse_metric
from SegmentationAILib.radiotherapy.dvh import DVH

# 10 cc with doses spread evenly over 20…70 Gy.
EVEN = DVH("PTV", np.array([20.0, 70.0]), np.array([10.0, 0.0]), mean_inside_gy=45.0)
# 1000 cc of dose grid: 12 cc get 60 Gy or more, 60 cc get 30 Gy or more.
AROUND = DVH("dose grid", np.array([0.0, 30.0, 60.0, 75.0]), np.array([1000.0, 60.0, 12.0, 0.0]), mean_inside_gy=9.0)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Mean[Gy]", 45.0),
        ("Mean[%]", 75.0),
        ("Median[Gy]", 45.0),
        ("Min[Gy]", 20.0),
        ("Max[Gy]", 70.0),
        ("Max[%]", 100 * 70 / 60),
        ("D2%[Gy]", 69.0),
        ("D98%[Gy]", 21.0),
        ("D95%[%]", 100 * 22.5 / 60),
        ("D0.03cc[Gy]", 69.85),
        ("D 2 cc [Gy]", 60.0),
        ("DC2%[Gy]", 21.0),
        ("DC1cc[Gy]", 25.0),
        ("V20Gy[%]", 100.0),
        ("V45Gy[%]", 50.0),
        ("V45Gy[cc]", 5.0),
        ("V95%[%]", 100 * (70 - 57) / 50),
        ("V100%[cc]", 2.0),
        ("CV45Gy[cc]", 5.0),
        ("CV30Gy[%]", 20.0),
        ("V80Gy[cc]", 0.0),
        ("HI", (69 - 21) / 45),
        ("CI_RTOG", 1.2),
        ("CI_Paddick", 2.0**2 / (10 * 12)),
        ("R50", 6.0),
        ("GI", 5.0),
        ("gEUD(1)[Gy]", 45.0),
    ],
)
def test_values_by_hand(text, value):
    assert evaluate(text, EVEN, prescription_gy=60.0, dose_grid=AROUND) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("a", [-10.0, -1.0, 0.5, 2.0, 8.0, 40.0])
def test_geud_of_an_even_distribution(a):
    """(1/50 ∫ D^a dD)^(1/a) over 20…70 Gy, in closed form."""
    dose = np.linspace(20, 70, 20_001)
    spread = DVH("PTV", dose, 10.0 * (70 - dose) / 50, mean_inside_gy=45.0)
    integral = np.log(70 / 20) if a == -1 else (70 ** (a + 1) - 20 ** (a + 1)) / (a + 1)
    assert evaluate(f"gEUD({a:g})[Gy]", spread) == pytest.approx((integral / 50) ** (1 / a), rel=1e-6)


def test_geud_does_not_overflow_and_a_cold_spot_ends_a_target():
    assert evaluate("gEUD(500)[Gy]", EVEN) == pytest.approx(45.0)  # one bin: its centre
    with_cold_spot = DVH("PTV", np.array([60.0, 61.0]), np.array([10.0, 0.0]), 60.5, outside_cc=0.1)
    assert evaluate("gEUD(-10)[Gy]", with_cold_spot) == 0.0


numbers = st.integers(0, 99999).map(lambda n: n / 100)


@st.composite
def metrics(draw) -> Metric:
    family = draw(st.sampled_from(["plain", "D", "V", "gEUD", "index"]))
    if family == "plain":
        return Metric(
            draw(st.sampled_from(["Mean", "Median", "Min", "Max"])), 0, "", draw(st.sampled_from(["Gy", "%"]))
        )
    if family == "D":
        unit = draw(st.sampled_from(["cc", "%"]))
        at = draw(numbers) / (10 if unit == "%" else 1)
        return Metric(draw(st.sampled_from(["D", "DC"])), round(at, 2), unit, draw(st.sampled_from(["Gy", "%"])))
    if family == "V":
        units = draw(st.sampled_from(["Gy", "%"])), draw(st.sampled_from(["cc", "%"]))
        return Metric(draw(st.sampled_from(["V", "CV"])), draw(numbers), *units)
    if family == "gEUD":
        return Metric("gEUD", draw(st.integers(-40, 40)), "", "Gy")
    return Metric(draw(st.sampled_from(INDICES)), 0, "", "")


@given(metrics())
def test_text_and_back(metric):
    assert parse_metric(str(metric)) == metric


@pytest.mark.parametrize(
    "text",
    [
        "",
        "V20",
        "V20Gy",
        "V20[%]",
        "D95[Gy]",
        "D95%",
        "D101%[Gy]",
        "Mean",
        "Mean[cc]",
        "V20Gy[Gy]",
        "D2cc[cc]",
        "dmax",
        "gEUD[Gy]",
        "D-2cc[Gy]",
    ],
)
def test_what_is_no_metric(text):
    with pytest.raises(InputError, match="is no dose metric"):
        parse_metric(text)


@pytest.mark.parametrize("text", ["V95%[%]", "D95%[%]", "Mean[%]", "CI_RTOG", "CI_Paddick", "R50", "GI"])
def test_a_missing_prescription_is_named(text):
    with pytest.raises(InputError, match="needs the prescribed dose"):
        evaluate(text, EVEN, dose_grid=AROUND)


def test_what_has_no_value_says_why():
    with pytest.raises(InputError, match=r"'PTV' has 10 cc, too little for D20cc\[Gy\]"):
        evaluate("D20cc[Gy]", EVEN)
    with pytest.raises(InputError, match="needs the dose around the target"):
        evaluate("CI_Paddick", EVEN, prescription_gy=60.0)
    with pytest.raises(InputError, match="no dose reaches 80 Gy"):
        evaluate("CI_Paddick", EVEN, prescription_gy=80.0, dose_grid=AROUND)
    with pytest.raises(InputError, match="cannot be 0"):
        evaluate("gEUD(0)[Gy]", EVEN)
