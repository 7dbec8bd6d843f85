"""Pictures of both panels at work, beside the views, from a real run on the demo CT."""

from __future__ import annotations

import time
from pathlib import Path

import click
import numpy as np
import slicer
from numpy.typing import NDArray
from PIL import Image
from PySide6.QtGui import QImage

from host import boot
from host.demo import DEMO_CT
from host.picture import LEVEL_HU, WINDOW_HU
from host.views import FourUp
from SegmentationAILib.files import load
from SegmentationAILib.volume import Volume

ROOT = Path(__file__).resolve().parents[2]
PANEL_WIDTH = 380
VIEW_SIZE = 400
# The largest nodule of the demo CT.
TUMOUR_RAS = (-72.5, -77.2, -190.4)


@click.command()
@click.option("--output", type=click.Path(path_type=Path), required=True)
def main(output: Path) -> None:
    """Draw each panel after a run on the demo CT into the output folder."""
    output.mkdir(parents=True, exist_ok=True)
    host = boot.start()
    from SegmentationAILib.scene import add_volume  # noqa: PLC0415 - needs the scene

    volume = load(DEMO_CT)
    node = add_volume(volume)
    views = FourUp(host.session.app, VIEW_SIZE)
    views.show(node, WINDOW_HU, LEVEL_HU)
    for name in ("SegmentationAI", "LungNoduleAI"):
        path = output / f"{name}.png"
        panel = run(host, name)
        frame(views, volume)
        compose(grab(panel), views.image()).save(path)
        click.echo(path)
        if name == "LungNoduleAI":
            path = output / "NoduleReview.png"
            review(host, panel)
            views.frame(panel.self().logic.nodules(panel.self().ui.findingsSelector.currentNode())[0].centre_ras, 120.0)
            compose(grab(panel), views.image()).save(path)
            click.echo(path)
        panel.close()
        hide_results()
    path = output / "Radiotherapy.png"
    panel = contour(host, node)
    frame(views, volume)
    views.jump(TUMOUR_RAS)
    compose(grab(panel), views.image()).save(path)
    panel.close()
    click.echo(path)


def run(host: boot.Host, name: str):
    """The module's panel after its button was clicked."""
    host.load_module(ROOT / name / f"{name}.py")
    panel = getattr(slicer.modules, name.lower()).createNewWidgetRepresentation()
    widget = panel.self()
    panel.resize(PANEL_WIDTH, 2 * VIEW_SIZE)
    panel.show()
    panel.isEntered = True
    widget.enter()
    widget.ui.runButton.click()
    if name == "LungNoduleAI":
        widget.ui.nodulesTable.selectRow(0)
    settle(host, panel)
    return panel


def review(host: boot.Host, panel) -> None:
    """The first nodule accepted, the last rejected, what is known of the patient entered, the first chosen."""
    ui, widget = panel.self().ui, panel.self()
    ui.inputsCollapsibleButton.setChecked(False)
    ui.nodulesTable.selectRow(ui.nodulesTable.rowCount - 1)
    ui.rejectButton.click()
    ui.nodulesTable.selectRow(0)
    ui.acceptButton.click()
    findings = ui.findingsSelector.currentNode()
    widget.logic.setPatient(findings, age=64, female=True, pack_years=30, family_history=False, emphysema=False)
    widget.logic.correct(findings, 1, spiculation=False)
    settle(host, panel)


def contour(host: boot.Host, ct: slicer.vtkMRMLScalarVolumeNode):
    """The radiotherapy section after a tumour was outlined from one point and margins were derived."""
    panel = slicer.modules.segmentationai.createNewWidgetRepresentation()
    widget = panel.self()
    panel.resize(PANEL_WIDTH, 2 * VIEW_SIZE)
    panel.show()
    panel.isEntered = True
    widget.enter()
    ui = widget.ui
    for section in (ui.inputsCollapsibleButton, ui.resultsCollapsibleButton):
        section.setChecked(False)
    for section in (ui.radiotherapyCollapsibleButton, ui.tumourCollapsibleButton, ui.ruleCollapsibleButton):
        section.setChecked(True)
    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "tumour")
    points.AddControlPointWorld(TUMOUR_RAS)
    points.SetDisplayVisibility(False)
    ui.inputSelector.setCurrentNode(ct)
    ui.tumourPointsSelector.setCurrentNode(points)
    ui.contourTumourButton.click()
    structures = ui.structuresSelector.currentNode()
    lungs = next(n for n in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if n.GetName().endswith(" lungs"))
    for name in ("right lung", "left lung"):
        structures.GetSegmentation().CopySegmentFromSegmentation(lungs.GetSegmentation(), name)
    for name, rule in (
        ("Lungs", '"right lung" + "left lung"'),
        ("CTVp", "ctv(GTVp, 6, within=Lungs)"),
        ("PTVp", "expand(CTVp, 5, superior=8, inferior=8)"),
    ):
        ui.structureNameEdit.setText(name)
        ui.ruleEdit.setText(rule)
        ui.setRuleButton.click()
    display = structures.GetDisplayNode()
    display.SetVisibility2DFill(False)
    display.SetSliceIntersectionThickness(2)
    for name in ("right lung", "left lung", "Lungs"):
        display.SetSegmentVisibility(name, name == "Lungs")
        display.SetSegmentOpacity3D(name, 0.2)
    display.SetSegmentOpacity3D("PTVp", 0.4)
    for _ in range(30):
        host.process_events()
        time.sleep(0.02)
    return panel


def hide_results() -> None:
    for kind in ("vtkMRMLSegmentationNode", "vtkMRMLMarkupsFiducialNode"):
        for node in slicer.util.getNodesByClass(kind):
            node.SetDisplayVisibility(False)


def frame(views: FourUp, volume: Volume) -> None:
    """Show the whole chest, the slices through the first nodule where there is one."""
    for segmentation in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
        segmentation.CreateClosedSurfaceRepresentation()
    size_ijk = np.array(volume.shape[::-1])
    centre = volume.grid.ras((size_ijk - 1) / 2)
    views.frame(tuple(centre), float((size_ijk * volume.spacing).max()) * 0.9)
    markups = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLMarkupsFiducialNode")
    views.jump(markups.GetNthControlPointPositionWorld(0) if markups else tuple(centre))


def grab(panel) -> NDArray[np.uint8]:
    """RGB [row, column, 3] of a widget."""
    image = panel.grab().toImage().convertToFormat(QImage.Format_RGB888)
    rows = np.frombuffer(image.constBits(), dtype=np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def settle(host: boot.Host, panel) -> None:
    """Give all widgets the height that they ask for, as in Slicer's scrolled column."""
    host.process_events()
    wanted = max(panel.minimumSizeHint().height(), panel.layout().totalHeightForWidth(PANEL_WIDTH))
    panel.resize(PANEL_WIDTH, max(2 * VIEW_SIZE, wanted))
    host.process_events()


def compose(panel: NDArray[np.uint8], views: NDArray[np.uint8]) -> Image.Image:
    """Panel to the left of the views, as in Slicer, where what does not fit is scrolled to."""
    height = len(views)
    panel = panel[:height]
    padded = [np.pad(part, ((0, height - len(part)), (0, 0), (0, 0)), constant_values=239) for part in (panel, views)]
    return Image.fromarray(np.hstack(padded))


if __name__ == "__main__":
    main()
