"""The organ network: a 3-D U-Net that reads CT of 3 mm and says which organ each voxel is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise

import torch
from torch import nn

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
        self.stem = _convolution(8, sizes[0])
        self.encode = nn.ModuleList(Residual(width) for width in sizes)
        self.down = nn.ModuleList(_convolution(a, b, kernel=2, stride=2) for a, b in pairwise(sizes))
        self.up = nn.ModuleList(_Up(b, a) for a, b in pairwise(sizes))
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


def _convolution(inward: int, outward: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(inward, outward, kernel, stride, 1 if kernel == 3 else 0, bias=False),
        nn.BatchNorm3d(outward),
        nn.ReLU(inplace=True),
    )
