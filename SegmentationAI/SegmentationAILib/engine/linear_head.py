"""Networks without their last layer, where that is linear.

A 1×1×1 convolution and a weighted mean can change places: W · Σ w f / Σ w + b = Σ w (W f + b) / Σ w. So windows,
flips and networks are averaged as features, and the last layer is taken once for each voxel of the mean. For 117
classes of 32 features that is a quarter of the memory and of the sums, and none of the logits of whole windows.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import nn


@dataclass(frozen=True, eq=False)
class LinearHead:
    """The mean of several networks' last layers, for their features side by side.

    Attributes:
        weight: float32 [class, feature].
        bias: float32 [class].
    """

    weight: torch.Tensor
    bias: torch.Tensor

    @property
    def features(self) -> int:
        return self.weight.shape[1]

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """Logits float32 [..., class] of features [..., feature], on their device."""
        place = features.device
        return nn.functional.linear(features.float(), self.weight.to(place), self.bias.to(place))


class SideBySide(nn.Module):
    """Networks that read the same and whose channels are put behind each other."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([network(x) for network in self.networks], dim=1)


def linear_head(networks: Sequence[nn.Module], last: str) -> LinearHead | None:
    """What takes the features of all networks to their mean logits; None where it would not pay or is not linear.

    Args:
        networks: of one architecture.
        last: name of the layer whose result is the network's.
    """
    layers = [network.get_submodule(last) for network in networks]
    if not all(isinstance(layer, nn.Conv3d) and layer.kernel_size == (1, 1, 1) for layer in layers):
        return None
    if any(layer.groups != 1 or layer.stride != (1, 1, 1) or any(layer.padding) for layer in layers):
        return None
    if sum(layer.in_channels for layer in layers) >= layers[0].out_channels:
        return None
    weight = torch.cat([layer.weight.detach().float().flatten(1) for layer in layers], dim=1) / len(layers)
    none = torch.zeros(layers[0].out_channels, device=weight.device)
    biases = [none if layer.bias is None else layer.bias.detach().float() for layer in layers]
    return LinearHead(weight, torch.stack(biases).mean(dim=0))


_made: WeakKeyDictionary[nn.Module, nn.Module] = WeakKeyDictionary()


def without_last(network: nn.Module, last: str) -> nn.Module:
    """The network up to its last layer, sharing its weights.

    Args:
        network: on the device that it is to run on.
        last: name of the layer whose result is the network's.
    """
    if network not in _made:
        shared = {id(part): part for part in [*network.parameters(), *network.buffers()]}
        trunk = copy.deepcopy(network, shared)
        parent, _, name = last.rpartition(".")
        setattr(trunk.get_submodule(parent), name, nn.Identity())
        _made[network] = trunk
    return _made[network].to(next(network.parameters()).device)
