"""Label maps and what their values mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.terminology import Structure
from SegmentationAILib.volume import Grid


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Structures that do not overlap, on one grid.

    Attributes:
        array: [k, j, i], unsigned integer, 0 is background.
        grid: the voxels' place in RAS.
        structures: label value -> what it is.
    """

    array: NDArray
    grid: Grid
    structures: Mapping[int, Structure]

    def __post_init__(self) -> None:
        if self.array.shape != self.grid.shape:
            raise ValueError(f"labels of shape {self.array.shape} do not fit a grid of {self.grid.shape}")

    def mask(self, structure: Structure) -> NDArray[np.bool_]:
        """[k, j, i] voxels of one structure.

        Raises:
            KeyError: the label map does not hold it.
        """
        for value, held in self.structures.items():
            if held == structure:
                return self.array == value
        raise KeyError(structure.name)

    def volume_ml(self, structure: Structure) -> float:
        return float(self.mask(structure).sum()) * self.grid.voxel_volume / 1000.0


def cropped(labels: LabelMap) -> LabelMap:
    """The same structures on the smallest grid that holds them, of one voxel at least."""
    start, stop = content_box(labels.array)
    window = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    shape = tuple(b - a for a, b in zip(start, stop, strict=True))
    return LabelMap(labels.array[window], labels.grid.crop(start, shape), labels.structures)


def on_grid(labels: LabelMap, grid: Grid) -> LabelMap:
    """The same structures on a larger grid whose voxels theirs are.

    Raises:
        ValueError: theirs are not.
    """
    offset = grid.offset_of(labels.grid)
    if offset is None:
        raise ValueError("the labels' voxels are none of the grid's")
    array = np.zeros(grid.shape, labels.array.dtype)
    array[tuple(slice(at, at + n) for at, n in zip(offset, labels.grid.shape, strict=True))] = labels.array
    return LabelMap(array, grid, labels.structures)


def placed(inside: NDArray[np.bool_], held: Grid, grid: Grid) -> NDArray[np.bool_]:
    """A mask on another grid; what lies outside is lost.

    Args:
        inside: bool [k, j, i] on the grid ``held``.
    """
    offset = grid.offset_of(held)
    if offset is None:
        # Structures that were drawn on other voxels are rare, and torch takes seconds to load.
        from SegmentationAILib.preprocess import resample  # noqa: PLC0415

        return resample(inside, held, grid, mode="nearest")
    whole = np.zeros(grid.shape, dtype=bool)
    start = [max(0, at) for at in offset]
    stop = [min(n, at + m) for at, n, m in zip(offset, grid.shape, inside.shape, strict=True)]
    if all(a < b for a, b in zip(start, stop, strict=True)):
        there = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        here = tuple(slice(a - at, b - at) for a, b, at in zip(start, stop, offset, strict=True))
        whole[there] = inside[here]
    return whole


def content_box(array: NDArray) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """First and past-the-last (k, j, i) of what is not 0; of the first voxel where all is.

    Quick where the content reaches the faces of the array, since each side is looked at from outside in.
    """
    start, stop = [0, 0, 0], list(array.shape)
    for axis in range(3):
        window = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        sections = np.moveaxis(array[window], axis, 0)
        first = next((n for n, section in enumerate(sections) if section.any()), None)
        if first is None:
            return (0, 0, 0), (1, 1, 1)
        last = next(n for n in range(len(sections) - 1, -1, -1) if sections[n].any())
        start[axis], stop[axis] = first, last + 1
    return tuple(start), tuple(stop)
