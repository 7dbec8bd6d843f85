"""A small CT series and structures on it, for tests of RTSTRUCT."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from dicom_writer import write_series

from SegmentationAILib import files
from SegmentationAILib.radiotherapy.structure_set import Role, RTStructure, StructureSet
from SegmentationAILib.volume import LPS_FROM_RAS, Grid, Volume

AXIAL = ((0, 1, 2), (-1, -1, 1))
SAGITTAL = ((1, 2, 0), (-1, -1, -1))


def axial_grid(
    shape: tuple[int, int, int] = (12, 40, 44), spacing: tuple[float, float, float] = (0.9, 1.1, 3.0)
) -> Grid:
    matrix = LPS_FROM_RAS @ np.diag([*spacing, 1.0])
    matrix[:3, 3] = 20.0, -35.5, 112.25
    return Grid(shape, matrix)


def ct_series(folder: Path, grid: Grid) -> Volume:
    """A series on a grid, read back."""
    hu = np.random.default_rng(0).integers(-900, 400, grid.shape)
    write_series(folder, hu, grid)
    return files.load(folder)


def ball(grid: Grid, centre_kji: tuple[float, float, float], radius_mm: float) -> np.ndarray:
    kji = np.indices(grid.shape).reshape(3, -1).T
    distance = np.linalg.norm(grid.ras(kji[:, ::-1]) - grid.ras(np.array(centre_kji)[::-1]), axis=1)
    return (distance <= radius_mm).reshape(grid.shape)


def torus(grid: Grid, centre_kji: tuple[float, float, float], radius_mm: float, tube_mm: float) -> np.ndarray:
    """A ring around the grid's k axis."""
    k, j, i = np.indices(grid.shape)
    x, y, z = ((n - c) * s for n, c, s in zip((i, j, k), centre_kji[::-1], grid.spacing, strict=True))
    return (np.hypot(x, y) - radius_mm) ** 2 + z**2 <= tube_mm**2


def one_voxel(grid: Grid, kji: tuple[int, int, int]) -> np.ndarray:
    mask = np.zeros(grid.shape, dtype=bool)
    mask[kji] = True
    return mask


def phantom_structures(volume: Volume) -> StructureSet:
    """A hole, nested islands, one voxel and a structure at the edges of the image."""
    grid = volume.grid
    middle = tuple((n - 1) / 2 for n in grid.shape)
    nested = ball(grid, middle, 16) & ~ball(grid, middle, 12) | ball(grid, middle, 6)
    edge = np.zeros(grid.shape, dtype=bool)
    edge[:3, :20, :15] = True
    structures = (
        RTStructure("Torus", Role.GTV, torus(grid, middle, 10, 5)),
        RTStructure("Islands", Role.ORGAN, nested),
        RTStructure("Voxel", Role.PTV, one_voxel(grid, (4, 20, 30))),
        RTStructure("Edge", Role.EXTERNAL, edge),
    )
    return StructureSet(grid, structures, "phantom", volume.source)


def dicom_errors(path: Path) -> list[str]:
    """What dciodvfy finds wrong with a DICOM file; warnings aside."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (Debian: dicom3tools)")
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
