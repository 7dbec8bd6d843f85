"""From a CT's nodules to what guidelines and risk models say of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from LungNoduleAILib.followup.comparison import FollowUp
from LungNoduleAILib.guidelines import brock, bts, fleischner, herder, lung_rads, mayo
from LungNoduleAILib.guidelines.answers import Range, Recommendation
from LungNoduleAILib.guidelines.findings import Behaviour, Finding
from LungNoduleAILib.guidelines.logistic import Risk
from LungNoduleAILib.guidelines.patient import Patient
from LungNoduleAILib.nodule import Nodule
from LungNoduleAILib.nodule_finding import of_nodule


@dataclass(frozen=True)
class Assessment:
    """What guidelines and risk models say of one nodule; a range where inputs are missing."""

    finding: Finding
    lung_rads: Recommendation | Range[Recommendation]
    fleischner: Recommendation | Range[Recommendation]
    bts: Recommendation | Range[Recommendation]
    brock: Risk | Range[Risk]
    mayo: Risk | Range[Risk]
    herder: Risk | Range[Risk]


def assess(
    nodules: Sequence[Nodule],
    patient: Patient,
    follow_up: FollowUp | None = None,
    corrections: Mapping[int, Mapping[str, object]] | None = None,
    only: int | None = None,
) -> tuple[Assessment, ...]:
    """Assess the nodules of one CT.

    Args:
        nodules: of the current CT.
        patient: what is known of the patient.
        follow_up: what became of the nodules since a prior CT.
        corrections: attributes of ``Finding`` that the reader entered, by the nodule's id.
        only: id of the one nodule that is asked for, among the others.

    Returns:
        In the order of the nodules.

    Raises:
        InputError: a correction is out of range or contradicts another value.
    """
    findings = findings_of(nodules, follow_up, corrections)
    multiple = fleischner.are_multiple(findings)
    return tuple(
        _assessed(finding, patient, is_multiple)
        for finding, is_multiple in zip(findings, multiple, strict=True)
        if only is None or finding.id == only
    )


# A panel shows a nodule again after each decision, of which most leave it as it is.
@lru_cache(maxsize=1024)
def _assessed(finding: Finding, patient: Patient, is_multiple: bool) -> Assessment:
    return Assessment(
        finding,
        lung_rads.classify(finding),
        fleischner.recommend(finding, patient, is_multiple),
        bts.recommend(finding, patient),
        brock.risk(finding, patient),
        mayo.risk(finding, patient),
        herder.risk(finding, patient),
    )


def findings_of(
    nodules: Sequence[Nodule],
    follow_up: FollowUp | None = None,
    corrections: Mapping[int, Mapping[str, object]] | None = None,
) -> tuple[Finding, ...]:
    """What guidelines ask about each nodule, as ``assess`` takes it."""
    pairs = {pair.current.id: pair for pair in follow_up.pairs} if follow_up else {}
    new = {one.nodule.id for one in follow_up.new} if follow_up else set()
    found = []
    for nodule in nodules:
        if nodule.id in pairs:
            finding = pairs[nodule.id].finding(len(nodules))
        else:
            behaviour = Behaviour.BASELINE if follow_up is None else Behaviour.NEW if nodule.id in new else None
            finding = _measured(nodule, len(nodules), behaviour)
        said = (corrections or {}).get(nodule.id)
        found.append(replace(finding, **said) if said else finding)
    return tuple(found)


# All nodules of a CT are asked for again where one changes.
@lru_cache(maxsize=1024)
def _measured(nodule: Nodule, count: int, behaviour: Behaviour | None) -> Finding:
    return replace(of_nodule(nodule, count), behaviour=behaviour)
