"""The radiotherapy section with a real worker process: the window lives, and what comes is what a script gets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import panel_cases
import pytest
import slicer
from panels import ROOT, click, node_count, open_panel, small_ct, texts
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QFileDialog, QMessageBox

from SegmentationAILib.engine.background import background
from SegmentationAILib.engine.worker import launching
from SegmentationAILib.radiotherapy.scene import add_structure_set, structure_set_from_node
from SegmentationAILib.radiotherapy.structure_set import Origin, Role, RTStructure, StructureSet
from SegmentationAILib.scene import add_volume, volume_from_node
from SegmentationAILib.terminology import Code
from SegmentationAILib.volume import Volume

PROTOCOL = """\
name: Small
site: lung
source: none, made for tests
prescription: {dose_gy: 60, fractions: 30, target: PTVp, source: none}
structures:
  - {name: GTVp, role: GTV, colour: "#ff0000"}
  - {name: External, role: EXTERNAL, colour: "#a9a9a9", task: body}
  - {name: PTVp, role: PTV, colour: "#0000ff", rule: "inside(expand(GTVp, 8), External)", source: none}
  - {name: PTVn, role: PTV, colour: "#00ffff", rule: "expand(GTVn, 8)", source: none}
  - {name: GTVn, role: GTV, colour: "#ffff00"}
goals:
  - {structure: GTVp, metric: "Mean[Gy]", comparison: ">=", value: 10, source: none}
