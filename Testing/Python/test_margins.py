"""Margins: known volumes, patient directions on every grid, an exhaustive search as oracle, and what must hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from geometry import AXIS_ORDERS, grids, oblique_grid
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from SegmentationAILib.errors import InputError
from SegmentationAILib.preprocess import reorient
from SegmentationAILib.radiotherapy.margin_recipes import Margins
from SegmentationAILib.radiotherapy.margins import expand
from SegmentationAILib.volume import Grid

UPRIGHT = next(order for order in AXIS_ORDERS if order == ((0, 1, 2), (-1, -1, 1)))
# Sides towards +R, +A and +S, and those opposite.
PLUS = ("right", "anterior", "superior")
MINUS = ("left", "posterior", "inferior")


def grown(mask: NDArray[np.bool_], grid: Grid, margins: Margins) -> NDArray[np.bool_]:
    return expand(mask, grid.ijk_to_ras, **margins.as_sides())


def shrunk(mask: NDArray[np.bool_], grid: Grid, margins: Margins) -> NDArray[np.bool_]:
    return grown(mask, grid, Margins(**{side: -m for side, m in margins.as_sides().items()}))


def grid_around(extent_mm: float, spacing: tuple[float, float, float], *, order=UPRIGHT, angles_deg=(0, 0, 0)) -> Grid:
    """A grid centred on the origin, its number of voxels even."""
    shape = tuple(2 * int(np.ceil(extent_mm / 2 / s)) for s in spacing[::-1])
    return oblique_grid(order, angles_deg=angles_deg, spacing=spacing, shape=shape, centre_ras=(0, 0, 0))


def ras(grid: Grid) -> NDArray[np.float64]:
    """[k, j, i, 3] of every voxel centre."""
    k, j, i = np.indices(grid.shape)
    return grid.ras(np.stack([i, j, k], axis=-1))


def ball(grid: Grid, radius: float, centre=(0.0, 0.0, 0.0)) -> NDArray[np.bool_]:
    return np.linalg.norm(ras(grid) - centre, axis=-1) <= radius


def box(grid: Grid, low, high) -> NDArray[np.bool_]:
    return ((ras(grid) > np.array(low)) & (ras(grid) < np.array(high))).all(axis=-1)


def mean_ball_volume(grid: Grid, radius: float, margin: float) -> float:
    """mm³ of grown or shrunk balls, over centres spread evenly over a voxel."""
    steps = (np.arange(8)[:, None] * [0.5, 0.25, 0.125] + 1 / 16) % 1.0 - 0.5
    volumes = []
    for step in steps * grid.spacing:
        mask = ball(grid, radius, step @ grid.directions.T)
        volumes.append(grown(mask, grid, Margins.isotropic(margin)).sum() * grid.voxel_volume)
    return float(np.mean(volumes))


@pytest.mark.parametrize(
    ("spacing", "largest_error"),
    [
        ((0.75, 0.75, 0.75), 0.015),
        ((1, 1, 1), 0.015),
        ((1.25, 1.25, 1.25), 0.025),
        ((1.5, 1.5, 1.5), 0.02),
        ((1, 1, 2), 0.015),
        ((0.98, 0.98, 2.5), 0.025),
        ((1, 1, 3), 0.035),
        ((0.98, 0.98, 3), 0.03),
        ((1.75, 1.75, 1.75), 0.05),
        ((2, 2, 2), 0.05),
        ((2.5, 2.5, 2.5), 0.05),
        ((2.75, 2.75, 2.75), 0.06),
        ((3, 3, 3), 0.02),
    ],
)
def test_a_ball_of_10_mm_grown_by_5_mm_has_14137_mm3(spacing, largest_error):
    assert mean_ball_volume(grid_around(42, spacing), 10, 5) == pytest.approx(14137, rel=largest_error)


@pytest.mark.parametrize(("size", "largest_error"), [(1, 0.03), (1.5, 0.03), (2, 0.09), (2.5, 0.12), (3, 0.1)])
def test_a_ball_of_15_mm_shrunk_by_5_mm_has_4189_mm3(size, largest_error):
    assert mean_ball_volume(grid_around(36, (size,) * 3), 15, -5) == pytest.approx(4189, rel=largest_error)


@pytest.mark.parametrize("spacing", [(0.5, 1, 1), (1, 1, 2.5), (2.5, 2.5, 2.5), (5, 1, 1)])
def test_a_cube_of_20_mm_with_5_mm_on_the_right_has_10000_mm3(spacing):
    grid = grid_around(40, spacing)
    cube = box(grid, (-10, -10, -10), (10, 10, 10))
    assert cube.sum() * grid.voxel_volume == pytest.approx(8000)
    result = expand(cube, grid.ijk_to_ras, right=5)
    assert result.sum() * grid.voxel_volume == pytest.approx(10000)
    assert np.array_equal(result, box(grid, (-10, -10, -10), (15, 10, 10)))


@pytest.mark.parametrize("order", AXIS_ORDERS[::5])
@pytest.mark.parametrize("side", Margins().as_sides())
def test_a_margin_moves_its_own_side_only(order, side):
    grid = grid_around(24, (1, 2, 1), order=order)
    low, high = np.full(3, -4.0), np.full(3, 4.0)
    cube = box(grid, low, high)
    if side in PLUS:
        high[PLUS.index(side)] += 4.0
    else:
        low[MINUS.index(side)] -= 4.0
    assert np.array_equal(expand(cube, grid.ijk_to_ras, **{side: 4.0}), box(grid, low, high))
    assert np.array_equal(expand(box(grid, low, high), grid.ijk_to_ras, **{side: -4.0}), cube)


@pytest.mark.parametrize("order", AXIS_ORDERS)
def test_the_order_of_the_axes_does_not_matter(order):
    grid = oblique_grid(order, shape=(10, 12, 14), spacing=(1.0, 1.2, 2.5))
    upright = grid.canonical()
    mask = np.random.default_rng(0).random(grid.shape) > 0.99
    for margins in (Margins(3, 1.5, 4, 0, 5, 2), Margins(-1, -2, 0, -1, -3, 0), Margins.isotropic(3)):
        there = grown(reorient(mask, grid, upright), upright, margins)
        assert np.array_equal(reorient(there, upright, grid), grown(mask, grid, margins))


def test_a_mirrored_patient_has_mirrored_margins():
    grid = grid_around(30, (1, 1, 2))
    mask = np.random.default_rng(1).random(grid.shape) > 0.999
    for axis, side, other in zip((2, 1, 0), PLUS, MINUS, strict=True):
        margins = Margins(3, 4, 5, 2, 6, 1)
        swapped = replace(margins, **{side: getattr(margins, other), other: getattr(margins, side)})
        assert np.array_equal(np.flip(grown(mask, grid, margins), axis), grown(np.flip(mask, axis), grid, swapped))


@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.8, 0.8, 2)])
def test_a_voxel_grows_to_a_ball(spacing):
    grid = oblique_grid(UPRIGHT, spacing=spacing, shape=(15, 17, 17), centre_ras=(0, 0, 0))
    mask = ball(grid, 0.1)
    assert mask.sum() == 1
    result = grown(mask, grid, Margins.isotropic(5))
    distance = np.linalg.norm(ras(grid), axis=-1)
    assert result[distance <= 5].all()
    assert not result[distance > 5 + max(spacing) / 2].any()


def solid_points(mask: NDArray[np.bool_], grid: Grid, finer: int) -> NDArray[np.float64]:
    """[n, 3] RAS of points inside the structure's surface, on lines ``finer`` times as dense as the voxels."""
    weights = np.einsum("a,b,c->abc", *[[0.25, 0.5, 0.25]] * 3)
    level = ndimage.convolve(mask.astype(float), weights, mode="nearest")
    away = 13 / 64
    level = np.where(mask, np.maximum(level, 0.5 + away), np.minimum(level, 0.5 - away))
    at = np.stack(np.meshgrid(*[np.arange(finer * (n - 1) + 1) / finer for n in mask.shape], indexing="ij"))
    inside = ndimage.map_coordinates(level, at, order=1) >= 0.5
    return grid.ras(at[::-1, inside].T)


