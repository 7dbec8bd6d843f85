"""Where a nodule may be: blobs brighter than the lung around them, at every size from 3 to 30 mm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from numpy.typing import NDArray

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.volume import Grid

# Diameters that each filter is tuned to, mm, a factor of about 1.3 apart.
DIAMETERS_MM = (3.0, 4.0, 5.3, 7.0, 9.2, 12.2, 16.1, 21.3, 28.2)
# A ball of diameter d answers most to a Gaussian of d/4 (Li, Sone & Doi, Med Phys 2003).
_SIGMA_PER_DIAMETER = 0.25
# Larger blobs are sought on a grid of 2 mm: the Gaussian is wide enough there.
_COARSE_FROM_MM = 9.0
# Weakest answer worth a look, HU; a 3 mm nodule of soft tissue in a 2.5 mm slice gives about 60.
_LEAST_ANSWER_HU = 25.0


@dataclass(frozen=True)
class Candidate:
    """A blob.

    Attributes:
        ijk: voxel index (i, j, k) on the grid that was searched.
        diameter_mm: of the filter that answered most.
        answer: dot enhancement, HU.
    """

    ijk: tuple[int, int, int]
    diameter_mm: float
    answer: float


def find_blobs(
    hu: torch.Tensor, lungs: torch.Tensor, grid: Grid, *, limit: int, progress: Progress | None = None
) -> list[Candidate]:
    """Local maxima of the dot-enhancement filter in space and scale.

    The filter is |λ3|²/|λ1| of the Hessian's eigenvalues |λ1| ≥ |λ2| ≥ |λ3| where all are negative
    (Li, Sone & Doi, Med Phys 2003): large for balls, small for vessels and pleura.

    Args:
        hu: float32 [k, j, i] on an isotropic grid of 1 mm, clamped to lung and soft tissue.
        lungs: bool [k, j, i], where centres may lie.
        grid: the voxels' place.
        limit: the strongest are returned, at most so many.

    Returns:
        In order of falling answer; of two within the larger's radius only the stronger.
    """
    progress = progress or Progress()
    found: list[Candidate] = []
    coarse_hu = F.avg_pool3d(hu[None, None], 2, ceil_mode=True, count_include_pad=False)[0, 0]
    coarse_lungs = F.max_pool3d(lungs[None, None].to(hu.dtype), 2, ceil_mode=True)[0, 0] > 0
    for step, diameter in enumerate(DIAMETERS_MM):
        progress(step / len(DIAMETERS_MM), f"Searching for nodules of {diameter:.0f} mm")
        factor = 2 if diameter >= _COARSE_FROM_MM else 1
        image, inside = (coarse_hu, coarse_lungs) if factor == 2 else (hu, lungs)
        spacing = float(grid.spacing[0]) * factor
        where, answers = _answers(image, inside, diameter * _SIGMA_PER_DIAMETER / spacing)
        # The coarse voxel (i) covers the fine voxels 2i and 2i + 1.
        for k, j, i, answer in zip(*(where * factor + (factor - 1) // 2).T.tolist(), answers.tolist(), strict=True):
            found.append(Candidate((i, j, k), diameter, answer))
    progress(1.0, "Search done")
    return strongest(found, float(grid.spacing[0]), limit)


def strongest(candidates: Sequence[Candidate], spacing_mm: float, limit: int) -> list[Candidate]:
    """Non-maximum suppression in mm: a candidate goes if a stronger one's ball holds its centre."""
    kept: list[Candidate] = []
    centres = np.empty((0, 3))
    radii = np.empty(0)
    for candidate in sorted(candidates, key=lambda c: (-c.answer, c.ijk)):
        centre = np.array(candidate.ijk) * spacing_mm
        reach = np.maximum(radii, candidate.diameter_mm / 2)
        if np.any(np.linalg.norm(centres - centre, axis=1) < reach):
            continue
        kept.append(candidate)
        centres = np.vstack([centres, centre])
        radii = np.append(radii, candidate.diameter_mm / 2)
        if len(kept) == limit:
            break
    return kept


