"""Grids for property tests: every axis order and direction, oblique, anisotropic."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from SegmentationAILib.volume import Grid

AxisOrder = tuple[tuple[int, int, int], tuple[int, int, int]]

# Which RAS axis each of i, j, k runs along, and which way: 6 permutations times 8 flips.
AXIS_ORDERS: list[AxisOrder] = [
    (order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)
]


def oblique_grid(
    order: AxisOrder,
    *,
    angles_deg: tuple[float, float, float] = (0.0, 0.0, 0.0),
    spacing: tuple[float, float, float] = (0.7, 0.9, 2.0),
    shape: tuple[int, int, int] = (9, 11, 13),
    centre_ras: tuple[float, float, float] = (12.0, -34.0, 56.0),
) -> Grid:
    """A grid of ``shape`` [k, j, i] around a RAS point; angles turn it away from the RAS axes."""
    permutation, signs = order
    axes = np.eye(3)[:, permutation] * signs
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix() @ axes @ np.diag(spacing)
    matrix[:3, 3] = np.array(centre_ras) - matrix[:3, :3] @ ((np.array(shape[::-1]) - 1) / 2)
    return Grid(shape, matrix)


def oblique_box(
    order: AxisOrder,
    *,
    angles_deg: tuple[float, float, float],
    spacing: tuple[float, float, float],
    size_mm: tuple[float, float, float],
    centre_ras: tuple[float, float, float],
) -> Grid:
    """The ``oblique_grid`` that is so wide along R, A and S before it is turned."""
    sides = [round(size_mm[axis] / step) for axis, step in zip(order[0], spacing, strict=True)]
    return oblique_grid(order, angles_deg=angles_deg, spacing=spacing, shape=tuple(sides[::-1]), centre_ras=centre_ras)


@st.composite
def grids(draw: st.DrawFn, *, largest_angle_deg: float = 180.0) -> Grid:
    """Grids of 4 to 12 voxels a side with any orientation and spacing of 0.5 to 5 mm."""
    angle = st.floats(-largest_angle_deg, largest_angle_deg)
    return oblique_grid(
        draw(st.sampled_from(AXIS_ORDERS)),
        angles_deg=draw(st.tuples(angle, angle, angle)),
        spacing=draw(st.tuples(*[st.floats(0.5, 5.0)] * 3)),
        shape=draw(st.tuples(*[st.integers(4, 12)] * 3)),
        centre_ras=draw(st.tuples(*[st.floats(-300, 300)] * 3)),
    )
