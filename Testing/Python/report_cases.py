"""Made-up but consistent contents of reports: nodules as balls in lungs of ellipsoids, on any grid."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import numpy as np
from panels import ratings

from LungNoduleAILib.assessment import assess
from LungNoduleAILib.character import Character, Diameters, SolidPart
from LungNoduleAILib.explanation.result import Explanation, Similar
from LungNoduleAILib.followup.change import lone_of, pair_of
from LungNoduleAILib.followup.comparison import FollowUp
from LungNoduleAILib.followup.growth import THIN_SLICES
from LungNoduleAILib.followup.lung_registration import LungRegistration
from LungNoduleAILib.guidelines.findings import Calcification, Kind, Lobe
from LungNoduleAILib.guidelines.lung_rads_exam import Exam, classify_exam
from LungNoduleAILib.guidelines.patient import Patient
from LungNoduleAILib.nodule import Measurements, Nodule, NoduleMask
from LungNoduleAILib.report.content import ReportContent, ReportedNodule
from LungNoduleAILib.report.document import Document, Section, Sentences, Table
from LungNoduleAILib.review import Decision, Verdict
from SegmentationAILib.engine.task import Task
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.organs import LUNG_STRUCTURES
from SegmentationAILib.volume import DicomSource, Grid, Volume

TISSUE_HU, LUNG_HU = 40.0, -860.0
LUNG_CENTRES = {1: (60.0, 0.0, 0.0), 2: (-60.0, 0.0, 0.0)}
LUNG_RADII = (45.0, 60.0, 80.0)
# What a report must not tell.
NAME, STUDY, SERIES = "DOE^JANE 4711", "1.2.840.99.1", "1.2.840.99.2"
AT = datetime(2026, 11, 21, 16, 31, tzinfo=timezone(timedelta(hours=1)))
WARNING = "The dose was so low that noise hides what is fainter than −600 HU; this is made up."
BALLS = (
    ((60.0, 20.0, 30.0), 18.0),
    ((-60.0, -15.0, -20.0), 12.0),
    ((55.0, -25.0, 10.0), 7.0),
    ((-70.0, 10.0, 30.0), 5.0),
)


def points_of(grid: Grid) -> np.ndarray:
    """[k, j, i, 3] RAS of the voxels."""
    return grid.ras(np.moveaxis(np.indices(grid.shape)[::-1], 0, -1))


def ball_nodule(
    number: int, centre: tuple[float, float, float], diameter: float, grid: Grid, box_mm: float = 1.0
) -> Nodule:
    """A ball's mask in a box of small voxels along the grid's axes, with its true measurements."""
    side = 2 * int(np.ceil((diameter / 2 + 4) / box_mm)) + 1
    matrix = np.eye(4)
    matrix[:3, :3] = grid.directions * box_mm
    matrix[:3, 3] = np.array(centre) - matrix[:3, :3] @ np.full(3, (side - 1) / 2)
    box = Grid((side, side, side), matrix)
    distance = np.linalg.norm(points_of(box) - centre, axis=-1)
    occupancy = np.clip((diameter / 2 - distance) / box_mm + 0.5, 0, 1).astype(np.float32)
    measured = Measurements(np.pi / 6 * diameter**3, diameter + 0.4, diameter - 0.4, TISSUE_HU)
    lung = "right" if centre[0] > 0 else "left"
    return Nodule(
        number, centre, diameter, 1 / (number + 0.25), lung, NoduleMask(occupancy, box), measured, ratings(5, 3, 0.1)
    )


def chest_ct(grid: Grid, nodules: tuple[Nodule, ...]) -> tuple[Volume, LabelMap]:
    """Two lungs with the nodules, and the lungs' labels."""
    points = points_of(grid)
    labels = np.zeros(grid.shape, np.uint8)
    for value, centre in LUNG_CENTRES.items():
        labels[np.linalg.norm((points - centre) / LUNG_RADII, axis=-1) <= 1] = value
    hu = np.where(labels > 0, LUNG_HU, TISSUE_HU)
    for nodule in nodules:
        hu[np.linalg.norm(points - nodule.centre_ras, axis=-1) <= nodule.diameter_mm / 2] = TISSUE_HU
    source = DicomSource(STUDY, SERIES, "1.2.840.99.3")
    volume = Volume(hu.astype(np.int16), grid, NAME, "CT", source, ("1 duplicate slice is left out.",))
    return volume, LabelMap(labels, grid, LUNG_STRUCTURES)


def whole_grid(spacing: float = 3.0) -> Grid:
    matrix = np.diag([-spacing, -spacing, spacing, 1.0])
    size = np.array([240, 150, 190]) / spacing
    matrix[:3, 3] = -matrix[:3, :3] @ ((size - 1) / 2)
    return Grid(tuple(size.astype(int)[::-1]), matrix)


def character_of(nodule: Nodule, kind: Kind, lobe: Lobe | None) -> Character:
    centre, measured = np.array(nodule.centre_ras), nodule.measurements

    def diameters(long_axis: float, short_axis: float) -> Diameters:
        along, across = np.array([long_axis / 2, 0, 0]), np.array([0, short_axis / 2, 0])
        ends = [tuple(map(float, centre + way)) for way in (-along, along, -across, across)]
        return Diameters(long_axis, short_axis, (ends[0], ends[1]), (ends[2], ends[3]))

    whole = diameters(measured.long_axis_mm, measured.short_axis_mm)
    solid = None if kind is Kind.SOLID else SolidPart(measured.volume_mm3 / 4, diameters(7.1, 6.3))
    return Character(
        (0.8 * measured.volume_mm3, 1.25 * measured.volume_mm3), whole, diameters(nodule.diameter_mm + 1.3, 5.0), solid,
        kind, Calcification.NONE, False, 1.04 * measured.volume_mm3, lobe, "upper", 6.7, False, None, True, 0.37, 0.21,
        False, False, ("The slices are 3 mm apart.",),
    )  # fmt: skip