def _answers(image: torch.Tensor, inside: torch.Tensor, sigma: float) -> tuple[NDArray[np.int64], NDArray]:
    """Voxels (k, j, i) [n, 3] of local maxima at one scale, and their answers in HU."""
    smooth = _gaussian(image, sigma)
    # Only where the Laplacian says bright blob: a few per cent of the lung, so the rest costs nothing.
    bright = _laplacian(smooth) < -_LEAST_ANSWER_HU / sigma**2
    bright &= inside[1:-1, 1:-1, 1:-1]
    at = bright.nonzero() + 1
    lowest, highest = _extreme_eigenvalues(_hessian(smooth, at) * sigma**2)
    dot = (highest.clamp(max=0) ** 2 / lowest.abs().clamp(min=1e-6)).to(image.dtype)
    at, dot = at[dot > _LEAST_ANSWER_HU], dot[dot > _LEAST_ANSWER_HU]
    peaks = _local_maxima(at, dot, image.shape)
    return at[peaks].cpu().numpy(), dot[peaks].cpu().numpy()


def _local_maxima(at: torch.Tensor, values: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Which of the voxels (k, j, i) [n, 3] have no stronger neighbour among the 26."""
    field = torch.zeros(shape, device=values.device, dtype=values.dtype)
    field[at[:, 0], at[:, 1], at[:, 2]] = values
    flat = field.flatten()
    strides = field.stride()
    centre = (at * torch.tensor(strides, device=at.device)).sum(dim=1)
    peak = torch.ones(len(at), dtype=torch.bool, device=at.device)
    for k, j, i in product((-1, 0, 1), repeat=3):
        peak &= values >= flat[centre + k * strides[0] + j * strides[1] + i * strides[2]]
    return peak


def _gaussian(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian smoothing, separable, as matrix products; the edge voxels are repeated outside."""
    for dim, size in enumerate(image.shape):
        index = torch.arange(size, device=image.device, dtype=image.dtype)
        reach = int(np.ceil(4 * sigma))
        taps = torch.arange(-reach, size + reach, device=image.device, dtype=image.dtype)
        steps = (taps[None, :] - index[:, None]).abs()
        # Cut off, because products with denormal tails take the processor ten times as long.
        weights = torch.exp(-0.5 * (steps / sigma) ** 2) * (steps <= reach)
        weights[:, reach] += weights[:, :reach].sum(dim=1)
        weights[:, reach + size - 1] += weights[:, reach + size :].sum(dim=1)
        matrix = weights[:, reach : reach + size]
        matrix = matrix / matrix.sum(dim=1, keepdim=True)
        if dim == 0:
            image = (matrix @ image.reshape(size, -1)).reshape(image.shape)
        else:
            image = matrix @ image if dim == 1 else image @ matrix.T
    return image


def _laplacian(smooth: torch.Tensor) -> torch.Tensor:
    """Of all voxels but those on the border."""
    inner = slice(1, -1)
    result = -6.0 * smooth[inner, inner, inner]
    for dim in range(3):
        for side in (slice(0, -2), slice(2, None)):
            result += smooth[tuple(side if axis == dim else inner for axis in range(3))]
    return result


def _hessian(smooth: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """[6, n] second differences kk, jj, ii, kj, ki, ji at voxels (k, j, i) that are not on the border."""
    strides = smooth.stride()
    flat = smooth.flatten()
    centre = (at * torch.tensor(strides, device=at.device)).sum(dim=1)
    twice = 2 * flat[centre]
    rows = [flat[centre + stride] + flat[centre - stride] - twice for stride in strides]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        plus, minus = strides[a] + strides[b], strides[a] - strides[b]
        mixed = flat[centre + plus] + flat[centre - plus] - flat[centre + minus] - flat[centre - minus]
        rows.append(mixed / 4)
    # Apple's GPUs have no double precision; it only sharpens the eigenvalues of near-perfect balls.
    return torch.stack(rows).to(torch.float32 if smooth.device.type == "mps" else torch.float64)


def _extreme_eigenvalues(hessian: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Lowest and highest eigenvalue [n] of symmetric 3x3 matrices [6, n] (Smith, Commun ACM 1961)."""
    kk, jj, ii, kj, ki, ji = hessian
    mean = (kk + jj + ii) / 3
    kk, jj, ii = kk - mean, jj - mean, ii - mean
    spread = ((kk**2 + jj**2 + ii**2 + 2 * (kj**2 + ki**2 + ji**2)) / 6).sqrt().clamp(min=1e-12)
    determinant = kk * (jj * ii - ji**2) - kj * (kj * ii - ji * ki) + ki * (kj * ji - jj * ki)
    angle = (determinant / (2 * spread**3)).clamp(-1, 1).acos() / 3
    return mean + 2 * spread * (angle + 2 * torch.pi / 3).cos(), mean + 2 * spread * angle.cos()
