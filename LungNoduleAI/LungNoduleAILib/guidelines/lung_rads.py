"""Lung-RADS v2022: the category of a nodule on a CT of lung cancer screening.

American College of Radiology, Lung-RADS v2022; Christensen et al., J Am Coll Radiol 2024;21:473–488.
"""

from __future__ import annotations

from LungNoduleAILib.guidelines.answers import Range, Recommendation, Unknown, known, settle
from LungNoduleAILib.guidelines.findings import Airway, Behaviour, Cyst, CystChange, Finding, Kind, Shape
from LungNoduleAILib.guidelines.limits import round_half_up
from LungNoduleAILib.guidelines.lung_rads_table import ADVICE, GUIDELINE, RISK, RULES, VOLUMES_MM3, Category
from LungNoduleAILib.guidelines.lymph_node import looks_like_lymph_node
from LungNoduleAILib.guidelines.patient import Patient
from SegmentationAILib.errors import InputError

_SHAPES = (Shape.OVAL, Shape.LENTIFORM, Shape.TRIANGULAR)
_DOUBLED = "Ground glass that doubles in a year is a feature of category 4X, but only for nodules of category 3 or 4."
_NOT_GROWING = (Behaviour.STABLE, Behaviour.DECREASED)
_FIRST = (Behaviour.BASELINE, Behaviour.NEW)


def classify(finding: Finding) -> Recommendation | Range[Recommendation]:
    """The category of a nodule and what the guideline advises for it.

    Where the diameters are known they count, else the volume. Where inputs are not known and matter, a
    range with what to ask.

    Raises:
        InputError: the prior category is none of Lung-RADS.
    """
    if finding.prior_category is not None and finding.prior_category not in {c.value for c in Category}:
        raise InputError(
            f"There is no Lung-RADS category '{finding.prior_category}'; use {', '.join(c.value for c in Category)}."
        )
    return settle(decide, finding, Patient(), order=lambda found: found.rank, same=lambda found: found.category)


def mean_diameter(long_axis_mm: float, short_axis_mm: float) -> float:
    """Mean diameter in mm by Lung-RADS v2022, note 4.

    The axes are taken to one decimal, and so is their mean. The guideline does not say where a half goes;
    here it goes up, to the higher category.
    """
    return _rounded((round_half_up(long_axis_mm, 1) + round_half_up(short_axis_mm, 1)) / 2)


def decide(finding: Finding, _patient: Patient) -> Recommendation:
    """The category of a nodule.

    Raises:
        Unknown: an input is not known.
    """
    category, name = _row(finding)
    features = _features(finding) if category in ("3", "4A", "4B") else []
    if not features:
        doubled = category == "2" and finding.kind is Kind.GROUND_GLASS and finding.doubled_in_a_year
        return recommendation(category, name, (_DOUBLED,) if doubled else ())
    return recommendation("4X", "features", (f"{', '.join(features)}; category {category} without",))


def recommendation(category: str, name: str, notes: tuple[str, ...] = ()) -> Recommendation:
    """A row of the table as a recommendation."""
    category = Category(category)
    rule = RULES[f"{category.value}-{name}"]
    return Recommendation(GUIDELINE, ADVICE[category], rule, category.rank, category.value, RISK[category], notes=notes)


def _row(finding: Finding) -> tuple[str, str]:
    settled = (
        (finding.proven_benign, ("2", "proven-benign")),
        (finding.has_benign_pattern, ("1", "benign-pattern")),
        (finding.behaviour is Behaviour.RESOLVED, ("1", "resolved")),
    )
    for applies, row in settled:
        if applies:
            return row
    if finding.airway is not Airway.NONE:
        return _airway(finding)
    if finding.cyst not in (Cyst.NONE, Cyst.CAVITARY_NODULE):
        return _cyst(finding)
    # A cavitary nodule is measured as a whole and managed as solid (note 12).
    kind = Kind.SOLID if finding.cyst is Cyst.CAVITARY_NODULE else known(finding, "kind")
    return {Kind.SOLID: _solid, Kind.PART_SOLID: _part_solid, Kind.GROUND_GLASS: _ground_glass}[kind](finding)


def _solid(finding: Finding) -> tuple[str, str]:
    behaviour = known(finding, "behaviour")
    if behaviour is Behaviour.SLOWLY_GROWING:
        return "4B", "slow"
    if behaviour is Behaviour.GROWING:
        return ("4B", "solid-new-growing") if _at_least(finding, 8) else ("4A", "solid-growing")
    if behaviour is Behaviour.NEW:
        bands = ((8, "4B", "solid-new-growing"), (6, "4A", "solid-new"), (4, "3", "solid-new"), (0, "2", "solid-new"))
    else:
        bands = tuple((mm, category, "solid-baseline") for mm, category in ((15, "4B"), (8, "4A"), (6, "3"), (0, "2")))
    by_size = next((category, name) for mm, category, name in bands if _at_least(finding, mm))
    if by_size[0] != "2" and not _at_least(finding, 10) and _is_juxtapleural(finding):
        return "2", "juxtapleural"
    return by_size if behaviour in _FIRST else _without_growth(finding, by_size, (6, 8, 15))


def _part_solid(finding: Finding) -> tuple[str, str]:
    behaviour = known(finding, "behaviour")
    if Behaviour.SLOWLY_GROWING in (behaviour, finding.solid_behaviour):
        return "4B", "slow"
    if behaviour is Behaviour.BASELINE:
        return _part_solid_by_size(finding)
    if behaviour is Behaviour.NEW:
        if not _at_least(finding, 6):
            return "3", "part-solid-new"
    elif known(finding, "solid_behaviour") not in (Behaviour.NEW, Behaviour.GROWING):
        by_size = _part_solid_by_size(finding)
        return by_size if behaviour is Behaviour.GROWING else _without_growth(finding, by_size, (6,))
    return ("4B" if _at_least(finding, 4, solid=True) else "4A"), "part-solid-growing"


def _part_solid_by_size(finding: Finding) -> tuple[str, str]:
    if not _at_least(finding, 6):
        return "2", "part-solid-baseline"
    for mm, category in ((8, "4B"), (6, "4A")):
        if _at_least(finding, mm, solid=True):
            return category, "part-solid-baseline"
    return "3", "part-solid-baseline"


def _ground_glass(finding: Finding) -> tuple[str, str]:
    if not _at_least(finding, 30):
        return "2", "ground-glass"
    behaviour = known(finding, "behaviour")
    if behaviour in _FIRST:
        return "3", "ground-glass"
    return ("3", "ground-glass-growing") if behaviour is Behaviour.GROWING else ("2", "ground-glass-stable")


def _airway(finding: Finding) -> tuple[str, str]:
    if finding.secretions:
        return "2", "secretions"
    behaviour = known(finding, "behaviour")
    grew = behaviour in (Behaviour.GROWING, Behaviour.SLOWLY_GROWING)
    if finding.airway is Airway.SUBSEGMENTAL:
        return ("4A", "airway-growing") if grew else ("2", "airway")
    if grew or behaviour is Behaviour.STABLE:
        return "4B", "airway"
    names = {Behaviour.BASELINE: "airway", Behaviour.NEW: "airway-new", Behaviour.DECREASED: "airway-smaller"}
    return "4A", names[behaviour]


def _cyst(finding: Finding) -> tuple[str, str]:
    if finding.cyst in (Cyst.FLUID_CONTAINING, Cyst.ONE_OF_MANY):
        return "1", "unclassified-cyst"
    multilocular = finding.cyst is Cyst.MULTILOCULAR
    changed = {
        CystChange.BECAME_MULTILOCULAR: ("4A", "cyst-multilocular"),
        CystChange.GROWING_CYST: ("4B" if multilocular else "3", "cyst-growing"),
        CystChange.GROWING_WALL: ("4B", "cyst-opacity" if multilocular else "cyst-wall"),
        CystChange.MORE_LOCULATION_OR_OPACITY: ("4B", "cyst-opacity"),
    }
    if finding.cyst is Cyst.THIN_WALLED and finding.cyst_change is not CystChange.BECAME_MULTILOCULAR:
        return "1", "thin-cyst"
    if finding.cyst_change in changed:
        return changed[finding.cyst_change]
    at_first = ("4A", "cyst")
    return _without_growth(finding, at_first) if known(finding, "behaviour") in _NOT_GROWING else at_first


def _without_growth(finding: Finding, by_size: tuple[str, str], thresholds_mm: tuple[int, ...] = ()) -> tuple[str, str]:
    """Stepped management: what a nodule that did not grow steps down to, from its category before.

    A nodule that crossed a threshold of size is classified by its size even if it did not grow (note 5);
    the prior diameter tells, where it is known.
    """
    prior_mm = finding.prior_mean_diameter_mm
    if prior_mm is not None and any(_rounded(prior_mm) < mm and _at_least(finding, mm) for mm in thresholds_mm):
        return by_size
    prior = known(finding, "prior_category")
    if prior == "0":
        return by_size
    if prior in ("1", "2"):
        return "2", "stays"
    if prior in ("4B", "4X"):
        return "4B", "stays"
    # CTs are named by whole months; one that is two weeks early counts.
    months = round_half_up(known(finding, "months_since_prior"))
    if prior == "3":
        return ("2", "step-down") if months >= 6 else ("3", "stays")
    return ("3", "step-down") if months >= 3 else ("4A", "stays")


def _is_juxtapleural(finding: Finding) -> bool:
    return looks_like_lymph_node(finding, _SHAPES)


def _features(finding: Finding) -> list[str]:
    is_nodule = finding.airway is Airway.NONE and finding.cyst in (Cyst.NONE, Cyst.CAVITARY_NODULE)
    present = {
        "spiculation": is_nodule and known(finding, "spiculation"),
        "lymphadenopathy": finding.lymphadenopathy,
        "metastatic disease": finding.metastasis,
        "ground glass that doubled in a year": finding.kind is Kind.GROUND_GLASS and finding.doubled_in_a_year,
    }
    return [name for name, there in present.items() if there]


def _at_least(finding: Finding, mm: int, *, solid: bool = False) -> bool:
    """Whether the nodule, or its solid part, has at least that mean diameter, or the volume that stands for it."""
    part = "solid_" if solid else ""
    axes = (getattr(finding, f"{part}long_axis_mm"), getattr(finding, f"{part}short_axis_mm"))
    reported, volume = getattr(finding, f"{part}mean_diameter_mm"), getattr(finding, f"{part}volume_mm3")
    if None not in axes:
        return mean_diameter(*axes) >= mm
    if reported is not None:
        return _rounded(reported) >= mm
    if volume is not None:
        return round_half_up(volume) >= VOLUMES_MM3.get(mm, 0)
    raise Unknown(f"{part}mean_diameter_mm")


def _rounded(mm: float) -> float:
    return round_half_up(mm, 1)
