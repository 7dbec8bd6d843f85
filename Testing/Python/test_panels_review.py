"""The nodule panel at review: every button and key, on real MRML and real Qt events."""

from __future__ import annotations

import json

import numpy as np
import pytest
import qt
import slicer
from nodule_scene import FOUND, MISSED, ball, chest_with_findings
from panels import choose, click, click_row, open_panel, texts, tick
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

import LungNoduleAILib.analysis
import LungNoduleAILib.explanation.explain
from LungNoduleAILib import scene, workflow_report
from LungNoduleAILib.explanation import explain as explaining
from LungNoduleAILib.explanation.result import Explanation, Similar
from LungNoduleAILib.review import Verdict
from SegmentationAILib.scene import add_volume, mask_from_segment

SITE, GROWTH, SCORE, LUNG_RADS, BROCK, MARK = 1, 5, 6, 7, 8, 9
INTERACTION = slicer.vtkMRMLInteractionNode


@pytest.fixture
def panel(slicer_host, monkeypatch):
    volume, found = chest_with_findings()
    monkeypatch.setattr(LungNoduleAILib.analysis, "analyze", lambda volume, task, progress: found)
    slicer.mrmlScene.Clear()
    slicer_host.make_views()
    panel = open_panel(slicer_host, "LungNoduleAI")
    panel.ui.inputSelector.setCurrentNode(add_volume(volume))
    yield panel
    panel.close()


@pytest.fixture
def reviewed(panel):
    """The panel after a run that found two of three nodules, on the CPU."""
    panel.widget._parameterNode.device = "cpu"
    click(panel.ui.runButton)
    panel.findings = panel.ui.findingsSelector.currentNode()
    return panel


def key(panel, name, modifier=Qt.NoModifier) -> None:
    panel.focus(panel.ui.nodulesTable)
    QTest.keyClick(panel.ui.nodulesTable, name, modifier)


def verdicts(panel) -> list[Verdict]:
    return [one.decision.verdict for one in scene.reading_from_scene(panel.findings).entries]


def visible(panel) -> list[str]:
    display = panel.findings.GetDisplayNode()
    return [f"nodule {n}" for n in (1, 2, 3) if display.GetSegmentVisibility(f"nodule {n}")]


def place_point(ras) -> None:
    """What a click in a slice view does while a point is awaited."""
    selection = slicer.app.applicationLogic().GetSelectionNode()
    node = slicer.mrmlScene.GetNodeByID(selection.GetActivePlaceNodeID())
    node.AddControlPointWorld(ras)


def test_without_findings_every_button_says_what_is_missing(panel):
    panel.ui.exportCollapsibleButton.setChecked(True)
    for name in ("accept", "reject", "undo", "next", "add", "edit", "measure", "explain", "export"):
        button = getattr(panel.ui, f"{name}Button")
        assert not button.enabled
        assert button.toolTip == "Detect nodules first."


def test_without_a_chosen_nodule_it_asks_for_one(reviewed):
    assert reviewed.ui.acceptButton.toolTip == "Choose a nodule in the table."
    assert reviewed.ui.nextButton.enabled
    click_row(reviewed.ui.nodulesTable, 0)
    assert reviewed.ui.acceptButton.enabled
    assert "key A" in reviewed.ui.acceptButton.toolTip
    assert reviewed.ui.undoButton.toolTip == "Nothing was decided or changed yet."


def test_accept_and_reject_are_kept_and_the_rejected_leaves_the_views(reviewed):
    click_row(reviewed.ui.nodulesTable, 0)
    click(reviewed.ui.acceptButton)
    click_row(reviewed.ui.nodulesTable, 1)
    click(reviewed.ui.rejectButton)
    assert verdicts(reviewed) == [Verdict.ACCEPTED, Verdict.REJECTED]
    assert [row[MARK] for row in texts(reviewed.ui.nodulesTable)] == ["✓", "✕"]
    assert visible(reviewed) == ["nodule 1"]
    assert reviewed.ui.nodulesTable.item(1, 0).font().strikeOut()
    click(reviewed.ui.undoButton)
    assert reviewed.message == "Taken back: nodule 2 rejected."
    assert visible(reviewed) == ["nodule 1", "nodule 2"]


def test_keys_do_what_the_buttons_do(reviewed):
    key(reviewed, Qt.Key_N)
    assert reviewed.widget.review.table.chosen_id == 1
    key(reviewed, Qt.Key_A)
    key(reviewed, Qt.Key_N)
    assert reviewed.widget.review.table.chosen_id == 2
    key(reviewed, Qt.Key_R)
    assert verdicts(reviewed) == [Verdict.ACCEPTED, Verdict.REJECTED]
    key(reviewed, Qt.Key_N)
    assert reviewed.message == "Every nodule shown was reviewed."
    key(reviewed, Qt.Key_Z, Qt.ControlModifier)
    assert verdicts(reviewed) == [Verdict.ACCEPTED, Verdict.OPEN]


