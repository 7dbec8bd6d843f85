"""What an operation makes of a volume."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.task import Option, Task
from SegmentationAILib.engine.worker.registry import load
from SegmentationAILib.enhancement.operations import OPERATION, checked, operation
from SegmentationAILib.volume import Volume


def enhance(
    volume: Volume,
    name: str,
    parameters: Mapping[str, Option] | None = None,
    progress: Progress | None = None,
    overview: Any = None,
    device: str = "cpu",
) -> Volume:
    """Run one of ``operations.OPERATIONS``.

    Args:
        volume: any.
        name: of the operation.
        parameters: those that are not to be the defaults.
        progress: told of the stages; its token cancels.
        overview: of the volume that this is a part of, as ``learnt_of`` gives it.
        device: torch device name, or "auto"; for what can use one.

    Raises:
        InputError: see ``operations.checked``, and the operation itself.
        Cancelled: the user cancelled.
    """
    held = operation(name)
    chosen = checked(name, parameters or {})
    more = {"overview": overview} if overview is not None else {}
    if held.on_device:
        more["device"] = device
    return load(held.run)(volume, **chosen, **more, progress=progress or Progress())


def learnt_of(
    volume: Volume, name: str, parameters: Mapping[str, Option], progress: Progress | None = None
) -> tuple[dict[str, Option], Any]:
    """What a part of the volume needs to become what it would in the whole.

    Returns:
        All parameters, with what is to be measured; and what ``enhance`` takes as ``overview``.

    Raises:
        InputError, Cancelled: see ``enhance``.
    """
    held = operation(name)
    chosen = checked(name, parameters)
    if held.measured:
        chosen = load(held.measured)(volume, **chosen)
    if not held.overview:
        return chosen, None
    return chosen, load(held.overview)(volume, **chosen, progress=progress or Progress())


def run_task(volume: Volume, task: Task, progress: Progress) -> Volume:
    """``enhance`` as a worker runs it: the operation and its parameters are the task's options."""
    options = dict(task.options)
    return enhance(volume, str(options.pop(OPERATION)), options, progress, device=task.device)
