"""Pictures of both panels in each state, beside the views, from real runs on the demo CT."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import slicer
from PySide6.QtCore import Qt

from host import boot
from host.demo import DEMO_CT
from host.earlier_ct import earlier_ct
from host.picture import LEVEL_HU, WINDOW_HU
from host.studio import ROOT, Studio, use_dark_theme
from SegmentationAILib.files import load
from SegmentationAILib.volume import Grid, Volume

# The largest nodule of the demo CT.
TUMOUR_RAS = (-72.5, -77.2, -190.4)
# Across the slice views, mm.
NODULE_WIDTH_MM, PAIR_WIDTH_MM = 120.0, 110.0
DAYS_BETWEEN = 180
RUNNING_PERCENT = 35
EQUALISED = "CLAHE"
# The pictures of sections that have a name of their own.
PICTURES = {"radiotherapy": "Radiotherapy"}
# Sections that the pictures of the five states show.
SHOWN_ANYWAY = ("inputs", "model", "advanced", "results", "nodule")


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=ROOT / "Resources" / "Screenshots")
@click.option("--panel", "panels", type=click.Choice(["SegmentationAI", "LungNoduleAI"]), multiple=True)
def main(output: Path, panels: tuple[str, ...]) -> None:
    """Draw the panels in each state into the output folder."""
    studio = Studio(boot.start(), output)
    ct = load(DEMO_CT)
    work = {"SegmentationAI": draw_segmentation, "LungNoduleAI": draw_nodules}
    for name in panels or tuple(work):
        began = time.monotonic()
        slicer.mrmlScene.Clear()
        work[name](studio, ct)
        click.echo(f"{name}: {time.monotonic() - began:.0f} s")
    for path in studio.made:
        click.echo(f"{path} {path.stat().st_size / 1000:.0f} kB")


def draw_segmentation(studio: Studio, ct: Volume) -> None:
    """Segmentation AI: five states, and each section that only it has."""
    draw_states(studio, "SegmentationAI", ct, lambda panel: whole_chest(studio, ct))
    node = add_ct(studio, ct)
    panel = studio.open("SegmentationAI")
    only(panel, "inputs", "model")
    find_model(panel)
    studio.settle(panel)
    studio.shoot_panel("SegmentationAI-model", panel)
    forget_model(panel)
    # In this order, since the comparison takes what the radiotherapy section made.
    work = {"preprocess": preview, "radiotherapy": contour, "compare": compare}
    for name in sorted(sections_of(panel), key=lambda one: list(work).index(one) if one in work else len(work)):
        only(panel, name)
        if name in work:
            work[name](studio, panel, node)
        studio.settle(panel)
        studio.shoot(PICTURES.get(name, f"SegmentationAI-{name}"), panel)
    studio.close(panel)


def draw_nodules(studio: Studio, ct: Volume) -> None:
    """Lung Nodule AI: five states, review, explanation, patient, follow-up, export."""
    draw_states(studio, "LungNoduleAI", ct, lambda panel: choose_first(studio, panel, ct))
    findings = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    panel = studio.open("LungNoduleAI")
    widget, ui = panel.self(), panel.self().ui
    ui.inputSelector.setCurrentNode(widget.logic.volumeOf(findings))
    ui.findingsSelector.setCurrentNode(findings)
    only(panel, "results", "nodule")
    review(studio, panel)
    near(studio, widget, findings)
    studio.shoot("NoduleReview", panel)
    studio.during(panel, 0, ui.explainButton.click)
    studio.shoot("LungNoduleAI-explanation", panel)
    ui.explainButton.click()
    for name in ("patient", "export"):
        only(panel, "results", name)
        studio.settle(panel)
        studio.shoot_panel(f"LungNoduleAI-{name}", panel)
    use_dark_theme()
    only(panel, "inputs", "results", "nodule")
    studio.settle(panel)
    studio.shoot_panel("LungNoduleAI-dark-2x", panel, scale=2)
    studio.host.qt_application.setPalette(studio.host.qt_application.style().standardPalette())
    follow_up(studio, panel, ct)
    studio.close(panel)


def draw_states(studio: Studio, name: str, ct: Volume, after_run: Callable) -> None:
    """A panel in an empty scene, with a CT, at work, with its result and after a failure."""
    panel = studio.open(name)
    ui = panel.self().ui
    studio.shoot(f"{name}-empty", panel)
    add_ct(studio, ct)
    studio.settle(panel)
    studio.shoot(f"{name}-loaded", panel)
    before = studio.views.image()
    running = studio.during(panel, RUNNING_PERCENT, ui.runButton.click)
    if not any(selector.currentNode() for selector in result_selectors(panel)):
        raise click.ClickException(f"{name} found nothing to draw: {ui.messageLabel.text}")
    studio.shoot(f"{name}-running", running, before)
    after_run(panel)
    studio.settle(panel)
    studio.shoot(name, panel)
    hide_results(panel)
    phantom = add_phantom(studio)
    ui.inputSelector.setCurrentNode(phantom)
    studio.during(panel, 0, ui.runButton.click)
    studio.shoot(f"{name}-error", panel)
    slicer.mrmlScene.RemoveNode(phantom)
    show_results(True)
    studio.close(panel)


def hide_results(panel) -> None:
    """The panel and the views show no result any more."""
    for selector in result_selectors(panel):
        selector.setCurrentNode(None)
    show_results(False)


def result_selectors(panel) -> list:
    names = ("findingsSelector", "segmentationSelector")
    return [getattr(panel.self().ui, name) for name in names if hasattr(panel.self().ui, name)]


def show_results(visible: bool) -> None:
    for kind in ("vtkMRMLSegmentationNode", "vtkMRMLMarkupsFiducialNode"):
        for node in slicer.util.getNodesByClass(kind):
            node.SetDisplayVisibility(visible)


def add_ct(studio: Studio, ct: Volume) -> slicer.vtkMRMLScalarVolumeNode:
    """The CT in the scene and the views, once."""
    from SegmentationAILib.scene import add_volume  # noqa: PLC0415 - needs the scene

    node = slicer.mrmlScene.GetFirstNodeByName(ct.name) or add_volume(ct)
    studio.views.show(node, WINDOW_HU, LEVEL_HU)
    whole_chest(studio, ct)
    return node


def add_phantom(studio: Studio) -> slicer.vtkMRMLScalarVolumeNode:
    """A jar of water, as scanners are checked with: no chest, which both panels say."""
    from SegmentationAILib.scene import add_volume  # noqa: PLC0415 - needs the scene

    k, j, i = np.indices((60, 100, 100))
    hu = np.where(np.hypot(j - 50, i - 50) < 40, 0, -1000).astype(np.int16)
    hu += np.where((k + j + i) % 2, 8, -8).astype(np.int16)
    matrix = np.diag([-2.5, -2.5, 2.5, 1.0])
    matrix[:3, 3] = (125.0, 125.0, -75.0)
    node = add_volume(Volume(hu, Grid(hu.shape, matrix), "water phantom", modality="CT"))
    studio.views.show(node, 400.0, 0.0)
    studio.views.frame((0.0, 0.0, 0.0), 260.0)
    return node


def whole_chest(studio: Studio, ct: Volume) -> None:
    """All of the CT in the slice views, and of the results in the 3-D view."""
    for segmentation in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
        segmentation.CreateClosedSurfaceRepresentation()
    size_ijk = np.array(ct.shape[::-1])
    centre = ct.grid.ras((size_ijk - 1) / 2)
    studio.views.frame(tuple(centre), float((size_ijk * ct.spacing).max()) * 0.9)
    # What came after the slices were drawn is drawn when they move.
    studio.views.jump(tuple(centre + ct.spacing.max()))
    studio.views.jump(tuple(centre))
    studio.views.fit_camera()


def choose_first(studio: Studio, panel, ct: Volume) -> None:
    """The surest nodule is chosen; the views go through it and still show the whole chest."""
    whole_chest(studio, ct)
    table = panel.self().ui.nodulesTable
    table.selectRow(0)
    markups = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLMarkupsFiducialNode")
    whole_chest(studio, ct)
    studio.views.jump(tuple(markups.GetNthControlPointPositionWorld(0)))


def near(studio: Studio, widget, findings) -> None:
    """The slice views close to the first nodule."""
    studio.views.frame(widget.logic.nodules(findings)[0].centre_ras, NODULE_WIDTH_MM)


def review(studio: Studio, panel) -> None:
    """The first nodule accepted, the last rejected, what is known of the patient entered, the first chosen."""
    ui, widget = panel.self().ui, panel.self()
    add_views_ct(studio, widget.logic.volumeOf(ui.findingsSelector.currentNode()))
    ui.nodulesTable.selectRow(ui.nodulesTable.rowCount - 1)
    ui.rejectButton.click()
    ui.nodulesTable.selectRow(0)
    ui.acceptButton.click()
    findings = ui.findingsSelector.currentNode()
    widget.logic.setPatient(findings, age=64, female=True, pack_years=30, family_history=False, emphysema=False)
    widget.logic.correct(findings, 1, spiculation=False)
    studio.settle(panel)


def add_views_ct(studio: Studio, node: slicer.vtkMRMLScalarVolumeNode) -> None:
    studio.views.show(node, WINDOW_HU, LEVEL_HU)


def follow_up(studio: Studio, panel, ct: Volume) -> None:
    """An earlier CT, made from the demo CT by moving it and shrinking the largest nodule, compared side by side."""
    from SegmentationAILib.scene import add_volume  # noqa: PLC0415 - needs the scene

    ui = panel.self().ui
    prior = add_volume(earlier_ct(ct, TUMOUR_RAS))
    display = prior.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(WINDOW_HU, LEVEL_HU)
    only(panel, "inputs", "results", "followUp")
    ui.priorSelector.setCurrentNode(prior)
    ui.daysSpinBox.setValue(DAYS_BETWEEN)
    studio.during(panel, 0, ui.compareButton.click)
    ui.nodulesTable.selectRow(0)
    ui.sideBySideButton.click()
    ui.pairsTable.selectRow(0)
    only(panel, "results", "followUp")
    studio.settle(panel)
    studio.shoot("LungNoduleAI-follow-up", panel, studio.views.pair_image(("Red", "Yellow"), PAIR_WIDTH_MM))


def preview(studio: Studio, panel, ct: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Contrast equalised in small tiles, as the slice views preview it before a volume is made."""
    ui = panel.self().ui
    ui.inputSelector.setCurrentNode(ct)
    show_results(False)
    index = max(0, ui.preprocessComboBox.findText(EQUALISED, Qt.MatchContains))
    ui.preprocessComboBox.setCurrentIndex(index)
    ui.preprocessComboBox.activated.emit(index)
    ui.previewCheckBox.click()
    for _ in range(5):
        studio.settle(panel)


