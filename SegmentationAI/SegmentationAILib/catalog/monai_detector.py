"""Volume -> boxes by a MONAI detection bundle, as MONAI's own ``RetinaNetDetector`` would."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from numpy.typing import NDArray

from SegmentationAILib.catalog.monai_retinanet import Detector
from SegmentationAILib.catalog.monai_runner import prepared
from SegmentationAILib.engine.boxes import select
from SegmentationAILib.engine.cpu_layers import fast_on_cpu
from SegmentationAILib.engine.device import choose_device
from SegmentationAILib.engine.memory_plan import CPU, Placing, with_less_memory
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.volume import Volume

_MAPS = ("classification", "box_regression")


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in a volume, the highest score first.

    Attributes:
        centres: [n, 3] RAS mm.
        sizes: [n, 3] mm along ``directions``.
        directions: 3×3, columns are the unit vectors in RAS of the axes that the boxes lie along; they are nearly
            the axes of RAS where the volume's voxels are.
        scores: [n], in 0 to 1.
        classes: [n]; the bundle's first is 0.
    """

    centres: NDArray[np.float64]
    sizes: NDArray[np.float64]
    directions: NDArray[np.float64]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]


@torch.inference_mode()
def detect(
    detector: Detector,
    volume: Volume,
    *,
    spacing: Sequence[float] | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Detections:
    """The boxes of a volume.

    Args:
        detector: as ``read_detector`` gives it.
        volume: HU for CT.
        spacing: mm along (i, j, k) of the network's grid, instead of what the bundle says.
        device: a torch device's name; where its memory ends, the CPU does all.
        progress: told of each window, and of want of memory; its token cancels between windows.

    Raises:
        InputError: the volume's axes are not at right angles, there is no such device, or the memory does not suffice
            even on the CPU.
        Cancelled: the user cancelled.
    """
    progress = progress or Progress()
    if not volume.grid.is_orthogonal:
        raise InputError("The volume's axes are not at right angles; resample it to a regular grid first.")
    place = choose_device(device)
    progress(0.0, "Preparing the image")
    # The maps are stitched where the network runs, so there is nothing between it and the CPU.
    found = with_less_memory(
        lambda placing: _detect(detector, volume, spacing, placing.device, progress), Placing(place, 1, CPU), progress
    )
    progress(1.0, "Done")
    return found


def _detect(
    detector: Detector, volume: Volume, spacing: Sequence[float] | None, place: torch.device, progress: Progress
) -> Detections:
    image = prepared(detector.steps, volume, place, spacing)
    size = tuple(image.values.shape)
    ends = [end for n, by in zip(size[::-1], detector.divisible[::-1], strict=True) for end in (0, -n % by)]
    padded = F.pad(image.values[None, None], ends)
    network = detector.network.to(place)
    network = fast_on_cpu(network) if place.type == "cpu" else network
    whole = math.prod(size) < math.prod(detector.windows.side)
    maps = _forward(network, padded) if whole else _in_windows(detector, network, padded, progress.part(0.05, 0.95))
    half = len(maps) // 2
    found = select(maps[:half], maps[half:], detector.anchors, padded.shape[2:], size, detector.selection)
    corners = found.corners.double().cpu().numpy()
    return Detections(
        image.grid.ras((corners[:, :3] + corners[:, 3:]) / 2),
        (corners[:, 3:] - corners[:, :3]) * image.grid.spacing,
        image.grid.directions,
        found.scores.cpu().numpy(),
        found.classes.cpu().numpy(),
    )


def _forward(network: torch.nn.Module, image: torch.Tensor) -> list[torch.Tensor]:
    """Logits of each level, then offsets of each level, [channel, i, j, k] in single precision."""
    # bfloat16 has too few digits for offsets and scores.
    with torch.autocast("cuda", torch.float16) if image.device.type == "cuda" else nullcontext():
        found = network(image)
    return [part[0].float() for name in _MAPS for part in found[name]]


def _in_windows(
    detector: Detector, network: torch.nn.Module, image: torch.Tensor, progress: Progress
) -> list[torch.Tensor]:
    """As ``_forward``, the mean of the windows that a place of a map lies in."""
    windows = detector.windows
    shape = tuple(image.shape[2:])
    missing = [max(0, side - n) for side, n in zip(windows.side, shape, strict=True)]
    before = [n // 2 for n in missing]
    ends = [end for n, b in zip(missing[::-1], before[::-1], strict=True) for end in (b, n - b)]
    image = F.pad(image, ends)
    places = list(product(*windows.starts(tuple(image.shape[2:]))))
    sums: list[torch.Tensor] = []
    weights: list[torch.Tensor] = []
    for n, start in enumerate(places):
        progress(n / len(places), "Running the model")
        at = tuple(slice(s, s + side) for s, side in zip(start, windows.side, strict=True))
        weight = torch.from_numpy(windows.weights()).to(image.device)[None, None]
        for level, part in enumerate(_forward(network, image[(slice(None), slice(None), *at)])):
            scale = [m / side for m, side in zip(part.shape[1:], windows.side, strict=True)]
            # Each level's weights are made of the level's before, as in MONAI.
            weight = F.interpolate(weight, part.shape[1:], mode="nearest-exact")
            if level == len(sums):
                size = [int(m * z) for m, z in zip(image.shape[2:], scale, strict=True)]
                sums.append(torch.zeros(len(part), *size, device=image.device))
                weights.append(torch.zeros(1, *size, device=image.device))
            there = (slice(None), *(slice(int(a.start * z), int(a.stop * z)) for a, z in zip(at, scale, strict=True)))
            sums[level][there] += part * weight[0]
            weights[level][there] += weight[0]
    kept = []
    for total, weight in zip(sums, weights, strict=True):
        scale = [m / n for m, n in zip(total.shape[1:], image.shape[2:], strict=True)]
        inner = [slice(round(b * z), round((b + n) * z)) for b, n, z in zip(before, shape, scale, strict=True)]
        kept.append((total / weight)[(slice(None), *inner)])
    return kept
