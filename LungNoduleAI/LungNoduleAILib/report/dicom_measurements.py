"""What a report says of one nodule, as DICOM measurements and evaluations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from highdicom.sr import (
    CodedConcept,
    FindingSite,
    GraphicTypeValues3D,
    Measurement,
    QualitativeEvaluation,
    RelationshipTypeValues,
    Scoord3DContentItem,
)
from numpy.typing import NDArray
from pydicom.sr.coding import Code

from LungNoduleAILib.followup.change import Pair
from LungNoduleAILib.followup.comparison import FollowUp
from LungNoduleAILib.guidelines.answers import Range, Recommendation
from LungNoduleAILib.guidelines.logistic import Risk
from LungNoduleAILib.report import dicom_codes as codes
from LungNoduleAILib.report.content import ReportedNodule
from SegmentationAILib.volume import LPS_FROM_RAS

# Far below what can be measured, and well within the 16 characters of a DICOM number.
_DECIMALS = 4
_SAME_LENGTH_MM = 0.05


def measurements(one: ReportedNodule, follow_up: FollowUp | None) -> list[Measurement]:
    """Sizes, attenuation, score, risks and change of a nodule, those that are known, with UCUM units.

    Sizes are the reader's where there are some, else measured ones. What every nodule has comes first, since 3D Slicer
    heads the columns of its table by the first nodule's.
    """
    measured, finding, character = one.nodule.measurements, one.assessment.finding, one.nodule.character
    volume = finding.volume_mm3 or measured.volume_mm3
    mean_mm = finding.mean_mm or measured.mean_diameter_mm
    found = [
        _measurement(codes.VOLUME, volume, codes.CUBIC_MILLIMETRE),
        _measurement(codes.LONG_AXIS, finding.long_axis_mm or measured.long_axis_mm, codes.MILLIMETRE),
        _measurement(codes.SHORT_AXIS, finding.short_axis_mm or measured.short_axis_mm, codes.MILLIMETRE),
        _measurement(codes.AVERAGE_DIAMETER, mean_mm, codes.MILLIMETRE),
        _measurement(codes.ATTENUATION, measured.mean_hu, codes.HOUNSFIELD, derivation=codes.MEAN),
        _measurement(codes.SCORE, one.nodule.score, codes.RATIO),
        _measurement(codes.MASS, character.mass_mg if character else None, codes.MILLIGRAM),
        *(
            _measurement(name, 100 * risk.probability, codes.PERCENT)
            for name, risk in (
                (codes.BROCK, one.assessment.brock),
                (codes.MAYO, one.assessment.mayo),
                (codes.HERDER, one.assessment.herder),
            )
            if isinstance(risk, Risk)
        ),
        _measurement(codes.SOLID_VOLUME, finding.solid_volume_mm3, codes.CUBIC_MILLIMETRE),
        _measurement(codes.SOLID_LONG_AXIS, finding.solid_long_axis_mm, codes.MILLIMETRE),
        _measurement(codes.SOLID_SHORT_AXIS, finding.solid_short_axis_mm, codes.MILLIMETRE),
    ]
    pair = _pair(one, follow_up)
    if pair is not None:
        found += [
            _measurement(codes.DAYS_SINCE_PRIOR, pair.days, codes.DAY),
            _measurement(codes.VOLUME_CHANGE, 100 * pair.volume_change, codes.PERCENT),
            _measurement(codes.DIAMETER_CHANGE, pair.mean_diameter_change_mm, codes.MILLIMETRE),
            _measurement(codes.DOUBLING_TIME, pair.doubling.days, codes.DAY),
        ]
    return [one for one in found if one is not None]


def evaluations(one: ReportedNodule) -> list[QualitativeEvaluation]:
    """Attenuation type, calcification, behaviour, Lung-RADS and the reader's verdict, those that are known.

    A category that hangs on what is not known is written as the lowest and the highest that are possible.
    """
    finding = one.assessment.finding
    found = [
        (codes.ATTENUATION_TYPE, codes.KINDS.get(finding.kind)),
        (codes.CALCIFICATION, codes.CALCIFICATIONS[finding.calcification] if one.nodule.character else None),
        (codes.BEHAVIOUR, codes.BEHAVIOURS.get(finding.behaviour)),
        *lung_rads(one.assessment.lung_rads),
        (codes.REVIEW, codes.VERDICTS[one.decision.verdict]),
    ]
    return [QualitativeEvaluation(name, value) for name, value in found if value is not None]


def lung_rads(said: Recommendation | Range[Recommendation]) -> Iterator[tuple[Code, Code | None]]:
    """The category's concept and code, or both ends of a range's."""
    if isinstance(said, Range):
        yield codes.LUNG_RADS_LOWEST, codes.CATEGORIES.get(said.low.category)
        yield codes.LUNG_RADS_HIGHEST, codes.CATEGORIES.get(said.high.category)
    else:
        yield codes.LUNG_RADS, codes.CATEGORIES.get(said.category)


def finding_site(one: ReportedNodule) -> FindingSite:
    """The lobe, the lung where the lobe is not known, or lung at all."""
    lobe = one.assessment.finding.lobe
    place, side = codes.LOBES[lobe] if lobe is not None else (codes.LUNG, codes.SIDES.get(one.nodule.lung))
    return FindingSite(place, laterality=side)


def sentences(one: ReportedNodule, follow_up: FollowUp | None) -> list[str]:
    """What has no code: why a volume is unsure, and what became of the nodule."""
    character, pair = one.nodule.character, _pair(one, follow_up)
    found = list(character.warnings) if character else []
    if pair is not None:
        found.append(pair.sentence)
    elif follow_up is not None:
        found += [lone.sentence for lone in follow_up.new if lone.nodule.id == one.nodule.id]
    return found


def _pair(one: ReportedNodule, follow_up: FollowUp | None) -> Pair | None:
    pairs = follow_up.pairs if follow_up else ()
    return next((pair for pair in pairs if pair.current.id == one.nodule.id), None)


def _measurement(name: Code, value: float | None, unit: Code, derivation: Code | None = None) -> Measurement | None:
    if value is None:
        return None
    return Measurement(
        name=CodedConcept.from_code(name),
        value=round(float(value), _DECIMALS),
        unit=CodedConcept.from_code(unit),
        derivation=derivation,
    )


def places(one: ReportedNodule, frame_of_reference: str) -> list[Scoord3DContentItem]:
    """The nodule's centre and, where they were measured, both ends of its axes, in LPS."""
    found = [(codes.CENTRE, GraphicTypeValues3D.POINT, [one.nodule.centre_ras])]
    finding, character = one.assessment.finding, one.nodule.character
    if character is not None:
        axial = character.axial
        for name, reported, measured, ends in (
            (codes.LONG_AXIS, finding.long_axis_mm, axial.long_axis_mm, axial.long_axis_ras),
            (codes.SHORT_AXIS, finding.short_axis_mm, axial.short_axis_mm, axial.short_axis_ras),
        ):
            # A number that the reader entered has no ends.
            if reported is not None and abs(reported - measured) <= _SAME_LENGTH_MM:
                found.append((name, GraphicTypeValues3D.POLYLINE, ends))
    return [
        Scoord3DContentItem(
            name=name,
            graphic_type=graphic,
            graphic_data=lps(points),
            frame_of_reference_uid=frame_of_reference,
            relationship_type=RelationshipTypeValues.CONTAINS,
        )
        for name, graphic, points in found
    ]


def lps(ras: Sequence[Sequence[float]] | NDArray[np.float64]) -> NDArray[np.float64]:
    """LPS [n, 3] of points in RAS, mm."""
    return np.asarray(ras, dtype=np.float64) @ LPS_FROM_RAS[:3, :3]
