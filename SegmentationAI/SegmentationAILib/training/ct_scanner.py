"""How a CT scanner shows tissue: resolution, slice thickness, kernel, noise and streaks."""

from __future__ import annotations

import numpy as np
import torch

from SegmentationAILib.training.random_fields import Randomness

AIR_HU = -1000.0
_SLICE_MM = (0.5, 5.0)
_NOISE_HU = (3.0, 45.0)
_LIMITS_HU = (-1024.0, 3071.0)


def scanned(hu: torch.Tensor, random: Randomness, spacing_mm: float, *, blurred: bool = False) -> torch.Tensor:
    """The CT of a patch, with a randomly chosen scanner.

    Args:
        hu: [k, j, i] of the tissue itself.
        spacing_mm: voxel size.
        blurred: it is a CT already; only a little resolution is taken away.
    """
    in_plane = random.uniform(0.0, 0.5) if blurred else random.uniform(0.45, 0.9)
    thickness = random.uniform(*_SLICE_MM) if random.chance(0.5) else 1.0
    image = filtered(hu, _along_patient(hu.shape[0], in_plane, thickness / spacing_mm, random), 0)
    for axis in (1, 2):
        image = filtered(image, _gaussian(hu.shape[axis], in_plane), axis)
    if random.chance(0.25):
        # A sharp kernel overshoots at edges.
        soft = filtered(filtered(image, _gaussian(hu.shape[1], 1.0), 1), _gaussian(hu.shape[2], 1.0), 2)
        image = image + random.uniform(0.2, 0.8) * (image - soft)
    image = image + _noise(hu.shape, random)
    if random.chance(0.1):
        image = image + _streaks(hu.shape, random)
    return image.clamp(*_LIMITS_HU)


def filtered(image: torch.Tensor, weights: torch.Tensor, axis: int) -> torch.Tensor:
    """``weights`` [n, n] applied along one axis of [k, j, i]."""
    weights = weights.to(image.device)
    if axis == 0:
        return (weights @ image.flatten(1)).view(image.shape)
    return weights @ image if axis == 1 else image @ weights.T


def _gaussian(size: int, sigma: float) -> torch.Tensor:
    away = torch.arange(size)[:, None] - torch.arange(size)[None]
    weights = torch.exp(-0.5 * (away / max(sigma, 1e-3)) ** 2)
    return weights / weights.sum(dim=1, keepdim=True)


def _along_patient(size: int, sigma: float, thickness: float, random: Randomness) -> torch.Tensor:
    """Slices of a thickness in voxels, interpolated back to every voxel."""
    psf = _gaussian(size, sigma)
    if thickness <= 1.0:
        return psf
    centres = torch.arange(-random.uniform(0, thickness), size + thickness, thickness)
    away = (torch.arange(size)[None] - centres[:, None]).abs()
    slices = (0.5 + 0.5 * thickness - away).clamp(0.0, 1.0) + 1e-6
    slices = slices / slices.sum(dim=1, keepdim=True)
    between = (1.0 - (torch.arange(size)[:, None] - centres[None]).abs() / thickness).clamp_min(0.0) + 1e-9
    between = between / between.sum(dim=1, keepdim=True)
    return between @ slices @ psf


def _noise(shape: tuple[int, int, int], random: Randomness) -> torch.Tensor:
    """Stronger in some regions; correlated as far as kernel and slice thickness reach."""
    deviation = float(np.exp(random.uniform(*np.log(_NOISE_HU))))
    white = random.noise(shape)
    if random.chance(0.8):
        for axis in range(3):
            weights = _gaussian(shape[axis], random.uniform(0.3, 0.9))
            white = filtered(white, weights / weights.square().sum(dim=1, keepdim=True).sqrt(), axis)
    return white * deviation * (1.0 + 0.25 * random.field(shape, 30.0)).clamp_min(0.3)


def _streaks(shape: tuple[int, int, int], random: Randomness) -> torch.Tensor:
    """From side to side, as the shoulders throw them, over some slices."""
    depth = random.noise((shape[0], shape[1], 1))
    where = random.field(shape, 24.0).clamp_min(0.0)
    return random.uniform(10.0, 50.0) * depth * where
