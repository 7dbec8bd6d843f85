"""Findings -> MRML nodes: segments, points, table and record, in one step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import slicer
import vtk

from LungNoduleAILib.analysis_result import Findings
from LungNoduleAILib.node_roles import MARKUPS_ROLE, RECORD_ROLE, TABLE_ROLE
from LungNoduleAILib.nodule import Nodule
from LungNoduleAILib.panel_results import Detected
from LungNoduleAILib.reading import Reading
from LungNoduleAILib.record import parsed
from LungNoduleAILib.report.table import COLUMNS, rows
from SegmentationAILib.scene import add_segmentation, add_table, scene_batch, write_provenance
from SegmentationAILib.scene_hierarchy import place_beside


@dataclass(frozen=True)
class FindingsNodes:
    """The nodes that one run wrote to the scene; the segmentation refers to the others."""

    segmentation: slicer.vtkMRMLSegmentationNode
    markups: slicer.vtkMRMLMarkupsFiducialNode
    table: slicer.vtkMRMLTableNode
    record: slicer.vtkMRMLTextNode


def show_findings(volume_node: slicer.vtkMRMLScalarVolumeNode, findings: Findings) -> FindingsNodes:
    """``show`` of findings as a detector gives them."""
    # Drawing the nodules on the CT's voxels needs torch, which a panel leaves to its worker.
    from LungNoduleAILib.panel_tasks import made_ready  # noqa: PLC0415

    return show(volume_node, made_ready(findings))


def show(volume_node: slicer.vtkMRMLScalarVolumeNode, detected: Detected) -> FindingsNodes:
    """Write findings to the scene in one step.

    The segmentation has a segment per lung, the airway and one per nodule; the markups have a point
    at each nodule's centre; the table has a row for each; the record holds all that is known, and the
    reader's decisions. All lie beside the volume in the subject hierarchy and follow its parent transform.

    Raises:
        InputError: the volume's parent transform is not linear.
    """
    name, findings = volume_node.GetName(), detected.findings
    with scene_batch():
        segmentation = add_segmentation([findings.lungs, *detected.layers], volume_node, f"{name} findings")
        markups = _add_markups(volume_node, f"{name} nodules")
        place_points(markups, findings.nodules)
        reading, _ = parsed(detected.record)
        table = add_table(f"{name} nodule table", nodule_columns(reading))
        record = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", f"{name} findings record")
        record.SetHideFromEditors(True)
        record.SetText(detected.record)
        _show_outlines(segmentation, findings)
        for role, node in ((MARKUPS_ROLE, markups), (TABLE_ROLE, table), (RECORD_ROLE, record)):
            place_beside(node, volume_node)
            segmentation.SetNodeReferenceID(role, node.GetID())
        for node in (segmentation, markups, table):
            if detected.provenance is not None:
                write_provenance(node, detected.provenance)
            else:
                node.SetAttribute("ThoraxAI.Task", findings.task.to_json())
    return FindingsNodes(segmentation, markups, table, record)


def place_points(node: slicer.vtkMRMLMarkupsFiducialNode, nodules: Sequence[Nodule]) -> None:
    """Put a point at the centre of each nodule, and no other."""
    node.RemoveAllControlPoints()
    for nodule in nodules:
        index = node.AddControlPointWorld(vtk.vtkVector3d(*nodule.centre_ras), nodule.name)
        node.SetNthControlPointDescription(
            index, f"mean diameter {nodule.measurements.mean_diameter_mm:.1f} mm, score {nodule.score:.2f}"
        )


def nodule_columns(reading: Reading) -> list[tuple[str, Sequence]]:
    """The columns of the nodule table with their values, numbers as arrays."""
    values = rows(reading.nodules)
    columns = []
    for index, column in enumerate(COLUMNS):
        cells = [row[index] for row in values]
        kind = np.int32 if column.name == "id" else np.float64
        columns.append((column.name, cells if column.is_text else np.array(cells, dtype=kind)))
    return [*columns, *decision_columns(reading)]


def decision_columns(reading: Reading) -> list[tuple[str, list[str]]]:
    """Those of the nodule table that say what the reader decided."""
    decisions = list(reading.decisions.values())
    return [
        ("decision", [one.verdict.value for one in decisions]),
        ("decided_at", [one.at.isoformat() if one.at else "" for one in decisions]),
        ("outline_edited", ["yes" if one.edited else "no" for one in decisions]),
        ("added_by_reader", ["yes" if one.added else "no" for one in decisions]),
    ]


def _add_markups(volume_node: slicer.vtkMRMLScalarVolumeNode, name: str) -> slicer.vtkMRMLMarkupsFiducialNode:
    node = slicer.vtkMRMLMarkupsFiducialNode()
    node.SetName(name)
    slicer.mrmlScene.AddNode(node)
    node.CreateDefaultDisplayNodes()
    # Small marks: the outline shows the nodule, the mark only its number.
    node.GetDisplayNode().SetGlyphScale(0.7)
    node.GetDisplayNode().SetTextScale(2.5)
    node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    node.SetLocked(True)
    return node


def _show_outlines(segmentation: slicer.vtkMRMLSegmentationNode, findings: Findings) -> None:
    """Outlines in the slices; in 3-D the lungs are glass around solid nodules."""
    display = segmentation.GetDisplayNode()
    display.SetVisibility2DFill(False)
    display.SetSliceIntersectionThickness(2)
    for structure in findings.lungs.structures.values():
        display.SetSegmentOpacity3D(structure.name, 0.2)
        display.SetSegmentOpacity2DOutline(structure.name, 0.5)
