"""Where the memory ends: the same labels from what takes less, and the user is told."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from nnunet_models import plans, taught, write_model
from scipy import ndimage
from torch import nn

from SegmentationAILib.catalog.nnunet_folder import read_nnunet
from SegmentationAILib.catalog.nnunet_networks import UNet, architecture_of
from SegmentationAILib.catalog.nnunet_runner import Options, segment
from SegmentationAILib.engine import memory_plan
from SegmentationAILib.engine.memory_plan import (
    CPU,
    Placing,
    is_out_of_memory,
    placing_for,
    window_bytes,
    with_less_memory,
)
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError

GPU = torch.device("cuda:0")
CLASSES = 4


class Small(nn.Module):
    """A network on a device that holds few windows."""

    read: ClassVar[list[int]] = []

    def __init__(self, network: nn.Module, most: int, error: type[Exception]) -> None:
        super().__init__()
        self.network, self.most, self.error = network, most, error
        self.last_layer = f"network.{network.last_layer}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.most and x.device.type != "meta":
            raise self.error("DefaultCPUAllocator: not enough memory: you tried to allocate 99999999999 bytes.")
        if x.device.type != "meta":
            self.read.append(len(x))
        return self.network(x)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    held = plans(patch=(16, 16, 16))

    def build(fold: int) -> nn.Module:
        torch.manual_seed(fold)
        return taught(UNet(1, CLASSES, architecture_of(held["configurations"]["3d_fullres"])), CLASSES, 30, 0)

    return read_nnunet(write_model(tmp_path_factory.mktemp("model"), held, CLASSES, build))


def scan() -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(20, 30, 34)), 3.0)
    return (noise / noise.std() * 400 - 350).astype(np.int16)[None]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError, MemoryError])
def test_half_as_many_windows_give_the_same_labels(model, error):
    [network] = model.networks
    whole = segment(model, scan(), (1.5, 1.5, 1.5), Options(batch=1), device="cpu")
    assert len(np.unique(whole)) >= 2
    limited = replace(model, networks=(Small(network, 2, error),))
    Small.read.clear()
    progress = Progress()
    found = segment(limited, scan(), (1.5, 1.5, 1.5), Options(batch=8), device="cpu", progress=progress)
    # Batches of another size sum in another order.
    assert (found == whole).mean() > 0.9999
    assert progress.notes == [
        "Too little memory on cpu, 4 windows are read at once.",
        "Too little memory on cpu, 2 windows are read at once.",
    ]
    assert max(Small.read) == 2


def test_no_memory_at_all_is_one_sentence(model):
    [network] = model.networks
    none = replace(model, networks=(Small(network, 0, torch.OutOfMemoryError),))
    with pytest.raises(InputError, match="more memory than this computer has free; close other programs"):
        segment(none, scan(), (1.5, 1.5, 1.5), device="cpu")


def test_each_step_takes_less_until_the_cpu_does_all():
    tried, told = [], []

    def attempt(placing: Placing) -> str:
        tried.append(placing)
        if placing.device != CPU:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return "labels"

    progress = Progress(lambda _, text: told.append(text))
    assert with_less_memory(attempt, Placing(GPU, 4, GPU), progress) == "labels"
    assert tried == [
        Placing(GPU, 4, GPU),
        Placing(GPU, 2, GPU),
        Placing(GPU, 1, GPU),
        Placing(GPU, 1, CPU),
        Placing(CPU, 1, CPU),
    ]
    assert told == progress.notes
    assert told[-1] == "Too little memory on cuda:0, the CPU does all, which takes longer."


def test_other_errors_are_not_taken_for_it():
    def attempt(placing: Placing) -> None:
        raise RuntimeError("The size of tensor a (3) must match the size of tensor b (4)")

    with pytest.raises(RuntimeError, match="size of tensor"):
        with_less_memory(attempt, Placing(GPU, 4, GPU), Progress())


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("CUDA error: device-side assert triggered"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_the_errors_of_torch_and_its_libraries_are_known(error, expected):
    assert is_out_of_memory(error) is expected


def test_memory_of_a_network_follows_its_tensors():
    """Two convolutions: the input and what goes in and out of the second live at once; half precision on a GPU."""
    network = nn.Sequential(nn.Conv3d(1, 8, 3, padding=1), nn.Conv3d(8, 16, 3, padding=1))
    voxels = 12**3
    assert window_bytes(network, (1, 12, 12, 12), GPU) == 2 * voxels * (1 + 8 + 16)


@pytest.mark.parametrize(
    ("free", "batch", "sums"), [(100, 8, GPU), (9, 4, GPU), (4, 1, GPU), (3, 2, CPU), (0.1, 1, CPU)]
)
def test_the_batch_fills_the_free_memory(monkeypatch, free, batch, sums):
    monkeypatch.setattr(memory_plan, "measured_bytes", lambda *_: 1 << 30)
    monkeypatch.setattr(memory_plan, "free_bytes", lambda _: int(free * 2**30))
    assert placing_for(nn.Identity(), (1, 8, 8, 8), 2 << 30, GPU) == Placing(GPU, batch, sums)


def test_too_little_memory_on_the_cpu_is_told_before(monkeypatch):
    monkeypatch.setattr(memory_plan, "free_bytes", lambda _: 1 << 30)
    progress = Progress()
    assert placing_for(nn.Identity(), (1, 8, 8, 8), 3 << 30, CPU, progress=progress) == Placing(CPU, 1, CPU)
    assert progress.notes == [
        "The model needs about 3.0 GB of memory and 1.0 GB are free; it may be slow or stop. Close other programs or "
        "choose a model of lower resolution."
    ]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_sums_on_the_host_give_the_same_labels(model, monkeypatch):
    whole = segment(model, scan(), (1.5, 1.5, 1.5), device="cuda")
    monkeypatch.setattr(memory_plan, "free_bytes", lambda _: 1)
    np.testing.assert_array_equal(segment(model, scan(), (1.5, 1.5, 1.5), device="cuda"), whole)
