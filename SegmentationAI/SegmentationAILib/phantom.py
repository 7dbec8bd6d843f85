"""A small synthetic chest, with which the modules test themselves where no CT is at hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.volume import Grid, Volume

# HU: air, inflated lung, soft tissue.
_AIR, _LUNG, _TISSUE = -1000, -860, 40
_SPACING_MM = 2.5
_SHAPE = (60, 64, 96)

# RAS in mm; the patient's left is at negative R.
_LUNG_RADII = (40.0, 46.0, 52.0)
_LUNG_CENTRES = {"right": (58.0, 0.0, -10.0), "left": (-58.0, 0.0, -10.0)}
_BODY_RADII = (114.0, 72.0, 400.0)
_TRACHEA_RADIUS = 8.0
_TRACHEA_BOTTOM = 20.0
_NOISE_HU = 15.0


@dataclass(frozen=True)
class Sphere:
    """A nodule of soft tissue: centre in RAS and radius, mm."""

    centre: tuple[float, float, float]
    radius: float


def chest(nodules: tuple[Sphere, ...] = ()) -> Volume:
    """A CT of two ellipsoid lungs and a trachea in an elliptic body, 2.5 mm voxels, with noise.

    The same nodules give the same voxels.
    """
    matrix = np.diag([-_SPACING_MM, -_SPACING_MM, _SPACING_MM, 1.0])
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.array(_SHAPE[::-1]) - 1) / 2)
    grid = Grid(_SHAPE, matrix)
    points = grid.ras(np.moveaxis(np.indices(_SHAPE)[::-1], 0, -1))
    hu = np.where(_ellipsoid(points, (0, 0, 0), _BODY_RADII), _TISSUE, _AIR).astype(np.float32)
    for centre in _LUNG_CENTRES.values():
        hu[_ellipsoid(points, centre, _LUNG_RADII)] = _LUNG
    across = np.hypot(points[..., 0], points[..., 1])
    hu[(across < _TRACHEA_RADIUS) & (points[..., 2] > _TRACHEA_BOTTOM)] = _AIR
    for nodule in nodules:
        hu[_ellipsoid(points, nodule.centre, (nodule.radius,) * 3)] = _TISSUE
    hu += np.random.default_rng(0).normal(0, _NOISE_HU, _SHAPE)
    return Volume(np.round(hu).astype(np.int16), grid, "synthetic chest", modality="CT")


def lung_centre(side: str) -> NDArray[np.float64]:
    """Centre of the "right" or "left" lung, RAS in mm."""
    return np.array(_LUNG_CENTRES[side])


def lung_volume_ml() -> float:
    """Volume of one lung without nodules."""
    return float(4 / 3 * np.pi * np.prod(_LUNG_RADII)) / 1000.0


def _ellipsoid(points: NDArray, centre: tuple[float, ...], radii: tuple[float, ...]) -> NDArray[np.bool_]:
    return (((points - centre) / radii) ** 2).sum(axis=-1) < 1
