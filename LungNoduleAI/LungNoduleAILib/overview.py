"""What a list of nodules tells at a glance, from a reading: the rows of the panel's table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from LungNoduleAILib.assessment import findings_of
from LungNoduleAILib.followup.comparison import FollowUp
from LungNoduleAILib.guidelines import brock, lung_rads
from LungNoduleAILib.guidelines.answers import Range
from LungNoduleAILib.guidelines.findings import Finding, Lobe
from LungNoduleAILib.guidelines.patient import Patient
from LungNoduleAILib.nodule import Nodule
from LungNoduleAILib.reading import Entry, Reading
from LungNoduleAILib.review import Verdict
from SegmentationAILib.engine.steps import Steps
from SegmentationAILib.errors import InputError

_RANGE = "\N{EN DASH}"


@dataclass(frozen=True)
class Row:
    """A nodule at a glance.

    Attributes:
        place: its lobe where that is known, else its lung and zone.
        kind: "" where it is not known.
        growth: change of the volume since the prior CT as a fraction; None without one.
        behaviour: since the prior CT, such as "new"; "" without one.
        lung_rads: its category, or the least and the most urgent: "2–3".
        brock: lowest and highest probability of malignancy for what is not known, 0…1; None where it does not apply.
        added: the reader found it, not the detector.
        remarks: sentences on its measurements.
    """

    id: int
    place: str
    mean_diameter_mm: float
    volume_mm3: float
    mean_hu: float
    kind: str
    growth: float | None
    behaviour: str
    score: float
    lung_rads: str
    brock: tuple[float, float] | None
    verdict: Verdict
    added: bool
    remarks: tuple[str, ...]


def rows_of(reading: Reading, follow_up: FollowUp | None = None) -> list[Row]:
    """A row for each nodule, in the order of the reading.

    Raises:
        InputError: a correction is out of range or contradicts another value.
    """
    found = _findings(reading, follow_up)
    growth = {pair.current.id: pair.volume_change for pair in follow_up.pairs} if follow_up else {}
    return [
        _row(one, found[one.nodule.id], reading.patient, growth.get(one.nodule.id), follow_up is not None)
        for one in reading.entries
    ]


def looking_ahead(reading: Reading, follow_up: FollowUp | None = None) -> Steps[None]:
    """Work out what takes longest of ``rows_of``, one nodule after the other, so that the rows are there at once."""
    for finding in _findings(reading, follow_up).values():
        yield
        _risk(finding, reading.patient)


def _findings(reading: Reading, follow_up: FollowUp | None) -> dict[int, Finding]:
    """By the nodules' ids; a rejected one is seen as if it were the only one."""
    kept = reading.kept
    found = {one.id: one for one in findings_of(kept, follow_up, reading.corrections)}
    others = [one for one in reading.nodules if one.id not in found]
    for one in others:
        [found[one.id]] = findings_of([one], follow_up, reading.corrections)
    return found


def place_of(nodule: Nodule, lobe: Lobe | None) -> str:
    """Its lobe, else its lung and zone, as far as they are known."""
    if lobe is not None:
        return f"{lobe.value} lobe"
    character = nodule.character
    zone = f"{character.zone} zone" if character is not None and character.zone else ""
    return ", ".join(part for part in (f"{nodule.lung} lung" if nodule.lung else "", zone) if part)


# A table asks for all nodules again where one changes.
@lru_cache(maxsize=1024)
def _row(one: Entry, finding: Finding, patient: Patient, growth: float | None, compared: bool) -> Row:
    nodule = one.nodule
    return Row(
        id=nodule.id,
        place=place_of(nodule, finding.lobe),
        mean_diameter_mm=nodule.measurements.mean_diameter_mm,
        volume_mm3=nodule.measurements.volume_mm3,
        mean_hu=nodule.measurements.mean_hu,
        kind=finding.kind.value if finding.kind else "",
        growth=growth,
        behaviour=finding.behaviour.value if compared and finding.behaviour else "",
        score=nodule.score,
        lung_rads=_category(replace(finding, nodule_count=None)),
        brock=_risk(finding, patient),
        verdict=one.decision.verdict,
        added=one.decision.added,
        remarks=_remarks(nodule),
    )


@lru_cache(maxsize=1024)
def _remarks(nodule: Nodule) -> tuple[str, ...]:
    character = nodule.character
    return (*(character.warnings if character else ()), *(nodule.ratings.text if nodule.ratings else ()))


# Lung-RADS does not count the others.
@lru_cache(maxsize=1024)
def _category(uncounted: Finding) -> str:
    answer = lung_rads.classify(uncounted)
    if not isinstance(answer, Range):
        return answer.category
    return _RANGE.join(dict.fromkeys((answer.low.category, answer.high.category)))


def _risk(finding: Finding, patient: Patient) -> tuple[float, float] | None:
    try:
        return brock.extremes(finding, patient)
    except InputError:
        return None
