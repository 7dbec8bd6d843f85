"""Structure sets <-> segmentation nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import slicer
import vtk

from SegmentationAILib.engine.steps import Steps, finish_alone
from SegmentationAILib.errors import Cancelled, InputError
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.radiotherapy.graph import rename
from SegmentationAILib.radiotherapy.layered_set import Layer, LayeredSet, LayeredStructure, changes
from SegmentationAILib.radiotherapy.structure_set import Origin, Role, RTStructure, StructureSet, role_of_name
from SegmentationAILib.scene import (
    BINARY_LABELMAP,
    add_segmentation,
    label_image,
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
from SegmentationAILib.volume import Grid

TAGS = ROLE_TAG, RULE_TAG, ORIGIN_TAG, MODEL_TAG = tuple(
    f"ThoraxAI.{name}" for name in ("Role", "Rule", "Origin", "Model")
)
_TISSUE = Code("85756007", "SCT", "Tissue")
_MASS = Code("4147007", "SCT", "Mass")


def require_structures(segmentation: slicer.vtkMRMLSegmentationNode | None) -> None:
    """Refuse to work without a structure set.

    Raises:
        InputError: there is none.
    """
    if segmentation is None:
        raise InputError("No structure set is selected; choose a segmentation, or segment the CT first.")


def structure_set_from_node(
    segmentation: slicer.vtkMRMLSegmentationNode | None, volume_node: slicer.vtkMRMLScalarVolumeNode | None
) -> StructureSet:
    """The segments as structures on the CT's voxels.

    A segment that was not made here has its role from its name and counts as drawn by hand.

    Raises:
        InputError: no segmentation or CT, two segments of one name, or a transform that is not linear.
    """
    return layered_set_from_node(segmentation, volume_node).unlayered()


def layered_set_from_node(
    segmentation: slicer.vtkMRMLSegmentationNode | None, volume_node: slicer.vtkMRMLScalarVolumeNode | None
) -> LayeredSet:
    """The segments as ``structure_set_from_node`` has them, in the label maps that the scene holds, which are views.

    Raises:
        InputError: no segmentation or CT, or a transform that is not linear.
    """
    require_structures(segmentation)
    volume = volume_from_node(volume_node)
    held = segmentation.GetSegmentation()
    layers: list[Layer] = []
    # Segments share label maps.
    numbers: dict[int, int] = {}
    structures = []
    for segment_id in held.GetSegmentIDs():
        segment = held.GetSegment(segment_id)
        array, grid = label_image(segmentation, segment)
        number = None
        if grid is not None:
            place = array.__array_interface__["data"][0]
            number = numbers.setdefault(place, len(layers))
            if number == len(layers):
                layers.append(Layer(array, grid))
        name = segment.GetName()
        structures.append(
            LayeredStructure(
                name,
                Role(_tag(segment, ROLE_TAG) or role_of_name(name)),
                number,
                segment.GetLabelValue(),
                tuple(segment.GetColor()),
                Origin(_tag(segment, ORIGIN_TAG) or Origin.MANUAL),
                _tag(segment, RULE_TAG),
                _code_of(segment),
                _tag(segment, MODEL_TAG),
            )
        )
    return LayeredSet(volume.grid, tuple(layers), tuple(structures), segmentation.GetName(), volume.source)


def no_structures(volume_node: slicer.vtkMRMLScalarVolumeNode | None) -> LayeredSet:
    """An empty set on a CT, of its name.

    Raises:
        InputError: no CT, or a transform that is not linear.
    """
    volume = volume_from_node(volume_node)
    return LayeredSet(volume.grid, name=volume.name, source=volume.source)


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
    made = finish_alone(_segments_of(changes(before or StructureSet(after.grid), after), volume_node))
    with scene_batch():
        for one in before or ():
            if one.name not in after:
                segments.RemoveSegment(segments.GetSegmentIdBySegmentName(one.name))
        _put(segmentation, made)


def writing(
    structures: LayeredSet,
    segmentation: slicer.vtkMRMLSegmentationNode | None,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    name: str = "",
) -> Steps[slicer.vtkMRMLSegmentationNode]:
    """Add structures to a segmentation, or put them in the place of its segments of their names; one step to undo.

    Args:
        segmentation: None for a new one of the given name.

    Returns:
        the segmentation.

    Raises:
        Cancelled: the segmentation or the CT has left the scene.
    """
    made = yield from _segments_of(structures, volume_node)
    begin_change(volume_node, *([segmentation] if segmentation is not None else []))
    with scene_batch():
        if segmentation is None:
            segmentation = add_segmentation((), volume_node, name)
        _put(segmentation, made)
    return segmentation


def begin_change(*nodes: slicer.vtkMRMLNode) -> None:
    """What follows is one step to undo.

    Raises:
        Cancelled: one of the nodes has left the scene.
    """
    if not all(slicer.mrmlScene.IsNodePresent(node) for node in nodes):
        raise Cancelled
    slicer.mrmlScene.SaveStateForUndo()


def rename_segments(segmentation: slicer.vtkMRMLSegmentationNode, names: Mapping[str, str]) -> None:
    """Rename structures, in every rule too; one step to undo.

    Args:
        names: old name, case aside, -> new name.

    Raises:
        InputError: no segmentation, there is no such structure, or a name is empty or taken; the scene is as it was.
    """
    require_structures(segmentation)
    held = segmentation.GetSegmentation()
    segments = [held.GetSegment(segment_id) for segment_id in held.GetSegmentIDs()]
    # Names and rules alone, which takes no time.
    grid, nothing = Grid((1, 1, 1), np.eye(4)), np.zeros((1, 1, 1), dtype=bool)
    named = StructureSet(
        grid, tuple(RTStructure(one.GetName(), Role.ORGAN, nothing, rule=_tag(one, RULE_TAG)) for one in segments)
    )
    for old, new in names.items():
        named = rename(named, old, new)
    begin_change(segmentation)
    with scene_batch():
        for segment, one in zip(segments, named, strict=True):
            if (segment.GetName(), _tag(segment, RULE_TAG)) != (one.name, one.rule):
                segment.SetName(one.name)
                segment.SetTag(RULE_TAG, one.rule)


def _segments_of(structures: LayeredSet, volume_node: slicer.vtkMRMLScalarVolumeNode) -> Steps[list[slicer.vtkSegment]]:
    """A segment for each structure, for a segmentation under the volume's parent transform."""
    made = []
    for one in structures.structures:
        array, grid = np.zeros((1, 1, 1), np.uint8), structures.grid.crop((0, 0, 0), (1, 1, 1))
        if one.layer is not None:
            layer = structures.layers[one.layer]
            array, grid = layer.array, layer.grid
        segment = segment_from_labels(LabelMap(array, grid, {one.value: _terminology(one)}), one.value, volume_node)
        for tag, value in zip(TAGS, (one.role.value, one.rule, one.origin.value, one.model), strict=True):
            segment.SetTag(tag, value)
        made.append(segment)
        yield
    return made


