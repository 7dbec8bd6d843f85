"""Stands for what the panels have computed, in a real worker process: told by files what to do."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from LungNoduleAILib.analysis_result import Findings
from LungNoduleAILib.panel_results import Case, Detected
from LungNoduleAILib.reading import reading_of
from LungNoduleAILib.record import to_text
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.task import Task
from SegmentationAILib.engine.worker.registry import Entry
from SegmentationAILib.errors import InputError
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.panel_results import Segmented
from SegmentationAILib.provenance import Provenance
from SegmentationAILib.radiotherapy.panel_results import Built, Edited
from SegmentationAILib.terminology import LEFT_LUNG, RIGHT_LUNG
from SegmentationAILib.volume import Volume

FOLDER = "THORAXAI_PANEL_CASES"
_STEP_S = 0.01


def segment(volume: Volume, task: Task, progress: Progress) -> Segmented:
    """The two halves of the volume."""
    _follow(progress)
    return Segmented(_halves(volume), _provenance(task))


def detect(case: Case, task: Task, progress: Progress) -> Detected:
    """The two halves of the volume, without a nodule."""
    _follow(progress)
    findings = Findings(_halves(case.volume), (), task)
    return Detected(findings, (), to_text(reading_of(findings), case.volume.grid), (), _provenance(task))


def rebuild(held: Edited, task: Task, progress: Progress) -> Built:
    """What a worker makes, when it is told to."""
    # Needs torch, which a panel does without.
    from SegmentationAILib.radiotherapy import panel_tasks  # noqa: PLC0415

    _follow(progress)
    return panel_tasks.rebuild(held, task, progress)


def _follow(progress: Progress) -> None:
    """Works until the file "go" is there; prints, fails or refuses where a file of that name is there."""
    folder = Path(os.environ[FOLDER])
    (folder / "begun").touch()
    sys.stdout.write("last words of the worker\n")
    steps = 0
    while not (folder / "go").exists():
        steps += 1
        progress(1.0 - 1.0 / (1.0 + 0.01 * steps), "Working")
        time.sleep(_STEP_S)
    if (folder / "refuse").exists():
        raise InputError("This CT does not show the lungs; choose a chest CT.")


def _halves(volume: Volume) -> LabelMap:
    labels = np.ones(volume.shape, np.uint8)
    labels[..., : volume.shape[2] // 2] = 2
    return LabelMap(labels, volume.grid, {1: RIGHT_LUNG, 2: LEFT_LUNG})


def _provenance(task: Task) -> Provenance:
    return Provenance(replace(task), '{"id": "stand-in", "sha256": "00"}', "cpu", 1.5)


TASKS = {
    "rebuild structures": Entry(
        f"{__name__}:rebuild",
        "SegmentationAILib.radiotherapy.panel_results:Built",
        "SegmentationAILib.radiotherapy.panel_results:Edited",
    ),
    "segment": Entry(f"{__name__}:segment", "SegmentationAILib.panel_results:Segmented"),
    "detect": Entry(
        f"{__name__}:detect", "LungNoduleAILib.panel_results:Detected", "LungNoduleAILib.panel_results:Case"
    ),
}
