"""The part of a chest CT in which nodules are sought."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleAILib.characterization import SPACING_MM
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.preprocess import resample
from SegmentationAILib.terminology import LEFT_LUNG, RIGHT_LUNG
from SegmentationAILib.volume import Grid, Volume

AIR_HU = -1000.0
# Tissue around the lungs that a nodule at the pleura is told from.
_MARGIN_MM = 12


@dataclass(frozen=True, eq=False)
class SearchSpace:
    """The lungs' box at 1 mm.

    Attributes:
        hu: float32 [k, j, i].
        lungs: bool [k, j, i].
        grid: the voxels' place.
    """

    hu: NDArray[np.float32]
    lungs: NDArray[np.bool_]
    grid: Grid


def search_space(volume: Volume, lungs: LabelMap, device: str = "auto") -> SearchSpace:
    """The part of the CT around the lungs, at 1 mm, along the axes nearest to L, P and S."""
    tissue = _tissue(lungs)
    return _sampled(volume, tissue, _box(volume.grid, tissue), device)


def search_window(
    volume: Volume, lungs: LabelMap, centre_ras: tuple[float, float, float], side: int, multiple: int
) -> SearchSpace:
    """The voxels of ``search_space`` around a point, without sampling the others.

    Args:
        volume: CT, HU.
        lungs: right and left lung on the volume's grid.
        centre_ras: mm.
        side: voxels; fewer where the search space is smaller.
        multiple: the window begins at a multiple of it in the search space, within its box.
    """
    tissue = _tissue(lungs)
    box = _box(volume.grid, tissue)
    start = []
    for centre, n in zip(box.ijk(centre_ras)[::-1], box.shape, strict=True):
        last = max(0, -(-(n - side) // multiple))
        start.append(multiple * int(np.clip(np.round((centre - side / 2) / multiple), 0, last)))
    shape = tuple(min(side, n - first) for first, n in zip(start, box.shape, strict=True))
    return _sampled(volume, tissue, box.crop(start, shape), "cpu")


def window_around(
    centre: tuple[int, ...], diameter_mm: float, shape: tuple[int, ...]
) -> tuple[tuple[slice, slice, slice], tuple[int, ...]]:
    """The voxels around a place that outlining a nodule there takes, and the place's indices in them.

    Args:
        centre: voxel (k, j, i) of the search space.
        diameter_mm: of the nodule, as far as it is known.
        shape: of the search space.
    """
    reach = int(np.ceil(0.9 * diameter_mm + 8.0) / SPACING_MM)
    window = tuple(slice(max(0, c - reach), min(n, c + reach + 1)) for c, n in zip(centre, shape, strict=True))
    return window, tuple(c - side.start for c, side in zip(centre, window, strict=True))


def _tissue(lungs: LabelMap) -> NDArray[np.uint8]:
    return sum(lungs.mask(structure).astype(np.uint8) for structure in (RIGHT_LUNG, LEFT_LUNG))


def _box(source: Grid, tissue: NDArray[np.uint8]) -> Grid:
    """The voxels of 1 mm around the lungs."""
    whole = source.canonical().with_spacing(SPACING_MM)
    box = ndimage.find_objects(resample(tissue, source, whole, mode="nearest"))[0]
    start = [max(0, side.start - _MARGIN_MM) for side in box]
    stop = [min(n, side.stop + _MARGIN_MM) for side, n in zip(box, whole.shape, strict=True)]
    return whole.crop(start, tuple(b - a for a, b in zip(start, stop, strict=True)))


def _sampled(volume: Volume, tissue: NDArray[np.uint8], grid: Grid, device: str) -> SearchSpace:
    hu = resample(volume.array, volume.grid, grid, mode="area", fill=AIR_HU, device=device)
    inside = resample(tissue, volume.grid, grid, device=device) > 0.5
    return SearchSpace(np.asarray(hu, dtype=np.float32), inside, grid)


def with_surface(lungs: NDArray[np.bool_], blocks: int) -> NDArray[np.bool_]:
    """The lungs and so many 2 mm blocks around them, bool [k/2, j/2, i/2]; a block holds 2×2×2 voxels."""
    coarse = F.max_pool3d(torch.from_numpy(lungs)[None, None].float(), 2, ceil_mode=True)
    for _ in range(blocks):
        coarse = F.max_pool3d(coarse, 3, stride=1, padding=1)
    return coarse[0, 0].numpy() > 0
