"""The sentences of a risk say each of its terms once, with what it does."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from LungNoduleAILib.explanation.risk import sentences
from LungNoduleAILib.guidelines import brock, mayo
from LungNoduleAILib.guidelines.findings import Finding, Kind, Lobe
from LungNoduleAILib.guidelines.logistic import Risk, Term, linear
from LungNoduleAILib.guidelines.patient import Patient


def of(*terms: Term) -> tuple[str, ...]:
    return sentences(Risk("model", "source", (linear("constant", 1, -2.0), *terms)))


def test_sentences_of_a_risk():
    found = of(
        linear("emphysema", 0, 0.3),
        Term("age", 70, 0.03, 0.24),
        Term("diameter (mm)", 14.2, -5.0, 1.3),
        Term("kind", "ground glass", -0.13, -0.13),
        linear("female", 1, 0.6),
        Term("number of nodules", 4, -0.08, 0.0),
    )
    assert found == (
        "The model starts at -2.00 log odds (11.92%).",
        "Diameter 14.2 mm adds 1.30 to the log odds.",
        "Female: yes adds 0.60 to the log odds.",
        "Age 70 adds 0.24 to the log odds.",
        "Kind: ground glass takes 0.13 from the log odds.",
        "No effect: emphysema: no, number of nodules 4.",
        "Together: 0.01 log odds, a risk of 50.2%.",
    )


def test_one_nodule_is_a_count_and_no_yes():
    [told] = [text for text in of(Term("number of nodules", 1, -0.0824, 0.2472)) if "nodules" in text]
    assert told == "Number of nodules 1 adds 0.25 to the log odds."


@given(st.lists(st.floats(-4, 4), max_size=8))
def test_what_is_added_and_taken_sums_to_the_logit(contributions):
    found = of(*(Term(f"input {n}", 2.5, 1.0, value) for n, value in enumerate(contributions)))
    amounts = [
        float(number) * (1 if verb == "adds" else -1)
        for verb, number in re.findall(r"(adds|takes) ([\d.]+)", " ".join(found))
    ]
    assert sum(amounts) - 2.0 == pytest.approx(sum(contributions) - 2.0, abs=0.05)
    assert sorted(map(abs, amounts), reverse=True) == list(map(abs, amounts))


@pytest.mark.parametrize("model", [brock, mayo])
def test_the_published_models_are_told(model):
    finding = Finding(
        1,
        kind=Kind.SOLID,
        long_axis_mm=14.2,
        short_axis_mm=12.0,
        lobe=Lobe.RIGHT_UPPER,
        nodule_count=1,
        spiculation=True,
    )
    patient = Patient(
        age=66, female=True, family_history=False, emphysema=True, ever_smoked=True, extrathoracic_cancer=False
    )
    estimate = model.risk(finding, patient)
    found = sentences(estimate)
    for term in estimate.terms[1:]:
        name = term.name.partition(" (")[0]
        assert sum(name.lower() in sentence.lower() for sentence in found) == 1
    assert found[-1].endswith(f"a risk of {estimate.probability:.1%}.")
