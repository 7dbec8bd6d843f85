"""A DICOM series lands where its headers say, whatever the order, orientation, tilt and gaps."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from dicom_writer import Encoding, Identity, write_series
from geometry import AXIS_ORDERS, grids, oblique_grid
from hypothesis import given, settings
from hypothesis import strategies as st

from SegmentationAILib.errors import InputError
from SegmentationAILib.files import load
from SegmentationAILib.volume import Grid

MARKER_HU = 2500
# As in DICOM's own frame: i toward L, j toward P, k toward S.
SHAPE = (12, 30, 36)
GRID = Grid(SHAPE, np.array([[-0.8, 0, 0, 9], [0, -0.8, 0, -20], [0, 0, 2.5, 100], [0, 0, 0, 1.0]]))
RNG = np.random.default_rng(0)
HU = RNG.integers(-1000, 2000, SHAPE)


def ijk_centres(grid: Grid) -> np.ndarray:
    """[k, j, i, 3] the indices (i, j, k) of every voxel."""
    k, j, i = np.indices(grid.shape)
    return np.stack([i, j, k], axis=-1)


def at_the_same_places(volume, grid: Grid) -> np.ndarray:
    """[k, j, i] on ``grid``: the volume's voxel at each place; each place must be a voxel's centre."""
    ijk = volume.grid.ijk(grid.ras(ijk_centres(grid)))
    whole = np.round(ijk).astype(int)
    assert np.abs(ijk - whole).max() < 0.01
    return volume.array[whole[..., 2], whole[..., 1], whole[..., 0]]


@given(
    grid=grids(),
    signed=st.booleans(),
    slopes=st.lists(st.sampled_from([1.0, 2.0, 0.5, 1.2207]), min_size=1, max_size=12),
    intercepts=st.lists(st.sampled_from([-1024.0, -1000.0, 0.0, -999.5]), min_size=1, max_size=12),
    seed=st.integers(0, 2**16),
    data=st.data(),
)
@settings(deadline=None, max_examples=80)
def test_a_series_lands_where_its_headers_say(grid, signed, slopes, intercepts, seed, data):
    """Any orientation, file order, numbering, sign and rescaling per slice: HU exact at every place."""
    rng = np.random.default_rng(seed)
    stored = rng.integers(0, 1000, grid.shape)
    ijk = [data.draw(st.integers(0, n - 1)) for n in grid.shape[::-1]]
    slope, intercept = (np.resize(values, grid.shape[0])[:, None, None] for values in (slopes, intercepts))
    stored[tuple(ijk[::-1])] = 8000
    hu = stored * slope + intercept
    with tempfile.TemporaryDirectory() as folder:
        encoding = Encoding(slope=slopes, intercept=intercepts, signed=signed)
        write_series(Path(folder), hu, grid, encoding=encoding, seed=seed)
        volume = load(folder)
    assert volume.notes == ()
    assert volume.grid.is_orthogonal
    assert np.linalg.det(volume.ijk_to_ras[:3, :3]) > 0
    whole = all(v.is_integer() for v in [*slopes[: grid.shape[0]], *intercepts[: grid.shape[0]]])
    assert volume.array.dtype == (np.int16 if whole else np.float32)
    assert np.array_equal(at_the_same_places(volume, grid), hu.astype(volume.array.dtype))
    marker = volume.grid.ijk(grid.ras(ijk))
    found = np.unravel_index(np.argmax(volume.array), volume.shape)[::-1]
    assert np.all(np.abs(found - marker) <= 0.5)
    expected = [f"1.2.3.4.{k + 1}" for k in range(grid.shape[0])]
    along_k = volume.grid.directions[:, 2] @ grid.directions[:, 2] > 0
    assert volume.source.sop_instance_uids == tuple(expected if along_k else reversed(expected))


@pytest.mark.parametrize("order", AXIS_ORDERS)
def test_every_axis_order_and_direction(tmp_path, order):
    grid = oblique_grid(order, angles_deg=(4, -7, 11), shape=(6, 9, 8))
    hu = RNG.integers(-1000, 2000, grid.shape)
    write_series(tmp_path, hu, grid)
    volume = load(tmp_path)
    assert np.array_equal(at_the_same_places(volume, grid), hu)


def test_positions_rounded_to_a_tenth_of_a_millimetre(tmp_path):
    matrix = GRID.ijk_to_ras.copy()
    matrix[2, 2] = 1.25
    grid = Grid((60, 30, 36), matrix)
    hu = RNG.integers(-1000, 2000, grid.shape)

    def round_position(dataset, k):
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y, f"{np.floor(float(z) * 10 + 0.5) / 10:.1f}"]

    write_series(tmp_path, hu, grid, edit=round_position)
    volume = load(tmp_path)
    assert np.array_equal(volume.array, hu)
    assert np.abs(volume.grid.ijk(grid.ras([5, 6, 59])) - [5, 6, 59]).max() < 0.1


def without(folder: Path, missing: list[int]) -> None:
    """A series of ``GRID`` that lost some slices."""
    for k, path in enumerate(write_series(folder, HU, GRID)):
        if k in missing:
            path.unlink()


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ([5], r"1 slice is missing from the series 'CT chest 3', between slices 5 and 6; export it again"),
        ([1], r"1 slice is missing from the series 'CT chest 3', between slices 1 and 2; "),
        ([10], r"1 slice is missing from the series 'CT chest 3', between slices 10 and 11; "),
        ([3, 4, 8], r"3 slices are missing from the series 'CT chest 3', between slices 3 and 4, 6 and 7; "),
    ],
)
def test_missing_slices_are_refused_and_can_be_interpolated(tmp_path, missing, sentence):
    without(tmp_path, missing)
    with pytest.raises(InputError, match=sentence):
        load(tmp_path)
    volume = load(tmp_path, interpolate_missing=True)
    assert volume.grid.same_as(GRID)
    there = [k for k in range(SHAPE[0]) if k not in missing]
    assert np.array_equal(volume.array[there], HU[there])
    below, above = missing[0] - 1, next(k for k in there if k > missing[0])
    weight = 1 / (above - below)
    between = np.round(HU[below] + weight * (HU[above] - HU[below]))
    assert np.abs(volume.array[missing[0]] - between).max() <= 1
    assert volume.source.sop_instance_uids == tuple("" if k in missing else f"1.2.3.4.{k + 1}" for k in range(12))
    assert volume.notes[0].startswith(f"{len(missing)} of 12 slices were missing")


def test_slices_missing_at_the_end_leave_a_shorter_volume(tmp_path):
    without(tmp_path, [0, 11])
    volume = load(tmp_path)
    assert np.array_equal(volume.array, HU[1:11])
    assert volume.grid.same_as(GRID.crop((1, 0, 0), (10, *SHAPE[1:])))


def test_uneven_spacing_is_refused_and_can_be_interpolated(tmp_path):
    """Half the scan at 2.5 mm, the other at 4 mm; HU a linear function of height."""
    heights = np.concatenate([np.arange(0, 15, 2.5), 12.5 + 4 * np.arange(1, 6)])
    hu = np.broadcast_to((10 * heights)[:, None, None], (11, 8, 9))

    def move(dataset, k):
        dataset.ImagePositionPatient = [0, 0, heights[k]]

    write_series(tmp_path, hu, Grid(hu.shape, np.diag([-1.0, -1.0, 1.0, 1.0])), edit=move)
    with pytest.raises(InputError, match=r"unevenly spaced \(2\.50 to 4\.00 mm.* as between slices 6 and 7, "):
        load(tmp_path)
    volume = load(tmp_path, interpolate_missing=True)
    height = volume.grid.ras(ijk_centres(volume.grid))[..., 2]
    assert np.abs(volume.array - 10 * height).max() <= 10 * 0.05 * 4 + 1


def test_a_slow_drift_of_the_spacing_is_noticed(tmp_path):
    """Each gap within tolerance, all together a voxel off."""
    heights = np.cumsum(np.linspace(1.0, 1.25, 60))
    hu = np.zeros((60, 4, 5)) + 5

    def move(dataset, k):
        dataset.ImagePositionPatient = [0, 0, f"{heights[k]:.4f}"]

    write_series(tmp_path, hu, Grid(hu.shape, np.diag([-1.0, -1.0, 1.0, 1.0])), edit=move)
    with pytest.raises(InputError, match="unevenly spaced"):
        load(tmp_path)


@pytest.mark.parametrize("tilt_deg", [-22.0, 3.0, 15.0])
@pytest.mark.parametrize("order", AXIS_ORDERS[::7])
def test_gantry_tilt_is_undone(tmp_path, order, tilt_deg):
    """Slices drift in their plane; every structure must end where it was, on a right-angled grid."""
    upright = oblique_grid(order, angles_deg=(10, -5, 3), spacing=(0.9, 0.7, 3.0), shape=(14, 40, 44))
    sheared = upright.ijk_to_ras.copy()
    sheared[:3, 2] += 3.0 * np.tan(np.radians(tilt_deg)) * (upright.directions @ [0.2, np.sqrt(1 - 0.04), 0])
    grid = Grid(upright.shape, sheared)
    gradient = upright.directions @ [4.0, -3.0, 5.0]
    hu = np.round(grid.ras(ijk_centres(grid)) @ gradient)
    marked = (7, 20, 22)
    hu[marked] = MARKER_HU
    write_series(tmp_path, hu, grid)
    volume = load(tmp_path)
    assert volume.grid.is_orthogonal
    assert volume.array.dtype == np.int16
    assert volume.notes == (
        f"The gantry was tilted by {abs(tilt_deg):.1f}°; slices are shifted in their plane onto a right-angled grid.",
    )
    places = volume.grid.ras(ijk_centres(volume.grid))
    source = grid.ijk(places)
    inside = np.all((source >= -1e-6) & (source <= np.array(grid.shape[::-1]) - 1 + 1e-6), axis=-1)
    excess = np.where(inside, volume.array - places @ gradient, 0)
    shining = np.argwhere(excess > 20)
    found = np.average(shining, axis=0, weights=excess[tuple(shining.T)])[::-1]
    assert np.all(np.abs(found - volume.grid.ijk(grid.ras(marked[::-1]))) <= 0.1)
    near_marker = np.all(np.abs(source - marked[::-1]) < 2, axis=-1)
    assert inside.sum() > 0.9 * 14 * 38 * 42
    assert np.abs(excess[~near_marker]).max() <= 1.1
    outside = np.any((source < -0.51) | (source > np.array(grid.shape[::-1]) - 0.49), axis=-1)
    assert np.all(volume.array[outside] == -1024)
    corners = volume.grid.ijk(grid.ras([[x, y, z] for x in (0, 43) for y in (0, 39) for z in (0, 13)]))
    assert np.all((corners > -0.5) & (corners < np.array(volume.shape[::-1]) - 0.5))


def test_tilt_and_a_missing_slice(tmp_path):
    sheared = GRID.ijk_to_ras.copy()
    sheared[1, 2] = -0.8  # one voxel for each slice
    grid = Grid(SHAPE, sheared)
    for k, path in enumerate(write_series(tmp_path, HU, grid)):
        if k == 6:
            path.unlink()
    volume = load(tmp_path, interpolate_missing=True)
    assert len(volume.notes) == 2
    assert volume.grid.is_orthogonal
    for k in (0, 5, 7, 11):
        assert np.array_equal(volume.array[k, k : k + SHAPE[1]], HU[k])


def test_slices_shifted_sideways_are_refused(tmp_path):
    def shift(dataset, k):
        if k == 4:
            x, y, z = dataset.ImagePositionPatient
            dataset.ImagePositionPatient = [float(x) + 3, y, z]

    write_series(tmp_path, HU, GRID, edit=shift)
    with pytest.raises(InputError, match="shifted sideways against each other"):
        load(tmp_path)


def test_different_images_at_one_place_are_refused(tmp_path):
    """Two time points in one series."""
    write_series(tmp_path / "a", HU, GRID)
    write_series(tmp_path / "b", HU + 1, GRID)
    with pytest.raises(InputError, match=r"different images at one place \(slice 1\)"):
        load(tmp_path)


def test_identical_duplicates_are_left_out(tmp_path):
    write_series(tmp_path / "a", HU, GRID)
    write_series(tmp_path / "b", HU, GRID, seed=1)
    volume = load(tmp_path)
    assert np.array_equal(volume.array, HU)
    assert volume.notes == ("12 duplicate slices are left out.",)


@pytest.mark.parametrize(
    ("keyword", "value", "sentence"),
    [
        ("ImageOrientationPatient", [0, 1, 0, 0, 0, -1], "lie in different directions"),
        ("PixelSpacing", [0.9, 0.9], "differ in pixel size"),
    ],
)
def test_mixed_images_in_a_series_are_refused(tmp_path, keyword, value, sentence):
    write_series(tmp_path, HU, GRID, edit=lambda dataset, k: setattr(dataset, keyword, value) if k > 6 else None)
    with pytest.raises(InputError, match=sentence):
        load(tmp_path)


def test_mixed_sizes_in_a_series_are_refused(tmp_path):
    write_series(tmp_path / "a", HU[:6], GRID)
    write_series(tmp_path / "b", HU[6:, :20], GRID.crop((6, 0, 0), (6, 20, 36)))
    with pytest.raises(InputError, match="differ in size"):
        load(tmp_path)


@pytest.mark.parametrize("value", [[1, 0, 0, 1, 0, 0], [1, 0, 0, 0.5, 0.5, 0], [0] * 6])
def test_an_impossible_orientation_is_refused(tmp_path, value):
    write_series(tmp_path, HU, GRID, edit=lambda dataset, k: setattr(dataset, "ImageOrientationPatient", value))
    with pytest.raises(InputError, match="invalid image orientation"):
        load(tmp_path)


@pytest.mark.parametrize("thickness", [None, 5.0])
def test_a_single_slice_is_read_as_such(tmp_path, thickness):
    identity = Identity(extra={} if thickness is None else {"SliceThickness": thickness})
    write_series(tmp_path, HU[:1], GRID, identity=identity)
    volume = load(tmp_path)
    assert volume.shape == (1, *SHAPE[1:])
    assert volume.spacing[2] == (thickness or 1.0)


def test_reading_twice_gives_the_same(tmp_path):
    write_series(tmp_path, HU, GRID)
    one, two = load(tmp_path), load(tmp_path)
    assert np.array_equal(one.array, two.array)
    assert np.array_equal(one.ijk_to_ras, two.ijk_to_ras)
    assert one.source == two.source
