"""What the panel has computed by its worker, in the form that takes the scene the least time."""

from __future__ import annotations

import time

from LungNoduleAILib import analysis
from LungNoduleAILib.analysis_result import Findings
from LungNoduleAILib.ct_quality import warnings_of
from LungNoduleAILib.followup.exam import Exam, read_exam
from LungNoduleAILib.layers import nodule_layers
from LungNoduleAILib.panel_results import Case, Detected
from LungNoduleAILib.reading import reading_of
from LungNoduleAILib.record import to_text
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.task import Task
from SegmentationAILib.errors import InputError
from SegmentationAILib.labels import cropped
from SegmentationAILib.provenance import Provenance, provenance_of


def detect(case: Case, task: Task, progress: Progress | None = None) -> Detected:
    """``analysis.analyze``, made ready for the scene.

    Raises:
        InputError, Cancelled: as ``analysis.analyze``.
    """
    started = time.monotonic()
    findings = analysis.analyze(case.volume, task, progress)
    provenance = provenance_of(task, time.monotonic() - started)
    warnings = warnings_of(case.volume, findings.lungs, findings.nodules, header_of(case))
    return made_ready(findings, tuple(warnings), provenance)


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


def header_of(case: Case) -> Exam | None:
    """What the CT's DICOM header says; None where its files are not found."""
    try:
        return read_exam(case.folder, case.volume) if case.folder else None
    except InputError:
        return None
