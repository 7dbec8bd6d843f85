"""MRML nodes <-> Volume <-> labels in a real scene: what is written lies where it was found."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from geometry import AXIS_ORDERS, grids, oblique_grid
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

import SegmentationAILib.scene as module_under_test
from SegmentationAILib.errors import InputError
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.preprocess import resample
from SegmentationAILib.terminology import AIRWAY, LEFT_LUNG, RIGHT, RIGHT_LUNG, lung_nodule
from SegmentationAILib.volume import DicomSource, Grid, Volume

NODULE = lung_nodule("nodule 1", (0.9, 0.6, 0.0), RIGHT)


@pytest.fixture
def scene(mrml_session):
    """SegmentationAILib.scene, on an empty scene."""
    mrml_session.clear()
    return module_under_test


def a_volume(grid: Grid, **options) -> Volume:
    array = np.random.default_rng(0).integers(-1000, 1000, grid.shape).astype(np.int16)
    return Volume(array, grid, "chest", "CT", **options)


def under_transform(node, matrix: np.ndarray):
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "to world")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    node.SetAndObserveTransformNodeID(transform.GetID())
    return transform


def rigid() -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", [10, 20, 30], degrees=True).as_matrix()
    matrix[:3, 3] = [5, -6, 7]
    return matrix


@pytest.mark.parametrize("order", AXIS_ORDERS)
def test_volume_there_and_back(scene, order):
    volume = a_volume(oblique_grid(order, angles_deg=(11, 5, -8)))
    back = scene.volume_from_node(scene.add_volume(volume))
    assert back.grid.same_as(volume.grid)
    assert np.array_equal(back.array, volume.array)
    assert (back.name, back.modality) == ("chest", "CT")


def test_the_volume_is_a_view_of_the_node(scene):
    node = scene.add_volume(a_volume(oblique_grid(AXIS_ORDERS[0])))
    assert np.shares_memory(scene.volume_from_node(node).array, slicer.util.arrayFromVolume(node))


def test_dicom_references_are_kept(scene):
    grid = oblique_grid(AXIS_ORDERS[0])
    source = DicomSource("1.2.3", "1.2.3.4", "1.2.3.5", "", tuple(f"1.2.3.4.{n}" for n in range(grid.shape[0])))
    assert scene.volume_from_node(scene.add_volume(a_volume(grid, source=source))).source == source


def test_a_linear_parent_transform_is_applied(scene):
    volume = a_volume(oblique_grid(AXIS_ORDERS[3]))
    node = scene.add_volume(volume)
    under_transform(node, rigid())
    assert np.allclose(scene.volume_from_node(node).ijk_to_ras, rigid() @ volume.ijk_to_ras)


def test_a_warping_parent_transform_is_refused_by_name(scene):
    node = scene.add_volume(a_volume(oblique_grid(AXIS_ORDERS[0])))
    warp = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLBSplineTransformNode", "breathing")
    warp.SetAndObserveTransformToParent(vtk.vtkThinPlateSplineTransform())
    node.SetAndObserveTransformNodeID(warp.GetID())
    before = slicer.mrmlScene.GetNumberOfNodes()
    labels = LabelMap(
        np.ones(node.GetImageData().GetDimensions()[::-1], np.uint8), oblique_grid(AXIS_ORDERS[0]), {1: AIRWAY}
    )
    for attempt in (lambda: scene.volume_from_node(node), lambda: scene.add_segmentation([labels], node, "x")):
        with pytest.raises(InputError, match=r"'chest' lies under the transform 'breathing'.*harden"):
            attempt()
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_what_is_not_one_3d_volume_is_refused(scene):
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    colour = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "photo")
    image = vtk.vtkImageData()
    image.SetDimensions(4, 4, 4)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
    colour.SetAndObserveImageData(image)
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "4D CT")
    for node, sentence in (
        (None, "No volume is selected; choose"),
        (empty, "'empty' has no voxels; load"),
        (colour, "'photo' has 3 values per voxel .*; choose"),
        (sequence, "'4D CT' is not a single 3-D volume; choose"),
    ):
        with pytest.raises(InputError, match=sentence):
            scene.volume_from_node(node)


@given(grids(), st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_marker_survives_every_round_trip(scene, mrml_session, tmp_path_factory, grid, data):
    """Node -> Volume -> resampled -> labels -> segment -> saved and reloaded: within half a voxel."""
    mrml_session.clear()
    ijk = [data.draw(st.integers(1, n - 2)) for n in grid.shape[::-1]]
    parent = rigid() if data.draw(st.booleans()) else None
    array = np.full(grid.shape, -1000, dtype=np.int16)
    array[tuple(ijk[::-1])] = 1000
    node = scene.add_volume(Volume(array, grid, "chest", "CT"))
    if parent is not None:
        under_transform(node, parent)
    volume = scene.volume_from_node(node)
    point = volume.grid.ras(ijk)
    fine = volume.grid.canonical().with_spacing(float(grid.spacing.min()) / 2)
    moved = resample(volume.array, volume.grid, fine, fill=-1000)
    back = resample((moved >= (moved.max() - 1000) / 2).astype(np.uint8), fine, volume.grid, mode="nearest")
    segmentation = scene.add_segmentation([LabelMap(back, volume.grid, {1: NODULE})], node, "findings")
    assert marker(scene.mask_from_segment(segmentation, "nodule 1", volume.grid), volume.grid, point)
    path = tmp_path_factory.mktemp("segmentation") / "marker.seg.nrrd"
    mrml_session.save_node(segmentation, path)
    loaded = mrml_session.load_segmentation(path)
    local = grid if parent is not None else volume.grid
    expected = local.ras(ijk)
    assert marker(scene.mask_from_segment(loaded, loaded.GetSegmentation().GetNthSegmentID(0), local), local, expected)


def marker(mask: np.ndarray, grid: Grid, ras: np.ndarray) -> bool:
    """Whether the mask is one voxel within half a voxel of a point."""
    found = np.argwhere(mask)
    return len(found) == 1 and bool(np.all(np.abs(found[0][::-1] - grid.ijk(ras)) <= 0.5))


def test_layers_overlap_and_keep_their_codes_colours_and_place(scene):
    volume = a_volume(oblique_grid(AXIS_ORDERS[9], angles_deg=(3, 3, 3)))
    source = DicomSource("1.2.3", "1.2.3.4", "", "", ("1.2.3.4.1",))
    node = scene.add_volume(Volume(volume.array, volume.grid, "chest", "CT", source))
    under_transform(node, rigid())
    world = scene.volume_from_node(node).grid
    lungs = np.zeros(world.shape, np.uint8)
    lungs[:, :, :6] = 1
    lungs[:, :, 7:] = 2
    nodule = np.zeros(world.shape, np.uint8)
    nodule[3:5, 3:5, 2:4] = 9
    segmentation = scene.add_segmentation(
        [LabelMap(lungs, world, {1: RIGHT_LUNG, 2: LEFT_LUNG}), LabelMap(nodule, world, {9: NODULE})], node, "findings"
    )
    for structure, mask in ((RIGHT_LUNG, lungs == 1), (LEFT_LUNG, lungs == 2), (NODULE, nodule == 9)):
        segment = segmentation.GetSegmentation().GetSegment(structure.name)
        assert np.array_equal(scene.mask_from_segment(segmentation, structure.name, world), mask)
        assert np.allclose(segment.GetColor(), structure.colour)
    assert segmentation.GetSegmentation().GetNumberOfLayers() == 2
    assert segmentation.GetTransformNodeID() == node.GetTransformNodeID()
    assert segmentation.GetNodeReference(segmentation.GetReferenceImageGeometryReferenceRole()) is node
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    study = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(segmentation))
    assert hierarchy.GetItemUID(study, "DICOM") == "1.2.3"
    assert study == hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))


@pytest.mark.parametrize("structure", [RIGHT_LUNG, LEFT_LUNG, AIRWAY, NODULE])
def test_slicer_knows_the_terminology(scene, mrml_session, tmp_path, structure):
    """Slicer's own terminologies logic reads the tag, finds the concepts, and the tag survives a file."""
    entry = slicer.vtkSlicerTerminologyEntry()
    text = scene.terminology_entry(structure)
    logic = slicer.modules.terminologies.logic()
    assert logic.DeserializeTerminologyEntry(text, entry)
    assert entry.GetTypeObject().GetCodeMeaning() == structure.type.meaning
    category = slicer.vtkSlicerTerminologyCategory()
    found = slicer.vtkSlicerTerminologyType()
    modifier = slicer.vtkSlicerTerminologyType()
    context = structure.context
    pick(
        structure.category,
        category,
        logic.GetNumberOfCategoriesInTerminology(context),
        lambda n: logic.GetNthCategoryInTerminology(context, n, category),
    )
    pick(
        structure.type,
        found,
        logic.GetNumberOfTypesInTerminologyCategory(context, category),
        lambda n: logic.GetNthTypeInTerminologyCategory(context, category, n, found),
    )
    if structure.type_modifier:
        pick(
            structure.type_modifier,
            modifier,
            logic.GetNumberOfTypeModifiersInTerminologyType(context, category, found),
            lambda n: logic.GetNthTypeModifierInTerminologyType(context, category, found, n, modifier),
        )
    if structure.region:
        regions = "Anatomic codes - DICOM master list"
        pick(
            structure.region,
            found,
            logic.GetNumberOfRegionsInRegionContext(regions),
            lambda n: logic.GetNthRegionInRegionContext(regions, n, found),
        )
    volume = a_volume(oblique_grid(AXIS_ORDERS[0]))
    node = scene.add_volume(volume)
    labels = LabelMap(np.ones(volume.shape, np.uint8), volume.grid, {1: structure})
    mrml_session.save_node(scene.add_segmentation([labels], node, "x"), tmp_path / "x.seg.nrrd")
    segment = mrml_session.load_segmentation(tmp_path / "x.seg.nrrd").GetSegmentation().GetNthSegment(0)
    tag = vtk.reference("")
    assert segment.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), tag)
    assert tag.get() == text


