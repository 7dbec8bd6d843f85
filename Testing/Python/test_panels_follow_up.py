"""The follow-up section of the nodule panel: comparison, pairs, both CTs side by side."""

from __future__ import annotations

import pytest
import slicer
from nodule_scene import FOUND, SHIFT_MM, in_study, with_prior
from panels import click, click_row, open_panel, texts

from LungNoduleAILib import scene, workflow

GROWTH = 5


@pytest.fixture
def panel(slicer_host, monkeypatch):
    """The panel with findings in a CT and in a prior one, both chosen, the section open."""
    slicer.mrmlScene.Clear()
    slicer_host.make_views()
    current, prior = with_prior(monkeypatch)
    for node in (current, prior):
        node.SetAttribute("ThoraxAI.Result", "nodules")
    panel = open_panel(slicer_host, "LungNoduleAI")
    panel.ui.inputSelector.setCurrentNode(scene.ct_of(current))
    panel.ui.findingsSelector.setCurrentNode(current)
    panel.ui.followUpCollapsibleButton.setChecked(True)
    panel.ui.inputsCollapsibleButton.setChecked(False)
    panel.current, panel.prior = current, prior
    yield panel
    panel.close()


@pytest.fixture
def compared(panel):
    panel.ui.priorSelector.setCurrentNode(scene.ct_of(panel.prior))
    panel.ui.daysSpinBox.setValue(180)
    click(panel.ui.compareButton)
    return panel


def slice_node(name: str):
    return slicer.mrmlScene.GetSingletonNode(name, "vtkMRMLSliceNode")


def centre(name: str) -> list[float]:
    return [slice_node(name).GetSliceToRAS().GetElement(axis, 3) for axis in range(3)]


def test_the_button_says_what_is_missing(panel):
    ui = panel.ui
    ui.priorSelector.setCurrentNode(None)
    assert ui.compareButton.toolTip == "Choose a prior CT above."
    ui.priorSelector.setCurrentNode(scene.ct_of(panel.current))
    assert "is the current one" in ui.compareButton.toolTip
    ui.priorSelector.setCurrentNode(scene.ct_of(panel.prior))
    assert "enter the number of days between the two CTs" in ui.compareButton.toolTip
    assert not ui.compareButton.enabled
    ui.daysSpinBox.setValue(90)
    assert ui.compareButton.enabled
    assert ui.sideBySideButton.toolTip == "Compare with a prior CT first."


def test_comparison_shows_pairs_growth_and_how_sure_it_is(compared):
    rows = texts(compared.ui.pairsTable)
    assert [row[0] for row in rows] == ["1", "2"]
    assert [row[1] for row in rows] == ["1", ""]
    assert [row[3] for row in rows] == ["stable", "new"]
    assert "Nodule 1 (prior 1)" in compared.ui.pairsTable.item(0, 3).toolTip()
    assert compared.ui.followUpLabel.text.startswith("180 days; the lungs overlap by 99 %")
    assert [row[GROWTH] for row in texts(compared.ui.nodulesTable)] == ["+0", "new"]
    assert compared.message == "2 nodules were compared."


def test_rejecting_a_nodule_takes_it_out_of_the_comparison(compared):
    compared.widget.logic.reject(compared.current, 2)
    assert [row[0] for row in texts(compared.ui.pairsTable)] == ["1"]


def test_a_pair_goes_to_its_place(compared):
    click_row(compared.ui.pairsTable, 1)
    assert centre("Red") == pytest.approx(FOUND[1].centre, abs=1.0)