"""
HEART = Code("80891009", "SCT", "Heart")


@pytest.fixture
def told(tmp_path, monkeypatch) -> Path:
    """The folder whose files tell the worker what to do."""
    monkeypatch.setenv(panel_cases.FOLDER, str(tmp_path))
    return tmp_path


@pytest.fixture
def ct(slicer_host):
    slicer.mrmlScene.Clear()
    return add_volume(small_ct())


@pytest.fixture
def panel(slicer_host, told, ct, monkeypatch):
    panel = open_panel(slicer_host, "SegmentationAI")
    monkeypatch.setattr(background, "_modules", [*background._modules, "panel_cases"])
    background.close()
    panel.ui.inputSelector.setCurrentNode(ct)
    panel.ui.radiotherapyCollapsibleButton.setChecked(True)
    for name in ("ruleCollapsibleButton", "tumourCollapsibleButton", "doseCollapsibleButton"):
        getattr(panel.ui, name).setChecked(True)
    (told / "small.yaml").write_text(PROTOCOL)
    panel.ui.protocolComboBox.addItem("Small", str(told / "small.yaml"))
    panel.ui.protocolComboBox.setCurrentIndex(panel.ui.protocolComboBox.count - 1)
    panel._window.resize(380, 1900)
    slicer_host.process_events()
    slicer.mrmlScene.SetUndoOn()
    monkeypatch.setattr(background, "in_process", False)
    yield panel
    slicer.mrmlScene.SetUndoOff()
    panel.close()
    background.close()


@pytest.fixture
def structures(panel, ct):
    node = add_structure_set(plan(volume_from_node(ct).grid), ct)
    panel.ui.structuresSelector.setCurrentNode(node)
    return node


def ball(grid, centre, radius):
    places = grid.ras(np.moveaxis(np.indices(grid.shape)[::-1], 0, -1))
    return np.linalg.norm(places - centre, axis=-1) <= radius


def plan(grid) -> StructureSet:
    gtv = RTStructure("GTVp", Role.GTV, ball(grid, (60, 0, 0), 20), (1.0, 0.0, 0.0), Origin.AUTOMATIC, model="net 1a2b")
    heart = RTStructure("Heart", Role.ORGAN, ball(grid, (0, 20, 0), 30), (0.8, 0.4, 0.2), Origin.MANUAL, code=HEART)
    empty = RTStructure("Bolus", Role.ORGAN, np.zeros(grid.shape, bool))
    return StructureSet(grid, (gtv, heart, empty), "plan")


def end(panel) -> None:
    panel.wait_for(lambda: not panel.widget.runControls.running)


def begin_rebuild(panel, told) -> None:
    """Until the worker is at work on it."""
    click(panel.ui.rebuildButton)
    panel.wait_for(lambda: (told / "begun").exists() or not panel.widget.runControls.running)
    assert panel.message == ""


def as_data(node, ct) -> list:
    return [
        (one.name, one.role, one.mask.tobytes(), one.colour, one.origin, one.rule, one.code, one.model)
        for one in structure_set_from_node(node, ct)
    ]


def test_a_protocol_and_rules_give_what_a_script_gets(panel, structures, ct, told):
    logic = panel.widget.logic
    scripted = add_structure_set(plan(volume_from_node(ct).grid), ct)
    unbuilt = logic.applyProtocol(scripted, ct, str(told / "small.yaml"))
    logic.setRule(scripted, ct, "Ring", "expand(PTVp, 10) - PTVp")
    levels = slicer.mrmlScene.GetNumberOfUndoLevels()

    click(panel.ui.applyProtocolButton)
    end(panel)
    assert panel.message == f"Done; to complete: {' '.join(unbuilt)}"
    assert unbuilt == ["PTVn needs GTVn."]
    assert slicer.mrmlScene.GetNumberOfUndoLevels() == levels + 1
    panel.ui.structureNameEdit.setText("Ring")
    panel.ui.ruleEdit.setText("expand(PTVp, 10) - PTVp")
    click(panel.ui.setRuleButton)
    end(panel)
    assert panel.message == "Done."
    assert as_data(structures, ct) == as_data(scripted, ct)
    names = ["GTVp", "Heart", "Bolus", "External", "PTVp", "Ring"]
    panel.wait_for(lambda: [row[0] for row in texts(panel.ui.structuresTable)] == names)


def test_the_window_lives_while_structures_are_made_again(panel, structures, ct, told):
    panel.widget.logic.setRule(structures, ct, "PTVp", "expand(GTVp, 10)")
    scripted = add_structure_set(structure_set_from_node(structures, ct), ct)
    for node in (structures, scripted):
        array = slicer.util.arrayFromSegmentBinaryLabelmap(node, "GTVp", ct).copy()
        array[: array.shape[0] // 2] = 0
        slicer.util.updateSegmentBinaryLabelmapFromArray(array, node, "GTVp", ct)
    (told / "go").touch()
    panel.widget.logic.rebuild(scripted, ct)
    for name in ("go", "begun"):
        (told / name).unlink()
    levels = slicer.mrmlScene.GetNumberOfUndoLevels()
    ticks = []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(panel.ui.progressBar.value))
    timer.start(10)
    begin_rebuild(panel, told)
    panel.wait_for(lambda: panel.ui.progressBar.value > 0 and len(ticks) > 20)
    assert not panel.ui.radiotherapyCollapsibleButton.enabled
    (told / "go").touch()
    end(panel)
    timer.stop()
    assert panel.message == "Made again: PTVp"
    assert slicer.mrmlScene.GetNumberOfUndoLevels() == levels + 1
    assert as_data(structures, ct) == as_data(scripted, ct)


@pytest.mark.parametrize("way", ["cancel", "refuse", "remove"])
def test_a_run_without_a_result_leaves_the_scene_as_it_was(panel, structures, ct, told, way):
    panel.widget.logic.setRule(structures, ct, "PTVp", "expand(GTVp, 10)")
    before, nodes = as_data(structures, ct), node_count()
    levels = slicer.mrmlScene.GetNumberOfUndoLevels()
    begin_rebuild(panel, told)
    if way == "cancel":
        click(panel.ui.runButton)
    elif way == "refuse":
        (told / "refuse").touch()
        (told / "go").touch()
    else:
        slicer.mrmlScene.RemoveNode(structures)
        nodes = node_count()
        (told / "go").touch()
    end(panel)
    refused = "This CT does not show the lungs; choose a chest CT."
    assert panel.message == (refused if way == "refuse" else "Cancelled; nothing was changed.")
    assert node_count() == nodes
    assert slicer.mrmlScene.GetNumberOfUndoLevels() == levels
    if way != "remove":
        assert as_data(structures, ct) == before


def test_a_tumour_from_points_is_that_of_a_script(panel, ct):
    volume = volume_from_node(ct)
    array = volume.array.copy()
    array[ball(volume.grid, (55, 10, 10), 15)] = 40
    slicer.util.updateVolumeFromArray(ct, array)
    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "tumour")
    points.AddControlPointWorld((55.0, 10.0, 10.0))
    panel.ui.tumourPointsSelector.setCurrentNode(points)
    click(panel.ui.contourTumourButton)
    end(panel)
    assert panel.message == "Done."
    scripted = panel.widget.logic.newStructures(ct)
    panel.widget.logic.contourTumour(scripted, ct, points)
    assert as_data(panel.ui.structuresSelector.currentNode(), ct) == as_data(scripted, ct)


def test_a_dose_is_evaluated(panel, structures, ct, monkeypatch):
    shown = []
    monkeypatch.setattr(panel.widget.radiotherapy.section, "_show_chart", shown.append)
    volume = volume_from_node(ct)
    dose = np.broadcast_to(np.linspace(70, 0, volume.shape[0], dtype=np.float32)[:, None, None], volume.shape)
    panel.ui.doseSelector.setCurrentNode(add_volume(Volume(np.ascontiguousarray(dose), volume.grid, "dose")))
    click(panel.ui.evaluateButton)
    end(panel)
    [chart] = shown
    assert [chart.GetNthPlotSeriesNode(n).GetName() for n in range(2)] == ["GTVp", "Heart"]
    [[goal, value, verdict]] = texts(panel.ui.goalsTable)
    assert (goal, verdict) == ("GTVp Mean >= 10 Gy", "pass")
    assert float(value) == pytest.approx(35, abs=1)


def test_structures_go_out_as_rtstruct_and_come_back(panel, structures, ct, told, monkeypatch):
    path = told / "structures.dcm"
    (told / "ct").mkdir()
    structures.GetSegmentation().RemoveSegment("Bolus")
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.Yes)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(told / "ct"))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    click(panel.ui.exportStructuresButton)
    end(panel)
    assert panel.message == f"Written: {path}"
    click(panel.ui.importStructuresButton)
    end(panel)
    node = panel.ui.structuresSelector.currentNode()
    assert node is not structures
    before, after = structure_set_from_node(structures, ct), structure_set_from_node(node, ct)
    assert [one.name for one in after] == ["GTVp", "Heart"]
    for one in after:
        assert 2 * (one.mask & before[one.name].mask).sum() / (one.mask.sum() + before[one.name].mask.sum()) > 0.98


def test_structures_are_made_without_torch_in_this_process(tmp_path):
    (tmp_path / "small.yaml").write_text(PROTOCOL)
    script = f"""
