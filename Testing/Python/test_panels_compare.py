"""The compare section of the panel: pairs by name and by hand, figures, CSV, and a pair shown alone."""

from __future__ import annotations

import csv
import re

import numpy as np
import pytest
import slicer
from geometry import AXIS_ORDERS, oblique_grid
from panels import ROOT, choose, click, click_row, node_count, open_panel, small_ct
from PySide6.QtWidgets import QFileDialog

from SegmentationAILib.engine.background import background
from SegmentationAILib.errors import InputError
from SegmentationAILib.metrics import compare
from SegmentationAILib.radiotherapy.scene import add_structure_set
from SegmentationAILib.radiotherapy.structure_set import Role, RTStructure, StructureSet
from SegmentationAILib.scene import add_volume, mask_from_segment, volume_from_node


@pytest.fixture
def ct(slicer_host):
    slicer.mrmlScene.Clear()
    slicer_host.make_views()
    return add_volume(small_ct())


def ball(grid, centre, radius):
    places = grid.ras(np.moveaxis(np.indices(grid.shape)[::-1], 0, -1))
    return np.linalg.norm(places - centre, axis=-1) <= radius


def add(ct, name, grid=None, **balls):
    grid = grid or volume_from_node(ct).grid
    held = [RTStructure(key, Role.ORGAN, ball(grid, *one), (0.2, 0.6, 0.9)) for key, one in balls.items()]
    return add_structure_set(StructureSet(grid, tuple(held), name), ct)


@pytest.fixture
def reference(ct):
    return add(ct, "mine", Heart=((0, 20, 0), 40), GTVp=((60, 0, 0), 20), Liver=((0, 0, -60), 20))


@pytest.fixture
def test(ct):
    return add(ct, "yours", Tumour=((60, 0, 5), 20), heart=((0, 20, 5), 40))


@pytest.fixture
def panel(slicer_host, ct, reference, test, monkeypatch):
    monkeypatch.setattr(background, "in_process", True)
    panel = open_panel(slicer_host, "SegmentationAI")
    panel.ui.inputSelector.setCurrentNode(ct)
    panel.ui.compareCollapsibleButton.setChecked(True)
    panel._window.resize(380, 1500)
    panel.ui.comparisonReferenceSelector.setCurrentNode(reference)
    panel.ui.comparisonTestSelector.setCurrentNode(test)
    slicer_host.process_events()
    yield panel
    panel.close()


def selector(panel, name):
    table = panel.ui.comparisonTable
    return table.cellWidget([row[0] for row in rows(panel)].index(name), 1)


def pair(panel, name, other):
    found = selector(panel, name)
    choose(found, found.findText(other))


def rows(panel):
    table = panel.ui.comparisonTable
    return [
        [
            table.cellWidget(row, column).currentText if column == 1 else table.item(row, column).text()
            for column in range(table.columnCount)
        ]
        for row in range(table.rowCount)
    ]


def run(panel):
    click(panel.ui.compareButton)
    panel.wait_for(lambda: not panel.widget.runControls.running)


def test_segments_are_paired_by_name(panel):
    assert [row[:2] for row in rows(panel)] == [["Heart", "heart"], ["GTVp", "–"], ["Liver", "–"]]
    assert panel.ui.compareButton.enabled


def test_pairs_by_hand_are_measured_and_a_table_is_made(panel, ct, reference, test):
    pair(panel, "GTVp", "Tumour")
    run(panel)
    assert panel.message == "Compared: yours against mine"
    grid = volume_from_node(ct).grid
    for row, (name, other) in enumerate((("Heart", "heart"), ("GTVp", "Tumour"))):
        masks = mask_from_segment(reference, name, grid), mask_from_segment(test, other, grid)
        figures = compare(*masks, grid.spacing[::-1], 2.0)
        shown = rows(panel)[row]
        assert float(shown[2]) == pytest.approx(figures["dice"], abs=0.006)
        assert float(shown[3]) == pytest.approx(figures["surface_dice"], abs=0.006)
        assert float(shown[4]) == pytest.approx(figures["hd95_mm"], abs=0.06)
    assert rows(panel)[2][2:] == ["", "", ""]
    table = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLTableNode")
    assert [table.GetCellText(row, 0) for row in range(3)] == ["Heart", "GTVp", "Liver"]
    assert table.GetCellText(1, 2) == "Tumour"


def test_a_tolerance_counts_near_surfaces_as_the_same(panel):
    run(panel)
    strict = float(rows(panel)[0][3])
    panel.ui.comparisonToleranceSpinBox.setValue(6.0)
    assert rows(panel)[0][3] == ""
    run(panel)
    assert float(rows(panel)[0][3]) > strict


def test_a_clicked_row_shows_its_pair_alone_and_all_figures(panel, reference, test):
    run(panel)
    shown = reference.GetDisplayNode(), test.GetDisplayNode()
    shown[0].SetSegmentVisibility("Liver", False)
    click_row(panel.ui.comparisonTable, 0)
    assert [shown[0].GetSegmentVisibility(one) for one in ("Heart", "GTVp", "Liver")] == [True, False, False]
    assert [shown[1].GetSegmentVisibility(one) for one in ("heart", "Tumour")] == [True, False]
    assert not shown[0].GetSegmentVisibility2DFill("Heart")
    assert "ml in the reference" in panel.ui.comparisonDetailsLabel.text
    assert "added path length" in panel.ui.comparisonDetailsLabel.text
    slice_to_ras = slicer.mrmlScene.GetSingletonNode("Red", "vtkMRMLSliceNode").GetSliceToRAS()
    assert [slice_to_ras.GetElement(n, 3) for n in range(3)] == pytest.approx([0, 20, 0], abs=5)
    panel.ui.compareCollapsibleButton.setChecked(False)
    assert [shown[0].GetSegmentVisibility(one) for one in ("Heart", "GTVp", "Liver")] == [True, True, False]
    assert shown[0].GetSegmentVisibility2DFill("Heart")
    assert all(shown[1].GetSegmentVisibility(one) for one in ("heart", "Tumour"))


