"""What both panels share: input, device, the run with progress, cancel and failures, the system check."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import slicer
from panels import choose, click, during_run, findings_in, node_count, open_panel, small_ct

import LungNoduleAILib.analysis
from SegmentationAILib.engine import cuda_driver
from SegmentationAILib.engine.cuda_driver import CudaDriver, Gpu
from SegmentationAILib.errors import InputError
from SegmentationAILib.scene import add_volume
from SegmentationAILib.segmentation import METHODS
from SegmentationAILib.volume import Volume

PANELS = ("LungNoduleAI", "SegmentationAI")


class Work:
    """Stands for the detector and the segmentation: reports two steps, then fails or returns."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.between = lambda: None
        self.devices: list[str] = []

    def analyze(self, volume, task, progress):
        self.devices.append(task.device)
        self._steps(progress)
        return findings_in(volume)

    def segment_lungs(self, volume, *, device, progress):
        self.devices.append(device)
        self._steps(progress)
        return findings_in(volume).lungs

    def _steps(self, progress) -> None:
        progress(0.25, "Finding the lungs")
        self.between()
        progress(0.75, "Finding nodules")
        if self.error is not None:
            raise self.error
        progress(1.0, "Done")


@pytest.fixture
def work(monkeypatch) -> Work:
    work = Work()
    monkeypatch.setattr(LungNoduleAILib.analysis, "analyze", work.analyze)
    monkeypatch.setitem(METHODS, "lungs", work.segment_lungs)
    return work


@pytest.fixture(params=PANELS)
def panel(request, slicer_host):
    slicer.mrmlScene.Clear()
    panel = open_panel(slicer_host, request.param)
    yield panel
    panel.close()


@pytest.fixture
def ct(panel):
    """A CT in the scene, chosen as the panel's input."""
    node = add_volume(small_ct())
    panel.ui.inputSelector.setCurrentNode(node)
    return node


def result_count() -> int:
    return slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")


def test_without_a_volume_the_button_says_why(panel):
    assert not panel.ui.runButton.enabled
    assert panel.ui.runButton.toolTip == "Choose a CT volume."


@pytest.mark.parametrize(
    ("shape", "components", "reason"),
    [
        ((1, 48, 56), 1, "single slice"),
        ((40, 48, 56), 3, "several values per voxel"),
        (None, 1, "no voxels"),
    ],
    ids=["one slice", "colour", "empty"],
)
def test_unsuitable_volume_disables_the_button_and_says_why(panel, shape, components, reason):
    node = add_volume(small_ct()) if shape is None else add_volume(small_ct(shape=shape))
    if shape is None:
        node.SetAndObserveImageData(None)
    elif components > 1:
        node.GetImageData().AllocateScalars(node.GetImageData().GetScalarType(), components)
    panel.ui.inputSelector.setCurrentNode(None)
    panel.ui.inputSelector.setCurrentNode(node)
    assert not panel.ui.runButton.enabled
    assert reason in panel.ui.runButton.toolTip


def test_first_suitable_volume_is_chosen_on_entering(panel):
    panel.leave()
    slicer.mrmlScene.Clear()
    slice_node = add_volume(small_ct("scout", shape=(1, 48, 56)))
    node = add_volume(small_ct("chest"))
    panel.enter()
    assert panel.ui.inputSelector.currentNode() is node
    assert slice_node is not node
    assert panel.ui.runButton.enabled


def test_run_writes_one_result_and_chooses_it(panel, ct, work):
    click(panel.ui.runButton)
    assert result_count() == 1
    result = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    assert panel.result_selector.currentNode() is result
    assert result.GetAttribute("ThoraxAI.Task")
    assert not panel.ui.progressBar.visible


def test_during_a_run_the_panel_shows_it(panel, ct, work):
    seen = {}

    def look() -> None:
        ui = panel.ui
        seen.update(
            text=ui.runButton.text,
            value=ui.progressBar.value,
            format=ui.progressBar.format,
            bar=ui.progressBar.visible,
            inputs=ui.inputsCollapsibleButton.enabled,
            results=ui.resultsCollapsibleButton.enabled,
        )

    before = panel.ui.runButton.text
    work.between = look
    click(panel.ui.runButton)
    assert seen == {
        "text": "Cancel",
        "value": 25,
        "format": "Finding the lungs  %p%",
        "bar": True,
        "inputs": False,
        "results": False,
    }
    assert panel.ui.runButton.text == before
    assert panel.ui.inputsCollapsibleButton.enabled


def test_clicking_during_a_run_cancels_it(panel, ct, work):
    before = node_count()
    work.between = lambda: during_run(lambda: click(panel.ui.runButton))
    click(panel.ui.runButton)
    assert node_count() == before
    assert panel.message == "Cancelled; nothing was changed."
    assert panel.ui.runButton.enabled


def test_removing_the_input_during_a_run_cancels_it(panel, ct, work):
    work.between = lambda: slicer.mrmlScene.RemoveNode(ct)
    click(panel.ui.runButton)
    assert result_count() == 0
    assert panel.message == "Cancelled; nothing was changed."


def test_input_removed_in_the_last_step_is_not_written_to(panel, ct, work, monkeypatch):
    def removing(progress) -> None:
        progress(1.0, "Done")
        slicer.mrmlScene.RemoveNode(ct)

    monkeypatch.setattr(work, "_steps", removing)
    click(panel.ui.runButton)
    assert result_count() == 0


