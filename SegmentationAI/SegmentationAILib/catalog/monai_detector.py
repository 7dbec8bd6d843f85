"""Volume -> boxes by a MONAI detection bundle, as MONAI's own ``RetinaNetDetector`` would."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from numpy.typing import NDArray

from SegmentationAILib.catalog.monai_image import image_and_placing
from SegmentationAILib.catalog.monai_retinanet import Detector
from SegmentationAILib.catalog.monai_transforms import Image
from SegmentationAILib.engine.boxes import select
from SegmentationAILib.engine.cpu_layers import fast_on_cpu
from SegmentationAILib.engine.memory_plan import Placing, placing_for, with_less_memory
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.volume import Volume

_MAPS = ("classification", "box_regression")
# Bytes of the maps for each voxel, more than those of the bundle's three shapes at a 32nd of the voxels.
_SUMMED = 8


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
    batch: int | None = None,
    progress: Progress | None = None,
) -> Detections:
    """The boxes of a volume.

    Args:
        detector: as ``read_detector`` gives it.
        volume: HU for CT.
        spacing: mm along (i, j, k) of the network's grid, instead of what the bundle says.
        device: a torch device's name; where its memory ends, the CPU takes over part of the work or all.
        batch: windows that the network reads at once, at first; as many as fit into the memory if None.
        progress: told of each window, and of what is done otherwise for want of memory; its token cancels between
            windows.

    Raises:
        InputError: the volume's axes are not at right angles, there is no such device, or the memory does not suffice
            even on the CPU.
        Cancelled: the user cancelled.
    """
    progress = progress or Progress()

    def plan(image: Image, place: torch.device) -> Placing:
        side, count = _read(detector, image)
        if count == 1 and place.type == "cuda":
            # To measure takes as long as to run.
            return Placing(place, 1, place)
        maps = _SUMMED * math.prod(max(pair) for pair in zip(image.values.shape, side, strict=True))
        most = 2 ** int(math.log2(count))
        placing = placing_for(_network(detector, place), (1, *side), maps, place, batch, progress)
        return replace(placing, batch=min(placing.batch, most))

    image, placing = image_and_placing(detector.steps, volume, plan, spacing=spacing, device=device, progress=progress)
    found = with_less_memory(lambda placed: _detect(detector, image, placed, progress), placing, progress)
    progress(1.0, "Done")
    return found


def _read(detector: Detector, image: Image) -> tuple[tuple[int, ...], int]:
    """The side of what the network reads at once, and how often: windows, or the whole of an image smaller than one."""
    size = tuple(image.values.shape)
    padded = tuple(n + -n % by for n, by in zip(size, detector.divisible, strict=True))
    if math.prod(size) < math.prod(detector.windows.side):
        return padded, 1
    shape = tuple(max(pair) for pair in zip(padded, detector.windows.side, strict=True))
    return detector.windows.side, math.prod(len(starts) for starts in detector.windows.starts(shape))


def _network(detector: Detector, place: torch.device) -> torch.nn.Module:
    network = detector.network.to(place)
    return fast_on_cpu(network) if place.type == "cpu" else network


def _detect(detector: Detector, image: Image, placing: Placing, progress: Progress) -> Detections:
    size = tuple(image.values.shape)
    ends = [end for n, by in zip(size[::-1], detector.divisible[::-1], strict=True) for end in (0, -n % by)]
    padded = F.pad(image.values[None, None].to(placing.device), ends)
    network = _network(detector, placing.device)
    if math.prod(size) < math.prod(detector.windows.side):
        progress(0.05, "Running the model")
        maps = [part[0].to(placing.sums) for part in _forward(network, padded)]
    else:
        maps = _in_windows(detector, network, padded, placing, progress.part(0.05, 0.95))
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
    """Logits of each level, then offsets of each level, [n, channel, i, j, k] in single precision."""
    # bfloat16 has too few digits for offsets and scores.
    with torch.autocast("cuda", torch.float16) if image.device.type == "cuda" else nullcontext():
        found = network(image)
    return [part.float() for name in _MAPS for part in found[name]]


def _in_windows(
    detector: Detector, network: torch.nn.Module, image: torch.Tensor, placing: Placing, progress: Progress
) -> list[torch.Tensor]:
    """Maps of the whole image, [channel, i, j, k]: the mean of the windows that a place of a map lies in."""
    windows = detector.windows
    shape = tuple(image.shape[2:])
    missing = [max(0, side - n) for side, n in zip(windows.side, shape, strict=True)]
    before = [n // 2 for n in missing]
    ends = [end for n, b in zip(missing[::-1], before[::-1], strict=True) for end in (b, n - b)]
    image = F.pad(image, ends)
    places = list(product(*windows.starts(tuple(image.shape[2:]))))
    weight = torch.from_numpy(windows.weights()).to(placing.sums)[None, None]
    sums: list[torch.Tensor] = []
    weights: list[torch.Tensor] = []
    for first in range(0, len(places), placing.batch):
        progress(first / len(places), "Running the model")
        some = [
            tuple(slice(s, s + side) for s, side in zip(start, windows.side, strict=True))
            for start in places[first : first + placing.batch]
        ]
        weighed = weight
        for level, parts in enumerate(_forward(network, torch.cat([image[(..., *at)] for at in some]))):
            scale = [m / side for m, side in zip(parts.shape[2:], windows.side, strict=True)]
            # Each level's weights are made of the level's before, as in MONAI.
            weighed = F.interpolate(weighed, parts.shape[2:], mode="nearest-exact")
            if level == len(sums):
                size = [int(m * z) for m, z in zip(image.shape[2:], scale, strict=True)]
                sums.append(torch.zeros(parts.shape[1], *size, device=placing.sums))
                weights.append(torch.zeros(1, *size, device=placing.sums))
            for at, part in zip(some, parts.to(placing.sums), strict=True):
                there = tuple(slice(int(a.start * z), int(a.stop * z)) for a, z in zip(at, scale, strict=True))
                sums[level][(..., *there)] += part * weighed[0]
                weights[level][(..., *there)] += weighed[0]
    kept = []
    for total, weighed in zip(sums, weights, strict=True):
        scale = [m / n for m, n in zip(total.shape[1:], image.shape[2:], strict=True)]
        inner = [slice(round(b * z), round((b + n) * z)) for b, n, z in zip(before, shape, scale, strict=True)]
        kept.append((total / weighed)[(slice(None), *inner)])
    return kept
