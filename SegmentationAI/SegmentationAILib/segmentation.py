"""A task as data -> labels: what the panel and the worker process run."""

from __future__ import annotations

from SegmentationAILib.catalog.listing import entry
from SegmentationAILib.catalog.tasks import wanted_structures
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
    """Run a model of the catalogue; a CT for a built-in one is checked first.

    Args:
        volume: of the modality that the model reads; CT in HU.
        task: as ``task_for`` makes it: the model's id, the wanted structures and the device.
        progress: told of each stage; its token cancels the run.

    Returns:
        Labels on the volume's grid.

    Raises:
        InputError: there is no such model, it is not on this computer, or it does not read such a volume.
        Cancelled: the user cancelled.
    """
    from SegmentationAILib.catalog.running import run  # knows this module's methods  # noqa: PLC0415

    model = entry(task.model)
    if model.built_in:
        check_ct(volume)
    elif volume is None:
        raise InputError("No volume is selected; choose one.")
    return run(model, volume, structures=wanted_structures(task), device=task.device, progress=progress or Progress())
