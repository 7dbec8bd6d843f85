"""Places where a network is wrong are shown to it again; those of nodules are not."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from LungNoduleAILib.network import HEAT_STRIDE, Answer
from LungNoduleAILib.training.backgrounds import Background
from LungNoduleAILib.training.hard_negatives import with_false_marks
from LungNoduleAILib.training.nodule_patches import SIDE, NodulePatches
from SegmentationAILib.volume import Grid


class _Bright(nn.Module):
    """Sees a nodule in whatever is denser than -100 HU."""

    def __init__(self):
        super().__init__()
        self.edge = nn.Conv3d(1, 1, 1)
        nn.init.zeros_(self.edge.weight)
        nn.init.constant_(self.edge.bias, 0.28)

    def forward(self, patch):
        dense = (patch > self.edge(patch)).float()
        heat = nn.functional.avg_pool3d(dense, HEAT_STRIDE) * 8 - 4
        return Answer(heat, torch.full_like(heat, np.log(6.0)), dense)


def _background():
    rng = np.random.default_rng(0)
    hu = rng.normal(-850, 20, (64, 64, 64))
    nodules = np.zeros(hu.shape, dtype=np.uint8)
    hu[20:26, 20:26, 20:26] = 40
    nodules[20:26, 20:26, 20:26] = 1
    hu[44:48, 40:44, 42:46] = 40
    return Background(
        "one",
        hu.astype(np.int16),
        np.ones(hu.shape, dtype=bool),
        nodules,
        np.zeros(hu.shape, dtype=bool),
        np.zeros((0, 3), dtype=np.int64),
        Grid(hu.shape, np.diag([-1.0, -1.0, 1.0, 1.0])),
    )


def test_false_marks_are_shown_again_and_nodules_are_not():
    network = _Bright()
    spots = with_false_marks(_background(), network, "cpu").spots
    assert len(spots) > 1
    assert np.abs(spots - [45.5, 41.5, 43.5]).max() <= 3
    network.requires_grad_(True)


def test_turned_backgrounds_keep_nodule_and_voxels_together():
    """What is dense is the nodule, whichever way the CT is turned and stretched."""
    background = _background()
    hu = background.hu.copy()
    hu[44:48, 40:44, 42:46] = -850
    shown = Background(**{**vars(background), "hu": hu})
    patches = NodulePatches([shown], (), (), 3, at_nodules=1.0, blended=False)
    dense = [np.asarray(patches[n]["nodules"][0]).sum() for n in range(12)]
    assert len({int(size) for size in dense}) > 6
    for n in range(12):
        patch = patches[n]
        inside = patch["nodules"][0] > 0
        assert inside.shape == (SIDE,) * 3
        if inside.sum() > 60:
            assert patch["image"][0][inside].mean() > patch["image"][0][~inside].mean() + 0.3
