"""The nodule panel and the views: what a chosen nodule, a filter and an explanation do in the scene."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from nodule_scene import FOUND, in_scene
from panels import click, click_row, open_panel, texts

from LungNoduleAILib import scene, workflow_report
from LungNoduleAILib.explanation import explain as explaining
from LungNoduleAILib.explanation.result import Explanation, Similar
from SegmentationAILib.scene import add_volume

PICTURE = np.arange(48 * 48, dtype=np.uint8).reshape(48, 48)


@pytest.fixture
def panel(slicer_host):
    """The panel on findings of two nodules, with the nodes of three slice views and a 3-D view."""
    slicer.mrmlScene.Clear()
    slicer_host.make_views()
    camera = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLCameraNode")
    camera.SetPosition(0.0, 900.0, 100.0)
    camera.SetFocalPoint(0.0, 0.0, 100.0)
    volume, nodes = in_scene()
    nodes.segmentation.SetAttribute("ThoraxAI.Result", "nodules")
    panel = open_panel(slicer_host, "LungNoduleAI")
    panel.ui.inputSelector.setCurrentNode(volume)
    panel.ui.findingsSelector.setCurrentNode(nodes.segmentation)
    panel.ui.inputsCollapsibleButton.setChecked(False)
    panel.findings, panel.markups, panel.camera = nodes.segmentation, nodes.markups, camera
    yield panel
    panel.close()


@pytest.fixture
def explained(monkeypatch):
    """Ids of the nodules that were explained, which takes no time here."""
    asked = []

    def explain(volume, lungs, nodule, *, device, progress):
        asked.append(nodule.id)
        similar = Similar("LIDC-IDRI-0001 1", 0.4, 8.0, "solid, highly suspicious", PICTURE)
        return Explanation(nodule.mask.occupancy - np.float32(0.5), nodule.mask.grid, (similar,))

    monkeypatch.setattr(explaining, "explain", explain)
    return asked


def shown_over_the_ct() -> set[str | None]:
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    return {one.GetForegroundVolumeID() for one in composites}


def filled(findings) -> list[str]:
    display = findings.GetDisplayNode()
    names = findings.GetSegmentation().GetSegmentIDs()
    return [name for name in names if display.GetVisibility2DFill() and display.GetSegmentVisibility2DFill(name)]


@pytest.mark.parametrize("row", [0, 1])
def test_a_click_centres_the_3d_view_and_keeps_its_direction_and_distance(panel, row):
    click_row(panel.ui.nodulesTable, row)
    assert panel.camera.GetFocalPoint() == pytest.approx(FOUND[row].centre, abs=1.0)
    assert np.subtract(panel.camera.GetPosition(), panel.camera.GetFocalPoint()) == pytest.approx((0, 900, 0))


def test_the_chosen_nodule_stands_out_by_more_than_its_colour(panel):
    display = panel.findings.GetDisplayNode()
    assert filled(panel.findings) == []
    for row, (chosen, other) in enumerate((("nodule 1", "nodule 2"), ("nodule 2", "nodule 1"))):
        click_row(panel.ui.nodulesTable, row)
        assert filled(panel.findings) == [chosen]
        assert display.GetSegmentOpacity3D(chosen) > display.GetSegmentOpacity3D(other)
        assert display.GetSegmentOpacity2DOutline(chosen) > display.GetSegmentOpacity2DOutline(other)
        assert [panel.markups.GetNthControlPointSelected(index) for index in range(2)] == [row == 0, row == 1]
    assert display.GetSegmentOpacity3D("right lung") == pytest.approx(0.2)


def test_a_nodule_that_is_filtered_away_stands_out_no_more(panel):
    click_row(panel.ui.nodulesTable, 1)
    panel.ui.minimumScoreSlider.value = 0.6
    assert [row[0] for row in texts(panel.ui.nodulesTable)] == ["1"]
    assert filled(panel.findings) == []
    assert "Choose a nodule" in panel.ui.assessmentText.toPlainText()


def test_smallest_size_hides_rows_segments_and_points(panel):
    first, second = (float(row[2]) for row in texts(panel.ui.nodulesTable))
    panel.ui.minimumDiameterSlider.value = max(first, second)
    assert [row[0] for row in texts(panel.ui.nodulesTable)] == ["2"]
    display = panel.findings.GetDisplayNode()
    assert [display.GetSegmentVisibility(f"nodule {n}") for n in (1, 2)] == [False, True]
    assert [panel.markups.GetNthControlPointVisibility(index) for index in range(2)] == [False, True]
    assert panel.ui.countLabel.text == "1 of 2 nodules"
    panel.ui.minimumDiameterSlider.value = 0.0
    assert len(texts(panel.ui.nodulesTable)) == 2


def test_both_filters_are_saved_with_the_scene(panel, mrml_session, tmp_path):
    panel.ui.minimumDiameterSlider.value = 5.5
    panel.ui.minimumScoreSlider.value = 0.25
    mrml_session.save_mrb(tmp_path / "scene.mrb")
    panel.leave()
    slicer.mrmlScene.Clear()
    mrml_session.load_mrb(tmp_path / "scene.mrb")
    panel.enter()
    assert panel.ui.minimumDiameterSlider.value == pytest.approx(5.5)
    assert panel.ui.minimumScoreSlider.value == pytest.approx(0.25)


def test_an_explanation_is_shown_and_hidden_and_not_taken_for_another_nodules(panel, explained):
    click_row(panel.ui.nodulesTable, 0)
    click(panel.ui.explainButton)
    overlay = slicer.util.getNode("nodule 1 influence")
    assert shown_over_the_ct() == {overlay.GetID()}
    click(panel.ui.explainButton)
    assert shown_over_the_ct() == {None}
    click(panel.ui.explainButton)
    assert explained == [1]
    click_row(panel.ui.nodulesTable, 1)
    assert shown_over_the_ct() == {None}
    assert not panel.ui.explainButton.checked
    assert "LIDC-IDRI-0001" not in panel.ui.assessmentText.toPlainText()
    click_row(panel.ui.nodulesTable, 0)
    assert "solid, highly suspicious (LIDC-IDRI-0001 1)" in panel.ui.assessmentText.toPlainText()


def test_another_overlay_of_the_user_stays(panel, explained):
    other = add_volume(scene.ct_and_lungs(panel.findings)[0])
    composite = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    composite.SetForegroundVolumeID(other.GetID())
    click_row(panel.ui.nodulesTable, 1)
    assert composite.GetForegroundVolumeID() == other.GetID()


def test_explanations_come_back_with_a_saved_scene_and_are_not_computed_again(panel, explained, mrml_session, tmp_path):
    click_row(panel.ui.nodulesTable, 1)
    click(panel.ui.explainButton)
    influence = slicer.util.arrayFromVolume(slicer.util.getNode("nodule 2 influence")).copy()
    mrml_session.save_mrb(tmp_path / "scene.mrb")
    panel.leave()
    slicer.mrmlScene.Clear()
    mrml_session.load_mrb(tmp_path / "scene.mrb")
    panel.enter()
    click_row(panel.ui.nodulesTable, 1)
    assert "solid, highly suspicious (LIDC-IDRI-0001 1)" in panel.ui.assessmentText.toPlainText()
    click(panel.ui.explainButton)
    assert shown_over_the_ct() == {slicer.util.getNode("nodule 2 influence").GetID()}
    findings = panel.ui.findingsSelector.currentNode()
    _, kept = panel.widget.logic.explanation(findings, 2)
    assert np.array_equal(kept.influence, influence)
    assert np.array_equal(kept.similar[0].picture, PICTURE)
    reported = workflow_report.content(findings, explain_on="cpu").nodules
    assert [one.explanation is not None for one in reported] == [True, True]
    assert explained == [2, 1]


def test_explaining_again_replaces_what_was_there(panel, explained):
    logic = panel.widget.logic
    logic.explain(panel.findings, 1)
    logic.explain(panel.findings, 1)
    assert len(slicer.util.getNodes("nodule 1 influence*")) == 1
    assert logic.explanation(panel.findings, 2) is None
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("nodule 1 influence"))
    assert logic.explanation(panel.findings, 1) is None
