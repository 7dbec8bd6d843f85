"""Preprocessing: geometry and HU are kept where they should be, noise falls, edges stay, a bias field goes."""

from __future__ import annotations

import numpy as np
import pytest
from geometry import AXIS_ORDERS, grids, oblique_grid
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from SegmentationAILib.engine.progress import CancelToken, Progress
from SegmentationAILib.enhancement.bias_field import n4
from SegmentationAILib.enhancement.contrast import clahe, equalise, window
from SegmentationAILib.enhancement.denoise import curvature_flow, gaussian, median
from SegmentationAILib.enhancement.enhance import enhance
from SegmentationAILib.enhancement.non_local_means import measured_noise, non_local_means
from SegmentationAILib.enhancement.operations import DENOISE, OPERATIONS
from SegmentationAILib.enhancement.orientation import AXIS_CODES, axis_codes, with_axis_codes
from SegmentationAILib.enhancement.regrid import reorient, to_spacing
from SegmentationAILib.errors import Cancelled, InputError
from SegmentationAILib.volume import Grid, Volume

NOISE_HU = 20.0
DENOISERS = [one.name for one in OPERATIONS.values() if one.group == DENOISE]


def centres(grid: Grid) -> np.ndarray:
    """[k, j, i, 3] RAS of every voxel."""
    return grid.ras(np.moveaxis(np.indices(grid.shape)[::-1], 0, -1))


def noisy_ball(grid: Grid, radius: float = 12.0) -> tuple[Volume, np.ndarray]:
    """A ball of 60 HU in lung of -860 HU with white noise; and the voxels' distance from its surface, mm."""
    middle = grid.ras((np.array(grid.shape[::-1]) - 1) / 2)
    distance = np.linalg.norm(centres(grid) - middle, axis=-1) - radius
    hu = np.where(distance < 0, 60.0, -860.0) + np.random.default_rng(0).normal(0, NOISE_HU, grid.shape)
    return Volume(np.round(hu).astype(np.int16), grid, "ball", "CT"), distance


BALL_GRID = oblique_grid(AXIS_ORDERS[13], angles_deg=(10, 20, -5), spacing=(0.8, 0.8, 1.5), shape=(32, 48, 48))


@pytest.mark.parametrize("name", DENOISERS)
def test_noise_falls_and_the_edge_stays(name):
    ball, distance = noisy_ball(BALL_GRID)
    made = enhance(ball, name)
    assert made.array.dtype == np.int16
    for inside in (distance < -4, distance > 4):
        assert made.array[inside].std() < 0.6 * NOISE_HU
        assert made.array[inside].mean() == pytest.approx(ball.array[inside].mean(), abs=1)
    # The edge is at the half height, where it was.
    found = np.count_nonzero(made.array > -400) * made.grid.voxel_volume
    assert found == pytest.approx(np.count_nonzero(distance < 0) * made.grid.voxel_volume, rel=0.02)


def test_the_edge_keeping_ones_blur_it_less_than_a_gaussian_of_the_same_effect():
    ball, distance = noisy_ball(BALL_GRID)
    near = (np.abs(distance) > 0.8) & (np.abs(distance) < 2.0)
    truth = np.where(distance < 0, 60.0, -860.0)

    def error_at_edge(volume: Volume) -> float:
        return float(np.sqrt(np.mean((volume.array - truth)[near] ** 2)))

    soft = gaussian(ball, sigma_mm=0.8)
    assert error_at_edge(non_local_means(ball)) < 0.25 * error_at_edge(soft)
    assert error_at_edge(curvature_flow(ball)) < 0.8 * error_at_edge(soft)
    assert error_at_edge(median(ball)) < 0.8 * error_at_edge(soft)


def test_curvature_flow_dissolves_what_is_smaller_than_its_radius():
    grid = Grid((28, 28, 28), np.diag([0.5, 0.5, 0.5, 1]))
    middle = grid.ras((13.5, 13.5, 13.5))
    for radius, left in ((1.2, False), (4.0, True)):
        array = np.where(np.linalg.norm(centres(grid) - middle, axis=-1) < radius, 100.0, 0.0)
        made = curvature_flow(Volume(array, grid), radius_mm=2.0)
        assert (made.array.max() > 50) == left


def test_noise_is_measured():
    ball, _distance = noisy_ball(BALL_GRID)
    assert measured_noise(ball) == pytest.approx(NOISE_HU, rel=0.1)


def test_a_picture_without_noise_stays():
    flat = Volume(np.full((8, 8, 8), -1000, dtype=np.int16), Grid((8, 8, 8), np.eye(4)))
    for name in DENOISERS:
        assert np.array_equal(enhance(flat, name).array, flat.array)


@given(grids(), st.sampled_from([name for name in OPERATIONS if name not in ("resample", "reorient")]))
@settings(deadline=None, max_examples=40)
def test_the_grid_is_kept(grid, name):
    """And with it the place of everything, whatever the axes and the voxels' size."""
    volume = Volume(np.random.default_rng(0).integers(-1000, 400, grid.shape).astype(np.int16), grid, "ct", "CT")
    before = volume.array.copy()
    parameters = {"radius_mm": 5.0} if name == "median" else {"iterations": 2} if name == "N4" else {}
    made = enhance(volume, name, parameters)
    assert made.grid is grid
    assert np.array_equal(volume.array, before)
    assert (made.name, made.modality) == ("ct", "CT")


@given(grids(), st.sampled_from([1.0, 1.7, 3.0]))
@settings(deadline=None, max_examples=40)
def test_resampling_keeps_values_in_their_place(grid, factor):
    plane = (centres(grid) @ [1.0, 2.0, -0.5]).astype(np.float32)
    sizes = dict.fromkeys(("left_right_mm", "front_back_mm", "head_foot_mm"), float(grid.spacing.min() / factor))
    made = to_spacing(Volume(plane, grid), **sizes)
    assert np.allclose(made.spacing, grid.spacing.min() / factor)
    inside = grid.ijk(centres(made.grid))
    deep = np.all((inside >= 0) & (inside <= np.array(grid.shape[::-1]) - 1), axis=-1)
    assert np.allclose(made.array[deep], (centres(made.grid) @ [1.0, 2.0, -0.5])[deep], rtol=1e-3, atol=0.1)


def test_resampling_goes_by_the_patients_axes():
    volume = Volume(
        np.zeros((8, 9, 10), np.int16), oblique_grid(AXIS_ORDERS[10], angles_deg=(5, 5, 5), shape=(8, 9, 10))
    )
    made = to_spacing(volume, left_right_mm=1.0, front_back_mm=2.0, head_foot_mm=3.0)
    along = np.abs(made.grid.directions)
    assert [made.spacing[np.argmax(along[axis])] for axis in range(3)] == pytest.approx([1.0, 2.0, 3.0])
    assert made.array.dtype == np.int16


@given(grids(), st.sampled_from(AXIS_CODES))
@settings(deadline=None)
def test_reorienting_moves_no_voxel(grid, codes):
    volume = Volume(np.arange(np.prod(grid.shape)).reshape(grid.shape), grid)
    made = reorient(volume, codes=codes)
    assert axis_codes(made.grid) == codes
    back = np.rint(grid.ijk(centres(made.grid))).astype(int)
    assert np.array_equal(made.array, volume.array[back[..., 2], back[..., 1], back[..., 0]])
    assert np.allclose(grid.ras(back), centres(made.grid), atol=1e-6)


def test_axis_codes_are_those_of_nibabel_and_itk():
    assert axis_codes(Grid((2, 2, 2), np.eye(4))) == "RAS"
    assert axis_codes(Grid((2, 2, 2), np.diag([-1.0, -1.0, 1.0, 1.0]))) == "LPS"
    assert len(AXIS_CODES) == len(set(AXIS_CODES)) == 48
    assert with_axis_codes(Grid((4, 3, 2), np.eye(4)), "SLP").shape == (3, 2, 4)


def test_a_window_keeps_hu_inside():
    ball, _distance = noisy_ball(BALL_GRID)
    made = window(ball, centre_hu=40, width_hu=400)
    inside = (ball.array > -160) & (ball.array < 240)
    assert np.array_equal(made.array[inside], ball.array[inside])
    assert (made.array.min(), made.array.max()) == (-160, min(240, ball.array.max()))


