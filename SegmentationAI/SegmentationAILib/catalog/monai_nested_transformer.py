"""The nested transformer (Zhang et al., Nested Hierarchical Transformer, https://arxiv.org/abs/2105.12723) in three
dimensions, with the weights' names of MONAI's UNesT bundles.

Attention stays within cubes of voxels; each level halves the side of the image, and so the number of cubes along an
axis, until one is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import nn

_EPSILON = 1e-6
_GROWTH = 4


class NestedTransformer(nn.Module):
    """Features of each level.

    Args:
        side: of the image, voxels; the only one that it reads.
        patch: side of what becomes one place of the first level, voxels.
        widths: channels of each level.
        heads: of attention, of each level.
        depths: layers of each level.

    Raises:
        ValueError: the cubes do not fill the image.
    """

    def __init__(
        self, side: int, patch: int, widths: Sequence[int], heads: Sequence[int], depths: Sequence[int]
    ) -> None:
        super().__init__()
        cubes = [2**n for n in reversed(range(len(widths)))]
        cube, rest = divmod(side, patch * cubes[0])
        if rest or not len(widths) == len(heads) == len(depths):
            raise ValueError(f"side {side}, patch {patch}, levels {len(widths)}, {len(heads)} and {len(depths)}")
        if any(width % count for width, count in zip(widths, heads, strict=True)):
            raise ValueError(f"widths {list(widths)} for heads {list(heads)}")
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv3d(1, widths[0], patch, stride=patch)})
        before = [nn.Identity(), *(_Pool(coarse, fine) for coarse, fine in pairwise(widths))]
        self.levels = nn.ModuleList(
            _Level(*level, cube) for level in zip(before, cubes, widths, heads, depths, strict=True)
        )
        self.norm = nn.LayerNorm(widths[-1], eps=_EPSILON)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """[n, channel, i, j, k] of the patches, of each level, and of the last one normalised."""
        found = [self.patch_embed["proj"](x)]
        for level in self.levels:
            found.append(level(found[-1]))
        return [*found, _over_channels(self.norm, found[-1])]


class _Level(nn.Module):
    def __init__(self, before: nn.Module, cubes: int, width: int, heads: int, depth: int, cube: int) -> None:
        super().__init__()
        self._cubes, self._cube = cubes, cube
        self.pos_embed = nn.Parameter(torch.zeros(1, cubes**3, cube**3, width))
        self.pool = before
        self.transformer_encoder = nn.Sequential(*(_Layer(width, heads) for _ in range(depth)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(x)
        count, channels, cubes, cube = *x.shape[:2], self._cubes, self._cube
        # Each axis apart into cubes and places in a cube; all cubes first, then all places.
        x = x.reshape(count, channels, cubes, cube, cubes, cube, cubes, cube).permute(0, 2, 4, 6, 3, 5, 7, 1)
        x = self.transformer_encoder(x.reshape(count, cubes**3, cube**3, channels) + self.pos_embed)
        x = x.reshape(count, cubes, cubes, cubes, cube, cube, cube, channels).permute(0, 7, 1, 4, 2, 5, 3, 6)
        return x.reshape(count, channels, *[cubes * cube] * 3)


class _Pool(nn.Module):
    """Half the side."""

    def __init__(self, taken: int, given: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(taken, given, 3, padding=1)
        self.norm = nn.LayerNorm(given, eps=_EPSILON)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.max_pool3d(_over_channels(self.norm, self.conv(x)), 3, stride=2, padding=1)


class _Layer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=_EPSILON)
        self.attn = _Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=_EPSILON)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, _GROWTH * width), "fc2": nn.Linear(_GROWTH * width, width)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))


class _Attention(nn.Module):
    """Between the places of each cube."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[n, cube, place, channel] -> the same."""
        query, key, value = self.qkv(x).unflatten(-1, (3, self._heads, -1)).permute(3, 0, 1, 4, 2, 5)
        found = F.scaled_dot_product_attention(query, key, value)
        # The weights expect the heads' channels interleaved, not one head behind the other.
        return self.proj(found.permute(0, 1, 3, 4, 2).flatten(-2))


def _over_channels(norm: nn.LayerNorm, x: torch.Tensor) -> torch.Tensor:
    """[n, channel, i, j, k], normalised over the channels of each place."""
    return norm(x.movedim(1, -1)).movedim(-1, 1)
