"""From a chest CT to its lungs and nodules: the one path that panel, command line and demo take."""

from __future__ import annotations

from dataclasses import dataclass

from LungNoduleAILib import baseline, detection
from LungNoduleAILib.nodule import Nodule
from SegmentationAILib.checks import check_ct
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.task import Task
from SegmentationAILib.errors import InputError
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.organs import segment_lungs
from SegmentationAILib.volume import Volume

NODULES = "nodules"
BASELINE = "nodules-baseline"
DETECTORS = {NODULES: detection.detect, BASELINE: baseline.detect}

# Shares of the run's time, for the progress bar.
_LUNGS_END = 0.4


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found in one volume.

    Attributes:
        lungs: right lung, left lung and airway on the volume's grid.
        nodules: in order of falling score.
        task: what was run, to make the result again.
    """

    lungs: LabelMap
    nodules: tuple[Nodule, ...]
    task: Task


def analyze(volume: Volume | None, task: Task | None = None, progress: Progress | None = None) -> Findings:
    """Check the CT, segment the lungs, detect and measure the nodules.

    Args:
        volume: chest CT, HU.
        task: detector, one of ``DETECTORS``, device and options; ``threshold`` and ``max_nodules`` are
            passed to the detector.
        progress: told of each stage; its token cancels the run.

    Raises:
        InputError: the volume is not a chest CT that can be read, or there is no such detector; raised
            before any work where the voxels alone tell.
        Cancelled: the user cancelled.
    """
    task = task or Task(NODULES)
    progress = progress or Progress()
    progress(0.0, "Checking the CT")
    check_ct(volume)
    if task.model not in DETECTORS:
        raise InputError(f"There is no nodule detector '{task.model}'; choose one of: {', '.join(DETECTORS)}.")
    lungs = segment_lungs(volume, device=task.device, progress=progress.part(0.02, _LUNGS_END))
    detect = DETECTORS[task.model]
    nodules = detect(volume, lungs, device=task.device, progress=progress.part(_LUNGS_END, 1.0), **task.options)
    progress(1.0, "Done")
    return Findings(lungs, tuple(nodules), task)
