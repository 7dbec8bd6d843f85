"""What the nodule network is fitted to: centres, sizes, voxels."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from LungNoduleAILib.network import HEAT_STRIDE, Answer
from SegmentationAILib.training.fit import Batch

# Around a centre, where the bell is above this, the size is asked for.
_SIZE_BELL = 0.3


def nodule_loss(network: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
    """Terms of the loss of a batch of ``nodule_patches.tensors``.

    With ``mask_weight`` in the batch, voxels count for the mask by that: a nodule known by centre and
    diameter alone teaches where it is and how large, but not its outline.
    """
    answer: Answer = network(batch["image"])
    coarse = functional.max_pool3d(1 - batch["weight"], HEAT_STRIDE)
    return {
        "heat": heat_loss(answer.heat.float(), batch["heat"], 1 - coarse),
        "size": 0.3 * size_loss(answer.log_diameter.float(), batch["log_diameter"], batch["heat"]),
        "mask": mask_loss(answer.mask.float(), batch["nodules"], batch.get("mask_weight", batch["weight"])),
    }


def heat_loss(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Penalty-reduced focal loss (Law and Deng, ECCV 2018, eq. 1; α = 2, β = 4), per centre."""
    centre = (target == 1).float()
    hit = -functional.logsigmoid(logits) * torch.sigmoid(-logits) ** 2 * centre
    miss = -functional.logsigmoid(-logits) * torch.sigmoid(logits) ** 2 * (1 - target) ** 4 * (1 - centre)
    return ((hit + miss) * weight).sum() / centre.sum().clamp(min=1)


def size_loss(log_diameter: torch.Tensor, target: torch.Tensor, heat: torch.Tensor) -> torch.Tensor:
    """Mean absolute error of the logarithm of the diameter near centres."""
    near = (heat > _SIZE_BELL).float()
    return ((log_diameter - target).abs() * near).sum() / near.sum().clamp(min=1)


def mask_loss(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Cross-entropy plus one minus soft Dice over the batch (Milletari et al., 3DV 2016).

    Dice over the batch, not the patch: a patch without a nodule has none.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight
    share = torch.sigmoid(logits) * weight
    overlap = (share * target).sum()
    dice = (2 * overlap + 1) / (share.sum() + (target * weight).sum() + 1)
    return 10 * entropy.mean() + 1 - dice
