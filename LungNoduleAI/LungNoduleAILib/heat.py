"""The nodule network run over the lungs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from LungNoduleAILib.network import HEAT_STRIDE, STRIDE, NoduleNetwork, normalized
from LungNoduleAILib.search import AIR_HU, SearchSpace, with_surface
from SegmentationAILib.engine.device import choose_device
from SegmentationAILib.engine.precision import inference_precision
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.tiles import plan, read_padded

# Blocks of 2 mm: nodules at the pleura, which the lungs' outline may leave out.
_BEYOND_LUNGS = 2
# What the network sees of the surroundings of a voxel fades within this.
_MARGIN = 16
# About 1.5 GB of features.
_TILE_VOXELS = 14_000_000


@dataclass(frozen=True, eq=False)
class HeatMap:
    """The network's answer on a search space.

    Attributes:
        centre: float32 [k/2, j/2, i/2], 0…1, 0 away from the lungs; voxel (k, j, i) lies at
            (2k + ½, 2j + ½, 2i + ½) of the search space.
        diameter_mm: float32 [k/2, j/2, i/2].
        mask: float32 [k, j, i], probability that the voxel is nodule.
    """

    centre: NDArray[np.float32]
    diameter_mm: NDArray[np.float32]
    mask: NDArray[np.float32]


def heat_map(network: NoduleNetwork, space: SearchSpace, device: str, progress: Progress) -> HeatMap:
    """Run the network over the lungs and their surface.

    Raises:
        Cancelled: the user cancelled, between tiles.
    """
    place = choose_device(device)
    network = network.eval().to(place, memory_format=torch.channels_last_3d)
    precision = inference_precision(place)
    wanted = with_surface(space.lungs, _BEYOND_LUNGS)
    coarse = wanted.shape
    centre, diameter = np.zeros(coarse, dtype=np.float32), np.ones(coarse, dtype=np.float32)
    mask = np.zeros(space.hu.shape, dtype=np.float32)
    tiles = [
        tile
        for tile in plan(space.hu.shape, most_voxels=_TILE_VOXELS, margin=_MARGIN, multiple=STRIDE)
        if wanted[tuple(_coarse(side) for side in tile.keep)].any()
    ]
    for n, tile in enumerate(tiles):
        progress(n / len(tiles), "Searching the lungs for nodules")
        hu = torch.from_numpy(np.ascontiguousarray(read_padded(space.hu, tile.read, AIR_HU))).to(place)
        # Around the network alone: moved in inference mode, its weights could never be trained again.
        with torch.inference_mode(), precision():
            answer = network(normalized(hu)[None, None])
        here, inner = (tuple(_coarse(side) for side in sides) for sides in (tile.keep, tile.inner))
        centre[here] = torch.sigmoid(answer.heat[0, 0].float())[inner].cpu().numpy()
        diameter[here] = answer.log_diameter[0, 0].float().exp()[inner].cpu().numpy()
        mask[tile.keep] = torch.sigmoid(answer.mask[0, 0].float())[tile.inner].cpu().numpy()
    centre *= wanted
    progress(1.0, "Lungs searched")
    return HeatMap(centre, diameter, mask)


def _coarse(side: slice) -> slice:
    return slice(side.start // HEAT_STRIDE, -(-side.stop // HEAT_STRIDE))
