"""Agreement of two structures against DeepMind's surface-distance (PyPI: surface-distance-based-measures)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.surface_distance import surface_distances

SHAPE = (100, 512, 512)
SPACING_KJI = (2.5, 0.8, 0.8)
TOLERANCE_MM = 2.0
ORGANS = 20
Masks = list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]
Figures = list[tuple[float, ...]]


def ellipsoid(centre_kji: tuple[float, ...], radii_mm: tuple[float, ...]) -> NDArray[np.bool_]:
    axes = np.ogrid[tuple(slice(0, n) for n in SHAPE)]
    scaled = zip(axes, centre_kji, SPACING_KJI, radii_mm, strict=True)
    return sum(((axis - centre) * size / radius) ** 2 for axis, centre, size, radius in scaled) <= 1


def lungs() -> Masks:
    """Both lungs, and as another hand would draw them."""
    drawn, redrawn = (
        ellipsoid((50, 256, 160), (110, 110 + n, 70)) | ellipsoid((50, 256 + n, 360 - n), (110, 110, 70))
        for n in (0, 2)
    )
    return [(drawn, redrawn)]


def organs() -> Masks:
    """Organs of 10 to 60 mm, each with one that is off by some mm."""
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(ORGANS):
        centre, radii = rng.uniform((30, 150, 150), (70, 360, 360)), rng.uniform(10, 60, 3)
        other = ellipsoid(tuple(centre + rng.uniform(-3, 3, 3)), tuple(radii * rng.uniform(0.9, 1.1, 3)))
        pairs.append((ellipsoid(tuple(centre), tuple(radii)), other))
    return pairs


def small() -> Masks:
    """Nodules of 8 mm in a whole CT."""
    return [(ellipsoid((40, 270, n), (8, 8, 8)), ellipsoid((41, 272, n), (8, 7, 8))) for n in range(200, 300, 10)]


def ours(masks: Masks) -> Figures:
    figures = []
    for reference, test in masks:
        found = surface_distances(reference, test, SPACING_KJI)
        means = (found.reference.mean(), found.test.mean())
        figures.append((*means, found.hausdorff(95), found.hausdorff(100), found.dice(TOLERANCE_MM)))
    return figures


def deepminds(masks: Masks) -> Figures:
    import surface_distance as rival  # noqa: PLC0415 - so that the rest runs where it is not installed

    figures = []
    for reference, test in masks:
        found = rival.compute_surface_distances(reference, test, SPACING_KJI)
        means = rival.compute_average_surface_distance(found)
        hausdorff = (rival.compute_robust_hausdorff(found, percent) for percent in (95, 100))
        figures.append((*means, *hausdorff, rival.compute_surface_dice_at_tolerance(found, TOLERANCE_MM)))
    return figures


def equal(found: Figures, theirs: Figures) -> float:
    """Share of the figures that agree to 1e-6."""
    return float(np.mean(np.abs(np.array(found) - np.array(theirs)) <= 1e-6))
