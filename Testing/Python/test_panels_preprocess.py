"""The preprocess section of the panel: a preview that leaves nothing behind, and new volumes."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
import slicer
from panels import choose, click, node_count, open_panel, small_ct, tick
from PySide6.QtTest import QTest

from SegmentationAILib.engine.background import background
from SegmentationAILib.enhancement import enhance as enhance_module
from SegmentationAILib.enhancement import preview  # noqa: F401 - before anything of it is replaced
from SegmentationAILib.enhancement.enhance import enhance
from SegmentationAILib.enhancement.scene import OPERATION_ATTRIBUTE
from SegmentationAILib.scene import add_volume, volume_from_node

VIEWS = ("Red", "Yellow", "Green")


@pytest.fixture
def ct(slicer_host):
    slicer.mrmlScene.Clear()
    slicer_host.make_views()
    volume = small_ct()
    noisy = volume.array + np.random.default_rng(0).normal(0, 20, volume.shape)
    node = add_volume(volume.with_array(np.round(noisy).astype(np.int16)))
    for view, orientation in zip(VIEWS, ("Axial", "Sagittal", "Coronal"), strict=True):
        slice_node = slicer.mrmlScene.GetSingletonNode(view, "vtkMRMLSliceNode")
        slice_node.SetMappedInLayout(1)
        slice_node.SetOrientation(orientation)
        composite(view).SetBackgroundVolumeID(node.GetID())
    return node


@pytest.fixture
def panel(slicer_host, ct, monkeypatch):
    monkeypatch.setattr(background, "in_process", True)
    panel = open_panel(slicer_host, "SegmentationAI")
    panel.ui.inputSelector.setCurrentNode(ct)
    panel.ui.preprocessCollapsibleButton.setChecked(True)
    panel._window.resize(380, 1500)
    slicer_host.process_events()
    choose_operation(panel, "gaussian")
    yield panel
    panel.close()


def composite(view: str):
    return slicer.mrmlScene.GetSingletonNode(view, "vtkMRMLSliceCompositeNode")


def choose_operation(panel, name: str) -> None:
    combo = panel.ui.preprocessComboBox
    # Separators are not stopped at.
    place = combo.findData(name)
    choose(combo, sum(combo.itemData(index) is not None for index in range(place)))
    assert combo.itemData(combo.currentIndex) == name


def field(panel, name: str):
    return panel.child(panel.ui.preprocessCollapsibleButton, f"preprocess_{name}")


def type_value(panel, name: str, value: str) -> None:
    spin = field(panel, name)
    spin.setFocus()
    spin.selectAll()
    QTest.keyClicks(spin, value)
    QTest.keyClick(spin, "\r")


def layers() -> list[tuple]:
    return [
        (composite(view).GetBackgroundVolumeID(), composite(view).GetForegroundVolumeID(), opacity(view))
        for view in VIEWS
    ]


def opacity(view: str) -> float:
    return composite(view).GetForegroundOpacity()


def previewed(view: str = "Red"):
    return slicer.mrmlScene.GetNodeByID(composite(view).GetForegroundVolumeID() or "")


def wait_for_preview(panel) -> None:
    panel.wait_for(lambda: all(previewed(view) is not None for view in VIEWS) and not panel.ui.previewLabel.text)


def test_the_preview_is_the_slice_that_would_be_made(panel, ct):
    choose_operation(panel, "gaussian")
    type_value(panel, "sigma_mm", "6")
    tick(panel.ui.previewCheckBox)
    wait_for_preview(panel)
    whole = enhance(volume_from_node(ct), "gaussian", {"sigma_mm": 6.0})
    for view in VIEWS:
        seen = volume_from_node(previewed(view))
        corner = np.rint(whole.grid.ijk(seen.grid.ras([0, 0, 0]))).astype(int)[::-1]
        window = tuple(slice(a, a + n) for a, n in zip(corner, seen.shape, strict=True))
        assert min(seen.shape) <= 4
        assert np.abs(seen.array.astype(int) - whole.array[window]).max() <= 1
        assert opacity(view) == 1.0


def test_turned_off_it_leaves_the_scene_as_it_was(panel, ct):
    other = add_volume(small_ct("other"))
    composite("Red").SetForegroundVolumeID(other.GetID())
    composite("Red").SetForegroundOpacity(0.3)
    before, count, array = layers(), node_count(), slicer.util.arrayFromVolume(ct).copy()
    tick(panel.ui.previewCheckBox)
    panel.wait_for(lambda: node_count() > count and not panel.ui.previewLabel.text)
    assert layers() != before
    tick(panel.ui.previewCheckBox)
    assert layers() == before
    assert node_count() == count
    assert np.array_equal(slicer.util.arrayFromVolume(ct), array)


def test_the_preview_follows_parameters_and_slices(panel, ct):
    choose_operation(panel, "window")
    tick(panel.ui.previewCheckBox)
    wait_for_preview(panel)
    assert slicer.util.arrayFromVolume(previewed()).max() <= 240
    type_value(panel, "width_hu", "100")
    panel.wait_for(lambda: slicer.util.arrayFromVolume(previewed()).max() == 90)
    slice_node = slicer.mrmlScene.GetSingletonNode("Red", "vtkMRMLSliceNode")
    slice_node.JumpSliceByOffsetting(0, 0, 60)
    panel.wait_for(lambda: abs(volume_from_node(previewed()).grid.ras([0, 0, 0])[2] - 60) <= 5)
    choose_operation(panel, "CLAHE")
    panel.wait_for(lambda: slicer.util.arrayFromVolume(previewed()).dtype == np.uint8)


@pytest.mark.parametrize("name", ["curvature flow", "N4"])
def test_what_takes_long_is_sketched_first(panel, ct, name, monkeypatch):
    """The sketch is told to be one, stays until the exact slice is there, and another slice has one at once."""
    go_on, learnt_of = threading.Event(), enhance_module.learnt_of

    def held_up(volume, *arguments):
        go_on.wait()
        return learnt_of(volume, *arguments)

    monkeypatch.setattr(enhance_module, "learnt_of", held_up)
    choose_operation(panel, name)
    tick(panel.ui.previewCheckBox)
    panel.wait_for(lambda: all(previewed(view) is not None for view in VIEWS))
    panel.wait_for(lambda: panel.ui.previewLabel.text.startswith("This preview is approximate"))
    slicer.mrmlScene.GetSingletonNode("Red", "vtkMRMLSliceNode").JumpSliceByOffsetting(0, 0, 60)
    panel.wait_for(lambda: abs(volume_from_node(previewed()).grid.ras([0, 0, 0])[2] - 60) <= 5)
    assert panel.ui.previewLabel.text.startswith("This preview is approximate")
    go_on.set()
    wait_for_preview(panel)
    whole = enhance_module.enhance(volume_from_node(ct), name)
    seen = volume_from_node(previewed())
    corner = np.rint(whole.grid.ijk(seen.grid.ras([0, 0, 0]))).astype(int)[::-1]
    window = tuple(slice(a, a + n) for a, n in zip(corner, seen.shape, strict=True))
    assert np.allclose(seen.array, whole.array[window], atol=1)


@pytest.mark.parametrize("end", ["leave", "collapse", "other volume", "remove", "close scene"])
def test_the_preview_ends_with_what_it_is_of(panel, ct, end):
    other = add_volume(small_ct("other"))
    tick(panel.ui.previewCheckBox)
    wait_for_preview(panel)
    if end == "leave":
        panel.leave()
    elif end == "collapse":
        panel.ui.preprocessCollapsibleButton.setChecked(False)
    elif end == "other volume":
        panel.ui.inputSelector.setCurrentNode(other)
    elif end == "remove":
        slicer.mrmlScene.RemoveNode(ct)
    else:
        slicer.mrmlScene.Clear()
    panel.wait_for(lambda: not any(slicer.mrmlScene.GetFirstNodeByName(f"Preview {view}") for view in VIEWS))


def test_a_saved_scene_has_no_preview_in_it(panel, ct, tmp_path):
    tick(panel.ui.previewCheckBox)
    wait_for_preview(panel)
    path = tmp_path / "scene.mrml"
    slicer.mrmlScene.SetURL(str(path))
    slicer.mrmlScene.Commit()
    assert "Preview" not in path.read_text(encoding="utf-8")


def test_a_preview_that_the_user_removes_comes_back(panel, ct):
    tick(panel.ui.previewCheckBox)
    wait_for_preview(panel)
    slicer.mrmlScene.RemoveNode(previewed("Green"))
    wait_for_preview(panel)
    assert opacity("Green") == 1.0


def test_a_plane_beside_the_volume_shows_nothing(panel, ct):
    tick(panel.ui.previewCheckBox)
    wait_for_preview(panel)
    slicer.mrmlScene.GetSingletonNode("Red", "vtkMRMLSliceNode").JumpSliceByOffsetting(0, 0, 500)
    panel.wait_for(lambda: previewed("Red") is None and not panel.ui.previewLabel.text)
    assert previewed("Yellow") is not None


def test_a_view_of_another_volume_is_left_alone(panel, ct):
    other = add_volume(small_ct("other"))
    composite("Green").SetBackgroundVolumeID(other.GetID())
    tick(panel.ui.previewCheckBox)
    panel.wait_for(lambda: previewed("Red") is not None and not panel.ui.previewLabel.text)
    assert previewed("Green") is None
    for view in VIEWS:
        composite(view).SetBackgroundVolumeID(other.GetID())
    panel.wait_for(lambda: panel.ui.previewLabel.text == "No slice view shows this volume.")
    assert previewed("Red") is None


def test_views_that_the_layout_does_not_show_are_left_alone(panel, ct):
    slicer.mrmlScene.GetSingletonNode("Green", "vtkMRMLSliceNode").SetMappedInLayout(0)
    tick(panel.ui.previewCheckBox)
    panel.wait_for(lambda: previewed("Yellow") is not None and not panel.ui.previewLabel.text)
    assert previewed("Green") is None


def test_a_parameter_that_cannot_be_is_one_sentence(panel, ct):
    choose_operation(panel, "median")
    tick(panel.ui.previewCheckBox)
    panel.wait_for(lambda: "reaches no neighbouring voxel; choose 5 mm" in panel.ui.previewLabel.text)
    assert previewed() is None
    type_value(panel, "radius_mm", "5")
    wait_for_preview(panel)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("median", {"radius_mm": 5.0}),
        ("curvature flow", {"radius_mm": 4.0}),
        ("CLAHE", {"centre_hu": -600.0, "width_hu": 1500.0}),
        ("resample", {"left_right_mm": 8.0, "front_back_mm": 8.0, "head_foot_mm": 4.0}),
        ("reorient", {"codes": "PSL"}),
    ],
)
def test_a_new_volume_is_made_and_the_ct_stays(panel, ct, name, values):
    before, array = volume_from_node(ct), slicer.util.arrayFromVolume(ct).copy()
    choose_operation(panel, name)
    for key, value in values.items():
        if isinstance(value, str):
            choose(field(panel, key), field(panel, key).findText(value))
        else:
            type_value(panel, key, str(value))
    click(panel.ui.preprocessButton)
    panel.wait_for(lambda: not panel.widget.runControls.running)
    made = slicer.mrmlScene.GetNodeByID(composite("Red").GetBackgroundVolumeID())
    assert made is not ct
    assert panel.message == f"New volume: {made.GetName()}"
    assert json.loads(made.GetAttribute(OPERATION_ATTRIBUTE))["options"].items() >= values.items()
    expected = enhance(before, name, values)
    assert volume_from_node(made).grid.same_as(expected.grid)
    assert np.array_equal(volume_from_node(made).array, expected.array)
    assert np.array_equal(slicer.util.arrayFromVolume(ct), array)


def test_what_was_chosen_is_kept_with_the_scene(panel, slicer_host, ct):
    choose_operation(panel, "curvature flow")
    type_value(panel, "radius_mm", "2.5")
    choose_operation(panel, "N4")
    panel.leave()
    panel.enter()
    assert panel.ui.preprocessComboBox.itemData(panel.ui.preprocessComboBox.currentIndex) == "N4"
    choose_operation(panel, "curvature flow")
    assert field(panel, "radius_mm").value == 2.5
    panel.widget.logic.getParameterNode().preprocessParameters = '{"curvature flow": {"radius_mm": 3.5}}'
    assert field(panel, "radius_mm").value == 3.5


def test_what_cannot_be_done_says_why(panel, ct):
    choose_operation(panel, "reorient")
    assert not panel.ui.previewCheckBox.enabled
    assert panel.ui.previewCheckBox.toolTip == "The picture stays the same; there is nothing to preview."
    slicer.mrmlScene.RemoveNode(ct)
    assert not panel.ui.preprocessButton.enabled
    assert panel.ui.preprocessButton.toolTip == "Choose a volume above."


def test_hu_that_are_lost_are_told(panel):
    for name, said in (("CLAHE", "not for measuring"), ("gaussian", "Keeps HU.")):
        choose_operation(panel, name)
        assert said in panel.ui.preprocessHintLabel.text


def test_from_the_console(panel, ct):
    logic = panel.widget.logic
    made = logic.preprocess(ct, "gaussian", sigma_mm=5.0)
    assert made.GetName() == "chest Gaussian"
    assert slicer.util.arrayFromVolume(made).std() < slicer.util.arrayFromVolume(ct).std()
    # A processed picture does not pass for the scanner's.
    assert not made.GetAttribute("DICOM.instanceUIDs")


def test_what_keeps_hu_is_shown_as_its_source(panel, ct):
    ct.GetDisplayNode().AutoWindowLevelOff()
    ct.GetDisplayNode().SetWindowLevel(1500, -600)
    for name, shown in (("gaussian", (1500, -600)), ("CLAHE", (256, 128))):
        display = panel.widget.logic.preprocess(ct, name).GetDisplayNode()
        assert (display.GetWindow(), display.GetLevel()) == shown
        assert not display.GetAutoWindowLevel()


def test_a_ct_under_a_transform_stays_in_its_place(panel, ct):
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(
        slicer.util.vtkMatrixFromArray(np.array([[0, -1, 0, 5], [1, 0, 0, 6], [0, 0, 1, 7], [0, 0, 0, 1]], float))
    )
    ct.SetAndObserveTransformNodeID(transform.GetID())
    made = panel.widget.logic.preprocess(ct, "window")
    assert volume_from_node(made).grid.same_as(volume_from_node(ct).grid)
