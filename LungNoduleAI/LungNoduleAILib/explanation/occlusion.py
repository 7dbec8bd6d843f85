"""How much each place around a nodule moves the detector's answer: occlusion (Zeiler and Fergus, ECCV 2014).

Blobs with soft edges are replaced by lung, one at a time, and the detector looks again. Its answer is
the logit of the heat map's highest voxel at the nodule: what the search saw. Its score is made of that and of a second
look at the same place, which is not asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleAILib.explanation.filling import lung_texture
from LungNoduleAILib.network import HEAT_STRIDE, HU_RANGE, STRIDE, NoduleNetwork, normalized
from LungNoduleAILib.search import AIR_HU, SearchSpace
from SegmentationAILib.engine.device import choose_device
from SegmentationAILib.engine.progress import Progress

# How far from the nodule blobs are centred, mm.
REACH_MM = 8.0
# Between blobs, mm; further apart where there would be too many.
_LEAST_STEP_MM, _STEP_GROWTH = 3.0, 1.08
# Half a blob's width, in steps: each voxel is in several blobs.
_HALF_WIDTH = 1.5
# In all windows that the network sees: five seconds of one processor core. Of a large nodule, whose window is
# larger, there are fewer and larger blobs; small holes in it would take away little.
_MOST_VOXELS = 64 * 48**3
_BATCH_VOXELS = 8 * 48**3
# Less than this is noise of the lung itself.
_SAME_HU, _NOISE_MM = 100.0, 0.7
# A blob that changes less than so many voxels by half of the network's range is not tried.
_LEAST_CHANGE = 0.5


@dataclass(frozen=True, eq=False)
class Blob:
    """A place that is replaced, with a weight of 0…1 that falls to 0 at its edge."""

    window: tuple[slice, slice, slice]
    weight: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Influence:
    """Of the voxels of a search space on the detector's answer at one nodule.

    Attributes:
        values: float32 [k, j, i], logit per ml: by how much the answer falls where the voxels become lung; 0 where
            they are lung already.
        logit: the answer where nothing is replaced.
    """

    values: NDArray[np.float32]
    logit: float


class Answer:
    """The detector's answer at one nodule, for windows of HU.

    Args:
        network: the detector's.
        nodule: bool [k, j, i], the nodule in the window; the highest heat in it and in the 2 mm blocks
            that touch it counts.
        device: a torch device's name.
    """

    def __init__(self, network: NoduleNetwork, nodule: NDArray[np.bool_], device: str = "auto") -> None:
        self._place = choose_device(device)
        self._network = network.eval().to(self._place, memory_format=torch.channels_last_3d)
        self._padding = [(0, -n % STRIDE) for n in nodule.shape]
        blocks = np.pad(nodule, self._padding)
        k, j, i = (n // HEAT_STRIDE for n in blocks.shape)
        blocks = blocks.reshape(k, HEAT_STRIDE, j, HEAT_STRIDE, i, HEAT_STRIDE).any(axis=(1, 3, 5))
        self._site = torch.from_numpy(ndimage.binary_dilation(blocks)).to(self._place)

    def __call__(self, windows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Logits [n] of windows [n, k, j, i]."""
        padded = np.pad(windows, [(0, 0), *self._padding], constant_values=AIR_HU)
        patches = normalized(torch.from_numpy(padded).to(self._place))[:, None]
        # In float32 on every device: differences of a few hundredths count.
        with torch.inference_mode():
            heat = self._network(patches).heat[:, 0]
        return heat[:, self._site].amax(dim=1).double().cpu().numpy()


