"""Layers that a CPU runs in about half the time of torch's own, with the same results to rounding.

Voxels lie with their channels together in memory (``torch.channels_last_3d``), as the convolutions of oneDNN
want them.
"""

from __future__ import annotations

import copy
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import nn

from SegmentationAILib.engine.precision import inference_dtype
from SegmentationAILib.engine.winograd import SLAB_BYTES, WinogradConv3d

# Voxels whose sum in single precision is still as exact as torch's own.
_MOST_SUMMED = 16384
# Fewer channels are read faster than they are transformed.
_LEAST_CHANNELS = 8


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
        length = max(1, min(_MOST_SUMMED, SLAB_BYTES // (4 * voxels.shape[1])))
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
        _made[network] = _replaced(copy.deepcopy(network, shared), {})
    return _made[network]


def _replaced(module: nn.Module, known: dict[nn.Module, nn.Module]) -> nn.Module:
    """What takes the module's place; a module that a network holds under several names is replaced once."""
    if module not in known:
        known[module] = module
        if isinstance(module, nn.Conv3d):
            known[module] = _convolution(module)
        elif isinstance(module, nn.InstanceNorm3d) and not module.track_running_stats:
            known[module] = SlabInstanceNorm3d(module)
        else:
            for name, child in module._modules.items():
                if child is not None:
                    setattr(module, name, _replaced(child, known))
    return known[module]


def _convolution(conv: nn.Conv3d) -> nn.Module:
    if conv.stride != (1, 1, 1) or conv.dilation != (1, 1, 1) or conv.groups != 1:
        return conv
    if conv.kernel_size == (1, 1, 1) and conv.padding in ((0, 0, 0), "same", "valid"):
        return VoxelLinear(conv)
    kept = conv.padding in ((1, 1, 1), "same") and conv.padding_mode == "zeros"
    fits = kept and conv.kernel_size == (3, 3, 3) and conv.in_channels >= _LEAST_CHANNELS
    return WinogradConv3d(conv) if fits else conv
