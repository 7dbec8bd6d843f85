"""What a user does with findings that lie in the scene, step by step."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from LungNoduleAILib import scene
from LungNoduleAILib.assessment import Assessment
from LungNoduleAILib.ct_quality import warnings_of
from LungNoduleAILib.examination import assessments_of, examine, explanations_of
from LungNoduleAILib.explanation.explain import explain as explain_nodule
from LungNoduleAILib.explanation.result import Explanation
from LungNoduleAILib.followup.comparison import FollowUp, compare_registered
from LungNoduleAILib.followup.comparison import compare as compare_cts
from LungNoduleAILib.followup.exam import Exam, interval, read_exam
from LungNoduleAILib.followup.table import COLUMNS
from LungNoduleAILib.followup.table import rows as table_rows
from LungNoduleAILib.guidelines.patient import Patient
from LungNoduleAILib.outlined import nodule_at, nodule_from_outline
from LungNoduleAILib.overview import Row, rows_of
from LungNoduleAILib.reading import PriorLink, Reading
from LungNoduleAILib.report.content import ReportContent
from LungNoduleAILib.report.export import write_report
from LungNoduleAILib.report.reported_table import write_report_csv
from LungNoduleAILib.review import Verdict
from LungNoduleAILib.scene_influence import add_influence
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.scene import volume_from_node

Node = Any  # a vtkMRMLNode; this file does not import slicer


ct_of, findings_in, prior_of, nodules = (
    scene.ct_of,
    scene.findings_in,
    scene.prior_of,
    scene.nodules_from_scene,
)


def patient(findings: Node) -> Patient:
    """What is known of the patient."""
    return scene.reading_from_scene(findings).patient


def exam_inputs(findings: Node) -> Mapping[str, bool]:
    """What the reader said of the whole CT, for Lung-RADS."""
    return scene.reading_from_scene(findings).exam_inputs


def corrections(findings: Node, nodule_id: int) -> Mapping[str, object]:
    """What the reader said of a nodule."""
    return scene.reading_from_scene(findings)[nodule_id].corrections


def can_undo(findings: Node) -> bool:
    """Whether there is a step to undo."""
    return bool(scene.reading_from_scene(findings).steps)


def rows(findings: Node) -> list[Row]:
    """A row for each nodule of the panel's table."""
    reading = scene.reading_from_scene(findings)
    return rows_of(reading, follow_up_of(findings, reading))


def warnings(findings: Node, header: Exam | None = None) -> list[str]:
    """Sentences on what in the CT makes its nodules less sure.

    Raises:
        InputError: the CT or the lungs are gone.
    """
    volume, lungs = scene.ct_and_lungs(findings)
    return warnings_of(volume, lungs, scene.reading_from_scene(findings).kept, header)


def decide(findings: Node, nodule_id: int, verdict: Verdict) -> None:
    """Keep the reader's verdict on a nodule, with its time.

    Raises:
        InputError: there is no such nodule.
    """
    _change(findings, lambda reading: reading.decided(nodule_id, verdict, _now()))


def correct(findings: Node, nodule_id: int, name: str, value: object) -> None:
    """Keep what the reader says of a nodule; None takes it back.

    Raises:
        InputError: there is no such nodule or attribute, or the value contradicts a measurement; nothing was changed.
    """

    def checked(reading: Reading) -> Reading:
        after = reading.corrected(nodule_id, name, value, _now())
        assessments_of(after)
        return after

    _change(findings, checked)


def undo(findings: Node) -> str:
    """Take back the last decision, edit or addition, and say which.

    Raises:
        InputError: there is none.
    """
    before = scene.reading_from_scene(findings)
    after = before.undone()
    scene.write_reading(findings, before, after)
    last = before.steps[-1]
    return f"{last.after.nodule.name} {last.action}"


