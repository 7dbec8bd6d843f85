"""Findings -> segmentation, markups and table nodes: the only file of this library that knows the scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import slicer
import vtk

from LungNoduleAILib.analysis import Findings
from LungNoduleAILib.nodule import Nodule
from LungNoduleAILib.report.table import COLUMNS, rows
from SegmentationAILib import __version__
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.preprocess import EDGE, resample
from SegmentationAILib.scene import add_segmentation, place_beside, scene_batch
from SegmentationAILib.terminology import LEFT, RIGHT, lung_nodule
from SegmentationAILib.volume import Grid

# Okabe & Ito's palette for all kinds of colour vision, in the order that stands out on grey CT.
_PALETTE = (
    (0.90, 0.62, 0.00),
    (0.34, 0.71, 0.91),
    (0.94, 0.89, 0.26),
    (0.00, 0.62, 0.45),
    (0.84, 0.37, 0.00),
    (0.80, 0.47, 0.65),
)


@dataclass(frozen=True)
class FindingsNodes:
    """The nodes that one run wrote to the scene."""

    segmentation: slicer.vtkMRMLSegmentationNode
    markups: slicer.vtkMRMLMarkupsFiducialNode
    table: slicer.vtkMRMLTableNode


def show_findings(volume_node: slicer.vtkMRMLScalarVolumeNode, findings: Findings) -> FindingsNodes:
    """Write the findings to the scene in one step, with the state before it saved for undo.

    The segmentation has a segment per lung, the airway and one per nodule; the markups have a point
    at each nodule's centre; the table has a row for each. All lie beside the volume in the subject
    hierarchy and follow its parent transform.

    Raises:
        InputError: the volume's parent transform is not linear.
    """
    name = volume_node.GetName()
    layers = [findings.lungs, *nodule_layers(findings.nodules, findings.lungs.grid)]
    slicer.mrmlScene.SaveStateForUndo()
    with scene_batch():
        segmentation = add_segmentation(layers, volume_node, f"{name} findings")
        markups = _add_markups(findings.nodules, volume_node, f"{name} nodules")
        table = _add_table(findings.nodules, f"{name} nodule table")
        place_beside(markups, volume_node)
        place_beside(table, volume_node)
        _show_outlines(segmentation, findings)
        for node in (segmentation, markups, table):
            node.SetAttribute("ThoraxAI.Task", findings.task.to_json())
            node.SetAttribute("ThoraxAI.Version", __version__)
    return FindingsNodes(segmentation, markups, table)


def segment_name(nodule: Nodule) -> str:
    """Name and id of the nodule's segment and markup."""
    return f"nodule {nodule.id}"


def nodule_layers(nodules: Sequence[Nodule], grid: Grid) -> list[LabelMap]:
    """Label maps on the volume's grid that hold the nodules; those that touch go to another layer."""
    layers: list[tuple[np.ndarray, dict]] = []
    for nodule in nodules:
        start, inside = _mask_on(grid, nodule)
        window = tuple(slice(a, a + n) for a, n in zip(start, inside.shape, strict=True))
        layer = next((one for one in layers if not one[0][window][inside].any()), None)
        if layer is None:
            layer = (np.zeros(grid.shape, dtype=np.uint16), {})
            layers.append(layer)
        labels, structures = layer
        labels[window][inside] = nodule.id
        laterality = {"left": LEFT, "right": RIGHT}.get(nodule.lung)
        colour = _PALETTE[(nodule.id - 1) % len(_PALETTE)]
        structures[nodule.id] = lung_nodule(segment_name(nodule), colour, laterality)
    return [LabelMap(labels, grid, structures) for labels, structures in layers]


def _mask_on(grid: Grid, nodule: Nodule) -> tuple[tuple[int, int, int], np.ndarray]:
    """The nodule's voxels on the volume's grid: start (k, j, i) of a window, and bool [k, j, i] in it."""
    box = nodule.mask.grid
    corners = np.array(np.meshgrid(*[(-EDGE, n - 1 + EDGE) for n in box.shape[::-1]])).reshape(3, -1).T
    reach = grid.ijk(box.ras(corners))[:, ::-1]
    start = np.clip(np.floor(reach.min(axis=0)).astype(int), 0, np.array(grid.shape) - 1)
    stop = np.clip(np.ceil(reach.max(axis=0)).astype(int) + 1, start + 1, grid.shape)
    window = grid.crop(start, tuple(stop - start))
    inside = resample(nodule.mask.occupancy, box, window, mode="area") >= 0.5
    if not inside.any():
        # A nodule smaller than a voxel is still shown, as the voxel that holds its centre.
        nearest = np.round(window.ijk(nodule.centre_ras)[::-1]).astype(int)
        inside[tuple(np.clip(nearest, 0, np.array(inside.shape) - 1))] = True
    return tuple(start), inside


def _add_markups(
    nodules: Sequence[Nodule], volume_node: slicer.vtkMRMLScalarVolumeNode, name: str
) -> slicer.vtkMRMLMarkupsFiducialNode:
    node = slicer.vtkMRMLMarkupsFiducialNode()
    node.SetName(name)
    slicer.mrmlScene.AddNode(node)
    node.CreateDefaultDisplayNodes()
    node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    for nodule in nodules:
        index = node.AddControlPointWorld(vtk.vtkVector3d(*nodule.centre_ras), segment_name(nodule))
        node.SetNthControlPointDescription(
            index, f"mean diameter {nodule.measurements.mean_diameter_mm:.1f} mm, score {nodule.score:.2f}"
        )
    node.SetLocked(True)
    return node


def _add_table(nodules: Sequence[Nodule], name: str) -> slicer.vtkMRMLTableNode:
    node = slicer.vtkMRMLTableNode()
    node.SetName(name)
    values = rows(nodules)
    for index, column in enumerate(COLUMNS):
        cells = [row[index] for row in values]
        array = _column_array(is_text=column.name == "lung", is_whole=column.name == "id")
        array.SetName(column.name)
        for cell in cells:
            array.InsertNextValue(cell)
        node.AddColumn(array)
    node.SetUseColumnTitleAsColumnHeader(True)
    node.SetLocked(True)
    slicer.mrmlScene.AddNode(node)
    return node


def _column_array(*, is_text: bool, is_whole: bool) -> vtk.vtkAbstractArray:
    if is_text:
        return vtk.vtkStringArray()
    return vtk.vtkIntArray() if is_whole else vtk.vtkDoubleArray()


def _show_outlines(segmentation: slicer.vtkMRMLSegmentationNode, findings: Findings) -> None:
    """Outlines in the slices; in 3-D the lungs are glass around solid nodules."""
    display = segmentation.GetDisplayNode()
    display.SetVisibility2DFill(False)
    display.SetSliceIntersectionThickness(2)
    for structure in findings.lungs.structures.values():
        display.SetSegmentOpacity3D(structure.name, 0.2)
        display.SetSegmentOpacity2DOutline(structure.name, 0.5)
