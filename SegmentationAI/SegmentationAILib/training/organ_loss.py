"""The organ network's loss: a voxel that nobody labelled is not background."""

from __future__ import annotations

import torch

from SegmentationAILib.organ_network import OrganNetwork
from SegmentationAILib.training.fit import Batch
from SegmentationAILib.training.organ_classes import CLASS_NAMES, REST, SOFT, SOFT_CLASSES

_CLASSES = len(CLASS_NAMES)
_CORNERS = 2
# About one over the square root of each class's share of voxels: small organs are not drowned.
_WEIGHTS = (0.5, 0.5, 0.8, 0.8, 5.0, 2.0, 4.0, 6.0, 5.0, 1.5, 2.0, 4.0, 4.0, 3.0, 4.0)


def organ_loss(network: OrganNetwork, batch: Batch) -> dict[str, torch.Tensor]:
    """Terms of the loss of a batch of ``OrganPatches`` with ``keep_soft``.

    At each step it is taken at two voxels of each 2×2×2 block: the softmax of all would take longer
    than the network, and teach little more.
    """
    features = network.features(batch["image"])
    corners = torch.randperm(8)[:_CORNERS].tolist()
    logits = torch.cat([network.logits_at(features, corner) for corner in corners]).float()
    label = torch.cat(
        [batch["label"][:, corner // 4 :: 2, corner // 2 % 2 :: 2, corner % 2 :: 2] for corner in corners]
    )
    label = label.long()
    drawn = batch["drawn"].repeat(_CORNERS, 1) if "drawn" in batch else None
    return {"entropy": marginal_entropy(logits, label, drawn), "dice": 1 - soft_dice(logits.softmax(dim=1), label)}


def marginal_entropy(logits: torch.Tensor, label: torch.Tensor, drawn: torch.Tensor | None = None) -> torch.Tensor:
    """Minus the logarithm of the probability that the voxel is one of what its label allows.

    A label of a class allows that class; SOFT allows any soft tissue; REST allows what the reader did
    not draw; UNKNOWN allows all and so teaches nothing (marginal loss: Fang and Yan, IEEE TMI 2020; Shi
    et al., Med Image Anal 2021).

    Args:
        logits: [n, classes, k, j, i].
        label: int64 [n, k, j, i].
        drawn: bool [n, classes] that the reader drew; needed where there is REST.
    """
    single = label < _CLASSES
    known = single | (label == SOFT)
    log_share = logits.log_softmax(dim=1)
    own = log_share.gather(1, torch.where(single, label, 0)[:, None])[:, 0]
    soft = log_share[:, list(SOFT_CLASSES)].logsumexp(dim=1)
    gain = torch.where(single, own, soft) * known
    if drawn is not None:
        rest = label == REST
        allowed = log_share.masked_fill(drawn[:, :, None, None, None], -torch.inf).logsumexp(dim=1)
        gain = torch.where(rest, allowed, gain)
        known = known | rest
    return -gain.sum() / known.sum().clamp(min=1)


def soft_dice(share: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Mean soft Dice (Milletari et al., 3DV 2016) of the batch's classes, over voxels of a known class.

    Classes that the batch does not show are left out of the mean.
    """
    single = label < _CLASSES
    place = torch.where(single, label, 0)
    total = torch.zeros(_CLASSES, device=share.device).index_add_(
        0, place.flatten(), single.flatten().to(torch.float32)
    )
    axes = (0, 2, 3, 4)
    predicted = (share * single[:, None]).sum(dim=axes)
    right = share.gather(1, place[:, None])[:, 0] * single
    overlap = torch.zeros(_CLASSES, device=share.device).index_add_(0, place.flatten(), right.flatten())
    shown = total > 0
    return ((2 * overlap + 1) / (total + predicted + 1))[shown].mean()