def search(mask: NDArray[np.bool_], grid: Grid, margins: Margins, finer: int = 5) -> NDArray[np.bool_]:
    """Every voxel against every point of the structure, by the definition of the octants."""
    points = solid_points(mask, grid, finer)
    sides = margins.as_sides()
    result = mask.copy()
    for index in np.argwhere(~mask):
        offset = grid.ras(index[::-1]) - points
        total = np.zeros(len(points))
        for axis, (plus, minus) in enumerate(zip(PLUS, MINUS, strict=True)):
            along = np.where(np.abs(offset[:, axis]) < 1e-9, 0.0, offset[:, axis])
            side = np.where(along > 0, sides[plus], sides[minus])
            with np.errstate(divide="ignore", invalid="ignore"):
                total += np.where(along == 0, 0.0, (along / side) ** 2)
        result[tuple(index)] = (total <= 1).any()
    return result


def wider(margins: Margins, by: float) -> Margins:
    return Margins(**{side: max(m + by, 1e-6) if m > 0 else 0.0 for side, m in margins.as_sides().items()})


@given(grids(largest_angle_deg=0), st.integers(0, 2**32 - 1), st.data())
@settings(deadline=None, max_examples=20)
def test_growing_agrees_with_an_exhaustive_search(grid, seed, data):
    """To within the oracle's own steps: no voxel beyond wider margins, none missed within narrower ones."""
    grid = Grid(tuple(min(n, 7) for n in grid.shape), grid.ijk_to_ras)
    rng = np.random.default_rng(seed)
    mask = ndimage.uniform_filter(rng.random(grid.shape), 3) > data.draw(st.floats(0.5, 0.6))
    size = st.one_of(st.just(0.0), st.floats(0.5, 8.0))
    margins = Margins(*(data.draw(size) for _ in range(6)))
    result = grown(mask, grid, margins)
    slack = 0.06 + max(grid.spacing) / 5
    assert not (result & ~search(mask, grid, wider(margins, slack))).any()
    assert not (search(mask, grid, wider(margins, -slack)) & ~result).any()


