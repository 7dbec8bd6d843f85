from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import slicer
import vtk
from slicer import (
    vtkMRMLMarkupsFiducialNode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
    vtkMRMLTableNode,
)
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin
from vtk.util.numpy_support import vtk_to_numpy

from SegmentationAILib import dependencies, phantom, system_check
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.task import Task
from SegmentationAILib.errors import Cancelled, InputError
from SegmentationAILib.resources import resource

# A result tells its kind, so that each panel lists its own.
RESULT_ATTRIBUTE = "ThoraxAI.Result"
TASK_ATTRIBUTE = "ThoraxAI.Task"
LUNGS = "lungs"
ORGANS = "organs"


class SegmentationAI(ScriptedLoadableModule):
    """Segments organs in CT."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Segmentation AI")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = []
        self.parent.contributors = ["ThoraxAI contributors"]
        self.parent.helpText = _(
            "Outlines the lungs, the airway and organs of the chest in CT, and contours for radiotherapy: tumour, "
            "margins, protocols, dose goals, RTSTRUCT. All on this computer. For research, not for diagnosis or "
            'treatment. See the <a href="https://github.com/ThoraxAI/SlicerThoraxAI#segmentation-ai">documentation</a>.'
        )
        self.parent.acknowledgementText = _(
            "ThoraxAI is free software under the Apache License 2.0. The sample CT is case LIDC-IDRI-0003 of the "
            "LIDC-IDRI collection in The Cancer Imaging Archive (CC BY 3.0)."
        )
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData() -> None:
    """Offer the demo CT of both modules in the Sample Data module."""
    path = resource("Demo/LIDC-IDRI-0003.nrrd")
    if path is None:
        return
    import SampleData  # is there once the application has started

    category = "ThoraxAI"
    if hasattr(SampleData.SampleDataLogic, "registerCustomSampleDataCategory"):  # Slicer 5.12 and newer
        SampleData.SampleDataLogic.registerCustomSampleDataCategory(category, title=category)
    thumbnail = resource("Icons/LungNodulesCT.png")
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=category,
        sampleName="LungNodulesCT",
        thumbnailFileName=str(thumbnail) if thumbnail else None,
        uris=path.as_uri(),
        fileNames=path.name,
        nodeNames="LungNodulesCT",
    )


class RunPanelWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """What the panels of both modules share: an input volume, a device, and a run that can be cancelled.

    The parameter node has ``inputVolume`` and ``device``. The .ui file has ``inputSelector``,
    ``deviceComboBox``, ``systemCheckButton``, ``runButton`` with what ``RunControls`` needs, and the
    sections ``inputsCollapsibleButton``, ``advancedCollapsibleButton``, ``resultsCollapsibleButton``.
    """

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self._dialog = None

    def setup(self) -> None:
        """Called when the user opens the module the first time."""
        from SegmentationAILib.widgets.device_selector import DeviceSelector  # needs Qt
        from SegmentationAILib.widgets.run_controls import RunControls

        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath(f"UI/{self.moduleName}.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
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

    def setupPanel(self) -> None:
        """Prepare the widgets that only this panel has."""
        raise NotImplementedError

    def showParameters(self) -> None:
        """Show what the parameter node says, where no connection does; it is None in a closed scene."""
        raise NotImplementedError

    def run(self, parameters, progress: Progress) -> None:
        """Do the panel's job with these parameters and write the result to the scene."""
        raise NotImplementedError

    def cleanup(self) -> None:
        """Called when the application closes and the module widget is destroyed."""
        self.runControls.close()
        self.deviceSelector.close()
        self.setParameterNode(None)
        self.removeObservers()

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
        """Make sure that the parameter node exists, is observed and has an input."""
        self.setParameterNode(self.logic.getParameterNode())
        if not self._parameterNode.inputVolume:
            self._parameterNode.inputVolume = firstVolume()

    def setParameterNode(self, parameterNode) -> None:
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
        reasons = reasonsNotToRun(self._parameterNode.inputVolume if self._parameterNode else None)
        self.ui.runButton.enabled = not reasons
        self.ui.runButton.toolTip = "\n".join(reasons) if reasons else self.runToolTip

    def onDeviceChanged(self, device: str) -> None:
        self._parameterNode.device = device

    def onRunButton(self, _checked: bool = False) -> None:
        """Start the run, or cancel the one in progress."""
        if self.runControls.running:
            self.runControls.cancel()
            return
        parameters = self._parameterNode
        self.runControls.run(lambda progress: self.run(parameters, progress))
        self._checkCanRun()

    def onSystemCheckButton(self, _checked: bool = False) -> None:
        from SegmentationAILib.widgets.text_dialog import TextDialog  # needs Qt

        with slicer.util.WaitCursor():
            text = systemReport().to_text()
        self._dialog = TextDialog(_("Check system"), text, self.ui.runButton.window())
        self._dialog.show()


