"""Brock (PanCan) models 2a and 2b: McWilliams et al., N Engl J Med 2013;369:910–919, table 2, full models.

Made on first-screening CTs of people who smoke or smoked, 50 to 75 years old. The diameter is the
longest one. The constant of 2b agrees with the form without centring in Eur Radiol 2019 (PMC6717521,
table 2). The models without the patient's history (1a, 1b) are not offered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

from LungNoduleAILib.guidelines.answers import Range, Unknown, known, settle
from LungNoduleAILib.guidelines.findings import Finding, Kind, Lobe
from LungNoduleAILib.guidelines.logistic import Risk, Term, check_risk_inputs, linear, probability_of
from LungNoduleAILib.guidelines.patient import Patient
from LungNoduleAILib.guidelines.questions import QUESTIONS
from SegmentationAILib.errors import InputError

SOURCE = "McWilliams et al., N Engl J Med 2013"
_CENTRE_AGE = 62
_CENTRE_COUNT = 4
# (4 mm / 10)^-0.5, as the paper prints it.
_CENTRE_SIZE = 1.58113883


@dataclass(frozen=True)
class _Coefficients:
    constant: float
    age: float
    female: float
    family_history: float
    emphysema: float
    size: float
    kind: Mapping[Kind, float]
    upper_lobe: float
    count: float
    spiculation: float | None


MODELS = MappingProxyType(
    {
        "2a": _Coefficients(
            constant=-6.8071,
            age=0.0321,
            female=0.5635,
            family_history=0.3013,
            emphysema=0.3462,
            size=-5.6693,
            kind={Kind.SOLID: 0.0, Kind.PART_SOLID: 0.3395, Kind.GROUND_GLASS: -0.3055},
            upper_lobe=0.7116,
            count=-0.0803,
            spiculation=None,
        ),
        "2b": _Coefficients(
            constant=-6.7892,
            age=0.0287,
            female=0.6011,
            family_history=0.2961,
            emphysema=0.2953,
            size=-5.3854,
            kind={Kind.SOLID: 0.0, Kind.PART_SOLID: 0.377, Kind.GROUND_GLASS: -0.1276},
            upper_lobe=0.6581,
            count=-0.0824,
            spiculation=0.7729,
        ),
    }
)


def probability(
    age: float,
    female: bool,
    family_history: bool,
    emphysema: bool,
    diameter_mm: float,
    kind: Kind | str,
    upper_lobe: bool,
    count: int,
    spiculation: bool,
    model: str = "2b",
) -> float:
    """Risk of malignancy, 0…1.

    Args:
        age: years, 18–110.
        family_history: of lung cancer.
        emphysema: on CT.
        diameter_mm: longest diameter.
        kind: solid, part-solid or ground glass.
        count: of all nodules on the CT.
        spiculation: model 2a takes no notice of it.
        model: "2a" or "2b".

    Raises:
        InputError: no such model or kind, or a number is outside its range.
    """
    terms = _terms(age, female, family_history, emphysema, diameter_mm, kind, upper_lobe, count, spiculation, model)
    return Risk(f"Brock model {model}", SOURCE, terms).probability


def risk(finding: Finding, patient: Patient, model: str = "2b") -> Risk | Range[Risk]:
    """Risk of malignancy with its terms; a range where inputs are not known.

    Raises:
        InputError: no such model.
    """
    _coefficients(model)
    return settle(
        lambda nodule, person: decide(nodule, person, model),
        finding,
        patient,
        order=lambda found: found.logit,
        same=lambda found: found.logit,
    )


def extremes(finding: Finding, patient: Patient, model: str = "2b") -> tuple[float, float]:
    """Lowest and highest risk, 0…1, as ``risk`` finds them: quick for many nodules, of which few change.

    The logit is a sum of what nodule, patient and count contribute, so that each is settled alone.

    Raises:
        InputError: as ``risk``.
    """
    nodule = _logits(replace(finding, nodule_count=_CENTRE_COUNT), _ONE_PATIENT, model)
    person = _logits(_ONE_NODULE, patient, model)
    known_twice = _logits(_ONE_NODULE, _ONE_PATIENT, model)
    counts = QUESTIONS["nodule_count"].plausible if finding.nodule_count is None else (finding.nodule_count,)
    shifts = [_coefficients(model).count * (one - _CENTRE_COUNT) for one in counts]
    ends = zip((min(shifts), max(shifts)), nodule, person, known_twice, strict=True)
    low, high = (probability_of(shift + a + b - c) for shift, a, b, c in ends)
    return low, high


def decide(finding: Finding, patient: Patient, model: str = "2b") -> Risk:
    """Risk of malignancy with its terms.

    Raises:
        Unknown: an input is not known.
    """
    if finding.longest_mm is None:
        raise Unknown("long_axis_mm")
    known(finding, "lobe")
    terms = _terms(
        known(patient, "age"),
        known(patient, "female"),
        known(patient, "family_history"),
        known(patient, "emphysema"),
        finding.longest_mm,
        known(finding, "kind"),
        finding.in_upper_lobe,
        known(finding, "nodule_count"),
        False if _coefficients(model).spiculation is None else known(finding, "spiculation"),
        model,
    )
    return Risk(f"Brock model {model}", SOURCE, terms, _notes(finding, patient))


# Each other's background where one of the two is settled alone; the count adds nothing at the centre.
_ONE_NODULE = Finding(
    kind=Kind.SOLID, long_axis_mm=10.0, lobe=Lobe.RIGHT_LOWER, spiculation=False, nodule_count=_CENTRE_COUNT
)
_ONE_PATIENT = Patient(age=_CENTRE_AGE, female=False, family_history=False, emphysema=False)


@lru_cache(maxsize=2048)
def _logits(finding: Finding, patient: Patient, model: str) -> tuple[float, float]:
    found = risk(finding, patient, model)
    ends = (found.low, found.high) if isinstance(found, Range) else (found, found)
    return ends[0].logit, ends[1].logit


def _terms(
    age: float,
    female: bool,
    family_history: bool,
    emphysema: bool,
    diameter_mm: float,
    kind: Kind | str,
    upper_lobe: bool,
    count: int,
    spiculation: bool,
    model: str,
) -> tuple[Term, ...]:
    check_risk_inputs(age, diameter_mm, count)
    by = _coefficients(model)
    try:
        kind = Kind(kind)
    except ValueError:
        raise InputError(f"There is no kind '{kind}'; use {', '.join(k.value for k in Kind)}.") from None
    size = (diameter_mm / 10) ** -0.5
    terms = [
        linear("constant", 1, by.constant),
        Term("age", age, by.age, by.age * (age - _CENTRE_AGE)),
        linear("female", int(female), by.female),
        linear("family history of lung cancer", int(family_history), by.family_history),
        linear("emphysema", int(emphysema), by.emphysema),
        Term("diameter (mm)", diameter_mm, by.size, by.size * (size - _CENTRE_SIZE)),
        Term("kind", kind.value, by.kind[kind], by.kind[kind]),
        linear("upper lobe", int(upper_lobe), by.upper_lobe),
        Term("number of nodules", count, by.count, by.count * (count - _CENTRE_COUNT)),
    ]
    if by.spiculation is not None:
        terms.append(linear("spiculation", int(spiculation), by.spiculation))
    return tuple(terms)


def _coefficients(model: str) -> _Coefficients:
    if model not in MODELS:
        raise InputError(f"There is no Brock model '{model}'; choose one of {', '.join(MODELS)}.")
    return MODELS[model]


def _notes(finding: Finding, patient: Patient) -> tuple[str, ...]:
    notes = []
    if patient.age is not None and not 50 <= patient.age <= 75:
        notes.append("The model was made on people 50 to 75 years old.")
    if patient.is_smoker is False:
        notes.append("The model was made on people who smoke or smoked.")
    if finding.long_axis_mm is None:
        notes.append("The longest diameter is not known; the mean diameter or that of a ball stands for it.")
    return tuple(notes)
