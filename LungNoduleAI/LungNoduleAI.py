from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated

import qt
import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
)

from LungNoduleAILib.analysis_result import LOBES_OPTION, NODULES
from LungNoduleAILib.logic import NoduleLogic
from LungNoduleAILib.module_test import LungNoduleAITest  # noqa: F401 - Slicer looks for it here
from SegmentationAILib import dependencies
from SegmentationAILib.engine.background import background
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.steps import Call, Steps, importing
from SegmentationAILib.engine.task import Task
from SegmentationAILib.errors import Cancelled
from SegmentationAILib.provenance import RESULT_ATTRIBUTE
from SegmentationAILib.radiotherapy import tumour_prior
from SegmentationAILib.slicer_application import (
    add_to_dicom_database,
    dicom_database_missing,
    dicom_folder,
    install_dependencies,
)
from SegmentationAILib.widgets.run_panel import RunPanelWidget

if TYPE_CHECKING:
    from LungNoduleAILib.widgets.export_section import ExportSection
    from LungNoduleAILib.widgets.follow_up_section import FollowUpSection
    from LungNoduleAILib.widgets.model_selectors import ModelSelectors
    from LungNoduleAILib.widgets.patient_section import PatientSection


class LungNoduleAI(ScriptedLoadableModule):
    """Finds and measures lung nodules in chest CT."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Lung Nodule AI")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        # Segmentation AI also registers the sample data of both modules.
        self.parent.dependencies = ["SegmentationAI"]
        self.parent.contributors = ["ThoraxAI contributors"]
        self.parent.helpText = _(
            "Finds lung nodules in a chest CT, outlines and measures them, on this computer. For research, not for "
            "diagnosis or treatment: it misses nodules and marks what is none. Its ratings (kind, suspicion of "
            "readers, calcified) say what radiologists would probably have called a nodule on seeing it, learned from "
            "the readers of the LIDC-IDRI collection; they are impressions of a picture, not findings in tissue, and "
            "no probability of cancer. See the "
            '<a href="https://github.com/ThoraxAI/SlicerThoraxAI#lung-nodule-ai">documentation</a>.'
        )
        self.parent.acknowledgementText = _(
            "ThoraxAI is free software under the Apache License 2.0. The sample CT is case LIDC-IDRI-0003 of the "
            "LIDC-IDRI collection in The Cancer Imaging Archive (CC BY 3.0)."
        )
        # Segmentation AI's tool for tumours asks the nodule network too, where this module is there.
        tumour_prior.offer("LungNoduleAILib.tumour_prior:nodule_prior")
        background.offer("LungNoduleAILib.worker_tasks")


@parameterNodeWrapper
class LungNoduleAIParameterNode:
    """What the user chose; saved with the scene.

    inputVolume - the chest CT.
    priorVolume - an earlier CT of the same patient.
    priorSuggestedFor - the input that a prior CT was chosen for without asking.
    device - torch device name, or "auto".
    detector - id of what finds the nodules.
    lobes - id of the model that outlines the lobes, "" for none.
    maximumNodules - how many nodules are kept at most, the surest first.
    findings - the result that the panel shows.
    minimumScore - nodules that score less are hidden.
    minimumDiameter - nodules of a smaller mean diameter are hidden, mm.
    daysBetween - from the prior CT to the current one; 0: by the CTs' dates.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    priorVolume: vtkMRMLScalarVolumeNode
    priorSuggestedFor: str = ""
    device: str = "auto"
    detector: str = NODULES
    lobes: str = ""
    maximumNodules: Annotated[int, WithinRange(1, 300)] = 50
    findings: vtkMRMLSegmentationNode
    minimumScore: Annotated[float, WithinRange(0.0, 1.0)] = 0.0
    minimumDiameter: Annotated[float, WithinRange(0.0, 30.0)] = 0.0
    daysBetween: Annotated[int, WithinRange(0, 20000)] = 0