@given(grids(), st.integers(0, 2**32 - 1), st.data())
@settings(deadline=None, max_examples=40)
def test_shrinking_undoes_growing_without_loss(grid, seed, data):
    size = st.floats(0, 12.0)
    margins = Margins.isotropic(data.draw(size))
    if data.draw(st.booleans()):
        grid = oblique_grid(data.draw(st.sampled_from(AXIS_ORDERS)), spacing=tuple(grid.spacing), shape=grid.shape)
        margins = Margins(*(data.draw(size) for _ in range(6)))
    rng = np.random.default_rng(seed)
    noise = ndimage.uniform_filter(rng.random(grid.shape), data.draw(st.integers(1, 3)))
    mask = noise > np.quantile(noise, data.draw(st.floats(0.3, 0.99)))
    larger = grown(mask, grid, margins)
    assert not (mask & ~larger).any()
    assert not (mask & ~shrunk(larger, grid, margins)).any()
    assert not (shrunk(mask, grid, margins) & ~mask).any()


@given(grids(largest_angle_deg=0), st.integers(0, 2**32 - 1), st.floats(0.5, 10.0))
@settings(deadline=None, max_examples=20)
def test_more_structure_or_more_margin_never_reaches_less(grid, seed, margin):
    rng = np.random.default_rng(seed)
    mask = rng.random(grid.shape) > 0.8
    more = mask | (rng.random(grid.shape) > 0.9)
    reach = grown(mask, grid, Margins.isotropic(margin))
    assert not (reach & ~grown(more, grid, Margins.isotropic(margin))).any()
    assert not (reach & ~grown(mask, grid, Margins(margin, margin + 2, margin, margin, margin, margin))).any()


