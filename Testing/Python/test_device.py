"""The device that a task runs on: one that this PyTorch has code for."""

from __future__ import annotations

import pytest
import torch

from SegmentationAILib.engine.device import available_devices, choose_device
from SegmentationAILib.errors import InputError


@pytest.fixture
def gpus(monkeypatch):
    """A computer whose first GPU is older than its PyTorch, and whose second is not."""
    capabilities = [(3, 5), (8, 6)]
    monkeypatch.setattr(torch.version, "cuda", "12.6")
    for name, value in {
        "is_available": lambda: True,
        "device_count": lambda: len(capabilities),
        "get_device_capability": lambda index: capabilities[index],
        "get_device_name": lambda index: f"GPU of {index}",
        "get_arch_list": lambda: ["sm_70", "sm_80", "sm_90"],
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    return capabilities


def test_a_gpu_without_code_is_not_offered_and_told_where_it_is_named(gpus):
    assert available_devices() == ["cuda:1", "cpu"]
    assert choose_device("auto") == torch.device("cuda:1")
    with pytest.raises(InputError, match=r"'GPU of 0' \(compute capability 3\.5\) is too old .* sm_90; choose the CPU"):
        choose_device("cuda:0")
    with pytest.raises(InputError, match="no device 'cuda:2' on this machine; choose one of: auto, cuda:1, cpu"):
        choose_device("cuda:2")
    gpus[1] = (5, 0)
    assert choose_device("auto") == torch.device("cpu")


def test_architectures_of_other_makers_are_not_judged(gpus, monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    assert available_devices() == ["cuda:0", "cuda:1", "cpu"]


@pytest.mark.parametrize("name", ["", "gpu", "cuda:x", "cuda:-1"])
def test_a_name_that_is_no_devices_is_told(name, gpus):
    with pytest.raises(InputError, match="There is no device"):
        choose_device(name)
