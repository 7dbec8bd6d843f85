"""What every MONAI bundle's run begins with: the image as its network reads it, and where the network is to run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from SegmentationAILib.catalog.monai_transforms import Image, Space, Step
from SegmentationAILib.engine.device import choose_device
from SegmentationAILib.engine.memory_plan import Placing, with_less_memory
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.volume import Volume


def image_and_placing(
    steps: Sequence[Step],
    volume: Volume,
    plan: Callable[[Image, torch.device], Placing],
    *,
    spacing: Sequence[float] | None,
    device: str,
    progress: Progress,
) -> tuple[Image, Placing]:
    """The image that a network reads, and what fits into the memory.

    Args:
        steps: of the bundle.
        volume: HU for CT.
        plan: of the image and the device that it was prepared on, where and in how large pieces the network runs.
        spacing: mm along (i, j, k) of the network's grid, instead of what the bundle says.
        device: a torch device's name; where its memory does not hold even the image, the CPU takes over.
        progress: told of it.

    Raises:
        InputError: the volume's axes are not at right angles, there is no such device, or the memory does not suffice
            even on the CPU.
    """
    if not volume.grid.is_orthogonal:
        raise InputError("The volume's axes are not at right angles; resample it to a regular grid first.")
    place = choose_device(device)
    progress(0.0, "Preparing the image")

    def attempt(placing: Placing) -> tuple[Image, Placing]:
        image = _prepared(steps, volume, placing.device, spacing)
        return image, plan(image, placing.device)

    return with_less_memory(attempt, Placing(place, 1, place), progress)


def _prepared(steps: Sequence[Step], volume: Volume, place: torch.device, spacing: Sequence[float] | None) -> Image:
    array = np.ascontiguousarray(volume.array, dtype=np.float32)
    image = Image(torch.from_numpy(array).to(place).permute(2, 1, 0), volume.grid)
    for step in steps:
        other = spacing is not None and isinstance(step, Space)
        image = (Space(tuple(float(mm) for mm in spacing)) if other else step)(image)
    return Image(image.values.contiguous(), image.grid)
