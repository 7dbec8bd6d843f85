"""A network over a large array in overlapping windows, with nnU-Net's steps, weights and mirroring.

The windows go along k, so that slices are finished one after the other and can be handed on: of the logits,
only one window's depth is ever held.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from SegmentationAILib.engine.progress import Progress

Shape = tuple[int, int, int]
# Weight of a window's middle, and the standard deviation of the weights as a share of its side (nnU-Net).
_MIDDLE, _SIGMA = 10.0, 1.0 / 8.0
# Sums of logits beyond this are held in half precision.
_MOST_FLOAT_BYTES = 2 << 30
# No weight is lower (MONAI).
_LEAST = 1e-3


@dataclass(frozen=True)
class Windows:
    """How an array is cut.

    Attributes:
        side: of a window, (k, j, i).
        step: share of the side between two windows at most, in (0, 1].
        mirror: axes (0 is k) over all of whose flips the logits are averaged; none by default.
        padding: of an array smaller than a window, as ``torch.nn.functional.pad`` calls it.
    """

    side: Shape
    step: float = 0.5
    mirror: tuple[int, ...] = ()
    padding: str = "constant"

    @property
    def flips(self) -> list[tuple[int, ...]]:
        """Dimensions of [batch, channel, k, j, i] to flip, for each view."""
        axes = [axis + 2 for axis in self.mirror]
        return [flip for count in range(len(axes) + 1) for flip in combinations(axes, count)]

    def starts(self, shape: Shape) -> list[list[int]]:
        """First indices of the windows along each axis of an array at least as large as one."""
        found = []
        for length, side in zip(shape, self.side, strict=True):
            count = math.ceil((length - side) / (side * self.step)) + 1
            gap = (length - side) / (count - 1) if count > 1 else 0.0
            found.append([int(np.round(gap * n)) for n in range(count)])
        return found

    def weights(self) -> NDArray[np.float32]:
        """Of a window's voxels in the mean of the windows; nowhere 0."""
        return _gaussian(self.side)


@dataclass(frozen=True)
class FixedSteps(Windows):
    """Windows as MONAI's ``sliding_window_inference`` cuts them: equal steps, the last one short.

    Attributes:
        overlap: share of the side that two windows have in common, in [0, 1); ``step`` is not used.
        sigma: of the Gaussian weights as a share of the side; all weigh the same if None.
    """

    overlap: float = 0.25
    sigma: float | None = None

    def starts(self, shape: Shape) -> list[list[int]]:
        """First indices of the windows along each axis of an array at least as large as one."""
        found = []
        for length, side in zip(shape, self.side, strict=True):
            step = max(int(side * (1 - self.overlap)), 1)
            count = math.ceil((length - side) / step) + 1
            found.append([min(n * step, length - side) for n in range(count)])
        return found

    def weights(self) -> NDArray[np.float32]:
        """Of a window's voxels in the mean of the windows, from MONAI's ``compute_importance_map``."""
        if self.sigma is None:
            return np.ones(self.side, dtype=np.float32)
        weight = np.ones(1, dtype=np.float32)
        for side in self.side:
            x = np.arange(side, dtype=np.float32) - (side - 1) / 2
            weight = weight[..., None] * np.exp(-(x**2) / (2 * (self.sigma * side) ** 2)).astype(np.float32)
        weight = weight[0]
        return np.maximum(weight, max(float(weight.min()), _LEAST))


@dataclass(frozen=True)
class Runner:
    """What runs the networks.

    Attributes:
        networks: their logits are averaged.
        device: that they are on.
        precision: context of a forward pass.
        batch: windows that a network reads at once.
        held: dtype of the sums of logits.
        sums: device of the sums of logits; the networks' own if None.
    """

    networks: Sequence[torch.nn.Module]
    device: torch.device
    precision: Callable[[], AbstractContextManager]
    batch: int = 1
    held: torch.dtype = torch.float32
    sums: torch.device | None = None

    def logits(self, windows: torch.Tensor, flips: list[tuple[int, ...]]) -> torch.Tensor:
        """[batch, class, k, j, i], the mean over networks and flips."""
        total = None
        with self.precision():
            for network in self.networks:
                for flip in flips:
                    view = torch.flip(windows, flip) if flip else windows
                    found = network(view).to(self.held)
                    found = torch.flip(found, flip) if flip else found
                    total = found if total is None else total.add_(found)
        count = len(self.networks) * len(flips)
        return total if count == 1 else total.div_(count)


def sums_dtype(shape: Shape, windows: Windows, outputs: int) -> torch.dtype:
    """Single precision for the sums that ``slide`` holds, or half, as nnU-Net always has, for many."""
    return torch.float16 if 4 * _sums(shape, windows, outputs) > _MOST_FLOAT_BYTES else torch.float32


def sums_bytes(shape: Shape, windows: Windows, outputs: int) -> int:
    """Of the sums that ``slide`` holds of an array of that shape."""
    return sums_dtype(shape, windows, outputs).itemsize * _sums(shape, windows, outputs)


