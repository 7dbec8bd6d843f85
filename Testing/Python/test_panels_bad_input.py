"""The nodule panel on what it can do little or nothing with: each is told in a sentence, and the scene stays sound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import qt
import slicer
from panels import click, findings_in, node_count, open_panel, small_ct, texts, tick
from report_cases import character_of

import LungNoduleAILib.analysis
from LungNoduleAILib.guidelines.findings import Kind
from SegmentationAILib.scene import add_volume
from SegmentationAILib.volume import Grid, Volume


@pytest.fixture
def panel(slicer_host):
    slicer.mrmlScene.Clear()
    panel = open_panel(slicer_host, "LungNoduleAI")
    yield panel
    panel.close()


def run_on(panel, volume: Volume) -> None:
    panel.ui.inputSelector.setCurrentNode(add_volume(volume))
    panel.widget._parameterNode.device = "cpu"
    panel.before = node_count()
    click(panel.ui.runButton)
    panel.wait_for(lambda: not panel.widget.runControls.running)


def water() -> Volume:
    """A jar of water: as another part of the body, it shows no lungs."""
    k, j, i = np.indices((40, 80, 80))
    hu = np.where(np.hypot(j - 40, i - 40) < 32, 0, -1000) + np.where((k + j + i) % 2, 8, -8)
    return Volume(hu.astype(np.int16), Grid(hu.shape, np.diag([-3.0, -3.0, 3.0, 1.0])), "water", modality="CT")


def test_another_part_of_the_body_is_one_sentence_and_leaves_the_scene(panel):
    run_on(panel, water())
    assert panel.message == (
        "The CT 'water' does not show the lungs; choose a chest CT that contains at least part of them."
    )
    assert node_count() == panel.before
    assert panel.ui.findingsSelector.currentNode() is None
    assert panel.ui.runButton.enabled


def test_another_modality_is_one_sentence(panel):
    run_on(panel, replace(small_ct("head"), modality="MR"))
    assert "MR" in panel.message
    assert node_count() == panel.before


def test_nodules_at_the_edge_and_thick_slices_are_told_after_the_run(panel, monkeypatch):
    def analyze(volume, task, progress):
        findings = findings_in(volume)
        first, *others = findings.nodules
        cut = replace(character_of(first, Kind.SOLID, None), at_edge=True)
        return replace(findings, nodules=(replace(first, character=cut), *others))

    monkeypatch.setattr(LungNoduleAILib.analysis, "analyze", analyze)
    run_on(panel, small_ct())
    assert "Nodule 1 lies at the edge of the field of view; it is at least as large as measured." in panel.message
    assert "The slices are 5 mm apart" in panel.message
    assert "contiguous slices of 1.5 mm or less" in panel.message


def test_no_nodule_at_all_is_a_good_report_too(panel, monkeypatch, tmp_path):
    monkeypatch.setattr(LungNoduleAILib.analysis, "analyze", lambda volume, task, progress: findings_in(volume, ()))
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", staticmethod(lambda *arguments: str(tmp_path / "out")))
    run_on(panel, small_ct())
    assert panel.message.startswith("No nodule was found. That does not mean that there is none.")
    assert texts(panel.ui.nodulesTable) == []
    assert panel.ui.acceptButton.toolTip == "Choose a nodule in the table."
    assert panel.ui.assessmentText.toPlainText() == "There is no nodule to show."
    panel.ui.inputsCollapsibleButton.setChecked(False)
    panel.ui.exportCollapsibleButton.setChecked(True)
    tick(panel.ui.pdfCheckBox)
    click(panel.ui.exportButton)
    panel.wait_for(lambda: not panel.widget.runControls.running)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["nodules.csv", "report.html", "report.pdf"]
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "No nodule" in html
    assert "category 1" in html.lower()
    assert len((tmp_path / "out" / "nodules.csv").read_text(encoding="utf-8").splitlines()) == 1
