"""British Thoracic Society 2015: nodules in adults, whether incidental or found by screening.

Callister et al., Thorax 2015;70 (suppl 2):ii1–ii54, summary of recommendations. Sizes are longest diameters or
volumes; the guideline uses diameters where volumetry is not possible. A nodule at the pleura or a fissure is one
within 1 cm of it. Of several nodules the guideline assesses the largest.
"""

from __future__ import annotations

import math
from types import MappingProxyType

from LungNoduleAILib.guidelines import brock, herder
from LungNoduleAILib.guidelines.answers import Range, Recommendation, Rule, Unknown, known, settle
from LungNoduleAILib.guidelines.findings import Behaviour, Finding, Kind, Shape
from LungNoduleAILib.guidelines.growth import is_bts_growth
from LungNoduleAILib.guidelines.lymph_node import looks_like_lymph_node
from LungNoduleAILib.guidelines.patient import Patient

GUIDELINE = "BTS 2015"
BROCK_THRESHOLD = 0.10
HERDER_THRESHOLDS = (0.10, 0.70)
DOUBLING_TIMES_DAYS = (400, 600)
_LYMPH_NODE_SHAPES = (Shape.LENTIFORM, Shape.TRIANGULAR)
_GROWING = (Behaviour.GROWING, Behaviour.SLOWLY_GROWING)
_INITIAL = "initial assessment of the probability of malignancy"
_FOLLOW_UP, _SUBSOLID = "imaging follow-up", "management of sub-solid nodules"
_PET = "further imaging"
_DISCHARGE = "no further follow-up"
# Name, rank, advice, what the rule is about, source.
_ROWS = (
    ("benign-pattern", 1, _DISCHARGE, "diffuse, central, laminated or popcorn calcification, or fat", _INITIAL),
    ("lymph-node", 1, _DISCHARGE, "smooth solid lentiform or triangular at pleura or fissure, < 10 mm", _INITIAL),
    ("small", 1, _DISCHARGE, "< 5 mm or < 80 mm³", _INITIAL),
    ("5-mm", 2, "CT at 1 year", "solid 5 to < 6 mm", _INITIAL),
    ("6-mm", 4, "CT at 3 months", "solid 6 to < 8 mm or 80 to < 300 mm³", _INITIAL),
    ("brock-low", 5, "CT surveillance at 3 months and 1 year", "solid ≥ 8 mm or ≥ 300 mm³, Brock < 10 %", _INITIAL),
    (
        "brock-high",
        6,
        "PET-CT where the nodule is above its local size limit, then the Herder model",
        "solid ≥ 8 mm or ≥ 300 mm³, Brock ≥ 10 %",
        _PET,
    ),
    ("herder-low", 5, "CT surveillance at 3 months and 1 year", "Herder < 10 % after PET-CT", _PET),
    (
        "herder-middle",
        8,
        "image-guided biopsy; excision biopsy or CT surveillance by individual risk and preference",
        "Herder 10 to 70 % after PET-CT",
        _PET,
    ),
    (
        "herder-high",
        9,
        "surgical resection is the favoured option; non-surgical treatment for people who are not fit for surgery",
        "Herder > 70 % after PET-CT",
        _PET,
    ),
    ("subsolid", 4, "thin-section CT at 3 months", "subsolid ≥ 5 mm", _SUBSOLID),
    ("resolved", 1, _DISCHARGE, "the nodule is gone", _SUBSOLID),
    ("stable-volume", 1, _DISCHARGE, "volume changed by < 25 % after 1 year", _FOLLOW_UP),
    ("stable-diameter", 1, _DISCHARGE, "stable by diameter after 2 years", _FOLLOW_UP),
    ("stable-3-months", 3, "CT at 1 year from the first CT", "stable before 1 year", _FOLLOW_UP),
    ("stable-1-year", 3, "CT at 2 years from the first CT", "stable by diameter at 1 year", _FOLLOW_UP),
    ("grew-3-months", 4, "CT at 1 year from the first CT", "grew, doubling time ≥ 400 days, before 1 year", _FOLLOW_UP),
    (
        "vdt-slow",
        2,
        "consider discharge or ongoing CT surveillance, by the patient's preference",
        "grew, doubling time > 600 days at 1 year",
        _FOLLOW_UP,
    ),
    (
        "vdt-middle",
        7,
        "yearly CT surveillance or biopsy, by the patient's preference",
        "grew, doubling time 400 to 600 days at 1 year",
        _FOLLOW_UP,
    ),
    (
        "vdt-fast",
        8,
        "further diagnostic investigation: biopsy, imaging or resection",
        "clear growth, or doubling time < 400 days",
        _FOLLOW_UP,
    ),
    ("subsolid-4-years", 1, _DISCHARGE, "subsolid, stable on the last CT, at 4 years", _SUBSOLID),
    ("subsolid-low", 5, "CT at 1, 2 and 4 years from the first CT", "subsolid, stable, Brock < 10 %", _SUBSOLID),
    (
        "subsolid-high",
        6,
        "discuss observation with repeat CT, image-guided biopsy, or resection or non-surgical treatment",
        "subsolid, stable, Brock ≥ 10 % or of concerning morphology",
        _SUBSOLID,
    ),
    (
        "subsolid-grew",
        7,
        "consider resection or non-surgical treatment, or observation with CT after 6 months at most",
        "subsolid that grew by 2 mm or more in diameter",
        _SUBSOLID,
    ),
    (
        "solid-part-grew",
        8,
        "resection or non-surgical treatment is favoured over observation",
        "subsolid with a new or growing solid part",
        _SUBSOLID,
    ),
)
RULES = MappingProxyType(
    {name: (rank, advice, Rule(f"BTS-{name}", text, source)) for name, rank, advice, text, source in _ROWS}
)


