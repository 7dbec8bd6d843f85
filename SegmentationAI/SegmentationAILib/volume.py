"""The voxel grid and the volume: the one thing that flows through everything.

Arrays are indexed [k, j, i]; points are (i, j, k) or (r, a, s). RAS in mm is the world frame, as in
Slicer; LPS (DICOM, ITK) is converted at the edges only.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import permutations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Grid:
    """Where voxels lie.

    Attributes:
        shape: number of voxels along (k, j, i).
        ijk_to_ras: 4×4, maps the voxel centre (i, j, k, 1) to RAS in mm.
    """

    shape: tuple[int, int, int]
    ijk_to_ras: NDArray[np.float64]

    def __post_init__(self) -> None:
        matrix = np.array(self.ijk_to_ras, dtype=np.float64)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            raise ValueError("ijk_to_ras must be a finite 4x4 matrix")
        if abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
            raise ValueError("ijk_to_ras is singular: the voxels have no volume")
        matrix.setflags(write=False)
        object.__setattr__(self, "ijk_to_ras", matrix)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))

    @cached_property
    def ras_to_ijk(self) -> NDArray[np.float64]:
        """4×4, RAS in mm to continuous voxel indices (i, j, k)."""
        return np.linalg.inv(self.ijk_to_ras)

    @cached_property
    def spacing(self) -> NDArray[np.float64]:
        """Voxel size along (i, j, k), mm."""
        return np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0)

    @cached_property
    def directions(self) -> NDArray[np.float64]:
        """3×3, columns are the unit vectors of the i, j and k axes in RAS."""
        return self.ijk_to_ras[:3, :3] / self.spacing

    @property
    def voxel_volume(self) -> float:
        """mm³."""
        return float(abs(np.linalg.det(self.ijk_to_ras[:3, :3])))

    @property
    def is_orthogonal(self) -> bool:
        """Whether the axes are at right angles (no shear, as a tilted gantry leaves)."""
        return bool(np.allclose(self.directions.T @ self.directions, np.eye(3), atol=1e-3))

    def ras(self, ijk: ArrayLike) -> NDArray[np.float64]:
        """RAS (..., 3) in mm of voxel indices (..., 3) in (i, j, k) order."""
        return np.asarray(ijk, dtype=np.float64) @ self.ijk_to_ras[:3, :3].T + self.ijk_to_ras[:3, 3]

    def ijk(self, ras: ArrayLike) -> NDArray[np.float64]:
        """Continuous voxel indices (..., 3) in (i, j, k) order of RAS points (..., 3) in mm."""
        return np.asarray(ras, dtype=np.float64) @ self.ras_to_ijk[:3, :3].T + self.ras_to_ijk[:3, 3]

    def same_as(self, other: Grid, tolerance_mm: float = 1e-3) -> bool:
        """Whether both have the same voxels in the same places."""
        if self.shape != other.shape:
            return False
        corners = self._corner_ijk()
        return bool(np.allclose(self.ras(corners), other.ras(corners), rtol=0, atol=tolerance_mm))

    def canonical(self, toward: Literal["LPS", "RAS"] = "LPS") -> Grid:
        """The same voxels with axes permuted and flipped so that i, j, k run closest to L, P, S (or R, A, S)."""
        toward_lps = LPS_FROM_RAS[:3, :3] @ self.directions
        order = max(permutations(range(3)), key=lambda p: sum(abs(toward_lps[row, p[row]]) for row in range(3)))
        size_ijk = self.shape[::-1]
        permuted_flipped = np.zeros((4, 4))
        permuted_flipped[3, 3] = 1.0
        for axis, source in enumerate(order):
            if (toward_lps[axis, source] >= 0) == (toward[axis] == "LPS"[axis]):
                permuted_flipped[source, axis] = 1.0
            else:
                permuted_flipped[source, axis] = -1.0
                permuted_flipped[source, 3] = size_ijk[source] - 1
        shape = tuple(size_ijk[source] for source in order)[::-1]
        return Grid(shape, self.ijk_to_ras @ permuted_flipped)

    def with_spacing(self, spacing: float | ArrayLike) -> Grid:
        """A grid over the same extent with voxels of ``spacing`` mm along (i, j, k).

        Outer voxel faces of the first corner coincide; the far side may reach up to half a voxel
        beyond or short of the source.
        """
        target = np.broadcast_to(np.asarray(spacing, dtype=np.float64), (3,))
        ratio = target / self.spacing
        size_ijk = np.maximum(1, np.round(np.array(self.shape[::-1]) / ratio)).astype(int)
        scale = np.eye(4)
        scale[:3, :3] = np.diag(ratio)
        scale[:3, 3] = 0.5 * ratio - 0.5
        return Grid(tuple(size_ijk[::-1]), self.ijk_to_ras @ scale)

    def crop(self, start_kji: ArrayLike, shape: tuple[int, int, int]) -> Grid:
        """The grid of ``array[start : start + shape]``; ``start_kji`` may be negative (padding)."""
        matrix = self.ijk_to_ras.copy()
        matrix[:3, 3] = self.ras(np.asarray(start_kji)[::-1])
        return Grid(shape, matrix)

    def offset_of(self, part: Grid) -> tuple[int, int, int] | None:
        """(k, j, i) in this grid of the first voxel of another whose voxels lie on this one's, maybe beyond its ends.

        None where they do not, to a thousandth of a voxel.
        """
        corners = part._corner_ijk()
        here = self.ijk(part.ras(corners))
        first = np.round(here[0])
        if np.abs(here - corners - first).max() > 1e-3:
            return None
        i, j, k = (int(n) for n in first)
        return k, j, i

    def _corner_ijk(self) -> NDArray[np.float64]:
        size = np.array(self.shape[::-1]) - 1
        return np.array([[x, y, z] for x in (0, size[0]) for y in (0, size[1]) for z in (0, size[2])], dtype=float)


@dataclass(frozen=True)
class DicomSource:
    """The DICOM objects that a volume was read from, kept for references.

    ``sop_instance_uids`` are in the order of the volume's k axis.
    """

    study_instance_uid: str = ""
    series_instance_uid: str = ""
    frame_of_reference_uid: str = ""
    sop_class_uid: str = ""
    sop_instance_uids: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels and where they lie; immutable, cheap to pass.

    Attributes:
        array: [k, j, i], read-only view; HU for CT.
        grid: the voxels' place in RAS.
        name: shown to the user.
        modality: DICOM modality ("CT", "MR", ...) or "" where the source does not say.
        source: the DICOM objects, where it came from DICOM.
        notes: sentences for the user on what was found and corrected while reading.
    """

    array: NDArray
    grid: Grid
    name: str = ""
    modality: str = ""
    source: DicomSource | None = None
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        view = np.asarray(self.array).view()
        if view.shape != self.grid.shape:
            raise ValueError(f"array of shape {view.shape} does not fit a grid of {self.grid.shape}")
        view.setflags(write=False)
        object.__setattr__(self, "array", view)

    @property
    def ijk_to_ras(self) -> NDArray[np.float64]:
        """4×4, maps the voxel centre (i, j, k, 1) to RAS in mm."""
        return self.grid.ijk_to_ras

    @property
    def spacing(self) -> NDArray[np.float64]:
        """Voxel size along (i, j, k), mm."""
        return self.grid.spacing

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along (k, j, i)."""
        return self.grid.shape

    def with_array(self, array: NDArray) -> Volume:
        """The same place with other voxel values."""
        return replace(self, array=array)
