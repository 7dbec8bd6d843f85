"""The exponential moving average of a network's weights (Polyak and Juditsky, 1992)."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import nn


class WeightAverage:
    """Follows a network; ``network`` holds the averaged weights.

    Args:
        network: to be followed.
        decay: of the average; it starts low and rises to this, so that the first weights are forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._decay = decay
        self._updates = 0

    def resume(self, weights: Mapping[str, torch.Tensor], updates: int) -> None:
        """Go on from weights that were averaged so many times."""
        self.network.load_state_dict(dict(weights))
        self._updates = updates

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        for kept, now in zip(self.network.state_dict().values(), network.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(now, 1 - decay)
            else:
                kept.copy_(now)
