"""A volume cut into overlapping tiles that together cover it once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Window = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Tile:
    """What a network reads at once, and the part of its answer that is kept.

    Attributes:
        read: window of the volume; may reach beyond it, where the volume is padded.
        keep: window of the volume that this tile, and no other, answers for.
    """

    read: Window
    keep: Window

    @property
    def inner(self) -> Window:
        """``keep`` as a window of the tile."""
        return tuple(slice(k.start - r.start, k.stop - r.start) for k, r in zip(self.keep, self.read, strict=True))


def plan(shape: tuple[int, int, int], *, most_voxels: int, margin: int, multiple: int) -> list[Tile]:
    """The cut that reads the fewest voxels.

    Args:
        shape: of the volume, (k, j, i).
        most_voxels: of a tile with its margins.
        margin: voxels that are read beyond the kept part and thrown away, a multiple of ``multiple``;
            none beyond the volume's own end.
        multiple: each side of a tile is a multiple of it, and so is where it starts.

    Raises:
        ValueError: not even the smallest tile fits.
    """
    choices = [sorted({_up(-(-n // pieces), multiple) for pieces in range(1, -(-n // multiple) + 1)}) for n in shape]
    fitting = [
        (_voxels_read(shape, sides, margin, multiple), sides)
        for sides in product(*choices)
        if math.prod(_longest_read(n, side, margin, multiple) for n, side in zip(shape, sides, strict=True))
        <= most_voxels
    ]
    if not fitting:
        raise ValueError(f"no tile of {most_voxels} voxels has a margin of {margin}")
    _, sides = min(fitting)
    tiles = []
    for start in product(*(range(0, n, side) for n, side in zip(shape, sides, strict=True))):
        keep = tuple(slice(a, min(a + side, n)) for a, side, n in zip(start, sides, shape, strict=True))
        read = tuple(_read(a, side, n, margin, multiple) for a, side, n in zip(start, sides, shape, strict=True))
        tiles.append(Tile(read, keep))
    return tiles


def _read(start: int, side: int, n: int, margin: int, multiple: int) -> slice:
    return slice(max(0, start - margin), min(start + side + margin, _up(n, multiple)))


def _reads(n: int, side: int, margin: int, multiple: int) -> list[int]:
    """Lengths of the tiles along an axis."""
    reads = [_read(start, side, n, margin, multiple) for start in range(0, n, side)]
    return [read.stop - read.start for read in reads]


def _longest_read(n: int, side: int, margin: int, multiple: int) -> int:
    return max(_reads(n, side, margin, multiple))


def _voxels_read(shape: tuple[int, ...], sides: tuple[int, ...], margin: int, multiple: int) -> int:
    return math.prod(sum(_reads(n, side, margin, multiple)) for n, side in zip(shape, sides, strict=True))


def read_padded(volume: NDArray, window: Window, fill: float) -> NDArray:
    """The window of the volume, filled where it reaches beyond."""
    shape = tuple(side.stop - side.start for side in window)
    inside = tuple(slice(max(0, side.start), min(n, side.stop)) for side, n in zip(window, volume.shape, strict=True))
    there = tuple(slice(a.start - w.start, a.stop - w.start) for a, w in zip(inside, window, strict=True))
    if all(a.stop - a.start == n for a, n in zip(inside, shape, strict=True)):
        return volume[inside]
    padded = np.full(shape, fill, dtype=volume.dtype)
    padded[there] = volume[inside]
    return padded


def _up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple
