"""Tiles cover a volume once, with their margins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from SegmentationAILib.engine.tiles import plan, read_padded

SIDES = st.integers(1, 90)


@settings(max_examples=60, deadline=None)
@given(shape=st.tuples(SIDES, SIDES, SIDES), most=st.sampled_from([48**3, 64**3, 96**3]))
def test_every_voxel_is_kept_once_and_read_with_its_margin(shape, most):
    kept = np.zeros(shape, dtype=int)
    for tile in plan(shape, most_voxels=most, margin=16, multiple=16):
        kept[tile.keep] += 1
        lengths = [side.stop - side.start for side in tile.read]
        assert all(length % 16 == 0 for length in lengths)
        assert np.prod(lengths) <= most
        for read, keep, n in zip(tile.read, tile.keep, shape, strict=True):
            assert read.start == max(0, keep.start - 16)
            assert read.stop >= min(keep.stop + 16, n)
    assert (kept == 1).all()


def test_inner_window_of_a_tile_is_the_kept_window_of_the_volume():
    volume = np.random.default_rng(0).normal(size=(70, 50, 33))
    rebuilt = np.zeros_like(volume)
    for tile in plan(volume.shape, most_voxels=64**3, margin=16, multiple=16):
        rebuilt[tile.keep] = read_padded(volume, tile.read, np.nan)[tile.inner]
    np.testing.assert_array_equal(rebuilt, volume)


def test_a_volume_that_fits_is_one_tile_without_margins():
    (tile,) = plan((60, 64, 40), most_voxels=64 * 64 * 48, margin=16, multiple=16)
    assert [(side.start, side.stop) for side in tile.read] == [(0, 64), (0, 64), (0, 48)]


def test_what_lies_beyond_the_volume_is_filled():
    read = read_padded(np.ones((4, 4, 4)), (slice(-1, 3), slice(0, 4), slice(2, 6)), -5.0)
    assert read.shape == (4, 4, 4)
    assert (read[0] == -5).all()
    assert (read[:, :, 2:] == -5).all()
    assert (read[1:, :, :2] == 1).all()


def test_a_tile_that_cannot_fit_is_an_error():
    with pytest.raises(ValueError, match="no tile"):
        plan((100, 100, 100), most_voxels=1000, margin=16, multiple=16)
