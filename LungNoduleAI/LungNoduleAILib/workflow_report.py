"""What is told of findings that lie in the scene: warnings, explanations, reports."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from LungNoduleAILib import scene
from LungNoduleAILib.ct_quality import warnings_of
from LungNoduleAILib.examination import examine, explanations_of
from LungNoduleAILib.explanation.explain import explain as explain_nodule
from LungNoduleAILib.explanation.result import Explanation
from LungNoduleAILib.followup.exam import Exam
from LungNoduleAILib.report.content import ReportContent
from LungNoduleAILib.report.export import write_report
from LungNoduleAILib.report.reported_table import write_report_csv
from LungNoduleAILib.scene_influence import add_influence, explanation_in, influence_of
from LungNoduleAILib.workflow import informed
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.scene import volume_from_node

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
    entry = scene.reading_from_scene(findings)[nodule_id]
    volume, lungs = scene.ct_and_lungs(findings)
    found = explain_nodule(volume, lungs, entry.nodule, device=device, progress=progress or Progress())
    return add_influence(found, entry.nodule.name, entry.uid, findings), found


def explanation(findings: Node, nodule_id: int) -> tuple[Node, Explanation] | None:
    """What ``explain`` made of a nodule, as it lies in the scene; None where it was not explained.

    Raises:
        InputError: there is no such nodule, or the explanation is damaged.
    """
    held = influence_of(findings, scene.reading_from_scene(findings)[nodule_id].uid)
    return None if held is None else (held, explanation_in(held))


def content(
    findings: Node,
    *,
    explain_on: str | None = None,
    header: Exam | None = None,
    progress: Progress | None = None,
) -> ReportContent:
    """All that a report tells of the findings.

    Args:
        explain_on: device to explain those nodules on that were neither rejected nor explained before; without it,
            nothing is explained.
        header: what the CT's DICOM header says.

    Raises:
        InputError: the CT or the lungs are gone.
        Cancelled: the user cancelled.
    """
    reading, follow_up = informed(findings)
    volume, lungs = scene.ct_and_lungs(findings)
    explanations = {}
    if explain_on:
        held = {one.id: explanation(findings, one.id) for one in reading.kept}
        explanations = {key: one[1] for key, one in held.items() if one is not None}
        rest = [one for one in reading.kept if one.id not in explanations]
        explanations |= explanations_of(volume, lungs, rest, explain_on, progress)
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
