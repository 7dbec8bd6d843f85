"""Whose CTs lie in the scene and of which day, by what Slicer keeps of their headers; loads no network."""

from __future__ import annotations

import numpy as np
import slicer
import vtk

from LungNoduleAILib.followup.exam import Exam, date_of
from LungNoduleAILib.scene_influence import is_influence
from SegmentationAILib.widgets.run_panel import reasons_not_to_run


def exam_of(volume_node: slicer.vtkMRMLScalarVolumeNode) -> Exam:
    """Whose CT it is and of which day, as Slicer keeps it with patient and study in the subject hierarchy."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(volume_node)
    if not item:
        return Exam()
    told = {}
    for level, name in (("Patient", "DICOM.PatientID"), ("Study", "DICOM.StudyDate")):
        owner = hierarchy.GetItemAncestorAtLevel(item, level)
        told[level] = hierarchy.GetItemAttribute(owner, name) if owner else ""
    return Exam(told["Patient"].strip(), date_of(told["Study"]))


def suggested_prior(current: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLScalarVolumeNode | None:
    """Another CT of the scene that may be the prior one: the latest before the current, else the first undated one.

    One of another patient or a later day is none, nor is a volume on the very voxels of the current one, which was
    made from it.
    """
    now = exam_of(current)
    undated, earlier = [], []
    for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
        if node is current or is_influence(node) or reasons_not_to_run(node) or _same_voxels(node, current):
            continue
        exam = exam_of(node)
        if now.patient_id and exam.patient_id and exam.patient_id != now.patient_id:
            continue
        if now.date is None or exam.date is None:
            undated.append(node)
        elif exam.date < now.date:
            earlier.append((exam.date, node))
    if earlier:
        return max(earlier, key=lambda one: one[0])[1]
    return undated[0] if undated else None


def _same_voxels(one: slicer.vtkMRMLScalarVolumeNode, other: slicer.vtkMRMLScalarVolumeNode) -> bool:
    if one.GetImageData().GetDimensions() != other.GetImageData().GetDimensions():
        return False
    return np.allclose(*(slicer.util.arrayFromVTKMatrix(_ijk_to_ras(node)) for node in (one, other)), atol=1e-3)


def _ijk_to_ras(node: slicer.vtkMRMLScalarVolumeNode) -> vtk.vtkMatrix4x4:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return matrix
