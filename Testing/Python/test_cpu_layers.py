"""The CPU's own layers: the same answers as torch's."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from SegmentationAILib.catalog.nnunet_networks import PLAIN, RESIDUAL, Architecture, UNet
from SegmentationAILib.engine import cpu_layers, winograd
from SegmentationAILib.engine.cpu_layers import SlabInstanceNorm3d, VoxelLinear, fast_on_cpu
from SegmentationAILib.engine.memory_plan import window_bytes
from SegmentationAILib.engine.winograd import WinogradConv3d, minimal_filtering

sides = st.tuples(*[st.integers(5, 22)] * 3)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def same(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=2e-4 * float(expected.std()), rtol=2e-4)


@settings(deadline=None, max_examples=30)
@given(sides, st.integers(1, 20), st.integers(1, 12), st.integers(1, 2), st.booleans(), st.booleans())
@torch.inference_mode()
def test_convolution_is_torchs(shape, channels, made, batch, bias, together):
    conv = nn.Conv3d(channels, made, 3, padding=1, bias=bias)
    x = noise(batch, channels, *shape)
    x = x.contiguous(memory_format=torch.channels_last_3d) if together else x
    same(WinogradConv3d(conv)(x), conv(x))


@torch.inference_mode()
def test_what_follows_a_convolution_keeps_channels_together():
    conv = WinogradConv3d(nn.Conv3d(8, 12, 3, padding=1))
    for batch in (1, 2):
        followed = nn.functional.leaky_relu(conv(noise(batch, 8, 9, 10, 11)))
        assert followed.is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("shape", [(12, 12, 12), (9, 14, 13), (8, 30, 9)])
@torch.inference_mode()
def test_it_rounds_little_worse_than_torch(shape):
    """Against float64: bfloat16, which GPUs take, rounds a thousand times worse."""
    conv = nn.Conv3d(128, 128, 3, padding=1)
    x = noise(1, 128, *shape)
    exact = conv.double()(x.double())
    wrong = WinogradConv3d(conv.float())(x) - exact
    assert float(wrong.std() / exact.std()) < 2e-5


@pytest.mark.parametrize(
    ("outputs", "points"), [(2, (1,)), (4, (1, 2)), (4, (2 / 3, 3 / 2)), (8, (0.4, 0.75, 1.25, 2))]
)
def test_filtering_is_exact_but_for_rounding(outputs, points):
    inputs, weights, back = minimal_filtering(outputs, points)
    x, w = noise(outputs + 2).double(), noise(3, seed=1).double()
    expected = torch.stack([x[n : n + 3] @ w for n in range(outputs)])
    torch.testing.assert_close(back @ ((weights @ w) * (inputs @ x)), expected, atol=1e-11, rtol=1e-11)


@torch.inference_mode()
def test_several_slabs_make_one_convolution(monkeypatch):
    """Groups of slices at once, the last of them short."""
    monkeypatch.setattr(winograd, "SLAB_BYTES", 10 * 4 * 9 * 9 * 8 * 2)
    conv = nn.Conv3d(8, 3, 3, padding=1)
    same(WinogradConv3d(conv)(noise(1, 8, 26, 9, 9)), conv(noise(1, 8, 26, 9, 9)))


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("slab", [1 << 20, 1000])
@torch.inference_mode()
def test_norm_is_torchs_also_far_from_zero(monkeypatch, affine, slab):
    monkeypatch.setattr(cpu_layers, "SLAB_BYTES", slab)
    norm = nn.InstanceNorm3d(6, affine=affine)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    x = noise(2, 6, 9, 10, 11) + 100 * torch.arange(6.0)[:, None, None, None]
    torch.testing.assert_close(SlabInstanceNorm3d(norm)(x), norm.double()(x.double()).float(), atol=1e-3, rtol=1e-3)


@torch.inference_mode()
def test_norm_of_few_channels_is_exact():
    """Slabs of few channels hold many voxels, whose sums must not lose digits."""
    x = (noise(1, 2, 80, 90, 90) * 0.05 + 2.0).contiguous(memory_format=torch.channels_last_3d)
    norm = nn.InstanceNorm3d(2)
    torch.testing.assert_close(SlabInstanceNorm3d(norm)(x).double(), norm(x.double()), atol=5e-5, rtol=0)


@torch.inference_mode()
def test_the_norm_leaves_its_input_as_it_is():
    x = noise(1, 4, 8, 8, 8).contiguous(memory_format=torch.channels_last_3d)
    before = x.clone()
    SlabInstanceNorm3d(nn.InstanceNorm3d(4))(x)
    assert torch.equal(x, before)


@torch.inference_mode()
def test_a_single_voxels_convolution_is_torchs():
    conv = nn.Conv3d(7, 5, 1)
    same(VoxelLinear(conv)(noise(2, 7, 4, 5, 6)), conv(noise(2, 7, 4, 5, 6)))


@pytest.fixture
def single_precision(monkeypatch):
    monkeypatch.setattr(cpu_layers, "inference_dtype", lambda _: torch.float32)


@pytest.mark.parametrize("kind", [PLAIN, RESIDUAL])
@torch.inference_mode()
def test_a_network_answers_the_same_and_shares_its_weights(single_precision, kind):
    triples = ((3, 3, 3),) * 3
    plan = Architecture(kind, (8, 16, 16), triples, ((1, 1, 1), (2, 2, 2), (2, 2, 2)), (2, 2, 2), (2, 2))
    network = UNet(1, 4, plan).eval()
    fast = fast_on_cpu(network)
    same(fast(noise(1, 1, 32, 36, 40)), network(noise(1, 1, 32, 36, 40)))
    replaced = [type(module) for module in fast.modules()]
    assert replaced.count(WinogradConv3d) >= 7
    assert SlabInstanceNorm3d in replaced
    assert not any(isinstance(module, WinogradConv3d) for module in network.modules())
    own = {part.data_ptr() for part in network.parameters()}
    assert {part.data_ptr() for part in fast.parameters()} <= own
    assert fast_on_cpu(network) is fast


def test_what_a_network_takes_is_found_without_data(single_precision):
    """As the memory plan asks, where little memory is free."""
    network = nn.Sequential(nn.Conv3d(8, 16, 3, padding=1), nn.InstanceNorm3d(16, affine=True), nn.Conv3d(16, 4, 1))
    fast = fast_on_cpu(network)
    assert [type(module) for module in fast] == [WinogradConv3d, SlabInstanceNorm3d, VoxelLinear]
    cpu, window = torch.device("cpu"), (8, 24, 24, 24)
    assert 1.0 <= window_bytes(fast, window, cpu) / window_bytes(network, window, cpu) <= 2.0


@torch.inference_mode()
def test_a_layer_of_two_names_is_replaced_once(single_precision):
    """As MONAI's DynUNet holds its layers."""
    conv = nn.Conv3d(8, 8, 3, padding=1)
    twice = nn.Sequential(conv, nn.Sequential(conv), conv)
    fast = fast_on_cpu(twice)
    assert isinstance(fast[0], WinogradConv3d)
    assert fast[0] is fast[1][0] is fast[2]
    same(fast(noise(1, 8, 9, 9, 9)), twice(noise(1, 8, 9, 9, 9)))
    same(fast(noise(1, 8, 4, 9, 9)), twice(noise(1, 8, 4, 9, 9)))


def test_other_convolutions_stay(single_precision):
    kept = nn.Sequential(
        nn.Conv3d(8, 8, 3, stride=2, padding=1),
        nn.Conv3d(8, 8, 3, padding=1, groups=2),
        nn.Conv3d(8, 8, 3, padding=1, padding_mode="reflect"),
        nn.Conv3d(8, 8, (1, 3, 3), padding=(0, 1, 1)),
        nn.Conv3d(8, 8, 3),
        nn.Conv3d(1, 8, 3, padding=1),
    )
    assert [type(module) for module in fast_on_cpu(kept)] == [nn.Conv3d] * len(kept)


def test_a_processor_with_fast_bfloat16_keeps_torchs_layers(monkeypatch):
    monkeypatch.setattr(cpu_layers, "inference_dtype", lambda _: torch.bfloat16)
    network = nn.Sequential(nn.Conv3d(8, 8, 3, padding=1))
    assert fast_on_cpu(network) is network