import sys
from pathlib import Path
from host import boot
host = boot.start()
host.make_views()
import slicer
host.load_module(Path({str(ROOT)!r}) / "SegmentationAI" / "SegmentationAI.py")
panel = slicer.modules.segmentationai.createNewWidgetRepresentation()
panel.show()
panel.isEntered = True
widget = panel.self()
widget.enter()
import numpy as np
from SegmentationAILib.phantom import chest
from SegmentationAILib.scene import add_volume
node = add_volume(chest())
widget.ui.inputSelector.setCurrentNode(node)
widget.ui.radiotherapyCollapsibleButton.setChecked(True)
while widget.ui.protocolComboBox.count == 0:
    host.process_events()
def end():
    while widget.runControls.running:
        host.process_events()
widget.ui.protocolComboBox.addItem("Small", {str(tmp_path / "small.yaml")!r})
widget.ui.protocolComboBox.setCurrentIndex(widget.ui.protocolComboBox.count - 1)
widget.ui.applyProtocolButton.click()
end()
assert widget.ui.messageLabel.text.startswith("Done"), widget.ui.messageLabel.text
widget.ui.structureNameEdit.setText("Shell")
widget.ui.ruleEdit.setText("External - inside(External, External, gap=20)")
widget.ui.setRuleButton.click()
end()
assert widget.ui.messageLabel.text == "Done.", widget.ui.messageLabel.text
widget.ui.rebuildButton.click()
end()
assert widget.ui.messageLabel.text == "Made again: Shell", widget.ui.messageLabel.text
dose = add_volume(chest())
widget.ui.doseSelector.setCurrentNode(dose)
widget.ui.evaluateButton.click()
end()
assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == 1, widget.ui.messageLabel.text
assert widget.logic.checkNames(widget.ui.structuresSelector.currentNode())
assert "torch" not in sys.modules
widget.cleanup()
"""
    environment = launching.environment(["LungNoduleAILib.worker_tasks"])
    environment["PYTHONPATH"] = os.pathsep.join((str(ROOT / "Testing"), environment["PYTHONPATH"]))
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)


def test_an_itv_is_united_by_the_worker(panel, structures, ct):
    """For a window of one's own: the tumour moves 10 mm to the head between two phases."""
    volume, logic, travelled = volume_from_node(ct), panel.widget.logic, []
    phases = []
    for shift in (0, 10):
        phase = add_volume(Volume(volume.array, volume.grid, f"phase {shift}"))
        gtv = RTStructure("GTVp", Role.GTV, ball(volume.grid, (60, 0, shift), 20))
        phases.append((phase, add_structure_set(StructureSet(volume.grid, (gtv,), f"drawn {shift}"), phase), "GTVp"))

    def steps():
        travelled.append((yield from logic.unitingPhases(structures, ct, phases)))

    panel.widget.runControls.start(steps())
    assert panel.widget.runControls.running
    end(panel)
    assert panel.message == ""
    assert travelled == [pytest.approx((0, 0, 10), abs=0.5)]
    united = ball(volume.grid, (60, 0, 0), 20) | ball(volume.grid, (60, 0, 10), 20)
    assert np.array_equal(structure_set_from_node(structures, ct)["ITVp"].mask, united)