def set_patient(findings: Node, patient: Patient, exam_inputs: Mapping[str, bool] | None = None) -> None:
    """Keep the inputs of the risk models, and of Lung-RADS for the whole CT."""
    _change(
        findings,
        lambda reading: replace(
            reading, patient=patient, exam_inputs=reading.exam_inputs if exam_inputs is None else dict(exam_inputs)
        ),
    )


def measure_again(findings: Node, nodule_id: int, device: str = "auto", progress: Progress | None = None) -> None:
    """Measure a nodule in the outline that its segment now has.

    Raises:
        InputError: there is no such nodule, its segment is gone or empty, or the CT is; nothing was changed.
        Cancelled: the user cancelled; nothing was changed.
    """
    before = scene.reading_from_scene(findings)
    held = before[nodule_id].nodule
    volume, lungs = scene.ct_and_lungs(findings)
    inside = scene.drawn_nodule(findings, held.name)
    nodule = nodule_from_outline(
        volume, lungs, inside, nodule_id, score=held.score, device=device, progress=progress or Progress()
    )
    scene.write_reading(findings, before, before.edited(nodule, _now()), drawn=nodule_id)


def add_nodule(
    findings: Node, ras: tuple[float, float, float], device: str = "auto", progress: Progress | None = None
) -> int:
    """Outline and measure a nodule that the detector missed, from a point near its middle; its id.

    Raises:
        InputError: the point lies outside the CT or the body, or in a nodule that is there; nothing was changed.
        Cancelled: the user cancelled; nothing was changed.
    """
    before = scene.reading_from_scene(findings)
    volume, lungs = scene.ct_and_lungs(findings)
    for one in before.nodules:
        k, j, i = (round(x) for x in one.mask.grid.ijk(ras)[::-1])
        shape = one.mask.occupancy.shape
        if all(0 <= n < size for n, size in zip((k, j, i), shape, strict=True)) and one.mask.occupancy[k, j, i] >= 0.5:
            raise InputError(f"The click lies in nodule {one.id}, which is there already; accept or edit that one.")
    nodule, inside = nodule_at(volume, lungs, ras, before.next_id, device=device, progress=progress or Progress())
    after = before.added(nodule, _now())
    scene.write_reading(findings, before, after, drawn=nodule.id)
    scene.write_segment(findings, nodule, inside)
    return nodule.id


def compare(
    current: Node,
    prior: Node,
    days: float | None = None,
    exams: tuple[Exam, Exam] | None = None,
    progress: Progress | None = None,
) -> FollowUp:
    """Compare the findings in two CTs of one patient; they stay compared in the scene.

    Args:
        current, prior: findings.
        days: from the prior to the current CT; by the dates of the exams, if not given.
        exams: what is known of whose the two CTs are, current first.

    Raises:
        InputError: the CTs are of two patients, the days are not known, or the lungs do not fit on each other.
        Cancelled: the user cancelled; nothing was changed.
    """
    if current is prior:
        raise InputError("The prior findings are the current ones; choose those of an earlier CT.")
    now, then = exams or (Exam(), Exam())
    days = interval(now, then, days)
    reading, earlier = scene.reading_from_scene(current), scene.reading_from_scene(prior)
    volume, lungs = scene.ct_and_lungs(current)
    prior_volume, prior_lungs = scene.ct_and_lungs(prior)
    found = compare_cts(
        volume, reading.kept, lungs, prior_volume, earlier.kept, prior_lungs, days, progress=progress or Progress()
    )
    scene.link_prior(current, prior)
    scene.write_reading(current, reading, replace(reading, prior=PriorLink(found.registration, days)))
    lines = table_rows(found)
    columns = [(name, [line[n] for line in lines]) for n, name in enumerate(COLUMNS)]
    scene.add_pairs(columns, f"{volume.name} follow-up", current)
    return found


def exam_of(volume_node: Node, folder: str | Path | None = None) -> Exam:
    """Whose CT a volume node is and of which day, by its DICOM files where their folder is known, else by the scene."""
    if folder:
        return read_exam(folder, volume_from_node(volume_node))
    return scene.exam_of(volume_node)