def influence(
    network: NoduleNetwork,
    space: SearchSpace,
    nodule: NDArray[np.bool_],
    *,
    device: str = "auto",
    progress: Progress | None = None,
) -> Influence:
    """Replace one blob after the other and ask the detector again.

    A blob's fall of the answer is shared among its voxels as their density was changed, so that what was lung
    before has no part in it; where blobs overlap, their mean counts.

    Args:
        network: the detector's.
        space: the nodule and its surroundings, which begin at a multiple of 16 voxels of the detector's own
            search space.
        nodule: bool [k, j, i] on the space.
        device: a torch device's name.
        progress: told of each batch; its token cancels between them.

    Raises:
        InputError: there is no such device.
        Cancelled: the user cancelled.
    """
    progress = progress or Progress()
    answer = Answer(network, nodule, device)
    lung = lung_texture(space.hu, space.lungs, nodule)
    change = _change(space.hu, lung)
    whole = float(answer(space.hu[None])[0])
    blobs = blobs_around(nodule, change, _MOST_VOXELS // nodule.size)
    falls = np.zeros(len(blobs))
    size = max(1, _BATCH_VOXELS // nodule.size)
    for first in range(0, len(blobs), size):
        progress(first / len(blobs), "Asking the detector what it saw")
        batch = blobs[first : first + size]
        falls[first : first + size] = whole - answer(np.stack([replaced(space.hu, lung, blob) for blob in batch]))
    progress(1.0, "Asked")
    per_ml = 1000.0 * change * _shares(blobs, change, falls)
    return Influence(per_ml.astype(np.float32), whole)


def replaced(hu: NDArray[np.float32], lung: NDArray[np.float32], blob: Blob) -> NDArray[np.float32]:
    """HU with lung in the blob's place."""
    changed = hu.copy()
    changed[blob.window] += blob.weight * (lung[blob.window] - hu[blob.window])
    return changed


def blobs_around(nodule: NDArray[np.bool_], change: NDArray[np.float32], most: int) -> list[Blob]:
    """Blobs on a lattice over the nodule and ``REACH_MM`` around it, as near to each other as ``most`` allows.

    Args:
        nodule: bool [k, j, i], not empty.
        change: [k, j, i], how much a voxel changes where it is replaced; blobs that change nothing are left out.
        most: blobs, at least one.
    """
    step = _LEAST_STEP_MM
    while len(found := _lattice(nodule, change, step)) > most:
        step *= _STEP_GROWTH
    return found


def _change(hu: NDArray[np.float32], lung: NDArray[np.float32]) -> NDArray[np.float32]:
    """By how much replacing changes what the network sees of a voxel, as a share of its range of HU."""
    seen = np.clip(hu, *HU_RANGE) - lung
    beyond_noise = np.abs(ndimage.gaussian_filter(seen, _NOISE_MM)) - _SAME_HU
    return (np.maximum(beyond_noise, 0.0) / (HU_RANGE[1] - HU_RANGE[0])).astype(np.float32)


def _shares(blobs: Sequence[Blob], change: NDArray[np.float32], falls: NDArray[np.float64]) -> NDArray[np.float64]:
    """By how much the answer falls for each unit of a voxel's change, averaged over the blobs that hold it."""
    shares = np.zeros(change.shape)
    weights = np.full(change.shape, 1e-6)
    for blob, fall in zip(blobs, falls, strict=True):
        shares[blob.window] += blob.weight * (fall / (blob.weight * change[blob.window]).sum())
        weights[blob.window] += blob.weight
    return shares / weights


def _lattice(nodule: NDArray[np.bool_], change: NDArray[np.float32], step: float) -> list[Blob]:
    centre = np.argwhere(nodule).mean(axis=0)
    away = ndimage.distance_transform_edt(~nodule)
    lines = [
        c + step * np.arange(-np.floor(c / step), np.floor((n - 1 - c) / step) + 1)
        for c, n in zip(centre, nodule.shape, strict=True)
    ]
    near = [place for place in product(*lines) if away[tuple(round(c) for c in place)] <= REACH_MM]
    blobs = [_blob(place, _HALF_WIDTH * step, nodule.shape) for place in near]
    return [blob for blob in blobs if (blob.weight * change[blob.window]).sum() >= _LEAST_CHANGE]


def _blob(centre: Sequence[float], half: float, shape: tuple[int, ...]) -> Blob:
    """A raised cosine along each axis."""
    low = [max(0, int(np.ceil(c - half))) for c in centre]
    high = [min(n, int(np.floor(c + half)) + 1) for c, n in zip(centre, shape, strict=True)]
    k, j, i = (np.cos(np.pi / 2 * (np.arange(a, b) - c) / half) ** 2 for a, b, c in zip(low, high, centre, strict=True))
    weight = k[:, None, None] * j[:, None] * i
    return Blob(tuple(slice(a, b) for a, b in zip(low, high, strict=True)), weight.astype(np.float32))