def pick(code, holder, count, read_nth):
    """Step through a list of Slicer's terminology until ``holder`` holds the code."""
    for n in range(count):
        read_nth(n)
        if (holder.GetCodeValue(), holder.GetCodingSchemeDesignator()) == (code.value, code.scheme):
            assert holder.GetCodeMeaning() == code.meaning
            return
    pytest.fail(f"{code} is not in Slicer's list")


def test_a_failed_write_leaves_the_scene_as_it_was(scene):
    node = scene.add_volume(a_volume(oblique_grid(AXIS_ORDERS[0])))
    before = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(ValueError, match="do not fit"):
        scene.add_segmentation(
            [LabelMap(np.ones((2, 2, 2), np.uint8), oblique_grid(AXIS_ORDERS[0]), {1: AIRWAY})], node, "x"
        )
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_an_empty_structure_is_an_empty_segment(scene):
    volume = a_volume(oblique_grid(AXIS_ORDERS[0]))
    node = scene.add_volume(volume)
    segmentation = scene.add_segmentation(
        [LabelMap(np.zeros(volume.shape, np.uint8), volume.grid, {1: AIRWAY})], node, "x"
    )
    assert not scene.mask_from_segment(segmentation, AIRWAY.name, volume.grid).any()
    with pytest.raises(InputError, match="has no segment 'heart'"):
        scene.mask_from_segment(segmentation, "heart", volume.grid)
