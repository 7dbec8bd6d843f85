"""Structure sets, doses and DVHs <-> MRML nodes: the only radiotherapy file that knows the scene."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer
import vtk

from SegmentationAILib.errors import InputError
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.radiotherapy.dvh_report import DVHCurves
from SegmentationAILib.radiotherapy.goals import GoalResult
from SegmentationAILib.radiotherapy.structure_set import Origin, Role, RTStructure, StructureSet, role_of_name
from SegmentationAILib.scene import (
    BINARY_LABELMAP,
    add_segmentation,
    add_table,
    mask_from_segment,
    place_beside,
    scene_batch,
    segment_from_labels,
    volume_from_node,
)
from SegmentationAILib.terminology import (
    ALTERED_STRUCTURE,
    ANATOMICAL_STRUCTURE,
    DICOM_MASTER,
    Code,
    Structure,
)

ROLE_TAG, RULE_TAG, ORIGIN_TAG, MODEL_TAG = (f"ThoraxAI.{name}" for name in ("Role", "Rule", "Origin", "Model"))
_TISSUE = Code("85756007", "SCT", "Tissue")
_MASS = Code("4147007", "SCT", "Mass")


def structure_set_from_node(
    segmentation: slicer.vtkMRMLSegmentationNode | None, volume_node: slicer.vtkMRMLScalarVolumeNode | None
) -> StructureSet:
    """The segments as structures on the CT's voxels.

    A segment that was not made here has its role from its name and counts as drawn by hand.

    Raises:
        InputError: no segmentation or CT, two segments of one name, or a transform that is not linear.
    """
    if segmentation is None:
        raise InputError("No structure set is selected; choose a segmentation, or segment the CT first.")
    volume = volume_from_node(volume_node)
    held = segmentation.GetSegmentation()
    structures = []
    for index in range(held.GetNumberOfSegments()):
        segment_id = held.GetNthSegmentID(index)
        segment = held.GetSegment(segment_id)
        name = segment.GetName()
        structures.append(
            RTStructure(
                name,
                Role(_tag(segment, ROLE_TAG) or role_of_name(name)),
                mask_from_segment(segmentation, segment_id, volume.grid),
                tuple(segment.GetColor()),
                Origin(_tag(segment, ORIGIN_TAG) or Origin.MANUAL),
                _tag(segment, RULE_TAG),
                _code_of(segment),
                _tag(segment, MODEL_TAG),
            )
        )
    return StructureSet(volume.grid, tuple(structures), segmentation.GetName(), volume.source)


def describe_segments(
    segmentation: slicer.vtkMRMLSegmentationNode,
) -> list[tuple[str, str, str, tuple[float, float, float]]]:
    """Name, role, rule and colour of each segment, in order."""
    held = segmentation.GetSegmentation()
    segments = [held.GetNthSegment(index) for index in range(held.GetNumberOfSegments())]
    return [
        (
            one.GetName(),
            _tag(one, ROLE_TAG) or role_of_name(one.GetName()).value,
            _tag(one, RULE_TAG),
            tuple(one.GetColor()),
        )
        for one in segments
    ]


def points_of(markups: slicer.vtkMRMLMarkupsFiducialNode | None) -> list[tuple[float, float, float]]:
    """World RAS of a list's points that were placed, mm."""
    if markups is None:
        return []
    defined = slicer.vtkMRMLMarkupsNode.PositionDefined
    placed = [
        n for n in range(markups.GetNumberOfControlPoints()) if markups.GetNthControlPointPositionStatus(n) == defined
    ]
    return [tuple(markups.GetNthControlPointPositionWorld(n)) for n in placed]


def add_structure_set(
    structure_set: StructureSet, volume_node: slicer.vtkMRMLScalarVolumeNode
) -> slicer.vtkMRMLSegmentationNode:
    """A new segmentation node with a segment for each structure; each may overlap the others."""
    with scene_batch():
        node = add_segmentation((), volume_node, structure_set.name or "Structures")
        update_structures(node, volume_node, structure_set)
    return node


def update_structures(
    segmentation: slicer.vtkMRMLSegmentationNode,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    after: StructureSet,
    before: StructureSet | None = None,
) -> None:
    """Make the segments say what a structure set says, in one step.

    Args:
        segmentation: its segments are found by their names, case aside.
        volume_node: the CT whose parent transform the segments follow.
        after: what is to be there.
        before: what is there now, as ``structure_set_from_node`` gave it; a structure that is the same object
            in both is left alone, and one that is no more in ``after`` is taken out.
    """
    segments = segmentation.GetSegmentation()
    with scene_batch():
        for one in before or ():
            if one.name not in after:
                segments.RemoveSegment(segments.GetSegmentIdBySegmentName(one.name))
        for one in after:
            if before is not None and one.name in before and before[one.name] is one:
                continue
            _write(segmentation, volume_node, one, after)


