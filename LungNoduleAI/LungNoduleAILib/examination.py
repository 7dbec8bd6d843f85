"""From nodules and what the reader says of them to all that a report tells: the one path of panel and command line."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from functools import cache

from LungNoduleAILib.analysis_result import NODULES
from LungNoduleAILib.assessment import Assessment, assess, findings_of
from LungNoduleAILib.ct_quality import warnings_of
from LungNoduleAILib.explanation.result import Explanation
from LungNoduleAILib.followup.comparison import FollowUp
from LungNoduleAILib.followup.exam import Exam
from LungNoduleAILib.guidelines.answers import Range
from LungNoduleAILib.guidelines.lung_rads_exam import Exam as LungRadsExam
from LungNoduleAILib.guidelines.lung_rads_exam import ExamAssessment, classify_exam
from LungNoduleAILib.nodule import Nodule
from LungNoduleAILib.reading import Reading
from LungNoduleAILib.report.content import ReportContent, ReportedNodule
from SegmentationAILib import catalog
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.resources import model_path
from SegmentationAILib.volume import Volume


def examine(
    volume: Volume,
    lungs: LabelMap,
    reading: Reading,
    *,
    follow_up: FollowUp | None = None,
    prior: Volume | None = None,
    prior_uids: Mapping[int, str] | None = None,
    explanations: Mapping[int, Explanation] | None = None,
    header: Exam | None = None,
    made_at: datetime | None = None,
) -> ReportContent:
    """All that a report tells of a CT; without nodules too.

    Args:
        volume: CT, HU.
        lungs: right and left lung and the airway on its grid.
        reading: nodules, decisions, patient.
        follow_up: what became of the nodules that were not rejected since a prior CT.
        prior: that CT.
        prior_uids: tracking identifiers of the prior CT's nodules by their ids; its pairs keep them.
        explanations: by the nodules' ids.
        header: what the CT's DICOM header says.
        made_at: now, if not given.

    Raises:
        InputError: a correction is out of range or contradicts another value.
    """
    assessments = assessments_of(reading, follow_up)
    tracked = {}
    if follow_up and prior_uids:
        tracked = {pair.current.id: prior_uids.get(pair.prior.id) for pair in follow_up.pairs}
    nodules = tuple(
        ReportedNodule(
            one.nodule,
            assessments[one.nodule.id],
            one.decision,
            tracked.get(one.nodule.id) or one.uid,
            (explanations or {}).get(one.nodule.id),
        )
        for one in reading.entries
    )
    return ReportContent(
        volume=volume,
        lungs=lungs,
        nodules=nodules,
        patient=reading.patient,
        exam=exam_of(reading, follow_up),
        task=reading.task,
        model_hash=_hash_of(reading.task.model),
        made_at=made_at or datetime.now(timezone.utc).astimezone(),
        follow_up=follow_up,
        prior=prior,
        warnings=tuple(warnings_of(volume, lungs, reading.kept, header)),
    )


def assessments_of(
    reading: Reading, follow_up: FollowUp | None = None, *, only: int | None = None
) -> dict[int, Assessment]:
    """What guidelines and risk models say of each nodule, by its id.

    A rejected one is assessed as if it were the only one; the others do not count it.

    Args:
        only: id of the one nodule that is asked for, which is quicker.

    Raises:
        InputError: a correction is out of range or contradicts another value.
    """
    kept = reading.kept
    counted = {one.id for one in kept}
    groups = [kept, *((one,) for one in reading.nodules if one.id not in counted)]
    return {
        one.finding.id: one
        for group in groups
        for one in assess(group, reading.patient, follow_up, reading.corrections, only)
    }


def exam_of(reading: Reading, follow_up: FollowUp | None = None) -> ExamAssessment | Range[ExamAssessment]:
    """Lung-RADS of the whole CT, over the nodules that were not rejected.

    Raises:
        InputError: as ``assessments_of``.
    """
    findings = findings_of(reading.kept, follow_up, reading.corrections)
    return classify_exam(LungRadsExam(findings, **reading.exam_inputs), reading.patient)


def explanations_of(
    volume: Volume, lungs: LabelMap, nodules: Sequence[Nodule], device: str, progress: Progress | None = None
) -> dict[int, Explanation]:
    """What speaks for each nodule, by its id.

    Args:
        volume: CT, HU.
        lungs: right and left lung on its grid.
        nodules: to explain.
        device: a torch device's name, or "auto".
        progress: told of each nodule; its token cancels.

    Raises:
        Cancelled: the user cancelled.
    """
    # Guidelines and risk models need no network.
    from LungNoduleAILib.explanation.explain import explain  # noqa: PLC0415

    progress = progress or Progress()
    return {
        one.id: explain(
            volume, lungs, one, device=device, progress=progress.part(n / len(nodules), (n + 1) / len(nodules))
        )
        for n, one in enumerate(nodules)
    }


def _hash_of(detector: str) -> str:
    """SHA-256 of what detected; "" of a method without weights."""
    if detector == NODULES:
        return model_hash()
    try:
        return catalog.provenance(catalog.entry(detector))["sha256"]
    except InputError:
        return ""


@cache
def model_hash() -> str:
    """SHA-256 of the built-in detector's weights, the search's followed by those of the second look.

    Raises:
        InputError: they are missing.
    """
    weights = (model_path(name).read_bytes() for name in ("nodules", "nodule-candidates"))
    return hashlib.sha256(b"".join(weights)).hexdigest()
