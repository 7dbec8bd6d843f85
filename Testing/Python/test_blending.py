"""Blending: what it writes, what it leaves alone, and that a nodule stays what it was."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleAILib.training.blending import blend, real_insert
from LungNoduleAILib.training.lidc import MARGIN_MM, NoduleCrop
from LungNoduleAILib.training.parametric import parametric_nodule

MIDDLE = (22, 22, 22)
NODULE_HU = -30.0


def ball(side: int, radius: float) -> NDArray[np.float32]:
    offset = np.indices((side,) * 3) - (side - 1) / 2
    return (radius - np.sqrt((offset**2).sum(axis=0))).astype(np.float32)


def lung(seed: int, side: int = 45, hu: float = -850.0, noise: float = 25.0) -> NDArray[np.float32]:
    return (hu + noise * np.random.default_rng(seed).standard_normal((side,) * 3)).astype(np.float32)


@pytest.fixture(scope="module")
def crop() -> NoduleCrop:
    """A solid ball of 10 mm in a lung that is 60 HU denser than the one it goes to."""
    distance = ball(2 * (5 + MARGIN_MM) + 1, 5.0)
    own = lung(1, distance.shape[0], -790.0)
    share = np.clip(distance + 0.5, 0, 1)
    hu = own + share * (NODULE_HU - own)
    return NoduleCrop("ball", "nobody", hu.astype(np.float32), distance, 10.0, 5, 1.0)


@pytest.fixture
def whole_lung() -> NDArray[np.bool_]:
    return np.ones((45,) * 3, dtype=bool)


def with_vessel(seed: int) -> NDArray[np.float32]:
    """A tube of 50 HU along k that touches where the nodule will be."""
    hu = lung(seed)
    hu[:, 20:24, 26:30] = 50.0
    return hu


def test_nothing_changes_beyond_the_margin(crop, whole_lung):
    before = lung(2)
    hu = before.copy()
    occupancy = blend(hu, real_insert(crop, np.random.default_rng(3)), MIDDLE, whole_lung)
    far = ndimage.distance_transform_edt(occupancy < 0.5) > MARGIN_MM
    assert far.any()
    np.testing.assert_array_equal(hu[far], before[far])
    assert np.abs(hu - before)[occupancy >= 0.5].min() > 100


@pytest.mark.parametrize("real", [True, False])
def test_a_vessel_is_never_darkened(crop, whole_lung, real):
    rng = np.random.default_rng(5)
    hu = with_vessel(5)
    before = hu.copy()
    occupancy = blend(hu, real_insert(crop, rng) if real else parametric_nodule(rng, 9, "solid"), MIDDLE, whole_lung)
    vessel = before > -500
    assert (occupancy[vessel] > 0.5).any()
    assert (hu[vessel] >= before[vessel] - 1e-3).all()


def test_in_free_lung_the_whole_volume_is_labelled(crop, whole_lung):
    insert = real_insert(crop, np.random.default_rng(4))
    occupancy = blend(lung(4), insert, MIDDLE, whole_lung)
    assert occupancy.sum() == pytest.approx(insert.occupancy.sum(), rel=1e-5)
    assert occupancy.sum() == pytest.approx(4 / 3 * np.pi * 5**3, rel=0.08)


def test_scale_is_of_the_diameter(crop, whole_lung):
    volumes = [
        blend(lung(4), real_insert(crop, np.random.default_rng(4), scale), MIDDLE, whole_lung).sum()
        for scale in (0.7, 1.0, 1.3)
    ]
    assert volumes[0] / volumes[1] == pytest.approx(0.7**3, rel=0.12)
    assert volumes[2] / volumes[1] == pytest.approx(1.3**3, rel=0.12)


def test_outside_the_lungs_nothing_is_labelled(crop, whole_lung):
    lungs = whole_lung.copy()
    lungs[:, :, 22:] = False
    hu = lung(6)
    hu[~lungs] = 40.0
    before = hu.copy()
    occupancy = blend(hu, real_insert(crop, np.random.default_rng(6)), MIDDLE, lungs)
    assert occupancy[~lungs].max() == 0
    assert occupancy[lungs].max() == 1
    assert (hu[~lungs] >= before[~lungs] - 1e-3).all()


def test_a_nodule_at_the_edge_is_cut_and_one_beyond_is_nothing(crop, whole_lung):
    insert = real_insert(crop, np.random.default_rng(7))
    before = lung(7)
    hu = before.copy()
    assert 0 < blend(hu, insert, (0, 22, 22), whole_lung).sum() < 0.7 * insert.occupancy.sum()
    hu = before.copy()
    assert blend(hu, insert, (-40, 22, 22), whole_lung).max() == 0
    np.testing.assert_array_equal(hu, before)


def test_the_rng_alone_decides(crop, whole_lung):
    def made(seed: int) -> NDArray[np.float32]:
        hu = lung(8)
        blend(hu, real_insert(crop, np.random.default_rng(seed)), MIDDLE, whole_lung)
        return hu

    np.testing.assert_array_equal(made(9), made(9))
    assert np.abs(made(9) - made(10)).max() > 1


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.25])
def test_the_nodules_attenuation_survives(crop, whole_lung, scale):
    hu = lung(11, hu=-880.0)
    occupancy = blend(hu, real_insert(crop, np.random.default_rng(11), scale), MIDDLE, whole_lung)
    core = ndimage.binary_erosion(occupancy >= 0.5, iterations=2)
    assert hu[core].mean() == pytest.approx(NODULE_HU, abs=10)


def test_around_the_nodule_the_lung_is_at_its_own_level(crop, whole_lung):
    """The lung that the nodule came with is 90 HU denser; none of that stays 2 mm and more outside."""
    hu = lung(12, hu=-880.0)
    occupancy = blend(hu, real_insert(crop, np.random.default_rng(12)), MIDDLE, whole_lung)
    outside = ndimage.distance_transform_edt(occupancy < 0.5)
    ring = (outside > 2) & (outside <= 5)
    assert hu[ring].mean() == pytest.approx(-880.0, abs=12)
