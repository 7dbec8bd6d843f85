from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import slicer
from slicer import (
    vtkMRMLMarkupsFiducialNode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
)
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
)

from SegmentationAILib import dependencies
from SegmentationAILib.engine.background import background
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.steps import Call, Steps, importing
from SegmentationAILib.enhancement.logic import PreprocessLogic
from SegmentationAILib.errors import Cancelled
from SegmentationAILib.module_test import SegmentationAITest  # noqa: F401 - Slicer looks for it here
from SegmentationAILib.provenance import NOTES_ATTRIBUTE, RESULT_ATTRIBUTE
from SegmentationAILib.radiotherapy.comparison_logic import ComparisonLogic
from SegmentationAILib.radiotherapy.logic import RadiotherapyLogic
from SegmentationAILib.resources import resource
from SegmentationAILib.slicer_application import install_dependencies, show_chart
from SegmentationAILib.widgets.run_panel import RunPanelWidget
from SegmentationAILib.widgets.stepped_run import SteppedRun

if TYPE_CHECKING:
    from SegmentationAILib.widgets.compare_section import CompareSection
    from SegmentationAILib.widgets.preprocess_section import PreprocessSection
    from SegmentationAILib.widgets.radiotherapy_section import RadiotherapySection

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


@parameterNodeWrapper
class SegmentationAIParameterNode:
    """What the user chose; saved with the scene.

    inputVolume - the CT to segment.
    task - id of the model that segments, such as "lungs".
    wantedStructures - ids of those of its structures that are wanted, with commas between; "*": all.
    device - torch device name, or "auto".
    segmentation - the result that the panel shows.
    structures - the structure set of the radiotherapy section.
    tumourPoints, otherPoints - on the tumour, and beside it.
    dose - in Gy.
    preprocessOperation, preprocessParameters - of the preprocess section, the latter as JSON by operation.
    comparisonReference, comparisonTest - that are compared, with comparisonToleranceMm for the surface Dice.
    comparisonPairs - as JSON, names in the test by those in the reference, where they were paired by hand.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    task: str = LUNGS
    wantedStructures: str = "*"
    device: str = "auto"
    segmentation: vtkMRMLSegmentationNode
    structures: vtkMRMLSegmentationNode
    tumourPoints: vtkMRMLMarkupsFiducialNode
    otherPoints: vtkMRMLMarkupsFiducialNode
    dose: vtkMRMLScalarVolumeNode
    preprocessOperation: str = "median"
    preprocessParameters: str = "{}"
    comparisonReference: vtkMRMLSegmentationNode
    comparisonTest: vtkMRMLSegmentationNode
    comparisonToleranceMm: float = 2.0
    comparisonPairs: str = "{}"


class SegmentationAIWidget(RunPanelWidget):
    """The panel: volume, model, device, *Apply*, segments and their volumes."""

    def createLogic(self) -> SegmentationAILogic:
        return SegmentationAILogic()

    def moreSections(self) -> tuple:
        return (
            self.ui.modelCollapsibleButton,
            self.ui.preprocessCollapsibleButton,
            self.ui.radiotherapyCollapsibleButton,
            self.ui.compareCollapsibleButton,
        )

    def setupPanel(self) -> None:
        import qt

        from SegmentationAILib.widgets.folded_section import FoldedSection  # needs Qt
        from SegmentationAILib.widgets.model_section import ModelSection
        from SegmentationAILib.widgets.volume_table import VolumeTable

        self._shownSegmentation = None
        # An edit announces itself before it is whole, and strokes come fast: count once they pause.
        self._counting = None
        self._volumesTimer = qt.QTimer()
        self._volumesTimer.setSingleShot(True)
        self._volumesTimer.setInterval(100)
        self._volumesTimer.connect("timeout()", self.showVolumes)
        self.volumeTable = VolumeTable(self.ui.volumesTable)
        self.ui.segmentationSelector.addAttribute("vtkMRMLSegmentationNode", RESULT_ATTRIBUTE, "segmentation")
        self.models = ModelSection(
            self.ui,
            lambda: self._parameterNode,
            self.runControls.say,
            lambda name: self.resourcePath(f"Icons/{name}"),
            install_dependencies,
            self._checkCanRun,
        )
        ui = self.ui
        self.preprocess = FoldedSection(ui.preprocessCollapsibleButton, self.makePreprocess)
        self.radiotherapy = FoldedSection(ui.radiotherapyCollapsibleButton, self.makeRadiotherapy)
        self.comparison = FoldedSection(ui.compareCollapsibleButton, self.makeComparison)

    def makePreprocess(self) -> PreprocessSection:
        from SegmentationAILib.widgets.preprocess_section import PreprocessSection

        return PreprocessSection(self.ui, self.logic, self.runControls, lambda: self._parameterNode)

    def makeRadiotherapy(self) -> RadiotherapySection:
        from SegmentationAILib.widgets.radiotherapy_section import RadiotherapySection

        return RadiotherapySection(self.ui, self.logic, self.runControls, lambda: self._parameterNode, show_chart)

    def makeComparison(self) -> CompareSection:
        from SegmentationAILib.widgets.compare_section import CompareSection

        return CompareSection(self.ui, self.logic, self.runControls, lambda: self._parameterNode)

    def moreReasons(self) -> list[str]:
        return self.models.reasons()

    def showParameters(self) -> None:
        self.models.show()
        self.preprocess.show()
        self.radiotherapy.show()
        self.comparison.show()
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
        if self._counting is not None:
            self._counting.abandon()
        self.models.close()
        self.preprocess.close()
        self.radiotherapy.close()
        self.comparison.close()
        super().cleanup()

    def showVolumes(self) -> None:
        segmentation = self._shownSegmentation
        if self._counting is not None:
            self._counting.abandon()
            self._counting = None
        if segmentation is None:
            self.volumeTable.show({})
            return
        self._counting = SteppedRun(self.logic.countingVolumes(segmentation), background, ended=self.onVolumesCounted)
        self._counting.start()

    def onVolumesCounted(self, volumes: dict[str, float] | None, error: BaseException | None) -> None:
        if error is not None:
            raise error
        self.volumeTable.show(volumes)

    def run(self, parameters: SegmentationAIParameterNode) -> Steps[None]:
        from SegmentationAILib.widgets.model_text import names_missing  # needs Qt

        install_dependencies()
        yield from importing(self.SLOW_IMPORTS)
        wanted, listed = self.models.wanted, self.models.entry
        segmentation = yield from self.logic.segmenting(
            parameters.inputVolume, parameters.task, parameters.device, wanted
        )
        parameters.segmentation = segmentation
        said = _("Done: {name}").format(name=segmentation.GetName())
        if missing := names_missing(listed, wanted, segmentation.GetSegmentation().GetSegmentIDs()):
            said = _("{done}; not found: {names}").format(done=said, names=missing)
        self.runControls.say(" ".join(filter(None, (said, segmentation.GetAttribute(NOTES_ATTRIBUTE)))))


class SegmentationAILogic(ScriptedLoadableModuleLogic, RadiotherapyLogic, PreprocessLogic, ComparisonLogic):
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
        structures: Sequence[str] | None = None,
    ) -> vtkMRMLSegmentationNode:
        """Segment a volume and add the result to the scene in one step.

        :param volumeNode: of the modality that the model reads; for the built-in ones, chest CT in HU.
        :param task: id of a model that is built in ("lungs" for right lung, left lung and airway; "organs") or was
            fetched or imported.
        :param device: torch device name such as "cpu" or "cuda:0", or "auto".
        :param progress: told of each stage; its token cancels the run.
        :param structures: ids of those that are wanted, such as "liver"; all of the model's, if not given.
        :raises InputError: the volume cannot be used, there is no such model, or something must be installed first.
        :raises Cancelled: the user cancelled, or the volume left the scene.
        """
        return background.finish_here(self.segmenting(volumeNode, task, device, structures), progress)

    def segmenting(
        self,
        volumeNode: vtkMRMLScalarVolumeNode,
        task: str = LUNGS,
        device: str = "auto",
        structures: Sequence[str] | None = None,
    ) -> Steps[vtkMRMLSegmentationNode]:
        """The steps of ``segment``, for a window that stays alive meanwhile."""
        self.requireDependencies()
        from SegmentationAILib.catalog.tasks import task_for
        from SegmentationAILib.scene import add_segmentation, scene_batch, volume_from_node, write_provenance

        volume = volume_from_node(volumeNode)
        found = yield Call("segment", task_for(task, structures, device), volume)
        if not slicer.mrmlScene.IsNodePresent(volumeNode):
            raise Cancelled
        slicer.mrmlScene.SaveStateForUndo()
        with scene_batch():
            segmentation = add_segmentation([found.labels], volumeNode, f"{volumeNode.GetName()} {task}")
            segmentation.SetAttribute(RESULT_ATTRIBUTE, "segmentation")
            write_provenance(segmentation, found.provenance)
        return segmentation

    def segmentVolumes(self, segmentation: vtkMRMLSegmentationNode) -> dict[str, float]:
        """Name of each segment and its volume in ml."""
        return background.finish_here(self.countingVolumes(segmentation))

    def countingVolumes(self, segmentation: vtkMRMLSegmentationNode) -> Steps[dict[str, float]]:
        """The steps of ``segmentVolumes``, for a window that stays alive meanwhile."""
        from SegmentationAILib.scene import counting_volumes

        return counting_volumes(segmentation)

    def requireDependencies(self) -> None:
        dependencies.require(dependencies.requirements())
