"""Where the surface behind a mask is taken to run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from SegmentationAILib.radiotherapy import reach, surface
from SegmentationAILib.radiotherapy.surface import FULL, NEAREST, finer, surface_levels


def ball(radius: float, centre: NDArray[np.float64], size: int = 36) -> NDArray[np.bool_]:
    offset = np.indices((size,) * 3).T - (size - 1) / 2 - centre
    return (np.linalg.norm(offset, axis=-1) <= radius).T


def crossings(mask: NDArray[np.bool_], axis: int = 0, spacing=(1.0, 1.0, 1.0)) -> NDArray[np.float64]:
    """[n, 3] of the points where lines along an axis cross the surface, in voxels."""
    level = np.moveaxis(surface_levels(mask, spacing)[axis], axis, 0).astype(float)
    at = np.argwhere((level[:-1] > 0) != (level[1:] > 0)).astype(float)
    first, second = (level[tuple(np.add(at, [n, 0, 0]).astype(int).T)] for n in (0, 1))
    at[:, 0] += first / (first - second)
    return np.insert(at[:, 1:], axis, at[:, 0], axis=1)


@pytest.mark.parametrize("radius", [3, 4, 5.5, 8, 13])
def test_the_surface_of_a_ball_is_where_the_ball_was(radius):
    """Without bias to a fortieth of a voxel, whatever the ball's size and place."""
    errors = []
    for centre in np.random.default_rng(0).random((12, 3)):
        points = crossings(ball(radius, centre)) - 17.5 - centre
        square = np.abs(points[:, 0]) > 0.5 * radius
        errors.extend(np.linalg.norm(points[square], axis=1) - radius)
    assert np.mean(errors) == pytest.approx(0, abs=0.025)
    assert np.sqrt(np.mean(np.square(errors))) < 0.2


@given(st.integers(0, 2**32 - 1), st.data())
@settings(deadline=None, max_examples=30)
def test_levels_agree_with_the_mask_and_commute_with_mirrors_and_orders(seed, data):
    rng = np.random.default_rng(seed)
    mask = rng.random(data.draw(st.tuples(*[st.integers(1, 9)] * 3))) > rng.random()
    spacing = data.draw(st.tuples(*[st.sampled_from([0.7, 1.0, 2.5, 5.0])] * 3))
    levels = surface_levels(mask, spacing)
    assert ((levels > 0) == mask).all()
    assert np.abs(levels).min() >= NEAREST
    assert np.abs(levels).max() <= FULL
    for axis in range(3):
        assert np.array_equal(surface_levels(np.flip(mask, axis), spacing), np.flip(levels, axis + 1))
    order = data.draw(st.permutations(range(3)))
    turned = surface_levels(mask.transpose(order), tuple(spacing[n] for n in order))
    assert np.array_equal(turned, levels[order].transpose(0, *[n + 1 for n in order]))


@pytest.mark.parametrize("thickness", [1, 2, 7])
def test_the_faces_of_a_box_run_half_way(thickness):
    box = np.zeros((20, 20, 20), dtype=bool)
    box[6 : 6 + thickness, 5:9, 4:15] = True
    for axis, faces in enumerate([(5.5, 5.5 + thickness), (4.5, 8.5), (3.5, 14.5)]):
        found = crossings(box, axis)[:, axis]
        assert np.array_equal(np.unique(found), faces)


def test_the_tip_of_a_dome_is_no_face():
    points = crossings(ball(8, np.array([0.2, 0, 0])))
    assert points[:, 0].max() == pytest.approx(17.5 + 0.2 + 8, abs=0.15)


def test_cubics_run_through_more_lines():
    at = np.arange(9.0)
    level = np.rint(300 * (at - 2) * (at - 6) * (at - 7)).astype(np.int16)[:, None, None]
    fine = finer(level, 0, 4)[2:-2, 0, 0] / 256
    between = np.arange(33)[2:-2] / 4
    inner = (between >= 1.5) & (between <= 6.5)
    assert np.allclose(fine[inner], (300 * (between - 2) * (between - 6) * (between - 7))[inner])


def test_the_parts_of_the_work_leave_no_seams(monkeypatch):
    mask = ball(6, np.array([0.3, 0.1, 0.4]), 24) | (np.random.default_rng(3).random((24,) * 3) > 0.999)
    axes = (reach.Axis(3.0, 4.0, 7.0), reach.Axis(1.5, 4.0, 3.0), reach.Axis(3.0, 5.0, 4.0))

    def result() -> tuple[NDArray, NDArray]:
        levels = surface_levels(mask, (3.0, 1.5, 3.0))
        return levels, reach.reached(levels, axes)

    whole = result()
    monkeypatch.setattr(surface, "PART_VOXELS", 300)
    monkeypatch.setattr(reach, "PART_VOXELS", 1500)
    monkeypatch.setattr(reach, "_SLAB_VOXELS", 24 * 24 * 5)
    for found, wanted in zip(result(), whole, strict=True):
        assert np.array_equal(found, wanted)
