"""A network's last layer after the mean of its windows instead of before it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from SegmentationAILib.engine.linear_head import LinearHead, SideBySide, linear_head, without_last
from SegmentationAILib.engine.sliding_window import Runner, Windows, slide

CLASSES, FEATURES = 11, 4


class Network(nn.Module):
    def __init__(self, seed: int, **last) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(nn.Conv3d(1, FEATURES, 3, padding=1), nn.ReLU())
        self.last = nn.Conv3d(FEATURES, CLASSES, 1, **last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.body(x))


def slices(networks, outputs: int, head: LinearHead | None = None, **more) -> np.ndarray:
    """Logits [k, j, i, class] of noise in overlapping, flipped windows."""
    found: list[torch.Tensor] = []
    image = torch.randn(1, 20, 18, 17, generator=torch.Generator().manual_seed(3))
    runner = Runner(networks, torch.device("cpu"), torch.no_grad, 2)
    windows = Windows((8, 8, 8), 0.5, (0, 2))
    slide(image, outputs, windows, runner, lambda mean: found.append(mean.clone()), head=head, **more)
    return torch.stack(found).numpy()


@pytest.mark.parametrize("count", [1, 2])
def test_the_logits_are_the_same(count):
    networks = [Network(seed).eval() for seed in range(count)]
    head = linear_head(networks, "last")
    assert head.features == count * FEATURES
    trunks = [without_last(network, "last") for network in networks]
    found = slices([SideBySide(trunks)], head.features, head)
    np.testing.assert_allclose(found, slices(networks, CLASSES), atol=2e-6)


def test_nothing_is_copied_and_the_network_stays_whole():
    network = Network(0).eval()
    trunk = without_last(network, "last")
    assert trunk is without_last(network, "last")
    assert trunk.body[0].weight is network.body[0].weight
    assert isinstance(network.last, nn.Conv3d)
    assert trunk(torch.zeros(1, 1, 4, 4, 4)).shape[1] == FEATURES


def test_what_no_window_read_is_background():
    network = Network(0).eval()
    head = linear_head([network], "last")
    trunk = without_last(network, "last")
    found = slices([trunk], head.features, head, empty=lambda window: True)
    assert (found.argmax(axis=-1) == 0).all()


@pytest.mark.parametrize(
    "networks",
    [
        [Network(0), Network(1), Network(2)],
        [Network(0, stride=2)],
        [Network(0, padding=1)],
    ],
    ids=["as many features as logits", "stride", "padding"],
)
def test_where_it_does_not_pay_or_is_something_else(networks):
    assert linear_head(networks, "last") is None
