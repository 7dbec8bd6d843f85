"""Brock, Mayo and Herder: published forms, terms that add up, ranges where inputs are not known."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from LungNoduleAILib.guidelines import brock, herder, mayo
from LungNoduleAILib.guidelines.answers import Range, known, settle
from LungNoduleAILib.guidelines.findings import Finding, Kind, Lobe, Uptake
from LungNoduleAILib.guidelines.logistic import Risk
from LungNoduleAILib.guidelines.patient import Patient
from SegmentationAILib.errors import InputError

# Age, female, family history, emphysema, diameter, kind, upper lobe, count, spiculation; 2b and 2a in per cent,
# worked out from the published coefficients by hand.
BROCK = [
    ((62, 0, 0, 0, 4, "solid", 0, 4, 0), 0.1125, 0.1105),
    ((62, 0, 0, 0, 10, "solid", 0, 1, 0), 3.1912, 3.6560),
    ((62, 1, 0, 0, 10, "solid", 0, 1, 0), 5.6720, 6.2500),
    ((62, 1, 0, 0, 8, "solid", 1, 1, 0), 5.7933, 6.5033),
    ((65, 1, 0, 1, 8, "solid", 1, 1, 0), 8.2611, 9.7693),
    ((55, 0, 0, 0, 5, "solid", 0, 2, 0), 0.2661, 0.2665),
    ((50, 0, 0, 0, 6, "ground glass", 0, 3, 0), 0.3625, 0.3102),
    ((60, 0, 0, 0, 20, "solid", 1, 1, 1), 38.6657, 27.6148),
    ((70, 1, 1, 1, 15, "part-solid", 1, 1, 1), 69.1257, 57.1430),
    ((75, 1, 0, 1, 25, "solid", 1, 1, 1), 78.0321, 70.0729),
]
NODULE = Finding(
    kind=Kind.SOLID,
    long_axis_mm=12,
    short_axis_mm=9,
    lobe=Lobe.LEFT_UPPER,
    spiculation=False,
    nodule_count=2,
    pet_uptake=Uptake.FAINT,
)
PATIENT = Patient(
    age=66, female=True, family_history=False, emphysema=True, ever_smoked=True, extrathoracic_cancer=False
)
MODELS = (brock.risk, mayo.risk, herder.risk)

ages = st.floats(18, 110)
diameters = st.floats(1, 60)
flags = st.booleans()
brock_inputs = st.tuples(ages, flags, flags, flags, diameters, st.sampled_from(Kind), flags, st.integers(1, 50), flags)
mayo_inputs = st.tuples(ages, flags, flags, diameters, flags, flags)


@pytest.mark.parametrize(("inputs", "with_spiculation", "without"), BROCK)
def test_brock_gives_the_published_models(inputs, with_spiculation, without):
    assert brock.probability(*inputs) * 100 == pytest.approx(with_spiculation, abs=5e-5)
    assert brock.probability(*inputs, model="2a") * 100 == pytest.approx(without, abs=5e-5)


@given(brock_inputs)
@settings(deadline=None)
def test_brock_2b_agrees_with_its_form_without_centring(inputs):
    """Eur Radiol 2019 (PMC6717521), table 2."""
    age, female, family, emphysema, diameter, kind, upper, count, spiculation = inputs
    kinds = {Kind.SOLID: 0.0, Kind.PART_SOLID: 0.377, Kind.GROUND_GLASS: -0.1276}
    logit = (
        0.2761
        + 0.0287 * age
        + 0.6011 * female
        + 0.2961 * family
        + 0.2953 * emphysema
        - 5.3854 * (diameter / 10) ** -0.5
        + kinds[kind]
        + 0.6581 * upper
        - 0.0824 * count
        + 0.7729 * spiculation
    )
    found = brock.probability(*inputs)
    assert math.log(found / (1 - found)) == pytest.approx(logit, abs=2e-4)


@given(brock_inputs, diameters, ages, st.sampled_from(["2a", "2b"]))
@settings(deadline=None)
def test_brock_never_falls_with_size_or_age_nor_rises_with_count(inputs, diameter, age, model):
    def at(**changed):
        names = (
            "age",
            "female",
            "family_history",
            "emphysema",
            "diameter_mm",
            "kind",
            "upper_lobe",
            "count",
            "spiculation",
        )
        return brock.probability(**(dict(zip(names, inputs, strict=True)) | changed), model=model)

    small, large = sorted((inputs[4], diameter))
    young, old = sorted((inputs[0], age))
    assert at(diameter_mm=small) <= at(diameter_mm=large)
    assert at(age=young) <= at(age=old)
    assert at(count=inputs[7] + 1) < at()
    for factor in ("female", "family_history", "emphysema", "upper_lobe"):
        assert at(**{factor: False}) < at(**{factor: True})
    assert at(spiculation=False) <= at(spiculation=True)
    assert 0 < at() < 1


@pytest.mark.parametrize(
    ("inputs", "per_cent"),
    [
        ((60, 1, 0, 10, 0, 0), 8.20),
        ((70, 1, 0, 20, 1, 1), 74.54),
        ((50, 0, 0, 6, 0, 0), 1.62),
        ((65, 1, 1, 15, 0, 1), 63.17),
    ],
)
def test_mayo_gives_the_published_model(inputs, per_cent):
    assert mayo.probability(*inputs) * 100 == pytest.approx(per_cent, abs=5e-3)


@given(mayo_inputs, diameters, ages)
@settings(deadline=None)
def test_mayo_never_falls_with_size_age_or_a_risk_factor(inputs, diameter, age):
    def at(place, value):
        return mayo.probability(*inputs[:place], value, *inputs[place + 1 :])

    for place, other in ((0, age), (3, diameter)):
        low, high = sorted((inputs[place], other))
        assert at(place, low) <= at(place, high)
    for place in (1, 2, 4, 5):
        assert at(place, False) < at(place, True)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (0.1, (0.0125, 0.1143, 0.5615, 0.5990)),
        (0.5, (0.0525, 0.3609, 0.8486, 0.8673)),
        (0.9, (0.1951, 0.7120, 0.9608, 0.9662)),
    ],
)
def test_herder_gives_the_published_model(before, after):
    found = [herder.probability(before, uptake) for uptake in Uptake]
    assert found == pytest.approx(after, abs=5e-5)


@given(st.floats(0, 1), st.floats(0, 1))
@settings(deadline=None)
def test_herder_never_falls_with_the_mayo_probability_or_uptake(one, other):
    low, high = sorted((one, other))
    for uptake in Uptake:
        assert herder.probability(low, uptake) <= herder.probability(high, uptake)
    rising = [herder.probability(one, uptake) for uptake in Uptake]
    assert rising == sorted(rising)


@pytest.mark.parametrize("risk", MODELS)
def test_terms_add_up_to_the_logit(risk):
    found = risk(NODULE, PATIENT)
    assert isinstance(found, Risk)
    assert found.terms[0].name == "constant"
    logit = sum(term.contribution for term in found.terms)
    assert found.probability == pytest.approx(1 / (1 + math.exp(-logit)))
    assert len({term.name for term in found.terms}) == len(found.terms)
    assert f"{found.probability:.1%}" in found.text
    assert found.source in found.text


def test_a_term_says_what_it_contributes():
    terms = {term.name: term for term in brock.risk(NODULE, PATIENT).terms}
    assert terms["female"].contribution == terms["female"].coefficient == 0.6011
    assert terms["family history of lung cancer"].contribution == 0
    assert terms["age"].value == 66
    assert terms["age"].contribution == pytest.approx(4 * 0.0287)
    assert terms["constant"].coefficient == -6.7892
    assert terms["number of nodules"].contribution == pytest.approx(2 * 0.0824)


@pytest.mark.parametrize(
    ("model", "kind", "contribution"),
    [
        ("2a", Kind.PART_SOLID, 0.3395),
        ("2a", Kind.GROUND_GLASS, -0.3055),
        ("2b", Kind.PART_SOLID, 0.377),
        ("2b", Kind.GROUND_GLASS, -0.1276),
    ],
)
def test_the_kind_counts_against_solid(model, kind, contribution):
    solid = brock.risk(NODULE, PATIENT, model)
    other = brock.risk(replace(NODULE, kind=kind), PATIENT, model)
    assert other.logit - solid.logit == pytest.approx(contribution, abs=1e-9)


@pytest.mark.parametrize("risk", MODELS)
def test_a_known_case_is_what_the_function_of_numbers_gives(risk):
    before = mayo.probability(66, True, False, 12, False, True)
    expected = {
        brock.risk: brock.probability(66, True, False, True, 12, "solid", True, 2, False),
        mayo.risk: before,
        herder.risk: herder.probability(before, "faint"),
    }
    assert risk(NODULE, PATIENT).probability == pytest.approx(expected[risk])


def test_the_longest_diameter_counts_and_what_stands_for_it_is_said():
    assert brock.risk(NODULE, PATIENT).notes == ()
    assert brock.risk(NODULE, PATIENT) == brock.risk(replace(NODULE, short_axis_mm=4), PATIENT)
    by_mean = replace(NODULE, long_axis_mm=None, short_axis_mm=None, mean_diameter_mm=12)
    assert brock.risk(by_mean, PATIENT).probability == brock.risk(NODULE, PATIENT).probability
    assert "mean diameter" in brock.risk(by_mean, PATIENT).notes[0]
    by_volume = replace(NODULE, long_axis_mm=None, short_axis_mm=None, volume_mm3=math.pi * 12**3 / 6)
    assert brock.risk(by_volume, PATIENT).probability == pytest.approx(brock.risk(NODULE, PATIENT).probability)


def test_outside_the_people_it_was_made_on_the_model_says_so():
    notes = brock.risk(NODULE, replace(PATIENT, age=49, ever_smoked=False)).notes
    assert len(notes) == 2
    assert brock.risk(NODULE, replace(PATIENT, age=50)).notes == ()
    single = replace(NODULE, nodule_count=1, short_axis_mm=None)
    for mm, count in ((3.9, 1), (4, 0), (30, 0), (30.1, 1)):
        assert len(mayo.risk(replace(single, long_axis_mm=mm), PATIENT).notes) == count
        assert len(mayo.risk(replace(single, long_axis_mm=mm, nodule_count=2), PATIENT).notes) == count + 1


@pytest.mark.parametrize(
    ("risk", "name"),
    [
        *((brock.risk, n) for n in ("kind", "lobe", "spiculation", "nodule_count", "age", "female", "emphysema")),
        *((mayo.risk, n) for n in ("lobe", "spiculation", "age", "ever_smoked", "extrathoracic_cancer")),
        *((herder.risk, n) for n in ("pet_uptake", "ever_smoked")),
    ],
)
def test_what_is_not_known_is_asked_and_the_range_holds_the_truth(risk, name):
    truth = risk(NODULE, PATIENT).probability
    nodule, patient = NODULE, PATIENT
    if hasattr(patient, name):
        patient = replace(patient, **{name: None})
    else:
        nodule = replace(nodule, **{name: None})
    found = risk(nodule, patient)
    assert isinstance(found, Range)
    assert [question.name for question in found.missing] == [name]
    assert found.missing[0].text.endswith("?")
    assert found.low.probability <= truth <= found.high.probability
    assert found.low.probability < found.high.probability


@given(brock_inputs)
@settings(deadline=None)
def test_the_range_of_every_unknown_holds_every_case(inputs):
    age, female, family, emphysema, diameter, kind, upper, count, spiculation = inputs
    nodule = Finding(kind=kind, long_axis_mm=diameter, lobe=Lobe.LEFT_UPPER if upper else Lobe.LEFT_LOWER)
    found = brock.risk(nodule, Patient(female=female, age=age))
    truth = brock.probability(age, female, family, emphysema, diameter, kind, upper, min(count, 10), spiculation)
    assert found.low.probability - 1e-12 <= truth <= found.high.probability + 1e-12
    asked = [question.name for question in found.missing]
    assert asked == ["family_history", "emphysema", "nodule_count", "spiculation"]


def test_a_question_that_changes_nothing_is_not_asked():
    def decide(finding: Finding, patient: Patient) -> int:
        if known(patient, "female"):
            return 1
        # Asked on the way, without a difference.
        known(finding, "spiculation")
        return 2 + known(patient, "emphysema")

    found = settle(decide, Finding(), Patient(), order=float, same=int)
    assert (found.low, found.high, found.possible) == (1, 3, (1, 2, 3))
    assert [question.name for question in found.missing] == ["female", "emphysema"]
    found = settle(decide, Finding(), Patient(emphysema=True), order=float, same=int)
    assert [question.name for question in found.missing] == ["female"]
    assert settle(decide, Finding(), Patient(female=False, emphysema=True), order=float, same=int) == 3


def test_pack_years_say_whether_someone_smoked():
    for pack_years, smoked in ((0, False), (0.5, True)):
        patient = replace(PATIENT, ever_smoked=None, pack_years=pack_years)
        assert patient.is_smoker is smoked
        assert mayo.risk(NODULE, patient) == mayo.risk(NODULE, replace(PATIENT, ever_smoked=smoked))


@pytest.mark.parametrize("age", [17.9, 110.1, math.nan, math.inf, True, "60"])
def test_an_age_outside_18_to_110_is_refused(age):
    with pytest.raises(InputError, match=r"age is .*; enter a number from 18 to 110 years"):
        Patient(age=age)
    with pytest.raises(InputError, match="age"):
        mayo.probability(age, True, False, 10, False, False)
    assert mayo.probability(18, True, False, 10, False, False) < mayo.probability(110, True, False, 10, False, False)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"long_axis_mm": 0, "short_axis_mm": None}, "long axis of the nodule is 0"),
        ({"long_axis_mm": -3, "short_axis_mm": None}, "long axis"),
        ({"long_axis_mm": 301}, "0.1 to 300 mm"),
        ({"short_axis_mm": 12.1}, "short axis .* exceeds the nodule's long axis"),
        ({"mean_diameter_mm": 10}, "leave the mean out"),
        ({"short_axis_mm": None, "mean_diameter_mm": 13}, "mean diameter .* exceeds"),
        ({"long_axis_mm": None, "mean_diameter_mm": 8}, "short axis .* exceeds the nodule's mean"),
        ({"solid_mean_diameter_mm": 10.6}, "solid part's mean diameter"),
        ({"solid_long_axis_mm": 12, "solid_short_axis_mm": 9.1}, "solid part's mean diameter"),
        ({"solid_long_axis_mm": 12.1}, "solid part's long axis"),
        ({"volume_mm3": 100, "solid_volume_mm3": 101}, "solid part's volume"),
        ({"volume_mm3": math.nan}, "volume of the nodule"),
        ({"months_since_prior": -1}, "months since the prior CT"),
        ({"volume_change": -1.01}, "change of volume"),
        ({"doubling_time_days": 0}, "doubling time is 0 days"),
        ({"doubling_time_days": math.nan}, "doubling time"),
        ({"nodule_count": 0}, "number of nodules"),
        ({"prior_mean_diameter_mm": 0}, "prior mean diameter"),
    ],
)
def test_contradicting_measurements_are_refused(changed, words):
    with pytest.raises(InputError, match=words):
        replace(NODULE, **changed)


def test_other_bad_inputs_are_refused():
    with pytest.raises(InputError, match="no Brock model '1a'; choose one of 2a, 2b"):
        brock.risk(NODULE, PATIENT, model="1a")
    with pytest.raises(InputError, match="no kind 'hazy'"):
        brock.probability(60, 0, 0, 0, 10, "hazy", 0, 1, 0)
    with pytest.raises(InputError, match="number of nodules"):
        brock.probability(60, 0, 0, 0, 10, "solid", 0, 0, 0)
    with pytest.raises(InputError, match="no uptake 'bright'"):
        herder.probability(0.1, "bright")
    with pytest.raises(InputError, match="probability by the Mayo model"):
        herder.probability(1.1, "none")
    with pytest.raises(InputError, match="never smoked but has pack-years"):
        Patient(ever_smoked=False, pack_years=3)
    assert Patient(ever_smoked=True, pack_years=0).is_smoker


maybe = {
    "age": st.none() | ages,
    "female": st.none() | flags,
    "family_history": st.none() | flags,
    "emphysema": st.none() | flags,
}
seen = {
    "kind": st.none() | st.sampled_from(Kind),
    "lobe": st.none() | st.sampled_from(Lobe),
    "spiculation": st.none() | flags,
    "nodule_count": st.none() | st.integers(1, 300),
}


@settings(max_examples=40)
@given(diameters, st.fixed_dictionaries(seen), st.fixed_dictionaries(maybe), st.sampled_from(["2a", "2b"]))
def test_brocks_extremes_are_the_ends_of_its_range(diameter, nodule, patient, model):
    finding, person = Finding(long_axis_mm=diameter, **nodule), Patient(**patient)
    found = brock.risk(finding, person, model)
    ends = (found.low, found.high) if isinstance(found, Range) else (found, found)
    assert brock.extremes(finding, person, model) == pytest.approx([one.probability for one in ends], rel=1e-9)
