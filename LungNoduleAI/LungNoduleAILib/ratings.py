"""Volume and nodule -> what radiologists would probably have called it, by the built-in network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from torch import nn

from LungNoduleAILib.appearance import appearance
from LungNoduleAILib.nodule import Nodule, NoduleMask
from LungNoduleAILib.nodule_crop import crop_nodule, cube
from LungNoduleAILib.rating import RATINGS, Grade, Ratings
from LungNoduleAILib.rating_network import SIDE, RatingNetwork, predict
from SegmentationAILib.engine.device import choose_device
from SegmentationAILib.engine.model_folder import read_model
from SegmentationAILib.errors import InputError
from SegmentationAILib.resources import model_path
from SegmentationAILib.volume import Volume


def rate(
    volume: Volume,
    nodule: Nodule | NoduleMask,
    *,
    networks: Sequence[RatingNetwork] | None = None,
    device: str | torch.device = "cpu",
) -> Ratings:
    """Rate a nodule as the readers of the LIDC would.

    The networks' probabilities are averaged over the networks and over 16 flips and turns, so that
    the result does not depend on how the scan lies.

    Args:
        volume: CT, HU.
        nodule: a nodule with its mask, or the mask.
        networks: what rates; the networks that ship with the extension if not given.
        device: a torch device or its name.

    Raises:
        InputError: no volume or nodule, not a CT, an empty mask, a mask outside the volume, or no
            weights where they are needed.
    """
    if volume is None:
        raise InputError("No volume is selected; choose the CT volume that the nodule was found in.")
    if volume.modality not in ("", "CT"):
        raise InputError(f"The volume is {volume.modality}, not CT; choose a CT volume.")
    mask = nodule.mask if isinstance(nodule, Nodule) else nodule
    if mask is None:
        raise InputError("No nodule is selected; choose one of the table.")
    networks = shipped_networks() if networks is None else networks
    place = torch.device(device) if isinstance(device, torch.device) else choose_device(device)
    crop = crop_nodule(volume, mask)
    views = cube(crop.hu, SIDE)[None], cube(crop.occupancy, SIDE, fill=0.0)[None], appearance(crop)[None]
    grades, calcification = predict(networks, *views, device=place)
    return Ratings(
        tuple(Grade(r, tuple(float(p) for p in row)) for r, row in zip(RATINGS, grades[0], strict=True)),
        float(calcification[0]),
    )


@cache
def shipped_networks() -> tuple[RatingNetwork, ...]:
    """The networks that come with the extension.

    Raises:
        InputError: they were not installed, or are damaged.
    """
    return load_networks(model_path("nodule-ratings"))


def load_networks(path: Path) -> tuple[RatingNetwork, ...]:
    """The networks of a model of kind "ratings", whose probabilities are averaged.

    Args:
        path: stem, folder or either file, as ``read_model`` takes it.

    Raises:
        InputError: as ``read_model``.
    """
    model = read_model(path, "ratings")
    networks = nn.ModuleList(RatingNetwork() for _ in range(model.card.configuration["networks"]))
    model.load_into(networks)
    return tuple(networks.eval())
