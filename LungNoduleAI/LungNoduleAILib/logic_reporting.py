"""What a script tells others of nodules in Slicer: warnings, explanations, reports, DICOM."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import Any

from SegmentationAILib.engine.background import background
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.steps import Steps
from SegmentationAILib.errors import InputError

Node = Any  # a vtkMRMLNode; this file does not import slicer


class ReportingLogic:
    """Findings are the segmentation node that ``detect`` returns; a nodule is named by its number.

    Each method raises InputError, one sentence on what is wrong and what to do, and then leaves the scene as it was.
    """

    def requireDependencies(self) -> None:
        """Refuse to work where a package is missing."""
        raise NotImplementedError

    def folderOf(self, volumeNode: Node) -> str:
        """The folder of a volume's DICOM images; "" where it is not known."""
        raise NotImplementedError

    def volumeOf(self, findings: Node) -> Node:
        """The volume node of the CT that findings were made in."""
        return self._workflow.ct_of(findings)

    def warnings(self, findings: Node) -> list[str]:
        """Sentences on what in the CT makes its nodules less sure: thick slices, contrast, what is cut off.

        Example::

            print("\\n".join(logic.warnings(findings)))
        """
        volumeNode = self.volumeOf(findings)
        return self._reporting.warnings(findings, self._workflow.exam_of(volumeNode, self.folderOf(volumeNode)))

    def explain(
        self, findings: Node, noduleId: int, device: str = "auto", progress: Progress | None = None
    ) -> tuple[Node, Any]:
        """What in the CT speaks for a nodule, as a volume node, and similar nodules of the training set.

        Example::

            volumeNode, explanation = logic.explain(findings, 1)
            slicer.util.setSliceViewerLayers(foreground=volumeNode, foregroundOpacity=0.5)
            for nodule in explanation.similar:
                print(nodule.name, nodule.readers)
        """
        return background.finish_here(self.explaining(findings, noduleId, device), progress)

    def explaining(self, findings: Node, noduleId: int, device: str = "auto") -> Steps[tuple[Node, Any]]:
        """The steps of ``explain``, for a window that stays alive meanwhile."""
        return self._reporting.explaining(findings, noduleId, device)

    def explanation(self, findings: Node, noduleId: int) -> tuple[Node, Any] | None:
        """What ``explain`` made of a nodule, kept with the scene; None where it was not, or was edited since.

        Example::

            volumeNode, explanation = logic.explanation(findings, 1) or logic.explain(findings, 1)
        """
        return self._reporting.explanation(findings, noduleId)

    def heldExplanation(self, findings: Node, noduleId: int) -> tuple[Node, Any | None] | None:
        """As ``explanation``, with None in place of what was said before the nodule's segment was edited."""
        return self._reporting.held_explanation(findings, noduleId)

    def report(
        self,
        findings: Node,
        folder: str | Path,
        formats: Collection[str] = ("csv", "json", "html", "pdf"),
        dicomFolder: str | Path | None = None,
        explain: bool = False,
        device: str = "auto",
        progress: Progress | None = None,
    ) -> list[Path]:
        """Write reports of the nodules that were not rejected into a folder; the files.

        Example::

            logic.report(findings, "report", formats=("html", "pdf", "sr", "seg"), explain=True)

        :param formats: of csv, json, html, pdf, seg (DICOM segmentation), sr (DICOM structured report).
        :param dicomFolder: of the CT, to which seg and sr refer; found by Slicer's database, if not given, and
            written beside them where the CT did not come from DICOM.
        :param explain: show what speaks for each nodule, which takes a while.
        :raises Cancelled: the user cancelled.
        """
        return background.finish_here(self.reporting(findings, folder, formats, dicomFolder, explain, device), progress)

    def reporting(
        self,
        findings: Node,
        folder: str | Path,
        formats: Collection[str] = ("csv", "json", "html", "pdf"),
        dicomFolder: str | Path | None = None,
        explain: bool = False,
        device: str = "auto",
    ) -> Steps[list[Path]]:
        """The steps of ``report``, for a window that stays alive meanwhile."""
        source = dicomFolder or self.folderOf(self.volumeOf(findings))
        return self._reporting.reporting(
            findings,
            Path(folder),
            formats,
            source=Path(source) if source else None,
            explain_on=device if explain else None,
        )

    def exportCsv(self, findings: Node, path: str | Path) -> Path:
        """Write all nodules, rejected ones too, as a CSV file.

        Example::

            logic.exportCsv(findings, "nodules.csv")
        """
        return self._reporting.export_csv(findings, Path(path))

    def exportToDatabase(
        self,
        findings: Node,
        explain: bool = False,
        device: str = "auto",
        progress: Progress | None = None,
    ) -> list[str]:
        """Put DICOM SEG and SR of the nodules that were not rejected into Slicer's DICOM database; the files' names.

        A CT that did not come from DICOM goes with them.

        Example::

            logic.exportToDatabase(findings)

        :param explain, device, progress: as for ``report``.
        :raises InputError: no database is open.
        :raises Cancelled: the user cancelled.
        """
        return background.finish_here(self.exportingToDatabase(findings, explain, device), progress)

    def exportingToDatabase(self, findings: Node, explain: bool = False, device: str = "auto") -> Steps[list[str]]:
        """The steps of ``exportToDatabase``, for a window that stays alive meanwhile."""
        reason = self.databaseMissing()
        if reason:
            raise InputError(reason)
        with tempfile.TemporaryDirectory() as folder:
            written = yield from self.reporting(findings, folder, ("seg", "sr"), explain=explain, device=device)
            self.addToDatabase(folder)
        return [path.name for path in written]

    def databaseMissing(self) -> str:
        """Why Slicer's DICOM database cannot take anything; "" where it can."""
        raise NotImplementedError

    def addToDatabase(self, folder: str) -> None:
        """Copy the DICOM files of a folder into Slicer's DICOM database."""
        raise NotImplementedError

    @cached_property
    def _workflow(self) -> Any:
        """What does the work; it needs packages that may be missing, which is asked again until they are there."""
        self.requireDependencies()
        from LungNoduleAILib import workflow

        return workflow

    @cached_property
    def _reporting(self) -> Any:
        self.requireDependencies()
        from LungNoduleAILib import workflow_report

        return workflow_report
