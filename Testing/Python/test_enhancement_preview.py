"""The preview of a slice is what the whole result shows there."""

from __future__ import annotations

import numpy as np
import pytest
from geometry import AXIS_ORDERS, grids, oblique_grid
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from SegmentationAILib.enhancement.enhance import enhance, learnt_of
from SegmentationAILib.enhancement.operations import OPERATIONS
from SegmentationAILib.enhancement.plane import Plane
from SegmentationAILib.enhancement.preview import preview, sketch
from SegmentationAILib.preprocess import resample
from SegmentationAILib.volume import Grid, Volume

SHOWN = [one.name for one in OPERATIONS.values() if one.shows]


def picture(grid: Grid) -> Volume:
    smooth = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=grid.shape), 1.5)
    return Volume((40 + 4000 * smooth).astype(np.int16), grid, "ct", "CT")


def along(grid: Grid, axis: int, index: int) -> Plane:
    """The plane of the slice at an index along i, j or k."""
    others = [n for n in range(3) if n != axis]
    matrix = np.eye(4)
    matrix[:3, :3] = grid.directions[:, [*others, axis]]
    matrix[:3, 3] = grid.ras([index if n == axis else 2 for n in range(3)])
    return Plane(matrix)


@pytest.mark.parametrize("name", [name for name in SHOWN if name != "resample"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_along_the_voxels_it_is_the_slice_of_the_whole_result(name, axis):
    volume = picture(oblique_grid(AXIS_ORDERS[31], angles_deg=(20, 10, 5), shape=(24, 26, 28)))
    parameters = {"radius_mm": 2.0} if name == "median" else {}
    whole = enhance(volume, name, parameters)
    seen = preview(volume, along(volume.grid, axis, 11), name, *learnt_of(volume, name, parameters))
    corner = np.rint(volume.grid.ijk(seen.grid.ras([0, 0, 0]))).astype(int)[::-1]
    window = tuple(slice(a, a + n) for a, n in zip(corner, seen.shape, strict=True))
    assert seen.shape[2 - axis] <= 4
    assert np.allclose(seen.array, whole.array[window], atol=1 if seen.array.dtype.kind in "iu" else 0.1)


@given(grids(), st.sampled_from(SHOWN), st.data())
@settings(deadline=None, max_examples=40)
def test_every_plane_through_the_volume_is_covered(grid, name, data):
    volume = picture(grid)
    turn = oblique_grid(AXIS_ORDERS[0], angles_deg=data.draw(st.tuples(*[st.floats(-90, 90)] * 3))).directions
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = grid.ras((np.array(grid.shape[::-1]) - 1) / 2)
    parameters = {"radius_mm": 5.0} if name == "median" else {"iterations": 2} if name == "N4" else {}
    seen = preview(volume, Plane(matrix), name, *learnt_of(volume, name, parameters))
    size = grid.spacing.min()
    steps = np.arange(-3, 4) * size
    points = matrix[:3, 3] + (turn[:, 0] * steps[:, None])[:, None] + (turn[:, 1] * steps[:, None])[None]
    points = points.reshape(-1, 3)
    inside = grid.ijk(points)
    points = points[np.all((inside >= 0) & (inside <= np.array(grid.shape[::-1]) - 1), axis=1)]
    at = seen.grid.ijk(points)
    assert np.all((at > -0.5001) & (at < np.array(seen.shape[::-1]) - 0.4999))


@pytest.mark.parametrize("angle", [0, 30])
def test_beside_the_volume_there_is_nothing(angle):
    volume = picture(oblique_grid(AXIS_ORDERS[0], angles_deg=(angle, 0, 0)))
    plane = np.eye(4)
    plane[2, 3] = 500
    assert preview(volume, Plane(plane), "gaussian", {"sigma_mm": 0.8}) is None


def test_across_the_voxels_it_shows_the_same_thing():
    """A tilted plane through a ball: the circle has its size."""
    grid = Grid((40, 40, 40), np.eye(4))
    centre = np.array([19.5, 19.5, 19.5])
    distance = np.linalg.norm(np.moveaxis(np.indices(grid.shape)[::-1], 0, -1) - centre, axis=-1)
    volume = Volume(np.where(distance < 10, 100, 0).astype(np.int16), grid)
    matrix = np.eye(4)
    matrix[:3, :3] = oblique_grid(AXIS_ORDERS[0], angles_deg=(35, 20, 10)).directions
    matrix[:3, 3] = centre
    seen = preview(volume, Plane(matrix), "gaussian", {"sigma_mm": 0.8})
    area = np.count_nonzero(seen.array[1] > 50) * seen.spacing[0] * seen.spacing[1]
    assert area == pytest.approx(np.pi * 100, rel=0.05)


@pytest.mark.parametrize("name", [name for name in SHOWN if OPERATIONS[name].is_slow])
def test_a_sketch_is_nearly_the_preview(name):
    volume = picture(oblique_grid(AXIS_ORDERS[31], angles_deg=(20, 10, 5), shape=(40, 60, 64)))
    brighter = 1 + np.linspace(0, 1, volume.shape[2])
    volume = volume.with_array((brighter * (1000 + volume.array)).astype(np.float32))
    plane = along(volume.grid, 2, 20)
    exact, hasty = preview(volume, plane, name, *learnt_of(volume, name, {})), sketch(volume, plane, name, {})
    there = resample(hasty.array, hasty.grid, exact.grid, mode="linear")
    middle = tuple(slice(4, -4) if n > 8 else slice(None) for n in exact.shape)
    assert np.corrcoef(there[middle].ravel(), exact.array[middle].ravel())[0, 1] > 0.9
    changed = np.abs(there[middle] - exact.array[middle]).mean() / exact.array[middle].std()
    assert changed < 0.4


def test_a_sketch_of_no_slice_is_nothing():
    plane = np.eye(4)
    plane[2, 3] = 500
    assert sketch(picture(oblique_grid(AXIS_ORDERS[0])), Plane(plane), "curvature flow", {}) is None