class LungNoduleAIWidget(RunPanelWidget):
    """The panel: CT, *Detect nodules*, table and review, patient, follow-up, export."""

    def createLogic(self) -> LungNoduleAILogic:
        return LungNoduleAILogic()

    def moreSections(self) -> tuple:
        return (
            self.ui.noduleCollapsibleButton,
            self.ui.patientCollapsibleButton,
            self.ui.followUpCollapsibleButton,
            self.ui.exportCollapsibleButton,
        )

    def setupPanel(self) -> None:
        from LungNoduleAILib.scene_views import Views
        from LungNoduleAILib.widgets.review_section import ReviewSection  # needs Qt
        from SegmentationAILib.widgets.folded_section import FoldedSection

        self._shownFindings = None
        self._shownRecord = None
        self._appliedFilter = None
        ui = self.ui
        self.views = Views(lambda work: qt.QTimer.singleShot(0, work))
        self._shared = (ui, self.logic, self.runControls, lambda: self._parameterNode)
        self.review = ReviewSection(*self._shared, self.views)
        self.models = FoldedSection(ui.advancedCollapsibleButton, self.makeModels)
        self.patient = FoldedSection(ui.patientCollapsibleButton, self.makePatient)
        self.followUp = FoldedSection(ui.followUpCollapsibleButton, self.makeFollowUp)
        self.export = FoldedSection(ui.exportCollapsibleButton, self.makeExport)
        ui.findingsSelector.addAttribute("vtkMRMLSegmentationNode", RESULT_ATTRIBUTE, "nodules")
        self.showReading()

    def makeModels(self) -> ModelSelectors:
        from LungNoduleAILib.widgets.model_selectors import ModelSelectors

        return ModelSelectors(self.ui, lambda: self._parameterNode)

    def makePatient(self) -> PatientSection:
        from LungNoduleAILib.widgets.patient_section import PatientSection

        return PatientSection(self.ui, self.logic, lambda: self._parameterNode, self.review.attempt)

    def makeFollowUp(self) -> FollowUpSection:
        from LungNoduleAILib.widgets.follow_up_section import FollowUpSection

        return FollowUpSection(*self._shared, self.views)

    def makeExport(self) -> ExportSection:
        from LungNoduleAILib.widgets.export_section import ExportSection

        return ExportSection(*self._shared, slicer.mrmlScene.GetRootDirectory)

    def suggestPrior(self) -> None:
        """Choose a prior CT, once for each input, so that *None* stays where the user chose it."""
        parameters = self._parameterNode
        current = parameters.inputVolume if parameters else None
        if current is None or self.runControls.running or current.GetID() == parameters.priorSuggestedFor:
            return
        parameters.priorSuggestedFor = current.GetID()
        if parameters.priorVolume in (None, current):
            parameters.priorVolume = self.logic.suggestedPrior(current)

    def showParameters(self) -> None:
        self.suggestPrior()
        parameters = self._parameterNode
        # What needs the catalogue may be gone from this computer.
        self.models.show(make=bool(parameters) and (parameters.detector, parameters.lobes) != (NODULES, ""))
        findings = parameters.findings if parameters else None
        if findings is not self._shownFindings:
            self._observeRecord(findings)
            self._shownFindings = findings
            self.showReading()
        else:
            self.review.filter()
            self._showInViews()
            if self.followUp.made:
                self.followUp.made.enable()
        self.export.show()

    def showReading(self, _caller=None, _event=None) -> None:
        """Show what the record of the findings says; it changes with all that the reader does, here or in a script."""
        self.review.show()
        self._showInViews(redrawn=True)
        self.ui.patientCollapsibleButton.enabled = self._shownFindings is not None
        self.patient.show()
        self.followUp.show()

    def _observeRecord(self, findings) -> None:
        record = self.logic.recordOf(findings) if findings else None
        if self._shownRecord is not None:
            self.removeObserver(self._shownRecord, vtk.vtkCommand.ModifiedEvent, self.showReading)
        self._shownRecord = record
        if record is not None:
            self.addObserver(record, vtk.vtkCommand.ModifiedEvent, self.showReading)

    def _showInViews(self, redrawn: bool = False) -> None:
        findings, table = self._shownFindings, self.review.table
        self.ui.countLabel.text = ""
        if findings is None:
            return
        self.views.highlight(findings, table.chosen_id, redrawn=redrawn)
        shown = table.visible_ids
        self.ui.countLabel.text = _("{shown} of {total} nodules").format(shown=len(shown), total=len(table.all_ids))
        rejected = {row.id for row in table.rows if row.verdict == "rejected"}
        kept = [noduleId for noduleId in shown if noduleId not in rejected]
        # Only when the filter changes, so that what the user hid by hand stays hidden.
        if self._appliedFilter != (findings.GetID(), sorted(kept)):
            self._appliedFilter = (findings.GetID(), sorted(kept))
            self.logic.showOnly(findings, kept)

    def run(self, parameters: LungNoduleAIParameterNode) -> Steps[None]:
        install_dependencies()
        yield from importing(
            (*self.SLOW_IMPORTS, "LungNoduleAILib.scene", "LungNoduleAILib.examination", "LungNoduleAILib.workflow")
        )
        findings, warnings = yield from self.logic.detecting(
            parameters.inputVolume,
            parameters.device,
            parameters.detector,
            parameters.lobes,
            maximumNodules=parameters.maximumNodules,
        )
        try:
            yield from self.logic.lookingAhead(findings)
        except Cancelled:
            # Too late, but where the scene was closed.
            if not slicer.mrmlScene.IsNodePresent(findings):
                raise
        parameters.findings = findings
        said = list(warnings)
        if not self.review.table.all_ids:
            said.insert(0, _("No nodule was found. That does not mean that there is none."))
        self.runControls.say(" ".join(said))

    def onSceneStartClose(self, caller, event) -> None:
        super().onSceneStartClose(caller, event)
        self.review.forget()

    def exit(self) -> None:
        self.views.stop_picking()
        super().exit()

    def cleanup(self) -> None:
        self.views.stop_picking()
        for section in (self.models, self.patient, self.followUp, self.export):
            section.close()
        super().cleanup()


