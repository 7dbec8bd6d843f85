"""Tumours from clicks, on the phantom: found, bounded by the wall, corrected; the same prompts, the same mask."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import PhantomNodule, chest, default_grid

from SegmentationAILib.errors import InputError
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.metrics import dice
from SegmentationAILib.radiotherapy.gtv import start
from SegmentationAILib.radiotherapy.random_walker import random_walker
from SegmentationAILib.radiotherapy.tumour_edit import edited
from SegmentationAILib.radiotherapy.tumour_prompts import Click
from SegmentationAILib.terminology import RIGHT_LUNG
from SegmentationAILib.volume import Grid

FREE = PhantomNodule((80.0, 10.0, 40.0), 20.0)
# Its outer third lies in the chest wall, which is as dense.
AT_WALL = PhantomNodule((122.0, 0.0, 0.0), 36.0)


@pytest.fixture(scope="module")
def phantom():
    whole = default_grid(2.0)
    grid = whole.crop((60, 0, 0), (58, *whole.shape[1:]))
    return chest(grid, nodules=[FREE, AT_WALL], vessels=False)


def ball(grid, nodule):
    k, j, i = np.indices(grid.shape)
    ras = grid.ras(np.stack([i, j, k], axis=-1))
    return np.linalg.norm(ras - np.array(nodule.centre_ras), axis=-1) <= nodule.diameter_mm / 2


@pytest.fixture(scope="module")
def free(phantom):
    return ball(phantom.volume.grid, FREE)


def test_one_click_finds_a_tumour(phantom, free):
    mask = start(phantom.volume).click(FREE.centre_ras)
    assert mask.dtype == bool
    assert mask.shape == phantom.volume.shape
    assert dice(mask, free) > 0.85


def test_the_wall_is_left_out(phantom):
    mask = start(phantom.volume).click((115.0, 0.0, 0.0))
    tumour = ball(phantom.volume.grid, AT_WALL)
    lung_part = tumour & phantom.right_lung
    assert (mask & lung_part).sum() > 0.7 * lung_part.sum()
    assert (mask & ~tumour).sum() < 0.35 * tumour.sum()


def test_a_box_finds_it_and_bounds_it(phantom, free):
    low, high = (np.array(FREE.centre_ras) + side * 11.0 for side in (-1, 1))
    mask = start(phantom.volume).box(tuple(high), tuple(low))
    assert dice(mask, free) > 0.85
    k, j, i = np.nonzero(mask)
    ras = phantom.volume.grid.ras(np.column_stack([i, j, k]))
    assert np.all(np.abs(ras - FREE.centre_ras) < 15.0)


def test_clicks_add_and_take_away(phantom):
    session = start(phantom.volume)
    first = session.click(FREE.centre_ras)
    beside = (80.0, 10.0, 54.0)
    at = tuple(np.round(phantom.volume.grid.ijk(beside)).astype(int)[::-1])
    assert not first[at]
    # What lies there is lung, which no click may add; the tumour's edge may be taken away.
    with pytest.raises(InputError, match="lies in air"):
        session.click(beside)
    edge = (80.0, 10.0, 47.0)
    at = tuple(np.round(phantom.volume.grid.ijk(edge)).astype(int)[::-1])
    assert first[at]
    assert not session.remove(edge)[at]
    assert session.click((80.0, 10.0, 45.0)).sum() > 0
    session.undo()
    assert np.array_equal(session.undo(), first)


def test_a_second_tumour_joins_by_a_click(phantom):
    session = start(phantom.volume)
    session.click((115.0, 0.0, 0.0))
    both = session.click(FREE.centre_ras)
    for ras in ((115.0, 0.0, 0.0), FREE.centre_ras):
        assert both[tuple(np.round(phantom.volume.grid.ijk(ras)).astype(int)[::-1])]


def test_the_same_prompts_give_the_same_mask(phantom):
    results = []
    for _ in range(2):
        session = start(phantom.volume)
        session.click(FREE.centre_ras)
        results.append(session.remove((80.0, 10.0, 48.0)))
    assert np.array_equal(*results)
    assert len(session.prompts) == 2


def test_a_mask_is_kept_and_then_edited(phantom, free):
    session = start(phantom.volume)
    assert np.array_equal(session.mask(free), free)
    edge = (80.0, 10.0, 47.0)
    at = tuple(np.round(phantom.volume.grid.ijk(edge)).astype(int)[::-1])
    edited = session.remove(edge)
    assert free[at]
    assert not edited[at]
    assert dice(edited, free) > 0.7


def test_a_prior_is_heard(phantom):
    nothing = start(phantom.volume, prior=lambda part: np.zeros(part.shape, dtype=np.float32))
    everything = start(phantom.volume, prior=lambda part: np.full(part.shape, 0.9, dtype=np.float32))
    assert nothing.click(FREE.centre_ras).sum() < everything.click(FREE.centre_ras).sum()


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda s: s.click((900.0, 0.0, 0.0)), "outside the CT"),
        (lambda s: s.click((80.0, 10.0, 65.0)), "lies in air"),
        (lambda s: s.click((0.0, 132.0, 0.0)), "lies in air"),
        (lambda s: s.click((float("nan"), 0.0, 0.0)), "finite"),
        (lambda s: s.remove((80.0, 10.0, 40.0)), "no tumour"),
        (lambda s: s.undo(), "nothing to undo"),
        (lambda s: s.box((0.0, 0.0, 0.0), (0.0, 10.0, 10.0)), "wide"),
        (lambda s: s.box((900.0, 0.0, 0.0), (990.0, 10.0, 10.0)), "outside the CT"),
        (lambda s: s.mask(np.zeros((2, 2, 2), dtype=bool)), "resample"),
        (lambda s: s.mask(np.zeros(s.volume.shape, dtype=bool)), "empty"),
    ],
)
def test_bad_input_is_told_and_changes_nothing(phantom, act, message):
    session = start(phantom.volume)
    with pytest.raises(InputError, match=message):
        act(session)
    assert session.prompts == ()


def test_the_table_is_no_tumour(phantom):
    labels = LabelMap(phantom.right_lung.astype(np.uint8), phantom.volume.grid, {1: RIGHT_LUNG})
    session = start(phantom.volume, labels)
    with pytest.raises(InputError, match="outside the patient's body"):
        session.click((0.0, -128.0, 0.0))
    assert session.click(FREE.centre_ras).any()


CLICKED = (10, 20, 30)


def slab_and_rest():
    """A slab with a far lump that would be added, 1 mm voxels; the click lies 2 mm above the slab."""
    grid = Grid((20, 40, 60), np.eye(4))
    before = np.zeros(grid.shape, dtype=bool)
    before[4:9, 5:35, 5:55] = True
    return grid, before


def test_a_correction_stays_near_its_click():
    grid, before = slab_and_rest()
    after = before.copy()
    after[9:18, 5:35, 5:55] = True
    add = Click(CLICKED[::-1], add=True)
    result = edited(before, after, add, grid)
    assert result[CLICKED]
    assert (result & before).sum() == before.sum()
    # A shell of no more than the gap of 2 mm everywhere, more only near the click.
    k, _, _ = np.nonzero(result[:, 5:10, 5:10])
    assert k.max() == 10
    assert result[15, 20, 30]
    assert not result[17].any()


def test_a_correction_joins_nothing_that_does_not_hang_together_with_it():
    grid, before = slab_and_rest()
    after = before.copy()
    after[9:12, 18:23, 28:33] = True
    after[13:15, 18:23, 28:33] = True
    result = edited(before, after, Click(CLICKED[::-1], add=True), grid)
    assert result[11, 20, 30]
    assert not result[13:15].any()


def test_a_removing_click_adds_nothing():
    grid, before = slab_and_rest()
    after = np.roll(before, 2, axis=2)
    after[4:6, 18:23, 28:33] = False
    result = edited(before, after, Click((30.0, 20.0, 4.0), add=False), grid)
    assert not result[4, 20, 30]
    assert not (result & ~before).any()
    assert result.sum() < before.sum()


def test_a_click_that_agrees_changes_nothing():
    grid, before = slab_and_rest()
    result = edited(before, np.ones_like(before), Click((30.0, 20.0, 6.0), add=True), grid)
    assert np.array_equal(result, before)


def test_after_all_was_taken_away_a_click_starts_anew():
    grid, after = slab_and_rest()
    result = edited(np.zeros_like(after), after, Click((30.0, 20.0, 6.0), add=True), grid)
    assert np.array_equal(result, after)


def test_random_walker_smooths_along_edges_and_keeps_seeds():
    prior = np.full((5, 5, 20), 0.5, dtype=np.float32)
    guide = np.zeros(prior.shape, dtype=np.float32)
    guide[..., 10:] = 5.0
    seeds = np.zeros(prior.shape, dtype=np.int8)
    seeds[..., 0], seeds[..., -1] = 1, -1
    result = random_walker(prior, [guide], seeds, 1e-3)
    assert result[..., 0].min() == 1.0
    assert result[..., -1].max() == 0.0
    assert result[..., 9].min() > 0.8
    assert result[..., 10].max() < 0.2
