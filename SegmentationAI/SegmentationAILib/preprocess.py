"""Reorienting and resampling between grids, on the device; both ways by the same two grids."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from numpy.typing import NDArray

from SegmentationAILib.engine.device import choose_device
from SegmentationAILib.volume import Grid

Mode = Literal["linear", "nearest", "area"]

# A target voxel whose centre lies up to half a voxel beyond the outermost source centre is still
# inside the source's outer voxel faces.
EDGE = 0.5 + 1e-4
_SLAB_VOXELS = 4_000_000


def reorient(array: NDArray, source: Grid, target: Grid) -> NDArray:
    """A view of ``array`` [k, j, i] on a grid with the same voxels in another axis order.

    Args:
        array: [k, j, i] on ``source``.
        source: the array's grid.
        target: the same voxels with axes permuted and flipped, as ``source.canonical()`` gives; the
            call with source and target exchanged is the inverse.

    Raises:
        ValueError: the grids do not hold the same voxels.
    """
    matrix = source.ras_to_ijk @ target.ijk_to_ras
    axes = _axis_pairs(matrix)
    if axes is None or not np.allclose(np.abs(matrix[range(3), axes]), 1.0, atol=1e-3):
        raise ValueError("the grids differ by more than the order and direction of their axes")
    view = np.transpose(array, [2 - axes.index(2 - n) for n in range(3)])
    flips = tuple(slice(None, None, -1 if matrix[axes.index(2 - n), 2 - n] < 0 else 1) for n in range(3))
    view = view[flips]
    if not Grid(view.shape, target.ijk_to_ras).same_as(target) or not _same_voxels(source, target):
        raise ValueError("the grids do not hold the same voxels")
    return view


def resample(
    array: NDArray,
    source: Grid,
    target: Grid,
    *,
    mode: Mode = "linear",
    fill: float = 0.0,
    device: str | torch.device = "cpu",
) -> NDArray:
    """Voxel values of ``array`` at the voxel centres of another grid, whatever both matrices are.

    Where the axes of both grids are parallel the interpolation is separable, which is exact and
    fast; otherwise it is a trilinear lookup.

    Args:
        array: [k, j, i] on ``source``.
        source: the array's grid.
        target: where values are wanted.
        mode: ``"linear"``; ``"nearest"`` for labels, keeps the dtype; ``"area"`` is linear that
            averages over the target voxel where it is larger than the source's, so that coarser
            grids do not alias.
        fill: value outside the source's voxels.
        device: a torch device or its name.

    Returns:
        [k, j, i] on ``target``: float32, or the input's dtype for ``"nearest"``.
    """
    if source.same_as(target):
        return array if mode == "nearest" else np.asarray(array, dtype=np.float32)
    array, source = _crop_to(array, source, target)
    matrix = source.ras_to_ijk @ target.ijk_to_ras
    axes = _axis_pairs(matrix)
    if mode == "nearest":
        return _nearest(array, matrix, axes, target.shape, fill)
    place = torch.device(device) if isinstance(device, torch.device) else choose_device(device)
    if axes is not None:
        tensor = torch.from_numpy(_torch_ready(array)).to(place)
        return _separable(tensor, matrix, axes, target.shape, mode == "area", fill).cpu().numpy()
    if mode == "area":
        coarser = np.maximum(source.spacing, _extent_of_target_voxel(matrix) * source.spacing)
        if np.any(coarser > 1.05 * source.spacing):
            between = source.with_spacing(coarser)
            smoothed = resample(array, source, between, mode="area", fill=fill, device=place)
            return resample(smoothed, between, target, mode="linear", fill=fill, device=place)
    tensor = torch.from_numpy(_torch_ready(array)).to(place, torch.float32)
    return _trilinear(tensor, matrix, target.shape, fill).cpu().numpy()


def _axis_pairs(matrix: NDArray) -> list[int] | None:
    """For each source axis (i, j, k) the target axis that alone moves along it, or None if mixed."""
    linear = matrix[:3, :3]
    strength = np.abs(linear)
    axes = [int(np.argmax(row)) for row in strength]
    if sorted(axes) != [0, 1, 2]:
        return None
    rest = strength.copy()
    rest[range(3), axes] = 0.0
    return axes if rest.max() < 1e-5 * strength.max() else None


def _same_voxels(source: Grid, target: Grid) -> bool:
    first = source.ijk(target.ras([[0, 0, 0], np.array(target.shape[::-1]) - 1]))
    size = np.array(source.shape[::-1]) - 1
    return bool(np.all(np.abs(first - np.round(first)) < 1e-2) and np.all(np.abs(first[0] + first[1] - size) < 1e-2))


def _crop_to(array: NDArray, source: Grid, target: Grid) -> tuple[NDArray, Grid]:
    """The part of the source that can reach the target, so that a small target costs little."""
    margin = np.ceil(_extent_of_target_voxel(source.ras_to_ijk @ target.ijk_to_ras)).astype(int) + 2
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in target.shape[::-1]])).reshape(3, -1).T
    reach = source.ijk(target.ras(corners))
    size = np.array(source.shape[::-1])
    # At least one voxel is kept, so that a target wholly outside is filled like any other.
    first = np.clip(np.floor(reach.min(axis=0)).astype(int) - margin, 0, size - 1)
    last = np.clip(np.ceil(reach.max(axis=0)).astype(int) + margin, first, size - 1)
    window = tuple(slice(a, b + 1) for a, b in zip(first[::-1], last[::-1], strict=True))
    cropped = array[window]
    return cropped, source.crop(first[::-1], cropped.shape)


def _torch_ready(array: NDArray) -> NDArray:
    """Contiguous, native byte order, in a dtype that torch has and computes with."""
    if array.dtype.type in (np.bool_, np.uint16, np.uint32, np.uint64):
        array = array.astype(np.float32)
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    return array if array.flags.writeable else array.copy()


def _extent_of_target_voxel(matrix: NDArray) -> NDArray[np.float64]:
    """How many source voxels a target voxel spans along each source axis (i, j, k)."""
    return np.linalg.norm(matrix[:3, :3], axis=1)


def _separable(
    tensor: torch.Tensor,
    matrix: NDArray,
    axes: list[int],
    shape: tuple[int, int, int],
    average: bool,
    fill: float,
) -> torch.Tensor:
    """``tensor`` [k, j, i] of the source at the target's voxels; one axis after the other."""
    tensor = tensor.permute([2 - axes.index(2 - n) for n in range(3)])
    inside = []
    plan = []
    for dim in range(3):
        source_axis = axes.index(2 - dim)
        scale, offset = matrix[source_axis, 2 - dim], matrix[source_axis, 3]
        position = scale * np.arange(shape[dim]) + offset
        size = tensor.shape[dim]
        inside.append((position > -EDGE) & (position < size - 1 + EDGE))
        plan.append((dim, position, abs(scale)))
    # The axis that shrinks most goes first, so that the later ones have less to do.
    for dim, position, scale in sorted(plan, key=lambda p: shape[p[0]] / tensor.shape[p[0]]):
        tensor = along_axis(tensor, dim, position, scale if average else 1.0)
    tensor = tensor.to(torch.float32)
    for dim, ok in enumerate(inside):
        if not ok.all():
            tensor.index_fill_(dim, torch.from_numpy(np.flatnonzero(~ok)).to(tensor.device), fill)
    return tensor.contiguous()