def recommend(finding: Finding, patient: Patient) -> Recommendation | Range[Recommendation]:
    """What the guideline says of a nodule; a range where it hangs on what is not known.

    A nodule with a change of volume, a doubling time or a behaviour other than baseline or new is one in follow-up;
    its months are counted from the first CT, as the guideline counts them.
    """
    return settle(decide, finding, patient, order=lambda found: found.rank, same=lambda found: found.advice)


def decide(finding: Finding, patient: Patient) -> Recommendation:
    """What the guideline says of a nodule.

    Raises:
        Unknown: an input is not known.
    """
    name, notes = _row(finding, patient)
    rank, advice, rule = RULES[name]
    if patient.cancer_history:
        notes = (*notes, "The guideline says to consider a previous cancer in the assessment of risk.")
    return Recommendation(GUIDELINE, advice, rule, rank, notes=notes)


def _row(finding: Finding, patient: Patient) -> tuple[str, tuple[str, ...]]:
    if finding.has_benign_pattern:
        return "benign-pattern", ()
    if finding.behaviour is Behaviour.RESOLVED:
        return "resolved", ()
    in_follow_up = (
        finding.volume_change is not None
        or finding.doubling_time_days is not None
        or finding.behaviour not in (None, Behaviour.BASELINE, Behaviour.NEW)
    )
    if not in_follow_up and not _reaches(finding, 5, 80):
        return "small", ()
    if known(finding, "kind") is not Kind.SOLID:
        return _subsolid_follow_up(finding, patient) if in_follow_up else ("subsolid", ())
    return _solid_follow_up(finding) if in_follow_up else _solid(finding, patient)


def _solid(finding: Finding, patient: Patient) -> tuple[str, tuple[str, ...]]:
    if not _reaches(finding, 10, 524) and looks_like_lymph_node(finding, _LYMPH_NODE_SHAPES):
        return "lymph-node", ()
    if not _reaches(finding, 8, 300):
        return ("6-mm" if _reaches(finding, 6, 80) else "5-mm"), ()
    before = brock.decide(finding, patient)
    notes = (before.text, *before.notes)
    if before.probability < BROCK_THRESHOLD:
        return "brock-low", notes
    if finding.pet_uptake is None:
        return "brock-high", notes
    after = herder.decide(finding, patient)
    notes += (after.text, *after.notes)
    low, high = HERDER_THRESHOLDS
    if after.probability < low:
        return "herder-low", notes
    return ("herder-high" if after.probability > high else "herder-middle"), notes


def _solid_follow_up(finding: Finding) -> tuple[str, tuple[str, ...]]:
    days = finding.doubling_time_days
    by_volume = finding.volume_change is not None or days is not None
    if finding.volume_change is not None:
        grew = is_bts_growth(finding.volume_change)
    elif finding.behaviour is not None:
        grew = finding.behaviour in _GROWING
    else:
        grew = 0 < days < math.inf
    if grew:
        return _grew(finding), ()
    months = known(finding, "months_since_prior")
    if months < 12:
        return "stable-3-months", ()
    if by_volume:
        return "stable-volume", ()
    return ("stable-diameter" if months >= 24 else "stable-1-year"), ()


def _grew(finding: Finding) -> str:
    days = known(finding, "doubling_time_days")
    fast, slow = DOUBLING_TIMES_DAYS
    if days < fast:
        return "vdt-fast"
    if known(finding, "months_since_prior") < 12:
        return "grew-3-months"
    return "vdt-middle" if days <= slow else "vdt-slow"


def _subsolid_follow_up(finding: Finding, patient: Patient) -> tuple[str, tuple[str, ...]]:
    solid_part = finding.solid_behaviour
    if finding.kind is Kind.PART_SOLID:
        solid_part = known(finding, "solid_behaviour")
    if solid_part in (*_GROWING, Behaviour.NEW):
        return "solid-part-grew", ()
    if known(finding, "behaviour") in _GROWING:
        return "subsolid-grew", ()
    if known(finding, "months_since_prior") >= 48:
        return "subsolid-4-years", ()
    risk = brock.decide(finding, patient)
    name = "subsolid-low" if risk.probability < BROCK_THRESHOLD else "subsolid-high"
    return name, (risk.text, *risk.notes)


def _reaches(finding: Finding, mm: int, mm3: int) -> bool:
    if finding.volume_mm3 is not None:
        return finding.volume_mm3 >= mm3
    if finding.longest_mm is None:
        raise Unknown("long_axis_mm")
    return finding.longest_mm >= mm
