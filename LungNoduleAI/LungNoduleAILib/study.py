"""CTs from files to what a report tells, without Slicer: the path of the command line."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from LungNoduleAILib.analysis import analyze
from LungNoduleAILib.examination import examine, explanations_of
from LungNoduleAILib.followup.comparison import FollowUp, compare
from LungNoduleAILib.followup.exam import Exam, interval, read_exam
from LungNoduleAILib.guidelines.patient import Patient
from LungNoduleAILib.nodule import Nodule
from LungNoduleAILib.prior_categories import categories_of, with_prior_categories
from LungNoduleAILib.reading import Reading, reading_of
from LungNoduleAILib.report.content import ReportContent
from LungNoduleAILib.report.dicom_prior import read_prior, tracked
from LungNoduleAILib.report.prior import PriorReport
from LungNoduleAILib.review import Verdict
from SegmentationAILib.checks import check_ct
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.task import Task
from SegmentationAILib.errors import InputError
from SegmentationAILib.files import load
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.organs import segment_lungs
from SegmentationAILib.volume import Volume

# Share of the run's time until both CTs' nodules are found.
_DETECTED = 0.6


@dataclass(frozen=True, eq=False)
class Scan:
    """A CT from a file or a DICOM folder.

    Attributes:
        folder: of its DICOM files, None where it did not come from DICOM.
        header: empty where it did not.
    """

    volume: Volume
    folder: Path | None
    header: Exam


@dataclass(frozen=True, eq=False)
class PriorScan:
    """A CT to compare with.

    Attributes:
        report: its nodules from a DICOM report, so that none are detected; None without one.
        days: to the current CT.
    """

    scan: Scan
    report: PriorReport | None
    days: float


@dataclass(frozen=True, eq=False)
class Study:
    """A CT with what was found in it, and what became of it since a prior one."""

    scan: Scan
    lungs: LabelMap
    reading: Reading
    follow_up: FollowUp | None = None
    prior: Volume | None = None
    prior_uids: dict[int, str] | None = None


def open_scan(path: str | Path, progress: Progress | None = None) -> Scan:
    """Read a CT and what its header says.

    Raises:
        InputError: it cannot be read or is no CT.
    """
    path = Path(path)
    volume = load(path, progress=progress or Progress())
    check_ct(volume)
    if volume.source is None:
        return Scan(volume, None, Exam())
    folder = path if path.is_dir() else path.parent
    return Scan(volume, folder, read_exam(folder, volume))


def open_prior(
    current: Scan,
    path: str | Path,
    report: str | Path | None = None,
    days: float | None = None,
    progress: Progress | None = None,
) -> PriorScan:
    """Read a prior CT, and refuse one that must not be compared, before any work.

    Args:
        report: its structured report by TID 1500, or the folder that holds that and its SEG.
        days: to the current CT; by the CTs' dates, if not given.

    Raises:
        InputError: a file cannot be read, the CTs are of two patients, the days are not known, or the report is of
            another CT.
    """
    scan = open_scan(path, progress)
    days = interval(current.header, scan.header, days)
    if report is None:
        return PriorScan(scan, None, days)
    told = read_prior(report)
    # Of the same patient too: a report alone may name one where the CT does not.
    interval(current.header, told.exam, days)
    uid = scan.volume.source.series_instance_uid if scan.volume.source else ""
    if told.series_uid and uid and told.series_uid != uid:
        raise InputError("The prior report is of another CT than the prior one; give the report of that CT, or none.")
    return PriorScan(scan, told, days)


def study_of(scan: Scan, task: Task, prior: PriorScan | None = None, progress: Progress | None = None) -> Study:
    """Detect, and compare with a prior CT where there is one.

    Raises:
        InputError: the CT shows no lungs, or the lungs of the two do not fit on each other.
        Cancelled: the user cancelled.
    """
    progress = progress or Progress()
    findings = analyze(scan.volume, task, progress.part(0.0, 1.0 if prior is None else _DETECTED / 2))
    study = Study(scan, findings.lungs, reading_of(findings))
    if prior is None:
        return study
    lungs, nodules, uids = _prior_nodules(prior, task, progress.part(_DETECTED / 2, _DETECTED))
    follow_up = compare(
        scan.volume,
        findings.nodules,
        findings.lungs,
        prior.scan.volume,
        nodules,
        lungs,
        prior.days,
        progress=progress.part(_DETECTED, 1.0),
    )
    if prior.report is not None:
        kept = tracked(follow_up, prior.report)
        uids = {pair.prior.id: kept[pair.current.id] for pair in follow_up.pairs if pair.current.id in kept}
    categories = categories_of(nodules) if prior.report is None else _reported_categories(prior.report)
    reading = with_prior_categories(study.reading, follow_up, categories)
    return replace(study, reading=reading, follow_up=follow_up, prior=prior.scan.volume, prior_uids=uids)


def told_of(
    study: Study,
    patient: Patient,
    rejected: Collection[int] = (),
    explain_on: str | None = None,
    progress: Progress | None = None,
) -> ReportContent:
    """All that a report tells.

    Args:
        rejected: ids of nodules that the reader rejects.
        explain_on: device to explain the others on; without it, nothing is explained.

    Raises:
        InputError: there is no nodule with a rejected id.
        Cancelled: the user cancelled.
    """
    reading = replace(study.reading, patient=patient)
    for nodule_id in rejected:
        reading = reading.decided(nodule_id, Verdict.REJECTED, datetime.now(timezone.utc).astimezone())
    volume = study.scan.volume
    explanations = explanations_of(volume, study.lungs, reading.kept, explain_on, progress) if explain_on else {}
    return examine(
        volume,
        study.lungs,
        reading,
        follow_up=study.follow_up,
        prior=study.prior,
        prior_uids=study.prior_uids,
        explanations=explanations,
        header=study.scan.header,
    )


def _prior_nodules(
    prior: PriorScan, task: Task, progress: Progress
) -> tuple[LabelMap, tuple[Nodule, ...], dict[int, str]]:
    """Lungs and nodules of the prior CT; the nodules from its report, where there is one."""
    if prior.report is None:
        found = analyze(prior.scan.volume, task, progress)
        return found.lungs, found.nodules, {}
    lungs = segment_lungs(prior.scan.volume, device=task.device, progress=progress)
    return lungs, prior.report.comparable, prior.report.uids


def _reported_categories(report: PriorReport) -> dict[int, str]:
    return {one.id: one.category for one in report.nodules if one.category}
