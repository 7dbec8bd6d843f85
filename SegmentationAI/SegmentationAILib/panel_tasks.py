"""What the panel has computed by its worker, in the form that takes the scene the least time."""

from __future__ import annotations

import time

from SegmentationAILib import segmentation
from SegmentationAILib.catalog import timing
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.task import Task
from SegmentationAILib.labels import cropped
from SegmentationAILib.panel_results import Segmented
from SegmentationAILib.provenance import provenance_of
from SegmentationAILib.volume import Volume


def segment(volume: Volume | None, task: Task, progress: Progress | None = None) -> Segmented:
    """``segmentation.segment`` with how it was made; how long it took is kept for the next run's estimate.

    Raises:
        InputError, Cancelled: as ``segmentation.segment``.
    """
    progress = progress or Progress()
    started = time.monotonic()
    labels = segmentation.segment(volume, task, progress)
    duration = time.monotonic() - started
    timing.note(task, volume.grid, duration)
    return Segmented(cropped(labels), provenance_of(task, duration, progress.notes))
