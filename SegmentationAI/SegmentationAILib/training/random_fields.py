"""Random numbers and smooth random fields that are a function of a seed and an index."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

# Of a cubic B-spline sum of independent normal coefficients at a random place: the integral of the
# squared spline is 151/315 for each of three axes.
_SPLINE_DEVIATION = (151.0 / 315.0) ** 1.5


class Randomness:
    """Draws for one patch.

    Args:
        seed: of the data set.
        index: of the patch; each has its own draws.
        device: where fields are made. Devices differ in their draws.
    """

    def __init__(self, seed: int, index: int, device: torch.device) -> None:
        self.draw = np.random.default_rng([seed, index])
        self.device = device
        self._generator = torch.Generator(device).manual_seed(int(self.draw.integers(2**62)))

    def uniform(self, low: float, high: float) -> float:
        return float(self.draw.uniform(low, high))

    def chance(self, probability: float) -> bool:
        return bool(self.draw.random() < probability)

    def noise(self, shape: tuple[int, ...]) -> torch.Tensor:
        """Independent standard normal values."""
        return torch.randn(shape, generator=self._generator, device=self.device)

    def field(self, shape: tuple[int, int, int], cell: float) -> torch.Tensor:
        """A twice differentiable field [k, j, i] of mean 0 and deviation 1.

        Args:
            shape: voxels along (k, j, i).
            cell: voxels from one control point of the cubic B-spline to the next.
        """
        bases = [_spline_basis(n, cell, self.device) for n in shape]
        field = self.noise(tuple(basis.shape[1] for basis in bases)) / _SPLINE_DEVIATION
        field = bases[1] @ (field @ bases[2].T)
        return (bases[0] @ field.flatten(1)).view(shape)

    def tubes(self, shape: tuple[int, int, int], cell: float, radius: torch.Tensor | float) -> torch.Tensor:
        """Winding tubes [k, j, i], bool: around the lines where two fields are both zero.

        Args:
            shape: voxels along (k, j, i).
            cell: voxels between control points; about the distance between tubes.
            radius: of the tubes in voxels; a tensor [k, j, i] lets it vary.
        """
        first, second = self.field(shape, cell), self.field(shape, cell)
        # The fields' mean slope per voxel turns their values into distances.
        slope = 1.4 / cell
        return first.square() + second.square() < (radius * slope) ** 2


@lru_cache(maxsize=256)
def _spline_basis(size: int, cell: float, device: torch.device) -> torch.Tensor:
    """[size, control points] cubic B-spline weights."""
    count = int(np.ceil((size - 1) / cell)) + 3
    position = torch.arange(size, dtype=torch.float64)[:, None] / cell + 1.0
    away = (position - torch.arange(count, dtype=torch.float64)).abs()
    near = 2.0 / 3.0 - away**2 + away**3 / 2.0
    far = (2.0 - away).clamp_min(0.0) ** 3 / 6.0
    return torch.where(away < 1.0, near, far).to(torch.float32).to(device)