def rename_segment(segmentation: slicer.vtkMRMLSegmentationNode, old: str, new: str) -> None:
    """Give the segment of a name, case aside, another one."""
    segments = segmentation.GetSegmentation()
    segments.GetSegment(_id_of(segments, old)).SetName(new)


def add_dvh(
    curves: DVHCurves, structure_set: StructureSet, dose_node: slicer.vtkMRMLScalarVolumeNode
) -> slicer.vtkMRMLPlotChartNode:
    """A table of the curves and a plot of them, in the structures' colours, beside the dose."""
    name = f"{dose_node.GetName()} DVH"
    with scene_batch():
        table = add_table(
            name, [("Dose (Gy)", curves.dose_gy), *((key, values) for key, values in curves.percent.items())]
        )
        chart = slicer.vtkMRMLPlotChartNode()
        chart.SetName(f"{name} plot")
        chart.SetTitle(name)
        chart.SetXAxisTitle("Dose (Gy)")
        chart.SetYAxisTitle("Volume (%)")
        slicer.mrmlScene.AddNode(chart)
        for key in curves.percent:
            series = slicer.vtkMRMLPlotSeriesNode()
            series.SetName(key)
            series.SetAndObserveTableNodeID(table.GetID())
            series.SetXColumnName("Dose (Gy)")
            series.SetYColumnName(key)
            series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
            series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
            series.SetColor(*structure_set[key].colour)
            slicer.mrmlScene.AddNode(series)
            chart.AddAndObservePlotSeriesNodeID(series.GetID())
        for node in (table, chart):
            place_beside(node, dose_node)
    return chart


def add_goals(results: Sequence[GoalResult], dose_node: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLTableNode:
    """A table with a row for each goal, beside the dose."""
    columns = (
        ("Goal", [str(one.goal) for one in results]),
        ("Value", ["" if np.isnan(one.value) else f"{one.value:.4g}" for one in results]),
        ("Verdict", [one.verdict.value for one in results]),
        ("Remark", [one.reason for one in results]),
        ("Source", [one.goal.source for one in results]),
    )
    with scene_batch():
        table = add_table(f"{dose_node.GetName()} goals", columns)
        place_beside(table, dose_node)
    return table


def add_comparison(
    name: str, columns: Sequence[tuple[str, Sequence]], beside: slicer.vtkMRMLNode
) -> slicer.vtkMRMLTableNode:
    """A table of how two structure sets agree, beside one of them in the subject hierarchy."""
    with scene_batch():
        table = add_table(name, columns)
        place_beside(table, beside)
    return table


def _write(
    segmentation: slicer.vtkMRMLSegmentationNode,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    one: RTStructure,
    held_by: StructureSet,
) -> None:
    labels = LabelMap(one.mask.astype(np.uint8), held_by.grid, {1: _terminology(one)})
    new = segment_from_labels(labels, 1, volume_node)
    segments = segmentation.GetSegmentation()
    segment_id = _id_of(segments, one.name)
    if segment_id:
        segment = segments.GetSegment(segment_id)
        segment.SetName(one.name)
        segment.SetColor(*one.colour)
        # Made from the voxels that are replaced; Slicer makes them again when they are to be shown.
        segment.RemoveAllRepresentations(BINARY_LABELMAP)
        segment.AddRepresentation(BINARY_LABELMAP, new.GetRepresentation(BINARY_LABELMAP))
    else:
        segment = new
        segments.AddSegment(segment, one.name)
    for tag, value in (
        (ROLE_TAG, one.role.value),
        (RULE_TAG, one.rule),
        (ORIGIN_TAG, one.origin.value),
        (MODEL_TAG, one.model),
    ):
        segment.SetTag(tag, value)
    segments.InvokeEvent(slicer.vtkSegmentation.SourceRepresentationModified)


def _id_of(segments: slicer.vtkSegmentation, name: str) -> str:
    for index in range(segments.GetNumberOfSegments()):
        segment_id = segments.GetNthSegmentID(index)
        if segments.GetSegment(segment_id).GetName().lower() == name.lower():
            return segment_id
    return ""


def _tag(segment: slicer.vtkSegment, name: str) -> str:
    value = vtk.reference("")
    return str(value) if segment.GetTag(name, value) else ""


def _code_of(segment: slicer.vtkSegment) -> Code | None:
    """The type that the segment's terminology names; None where it names none of a kind that says something."""
    parts = _tag(segment, slicer.vtkSegment.GetTerminologyEntryTagName()).split("~")
    named = parts[2].split("^") if len(parts) > 2 else []
    if len(named) != 3 or not named[0] or named[0] == _TISSUE.value:
        return None
    return Code(*named)


def _terminology(one: RTStructure) -> Structure:
    is_target = one.role in (Role.GTV, Role.CTV, Role.ITV, Role.PTV)
    category = ALTERED_STRUCTURE if is_target else ANATOMICAL_STRUCTURE
    return Structure(one.name, category, one.code or (_MASS if is_target else _TISSUE), one.colour, DICOM_MASTER)
