"""What is told of findings that lie in the scene: warnings, explanations, reports."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from LungNoduleAILib import scene
from LungNoduleAILib.analysis_result import NODULES
from LungNoduleAILib.ct_quality import warnings_of
from LungNoduleAILib.explanation.result import Explanation
from LungNoduleAILib.followup.exam import Exam
from LungNoduleAILib.nodule import nodule_name
from LungNoduleAILib.panel_results import ToReport
from LungNoduleAILib.record import to_text
from LungNoduleAILib.scene_influence import add_influence, explanation_in, influence_of, is_outdated
from LungNoduleAILib.workflow import informed
from SegmentationAILib.engine.background import background
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.steps import Call, Steps
from SegmentationAILib.engine.task import Task
from SegmentationAILib.scene import volume_from_node

if TYPE_CHECKING:
    from LungNoduleAILib.report.content import ReportContent

Node = Any  # a vtkMRMLNode; this file does not import slicer


def warnings(findings: Node, header: Exam | None = None) -> list[str]:
    """Sentences on what in the CT makes its nodules less sure.

    Raises:
        InputError: the CT or the lungs are gone.
    """
    volume, lungs = scene.ct_and_lungs(findings)
    return warnings_of(volume, lungs, scene.reading_from_scene(findings).kept, header)


def explain(
    findings: Node, nodule_id: int, device: str = "auto", progress: Progress | None = None
) -> tuple[Node, Explanation]:
    """What in the CT speaks for a nodule, as a volume node, and the most similar nodules of the training set.

    Raises:
        InputError: there is no such nodule.
        Cancelled: the user cancelled.
    """
    return background.finish_here(explaining(findings, nodule_id, device), progress)


def explaining(findings: Node, nodule_id: int, device: str = "auto") -> Steps[tuple[Node, Explanation]]:
    """The steps of ``explain``."""
    entry = scene.reading_from_scene(findings)[nodule_id]
    found = yield Call("explain nodule", Task(NODULES, {"id": nodule_id}, device), scene.case_of(findings))
    scene.check_present(findings)
    return add_influence(found, entry.nodule.name, entry.uid, findings), found


def explanation(findings: Node, nodule_id: int) -> tuple[Node, Explanation] | None:
    """What ``explain`` made of a nodule, as it lies in the scene; None where it was not explained in its outline.

    Raises:
        InputError: there is no such nodule, or the explanation is damaged.
    """
    held = held_explanation(findings, nodule_id)
    return None if held is None or held[1] is None else held


def held_explanation(findings: Node, nodule_id: int) -> tuple[Node, Explanation | None] | None:
    """As ``explanation``, with None in place of what was said of another outline than the segment has now.

    Raises:
        InputError: as ``explanation``.
    """
    held = _influence(findings, nodule_id)
    if held is None:
        return None
    return held, None if is_outdated(held, nodule_name(nodule_id), findings) else explanation_in(held)


def _influence(findings: Node, nodule_id: int) -> Node | None:
    return influence_of(findings, scene.reading_from_scene(findings)[nodule_id].uid)


def content(
    findings: Node, *, source: Path | None = None, explain_on: str | None = None, progress: Progress | None = None
) -> ReportContent:
    """All that a report tells of the findings.

    Args:
        source: folder of the CT's DICOM files.
        explain_on: device to explain those nodules on that were neither rejected nor explained before; without it,
            nothing is explained.

    Raises:
        InputError: the CT or the lungs are gone.
        Cancelled: the user cancelled.
    """
    from LungNoduleAILib.panel_tasks import content_of  # needs torch  # noqa: PLC0415

    return content_of(_told(findings, source, explain_on), explain_on, progress)


def _told(findings: Node, source: Path | None, explain_on: str | None) -> ToReport:
    """What a report is made of."""
    reading, follow_up = informed(findings)
    case = scene.case_of(findings, str(source or ""))
    prior = scene.prior_of(findings) if follow_up else None
    held = {one.id: explanation(findings, one.id) for one in reading.kept} if explain_on else {}
    return ToReport(
        replace(case, record=to_text(reading, case.volume.grid)),
        follow_up,
        volume_from_node(scene.ct_of(prior)) if prior else None,
        dict(scene.reading_from_scene(prior).uids) if prior else {},
        {key: one[1] for key, one in held.items() if one is not None},
    )


def report(
    findings: Node,
    folder: Path,
    formats: Collection[str],
    *,
    source: Path | None = None,
    explain_on: str | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Write reports of the findings into a folder.

    Args:
        formats: of ``report.export.FORMATS``.
        source: folder of the CT's DICOM files, which SEG and SR refer to; written beside them if not given.
        explain_on: as for ``content``.

    Raises:
        InputError: a format is not known, or the folder cannot be written to.
        Cancelled: the user cancelled.
    """
    return background.finish_here(reporting(findings, folder, formats, source=source, explain_on=explain_on), progress)


def reporting(
    findings: Node,
    folder: Path,
    formats: Collection[str],
    *,
    source: Path | None = None,
    explain_on: str | None = None,
) -> Steps[list[Path]]:
    """The steps of ``report``."""
    options = {"folder": str(folder), "formats": ",".join(formats), "explain": bool(explain_on)}
    answer = yield Call(
        "report nodules", Task(NODULES, options, explain_on or "auto"), _told(findings, source, explain_on)
    )
    return [Path(one) for one in answer["files"]]


def export_csv(findings: Node, path: Path) -> Path:
    """Write all nodules, rejected ones too, with what was said and decided of each.

    Raises:
        InputError: the CT or the lungs are gone, or the folder cannot be written to.
    """
    from LungNoduleAILib.report.reported_table import write_report_csv  # takes long to import  # noqa: PLC0415

    return write_report_csv(content(findings), path)
