"""What a script does with structures and doses in Slicer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import slicer

from SegmentationAILib.engine.background import background
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.steps import Steps, importing
from SegmentationAILib.errors import InputError
from SegmentationAILib.slicer_application import dicom_folder

T = TypeVar("T")
# What the steps need of packages that Slicer may lack, in pieces that do not hold up a window.
_SLOW_IMPORTS = (
    "multiprocessing.shared_memory",
    "psutil",
    "SegmentationAILib.engine.worker.client",
    "SegmentationAILib.scene",
    "SegmentationAILib.radiotherapy.scene",
    "SegmentationAILib.radiotherapy.nomenclature",
    "SegmentationAILib.radiotherapy.graph",
    "SegmentationAILib.radiotherapy.workflow",
)
_TEMPLATE_IMPORTS = (
    "yaml",
    "attrs",
    "referencing.jsonschema",
    "jsonschema_specifications",
    "jsonschema",
    "SegmentationAILib.radiotherapy.rules",
    "SegmentationAILib.radiotherapy.template",
)


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
    Those that take long do their work in this process and wait for it.
    """

    def requireDependencies(self) -> None:
        """Refuse to work where a package is missing."""
        raise NotImplementedError

    def countingVolumes(self, segmentation: slicer.vtkMRMLSegmentationNode) -> Steps[dict[str, float]]:
        """The module's logic measures."""
        raise NotImplementedError

    def steps(self, work: Callable[[Any], Steps[T]]) -> Steps[T]:
        """Work for a window that must not wait, such as ``lambda workflow: workflow.rebuilding(structures, ct)``.

        :param work: given the module ``workflow``, which needs packages that may be missing.
        :raises InputError: a package is missing, or as the work raises.
        :raises Cancelled: the user cancelled.
        """
        self.requireDependencies()
        yield from importing(_SLOW_IMPORTS)
        from SegmentationAILib.radiotherapy import workflow

        return (yield from work(workflow))

    def protocols(self, folders: Sequence[str] = ()) -> dict[str, str]:
        """Path of each protocol that can be used, by its name: the built-in ones and those in the folders."""
        return background.finish_here(self.listingProtocols(folders))

    def listingProtocols(self, folders: Sequence[str] = ()) -> Steps[dict[str, str]]:
        """The steps of ``protocols``."""
        # The section is seen first.
        yield
        self.requireDependencies()
        yield from importing(_TEMPLATE_IMPORTS)
        from SegmentationAILib.radiotherapy.template import listing_templates

        found = yield from listing_templates(map(Path, folders))
        return {one.name: str(one.path) for one in found.templates}

    def newStructures(self, volumeNode: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLSegmentationNode:
        """An empty structure set on a CT."""
        self.requireDependencies()
        from SegmentationAILib.scene import add_segmentation

        return add_segmentation((), volumeNode, f"{volumeNode.GetName()} structures")

    def structureRows(self, segmentation: slicer.vtkMRMLSegmentationNode) -> list[tuple]:
        """Name, role, volume in ml, rule and colour of each structure."""
        return background.finish_here(self.listingStructures(segmentation))

    def listingStructures(self, segmentation: slicer.vtkMRMLSegmentationNode) -> Steps[list[tuple]]:
        """The steps of ``structureRows``; an edit meanwhile asks for another list."""
        from SegmentationAILib.radiotherapy.scene import describe_segments

        volumes = yield from self.countingVolumes(segmentation)
        return [
            (name, role, volumes[name], rule, colour) for name, role, rule, colour in describe_segments(segmentation)
        ]

    def marginRule(self, name: str, margins: dict[str, float]) -> str:
        """The rule that grows a structure by margins in mm: left, right, anterior, posterior, superior, inferior."""
        from SegmentationAILib.radiotherapy.margin_recipes import Margins
        from SegmentationAILib.radiotherapy.rule_writing import expansion

        return str(expansion(name, Margins(**margins)))

    def checkNames(self, segmentation: slicer.vtkMRMLSegmentationNode) -> list[str]:
        """A sentence for each name that does not follow AAPM TG-263, with what it should be."""
        return self._workflow.check_names(segmentation)

    def contourTumour(
        self,
        segmentation: slicer.vtkMRMLSegmentationNode,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        tumourPoints: slicer.vtkMRMLMarkupsFiducialNode,
        otherPoints: slicer.vtkMRMLMarkupsFiducialNode | None = None,
        name: str = "GTVp",
        progress: Progress | None = None,
    ) -> None:
        """Outline a tumour from points placed on it, and points beside it that it must leave out.

        What is derived from the structure is made again.

        :param name: of the structure; one that is there is replaced.
        :raises Cancelled: the user cancelled.
        """
        self._workflow.scene.require_structures(segmentation)
        points = self.pointsOf(tumourPoints), self.pointsOf(otherPoints)
        self._finish(lambda workflow: workflow.contouring_tumour(segmentation, volumeNode, *points, name), progress)

    def pointsOf(self, markups: slicer.vtkMRMLMarkupsFiducialNode | None) -> tuple[tuple[float, float, float], ...]:
        """World RAS of a list's points that were placed, mm."""
        return tuple(self._workflow.scene.points_of(markups))

    def nameProposals(self, segmentation: slicer.vtkMRMLSegmentationNode) -> dict[str, str]:
        """AAPM TG-263 name of each structure that has another and of which it is clear what it is."""
        return self._workflow.name_proposals(segmentation)

    def applyNames(
        self,
        segmentation: slicer.vtkMRMLSegmentationNode,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,  # noqa: ARG002 - as all that change structures
        names: dict[str, str],
    ) -> None:
        """Rename structures, in every rule too."""
        self._workflow.scene.rename_segments(segmentation, names)

    def internalTarget(
        self,
        segmentation: slicer.vtkMRMLSegmentationNode,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        phases: Sequence[tuple[slicer.vtkMRMLScalarVolumeNode, slicer.vtkMRMLSegmentationNode, str]],
        name: str = "ITVp",
        align: bool = False,
        progress: Progress | None = None,
    ) -> tuple[float, float, float]:
        """Unite a target over the phases of a 4-D CT as a structure.

        :param phases: each phase's CT (``phaseVolumes`` gives those of a sequence), its segmentation, and the
            target's name in it.
        :param align: lay each phase on the CT first by a turn and a shift.
        :return: how far the target's centre travels along R, A and S, mm.
        :raises Cancelled: the user cancelled.
        """
        return background.finish_here(self.unitingPhases(segmentation, volumeNode, phases, name, align), progress)

    def unitingPhases(
        self,
        segmentation: slicer.vtkMRMLSegmentationNode,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        phases: Sequence[tuple[slicer.vtkMRMLScalarVolumeNode, slicer.vtkMRMLSegmentationNode, str]],
        name: str = "ITVp",
        align: bool = False,
    ) -> Steps[tuple[float, float, float]]:
        """The steps of ``internalTarget``, for a window that stays alive meanwhile."""
        self.requireDependencies()
        yield from importing((*_SLOW_IMPORTS, "SegmentationAILib.radiotherapy.phase_workflow"))
        from SegmentationAILib.radiotherapy.phase_workflow import uniting_phases

        return (yield from uniting_phases(segmentation, volumeNode, phases, name, align))

    def phaseVolumes(self, sequenceNode) -> list[slicer.vtkMRMLScalarVolumeNode]:
        """The volumes of a sequence node, such as the phases of a 4-D CT."""
        nodes = [sequenceNode.GetNthDataNode(index) for index in range(sequenceNode.GetNumberOfDataNodes())]
        volumes = [node for node in nodes if node.IsA("vtkMRMLScalarVolumeNode")]
        if not volumes:
            raise InputError(f"The sequence '{sequenceNode.GetName()}' holds no volumes; choose that of a 4-D CT.")
        return volumes

    def isFromDicom(self, volumeNode: slicer.vtkMRMLScalarVolumeNode) -> bool:
        """Whether a volume knows its DICOM images, which an RTSTRUCT refers to."""
        return bool(volumeNode.GetAttribute("DICOM.instanceUIDs"))

    def dicomFolder(self, volumeNode: slicer.vtkMRMLScalarVolumeNode) -> str:
        """The folder of a volume's DICOM images by the application's database; "" where that does not know it."""
        return dicom_folder(volumeNode)

    def applyProtocol(
        self,
        segmentation: slicer.vtkMRMLSegmentationNode,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        protocol: str,
        device: str = "auto",
        progress: Progress | None = None,
    ) -> list[str]:
        """Draw and build what a protocol asks for and the segmentation lacks.

        :param protocol: path of its YAML file.
        :return: a sentence for each structure that could not be made, with what it needs.
        :raises Cancelled: the user cancelled.
        """
        self._workflow.scene.require_structures(segmentation)
        return self._finish(
            lambda workflow: workflow.applying_protocol(segmentation, volumeNode, protocol, device), progress
        )[1]

    def setRule(
        self,
        segmentation: slicer.vtkMRMLSegmentationNode,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        name: str,
        rule: str,
        progress: Progress | None = None,
    ) -> None:
        """Derive a structure from others, such as ``expand(GTVp, 5, superior=8)`` or ``Lungs - GTVp``.

        What depends on it is made again. An empty rule keeps the structure as it is, as if it had been drawn.
        """
        self._finish(lambda workflow: workflow.setting_rule(segmentation, volumeNode, name, rule), progress)

    def rebuild(
        self,
        segmentation: slicer.vtkMRMLSegmentationNode,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        changed: Sequence[str] | None = None,
        progress: Progress | None = None,
    ) -> list[str]:
        """Make derived structures again after those in ``changed`` (all, if not given) were edited; their names."""
        return self._finish(lambda workflow: workflow.rebuilding(segmentation, volumeNode, changed), progress)

    def renameStructure(
        self,
        segmentation: slicer.vtkMRMLSegmentationNode,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        old: str,
        new: str,
    ) -> None:
        """Give a structure another name, in every rule too."""
        self.applyNames(segmentation, volumeNode, {old: new})

    def describeRules(
        self, segmentation: slicer.vtkMRMLSegmentationNode, volumeNode: slicer.vtkMRMLScalarVolumeNode
    ) -> str:
        """A line for each structure, sources before what is made of them: ``PTVp = expand(CTVp, 5)``."""
        return self._workflow.describe(segmentation, volumeNode)

    def importStructures(
        self, path: str, volumeNode: slicer.vtkMRMLScalarVolumeNode, progress: Progress | None = None
    ) -> tuple[slicer.vtkMRMLSegmentationNode, list[str]]:
        """A DICOM RTSTRUCT file as a segmentation on its CT, and sentences on what does not fit."""
        return self._finish(lambda workflow: workflow.importing_structures(path, volumeNode), progress)

    def exportStructures(
        self,
        segmentation: slicer.vtkMRMLSegmentationNode,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        path: str,
        ctFolder: str,
        progress: Progress | None = None,
    ) -> str:
        """Write a segmentation as DICOM RTSTRUCT.

        :param ctFolder: of the CT's DICOM series; ``exportCT`` makes one for a CT that does not come from DICOM.
        """
        return self._finish(
            lambda workflow: workflow.exporting_structures(segmentation, volumeNode, path, ctFolder), progress
        )

    def exportCT(self, volumeNode: slicer.vtkMRMLScalarVolumeNode, folder: str) -> None:
        """Write a CT that does not come from DICOM as a DICOM series, which structures can then refer to."""
        self._finish(lambda workflow: workflow.exporting_ct(volumeNode, folder))

    def loadDose(
        self, path: str, prescriptionGy: float | None = None
    ) -> tuple[slicer.vtkMRMLScalarVolumeNode, tuple[str, ...]]:
        """A DICOM RTDOSE file as a volume in Gy, and sentences on what to know of it.

        :param prescriptionGy: what 100 % means where the file's doses are relative.
        """
        return self._finish(lambda workflow: workflow.loading_dose(path, prescriptionGy))

    def evaluateDose(
        self,
        segmentation: slicer.vtkMRMLSegmentationNode,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        doseNode: slicer.vtkMRMLScalarVolumeNode,
        protocol: str | None = None,
        prescriptionGy: float | None = None,
        progress: Progress | None = None,
    ) -> tuple:
        """DVHs and a protocol's goals; the plot chart node and the goals' table node are added to the scene.

        :return: the figures (``evaluation.DoseEvaluation``), the plot chart node, and the goals' table node or None.
        """
        return self._finish(
            lambda workflow: workflow.evaluating(segmentation, volumeNode, doseNode, protocol, prescriptionGy), progress
        )

    def _finish(self, work: Callable[[Any], Steps[T]], progress: Progress | None = None) -> T:
        return background.finish_here(self.steps(work), progress)

    @cached_property
    def _workflow(self) -> Any:
        """What does the work; it needs packages that may be missing, which is asked again until they are there."""
        self.requireDependencies()
        from SegmentationAILib.radiotherapy import workflow

        return workflow
