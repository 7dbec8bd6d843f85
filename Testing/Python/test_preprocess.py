"""Reorienting and resampling: values stay at their place in RAS, there and back."""

from __future__ import annotations

import numpy as np
import pytest
from geometry import AXIS_ORDERS, grids, oblique_grid
from hypothesis import given, settings
from hypothesis import strategies as st

from SegmentationAILib.preprocess import reorient, resample
from SegmentationAILib.volume import Grid


def ijk_centres(grid: Grid) -> np.ndarray:
    """[k, j, i, 3] the indices (i, j, k) of every voxel."""
    k, j, i = np.indices(grid.shape)
    return np.stack([i, j, k], axis=-1)


def plane(grid: Grid) -> np.ndarray:
    """[k, j, i] values that are a linear function of RAS."""
    return (grid.ras(ijk_centres(grid)) @ [1.0, 2.0, -0.5] + 3.0).astype(np.float32)


@pytest.mark.parametrize("order", AXIS_ORDERS)
def test_reorient_there_and_back(order):
    grid = oblique_grid(order, angles_deg=(5, -5, 8))
    array = np.random.default_rng(0).normal(size=grid.shape)
    view = reorient(array, grid, grid.canonical())
    assert np.shares_memory(view, array)
    assert np.array_equal(reorient(view, grid.canonical(), grid), array)
    i, j, k = 4, 3, 2
    at = np.round(grid.canonical().ijk(grid.ras([i, j, k]))).astype(int)
    assert view[tuple(at[::-1])] == array[k, j, i]


def test_reorient_refuses_other_voxels():
    grid = oblique_grid(AXIS_ORDERS[0])
    array = np.zeros(grid.shape)
    for other in (
        grid.with_spacing(1.0),
        grid.crop((1, 0, 0), grid.shape),
        oblique_grid(AXIS_ORDERS[0], angles_deg=(9, 0, 0)),
    ):
        with pytest.raises(ValueError, match="grids"):
            reorient(array, grid, other)


@given(grids(), grids(), st.sampled_from(["linear", "area"]))
@settings(deadline=None)
def test_a_plane_stays_a_plane(source, target, mode):
    inside = source.ijk(target.ras(ijk_centres(target)))
    reach = np.ceil(np.max(target.spacing) / np.min(source.spacing)) + 1 if mode == "area" else 0
    deep = np.all((inside >= reach) & (inside <= np.array(source.shape[::-1]) - 1 - reach), axis=-1)
    result = resample(plane(source), source, target, mode=mode)
    slope = np.abs(np.diff(plane(source), axis=0)).max()
    tolerance = 1e-3 * max(1.0, np.abs(plane(source)).max()) + (
        0.5 * slope + 2.5 * np.max(source.spacing) if mode == "area" else 0
    )
    assert np.all(np.abs(result - plane(target))[deep] <= tolerance)


@given(grids(), st.data())
@settings(deadline=None)
def test_a_marker_is_found_where_it_was_put(grid, data):
    """RAS point -> voxel -> reoriented and resampled -> labels -> back: within half a voxel."""
    margin = 1
    ijk = [data.draw(st.integers(margin, n - 1 - margin)) for n in grid.shape[::-1]]
    ras = grid.ras(ijk)
    array = np.zeros(grid.shape, dtype=np.int16)
    array[tuple(ijk[::-1])] = 1000
    fine = grid.canonical().with_spacing(float(grid.spacing.min()) / 2)
    moved = resample(array, grid, fine, mode="linear")
    labels = (moved >= moved.max() / 2).astype(np.uint8)
    found = fine.ras(ijk_centres(fine)[labels.astype(bool)].mean(axis=0))
    assert np.all(np.abs(grid.ijk(found) - grid.ijk(ras)) <= 0.5)
    back = resample(labels, fine, grid, mode="nearest")
    assert back[tuple(ijk[::-1])] == 1
    assert back.sum() == 1


def test_outside_is_filled_and_the_edge_is_kept():
    source = Grid((4, 4, 4), np.eye(4))
    target = Grid((8, 8, 8), np.array([[1, 0, 0, -2], [0, 1, 0, -2], [0, 0, 1, -2], [0, 0, 0, 1]], dtype=float))
    turned = oblique_grid(
        AXIS_ORDERS[0], angles_deg=(0, 0, 45), spacing=(1, 1, 1), shape=(8, 8, 8), centre_ras=(1.5,) * 3
    )
    ones = np.ones(source.shape, dtype=np.int16)
    for grid in (target, turned):
        for mode in ("linear", "area", "nearest"):
            result = np.round(resample(ones, source, grid, mode=mode, fill=-1024), 5)
            assert set(np.unique(result)) == {-1024, 1}
            inside = np.all(np.abs(source.ijk(grid.ras(ijk_centres(grid))) - 1.5) < 2.0, axis=-1)
            assert np.array_equal(result == 1, inside)


def test_nearest_keeps_the_dtype_and_values():
    grid = oblique_grid(AXIS_ORDERS[7], angles_deg=(3, 2, 1))
    labels = np.random.default_rng(1).integers(0, 200, grid.shape).astype(np.uint8)
    finer = resample(labels, grid, grid.with_spacing(grid.spacing / 3), mode="nearest")
    assert finer.dtype == np.uint8
    assert np.array_equal(resample(finer, grid.with_spacing(grid.spacing / 3), grid, mode="nearest"), labels)


def test_area_does_not_alias():
    """A checkerboard of single voxels averages out when the voxels become 8 times larger."""
    grid = Grid((32, 32, 32), np.eye(4))
    checkerboard = (np.indices(grid.shape).sum(axis=0) % 2 * 2 - 1).astype(np.float32)
    for target in (
        grid.with_spacing(8.0),
        oblique_grid(
            AXIS_ORDERS[0], angles_deg=(10, 0, 0), spacing=(8, 8, 8), shape=(2, 2, 2), centre_ras=(15, 15, 15)
        ),
    ):
        assert np.abs(resample(checkerboard, grid, target, mode="area")).max() < 0.05


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64, ">i2"])
def test_every_dtype_a_ct_comes_in(dtype):
    grid = Grid((6, 6, 6), np.eye(4))
    array = np.arange(216).reshape(grid.shape).astype(dtype)
    result = resample(array, grid, grid.with_spacing(0.5), mode="linear")
    assert result.dtype == np.float32
    assert result.min() == 0
    assert result.max() == 215