@parameterNodeWrapper
class SegmentationAIParameterNode:
    """What the user chose; saved with the scene.

    inputVolume - the CT to segment.
    task - what to segment; "lungs": right lung, left lung and airway; "organs": organs of the chest.
    device - torch device name, or "auto".
    segmentation - the result that the panel shows.
    structures - the structure set of the radiotherapy section.
    tumourPoints, otherPoints - on the tumour, and beside it.
    dose - in Gy.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    task: str = LUNGS
    device: str = "auto"
    segmentation: vtkMRMLSegmentationNode
    structures: vtkMRMLSegmentationNode
    tumourPoints: vtkMRMLMarkupsFiducialNode
    otherPoints: vtkMRMLMarkupsFiducialNode
    dose: vtkMRMLScalarVolumeNode


class SegmentationAIWidget(RunPanelWidget):
    """The panel: CT, task, device, *Apply*, segments and their volumes."""

    def createLogic(self) -> SegmentationAILogic:
        return SegmentationAILogic()

    def moreSections(self) -> tuple:
        return (self.ui.radiotherapyCollapsibleButton,)

    def setupPanel(self) -> None:
        import qt

        from SegmentationAILib.widgets.radiotherapy_section import RadiotherapySection  # needs Qt
        from SegmentationAILib.widgets.volume_table import VolumeTable

        self._shownSegmentation = None
        # An edit announces itself before it is whole, and strokes come fast: count once they pause.
        self._volumesTimer = qt.QTimer()
        self._volumesTimer.setSingleShot(True)
        self._volumesTimer.setInterval(100)
        self._volumesTimer.connect("timeout()", self.showVolumes)
        self.volumeTable = VolumeTable(self.ui.volumesTable)
        self.ui.taskComboBox.addItem(_("Lungs and airway (built in, no network)"), LUNGS)
        self.ui.taskComboBox.addItem(_("Organs of the chest (built-in network)"), ORGANS)
        self.ui.taskComboBox.connect("activated(int)", self.onTaskChanged)
        self.ui.segmentationSelector.addAttribute("vtkMRMLSegmentationNode", RESULT_ATTRIBUTE, "segmentation")
        self.radiotherapy = RadiotherapySection(
            self.ui, self.logic, self.runControls, lambda: self._parameterNode, showChart
        )

    def onTaskChanged(self, index: int) -> None:
        self._parameterNode.task = self.ui.taskComboBox.itemData(index)

    def showParameters(self) -> None:
        if self._parameterNode:
            self.ui.taskComboBox.setCurrentIndex(max(0, self.ui.taskComboBox.findData(self._parameterNode.task)))
        self.radiotherapy.show()
        segmentation = self._parameterNode.segmentation if self._parameterNode else None
        if segmentation is self._shownSegmentation:
            return
        changed = slicer.vtkSegmentation.SourceRepresentationModified
        if self._shownSegmentation is not None:
            self.removeObserver(self._shownSegmentation.GetSegmentation(), changed, self.onSegmentsEdited)
        if segmentation is not None:
            self.addObserver(segmentation.GetSegmentation(), changed, self.onSegmentsEdited)
        self._shownSegmentation = segmentation
        self.ui.segmentsTableView.setSegmentationNode(segmentation)
        self.showVolumes()

    def onSegmentsEdited(self, _caller=None, _event=None) -> None:
        self._volumesTimer.start()

    def cleanup(self) -> None:
        self._volumesTimer.stop()
        self.radiotherapy.close()
        super().cleanup()

    def showVolumes(self) -> None:
        segmentation = self._shownSegmentation
        self.volumeTable.show(self.logic.segmentVolumes(segmentation) if segmentation else {})

    def run(self, parameters: SegmentationAIParameterNode, progress: Progress) -> None:
        installDependencies()
        segmentation = self.logic.segment(parameters.inputVolume, parameters.task, parameters.device, progress)
        parameters.segmentation = segmentation
        self.runControls.say(_("Done: {name}").format(name=segmentation.GetName()))


class RadiotherapyLogic:
    """Radiotherapy without the panel: structures are segments of a segmentation on a CT, doses are volumes in Gy.

    Example::

        logic = SegmentationAILogic()
        ct = slicer.util.getNode("LungNodulesCT")
        structures = logic.segment(ct)
        logic.setRule(structures, ct, "Lungs", '"right lung" + "left lung"')
        logic.setRule(structures, ct, "Lungs_PRV05", "expand(Lungs, 5)")
        print(logic.describeRules(structures, ct))

    Each method raises InputError, one sentence on what is wrong and what to do, and then leaves the scene as it was.
    """

    def protocols(self, folders: Sequence[str] = ()) -> dict[str, str]:
        """Path of each protocol that can be used, by its name: the built-in ones and those in the folders."""
        dependencies.require(requirements())
        from SegmentationAILib.radiotherapy.template import list_templates

        return {one.name: str(one.path) for one in list_templates(map(Path, folders)).templates}

    def newStructures(self, volumeNode: vtkMRMLScalarVolumeNode) -> vtkMRMLSegmentationNode:
        """An empty structure set on a CT."""
        dependencies.require(requirements())
        from SegmentationAILib.scene import add_segmentation

        return add_segmentation((), volumeNode, f"{volumeNode.GetName()} structures")

    def structureRows(self, segmentation: vtkMRMLSegmentationNode) -> list[tuple]:
        """Name, role, volume in ml, rule and colour of each structure."""
        from SegmentationAILib.radiotherapy.scene import describe_segments

        volumes = self.segmentVolumes(segmentation)
        return [
            (name, role, volumes[name], rule, colour) for name, role, rule, colour in describe_segments(segmentation)
        ]

    def marginRule(self, name: str, margins: dict[str, float]) -> str:
        """The rule that grows a structure by margins in mm: left, right, anterior, posterior, superior, inferior."""
        from SegmentationAILib.radiotherapy.margin_recipes import Margins
        from SegmentationAILib.radiotherapy.rule_writing import expansion

        return str(expansion(name, Margins(**margins)))

    def checkNames(self, segmentation: vtkMRMLSegmentationNode) -> list[str]:
        """A sentence for each name that does not follow AAPM TG-263, with what it should be."""
        dependencies.require(requirements())
        from SegmentationAILib.radiotherapy import workflow

        return workflow.check_names(segmentation)

    def contourTumour(
        self,
        segmentation: vtkMRMLSegmentationNode,
        volumeNode: vtkMRMLScalarVolumeNode,
        tumourPoints: vtkMRMLMarkupsFiducialNode,
        otherPoints: vtkMRMLMarkupsFiducialNode | None = None,
        name: str = "GTVp",
        progress: Progress | None = None,
    ) -> None:
        """Outline a tumour from points placed on it, and points beside it that it must leave out.

        What is derived from the structure is made again.

        :param name: of the structure; one that is there is replaced.
        :raises Cancelled: the user cancelled.
        """
        dependencies.require(requirements())
        from SegmentationAILib.radiotherapy import workflow
        from SegmentationAILib.radiotherapy.scene import points_of

        slicer.mrmlScene.SaveStateForUndo()
        points = points_of(tumourPoints), points_of(otherPoints)
        workflow.contour_tumour(segmentation, volumeNode, *points, name, progress)

    def nameProposals(self, segmentation: vtkMRMLSegmentationNode) -> dict[str, str]:
        """AAPM TG-263 name of each structure that has another and of which it is clear what it is."""
        dependencies.require(requirements())
        from SegmentationAILib.radiotherapy import workflow

        return workflow.name_proposals(segmentation)

    def applyNames(
        self, segmentation: vtkMRMLSegmentationNode, volumeNode: vtkMRMLScalarVolumeNode, names: dict[str, str]
    ) -> None:
        """Rename structures, in every rule too."""
        dependencies.require(requirements())
        from SegmentationAILib.radiotherapy import workflow

        slicer.mrmlScene.SaveStateForUndo()
        workflow.apply_names(segmentation, volumeNode, names)

    def internalTarget(
        self,
        segmentation: vtkMRMLSegmentationNode,
        volumeNode: vtkMRMLScalarVolumeNode,
        phases: Sequence[tuple[vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode, str]],
        name: str = "ITVp",
        align: bool = False,
        progress: Progress | None = None,
    ) -> tuple[float, float, float]:
        """Unite a target over the phases of a 4-D CT as a structure.

        :param phases: each phase's CT (``phaseVolumes`` gives those of a sequence), its segmentation, and the
            target's name in it.
        :param align: lay each phase on the CT first by a turn and a shift.
        :return: how far the target's centre travels along R, A and S, mm.
        """
        dependencies.require(requirements())
        from SegmentationAILib.radiotherapy import workflow

        slicer.mrmlScene.SaveStateForUndo()
        return workflow.unite_phases(segmentation, volumeNode, phases, name, align, progress).excursion_mm

    def phaseVolumes(self, sequenceNode) -> list[vtkMRMLScalarVolumeNode]:
        """The volumes of a sequence node, such as the phases of a 4-D CT."""
        nodes = [sequenceNode.GetNthDataNode(index) for index in range(sequenceNode.GetNumberOfDataNodes())]
        volumes = [node for node in nodes if node.IsA("vtkMRMLScalarVolumeNode")]
        if not volumes:
            raise InputError(f"The sequence '{sequenceNode.GetName()}' holds no volumes; choose that of a 4-D CT.")
        return volumes

    def isFromDicom(self, volumeNode: vtkMRMLScalarVolumeNode) -> bool:
        """Whether a volume knows its DICOM images, which an RTSTRUCT refers to."""
        return bool(volumeNode.GetAttribute("DICOM.instanceUIDs"))

    def dicomFolder(self, volumeNode: vtkMRMLScalarVolumeNode) -> str:
        """The folder of a volume's DICOM images by the application's database; "" where that does not know it."""
        return dicomFolder(volumeNode)

    def applyProtocol(
        self,
        segmentation: vtkMRMLSegmentationNode,
        volumeNode: vtkMRMLScalarVolumeNode,
        protocol: str,
        device: str = "auto",
        progress: Progress | None = None,
    ) -> list[str]:
        """Draw and build what a protocol asks for and the segmentation lacks.

        :param protocol: path of its YAML file.
        :return: a sentence for each structure that could not be made, with what it needs.
        :raises Cancelled: the user cancelled.
        """
        dependencies.require(requirements())
        from SegmentationAILib.radiotherapy import workflow
        from SegmentationAILib.radiotherapy.template import read_template

        template = read_template(Path(protocol))
        slicer.mrmlScene.SaveStateForUndo()
        return workflow.apply_protocol(segmentation, volumeNode, template, device, progress)

    def setRule(
        self,
        segmentation: vtkMRMLSegmentationNode,
        volumeNode: vtkMRMLScalarVolumeNode,
        name: str,
        rule: str,
        progress: Progress | None = None,
    ) -> None:
        """Derive a structure from others, such as ``expand(GTVp, 5, superior=8)`` or ``Lungs - GTVp``.

        What depends on it is made again. An empty rule keeps the structure as it is, as if it had been drawn.
        """
        dependencies.require(requirements())
        from SegmentationAILib.radiotherapy import workflow

        slicer.mrmlScene.SaveStateForUndo()
        workflow.set_rule(segmentation, volumeNode, name, rule, progress=progress)

    def rebuild(
        self,
        segmentation: vtkMRMLSegmentationNode,
        volumeNode: vtkMRMLScalarVolumeNode,
        changed: Sequence[str] | None = None,
        progress: Progress | None = None,
    ) -> list[str]:
        """Make derived structures again after those in ``changed`` (all, if not given) were edited; their names."""
        dependencies.require(requirements())
        from SegmentationAILib.radiotherapy import workflow

        slicer.mrmlScene.SaveStateForUndo()
        return workflow.rebuild(segmentation, volumeNode, None if changed is None else list(changed), progress)

    def renameStructure(
        self, segmentation: vtkMRMLSegmentationNode, volumeNode: vtkMRMLScalarVolumeNode, old: str, new: str
    ) -> None:
        """Give a structure another name, in every rule too."""
        dependencies.require(requirements())
        from SegmentationAILib.radiotherapy import workflow

        slicer.mrmlScene.SaveStateForUndo()
        workflow.apply_names(segmentation, volumeNode, {old: new})

    def describeRules(self, segmentation: vtkMRMLSegmentationNode, volumeNode: vtkMRMLScalarVolumeNode) -> str:
        """A line for each structure, sources before what is made of them: ``PTVp = expand(CTVp, 5)``."""
        dependencies.require(requirements())
        from SegmentationAILib.radiotherapy import workflow

        return workflow.describe(segmentation, volumeNode)

    def importStructures(
        self, path: str, volumeNode: vtkMRMLScalarVolumeNode, progress: Progress | None = None
    ) -> tuple[vtkMRMLSegmentationNode, list[str]]:
        """A DICOM RTSTRUCT file as a segmentation on its CT, and sentences on what does not fit."""
        dependencies.require(requirements())
        from SegmentationAILib.radiotherapy import workflow

        slicer.mrmlScene.SaveStateForUndo()
        return workflow.import_structures(path, volumeNode, progress)

    def exportStructures(
        self,
        segmentation: vtkMRMLSegmentationNode,
        volumeNode: vtkMRMLScalarVolumeNode,
        path: str,
        ctFolder: str,
        progress: Progress | None = None,
    ) -> str:
        """Write a segmentation as DICOM RTSTRUCT.

        :param ctFolder: of the CT's DICOM series; ``exportCT`` makes one for a CT that does not come from DICOM.
        """
        dependencies.require(requirements())
        from SegmentationAILib.radiotherapy import workflow

        return str(workflow.export_structures(segmentation, volumeNode, path, ctFolder, progress))

    def exportCT(self, volumeNode: vtkMRMLScalarVolumeNode, folder: str) -> None:
        """Write a CT that does not come from DICOM as a DICOM series, which structures can then refer to."""
        dependencies.require(requirements())
        from SegmentationAILib.radiotherapy import workflow

        workflow.export_ct(volumeNode, folder)

    def loadDose(
        self, path: str, prescriptionGy: float | None = None
    ) -> tuple[vtkMRMLScalarVolumeNode, tuple[str, ...]]:
        """A DICOM RTDOSE file as a volume in Gy, and sentences on what to know of it.

        :param prescriptionGy: what 100 % means where the file's doses are relative.
        """
        dependencies.require(requirements())
        from SegmentationAILib.radiotherapy import workflow

        slicer.mrmlScene.SaveStateForUndo()
        return workflow.load_dose(path, prescriptionGy)

    def evaluateDose(
        self,
        segmentation: vtkMRMLSegmentationNode,
        volumeNode: vtkMRMLScalarVolumeNode,
        doseNode: vtkMRMLScalarVolumeNode,
        protocol: str | None = None,
        prescriptionGy: float | None = None,
        progress: Progress | None = None,
    ) -> tuple:
        """DVHs and a protocol's goals; the plot chart node and the goals' table node are added to the scene.

        :return: the figures (``evaluation.DoseEvaluation``), the plot chart node, and the goals' table node or None.
        """
        dependencies.require(requirements())
        from SegmentationAILib.radiotherapy import workflow
        from SegmentationAILib.radiotherapy.template import read_template

        template = read_template(Path(protocol)) if protocol else None
        slicer.mrmlScene.SaveStateForUndo()
        return workflow.evaluate(segmentation, volumeNode, doseNode, template, prescriptionGy, progress)

    def compareStructures(
        self,
        reference: vtkMRMLSegmentationNode,
        test: vtkMRMLSegmentationNode,
        volumeNode: vtkMRMLScalarVolumeNode,
        toleranceMm: float = 2.0,
        progress: Progress | None = None,
    ) -> vtkMRMLTableNode:
        """A table with a row for each structure that both have: Dice, HD95, surface Dice and more."""
        dependencies.require(requirements())
        from SegmentationAILib.radiotherapy import workflow

        slicer.mrmlScene.SaveStateForUndo()
        return workflow.compare(reference, test, volumeNode, toleranceMm, progress)


class SegmentationAILogic(ScriptedLoadableModuleLogic, RadiotherapyLogic):
    """Segmentation without the panel.

    Example::

        logic = SegmentationAILogic()
        segmentation = logic.segment(slicer.util.getNode("LungNodulesCT"))
        logic.segmentVolumes(segmentation)  # {"right lung": 2510.3, ...} in ml
    """

    def getParameterNode(self) -> SegmentationAIParameterNode:
        return SegmentationAIParameterNode(super().getParameterNode())

    def segment(
        self,
        volumeNode: vtkMRMLScalarVolumeNode,
        task: str = LUNGS,
        device: str = "auto",
        progress: Progress | None = None,
    ) -> vtkMRMLSegmentationNode:
        """Segment a CT and add the result to the scene in one step.

        :param volumeNode: chest CT in HU.
        :param task: "lungs" for right lung, left lung and airway; "organs" for the organs of the chest.
        :param device: torch device name such as "cpu" or "cuda:0", or "auto".
        :param progress: told of each stage; its token cancels the run.
        :raises InputError: the volume cannot be used, or something must be installed first.
        :raises Cancelled: the user cancelled, or the volume left the scene.
        """
        if task not in (LUNGS, ORGANS):
            raise InputError(f"There is no task '{task}'; choose '{LUNGS}' or '{ORGANS}'.")
        dependencies.require(requirements())
        from SegmentationAILib.checks import check_ct  # from here on torch is needed
        from SegmentationAILib.organ_model import segment_organs
        from SegmentationAILib.organs import segment_lungs
        from SegmentationAILib.scene import add_segmentation, scene_batch, volume_from_node

        volume = volume_from_node(volumeNode)
        check_ct(volume)
        segment = segment_lungs if task == LUNGS else segment_organs
        labels = segment(volume, device=device, progress=progress or Progress())
        if not slicer.mrmlScene.IsNodePresent(volumeNode):
            raise Cancelled
        slicer.mrmlScene.SaveStateForUndo()
        with scene_batch():
            segmentation = add_segmentation([labels], volumeNode, f"{volumeNode.GetName()} {task}")
            segmentation.SetAttribute(RESULT_ATTRIBUTE, "segmentation")
            segmentation.SetAttribute(TASK_ATTRIBUTE, Task(task, device=device).to_json())
        return segmentation

    def segmentVolumes(self, segmentation: vtkMRMLSegmentationNode) -> dict[str, float]:
        """Name of each segment and its volume in ml."""
        volumes = {}
        for segmentId in segmentation.GetSegmentation().GetSegmentIDs():
            image = slicer.vtkOrientedImageData()
            segmentation.GetBinaryLabelmapRepresentation(segmentId, image)
            scalars = image.GetPointData().GetScalars()
            voxels = np.count_nonzero(vtk_to_numpy(scalars)) if scalars else 0
            name = segmentation.GetSegmentation().GetSegment(segmentId).GetName()
            volumes[name] = float(voxels * np.prod(image.GetSpacing())) / 1000.0
        return volumes


class SlicerInstaller:
    """Asks and installs by means of the Slicer application (``dependencies.Installer``)."""

    def confirm(self, question: str) -> bool:
        # In a test there is nobody to ask, and Slicer would answer "OK" by itself.
        if slicer.app.testingEnabled():
            return False
        return slicer.util.confirmOkCancelDisplay(question, _("ThoraxAI: install packages"))

    def install_packages(self, requirements: Sequence[str]) -> None:
        try:
            from slicer import packaging  # Slicer 5.12 and newer
        except ImportError:
            slicer.util.pip_install(list(requirements))
        else:
            packaging.pip_ensure(list(requirements), requester="ThoraxAI", prompt_install=False)

    def install_torch(self, version: str) -> None:
        try:
            import PyTorchUtils  # another extension's module
        except ImportError:
            raise InputError(
                "The extension 'PyTorch' is missing; install it in the Extensions Manager, restart Slicer and "
                "start the run again."
            ) from None
        install = PyTorchUtils.PyTorchUtilsLogic().installTorch
        # The names of the arguments have changed between versions of that extension.
        wanted = {"askConfirmation": False, "torchVersionRequirement": version}
        known = inspect.signature(install).parameters
        install(**{name: value for name, value in wanted.items() if name in known})


def installDependencies() -> None:
    """Install what is missing in Slicer's Python, after asking.

    :raises InputError: it did not work.
    :raises Cancelled: the user declined.
    """
    if not dependencies.install(requirements(), SlicerInstaller()):
        raise Cancelled


def requirements() -> list[str]:
    """Packages that both modules need and Slicer lacks."""
    return dependencies.read_requirements(resource("requirements.txt"))


def showChart(chart) -> None:
    """Show a plot chart node in the layout."""
    slicer.modules.plots.logic().ShowChartInLayout(chart)


def dicomFolder(volumeNode: vtkMRMLScalarVolumeNode) -> str:
    """The folder of a volume's DICOM images by the application's database; "" where that does not know it."""
    database = getattr(slicer, "dicomDatabase", None)
    instances = (volumeNode.GetAttribute("DICOM.instanceUIDs") or "").split()
    path = database.fileForInstance(instances[0]) if database and instances else ""
    return str(Path(path).parent) if path else ""


def systemReport() -> system_check.SystemReport:
    """What works on this computer and what does not."""
    return system_check.report(f"3D Slicer {slicer.app.applicationVersion}")


def firstVolume() -> vtkMRMLScalarVolumeNode | None:
    """The first volume of the scene that a run can start with."""
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return next((node for node in nodes if not reasonsNotToRun(node)), None)


def reasonsNotToRun(volumeNode: vtkMRMLScalarVolumeNode | None) -> list[str]:
    """Sentences on what is missing or wrong, as far as it can be told at once."""
    if volumeNode is None:
        return [_("Choose a CT volume.")]
    if volumeNode.IsA("vtkMRMLLabelMapVolumeNode"):
        return [_("This is a label map; choose a CT volume.")]
    image = volumeNode.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        return [_("This volume has no voxels; choose another.")]
    reasons = []
    if image.GetNumberOfScalarComponents() != 1:
        reasons.append(_("This volume has several values per voxel; choose a CT volume."))
    if min(image.GetDimensions()) == 1:
        reasons.append(_("This volume has a single slice; choose a CT volume with all slices of the chest."))
    return reasons


class SegmentationAITest(ScriptedLoadableModuleTest):
    """Needs no file: the test makes a small chest itself."""

    def setUp(self) -> None:
        if dependencies.find_missing(requirements()):
            self.skipTest("PyTorch is not installed")
        slicer.mrmlScene.Clear()

    def test_LungsAndAirway(self) -> None:
        from SegmentationAILib.scene import add_volume  # needs torch

        logic = SegmentationAILogic()
        segmentation = logic.segment(add_volume(phantom.chest()), device="cpu")
        volumes = logic.segmentVolumes(segmentation)
        for side in ("right", "left"):
            self.assertAlmostEqual(volumes[f"{side} lung"] / phantom.lung_volume_ml(), 1.0, delta=0.08)
            found = np.array(segmentation.GetSegmentCenterRAS(f"{side} lung"))
            self.assertLess(np.linalg.norm(found - phantom.lung_centre(side)), 10.0)
        self.delayDisplay("Lungs lie where they are in the phantom")

    def test_DerivedStructuresFollowTheirSources(self) -> None:
        from SegmentationAILib.scene import add_volume  # needs torch

        logic = SegmentationAILogic()
        volumeNode = add_volume(phantom.chest())
        segmentation = logic.segment(volumeNode, device="cpu")
        logic.setRule(segmentation, volumeNode, "Lungs", '"right lung" + "left lung"')
        logic.setRule(segmentation, volumeNode, "Lungs_PRV10", "expand(Lungs, 10) - Lungs")
        volumes = logic.segmentVolumes(segmentation)
        self.assertAlmostEqual(volumes["Lungs"], volumes["right lung"] + volumes["left lung"], delta=1.0)
        self.assertGreater(volumes["Lungs_PRV10"], 0.2 * volumes["Lungs"])
        array = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "left lung", volumeNode)
        array[:] = 0
        slicer.util.updateSegmentBinaryLabelmapFromArray(array, segmentation, "left lung", volumeNode)
        self.assertEqual(logic.rebuild(segmentation, volumeNode, ["left lung"]), ["Lungs", "Lungs_PRV10"])
        self.assertAlmostEqual(logic.segmentVolumes(segmentation)["Lungs"], volumes["right lung"], delta=1.0)
        with self.assertRaises(InputError):
            logic.setRule(segmentation, volumeNode, "Lungs", "Lungs_PRV10 - Lungs")
        self.assertIn("Lungs = ", logic.describeRules(segmentation, volumeNode))
        self.delayDisplay("Derived structures are made again when a source is edited")

    def test_BadInputLeavesSceneAsItWas(self) -> None:
        volumeNode = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
        before = slicer.mrmlScene.GetNumberOfNodes()
        with self.assertRaises(InputError):
            SegmentationAILogic().segment(volumeNode)
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), before)
        self.delayDisplay("A volume without voxels is refused")
