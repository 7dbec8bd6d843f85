"""Goals: pass, fail or cannot be evaluated, and their tables and plot."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy.dvh import DVH
from SegmentationAILib.radiotherapy.dvh_report import (
    METRICS,
    dvh_curves,
    plot,
    write_curves,
    write_goals,
    write_metrics,
)
from SegmentationAILib.radiotherapy.goal import Goal
from SegmentationAILib.radiotherapy.goals import Verdict, evaluate_goals

PTV = DVH("PTV", np.array([50.0, 65.0]), np.array([30.0, 0.0]), mean_inside_gy=57.5)
# 10 % of the lungs lie outside the dose grid, at whose faces there are up to 8 Gy.
LUNGS = DVH(
    *("Lungs", np.array([0.0, 40.0]), np.array([3600.0, 0.0]), 20.0),
    outside_cc=400.0,
    outside_limit_gy=8.0,
)


def verdict(structure: str, metric: str, comparison: str, value: float, **context):
    return evaluate_goals([Goal(structure, metric, comparison, value)], [PTV, LUNGS], **context)[0]


@pytest.mark.parametrize(
    ("metric", "comparison", "limit", "expected", "value", "margin"),
    [
        ("D95%[Gy]", ">=", 50.7, Verdict.PASS, 50.75, 0.05),
        ("D95%[Gy]", ">=", 57.0, Verdict.FAIL, 50.75, -6.25),
        ("Max[Gy]", "<=", 65.0, Verdict.PASS, 65.0, 0.0),
        ("Max[Gy]", "<=", 64.0, Verdict.FAIL, 65.0, -1.0),
    ],
)
def test_pass_and_fail(metric, comparison, limit, expected, value, margin):
    result = verdict("ptv", metric, comparison, limit)
    assert result.verdict is expected
    assert result.value == pytest.approx(value)
    assert result.margin == pytest.approx(margin)
    assert result.reason == ""


def test_what_cannot_be_evaluated_says_why():
    missing = verdict("Heart", "Mean[Gy]", "<=", 20)
    assert (missing.verdict, missing.reason) == (
        Verdict.NOT_EVALUATED,
        "There is no structure 'Heart' with a dose.",
    )
    assert np.isnan(missing.value)
    assert np.isnan(missing.margin)
    assert "prescribed dose" in verdict("PTV", "V95%[%]", ">=", 95).reason
    assert verdict("PTV", "V95%[%]", ">=", 50, prescription_gy=60).verdict is Verdict.PASS
    small = verdict("PTV", "D100cc[Gy]", "<=", 10)
    assert small.verdict is Verdict.NOT_EVALUATED
    assert "too little" in small.reason


def test_a_goal_for_an_index():
    around = DVH("dose grid", np.array([0.0, 60.0, 65.0]), np.array([900.0, 12.0, 0.0]), mean_inside_gy=9.0)
    # 10 cc of the 30 cc target and 12 cc of the dose grid get 60 Gy or more.
    result = verdict("PTV", "CI_Paddick", ">=", 0.3, prescription_gy=60.0, dose_grid=around)
    assert result.verdict is Verdict.FAIL
    assert result.value == pytest.approx(10.0**2 / (30 * 12))
    assert "dose around the target" in verdict("PTV", "CI_Paddick", ">=", 0.3, prescription_gy=60.0).reason


def test_a_structure_partly_outside_the_dose_grid():
    """The verdict must hold for any dose outside, from none to the highest on the grid's faces."""
    v20 = verdict("Lungs", "V20Gy[%]", "<=", 50)
    assert v20.verdict is Verdict.PASS
    assert v20.value == pytest.approx(45.0)
    assert "10 % of 'Lungs'" in v20.reason
    # V5Gy: 78.75 % if nothing is outside, 88.75 % if 8 Gy are.
    assert verdict("Lungs", "V5Gy[%]", "<=", 78).verdict is Verdict.FAIL
    assert verdict("Lungs", "V5Gy[%]", "<=", 89).verdict is Verdict.PASS
    between = verdict("Lungs", "V5Gy[%]", "<=", 80)
    assert between.verdict is Verdict.NOT_EVALUATED
    assert "lies between 78.8 and 88.8" in between.reason
    # The mean is 18 or 18.8 Gy.
    assert verdict("Lungs", "Mean[Gy]", "<=", 19).verdict is Verdict.PASS
    assert verdict("Lungs", "Mean[Gy]", "<=", 18.4).verdict is Verdict.NOT_EVALUATED
    assert verdict("Lungs", "Min[Gy]", ">=", 1).verdict is Verdict.FAIL


def test_tables(tmp_path):
    results = evaluate_goals(
        [Goal("PTV", "D95%[Gy]", ">=", 57, 1, "ICRU 83"), Goal("Heart", "Mean[Gy]", "<=", 20, 2)], [PTV]
    )
    rows = list(csv.DictReader(write_goals(tmp_path / "goals.csv", results).open(encoding="utf-8")))
    assert [row["Verdict"] for row in rows] == ["fail", "cannot be evaluated"]
    assert rows[0]["Value"] == "50.75"
    assert rows[0]["Source"] == "ICRU 83"
    assert rows[1]["Value"] == ""

    rows = list(csv.DictReader(write_metrics(tmp_path / "metrics.csv", [PTV, LUNGS]).open(encoding="utf-8")))
    assert list(rows[0])[3:] == list(METRICS)
    assert float(rows[0]["D50%[Gy]"]) == pytest.approx(57.5)
    assert rows[1]["Outside the dose grid [%]"] == "10.00"

    curves = dvh_curves([PTV, LUNGS], step_gy=0.5)
    assert curves.percent["PTV"][[0, 100, 115, -1]] == pytest.approx([100, 100, 50, 0])
    assert curves.percent["Lungs"][:2] == pytest.approx([100, 90 * (1 - 0.5 / 40)])
    rows = list(csv.DictReader(write_curves(tmp_path / "curves.csv", curves).open(encoding="utf-8")))
    assert float(rows[115]["PTV [%]"]) == pytest.approx(50)


def test_a_plot_shows_each_structure_in_its_colour(tmp_path):
    path = plot(tmp_path / "dvh.png", dvh_curves([PTV, LUNGS]), colours={"PTV": (1, 0, 0), "Lungs": (0, 0, 1)})
    pixels = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)
    for colour in ((255, 0, 0), (0, 0, 255)):
        assert np.count_nonzero((pixels == colour).all(axis=1)) > 500


def test_structures_of_one_colour_differ_and_white_can_be_seen(tmp_path):
    def ink(*names: str) -> int:
        curves = dvh_curves([DVH(name, PTV.dose_gy + 5 * n, PTV.at_least_cc, 60.0) for n, name in enumerate(names)])
        plot(tmp_path / "dvh.png", curves, colours=dict.fromkeys(names, (1.0, 1.0, 1.0)))
        pixels = np.asarray(Image.open(tmp_path / "dvh.png").convert("RGB")).reshape(-1, 3)
        return np.count_nonzero((pixels == 153).all(axis=1))  # 0.6 · 255

    assert ink("A") > 500
    # Solid, dashed and dotted: each next curve has less ink than a solid one.
    assert ink("A") < ink("A", "B") < 1.9 * ink("A")


def test_nothing_to_plot_and_nowhere_to_write(tmp_path):
    with pytest.raises(InputError, match="no structure with a dose"):
        dvh_curves([])
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(InputError, match="cannot be written to"):
        write_metrics(blocked / "metrics.csv", [PTV])