class LungNoduleAILogic(ScriptedLoadableModuleLogic, NoduleLogic):
    """Nodules without the panel.

    Example::

        logic = LungNoduleAILogic()
        findings = logic.detect(slicer.util.getNode("LungNodulesCT"))
        logic.accept(findings, 1)
        logic.reject(findings, 2)
        logic.setPatient(findings, age=64, female=True, pack_years=30)
        logic.report(findings, "report", formats=("csv", "html"))
    """

    def getParameterNode(self) -> LungNoduleAIParameterNode:
        return LungNoduleAIParameterNode(super().getParameterNode())

    def detect(
        self,
        volumeNode: vtkMRMLScalarVolumeNode,
        device: str = "auto",
        progress: Progress | None = None,
        detector: str = NODULES,
        lobes: str = "",
        **options: float,
    ) -> vtkMRMLSegmentationNode:
        """Find the nodules of a chest CT and add the findings to the scene in one step.

        Example::

            findings = logic.detect(slicer.util.getNode("LungNodulesCT"), maximumNodules=20)

        :param volumeNode: chest CT in HU.
        :param device: torch device name such as "cpu" or "cuda:0", or "auto".
        :param progress: told of each stage; its token cancels the run.
        :param detector: id of what finds them: the built-in network, "nodules-baseline" without one, or a detection
            bundle of the catalogue that is installed.
        :param lobes: id of an installed model that outlines the lobes; without one they are not known.
        :param options: ``maximumNodules`` (the surest are kept) and ``threshold`` (lowest score).
        :return: a segment for each lung, the airway and each nodule; it refers to a markups node with
            the nodules' centres, a table node with their measurements and the record of the review.
        :raises InputError: the volume cannot be used, or something must be installed first.
        :raises Cancelled: the user cancelled, or the volume left the scene.
        """
        findings, _warnings = background.finish_here(
            self.detecting(volumeNode, device, detector, lobes, **options), progress
        )
        return findings

    def detecting(
        self,
        volumeNode: vtkMRMLScalarVolumeNode,
        device: str = "auto",
        detector: str = NODULES,
        lobes: str = "",
        **options: float,
    ) -> Steps[tuple[vtkMRMLSegmentationNode, tuple[str, ...]]]:
        """The steps of ``detect``, for a window that stays alive meanwhile; with what ``warnings`` says."""
        self.requireDependencies()
        from LungNoduleAILib.panel_results import Case
        from LungNoduleAILib.scene_findings import show
        from SegmentationAILib.scene import scene_batch, volume_from_node

        if "maximumNodules" in options:
            options["max_nodules"] = options.pop("maximumNodules")
        if lobes:
            options[LOBES_OPTION] = lobes
        case = Case(volume_from_node(volumeNode), folder=self.folderOf(volumeNode))
        detected = yield Call("detect", Task(detector, options, device), case)
        if not slicer.mrmlScene.IsNodePresent(volumeNode):
            raise Cancelled
        slicer.mrmlScene.SaveStateForUndo()
        with scene_batch():
            findings = show(volumeNode, detected).segmentation
            findings.SetAttribute(RESULT_ATTRIBUTE, "nodules")
        return findings, detected.warnings

    def requireDependencies(self) -> None:
        dependencies.require(dependencies.requirements())

    def folderOf(self, volumeNode: vtkMRMLScalarVolumeNode) -> str:
        return dicom_folder(volumeNode)

    def databaseMissing(self) -> str:
        return dicom_database_missing()

    def addToDatabase(self, folder: str) -> None:
        add_to_dicom_database(folder)

    def jumpTo(self, findings: vtkMRMLSegmentationNode, noduleId: int) -> None:
        """Centre all slice views and the 3-D view on a nodule, and make its segment stand out."""
        from LungNoduleAILib.scene_highlight import centre_of, focus, highlight

        highlight(findings, noduleId)
        centre = centre_of(findings, noduleId)
        if centre is not None:
            focus(centre)

    def showOnly(self, findings: vtkMRMLSegmentationNode, noduleIds: Collection[int]) -> None:
        """Show these nodules in the views and hide the others."""
        from LungNoduleAILib.scene_highlight import show_only

        show_only(findings, noduleIds)
