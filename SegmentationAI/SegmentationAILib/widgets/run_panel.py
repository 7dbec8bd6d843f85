"""The panel that both modules share."""

from __future__ import annotations

from typing import ClassVar

import slicer
import vtk
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

from SegmentationAILib.engine.background import background
from SegmentationAILib.engine.steps import Steps
from SegmentationAILib.slicer_application import find_python, system_report
from SegmentationAILib.widgets.device_selector import DeviceSelector
from SegmentationAILib.widgets.run_controls import RunControls
from SegmentationAILib.widgets.text_dialog import TextDialog
from SegmentationAILib.widgets.translation import tr


class RunPanelWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """What the panels of both modules share: an input volume, a device, and a run that can be cancelled.

    The parameter node has ``inputVolume`` and ``device``. The .ui file has ``inputSelector``,
    ``deviceComboBox``, ``systemCheckButton``, ``runButton`` with what ``RunControls`` needs, and the
    sections ``inputsCollapsibleButton``, ``advancedCollapsibleButton``, ``resultsCollapsibleButton``.
    """

    # What a run needs of packages that Slicer may lack, in pieces that do not hold up the window.
    SLOW_IMPORTS = (
        "multiprocessing.shared_memory",
        "psutil",
        "SegmentationAILib.engine.worker.client",
        "SegmentationAILib.scene",
    )
    # The worker process ends with the last of them.
    _open: ClassVar[set[RunPanelWidget]] = set()

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self._dialog = None

    def setup(self) -> None:
        """Called when the user opens the module the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        RunPanelWidget._open.add(self)
        background.find_python = find_python
        uiWidget = slicer.util.loadUI(self.resourcePath(f"UI/{self.moduleName}.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self._uiWidget = uiWidget
        self.logic = self.createLogic()
        self.runToolTip = self.ui.runButton.toolTip
        locked = (
            self.ui.inputsCollapsibleButton,
            self.ui.advancedCollapsibleButton,
            self.ui.resultsCollapsibleButton,
            *self.moreSections(),
        )
        self.runControls = RunControls(self.ui, self.ui.runButton, slicer.app.processEvents, locked)
        self.deviceSelector = DeviceSelector(self.ui.deviceComboBox, self.onDeviceChanged)
        self.setupPanel()

        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self.onNodeAboutToBeRemoved)
        self.ui.runButton.connect("clicked(bool)", self.onRunButton)
        self.ui.systemCheckButton.connect("clicked(bool)", self.onSystemCheckButton)
        self.initializeParameterNode()

    def createLogic(self):
        """The module's logic."""
        raise NotImplementedError

    def moreSections(self) -> tuple:
        """Sections that only this panel has, which take no input during a run."""
        return ()

    def moreReasons(self) -> list[str]:
        """Sentences on what only this panel needs before a run."""
        return []

    def setupPanel(self) -> None:
        """Prepare the widgets that only this panel has."""
        raise NotImplementedError

    def showParameters(self) -> None:
        """Show what the parameter node says, where no connection does; it is None in a closed scene."""
        raise NotImplementedError

    def run(self, parameters) -> Steps[None]:
        """Do the panel's job with these parameters, write the result to the scene and say so."""
        raise NotImplementedError

    def cleanup(self) -> None:
        """Called when the application closes and before a reload."""
        self.runControls.close()
        RunPanelWidget._open.discard(self)
        if not RunPanelWidget._open:
            background.close()
        self.deviceSelector.close()
        self.setParameterNode(None)
        self.removeObservers()
        # A reload hides the widgets and keeps them: they are to follow the scene no more.
        self._uiWidget.setMRMLScene(None)

    def enter(self) -> None:
        """Called each time the user opens this module."""
        self.initializeParameterNode()
        self.deviceSelector.look_for_gpus()

    def exit(self) -> None:
        """Called each time the user opens a different module."""
        self.setParameterNode(None)

    def onSceneStartClose(self, _caller, _event) -> None:
        self.runControls.cancel()
        self.setParameterNode(None)

    def onSceneEndClose(self, _caller, _event) -> None:
        if self.parent.isEntered:
            self.initializeParameterNode()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAboutToBeRemoved(self, _caller, _event, node) -> None:
        if self._parameterNode and node is self._parameterNode.inputVolume:
            self.runControls.cancel()

    def initializeParameterNode(self) -> None:
        """Make sure that the parameter node exists, has an input and is observed."""
        parameterNode = self.logic.getParameterNode()
        if not parameterNode.inputVolume:
            parameterNode.inputVolume = first_volume()
        self.setParameterNode(parameterNode)

    def setParameterNode(self, parameterNode) -> None:
        held = self._parameterNode.parameterNode if self._parameterNode else None
        if held is not None and parameterNode is not None and parameterNode.parameterNode is held:
            # As when the user opens the module for the first time, which was set up a moment ago.
            return
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameterNodeModified)
        self._parameterNode = parameterNode
        self._parameterNodeGuiTag = None
        if self._parameterNode:
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
            self.addObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameterNodeModified)
        self.onParameterNodeModified()

    def onParameterNodeModified(self, _caller=None, _event=None) -> None:
        if self._parameterNode:
            self.deviceSelector.device = self._parameterNode.device
        self.showParameters()
        self._checkCanRun()

    def _checkCanRun(self) -> None:
        if self.runControls.running:
            return
        reasons = reasons_not_to_run(self._parameterNode.inputVolume if self._parameterNode else None)
        reasons += self.moreReasons() if self._parameterNode else []
        self.ui.runButton.enabled = not reasons
        self.ui.runButton.toolTip = "\n".join(reasons) if reasons else self.runToolTip

    def onDeviceChanged(self, device: str) -> None:
        self._parameterNode.device = device

    def onRunButton(self, _checked: bool = False) -> None:
        """Start the run, or cancel the one in progress."""
        if self.runControls.running:
            self.runControls.cancel()
            return
        self.runControls.start(self.run(self._parameterNode))
        self._checkCanRun()

    def onSystemCheckButton(self, _checked: bool = False) -> None:
        with slicer.util.WaitCursor():
            text = system_report().to_text()
        self._dialog = TextDialog(tr("Check system"), text, self.ui.runButton.window())
        self._dialog.show()


def first_volume() -> slicer.vtkMRMLScalarVolumeNode | None:
    """The first volume of the scene that a run can start with."""
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return next((node for node in nodes if not reasons_not_to_run(node)), None)


def reasons_not_to_run(volume_node: slicer.vtkMRMLScalarVolumeNode | None) -> list[str]:
    """Sentences on what is missing or wrong, as far as it can be told at once."""
    if volume_node is None:
        return [tr("Choose a CT volume.")]
    if volume_node.IsA("vtkMRMLLabelMapVolumeNode"):
        return [tr("This is a label map; choose a CT volume.")]
    image = volume_node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        return [tr("This volume has no voxels; choose another.")]
    reasons = []
    if image.GetNumberOfScalarComponents() != 1:
        reasons.append(tr("This volume has several values per voxel; choose a CT volume."))
    if min(image.GetDimensions()) == 1:
        reasons.append(tr("This volume has a single slice; choose a CT volume with all slices of the chest."))
    return reasons