def along_axis(tensor: torch.Tensor, dim: int, position: NDArray, width: float) -> torch.Tensor:
    """Weighted sums of neighbours at fractional indices along one axis; beyond the ends, the end.

    The weights are a triangle of half-width ``max(width, 1)`` voxels: linear interpolation at 1.
    They are applied as a matrix product, which the processor does faster than gathering neighbours.
    """
    size = tensor.shape[dim]
    half = max(width, 1.0)
    position = np.clip(position, 0, size - 1)
    if half == 1.0 and np.allclose(position, np.round(position), atol=1e-6):
        whole = torch.from_numpy(np.round(position).astype(np.int64)).to(tensor.device)
        return tensor.index_select(dim, whole)
    weights = np.maximum(0.0, 1.0 - np.abs(np.arange(size) - position[:, None]) / half)
    weights /= weights.sum(axis=1, keepdims=True)
    matrix = torch.from_numpy(weights.astype(np.float32)).to(tensor.device)
    tensor = tensor.to(torch.float32)
    if dim == 0:
        return (matrix @ tensor.reshape(size, -1)).reshape(len(position), *tensor.shape[1:])
    return matrix @ tensor if dim == 1 else tensor @ matrix.T


def _nearest(
    array: NDArray, matrix: NDArray, axes: list[int] | None, shape: tuple[int, int, int], fill: float
) -> NDArray:
    size = np.array(array.shape[::-1])
    if axes is not None:
        indices = []
        inside = []
        for dim in range(3):
            source_axis = axes.index(2 - dim)
            position = matrix[source_axis, 2 - dim] * np.arange(shape[dim]) + matrix[source_axis, 3]
            inside.append((position > -EDGE) & (position < size[source_axis] - 1 + EDGE))
            indices.append(np.clip(np.floor(position + 0.5), 0, size[source_axis] - 1).astype(np.intp))
        ordered = np.transpose(array, [2 - axes.index(2 - n) for n in range(3)])
        result = ordered[np.ix_(*indices)]
        for dim, ok in enumerate(inside):
            if not ok.all():
                result[(slice(None),) * dim + (~ok,)] = fill
        return result
    result = np.full(shape, fill, dtype=array.dtype)
    for slab, position in _slabs(matrix, shape):
        index = np.floor(position + 0.5).astype(np.intp)
        ok = np.all((position > -EDGE) & (position < size - 1 + EDGE), axis=-1)
        index = np.clip(index, 0, size - 1)
        result[slab][ok] = array[index[..., 2], index[..., 1], index[..., 0]][ok]
    return result


