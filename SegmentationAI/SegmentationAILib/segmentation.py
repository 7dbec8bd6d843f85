"""A task as data -> labels: what panel, command line and worker process run."""

from __future__ import annotations

from SegmentationAILib.checks import check_ct
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.task import Task
from SegmentationAILib.errors import InputError
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.organ_model import segment_organs
from SegmentationAILib.organs import segment_lungs
from SegmentationAILib.volume import Volume

METHODS = {"lungs": segment_lungs, "organs": segment_organs}


def segment(volume: Volume | None, task: Task, progress: Progress | None = None) -> LabelMap:
    """Check the CT and segment it.

    Args:
        volume: chest CT, HU.
        task: method, one of ``METHODS``, and device.
        progress: told of each stage; its token cancels the run.

    Returns:
        Labels on the volume's grid.

    Raises:
        InputError: the volume is not a chest CT that can be read, there is no such method, or a built-in
            model is missing.
        Cancelled: the user cancelled.
    """
    check_ct(volume)
    if task.model not in METHODS:
        raise InputError(f"There is no task '{task.model}'; choose one of: {', '.join(METHODS)}.")
    return METHODS[task.model](volume, device=task.device, progress=progress or Progress())
