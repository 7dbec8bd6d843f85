"""Findings -> segmentation, markups and table nodes: the only file of this library that knows the scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import slicer
import vtk

from LungNoduleAILib.analysis import Findings
from LungNoduleAILib.layers import nodule_layers
from LungNoduleAILib.nodule import Nodule
from LungNoduleAILib.report.table import COLUMNS, rows
from SegmentationAILib import __version__
from SegmentationAILib.scene import add_segmentation, add_table, place_beside, scene_batch


@dataclass(frozen=True)
class FindingsNodes:
    """The nodes that one run wrote to the scene."""

    segmentation: slicer.vtkMRMLSegmentationNode
    markups: slicer.vtkMRMLMarkupsFiducialNode
    table: slicer.vtkMRMLTableNode


def show_findings(volume_node: slicer.vtkMRMLScalarVolumeNode, findings: Findings) -> FindingsNodes:
    """Write the findings to the scene in one step.

    The segmentation has a segment per lung, the airway and one per nodule; the markups have a point
    at each nodule's centre; the table has a row for each. All lie beside the volume in the subject
    hierarchy and follow its parent transform.

    Raises:
        InputError: the volume's parent transform is not linear.
    """
    name = volume_node.GetName()
    layers = [findings.lungs, *nodule_layers(findings.nodules, findings.lungs.grid)]
    with scene_batch():
        segmentation = add_segmentation(layers, volume_node, f"{name} findings")
        markups = _add_markups(findings.nodules, volume_node, f"{name} nodules")
        table = add_table(f"{name} nodule table", _columns(findings.nodules))
        place_beside(markups, volume_node)
        place_beside(table, volume_node)
        _show_outlines(segmentation, findings)
        for node in (segmentation, markups, table):
            node.SetAttribute("ThoraxAI.Task", findings.task.to_json())
            node.SetAttribute("ThoraxAI.Version", __version__)
    return FindingsNodes(segmentation, markups, table)


def _add_markups(
    nodules: Sequence[Nodule], volume_node: slicer.vtkMRMLScalarVolumeNode, name: str
) -> slicer.vtkMRMLMarkupsFiducialNode:
    node = slicer.vtkMRMLMarkupsFiducialNode()
    node.SetName(name)
    slicer.mrmlScene.AddNode(node)
    node.CreateDefaultDisplayNodes()
    # Small marks: the outline shows the nodule, the mark only its number.
    node.GetDisplayNode().SetGlyphScale(0.7)
    node.GetDisplayNode().SetTextScale(2.5)
    node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    for nodule in nodules:
        index = node.AddControlPointWorld(vtk.vtkVector3d(*nodule.centre_ras), nodule.name)
        node.SetNthControlPointDescription(
            index, f"mean diameter {nodule.measurements.mean_diameter_mm:.1f} mm, score {nodule.score:.2f}"
        )
    node.SetLocked(True)
    return node


def _columns(nodules: Sequence[Nodule]) -> list[tuple[str, Sequence]]:
    """The columns of the nodule table with their values, numbers as arrays."""
    values = rows(nodules)
    columns = []
    for index, column in enumerate(COLUMNS):
        cells = [row[index] for row in values]
        kind = np.int32 if column.name == "id" else np.float64
        columns.append((column.name, cells if column.is_text else np.array(cells, dtype=kind)))
    return columns


def _show_outlines(segmentation: slicer.vtkMRMLSegmentationNode, findings: Findings) -> None:
    """Outlines in the slices; in 3-D the lungs are glass around solid nodules."""
    display = segmentation.GetDisplayNode()
    display.SetVisibility2DFill(False)
    display.SetSliceIntersectionThickness(2)
    for structure in findings.lungs.structures.values():
        display.SetSegmentOpacity3D(structure.name, 0.2)
        display.SetSegmentOpacity2DOutline(structure.name, 0.5)
