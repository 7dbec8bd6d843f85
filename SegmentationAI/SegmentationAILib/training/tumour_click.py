"""What the tumour-from-clicks network learns from, and how: sampled voxels of clicked tumours, BCE and soft Dice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn.functional import binary_cross_entropy_with_logits

from SegmentationAILib.preprocess import resample
from SegmentationAILib.radiotherapy.tumour_features import NAMES, features
from SegmentationAILib.radiotherapy.tumour_model import VoxelNetwork
from SegmentationAILib.radiotherapy.tumour_window import window_around
from SegmentationAILib.volume import Volume

# Voxels of tumour, of other tissue and of lung that are drawn from each tumour's window.
_DRAWN = (200, 200, 80)
_LUNG_DENSITY = 0.15
# Lung fills most of a small tumour's window; in the cross-entropy none of its voxels counts for more than this
# share of the tumour.
_MOST_WEIGHT = 0.05
WIDTHS = (32, 16)
EPOCHS, BATCH_CASES, RATE, DECAY = 40, 32, 3e-3, 1e-3


@dataclass(frozen=True, eq=False)
class Samples:
    """Voxels of one clicked tumour.

    Attributes:
        maps: float32 [n, feature].
        tumour: bool [n].
        stands_for: float32 [n], how many voxels of the window each is drawn from.
    """

    maps: NDArray[np.float32]
    tumour: NDArray[np.bool_]
    stands_for: NDArray[np.float32]


def inner_point(region: NDArray[np.bool_], volume: Volume, rng: np.random.Generator | None = None) -> NDArray:
    """RAS of the voxel deepest in the region's largest part, or of a random one at least half as deep."""
    labels, _ = ndimage.label(region)
    largest = labels == np.bincount(labels[region]).argmax()
    box = ndimage.find_objects(largest.astype(np.uint8))[0]
    depth = ndimage.distance_transform_edt(np.pad(largest[box], 1), sampling=volume.spacing[::-1])[1:-1, 1:-1, 1:-1]
    places = np.argwhere(depth >= (1.0 if rng is None else 0.5) * depth.max())
    chosen = places[0 if rng is None else int(rng.integers(len(places)))]
    return volume.grid.ras((chosen + [side.start for side in box])[::-1])


def draw(
    volume: Volume, mask: NDArray[np.bool_], rng: np.random.Generator, *, random_click: bool = False
) -> Samples | None:
    """Voxels around a click on a tumour; None where the window's voxels show none of it.

    Args:
        volume: CT, HU.
        mask: bool [k, j, i], the tumour on the volume's grid.
        rng: draws voxels, and the click.
        random_click: click at a random inner point, else at the most interior one.
    """
    window = window_around(volume, inner_point(mask, volume, rng if random_click else None))
    maps = features(window).reshape(len(NAMES), -1)
    tumour = resample(mask.astype(np.float32), volume.grid, window.grid).ravel() >= 0.5
    if not tumour.any():
        return None
    lung = ~tumour & (maps[NAMES.index("density within 1 mm")] <= _LUNG_DENSITY)
    chosen, stands_for = [], []
    for stratum, most in zip((tumour, ~tumour & ~lung, lung), _DRAWN, strict=True):
        places = np.flatnonzero(stratum)
        taken = rng.choice(places, min(most, len(places)), replace=False)
        chosen.append(taken)
        stands_for.append(np.full(len(taken), len(places) / max(len(taken), 1), dtype=np.float32))
    at = np.concatenate(chosen)
    return Samples(np.ascontiguousarray(maps[:, at].T), tumour[at], np.concatenate(stands_for))


def loss(odds: torch.Tensor, tumour: torch.Tensor, stands_for: torch.Tensor) -> torch.Tensor:
    """Mean over tumours of weighted cross-entropy and one less soft Dice; all [tumour, voxel], weight 0 is padding."""
    volume = (stands_for * tumour).sum(1, keepdim=True)
    entropy = binary_cross_entropy_with_logits(odds, tumour, reduction="none")
    weight = torch.clamp(stands_for / volume, max=_MOST_WEIGHT)
    share = torch.sigmoid(odds) * stands_for
    overlap = (share * tumour).sum(1) / (share.sum(1) + volume[:, 0])
    return (entropy * weight).sum(1).mean() + (1 - 2 * overlap).mean()


def fit(drawn: Iterable[Samples], seed: int, epochs: int = EPOCHS) -> tuple[VoxelNetwork, list[float]]:
    """A network and the mean loss of each epoch; the same input and seed give the same weights on one machine.

    Raises:
        ValueError: nothing was drawn.
    """
    held = list(drawn)
    if not held:
        raise ValueError("there is no tumour to learn from")
    torch.manual_seed(seed)
    network = VoxelNetwork(WIDTHS)
    rows = np.concatenate([one.maps for one in held])
    network.mean.copy_(torch.from_numpy(rows.mean(axis=0)))
    network.spread.copy_(torch.from_numpy(np.maximum(rows.std(axis=0), 1e-3)))
    maps, tumour, stands_for = (_padded([getattr(one, name) for one in held]) for name in Samples.__annotations__)
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    steps = epochs * -(-len(held) // BATCH_CASES)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    course = []
    for _ in range(epochs):
        losses = []
        for at in torch.randperm(len(held)).split(BATCH_CASES):
            odds = network(maps[at].flatten(0, 1)).reshape(len(at), -1)
            value = loss(odds, tumour[at], stands_for[at])
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
            schedule.step()
            losses.append(value.item())
        course.append(float(np.mean(losses)))
    return network.eval(), course


def _padded(arrays: list[NDArray]) -> torch.Tensor:
    longest = max(len(one) for one in arrays)
    padded = np.zeros((len(arrays), longest, *arrays[0].shape[1:]), dtype=np.float32)
    for row, one in zip(padded, arrays, strict=True):
        row[: len(one)] = one
    return torch.from_numpy(padded)