def test_next_passes_over_what_the_filter_hides(reviewed):
    reviewed.ui.minimumScoreSlider.value = 0.5
    click(reviewed.ui.nextButton)
    click(reviewed.ui.acceptButton)
    click(reviewed.ui.nextButton)
    assert reviewed.message == "Every nodule shown was reviewed."


def test_a_decision_in_the_console_is_shown_at_once(reviewed):
    reviewed.widget.logic.accept(reviewed.findings, 2)
    assert [row[MARK] for row in texts(reviewed.ui.nodulesTable)] == ["", "✓"]
    assert reviewed.ui.undoButton.enabled


def test_a_click_in_a_slice_view_adds_a_nodule_that_the_filter_keeps(reviewed):
    click(reviewed.ui.addButton)
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    assert interaction.GetCurrentInteractionMode() == INTERACTION.Place
    assert "Click on the middle" in reviewed.message
    place_point(MISSED.centre)
    reviewed.wait_for(lambda: len(texts(reviewed.ui.nodulesTable)) == 3)
    assert interaction.GetCurrentInteractionMode() == INTERACTION.ViewTransform
    assert not reviewed.ui.addButton.checked
    assert reviewed.message == "Nodule 3 was added."
    assert reviewed.widget.review.table.chosen_id == 3
    row = texts(reviewed.ui.nodulesTable)[2]
    assert (row[SCORE], row[MARK]) == ("", "+")
    reviewed.ui.minimumScoreSlider.value = 1.0
    assert [row[0] for row in texts(reviewed.ui.nodulesTable)] == ["3"]
    assert visible(reviewed) == ["nodule 3"]
    assert not list(slicer.util.getNodes("click on*"))


def test_a_click_beside_the_body_is_one_sentence_and_adds_nothing(reviewed):
    click(reviewed.ui.addButton)
    place_point((500.0, 0.0, 0.0))
    reviewed.wait_for(lambda: "outside" in reviewed.message)
    assert len(texts(reviewed.ui.nodulesTable)) == 2


@pytest.mark.parametrize("give_up", ["button", "escape", "leave"])
def test_adding_can_be_given_up(reviewed, give_up):
    click(reviewed.ui.addButton)
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    if give_up == "button":
        click(reviewed.ui.addButton)
    elif give_up == "escape":
        interaction.SetCurrentInteractionMode(INTERACTION.ViewTransform)
    else:
        reviewed.leave()
    reviewed.wait_for(lambda: not reviewed.ui.addButton.checked)
    assert interaction.GetCurrentInteractionMode() == INTERACTION.ViewTransform
    assert not list(slicer.util.getNodes("click on*"))


def test_edit_opens_the_segment_editor_on_the_nodule_and_measuring_again_takes_what_was_drawn(reviewed, slicer_host):
    volume, _ = chest_with_findings()
    click_row(reviewed.ui.nodulesTable, 0)
    key(reviewed, Qt.Key_E)
    assert ("module", "SegmentEditor") in slicer_host.dialogs.shown
    editor = slicer.mrmlScene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
    assert editor.GetSelectedSegmentID() == "nodule 1"
    assert editor.GetSegmentationNode() is reviewed.findings
    assert editor.GetSourceVolumeNode() is scene.ct_of(reviewed.findings)
    drawn = ball(volume, FOUND[0].centre, 10.0)
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        drawn.astype(np.uint8), reviewed.findings, "nodule 1", editor.GetSourceVolumeNode()
    )
    key(reviewed, Qt.Key_M)
    assert float(texts(reviewed.ui.nodulesTable)[0][2]) == pytest.approx(20.0, rel=0.1)
    assert texts(reviewed.ui.nodulesTable)[0][MARK] == "✓"
    click(reviewed.ui.undoButton)
    assert mask_from_segment(reviewed.findings, "nodule 1", volume.grid).sum() < drawn.sum()


@pytest.fixture
def explained(monkeypatch) -> list[int]:
    """The nodules that were explained, without a network."""
    asked = []

    def explain(volume, lungs, nodule, *, device, progress):
        asked.append(nodule.id)
        similar = Similar("LIDC-IDRI-0001 1", 0.4, 8.0, "solid, highly suspicious", np.zeros((4, 4), np.uint8))
        return Explanation(nodule.mask.occupancy - np.float32(0.5), nodule.mask.grid, (similar,))

    monkeypatch.setattr(explaining, "explain", explain)
    return asked


