"""All that a report tells, in whatever form: HTML, PDF, tables, DICOM."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from LungNoduleAILib.assessment import Assessment
from LungNoduleAILib.explanation.result import Explanation
from LungNoduleAILib.followup.comparison import FollowUp
from LungNoduleAILib.guidelines.answers import Range
from LungNoduleAILib.guidelines.lung_rads_exam import ExamAssessment
from LungNoduleAILib.guidelines.patient import Patient
from LungNoduleAILib.nodule import Nodule
from LungNoduleAILib.review import Decision, Verdict
from SegmentationAILib.engine.task import Task
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.volume import Volume


@dataclass(frozen=True, eq=False)
class ReportedNodule:
    """A nodule with all that is known of it; ``explanation`` is None where none was asked for.

    Attributes:
        uid: DICOM tracking unique identifier; a nodule that a prior report tracks keeps its.
    """

    nodule: Nodule
    assessment: Assessment
    decision: Decision
    uid: str
    explanation: Explanation | None = None


@dataclass(frozen=True, eq=False)
class ReportContent:
    """What a report tells of one CT, against a prior one where there is one.

    Attributes:
        volume: the CT, HU.
        lungs: right and left lung and the airway on its grid.
        nodules: in order of their ids, rejected ones included.
        patient: inputs of the risk models; no name, no identifier.
        exam: Lung-RADS of the whole examination, over the nodules that were not rejected.
        follow_up: None without a prior CT.
        prior: the prior CT, None without one.
        task: what was run.
        model_hash: SHA-256 of the detector's weights.
        warnings: what makes the numbers less sure.
        made_at: with its time zone.
    """

    volume: Volume
    lungs: LabelMap
    nodules: tuple[ReportedNodule, ...]
    patient: Patient
    exam: ExamAssessment | Range[ExamAssessment]
    task: Task
    model_hash: str
    made_at: datetime
    follow_up: FollowUp | None = None
    prior: Volume | None = None
    warnings: tuple[str, ...] = field(default=())

    @property
    def kept(self) -> tuple[ReportedNodule, ...]:
        """The nodules that the reader did not reject."""
        return tuple(one for one in self.nodules if one.decision.verdict is not Verdict.REJECTED)
