"""The nodule panel and the prior CT: which is suggested, and what it tells of each nodule's category."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import slicer
from nodule_scene import in_study, with_prior
from panels import choose, click, click_row, open_panel, small_ct, texts

from LungNoduleAILib import scene, workflow
from LungNoduleAILib.guidelines.findings import Kind
from LungNoduleAILib.review import Verdict
from LungNoduleAILib.scene_exam import suggested_prior
from LungNoduleAILib.scene_findings import show_findings
from SegmentationAILib.scene import add_volume

LUNG_RADS = 7
# Of a solid nodule of 10 mm, which is a 4A at baseline and a 3 three months later if it did not grow.
SAID = {"kind": Kind.SOLID, "spiculation": False, "short_axis_mm": 10.0, "long_axis_mm": 10.0}


@pytest.fixture
def empty_scene(slicer_host):
    slicer.mrmlScene.Clear()
    return slicer.mrmlScene


def ct(name: str, shift_mm: float = 0.0):
    """A CT's node; one that is shifted is not on the voxels of another."""
    volume = small_ct(name)
    matrix = volume.ijk_to_ras.copy()
    matrix[2, 3] += shift_mm
    return add_volume(replace(volume, grid=replace(volume.grid, ijk_to_ras=matrix)))


def test_the_first_suitable_volume_is_the_input_and_another_one_the_prior(empty_scene, slicer_host):
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "no voxels")
    first, second = ct("now"), ct("then", 7.0)
    panel = open_panel(slicer_host, "LungNoduleAI")
    assert panel.ui.inputSelector.currentNode() is first
    assert panel.ui.priorSelector.currentNode() is second
    panel.ui.priorSelector.setCurrentNode(None)
    panel.leave()
    panel.enter()
    assert panel.ui.priorSelector.currentNode() is None
    panel.ui.inputSelector.setCurrentNode(second)
    assert panel.ui.priorSelector.currentNode() is first
    panel.close()


def test_a_volume_made_from_the_input_or_an_explanation_is_no_prior(empty_scene):
    current = ct("now")
    ct("now, denoised")
    ct("nodule 1 influence", 5.0).SetAttribute("ThoraxAI.Nodule", "1.2.3")
    flat = ct("one slice", 3.0)
    flat.GetImageData().SetDimensions(56, 48, 1)
    assert suggested_prior(current) is None


def test_the_latest_earlier_ct_of_the_same_patient_is_the_prior(empty_scene):
    days = {"now": "20240601", "long ago": "20200101", "before": "20240101", "later": "20250101", "other": "20240501"}
    nodes = {name: ct(name, 3.0 * n) for n, name in enumerate(days)}
    for name, day in days.items():
        in_study(nodes[name], "P2" if name == "other" else "P1", day)
    assert suggested_prior(nodes["now"]) is nodes["before"]
    slicer.mrmlScene.RemoveNode(nodes["before"])
    assert suggested_prior(nodes["now"]) is nodes["long ago"]
    slicer.mrmlScene.RemoveNode(nodes["long ago"])
    assert suggested_prior(nodes["now"]) is None


@pytest.fixture
def compared(empty_scene, slicer_host, monkeypatch):
    """The panel on findings that were compared; the nodule in both CTs was a 4A of the prior one."""
    slicer_host.make_views()
    current, prior = with_prior(monkeypatch)
    for node in (current, prior):
        node.SetAttribute("ThoraxAI.Result", "nodules")
        for name, said in SAID.items():
            workflow.correct(node, 1, name, said)
    workflow.compare(current, prior, 180.0)
    panel = open_panel(slicer_host, "LungNoduleAI")
    panel.ui.inputSelector.setCurrentNode(scene.ct_of(current))
    panel.ui.findingsSelector.setCurrentNode(current)
    panel.ui.inputsCollapsibleButton.setChecked(False)
    panel.current, panel.prior = current, prior
    yield panel
    panel.close()


def test_the_category_of_the_prior_ct_steps_down_a_nodule_that_did_not_grow(compared):
    before = {row.id: row.lung_rads for row in workflow.rows(compared.prior)}
    assert before == {1: "4A"}
    assert texts(compared.ui.nodulesTable)[0][LUNG_RADS] == "3"
    assert workflow.assessment(compared.current, 1).lung_rads.category == "3"
    assert not [step for step in scene.reading_from_scene(compared.current).steps if step.action == "added"]


def test_the_reader_can_say_another_category_and_take_it_back(compared):
    click_row(compared.ui.nodulesTable, 0)
    box = compared.widget.review._assessment.boxes["prior_category"]
    assert box.currentText == "4A"
    choose(box, [box.itemText(index) for index in range(box.count)].index("4B"))
    assert texts(compared.ui.nodulesTable)[0][LUNG_RADS] == "4B"
    click(compared.ui.undoButton)
    assert texts(compared.ui.nodulesTable)[0][LUNG_RADS] == "3"


def test_categories_of_the_prior_ct_outlive_another_detection(compared, monkeypatch):
    """Findings of a second run have no word of the reader, and are compared with the same prior findings."""
    from nodule_scene import chest_with_findings  # noqa: PLC0415

    node = scene.ct_of(compared.current)
    again = show_findings(node, chest_with_findings()[1]).segmentation
    workflow.compare(again, compared.prior, 180.0)
    assert workflow.corrections(again, 1)["prior_category"] == "4A"
    assert "prior_category" not in workflow.corrections(again, 2)
    workflow.decide(compared.prior, 1, Verdict.REJECTED)
    assert "prior_category" not in workflow.corrections(again, 1)


OPENING = """
import sys, time
from host import boot
host = boot.start()
import slicer
from vtk.util.numpy_support import numpy_to_vtk
import numpy, vtk
for name in ("now", "then"):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    image = vtk.vtkImageData()
    image.SetDimensions(9, 9, 9 + (name == "then"))
    image.AllocateScalars(vtk.VTK_SHORT, 1)
    node.SetAndObserveImageData(image)
host.load_module(sys.argv[1])
panel = slicer.modules.lungnoduleai.createNewWidgetRepresentation()
panel.show()
panel.self().enter()
ui = panel.self().ui
assert ui.priorSelector.currentNode().GetName() == "then"
print("torch" in sys.modules, panel.minimumSizeHint().width(), panel.devicePixelRatio())
for name, one in vars(ui).items():
    if name.endswith("CollapsibleButton"):
        one.setChecked(True)
host.process_events()
print(panel.minimumSizeHint().width())
"""


@pytest.mark.parametrize("scale", [1, 2])
def test_opening_with_two_cts_loads_no_torch_and_fits_350_pixels_at_both_scales(slicer_host, scale, monkeypatch):
    monkeypatch.setenv("QT_SCALE_FACTOR", str(scale))
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    from panels import ROOT  # noqa: PLC0415

    module = ROOT / "LungNoduleAI" / "LungNoduleAI.py"
    answer = subprocess.run(
        [sys.executable, "-c", OPENING, str(module)], capture_output=True, text=True, check=True, cwd=ROOT / "Testing"
    )
    first, opened = answer.stdout.strip().splitlines()[-2:]
    has_torch, width, ratio = first.split()
    assert has_torch == "False"
    assert float(ratio) == scale
    assert np.all(np.array([int(width), int(opened)]) <= 350)
