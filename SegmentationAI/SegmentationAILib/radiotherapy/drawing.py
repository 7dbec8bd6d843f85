"""The structures of a protocol that the built-in methods draw."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.organ_model import segment_organs
from SegmentationAILib.organs import segment_external, segment_lungs
from SegmentationAILib.radiotherapy.structure_set import Origin, RTStructure, StructureSet
from SegmentationAILib.radiotherapy.template import Template, TemplateStructure
from SegmentationAILib.terminology import Code
from SegmentationAILib.volume import Volume

Drawn = dict[str, tuple[NDArray[np.bool_], Code | None]]


def draw_missing(
    template: Template,
    structure_set: StructureSet,
    volume: Volume,
    *,
    device: str = "auto",
    progress: Progress | None = None,
) -> StructureSet:
    """Add those structures of a template that a built-in task draws and the set does not hold.

    What the user drew stays as it is, and a task none of whose structures is missing does not run. A
    structure that its task does not find in the CT is left out.

    Args:
        template: its structures name their tasks.
        structure_set: on the volume's grid.
        volume: the CT, HU.
        device: where networks run.
        progress: told of each stage; its token cancels.

    Raises:
        InputError: the template names a task that there is none of, or the CT does not show what a task draws.
        Cancelled: the user cancelled.
    """
    progress = progress or Progress()
    wanted = [one for one in template.structures if one.task and one.name not in structure_set]
    unknown = sorted({one.task for one in wanted} - set(TASKS))
    if unknown:
        raise InputError(
            f"The protocol '{template.name}' names the task '{unknown[0]}', which there is none of; correct it in "
            f"{template.path.name} to one of: {', '.join(TASKS)}."
        )
    tasks = list(dict.fromkeys(one.task for one in wanted))
    for n, task in enumerate(tasks):
        drawn = TASKS[task](volume, device, progress.part(n / len(tasks), (n + 1) / len(tasks)))
        for one in wanted:
            if one.task == task and one.name in drawn:
                structure_set = structure_set.with_structure(_structure(one, *drawn[one.name]))
    return structure_set


def _structure(one: TemplateStructure, mask: NDArray[np.bool_], code: Code | None) -> RTStructure:
    model = f"built-in {one.task}"
    return RTStructure(one.name, one.role, mask, one.colour, Origin.AUTOMATIC, code=code, model=model)


def _lungs(volume: Volume, device: str, progress: Progress) -> Drawn:
    labels = segment_lungs(volume, device=device, progress=progress)
    return {one.tg263: (labels.array == value, one.type) for value, one in labels.structures.items()}


def _organs(volume: Volume, device: str, progress: Progress) -> Drawn:
    labels = segment_organs(volume, device=device, progress=progress)
    return {one.tg263: (labels.array == value, one.type) for value, one in labels.structures.items()}


def _body(volume: Volume, device: str, progress: Progress) -> Drawn:
    progress(0.0, "Finding the body")
    return {"External": (segment_external(volume, device=device), None)}


TASKS: dict[str, Callable[[Volume, str, Progress], Drawn]] = {"lungs": _lungs, "organs": _organs, "body": _body}
