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
from SegmentationAILib.radiotherapy.reach import MOST_LINES, Axis, reached
from SegmentationAILib.radiotherapy.surface import FULL, finer
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


def mean_ball_volume(grid: Grid, radius: float, margin: float | Margins) -> float:
    """mm³ of grown or shrunk balls, over centres spread evenly over a voxel."""
    steps = (np.arange(8)[:, None] * [0.5, 0.25, 0.125] + 1 / 16) % 1.0 - 0.5
    margins = margin if isinstance(margin, Margins) else Margins.isotropic(margin)
    volumes = []
    for step in steps * grid.spacing:
        mask = ball(grid, radius, step @ grid.directions.T)
        volumes.append(grown(mask, grid, margins).sum() * grid.voxel_volume)
    return float(np.mean(volumes))


CUBIC = [(size,) * 3 for size in (0.75, 1, 1.25, 1.5, 1.75, 2, 2.25, 2.5, 2.75, 3)]
THICK = [(1, 1, 2), (0.98, 0.98, 2.5), (1, 1, 3), (0.98, 0.98, 3)]


@pytest.mark.parametrize("spacing", CUBIC + THICK)
def test_a_ball_of_10_mm_grown_by_5_mm_has_14137_mm3(spacing):
    assert mean_ball_volume(grid_around(42, spacing), 10, 5) == pytest.approx(14137, rel=0.02)


def test_a_ball_on_voxels_of_half_a_millimetre():
    grid = grid_around(34, (0.5, 0.5, 0.5))
    result = grown(ball(grid, 10, (0.1, 0.2, 0.15)), grid, Margins.isotropic(5))
    assert result.sum() * grid.voxel_volume == pytest.approx(14137, rel=0.005)


@pytest.mark.parametrize("spacing", [(1, 1, 1), (2.25, 2.25, 2.25), (3, 3, 3), (1, 1, 3)])
@pytest.mark.parametrize(
    ("radius", "margin", "largest_error"), [(6, 5, 0.035), (10, 7, 0.02), (10, 10, 0.02), (15, 8, 0.015)]
)
def test_balls_grow_to_the_volume_of_larger_balls(radius, margin, largest_error, spacing):
    volume = mean_ball_volume(grid_around(2 * (radius + margin) + 12, spacing), radius, margin)
    assert volume == pytest.approx(4 / 3 * np.pi * (radius + margin) ** 3, rel=largest_error)


@pytest.mark.parametrize("size", [1, 1.5, 2, 2.5, 3])
def test_a_ball_of_15_mm_shrunk_by_5_mm_has_4189_mm3(size):
    assert mean_ball_volume(grid_around(36, (size,) * 3), 15, -5) == pytest.approx(4189, rel=0.05)


@pytest.mark.parametrize("spacing", [(0.5, 1, 1), (1, 1, 2.5), (2.5, 2.5, 2.5), (5, 1, 1)])
def test_a_cube_of_20_mm_with_5_mm_on_the_right_has_10000_mm3(spacing):
    grid = grid_around(40, spacing)
    cube = box(grid, (-10, -10, -10), (10, 10, 10))
    assert cube.sum() * grid.voxel_volume == pytest.approx(8000)
    result = expand(cube, grid.ijk_to_ras, right=5)
    assert result.sum() * grid.voxel_volume == pytest.approx(10000)
    assert np.array_equal(result, box(grid, (-10, -10, -10), (15, 10, 10)))


@pytest.mark.parametrize("spacing", [(1.5, 1.5, 1.5), (2, 2, 2), (3, 3, 3), (0.7, 0.7, 4)])
@pytest.mark.parametrize("margin", [1.7, 5, 7.3, -2.6])
def test_the_faces_of_a_box_move_to_the_nearest_voxel(spacing, margin):
    grid = grid_around(60, spacing)
    size = np.array(spacing)
    half = size * (9 // size)
    result = expand(box(grid, -half, half), grid.ijk_to_ras, left=margin, anterior=margin, inferior=margin)
    moved = size * np.floor(margin / size + 0.5)
    across = [result.any(axis=axes) for axes in ((0, 1), (0, 2), (1, 2))]
    low, high = -half - moved * [1, 0, 1], half + moved * [0, 1, 0]
    wanted = [box(grid, low, high).any(axis=axes) for axes in ((0, 1), (0, 2), (1, 2))]
    for found, right in zip(across, wanted, strict=True):
        assert np.array_equal(found, right)


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


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_lines_between_voxels_lie_on_cubics(axis):
    at = np.arange(9.0)
    cubic = np.polynomial.Polynomial([-3, 20, -16, 3])
    level = np.moveaxis(np.broadcast_to(cubic(at), (4, 5, 9)), 2, axis).astype(np.int16)
    halves = np.moveaxis(finer(level, axis, 2), axis, 2)
    quarters = np.moveaxis(finer(level, axis, 4), axis, 2)
    assert np.array_equal(halves[..., 2:-2], np.broadcast_to(16 * cubic(np.arange(1, 7.5, 0.5)), (4, 5, 13)))
    assert np.array_equal(quarters[..., 6:-6], np.broadcast_to(256 * cubic(np.arange(1.5, 6.75, 0.25)), (4, 5, 21)))


def search(inside: NDArray[np.bool_], points: NDArray[np.float64], axes: tuple[Axis, Axis, Axis]) -> NDArray[np.bool_]:
    """Every voxel against every point of the structure, [n, 3] in voxels, by the definition of the octants."""
    result = inside.copy()
    for index in np.argwhere(~inside):
        total = np.zeros(len(points))
        for axis, offset in zip(axes, (index - points).T, strict=True):
            along = np.where(np.abs(offset) < 1e-9, 0.0, offset * axis.spacing)
            side = np.where(along > 0, axis.upper, axis.lower)
            with np.errstate(divide="ignore", invalid="ignore"):
                total += np.where(along == 0, 0.0, (along / side) ** 2)
        result[tuple(index)] = (total <= 1).any()
    return result


def points_inside(level: NDArray, steps: tuple[int, ...], start: tuple[int, ...] = (1, 1, 1)) -> NDArray[np.float64]:
    """The points above 0, [n, 3] in voxels, on straight lines between levels that lie ``start`` to a voxel."""
    counts = [step * (n - 1) + 1 for step, n in zip(steps, level.shape, strict=True)]
    at = np.stack(np.meshgrid(*[np.arange(n) / step for n, step in zip(counts, steps, strict=True)], indexing="ij"))
    inside = ndimage.map_coordinates(level.astype(float), at, order=1) > 0
    return at[:, inside].T / start


@given(st.integers(0, 2**32 - 1), st.data())
@settings(deadline=None, max_examples=20)
def test_reaching_agrees_with_an_exhaustive_search(seed, data):
    """To within the oracle's own steps: no voxel beyond wider margins, none missed within narrower ones.

    Where there is no margin along an axis no step is allowed along it, and a surface that nearly touches a slice
    touches it on the cubics of ``finer`` or does not on straight lines: what is reached may be by either, what must be
    reached is what is by both.
    """
    rng = np.random.default_rng(seed)
    shape = data.draw(st.tuples(*[st.integers(3, 8)] * 3))
    level = ndimage.gaussian_filter(rng.random(shape), 1.5) - data.draw(st.floats(0.45, 0.55))
    whole = np.rint(level / np.abs(level).max() * FULL).astype(np.int16)
    whole[whole == 0] = -1
    spacing = data.draw(st.tuples(*[st.floats(0.5, 3.0)] * 3))
    size = st.one_of(st.just(0.0), st.floats(0.5, 8.0))
    margins = [(data.draw(size), data.draw(size)) for _ in range(3)]

    def axes(by: float) -> tuple[Axis, ...]:
        sides = [[max(m + by, 1e-6) if m > 0 else 0.0 for m in pair] for pair in margins]
        return tuple(Axis(s, *pair) for s, pair in zip(spacing, sides, strict=True))

    result = reached(np.broadcast_to(whole, (3, *shape)), axes(0.0))
    slack = 0.06 + max(spacing) / 5
    straight = points_inside(whole, (5, 5, 5))
    curved = [straight]
    for own in range(3):
        second, third = (axis for axis in range(3) if axis != own)
        lines = tuple(1 if axis == own else MOST_LINES for axis in range(3))
        fine = finer(finer(whole, second, MOST_LINES), third, MOST_LINES)
        curved.append(points_inside(fine, tuple(5 if axis == own else 1 for axis in range(3)), lines))
    assert not (result & ~search(whole > 0, np.concatenate(curved), axes(slack))).any()
    assert not (search(whole > 0, straight, axes(-slack)) & ~result).any()


@given(grids(), st.integers(0, 2**32 - 1), st.data())
@settings(deadline=None, max_examples=40)
def test_shrinking_undoes_growing_to_within_a_voxel(grid, seed, data):
    """No part is lost: of every voxel, it or one that touches it is kept."""
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
    back = shrunk(larger, grid, margins)
    assert not (mask & ~ndimage.binary_dilation(back, np.ones((3, 3, 3)))).any()
    assert not (shrunk(mask, grid, margins) & ~mask).any()


@given(grids(largest_angle_deg=0), st.integers(0, 2**32 - 1), st.floats(0.5, 10.0))
@settings(deadline=None, max_examples=20)
def test_every_voxel_reaches_as_far_as_the_margin_and_farther_with_more(grid, seed, margin):
    rng = np.random.default_rng(seed)
    mask = rng.random(grid.shape) > rng.uniform(0.5, 1)
    reach = grown(mask, grid, Margins.isotropic(margin))
    from_centres = ndimage.distance_transform_edt(~mask, sampling=grid.spacing[::-1])
    assert not (mask.any() & (from_centres <= margin) & ~reach).any()
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
    for margins in (Margins(5, 3, 6, 4, 2, 6), Margins(right=5), Margins.isotropic(5), Margins(5, 5, 5, 5, 5, 4.9)):
        volumes = [grown(ball(g, 10), g, margins).sum() * g.voxel_volume for g in (oblique, fine)]
        assert volumes[0] == pytest.approx(volumes[1], rel=0.02)
    result = expand(ball(oblique, 10), oblique.ijk_to_ras, right=5)
    moved = ras(oblique)[result & ~ball(oblique, 10)]
    assert moved[:, 0].min() > -1.5
    assert np.linalg.norm(moved[:, 1:], axis=1).max() < 10 + 0.75


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("margins", [Margins.isotropic(5), Margins(5, 5, 5, 5, 5, 4.999)])
def test_a_ball_on_an_oblique_grid_has_the_same_volume(size, margins):
    grid = grid_around(44, (size,) * 3, order=AXIS_ORDERS[5], angles_deg=(12, -20, 31))
    assert mean_ball_volume(grid, 10, margins) == pytest.approx(14137, rel=0.02)


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
