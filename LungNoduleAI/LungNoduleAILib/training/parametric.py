"""Nodules made from a formula: solid, part-solid and ground-glass; round, lobulated, spiculated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


@dataclass(frozen=True, eq=False)
class Insert:
    """What is put into a lung.

    Attributes:
        hu: float32 [k, j, i] at 1 mm; means something where ``occupancy`` is above zero.
        occupancy: float32 [k, j, i] in 0…1, how much of a voxel is nodule.
        parenchyma_hu: attenuation of the lung that ``hu`` was taken from, or None where it comes from no CT.
    """

    hu: NDArray[np.float32]
    occupancy: NDArray[np.float32]
    parenchyma_hu: float | None = None


def parametric_nodule(rng: np.random.Generator, diameter_mm: float, kind: str) -> Insert:
    """A nodule of about that diameter, 3 to 30 mm.

    Args:
        rng: source of its shape and density.
        diameter_mm: of the ball that its surface varies around.
        kind: "solid", "part-solid", "ground glass" or "calcified".
    """
    radius = diameter_mm / 2
    reach = int(np.ceil(1.9 * radius + 3))
    offset = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1, dtype=np.float32)] * 3, indexing="ij"))
    distance = _surface_distance(rng, offset, radius)
    occupancy = _soft(distance, rng.uniform(0.5, 1.3))
    if kind == "solid":
        hu = _texture(rng, occupancy.shape, rng.uniform(-40, 70), rng.uniform(3, 25))
    elif kind == "calcified":
        hu = _texture(rng, occupancy.shape, rng.uniform(150, 700), rng.uniform(20, 80))
    else:
        hu = _texture(rng, occupancy.shape, rng.uniform(-720, -420), rng.uniform(20, 70))
        if kind == "part-solid":
            middle = rng.uniform(-0.3, 0.3, 3)[:, None, None, None] * radius
            core = _soft(
                _surface_distance(rng, offset - middle.astype(np.float32), radius * rng.uniform(0.25, 0.65)), 1.0
            )
            hu = hu + core * (rng.uniform(-60, 50) - hu)
    return Insert(hu.astype(np.float32), occupancy)


def vessel_like(rng: np.random.Generator, diameter_mm: float) -> Insert:
    """What a nodule is to be told from: a curved tube or, one time in three, a thin plate such as a scar."""
    reach = int(rng.uniform(10, 18))
    offset = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1, dtype=np.float32)] * 3, indexing="ij"))
    axis, side = _perpendicular_pair(rng)
    along = np.tensordot(axis, offset, 1)
    bent = offset - side[:, None, None, None] * (along**2 * rng.uniform(-0.03, 0.03))
    if rng.random() < 0.33:
        distance = rng.uniform(0.7, 1.6) - np.abs(np.tensordot(side, bent, 1))
    else:
        square = (bent**2).sum(axis=0) - np.tensordot(axis, bent, 1) ** 2
        distance = diameter_mm / 2 - np.sqrt(np.maximum(square, 0))
    # It thins out towards its ends: an abrupt end would look like a nodule.
    taper = np.clip((reach - np.abs(along)) / 4 - 0.5, 0, 1) * np.clip((reach - np.sqrt((offset**2).sum(0))) / 4, 0, 1)
    return Insert(
        _texture(rng, along.shape, rng.uniform(-100, 60), 15), (_soft(distance, 0.9) * taper).astype(np.float32)
    )


def _surface_distance(rng: np.random.Generator, offset: NDArray, radius: float) -> NDArray[np.float32]:
    """About the distance to the surface, mm, positive inside."""
    stretch = rng.uniform(0.8, 1.25, 3)
    stretch /= np.cbrt(stretch.prod())
    turned = np.tensordot(_rotation(rng), offset, 1) / stretch[:, None, None, None]
    length = np.sqrt((turned**2).sum(axis=0)) + 1e-6
    direction = turned / length
    bumps = np.zeros_like(length)
    for _ in range(int(rng.integers(2, 7))):
        wave = rng.normal(0, 1, 3) * rng.uniform(1.5, 5)
        bumps += rng.normal(0, 1) * np.cos(np.tensordot(wave, direction, 1) + rng.uniform(0, 2 * np.pi))
    lobulation = rng.choice([0.02, 0.06, 0.1])
    distance = radius * (1 + np.clip(lobulation * bumps, -0.35, 0.35)) - length
    if rng.random() < 0.25:
        distance = np.maximum(distance, _spicules(rng, turned, length, radius))
    return distance.astype(np.float32)


def _spicules(rng: np.random.Generator, offset: NDArray, length: NDArray, radius: float) -> NDArray:
    longest = np.full_like(length, -10.0)
    for _ in range(int(rng.integers(4, 14))):
        axis = rng.normal(0, 1, 3)
        axis /= np.linalg.norm(axis)
        along = np.tensordot(axis, offset, 1)
        across = np.sqrt(np.maximum(length**2 - along**2, 0))
        height = radius * rng.uniform(0.3, 0.8)
        width = rng.uniform(0.5, 1.0) * np.clip(1 - (along - radius) / height, 0, 1)
        longest = np.maximum(longest, np.where((along > 0) & (along < radius + height), width - across, -10.0))
    return longest


def _soft(distance: NDArray, blur_mm: float) -> NDArray[np.float32]:
    """Share of a voxel that lies inside, blurred as a CT does."""
    return ndimage.gaussian_filter(np.clip(distance + 0.5, 0, 1), blur_mm * 0.5).astype(np.float32)


def _texture(rng: np.random.Generator, shape: tuple[int, ...], mean: float, deviation: float) -> NDArray[np.float32]:
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), rng.uniform(0.5, 1.5))
    return (mean + deviation * noise / max(float(noise.std()), 1e-6)).astype(np.float32)


def _rotation(rng: np.random.Generator) -> NDArray:
    q, r = np.linalg.qr(rng.normal(0, 1, (3, 3)))
    return q * np.sign(np.diag(r))


def _perpendicular_pair(rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    turned = _rotation(rng)
    return turned[0], turned[1]
