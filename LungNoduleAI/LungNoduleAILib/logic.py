"""What a script does with nodules in Slicer, apart from detecting them: review and comparison, here, and reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from LungNoduleAILib.logic_reporting import ReportingLogic
from LungNoduleAILib.node_roles import RECORD_ROLE, TABLE_ROLE
from SegmentationAILib.engine.background import background
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.steps import Steps, part
from SegmentationAILib.errors import InputError

Node = Any  # a vtkMRMLNode; this file does not import slicer


class NoduleLogic(ReportingLogic):
    """Findings are the segmentation node that ``detect`` returns; a nodule is named by its number.

    Each method raises InputError, one sentence on what is wrong and what to do, and then leaves the scene as it was.
    """

    def detect(
        self, volumeNode: Node, device: str = "auto", progress: Progress | None = None, **options: float
    ) -> Node:
        """The module's logic detects."""
        raise NotImplementedError

    def detecting(self, volumeNode: Node, device: str = "auto", **options: float) -> Steps[tuple[Node, Sequence[str]]]:
        """The steps of ``detect``."""
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

    def lookingAhead(self, findings: Node) -> Steps[None]:
        """Work out in small steps what ``overview`` will need."""
        return self._workflow.looking_ahead(findings)

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
        return background.finish_here(self.addingNodule(findings, ras, device), progress)

    def addingNodule(self, findings: Node, ras: Sequence[float], device: str = "auto") -> Steps[int]:
        """The steps of ``addNodule``, for a window that stays alive meanwhile."""
        return self._workflow.adding(findings, tuple(float(x) for x in ras), device)

    def characterize(
        self, findings: Node, noduleId: int | None = None, device: str = "auto", progress: Progress | None = None
    ) -> tuple:
        """Measure a nodule, or all, in the outlines that the segments have now, as after an edit.

        Example::

            nodules = logic.characterize(findings, 1)
            print(nodules[0].measurements.volume_mm3, nodules[0].character.kind)

        :return: all nodules (``LungNoduleAILib.nodule.Nodule``).
        """
        return background.finish_here(self.characterizing(findings, noduleId, device), progress)

    def characterizing(self, findings: Node, noduleId: int | None = None, device: str = "auto") -> Steps[tuple]:
        """The steps of ``characterize``, for a window that stays alive meanwhile."""
        ids = [one.id for one in self.nodules(findings)] if noduleId is None else [noduleId]
        for n, one in enumerate(ids):
            yield from part(self._workflow.measuring(findings, one, device), n / len(ids), (n + 1) / len(ids))
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
        return background.finish_here(self.comparing(current, prior, days, device), progress)

    def comparing(
        self, current: Node, prior: Node, days: float | None = None, device: str = "auto"
    ) -> Steps[list[str]]:
        """The steps of ``compare``, for a window that stays alive meanwhile."""
        given = (current, prior)
        if None in given:
            raise InputError("Choose the findings, or the CT volumes, that are to be compared.")
        volumes = [node if node.IsA("vtkMRMLScalarVolumeNode") else self._workflow.ct_of(node) for node in given]
        exams = []
        for one in volumes:
            exams.append((yield from part(self._workflow.reading_exam(one, self.folderOf(one)), 0.0, 0.0)))
        # Told before any work.
        days = self._workflow.interval(*exams, days)
        found = []
        for n, node in enumerate(given):
            findings = self.findingsIn(node) if node is volumes[n] else node
            if findings is None:
                findings, _warnings = yield from part(self.detecting(node, device), 0.35 * n, 0.35 * (n + 1))
            found.append(findings)
        compared = yield from part(self._workflow.comparing(*found, days, tuple(exams)), 0.7, 1.0)
        return list(compared.sentences)

    def reasonNotToCompare(self, current: Node, prior: Node, days: float | None = None) -> str:
        """Why two volumes must not be compared, by patients and dates that Slicer keeps with them; "" if they may be.

        :param days: between them; by their dates, if not given.
        """
        from LungNoduleAILib.followup.exam import interval
        from LungNoduleAILib.scene_exam import exam_of

        try:
            interval(exam_of(current), exam_of(prior), days)
        except InputError as problem:
            return str(problem)
        return ""

    def suggestedPrior(self, current: Node) -> Node | None:
        """Another CT of the scene that may be the prior one, by patient, date and voxels; None where there is none."""
        from LungNoduleAILib.scene_exam import suggested_prior

        return suggested_prior(current)

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

    def findingsIn(self, volumeNode: Node) -> Node | None:
        """The latest findings in a CT; None where there are none."""
        return self._workflow.findings_in(volumeNode)

    def priorOf(self, findings: Node) -> Node | None:
        """The findings that these were compared with; None without a comparison."""
        return self._workflow.prior_of(findings)

    def _decide(self, findings: Node, noduleId: int, verdict: str) -> None:
        from LungNoduleAILib.review import Verdict

        self._workflow.decide(findings, noduleId, Verdict[verdict])
