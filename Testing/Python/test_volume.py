"""Grids under any matrix: flips, permutations, oblique, anisotropic."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from geometry import AXIS_ORDERS, grids, oblique_grid
from hypothesis import given
from hypothesis import strategies as st

from SegmentationAILib.volume import LPS_FROM_RAS, Grid, Volume


@pytest.mark.parametrize("order", AXIS_ORDERS)
def test_canonical_runs_to_left_posterior_superior(order):
    grid = oblique_grid(order, angles_deg=(4, -7, 9))
    toward_lps = LPS_FROM_RAS[:3, :3] @ grid.canonical().directions
    assert np.all(np.argmax(np.abs(toward_lps), axis=0) == [0, 1, 2])
    assert np.all(np.diag(toward_lps) > 0)


@given(grids())
def test_canonical_holds_the_same_voxel_centres(grid):
    canonical = grid.canonical()
    corner = np.array(canonical.shape[::-1]) - 1
    for ijk in product(*[(0, n) for n in corner]):
        back = grid.ijk(canonical.ras(ijk))
        assert np.allclose(back, np.round(back), atol=1e-6)
        assert np.all(back > -0.5)
        assert np.all(back < np.array(grid.shape[::-1]) - 0.5)
    assert canonical.canonical().same_as(canonical)


@given(grids(), st.tuples(*[st.floats(-200, 200)] * 3))
def test_ras_and_ijk_are_inverse(grid, point):
    assert np.allclose(grid.ras(grid.ijk(point)), point, atol=1e-6)


@given(grids(), st.floats(0.5, 4.0))
def test_other_spacing_covers_the_same_extent(grid, spacing):
    other = grid.with_spacing(spacing)
    assert np.allclose(other.spacing, spacing)
    first_face = grid.ras([-0.5, -0.5, -0.5])
    assert np.allclose(other.ras([-0.5, -0.5, -0.5]), first_face, atol=1e-6)
    extent = np.array(grid.shape[::-1]) * grid.spacing
    reached = np.array(other.shape[::-1]) * spacing
    assert np.all(np.abs(extent - reached) <= np.maximum(spacing, extent) * 0.5 + 1e-6)


def test_crop_keeps_each_voxel_in_place():
    grid = oblique_grid(AXIS_ORDERS[5], angles_deg=(20, 30, 40))
    cropped = grid.crop((2, -3, 1), (4, 5, 6))
    assert np.allclose(cropped.ras([0, 0, 0]), grid.ras([1, -3, 2]))
    assert np.allclose(cropped.ras([5, 4, 3]), grid.ras([6, 1, 5]))


def test_volume_cannot_be_written_through():
    source = np.zeros((2, 3, 4), dtype=np.int16)
    volume = Volume(source, Grid(source.shape, np.eye(4)))
    with pytest.raises(ValueError, match="read-only"):
        volume.array[0, 0, 0] = 1
    source[0, 0, 0] = 7
    assert volume.array[0, 0, 0] == 7


def test_volume_refuses_an_array_that_does_not_fit():
    with pytest.raises(ValueError, match="does not fit"):
        Volume(np.zeros((2, 3, 4)), Grid((4, 3, 2), np.eye(4)))


@pytest.mark.parametrize("matrix", [np.zeros((4, 4)), np.diag([1, 1, 0, 1]), np.full((4, 4), np.nan), np.eye(3)])
def test_grid_refuses_a_matrix_without_volume(matrix):
    with pytest.raises(ValueError, match="ijk_to_ras"):
        Grid((2, 2, 2), matrix)


def test_shear_is_told_from_rotation():
    sheared = np.eye(4)
    sheared[1, 2] = 0.2
    assert not Grid((4, 4, 4), sheared).is_orthogonal
    assert all(oblique_grid(order, angles_deg=(10, 20, 30)).is_orthogonal for order in AXIS_ORDERS)


def test_there_are_48_axis_orders():
    assert len(set(AXIS_ORDERS)) == len(list(permutations(range(3)))) * 8
