"""The plane of a slice view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Plane:
    """A slice view's plane: 4×4 ``to_ras`` maps its (x, y, z) in mm, z across, to RAS."""

    to_ras: NDArray[np.float64]

    @property
    def origin(self) -> NDArray[np.float64]:
        return self.to_ras[:3, 3]

    @property
    def normal(self) -> NDArray[np.float64]:
        return self.to_ras[:3, 2] / np.linalg.norm(self.to_ras[:3, 2])
