"""The organ network: a 3-D U-Net that reads CT of 3 mm and says which organ each voxel is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise

import torch
from torch import nn

from SegmentationAILib.engine.unet_blocks import Residual, Up, blocks_to_channels, channels_to_blocks, convolution

SPACING_MM = 3.0
# The coarsest features; tiles are a multiple of it.
STRIDE = 16
# What lies beyond looks the same to the network.
HU_RANGE = (-1000.0, 1000.0)


@dataclass(frozen=True)
class OrganWidths:
    """Number of classes, and of feature maps at 6, 12, 24 and 48 mm."""

    classes: int
    features: tuple[int, ...] = (24, 48, 96, 160)


def network_input(hu: torch.Tensor) -> torch.Tensor:
    """HU on the scale that the network is fed: ±2 at ±1000 HU."""
    return hu.clamp(*HU_RANGE) / 500.0


class OrganNetwork(nn.Module):
    """U-Net (Ronneberger et al., MICCAI 2015) with residual blocks, all of it at 6 mm and coarser.

    Voxels of 3 mm enter as eight channels at 6 mm and leave so: nothing is lost, and the layers that
    would cost most, those at the full size, are not there.
    """

    def __init__(self, widths: OrganWidths) -> None:
        super().__init__()
        self.widths = widths
        sizes = widths.features
        self.stem = convolution(8, sizes[0])
        self.encode = nn.ModuleList(Residual(width) for width in sizes)
        self.down = nn.ModuleList(convolution(a, b, kernel=2, stride=2) for a, b in pairwise(sizes))
        self.up = nn.ModuleList(Up(b, a) for a, b in pairwise(sizes))
        self.head = nn.Conv3d(sizes[0], 8 * widths.classes, 1)

    def forward(self, patch: torch.Tensor) -> torch.Tensor:
        """Logits [n, classes, k, j, i] of a patch [n, 1, k, j, i]; each side a multiple of 16."""
        return channels_to_blocks(self.head(self.features(patch)))

    def logits_at(self, features: torch.Tensor, corner: int) -> torch.Tensor:
        """Logits [n, classes, k/2, j/2, i/2] of one voxel of each 2×2×2 block: number ``corner``, 0…7."""
        weight, bias = self.head.weight[corner::8], self.head.bias[corner::8]
        return nn.functional.conv3d(features, weight, bias)

    def features(self, patch: torch.Tensor) -> torch.Tensor:
        """What the head reads, [n, features, k/2, j/2, i/2]."""
        features = self.stem(blocks_to_channels(patch))
        levels = []
        for encode, down in zip(self.encode, [*self.down, None], strict=True):
            features = encode(features)
            if down is not None:
                levels.append(features)
                features = down(features)
        for up, fine in zip(reversed(self.up), reversed(levels), strict=True):
            features = up(features, fine)
        return features

    def configuration(self) -> dict:
        """What makes an equal, untrained network: ``OrganNetwork(OrganWidths(**configuration))``."""
        return asdict(self.widths)
