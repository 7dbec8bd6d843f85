"""Herder model, the Mayo model with FDG uptake: Herder et al., Chest 2005;128:2490–2496.

The BTS guideline (2015) reads the uptake on a scale of four: none is that of background lung, faint up
to that of the mediastinal blood pool, moderate above it, intense markedly above it.
"""

from __future__ import annotations

from types import MappingProxyType

from LungNoduleAILib.guidelines import mayo
from LungNoduleAILib.guidelines.answers import Range, known, settle
from LungNoduleAILib.guidelines.findings import Finding, Uptake
from LungNoduleAILib.guidelines.limits import check_number
from LungNoduleAILib.guidelines.logistic import Risk, Term, linear
from LungNoduleAILib.guidelines.patient import Patient
from SegmentationAILib.errors import InputError

MODEL = "Herder model"
SOURCE = "Herder et al., Chest 2005"
UPTAKE = MappingProxyType({Uptake.NONE: 0.0, Uptake.FAINT: 2.322, Uptake.MODERATE: 4.617, Uptake.INTENSE: 4.771})


def probability(mayo_probability: float, uptake: Uptake | str) -> float:
    """Risk of malignancy, 0…1.

    Args:
        mayo_probability: what the Mayo model gives, 0…1.
        uptake: none, faint, moderate or intense.

    Raises:
        InputError: the probability is not in 0…1, or there is no such uptake.
    """
    return Risk(MODEL, SOURCE, _terms(mayo_probability, uptake)).probability


def risk(finding: Finding, patient: Patient) -> Risk | Range[Risk]:
    """Risk of malignancy with its terms; a range where inputs are not known."""
    return settle(decide, finding, patient, order=lambda found: found.logit, same=lambda found: found.logit)


def decide(finding: Finding, patient: Patient) -> Risk:
    """Risk of malignancy with its terms.

    Raises:
        Unknown: an input is not known.
    """
    before = mayo.decide(finding, patient)
    return Risk(MODEL, SOURCE, _terms(before.probability, known(finding, "pet_uptake")), before.notes)


def _terms(mayo_probability: float, uptake: Uptake | str) -> tuple[Term, ...]:
    check_number("probability by the Mayo model", mayo_probability, 0, 1)
    try:
        uptake = Uptake(uptake)
    except ValueError:
        raise InputError(f"There is no uptake '{uptake}'; use {', '.join(u.value for u in Uptake)}.") from None
    return (
        linear("constant", 1, -4.739),
        linear("probability by the Mayo model", mayo_probability, 3.691),
        Term("FDG uptake", uptake.value, UPTAKE[uptake], UPTAKE[uptake]),
    )
