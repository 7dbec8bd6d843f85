"""The stand-in behaves as Slicer's Python does, and what it lacks is an error."""

from __future__ import annotations

import enum
import os
import subprocess
import sys
from typing import Annotated, Optional

import pytest
import slicer
import vtk

pytest.importorskip("PySide6.QtWidgets", reason="Qt's system libraries are missing", exc_type=ImportError)

import ctk
import qt
from panels import ROOT, click
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from slicer.parameterNodeWrapper import Choice, Default, WithinRange, parameterNodeWrapper

UI = """<ui version="4.0"><class>Form</class><widget class="{top}" name="Form"><layout class="QVBoxLayout">
<item><widget class="ctkCollapsibleButton" name="section"><property name="text"><string>Inputs</string></property>
<property name="collapsed"><bool>true</bool></property><layout class="QVBoxLayout"><item>
<widget class="QLineEdit" name="edit"><property name="SlicerParameterName" stdset="0"><string>text</string></property>
</widget></item></layout></widget></item></layout></widget></ui>"""


class Kind(enum.Enum):
    SOLID = "solid"
    GROUND_GLASS = "ground glass"


@parameterNodeWrapper
class Parameters:
    text: str = "none"
    count: Annotated[int, WithinRange(1, 9)] = 3
    share: float = 0.5
    on: bool = True
    kind: Kind = Kind.GROUND_GLASS
    side: Annotated[str, Choice(["left", "right"]), Default("left")]
    volume: slicer.vtkMRMLScalarVolumeNode
    other: Optional[slicer.vtkMRMLScalarVolumeNode]  # noqa: UP045 - as older modules write it


@pytest.fixture
def node(slicer_host):
    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "parameters")


def test_qt_properties_are_attributes():
    button = qt.QPushButton("Run")
    assert (button.text, button.enabled) == ("Run", True)
    button.enabled = False
    button.text = "Stop"
    assert button.text == "Stop"
    assert not button.enabled
    assert qt.QComboBox().count == 0


def test_a_misspelt_property_fails():
    button = qt.QPushButton()
    with pytest.raises(AttributeError, match="QPushButton has no property 'enbaled'"):
        button.enbaled = False
    with pytest.raises(AttributeError):
        _ = button.enbaled


def test_a_read_only_property_fails():
    with pytest.raises(AttributeError, match="read-only"):
        qt.QComboBox().count = 3


def test_python_subclasses_have_attributes_of_their_own():
    class Mine(qt.QWidget):
        def __init__(self):
            super().__init__()
            self.number = 7

    assert Mine().number == 7


def test_names_that_are_not_there_fail():
    for module, name in ((qt, "QNoSuchWidget"), (ctk, "ctkNoSuchWidget")):
        with pytest.raises(AttributeError, match="is not in the stand-in"):
            getattr(module, name)
    with pytest.raises(AttributeError):
        slicer.util.noSuchFunction()
    with pytest.raises(AttributeError):
        slicer.app.noSuchThing()


def test_connect_by_signature_with_as_many_arguments_as_the_slot_takes():
    button = qt.QPushButton()
    seen = []
    slots = (lambda: seen.append("none"), lambda checked: seen.append(checked), lambda *all_: seen.append(all_))
    for slot in slots:
        button.connect("clicked(bool)", slot)
    click_shown(button)
    assert seen == ["none", False, (False,)]
    for slot in slots:
        assert button.disconnect("clicked(bool)", slot)
    click_shown(button)
    assert len(seen) == 3
    assert not button.disconnect("clicked(bool)", slots[0])


def click_shown(button):
    button.show()
    click(button)


def test_an_unknown_signal_fails():
    with pytest.raises(ValueError, match=r"QPushButton has no signal clickt\(bool\)"):
        qt.QPushButton().connect("clickt(bool)", print)


def test_a_file_dialog_gives_the_path_alone(monkeypatch):
    from PySide6.QtWidgets import QFileDialog  # noqa: PLC0415

    monkeypatch.setattr(QFileDialog, "getSaveFileName", staticmethod(lambda *a: ("/tmp/a.csv", "Table (*.csv)")))
    assert qt.QFileDialog.getSaveFileName(None, "Export") == "/tmp/a.csv"


def test_ui_file_with_custom_classes(slicer_host, tmp_path):
    path = tmp_path / "panel.ui"
    path.write_text(UI.format(top="qMRMLWidget"))
    widget = slicer.util.loadUI(str(path))
    ui = slicer.util.childWidgetVariables(widget)
    assert ui.edit.property("SlicerParameterName") == "text"
    assert ui.section.text == "Inputs"
    assert ui.section.collapsed
    widget.show()
    assert not ui.edit.isVisible()
    QTest.mouseClick(ui.section, Qt.LeftButton, pos=ui.section.rect.center() * 0 + qt.QPoint(30, 10))
    assert not ui.section.collapsed
    assert ui.edit.isVisible()


def test_ui_file_with_an_unknown_class_fails(slicer_host, tmp_path):
    path = tmp_path / "panel.ui"
    path.write_text(UI.format(top="qMRMLWidget").replace("QLineEdit", "qMRMLNoSuchWidget"))
    with pytest.raises(NotImplementedError, match=r"qMRMLNoSuchWidget \(edit\)"):
        slicer.util.loadUI(str(path))


