"""A run of one of the catalogue's models as a task."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from SegmentationAILib.catalog.entry import Entry
from SegmentationAILib.engine.task import Task

_STRUCTURES = "structures"


def task_for(model_id: str, structures: Iterable[str] | None = None, device: str = "auto") -> Task:
    """The task that finds structures, by their ids in the catalogue (all if not given), with a model."""
    # Ids are words of letters, digits and underscores.
    options = {} if structures is None else {_STRUCTURES: ",".join(sorted(structures))}
    return Task(model_id, options, device)


def wanted_structures(task: Task) -> frozenset[str] | None:
    """Ids of the structures that a task is to find; None for all of the model's."""
    held = task.options.get(_STRUCTURES)
    return None if held is None else frozenset(filter(None, str(held).split(",")))


def parts_for(entry: Entry, structures: Collection[str] | None) -> Sequence[Mapping[str, Any]]:
    """The networks of a model of several that find a wanted structure; empty for other kinds of models."""
    parts = entry.settings.get("parts", ())
    if structures is None:
        return parts
    values = {value for value, name in entry.label_ids.items() if name in structures}
    return [part for part in parts if values & set(part["labels"].values())]
