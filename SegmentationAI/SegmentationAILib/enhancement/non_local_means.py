"""Non-local means: each voxel is the mean of those nearby whose surroundings look like its own."""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from numpy.typing import NDArray
from scipy import ndimage

from SegmentationAILib.engine.device import choose_device
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.enhancement.filtering import check_numbers, in_type_of
from SegmentationAILib.errors import InputError
from SegmentationAILib.volume import Volume

_SLAB_VOXELS = 6_000_000
_NOISE_SLICES = 12
# A voxel more than this many times as long as it is wide has no patch along that axis.
_LONG_VOXEL = 2.0


def non_local_means(
    volume: Volume,
    *,
    noise_hu: float = 0.0,
    strength: float = 1.0,
    reach_mm: float = 2.0,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Volume:
    """Average like with like (Buades et al., CVPR 2005; weights less the noise's own part, as Coupé et al., 2008).

    The weight of a voxel at a shift is exp(-max(d² - 2σ², 0) / (strength σ)²), where d² is the mean squared
    difference of the patches of 3 voxels a side around both. Each shift is done for all voxels at once (Darbon et
    al., ISBI 2008), and with it the opposite one, whose weights are the same.

    Args:
        volume: any.
        noise_hu: the noise's standard deviation σ, in the volume's unit; 0: as ``measured_noise`` finds it.
        strength: more averages what is less alike.
        reach_mm: how far away voxels are looked for.
        device: torch device name, or "auto".
        progress: told of each shift.

    Raises:
        InputError: the voxels are not numbers, or a parameter is negative.
        Cancelled: the user cancelled.
    """
    check_numbers(volume)
    if noise_hu < 0 or not strength > 0 or not reach_mm > 0:
        raise InputError("Give a noise of 0 HU or more, and a strength and a reach above 0.")
    progress = progress or Progress()
    sigma = noise_hu or measured_noise(volume)
    if sigma == 0:
        return volume
    search, patch = _search(volume, reach_mm), _patch(volume)
    halo = [a + b for a, b in zip(search, patch, strict=True)]
    place = choose_device(device)
    padded = np.pad(volume.array, [(n, n) for n in halo], mode="edge")
    thickness = max(1, _SLAB_VOXELS // int(np.prod(padded.shape[1:])))
    starts = range(0, volume.shape[0], thickness)
    result = np.empty(volume.shape, dtype=np.float32)
    for number, start in enumerate(starts):
        stop = min(start + thickness, volume.shape[0])
        slab = torch.from_numpy(padded[start : stop + 2 * halo[0]].astype(np.float32)).to(place)
        part = progress.part(number / len(starts), (number + 1) / len(starts))
        mean = _mean_of_alike(slab, search, patch, sigma, strength * sigma, part)
        result[start:stop] = mean[tuple(slice(n, size - n) for n, size in zip(halo, mean.shape, strict=True))].cpu()
    progress(1.0, "Non-local means")
    return in_type_of(volume, result)


def reach(volume: Volume, *, reach_mm: float, **_others: float) -> NDArray[np.int_]:
    """Voxels along (k, j, i) that a voxel depends on."""
    return np.array(_search(volume, reach_mm)) + np.array(_patch(volume))


def with_noise(volume: Volume, *, noise_hu: float, **others: float) -> dict[str, float]:
    """The parameters with the noise measured, so that a part of the volume has that of the whole."""
    return {"noise_hu": noise_hu or measured_noise(volume), **others}


def measured_noise(volume: Volume) -> float:
    """Standard deviation of the noise, from what a slice's second differences leave (Immerkær, CVIU 1996).

    The median of these over twelve slices, where they are not zero, so that neither edges nor padding count. Noise
    that a smooth reconstruction kernel spread over several voxels shows only in part.
    """
    axis = 2 - int(np.argmax(volume.spacing))
    size = volume.shape[axis]
    slices = np.unique(np.linspace(0, size - 1, min(size, _NOISE_SLICES)).astype(int))
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)
    left = [ndimage.convolve(np.take(volume.array, n, axis=axis).astype(np.float32), mask) for n in slices]
    residues = np.abs(np.stack(left))
    residues = residues[residues > 0]
    return float(np.median(residues) / (6 * 0.6745)) if residues.size else 0.0


def _search(volume: Volume, reach_mm: float) -> list[int]:
    """Voxels along (k, j, i) within the reach; at least one along the finest axis."""
    finest = volume.spacing.min()
    return [int(max(reach_mm, finest) / size + 1e-6) for size in volume.spacing[::-1]]


def _patch(volume: Volume) -> list[int]:
    finest = volume.spacing.min()
    return [int(size <= _LONG_VOXEL * finest) for size in volume.spacing[::-1]]


def _mean_of_alike(
    values: torch.Tensor, search: list[int], patch: list[int], sigma: float, softness: float, progress: Progress
) -> torch.Tensor:
    """Right where a voxel's whole search and patch lie inside ``values`` [k, j, i]."""
    total, weights = values.clone(), torch.ones_like(values)
    shifts = [s for s in product(*[range(-n, n + 1) for n in search]) if s > (0, 0, 0)]
    size = [2 * n + 1 for n in patch]
    for number, shift in enumerate(shifts):
        progress(number / len(shifts), "Non-local means")
        here, there = _pair(values.shape, shift)
        squared = (values[here] - values[there]).square_()
        distance = F.avg_pool3d(squared[None, None], size, 1, patch, count_include_pad=False)[0, 0]
        weight = distance.sub_(2 * sigma**2).clamp_(min=0).mul_(-1 / softness**2).exp_()
        total[here].addcmul_(weight, values[there])
        total[there].addcmul_(weight, values[here])
        weights[here] += weight
        weights[there] += weight
    return total / weights


def _pair(shape: torch.Size, shift: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where a voxel and its neighbour at the shift both lie inside."""
    here = tuple(slice(max(0, -s), n - max(0, s)) for s, n in zip(shift, shape, strict=True))
    there = tuple(slice(max(0, s), n - max(0, -s)) for s, n in zip(shift, shape, strict=True))
    return here, there
