"""The network that rates a nodule from its crop and from numbers for how it looks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from LungNoduleAILib.appearance import FEATURES
from LungNoduleAILib.rating import GRADES, RATINGS

SIDE = 32
HU_RANGE = (-1000.0, 400.0)
# Flips and turns that leave the axial plane axial.
SYMMETRIES = 16
CHANNELS = (16, 32, 64)
_HIDDEN = 64
_OUTPUTS = len(RATINGS) * GRADES + 1
_BATCH = 32


class RatingNetwork(nn.Module):
    """Logits from the numbers, and what a small 3-D residual network adds to them from the crop.

    The numbers' part holds the multinomial logistic regression, a strong baseline on few nodules. The
    crop's part begins at zero, so that it can be trained after the other and corrects it.

    Args:
        crops: whether there is a part for the crop.
        numbers: whether there is a part for the numbers.
    """

    def __init__(self, crops: bool = True, numbers: bool = True) -> None:
        super().__init__()
        self.crops, self.numbers = crops, numbers
        self.register_buffer("mean", torch.zeros(len(FEATURES)))
        self.register_buffer("deviation", torch.ones(len(FEATURES)))
        if numbers:
            self.direct = nn.Linear(len(FEATURES), _OUTPUTS)
            self.look = _perceptron(len(FEATURES))
        if crops:
            stages = []
            for before, after in zip((2, *CHANNELS[:-1]), CHANNELS, strict=True):
                stages += [nn.Conv3d(before, after, 3, stride=2, padding=1, bias=False), _norm(after), nn.ReLU()]
                # At full width the first stage would cost more than the others together.
                stages += [Residual(after)] if before > 2 else []
            self.stages = nn.Sequential(*stages)
            self.crop = _perceptron(2 * CHANNELS[-1] + len(FEATURES) * numbers)
            nn.init.zeros_(self.crop[-1].weight)
            nn.init.zeros_(self.crop[-1].bias)

    def forward(self, crop: torch.Tensor | None, look: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of the grades [N, ratings, 5] and of calcification [N].

        Args:
            crop: float32 [N, 2, 32, 32, 32], HU and occupancy, as ``network_input`` makes it; None for
                the numbers' part alone.
            look: float32 [N, features].
        """
        look = torch.clamp((look - self.mean) / self.deviation, -4.0, 4.0)
        out = torch.zeros(len(look), _OUTPUTS, device=look.device)
        if self.numbers:
            out = out + self.direct(look) + self.look(look)
        if self.crops and crop is not None:
            deep = self.stages(crop)
            parts = [deep.mean(dim=(2, 3, 4)), deep.amax(dim=(2, 3, 4))] + [look] * self.numbers
            out = out + self.crop(torch.cat(parts, dim=1))
        return out[:, :-1].unflatten(1, (len(RATINGS), GRADES)), out[:, -1]


class Residual(nn.Module):
    """Two convolutions and what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(channels, channels, 3, padding=1, bias=False),
            _norm(channels),
            nn.ReLU(),
            nn.Conv3d(channels, channels, 3, padding=1, bias=False),
            _norm(channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.body(x))


def network_input(hu: torch.Tensor, occupancy: torch.Tensor) -> torch.Tensor:
    """[N, 2, k, j, i] of HU and occupancy [N, k, j, i]; HU of -1000…400 become -1…1."""
    low, high = HU_RANGE
    scaled = (hu.clamp(low, high) - low) * (2 / (high - low)) - 1
    return torch.stack([scaled, 2 * occupancy - 1], dim=1)


def symmetry(crops: torch.Tensor, index: int) -> torch.Tensor:
    """One of the 16 flips and turns of the axial plane and along the body; 0 changes nothing."""
    if index & 1:
        crops = crops.flip(-3)
    if index & 2:
        crops = crops.flip(-1)
    return torch.rot90(crops, index >> 2, dims=(-2, -1))


@torch.inference_mode()
def predict(
    networks: Sequence[RatingNetwork],
    hu: NDArray,
    occupancy: NDArray,
    look: NDArray[np.float32],
    *,
    symmetries: int = SYMMETRIES,
    device: torch.device | str = "cpu",
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probabilities of the grades [N, ratings, 5] and of calcification [N].

    Args:
        networks: whose probabilities are averaged; moved to the device.
        hu: [N, 32, 32, 32].
        occupancy: [N, 32, 32, 32] in 0…1.
        look: [N, features].
        symmetries: how many flips and turns are averaged; all 16 make the result independent of them.
        device: where to compute.
    """
    grades = np.zeros((len(look), len(RATINGS), GRADES))
    calcification = np.zeros(len(look))
    views = [n * (SYMMETRIES // symmetries) for n in range(symmetries)]
    for first in range(0, len(look), _BATCH):
        rows = slice(first, first + _BATCH)
        part = [torch.from_numpy(np.ascontiguousarray(a[rows], np.float32)).to(device) for a in (hu, occupancy)]
        crops = network_input(*part)
        looks = torch.from_numpy(look[rows]).to(device)
        for network in networks:
            network.to(device)
            for view in views:
                grade, calcium = network(symmetry(crops, view), looks)
                grades[rows] += torch.softmax(grade, dim=-1).cpu().numpy()
                calcification[rows] += torch.sigmoid(calcium).cpu().numpy()
    total = len(networks) * symmetries
    return grades / total, calcification / total


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(8, channels)


def _perceptron(inputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Dropout(0.3), nn.Linear(inputs, _HIDDEN), nn.ReLU(), nn.Dropout(0.3), nn.Linear(_HIDDEN, _OUTPUTS)
    )
