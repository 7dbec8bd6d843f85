"""The log-odds of tumour: from features by a small network, corrected by clicks, joined to a prior."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from SegmentationAILib.engine.model_folder import read_model
from SegmentationAILib.radiotherapy.tumour_features import NAMES
from SegmentationAILib.radiotherapy.tumour_window import Window
from SegmentationAILib.resources import model_path

THRESHOLD = 0.35
# Log-odds that a click must reach on its side.
_MARGIN = 2.0
# A click speaks for its surroundings as far as it lies from the surface that it corrects, and for voxels
# about as dense.
_REACH, _LEAST_REACH_MM = 1.2, 1.0
_LIKE_DENSITY = 0.3
# Who corrects one place would often draw the whole surface a little further that way: log-odds that the first
# correction adds everywhere, and of each later one how much of the one before.
_EVERYWHERE, _EVERYWHERE_AGAIN = 0.6, 0.6
_MASK_SLOPE_MM = 0.7
# How many times more often a dense voxel of a box around a nodule is nodule than not, as a logarithm, at each tenth
# of the way from the box's middle to the ellipsoid that fills it and beyond: 527 nodules of training. Its weight
# beside the network, which sees the same voxels, is the best of 0, 0.4, 0.7, 1 on validation (Dice 0.813, 0.831,
# 0.828, 0.821), where 0.5 lies between the two best.
_BOX_PLACES = np.arange(0.05, 2.0, 0.1)
_BOX_LOG_ODDS = (5.5, 5.4, 5.0, 4.7, 3.9, 3.4, 2.9, 2.3, 1.6, 0.7, -0.2, -1.5, -2.8, -4.3, -5.9, *(-6.0,) * 5)
_BOX_WEIGHT = 0.5
_MOST_LOG_ODDS = 6.0
# With the nodule network, on 73 nodules of validation: Dice after one click 0.828 without it, 0.835 with a weight of
# 0.1 or 0.15. The network draws tightly; the shift makes the volumes right again on the mean (0.837).
_PRIOR_WEIGHT, _PRIOR_SHIFT = 0.15, 0.23


class VoxelNetwork(nn.Module):
    """A multi-layer perceptron on the features of one voxel; their mean and spread travel with it."""

    def __init__(self, widths: Sequence[int] = (32, 16)) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.register_buffer("mean", torch.zeros(len(NAMES)))
        self.register_buffer("spread", torch.ones(len(NAMES)))
        sides = (len(NAMES), *self.widths)
        layers = [layer for inward, outward in pairwise(sides) for layer in (nn.Linear(inward, outward), nn.ReLU())]
        self.layers = nn.Sequential(*layers, nn.Linear(sides[-1], 1))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Log-odds [n] of features [n, feature]."""
        return self.layers((maps - self.mean) / self.spread)[:, 0]

    def configuration(self) -> dict[str, list[int]]:
        """What makes an equal, untrained network: ``VoxelNetwork(**configuration)``."""
        return {"widths": list(self.widths)}


@cache
def built_in() -> VoxelNetwork:
    """The network that comes with the extension.

    Raises:
        InputError: its files are missing or damaged.
    """
    model = read_model(model_path("tumour-click"), "tumour")
    network = VoxelNetwork(**model.card.configuration)
    model.load_into(network)
    return network.eval()


@torch.inference_mode()
def log_odds(maps: NDArray[np.float32], network: VoxelNetwork | None = None) -> NDArray[np.float32]:
    """[k, j, i] from [feature, k, j, i]; by the network that comes with the extension unless another is given."""
    rows = torch.from_numpy(np.ascontiguousarray(maps.reshape(len(maps), -1).T))
    return (network or built_in())(rows).numpy().reshape(maps.shape[1:])


def log_odds_of_mask(distance_mm: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
    """Of a mask drawn before: certain inside, open at its surface."""
    slope = max(_MASK_SLOPE_MM, window.spacing_mm)
    surface = np.log(THRESHOLD / (1 - THRESHOLD))
    return np.clip(distance_mm / slope, -_MOST_LOG_ODDS, _MOST_LOG_ODDS).astype(np.float32) + np.float32(surface)


def log_odds_of_box(
    window: Window, low: tuple[float, float, float], high: tuple[float, float, float]
) -> NDArray[np.float32]:
    """[k, j, i] what a box tells of the voxels of a window by their place in it.

    Args:
        low, high: its corners, RAS mm.
    """
    k, j, i = np.indices(window.hu.shape)
    ras = window.grid.ras(np.stack([i, j, k], axis=-1))
    middle, half = (np.array(high) + np.array(low)) / 2, (np.array(high) - np.array(low)) / 2
    place = np.linalg.norm((ras - middle) / half, axis=-1)
    return (_BOX_WEIGHT * np.interp(place, _BOX_PLACES, _BOX_LOG_ODDS)).astype(np.float32)


def with_prior(odds: NDArray[np.float32], probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weighted mean in log-odds of the model's and another opinion."""
    p = np.clip(probability, 1e-3, 1 - 1e-3)
    return ((1 - _PRIOR_WEIGHT) * odds + _PRIOR_WEIGHT * np.log(p / (1 - p)) + _PRIOR_SHIFT).astype(np.float32)


def corrected(
    odds: NDArray[np.float32], window: Window, kji: tuple[float, ...], add: bool, before: int
) -> NDArray[np.float32]:
    """Log-odds with a click taken in; unchanged where they already agree with it.

    Args:
        odds: [k, j, i] on the window.
        window: around the first prompt.
        kji: of the click, voxels of the window.
        add: whether it is tumour.
        before: how many clicks came before.
    """
    at = tuple(int(np.clip(round(c), 0, n - 1)) for c, n in zip(kji, odds.shape, strict=True))
    sign = 1.0 if add else -1.0
    surface = np.log(THRESHOLD / (1 - THRESHOLD))
    missing = _MARGIN - sign * (float(odds[at]) - surface)
    if missing <= 0:
        return odds
    away = window.distance_from(kji)
    density = window.density
    agrees = (odds >= surface) == add
    gap = float(away[agrees].min()) if agrees.any() else window.depth_mm
    reach = max(_REACH * gap, _LEAST_REACH_MM, window.spacing_mm)
    weight = np.exp(-0.5 * (away / reach) ** 2 - 0.5 * ((density - density[at]) / _LIKE_DENSITY) ** 2)
    everywhere = _EVERYWHERE * _EVERYWHERE_AGAIN ** max(before - 1, 0)
    return (odds + sign * (missing * weight + everywhere)).astype(np.float32)
