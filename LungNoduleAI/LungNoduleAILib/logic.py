"""What a script does with nodules in Slicer, apart from detecting them: review, comparison, report."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from LungNoduleAILib.node_roles import RECORD_ROLE, TABLE_ROLE
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError

Node = Any  # a vtkMRMLNode; this file does not import slicer


class NoduleLogic:
    """Findings are the segmentation node that ``detect`` returns; a nodule is named by its number.

    Each method raises InputError, one sentence on what is wrong and what to do, and then leaves the scene as it was.
    """

    def detect(
        self, volumeNode: Node, device: str = "auto", progress: Progress | None = None, **options: float
    ) -> Node:
        """The module's logic detects."""
        raise NotImplementedError

    def requireDependencies(self) -> None:
        """Refuse to work where a package is missing."""
        raise NotImplementedError

    def folderOf(self, volumeNode: Node) -> str:
        """The folder of a volume's DICOM images; "" where it is not known."""
        raise NotImplementedError

    def recordOf(self, findings: Node) -> Node | None:
        """The text node that changes with all that the reader does."""
        return findings.GetNodeReference(RECORD_ROLE)

    def noduleRows(self, findings: Node) -> list[dict[str, float | str]]:
        """A dictionary for each nodule: its measurements by the columns of ``nodules.csv``, and the decision.

        Example::

            for row in logic.noduleRows(findings):
                print(row["id"], row["lung"], row["mean_diameter_mm"], row["score"])
        """
        tableNode = findings.GetNodeReference(TABLE_ROLE)
        if tableNode is None:
            return []
        columns = [tableNode.GetTable().GetColumn(index) for index in range(tableNode.GetNumberOfColumns())]
        return [
            {column.GetName(): column.GetValue(row) for column in columns} for row in range(tableNode.GetNumberOfRows())
        ]

    def nodules(self, findings: Node) -> tuple:
        """The nodules (``LungNoduleAILib.nodule.Nodule``) with masks and all measurements.

        Example::

            for nodule in logic.nodules(findings):
                print(nodule.name, nodule.measurements.volume_mm3, nodule.character.lobe)
        """
        return self._workflow.nodules(findings)

    def overview(self, findings: Node) -> list:
        """A row (``LungNoduleAILib.overview.Row``) for each nodule: place, kind, growth, Lung-RADS, Brock, verdict."""
        return self._workflow.rows(findings)

    def warnings(self, findings: Node) -> list[str]:
        """Sentences on what in the CT makes its nodules less sure: thick slices, contrast, what is cut off.

        Example::

            print("\\n".join(logic.warnings(findings)))
        """
        volumeNode = self._workflow.ct_of(findings)
        return self._workflow.warnings(findings, self._workflow.exam_of(volumeNode, self.folderOf(volumeNode)))

    def accept(self, findings: Node, noduleId: int) -> None:
        """Keep a nodule, with the time of the decision.

        Example::

            logic.accept(findings, 1)
        """
        self._decide(findings, noduleId, "ACCEPTED")

    def reject(self, findings: Node, noduleId: int) -> None:
        """Leave a nodule out of every count and report, with the time of the decision.

        Example::

            logic.reject(findings, 2)
            logic.undo(findings)
        """
        self._decide(findings, noduleId, "REJECTED")

    def reopen(self, findings: Node, noduleId: int) -> None:
        """Take back what was decided of a nodule."""
        self._decide(findings, noduleId, "OPEN")

    def undo(self, findings: Node) -> str:
        """Take back the last decision, correction, edit or addition, and say which."""
        return self._workflow.undo(findings)

    def addNodule(
        self, findings: Node, ras: Sequence[float], device: str = "auto", progress: Progress | None = None
    ) -> int:
        """Outline and measure a nodule that was missed; its number.

        Example::

            noduleId = logic.addNodule(findings, (-72.5, -77.2, -190.4))

        :param ras: a point near its middle, mm.
        """
        return self._workflow.add_nodule(findings, tuple(float(x) for x in ras), device, progress)

    def characterize(
        self, findings: Node, noduleId: int | None = None, device: str = "auto", progress: Progress | None = None
    ) -> tuple:
        """Measure a nodule, or all, in the outlines that the segments have now, as after an edit.

        Example::

            nodules = logic.characterize(findings, 1)
            print(nodules[0].measurements.volume_mm3, nodules[0].character.kind)

        :return: all nodules (``LungNoduleAILib.nodule.Nodule``).
        """
        progress = progress or Progress()
        ids = [one.id for one in self.nodules(findings)] if noduleId is None else [noduleId]
        for n, one in enumerate(ids):
            self._workflow.measure_again(findings, one, device, progress.part(n / len(ids), (n + 1) / len(ids)))
        return self.nodules(findings)

    def correct(self, findings: Node, noduleId: int, **said: object) -> None:
        """Say what guidelines ask of a nodule and was measured wrongly or not at all; None takes it back.

        Example::

            logic.correct(findings, 1, spiculation=True, kind="part-solid")

        :param said: attributes of ``LungNoduleAILib.guidelines.findings.Finding``.
        """
        from LungNoduleAILib.answer import answer_of

        for name, value in said.items():
            self._workflow.correct(findings, noduleId, name, answer_of(name, value))

    def setPatient(self, findings: Node, exam: Mapping[str, bool] | None = None, **known: object) -> None:
        """What is known of the patient, for guidelines and risk models; what is left out is not known.

        Example::

            logic.setPatient(findings, age=64, female=True, pack_years=30, emphysema=False, screening=True)

        :param exam: for Lung-RADS: prior_being_located, lungs_evaluable, suspected_infection, consolidation,
            other_finding.
        :param known: attributes of ``LungNoduleAILib.guidelines.patient.Patient``.
        """
        from LungNoduleAILib.answer import patient_of

        self._workflow.set_patient(findings, patient_of(known), exam)

    def patient(self, findings: Node) -> Any:
        """What is known of the patient (``LungNoduleAILib.guidelines.patient.Patient``)."""
        return self._workflow.patient(findings)

    def assessment(self, findings: Node, noduleId: int) -> Any:
        """What guidelines and risk models say of a nodule (``LungNoduleAILib.assessment.Assessment``).

        Example::

            print(logic.assessment(findings, 1).lung_rads)
        """
        return self._workflow.assessment(findings, noduleId)

    def compare(
        self,
        current: Node,
        prior: Node,
        days: float | None = None,
        device: str = "auto",
        progress: Progress | None = None,
    ) -> list[str]:
        """What became of each nodule since a prior CT, a sentence for each; also a table in the scene.

        Example::

            for sentence in logic.compare(findings, priorVolumeNode, days=180):
                print(sentence)

        :param current: findings, or a volume node: of its latest findings, detected where there are none.
        :param prior: the same of the earlier CT.
        :param days: between the CTs; by their DICOM dates, if not given.
        :raises Cancelled: the user cancelled.
        """
        given = (current, prior)
        if None in given:
            raise InputError("Choose the findings, or the CT volumes, that are to be compared.")
        progress = progress or Progress()
        volumes = [node if node.IsA("vtkMRMLScalarVolumeNode") else self._workflow.ct_of(node) for node in given]
        exams = tuple(self._workflow.exam_of(one, self.folderOf(one)) for one in volumes)
        # Told before any work.
        days = self._workflow.interval(*exams, days)
        found = [
            (self.findingsIn(node) or self.detect(node, device, progress.part(0.35 * n, 0.35 * (n + 1))))
            if node is volumes[n]
            else node
            for n, node in enumerate(given)
        ]
        return list(self._workflow.compare(*found, days, exams, progress.part(0.7, 1.0)).sentences)

    def daysBetween(self, current: Node, prior: Node) -> float | None:
        """Days between two volumes by their DICOM dates; None where these do not tell."""
        try:
            return self._workflow.interval(
                *(self._workflow.exam_of(one, self.folderOf(one)) for one in (current, prior)), None
            )
        except InputError:
            return None

    def followUp(self, findings: Node) -> Any:
        """The comparison with the prior CT (``followup.comparison.FollowUp``) by all later edits; None without one."""
        return self._workflow.follow_up_of(findings)

    def canUndo(self, findings: Node) -> bool:
        """Whether there is something to undo."""
        return self._workflow.can_undo(findings)

    def corrections(self, findings: Node, noduleId: int) -> Mapping[str, object]:
        """What the reader said of a nodule by ``correct``."""
        return self._workflow.corrections(findings, noduleId)

    def examInputs(self, findings: Node) -> Mapping[str, bool]:
        """What the reader said of the whole CT by ``setPatient``."""
        return self._workflow.exam_inputs(findings)

    def volumeOf(self, findings: Node) -> Node:
        """The volume node of the CT that findings were made in."""
        return self._workflow.ct_of(findings)

    def findingsIn(self, volumeNode: Node) -> Node | None:
        """The latest findings in a CT; None where there are none."""
        return self._workflow.findings_in(volumeNode)

    def priorOf(self, findings: Node) -> Node | None:
        """The findings that these were compared with; None without a comparison."""
        return self._workflow.prior_of(findings)

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
        return self._workflow.explain(findings, noduleId, device, progress)

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
        volumeNode = self._workflow.ct_of(findings)
        source = dicomFolder or self.folderOf(volumeNode)
        return self._workflow.report(
            findings,
            Path(folder),
            formats,
            source=Path(source) if source else None,
            explain_on=device if explain else None,
            header=self._workflow.exam_of(volumeNode, source),
            progress=progress,
        )

    def exportCsv(self, findings: Node, path: str | Path) -> Path:
        """Write all nodules, rejected ones too, as a CSV file.

        Example::

            logic.exportCsv(findings, "nodules.csv")
        """
        return self._workflow.export_csv(findings, Path(path))

    @cached_property
    def _workflow(self) -> Any:
        """What does the work; it needs packages that may be missing, which is asked again until they are there."""
        self.requireDependencies()
        from LungNoduleAILib import workflow

        return workflow

    def _decide(self, findings: Node, noduleId: int, verdict: str) -> None:
        from LungNoduleAILib.review import Verdict

        self._workflow.decide(findings, noduleId, Verdict[verdict])