def test_closing_the_scene_during_a_run_cancels_it(panel, ct, work):
    work.between = lambda: slicer.mrmlScene.Clear()
    click(panel.ui.runButton)
    assert result_count() == 0
    assert not panel.ui.runButton.enabled
    assert panel.ui.inputSelector.currentNode() is None


def test_leaving_the_module_during_a_run_keeps_the_result(panel, ct, work):
    work.between = panel.widget.exit
    click(panel.ui.runButton)
    panel.enter()
    assert panel.result_selector.currentNode() is slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")


def test_panel_closed_during_a_run_touches_no_widget(panel, ct, work):
    work.between = panel.widget.cleanup
    click(panel.ui.runButton)
    assert result_count() == 0


def test_second_run_is_refused_while_one_is_in_progress(slicer_host, work):
    slicer.mrmlScene.Clear()
    add_volume(small_ct())
    first, second = (open_panel(slicer_host, name) for name in PANELS)
    work.between = lambda: click(second.ui.runButton)
    click(first.ui.runButton)
    assert "Another run is in progress" in second.message
    assert result_count() == 1
    first.close()
    second.close()


def test_bad_input_is_one_sentence_in_the_panel(panel, ct, work):
    before = node_count()
    work.error = InputError("This CT does not show the lungs; choose a chest CT.")
    click(panel.ui.runButton)
    assert panel.message == "This CT does not show the lungs; choose a chest CT."
    assert not panel.ui.detailsButton.visible
    assert node_count() == before


def test_real_checks_refuse_voxels_that_are_no_numbers(panel):
    voxels = np.full((40, 48, 56), -850, dtype=np.float32)
    voxels[20, 20, 20] = np.nan
    ct = small_ct()
    node = add_volume(Volume(voxels, ct.grid, "broken", modality="CT"))
    panel.ui.inputSelector.setCurrentNode(node)
    click(panel.ui.runButton)
    assert panel.message
    assert result_count() == 0
    assert not panel.ui.detailsButton.visible


def test_unexpected_failure_is_a_sentence_with_the_log_behind_details(panel, ct, work, caplog):
    work.error = RuntimeError("the sky fell")
    with caplog.at_level(logging.ERROR):
        click(panel.ui.runButton)
    assert "the sky fell" in panel.message
    assert "Traceback" not in panel.message
    click(panel.ui.detailsButton)
    dialog = panel.top_level("Details")
    assert "RuntimeError: the sky fell" in panel.child(dialog, "textEdit").toPlainText()
    dialog.close()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "The computer ran out of memory"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"), "The GPU ran out of memory"),
        (RuntimeError("CUDA error: no kernel image is available"), "PyTorch has no code for this GPU"),
        (OSError(28, "No space left on device"), "The disk is full"),
    ],
)
def test_known_causes_are_named(panel, ct, work, error, said):
    work.error = error
    click(panel.ui.runButton)
    assert panel.message.startswith(said)


def test_declining_the_installation_changes_nothing(panel, ct, work, monkeypatch):
    from SegmentationAILib import dependencies  # noqa: PLC0415

    monkeypatch.setattr(dependencies, "torch_installed", lambda: False)
    before = node_count()
    click(panel.ui.runButton)
    assert node_count() == before
    assert work.devices == []
    assert panel.message == "Cancelled; nothing was changed."


def test_device_that_is_chosen_is_the_one_that_runs(panel, ct, work):
    choose(panel.ui.deviceComboBox, 1)
    click(panel.ui.runButton)
    assert work.devices == ["cpu"]


def test_gpus_are_listed_with_their_memory(slicer_host, monkeypatch):
    driver = CudaDriver((12, 8), (Gpu(0, "NVIDIA H200", 150_754_820_096, (9, 0)),))
    monkeypatch.setattr(cuda_driver, "query", lambda: driver)
    panel = open_panel(slicer_host, "LungNoduleAI")
    panel.wait_for(lambda: panel.ui.deviceComboBox.count == 3)
    assert panel.ui.deviceComboBox.itemText(1) == "NVIDIA H200 (140 GB)"
    choose(panel.ui.deviceComboBox, 1)
    assert panel.widget.logic.getParameterNode().device == "cuda:0"
    panel.close()


def test_system_check_is_shown_and_copied(panel):
    panel.ui.advancedCollapsibleButton.collapsed = False
    click(panel.ui.systemCheckButton)
    dialog = panel.top_level("Check system")
    text = panel.child(dialog, "textEdit").toPlainText()
    assert text.startswith("ThoraxAI system check")
    assert "3D Slicer" in text
    click(panel.child(dialog, "copyButton"))
    assert slicer.app.clipboard().text() == text
    click(panel.child(dialog, "closeButton"))
    assert not dialog.isVisible()


def test_result_can_be_undone(panel, ct, work):
    slicer.mrmlScene.SetUndoOn()
    try:
        before = slicer.mrmlScene.GetNumberOfUndoLevels()
        click(panel.ui.runButton)
        assert slicer.mrmlScene.GetNumberOfUndoLevels() == before + 1
    finally:
        slicer.mrmlScene.SetUndoOff()


def test_entering_leaving_and_closing_the_scene_leak_no_observer(panel, work):
    def observers() -> int:
        return len(panel.widget.Observations)

    before = observers()
    for _ in range(3):
        panel.ui.inputSelector.setCurrentNode(add_volume(small_ct()))
        click(panel.ui.runButton)
        panel.leave()
        panel.enter()
        slicer.mrmlScene.Clear()
    assert observers() == before
    panel.widget.cleanup()
    assert observers() == 0