def _trilinear(tensor: torch.Tensor, matrix: NDArray, shape: tuple[int, int, int], fill: float) -> torch.Tensor:
    size = np.array(tensor.shape[::-1])
    result = torch.full(shape, fill, dtype=torch.float32, device=tensor.device)
    span = np.maximum(size - 1, 1)
    for slab, position in _slabs(matrix, shape):
        ok = np.all((position > -EDGE) & (position < size - 1 + EDGE), axis=-1)
        normalised = torch.from_numpy((2.0 * position / span - 1.0).astype(np.float32)).to(tensor.device)
        values = F.grid_sample(
            tensor[None, None], normalised[None], mode="bilinear", padding_mode="border", align_corners=True
        )[0, 0]
        inside = torch.from_numpy(ok).to(tensor.device)
        result[slab] = torch.where(inside, values, torch.full_like(values, fill))
    return result


def _slabs(matrix: NDArray, shape: tuple[int, int, int]):
    """Slabs of target slices and the source positions (i, j, k) of their voxels, bounded in memory."""
    thickness = max(1, _SLAB_VOXELS // (shape[1] * shape[2]))
    j, i = np.meshgrid(np.arange(shape[1]), np.arange(shape[2]), indexing="ij")
    plane = i[..., None] * matrix[:3, 0] + j[..., None] * matrix[:3, 1] + matrix[:3, 3]
    for start in range(0, shape[0], thickness):
        k = np.arange(start, min(start + thickness, shape[0]))
        yield slice(k[0], k[-1] + 1), plane[None] + k[:, None, None, None] * matrix[:3, 2]