def test_export_writes_all_figures(panel, tmp_path, monkeypatch):
    assert not panel.ui.exportComparisonButton.enabled
    assert panel.ui.exportComparisonButton.toolTip == "Compare first."
    run(panel)
    path = tmp_path / "agreement.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    click(panel.ui.exportComparisonButton)
    assert panel.message == f"Written: {path}"
    with path.open(newline="", encoding="utf-8") as stream:
        found = list(csv.DictReader(stream))
    held = [(row["Structure"], row["Held by"], row["Compared with"]) for row in found]
    assert held == [
        ("Heart", "both", "heart"),
        ("GTVp", "reference only", ""),
        ("Liver", "reference only", ""),
        ("Tumour", "test only", ""),
    ]
    assert float(found[0]["Dice"]) == pytest.approx(float(rows(panel)[0][2]), abs=0.006)
    assert float(found[0]["Added path length [mm]"]) > 0


def test_nothing_is_written_where_the_dialog_is_closed(panel, monkeypatch):
    run(panel)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("", ""))
    before = panel.message
    click(panel.ui.exportComparisonButton)
    assert panel.message == before


def test_two_segments_of_one_segmentation(panel, reference):
    panel.ui.comparisonTestSelector.setCurrentNode(reference)
    assert [row[1] for row in rows(panel)] == ["–", "–", "–"]
    assert not panel.ui.compareButton.enabled
    assert "No name is in both" in panel.ui.compareButton.toolTip
    pair(panel, "GTVp", "Heart")
    run(panel)
    assert float(rows(panel)[1][2]) < 1


def test_another_grid_is_brought_to_the_cts(panel, ct):
    fine = oblique_grid(
        AXIS_ORDERS[9], angles_deg=(10, 5, 1), spacing=(2, 2, 2), shape=(60, 60, 60), centre_ras=(0, 20, 0)
    )
    other = add(ct, "finer", fine, Heart=((0, 20, 0), 40))
    panel.ui.comparisonTestSelector.setCurrentNode(other)
    run(panel)
    assert float(rows(panel)[0][2]) > 0.97


def test_edits_and_new_segments_are_followed(panel, ct, reference):
    run(panel)
    array = slicer.util.arrayFromSegmentBinaryLabelmap(reference, "Heart", ct).copy()
    array[:20] = 0
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, reference, "Heart", ct)
    panel.wait_for(lambda: rows(panel)[0][2] == "")
    reference.GetSegmentation().AddEmptySegment("", "Spleen")
    panel.wait_for(lambda: len(rows(panel)) == 4)
    reference.GetSegmentation().GetSegment("GTVp").SetName("Tumour")
    panel.wait_for(lambda: rows(panel)[1][:2] == ["Tumour", "Tumour"])


def test_pairs_are_kept_with_the_scene(panel):
    pair(panel, "GTVp", "Tumour")
    pair(panel, "Heart", "–")
    panel.leave()
    panel.enter()
    assert [row[1] for row in rows(panel)] == ["–", "Tumour", "–"]


def test_a_removed_segmentation_empties_the_table(panel, test):
    run(panel)
    slicer.mrmlScene.RemoveNode(test)
    assert not panel.ui.compareButton.enabled
    assert panel.ui.compareButton.toolTip == "Choose a reference and a test."
    assert [row[1:] for row in rows(panel)] == [["–", "", "", ""]] * 3


def test_nothing_is_observed_while_another_module_is_open(panel, ct, reference):
    section = panel.widget.comparison.section
    for _ in range(3):
        held = len(section._tags)
        panel.leave()
        assert section._tags == []
        reference.GetSegmentation().GetSegment("GTVp").SetName("Tumour")
        assert not section._timer.isActive()
        panel.enter()
        assert len(section._tags) == held == 8


def test_the_example_of_the_readme_runs(panel, ct):
    ct.SetName("LungNodulesCT")
    add(ct, "mine", Heart=((0, 20, 0), 40)).SetName("mine")
    for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode")[:2]:
        slicer.mrmlScene.RemoveNode(node)
    add(ct, "yours", COR=((0, 20, 5), 40))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    [block] = (one for one in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "compareStructures" in one)
    names = {"slicer": slicer}
    exec(block, names)  # the README's own text
    assert names["clear"].GetName().endswith("Local contrast (CLAHE)")
    assert names["table"].GetCellText(0, 2) == "COR"


def test_from_the_console(panel, ct, reference, test):
    logic = panel.widget.logic
    table = logic.compareStructures(reference, test, ct, pairs={"GTVp": "Tumour"})
    assert table.GetCellText(0, 0) == "GTVp"
    count = node_count()
    for pairs, said in (({"Spleen": "heart"}, "no segment 'Spleen'"), ({}, "No pair is chosen")):
        with pytest.raises(InputError, match=said):
            logic.compareStructures(reference, test, ct, pairs=pairs)
    with pytest.raises(InputError, match="tolerance"):
        logic.compareStructures(reference, test, ct, toleranceMm=-1)
    assert node_count() == count