def _sums(shape: Shape, windows: Windows, outputs: int) -> int:
    plane = math.prod(max(n, side) for n, side in zip(shape[1:], windows.side[1:], strict=True))
    return outputs * windows.side[0] * plane


@torch.inference_mode()
def slide(
    channels: torch.Tensor,
    outputs: int,
    windows: Windows,
    runner: Runner,
    take: Callable[[torch.Tensor], None],
    *,
    head: Callable[[torch.Tensor], torch.Tensor] | None = None,
    empty: Callable[[torch.Tensor], bool] | None = None,
    progress: Progress | None = None,
) -> None:
    """Hand on the logits [j, i, class] of each slice k of the array, in order.

    Args:
        channels: [c, k, j, i], on the runner's device.
        outputs: channels that the networks give: logits, or what the head makes logits of.
        take: called once for each slice, on the device of the sums; class 0 has the highest logit where all windows
            are empty.
        head: from means [j, i, output] to logits [j, i, class]; the means are the logits without one.
        empty: of a window [c, k, j, i], whether it shows nothing; the networks do not read it then.
        progress: told of each batch; its token cancels between them.

    Raises:
        Cancelled: the user cancelled.
    """
    progress = progress or Progress()
    shape = tuple(channels.shape[1:])
    padding = [max(0, side - length) for side, length in zip(windows.side, shape, strict=True)]
    before = [n // 2 for n in padding]
    if any(padding):
        ends = [end for n, b in zip(padding[::-1], before[::-1], strict=True) for end in (b, n - b)]
        channels = torch.nn.functional.pad(channels[None], ends, mode=windows.padding)[0]
    starts = windows.starts(tuple(channels.shape[1:]))
    places = [(j, i) for j in starts[1] for i in starts[2]]
    home = runner.sums or runner.device
    weight = torch.from_numpy(windows.weights()).to(home, runner.held)[..., None]
    plane = channels.shape[2:]
    sums = torch.zeros((windows.side[0], *plane, outputs), dtype=runner.held, device=home)
    weights = torch.zeros((windows.side[0], *plane, 1), dtype=torch.float32, device=home)
    inner = tuple(slice(b, b + n) for b, n in zip(before[1:], shape[1:], strict=True))
    done, total = 0, len(starts[0]) * len(places)
    for n, k in enumerate(starts[0]):
        seen = [
            place
            for place in places
            if empty is None or not empty(channels[(slice(None), *_window(windows.side, k, *place))])
        ]
        done += len(places) - len(seen)
        for first in range(0, len(seen), runner.batch):
            some = seen[first : first + runner.batch]
            progress(done / total, "Running the model")
            stack = torch.stack([channels[(slice(None), *_window(windows.side, k, *place))] for place in some])
            found = runner.logits(stack, windows.flips).to(home).permute(0, 2, 3, 4, 1)
            for place, logits in zip(some, found, strict=True):
                at = (slice(None), *_window(windows.side, 0, *place)[1:])
                sums[at].addcmul_(logits, weight)
                weights[at] += weight
            done += len(some)
        following = starts[0][n + 1] if n + 1 < len(starts[0]) else k + windows.side[0]
        for slab in range(following - k):
            if before[0] <= k + slab < before[0] + shape[0]:
                take(_mean(sums[slab][inner], weights[slab][inner], head))
        if following - k < windows.side[0]:
            _move_up(sums, following - k)
            _move_up(weights, following - k)
    progress(1.0, "Model done")


def _window(side: Shape, k: int, j: int, i: int) -> tuple[slice, slice, slice]:
    return slice(k, k + side[0]), slice(j, j + side[1]), slice(i, i + side[2])


def _mean(
    sums: torch.Tensor, weights: torch.Tensor, head: Callable[[torch.Tensor], torch.Tensor] | None
) -> torch.Tensor:
    """The mean logits; where no window was read, background."""
    unread = weights[..., 0] == 0 if weights.min() == 0 else None
    mean = sums / (weights if unread is None else torch.where(weights > 0, weights, 1)).to(sums.dtype)
    logits = mean if head is None else head(mean)
    if unread is not None:
        logits[unread] = 0
        logits[..., 0][unread] = 1
    return logits


def _move_up(ring: torch.Tensor, by: int) -> None:
    """The slices from ``by`` on to the front; what follows is zero."""
    for target in range(0, len(ring) - by, by):
        end = min(target + by, len(ring) - by)
        ring[target:end] = ring[target + by : end + by].clone()
    ring[len(ring) - by :] = 0


@lru_cache(maxsize=4)
def _gaussian(side: Shape) -> NDArray[np.float32]:
    """A Gaussian around the middle voxel, as nnU-Net has it in half precision; nowhere 0."""
    point = np.zeros(side)
    point[tuple(n // 2 for n in side)] = 1.0
    weight = ndimage.gaussian_filter(point, [n * _SIGMA for n in side], mode="constant")
    weight = (weight / (weight.max() / _MIDDLE)).astype(np.float16)
    weight[weight == 0] = weight[weight > 0].min()
    return weight.astype(np.float32)
