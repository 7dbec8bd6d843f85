"""The organ network, its loss, and how its answer is drawn on the CT's voxels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from geometry import AXIS_ORDERS, oblique_grid

from SegmentationAILib import organ_model, resources
from SegmentationAILib.engine.progress import CancelToken, Progress
from SegmentationAILib.engine.unet_blocks import blocks_to_channels, channels_to_blocks
from SegmentationAILib.errors import Cancelled, InputError
from SegmentationAILib.metrics import dice, hd95
from SegmentationAILib.organ_model import STRUCTURES, OrganModel, built_in, class_shares, segment_organs
from SegmentationAILib.organ_network import OrganNetwork, OrganWidths
from SegmentationAILib.training.organ_classes import (
    CLASS_NAMES,
    HEART,
    LIVER,
    LUNG_LEFT,
    SOFT,
    SOFT_CLASSES,
    UNKNOWN,
)
from SegmentationAILib.training.organ_loss import marginal_entropy, soft_dice
from SegmentationAILib.volume import Volume

CLASSES = len(CLASS_NAMES)


class ByAttenuation(torch.nn.Module):
    """Stands where a network stands: lung where there is air in a body, heart where it is dense, else background."""

    def forward(self, patch):
        hu = 500 * patch[:, 0]
        logits = torch.zeros((len(patch), CLASSES, *patch.shape[2:]))
        logits[:, 0] = 1.0
        logits[:, LUNG_LEFT] = 20.0 * ((hu > -900) & (hu < -600))
        logits[:, HEART] = 20.0 * ((hu > 20) & (hu < 120))
        return logits


def model(shipped=("lung_left", "heart")):
    return OrganModel(ByAttenuation(), CLASS_NAMES, shipped)


def two_boxes(grid):
    """A lung to the left of a heart, in air."""
    k, j, i = np.indices(grid.shape)
    ras = grid.ras(np.stack([i, j, k], axis=-1).reshape(-1, 3)).reshape(*grid.shape, 3)
    lung = (np.abs(ras - [-30, 0, 0]) < [20, 25, 30]).all(axis=-1)
    heart = (np.abs(ras - [25, 0, 0]) < [18, 25, 30]).all(axis=-1)
    hu = np.full(grid.shape, -1000.0, dtype=np.float32)
    hu[lung], hu[heart] = -800, 50
    return Volume(hu, grid, "boxes", "CT"), lung, heart


@pytest.mark.parametrize("order", AXIS_ORDERS[::11])
def test_organs_lie_on_the_ct_whatever_its_grid(order):
    grid = oblique_grid(
        order, angles_deg=(8, -6, 10), spacing=(1.7, 2.1, 2.6), shape=(52, 50, 84), centre_ras=(0, 0, 0)
    )
    volume, lung, heart = two_boxes(grid)
    labels = segment_organs(volume, device="cpu", model=model())
    assert labels.grid is volume.grid
    found = labels.array == HEART
    # Half a voxel of 3 mm at each face is partly air, and no organ to this network.
    assert dice(found, heart) > 0.75
    middle, true_middle = (grid.ras(np.argwhere(mask).mean(axis=0)[::-1]) for mask in (found, heart))
    np.testing.assert_allclose(middle, true_middle, atol=0.8)
    # What is like lung at the heart's edge is thin.
    assert np.count_nonzero((labels.array == LUNG_LEFT) & lung) > 0.8 * np.count_nonzero(lung)


def test_what_is_not_shipped_is_not_drawn():
    grid = oblique_grid(
        AXIS_ORDERS[0], angles_deg=(0, 0, 0), spacing=(2, 2, 2), shape=(50, 50, 80), centre_ras=(0, 0, 0)
    )
    volume, *_ = two_boxes(grid)
    labels = segment_organs(volume, device="cpu", model=model(("heart",)))
    assert set(np.unique(labels.array)) == {0, HEART}
    assert [one.name for one in labels.structures.values()] == ["heart"]


def test_cancelling_between_tiles(monkeypatch):
    monkeypatch.setattr(organ_model, "_TILE_VOXELS", 112**3)
    token = CancelToken()
    progress = Progress(lambda fraction, text: token.cancel() if "organs" in text else None, token)
    with pytest.raises(Cancelled):
        class_shares(model(), np.zeros((120, 120, 120), dtype=np.float32), "cpu", progress)


def test_tiles_join_without_a_seam(monkeypatch):
    torch.manual_seed(0)
    hu = np.random.default_rng(0).normal(0, 300, (64, 64, 160)).astype(np.float32)
    network = OrganModel(OrganNetwork(OrganWidths(CLASSES, (8, 8))).eval(), CLASS_NAMES, ())
    whole = class_shares(network, hu, "cpu", Progress())
    monkeypatch.setattr(organ_model, "_TILE_VOXELS", 64 * 64 * 128)
    np.testing.assert_allclose(class_shares(network, hu, "cpu", Progress()), whole, atol=2e-3)


def test_a_missing_model_is_said(monkeypatch):
    monkeypatch.setattr(resources, "resource", lambda name: None)
    built_in.cache_clear()
    try:
        with pytest.raises(InputError, match="built-in model 'organs' is missing"):
            built_in()
    finally:
        built_in.cache_clear()


def test_the_built_in_model_is_small_and_names_what_it_ships():
    held = built_in()
    assert 1e6 <= sum(p.numel() for p in held.network.parameters()) <= 6e6
    assert set(held.shipped) <= set(STRUCTURES)
    assert {"lung_right", "lung_left"} <= set(held.shipped)
    assert tuple(held.classes) == CLASS_NAMES
    assert organ_model.model_path("organs").stat().st_size <= 12e6


def test_blocks_and_channels():
    patch = torch.arange(2 * 3 * 4 * 6 * 8.0).reshape(2, 3, 4, 6, 8)
    channels = blocks_to_channels(patch)
    assert channels.shape == (2, 24, 2, 3, 4)
    assert torch.equal(channels_to_blocks(channels), patch)


def test_logits_of_one_corner_are_those_of_the_whole():
    torch.manual_seed(0)
    network = OrganNetwork(OrganWidths(5, (8, 8, 8))).eval()
    patch = torch.randn(1, 1, 16, 16, 32)
    whole, features = network(patch), network.features(patch)
    assert whole.shape == (1, 5, 16, 16, 32)
    for corner in range(8):
        part = whole[:, :, corner // 4 :: 2, corner // 2 % 2 :: 2, corner % 2 :: 2]
        torch.testing.assert_close(network.logits_at(features, corner), part)


def voxels(*labels):
    return torch.tensor(labels).reshape(1, 1, 1, -1)


def logits_for(*classes, height=4.0):
    logits = torch.zeros(1, CLASSES, 1, 1, len(classes))
    for place, value in enumerate(classes):
        logits[0, value, 0, 0, place] = height
    return logits


def test_an_unknown_voxel_teaches_nothing():
    logits = logits_for(HEART, LIVER).requires_grad_()
    marginal_entropy(logits, voxels(UNKNOWN, HEART)).backward()
    assert (logits.grad[..., 0] == 0).all()
    assert (logits.grad[..., 1] != 0).any()


def test_soft_tissue_may_be_any_of_its_classes():
    share = (np.exp(4.0) + len(SOFT_CLASSES) - 1) / (np.exp(4.0) + CLASSES - 1)
    assert marginal_entropy(logits_for(HEART), voxels(SOFT)).item() == pytest.approx(-np.log(share), rel=1e-4)
    lung = (len(SOFT_CLASSES)) / (np.exp(4.0) + CLASSES - 1)
    assert marginal_entropy(logits_for(LUNG_LEFT), voxels(SOFT)).item() == pytest.approx(-np.log(lung), rel=1e-4)


def test_soft_dice_of_a_right_and_a_wrong_answer():
    right = logits_for(HEART, HEART, LIVER, LIVER, height=30.0).softmax(dim=1)
    assert soft_dice(right, voxels(HEART, HEART, LIVER, LIVER)).item() == pytest.approx(1.0, abs=1e-3)
    # Two classes of two voxels, no overlap: (0 + 1) / (2 + 2 + 1) each.
    assert soft_dice(right, voxels(LIVER, LIVER, HEART, HEART)).item() == pytest.approx(0.2, abs=1e-3)
    # Of heart 1 of 2 is found: 2·1 + 1 over 2 + 1 + 1; the unknown voxel does not count.
    assert soft_dice(right, voxels(HEART, UNKNOWN, UNKNOWN, HEART)).item() == pytest.approx(3 / 4, abs=1e-3)


def test_hd95_of_shifted_boxes():
    first = np.zeros((20, 30, 40), dtype=bool)
    first[5:15, 5:25, 5:25] = True
    second = np.roll(first, 4, axis=2)
    assert hd95(first, second, (1.0, 1.0, 0.5)) == pytest.approx(2.0)
    assert hd95(first, first, (1.0, 1.0, 1.0)) == 0.0
    assert hd95(first, np.zeros_like(first), (1, 1, 1)) == float("inf")
    assert np.isnan(hd95(np.zeros_like(first), np.zeros_like(first), (1, 1, 1)))
