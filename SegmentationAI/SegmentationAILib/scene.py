"""MRML nodes <-> Volume and LabelMap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import get_vtk_array_type, numpy_to_vtk, vtk_to_numpy

from SegmentationAILib.engine.steps import Steps, finish_alone
from SegmentationAILib.errors import InputError
from SegmentationAILib.labels import LabelMap, content_box, cropped, placed
from SegmentationAILib.provenance import Provenance
from SegmentationAILib.scene_hierarchy import dicom_source, place_beside, place_under_study, series_attribute
from SegmentationAILib.terminology import ANATOMIC_REGIONS, Code, Structure
from SegmentationAILib.volume import Grid, Volume

_COUNTED_AT_ONCE = 2_000_000
_COPIED_AT_ONCE = 4_000_000
BINARY_LABELMAP = "Binary labelmap"  # vtkSegmentationConverter's name; the wheel does not wrap its getter


def volume_from_node(node: slicer.vtkMRMLScalarVolumeNode | None) -> Volume:
    """The voxels of a volume node, seen in world RAS (a linear parent transform is applied).

    The array is a view of the node's voxels, not a copy.

    Raises:
        InputError: no node, no voxels, a colour or 4-D volume, or a parent transform that is not
            linear.
    """
    if node is None:
        raise InputError("No volume is selected; choose a CT volume.")
    name = node.GetName()
    if not isinstance(node, slicer.vtkMRMLScalarVolumeNode):
        raise InputError(f"'{name}' is not a single 3-D volume; choose a CT volume, or one frame of the sequence.")
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        raise InputError(f"The volume '{name}' has no voxels; load its image again or choose another volume.")
    if image.GetNumberOfScalarComponents() != 1:
        raise InputError(
            f"'{name}' has {image.GetNumberOfScalarComponents()} values per voxel (a colour or 4-D image); "
            "choose a CT volume with one value per voxel."
        )
    to_world = _matrix_to_world(node)
    ijk_to_local = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(ijk_to_local)
    shape = image.GetDimensions()[::-1]
    array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(shape)
    return Volume(
        array,
        Grid(shape, to_world @ _to_numpy(ijk_to_local)),
        name,
        modality=series_attribute(node, "DICOM.Modality"),
        source=dicom_source(node),
    )


def copying_voxels(array: NDArray) -> Steps[vtk.vtkImageData]:
    """Voxels [k, j, i] as ``add_volume`` takes them, copied in pieces that do not hold up a window."""
    image = vtk.vtkImageData()
    image.SetDimensions(*array.shape[::-1])
    scalars = vtk.vtkDataArray.CreateDataArray(get_vtk_array_type(array.dtype))
    scalars.SetNumberOfTuples(array.size)
    copy = vtk_to_numpy(scalars).reshape(array.shape)
    at_once = max(1, _COPIED_AT_ONCE * len(array) // array.size)
    for start in range(0, len(array), at_once):
        copy[start : start + at_once] = array[start : start + at_once]
        yield
    image.GetPointData().SetScalars(scalars)
    return image


def add_volume(
    volume: Volume, window: tuple[float, float] | None = None, image: vtk.vtkImageData | None = None
) -> slicer.vtkMRMLScalarVolumeNode:
    """A new volume node with the volume's voxels (copied), under its study, with default display.

    Args:
        volume: in world RAS.
        window: width and centre of what is shown, in the volume's unit; guessed if not given, which takes a
            second for a CT.
        image: the copy, where ``copying_voxels`` made it already.
    """
    node = slicer.vtkMRMLScalarVolumeNode()
    node.SetName(volume.name)
    node.SetIJKToRASMatrix(_to_vtk(volume.ijk_to_ras))
    if image is None:
        image = finish_alone(copying_voxels(volume.array))
    if window is not None:
        # Before there are voxels to guess from.
        display = slicer.vtkMRMLScalarVolumeDisplayNode()
        display.AutoWindowLevelOff()
        display.SetWindowLevel(*window)
        slicer.mrmlScene.AddNode(display)
        display.SetDefaultColorMap()
        node.SetAndObserveDisplayNodeID(display.GetID())
    # Selectors look at a node as it comes.
    node.SetAndObserveImageData(image)
    slicer.mrmlScene.AddNode(node)
    node.CreateDefaultDisplayNodes()
    place_under_study(node, volume)
    return node


def write_provenance(node: slicer.vtkMRMLNode, provenance: Provenance) -> None:
    """Keep with a result how it was made."""
    for name, value in provenance.attributes.items():
        node.SetAttribute(name, value)


def add_segmentation(
    layers: Sequence[LabelMap], volume_node: slicer.vtkMRMLScalarVolumeNode, name: str
) -> slicer.vtkMRMLSegmentationNode:
    """A new segmentation node on the volume's voxels, one segment per structure, in one step.

    Each layer becomes one shared label map, so 100 structures take the memory of one; layers may
    overlap each other. The node follows the volume's parent transform and lies beside the volume in
    the subject hierarchy. Segment ids are the structures' names.

    Args:
        layers: label maps in world RAS, on any grid.
        volume_node: the volume that was segmented.
        name: the node's name.

    Raises:
        InputError: the volume's parent transform is not linear.
    """
    from_world = np.linalg.inv(_matrix_to_world(volume_node))
    node = slicer.vtkMRMLSegmentationNode()
    node.SetName(name)
    segmentation = node.GetSegmentation()
    for layer in layers:
        image = _oriented_image(layer, from_world)
        for value, structure in layer.structures.items():
            segmentation.AddSegment(_segment(structure, value, image), structure.name)
    with scene_batch():
        slicer.mrmlScene.AddNode(node)
        node.CreateDefaultDisplayNodes()
        node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    place_beside(node, volume_node)
    return node


def segment_from_labels(labels: LabelMap, value: int, volume_node: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkSegment:
    """One structure of a label map as a segment, for a segmentation under the volume's parent transform.

    Raises:
        InputError: the volume's parent transform is not linear.
    """
    image = _oriented_image(labels, np.linalg.inv(_matrix_to_world(volume_node)))
    return _segment(labels.structures[value], value, image)


def mask_from_segment(segmentation: slicer.vtkMRMLSegmentationNode, segment_id: str, grid: Grid) -> NDArray[np.bool_]:
    """[k, j, i] voxels of a segment on a grid in world RAS.

    Raises:
        InputError: there is no such segment, or it lies under a transform that is not linear.
    """
    segment = segmentation.GetSegmentation().GetSegment(segment_id)
    if segment is None:
        raise InputError(f"The segmentation '{segmentation.GetName()}' has no segment '{segment_id}'; choose another.")
    labels, held = label_image(segmentation, segment)
    if held is None:
        return np.zeros(grid.shape, dtype=bool)
    return placed(labels == segment.GetLabelValue(), held, grid)


def shared_labels(
    segmentation: slicer.vtkMRMLSegmentationNode, structures: Mapping[int, Structure], grid: Grid
) -> LabelMap:
    """Segments, by their structures' names, as one label map around them; the first wins where they overlap.

    Segments that share a label map, as a model's do, are read in a moment. A segment that is gone is left out.

    Args:
        grid: in world RAS, that the label map's voxels are of.

    Raises:
        InputError: the segmentation lies under a transform that is not linear.
    """
    held = segmentation.GetSegmentation()
    there = {value: held.GetSegment(one.name) for value, one in structures.items() if held.GetSegment(one.name)}
    images = {segment.GetRepresentation(BINARY_LABELMAP) for segment in there.values()}
    if len(images) == 1 and None not in images:
        labels, place = label_image(segmentation, next(iter(there.values())))
        inside = place is not None and grid.offset_of(place)
        if inside and all(0 <= at <= n - m for at, n, m in zip(inside, grid.shape, place.shape, strict=True)):
            values = np.zeros(int(labels.max(initial=0)) + 1, np.uint8)
            for value, segment in there.items():
                if segment.GetLabelValue() < len(values):
                    values[segment.GetLabelValue()] = value
            return LabelMap(values[labels], place, structures)
    array = np.zeros(grid.shape, np.uint8)
    for value in reversed(there):
        array[mask_from_segment(segmentation, structures[value].name, grid)] = value
    return cropped(LabelMap(array, grid, structures))


def label_image(
    segmentation: slicer.vtkMRMLSegmentationNode, segment: slicer.vtkSegment
) -> tuple[NDArray, Grid | None]:
    """The label map that a segment may share with others, [k, j, i], and its place in world RAS; None where empty.

    The array is a view of the segment's voxels, not a copy.

    Raises:
        InputError: the segmentation lies under a transform that is not linear.
    """
    image = segment.GetRepresentation(BINARY_LABELMAP)
    if image is None:
        segmentation.CreateBinaryLabelmapRepresentation()
        image = segment.GetRepresentation(BINARY_LABELMAP)
    extent = image.GetExtent()
    shape = (extent[5] - extent[4] + 1, extent[3] - extent[2] + 1, extent[1] - extent[0] + 1)
    if min(shape) <= 0:
        return np.zeros((0, 0, 0)), None
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    whole = Grid(shape, _matrix_to_world(segmentation) @ _to_numpy(matrix))
    labels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(shape)
    return labels, whole.crop((extent[4], extent[2], extent[0]), shape)


def counting_volumes(segmentation: slicer.vtkMRMLSegmentationNode) -> Steps[dict[str, float]]:
    """Name of each segment and its volume in ml; an edit meanwhile asks for another count."""
    held = segmentation.GetSegmentation()
    volumes, counted = {}, {}
    for segment_id in held.GetSegmentIDs():
        segment = held.GetSegment(segment_id)
        labels, grid = label_image(segmentation, segment)
        if grid is None:
            volumes[segment.GetName()] = 0.0
            continue
        # Segments share label maps, each of which is counted once.
        place = labels.__array_interface__["data"][0]
        if place not in counted:
            counted[place] = yield from _histogram(labels)
        counts = counted[place]
        value = segment.GetLabelValue()
        voxels = int(counts[value]) if value < len(counts) else 0
        volumes[segment.GetName()] = voxels * grid.voxel_volume / 1000.0
    return volumes


def _histogram(labels: NDArray) -> Steps[NDArray[np.int64]]:
    """Voxels of each label value."""
    # What is edited between two steps may move in memory.
    flat = labels.flatten()
    yield
    counts = np.zeros(int(flat.max(initial=0)) + 1, np.int64)
    yield
    # NumPy counts in 64-bit integers, eight times the memory of the labels.
    for start in range(0, flat.size, _COUNTED_AT_ONCE):
        counts += np.bincount(flat[start : start + _COUNTED_AT_ONCE], minlength=len(counts))
        if start + _COUNTED_AT_ONCE < flat.size:
            yield
    return counts


def add_table(name: str, columns: Iterable[tuple[str, Sequence]]) -> slicer.vtkMRMLTableNode:
    """A locked table node of named columns: a NumPy array is a column of numbers, anything else one of text."""
    node = slicer.vtkMRMLTableNode()
    node.SetName(name)
    for column in table_columns(columns):
        node.AddColumn(column)
    node.SetUseColumnTitleAsColumnHeader(True)
    node.SetLocked(True)
    slicer.mrmlScene.AddNode(node)
    return node


def table_columns(columns: Iterable[tuple[str, Sequence]]) -> list[vtk.vtkAbstractArray]:
    """Named columns as VTK has them: a NumPy array is one of numbers, anything else one of text."""
    made = []
    for title, values in columns:
        if isinstance(values, np.ndarray):
            array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
        else:
            array = vtk.vtkStringArray()
            for value in values:
                array.InsertNextValue(str(value))
        array.SetName(title)
        made.append(array)
    return made


@contextmanager
def scene_batch():
    """Many changes of the scene announced once, so that views and panels update once."""
    slicer.mrmlScene.StartState(slicer.vtkMRMLScene.BatchProcessState)
    try:
        yield
    finally:
        slicer.mrmlScene.EndState(slicer.vtkMRMLScene.BatchProcessState)


def terminology_entry(structure: Structure) -> str:
    """The segment tag's text: context, category, type, modifier, region context, region, modifier.

    Seven parts without a closing separator, the form that survives a .seg.nrrd file.
    """
    region_context = ANATOMIC_REGIONS if structure.region else ""
    parts = (
        structure.context,
        _code(structure.category),
        _code(structure.type),
        _code(structure.type_modifier),
        region_context,
        _code(structure.region),
        _code(structure.region_modifier),
    )
    return "~".join(parts)


def _code(code: Code | None) -> str:
    return f"{code.value}^{code.scheme}^{code.meaning}" if code else "^^"


def _segment(structure: Structure, value: int, image: slicer.vtkOrientedImageData) -> slicer.vtkSegment:
    segment = slicer.vtkSegment()
    segment.SetName(structure.name)
    segment.SetColor(*structure.colour)
    segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terminology_entry(structure))
    segment.SetLabelValue(value)
    segment.AddRepresentation(BINARY_LABELMAP, image)
    return segment


def _oriented_image(labels: LabelMap, from_world: NDArray) -> slicer.vtkOrientedImageData:
    """The label map's voxels as VTK has them, cropped to what is not background."""
    (k, j, i), (k_end, j_end, i_end) = content_box(labels.array)
    array = labels.array[k:k_end, j:j_end, i:i_end]
    image = slicer.vtkOrientedImageData()
    image.SetExtent(i, i_end - 1, j, j_end - 1, k, k_end - 1)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(array).ravel(), deep=True))
    image.SetGeometryFromImageToWorldMatrix(_to_vtk(from_world @ labels.grid.ijk_to_ras))
    return image


def _matrix_to_world(node: slicer.vtkMRMLTransformableNode) -> NDArray[np.float64]:
    transform = node.GetParentTransformNode()
    if transform is None:
        return np.eye(4)
    if not transform.IsTransformToWorldLinear():
        raise InputError(
            f"'{node.GetName()}' lies under the transform '{transform.GetName()}', which is not linear; "
            "harden the transform on the volume first (Transforms module)."
        )
    matrix = vtk.vtkMatrix4x4()
    transform.GetMatrixTransformToWorld(matrix)
    return _to_numpy(matrix)


def _to_numpy(matrix: vtk.vtkMatrix4x4) -> NDArray[np.float64]:
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def _to_vtk(matrix: NDArray) -> vtk.vtkMatrix4x4:
    result = vtk.vtkMatrix4x4()
    for row in range(4):
        for column in range(4):
            result.SetElement(row, column, matrix[row, column])
    return result
