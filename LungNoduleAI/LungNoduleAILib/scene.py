"""Readings of findings that lie in the scene <-> MRML nodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer

from LungNoduleAILib.layers import nodule_layers, structure_of
from LungNoduleAILib.node_roles import MARKUPS_ROLE, PRIOR_ROLE, RECORD_ROLE, TABLE_ROLE
from LungNoduleAILib.nodule import Nodule
from LungNoduleAILib.panel_results import Case
from LungNoduleAILib.reading import Reading
from LungNoduleAILib.record import parsed, remember, to_text
from LungNoduleAILib.scene_findings import decision_columns, nodule_columns, place_points
from SegmentationAILib.errors import Cancelled, InputError
from SegmentationAILib.labels import LabelMap, cropped, on_grid
from SegmentationAILib.scene import (
    add_table,
    scene_batch,
    segment_from_labels,
    shared_labels,
    table_columns,
    volume_from_node,
)
from SegmentationAILib.scene_hierarchy import place_beside
from SegmentationAILib.terminology import AIRWAY, LEFT_LUNG, RIGHT_LUNG
from SegmentationAILib.volume import Grid, Volume

_LUNGS = {1: RIGHT_LUNG, 2: LEFT_LUNG, 3: AIRWAY}


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
            place_points(markups, after.nodules)
        if table is not None and not (before.nodules == after.nodules and _write_cells(table, decision_columns(after))):
            _fill_table(table, nodule_columns(after))
        text = to_text(after, grid)
        if after.prior is before.prior and {one.mask for one in now.values()} <= {one.mask for one in then.values()}:
            remember(text, after, grid)
        # Last, since the panel reads all when it changes.
        segmentation.GetNodeReference(RECORD_ROLE).SetText(text)


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
    return cropped(shared_labels(segmentation, {1: structure_of(nodule)}, grid))


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
    return parsed(record.GetText() or "")


def _fill_table(table: slicer.vtkMRMLTableNode, columns: Sequence[tuple[str, Sequence]]) -> None:
    table.RemoveAllColumns()
    for column in table_columns(columns):
        table.AddColumn(column)


def _write_cells(table: slicer.vtkMRMLTableNode, columns: Sequence[tuple[str, Sequence[str]]]) -> bool:
    """Change the cells of columns of text that say something else; False where the table has not these columns."""
    places = [table.GetColumnIndex(name) for name, _values in columns]
    if min(places) < 0 or any(len(values) != table.GetNumberOfRows() for _name, values in columns):
        return False
    with slicer.util.NodeModify(table):
        for place, (_name, values) in zip(places, columns, strict=True):
            for row, value in enumerate(values):
                if table.GetCellText(row, place) != value:
                    table.SetCellText(row, place, value)
    return True
