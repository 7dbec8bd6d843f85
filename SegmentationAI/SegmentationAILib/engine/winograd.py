"""3×3×3 convolutions by Winograd's minimal filtering, in which products are traded for a few sums.

F(m, 3) gives m neighbours of a result from m + 2 products instead of 3 m. It is taken in one of two ways. Few
channels are filtered along the first axis alone, by F(8, 3), and what is left are convolutions of slices: 0.42 of
the products. Many channels are filtered along all three axes, by F(4, 3) each, and what is left are matrix products:
an eighth of them, and sums that many channels make worth it.

Lavin and Gray, Fast algorithms for convolutional neural networks, CVPR 2016 (arXiv 1509.09308), section 4.1; the
points of the interpolation, which decide its rounding, are of those tried the ones with the least against float64.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import nn

# Of the slabs and tiles that are worked on at once: the former stay in the cache, and the latter are as many rows of
# matrix products as make it worth reading their weights.
_SLAB_BYTES, _TILE_BYTES = 8 << 20, 32 << 20
# Smaller arrays spend their time elsewhere.
_LEAST_SIDE = 8
# Where tiles pay: from so many channels on both sides, and so many tiles; their weights take eight times the memory.
_MANY_CHANNELS, _LEAST_TILES = 128, 216


def minimal_filtering(outputs: int, points: tuple[float, ...]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Matrices of F(outputs, 3): back @ ((weights @ w) * (inputs @ x)) is x correlated with the three of w.

    Args:
        outputs: m, even.
        points: m / 2 positive ones; they, their negatives, 0 and infinity are interpolated between.

    Returns:
        Of the inputs [m + 2, m + 2], of the weights [m + 2, 3] and back [m, m + 2], float64.
    """
    finite = np.array([0.0, *(sign * point for point in points for sign in (1.0, -1.0))])
    size = outputs + 2
    inputs, weights, back = np.zeros((size, size)), np.zeros((size, 3)), np.zeros((outputs, size))
    for n, point in enumerate(finite):
        others = np.delete(finite, n)
        inputs[n, : size - 1] = np.poly(others)[::-1]
        weights[n] = point ** np.arange(3) / np.prod(point - others)
        back[:, n] = point ** np.arange(outputs)
    inputs[-1], weights[-1, -1], back[-1, -1] = np.poly(finite)[::-1], 1.0, 1.0
    # Rows of one size lose fewest digits.
    size_of_row = np.abs(inputs).sum(axis=1, keepdims=True)
    return tuple(torch.from_numpy(part) for part in (inputs / size_of_row, weights * size_of_row, back))


_OF_SLICES, _SLAB_WEIGHTS, _SLICES_BACK = minimal_filtering(8, (2 / 5, 3 / 4, 5 / 4, 2))
_OF_TILES, _TILE_WEIGHTS, _TILES_BACK = minimal_filtering(4, (2 / 3, 3 / 2))
_OF_SLICES, _SLICES_BACK = _OF_SLICES.float(), _SLICES_BACK.float()
_OUT, _IN = _SLICES_BACK.shape
_TILE, _READ = _TILES_BACK.shape
# Along the first two axes at once, which is faster than one after the other.
_OF_PLANES, _PLANES_BACK = (torch.kron(part, part).float() for part in (_OF_TILES, _TILES_BACK))
_CUBE_WEIGHTS = torch.kron(_TILE_WEIGHTS, torch.kron(_TILE_WEIGHTS, _TILE_WEIGHTS)).float()
_OF_LINES, _LINES_BACK = (part.float().expand(_READ**2, -1, -1) for part in (_OF_TILES, _TILES_BACK))


