"""The nodule network: a 3-D U-Net that marks centres, sizes and voxels of nodules at 1 mm."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from SegmentationAILib.engine.unet_blocks import Residual, Up, blocks_to_channels, channels_to_blocks, convolution

SPACING_MM = 1.0
# Heat map and size are given for every second voxel.
HEAT_STRIDE = 2
# The coarsest features; tiles are a multiple of it.
STRIDE = 16
# What lies beyond looks the same to the network.
HU_RANGE = (-1000.0, 400.0)


@dataclass(frozen=True)
class Widths:
    """Number of feature maps at 2, 4, 8 and 16 mm."""

    half: int = 24
    quarter: int = 48
    eighth: int = 96
    sixteenth: int = 128


@dataclass(frozen=True)
class Answer:
    """What the network says about a batch of n patches of k×j×i voxels of 1 mm.

    Attributes:
        heat: logits [n, 1, k/2, j/2, i/2] that a nodule's centre lies there.
        log_diameter: natural logarithm of the nodule's diameter in mm, [n, 1, k/2, j/2, i/2]; means
            something near a centre only.
        mask: logits [n, 1, k, j, i] that the voxel is nodule.
    """

    heat: torch.Tensor
    log_diameter: torch.Tensor
    mask: torch.Tensor


def normalized(hu: NDArray | torch.Tensor) -> NDArray | torch.Tensor:
    """HU to what the network reads: -1000…400 HU become -1…1."""
    low, high = HU_RANGE
    clip = torch.clamp if isinstance(hu, torch.Tensor) else np.clip
    return (clip(hu, low, high) - low) * (2.0 / (high - low)) - 1.0


class NoduleNetwork(nn.Module):
    """U-Net (Ronneberger et al., MICCAI 2015) with residual blocks and a centre heat map (Zhou et al., 2019)."""

    def __init__(self, widths: Widths | None = None) -> None:
        super().__init__()
        self.widths = w = widths or Widths()
        # Voxels of 1 mm become channels at 2 mm: nothing is lost, and no layer runs at the full size.
        self.stem = convolution(8, w.half)
        self.at_half = Residual(w.half)
        self.down_quarter = convolution(w.half, w.quarter, kernel=2, stride=2)
        self.at_quarter = nn.Sequential(Residual(w.quarter), Residual(w.quarter))
        self.down_eighth = convolution(w.quarter, w.eighth, kernel=2, stride=2)
        self.at_eighth = nn.Sequential(Residual(w.eighth), Residual(w.eighth))
        self.down_sixteenth = convolution(w.eighth, w.sixteenth, kernel=2, stride=2)
        self.at_sixteenth = Residual(w.sixteenth)
        self.up_eighth = Up(w.sixteenth, w.eighth)
        self.up_quarter = Up(w.eighth, w.quarter)
        self.up_half = Up(w.quarter, w.half)
        self.heat = nn.Sequential(convolution(w.half, w.half), nn.Conv3d(w.half, 1, 1))
        self.size = nn.Sequential(convolution(w.half, w.half, kernel=1), nn.Conv3d(w.half, 1, 1))
        self.mask = nn.Sequential(convolution(w.half, w.half), nn.Conv3d(w.half, 8, 1))
        # Centres are one voxel in ten thousand: without this the first steps unlearn everything else.
        nn.init.constant_(self.heat[-1].bias, -5.0)
        nn.init.constant_(self.mask[-1].bias, -4.0)
        # 8 mm is the median diameter of LIDC's nodules.
        nn.init.constant_(self.size[-1].bias, 2.0)

    def forward(self, patch: torch.Tensor) -> Answer:
        """Args: patch: [n, 1, k, j, i] from ``normalized``; each side a multiple of 16."""
        half = self.at_half(self.stem(blocks_to_channels(patch)))
        quarter = self.at_quarter(self.down_quarter(half))
        eighth = self.at_eighth(self.down_eighth(quarter))
        deep = self.at_sixteenth(self.down_sixteenth(eighth))
        deep = self.up_quarter(self.up_eighth(deep, eighth), quarter)
        features = self.up_half(deep, half)
        return Answer(self.heat(features), self.size(features), channels_to_blocks(self.mask(features)))

    def configuration(self) -> dict[str, int]:
        """What makes an equal, untrained network: ``NoduleNetwork(Widths(**configuration))``."""
        return asdict(self.widths)