def test_nodules_of_a_prior_that_was_not_searched_are_detected_first(panel, monkeypatch):
    detected = []
    volume = scene.ct_of(panel.prior)
    slicer.mrmlScene.RemoveNode(panel.prior.GetNodeReference("ThoraxAI.Record"))

    def detecting(node, device, **options):
        detected.append(node)
        yield
        return workflow.findings_in(scene.ct_of(panel.current)), ()

    monkeypatch.setattr(panel.widget.logic, "detecting", detecting)
    panel.ui.priorSelector.setCurrentNode(volume)
    panel.ui.daysSpinBox.setValue(180)
    click(panel.ui.compareButton)
    panel.wait_for(lambda: not panel.widget.runControls.running)
    assert detected == [volume]
    assert "are the current ones" in panel.message


def test_side_by_side_views_scroll_together_along_the_registration_and_go_back(compared):
    layout = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    before = layout.GetViewArrangement()
    orientation = slice_node("Yellow").GetSliceToRAS().GetElement(2, 2)
    click(compared.ui.sideBySideButton)
    assert layout.GetViewArrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutSideBySideView
    shown = {
        one.GetLayoutName(): one.GetBackgroundVolumeID()
        for one in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    }
    assert shown["Red"] == scene.ct_of(compared.current).GetID()
    assert shown["Yellow"] == scene.ct_of(compared.prior).GetID()
    assert compared.prior.GetDisplayNode().GetViewNodeIDs() == (slice_node("Yellow").GetID(),)
    click_row(compared.ui.nodulesTable, 0)
    r, a, s = FOUND[0].centre
    assert centre("Red") == pytest.approx((r, a, s), abs=1.0)
    assert centre("Yellow") == pytest.approx((r, a, s - SHIFT_MM), abs=1.0)
    slice_node("Red").SetSliceOffset(40.0)
    assert centre("Yellow")[2] == pytest.approx(40.0 - SHIFT_MM)
    slice_node("Yellow").SetSliceOffset(0.0)
    assert centre("Red")[2] == pytest.approx(SHIFT_MM)
    slice_node("Red").SetFieldOfView(120.0, 120.0, 1.0)
    assert slice_node("Yellow").GetFieldOfView()[0] == pytest.approx(120.0)
    click(compared.ui.sideBySideButton)
    assert layout.GetViewArrangement() == before
    assert slice_node("Yellow").GetSliceToRAS().GetElement(2, 2) == pytest.approx(orientation)
    assert compared.prior.GetDisplayNode().GetNumberOfViewNodeIDs() == 0
    offset = slice_node("Red").GetSliceOffset()
    slice_node("Yellow").SetSliceOffset(77.0)
    assert slice_node("Red").GetSliceOffset() == pytest.approx(offset)


def test_prior_that_leaves_the_scene_ends_the_comparison(compared):
    click(compared.ui.sideBySideButton)
    slicer.mrmlScene.RemoveNode(compared.prior)
    compared.widget.showReading()
    assert texts(compared.ui.pairsTable) == []
    assert not compared.ui.sideBySideButton.checked


def test_a_prior_of_another_patient_or_a_later_day_is_refused_before_any_work(panel):
    """Names stay hidden: the identifiers are compared and not shown."""
    ui = panel.ui
    ui.priorSelector.setCurrentNode(scene.ct_of(panel.prior))
    in_study(scene.ct_of(panel.current), "P-4711", "20240601")
    in_study(scene.ct_of(panel.prior), "P-4712", "20240101")
    ui.daysSpinBox.setValue(90)
    ui.daysSpinBox.setValue(0)
    assert not ui.compareButton.enabled
    assert ui.compareButton.toolTip == "The prior CT is of another patient; choose a CT of the same patient."
    ui.daysSpinBox.setValue(90)
    assert not ui.compareButton.enabled
    in_study(scene.ct_of(panel.prior), "P-4711", "20250101")
    ui.daysSpinBox.setValue(0)
    assert "taken 214 days after the current one" in ui.compareButton.toolTip
    in_study(scene.ct_of(panel.prior), "P-4711", "20240101")
    ui.daysSpinBox.setValue(1)
    ui.daysSpinBox.setValue(0)
    assert ui.compareButton.enabled