def test_an_explanation_is_of_the_outline_that_it_was_made_of(reviewed, explained):
    """Edited, it is out of date and not laid over the CT any more; explained again, it is there again."""
    click_row(reviewed.ui.nodulesTable, 0)
    click(reviewed.ui.explainButton)
    told = reviewed.ui.assessmentText.toPlainText
    assert reviewed.ui.explainButton.checked
    assert "solid, highly suspicious" in told()
    ct, drawn = scene.ct_of(reviewed.findings), ball(chest_with_findings()[0], FOUND[0].centre, 10.0)
    slicer.util.updateSegmentBinaryLabelmapFromArray(drawn.astype(np.uint8), reviewed.findings, "nodule 1", ct)
    reviewed.leave()
    reviewed.enter()
    click_row(reviewed.ui.nodulesTable, 0)
    assert "changed since it was explained" in told()
    assert not reviewed.ui.explainButton.checked
    assert all(not one.GetForegroundVolumeID() for one in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"))
    key(reviewed, Qt.Key_M)
    assert "changed since it was explained" in told()
    assert explained == [1]
    click(reviewed.ui.explainButton)
    assert explained == [1, 1]
    assert reviewed.ui.explainButton.checked
    assert "solid, highly suspicious" in told()


def overlays() -> set[str]:
    """Ids of what lies over the slice views."""
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    return {one.GetForegroundVolumeID() for one in composites if one.GetForegroundVolumeID()}


def test_an_edit_that_is_taken_back_brings_the_explanation_back(reviewed, explained):
    click_row(reviewed.ui.nodulesTable, 0)
    click(reviewed.ui.explainButton)
    shown = overlays()
    ct, drawn = scene.ct_of(reviewed.findings), ball(chest_with_findings()[0], FOUND[0].centre, 10.0)
    slicer.util.updateSegmentBinaryLabelmapFromArray(drawn.astype(np.uint8), reviewed.findings, "nodule 1", ct)
    key(reviewed, Qt.Key_M)
    assert "changed since it was explained" in reviewed.ui.assessmentText.toPlainText()
    assert overlays() == set()
    assert not reviewed.ui.explainButton.checked
    click(reviewed.ui.undoButton)
    assert overlays() == shown
    assert reviewed.ui.explainButton.checked
    assert "solid, highly suspicious" in reviewed.ui.assessmentText.toPlainText()
    assert explained == [1]
    # What the user put away stays away.
    click(reviewed.ui.explainButton)
    click(reviewed.ui.acceptButton)
    assert overlays() == set()


def test_the_outline_is_compared_once_at_each_look(reviewed, explained, monkeypatch):
    click_row(reviewed.ui.nodulesTable, 0)
    click(reviewed.ui.explainButton)
    asked, compare = [], workflow_report.is_outdated

    def is_outdated(node, name, segmentation):
        asked.append(name)
        return compare(node, name, segmentation)

    monkeypatch.setattr(workflow_report, "is_outdated", is_outdated)
    reviewed.widget.review.show_chosen()
    assert asked == ["nodule 1"]
    ct, drawn = scene.ct_of(reviewed.findings), ball(chest_with_findings()[0], FOUND[0].centre, 10.0)
    slicer.util.updateSegmentBinaryLabelmapFromArray(drawn.astype(np.uint8), reviewed.findings, "nodule 1", ct)
    reviewed.widget.review.show_chosen()
    assert asked == ["nodule 1"] * 2


@pytest.mark.usefixtures("explained")
def test_explain_lays_what_speaks_for_the_nodule_over_the_ct_and_names_similar_ones(reviewed):
    click_row(reviewed.ui.nodulesTable, 1)
    click(reviewed.ui.explainButton)
    overlay = slicer.util.getNode("nodule 2 influence")
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        assert composite.GetForegroundVolumeID() == overlay.GetID()
        assert 0 < composite.GetForegroundOpacity() < 1
    display = overlay.GetDisplayNode()
    assert display.GetApplyThreshold()
    assert 0 < display.GetLowerThreshold() < display.GetUpperThreshold() == pytest.approx(0.5)
    assert "solid, highly suspicious (LIDC-IDRI-0001 1)" in reviewed.ui.assessmentText.toPlainText()


def test_chosen_nodule_is_told_by_every_guideline_and_model(reviewed):
    click_row(reviewed.ui.nodulesTable, 0)
    text = reviewed.ui.assessmentText.toPlainText()
    for name in ("Lung-RADS v2022", "Fleischner", "BTS", "Brock", "Mayo", "Herder", "No diagnosis"):
        assert name in text


def test_an_answer_settles_a_range_and_can_be_taken_back(reviewed):
    click_row(reviewed.ui.nodulesTable, 0)
    before = texts(reviewed.ui.nodulesTable)[0][LUNG_RADS]
    boxes = reviewed.widget.review._assessment.boxes
    assert boxes["spiculation"].toolTip == "Is the nodule spiculated?"
    choose(boxes["kind"], 1)
    choose(reviewed.widget.review._assessment.boxes["spiculation"], 1)
    after = texts(reviewed.ui.nodulesTable)[0]
    assert "–" in before
    assert after[LUNG_RADS] == "4B"
    assert after[4] == "solid"
    choose(reviewed.widget.review._assessment.boxes["spiculation"], 0)
    assert "–" in texts(reviewed.ui.nodulesTable)[0][LUNG_RADS]


def test_patient_inputs_change_the_risk_at_once_and_are_kept(reviewed):
    reviewed.ui.patientCollapsibleButton.setChecked(True)
    click_row(reviewed.ui.nodulesTable, 0)
    before = texts(reviewed.ui.nodulesTable)[0][BROCK]
    told = reviewed.ui.assessmentText.toPlainText()
    patient = reviewed.widget.patient.section
    patient.age.setValue(64)
    patient.pack_years.setValue(30)
    for name, index in (("female", 2), ("family_history", 1), ("emphysema", 1), ("screening", 2)):
        choose(patient.boxes[name], index)
    tick(patient.flags["other_finding"])
    kept = scene.reading_from_scene(reviewed.findings)
    assert (kept.patient.age, kept.patient.pack_years, kept.patient.female) == (64.0, 30.0, True)
    assert (kept.patient.family_history, kept.patient.screening) == (False, True)
    assert kept.exam_inputs == {"other_finding": True}
    assert texts(reviewed.ui.nodulesTable)[0][BROCK] != before
    assert reviewed.ui.assessmentText.toPlainText() != told
    reviewed.ui.findingsSelector.setCurrentNode(None)
    assert patient.age.text == "not known"
    reviewed.ui.findingsSelector.setCurrentNode(reviewed.findings)
    assert patient.age.value == 64
    assert patient.flags["other_finding"].checked


def test_inputs_that_contradict_each_other_are_told(reviewed):
    reviewed.ui.patientCollapsibleButton.setChecked(True)
    reviewed.widget.patient.section.pack_years.setValue(20)
    choose(reviewed.widget.patient.section.boxes["ever_smoked"], 1)
    assert "never smoked but has pack-years" in reviewed.message
    assert scene.reading_from_scene(reviewed.findings).patient.ever_smoked is None


def test_export_writes_the_ticked_forms_into_the_folder(reviewed, tmp_path, monkeypatch):
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", staticmethod(lambda *arguments: str(tmp_path / "out")))
    reviewed.ui.exportCollapsibleButton.setChecked(True)
    click_row(reviewed.ui.nodulesTable, 1)
    click(reviewed.ui.rejectButton)
    tick(reviewed.ui.jsonCheckBox)
    click(reviewed.ui.exportButton)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["nodules.csv", "nodules.json", "report.html"]
    assert "Saved in" in reviewed.message
    assert json.loads((tmp_path / "out" / "nodules.json").read_text(encoding="utf-8"))


def test_export_that_is_cancelled_or_impossible_writes_nothing(reviewed, tmp_path, monkeypatch):
    reviewed.ui.exportCollapsibleButton.setChecked(True)
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", staticmethod(lambda *arguments: ""))
    click(reviewed.ui.exportButton)
    assert "Saved" not in reviewed.message
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", staticmethod(lambda *a: str(tmp_path / "file")))
    click(reviewed.ui.exportButton)
    assert "cannot be written to" in reviewed.message
    for name in ("csv", "html"):
        tick(getattr(reviewed.ui, f"{name}CheckBox"))
    assert reviewed.ui.exportButton.toolTip == "Tick at least one form."


def test_everything_fits_a_panel_of_350_pixels(reviewed):
    click_row(reviewed.ui.nodulesTable, 0)
    for name in ("patient", "followUp", "export"):
        getattr(reviewed.ui, f"{name}CollapsibleButton").setChecked(True)
    reviewed.resize(350)
    assert reviewed._window.width == 350
    table = reviewed.ui.nodulesTable
    assert sum(table.columnWidth(column) for column in range(table.columnCount)) <= table.viewport().width
