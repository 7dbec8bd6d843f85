"""The nodule panel: table, filter, jump, results to choose from."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
import slicer
from panels import CENTRES, click, click_header, click_row, findings_in, open_panel, small_ct, texts

import LungNoduleAILib.analysis
from LungNoduleAILib import model_choice
from LungNoduleAILib.overview import Row
from LungNoduleAILib.review import Verdict
from LungNoduleAILib.widgets import model_selectors
from SegmentationAILib.scene import add_volume


@pytest.fixture
def panel(slicer_host, monkeypatch):
    monkeypatch.setattr(LungNoduleAILib.analysis, "analyze", lambda volume, task, progress: findings_in(volume))
    slicer.mrmlScene.Clear()
    panel = open_panel(slicer_host, "LungNoduleAI")
    panel.ui.inputSelector.setCurrentNode(add_volume(small_ct()))
    yield panel
    panel.close()


@pytest.fixture
def detected(panel):
    """The panel after a run that found three nodules."""
    click(panel.ui.runButton)
    return panel


def findings_node():
    return slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")


def markups_node():
    return slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLMarkupsFiducialNode")


def visible_segments() -> list[str]:
    display = findings_node().GetDisplayNode()
    names = [name for name in findings_node().GetSegmentation().GetSegmentIDs() if name.startswith("nodule")]
    return [name for name in names if display.GetSegmentVisibility(name)]


def test_table_shows_what_was_found(detected):
    assert texts(detected.ui.nodulesTable) == [
        ["1", "R", "12.0", "905", "solid", "", "0.90", "4A–4X", "2–75", ""],
        ["2", "L", "20.0", "4189", "GG", "", "0.60", "2", "4–88", ""],
        ["3", "R", "6.0", "113", "part", "", "0.20", "3–4X", "0–44", ""],
    ]
    assert detected.ui.countLabel.text == "3 of 3 nodules"


def test_tool_tip_of_a_row_has_all_ratings_and_says_that_they_are_no_diagnosis(detected):
    table = detected.ui.nodulesTable
    for column in range(table.columnCount):
        lines = table.item(1, column).toolTip().split("<br>")
        assert lines[0] == "Mean attenuation 32 HU."
        assert lines[1:3] == [
            "Resembles what radiologists called moderately suspicious (malignancy 4.0 ± 0.0 of 5).",
            "Resembles what radiologists called ground glass (texture 1.0 ± 0.0 of 5).",
        ]
        assert lines[7] == "Resembles what radiologists called not calcified (probability of calcium 0%)."
        assert "no diagnosis" in lines[8]
    assert "No diagnosis" in table.horizontalHeaderItem(8).toolTip()


def test_nodule_that_was_not_rated_has_no_type_and_the_category_is_a_wide_range(panel, monkeypatch, tmp_path):
    def analyze(volume, task, progress):
        findings = findings_in(volume)
        first, *others = findings.nodules
        return replace(findings, nodules=(replace(first, ratings=None), *others))

    monkeypatch.setattr(LungNoduleAILib.analysis, "analyze", analyze)
    click(panel.ui.runButton)
    row = texts(panel.ui.nodulesTable)[0]
    assert row[4] == ""
    assert row[7] == "2–4X"
    path = panel.widget.logic.exportCsv(findings_node(), tmp_path / "nodules.csv")
    with path.open(encoding="utf-8") as stream:
        assert next(csv.DictReader(stream))["kind"] == ""


def test_all_columns_fit_a_panel_of_350_pixels(detected):
    detected.resize(350)
    table = detected.ui.nodulesTable
    assert sum(table.columnWidth(column) for column in range(table.columnCount)) <= table.viewport().width
    for column in range(table.columnCount):
        assert table.columnWidth(column) >= table.sizeHintForColumn(column)


def test_run_that_finds_nothing_says_so(panel, monkeypatch):
    monkeypatch.setattr(LungNoduleAILib.analysis, "analyze", lambda volume, task, progress: findings_in(volume, ()))
    click(panel.ui.runButton)
    assert panel.message.startswith("No nodule was found. That does not mean that there is none.")
    assert "slices are 5 mm apart" in panel.message
    assert panel.ui.countLabel.text == "0 of 0 nodules"


def test_most_nodules_reaches_the_detector(panel, monkeypatch):
    tasks = []

    def analyze(volume, task, progress):
        tasks.append(task)
        return findings_in(volume)

    monkeypatch.setattr(LungNoduleAILib.analysis, "analyze", analyze)
    panel.ui.maximumNodulesSpinBox.setValue(7)
    click(panel.ui.runButton)
    assert tasks[0].options == {"max_nodules": 7}


@pytest.mark.parametrize("row", [0, 1, 2])
def test_click_on_a_row_centres_all_slice_views(detected, row):
    slices = [slicer.mrmlScene.GetNthNodeByClass(index, "vtkMRMLSliceNode") for index in range(3)]
    assert all(slices)
    click_row(detected.ui.nodulesTable, row)
    for node in slices:
        matrix = node.GetSliceToRAS()
        assert [matrix.GetElement(axis, 3) for axis in range(3)] == pytest.approx(CENTRES[row], abs=0.01)


def test_arrow_keys_walk_through_the_nodules(detected):
    from PySide6.QtCore import Qt  # noqa: PLC0415
    from PySide6.QtTest import QTest  # noqa: PLC0415

    click_row(detected.ui.nodulesTable, 0)
    QTest.keyClick(detected.ui.nodulesTable, Qt.Key_Down)
    matrix = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceNode").GetSliceToRAS()
    assert [matrix.GetElement(axis, 3) for axis in range(3)] == pytest.approx(CENTRES[1], abs=0.01)


def test_jump_follows_a_volume_that_was_moved(detected):
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[:3, 3] = (10, -5, 3)
    slicer.util.updateTransformMatrixFromArray(transform, matrix)
    markups_node().SetAndObserveTransformNodeID(transform.GetID())
    click_row(detected.ui.nodulesTable, 0)
    centre = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceNode").GetSliceToRAS()
    assert [centre.GetElement(axis, 3) for axis in range(3)] == pytest.approx(np.add(CENTRES[0], (10, -5, 3)), abs=0.01)


def test_headers_sort_by_number_and_back(detected):
    click_header(detected.ui.nodulesTable, 2)
    ascending = [row[2] for row in texts(detected.ui.nodulesTable)]
    click_header(detected.ui.nodulesTable, 2)
    descending = [row[2] for row in texts(detected.ui.nodulesTable)]
    assert sorted([ascending, descending]) == [["20.0", "12.0", "6.0"], ["6.0", "12.0", "20.0"]]


def test_click_after_sorting_goes_to_the_nodule_of_that_row(detected):
    click_header(detected.ui.nodulesTable, 3)
    row = [text[0] for text in texts(detected.ui.nodulesTable)].index("2")
    click_row(detected.ui.nodulesTable, row)
    matrix = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceNode").GetSliceToRAS()
    assert [matrix.GetElement(axis, 3) for axis in range(3)] == pytest.approx(CENTRES[1], abs=0.01)


def test_lowest_score_hides_rows_segments_and_points(detected):
    detected.ui.minimumScoreSlider.value = 0.5
    assert [row[0] for row in texts(detected.ui.nodulesTable)] == ["1", "2"]
    assert visible_segments() == ["nodule 1", "nodule 2"]
    assert [markups_node().GetNthControlPointVisibility(index) for index in range(3)] == [True, True, False]
    assert detected.ui.countLabel.text == "2 of 3 nodules"
    detected.ui.minimumScoreSlider.value = 0.0
    assert len(visible_segments()) == 3


def test_segment_hidden_by_hand_stays_hidden(detected):
    findings_node().GetDisplayNode().SetSegmentVisibility("nodule 2", False)
    detected.ui.maximumNodulesSpinBox.setValue(9)
    detected.leave()
    detected.enter()
    assert visible_segments() == ["nodule 1", "nodule 3"]


def test_each_run_is_a_result_and_the_selector_switches_between_them(detected, monkeypatch):
    monkeypatch.setattr(LungNoduleAILib.analysis, "analyze", lambda volume, task, progress: findings_in(volume, (0.7,)))
    first = detected.result_selector.currentNode()
    click(detected.ui.runButton)
    assert len(texts(detected.ui.nodulesTable)) == 1
    detected.result_selector.setCurrentNode(first)
    assert len(texts(detected.ui.nodulesTable)) == 3


def test_selector_lists_results_of_this_panel_only(detected):
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn by hand")
    assert detected.result_selector.nodeCount() == 1


def test_removed_result_empties_the_table(detected):
    slicer.mrmlScene.RemoveNode(findings_node())
    assert texts(detected.ui.nodulesTable) == []
    assert not detected.ui.exportButton.enabled


def test_without_a_result_nothing_can_be_exported(panel):
    assert not panel.ui.exportButton.enabled
    assert panel.ui.countLabel.text == ""


def test_300_nodules_are_filtered(panel):
    measured = {"place": "left lung", "mean_diameter_mm": 5.0, "volume_mm3": 60.0, "mean_hu": 0.0, "kind": "solid"}
    said = {"growth": None, "behaviour": "", "lung_rads": "2", "brock": (0.01, 0.02), "verdict": Verdict.OPEN}
    rows = [Row(n, score=n / 300, added=False, remarks=(), **measured, **said) for n in range(1, 301)]
    table = panel.widget.review.table
    table.show(rows)
    table.filter(0.5)
    assert len(texts(panel.ui.nodulesTable)) == 151


def test_a_decision_touches_one_row_of_the_table(detected):
    """An acceptance changes one cell; a rejection strikes a row out, and of others only what says something else."""
    table = detected.ui.nodulesTable
    cells = [[table.item(row, column) for column in range(table.columnCount)] for row in range(table.rowCount)]
    click_row(table, 1)
    click(detected.ui.acceptButton)
    now = [[table.item(row, column) for column in range(table.columnCount)] for row in range(table.rowCount)]
    assert _replaced(cells, now) == [(1, table.columnCount - 1)]
    assert texts(table)[1][-1] == "\N{CHECK MARK}"
    assert detected.widget.review.table.chosen_id == detected.widget.review.table.rows[1].id
    before = texts(table)
    click(detected.ui.rejectButton)
    then = [[table.item(row, column) for column in range(table.columnCount)] for row in range(table.rowCount)]
    differ = [
        (row, column)
        for row, (one, other) in enumerate(zip(before, texts(table), strict=True))
        for column, pair in enumerate(zip(one, other, strict=True))
        if row == 1 or pair[0] != pair[1]
    ]
    assert _replaced(now, then) == differ
    assert all(item.font().strikeOut() for item in then[1])
    assert not any(item.font().strikeOut() for item in then[0])


def _replaced(before: list[list], after: list[list]) -> list[tuple[int, int]]:
    """Row and column of the cells that were made anew."""
    return [
        (row, column)
        for row, (one, other) in enumerate(zip(before, after, strict=True))
        for column, pair in enumerate(zip(one, other, strict=True))
        if pair[0] is not pair[1]
    ]


def test_widest_rows_fit_a_panel_of_350_pixels(panel):
    wide = {"mean_diameter_mm": 28.8, "volume_mm3": 14137.0, "mean_hu": -650.0, "kind": "part-solid", "score": 0.88}
    said = {"growth": 1.25, "behaviour": "growing", "lung_rads": "4A–4X", "brock": (0.38, 0.88)}
    for place in ("left lung, middle zone", "right middle lobe"):
        row = Row(28, place=place, verdict=Verdict.ACCEPTED, added=True, remarks=(), **wide, **said)
        panel.widget.review.table.show([row])
        panel.resize(350)
        table = panel.ui.nodulesTable
        assert sum(table.columnWidth(column) for column in range(table.columnCount)) <= table.viewport().width


def choose(box, model_id: str) -> None:
    index = box.findData(model_id)
    assert index >= 0
    box.setCurrentIndex(index)
    box.activated.emit(index)


def test_what_finds_nodules_and_lobes_is_chosen_and_comes_to_the_run(panel, monkeypatch):
    asked = []

    def analyze(volume, task, progress):
        asked.append(task)
        return findings_in(volume)

    monkeypatch.setattr(LungNoduleAILib.analysis, "analyze", analyze)
    assert panel.ui.detectorComboBox.count == 0
    panel.ui.advancedCollapsibleButton.collapsed = False
    ours = [panel.ui.lobesComboBox.itemData(n) for n in range(panel.ui.lobesComboBox.count)]
    assert ours == [""]
    lobes = next(one for one in model_choice.lobe_models() if one.id == "lungmask-ltrclobes")
    monkeypatch.setattr(model_selectors, "is_installed", lambda entry: entry.id == lobes.id)
    panel.leave()
    panel.enter()
    choose(panel.ui.detectorComboBox, "nodules-baseline")
    choose(panel.ui.lobesComboBox, lobes.id)
    click(panel.ui.runButton)
    assert asked[-1].model == "nodules-baseline"
    assert asked[-1].options["lobes"] == lobes.id


def test_a_model_that_is_gone_is_chosen_no_more(panel):
    parameters = panel.widget._parameterNode
    parameters.detector = parameters.lobes = "a model that was removed"
    assert (parameters.detector, parameters.lobes) == ("nodules", "")
    assert panel.ui.detectorComboBox.currentText == "Built-in network"
