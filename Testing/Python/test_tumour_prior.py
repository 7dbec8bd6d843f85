"""A box tells where the tumour is; the nodule network's opinion reaches the tumour tool."""

from __future__ import annotations

import numpy as np
import pytest

from SegmentationAILib.metrics import dice
from SegmentationAILib.radiotherapy import tumour_prior
from SegmentationAILib.radiotherapy.gtv import start
from SegmentationAILib.volume import Grid, Volume


@pytest.fixture
def no_offer(monkeypatch):
    monkeypatch.setattr(tumour_prior, "_offers", [])


def in_soft_tissue(radius: float = 30.0) -> tuple[Volume, np.ndarray]:
    """A large tumour, of which half lies in the mediastinum with hardly any contrast."""
    k, j, i = np.indices((40, 60, 60)) * 3.0
    tumour = np.sqrt((k - 60) ** 2 + (j - 90) ** 2 + (i - 90) ** 2) <= radius
    hu = np.where(i > 100, 45.0, -850.0)
    hu[tumour] = 35.0
    hu += np.random.default_rng(0).normal(scale=15.0, size=hu.shape)
    return Volume(hu.astype(np.int16), Grid(hu.shape, np.diag([3.0, 3.0, 3.0, 1.0])), "phantom", "CT"), tumour


def test_a_box_holds_a_large_tumour_that_its_surroundings_do_not_show():
    volume, tumour = in_soft_tissue()
    places = np.argwhere(tumour)[:, ::-1]
    low, high = (volume.grid.ras(end) for end in (places.min(axis=0) - 0.5, places.max(axis=0) + 0.5))
    found = start(volume).box(tuple(low), tuple(high))
    assert dice(found, tumour) > 0.75
    k, j, i = np.nonzero(found)
    assert min(places.min(axis=0) - (i.min(), j.min(), k.min())) >= -1


def test_nothing_is_offered_until_a_library_offers(no_offer):
    assert tumour_prior.made(tumour_prior.offered()) is None
    tumour_prior.offer("test_tumour_prior:made")
    assert tumour_prior.made(tumour_prior.offered()) == "made on first use"


def made() -> str:
    return "made on first use"


def test_the_prior_is_asked_about_small_tumours_only():
    volume, _ = in_soft_tissue()
    asked = []

    def prior(part: Volume) -> np.ndarray:
        asked.append(part)
        return np.full(part.shape, 0.5, dtype=np.float32)

    start(volume, prior=prior).click((90.0, 90.0, 60.0))
    assert not asked
    small, _ = in_soft_tissue(radius=6.0)
    start(small, prior=prior).click((90.0, 90.0, 60.0))
    assert asked
