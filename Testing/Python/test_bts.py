"""BTS 2015: size, Brock, PET-CT and Herder, follow-up by volume, by diameter and of subsolid nodules."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from LungNoduleAILib.guidelines import brock, herder
from LungNoduleAILib.guidelines.answers import Range, Recommendation
from LungNoduleAILib.guidelines.bts import RULES, recommend
from LungNoduleAILib.guidelines.findings import Behaviour, Calcification, Finding, Kind, Lobe, Shape, Uptake
from LungNoduleAILib.guidelines.growth import is_bts_growth, is_bts_subsolid_growth, volume_change
from LungNoduleAILib.guidelines.patient import Patient
from SegmentationAILib.errors import InputError

SOLID, PART_SOLID, GGN = Kind.SOLID, Kind.PART_SOLID, Kind.GROUND_GLASS
STABLE, GROWING, NEW = Behaviour.STABLE, Behaviour.GROWING, Behaviour.NEW
LOW = Patient(age=50, female=False, family_history=False, emphysema=False, ever_smoked=True, extrathoracic_cancer=False)
HIGH = replace(LOW, age=75, female=True, emphysema=True)
PLAIN = Finding(
    kind=SOLID,
    juxtapleural=False,
    perifissural=False,
    spiculation=False,
    lobe=Lobe.RIGHT_LOWER,
    nodule_count=1,
    behaviour=Behaviour.BASELINE,
)
FOLLOWED = replace(PLAIN, long_axis_mm=9, behaviour=None)


def rule(finding: Finding, patient: Patient = LOW) -> str:
    found = recommend(finding, patient)
    assert isinstance(found, Recommendation), [question.name for question in found.missing]
    return found.rule.id.removeprefix("BTS-")


@pytest.mark.parametrize(
    ("mm", "expected"),
    [(4.9, "small"), (5.0, "5-mm"), (5.9, "5-mm"), (6.0, "6-mm"), (7.9, "6-mm"), (8.0, "brock-low")],
)
def test_solid_by_the_longest_diameter(mm, expected):
    assert rule(replace(PLAIN, long_axis_mm=mm)) == expected
    assert rule(replace(PLAIN, long_axis_mm=mm, short_axis_mm=0.7 * mm, behaviour=NEW)) == expected


@pytest.mark.parametrize(
    ("mm3", "expected"), [(79.9, "small"), (80, "6-mm"), (299.9, "6-mm"), (300, "brock-low"), (5000, "brock-high")]
)
def test_solid_by_volume_which_counts_where_it_is_known(mm3, expected):
    patient = HIGH if expected == "brock-high" else LOW
    assert rule(replace(PLAIN, volume_mm3=mm3), patient) == expected
    if mm3 < 300:
        assert rule(replace(PLAIN, volume_mm3=mm3, long_axis_mm=20), patient) == expected


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("small", "no further follow-up"),
        ("5-mm", "CT at 1 year"),
        ("6-mm", "CT at 3 months"),
        ("brock-high", "PET-CT"),
        ("herder-middle", "biopsy"),
        ("herder-high", "surgical resection"),
        ("subsolid-grew", "6 months at most"),
        ("solid-part-grew", "resection"),
        ("vdt-fast", "further diagnostic investigation"),
        ("vdt-middle", "yearly CT surveillance or biopsy"),
        ("vdt-slow", "consider discharge"),
        ("subsolid-low", "1, 2 and 4 years"),
    ],
)
def test_what_each_rule_advises(name, words):
    assert words in RULES[name][1]


@given(st.floats(8, 40), st.floats(40, 90), st.booleans(), st.booleans(), st.booleans())
@settings(deadline=None)
def test_ten_per_cent_by_brock_divides_surveillance_from_pet(mm, age, female, upper, spiculation):
    lobe = Lobe.LEFT_UPPER if upper else Lobe.LEFT_LOWER
    finding = replace(PLAIN, long_axis_mm=mm, volume_mm3=400, lobe=lobe, spiculation=spiculation)
    patient = replace(LOW, age=age, female=female)
    risk = brock.probability(age, female, False, False, mm, "solid", upper, 1, spiculation)
    # A volume from 300 mm³ calls for Brock; below 524 mm³ it might be a lymph node, which PLAIN is not.
    assert rule(finding, patient) == ("brock-low" if risk < 0.10 else "brock-high")
    found = recommend(finding, patient)
    assert f"{risk:.1%}" in found.notes[0]


@given(st.floats(8, 40), st.sampled_from(Uptake), st.booleans())
@settings(deadline=None)
def test_ten_and_seventy_per_cent_by_herder_divide_what_follows_pet(mm, uptake, upper):
    lobe = Lobe.LEFT_UPPER if upper else Lobe.LEFT_LOWER
    finding = replace(PLAIN, long_axis_mm=mm, lobe=lobe, spiculation=True, pet_uptake=uptake)
    if rule(finding, HIGH) == "brock-low":
        return
    risk = herder.risk(finding, HIGH).probability
    expected = "herder-low" if risk < 0.10 else "herder-high" if risk > 0.70 else "herder-middle"
    assert rule(finding, HIGH) == expected
    assert any("Herder" in note for note in recommend(finding, HIGH).notes)


@pytest.mark.parametrize(
    ("uptake", "expected"),
    [(Uptake.NONE, "herder-low"), (Uptake.FAINT, "herder-middle"), (Uptake.INTENSE, "herder-high")],
)
def test_herder_after_pet(uptake, expected):
    finding = replace(PLAIN, long_axis_mm=14, lobe=Lobe.RIGHT_UPPER, spiculation=False)
    assert rule(finding, HIGH) == "brock-high"
    assert rule(replace(finding, pet_uptake=uptake), HIGH) == expected


@pytest.mark.parametrize("shape", Shape)
def test_like_an_intrapulmonary_lymph_node(shape):
    finding = replace(PLAIN, long_axis_mm=9.9, perifissural=True, smooth_margin=True, shape=shape)
    accepted = shape in (Shape.LENTIFORM, Shape.TRIANGULAR)
    assert rule(finding) == ("lymph-node" if accepted else "brock-low")
    assert rule(replace(finding, long_axis_mm=10)) == "brock-low"
    assert rule(replace(finding, volume_mm3=523.9)) == rule(finding)
    assert rule(replace(finding, volume_mm3=524)) == "brock-low"
    assert rule(replace(finding, kind=GGN)) == "subsolid"


@pytest.mark.parametrize("pattern", Calcification)
def test_benign_patterns(pattern):
    plain = pattern in (Calcification.NONE, Calcification.OTHER)
    assert rule(replace(PLAIN, long_axis_mm=7, calcification=pattern)) == ("6-mm" if plain else "benign-pattern")
    assert rule(replace(PLAIN, long_axis_mm=7, fat=True)) == "benign-pattern"


@pytest.mark.parametrize(
    ("change", "days", "months", "expected"),
    [
        (0.0, math.inf, 3, "stable-3-months"),
        (0.249, 200, 3, "stable-3-months"),
        (0.249, 900, 11.9, "stable-3-months"),
        (0.249, None, 12, "stable-volume"),
        (-0.5, -365, 12, "stable-volume"),
        (0.25, 399, 3, "vdt-fast"),
        (0.25, 400, 3, "grew-3-months"),
        (0.25, 900, 11.9, "grew-3-months"),
        (0.25, 399, 12, "vdt-fast"),
        (0.25, 400, 12, "vdt-middle"),
        (0.25, 600, 12, "vdt-middle"),
        (0.25, 601, 12, "vdt-slow"),
        (None, 399, 12, "vdt-fast"),
        (None, 500, 12, "vdt-middle"),
        (None, 601, 24, "vdt-slow"),
        (None, math.inf, 12, "stable-volume"),
        (None, -300, 12, "stable-volume"),
    ],
)
def test_follow_up_of_solid_nodules_by_volume(change, days, months, expected):
    finding = replace(FOLLOWED, volume_change=change, doubling_time_days=days, months_since_prior=months)
    assert rule(finding) == expected


@pytest.mark.parametrize(
    ("behaviour", "days", "months", "expected"),
    [
        (STABLE, None, 11.9, "stable-3-months"),
        (STABLE, None, 12, "stable-1-year"),
        (STABLE, None, 23.9, "stable-1-year"),
        (STABLE, None, 24, "stable-diameter"),
        (Behaviour.DECREASED, None, 24, "stable-diameter"),
        (GROWING, 399, 12, "vdt-fast"),
        (GROWING, 400, 12, "vdt-middle"),
        (Behaviour.SLOWLY_GROWING, 700, 24, "vdt-slow"),
        (Behaviour.RESOLVED, None, 3, "resolved"),
    ],
)
def test_follow_up_of_solid_nodules_by_diameter(behaviour, days, months, expected):
    finding = replace(FOLLOWED, behaviour=behaviour, doubling_time_days=days, months_since_prior=months)
    assert rule(finding) == expected


@pytest.mark.parametrize(
    ("kind", "behaviour", "solid", "months", "patient", "expected"),
    [
        (GGN, STABLE, None, 3, LOW, "subsolid-low"),
        (GGN, STABLE, None, 47.9, LOW, "subsolid-low"),
        (GGN, STABLE, None, 48, HIGH, "subsolid-4-years"),
        (PART_SOLID, STABLE, STABLE, 3, HIGH, "subsolid-high"),
        (GGN, GROWING, None, 3, LOW, "subsolid-grew"),
        (PART_SOLID, GROWING, STABLE, 3, LOW, "subsolid-grew"),
        (PART_SOLID, STABLE, GROWING, 3, LOW, "solid-part-grew"),
        (GGN, GROWING, NEW, 3, LOW, "solid-part-grew"),
        (PART_SOLID, STABLE, NEW, 60, LOW, "solid-part-grew"),
        (GGN, Behaviour.RESOLVED, None, 3, LOW, "resolved"),
    ],
)
def test_follow_up_of_subsolid_nodules(kind, behaviour, solid, months, patient, expected):
    finding = replace(
        PLAIN,
        kind=kind,
        long_axis_mm=15,
        lobe=Lobe.LEFT_UPPER if patient is HIGH else Lobe.LEFT_LOWER,
        behaviour=behaviour,
        solid_behaviour=solid,
        months_since_prior=months,
    )
    assert rule(finding, patient) == expected


@pytest.mark.parametrize(("mm", "expected"), [(4.9, "small"), (5.0, "subsolid"), (25, "subsolid")])
@pytest.mark.parametrize("kind", [PART_SOLID, GGN])
def test_subsolid_at_first(kind, mm, expected):
    assert rule(replace(PLAIN, kind=kind, long_axis_mm=mm)) == expected


@pytest.mark.parametrize(
    ("before", "after", "grew"), [(100, 124.9, False), (100, 125, True), (120, 150, True), (0.3, 0.375, True)]
)
def test_growth_is_a_quarter_of_the_volume(before, after, grew):
    assert is_bts_growth(volume_change(before, after)) is grew


@pytest.mark.parametrize(
    ("before", "after", "grew"), [(8, 9.9, False), (8, 10, True), (8.1, 10.1, True), (9, 6, False)]
)
def test_subsolid_growth_is_2_mm(before, after, grew):
    assert is_bts_subsolid_growth(before, after) is grew


@given(st.floats(1, 40), st.floats(1, 40), st.sampled_from([LOW, HIGH]), st.sampled_from(Kind))
@settings(deadline=None)
def test_a_larger_nodule_is_never_less_urgent(one, other, patient, kind):
    ranks = [
        recommend(replace(PLAIN, kind=kind, long_axis_mm=mm, lobe=Lobe.LEFT_UPPER), patient).rank
        for mm in sorted((one, other))
    ]
    assert ranks == sorted(ranks)


@given(st.floats(1, 2000), st.floats(1, 2000), st.sampled_from([3, 12, 24]))
@settings(deadline=None)
def test_faster_growth_is_never_less_urgent(one, other, months):
    ranks = [
        recommend(replace(FOLLOWED, volume_change=0.5, doubling_time_days=days, months_since_prior=months), LOW).rank
        for days in sorted((one, other), reverse=True)
    ]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize(
    ("changed", "patient", "asked"),
    [
        ({"spiculation": None}, replace(LOW, age=70, female=True), ["spiculation"]),
        ({}, replace(LOW, age=70, female=True, family_history=None), ["family_history"]),
        ({"long_axis_mm": None}, LOW, ["long_axis_mm"]),
    ],
)
def test_what_decides_and_is_not_known_is_asked(changed, patient, asked):
    found = recommend(replace(PLAIN, **({"long_axis_mm": 11.3} | changed)), patient)
    assert isinstance(found, Range)
    assert [question.name for question in found.missing] == asked
    assert found.low.rank < found.high.rank


def test_what_does_not_decide_is_not_asked():
    assert rule(Finding(long_axis_mm=4), Patient()) == "small"
    assert rule(replace(PLAIN, long_axis_mm=7), Patient()) == "6-mm"
    tiny_risk = replace(LOW, age=40, family_history=None, emphysema=None)
    assert rule(replace(PLAIN, long_axis_mm=8), tiny_risk) == "brock-low"


def test_growth_without_a_doubling_time_asks_for_it():
    found = recommend(replace(FOLLOWED, volume_change=0.4, months_since_prior=12), LOW)
    assert [question.name for question in found.missing] == ["doubling_time_days"]
    assert [one.rule.id for one in found.possible] == ["BTS-vdt-slow", "BTS-vdt-middle", "BTS-vdt-fast"]


def test_a_previous_cancer_is_mentioned():
    assert recommend(replace(PLAIN, long_axis_mm=7), LOW).notes == ()
    found = recommend(replace(PLAIN, long_axis_mm=7), replace(LOW, cancer_history=True))
    assert "previous cancer" in found.notes[0]


def test_the_text_says_what_the_guideline_says():
    assert recommend(replace(PLAIN, long_axis_mm=7), LOW).text == (
        "The guideline says: CT at 3 months. Its rule: solid 6 to < 8 mm or 80 to < 300 mm³ "
        "(BTS 2015, initial assessment of the probability of malignancy)."
    )


@pytest.mark.parametrize(
    "changed",
    [{"volume_change": 0.3, "doubling_time_days": -100}, {"behaviour": GROWING, "doubling_time_days": -100}],
)
def test_growth_with_a_negative_doubling_time_is_refused(changed):
    with pytest.raises(InputError, match="grew but its doubling time is negative"):
        replace(PLAIN, **changed)


def test_volumes_that_are_none_are_refused():
    with pytest.raises(InputError, match="volume before"):
        volume_change(0, 100)
