"""3×3×3 convolutions by Winograd's minimal filtering, in which products are traded for a few sums.

F(m, 3) gives m neighbours of a result from m + 2 products instead of 3 m. It is taken along the first axis, by F(8, 3),
and what is left are convolutions of slices: 0.42 of the products. Along all three axes an eighth of them would be
left, but on two cores the sums then cost what the products save, and the weights take eight times the memory.

Lavin and Gray, Fast algorithms for convolutional neural networks, CVPR 2016 (arXiv 1509.09308), section 4.1; the
points of the interpolation, which decide its rounding, are of those tried the ones with the least against float64.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import nn

# Of the slabs that are worked on at once, so that they stay in the cache.
SLAB_BYTES = 8 << 20
# Smaller arrays spend their time elsewhere.
_LEAST_SIDE = 8


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
_OF_SLICES, _SLICES_BACK = _OF_SLICES.float(), _SLICES_BACK.float()
_OUT, _IN = _SLICES_BACK.shape


class WinogradConv3d(nn.Module):
    """A 3×3×3 convolution of stride 1 that keeps the shape.

    Args:
        conv: whose weights are taken.
    """

    def __init__(self, conv: nn.Conv3d) -> None:
        super().__init__()
        self.plain, self.bias = conv, conv.bias
        self._slabs: list[torch.Tensor] | None = None

    def __getstate__(self) -> dict[str, object]:
        """Copies make their own of the weights, when they need them."""
        return self.__dict__ | {"_slabs": None}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Without data, only what the layer takes and gives is asked for.
        if min(x.shape[2:]) < _LEAST_SIDE or x.is_meta:
            return self.plain(x)
        # [k, j, i, channel], without a copy where the channels are already together.
        found = [self._by_slabs(one.permute(1, 2, 3, 0).contiguous())[None] for one in x]
        # The first axis is added before the turn, or its stride tells torch of another order, and what follows copies.
        return (torch.cat(found) if len(found) > 1 else found[0]).permute(0, 4, 1, 2, 3)

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
        at_once = min(groups, max(1, SLAB_BYTES // (_IN * source.shape[1] * 4)))
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
