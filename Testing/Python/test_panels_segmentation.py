"""The segmentation panel: segments, their volumes, and how these follow edits."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from panels import click, findings_in, open_panel, small_ct, texts

from SegmentationAILib.scene import add_volume
from SegmentationAILib.segmentation import METHODS

HALF_ML = 40 * 48 * 28 * 125 / 1000.0


@pytest.fixture
def panel(slicer_host, monkeypatch):
    monkeypatch.setitem(METHODS, "lungs", lambda volume, *, device, progress: findings_in(volume).lungs)
    slicer.mrmlScene.Clear()
    panel = open_panel(slicer_host, "SegmentationAI")
    panel.ui.inputSelector.setCurrentNode(add_volume(small_ct()))
    click(panel.ui.runButton)
    yield panel
    panel.close()


def segmentation_node():
    return slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")


def test_volumes_are_listed_in_ml(panel):
    assert texts(panel.ui.volumesTable) == [["right lung", f"{HALF_ML:.1f}"], ["left lung", f"{HALF_ML:.1f}"]]
    assert panel.message == "Done: chest lungs; not found: trachea and bronchi"


def test_segments_are_shown(panel):
    assert panel.ui.segmentsTableView.segmentationNode() is segmentation_node()


def test_volumes_follow_edits(panel):
    array = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation_node(), "right lung").copy()
    array[20:] = 0
    volume_node = panel.ui.inputSelector.currentNode()
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, segmentation_node(), "right lung", volume_node)
    expected = pytest.approx(np.count_nonzero(array) * 0.125, abs=0.1)
    panel.wait_for(lambda: float(texts(panel.ui.volumesTable)[0][1]) == expected)


def test_removed_segmentation_empties_the_table(panel):
    slicer.mrmlScene.RemoveNode(segmentation_node())
    assert texts(panel.ui.volumesTable) == []


def test_leaving_and_entering_keeps_the_result(panel):
    panel.leave()
    panel.enter()
    assert len(texts(panel.ui.volumesTable)) == 2


def test_what_a_run_had_to_do_without_is_said_and_kept(panel, monkeypatch):
    def short_of_memory(volume, *, device, progress):
        progress.part(0.0, 0.5).note("The GPU had too little memory; the CPU did it.")
        return findings_in(volume).lungs

    monkeypatch.setitem(METHODS, "lungs", short_of_memory)
    click(panel.ui.runButton)
    assert panel.message.endswith("The GPU had too little memory; the CPU did it.")
    result = panel.widget._parameterNode.segmentation
    assert result.GetAttribute("ThoraxAI.Notes") == "The GPU had too little memory; the CPU did it."