def test_margins_below_the_slice_spacing_count():
    grid = grid_around(42, (1, 1, 3))
    slab = box(grid, (-9, -9, -9), (9, 9, 9))
    assert np.array_equal(expand(slab, grid.ijk_to_ras, superior=2), box(grid, (-9, -9, -9), (9, 9, 12)))
    assert np.array_equal(expand(slab, grid.ijk_to_ras, superior=0.8), slab)
    assert mean_ball_volume(grid, 15, 2) == pytest.approx(4 / 3 * np.pi * 17**3, rel=0.05)


@pytest.mark.parametrize("order", AXIS_ORDERS[5::24])
def test_oblique_grids_give_the_same_volumes(order):
    oblique = grid_around(33, (1, 1, 1.5), order=order, angles_deg=(12, -20, 31))
    fine = grid_around(33, (0.5, 0.5, 0.5))
    for margins in (Margins(5, 3, 6, 4, 2, 6), Margins(right=5), Margins.isotropic(5)):
        volumes = [grown(ball(g, 10), g, margins).sum() * g.voxel_volume for g in (oblique, fine)]
        assert volumes[0] == pytest.approx(volumes[1], rel=0.02)
    result = expand(ball(oblique, 10), oblique.ijk_to_ras, right=5)
    moved = ras(oblique)[result & ~ball(oblique, 10)]
    assert moved[:, 0].min() > -1.5
    assert np.linalg.norm(moved[:, 1:], axis=1).max() < 10 + 0.75


def test_what_lies_outside_the_grid_is_cut_and_the_edge_is_no_surface():
    grid = grid_around(20, (1, 1, 1))
    touching = box(grid, (-5, -5, 2), (5, 5, 11))
    result = grown(touching, grid, Margins.isotropic(3))
    assert np.array_equal(result[-1], result[-2])
    assert np.array_equal(shrunk(touching, grid, Margins.isotropic(3)), box(grid, (-2, -2, 5), (2, 2, 11)))


def test_mixed_signs_shrink_first():
    grid = grid_around(40, (1, 1, 1))
    plate = box(grid, (-10, -1, -10), (10, 1, 10)) | box(grid, (-5, -5, -5), (5, 5, 5))
    first = expand(plate, grid.ijk_to_ras, anterior=-2, posterior=-2)
    assert np.array_equal(
        expand(plate, grid.ijk_to_ras, anterior=-2, posterior=-2, left=3),
        expand(first, grid.ijk_to_ras, left=3),
    )


def test_nothing_grows_to_nothing_and_the_input_stays():
    grid = grid_around(10, (1, 1, 1))
    empty = np.zeros(grid.shape, dtype=bool)
    assert not grown(empty, grid, Margins.isotropic(5)).any()
    assert grown(~empty, grid, Margins.isotropic(-5)).all()
    one = ball(grid, 2)
    one.setflags(write=False)
    assert np.array_equal(grown(one, grid, Margins()), one)
    assert grown(one, grid, Margins.isotropic(2)).sum() > one.sum()


def test_what_cannot_be_grown_is_refused():
    grid = grid_around(10, (1, 1, 1))
    mask = ball(grid, 2)
    sheared = grid.ijk_to_ras.copy()
    sheared[1, 2] = 0.3
    for array, matrix, margins, complaint in (
        (mask, sheared, {"left": 1}, "right angles"),
        (mask.astype(np.uint8), grid.ijk_to_ras, {"left": 1}, "single label"),
        (mask[0], grid.ijk_to_ras, {"left": 1}, "three axes"),
        (mask, grid.ijk_to_ras, {"left": float("nan")}, "left margin"),
        (mask, grid.ijk_to_ras, {"inferior": -101}, "inferior margin"),
    ):
        with pytest.raises(InputError, match=complaint):
            expand(array, matrix, **margins)
