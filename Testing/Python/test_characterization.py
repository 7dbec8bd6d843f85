"""Outlines and measurements on digital phantoms of known size."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from geometry import AXIS_ORDERS, oblique_grid
from scipy import ndimage

from LungNoduleAILib.characterization import characterize, delineate, measure
from LungNoduleAILib.nodule import NoduleMask
from SegmentationAILib.volume import Grid, Volume

LUNG, TISSUE = -860.0, 40.0


def ct_of(shape_distance, *, slice_mm=1.0, noise_hu=10.0, seed=0, order=AXIS_ORDERS[0], side_mm=56.0) -> Volume:
    """A box of lung with a shape of signed distance (RAS points [..., 3] -> mm) drawn with partial volume and blur."""
    spacing = (0.7, 0.7, slice_mm)
    shape = tuple(int(side_mm / s) for s in spacing[::-1])
    fine = 4
    grid = oblique_grid(order, spacing=spacing, shape=shape, centre_ras=(0, 0, 0))
    centres = grid.ras(np.moveaxis(np.indices(shape)[::-1], 0, -1))
    share = np.zeros(shape)
    for part in product((np.arange(fine) + 0.5) / fine - 0.5, repeat=3):
        share += shape_distance(centres + grid.ijk_to_ras[:3, :3] @ part) < 0
    share /= fine**3
    share = ndimage.gaussian_filter(share, (0, 0.6, 0.6))
    hu = LUNG + share * (TISSUE - LUNG) + np.random.default_rng(seed).normal(0, noise_hu, shape)
    return Volume(np.round(hu).astype(np.int16), grid, "box", "CT")


def ball(diameter, centre=(0.0, 0.0, 0.0)):
    return lambda p: np.linalg.norm(p - np.array(centre), axis=-1) - diameter / 2


@pytest.mark.parametrize("diameter", [6.0, 10.0, 20.0])
@pytest.mark.parametrize("slice_mm", [0.6, 1.25])
@pytest.mark.parametrize("noise_hu", [10.0, 40.0])
def test_volume_and_diameter_of_a_ball(diameter, slice_mm, noise_hu):
    volume = ct_of(ball(diameter, (0.3, -0.2, 0.4)), slice_mm=slice_mm, noise_hu=noise_hu, side_mm=diameter + 24)
    _, measured = characterize(volume, (0.8, 0.2, 0.0), diameter * 1.2)
    assert measured.volume_mm3 == pytest.approx(np.pi / 6 * diameter**3, rel=0.05)
    assert measured.mean_diameter_mm == pytest.approx(diameter, abs=0.6)
    assert measured.mean_hu == pytest.approx(TISSUE, abs=60)


@pytest.mark.parametrize("order", AXIS_ORDERS[1::11])
def test_measurements_do_not_depend_on_the_axes(order):
    volume = ct_of(ball(9.0), order=order, side_mm=36)
    mask, measured = characterize(volume, (0, 0, 0), 9.0)
    assert measured.volume_mm3 == pytest.approx(np.pi / 6 * 9**3, rel=0.05)
    weights = mask.occupancy / mask.occupancy.sum()
    centre = [
        float((np.arange(n) * weights.sum(axis=axes)).sum())
        for n, axes in zip(weights.shape, ((1, 2), (0, 2), (0, 1)), strict=True)
    ]
    assert np.allclose(mask.grid.ras(centre[::-1]), 0.0, atol=0.3)


def test_long_and_short_axis_of_an_ellipsoid():
    """18 mm along a diagonal, 9 mm across, in the axial plane."""
    turned = np.array([[1, 1, 0], [-1, 1, 0], [0, 0, np.sqrt(2)]]) / np.sqrt(2)
    radii = np.array([9.0, 4.5, 5.0])
    volume = ct_of(lambda p: np.linalg.norm((p @ turned.T) / radii, axis=-1) - 1, side_mm=44)
    _, measured = characterize(volume, (0, 0, 0), 13.0)
    assert measured.long_axis_mm == pytest.approx(18.0, abs=0.8)
    assert measured.short_axis_mm == pytest.approx(9.0, abs=0.8)
    assert measured.volume_mm3 == pytest.approx(4 / 3 * np.pi * np.prod(radii), rel=0.06)


def test_a_vessel_through_the_nodule_is_cut_off():
    def with_vessel(p):
        vessel = np.hypot(p[..., 1], p[..., 2]) - 1.5
        return np.minimum(ball(12.0)(p), vessel)

    _, measured = characterize(ct_of(with_vessel, side_mm=48), (0, 0, 0), 12.0)
    assert measured.volume_mm3 == pytest.approx(np.pi / 6 * 12**3, rel=0.12)


def test_a_nodule_at_the_wall_ends_at_the_lung():
    def at_wall(p):
        return np.minimum(ball(12.0, (3.0, 0, 0))(p), 6.0 - p[..., 0])

    volume = ct_of(at_wall, side_mm=48)
    k, j, i = np.indices(volume.shape)
    lungs = volume.grid.ras(np.stack([i, j, k], axis=-1))[..., 0] < 6.0
    _, measured = characterize(volume, (2.0, 0, 0), 12.0, lungs)
    cap_height = 9.0 - 6.0
    within = np.pi / 6 * 12**3 - np.pi * cap_height**2 / 3 * (3 * 6.0 - cap_height)
    assert measured.volume_mm3 == pytest.approx(within, rel=0.12)


def test_measuring_a_mask_smaller_than_a_voxel():
    occupancy = np.zeros((5, 5, 5), dtype=np.float32)
    occupancy[2, 2, 2] = 0.4
    measured = measure(NoduleMask(occupancy, Grid((5, 5, 5), np.eye(4))), np.full((5, 5, 5), -500.0, dtype=np.float32))
    assert measured.volume_mm3 == pytest.approx(0.4)
    assert measured.mean_diameter_mm == pytest.approx((6 * 0.4 / np.pi) ** (1 / 3))
    assert measured.mean_hu == pytest.approx(-500)


def test_nothing_dense_is_a_nodule_of_a_voxel_or_so():
    found = delineate(np.full((21, 21, 21), LUNG, dtype=np.float32), (10, 10, 10), 6.0)
    assert np.count_nonzero(found.occupancy >= 0.5) <= 33