def follow_up_of(findings: Node, reading: Reading | None = None) -> FollowUp | None:
    """What became of the nodules, by all that was edited since the comparison; None without one.

    Raises:
        InputError: a record is damaged.
    """
    reading = reading or scene.reading_from_scene(findings)
    prior = scene.prior_of(findings)
    if reading.prior is None or prior is None:
        return None
    link, earlier = reading.prior, scene.reading_from_scene(prior)
    volumes = volume_from_node(scene.ct_of(findings)), volume_from_node(scene.ct_of(prior))
    return compare_registered(volumes[0], reading.kept, volumes[1], earlier.kept, link.registration, link.days)


def assessment(findings: Node, nodule_id: int) -> Assessment:
    """What guidelines and risk models say of a nodule.

    Raises:
        InputError: there is no such nodule.
    """
    reading = scene.reading_from_scene(findings)
    reading[nodule_id]
    return assessments_of(reading, follow_up_of(findings, reading), only=nodule_id)[nodule_id]


def explain(
    findings: Node, nodule_id: int, device: str = "auto", progress: Progress | None = None
) -> tuple[Node, Explanation]:
    """What in the CT speaks for a nodule, as a volume node, and the most similar nodules of the training set.

    Raises:
        InputError: there is no such nodule.
        Cancelled: the user cancelled.
    """
    nodule = scene.reading_from_scene(findings)[nodule_id].nodule
    volume, lungs = scene.ct_and_lungs(findings)
    found = explain_nodule(volume, lungs, nodule, device=device, progress=progress or Progress())
    return add_influence(found, nodule, scene.ct_of(findings)), found


def content(
    findings: Node,
    *,
    explain_on: str | None = None,
    header: Exam | None = None,
    progress: Progress | None = None,
) -> ReportContent:
    """All that a report tells of the findings.

    Args:
        explain_on: device to explain the nodules on that were not rejected; without it, nothing is explained.
        header: what the CT's DICOM header says.

    Raises:
        InputError: the CT or the lungs are gone.
        Cancelled: the user cancelled.
    """
    reading = scene.reading_from_scene(findings)
    volume, lungs = scene.ct_and_lungs(findings)
    explanations = explanations_of(volume, lungs, reading.kept, explain_on, progress) if explain_on else {}
    follow_up = follow_up_of(findings, reading)
    prior = scene.prior_of(findings) if follow_up else None
    return examine(
        volume,
        lungs,
        reading,
        follow_up=follow_up,
        prior=volume_from_node(scene.ct_of(prior)) if prior else None,
        prior_uids=scene.reading_from_scene(prior).uids if prior else None,
        explanations=explanations,
        header=header,
    )


def report(
    findings: Node,
    folder: Path,
    formats: Collection[str],
    *,
    source: Path | None = None,
    explain_on: str | None = None,
    header: Exam | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Write reports of the findings into a folder.

    Args:
        formats: of ``report.export.FORMATS``.
        source: folder of the CT's DICOM files, which SEG and SR refer to; written beside them if not given.
        explain_on, header: as for ``content``.

    Raises:
        InputError: a format is not known, or the folder cannot be written to.
        Cancelled: the user cancelled.
    """
    progress = progress or Progress()
    told = content(findings, explain_on=explain_on, header=header, progress=progress.part(0.0, 0.6))
    return write_report(told, folder, formats, source=source, progress=progress.part(0.6, 1.0))


def export_csv(findings: Node, path: Path) -> Path:
    """Write all nodules, rejected ones too, with what was said and decided of each.

    Raises:
        InputError: the CT or the lungs are gone, or the folder cannot be written to.
    """
    return write_report_csv(content(findings), path)


def _change(findings: Node, change: Any) -> None:
    before = scene.reading_from_scene(findings)
    scene.write_reading(findings, before, change(before))


def _now() -> datetime:
    return datetime.now(timezone.utc).astimezone()
