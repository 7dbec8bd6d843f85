"""Boxes in three dimensions from a RetinaNet's maps: anchors, offsets, candidates and the suppression of doubles.

Boxes are [n, 6]: the lower and then the upper index along each axis, continuous, in single precision throughout;
half precision would round indices from 256 on to quarters of a voxel. Methods and constants are those of MONAI's
``AnchorGeneratorWithAnchorShape``, ``BoxCoder`` and ``BoxSelector``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

# No box is more than this many times as long as its anchor along an axis.
_MOST_GROWTH = math.log(1000 / 16)


@dataclass(frozen=True)
class Anchors:
    """Sizes of the boxes that the network measures from, at each place of a map.

    Attributes:
        shapes: of the first map's, in voxels.
        scales: of each map's, relative to them.
    """

    shapes: tuple[tuple[float, float, float], ...]
    scales: tuple[float, ...]

    def boxes(self, which: torch.Tensor, level: int, size: Sequence[int], image: Sequence[int]) -> torch.Tensor:
        """Some of a map's anchors, [n, 6].

        Args:
            which: [n], of the map's anchors in the order place, shape; places with the last axis fastest.
            level: of the map.
            size: places along each axis.
            image: voxels along each axis that the whole map is over.
        """
        half = torch.tensor(self.shapes, dtype=torch.float32, device=which.device) * self.scales[level] / 2
        half = half.round()[which % len(self.shapes)]
        place = which // len(self.shapes)
        rows = (place // (size[1] * size[2]), place // size[2] % size[1], place % size[2])
        strides = [n // places for n, places in zip(image, size, strict=True)]
        centre = torch.stack([row * stride + stride // 2 for row, stride in zip(rows, strides, strict=True)], dim=1)
        return torch.cat([centre - half, centre + half], dim=1)


@dataclass(frozen=True)
class Selection:
    """Which boxes are kept.

    Attributes:
        score: none is kept at or below it.
        candidates: of each map, at most.
        overlap: intersection over union beyond which the lower of two boxes of a class is dropped.
        most: boxes of an image.
    """

    score: float = 0.05
    candidates: int = 1000
    overlap: float = 0.5
    most: int = 300


@dataclass(frozen=True, eq=False)
class Boxes:
    """What was found, the highest score first.

    Attributes:
        corners: [n, 6] float32, continuous indices.
        scores: [n] float32, in 0 to 1.
        classes: [n] int64.
    """

    corners: torch.Tensor
    scores: torch.Tensor
    classes: torch.Tensor


def select(
    logits: Sequence[torch.Tensor],
    offsets: Sequence[torch.Tensor],
    anchors: Anchors,
    padded: Sequence[int],
    image: Sequence[int],
    selection: Selection,
) -> Boxes:
    """The boxes of an image from a RetinaNet's maps.

    Args:
        logits: of each level, [anchor * class, i, j, k].
        offsets: likewise, [anchor * 6, i, j, k].
        anchors: that they are relative to.
        padded: voxels along each axis that the maps are over.
        image: voxels of the image itself, at the beginning of them.
        selection: which boxes are kept.
    """
    found = []
    count = len(anchors.shapes)
    for level, (some, moves) in enumerate(zip(logits, offsets, strict=True)):
        size = tuple(some.shape[1:])
        scores = some.float().reshape(count, -1, *size).permute(2, 3, 4, 0, 1).sigmoid()
        classes = scores.shape[-1]
        scores = scores.flatten()
        [above] = torch.where(scores > selection.score)
        high, order = scores[above].topk(min(selection.candidates, len(above)))
        which, kind = above[order] // classes, above[order] % classes
        flat = moves.float().reshape(count, 6, -1).permute(2, 0, 1).reshape(-1, 6)
        corners, kept = clipped(decode(flat[which], anchors.boxes(which, level, size, padded)), image)
        found.append((corners, high[kept], kind[kept]))
    corners, scores, kinds = (torch.cat(parts) for parts in zip(*found, strict=True))
    kept = suppressed(corners, scores, kinds, selection.overlap, selection.most)
    return Boxes(corners[kept], scores[kept], kinds[kept])


def decode(offsets: torch.Tensor, anchors: torch.Tensor) -> torch.Tensor:
    """Boxes [n, 6] at offsets [n, 6] of anchors: centres move by shares of their size, sizes grow exponentially."""
    size = anchors[:, 3:] - anchors[:, :3]
    centre = anchors[:, :3] + size / 2 + offsets[:, :3] * size
    half = offsets[:, 3:].clamp(max=_MOST_GROWTH).exp() * size / 2
    return torch.cat([centre - half, centre + half], dim=1)


def clipped(boxes: torch.Tensor, image: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The boxes' parts in the image that are at least a voxel long, and [n] whether each is kept."""
    most = torch.tensor([*image, *image], dtype=boxes.dtype, device=boxes.device)
    boxes = torch.minimum(boxes.clamp(min=0), most)
    kept = (boxes[:, 3:] >= boxes[:, :3] + 1).all(dim=1)
    return boxes[kept], kept


def overlaps(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Intersection over union of boxes [n, 6] and [m, 6], as [n, m]."""
    low = torch.maximum(first[:, None, :3], second[None, :, :3])
    high = torch.minimum(first[:, None, 3:], second[None, :, 3:])
    both = (high - low).clamp(min=0).prod(dim=2)
    sizes = [(boxes[:, 3:] - boxes[:, :3]).prod(dim=1) for boxes in (first, second)]
    either = sizes[0][:, None] + sizes[1][None, :] - both
    return both / either.clamp(min=torch.finfo(either.dtype).eps)


def suppressed(
    boxes: torch.Tensor, scores: torch.Tensor, classes: torch.Tensor, overlap: float, most: int
) -> torch.Tensor:
    """Indices of the boxes that no higher one of their class overlaps too much, the highest first.

    All overlaps are computed at once, where they lie; only the choice, which needs one box after the other, is made
    on the CPU.
    """
    order = scores.argsort(descending=True, stable=True)
    ranked = boxes[order]
    over = overlaps(ranked, ranked) > overlap
    over = (over & (classes[order][:, None] == classes[order][None, :])).cpu().numpy()
    alive = torch.ones(len(order), dtype=torch.bool).numpy()
    kept = []
    for n in range(len(order)):
        if alive[n] and len(kept) < most:
            kept.append(n)
            alive &= ~over[n]
    return order[torch.tensor(kept, dtype=torch.int64, device=order.device)]