def test_equalised_levels_hold_as_many_voxels_each():
    grid = Grid((40, 40, 40), np.eye(4))
    values = np.random.default_rng(0).normal(40, 30, grid.shape).astype(np.float32)
    made = equalise(Volume(values, grid), centre_hu=40, width_hu=400)
    assert made.array.dtype == np.uint8
    counts = np.bincount(made.array.ravel() // 32, minlength=8)
    assert counts == pytest.approx(np.full(8, values.size / 8), rel=0.15)
    # Brighter stays brighter.
    order = np.argsort(values.ravel())
    assert np.all(np.diff(made.array.ravel()[order].astype(int)) >= 0)


def test_clahe_raises_faint_contrast_and_limits_noise():
    """A nodule 25 HU brighter than the liver around it."""
    ball, distance = noisy_ball(oblique_grid(AXIS_ORDERS[0], spacing=(1, 1, 1), shape=(64, 64, 64)))
    faint = ball.with_array(np.where(distance < 0, 75.0, 50.0) + np.random.default_rng(0).normal(0, 3, ball.shape))

    def contrast(array: np.ndarray) -> float:
        return float(array[distance < -2].mean() - array[distance > 2].mean())

    as_window = (faint.array + 160) * 255 / 400
    equalised = [clahe(faint, centre_hu=40, width_hu=400, tile_mm=30, clip=clip) for clip in (2.0, 10.0)]
    raised = [contrast(one.array.astype(float)) for one in equalised]
    assert 1.3 * contrast(as_window) < raised[0] < raised[1]


def test_n4_takes_a_known_field_away():
    grid = oblique_grid(AXIS_ORDERS[20], angles_deg=(5, 10, 15), spacing=(4, 4, 6), shape=(20, 24, 28))
    rng = np.random.default_rng(0)
    tissue = 200.0 + 150.0 * (ndimage.gaussian_filter(rng.normal(size=grid.shape), 1.5) > 0)
    places = (centres(grid) - centres(grid).mean(axis=(0, 1, 2))) / 100.0
    field = np.exp(0.6 * places[..., 0] - 0.5 * places[..., 2] ** 2 + 0.3 * places[..., 1])
    made = n4(Volume((tissue * field).astype(np.float32), grid, modality="MR"))

    def unevenness(array: np.ndarray) -> float:
        ratio = array / tissue
        return float(ratio.std() / ratio.mean())

    assert unevenness(made.array) < 0.2 * unevenness(tissue * field)
    assert made.grid is grid


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("sharpen", {}, "no operation 'sharpen'"),
        ("median", {"size": 3}, "no parameter 'size'"),
        ("median", {"radius_mm": 50}, "0.1 to 5 mm"),
        ("median", {"radius_mm": "1"}, "0.1 to 5 mm"),
        ("median", {"radius_mm": 0.3}, "reaches no neighbouring voxel"),
        ("reorient", {"codes": "RRS"}, "not a choice"),
    ],
)
def test_wrong_parameters_are_one_sentence(name, parameters, said):
    ball, _distance = noisy_ball(BALL_GRID)
    with pytest.raises(InputError, match=said):
        enhance(ball, name, parameters)


@pytest.mark.parametrize("name", OPERATIONS)
def test_voxels_that_are_no_numbers_are_refused(name):
    if name == "reorient":
        return
    with pytest.raises(InputError, match="not numbers"):
        enhance(Volume(np.full((8, 8, 8), np.nan), Grid((8, 8, 8), np.eye(4))), name)


def test_a_result_that_does_not_fit_the_memory_is_refused():
    huge = Grid((4000, 4000, 4000), np.eye(4) * [20, 20, 20, 1])
    volume = Volume(np.broadcast_to(np.int16(0), huge.shape), huge)
    with pytest.raises(InputError, match="million"):
        to_spacing(volume, left_right_mm=0.1, front_back_mm=0.1, head_foot_mm=0.1)


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_can_be_cancelled(name):
    ball, _distance = noisy_ball(BALL_GRID)
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        enhance(ball, name, progress=Progress(None, token))
