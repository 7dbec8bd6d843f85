"""Fleischner Society 2017: every row of the table, on both sides of each threshold, and its limits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from LungNoduleAILib.guidelines.answers import Range, Recommendation, most_urgent
from LungNoduleAILib.guidelines.findings import Calcification, Finding, Kind, Lobe, Shape
from LungNoduleAILib.guidelines.fleischner import RULES, mean_diameter, recommend, recommend_each, risk_factors
from LungNoduleAILib.guidelines.patient import Patient
from SegmentationAILib.errors import InputError

SOLID, PART_SOLID, GGN = Kind.SOLID, Kind.PART_SOLID, Kind.GROUND_GLASS
LOW = Patient(age=60, screening=False, cancer_history=False, immunosuppressed=False, high_risk=False)
HIGH = replace(LOW, high_risk=True)
PLAIN = Finding(juxtapleural=False, perifissural=False, spiculation=False)
NONE = "no routine follow-up"
OPTIONAL = "optional CT at 12 months"
THEN = "CT at 6 to 12 months, then CT at 18 to 24 months"
THEN_CONSIDER = "CT at 6 to 12 months, then consider CT at 18 to 24 months"
SOON = "CT at 3 to 6 months, then CT at 18 to 24 months"
SOON_CONSIDER = "CT at 3 to 6 months, then consider CT at 18 to 24 months"
LARGE = "consider CT at 3 months, PET/CT or tissue sampling"


def answer(finding: Finding, patient: Patient, multiple: bool | None = None) -> Recommendation:
    found = recommend(finding, patient, multiple)
    assert isinstance(found, Recommendation), [question.name for question in found.missing]
    return found


def nodule(kind: Kind, mm: float, solid_mm: float | None = None) -> Finding:
    return replace(PLAIN, kind=kind, mean_diameter_mm=mm, solid_long_axis_mm=solid_mm)


SOLID_ROWS = [
    # Rounded to whole mm: below 6, 6 to 8, above 8.
    ((1.0, 5.49), NONE, OPTIONAL, NONE, OPTIONAL),
    ((5.5, 6.0, 8.0, 8.49), THEN_CONSIDER, THEN, SOON_CONSIDER, SOON),
    ((8.5, 9.0, 30.0), LARGE, LARGE, SOON_CONSIDER, SOON),
]


@pytest.mark.parametrize(
    ("mm", "single_low", "single_high", "multiple_low", "multiple_high"),
    [(mm, *advice) for sizes, *advice in SOLID_ROWS for mm in sizes],
)
def test_solid(mm, single_low, single_high, multiple_low, multiple_high):
    finding = nodule(SOLID, mm)
    assert answer(finding, LOW, multiple=False).advice == single_low
    assert answer(finding, HIGH, multiple=False).advice == single_high
    assert answer(finding, LOW, multiple=True).advice == multiple_low
    assert answer(finding, HIGH, multiple=True).advice == multiple_high


@pytest.mark.parametrize(
    ("mm3", "single", "multiple"),
    [(99.9, OPTIONAL, OPTIONAL), (100, THEN, SOON), (250, THEN, SOON), (250.1, LARGE, SOON)],
)
def test_solid_by_volume(mm3, single, multiple):
    finding = replace(PLAIN, kind=SOLID, volume_mm3=mm3)
    assert answer(finding, HIGH, multiple=False).advice == single
    assert answer(finding, HIGH, multiple=True).advice == multiple
    assert answer(replace(finding, mean_diameter_mm=3), HIGH, multiple=False).advice == OPTIONAL


@pytest.mark.parametrize(
    ("kind", "mm", "solid_mm", "multiple", "rule"),
    [
        (GGN, 5.4, None, False, "subsolid-single-small"),
        (GGN, 5.5, None, False, "ground-glass-single"),
        (GGN, 40, None, False, "ground-glass-single"),
        (PART_SOLID, 5.4, 5.0, False, "subsolid-single-small"),
        (PART_SOLID, 5.5, 5.4, False, "part-solid-single"),
        (PART_SOLID, 20, 5.4, False, "part-solid-single"),
        (PART_SOLID, 20, 5.5, False, "part-solid-single-large"),
        (PART_SOLID, 20, 15, False, "part-solid-single-large"),
        (GGN, 5.4, None, True, "subsolid-multiple-small"),
        (PART_SOLID, 5.4, 3, True, "subsolid-multiple-small"),
        (GGN, 5.5, None, True, "subsolid-multiple-large"),
        (PART_SOLID, 20, 15, True, "subsolid-multiple-large"),
    ],
)
def test_subsolid(kind, mm, solid_mm, multiple, rule):
    for patient in (LOW, HIGH):
        found = answer(nodule(kind, mm, solid_mm), patient, multiple)
        assert found.rule.id == f"Fleischner-{rule}"
        assert found.rule.source == "table 1B"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("ground-glass-single", ("6 to 12 months", "every 2 years until 5 years")),
        ("part-solid-single", ("3 to 6 months", "every year for 5 years")),
        ("part-solid-single-large", ("3 to 6 months", "highly suspicious")),
        ("subsolid-multiple-small", ("3 to 6 months", "2 and 4 years")),
        ("subsolid-multiple-large", ("3 to 6 months", "most suspicious nodule")),
    ],
)
def test_subsolid_advice(rule, words):
    assert all(word in RULES[rule][1] for word in words)


@pytest.mark.parametrize(
    ("part", "large"),
    [
        ({"solid_mean_diameter_mm": 5.4}, False),
        ({"solid_mean_diameter_mm": 5.5}, True),
        ({"solid_volume_mm3": 112}, False),
        ({"solid_volume_mm3": 113}, True),
        ({"solid_long_axis_mm": 6, "solid_short_axis_mm": 3}, True),
    ],
)
def test_what_stands_for_the_solid_parts_longest_diameter(part, large):
    found = answer(replace(nodule(PART_SOLID, 20), **part), LOW, multiple=False)
    assert found.rule.id.endswith("large") == large


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"age": 34.9}, "younger than 35"),
        ({"screening": True}, "screening"),
        ({"cancer_history": True}, "primary cancer"),
        ({"immunosuppressed": True}, "immunosuppressed"),
    ],
)
def test_outside_its_limits_the_guideline_says_that_it_does_not_apply(changed, reason):
    found = answer(nodule(SOLID, 9), replace(LOW, **changed), multiple=False)
    assert not found.applies
    assert reason in found.text
    assert found.text.startswith("The guideline says that it does not apply here:")
    assert answer(nodule(SOLID, 9), replace(LOW, age=35), multiple=False).applies


def test_one_reason_for_which_it_does_not_apply_is_enough():
    found = recommend(Finding(), Patient(age=30))
    assert not found.applies
    assert found.advice == "the patient is younger than 35 years"


@pytest.mark.parametrize("where", ["juxtapleural", "perifissural"])
def test_like_an_intrapulmonary_lymph_node(where):
    finding = replace(nodule(SOLID, 9), smooth_margin=True, shape=Shape.TRIANGULAR, **{where: True})
    assert answer(finding, HIGH, multiple=False).rule.id == "Fleischner-lymph-node"
    for change in (
        {where: False},
        {"smooth_margin": False},
        {"shape": Shape.OTHER},
        {"spiculation": True},
        {"mean_diameter_mm": 9.5},
    ):
        assert answer(replace(finding, **change), HIGH, multiple=False).advice == LARGE


@pytest.mark.parametrize("pattern", Calcification)
def test_benign_patterns(pattern):
    plain = pattern in (Calcification.NONE, Calcification.OTHER)
    found = answer(replace(nodule(SOLID, 20), calcification=pattern), HIGH, multiple=False)
    assert found.advice == (LARGE if plain else NONE)
    assert answer(replace(nodule(SOLID, 20), fat=True), HIGH, multiple=False).advice == NONE


@pytest.mark.parametrize(
    ("long", "short", "expected"), [(6, 4.9, 5), (6, 5, 6), (5.6, 5.3, 5), (9, 8, 9), (8.4, 8.5, 8), (5, 5, 5)]
)
def test_the_mean_diameter_is_in_whole_mm(long, short, expected):
    assert mean_diameter(long, short) == expected
    finding = replace(PLAIN, kind=SOLID, long_axis_mm=max(long, short), short_axis_mm=min(long, short))
    assert answer(finding, HIGH, False) == answer(nodule(SOLID, expected), HIGH, False)


def test_the_count_says_single_or_multiple():
    for count, expected in ((1, LARGE), (2, SOON)):
        assert answer(replace(nodule(SOLID, 9), nodule_count=count), HIGH).advice == expected


def test_each_of_several_nodules_and_the_most_urgent():
    findings = [nodule(SOLID, 9), nodule(GGN, 4), nodule(GGN, 7)]
    each = recommend_each(findings, HIGH)
    assert [one.rule.id for one in each] == [
        "Fleischner-solid-single-large",
        "Fleischner-subsolid-multiple-small",
        "Fleischner-subsolid-multiple-large",
    ]
    assert most_urgent(each) == each[0]
    assert [one.advice for one in recommend_each([nodule(SOLID, 9), nodule(SOLID, 4)], HIGH)] == [SOON, OPTIONAL]
    for others, expected in (([], "single"), ([nodule(GGN, 4)], "multiple")):
        found = recommend_each([replace(PLAIN, mean_diameter_mm=9), *others], HIGH)[0]
        assert all(expected in one.rule.id for one in found.possible)
    unknown = recommend_each([nodule(SOLID, 7), nodule(SOLID, 4)], replace(HIGH, high_risk=None))
    found = most_urgent(unknown)
    assert (found.low.advice, found.high.advice) == (SOON_CONSIDER, SOON)
    assert [question.name for question in found.missing] == ["high_risk"]


def test_risk_is_asked_with_what_is_known_of_it():
    patient = replace(LOW, high_risk=None, pack_years=30, family_history=False, emphysema=True)
    finding = replace(nodule(SOLID, 7), lobe=Lobe.LEFT_UPPER)
    assert risk_factors(finding, patient) == ("smoking", "emphysema", "upper lobe")
    assert risk_factors(Finding(), Patient()) == ()
    found = recommend(finding, patient, multiple=False)
    assert isinstance(found, Range)
    assert [question.name for question in found.missing] == ["high_risk"]
    assert (found.low.advice, found.high.advice) == (THEN_CONSIDER, THEN)
    assert "smoking, emphysema, upper lobe" in found.low.notes[0]
    large = recommend(nodule(SOLID, 9), patient, multiple=False)
    assert large.advice == LARGE


@pytest.mark.parametrize("name", ["age", "screening", "cancer_history", "immunosuppressed"])
def test_limits_that_are_not_known_are_asked(name):
    found = recommend(nodule(SOLID, 9), replace(HIGH, **{name: None}), multiple=False)
    assert [question.name for question in found.missing] == [name]
    assert not found.low.applies
    assert found.high.advice == LARGE


@given(st.sampled_from(Kind), st.booleans(), st.booleans(), st.floats(0.1, 60), st.floats(0.1, 60))
@settings(deadline=None)
def test_a_larger_diameter_is_never_less_urgent(kind, multiple, high, one, other):
    small, large = sorted((one, other))
    patient = HIGH if high else LOW
    ranks = [answer(nodule(kind, mm, min(mm, 5)), patient, multiple).rank for mm in (small, large)]
    assert ranks == sorted(ranks)
    assert (
        answer(nodule(kind, one, min(one, 5)), LOW, multiple).rank
        <= answer(nodule(kind, one, min(one, 5)), HIGH, multiple).rank
    )


@given(
    st.sampled_from([None, *Kind]),
    st.sampled_from([None, 4.0, 7.0, 12.0]),
    st.sampled_from([None, False, True]),
    st.sampled_from([None, 40]),
)
@settings(max_examples=30, deadline=None)
def test_the_range_holds_every_answer(kind, mm, high, age):
    finding = replace(PLAIN, kind=kind, mean_diameter_mm=mm)
    patient = replace(LOW, high_risk=high, age=age)
    found = recommend(finding, patient)
    if isinstance(found, Recommendation):
        return
    first = found.missing[0]
    for value in first.plausible:
        if first.name == "solid_long_axis_mm" and mm is not None and value > mm:
            continue
        if hasattr(patient, first.name):
            answered = recommend(finding, replace(patient, **{first.name: value}))
        else:
            answered = recommend(replace(finding, **{first.name: value}), patient)
        low, high_end = (answered.low, answered.high) if isinstance(answered, Range) else (answered, answered)
        assert found.low.rank <= low.rank <= high_end.rank <= found.high.rank


def test_the_text_says_what_the_guideline_says():
    text = answer(nodule(SOLID, 9), LOW, multiple=False).text
    assert text == (
        f"The guideline says: {LARGE}. Its rule: single solid > 8 mm (250 mm³) (Fleischner Society 2017, table 1A)."
    )
    assert len({rule.id for _, _, rule in RULES.values()}) == len(RULES)


def test_an_impossible_size_is_refused():
    with pytest.raises(InputError, match="mean diameter of the nodule"):
        nodule(SOLID, 0)
