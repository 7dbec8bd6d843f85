"""How long models took on this computer, and so how long the next run will take."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from SegmentationAILib.catalog.listing import entry as entry_of
from SegmentationAILib.catalog.store import models_folder
from SegmentationAILib.catalog.tasks import parts_for, wanted_structures
from SegmentationAILib.engine.task import Task
from SegmentationAILib.errors import InputError
from SegmentationAILib.volume import Grid
from SegmentationAILib.writing import atomic_write

_FILE = "run-times.json"
_KEPT_RUNS = 5
_MM3_PER_LITRE = 1e6


@dataclass(frozen=True)
class Estimate:
    """What a run will take.

    Attributes:
        runs: on this computer that it is the median of.
    """

    seconds: float
    runs: int


def note(task: Task, grid: Grid, seconds: float) -> None:
    """Keep what a run on a grid took; where the models' folder cannot be written to, nothing is kept."""
    held = _held()
    runs = held.setdefault(task.model, {}).setdefault(task.device, [])
    runs.append(seconds / _work(task.model, wanted_structures(task), grid))
    del runs[:-_KEPT_RUNS]
    with suppress(InputError), atomic_write(models_folder() / _FILE) as file:
        file.write_text(json.dumps(held, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def estimate(task: Task, grid: Grid) -> Estimate | None:
    """What a run on a grid will take, by this model's runs on this device; None where there was none.

    A network resamples to a spacing of its own, so that its work grows with the volume in litres, not with the voxels.
    """
    return estimates([task], grid)[task.model]


def estimates(tasks: Iterable[Task], grid: Grid) -> dict[str, Estimate | None]:
    """As ``estimate``, by model, for tasks of different models."""
    held = _held()
    return {task.model: _estimate(task, grid, held.get(task.model, {}).get(task.device, [])) for task in tasks}


def _estimate(task: Task, grid: Grid, runs: Sequence[float]) -> Estimate | None:
    if not runs:
        return None
    from statistics import median  # takes long to import  # noqa: PLC0415

    return Estimate(median(runs) * _work(task.model, wanted_structures(task), grid), len(runs))


def _work(model_id: str, structures: Collection[str] | None, grid: Grid) -> float:
    """Litres times networks."""
    litres = grid.voxel_volume * float(grid.shape[0] * grid.shape[1] * grid.shape[2]) / _MM3_PER_LITRE
    return litres * max(1, len(parts_for(entry_of(model_id), structures)))


def _held() -> dict[str, dict[str, list[float]]]:
    """Seconds for a litre and a network, by model and device; empty where there is no file, or a damaged one."""
    try:
        held = json.loads((models_folder() / _FILE).read_text(encoding="utf-8"))
        return {
            str(model): {str(device): [float(one) for one in runs] for device, runs in devices.items()}
            for model, devices in held.items()
        }
    except (OSError, ValueError, TypeError, AttributeError, ImportError):
        return {}
