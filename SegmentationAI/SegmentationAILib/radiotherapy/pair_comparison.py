"""One structure against another, as data that crosses to a worker process."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.task import Task
from SegmentationAILib.labels import content_box
from SegmentationAILib.metrics import compare
from SegmentationAILib.volume import Grid

# The task of a worker, and its option.
COMPARE, TOLERANCE = "compare", "tolerance_mm"


@dataclass(frozen=True, eq=False)
class MaskPair:
    """Two masks on one grid.

    Attributes:
        reference, test: bool [k, j, i].
        spacing_kji: voxel size along (k, j, i), mm.
    """

    reference: NDArray[np.bool_]
    test: NDArray[np.bool_]
    spacing_kji: tuple[float, float, float]


def mask_pair(reference: NDArray[np.bool_], test: NDArray[np.bool_], grid: Grid) -> MaskPair:
    """The masks, bool [k, j, i] on the grid, cropped to what they hold."""
    start, stop = content_box(reference | test)
    window = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    size_k, size_j, size_i = grid.spacing[::-1].tolist()
    return MaskPair(reference[window], test[window], (size_k, size_j, size_i))


def run_task(pair: MaskPair, task: Task, progress: Progress) -> dict[str, float]:
    """The figures of ``metrics.compare``, and the volumes ``reference_ml`` and ``test_ml``."""
    progress(0.0, "Comparing")
    figures = compare(pair.reference, pair.test, pair.spacing_kji, task.options[TOLERANCE])
    voxel_ml = float(np.prod(pair.spacing_kji)) / 1000
    volumes = {
        "reference_ml": np.count_nonzero(pair.reference) * voxel_ml,
        "test_ml": np.count_nonzero(pair.test) * voxel_ml,
    }
    progress(1.0, "Comparing")
    return figures | volumes
