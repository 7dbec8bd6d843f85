"""How long the event loop stands still while both panels work on the demo CT, in the stand-in application.

``python Testing/benchmarks/event_loop.py [--where]``: a line for each action, with the longest gap between two ticks
of a timer of 10 ms and the most work of the main thread in a gap; ``--where`` adds what that was in gaps over 50 ms.
"""

from __future__ import annotations

import argparse
import gc
import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from host import boot

write = logging.getLogger(__name__).info
ROOT = Path(__file__).resolve().parents[2]
# The largest of the demo CT's reference nodules.
NODULE_RAS = (-72.49, -77.23, -190.42)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--where", action="store_true", help="tell where the gaps over 50 ms were")
    parser.add_argument("--task", default="organs", help="id of the model that segments")
    parser.add_argument("--short", action="store_true", help="leave out what computes for minutes")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    host = boot.start()
    host.make_views()
    import slicer  # noqa: PLC0415

    from host.heartbeat import Heartbeat  # noqa: PLC0415 - needs Qt
    from SegmentationAILib.files import load  # noqa: PLC0415
    from SegmentationAILib.scene import add_volume  # noqa: PLC0415

    def measured(what: str, action: Callable[[], None], controls=None) -> None:
        begun = time.perf_counter()
        with Heartbeat() as heartbeat:
            action()
            until = time.perf_counter() + 0.5
            while (controls is not None and controls.running) or time.perf_counter() < until:
                host.process_events()
                time.sleep(0.001)
        seconds = time.perf_counter() - begun
        write(
            f"{what:32} longest gap {heartbeat.longest_ms:5.0f} ms, most work in one {heartbeat.most_work_ms:5.0f} ms, "
            f"{heartbeat.ticks:6} ticks in {seconds:.1f} s",
        )
        if options.where:
            for gap, work, where in heartbeat.blocks:
                write(f"  --- {gap:.0f} ms, {work:.0f} ms of work\n{where}")

    slicer.mrmlScene.SetUndoOn()
    ct = add_volume(load(ROOT / "Resources" / "Demo" / "LIDC-IDRI-0003.nrrd"))
    # What starting the stand-in left behind is not swept while a panel opens: a Slicer has run for a while by then.
    gc.collect()
    panels = {}
    for name in ("SegmentationAI", "LungNoduleAI"):
        host.load_module(ROOT / name / f"{name}.py")

        def opened(name: str = name) -> None:
            panels[name] = getattr(slicer.modules, name.lower()).widgetRepresentation()
            panels[name].show()
            panels[name].isEntered = True
            panels[name].self().enter()

        measured(f"open {name}", opened)
    nodules, organs = panels["LungNoduleAI"].self(), panels["SegmentationAI"].self()
    for widget in (nodules, organs):
        widget.ui.inputSelector.setCurrentNode(ct)

    if not options.short:
        measure_nodules(host, nodules, measured)
        organs.logic.getParameterNode().task = options.task
        measured(f"segment {options.task}", organs.ui.runButton.click, organs.runControls)
        write("  %s", organs.ui.messageLabel.text)
    measure_preprocess(organs, ct, measured)
    measure_radiotherapy(organs, ct, measured)
    for widget in (nodules, organs):
        widget.exit()
        widget.cleanup()


def measure_nodules(host, nodules, measured) -> None:
    """Detection, review and report."""
    import qt  # noqa: PLC0415 - as the host has made it

    def begun_and_cancelled() -> None:
        nodules.ui.runButton.click()
        while nodules.ui.progressBar.value < 5:
            host.process_events()
        begun = time.perf_counter()
        nodules.ui.runButton.click()
        while nodules.runControls.running:
            host.process_events()
        write("cancelled in %.2f s: %s", time.perf_counter() - begun, nodules.ui.messageLabel.text)

    measured("start and cancel", begun_and_cancelled)
    measured("detect nodules", nodules.ui.runButton.click, nodules.runControls)
    write("  %s", nodules.ui.messageLabel.text)
    measured("choose a nodule", lambda: nodules.review.table.choose(2))
    measured("accept it", nodules.ui.acceptButton.click)
    measured("measure it again", nodules.ui.measureButton.click, nodules.runControls)
    measured("explain it", nodules.ui.explainButton.click, nodules.runControls)
    with tempfile.TemporaryDirectory() as folder:
        qt.QFileDialog.getExistingDirectory = lambda *_: folder
        measured("export a report", nodules.ui.exportButton.click, nodules.runControls)
        write("  %s", nodules.ui.messageLabel.text)


