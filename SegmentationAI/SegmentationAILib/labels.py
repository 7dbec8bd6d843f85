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
