"""Fleischner Society 2017: incidental nodules in adults of 35 years or more.

MacMahon et al., Radiology 2017;284:228–243; measurement by Bankier et al., Radiology 2017;285:584–600.
Where the diameters are known they count, else the volume. A nodule that looks like an intrapulmonary lymph
node needs no follow-up by the text of the guideline, which names no largest size; here it is below 10 mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from LungNoduleAILib.guidelines.answers import Range, Recommendation, Rule, Unknown, known, settle
from LungNoduleAILib.guidelines.findings import Finding, Kind, Shape
from LungNoduleAILib.guidelines.limits import round_half_up
from LungNoduleAILib.guidelines.lymph_node import looks_like_lymph_node
from LungNoduleAILib.guidelines.patient import Patient

GUIDELINE = "Fleischner Society 2017"
LEAST_AGE = 35
_LYMPH_NODE_SHAPES = (Shape.OVAL, Shape.LENTIFORM, Shape.TRIANGULAR)
_LARGEST_LYMPH_NODE_MM = 10
_NONE = "no routine follow-up"
_THEN = "CT at 6 to 12 months, then {}CT at 18 to 24 months"
_SOON = "CT at 3 to 6 months, then {}CT at 18 to 24 months"
_LARGE = "consider CT at 3 months, PET/CT or tissue sampling"
# Name, rank, advice, what the rule is about, source.
_ROWS = (
    ("not-applicable", 0, "", "limits of the guideline", "introduction"),
    ("benign-pattern", 1, _NONE, "benign calcification or fat", "text on solid nodules"),
    ("lymph-node", 1, _NONE, "solid, smooth, like an intrapulmonary lymph node", "text on perifissural nodules"),
    ("solid-single-small-low", 1, _NONE, "single solid < 6 mm (100 mm³), low risk", "table 1A"),
    ("solid-single-small-high", 2, "optional CT at 12 months", "single solid < 6 mm (100 mm³), high risk", "table 1A"),
    (
        "solid-single-middle-low",
        3,
        _THEN.format("consider "),
        "single solid 6–8 mm (100–250 mm³), low risk",
        "table 1A",
    ),
    ("solid-single-middle-high", 4, _THEN.format(""), "single solid 6–8 mm (100–250 mm³), high risk", "table 1A"),
    ("solid-single-large", 8, _LARGE, "single solid > 8 mm (250 mm³)", "table 1A"),
    ("solid-multiple-small-low", 1, _NONE, "multiple solid < 6 mm (100 mm³), low risk", "table 1A"),
    ("solid-multiple-small-high", 2, "optional CT at 12 months", "multiple solid < 6 mm, high risk", "table 1A"),
    ("solid-multiple-large-low", 5, _SOON.format("consider "), "multiple solid ≥ 6 mm (100 mm³), low risk", "table 1A"),
    ("solid-multiple-large-high", 6, _SOON.format(""), "multiple solid ≥ 6 mm (100 mm³), high risk", "table 1A"),
    ("subsolid-single-small", 1, _NONE, "single ground glass or part-solid < 6 mm (100 mm³)", "table 1B"),
    (
        "ground-glass-single",
        3,
        "CT at 6 to 12 months to confirm that it persists, then CT every 2 years until 5 years",
        "single ground glass ≥ 6 mm (100 mm³)",
        "table 1B",
    ),
    (
        "part-solid-single",
        6,
        "CT at 3 to 6 months to confirm that it persists; if unchanged and the solid part stays < 6 mm, CT every "
        "year for 5 years",
        "single part-solid ≥ 6 mm (100 mm³), solid part < 6 mm",
        "table 1B",
    ),
    (
        "part-solid-single-large",
        7,
        "CT at 3 to 6 months to confirm that it persists; if it persists it is to be considered highly suspicious",
        "single part-solid ≥ 6 mm (100 mm³), solid part ≥ 6 mm",
        "table 1B",
    ),
    (
        "subsolid-multiple-small",
        5,
        "CT at 3 to 6 months; if stable, consider CT at 2 and 4 years",
        "multiple subsolid < 6 mm (100 mm³)",
        "table 1B",
    ),
    (
        "subsolid-multiple-large",
        6,
        "CT at 3 to 6 months; then by the most suspicious nodule",
        "multiple subsolid ≥ 6 mm (100 mm³)",
        "table 1B",
    ),
)
RULES = MappingProxyType(
    {name: (rank, advice, Rule(f"Fleischner-{name}", text, source)) for name, rank, advice, text, source in _ROWS}
)


def recommend(
    finding: Finding, patient: Patient, multiple: bool | None = None
) -> Recommendation | Range[Recommendation]:
    """What the guideline says of a nodule; that it does not apply, where it does not; a range where it hangs on
    what is not known.

    Args:
        multiple: whether there are more nodules, solid for a solid one and subsolid for a subsolid one; by
            the finding's ``nodule_count`` where it is not given.
    """
    return settle(
        lambda nodule, person: decide(nodule, person, multiple),
        finding,
        patient,
        order=lambda found: found.rank,
        same=lambda found: found.advice if found.applies else None,
    )


def recommend_each(findings: Sequence[Finding], patient: Patient) -> tuple[Recommendation | Range[Recommendation], ...]:
    """What the guideline says of each of a CT's nodules; ``most_urgent`` picks from them.

    Nodules whose kind is not known are taken as multiple where there is another nodule.
    """
    return tuple(
        recommend(finding, patient, multiple)
        for finding, multiple in zip(findings, are_multiple(findings), strict=True)
    )


def are_multiple(findings: Sequence[Finding]) -> tuple[bool, ...]:
    """Of each of a CT's nodules whether it is one of several, as ``recommend`` takes it."""
    solid = [finding.kind is Kind.SOLID for finding in findings]
    return tuple(
        len(findings) > 1 if finding.kind is None else solid.count(is_solid) > 1
        for finding, is_solid in zip(findings, solid, strict=True)
    )


def mean_diameter(long_axis_mm: float, short_axis_mm: float) -> int:
    """Mean of the long and the short axis in whole mm, halves up (Bankier et al., Radiology 2017)."""
    return int(round_half_up((long_axis_mm + short_axis_mm) / 2))


def risk_factors(finding: Finding, patient: Patient) -> tuple[str, ...]:
    """What is known that the guideline names as raising the risk; whether it is high is for the reader to say."""
    factors = {
        "smoking": patient.is_smoker,
        "exposure to asbestos, uranium or radon": patient.asbestos,
        "family history of lung cancer": patient.family_history,
        "emphysema": patient.emphysema,
        "pulmonary fibrosis": patient.fibrosis,
        "upper lobe": finding.in_upper_lobe,
        "spiculation": finding.spiculation,
    }
    return tuple(name for name, present in factors.items() if present)


def decide(finding: Finding, patient: Patient, multiple: bool | None = None) -> Recommendation:
    """What the guideline says of a nodule.

    Raises:
        Unknown: an input is not known.
    """
    limits = {
        f"the patient is younger than {LEAST_AGE} years": known(patient, "age") < LEAST_AGE,
        "the CT is of lung cancer screening": known(patient, "screening"),
        "the patient has or had a primary cancer": known(patient, "cancer_history"),
        "the patient is immunosuppressed": known(patient, "immunosuppressed"),
    }
    outside = [reason for reason, there in limits.items() if there]
    if outside:
        rank, _, rule = RULES["not-applicable"]
        return Recommendation(GUIDELINE, " and ".join(outside), rule, rank, applies=False)
    rank, advice, rule = RULES[_row(finding, patient, multiple)]
    return Recommendation(GUIDELINE, advice, rule, rank, notes=_notes(finding, patient, rule))


def _row(finding: Finding, patient: Patient, multiple: bool | None) -> str:
    if finding.has_benign_pattern:
        return "benign-pattern"
    kind = known(finding, "kind")
    if multiple is None:
        multiple = known(finding, "nodule_count") > 1
    number = "multiple" if multiple else "single"
    if kind is not Kind.SOLID:
        return _subsolid(finding, number)
    small = not _reaches(finding, 6, 100)
    if not small:
        below_ten = not _reaches(finding, _LARGEST_LYMPH_NODE_MM, 524)
        if below_ten and looks_like_lymph_node(finding, _LYMPH_NODE_SHAPES):
            return "lymph-node"
        if not multiple and _exceeds_eight(finding):
            return "solid-single-large"
    size = "small" if small else "large" if multiple else "middle"
    return f"solid-{number}-{size}-{'high' if known(patient, 'high_risk') else 'low'}"


def _subsolid(finding: Finding, number: str) -> str:
    small = not _reaches(finding, 6, 100)
    if number == "multiple" or small:
        return f"subsolid-{number}-{'small' if small else 'large'}"
    if finding.kind is Kind.GROUND_GLASS:
        return "ground-glass-single"
    # The longest diameter of the solid part counts; where only its mean or volume is known, that.
    longest = finding.solid_long_axis_mm if finding.solid_long_axis_mm is not None else finding.solid_mean_mm
    if longest is None and finding.solid_volume_mm3 is not None:
        large = finding.solid_volume_mm3 >= 113
    else:
        large = round_half_up(known(finding, "solid_long_axis_mm") if longest is None else longest) >= 6
    return "part-solid-single-large" if large else "part-solid-single"


def _reaches(finding: Finding, mm: int, mm3: float) -> bool:
    whole_mm = _whole_mm(finding)
    return whole_mm >= mm if whole_mm is not None else finding.volume_mm3 >= mm3


def _exceeds_eight(finding: Finding) -> bool:
    whole_mm = _whole_mm(finding)
    return whole_mm > 8 if whole_mm is not None else finding.volume_mm3 > 250


def _whole_mm(finding: Finding) -> float | None:
    """Mean diameter in whole mm; None where only the volume is known."""
    if finding.long_axis_mm is not None and finding.short_axis_mm is not None:
        return mean_diameter(finding.long_axis_mm, finding.short_axis_mm)
    if finding.mean_diameter_mm is not None:
        return round_half_up(finding.mean_diameter_mm)
    if finding.volume_mm3 is None:
        raise Unknown("mean_diameter_mm")
    return None


def _notes(finding: Finding, patient: Patient, rule: Rule) -> tuple[str, ...]:
    notes = []
    if rule.id.endswith(("-low", "-high")):
        factors = risk_factors(finding, patient)
        if factors:
            notes.append(f"Known risk factors: {', '.join(factors)}.")
    if rule.id == "Fleischner-subsolid-single-small":
        notes.append(
            "In certain suspicious nodules below 6 mm the guideline considers CT at 2 and 4 years; if a solid part or "
            "growth develops, resection."
        )
    if rule.id == "Fleischner-lymph-node":
        notes.append("With spiculation, a displaced fissure or a cancer in the history, CT at 6 to 12 months.")
    return tuple(notes)
