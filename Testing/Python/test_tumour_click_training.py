"""The recipe of the tumour-from-clicks network: it learns, from the same draws to the same weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from phantoms import PhantomNodule, chest, default_grid

from SegmentationAILib.radiotherapy.tumour_window import window_around
from SegmentationAILib.training.tumour_click import draw, fit, inner_point, loss


@pytest.fixture(scope="module")
def tumour():
    nodule = PhantomNodule((80.0, 10.0, 40.0), 20.0)
    whole = default_grid(2.0)
    phantom = chest(whole.crop((80, 0, 0), (30, *whole.shape[1:])), nodules=[nodule], vessels=False)
    grid = phantom.volume.grid
    k, j, i = np.indices(grid.shape)
    ras = grid.ras(np.stack([i, j, k], axis=-1))
    mask = np.linalg.norm(ras - np.array(nodule.centre_ras), axis=-1) <= nodule.diameter_mm / 2
    assert mask[tuple(np.round(grid.ijk(inner_point(mask, phantom.volume))).astype(int)[::-1])]
    return phantom.volume, mask


@pytest.fixture(scope="module")
def drawn(tumour):
    rng = np.random.default_rng(0)
    return [draw(*tumour, rng, random_click=random) for random in (False, True)]


def test_a_few_steps_lower_the_loss_and_repeat(drawn):
    network, course = fit(drawn, seed=1, epochs=16)
    assert course[-1] < 0.8 * course[0]
    again, _ = fit(drawn, seed=1, epochs=16)
    for name, value in network.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])


def test_draws_stand_for_the_whole_window(tumour, drawn):
    volume, mask = tumour
    for one in drawn:
        assert one.tumour.any()
        assert not one.tumour.all()
    clicked_inmost = drawn[0]
    window = window_around(volume, inner_point(mask, volume))
    assert float(clicked_inmost.stands_for.sum()) == pytest.approx(window.hu.size, rel=1e-4)


def test_loss_is_lowest_for_the_truth_and_deaf_to_padding():
    tumour = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    weight = torch.tensor([[1.0, 1.0, 5.0, 0.0]])
    right, wrong = 9.0 * (2 * tumour - 1), -9.0 * (2 * tumour - 1)
    assert loss(right, tumour, weight) < 0.1 < loss(wrong, tumour, weight)
    padded = right.clone()
    padded[0, 3] = 9.0
    assert torch.equal(loss(right, tumour, weight), loss(padded, tumour, weight))


def test_nothing_to_learn_from_is_told():
    with pytest.raises(ValueError, match="no tumour"):
        fit([], seed=0)
