"""From log-odds and clicks to the tumour's surface, and onto the CT's voxels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from SegmentationAILib.preprocess import resample
from SegmentationAILib.radiotherapy.random_walker import random_walker
from SegmentationAILib.radiotherapy.tumour_model import THRESHOLD, corrected
from SegmentationAILib.radiotherapy.tumour_prompts import Click, Point
from SegmentationAILib.radiotherapy.tumour_window import Window
from SegmentationAILib.volume import Grid

# 1/√γ: the surface is smooth over less than a voxel; chosen on patients of training and validation.
_GAMMA = 2.0
# A step of this share of the way from lung to tumour, or of this much in soft tissue, is an edge.
_EDGE_SHARE, _EDGE_HU = 0.35, 60.0
_SOFT_TISSUE_HU = (-200.0, 300.0)
_SEED_MM = 0.4


def settle(
    window: Window, odds: NDArray[np.float32], seeds: NDArray[np.int8], clicks: list[Click]
) -> NDArray[np.float32]:
    """Probability of tumour after all clicks, taken in one after the other; 0.5 at its surface.

    Args:
        window: around the first prompt.
        odds: [k, j, i] log-odds before the clicks.
        seeds: [k, j, i], 1 tumour, -1 not, 0 open.
        clicks: in their order.
    """
    seeds = seeds.copy()
    for before, click in enumerate(clicks):
        kji = window.grid.ijk(click.ras)[::-1]
        odds = corrected(odds, window, tuple(kji), click.add, before)
        if holds(window, click.ras):
            away = window.distance_from(tuple(kji))
            seeds[away <= max(_SEED_MM, float(away.min()))] = 1 if click.add else -1
    guides = [window.density / _EDGE_SHARE]
    smooth = ndimage.gaussian_filter(np.clip(window.hu, *_SOFT_TISSUE_HU), 0.7 / window.spacing_mm)
    guides.append(smooth / _EDGE_HU)
    prior = 1 / (1 + np.exp(-odds))
    probability = random_walker(prior.astype(np.float32), guides, seeds, _GAMMA)
    # The log-odds of the surface that fits readers best, moved to 0.5.
    settled = probability / (probability + (1 - probability) * THRESHOLD / (1 - THRESHOLD))
    return _connected(settled.astype(np.float32), window, clicks)


def _connected(probability: NDArray, window: Window, clicks: list[Click]) -> NDArray[np.float32]:
    """The parts that hold a click that adds; without one, the largest; holes filled."""
    inside = probability >= 0.5
    labels, count = ndimage.label(inside)
    if count == 0:
        return probability
    added = [np.round(window.grid.ijk(one.ras)).astype(int)[::-1] for one in clicks if one.add]
    held = {int(labels[tuple(kji)]) for kji in added if _holds_voxel(window, kji)} - {0}
    if not held:
        held = {int(np.bincount(labels[inside]).argmax())}
    kept = np.isin(labels, list(held))
    filled = ndimage.binary_fill_holes(kept)
    for one in clicks:
        kji = np.round(window.grid.ijk(one.ras)).astype(int)[::-1]
        if not one.add and _holds_voxel(window, kji):
            filled[tuple(kji)] = kept[tuple(kji)]
    near = ndimage.binary_dilation(filled)
    return np.where(filled, np.maximum(probability, 0.5), np.where(near & ~inside, probability, 0.0))


def distance_mm(window: Window, ras: Point) -> float:
    """Along the window's longest way from its point to another."""
    ijk = window.grid.ijk(ras)
    return float(np.abs(ijk - window.centre[::-1]).max()) * window.spacing_mm


def holds(window: Window, ras: Point) -> bool:
    return _holds_voxel(window, np.round(window.grid.ijk(ras)).astype(int)[::-1])


def _holds_voxel(window: Window, kji: NDArray[np.int_]) -> bool:
    return bool(np.all(kji >= 0) and np.all(kji < window.hu.shape))


def reaches_end(probability: NDArray, window: Window, volume_grid: Grid) -> bool:
    """Whether the tumour goes on beyond the window, inside the volume."""
    size = np.array(volume_grid.shape[::-1])
    for axis in range(3):
        for end in (0, -1):
            if (probability.take(end, axis) >= 0.5).any():
                beyond = np.array(window.centre[::-1], dtype=float)
                beyond[2 - axis] = -1.5 if end == 0 else probability.shape[axis] + 0.5
                ijk = volume_grid.ijk(window.grid.ras(beyond))
                if np.all(ijk > -0.5) and np.all(ijk < size - 0.5):
                    return True
    return False


def on_volume(probability: NDArray, source: Grid, target: Grid, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """``mask`` with the tumour drawn in."""
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in source.shape[::-1]])).reshape(3, -1).T
    reach = target.ijk(source.ras(corners))[:, ::-1]
    first = np.clip(np.floor(reach.min(axis=0)).astype(int), 0, target.shape)
    last = np.clip(np.ceil(reach.max(axis=0)).astype(int) + 1, first, target.shape)
    window = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    shape = tuple(int(b - a) for a, b in zip(first, last, strict=True))
    mask[window] = resample(probability, source, target.crop(first, shape)) >= 0.5
    return mask
