"""Mayo model: Swensen et al., Arch Intern Med 1997;157:849–855.

Made on solitary nodules of 4 to 30 mm on chest radiographs, without a cancer in the last five years.
The constant is -6.8272; some later papers print it with a digit wrong.
"""

from __future__ import annotations

from LungNoduleAILib.guidelines.answers import Range, Unknown, known, settle
from LungNoduleAILib.guidelines.findings import Finding
from LungNoduleAILib.guidelines.logistic import Risk, Term, check_risk_inputs, linear
from LungNoduleAILib.guidelines.patient import Patient

MODEL = "Mayo model"
SOURCE = "Swensen et al., Arch Intern Med 1997"


def probability(
    age: float, ever_smoked: bool, extrathoracic_cancer: bool, diameter_mm: float, spiculation: bool, upper_lobe: bool
) -> float:
    """Risk of malignancy, 0…1.

    Args:
        age: years, 18–110.
        extrathoracic_cancer: one outside the chest, more than five years ago.
        diameter_mm: longest diameter.

    Raises:
        InputError: a number is outside its range.
    """
    terms = _terms(age, ever_smoked, extrathoracic_cancer, diameter_mm, spiculation, upper_lobe)
    return Risk(MODEL, SOURCE, terms).probability


def risk(finding: Finding, patient: Patient) -> Risk | Range[Risk]:
    """Risk of malignancy with its terms; a range where inputs are not known."""
    return settle(decide, finding, patient, order=lambda found: found.logit, same=lambda found: found.logit)


def decide(finding: Finding, patient: Patient) -> Risk:
    """Risk of malignancy with its terms.

    Raises:
        Unknown: an input is not known.
    """
    if finding.longest_mm is None:
        raise Unknown("long_axis_mm")
    if patient.is_smoker is None:
        raise Unknown("ever_smoked")
    known(finding, "lobe")
    terms = _terms(
        known(patient, "age"),
        patient.is_smoker,
        known(patient, "extrathoracic_cancer"),
        finding.longest_mm,
        known(finding, "spiculation"),
        finding.in_upper_lobe,
    )
    notes = []
    if not 4 <= finding.longest_mm <= 30:
        notes.append("The model was made on nodules of 4 to 30 mm.")
    if finding.nodule_count is not None and finding.nodule_count > 1:
        notes.append("The model was made on solitary nodules.")
    return Risk(MODEL, SOURCE, terms, tuple(notes))


def _terms(
    age: float, ever_smoked: bool, extrathoracic_cancer: bool, diameter_mm: float, spiculation: bool, upper_lobe: bool
) -> tuple[Term, ...]:
    check_risk_inputs(age, diameter_mm)
    return (
        linear("constant", 1, -6.8272),
        linear("age", age, 0.0391),
        linear("ever smoked", int(ever_smoked), 0.7917),
        linear("extrathoracic cancer", int(extrathoracic_cancer), 1.3388),
        linear("diameter (mm)", diameter_mm, 0.1274),
        linear("spiculation", int(spiculation), 1.0407),
        linear("upper lobe", int(upper_lobe), 0.7838),
    )