def measure_preprocess(organs, ct, measured) -> None:
    """A new volume, and previews of what takes long until something is seen in all views."""
    import slicer  # noqa: PLC0415

    ui = organs.ui
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    for composite in composites:
        composite.SetBackgroundVolumeID(ct.GetID())
    slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *NODULE_RAS, slicer.vtkMRMLSliceNode.CenteredJumpSlice)
    measured("open preprocess", lambda: ui.preprocessCollapsibleButton.setChecked(True))
    parameters = organs.logic.getParameterNode()

    class Sketches:
        running = property(lambda _self: not all(one.GetForegroundVolumeID() for one in composites))

    for name in ("median", "curvature flow", "N4"):
        parameters.preprocessOperation = name
        measured(f"preview {name}", lambda: ui.previewCheckBox.setChecked(True), Sketches())
        write("  %s", ui.previewLabel.text)
        ui.previewCheckBox.setChecked(False)
    parameters.preprocessOperation = "median"
    measured("preprocess median", ui.preprocessButton.click, organs.runControls)
    write("  %s", ui.messageLabel.text)


def measure_radiotherapy(organs, ct, measured) -> None:
    """Each long action of the radiotherapy section."""
    import qt  # noqa: PLC0415 - as the host has made it
    import slicer  # noqa: PLC0415

    from SegmentationAILib.scene import add_volume, volume_from_node  # noqa: PLC0415
    from SegmentationAILib.volume import Volume  # noqa: PLC0415

    ui, controls = organs.ui, organs.runControls

    def run(name: str) -> None:
        measured(name.removesuffix("Button"), getattr(ui, name).click, controls)
        write("  %s", ui.messageLabel.text)

    measured("open radiotherapy", lambda: ui.radiotherapyCollapsibleButton.setChecked(True))
    ui.protocolComboBox.setCurrentIndex(ui.protocolComboBox.findText("Lung, conventional"))
    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "tumour")
    points.AddControlPointWorld(NODULE_RAS)
    ui.tumourPointsSelector.setCurrentNode(points)
    run("contourTumourButton")
    run("applyProtocolButton")
    ui.structureNameEdit.setText("Lungs_PRV10")
    ui.ruleEdit.setText("expand(Lung_L + Lung_R, 10)")
    run("setRuleButton")
    run("rebuildButton")
    qt.QMessageBox.question = lambda *_: qt.QMessageBox.No
    run("checkNamesButton")
    grid = volume_from_node(ct).grid.with_spacing(3.0)
    dose = np.linspace(70.0, 0.0, grid.shape[0], dtype=np.float32)[:, None, None]
    dose = np.ascontiguousarray(np.broadcast_to(dose, grid.shape))
    ui.doseSelector.setCurrentNode(add_volume(Volume(dose, grid, "dose"), (70.0, 35.0)))
    organs.radiotherapy.section._show_chart = lambda _chart: None
    run("evaluateButton")
    with tempfile.TemporaryDirectory() as folder:
        qt.QMessageBox.question = lambda *_: qt.QMessageBox.Yes
        qt.QFileDialog.getExistingDirectory = lambda *_: str(Path(folder) / "ct")
        path = str(Path(folder) / "structures.dcm")
        qt.QFileDialog.getSaveFileName = qt.QFileDialog.getOpenFileName = lambda *_: path
        run("exportStructuresButton")
        run("importStructuresButton")


if __name__ == "__main__":
    main()
