"""The radiotherapy section of the panel: rules, protocol, tumour, names, dose, RTSTRUCT."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from dose_writer import write_dose
from panels import choose, click, click_row, open_panel, small_ct, texts
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog, QMessageBox, QPlainTextEdit

from SegmentationAILib.radiotherapy import drawing
from SegmentationAILib.radiotherapy.scene import add_structure_set, structure_set_from_node
from SegmentationAILib.radiotherapy.structure_set import Role, RTStructure, StructureSet
from SegmentationAILib.scene import add_volume, volume_from_node
from SegmentationAILib.volume import Grid, Volume


@pytest.fixture
def ct(slicer_host):
    slicer.mrmlScene.Clear()
    return add_volume(small_ct())


@pytest.fixture
def panel(slicer_host, ct):
    panel = open_panel(slicer_host, "SegmentationAI")
    panel.ui.inputSelector.setCurrentNode(ct)
    panel.ui.radiotherapyCollapsibleButton.setChecked(True)
    for name in ("ruleCollapsibleButton", "tumourCollapsibleButton", "doseCollapsibleButton"):
        getattr(panel.ui, name).setChecked(True)
    panel._window.resize(380, 1900)
    slicer_host.process_events()
    yield panel
    panel.close()


def ball(volume, centre, radius):
    places = volume.grid.ras(np.moveaxis(np.indices(volume.shape)[::-1], 0, -1))
    return np.linalg.norm(places - centre, axis=-1) <= radius


@pytest.fixture
def structures(panel, ct):
    volume = volume_from_node(ct)
    held = StructureSet(
        volume.grid,
        (
            RTStructure("GTVp", Role.GTV, ball(volume, (60, 0, 0), 20), (1.0, 0.0, 0.0)),
            RTStructure("Heart left", Role.ORGAN, ball(volume, (0, 20, 0), 30)),
        ),
        "plan",
    )
    node = add_structure_set(held, ct)
    panel.ui.structuresSelector.setCurrentNode(node)
    panel.wait_for(lambda: len(texts(panel.ui.structuresTable)) == 2)
    return node


def held_in(node, ct):
    return structure_set_from_node(node, ct)


def type_rule(panel, name, rule):
    panel.ui.structureNameEdit.setText(name)
    panel.ui.ruleEdit.setText(rule)
    click(panel.ui.setRuleButton)


def test_structures_are_listed_with_role_volume_and_rule(panel, structures):
    rows = texts(panel.ui.structuresTable)
    assert [row[:2] for row in rows] == [["GTVp", "GTV"], ["Heart left", "ORGAN"]]
    assert float(rows[0][2]) == pytest.approx(4 / 3 * np.pi * 2.0**3, rel=0.1)


def test_a_rule_derives_a_structure_and_edits_are_followed_by_rebuild(panel, structures, ct):
    type_rule(panel, "PTVp", "expand(GTVp, 10)")
    panel.wait_for(lambda: len(texts(panel.ui.structuresTable)) == 3)
    assert texts(panel.ui.structuresTable)[2][3] == "expand(GTVp, 10)"
    before = held_in(structures, ct)
    assert before["PTVp"].mask.sum() > 2 * before["GTVp"].mask.sum()

    array = slicer.util.arrayFromSegmentBinaryLabelmap(structures, "GTVp", ct).copy()
    array[: array.shape[0] // 2] = 0
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, structures, "GTVp", ct)
    click(panel.ui.rebuildButton)
    assert panel.message == "Made again: PTVp"
    after = held_in(structures, ct)
    assert after["PTVp"].mask.sum() < before["PTVp"].mask.sum()


def test_margin_fields_write_the_rule(panel, structures):
    choose(panel.ui.marginSourceComboBox, 1)
    type_margin(panel.ui.superiorSpinBox)
    assert panel.ui.ruleEdit.text == 'expand("Heart left", superior=8)'
    for name in ("leftSpinBox", "rightSpinBox", "anteriorSpinBox", "posteriorSpinBox", "inferiorSpinBox"):
        type_margin(getattr(panel.ui, name))
    assert panel.ui.ruleEdit.text == 'expand("Heart left", 8)'


def type_margin(spin_box) -> None:
    spin_box.setFocus()
    spin_box.selectAll()
    QTest.keyClicks(spin_box, "8")
    QTest.keyClick(spin_box, Qt.Key_Tab)


def test_a_clicked_row_is_there_to_edit(panel, structures):
    type_rule(panel, "PTVp", "expand(GTVp, 10)")
    panel.wait_for(lambda: len(texts(panel.ui.structuresTable)) == 3)
    click_row(panel.ui.structuresTable, 2)
    assert (panel.ui.structureNameEdit.text, panel.ui.ruleEdit.text) == ("PTVp", "expand(GTVp, 10)")


@pytest.mark.parametrize(
    ("name", "rule", "said"),
    [
        ("PTVp", "expand(GTVp", "column"),
        ("PTVp", "expand(Liver, 5)", "Liver"),
        ("GTVp", "expand(GTVp, 5)", "GTVp needs GTVp"),
        ("", "expand(GTVp, 5)", "no name"),
    ],
)
def test_a_wrong_rule_is_one_sentence_and_changes_nothing(panel, structures, ct, name, rule, said):
    before = held_in(structures, ct)
    type_rule(panel, name, rule)
    assert said in panel.message
    assert "Traceback" not in panel.message
    after = held_in(structures, ct)
    assert [one.rule for one in after] == [one.rule for one in before]


def test_a_protocol_adds_what_it_can_and_says_what_is_missing(panel, structures, ct, monkeypatch):
    volume = volume_from_node(ct)
    lungs = {"Lung_L": (ball(volume, (-60, 0, 0), 40), None), "Lung_R": (ball(volume, (60, 0, 0), 40), None)}
    monkeypatch.setitem(drawing.TASKS, "lungs", lambda *_: lungs)
    monkeypatch.setitem(drawing.TASKS, "organs", lambda *_: {})
    # No site is taken for granted.
    assert panel.ui.protocolComboBox.currentIndex == -1
    assert not panel.ui.applyProtocolButton.enabled
    assert panel.ui.applyProtocolButton.toolTip == "Choose a protocol."
    choose(panel.ui.protocolComboBox, panel.ui.protocolComboBox.findText("Lung, SBRT"))
    click(panel.ui.applyProtocolButton)
    held = held_in(structures, ct)
    assert np.array_equal(held["Lungs-GTV"].mask, (lungs["Lung_L"][0] | lungs["Lung_R"][0]) & ~held["GTVp"].mask)
    assert held["External"].role is Role.EXTERNAL
    assert "PTV_5000 needs ITVp" in panel.message


def test_a_tumour_is_outlined_from_points(panel, ct, slicer_host):
    assert not panel.ui.contourTumourButton.enabled
    volume = volume_from_node(ct)
    array = volume.array.copy()
    array[ball(volume, (55, 10, 10), 15)] = 40
    slicer.util.updateVolumeFromArray(ct, array)
    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "tumour")
    points.AddControlPointWorld((55.0, 10.0, 10.0))
    panel.ui.tumourPointsSelector.setCurrentNode(points)
    click(panel.ui.contourTumourButton)
    assert panel.message == "Done."
    found = held_in(panel.ui.structuresSelector.currentNode(), ct)["GTVp"]
    assert found.role is Role.GTV
    expected = ball(volume, (55, 10, 10), 15)
    assert 2 * (found.mask & expected).sum() / (found.mask.sum() + expected.sum()) > 0.8


def test_points_beside_a_tumour_are_left_out_of_it(panel, ct):
    volume = volume_from_node(ct)
    array = volume.array.copy()
    array[ball(volume, (55, 10, 10), 15) | ball(volume, (55, -30, 10), 15)] = 40
    array[ball(volume, (55, -10, 10), 8)] = 40
    slicer.util.updateVolumeFromArray(ct, array)
    for name, place in (("tumourPointsSelector", (55.0, 10.0, 10.0)), ("otherPointsSelector", (55.0, -30.0, 10.0))):
        points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
        points.AddControlPointWorld(place)
        getattr(panel.ui, name).setCurrentNode(points)
    click(panel.ui.contourTumourButton)
    assert panel.message == "Done."
    found = held_in(panel.ui.structuresSelector.currentNode(), ct)["GTVp"].mask
    there, beside = (tuple(np.rint(volume.grid.ijk((55, a, 10))).astype(int)[::-1]) for a in (10, -30))
    assert found[there]
    assert not found[beside]


def test_a_dose_is_loaded_from_its_file(panel, ct, tmp_path, monkeypatch):
    grid = Grid((10, 12, 14), np.diag([20.0, 20.0, 20.0, 1.0]))
    path = write_dose(tmp_path / "dose.dcm", np.full(grid.shape, 42.0), grid)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    click(panel.ui.loadDoseButton)
    dose = volume_from_node(panel.ui.doseSelector.currentNode())
    assert np.allclose(dose.array, 42.0, atol=0.01)
    assert dose.grid.same_as(grid, tolerance_mm=0.01)


def test_names_are_checked_and_renamed_after_asking(panel, structures, ct, monkeypatch):
    panel.widget.logic.renameStructure(structures, ct, "Heart left", "LT LUNG")
    type_rule(panel, "PTVp", 'expand(GTVp, 5) - "LT LUNG"')
    asked = []
    monkeypatch.setattr(QMessageBox, "question", lambda *words: asked.append(words[2]) or QMessageBox.No)
    click(panel.ui.checkNamesButton)
    panel.wait_for(lambda: asked)
    assert "'LT LUNG' holds a space" in asked[0]
    assert "LT LUNG \N{RIGHTWARDS ARROW} Lung_L" in asked[0]
    assert "LT LUNG" in held_in(structures, ct)
    monkeypatch.setattr(QMessageBox, "question", lambda *words: QMessageBox.Yes)
    click(panel.ui.checkNamesButton)
    panel.wait_for(lambda: panel.message == "Done.")
    held = held_in(structures, ct)
    assert [one.name for one in held] == ["GTVp", "Lung_L", "PTVp"]
    assert held["PTVp"].rule == "expand(GTVp, 5) - Lung_L"


def test_right_names_are_said_to_be(panel, structures, ct):
    panel.widget.logic.renameStructure(structures, ct, "Heart left", "Heart")
    click(panel.ui.checkNamesButton)
    panel.wait_for(lambda: panel.widget.radiotherapy.section._dialog is not None)
    dialog = panel.top_level("Names by AAPM TG-263")
    assert dialog.findChild(QPlainTextEdit).toPlainText() == "All names follow AAPM TG-263."
    dialog.close()


def test_dose_gives_a_plot_and_goals(panel, structures, ct, monkeypatch):
    shown = []
    monkeypatch.setattr(panel.widget.radiotherapy.section, "_show_chart", shown.append)
    assert not panel.ui.evaluateButton.enabled
    volume = volume_from_node(ct)
    dose = np.broadcast_to(np.linspace(70, 0, volume.shape[0], dtype=np.float32)[:, None, None], volume.shape)
    panel.ui.doseSelector.setCurrentNode(add_volume(Volume(np.ascontiguousarray(dose), volume.grid, "dose")))
    choose(panel.ui.protocolComboBox, panel.ui.protocolComboBox.findText("Lung, conventional"))
    click(panel.ui.evaluateButton)
    [chart] = shown
    assert chart.GetNthPlotSeriesNode(0).GetName() == "GTVp"
    rows = texts(panel.ui.goalsTable)
    assert ["SpinalCord D0.03cc <= 50 Gy", "", "cannot be evaluated"] in rows


def test_export_offers_dicom_and_import_brings_the_same_structures(panel, structures, ct, tmp_path, monkeypatch):
    path = tmp_path / "structures.dcm"
    asked = []
    monkeypatch.setattr(QMessageBox, "question", lambda *words: asked.append(words[2]) or QMessageBox.Yes)
    (tmp_path / "ct").mkdir()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "ct"))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    click(panel.ui.exportStructuresButton)
    assert "does not come from DICOM" in asked[0]
    assert panel.message == f"Written: {path}"
    before = held_in(structures, ct)
    click(panel.ui.importStructuresButton)
    node = panel.ui.structuresSelector.currentNode()
    assert node is not structures
    after = held_in(node, ct)
    assert [one.name for one in after] == ["GTVp", "Heart left"]
    for one, other in zip(before, after, strict=True):
        assert 2 * (one.mask & other.mask).sum() / (one.mask.sum() + other.mask.sum()) > 0.98


def test_a_file_that_is_no_rtstruct_is_one_sentence(panel, ct, tmp_path, monkeypatch):
    path = tmp_path / "letter.dcm"
    path.write_text("Dear colleague")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    click(panel.ui.importStructuresButton)
    assert "letter.dcm" in panel.message
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes


def test_removed_structures_empty_the_section(panel, structures):
    slicer.mrmlScene.RemoveNode(structures)
    panel.wait_for(lambda: texts(panel.ui.structuresTable) == [])
    assert not panel.ui.rebuildButton.enabled
    assert panel.ui.rebuildButton.toolTip == "Choose a structure set, or apply a protocol."


def test_an_itv_unites_the_phases(panel, structures, ct):
    """Scripted: the tumour moves 10 mm to the head between two phases."""
    logic = panel.widget.logic
    volume = volume_from_node(ct)
    phases = []
    for shift in (0, 10):
        phase = add_volume(Volume(volume.array, volume.grid, f"phase {shift}"))
        gtv = RTStructure("GTVp", Role.GTV, ball(volume, (60, 0, shift), 20))
        phases.append((phase, add_structure_set(StructureSet(volume.grid, (gtv,), f"drawn {shift}"), phase), "GTVp"))
    logic.setRule(structures, ct, "PTVp", "expand(GTVp, 5)")
    excursion = logic.internalTarget(structures, ct, phases, "ITVp")
    assert excursion == pytest.approx((0, 0, 10), abs=0.5)
    held = held_in(structures, ct)
    assert held["ITVp"].role is Role.ITV
    assert np.array_equal(held["ITVp"].mask, ball(volume, (60, 0, 0), 20) | ball(volume, (60, 0, 10), 20))
