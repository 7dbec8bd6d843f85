"""Findings and readings <-> MRML nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import slicer
import vtk

from LungNoduleAILib.analysis_result import Findings
from LungNoduleAILib.layers import nodule_layers, structure_of
from LungNoduleAILib.node_roles import MARKUPS_ROLE, PRIOR_ROLE, RECORD_ROLE, TABLE_ROLE
from LungNoduleAILib.nodule import Nodule
from LungNoduleAILib.panel_results import Case, Detected
from LungNoduleAILib.reading import Reading
from LungNoduleAILib.record import from_text, to_text
from LungNoduleAILib.report.table import COLUMNS, rows
from SegmentationAILib.errors import Cancelled, InputError
from SegmentationAILib.labels import LabelMap, cropped, on_grid
from SegmentationAILib.scene import (
    add_segmentation,
    add_table,
    mask_from_segment,
    place_beside,
    scene_batch,
    segment_from_labels,
    shared_labels,
    table_columns,
    volume_from_node,
    write_provenance,
)
from SegmentationAILib.terminology import AIRWAY, LEFT_LUNG, RIGHT_LUNG
from SegmentationAILib.volume import Grid, Volume

_LUNGS = {1: RIGHT_LUNG, 2: LEFT_LUNG, 3: AIRWAY}
_parsed = lru_cache(maxsize=8)(from_text)


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
        _place_points(markups, findings.nodules)
        reading, _ = _parsed(detected.record)
        table = add_table(f"{name} nodule table", _columns(reading))
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


def nodules_from_scene(segmentation: slicer.vtkMRMLSegmentationNode | None) -> tuple[Nodule, ...]:
    """The nodules of findings, as they were measured last.

    Raises:
        InputError: as ``reading_from_scene``.
    """
    return reading_from_scene(segmentation).nodules


def reading_from_scene(segmentation: slicer.vtkMRMLSegmentationNode | None) -> Reading:
    """Nodules, decisions and what else the reader entered.

    Raises:
        InputError: no findings, or their record is missing or damaged.
    """
    return _read(segmentation)[0]


def write_reading(
    segmentation: slicer.vtkMRMLSegmentationNode, before: Reading, after: Reading, *, drawn: int | None = None
) -> None:
    """Make record, segments, points and table say what the reader decided, in one step.

    Args:
        before: as ``reading_from_scene`` gave it.
        after: made from it.
        drawn: id of a nodule whose segment is as the reader drew it, which is left alone.
    """
    _, grid = _read(segmentation)
    with scene_batch():
        then = {one.id: one for one in before.nodules}
        now = {one.id: one for one in after.nodules}
        for one in then.values():
            if one.id not in now:
                segmentation.GetSegmentation().RemoveSegment(one.name)
        changed = [n for n in now.values() if n.id != drawn and (n.id not in then or then[n.id].mask is not n.mask)]
        for one in changed:
            [labels] = nodule_layers([one], grid)
            write_segment(segmentation, one, labels)
        markups, table = (segmentation.GetNodeReference(role) for role in (MARKUPS_ROLE, TABLE_ROLE))
        if markups is not None and before.nodules != after.nodules:
            _place_points(markups, after.nodules)
        if table is not None:
            _fill_table(table, _columns(after))
        # Last, since the panel reads all when it changes.
        segmentation.GetNodeReference(RECORD_ROLE).SetText(to_text(after, grid))


def write_segment(segmentation: slicer.vtkMRMLSegmentationNode, nodule: Nodule, inside: LabelMap) -> None:
    """Draw a nodule's segment anew, or for the first time.

    Args:
        inside: the nodule alone, on voxels of the CT.
    """
    labels = LabelMap((inside.array > 0).astype(np.uint8), inside.grid, {1: structure_of(nodule)})
    segments = segmentation.GetSegmentation()
    segments.RemoveSegment(nodule.name)
    segments.AddSegment(segment_from_labels(labels, 1, ct_of(segmentation)), nodule.name)


def drawn_nodule(segmentation: slicer.vtkMRMLSegmentationNode, name: str) -> LabelMap:
    """A nodule's segment around it on voxels of the CT, as the reader left it.

    Raises:
        InputError: the segment is gone.
    """
    if segmentation.GetSegmentation().GetSegment(name) is None:
        raise InputError(f"The segment '{name}' is gone; undo its removal, or reject the nodule.")
    reading, grid = _read(segmentation)
    nodule = next(one for one in reading.nodules if one.name == name)
    inside = mask_from_segment(segmentation, name, grid)
    return cropped(LabelMap(inside.astype(np.uint8), grid, {1: structure_of(nodule)}))


def check_present(*nodes: slicer.vtkMRMLNode) -> None:
    """What was computed meanwhile is for these nodes.

    Raises:
        Cancelled: one of them left the scene.
    """
    if not all(slicer.mrmlScene.IsNodePresent(one) for one in nodes):
        raise Cancelled


def ct_of(segmentation: slicer.vtkMRMLSegmentationNode) -> slicer.vtkMRMLScalarVolumeNode:
    """The volume node of the CT that findings were made in.

    Raises:
        InputError: it left the scene.
    """
    node = segmentation.GetNodeReference(segmentation.GetReferenceImageGeometryReferenceRole())
    if node is None:
        raise InputError("The CT of these findings is not in the scene any more; load it and detect again.")
    return node


def findings_in(volume_node: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLSegmentationNode | None:
    """The latest findings in a CT; None where there are none."""
    found = [
        one
        for one in slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
        if one.GetNodeReference(RECORD_ROLE) is not None
        and one.GetNodeReference(one.GetReferenceImageGeometryReferenceRole()) is volume_node
    ]
    return found[-1] if found else None


def ct_and_lungs(segmentation: slicer.vtkMRMLSegmentationNode) -> tuple[Volume, LabelMap]:
    """The CT of findings, and its lungs and airway as their segments are.

    Raises:
        InputError: the CT left the scene or was moved since, or a lung's segment is gone.
    """
    case = case_of(segmentation)
    return case.volume, on_grid(case.lungs, case.volume.grid)


def case_of(segmentation: slicer.vtkMRMLSegmentationNode, folder: str = "") -> Case:
    """The CT of findings with their lungs and their record, in a moment.

    Args:
        folder: of the CT's DICOM files.

    Raises:
        InputError: as ``ct_and_lungs``.
    """
    volume = volume_from_node(ct_of(segmentation))
    _, grid = _read(segmentation)
    if not volume.grid.same_as(grid, tolerance_mm=0.01):
        raise InputError(
            f"'{volume.name}' was moved or changed since its nodules were found; take it out of its transform, or "
            "detect again."
        )
    lungs = shared_labels(segmentation, _LUNGS, volume.grid)
    if not lungs.array.any():
        raise InputError("The segments of the lungs are gone; detect the nodules again.")
    return Case(volume, lungs, segmentation.GetNodeReference(RECORD_ROLE).GetText(), folder)


def prior_of(segmentation: slicer.vtkMRMLSegmentationNode) -> slicer.vtkMRMLSegmentationNode | None:
    """The findings in the prior CT that these were compared with; None where they left the scene."""
    return segmentation.GetNodeReference(PRIOR_ROLE)


def link_prior(segmentation: slicer.vtkMRMLSegmentationNode, prior: slicer.vtkMRMLSegmentationNode) -> None:
    """Remember which findings these were compared with."""
    segmentation.SetNodeReferenceID(PRIOR_ROLE, prior.GetID())


def add_pairs(
    columns: Sequence[tuple[str, Sequence]], name: str, segmentation: slicer.vtkMRMLSegmentationNode
) -> slicer.vtkMRMLTableNode:
    """A table of what became of each nodule, beside the CT."""
    with scene_batch():
        table = add_table(name, columns)
        place_beside(table, ct_of(segmentation))
    return table


def _read(segmentation: slicer.vtkMRMLSegmentationNode | None) -> tuple[Reading, Grid]:
    if segmentation is None:
        raise InputError("No findings are selected; detect nodules first.")
    record = segmentation.GetNodeReference(RECORD_ROLE)
    if record is None:
        raise InputError(f"'{segmentation.GetName()}' holds no record of nodules; detect the nodules again.")
    return _parsed(record.GetText() or "")


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


def _place_points(node: slicer.vtkMRMLMarkupsFiducialNode, nodules: Sequence[Nodule]) -> None:
    node.RemoveAllControlPoints()
    for nodule in nodules:
        index = node.AddControlPointWorld(vtk.vtkVector3d(*nodule.centre_ras), nodule.name)
        node.SetNthControlPointDescription(
            index, f"mean diameter {nodule.measurements.mean_diameter_mm:.1f} mm, score {nodule.score:.2f}"
        )


def _fill_table(table: slicer.vtkMRMLTableNode, columns: Sequence[tuple[str, Sequence]]) -> None:
    table.RemoveAllColumns()
    for column in table_columns(columns):
        table.AddColumn(column)


def _columns(reading: Reading) -> list[tuple[str, Sequence]]:
    """The columns of the nodule table with their values, numbers as arrays."""
    values = rows(reading.nodules)
    columns = []
    for index, column in enumerate(COLUMNS):
        cells = [row[index] for row in values]
        kind = np.int32 if column.name == "id" else np.float64
        columns.append((column.name, cells if column.is_text else np.array(cells, dtype=kind)))
    decisions = list(reading.decisions.values())
    return [
        *columns,
        ("decision", [one.verdict.value for one in decisions]),
        ("decided_at", [one.at.isoformat() if one.at else "" for one in decisions]),
        ("outline_edited", ["yes" if one.edited else "no" for one in decisions]),
        ("added_by_reader", ["yes" if one.added else "no" for one in decisions]),
    ]


def _show_outlines(segmentation: slicer.vtkMRMLSegmentationNode, findings: Findings) -> None:
    """Outlines in the slices; in 3-D the lungs are glass around solid nodules."""
    display = segmentation.GetDisplayNode()
    display.SetVisibility2DFill(False)
    display.SetSliceIntersectionThickness(2)
    for structure in findings.lungs.structures.values():
        display.SetSegmentOpacity3D(structure.name, 0.2)
        display.SetSegmentOpacity2DOutline(structure.name, 0.5)
