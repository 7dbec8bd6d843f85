"""What the panel has computed by its worker, in the form that takes the scene the least time."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from LungNoduleAILib import analysis, outlined
from LungNoduleAILib.analysis_result import Findings
from LungNoduleAILib.ct_quality import warnings_of
from LungNoduleAILib.examination import examine, explanations_of
from LungNoduleAILib.explanation import explain as explaining
from LungNoduleAILib.explanation.result import Explanation
from LungNoduleAILib.followup import comparison
from LungNoduleAILib.followup.comparison import FollowUp
from LungNoduleAILib.followup.exam import Exam, read_exam
from LungNoduleAILib.layers import nodule_layers, structure_of
from LungNoduleAILib.nodule import Nodule
from LungNoduleAILib.panel_results import Case, Detected, Drawn, Outlined, ToReport, TwoCases
from LungNoduleAILib.reading import reading_of
from LungNoduleAILib.record import from_text, to_text
from LungNoduleAILib.report.content import ReportContent
from LungNoduleAILib.report.export import check_formats, write_report
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.task import Task
from SegmentationAILib.errors import InputError
from SegmentationAILib.labels import LabelMap, cropped, on_grid
from SegmentationAILib.provenance import Provenance, provenance_of


def detect(case: Case, task: Task, progress: Progress | None = None) -> Detected:
    """``analysis.analyze``, made ready for the scene.

    Raises:
        InputError, Cancelled: as ``analysis.analyze``.
    """
    progress = progress or Progress()
    started = time.monotonic()
    findings = analysis.analyze(case.volume, task, progress)
    provenance = provenance_of(task, time.monotonic() - started, progress.notes)
    warnings = warnings_of(case.volume, findings.lungs, findings.nodules, header_of(case))
    return made_ready(findings, (*provenance.notes, *warnings), provenance)


def made_ready(findings: Findings, warnings: tuple[str, ...] = (), provenance: Provenance | None = None) -> Detected:
    """Findings in the form that takes the scene the least time."""
    grid = findings.lungs.grid
    return Detected(
        Findings(cropped(findings.lungs), findings.nodules, findings.task),
        tuple(cropped(one) for one in nodule_layers(findings.nodules, grid)),
        to_text(reading_of(findings), grid),
        warnings,
        provenance,
    )


def measure(drawn: Drawn, task: Task, progress: Progress | None = None) -> Nodule:
    """A nodule in the outline that the reader drew.

    Raises:
        InputError, Cancelled: as ``outlined.nodule_from_outline``.
    """
    volume = drawn.case.volume
    return outlined.nodule_from_outline(
        volume,
        lungs_of(drawn.case),
        on_grid(drawn.inside, volume.grid).array > 0,
        drawn.nodule_id,
        score=drawn.score,
        device=task.device,
        progress=progress or Progress(),
    )


def outline(case: Case, task: Task, progress: Progress | None = None) -> Outlined:
    """The nodule at a point of the task's options: ``r``, ``a``, ``s`` in mm, and its ``id``.

    Raises:
        InputError, Cancelled: as ``outlined.nodule_at``.
    """
    ras = tuple(float(task.options[axis]) for axis in "ras")
    nodule, inside = outlined.nodule_at(
        case.volume, lungs_of(case), ras, task.options["id"], device=task.device, progress=progress or Progress()
    )
    drawn = LabelMap(inside.astype(np.uint8), case.volume.grid, {1: structure_of(nodule)})
    return Outlined(nodule, cropped(drawn))


def compare(cases: TwoCases, task: Task, progress: Progress | None = None) -> FollowUp:
    """What became of the nodules over the task's ``days``.

    Raises:
        InputError, Cancelled: as ``followup.comparison.compare``.
    """
    sides = []
    for case in (cases.current, cases.prior):
        reading, _ = from_text(case.record)
        sides += [case.volume, reading.kept, lungs_of(case)]
    return comparison.compare(*sides, task.options["days"], progress=progress or Progress())


def explain(case: Case, task: Task, progress: Progress | None = None) -> Explanation:
    """What speaks for the nodule of the task's ``id``.

    Raises:
        InputError, Cancelled: as ``explanation.explain.explain``.
    """
    reading, _ = from_text(case.record)
    nodule = reading[task.options["id"]].nodule
    return explaining.explain(case.volume, lungs_of(case), nodule, device=task.device, progress=progress or Progress())


def report(held: ToReport, task: Task, progress: Progress | None = None) -> dict[str, list[str]]:
    """Write reports of the task's ``formats`` into its ``folder``; with ``explain``, explain what was not before.

    Returns:
        the files' paths, as "files".

    Raises:
        InputError, Cancelled: as ``report.export.write_report``.
    """
    progress = progress or Progress()
    formats = str(task.options["formats"]).split(",")
    check_formats(formats)
    folder = str(task.options["folder"])
    told = content_of(held, task.device if task.options["explain"] else None, progress.part(0.0, 0.6))
    source = Path(held.case.folder) if held.case.folder else None
    written = write_report(told, folder, formats, source=source, progress=progress.part(0.6, 1.0))
    return {"files": [str(one) for one in written]}


def content_of(held: ToReport, explain_on: str | None = None, progress: Progress | None = None) -> ReportContent:
    """All that a report tells.

    Args:
        explain_on: device to explain what was neither rejected nor explained before; without it, nothing is.

    Raises:
        InputError: a record or a correction is damaged.
        Cancelled: the user cancelled.
    """
    case = held.case
    reading, _ = from_text(case.record)
    lungs = lungs_of(case)
    explanations = dict(held.explanations)
    if explain_on:
        rest = [one for one in reading.kept if one.id not in explanations]
        explanations |= explanations_of(case.volume, lungs, rest, explain_on, progress)
    return examine(
        case.volume,
        lungs,
        reading,
        follow_up=held.follow_up,
        prior=held.prior,
        prior_uids=held.prior_uids,
        explanations=explanations,
        header=header_of(case),
    )


def exam(case: Case, task: Task, progress: Progress | None = None) -> Exam:  # noqa: ARG001 - as all tasks
    """Whose CT it is and of which day, by the DICOM files of its folder.

    Raises:
        InputError: as ``followup.exam.read_exam``.
    """
    return read_exam(case.folder, case.volume)


def lungs_of(case: Case) -> LabelMap:
    """The lungs on the CT's grid."""
    return on_grid(case.lungs, case.volume.grid)


def header_of(case: Case) -> Exam | None:
    """What the CT's DICOM header says; None where its files are not found."""
    try:
        return read_exam(case.folder, case.volume) if case.folder else None
    except InputError:
        return None
