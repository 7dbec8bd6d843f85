"""Layers that a CPU runs in about half the time of torch's own, with the same results to rounding.

Voxels lie with their channels together in memory (``torch.channels_last_3d``), as the convolutions of oneDNN
want them. A 3×3×3 convolution is taken along its first axis by Winograd's minimal filtering F(4, 3): four
slices of the result need six convolutions of slices instead of twelve. The slabs between the steps stay in the
processor's cache.

Lavin and Gray, Fast algorithms for convolutional neural networks, CVPR 2016 (arXiv 1509.09308), section 4.1.
"""

from __future__ import annotations

import copy
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import nn

from SegmentationAILib.engine.precision import inference_dtype

# F(4, 3) of the paper: of the slices, of the weights, and back; 4 new slices out of 6.
_SLICES = torch.tensor(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    dtype=torch.float32,
)
_WEIGHTS = torch.tensor(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    dtype=torch.float64,
)
_BACK = torch.tensor(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], dtype=torch.float32
)
_OUT, _IN = _BACK.shape
# Of the slabs that are worked on at once, so that they stay in the cache.
_SLAB_BYTES = 8 << 20
# Voxels whose sum in single precision is still as exact as torch's own.
_MOST_SUMMED = 16384
# Smaller arrays spend their time elsewhere, and their transformed weights would take more memory than they.
_LEAST_SIDE = 8


class SlabConv3d(nn.Module):
    """A 3×3×3 convolution of stride 1 that keeps the shape.

    Args:
        conv: whose weights are taken.
    """

    def __init__(self, conv: nn.Conv3d) -> None:
        super().__init__()
        self.plain, self.bias = conv, conv.bias
        weight = conv.weight.detach().double()
        parts = [torch.tensordot(row, weight, dims=([0], [2])).float() for row in _WEIGHTS]
        self.parts = [part.contiguous(memory_format=torch.channels_last) for part in parts]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Without data, only what the layer takes and gives is asked for.
        if min(x.shape[2:]) < _LEAST_SIDE or x.is_meta:
            return self.plain(x)
        return torch.cat([self._one(one) for one in x]) if len(x) > 1 else self._one(x[0])

    def _one(self, x: torch.Tensor) -> torch.Tensor:
        channels, slices, rows, columns = x.shape
        made = len(self.parts[0])
        # [k, (j, i, channel)], without a copy where the channels are already together.
        source = x.permute(1, 2, 3, 0).reshape(slices, -1)
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
                torch.mm(_SLICES[:, low - start : high - start], source[low:high], out=read[:, n])
            for n, part in enumerate(self.parts):
                image = read[n, : len(some)].view(-1, rows, columns, channels).permute(0, 3, 1, 2)
                slab = F.conv2d(image, part, padding=1).permute(0, 2, 3, 1)
                found[n, : len(some)] = slab.reshape(len(some), -1)
            for n, group in enumerate(some):
                into = result[_OUT * group : _OUT * (group + 1)]
                torch.mm(_BACK[: len(into)], found[:, n], out=into)
                if self.bias is not None:
                    into.view(-1, made).add_(self.bias)
        return result.view(1, slices, rows, columns, made).permute(0, 4, 1, 2, 3)


class VoxelLinear(nn.Module):
    """A 1×1×1 convolution as the matrix product that it is.

    Args:
        conv: whose weights are taken.
    """

    def __init__(self, conv: nn.Conv3d) -> None:
        super().__init__()
        self.register_buffer("weight", conv.weight.detach().flatten(1), persistent=False)
        self.bias = conv.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x.permute(0, 2, 3, 4, 1), self.weight, self.bias).permute(0, 4, 1, 2, 3)


class SlabInstanceNorm3d(nn.Module):
    """Instance norm, slab by slab.

    Args:
        norm: whose weights are taken.
    """

    def __init__(self, norm: nn.InstanceNorm3d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.contiguous(memory_format=torch.channels_last_3d)
        result = torch.empty_like(x)
        if x.is_meta:
            return result
        for one, into in zip(x, result, strict=True):
            self._norm(*(part.permute(1, 2, 3, 0).view(-1, x.shape[1]) for part in (one, into)))
        return result

    def _norm(self, voxels: torch.Tensor, into: torch.Tensor) -> None:
        """[voxel, channel] both."""
        length = max(1, min(_MOST_SUMMED, _SLAB_BYTES // (4 * voxels.shape[1])))
        slabs = voxels.split(length)
        counts = torch.tensor([[len(slab)] for slab in slabs], dtype=torch.float64)
        means, spreads = [], []
        for slab in slabs:
            row = voxels.new_ones(1, len(slab))
            mean = torch.mm(row, slab)[0] / len(slab)
            spreads.append(torch.mm(row, torch.sub(slab, mean).square_())[0].double())
            means.append(mean.double())
        # Of the slabs' means and spreads about them, those of the whole (Chan et al. 1983).
        parts = torch.stack(means)
        mean = (parts * counts).sum(dim=0) / len(voxels)
        variance = (torch.stack(spreads).sum(dim=0) + (counts * (parts - mean).square()).sum(dim=0)) / len(voxels)
        scale = (variance + self.eps).rsqrt()
        if self.weight is not None:
            scale = scale * self.weight
        shift = -mean * scale
        if self.bias is not None:
            shift = shift + self.bias
        scale, shift = scale.float(), shift.float()
        for slab, normed in zip(slabs, into.split(length), strict=True):
            torch.addcmul(shift, slab, scale, out=normed)


_made: WeakKeyDictionary[nn.Module, nn.Module] = WeakKeyDictionary()


def fast_on_cpu(network: nn.Module) -> nn.Module:
    """The network with these layers in place of torch's, sharing its weights; the network itself if none pays here.

    Only single precision pays: a processor that multiplies in bfloat16 is faster without.
    """
    cpu = torch.device("cpu")
    if not torch.backends.mkldnn.is_available() or inference_dtype(cpu) is not torch.float32:
        return network
    if network not in _made:
        shared = {id(part): part for part in [*network.parameters(), *network.buffers()]}
        _made[network] = _replaced(copy.deepcopy(network, shared))
    return _made[network]


def _replaced(module: nn.Module) -> nn.Module:
    if isinstance(module, nn.Conv3d):
        return _convolution(module)
    if isinstance(module, nn.InstanceNorm3d) and not module.track_running_stats:
        return SlabInstanceNorm3d(module)
    for name, child in module.named_children():
        setattr(module, name, _replaced(child))
    return module


def _convolution(conv: nn.Conv3d) -> nn.Module:
    if conv.stride != (1, 1, 1) or conv.dilation != (1, 1, 1) or conv.groups != 1:
        return conv
    if conv.kernel_size == (1, 1, 1) and conv.padding in ((0, 0, 0), "same", "valid"):
        return VoxelLinear(conv)
    kept = conv.padding in ((1, 1, 1), "same") and conv.padding_mode == "zeros"
    # One channel is read faster than it is transformed.
    return SlabConv3d(conv) if kept and conv.kernel_size == (3, 3, 3) and conv.in_channels >= _LEAST_SIDE else conv
