"""What the built-in networks are made of: 3-D U-Nets of residual blocks that begin at half the resolution."""

from __future__ import annotations

import torch
from torch import nn


def convolution(inward: int, outward: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation (Ioffe and Szegedy, ICML 2015) and rectifier; kernels of 3 keep the size."""
    padding = 1 if kernel == 3 else 0
    return nn.Sequential(
        nn.Conv3d(inward, outward, kernel, stride, padding, bias=False), nn.BatchNorm3d(outward), nn.ReLU(inplace=True)
    )


class Residual(nn.Module):
    """Two convolutions beside an identity (He et al., CVPR 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = convolution(width, width)
        self.second = nn.Sequential(nn.Conv3d(width, width, 3, padding=1, bias=False), nn.BatchNorm3d(width))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.relu(features + self.second(self.first(features)))


class Up(nn.Module):
    """Coarse features upsampled, joined to the fine ones of the way down."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose3d(coarse, fine, 2, 2)
        self.join = convolution(2 * fine, fine, kernel=1)
        self.refine = Residual(fine)

    def forward(self, coarse: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
        return self.refine(self.join(torch.cat([self.up(coarse), fine], dim=1)))


def blocks_to_channels(patch: torch.Tensor) -> torch.Tensor:
    """[n, c, k, j, i] to [n, 8c, k/2, j/2, i/2]: each 2×2×2 block becomes a voxel of eight times the channels."""
    n, c, k, j, i = patch.shape
    blocks = patch.reshape(n, c, k // 2, 2, j // 2, 2, i // 2, 2)
    return blocks.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(n, 8 * c, k // 2, j // 2, i // 2)


def channels_to_blocks(channels: torch.Tensor) -> torch.Tensor:
    """The way back from ``blocks_to_channels``."""
    n, c, k, j, i = channels.shape
    blocks = channels.reshape(n, c // 8, 2, 2, 2, k, j, i).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return blocks.reshape(n, c // 8, 2 * k, 2 * j, 2 * i)
