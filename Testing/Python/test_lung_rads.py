"""Lung-RADS v2022: every row of the table, on both sides of each threshold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from LungNoduleAILib.guidelines.answers import Range, Recommendation
from LungNoduleAILib.guidelines.findings import (
    Airway,
    Behaviour,
    Calcification,
    Cyst,
    CystChange,
    Finding,
    Kind,
    Lobe,
    Shape,
)
from LungNoduleAILib.guidelines.growth import lung_rads_behaviour
from LungNoduleAILib.guidelines.lung_rads import classify, mean_diameter
from LungNoduleAILib.guidelines.lung_rads_exam import Exam, classify_exam
from LungNoduleAILib.guidelines.lung_rads_table import ADVICE, RULES, VOLUMES_MM3, Category
from LungNoduleAILib.guidelines.patient import Patient
from LungNoduleAILib.nodule import Measurements, Nodule, NoduleMask
from LungNoduleAILib.nodule_finding import of_nodule
from LungNoduleAILib.rating import RATINGS, Grade, Ratings
from SegmentationAILib.errors import InputError
from SegmentationAILib.volume import Grid

BASELINE, NEW, STABLE = Behaviour.BASELINE, Behaviour.NEW, Behaviour.STABLE
DECREASED, SLOW, GROWING = Behaviour.DECREASED, Behaviour.SLOWLY_GROWING, Behaviour.GROWING
SOLID, PART_SOLID, GGN = Kind.SOLID, Kind.PART_SOLID, Kind.GROUND_GLASS
# Known not to be special, so that nothing is asked.
PLAIN = Finding(spiculation=False, juxtapleural=False, perifissural=False)
ORDER = [category.value for category in Category]


def category(finding: Finding) -> str:
    found = classify(finding)
    assert isinstance(found, Recommendation), [question.name for question in found.missing]
    return found.category


def nodule(kind: Kind, mm: float, behaviour: Behaviour, solid_mm: float | None = None, **other: object) -> Finding:
    return replace(PLAIN, kind=kind, mean_diameter_mm=mm, behaviour=behaviour, solid_mean_diameter_mm=solid_mm, **other)


@pytest.mark.parametrize(
    ("mm", "behaviour", "expected"),
    [
        (0.1, BASELINE, "2"),
        (5.9, BASELINE, "2"),
        (6.0, BASELINE, "3"),
        (7.9, BASELINE, "3"),
        (8.0, BASELINE, "4A"),
        (14.9, BASELINE, "4A"),
        (15.0, BASELINE, "4B"),
        (60.0, BASELINE, "4B"),
        (3.9, NEW, "2"),
        (4.0, NEW, "3"),
        (5.9, NEW, "3"),
        (6.0, NEW, "4A"),
        (7.9, NEW, "4A"),
        (8.0, NEW, "4B"),
        (3.0, GROWING, "4A"),
        (7.0, GROWING, "4A"),
        (7.9, GROWING, "4A"),
        (8.0, GROWING, "4B"),
        (8.5, GROWING, "4B"),
        (5.0, SLOW, "4B"),
        (20.0, SLOW, "4B"),
    ],
)
def test_solid(mm, behaviour, expected):
    assert category(nodule(SOLID, mm, behaviour)) == expected


@pytest.mark.parametrize(
    ("volume", "behaviour", "expected"),
    [
        (112, BASELINE, "2"),
        (112.4, BASELINE, "2"),
        (112.5, BASELINE, "3"),
        (113, BASELINE, "3"),
        (267, BASELINE, "3"),
        (268, BASELINE, "4A"),
        (1766, BASELINE, "4A"),
        (1767, BASELINE, "4B"),
        (33, NEW, "2"),
        (34, NEW, "3"),
        (112, NEW, "3"),
        (113, NEW, "4A"),
        (267, NEW, "4A"),
        (268, NEW, "4B"),
        (267, GROWING, "4A"),
        (268, GROWING, "4B"),
    ],
)
def test_solid_by_volume(volume, behaviour, expected):
    assert category(replace(PLAIN, kind=SOLID, volume_mm3=volume, behaviour=behaviour)) == expected


def test_volumes_are_those_of_balls():
    for mm, volume in VOLUMES_MM3.items():
        assert volume == round(3.14159265 * mm**3 / 6)


def test_the_diameter_counts_where_both_are_known():
    assert category(nodule(SOLID, 5.9, BASELINE, volume_mm3=5000)) == "2"


@pytest.mark.parametrize(
    ("mm", "solid_mm", "behaviour", "solid_behaviour", "expected"),
    [
        (5.5, 3.0, BASELINE, None, "2"),
        (5.9, 5.9, BASELINE, None, "2"),
        (6.0, 5.9, BASELINE, None, "3"),
        (12, 5.9, BASELINE, None, "3"),
        (12, 6.0, BASELINE, None, "4A"),
        (12, 7.9, BASELINE, None, "4A"),
        (12, 8.0, BASELINE, None, "4B"),
        (5, 2.0, NEW, None, "3"),
        (5.9, 2.0, NEW, None, "3"),
        (6.0, 3.9, NEW, None, "4A"),
        (6.0, 4.0, NEW, None, "4B"),
        (12, 3.9, STABLE, NEW, "4A"),
        (12, 4.0, STABLE, NEW, "4B"),
        (12, 3.9, STABLE, GROWING, "4A"),
        (12, 4.0, GROWING, GROWING, "4B"),
        (5, 2.0, GROWING, NEW, "4A"),
        (12, 5.0, GROWING, STABLE, "3"),
        (12, 7.0, GROWING, STABLE, "4A"),
        (12, 2.0, SLOW, STABLE, "4B"),
        (12, 2.0, STABLE, SLOW, "4B"),
    ],
)
def test_part_solid(mm, solid_mm, behaviour, solid_behaviour, expected):
    assert category(nodule(PART_SOLID, mm, behaviour, solid_mm, solid_behaviour=solid_behaviour)) == expected


@pytest.mark.parametrize(("solid_mm3", "expected"), [(112, "3"), (113, "4A"), (267, "4A"), (268, "4B")])
def test_part_solid_by_volume(solid_mm3, expected):
    finding = replace(PLAIN, kind=PART_SOLID, volume_mm3=900, solid_volume_mm3=solid_mm3, behaviour=BASELINE)
    assert category(finding) == expected


@pytest.mark.parametrize(
    ("mm", "behaviour", "expected"),
    [
        *((29.9, behaviour, "2") for behaviour in (BASELINE, NEW, STABLE, DECREASED, SLOW, GROWING)),
        (30, BASELINE, "3"),
        (30, NEW, "3"),
        (30, STABLE, "2"),
        (30, DECREASED, "2"),
        (30, SLOW, "2"),
        (30, GROWING, "3"),
    ],
)
def test_ground_glass(mm, behaviour, expected):
    assert category(nodule(GGN, mm, behaviour)) == expected


@pytest.mark.parametrize(("volume", "expected"), [(14136, "2"), (14137, "3")])
def test_ground_glass_by_volume(volume, expected):
    assert category(replace(PLAIN, kind=GGN, volume_mm3=volume, behaviour=BASELINE)) == expected


def test_the_size_of_small_ground_glass_settles_it():
    assert category(Finding(kind=GGN, mean_diameter_mm=29.9)) == "2"


@pytest.mark.parametrize("shape", [Shape.OVAL, Shape.LENTIFORM, Shape.TRIANGULAR])
@pytest.mark.parametrize("where", ["juxtapleural", "perifissural"])
@pytest.mark.parametrize("behaviour", [BASELINE, NEW, STABLE])
def test_juxtapleural(shape, where, behaviour):
    finding = nodule(SOLID, 9.9, behaviour, smooth_margin=True, shape=shape, **{where: True})
    assert category(finding) == "2"
    assert classify(finding).rule.id == "LungRADS-2-juxtapleural"
    for change in ({"smooth_margin": False}, {"shape": Shape.OTHER}, {where: False}, {"mean_diameter_mm": 10.0}):
        other = replace(finding, prior_category="4A", months_since_prior=1, **change)
        assert category(other) == {BASELINE: "4A", NEW: "4B", STABLE: "4A"}[behaviour]


@pytest.mark.parametrize(("behaviour", "expected"), [(GROWING, "4B"), (SLOW, "4B")])
def test_a_juxtapleural_nodule_that_grows_is_one_like_others(behaviour, expected):
    finding = nodule(SOLID, 9, behaviour, juxtapleural=True, smooth_margin=True, shape=Shape.OVAL)
    assert category(finding) == expected


@pytest.mark.parametrize(
    ("prior", "months", "behaviour", "expected"),
    [
        ("1", 12, STABLE, "2"),
        ("2", 12, STABLE, "2"),
        ("3", 5.4, STABLE, "3"),
        ("3", 5.5, STABLE, "2"),
        ("3", 6, DECREASED, "2"),
        ("3", 12, STABLE, "2"),
        ("4A", 2.4, STABLE, "4A"),
        ("4A", 2.5, STABLE, "3"),
        ("4A", 3, DECREASED, "3"),
        ("4A", 6, STABLE, "3"),
        ("4B", 12, STABLE, "4B"),
        ("4X", 12, DECREASED, "4B"),
        ("0", 2, STABLE, "4A"),
    ],
)
@pytest.mark.parametrize(("kind", "solid_mm"), [(SOLID, None), (PART_SOLID, 6.5)])
def test_steps_down_without_growth(kind, solid_mm, prior, months, behaviour, expected):
    finding = nodule(
        kind, 9, behaviour, solid_mm, prior_category=prior, months_since_prior=months, solid_behaviour=STABLE
    )
    assert category(finding) == expected


@pytest.mark.parametrize(
    ("prior_mm", "mm", "expected"),
    [(5.9, 6.0, "3"), (5.4, 5.9, "2"), (6.0, 6.4, "2"), (7.9, 8.0, "4A"), (14, 15, "4B")],
)
def test_crossing_a_threshold_of_size_counts_without_growth(prior_mm, mm, expected):
    finding = nodule(SOLID, mm, STABLE, prior_mean_diameter_mm=prior_mm, prior_category="2", months_since_prior=12)
    assert category(finding) == expected


@pytest.mark.parametrize(
    ("airway", "behaviour", "expected"),
    [
        (Airway.SUBSEGMENTAL, BASELINE, "2"),
        (Airway.SUBSEGMENTAL, NEW, "2"),
        (Airway.SUBSEGMENTAL, STABLE, "2"),
        (Airway.SUBSEGMENTAL, GROWING, "4A"),
        (Airway.SEGMENTAL_OR_PROXIMAL, BASELINE, "4A"),
        (Airway.SEGMENTAL_OR_PROXIMAL, NEW, "4A"),
        (Airway.SEGMENTAL_OR_PROXIMAL, DECREASED, "4A"),
        (Airway.SEGMENTAL_OR_PROXIMAL, STABLE, "4B"),
        (Airway.SEGMENTAL_OR_PROXIMAL, GROWING, "4B"),
    ],
)
def test_airway(airway, behaviour, expected):
    finding = Finding(airway=airway, behaviour=behaviour, prior_category="4A", months_since_prior=3)
    assert category(finding) == expected
    assert category(replace(finding, secretions=True)) == "2"


@pytest.mark.parametrize(
    ("cyst", "change", "behaviour", "expected"),
    [
        (Cyst.THIN_WALLED, CystChange.NONE, BASELINE, "1"),
        (Cyst.THIN_WALLED, CystChange.GROWING_CYST, STABLE, "1"),
        (Cyst.FLUID_CONTAINING, CystChange.NONE, NEW, "1"),
        (Cyst.ONE_OF_MANY, CystChange.NONE, BASELINE, "1"),
        (Cyst.THIN_WALLED, CystChange.BECAME_MULTILOCULAR, STABLE, "4A"),
        (Cyst.THICK_WALLED, CystChange.BECAME_MULTILOCULAR, STABLE, "4A"),
        (Cyst.MULTILOCULAR, CystChange.BECAME_MULTILOCULAR, GROWING, "4A"),
        (Cyst.THICK_WALLED, CystChange.NONE, BASELINE, "4A"),
        (Cyst.MULTILOCULAR, CystChange.NONE, BASELINE, "4A"),
        (Cyst.MULTILOCULAR, CystChange.NONE, NEW, "4A"),
        (Cyst.THICK_WALLED, CystChange.NONE, STABLE, "3"),
        (Cyst.THICK_WALLED, CystChange.GROWING_CYST, GROWING, "3"),
        (Cyst.THICK_WALLED, CystChange.GROWING_WALL, GROWING, "4B"),
        (Cyst.MULTILOCULAR, CystChange.GROWING_CYST, GROWING, "4B"),
        (Cyst.MULTILOCULAR, CystChange.GROWING_WALL, GROWING, "4B"),
        (Cyst.MULTILOCULAR, CystChange.MORE_LOCULATION_OR_OPACITY, STABLE, "4B"),
    ],
)
def test_cysts(cyst, change, behaviour, expected):
    finding = Finding(cyst=cyst, cyst_change=change, behaviour=behaviour, prior_category="4A", months_since_prior=3)
    assert category(finding) == expected


def test_a_cavitary_nodule_is_managed_as_solid():
    assert category(replace(PLAIN, cyst=Cyst.CAVITARY_NODULE, mean_diameter_mm=8, behaviour=BASELINE)) == "4A"


@pytest.mark.parametrize("pattern", Calcification)
def test_benign_patterns(pattern):
    finding = nodule(SOLID, 20, BASELINE, calcification=pattern, spiculation=True)
    plain = pattern in (Calcification.NONE, Calcification.OTHER)
    assert category(finding) == ("4X" if plain else "1")
    assert category(replace(finding, fat=True)) == "1"


@pytest.mark.parametrize(("mm", "expected"), [(5.9, "2"), (6.0, "4X"), (9.0, "4X"), (20.0, "4X")])
@pytest.mark.parametrize("feature", ["spiculation", "lymphadenopathy", "metastasis"])
def test_features_raise_category_3_and_above(mm, expected, feature):
    finding = replace(nodule(SOLID, mm, BASELINE, lobe=Lobe.LEFT_UPPER), **{feature: True})
    assert category(finding) == expected
    if expected == "4X":
        assert category(replace(finding, **{feature: False})) in classify(finding).notes[0]


def test_ground_glass_that_doubled_is_a_feature_in_category_3():
    assert category(nodule(GGN, 31, GROWING, doubled_in_a_year=True)) == "4X"
    assert category(nodule(SOLID, 7, BASELINE, doubled_in_a_year=True)) == "3"
    small = nodule(GGN, 15, GROWING, doubled_in_a_year=True)
    assert category(small) == "2"
    assert "doubles in a year" in classify(small).notes[0]


def test_proven_benign_and_resolved():
    assert category(nodule(SOLID, 20, STABLE, prior_category="4B", proven_benign=True)) == "2"
    assert category(Finding(behaviour=Behaviour.RESOLVED)) == "1"


@pytest.mark.parametrize(
    ("long", "short", "expected"),
    [
        (6, 6, 6.0),
        (8, 3.9, 6.0),
        (8, 3.8, 5.9),
        (6.04, 5.94, 6.0),
        (6.04, 5.84, 5.9),
        (6.05, 5.95, 6.1),
        (12.34, 5.0, 8.7),
    ],
)
def test_mean_diameter_is_taken_to_one_decimal(long, short, expected):
    assert mean_diameter(long, short) == expected
    finding = replace(PLAIN, kind=SOLID, long_axis_mm=long, short_axis_mm=short, behaviour=BASELINE)
    assert category(finding) == category(nodule(SOLID, expected, BASELINE))


@pytest.mark.parametrize(
    ("sizes", "months", "expected"),
    [
        ((6.0, 7.5), (0, 12), STABLE),
        ((6.0, 7.6), (0, 12), GROWING),
        ((6.0, 7.6), (0, 3), GROWING),
        ((6.0, 7.6), (0, 24), SLOW),
        ((6.0, 9.0), (0, 24), SLOW),
        ((6.0, 9.1), (0, 24), GROWING),
        ((6.0, 7.0, 8.0), (0, 12, 24), SLOW),
        ((6.0, 7.0, 8.0), (0, 6, 12), GROWING),
        ((6.0, 7.0, 7.0), (0, 12, 24), STABLE),
        ((6.0, 8.0, 8.0), (0, 12, 24), STABLE),
        ((8.0, 6.5), (0, 6), STABLE),
        ((8.0, 6.4), (0, 6), DECREASED),
        ((6.04, 7.54), (0, 12), STABLE),
    ],
)
def test_growth_is_more_than_1_5_mm_in_12_months(sizes, months, expected):
    assert lung_rads_behaviour(sizes, months) is expected


@pytest.mark.parametrize(
    ("sizes", "months", "words"),
    [((6,), (0,), "two or more"), ((6, 7), (0,), "two or more"), ((6, 7), (5, 5), "rise"), ((6, 0), (0, 6), "mean")],
)
def test_growth_refuses_what_it_cannot_compare(sizes, months, words):
    with pytest.raises(InputError, match=words):
        lung_rads_behaviour(sizes, months)


@given(st.sampled_from(Kind), st.sampled_from([BASELINE, NEW, GROWING]), st.floats(0.1, 60), st.floats(0.1, 60))
@settings(deadline=None)
def test_a_larger_diameter_never_lowers_the_category(kind, behaviour, one, other):
    small, large = sorted((one, other))
    found = [category(nodule(kind, mm, behaviour, min(mm, 5.0), solid_behaviour=STABLE)) for mm in (small, large)]
    assert ORDER.index(found[0]) <= ORDER.index(found[1])


@given(st.floats(8, 60), st.floats(0.1, 8), st.floats(0.1, 8))
@settings(deadline=None)
def test_a_larger_solid_part_never_lowers_the_category(mm, one, other):
    small, large = sorted((one, other))
    for behaviour in (BASELINE, NEW):
        found = [category(nodule(PART_SOLID, mm, behaviour, solid)) for solid in (small, large)]
        assert ORDER.index(found[0]) <= ORDER.index(found[1])


@given(
    st.sampled_from([None, *Kind]),
    st.sampled_from([None, 3.0, 5.5, 7.0, 9.0, 16.0]),
    st.sampled_from([None, BASELINE, NEW, GROWING, SLOW]),
    st.sampled_from([None, False, True]),
)
@settings(max_examples=40, deadline=None)
def test_what_is_not_known_is_asked_and_the_range_holds_every_answer(kind, mm, behaviour, spiculation):
    finding = Finding(kind=kind, mean_diameter_mm=mm, behaviour=behaviour, spiculation=spiculation)
    found = classify(finding)
    if isinstance(found, Recommendation):
        return
    assert found.missing
    assert found.low.rank < found.high.rank
    for question in found.missing:
        assert getattr(finding, question.name) is None
        assert question.text.endswith("?")
    first = found.missing[0]
    for value in first.plausible:
        if first.name == "solid_mean_diameter_mm" and mm is not None and value > mm:
            continue
        answered = classify(replace(finding, **{first.name: value}))
        low, high = (answered.low, answered.high) if isinstance(answered, Range) else (answered, answered)
        assert found.low.rank <= low.rank <= high.rank <= found.high.rank


def test_only_what_matters_is_asked():
    assert category(Finding(kind=SOLID, mean_diameter_mm=5, behaviour=BASELINE)) == "2"
    found = classify(Finding(kind=SOLID, mean_diameter_mm=20, behaviour=BASELINE))
    assert [question.name for question in found.missing] == ["spiculation"]
    assert [one.category for one in found.possible] == ["4B", "4X"]
    found = classify(Finding(kind=PART_SOLID, mean_diameter_mm=20, behaviour=BASELINE, spiculation=False))
    assert [question.name for question in found.missing] == ["solid_mean_diameter_mm"]
    assert [one.category for one in found.possible] == ["3", "4A", "4B"]


def test_every_row_has_advice_and_words_for_the_user():
    assert set(ADVICE) == set(Category)
    assert {name.split("-")[0] for name in RULES} == set(ORDER)
    assert len({rule.id for rule in RULES.values()}) == len(RULES)
    text = classify(nodule(SOLID, 7, BASELINE)).text
    assert text.startswith("The guideline says: category 3; low-dose CT in 6 months.")
    assert "solid ≥ 6 to < 8 mm" in text
    assert text.endswith("(Lung-RADS v2022, table). It gives a risk of malignancy of 1–2 %.")
    assert "risk" not in classify_exam(Exam(lungs_evaluable=False)).overall.text


def test_a_measured_nodule_is_a_finding():
    mask = NoduleMask(np.ones((1, 1, 1), dtype=np.float32), Grid((1, 1, 1), np.eye(4)))
    measured = Measurements(volume_mm3=180.0, long_axis_mm=8.0, short_axis_mm=6.0, mean_hu=20.0)
    found = of_nodule(Nodule(3, (0, 0, 0), 7.0, 0.9, "left", mask, measured), nodule_count=2)
    assert (found.id, found.mean_mm, found.volume_mm3, found.nodule_count, found.kind) == (3, 7.0, 180.0, 2, None)
    part_solid = Ratings(tuple(Grade(name, (0, 0, 1, 0, 0)) for name in RATINGS), calcification=0.1)
    rated = of_nodule(Nodule(3, (0, 0, 0), 7.0, 0.9, "left", mask, measured, part_solid))
    assert rated.kind is PART_SOLID


@pytest.mark.parametrize(
    ("sizes", "expected"), [((), "1"), ((3,), "2"), ((3, 9), "4A"), ((9, 7), "4A"), ((3, 7, 5), "3")]
)
def test_an_exam_has_the_category_of_its_worst_nodule(sizes, expected):
    exam = Exam(tuple(nodule(SOLID, mm, BASELINE) for mm in sizes))
    found = classify_exam(exam)
    assert found.label == expected
    assert classify_exam(replace(exam, other_finding=True)).label == f"{expected}S"
    assert len(found.findings) == len(sizes)


@pytest.mark.parametrize("reason", ["prior_being_located", "suspected_infection"])
def test_an_incomplete_exam_is_category_0_and_says_what_the_nodules_reach(reason):
    found = classify_exam(Exam((nodule(SOLID, 9, BASELINE),), other_finding=True, **{reason: True}))
    assert found.label == "0S"
    assert "4A" in found.overall.notes[0]
    assert classify_exam(Exam(**{reason: True})).overall.notes == ()


def test_lungs_that_cannot_be_evaluated_and_a_nodule_too_suspicious_for_infection():
    assert classify_exam(Exam(lungs_evaluable=False)).overall.rule.id == "LungRADS-0-lungs"
    large = nodule(SOLID, 9, NEW)
    assert classify_exam(Exam((large,), suspected_infection=True)).label == "4B"
    assert classify_exam(Exam((large,), prior_being_located=True)).label == "0"


@pytest.mark.parametrize(
    ("exam", "patient", "sign"),
    [
        (Exam(consolidation=True), Patient(), "consolidation"),
        (Exam((nodule(GGN, 5, NEW),) * 7), Patient(), "more than six"),
        (Exam((nodule(SOLID, 8, NEW),)), Patient(), "8 mm"),
        (Exam((nodule(GGN, 5, NEW),)), Patient(immunosuppressed=True), "immunocompromised"),
        (Exam((nodule(GGN, 5, NEW),) * 6), Patient(), ""),
        (Exam((nodule(SOLID, 7.9, NEW),)), Patient(immunosuppressed=False), ""),
        (Exam((nodule(SOLID, 8, BASELINE),)), Patient(immunosuppressed=True), ""),
    ],
)
def test_signs_of_infection_are_pointed_out(exam, patient, sign):
    notes = classify_exam(exam, patient).overall.notes
    assert sign in notes[0] if sign else notes == ()


def test_outside_screening_the_exam_says_so():
    exam = Exam((nodule(SOLID, 7, BASELINE),))
    for screening, count in ((False, 1), (True, 0), (None, 0)):
        assert len(classify_exam(exam, Patient(screening=screening)).overall.notes) == count


def test_an_exam_is_a_range_only_where_the_unknown_matters():
    unknown = replace(PLAIN, kind=SOLID, behaviour=BASELINE, mean_diameter_mm=9, spiculation=None)
    found = classify_exam(Exam((unknown, nodule(SOLID, 7, BASELINE))))
    assert isinstance(found, Range)
    assert (found.low.label, found.high.label) == ("4A", "4X")
    assert [question.name for question in found.missing] == ["spiculation"]
    settled = classify_exam(Exam((unknown, nodule(SOLID, 20, BASELINE, spiculation=True))))
    assert settled.label == "4X"
    assert isinstance(settled.findings[0], Range)


def test_a_category_that_there_is_not_is_refused():
    with pytest.raises(InputError, match="no Lung-RADS category '5'; use 0, 1, 2, 3, 4A, 4B, 4X"):
        classify(Finding(prior_category="5"))