def test_slider_and_spin_box_show_the_same():
    slider = ctk.ctkSliderWidget()
    slider.minimum, slider.maximum, slider.decimals, slider.singleStep = 0.0, 2.0, 2, 0.25
    seen = []
    slider.connect("valueChanged(double)", seen.append)
    slider.value = 0.5
    assert seen == [0.5]
    spin_box = slider.findChild(qt.QDoubleSpinBox)
    slider.show()
    QTest.keyClick(spin_box, Qt.Key_Up)
    assert slider.value == 0.75
    assert slider.findChild(qt.QSlider).value == pytest.approx(3750, abs=1)


def test_node_selector_follows_the_scene(slicer_host):
    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.noneEnabled = True
    box.setMRMLScene(slicer.mrmlScene)
    seen = []
    box.connect("currentNodeChanged(vtkMRMLNode*)", seen.append)
    assert box.currentNode() is None
    first = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "first")
    hidden = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "hidden")
    hidden.SetHideFromEditors(True)
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "model")
    assert [box.itemText(i) for i in range(box.count)] == ["None", "first"]
    box.setCurrentNode(first)
    first.SetName("renamed")
    assert box.currentText == "renamed"
    slicer.mrmlScene.RemoveNode(first)
    assert box.currentNode() is None
    assert seen == [first, None]
    box.setMRMLScene(None)


def test_parameters_have_defaults_and_are_kept_on_the_node(node):
    first = Parameters(node)
    assert (first.text, first.count, first.share, first.on, first.kind, first.side) == (
        "none", 3, 0.5, True, Kind.GROUND_GLASS, "left"
    )  # fmt: skip
    assert first.volume is None
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    first.text, first.count, first.kind, first.volume, first.on = "a ü|b", 9, Kind.SOLID, volume, False
    second = Parameters(node)
    assert (second.text, second.count, second.kind, second.on) == ("a ü|b", 9, Kind.SOLID, False)
    assert second.volume is volume
    slicer.mrmlScene.RemoveNode(volume)
    assert second.volume is None


def test_an_empty_text_and_none_are_values(node):
    @parameterNodeWrapper
    class Sparse:
        text: str = "abc"
        number: Optional[int] = 3  # noqa: UP045

    parameters = Sparse(node)
    parameters.text, parameters.number = "", None
    assert (parameters.text, parameters.number) == ("", None)
    with pytest.raises(TypeError):
        parameters.text = None


def test_parameters_survive_a_saved_scene(node, mrml_session, tmp_path):
    Parameters(node).count = 7
    mrml_session.save_mrb(tmp_path / "scene.mrb")
    mrml_session.clear()
    mrml_session.load_mrb(tmp_path / "scene.mrb")
    assert Parameters(slicer.mrmlScene.GetFirstNodeByName("parameters")).count == 7


def test_wrong_values_are_refused(node):
    parameters = Parameters(node)
    for name, value, error in (
        ("count", 10, ValueError),
        ("count", "many", TypeError),
        ("side", "up", ValueError),
        ("volume", slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode"), TypeError),
        ("cuont", 3, AttributeError),
    ):
        with pytest.raises(error):
            setattr(parameters, name, value)
    assert parameters.count == 3


def test_a_type_that_is_not_supported_fails_when_the_class_is_made():
    class Unsupported:
        value: complex = 0j

    class UnknownHint:
        value: Annotated[int, "a hint that nobody knows"] = 0

    for one in (Unsupported, UnknownHint):
        with pytest.raises(NotImplementedError, match="'value'"):
            parameterNodeWrapper(one)


def test_widgets_and_parameters_follow_each_other(node, slicer_host, tmp_path):
    path = tmp_path / "panel.ui"
    path.write_text(UI.format(top="qMRMLWidget"))
    ui = slicer.util.childWidgetVariables(slicer.util.loadUI(str(path)))
    parameters = Parameters(node)
    modified = []
    parameters.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: modified.append(1))
    tag = parameters.connectGui(ui)
    assert ui.edit.text == "none"
    QTest.keyClick(ui.edit, Qt.Key_A)
    assert parameters.text == "nonea"
    assert modified
    parameters.text = "b"
    assert ui.edit.text == "b"
    parameters.disconnectGui(tag)
    parameters.text = "c"
    assert ui.edit.text == "b"


@pytest.mark.parametrize("name", ["SegmentationAI", "LungNoduleAI"])
def test_module_test_class_passes(slicer_host, name):
    """What Slicer's *Reload and Test* button runs."""
    module = slicer_host.load_module(ROOT / name / f"{name}.py")
    getattr(module, f"{name}Test")().runTest()


def test_a_failing_module_test_is_not_swallowed(slicer_host):
    from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest  # noqa: PLC0415

    class BrokenTest(ScriptedLoadableModuleTest):
        def test_broken(self):
            raise AssertionError("broken")

    with pytest.raises(AssertionError, match="broken"):
        BrokenTest().runTest()


def test_opening_the_modules_imports_no_torch():
    """In a process of its own: Slicer imports every module at start-up."""
    code = (
        "import sys; from host import boot; host = boot.start()\n"
        "for name in ('SegmentationAI', 'LungNoduleAI'):\n"
        f"    host.load_module(rf'{ROOT}' + f'/{{name}}/{{name}}.py'); host.module_widget(name).enter()\n"
        "sys.exit('torch' in sys.modules or 'monai' in sys.modules)\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )


def test_sample_data_loads(slicer_host):
    slicer_host.load_module(ROOT / "SegmentationAI" / "SegmentationAI.py")
    slicer_host.fire_startup()
    import SampleData  # noqa: PLC0415 - the host makes it

    [source] = [one for one in SampleData.SampleDataLogic.sources if one.sampleName == "LungNodulesCT"]
    assert source.load().GetImageData().GetDimensions()[2] == 140
