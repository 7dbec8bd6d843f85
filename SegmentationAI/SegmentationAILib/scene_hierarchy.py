"""Where a node lies in the subject hierarchy, and of which DICOM objects it is."""

from __future__ import annotations

import slicer

from SegmentationAILib.volume import DicomSource, Volume


def place_beside(node: slicer.vtkMRMLNode, volume_node: slicer.vtkMRMLVolumeNode) -> None:
    """Put a node under the same study (or folder) as the volume in the subject hierarchy."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    parent = hierarchy.GetItemParent(_hierarchy_item(volume_node))
    hierarchy.SetItemParent(_hierarchy_item(node), parent)


def dicom_source(node: slicer.vtkMRMLVolumeNode) -> DicomSource | None:
    """The DICOM objects that a volume node's voxels are of; None where it was not loaded from DICOM."""
    instances = tuple((node.GetAttribute("DICOM.instanceUIDs") or "").split())
    if not instances:
        return None
    return DicomSource(
        study_instance_uid=_study_uid(node),
        series_instance_uid=_item_uid(node),
        frame_of_reference_uid=series_attribute(node, "DICOM.FrameOfReferenceUID"),
        sop_instance_uids=instances,
    )


def set_dicom_source(node: slicer.vtkMRMLVolumeNode, source: DicomSource) -> None:
    """Say which DICOM objects a volume node's voxels are of, and put it under its study."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = _hierarchy_item(node)
    node.SetAttribute("DICOM.instanceUIDs", " ".join(source.sop_instance_uids))
    hierarchy.SetItemUID(item, "DICOM", source.series_instance_uid)
    hierarchy.SetItemAttribute(item, "DICOM.FrameOfReferenceUID", source.frame_of_reference_uid)
    study = hierarchy.GetItemByUID("DICOM", source.study_instance_uid)
    if not study:
        study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
        hierarchy.SetItemUID(study, "DICOM", source.study_instance_uid)
    hierarchy.SetItemParent(item, study)


def place_under_study(node: slicer.vtkMRMLVolumeNode, volume: Volume) -> None:
    """Keep a volume's modality and DICOM objects with its node."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = _hierarchy_item(node)
    if volume.modality:
        hierarchy.SetItemAttribute(item, "DICOM.Modality", volume.modality)
    if volume.source is not None:
        set_dicom_source(node, volume.source)


def series_attribute(node: slicer.vtkMRMLNode, name: str) -> str:
    """What the hierarchy keeps of a node's series, such as "DICOM.Modality"; "" where it keeps nothing."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(node)
    return hierarchy.GetItemAttribute(item, name) if item else ""


def _hierarchy_item(node: slicer.vtkMRMLNode) -> int:
    """The node's item; made here where no plugin has made it yet (outside the Slicer application)."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    return hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)


def _item_uid(node: slicer.vtkMRMLNode) -> str:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    return hierarchy.GetItemUID(_hierarchy_item(node), "DICOM")


def _study_uid(node: slicer.vtkMRMLNode) -> str:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    study = hierarchy.GetItemAncestorAtLevel(_hierarchy_item(node), "Study")
    return hierarchy.GetItemUID(study, "DICOM") if study else ""
