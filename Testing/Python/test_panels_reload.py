"""A module is reloaded as developers do: the new panel shows what the old one did, of which nothing stays behind."""

from __future__ import annotations

import sys

import pytest
import slicer
from panels import click, findings_in, open_panel, small_ct
from PySide6.QtWidgets import QWidget

import LungNoduleAILib.analysis
from SegmentationAILib.engine.background import background
from SegmentationAILib.scene import add_volume
from SegmentationAILib.segmentation import METHODS
from SegmentationAILib.widgets.run_controls import RunControls
from SegmentationAILib.widgets.run_panel import RunPanelWidget

FOLDED = {
    "SegmentationAI": ("preprocess", "radiotherapy", "compare"),
    "LungNoduleAI": ("patient", "followUp", "export"),
}


@pytest.fixture(params=FOLDED)
def name(request) -> str:
    return request.param


@pytest.fixture
def panel(slicer_host, name, monkeypatch):
    """Opened by the user, all sections unfolded, with a CT and a result."""
    monkeypatch.setattr(LungNoduleAILib.analysis, "analyze", lambda volume, task, progress: findings_in(volume))
    monkeypatch.setitem(METHODS, "lungs", lambda volume, **_: findings_in(volume).lungs)
    slicer.mrmlScene.Clear()
    panel = open_panel(slicer_host, name)
    entry = getattr(slicer.modules, name.lower())
    monkeypatch.setattr(entry, "_widget", panel._window)
    monkeypatch.setattr(entry, "python_module", entry.python_module)
    monkeypatch.setitem(sys.modules, name, entry.python_module)
    panel.ui.inputSelector.setCurrentNode(add_volume(small_ct()))
    unfold(panel, name)
    yield panel
    panel.close()


def unfold(panel, name: str) -> None:
    for section in FOLDED[name]:
        getattr(panel.ui, f"{section}CollapsibleButton").setChecked(True)


def reload(panel, name: str) -> None:
    panel.widget.onReload()
    panel.widget = panel._window.self()
    panel.ui = panel.widget.ui
    slicer.app.processEvents()
    unfold(panel, name)


def observers() -> int:
    """Of the scene and all nodes, those of vtkObserver's own objects included."""
    nodes = [slicer.mrmlScene.GetNthNode(n) for n in range(slicer.mrmlScene.GetNumberOfNodes())]
    held = [one.GetSegmentation() for one in nodes if one.IsA("vtkMRMLSegmentationNode")]
    return sum(str(one).count("vtkObserver (") for one in (slicer.mrmlScene, *nodes, *held))


def run_buttons(panel) -> list[QWidget]:
    return [one for one in panel._window.findChildren(QWidget, "runButton") if one.isVisibleTo(panel._window)]


def test_the_new_panel_works_and_the_old_one_leaves_nothing(panel, name):
    click(panel.ui.runButton)
    assert panel.message
    chosen, result = panel.ui.inputSelector.currentNode(), panel.result_selector.currentNode()
    assert result is not None
    before, opened = observers(), len(RunPanelWidget._open)
    for _ in range(3):
        old = panel.widget
        reload(panel, name)
        assert panel.widget is not old
        assert not old.Observations
        assert len(RunPanelWidget._open) == opened
        assert run_buttons(panel) == [panel.ui.runButton]
        assert panel.ui.inputSelector.currentNode() is chosen
        assert panel.result_selector.currentNode() is result
        assert observers() == before
    click(panel.ui.runButton)
    assert panel.result_selector.currentNode() not in (None, result)


def test_a_reload_ends_the_run_that_is_on(panel, name, monkeypatch):
    def endless(*_):
        while True:
            yield

    monkeypatch.setattr(background, "in_process", False)
    panel.widget.runControls.start(endless())
    assert panel.widget.runControls.running
    reload(panel, name)
    assert RunControls._active is None
    assert not panel.widget.runControls.running
    monkeypatch.setattr(background, "in_process", True)
    click(panel.ui.runButton)
    assert panel.result_selector.currentNode() is not None