def compare(studio: Studio, panel, _ct: slicer.vtkMRMLScalarVolumeNode) -> None:
    """The lungs against those of the radiotherapy section, of which one has lost its base."""
    ui = panel.self().ui
    nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    lungs, structures = (next(n for n in nodes if n.GetName().endswith(end)) for end in (" lungs", " structures"))
    ct = ui.inputSelector.currentNode()
    array = slicer.util.arrayFromSegmentBinaryLabelmap(structures, "left lung", ct)
    array[: len(array) // 5] = 0
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, structures, "left lung", ct)
    ui.comparisonReferenceSelector.setCurrentNode(lungs)
    ui.comparisonTestSelector.setCurrentNode(structures)
    studio.during(panel, 0, ui.compareButton.click)
    ui.comparisonTable.selectRow(1)


def contour(studio: Studio, panel, ct: slicer.vtkMRMLScalarVolumeNode) -> None:
    """The radiotherapy section after a tumour was outlined from one point and margins were derived."""
    ui = panel.self().ui
    ui.tumourCollapsibleButton.setChecked(False)
    ui.ruleCollapsibleButton.setChecked(True)
    # The protocols are read bit by bit.
    studio.until(lambda: ui.protocolComboBox.count > 0)
    ui.protocolComboBox.setCurrentIndex(max(0, ui.protocolComboBox.findText("Lung", Qt.MatchStartsWith)))
    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "tumour")
    points.AddControlPointWorld(TUMOUR_RAS)
    points.SetDisplayVisibility(False)
    ui.inputSelector.setCurrentNode(ct)
    ui.tumourPointsSelector.setCurrentNode(points)
    studio.during(panel, 0, ui.contourTumourButton.click)
    structures = ui.structuresSelector.currentNode()
    lungs = next(n for n in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if n.GetName().endswith(" lungs"))
    lungs.SetDisplayVisibility(False)
    for name in ("right lung", "left lung"):
        structures.GetSegmentation().CopySegmentFromSegmentation(lungs.GetSegmentation(), name)
    for name, rule in (
        ("Lungs", '"right lung" + "left lung"'),
        ("CTVp", "ctv(GTVp, 6, within=Lungs)"),
        ("PTVp", "expand(CTVp, 5, superior=8, inferior=8)"),
    ):
        ui.structureNameEdit.setText(name)
        ui.ruleEdit.setText(rule)
        studio.during(panel, 0, ui.setRuleButton.click)
    # The table follows once edits pause.
    studio.until(lambda: ui.structuresTable.rowCount == structures.GetSegmentation().GetNumberOfSegments())
    display = structures.GetDisplayNode()
    display.SetVisibility2DFill(False)
    display.SetSliceIntersectionThickness(2)
    for name in ("right lung", "left lung", "Lungs"):
        display.SetSegmentVisibility(name, name == "Lungs")
        display.SetSegmentOpacity3D(name, 0.2)
    display.SetSegmentOpacity3D("PTVp", 0.4)
    structures.CreateClosedSurfaceRepresentation()
    studio.views.fit_camera()
    studio.views.jump(TUMOUR_RAS)


