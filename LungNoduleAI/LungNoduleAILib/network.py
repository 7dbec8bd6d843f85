"""The nodule network: a 3-D U-Net that marks centres, sizes and voxels of nodules at 1 mm."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

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
        self.stem = _convolution(8, w.half)
        self.at_half = Residual(w.half)
        self.down_quarter = _convolution(w.half, w.quarter, kernel=2, stride=2)
        self.at_quarter = nn.Sequential(Residual(w.quarter), Residual(w.quarter))
        self.down_eighth = _convolution(w.quarter, w.eighth, kernel=2, stride=2)
        self.at_eighth = nn.Sequential(Residual(w.eighth), Residual(w.eighth))
        self.down_sixteenth = _convolution(w.eighth, w.sixteenth, kernel=2, stride=2)
        self.at_sixteenth = Residual(w.sixteenth)
        self.up_eighth = _Up(w.sixteenth, w.eighth)
        self.up_quarter = _Up(w.eighth, w.quarter)
        self.up_half = _Up(w.quarter, w.half)
        self.heat = nn.Sequential(_convolution(w.half, w.half), nn.Conv3d(w.half, 1, 1))
        self.size = nn.Sequential(_convolution(w.half, w.half, kernel=1), nn.Conv3d(w.half, 1, 1))
        self.mask = nn.Sequential(_convolution(w.half, w.half), nn.Conv3d(w.half, 8, 1))
        # Centres are one voxel in ten thousand: without this the first steps unlearn everything else.
        nn.init.constant_(self.heat[-1].bias, -5.0)
        nn.init.constant_(self.mask[-1].bias, -4.0)
        # 8 mm is the median diameter of LIDC's nodules.
        nn.init.constant_(self.size[-1].bias, 2.0)

    def forward(self, patch: torch.Tensor) -> Answer:
        """Args: patch: [n, 1, k, j, i] from ``normalized``; each side a multiple of 16."""
        half = self.at_half(self.stem(_blocks_to_channels(patch)))
        quarter = self.at_quarter(self.down_quarter(half))
        eighth = self.at_eighth(self.down_eighth(quarter))
        deep = self.at_sixteenth(self.down_sixteenth(eighth))
        deep = self.up_quarter(self.up_eighth(deep, eighth), quarter)
        features = self.up_half(deep, half)
        return Answer(self.heat(features), self.size(features), _channels_to_blocks(self.mask(features)))

    def configuration(self) -> dict[str, int]:
        """What makes an equal, untrained network: ``NoduleNetwork(Widths(**configuration))``."""
        return asdict(self.widths)


class Residual(nn.Module):
    """Two convolutions beside an identity (He et al., CVPR 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _convolution(width, width)
        self.second = nn.Sequential(nn.Conv3d(width, width, 3, padding=1, bias=False), nn.BatchNorm3d(width))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.relu(features + self.second(self.first(features)))


class _Up(nn.Module):
    """Coarse features upsampled, joined to the fine ones of the way down."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose3d(coarse, fine, 2, 2)
        self.join = _convolution(2 * fine, fine, kernel=1)
        self.refine = Residual(fine)

    def forward(self, coarse: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
        return self.refine(self.join(torch.cat([self.up(coarse), fine], dim=1)))


def _blocks_to_channels(patch: torch.Tensor) -> torch.Tensor:
    """[n, 1, k, j, i] to [n, 8, k/2, j/2, i/2]: each 2×2×2 block becomes a voxel of eight channels."""
    n, _, k, j, i = patch.shape
    blocks = patch.reshape(n, k // 2, 2, j // 2, 2, i // 2, 2)
    return blocks.permute(0, 2, 4, 6, 1, 3, 5).reshape(n, 8, k // 2, j // 2, i // 2)


def _channels_to_blocks(channels: torch.Tensor) -> torch.Tensor:
    """The way back from ``_blocks_to_channels``."""
    n, _, k, j, i = channels.shape
    blocks = channels.reshape(n, 2, 2, 2, k, j, i).permute(0, 4, 1, 5, 2, 6, 3)
    return blocks.reshape(n, 1, 2 * k, 2 * j, 2 * i)


def _convolution(inward: int, outward: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    padding = 1 if kernel == 3 else 0
    return nn.Sequential(
        nn.Conv3d(inward, outward, kernel, stride, padding, bias=False), nn.BatchNorm3d(outward), nn.ReLU(inplace=True)
    )