def _put(segmentation: slicer.vtkMRMLSegmentationNode, made: Sequence[slicer.vtkSegment]) -> None:
    """Add segments, or put what they hold into those of their names."""
    segments = segmentation.GetSegmentation()
    for new in made:
        segment_id = _id_of(segments, new.GetName())
        if not segment_id:
            segments.AddSegment(new, new.GetName())
            continue
        segment = segments.GetSegment(segment_id)
        segment.SetName(new.GetName())
        segment.SetColor(*new.GetColor())
        segment.SetLabelValue(new.GetLabelValue())
        # Made from the voxels that are replaced; Slicer makes them again when they are to be shown.
        segment.RemoveAllRepresentations(BINARY_LABELMAP)
        segment.AddRepresentation(BINARY_LABELMAP, new.GetRepresentation(BINARY_LABELMAP))
        for tag in TAGS:
            segment.SetTag(tag, _tag(new, tag))
    if made:
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


def _terminology(one: LayeredStructure) -> Structure:
    is_target = one.role in (Role.GTV, Role.CTV, Role.ITV, Role.PTV)
    category = ALTERED_STRUCTURE if is_target else ANATOMICAL_STRUCTURE
    return Structure(one.name, category, one.code or (_MASS if is_target else _TISSUE), one.colour, DICOM_MASTER)