def find_model(panel) -> None:
    """What was typed is a structure; a model that finds it is chosen, and of its structures the lobes of the lungs."""
    ui = panel.self().ui
    ui.modelSearchEdit.setText("lobe")
    rows = [ui.modelsList.item(row).text() for row in range(ui.modelsList.count)]
    ui.modelsList.setCurrentRow(next(n for n, text in enumerate(rows) if text.startswith("TotalSegmentator, 3 mm")))
    ui.wantedCollapsibleButton.setChecked(True)
    ui.wantNoneButton.click()
    ui.wantedFilterEdit.setText("lobe")
    ui.wantAllButton.click()


def forget_model(panel) -> None:
    """The first model is chosen again."""
    ui = panel.self().ui
    ui.modelSearchEdit.clear()
    ui.wantedCollapsibleButton.setChecked(False)
    ui.modelsList.setCurrentRow(0)


def sections_of(panel) -> list[str]:
    """The panel's sections that the pictures of its states do not show, in the order of the work."""
    named = {name: one for name, one in vars(panel.self().ui).items() if name.endswith("CollapsibleButton")}
    names = {one: name.removesuffix("CollapsibleButton") for name, one in named.items()}
    top = [one for one in names if not any(other.isAncestorOf(one) for other in names if other is not one)]
    top.sort(key=lambda one: one.y)
    return [names[one] for one in top if names[one] not in SHOWN_ANYWAY]


def only(panel, *names: str) -> None:
    """Open these sections and close the others."""
    ui = panel.self().ui
    for name in (*SHOWN_ANYWAY, *sections_of(panel)):
        section = getattr(ui, f"{name}CollapsibleButton", None)
        if section is not None:
            section.setChecked(name in names)


if __name__ == "__main__":
    main()
