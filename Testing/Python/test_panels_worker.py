"""Runs of both panels in the worker process: the window lives, and nothing that happens there happens here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import panel_cases
import psutil
import pytest
import shared_memory
import slicer
from panels import ROOT, click, node_count, open_panel, small_ct
from PySide6.QtCore import QTimer

from SegmentationAILib.engine.background import background
from SegmentationAILib.engine.worker import launching
from SegmentationAILib.scene import add_volume
from SegmentationAILib.widgets.run_controls import time_left
from SegmentationAILib.widgets.run_panel import RunPanelWidget

PANELS = ("LungNoduleAI", "SegmentationAI")


@pytest.fixture
def told(tmp_path, monkeypatch) -> Path:
    """The folder whose files tell the worker what to do."""
    monkeypatch.setenv(panel_cases.FOLDER, str(tmp_path))
    return tmp_path


@pytest.fixture(params=PANELS)
def panel(request, slicer_host, told, monkeypatch):
    """A panel with a CT, whose worker computes what ``panel_cases`` does."""
    slicer.mrmlScene.Clear()
    # The process ends with the last panel, and other tests of this session may have left theirs open.
    monkeypatch.setattr(RunPanelWidget, "_open", set())
    panel = open_panel(slicer_host, request.param)
    monkeypatch.setattr(background, "in_process", False)
    monkeypatch.setattr(background, "_modules", [*background._modules, "panel_cases"])
    background.close()
    ct = add_volume(small_ct())
    panel.ui.inputSelector.setCurrentNode(ct)
    with shared_memory.nothing_left():
        yield panel
        panel.close()
        background.close()


def one(panel):
    """Tests of what both panels share and that take a process each look at one panel."""
    return pytest.mark.parametrize("panel", [panel], indirect=True)


def begin(panel, told: Path) -> None:
    """Start a run and wait until the worker is at work."""
    click(panel.ui.runButton)
    panel.wait_for(lambda: (told / "begun").exists() or not panel.widget.runControls.running)
    assert panel.message == ""
    (told / "begun").unlink()


def end(panel) -> None:
    panel.wait_for(lambda: not panel.widget.runControls.running)


def worker_processes() -> list[psutil.Process]:
    """What ``PythonSlicer`` started."""
    return psutil.Process(background.worker().pid).children(recursive=True)


def results() -> list:
    return slicer.util.getNodesByClass("vtkMRMLSegmentationNode")


def test_window_lives_while_the_worker_works(panel, told):
    slicer.mrmlScene.SetUndoOn()
    try:
        levels = slicer.mrmlScene.GetNumberOfUndoLevels()
        ticks = []
        timer = QTimer()
        timer.timeout.connect(lambda: ticks.append(panel.ui.progressBar.value))
        timer.start(10)
        begin(panel, told)
        panel.wait_for(lambda: panel.ui.progressBar.value > 0 and len(ticks) > 20)
        assert panel.ui.runButton.text == "Cancel"
        assert not panel.ui.inputsCollapsibleButton.enabled
        assert panel.ui.progressBar.format.startswith("Working")
        (told / "go").touch()
        end(panel)
        timer.stop()
        assert slicer.mrmlScene.GetNumberOfUndoLevels() == levels + 1
    finally:
        slicer.mrmlScene.SetUndoOff()
    [result] = results()
    assert panel.result_selector.currentNode() is result
    assert json.loads(result.GetAttribute("ThoraxAI.Model"))["sha256"] == "00"
    assert json.loads(result.GetAttribute("ThoraxAI.Task"))["device"] == "auto"
    assert result.GetAttribute("ThoraxAI.Device") == "cpu"
    assert result.GetAttribute("ThoraxAI.DurationSeconds") == "1.5"
    assert result.GetAttribute("ThoraxAI.Version")


def test_cancelled_run_ends_and_the_next_works_in_the_same_process(panel, told):
    before = node_count()
    begin(panel, told)
    processes = worker_processes()
    click(panel.ui.runButton)
    end(panel)
    assert panel.message == "Cancelled; nothing was changed."
    assert node_count() == before
    # A process that has not come to its next step when the next run is sent is killed, however slow the machine.
    panel.wait_for(lambda: not background.busy)
    (told / "go").touch()
    click(panel.ui.runButton)
    end(panel)
    assert len(results()) == 1
    assert worker_processes() == processes


@one("LungNoduleAI")
def test_killed_worker_is_a_sentence_with_its_last_words_and_the_next_run_works(panel, told, caplog):
    begin(panel, told)
    for process in worker_processes():
        process.kill()
    end(panel)
    assert "The process that does the work was killed" in panel.message
    assert "Run it again" in panel.message
    assert results() == []
    click(panel.ui.detailsButton)
    dialog = panel.top_level("Details")
    assert "last words of the worker" in panel.child(dialog, "textEdit").toPlainText()
    dialog.close()
    (told / "go").touch()
    click(panel.ui.runButton)
    end(panel)
    assert len(results()) == 1


@one("SegmentationAI")
@pytest.mark.parametrize("leave", ["close the scene", "remove the input", "close the panel"])
def test_what_the_run_was_for_goes_away(panel, told, leave):
    begin(panel, told)
    processes = worker_processes()
    if leave == "close the scene":
        slicer.mrmlScene.Clear()
    elif leave == "remove the input":
        slicer.mrmlScene.RemoveNode(panel.ui.inputSelector.currentNode())
    else:
        panel.widget.cleanup()
        panel.wait_for(lambda: not any(process.is_running() for process in processes))
    end(panel)
    assert results() == []


@one("LungNoduleAI")
def test_result_of_a_module_that_was_left_is_there_on_coming_back(panel, told):
    begin(panel, told)
    panel.leave()
    (told / "go").touch()
    end(panel)
    panel.enter()
    assert panel.result_selector.currentNode() is results()[0]


@one("SegmentationAI")
def test_second_panel_waits_for_the_first(panel, told, slicer_host):
    second = open_panel(slicer_host, "LungNoduleAI")
    background.in_process = False
    begin(panel, told)
    click(second.ui.runButton)
    assert "Another run is in progress" in second.message
    (told / "go").touch()
    end(panel)
    click(second.ui.runButton)
    end(second)
    second.close()
    assert len(results()) == 2


@one("SegmentationAI")
def test_bad_input_is_told_as_in_this_process(panel, told):
    (told / "refuse").touch()
    begin(panel, told)
    (told / "go").touch()
    end(panel)
    assert panel.message == "This CT does not show the lungs; choose a chest CT."
    assert not panel.ui.detailsButton.visible


@one("SegmentationAI")
def test_without_a_process_the_work_is_done_here_and_said_so(panel, told, monkeypatch, tmp_path):
    monkeypatch.setattr(background, "find_python", lambda: str(tmp_path / "missing"))
    (told / "go").touch()
    click(panel.ui.runButton)
    end(panel)
    assert len(results()) == 1
    assert panel.message.startswith("Done: chest lungs")
    assert "could not be started" in panel.message


@pytest.mark.parametrize(
    ("elapsed_s", "fraction", "said"),
    [(2.0, 0.5, ""), (60.0, 0.01, ""), (10.0, 0.5, "10 s left"), (61.0, 0.25, "3 min left"), (9.0, 1.0, "")],
)
def test_time_left_is_told_once_it_is_known(elapsed_s, fraction, said):
    assert time_left(elapsed_s, fraction) == said


def test_panels_open_and_show_a_result_without_torch(told):
    (told / "go").touch()
    script = f"""