class WinogradConv3d(nn.Module):
    """A 3×3×3 convolution of stride 1 that keeps the shape.

    Args:
        conv: whose weights are taken.
    """

    def __init__(self, conv: nn.Conv3d) -> None:
        super().__init__()
        self.plain, self.bias = conv, conv.bias
        self._slabs: list[torch.Tensor] | None = None
        self._tiles: torch.Tensor | None = None

    def __getstate__(self) -> dict[str, object]:
        """Copies make their own of the weights, when they need them."""
        return self.__dict__ | {"_slabs": None, "_tiles": None}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Without data, only what the layer takes and gives is asked for.
        if min(x.shape[2:]) < _LEAST_SIDE or x.is_meta:
            return self.plain(x)
        many = min(self.plain.in_channels, self.plain.out_channels) >= _MANY_CHANNELS
        tiles = math.prod(-(-side // _TILE) for side in x.shape[2:])
        way = self._by_tiles if many and tiles >= _LEAST_TILES else self._by_slabs
        # [k, j, i, channel], without a copy where the channels are already together.
        found = [way(one.permute(1, 2, 3, 0).contiguous()).permute(3, 0, 1, 2)[None] for one in x]
        return torch.cat(found) if len(found) > 1 else found[0]

    def _by_slabs(self, x: torch.Tensor) -> torch.Tensor:
        if self._slabs is None:
            weight = self.plain.weight.detach().double()
            parts = [torch.tensordot(row, weight, dims=([0], [2])).float() for row in _SLAB_WEIGHTS]
            self._slabs = [part.contiguous(memory_format=torch.channels_last) for part in parts]
        slices, rows, columns, channels = x.shape
        made = self.plain.out_channels
        source = x.view(slices, -1)
        result = source.new_empty(slices, rows * columns * made)
        groups = -(-slices // _OUT)
        at_once = min(groups, max(1, _SLAB_BYTES // (_IN * source.shape[1] * 4)))
        read = source.new_empty(_IN, at_once, source.shape[1])
        found = source.new_empty(_IN, at_once, result.shape[1])
        for first in range(0, groups, at_once):
            some = range(first, min(first + at_once, groups))
            for n, group in enumerate(some):
                start = _OUT * group - 1
                low, high = max(start, 0), min(start + _IN, slices)
                # What lies beyond the ends is 0 and is left out of the sum.
                torch.mm(_OF_SLICES[:, low - start : high - start], source[low:high], out=read[:, n])
            for n, part in enumerate(self._slabs):
                image = read[n, : len(some)].view(-1, rows, columns, channels).permute(0, 3, 1, 2)
                slab = F.conv2d(image, part, padding=1).permute(0, 2, 3, 1)
                found[n, : len(some)] = slab.reshape(len(some), -1)
            for n, group in enumerate(some):
                into = result[_OUT * group : _OUT * (group + 1)]
                torch.mm(_SLICES_BACK[: len(into)], found[:, n], out=into)
                if self.bias is not None:
                    into.view(-1, made).add_(self.bias)
        return result.view(slices, rows, columns, made)

    def _by_tiles(self, x: torch.Tensor) -> torch.Tensor:
        if self._tiles is None:
            weight = self.plain.weight.detach().permute(2, 3, 4, 1, 0)
            self._tiles = torch.mm(_CUBE_WEIGHTS, weight.flatten(0, 2).flatten(1)).view(-1, *weight.shape[3:])
        channels, made = self._tiles.shape[1:]
        counts = [-(-side // _TILE) for side in x.shape[:3]]
        ends = [end for n, side in zip(counts[::-1], x.shape[2::-1], strict=True) for end in (1, n * _TILE + 1 - side)]
        source = F.pad(x, [0, 0, *ends])
        result = source.new_empty(*(part for n in counts for part in (n, _TILE)), made)
        # Tiles in a row along i are worked on together.
        places, row = [(k, j) for k in range(counts[0]) for j in range(counts[1])], counts[2]
        at_once = min(len(places), max(1, _TILE_BYTES // (_READ**3 * row * channels * 4)))
        strides = source.stride()
        steps = (*strides[:3], _TILE * strides[2], 1)
        gathered = source.new_empty(_READ, _READ, _READ, row, channels)
        planes = source.new_empty(_READ**2, _READ * row * channels)
        read = source.new_empty(_READ**3, at_once, row * channels)
        found = source.new_empty(_READ**3, at_once, row * made)
        for first in range(0, len(places), at_once):
            some = places[first : first + at_once]
            for n, (k, j) in enumerate(some):
                start = _TILE * (k * strides[0] + j * strides[1])
                gathered.copy_(source.as_strided(gathered.shape, steps, start))
                torch.mm(_OF_PLANES, gathered.view(_READ**2, -1), out=planes)
                lines = read[:, n].unflatten(0, (_READ**2, _READ))
                torch.bmm(_OF_LINES, planes.view(_READ**2, _READ, -1), out=lines)
            voxels, products = (part.view(_READ**3, at_once * row, -1)[:, : len(some) * row] for part in (read, found))
            torch.bmm(voxels, self._tiles, out=products)
            for n, (k, j) in enumerate(some):
                lines = torch.bmm(_LINES_BACK, found[:, n].unflatten(0, (_READ**2, _READ)))
                made_here = torch.mm(_PLANES_BACK, lines.view(_READ**2, -1)).view(_TILE, _TILE, _TILE, row, made)
                into = result[k, :, j].transpose(2, 3)
                into.copy_(made_here) if self.bias is None else torch.add(made_here, self.bias, out=into)
        sides = [n * _TILE for n in counts]
        k, j, i = x.shape[:3]
        return result.view(*sides, made)[:k, :j, :i].contiguous()
