"""What a reader does with findings that lie in the scene, step by step: review and follow-up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from LungNoduleAILib import scene
from LungNoduleAILib.analysis_result import NODULES
from LungNoduleAILib.assessment import Assessment
from LungNoduleAILib.examination import assessments_of
from LungNoduleAILib.followup.comparison import FollowUp, compare_registered
from LungNoduleAILib.followup.exam import Exam, interval
from LungNoduleAILib.followup.table import COLUMNS
from LungNoduleAILib.followup.table import rows as table_rows
from LungNoduleAILib.guidelines.patient import Patient
from LungNoduleAILib.overview import Row, rows_of
from LungNoduleAILib.overview import looking_ahead as look_ahead
from LungNoduleAILib.panel_results import Case, Drawn, TwoCases
from LungNoduleAILib.prior_categories import categories_of, with_prior_categories
from LungNoduleAILib.reading import PriorLink, Reading
from LungNoduleAILib.review import Verdict
from LungNoduleAILib.scene_exam import exam_of as scene_exam_of
from SegmentationAILib.engine.background import background
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.steps import Call, Steps
from SegmentationAILib.engine.task import Task
from SegmentationAILib.errors import InputError
from SegmentationAILib.scene import volume_from_node

Node = Any  # a vtkMRMLNode; this file does not import slicer
# Where no module has done so.
background.offer("LungNoduleAILib.worker_tasks")


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
    """What the reader said of a nodule, and its category on the prior CT where that is known."""
    return informed(findings)[0][nodule_id].corrections


def can_undo(findings: Node) -> bool:
    """Whether there is a step to undo."""
    return bool(scene.reading_from_scene(findings).steps)


def rows(findings: Node) -> list[Row]:
    """A row for each nodule of the panel's table."""
    return rows_of(*informed(findings))


def looking_ahead(findings: Node) -> Steps[None]:
    """Work out in small steps what ``rows`` will need."""
    yield
    yield from look_ahead(*informed(findings))


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
    background.finish_here(measuring(findings, nodule_id, device), progress)


def measuring(findings: Node, nodule_id: int, device: str = "auto") -> Steps[None]:
    """The steps of ``measure_again``."""
    held = scene.reading_from_scene(findings)[nodule_id].nodule
    case = scene.case_of(findings)
    yield
    drawn = Drawn(case, scene.drawn_nodule(findings, held.name), nodule_id, held.score)
    nodule = yield Call("measure nodule", Task(NODULES, {}, device), drawn)
    scene.check_present(findings)
    before = scene.reading_from_scene(findings)
    scene.write_reading(findings, before, before.edited(nodule, _now()), drawn=nodule_id)


def add_nodule(
    findings: Node, ras: tuple[float, float, float], device: str = "auto", progress: Progress | None = None
) -> int:
    """Outline and measure a nodule that the detector missed, from a point near its middle; its id.

    Raises:
        InputError: the point lies outside the CT or the body, or in a nodule that is there; nothing was changed.
        Cancelled: the user cancelled; nothing was changed.
    """
    return background.finish_here(adding(findings, ras, device), progress)


def adding(findings: Node, ras: tuple[float, float, float], device: str = "auto") -> Steps[int]:
    """The steps of ``add_nodule``."""
    case = scene.case_of(findings)
    before = scene.reading_from_scene(findings)
    for one in before.nodules:
        k, j, i = (round(x) for x in one.mask.grid.ijk(ras)[::-1])
        shape = one.mask.occupancy.shape
        if all(0 <= n < size for n, size in zip((k, j, i), shape, strict=True)) and one.mask.occupancy[k, j, i] >= 0.5:
            raise InputError(f"The click lies in nodule {one.id}, which is there already; accept or edit that one.")
    options = {**dict(zip("ras", ras, strict=True)), "id": before.next_id}
    found = yield Call("outline nodule", Task(NODULES, options, device), case)
    scene.check_present(findings)
    before = scene.reading_from_scene(findings)
    scene.write_reading(findings, before, before.added(found.nodule, _now()), drawn=found.nodule.id)
    scene.write_segment(findings, found.nodule, found.inside)
    return found.nodule.id


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
    return background.finish_here(comparing(current, prior, days, exams), progress)


def comparing(
    current: Node, prior: Node, days: float | None = None, exams: tuple[Exam, Exam] | None = None
) -> Steps[FollowUp]:
    """The steps of ``compare``."""
    if current is prior:
        raise InputError("The prior findings are the current ones; choose those of an earlier CT.")
    now, then = exams or (Exam(), Exam())
    days = interval(now, then, days)
    now_case = scene.case_of(current)
    yield
    cases = TwoCases(now_case, scene.case_of(prior))
    found = yield Call("compare nodules", Task(NODULES, {"days": days}), cases)
    scene.check_present(current, prior)
    reading = scene.reading_from_scene(current)
    scene.link_prior(current, prior)
    scene.write_reading(current, reading, replace(reading, prior=PriorLink(found.registration, days)))
    lines = table_rows(found)
    columns = [(name, [line[n] for line in lines]) for n, name in enumerate(COLUMNS)]
    scene.add_pairs(columns, f"{cases.current.volume.name} follow-up", current)
    return found


def exam_of(volume_node: Node, folder: str | Path | None = None) -> Exam:
    """Whose CT a volume node is and of which day, by its DICOM files where their folder is known, else by the scene."""
    return background.finish_here(reading_exam(volume_node, folder))


def reading_exam(volume_node: Node, folder: str | Path | None = None) -> Steps[Exam]:
    """The steps of ``exam_of``."""
    if not folder:
        return scene_exam_of(volume_node)
    volume = volume_from_node(volume_node)
    # The files tell, not the voxels.
    token = replace(volume, array=volume.array[:1, :1, :1], grid=volume.grid.crop((0, 0, 0), (1, 1, 1)))
    return (yield Call("read exam", Task(NODULES), Case(token, folder=str(folder))))


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


def informed(findings: Node) -> tuple[Reading, FollowUp | None]:
    """The reading with what the prior CT tells of its nodules, and the comparison; None without one.

    Raises:
        InputError: a record is damaged.
    """
    reading = scene.reading_from_scene(findings)
    follow_up = follow_up_of(findings, reading)
    if follow_up is None:
        return reading, None
    prior = scene.prior_of(findings)
    earlier = scene.reading_from_scene(prior)
    before = categories_of(earlier.kept, follow_up_of(prior, earlier), earlier.corrections)
    return with_prior_categories(reading, follow_up, before), follow_up


def assessment(findings: Node, nodule_id: int) -> Assessment:
    """What guidelines and risk models say of a nodule.

    Raises:
        InputError: there is no such nodule.
    """
    reading, follow_up = informed(findings)
    reading[nodule_id]
    return assessments_of(reading, follow_up, only=nodule_id)[nodule_id]


def _change(findings: Node, change: Any) -> None:
    before = scene.reading_from_scene(findings)
    scene.write_reading(findings, before, change(before))


def _now() -> datetime:
    return datetime.now(timezone.utc).astimezone()
