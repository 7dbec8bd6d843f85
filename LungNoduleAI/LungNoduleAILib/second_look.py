"""Each mark of the search looked at again, in a crop with the mark in its middle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from LungNoduleAILib.candidate_network import SIDE, CandidateNetwork, CandidateWidths
from LungNoduleAILib.network import normalized
from LungNoduleAILib.search import AIR_HU, SearchSpace
from SegmentationAILib.engine.device import choose_device
from SegmentationAILib.engine.model_folder import Model
from SegmentationAILib.engine.precision import inference_precision
from SegmentationAILib.engine.progress import Progress

# Flips that are averaged, as dimensions of a batch [n, 1, k, j, i].
VIEWS: tuple[tuple[int, ...], ...] = ((), (4,))
# Crops in a batch: about 0.3 GB of features.
_BATCH = 32


@dataclass(frozen=True)
class JointScale:
    """Heat and second look to the share of such marks that are nodules.

    1 / (1 + exp(-(heat · logit of the heat + look · logit of the second look + offset))), a logistic regression
    (Platt, 1999); the figures come with the weights.
    """

    heat: float
    look: float
    offset: float

    def scores(self, heats: ArrayLike, looks: ArrayLike) -> NDArray[np.float64]:
        """Scores [n], 0…1, of heats [n], 0…1, and the second look's logits [n]."""
        clipped = np.clip(np.asarray(heats, dtype=float), 1e-6, 1 - 1e-6)
        logit = np.log(clipped / (1 - clipped))
        return 1 / (1 + np.exp(-(self.heat * logit + self.look * np.asarray(looks, dtype=float) + self.offset)))


@dataclass(frozen=True, eq=False)
class SecondLook:
    """A network that decides on single marks, and the scale that joins it to the search."""

    network: CandidateNetwork
    scale: JointScale


def second_look_of(model: Model) -> SecondLook:
    """The second look of a model of kind "candidate".

    Raises:
        InputError: the weights fit no such network.
    """
    network = CandidateNetwork(CandidateWidths(**model.card.configuration))
    model.load_into(network)
    return SecondLook(network.eval(), JointScale(**model.card.training["score_scale"]))


def look_again(
    network: CandidateNetwork,
    space: SearchSpace,
    places: Sequence[tuple[float, float, float]],
    device: str,
    progress: Progress,
) -> NDArray[np.float64]:
    """The network's logits [n] at places (k, j, i) of the search space, a mean over ``VIEWS``.

    Raises:
        Cancelled: the user cancelled, between batches.
    """
    logits = np.zeros(len(places))
    for first in range(0, len(places), _BATCH):
        progress(first / len(places), "Looking at each mark again")
        rows = slice(first, first + _BATCH)
        crops = np.stack([crop_at(space.hu, at) for at in places[rows]])
        logits[rows] = logits_of(network, normalized(torch.from_numpy(crops))[:, None], device)
    progress(1.0, "Looked again")
    return logits


def logits_of(network: CandidateNetwork, crops: torch.Tensor, device: str) -> NDArray[np.float64]:
    """The network's logits [n] of crops [n, 1, 32, 32, 32] from ``normalized``, a mean over ``VIEWS``."""
    place = choose_device(device)
    network = network.eval().to(place, memory_format=torch.channels_last_3d)
    crops = crops.to(place)
    # Around the network alone: moved in inference mode, its weights could never be trained again.
    with torch.inference_mode(), inference_precision(place)():
        views = [network(crops.flip(view) if view else crops).float() for view in VIEWS]
    return torch.stack(views).mean(dim=0).double().cpu().numpy()


def crop_at(hu: NDArray, place: Sequence[float], side: int = SIDE) -> NDArray:
    """A cube of that side with a place (k, j, i), at half voxels or whole ones, in its middle; air beyond the end."""
    start = np.round(np.asarray(place)).astype(int) - side // 2
    low, high = np.clip(start, 0, hu.shape), np.clip(start + side, 0, hu.shape)
    crop = np.full((side,) * 3, AIR_HU, dtype=hu.dtype)
    there = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
    crop[there] = hu[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return crop
