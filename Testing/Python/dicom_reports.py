"""Small CTs with nodules, their DICOM series, and what a report tells of them."""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from dicom_writer import Identity, write_series
from geometry import oblique_grid
from pydicom.uid import generate_uid
from rt_phantoms import AXIAL, SAGITTAL, axial_grid, ball

from LungNoduleAILib.assessment import assess
from LungNoduleAILib.character import Character, Diameters, SolidPart
from LungNoduleAILib.guidelines.findings import Calcification, Kind, Lobe
from LungNoduleAILib.guidelines.lung_rads_exam import Exam, classify_exam
from LungNoduleAILib.guidelines.patient import Patient
from LungNoduleAILib.nodule import Measurements, Nodule, NoduleMask
from LungNoduleAILib.report.content import ReportContent, ReportedNodule
from LungNoduleAILib.review import Decision
from SegmentationAILib import files
from SegmentationAILib.engine.task import Task
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.organs import LUNG_STRUCTURES
from SegmentationAILib.volume import Grid, Volume

SHAPE = (12, 40, 44)
SPACING = (0.9, 1.1, 3.0)
GRIDS = {
    "axial": axial_grid(),
    "from the feet": oblique_grid(((0, 1, 2), (-1, -1, -1)), spacing=SPACING, shape=SHAPE),
    "oblique": oblique_grid(AXIAL, angles_deg=(12, -9, 20), spacing=SPACING, shape=SHAPE),
    "sagittal": oblique_grid(SAGITTAL, spacing=SPACING, shape=SHAPE),
    "one slice": axial_grid(shape=(1, 40, 44)),
}
# Share of the grid along k, j, i, and the radius in mm; the first two touch.
NODULES = ((0.5, 0.45, 0.5, 6.0), (0.5, 0.7, 0.5, 6.0), (0.4, 0.3, 0.2, 2.5))
MADE_AT = datetime(2026, 3, 4, 15, 30, 12, tzinfo=timezone.utc)
PATIENT_ID = "ThoraxAI-1"


def report_of(
    folder: Path,
    grid: Grid | None = None,
    places: Sequence[tuple[float, float, float, float]] = NODULES,
    **header: object,
) -> ReportContent:
    """Write a series and make up a report of it: one ball for each place."""
    grid = grid or GRIDS["axial"]
    identity = Identity(
        series_uid=str(generate_uid(None)),
        extra={
            "StudyInstanceUID": str(generate_uid(None)),
            "FrameOfReferenceUID": str(generate_uid(None)),
            "PatientID": PATIENT_ID,
            "PatientBirthDate": "19500101",
            "PatientSex": "F",
            "StudyDate": "20260301",
            "StudyTime": "090000",
            "StudyID": "7",
            "AcquisitionDate": "20260302",
            "Manufacturer": "A scanner",
            **header,
        },
    )
    hu = np.full(grid.shape, -850)
    for k, j, i, radius in places:
        hu[ball(grid, _kji(grid, (k, j, i)), radius)] = -20
    write_series(folder, hu, grid, identity=identity)
    volume = files.load(folder)
    return content_of(volume, [ball_nodule(n, volume.grid, one) for n, one in enumerate(places, start=1)])


def content_of(
    volume: Volume,
    nodules: Sequence[Nodule],
    patient: Patient | None = None,
    corrections: Mapping[int, Mapping[str, object]] | None = None,
) -> ReportContent:
    """A report on nodules that nobody has reviewed."""
    patient = patient or Patient()
    assessments = assess(nodules, patient, corrections=corrections)
    labels = np.zeros(volume.shape, dtype=np.uint8)
    half = volume.shape[2] // 2
    labels[:, 2:-2, 2:half], labels[:, 2:-2, half:-2] = 1, 2
    return ReportContent(
        volume=volume,
        lungs=LabelMap(labels, volume.grid, LUNG_STRUCTURES),
        nodules=tuple(
            ReportedNodule(nodule, said, Decision(), str(generate_uid(None)))
            for nodule, said in zip(nodules, assessments, strict=True)
        ),
        patient=patient,
        exam=classify_exam(Exam(tuple(one.finding for one in assessments)), patient),
        task=Task("nodules", {"threshold": 0.1}, "cpu"),
        model_hash="0123456789abcdef" * 4,
        made_at=MADE_AT,
        warnings=("Slices of 3 mm make volumes unsure (± 25 %, mm³).",),
    )


def with_character(content: ReportContent) -> ReportContent:
    """All that can be said of the first nodule: a lobe, a kind, a solid part, axes with their ends."""
    nodule = content.nodules[0].nodule
    measured, centre = nodule.measurements, np.array(nodule.centre_ras)
    ends = []
    for axis, length in ((0, measured.long_axis_mm), (1, measured.short_axis_mm)):
        half = np.eye(3)[axis] * length / 2
        ends.append((tuple(centre - half), tuple(centre + half)))
    axial = Diameters(measured.long_axis_mm, measured.short_axis_mm, *ends)
    solid = Diameters(4.0, 3.0, *ends)
    character = Character(
        volume_95_mm3=(0.8 * measured.volume_mm3, 1.25 * measured.volume_mm3),
        axial=axial,
        best_plane=axial,
        solid_part=SolidPart(60.0, solid),
        kind=Kind.PART_SOLID,
        calcification=Calcification.NONE,
        fat=False,
        mass_mg=0.98 * measured.volume_mm3,
        lobe=Lobe.RIGHT_UPPER,
        zone="upper",
        pleura_mm=12.0,
        juxtapleural=False,
        perifissural=False,
        juxtavascular=False,
        spiculation=0.1,
        lobulation=0.2,
        at_edge=False,
        reliable=True,
    )
    nodules = [replace(nodule, character=character), *(one.nodule for one in content.nodules[1:])]
    patient = Patient(age=66, female=True, family_history=False, emphysema=False)
    return content_of(content.volume, nodules, patient, {1: {"spiculation": False}})


def dcmqi(name: str) -> str:
    """Path of one of dcmqi's programs, which come with its Python package."""
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if found is None:
        pytest.skip("dcmqi is not installed (PyPI: dcmqi)")
    return found


def marked(content: ReportContent, number: int) -> np.ndarray:
    """bool [k, j, i] voxels of a nodule, as it was drawn."""
    return content.nodules[number].nodule.mask.occupancy >= 0.5


def ball_nodule(number: int, grid: Grid, place: tuple[float, float, float, float] = NODULES[0]) -> Nodule:
    """A ball; ``place`` as in ``NODULES``."""
    *share, radius = place
    kji = _kji(grid, share)
    mask = ball(grid, kji, radius)
    volume = 4 / 3 * math.pi * radius**3
    return Nodule(
        id=number,
        centre_ras=tuple(float(x) for x in grid.ras(np.array(kji)[::-1])),
        diameter_mm=2 * radius,
        score=1 - 0.1 * number,
        lung="right" if number == 1 else "left",
        mask=NoduleMask(mask.astype(np.float32), grid),
        measurements=Measurements(volume, 2 * radius, 1.8 * radius, -20.5),
    )


def _kji(grid: Grid, share: Sequence[float]) -> tuple[float, float, float]:
    return tuple(round(s * (n - 1)) for s, n in zip(share, grid.shape, strict=True))
