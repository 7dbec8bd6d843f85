"""UNesT, the network of MONAI's whole-brain bundle (Yu et al., https://arxiv.org/abs/2209.14378), which the bundle
itself defines in scripts that are never run here.

A nested transformer is the encoder of a U-Net whose blocks are MONAI's ``UnetResBlock``. The names of the weights are
those of the bundle's ``models/model.pt``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import nn

from SegmentationAILib.catalog.monai_nested_transformer import NestedTransformer

_LEVELS = 3
_SLOPE = 0.01


class UNesT(nn.Module):
    """One image -> logits on its voxels.

    Args:
        in_channels: 1.
        out_channels: classes.
        feature_size: half the channels at full resolution.
        patch_size: 4, to which the decoder's five levels are cut.
        depths, embed_dim, num_heads: layers, channels and heads of the transformer's three levels.

    Raises:
        ValueError: no such network can be made.
    """

    # Its embeddings of place are those of an image of this side.
    SIDE = 96

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        feature_size: int = 16,
        patch_size: int = 2,
        depths: Sequence[int] = (2, 2, 2, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        embed_dim: Sequence[int] = (128, 256, 512),
    ) -> None:
        super().__init__()
        widths = [feature_size * 2**n for n in range(1, 7)]
        if in_channels != 1 or patch_size != 4 or len(embed_dim) != _LEVELS or embed_dim[-1] != widths[4]:
            raise ValueError(f"{in_channels} channels, patches of {patch_size}, {feature_size} and {list(embed_dim)}")
        self.nestViT = NestedTransformer(self.SIDE, patch_size, embed_dim, num_heads, depths)
        self.encoder1 = _named("layer", _Residual(1, widths[0]))
        self.encoder2 = nn.Sequential(
            OrderedDict(
                transp_conv_init=_up(embed_dim[0], widths[1]),
                blocks=nn.Sequential(_named("conv", nn.ConvTranspose3d(widths[1], widths[1], 1, bias=False))),
            )
        )
        self.encoder3 = _named("layer", _Residual(embed_dim[0], widths[2]))
        self.encoder4 = _named("layer", _Residual(embed_dim[1], widths[3]))
        self.encoder10 = nn.Sequential(
            OrderedDict(
                conv=nn.Conv3d(widths[4], widths[5], 3, stride=2, padding=1),
                adn=nn.Sequential(OrderedDict(A=nn.PReLU(), N=nn.InstanceNorm3d(widths[5]))),
            )
        )
        self.decoder5 = _Decoder(widths[5], widths[4])
        self.decoder4 = _Decoder(widths[4], widths[3])
        self.decoder3 = _Decoder(widths[3], widths[2])
        self.decoder2 = _Decoder(widths[2], widths[1])
        self.decoder1 = _Decoder(widths[1], widths[0])
        self.out = _named("conv", _named("conv", nn.Conv3d(widths[0], out_channels, 1)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[n, 1, 96, 96, 96] -> [n, class, 96, 96, 96]."""
        patches, fine, middle, coarse, deepest = self.nestViT(x)
        found = self.decoder5(self.encoder10(deepest), coarse)
        found = self.decoder4(found, self.encoder4(middle))
        found = self.decoder3(found, self.encoder3(fine))
        found = self.decoder2(found, self.encoder2(patches))
        return self.out(self.decoder1(found, self.encoder1(x)))


class _Decoder(nn.Module):
    """Twice the side, beside what the encoder has there."""

    def __init__(self, taken: int, given: int) -> None:
        super().__init__()
        self.transp_conv = _up(taken, given)
        self.conv_block = _Residual(2 * given, given)

    def forward(self, x: torch.Tensor, beside: torch.Tensor) -> torch.Tensor:
        return self.conv_block(torch.cat([self.transp_conv(x), beside], dim=1))


class _Residual(nn.Module):
    """Two convolutions beside none, or beside one that changes the number of channels."""

    def __init__(self, taken: int, given: int) -> None:
        super().__init__()
        self.conv1 = _named("conv", nn.Conv3d(taken, given, 3, padding=1, bias=False))
        self.norm1 = nn.InstanceNorm3d(given)
        self.conv2 = _named("conv", nn.Conv3d(given, given, 3, padding=1, bias=False))
        self.norm2 = nn.InstanceNorm3d(given)
        if taken != given:
            self.conv3 = _named("conv", nn.Conv3d(taken, given, 1, bias=False))
            self.norm3 = nn.InstanceNorm3d(given)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = F.leaky_relu(self.norm1(self.conv1(x)), _SLOPE, inplace=True)
        found = self.norm2(self.conv2(found))
        found += self.norm3(self.conv3(x)) if hasattr(self, "conv3") else x
        return F.leaky_relu(found, _SLOPE, inplace=True)


def _up(taken: int, given: int) -> nn.Module:
    return _named("conv", nn.ConvTranspose3d(taken, given, 2, stride=2, bias=False))


def _named(name: str, layer: nn.Module) -> nn.Sequential:
    """A layer by the name that the bundle's weights have for it."""
    return nn.Sequential(OrderedDict({name: layer}))