def explanation_of(nodule: Nodule) -> Explanation:
    """Above 0 inside the nodule, below 0 in a shell around it."""
    grid = nodule.mask.grid
    distance = np.linalg.norm(points_of(grid) - nodule.centre_ras, axis=-1)
    radius = nodule.diameter_mm / 2
    influence = np.where(distance < radius, 2.31, np.where(distance < radius + 3, -0.77, 0.0)).astype(np.float32)
    picture = np.tile(np.arange(0, 240, 5, dtype=np.uint8), (48, 1))
    similar = tuple(Similar(f"LIDC-IDRI-000{n}", 0.5 * n, 9.0 + n, "solid, indeterminate", picture) for n in (1, 2, 3))
    return Explanation(influence, grid, similar)


def bare_content() -> ReportContent:
    """Nodules as a detector hands them on; nothing is known of the patient."""
    nodules = tuple(ball_nodule(n, *ball, whole_grid()) for n, ball in enumerate(BALLS[:2], start=1))
    return _content(nodules, Patient())


def empty_content() -> ReportContent:
    return _content((), Patient(screening=True))


def full_content() -> ReportContent:
    """All that can be known: character, explanation, decisions, a prior CT; nodule 4 is rejected."""
    grid = whole_grid()
    kinds = ((Kind.PART_SOLID, Lobe.RIGHT_UPPER), (Kind.SOLID, Lobe.LEFT_LOWER), (Kind.SOLID, None), (Kind.SOLID, None))
    nodules = tuple(ball_nodule(n, *ball, grid) for n, ball in enumerate(BALLS, start=1))
    nodules = tuple(replace(n, character=character_of(n, *kind)) for n, kind in zip(nodules, kinds, strict=True))
    follow_up, prior = _follow_up(nodules, grid)
    patient = Patient(
        age=63, female=True, pack_years=30, family_history=False, emphysema=True, extrathoracic_cancer=False,
        screening=True,
    )  # fmt: skip
    decisions = (
        Decision(Verdict.ACCEPTED, AT, edited=True),
        Decision(Verdict.ACCEPTED, AT, added=True),
        Decision(),
        Decision(Verdict.REJECTED, AT),
    )
    corrections = {1: {"spiculation": True}, 2: {"spiculation": False, "prior_category": "3"}}
    return _content(nodules, patient, decisions, corrections, follow_up, prior, warnings=(WARNING,))


def _content(nodules, patient, decisions=None, corrections=None, follow_up=None, prior=None, **others) -> ReportContent:
    volume, lungs = chest_ct(whole_grid(), nodules)
    assessments = assess(nodules, patient, follow_up, corrections)
    decisions = decisions or (Decision(),) * len(nodules)
    reported = tuple(
        ReportedNodule(
            nodule, assessment, decision, f"2.25.{nodule.id}", explanation_of(nodule) if nodule.character else None
        )
        for nodule, assessment, decision in zip(nodules, assessments, decisions, strict=True)
    )
    kept = tuple(one.assessment.finding for one in reported if one.decision.verdict is not Verdict.REJECTED)
    exam = classify_exam(Exam(kept, other_finding=bool(nodules)), patient)
    task = Task("nodules", {"threshold": 0.05}, "cpu")
    return ReportContent(volume, lungs, reported, patient, exam, task, "ab" * 32, AT, follow_up, prior, **others)


def _follow_up(nodules: tuple[Nodule, ...], grid: Grid) -> tuple[FollowUp, Volume]:
    """Nodules 1 and 2 were there, smaller; 3 is new, 4 lies outside the prior CT; one is gone."""
    earlier = tuple(ball_nodule(n, BALLS[n - 1][0], 0.85 * BALLS[n - 1][1], grid) for n in (1, 2))
    gone = ball_nodule(3, (65.0, 30.0, -20.0), 8.0, grid)
    prior, _ = chest_ct(grid, (*earlier, gone))
    fit = LungRegistration(
        np.eye(4), np.zeros((3, 2, 2, 2), np.float32), Grid((2, 2, 2), np.diag([100.0, 100.0, 100.0, 1.0])),
        0.97, 0.9, 1.1, 0.88, 0.0, (1.0, 1.0), ("right", "left"),
    )  # fmt: skip
    pairs = (
        pair_of(nodules[0], earlier[0], 0.4, 190, THIN_SLICES),
        pair_of(nodules[1], earlier[1], 0.6, 190, None),
    )
    new = (lone_of(nodules[2], nodules[2].centre_ras, True, is_current=True),)
    resolved = (lone_of(gone, gone.centre_ras, True, is_current=False),)
    unseen = (lone_of(nodules[3], nodules[3].centre_ras, False, is_current=True),)
    return FollowUp(190, fit, pairs, new, resolved, unseen, ("Both CTs have thick slices.",)), prior


def sections(document: Document | Section) -> list[Section]:
    """All sections, with those inside others."""
    return [one for section in document.sections for one in (section, *sections(section))]


def words(document: Document) -> list[str]:
    """Every piece of text of a document, in order; those of the pictures themselves aside."""
    found = [document.title, document.subtitle, document.use]
    for section in sections(document):
        found.append(section.title)
        for block in section.blocks:
            if isinstance(block, Sentences):
                found += [block.before, *block.items]
            elif isinstance(block, Table):
                found += [block.caption, *block.header, *(part for row in block.rows for part in row)]
            else:
                found += [*(picture.title for picture in block.pictures), *block.notes, block.caption]
    return [part for text in found for part in text.split("\n") if part]