import sys
from pathlib import Path
from host import boot
host = boot.start()
host.make_views()
import slicer
panels = []
for name in {PANELS!r}:
    host.load_module(Path({str(ROOT)!r}) / name / f"{{name}}.py")
    panels.append(getattr(slicer.modules, name.lower()).createNewWidgetRepresentation())
    panels[-1].show()
    panels[-1].isEntered = True
    panels[-1].self().enter()
    host.process_events()
assert "torch" not in sys.modules, "opening"
import numpy as np
from SegmentationAILib.engine.background import background
from SegmentationAILib.scene import add_volume
from SegmentationAILib.widgets.run_controls import time_left
from SegmentationAILib.volume import Grid, Volume
background.offer("panel_cases")
volume = Volume(np.zeros((8, 8, 8), np.int16), Grid((8, 8, 8), np.eye(4)), "chest", "CT")
node = add_volume(volume)
for panel in panels:
    widget = panel.self()
    widget.ui.inputSelector.setCurrentNode(node)
    widget.ui.runButton.click()
    while widget.runControls.running:
        host.process_events()
    widget.cleanup()
assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 2
assert "torch" not in sys.modules, "running"
"""
    environment = launching.environment(["panel_cases", "LungNoduleAILib.worker_tasks"])
    environment["PYTHONPATH"] = os.pathsep.join((str(ROOT / "Testing"), environment["PYTHONPATH"]))
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)


@pytest.mark.parametrize("name", PANELS)
def test_panel_leaves_no_observer(slicer_host, name):
    """As a reload does: the panel is closed and another one made."""
    slicer.mrmlScene.Clear()
    scene = slicer.mrmlScene

    def observers() -> int:
        return str(scene).count("vtkObserver (")

    open_panel(slicer_host, name).close()
    before = observers()
    panel = open_panel(slicer_host, name)
    opened = observers()
    for _ in range(3):
        panel.leave()
        panel.enter()
        slicer.mrmlScene.Clear()
        add_volume(small_ct())
    assert observers() == opened > before
    panel.close()
    assert observers() == before
    assert not panel.widget.Observations
