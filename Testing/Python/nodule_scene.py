"""A synthetic chest with nodules of known size in the scene, found without a detector, so that tests are quick."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import slicer

from LungNoduleAILib.analysis import NODULES, Findings
from LungNoduleAILib.characterization import characterize, nodule_of
from LungNoduleAILib.followup import comparison
from LungNoduleAILib.followup.comparison import compare_registered
from LungNoduleAILib.followup.lung_registration import LungRegistration
from LungNoduleAILib.nodule import Nodule, NoduleMask
from LungNoduleAILib.scene_findings import FindingsNodes, show_findings
from SegmentationAILib import phantom
from SegmentationAILib.engine.task import Task
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.organs import LUNG_STRUCTURES
from SegmentationAILib.scene import add_volume
from SegmentationAILib.volume import Grid, Volume

SPHERES = (
    phantom.Sphere((70.0, 10.0, 0.0), 7.0),
    phantom.Sphere((-60.0, -20.0, -30.0), 9.0),
    phantom.Sphere((60.0, -22.0, -38.0), 6.0),
)
# The last is in the CT and was not found.
FOUND = SPHERES[:2]
MISSED = SPHERES[2]
# How far lower the prior CT lies.
SHIFT_MM = 12.0


@cache
def chest_with_findings() -> tuple[Volume, Findings]:
    """The CT and what was found in it."""
    volume = phantom.chest(SPHERES)
    lungs = _lungs(volume)
    nodules = tuple(_nodule(volume, lungs, n, sphere) for n, sphere in enumerate(FOUND, start=1))
    return volume, Findings(lungs, nodules, Task(NODULES))


def in_scene() -> tuple[object, FindingsNodes]:
    """The CT's volume node and the findings' nodes in the current scene."""
    volume, findings = chest_with_findings()
    node = add_volume(volume)
    return node, show_findings(node, findings)


def _lungs(volume: Volume) -> LabelMap:
    """What is lung in the phantom: its air inside the body and beside the trachea, and its nodules."""
    points = volume.grid.ras(np.moveaxis(np.indices(volume.shape)[::-1], 0, -1))
    r, a = points[..., 0], points[..., 1]
    inside = (volume.array < -400) & ((r / 110) ** 2 + (a / 68) ** 2 < 1) & (np.abs(r) > 12)
    for sphere in SPHERES:
        inside |= ball(volume, sphere.centre, sphere.radius + 2)
    return LabelMap(np.where(inside, np.where(r > 0, 1, 2), 0).astype(np.uint8), volume.grid, LUNG_STRUCTURES)


def with_prior(monkeypatch):
    """Findings nodes of the CT and of a copy of it that lies ``SHIFT_MM`` lower, which shows the first nodule alone.

    Their comparison takes the shift as the registration, which takes long to find.
    """
    volume, found = chest_with_findings()
    shift = np.eye(4)
    shift[2, 3] = SHIFT_MM
    there = Grid(volume.shape, np.linalg.inv(shift) @ volume.ijk_to_ras)
    lungs = LabelMap(found.lungs.array, there, found.lungs.structures)
    current = in_scene()[1].segmentation
    before = replace(found, lungs=lungs, nodules=(_shifted(found.nodules[0], -SHIFT_MM),))
    prior = show_findings(add_volume(Volume(volume.array, there, "before", "CT")), before).segmentation
    nothing = np.zeros((3, 2, 2, 2), np.float32)
    sides = ("left", "right")
    known = LungRegistration(shift, nothing, there.with_spacing(200.0), 0.99, 0.9, 0.5, 0.98, 0.0, (1.0, 1.0), sides)

    def compare(now, nodules, _lungs, then, earlier, _earlier_lungs, days, progress):
        return compare_registered(now, nodules, then, earlier, known, days)

    monkeypatch.setattr(comparison, "compare", compare)
    return current, prior


def _shifted(nodule: Nodule, superior_mm: float) -> Nodule:
    r, a, s = nodule.centre_ras
    matrix = nodule.mask.grid.ijk_to_ras.copy()
    matrix[2, 3] += superior_mm
    mask = NoduleMask(nodule.mask.occupancy, Grid(nodule.mask.grid.shape, matrix))
    return replace(nodule, centre_ras=(r, a, s + superior_mm), mask=mask)


def ball(volume: Volume, centre: tuple[float, float, float], radius: float) -> np.ndarray:
    """bool [k, j, i] of a ball on the volume's grid."""
    points = volume.grid.ras(np.moveaxis(np.indices(volume.shape)[::-1], 0, -1))
    return np.linalg.norm(points - np.array(centre), axis=-1) <= radius


def _nodule(volume: Volume, lungs, number: int, sphere: phantom.Sphere) -> Nodule:
    mask, _ = characterize(volume, sphere.centre, 2 * sphere.radius, np.isin(lungs.array, (1, 2)))
    return nodule_of(volume, lungs, mask, number, 2 * sphere.radius, 1.0 - 0.3 * number)


def in_study(volume_node, patient: str, day: str) -> None:
    """Puts a volume under patient and study, as Slicer's DICOM module does."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    owner = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "patient")
    hierarchy.SetItemAttribute(owner, "DICOM.PatientID", patient)
    study = hierarchy.CreateStudyItem(owner, "study")
    hierarchy.SetItemAttribute(study, "DICOM.StudyDate", day)
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(volume_node), study)
